/* migrate.c - tandemctl migrate-check: what of the primary's definitions a standby of another line
 * of engines takes as it is, what is translated, and what is not possible. Shown before it is done.
 *
 * It asks the two clusters themselves, with the configuration's addresses and credentials, needs no
 * daemon, and changes nothing: the translation is the replicator's own (lib/es/translate.c), and
 * what comes out of it is shown to the new cluster with a call that only looks at it (_simulate).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <curl/curl.h>
#include <getopt.h>

#include "base/json_tree.h"
#include "es/copied.h"
#include "es/index_state.h"
#include "es/object_kinds.h"
#include "es/translate.h"
#include "http/message.h"

#define ANSWER_MAX (256 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 5000L
#define TIMEOUT_MS 60000L
#define OLD_SCRIPTS ".scripts" /* the index of stored scripts before 5.0 */
#define TRY_PATTERN "tandem-migrate-check-*"

/* One of the two clusters. */
struct cluster {
    CURL *easy;                 /* owned: one connection for all calls */
    struct curl_slist *headers; /* owned */
    const char *url;            /* borrowed */
    struct es_engine engine;
    char number[64]; /* its version */
    bool simulates;  /* it can be asked about definitions without making them */
    char error[CURL_ERROR_SIZE];
};

struct check {
    struct ctl *ctl;
    struct cluster from, to;
    json_t *objects; /* owned: what was found of each */
    size_t as_it_is, translated, impossible, left_out;
    bool json;
};

/* ---- asking a cluster ---- */

/* The answer's status and its JSON (the caller's, may be NULL); 0: there was none. */
static int call(struct cluster *cluster, const char *method, const char *path, const char *body,
                json_t **json)
{
    struct buffer url = {0};
    struct ask_body answer = {.max = ANSWER_MAX};
    long status = 0;
    buffer_appendf(&url, "%s%s", cluster->url, path);
    curl_easy_setopt(cluster->easy, CURLOPT_URL, buffer_cstr(&url));
    curl_easy_setopt(cluster->easy, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(cluster->easy, CURLOPT_POSTFIELDS, body);
    if (body == NULL)
        curl_easy_setopt(cluster->easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(cluster->easy, CURLOPT_WRITEDATA, &answer);
    if (curl_easy_perform(cluster->easy) == CURLE_OK)
        curl_easy_getinfo(cluster->easy, CURLINFO_RESPONSE_CODE, &status);
    *json = json_tree(buffer_span(&answer.bytes));
    buffer_fini(&url);
    buffer_fini(&answer.bytes);
    return (int)status;
}

static bool cluster_open(struct cluster *cluster, const char *url, const char *credentials_file,
                         const char *ca_file, bool insecure)
{
    char *authorization, why[500];
    if (secret_authorization(credentials_file, &authorization, why, sizeof why) != STATUS_OK) {
        ctl_say("%s", why);
        return false;
    }
    cluster->url = url;
    cluster->easy = ask_easy(cluster->error, CONNECT_TIMEOUT_MS, TIMEOUT_MS);
    cluster->headers = curl_slist_append(NULL, "Content-Type: application/json");
    if (authorization != NULL) {
        struct buffer line = {0};
        buffer_appendf(&line, "Authorization: %s", authorization);
        cluster->headers = curl_slist_append(cluster->headers, buffer_cstr(&line));
        secret_fini(&line);
    }
    secret_free(authorization);
    curl_easy_setopt(cluster->easy, CURLOPT_HTTPHEADER, cluster->headers);
    curl_easy_setopt(cluster->easy, CURLOPT_SSL_VERIFYPEER, insecure ? 0L : 1L);
    curl_easy_setopt(cluster->easy, CURLOPT_SSL_VERIFYHOST, insecure ? 0L : 2L);
    if (*ca_file != '\0')
        curl_easy_setopt(cluster->easy, CURLOPT_CAINFO, ca_file);
    return true;
}

static void cluster_close(struct cluster *cluster)
{
    curl_easy_cleanup(cluster->easy);
    curl_slist_free_all(cluster->headers);
}

static const char *product(const struct cluster *cluster)
{
    return cluster->engine.opensearch ? "OpenSearch" : "Elasticsearch";
}

/* Elasticsearch 9 without its modules has no GET /: its nodes are asked. */
static void take_version_of_nodes(struct cluster *cluster)
{
    json_t *json;
    (void)call(cluster, "GET", "/_nodes?filter_path=nodes.*.version", NULL, &json);
    json_t *nodes = json_object_get(json, "nodes");
    const json_t *node = json_object_iter_value(json_object_iter(nodes));
    snprintf(cluster->number, sizeof cluster->number, "%s", json_text(node, "version", ""));
    json_decref(json);
}

static enum ctl_exit see_engine(struct cluster *cluster)
{
    json_t *json;
    int status = call(cluster, "GET", "/", NULL, &json);
    const json_t *version = json_object_get(json, "version");
    struct es_engine *engine = &cluster->engine;
    snprintf(cluster->number, sizeof cluster->number, "%s", json_text(version, "number", ""));
    engine->opensearch = strcmp(json_text(version, "distribution", ""), "opensearch") == 0;
    json_decref(json);
    if (status == 405)
        take_version_of_nodes(cluster);
    bool known = sscanf(cluster->number, "%d.%d", &engine->major, &engine->minor) == 2;
    cluster->simulates =
        engine->opensearch || engine->major > 7 || (engine->major == 7 && engine->minor >= 9);
    if (known)
        return CTL_DONE;
    if (status == 0)
        ctl_say("nobody answers at %s: %s", cluster->url, cluster->error);
    else
        ctl_say("%s is no Elasticsearch or OpenSearch that can be asked: it answers GET / with %d",
                cluster->url, status);
    return status == 0 ? CTL_UNREACHABLE : CTL_REFUSED;
}

static void see_lifecycle(struct cluster *cluster)
{
    json_t *json;
    int status = call(cluster, "GET", "/_ilm/status", NULL, &json);
    cluster->engine.no_lifecycle = status == 400 || status == 404 || status == 405;
    json_decref(json);
}

/* A GET of the primary that has to succeed: its JSON, the caller's; NULL: it was said why not. What
 * is not there is an empty object (7.x says 404 where there is no pipeline). */
static json_t *must_get(struct check *check, const char *path)
{
    json_t *json;
    int status = call(&check->from, "GET", path, NULL, &json);
    if (status >= 200 && status < 300 && json != NULL)
        return json;
    if (status == 404) {
        json_decref(json);
        return json_object();
    }
    json_decref(json);
    if (status == 0)
        ctl_say("%s%s: %s", check->from.url, path, check->from.error);
    else
        ctl_say("%s%s answers %d", check->from.url, path, status);
    return NULL;
}

/* The same by name, for people; JSON is taken. */
static json_t *sorted(json_t *json)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_SORT_KEYS);
    json_t *in_order = text == NULL ? NULL : json_loads(text, 0, NULL);
    free(text);
    json_decref(json);
    return in_order;
}

/* ---- what the new cluster says ---- */

/* The innermost reason of an error. */
static const char *reason_of(const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    while (json_is_object(json_object_get(error, "caused_by")))
        error = json_object_get(error, "caused_by");
    return json_text(error, "reason", "it does not say why");
}

/* Asks the new cluster what it thinks of BODY, which is taken. What it says against it, the
 * caller's; NULL: nothing. */
static char *objection(struct cluster *to, const char *path, json_t *body)
{
    json_t *answer;
    char *text = json_dumps(body, JSON_COMPACT), *why = NULL;
    int status = call(to, "POST", path, text, &answer);
    if (status == 400)
        why = bytes_strdup(reason_of(answer));
    else if (status != 200)
        ctl_say("%s%s answers %d: what it says of this is not known", to->url, path, status);
    free(text);
    json_decref(body);
    json_decref(answer);
    return why;
}

static json_t *or_empty(json_t *value)
{
    return value == NULL ? json_object() : json_incref(value);
}

/* DEFINITION as the new cluster is given it, the caller's. */
static json_t *index_body(const json_t *definition)
{
    return json_pack("{s:{s:o}, s:o, s:o}", "settings", "index", copied_settings(definition),
                     "mappings", or_empty(json_object_get(definition, "mappings")), "aliases",
                     or_empty(json_object_get(definition, "aliases")));
}

/* BODY: an index_body(). */
static char *objection_to_index(struct check *check, const json_t *body)
{
    if (!check->to.simulates)
        return NULL;
    json_t *template = json_deep_copy(body);
    json_object_set_new(json_object_get(json_object_get(template, "settings"), "index"),
                        "mapping.total_fields.limit", json_integer(100000));
    return objection(&check->to, "/_index_template/_simulate",
                     json_pack("{s:[s], s:I, s:o}", "index_patterns", TRY_PATTERN, "priority",
                               (json_int_t)1 << 40, "template", template));
}

static char *objection_to_template(struct check *check, json_t *holder)
{
    if (!check->to.simulates || holder == NULL)
        return NULL;
    return objection(&check->to, "/_index_template/_simulate",
                     json_pack("{s:[s], s:I, s:{s:o, s:o, s:o}}", "index_patterns", TRY_PATTERN,
                               "priority", (json_int_t)1 << 40, "template", "settings",
                               or_empty(json_object_get(holder, "settings")), "mappings",
                               or_empty(json_object_get(holder, "mappings")), "aliases",
                               or_empty(json_object_get(holder, "aliases"))));
}

static char *objection_to_pipeline(struct check *check, json_t *body)
{
    return objection(&check->to, "/_ingest/pipeline/_simulate",
                     json_pack("{s:O, s:[{s:{}}]}", "pipeline", body, "docs", "_source"));
}

static char *objection_to_script(struct check *check, const json_t *body)
{
    json_t *answer, *one;
    const char *lang = json_text(body, "lang", "painless");
    struct buffer why = {0};
    size_t i;
    bool found = strcmp(lang, "mustache") == 0; /* it is not in the list: it makes searches */
    int status = call(&check->to, "GET", "/_script_language", NULL, &answer);
    json_array_foreach(json_object_get(answer, "language_contexts"), i, one) found =
        found || strcmp(json_text(one, "language", ""), lang) == 0;
    if (status == 200 && !found)
        buffer_appendf(&why, "it has no scripts in the language %s", lang);
    json_decref(answer);
    char *text = why.size == 0 ? NULL : bytes_strdup(buffer_cstr(&why));
    buffer_fini(&why);
    return text;
}

/* ---- one definition ---- */

static void show(const struct check *check, const json_t *object)
{
    const json_t *sentence;
    size_t i;
    if (check->json)
        return;
    printf("%s %s: %s\n", json_text(object, "kind", ""), json_text(object, "name", ""),
           json_text(object, "result", ""));
    json_array_foreach(json_object_get(object, "changes"), i, sentence)
        printf("    %s\n", json_string_value(sentence));
    json_array_foreach(json_object_get(object, "warnings"), i, sentence)
        printf("    look at this: %s\n", json_string_value(sentence));
    if (json_is_string(json_object_get(object, "why")))
        printf("    %s\n", json_text(object, "why", ""));
}

/* DEFINITION: what the new cluster is given, unless it is not possible. */
static void note(struct check *check, const char *kind, const char *name,
                 const struct translation *tr, json_t *definition)
{
    const char *result = "as it is";
    if (tr->refused != NULL) {
        result = "not possible";
        check->impossible++;
    } else if (json_array_size(tr->changes) != 0) {
        result = "translated";
        check->translated++;
    } else {
        check->as_it_is++;
    }
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:O, s:O, s:s?}", "kind", kind, "name", name, "result", result,
                  "changes", tr->changes, "warnings", tr->warnings, "why", tr->refused);
    if (tr->refused == NULL)
        json_object_set(object, "definition", definition);
    show(check, object);
    json_array_append_new(check->objects, object);
}

static void note_left_out(struct check *check, const char *kind, const char *name, const char *why)
{
    json_t *object = json_pack("{s:s, s:s, s:s, s:[], s:[], s:s}", "kind", kind, "name", name,
                               "result", "left out", "changes", "warnings", "why", why);
    check->left_out++;
    show(check, object);
    json_array_append_new(check->objects, object);
}

/* Takes OBJECTION, what the new cluster says: no, or (IT_DEPENDS) no as long as it stands alone. */
static void take_objection(struct translation *tr, char *objection, bool it_depends)
{
    struct buffer text = {0};
    if (objection == NULL)
        return;
    if (it_depends)
        buffer_appendf(
            &text,
            "alone, without the templates that it is used with, the new cluster refuses it: %s",
            objection);
    else
        buffer_appendf(&text, "the new cluster refuses it: %s", objection);
    if (it_depends)
        json_array_append_new(tr->warnings, json_string(buffer_cstr(&text)));
    else
        tr->refused = bytes_strdup(buffer_cstr(&text));
    buffer_fini(&text);
    free(objection);
}

static void check_index(struct check *check, const char *name, const char *state,
                        json_t *definition)
{
    struct translation tr;
    translation_init(&tr);
    const char *unreadable = mapping_unreadable(json_object_get(definition, "mappings"));
    if (unreadable == NULL && (check->from.engine.opensearch || check->from.engine.major >= 6))
        unreadable = index_unnumbered(definition);
    if (unreadable != NULL)
        json_array_append_new(tr.warnings, json_string(unreadable));
    if (strcmp(state, "close") == 0)
        json_array_append_new(
            tr.warnings,
            json_string("it is closed: what it holds is not copied before it is opened"));
    translate_index(&check->to.engine, definition, &tr);
    json_t *body = index_body(definition);
    if (tr.refused == NULL)
        take_objection(&tr, objection_to_index(check, body), false);
    note(check, "index", name, &tr, body);
    json_decref(body);
    translation_fini(&tr);
}

static void check_object(struct check *check, const char *type, const char *kind, const char *name,
                         json_t *body)
{
    struct translation tr;
    if (body == NULL || !object_is_replicated(name, body) ||
        settings_excludes(check->ctl->settings, span_cstr(name)))
        return; /* Tandem does not replicate it */
    translation_init(&tr);
    translate_object(&check->to.engine, type, body,
                     !check->from.engine.opensearch && check->from.engine.major < 7, &tr);
    if (json_object_get(body, "data_stream") != NULL)
        json_array_append_new(tr.warnings,
                              json_string("it makes data streams: Tandem does not replicate them"));
    if (tr.refused != NULL)
        ; /* nobody need be asked */
    else if (strcmp(type, "pipeline") == 0)
        take_objection(&tr, objection_to_pipeline(check, body), false);
    else if (strcmp(type, "script") == 0)
        take_objection(&tr, objection_to_script(check, body), false);
    else if (strcmp(type, "template") == 0)
        take_objection(&tr, objection_to_template(check, body), true);
    else if (strcmp(type, OBJECT_POLICY) == 0)
        ; /* there is no call that only looks at one */
    else
        take_objection(&tr, objection_to_template(check, json_object_get(body, "template")), true);
    note(check, kind, name, &tr, body);
    translation_fini(&tr);
}

/* ---- all of them ---- */

/* Engines before 5.0 kept scripts in an index of their own. */
static bool keeps_scripts_in_index(const struct es_engine *engine)
{
    return !engine->opensearch && engine->major < 5;
}

static bool check_indices(struct check *check, const json_t *indices)
{
    const struct es_engine *from = &check->from.engine;
    bool types_are_hidden = from->major == (from->opensearch ? 1 : 7);
    const char *name;
    json_t *index;
    json_object_foreach((json_t *)(uintptr_t)indices, name, index)
    {
        struct buffer path = {0};
        if (settings_excludes(check->ctl->settings, span_cstr(name)) ||
            (keeps_scripts_in_index(from) && strcmp(name, OLD_SCRIPTS) == 0))
            continue;
        buffer_append_char(&path, '/');
        http_percent_encode(span_cstr(name), &path);
        buffer_append_cstr(&path, types_are_hidden ? "?include_type_name=true" : "");
        json_t *found = must_get(check, buffer_cstr(&path));
        buffer_fini(&path);
        if (found == NULL)
            return false;
        if (json_object_get(found, name) != NULL)
            check_index(check, name, json_text(index, "state", ""), json_object_get(found, name));
        json_decref(found);
    }
    return true;
}

/* Objects that an answer names as members, or lists as {name, TYPE}. */
static void check_named(struct check *check, const char *type, const char *kind, json_t *found)
{
    char list[64];
    const char *name;
    json_t *one;
    size_t i;
    snprintf(list, sizeof list, "%ss", type);
    if (json_is_array(json_object_get(found, list))) {
        json_array_foreach(json_object_get(found, list), i, one)
            check_object(check, type, kind, json_text(one, "name", ""), json_object_get(one, type));
        return;
    }
    json_object_foreach(found, name, one) check_object(check, type, kind, name, one);
}

static bool check_objects(struct check *check)
{
    static const struct {
        const char *type, *kind, *path;
        int major, minor; /* of the Elasticsearch that had them first: others say 400 to the path */
    } kinds[] = {
        {"template", "template", "/_template", 0, 0},
        {"component_template", "component template", "/_component_template", 7, 8},
        {"index_template", "index template", "/_index_template", 7, 8},
        {"pipeline", "pipeline", "/_ingest/pipeline", 5, 0},
    };
    const struct es_engine *from = &check->from.engine;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (!from->opensearch && (from->major < kinds[i].major ||
                                  (from->major == kinds[i].major && from->minor < kinds[i].minor)))
            continue;
        json_t *found = sorted(must_get(check, kinds[i].path));
        if (found == NULL)
            return false;
        check_named(check, kinds[i].type, kinds[i].kind, found);
        json_decref(found);
    }
    return true;
}

/* Scripts as documents, whose type is their language. Tandem leaves them where they are. */
static bool check_old_scripts(struct check *check)
{
    json_t *found = must_get(check, "/" OLD_SCRIPTS "/_search?size=10000");
    const json_t *hits = json_object_get(json_object_get(found, "hits"), "hits"), *hit;
    size_t i;
    if (found == NULL)
        return false;
    json_array_foreach(hits, i, hit)
    {
        const char *id = json_text(hit, "_id", ""), *lang = json_text(hit, "_type", "");
        json_t *body = json_pack("{s:s}", "lang", lang);
        struct translation tr;
        struct buffer why = {0};
        char *against = objection_to_script(check, body);
        translation_init(&tr);
        buffer_appendf(&why,
                       "before 5.0 it is a document of the index " OLD_SCRIPTS
                       ", which is not replicated: write it anew on the new cluster%s%s",
                       against == NULL ? "" : "; ", against == NULL ? "" : against);
        tr.refused = bytes_strdup(buffer_cstr(&why));
        if (!settings_excludes(check->ctl->settings, span_cstr(id)))
            note(check, "stored script", id, &tr, NULL);
        translation_fini(&tr);
        buffer_fini(&why);
        free(against);
        json_decref(body);
    }
    json_decref(found);
    return true;
}

/* The lifecycle policies in METADATA, of the cluster state. */
static void check_policies(struct check *check, const json_t *metadata)
{
    const struct object_kind *kind = &object_kinds[0];
    const char *name;
    json_t *body;
    while (strcmp(kind->type, OBJECT_POLICY) != 0)
        kind++;
    json_t *found = sorted(objects_in(kind, json_object_get(metadata, kind->section)));
    bool none = check->to.engine.opensearch || check->to.engine.no_lifecycle;
    json_object_foreach(found, name, body)
    {
        if (!none)
            check_object(check, kind->type, "lifecycle policy", name, body);
        else if (object_is_replicated(name, body) &&
                 !settings_excludes(check->ctl->settings, span_cstr(name)))
            note_left_out(check, "lifecycle policy", name,
                          "the new cluster has no such policies (ILM): give it one of its own");
    }
    json_decref(found);
}

static enum ctl_exit check_all(struct check *check)
{
    json_t *state =
        sorted(must_get(check, "/_cluster/state/metadata?filter_path=metadata.indices.*.state,"
                               "metadata.stored_scripts,"
                               "metadata.index_lifecycle.policies.*.policy"));
    const json_t *metadata = json_object_get(state, "metadata");
    bool whole = state != NULL && check_indices(check, json_object_get(metadata, "indices")) &&
                 check_objects(check);
    if (whole && keeps_scripts_in_index(&check->from.engine))
        whole = check_old_scripts(check);
    else if (whole)
        check_named(check, "script", "stored script", json_object_get(metadata, "stored_scripts"));
    if (whole)
        check_policies(check, metadata);
    json_decref(state);
    if (!whole)
        return CTL_UNREACHABLE;
    return check->impossible == 0 ? CTL_DONE : CTL_INCOMPLETE;
}

static void show_json(const struct check *check)
{
    json_t *json = json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:s}, s:O, s:I, s:I, s:I, s:I}", "from", "product",
        product(&check->from), "version", check->from.number, "to", "product", product(&check->to),
        "version", check->to.number, "objects", check->objects, "as_it_is",
        (json_int_t)check->as_it_is, "translated", (json_int_t)check->translated, "not_possible",
        (json_int_t)check->impossible, "left_out", (json_int_t)check->left_out);
    json_dumpf(json, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(json);
}

static enum ctl_exit run(struct check *check)
{
    enum ctl_exit result = see_engine(&check->from);
    if (result == CTL_DONE)
        result = see_engine(&check->to);
    if (result != CTL_DONE)
        return result;
    see_lifecycle(&check->to);
    if (!check->json)
        printf("from %s %s at %s to %s %s at %s\n\n", product(&check->from), check->from.number,
               check->from.url, product(&check->to), check->to.number, check->to.url);
    result = check_all(check);
    if (check->json)
        show_json(check);
    else
        printf("\n%zu as they are, %zu translated, %zu not possible, %zu left out\n",
               check->as_it_is, check->translated, check->impossible, check->left_out);
    return result;
}

enum ctl_exit ctl_migrate_check(struct ctl *ctl)
{
    static const struct option options[] = {{"standby", required_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    const struct settings *settings = ctl->settings;
    struct check check = {.ctl = ctl};
    const char *name = NULL;
    int option;

    optind = 0;
    while ((option = getopt_long(ctl->argc, ctl->argv, "", options, NULL)) != -1) {
        if (option == 's')
            name = optarg;
        else if (option == 'j')
            check.json = true;
        else
            return CTL_REFUSED;
    }
    if (optind != ctl->argc)
        return ctl_usage("migrate-check takes options only, not %s", ctl->argv[optind]);
    const struct standby_settings *standby = ctl_standby(ctl, name);
    if (standby == NULL)
        return CTL_REFUSED;
    enum ctl_exit result = CTL_REFUSED;
    check.objects = json_array();
    if (cluster_open(&check.from, settings->primary_urls.items[0],
                     settings->primary_credentials_file, settings->primary_ca_file,
                     settings->primary_insecure_skip_verify) &&
        cluster_open(&check.to, standby->urls.items[0], standby->credentials_file, standby->ca_file,
                     standby->insecure_skip_verify))
        result = run(&check);
    cluster_close(&check.from);
    cluster_close(&check.to);
    json_decref(check.objects);
    return result;
}

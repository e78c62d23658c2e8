/* model_update.c - the model cluster's _update: merged documents, upserts and a few words of
 * scripts.
 *
 * A script is a series of these statements, separated by ';':
 *     ctx._source.FIELD += params.NAME        ctx._source.FIELD = params.NAME
 *     ctx._source.remove('FIELD')             ctx.op = 'delete'        ctx.op = 'none'
 *
 * As in the engines, pipelines run on the merged document of a single update, and in a bulk on the
 * upsert only; `get` shows what was there before a single update's pipeline.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/json.h"
#include "model_impl.h"

enum script_op { SCRIPT_INDEX, SCRIPT_DELETE, SCRIPT_NONE };

/* Merges FROM into INTO as a partial document; true when something changed. */
static bool merge(json_t *into, const json_t *from)
{
    const char *name;
    json_t *value;
    bool changed = false;
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        json_t *old = json_object_get(into, name);
        if (json_is_object(old) && json_is_object(value)) {
            changed = merge(old, value) || changed;
        } else if (old == NULL || !json_equal(old, value)) {
            json_object_set_new(into, name, json_deep_copy(value));
            changed = true;
        }
    }
    return changed;
}

/* ---- scripts ---- */

static bool add(json_t *source, const char *field, const json_t *more)
{
    const json_t *old = json_object_get(source, field);
    json_t *sum = NULL;
    if (json_is_integer(old) && json_is_integer(more)) {
        int64_t a = json_integer_value(old), b = json_integer_value(more);
        sum = json_integer((int64_t)((uint64_t)a + (uint64_t)b)); /* wraps, as Java's */
    } else if (json_is_number(old) && json_is_number(more)) {
        sum = json_real(json_number_value(old) + json_number_value(more));
    } else if (json_is_string(old) && json_is_string(more)) {
        sum = json_sprintf("%s%s", json_string_value(old), json_string_value(more));
    }
    return sum != NULL && json_object_set_new(source, field, sum) == 0;
}

static bool statement_run(const char *text, json_t *source, const json_t *params,
                          enum script_op *op)
{
    char field[128], name[128], operator[3], end;
    if (sscanf(text, " ctx._source.%127[A-Za-z0-9_] %2[+=] params.%127[A-Za-z0-9_] %c",
               field, operator, name, &end) == 3) {
        json_t *value = json_object_get(params, name);
        if (value == NULL)
            value = json_null();
        if (strcmp(operator, "+=") == 0)
            return add(source, field, value);
        json_object_set_new(source, field, json_deep_copy(value));
        return true;
    }
    if (sscanf(text, " ctx._source.remove( %*1['\"]%127[A-Za-z0-9_]", field) == 1) {
        json_object_del(source, field);
        return true;
    }
    if (sscanf(text, " ctx.op %2[=] %*1['\"]%127[a-z]", operator, name) != 2)
        return false;
    *op = strcmp(name, "delete") == 0                              ? SCRIPT_DELETE
          : strcmp(name, "none") == 0 || strcmp(name, "noop") == 0 ? SCRIPT_NONE
                                                                   : SCRIPT_INDEX;
    return true;
}

/* Runs SCRIPT on SOURCE. False with failure set. */
static bool script_run(struct model_cluster *cluster, const json_t *script, json_t *source,
                       enum script_op *op, struct failure *failure)
{
    const char *text =
        json_is_string(script) ? json_string_value(script) : json_text(script, "source");
    const char *stored = json_text(script, "id");
    if (stored != NULL)
        text = json_text(json_object_get(cluster->scripts, stored), "source");
    if (text == NULL) {
        fail(failure, 404, "resource_not_found_exception",
             "unable to find script [%s] in cluster state", stored == NULL ? "" : stored);
        return false;
    }
    char *copy = bytes_strdup(text), *rest = NULL;
    bool ok = true;
    *op = SCRIPT_INDEX;
    for (char *part = strtok_r(copy, ";", &rest); ok && part != NULL;
         part = strtok_r(NULL, ";", &rest))
        if (part[strspn(part, " \t\n")] != '\0')
            ok = statement_run(part, source, json_object_get(script, "params"), op);
    free(copy);
    if (!ok)
        fail(failure, 400, "illegal_argument_exception", "failed to execute script");
    return ok;
}

/* ---- update ---- */

static void end_noop(struct write *write, const struct model_doc *doc)
{
    write->result = "noop";
    write->status = 200;
    write->no_op = true;
    write->new_version = doc == NULL ? -1 : doc->version;
    write->no_numbers = doc == NULL;
    if (doc != NULL) {
        write->seq_no = doc->seq_no;
        write->term = doc->term;
    }
    write->get_found = doc != NULL;
    if (doc != NULL) {
        write->get_has_source = true;
        buffer_clear(&write->get_source);
        buffer_append(&write->get_source, doc->source, doc->source_size);
    }
}

static void end_delete(struct model_cluster *cluster, struct write *write)
{
    write->action = BULK_DELETE;
    write_apply(cluster, write, SPAN_NONE);
    write->action = BULK_UPDATE;
    write->get_found = true;
}

/* Stores the merged or upserted DOCUMENT. */
static void end_index(struct model_cluster *cluster, struct write *write, const json_t *document,
                      bool pipelines_before)
{
    char *text = json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(15));
    struct span source = span_cstr(text), given = source;
    bool piped = !write->bulk || pipelines_before;
    bool run = true;
    if (piped)
        run = ingest_run(cluster, write,
                         write->has_pipeline ? write->pipeline
                                             : span_cstr(write->index->default_pipeline),
                         &source) &&
              ingest_run(cluster, write, span_cstr(write->index->final_pipeline), &source);
    write->action = BULK_INDEX;
    if (run && write_store(cluster, write, source)) {
        struct span shown = pipelines_before ? source : given;
        write->get_found = write->get_has_source = true;
        buffer_clear(&write->get_source);
        buffer_append_span(&write->get_source, shown);
    }
    write->action = BULK_UPDATE;
    free(text);
}

static void run_upsert(struct model_cluster *cluster, struct write *write, const json_t *body)
{
    json_t *upsert = json_object_get(body, "upsert"), *script = json_object_get(body, "script");
    enum script_op op = SCRIPT_INDEX;
    if (upsert == NULL && json_is_true(json_object_get(body, "doc_as_upsert")))
        upsert = json_object_get(body, "doc");
    if (!json_is_object(upsert)) {
        fail(&write->failure, 404, "document_missing_exception", "[%.*s]: document missing",
             (int)write->id.size, write->id.data);
        snprintf(write->failure.index, sizeof write->failure.index, "%s", write->index->name);
        memcpy(write->failure.index_uuid, write->index->uuid, UUID_SIZE);
        write->failure.shard = (int)write->shard;
        return;
    }
    json_t *document = json_deep_copy(upsert);
    bool scripted = script != NULL && json_is_true(json_object_get(body, "scripted_upsert"));
    if (!scripted || script_run(cluster, script, document, &op, &write->failure)) {
        if (op == SCRIPT_INDEX)
            end_index(cluster, write, document, write->bulk);
        else
            end_noop(write, NULL);
    }
    json_decref(document);
}

static void run_change(struct model_cluster *cluster, struct write *write, const json_t *body,
                       const struct model_doc *doc)
{
    const json_t *script = json_object_get(body, "script");
    json_t *document = json_loadb(doc->source, doc->source_size, 0, NULL);
    enum script_op op = SCRIPT_INDEX;
    if (document == NULL) {
        fail(&write->failure, 400, "parse_exception", "the model cannot parse the stored document");
        return;
    }
    write->routing = span_of(doc->routing, doc->routing_size);
    buffer_clear(&write->made_routing);
    buffer_append_span(&write->made_routing, write->routing); /* the document is about to change */
    write->routing = buffer_span(&write->made_routing);
    if (script != NULL) {
        if (!script_run(cluster, script, document, &op, &write->failure))
            goto out;
    } else if (!merge(document, json_object_get(body, "doc")) &&
               !json_is_false(json_object_get(body, "detect_noop"))) {
        op = SCRIPT_NONE;
    }
    if (op == SCRIPT_NONE)
        end_noop(write, doc);
    else if (op == SCRIPT_DELETE)
        end_delete(cluster, write);
    else
        end_index(cluster, write, document, false);
out:
    json_decref(document);
}

static bool body_is_good(const json_t *body, struct failure *failure)
{
    static const char *const names[] = {
        "doc",     "upsert", "doc_as_upsert", "detect_noop", "script",         "scripted_upsert",
        "_source", "params", "lang",          "if_seq_no",   "if_primary_term"};
    const char *name;
    json_t *value;
    if (!json_is_object(body)) {
        fail(failure, 400, "x_content_parse_exception", "[UpdateRequest] the body is no object");
        return false;
    }
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        bool known = false;
        for (size_t i = 0; i < COUNT_OF(names); i++)
            known = known || strcmp(name, names[i]) == 0;
        if (!known) {
            fail(failure, 400, "x_content_parse_exception", "[UpdateRequest] unknown field [%s]",
                 name);
            return false;
        }
    }
    if (json_object_get(body, "doc") == NULL && json_object_get(body, "script") == NULL) {
        fail(failure, 400, "action_request_validation_exception",
             "Validation Failed: 1: script or doc is missing;");
        return false;
    }
    return true;
}

void update_run(struct model_cluster *cluster, struct write *write)
{
    json_t *body = json_loadb(write->source.data, write->source.size, 0, NULL);
    struct model_shard *shard = index_shard(write->index, write->id, write->routing, &write->shard);
    struct model_doc *doc = shard_find(shard, write->id);
    if (doc != NULL && doc->deleted)
        doc = NULL;
    if (!body_is_good(body, &write->failure) ||
        (write->has_condition && doc != NULL && !write_versions_allow(write, doc, doc)))
        goto out;
    if (doc == NULL)
        run_upsert(cluster, write, body);
    else
        run_change(cluster, write, body, doc);
    json_t *wanted = json_object_get(body, "_source");
    if (wanted != NULL && !write->want_source_first)
        write->want_source = json_is_false(wanted) ? SOURCE_NO : SOURCE_YES;
    write->has_get = write->want_source == SOURCE_YES && write->failure.status == 0;
out:
    json_decref(body);
}

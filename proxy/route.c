/* route.c - where a request goes, by its head alone.
 *
 * The table of lib/es/operation says what a call is; this says what becomes of it.
 * docs/compatibility.md tells the same to people.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>

#include "conf/settings.h"
#include "proxy/core.h"
#include "proxy/exchange.h"
#include "base/json_tree.h"
#include "proxy/follower.h"

#define NOT_REPLICATED "X-Tandem-Replicated: no\r\n"

static bool is_read_method(struct span method)
{
    return span_equal(method, SPAN("GET")) || span_equal(method, SPAN("HEAD")) ||
           span_equal(method, SPAN("OPTIONS"));
}

static void refuse(struct routing *routing, int status, const char *why, const char *word)
{
    routing->route = ROUTE_REFUSE;
    if (word != NULL)
        reply_error(&routing->refusal, status, "tandem_not_replicated", "not-applied",
                    "%s; `unreplicated.allow: [%s]` lets it pass unreplicated", why, word);
    else
        reply_error(&routing->refusal, status, "tandem_refused", "not-applied", "%s", why);
}

/* A call that changes replicated data unseen: refused, or let through with its index marked. */
static void route_unreplicated(struct core *core, struct routing *routing, const char *word,
                               const char *why)
{
    if (!core_allows(core, word)) {
        refuse(routing, 400, why, word);
        return;
    }
    struct buffer name = {0};
    if (routing->op.index.size == 0 || !http_percent_decode(routing->op.index, &name))
        buffer_append_cstr(&name, "*");
    char reason[200];
    snprintf(reason, sizeof reason, "%s passed with unreplicated.allow: %s",
             routing->op.api == NULL ? "an unknown call" : routing->op.api, word);
    follower_note_diverged(core, buffer_span(&name), reason);
    buffer_fini(&name);
    routing->route = ROUTE_STREAM;
    routing->answer_field = NOT_REPLICATED;
}

/* True when NAME, or what it is an alias of, is excluded. */
static bool is_excluded(struct core *core, const struct catalog *catalog, struct span name)
{
    if (memchr(name.data, '*', name.size) != NULL || !core_excludes(core, name))
        return false;
    const struct catalog_alias *alias = catalog == NULL ? NULL : catalog_find_alias(catalog, name);
    for (size_t i = 0; alias != NULL && i < alias->count; i++)
        if (!core_excludes(core, span_cstr(alias->members[i].index)))
            return false;
    return true;
}

/* True when every name in the path's index segment is excluded from replication. */
static bool all_excluded(struct core *core, struct span segment)
{
    struct buffer names = {0};
    const struct catalog *catalog = catalog_get(&core->catalog);
    bool all = segment.size != 0 && http_percent_decode(segment, &names) && names.size != 0;
    struct span rest = buffer_span(&names);
    while (all && rest.size != 0) {
        const char *comma = memchr(rest.data, ',', rest.size);
        size_t size = comma == NULL ? rest.size : (size_t)(comma - rest.data);
        all = is_excluded(core, catalog, span_of(rest.data, size));
        rest = comma == NULL ? SPAN_NONE : span_of(comma + 1, rest.size - size - 1);
    }
    if (catalog != NULL)
        catalog_put(catalog);
    buffer_fini(&names);
    return all;
}

void route_request(struct core *core, const struct http_head *head, struct routing *routing)
{
    struct operation *op = &routing->op;
    memset(routing, 0, sizeof *routing);
    operation_classify(head->method, head->path, op);
    routing->route = ROUTE_STREAM;
    bool typeless = core->engine.known && (core->engine.opensearch || core->engine.major >= 8);
    if (op->type.size != 0 && typeless && !is_read_method(head->method)) {
        /* To 7.x and older a call below a type, to this engine a document with that id: which it is
         * can't be told. */
        refuse(routing, 400, "typed paths are not known to this engine", NULL);
        return;
    }
    /* Of a bulk each item has a name of its own; they are judged there. */
    if (op->class != OP_READ && op->kind != OP_KIND_BULK && all_excluded(core, op->index)) {
        routing->answer_field = NOT_REPLICATED;
        return;
    }
    switch (op->class) {
    case OP_READ:
        routing->rewrite_nodes =
            op->kind == OP_KIND_NODES_HTTP && core->settings->proxy_rewrite_nodes;
        return;
    case OP_MAINTENANCE:
    case OP_SESSION:
        return;
    case OP_ADMIN:
        routing->answer_field = NOT_REPLICATED;
        return;
    case OP_WRITE:
    case OP_BY_QUERY:
    case OP_METADATA:
        routing->route = ROUTE_EXCHANGE;
        return;
    case OP_UNREPLICATED:
        route_unreplicated(core, routing, op_kind_name(op->kind),
                           "this changes data in a way that is not replicated yet");
        return;
    case OP_OPAQUE:
        route_unreplicated(core, routing, "opaque",
                           "this writes documents and its answer does not say which, so it can't "
                           "be replicated; use _bulk");
        return;
    case OP_FORBIDDEN:
        refuse(routing, 403, "this deletes everything; name the indices, or use DELETE /_all or /*",
               NULL);
        return;
    case OP_UNKNOWN:
        if (is_read_method(head->method))
            return;
        route_unreplicated(core, routing, "unknown",
                           "Tandem does not know this call, so it can't tell whether it writes");
        return;
    }
}

/* ---- sniffing clients stay on Tandem ---- */

void nodes_publish(const struct http_head *head, const struct settings *settings,
                   struct buffer *out)
{
    bool tls = settings->proxy_tls_certificate_file[0] != 0;
    size_t name = head->host.size;

    if (settings->proxy_publish[0] != 0 || name == 0) {
        buffer_append_cstr(out, settings->proxy_publish[0] != 0 ? settings->proxy_publish
                                                                : settings->proxy_listen.text);
        return;
    }
    /* It has reached us under this name, which the address we listen on (0.0.0.0, perhaps) may not
     * be, and which is in our certificate. The parser has seen to it that it is host[:port]. */
    buffer_append_span(out, head->host);
    while (name > 0 && head->host.data[name - 1] >= '0' && head->host.data[name - 1] <= '9')
        name--;
    if (name == 0 || head->host.data[name - 1] != ':')
        buffer_append_cstr(out, tls ? ":443" : ":80");
}

static bool rewrite_address(json_t *object, const char *key, const char *publish)
{
    return json_object_get(object, key) != NULL &&
           json_object_set_new(object, key, json_string(publish)) == 0;
}

bool nodes_rewrite(struct span body, struct span publish, struct buffer *out)
{
    json_t *json = json_tree(body), *node;
    json_t *nodes = json_object_get(json, "nodes");
    const char *id;
    char *address = span_dup(publish);
    bool any = false;
    json_object_foreach(nodes, id, node)
    {
        json_t *http = json_object_get(node, "http");
        any |= rewrite_address(node, "http_address", address); /* 2.x */
        any |= rewrite_address(http, "publish_address", address);
        json_t *bound = json_object_get(http, "bound_address");
        if (json_is_array(bound)) {
            any = true;
            json_array_clear(bound);
            json_array_append_new(bound, json_string(address));
        }
    }
    char *text = any ? json_dumps(json, JSON_COMPACT) : NULL;
    if (text != NULL)
        buffer_append_cstr(out, text);
    any = text != NULL;
    free(text);
    free(address);
    json_decref(json);
    return any;
}

/* clients.c - the clients of the simulation: what they ask for, and what they were answered.
 *
 * Each client sends one request after the other. Few indices and few ids, so that clients meet.
 * Every document that is stored has a token in its field `t`, never used twice: what was refused
 * can be told from what was not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "es/outcome.h"
#include "http/message.h"
#include "sim.h"

#define CLIENTS_MAX 4

static const char *const indices[] = {"alpha", "beta", "gamma", "al", "delta"};
static const char *const ids[] = {"1", "2", "3", "x/%20", "\xc3\xa9"};
static const char *const routings[] = {"r1", "r2"};

static void client_next(struct sim *sim, void *arg);

/* ---- a request's text ---- */

static struct op *op_new(struct sim *sim, unsigned client)
{
    struct op *op = bytes_zalloc(sizeof *op);
    op->number = ++sim->op_count;
    op->client = client;
    op->begun_us = sim->now_us;
    *sim->ops_tail = op;
    sim->ops_tail = &op->next;
    return op;
}

static struct op_item *item_add(struct sim *sim, struct op *op, bool has_token)
{
    op->items = bytes_realloc(op->items, (op->item_count + 1) * sizeof *op->items);
    struct op_item *item = &op->items[op->item_count++];
    *item = (struct op_item){.token = has_token ? ++sim->next_token : 0};
    return item;
}

static void op_head(struct op *op, const char *method, const char *target)
{
    buffer_appendf(&op->head, "%s %s HTTP/1.1\r\nhost: sim\r\n", method, target);
    if (op->body.size != 0)
        buffer_appendf(&op->head, "content-type: application/%sjson\r\n", op->bulk ? "x-nd" : "");
    buffer_appendf(&op->head, "content-length: %zu\r\n\r\n", op->body.size);
}

/* Updates have no routing, nor go through the alias, which may add one: one with another routing
 * than the document has keeps the document's, and that is not seen. See the traps in
 * tests/README.md. */
static void choose_document(struct sim *sim, struct op_item *item, bool update)
{
    size_t count = sim->plan.pipelines ? 5 : 4;
    const char *index = indices[sim_below(sim, count)];
    bool routed = !update && (strcmp(index, "al") == 0 || sim_chance(sim, 150));
    if (update && strcmp(index, "al") == 0)
        index = indices[0];
    snprintf(item->index, sizeof item->index, "%s", index);
    snprintf(item->id, sizeof item->id, "%s", ids[sim_below(sim, COUNT_OF(ids))]);
    if (routed && sim_chance(sim, 700))
        snprintf(item->routing, sizeof item->routing, "%s", routings[sim_below(sim, 2)]);
}

/* A new field, of a type that depends on who writes first. */
static void append_guessed(struct sim *sim, struct buffer *out)
{
    static const char *const values[] = {"7",   "\"word\"", "\"2026-01-02\"",
                                         "1.5", "true",     "{\"in\":1}"};
    buffer_appendf(out, ",\"f%u\":%s", (unsigned)sim_below(sim, 20),
                   values[sim_below(sim, COUNT_OF(values))]);
}

static void append_source(struct sim *sim, struct buffer *out, uint64_t token)
{
    buffer_appendf(out, "{\"t\":%" PRIu64 ",\"n\":%u", token, (unsigned)sim_below(sim, 5));
    if (sim_chance(sim, sim->plan.dynamic))
        append_guessed(sim, out);
    buffer_append_char(out, '}');
}

/* The body of an update; merges, upserts and scripts. */
static void append_update(struct sim *sim, struct buffer *out, uint64_t token)
{
    switch (sim_below(sim, 6)) {
    case 0:
    case 1:
        buffer_append_cstr(out, "{\"doc\":");
        append_source(sim, out, token);
        buffer_append_cstr(out, sim_chance(sim, 500) ? ",\"doc_as_upsert\":true}" : "}");
        break;
    case 2:
        buffer_appendf(out,
                       "{\"script\":{\"source\":\"ctx._source.t = params.t; ctx._source.n += "
                       "params.n\",\"params\":{"
                       "\"t\":%" PRIu64 ",\"n\":1}},\"upsert\":{\"t\":%" PRIu64 ",\"n\":0}}",
                       token, token);
        break;
    case 3:
        buffer_appendf(
            out,
            "{\"script\":{\"source\":\"ctx._source.t = params.t\",\"params\":{\"t\":%" PRIu64 "}}}",
            token);
        break;
    case 4:
        buffer_append_cstr(out, "{\"script\":\"ctx.op = 'delete'\"}");
        break;
    default:
        buffer_append_cstr(out, "{\"doc\":{\"n\":0}}");
        break;
    }
}

static void append_target(struct buffer *target, const struct op_item *item, const char *endpoint)
{
    buffer_appendf(target, "/%s/%s", item->index, endpoint);
    if (*item->id != '\0') {
        buffer_append_char(target, '/');
        http_percent_encode(span_cstr(item->id), target);
    }
    if (*item->routing != '\0')
        buffer_appendf(target, "?routing=%s", item->routing);
}

static void append_condition(struct sim *sim, struct buffer *target, const struct op_item *item)
{
    for (size_t i = 0; i < COUNT_OF(sim->seen); i++) {
        const struct seen *seen = &sim->seen[i];
        if (strcmp(seen->index, item->index) == 0 && strcmp(seen->id, item->id) == 0) {
            buffer_appendf(target, "%cif_seq_no=%" PRId64 "&if_primary_term=%" PRIu64,
                           memchr(target->data, '?', target->size) == NULL ? '?' : '&',
                           seen->seq_no, seen->term);
            return;
        }
    }
}

static void make_single(struct sim *sim, struct op *op)
{
    struct buffer target = {0};
    uint64_t kind = sim_below(sim, 100);
    struct op_item *item = item_add(sim, op, true);
    const char *method = "PUT", *endpoint = "_doc";
    choose_document(sim, item, kind >= 20 && kind < 45);
    if (kind < 20) {
        item->is_delete = true;
        item->token = 0;
        method = "DELETE";
    } else if (kind < 45) {
        method = "POST";
        endpoint = "_update";
        append_update(sim, &op->body, item->token);
    } else if (kind < 55) {
        endpoint = "_create";
        append_source(sim, &op->body, item->token);
    } else if (kind < 62) {
        method = "POST";
        *item->id = '\0';
        append_source(sim, &op->body, item->token);
    } else {
        append_source(sim, &op->body, item->token);
    }
    append_target(&target, item, endpoint);
    if (kind >= 62 && kind < 72)
        append_condition(sim, &target, item);
    if (kind >= 72 && kind < 76 && sim->plan.pipelines)
        buffer_appendf(&target, "%cpipeline=stamp",
                       memchr(target.data, '?', target.size) == NULL ? '?' : '&');
    op_head(op, method, buffer_cstr(&target));
    buffer_fini(&target);
}

static void make_bulk_item(struct sim *sim, struct op *op)
{
    static const char *const actions[] = {"index",  "index",  "index", "create",
                                          "update", "update", "delete"};
    const char *action = actions[sim_below(sim, COUNT_OF(actions))];
    struct op_item *item = item_add(sim, op, strcmp(action, "delete") != 0);
    struct buffer *out = &op->body;
    choose_document(sim, item, strcmp(action, "update") == 0);
    item->is_delete = item->token == 0;
    if (strcmp(action, "index") == 0 && sim_chance(sim, 150))
        *item->id = '\0';
    buffer_appendf(out, "{\"%s\":{\"_index\":\"%s\"", action, item->index);
    if (*item->id != '\0')
        buffer_appendf(out, ",\"_id\":\"%s\"", item->id);
    if (*item->routing != '\0')
        buffer_appendf(out, ",\"routing\":\"%s\"", item->routing);
    buffer_append_cstr(out, "}}\n");
    if (item->is_delete)
        return;
    if (strcmp(action, "update") == 0)
        append_update(sim, out, item->token);
    else
        append_source(sim, out, item->token);
    buffer_append_char(out, '\n');
}

static void make_bulk(struct sim *sim, struct op *op)
{
    size_t count = 1 + sim_below(sim, 6);
    op->bulk = true;
    for (size_t i = 0; i < count; i++)
        make_bulk_item(sim, op);
    op_head(op, "POST", "/_bulk");
}

static void make_metadata(struct sim *sim, struct op *op)
{
    char target[100];
    const char *method = "PUT", *index = indices[sim_below(sim, 3)],
               *other = indices[sim_below(sim, 3)];
    struct buffer *body = &op->body;
    unsigned number = (unsigned)sim_below(sim, 3);
    op->metadata = true;
    snprintf(target, sizeof target, "/%s", index);
    switch (sim_below(sim, 9)) {
    case 0:
    case 1:
        method = "DELETE";
        break;
    case 2:
        buffer_appendf(body,
                       "{\"settings\":{\"number_of_shards\":%u},\"mappings\":{\"properties\":{\"f%"
                       "u\":{\"type\":"
                       "\"keyword\"}}}}",
                       1 + number, number);
        break;
    case 3:
        snprintf(target, sizeof target, "/%s/_mapping", index);
        buffer_appendf(body, "{\"properties\":{\"f%u\":{\"type\":\"%s\"}}}",
                       (unsigned)sim_below(sim, 6), sim_chance(sim, 500) ? "keyword" : "long");
        break;
    case 4:
        method = "POST";
        snprintf(target, sizeof target, "/_aliases");
        buffer_appendf(body,
                       "{\"actions\":[{\"remove\":{\"index\":\"*\",\"alias\":\"al\",\"must_exist\":"
                       "false}},{\"add\":"
                       "{\"index\":\"%s\",\"alias\":\"al\"%s}}]}",
                       other, sim->plan.alias_routes ? ",\"routing\":\"r1\"" : "");
        break;
    case 5:
        snprintf(target, sizeof target, "/_index_template/gt");
        buffer_appendf(
            body,
            "{\"index_patterns\":[\"ga*\"],\"template\":{\"settings\":{\"number_of_shards\":%u},"
            "\"mappings\":{\"properties\":{\"f%u\":{\"type\":\"keyword\"}}}}}",
            1 + number, number);
        break;
    case 6:
        snprintf(target, sizeof target, "/_ingest/pipeline/stamp");
        buffer_appendf(body, "{\"processors\":[{\"set\":{\"field\":\"p\",\"value\":%u}}]}", number);
        break;
    case 7:
        snprintf(target, sizeof target, "/_scripts/s%u", number);
        buffer_appendf(body, "{\"script\":{\"lang\":\"painless\",\"source\":\"ctx.op = 'none'\"}}");
        break;
    default:
        snprintf(target, sizeof target, "/%s/_settings", index);
        buffer_appendf(body, "{\"index\":{\"max_result_window\":%u}}", 10000 + number);
        break;
    }
    op_head(op, method, target);
}

/* ---- answers ---- */

static enum said item_result(const struct outcome_item *answer)
{
    if (answer->status == 404 && answer->error.size != 0)
        return SAID_UNKNOWN; /* an update that was tried twice, and deleted the first time */
    switch (outcome_judge(answer)) {
    case OUTCOME_APPLIED:
    case OUTCOME_NOTHING:
        return SAID_APPLIED;
    case OUTCOME_REFUSED:
        return SAID_NOT_APPLIED;
    case OUTCOME_CONFLICT: /* the cluster may have tried twice */
    case OUTCOME_UNKNOWN:
        break;
    }
    return SAID_UNKNOWN;
}

static void note_numbers(struct sim *sim, const struct op_item *item,
                         const struct outcome_item *answer)
{
    if (!answer->has_numbers)
        return;
    struct seen *seen = &sim->seen[sim->seen_next++ % COUNT_OF(sim->seen)];
    memcpy(seen->index, item->index, sizeof seen->index);
    memcpy(seen->id, item->id, sizeof seen->id);
    seen->seq_no = answer->seq_no;
    seen->term = answer->term;
}

static void take_items(struct sim *sim, struct op *op, int status, struct span body)
{
    struct outcome_walk walk;
    struct outcome_item answer;
    if (!op->bulk) {
        if (outcome_single(status, body, &answer) == STATUS_OK && op->item_count == 1) {
            op->items[0].result = item_result(&answer);
            note_numbers(sim, &op->items[0], &answer);
        }
        return;
    }
    if (status != 200 || outcome_walk_init(&walk, body) != STATUS_OK)
        return;
    for (size_t i = 0; i < op->item_count && outcome_next(&walk, &answer) == STATUS_OK; i++) {
        op->items[i].result = item_result(&answer);
        note_numbers(sim, &op->items[i], &answer);
    }
}

static bool says(struct span fields, const char *promise)
{
    char line[60];
    int size = snprintf(line, sizeof line, "X-Tandem-Outcome: %s\r", promise);
    return fields.size != 0 && memmem(fields.data, fields.size, line, (size_t)size) != NULL;
}

static void op_end(struct sim *sim, struct op *op)
{
    op->ended_us = sim->now_us;
    sim->ops_waiting--;
    sim_after(sim, sim_below(sim, 120 * MS), PROCESS_WORLD, client_next, NULL,
              (void *)(uintptr_t)op->client);
}

void clients_on_reply(struct sim *sim, struct op *op, int status, struct span fields,
                      struct span body)
{
    CHECK(op->result == SAID_NOTHING);
    op->status = status;
    op->result = says(fields, "applied")       ? SAID_APPLIED
                 : says(fields, "not-applied") ? SAID_NOT_APPLIED
                                               : SAID_UNKNOWN;
    sim_say(sim, "op %" PRIu64 " is answered %d %s %.*s", op->number, status,
            op->result == SAID_APPLIED       ? "applied"
            : op->result == SAID_NOT_APPLIED ? "not-applied"
                                             : "unknown",
            body.size > 300 ? 300 : (int)body.size, body.data == NULL ? "" : body.data);
    for (size_t i = 0; i < op->item_count; i++)
        op->items[i].result = op->result == SAID_NOT_APPLIED && status != 409 && status != 404
                                  ? SAID_NOT_APPLIED
                                  : SAID_UNKNOWN;
    if (op->result == SAID_APPLIED || status == 200)
        take_items(sim, op, status, body);
    if (op->result == SAID_APPLIED && !op->metadata)
        checks_on_promise(sim, op, status, body);
    op_end(sim, op);
}

void clients_on_silence(struct sim *sim, struct op *op)
{
    if (op->result != SAID_NOTHING)
        return;
    op->result = SAID_UNKNOWN;
    for (size_t i = 0; i < op->item_count; i++)
        op->items[i].result = SAID_UNKNOWN;
    sim_say(sim, "op %" PRIu64 " gets no answer", op->number);
    op_end(sim, op);
}

/* ---- turns ---- */

static void client_leaves(struct sim *sim, void *arg)
{
    struct op *op = arg;
    if (op->result == SAID_NOTHING)
        proxy_client_gone(sim, op);
}

static void op_arrives(struct sim *sim, void *arg)
{
    struct op *op = arg;
    sim_say(sim, "op %" PRIu64 " of client %u: %.*s", op->number, op->client,
            (int)((const char *)memchr(op->head.data, '\r', op->head.size) - op->head.data),
            op->head.data);
    if (sim->verbose && op->body.size != 0)
        printf("%.*s%s", (int)op->body.size, op->body.data, op->bulk ? "" : "\n");
    proxy_take(sim, op);
}

static void client_next(struct sim *sim, void *arg)
{
    unsigned client = (unsigned)(uintptr_t)arg;
    if (sim->ops_left == 0)
        return;
    sim->ops_left--;
    sim->ops_waiting++;
    struct op *op = op_new(sim, client);
    uint64_t kind = sim_below(sim, 100);
    if (sim->plan.metadata && kind < 8)
        make_metadata(sim, op);
    else if (kind < 30)
        make_bulk(sim, op);
    else
        make_single(sim, op);
    sim_after(sim, sim_below(sim, 2 * MS), PROCESS_WORLD, op_arrives, NULL, op);
    if (sim_chance(sim, sim->plan.client_gone))
        sim_after(sim, 2 * MS + sim_below(sim, 40 * MS), PROCESS_WORLD, client_leaves, NULL, op);
}

void clients_start(struct sim *sim)
{
    unsigned count = 1 + (unsigned)sim_below(sim, CLIENTS_MAX);
    sim->ops_left = 20 + sim_below(sim, 40);
    for (unsigned i = 0; i < count; i++)
        sim_after(sim, sim_below(sim, 100 * MS), PROCESS_WORLD, client_next, NULL,
                  (void *)(uintptr_t)i);
}

void clients_write_past(struct sim *sim, size_t count, bool routed)
{
    struct buffer target = {0}, body = {0};
    for (size_t i = 0; i < count; i++) {
        struct op_item item = {.token = ++sim->next_token};
        choose_document(sim, &item, false);
        if (strcmp(item.index, "al") == 0)
            strcpy(item.index, "alpha");
        if (!routed)
            *item.routing = '\0';
        buffer_clear(&target);
        buffer_clear(&body);
        append_target(&target, &item, "_doc");
        append_source(sim, &body, item.token);
        bool delete = sim_chance(sim, 200);
        network_ask(sim, PRIMARY, delete ? "DELETE" : "PUT", buffer_cstr(&target),
                    delete ? "" : buffer_cstr(&body));
    }
    buffer_fini(&target);
    buffer_fini(&body);
}

/* What is there before Tandem is. */
void clients_setup(struct sim *sim)
{
    if (sim_chance(sim, 500))
        network_ask(sim, PRIMARY, "PUT", "/alpha",
                    sim->plan.alias_routes
                        ? "{\"settings\":{\"number_of_shards\":2},\"aliases\":{\"al\":{\"routing\":"
                          "\"r1\"}}}"
                        : "{\"settings\":{\"number_of_shards\":2},\"aliases\":{\"al\":{}}}");
    if (sim_chance(sim, 300))
        network_ask(sim, PRIMARY, "PUT", "/_index_template/gt",
                    "{\"index_patterns\":[\"ga*\"],\"template\":{\"settings\":{\"number_of_"
                    "shards\":2},\"mappings\":{"
                    "\"properties\":{\"f1\":{\"type\":\"keyword\"}}},\"aliases\":{\"gal\":{}}}}");
    if (sim->plan.pipelines) {
        network_ask(sim, PRIMARY, "PUT", "/_ingest/pipeline/stamp",
                    "{\"processors\":[{\"set\":{\"field\":\"p\",\"value\":1}}]}");
        network_ask(sim, PRIMARY, "PUT", "/delta",
                    "{\"settings\":{\"index.default_pipeline\":\"stamp\"}}");
    }
    if (sim_chance(sim, 500))
        clients_write_past(sim, sim_below(sim, 40), true);
}

/* Somebody writes on the standby, past Tandem. How many documents differ by that. */
size_t clients_spoil_standby(struct sim *sim)
{
    struct buffer target = {0}, body = {0};
    size_t count = 0;
    sim->spoilt = true;
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < COUNT_OF(ids); j++) {
            struct model_document document;
            if (!sim_chance(sim, 400) || network_peek(sim, STANDBY, indices[i]) == false)
                continue;
            bool there = model_cluster_document(sim->clusters[STANDBY], indices[i],
                                                span_cstr(ids[j]), SPAN_NONE, &document);
            if (there && document.routing.size != 0)
                continue; /* another document, in the same shard */
            bool delete = there && sim_chance(sim, 400);
            struct op_item item = {.token = ++sim->next_token};
            snprintf(item.index, sizeof item.index, "%s", indices[i]);
            snprintf(item.id, sizeof item.id, "%s", ids[j]);
            buffer_clear(&target);
            buffer_clear(&body);
            append_target(&target, &item, "_doc");
            buffer_appendf(&body, "{\"t\":%" PRIu64 "}", item.token);
            int status =
                network_ask(sim, STANDBY, delete ? "DELETE" : "PUT", buffer_cstr(&target),
                            delete ? "" : buffer_cstr(&body));
            count += status >= 200 && status < 300;
        }
    buffer_fini(&target);
    buffer_fini(&body);
    return count;
}

void clients_free(struct sim *sim)
{
    while (sim->ops != NULL) {
        struct op *op = sim->ops;
        sim->ops = op->next;
        buffer_fini(&op->head);
        buffer_fini(&op->body);
        free(op->items);
        free(op);
    }
}

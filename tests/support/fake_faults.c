/* fake_faults.c - the script of the scripted cluster: which request meets which fault.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "es/bulk.h"
#include "es/outcome.h"
#include "fake_es.h"

static const char *const words[] = {
#define X(name, word) [FAULT_##name] = word,
    FAULT_TABLE(X)
#undef X
};

const char *fault_word(enum fault_action action)
{
    return words[action];
}

/* ---- reading rules ---- */

static char *text_of(const json_t *rule, const char *name)
{
    const json_t *value = json_object_get(rule, name);
    if (value == NULL)
        return NULL;
    if (json_is_string(value))
        return bytes_strdup(json_string_value(value));
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

static unsigned number_of(const json_t *rule, const char *name, unsigned otherwise)
{
    const json_t *value = json_object_get(rule, name);
    return json_is_integer(value) ? (unsigned)json_integer_value(value) : otherwise;
}

static bool member_known(const char *name)
{
    static const char *const names[] = {"action",        "method",      "prefix", "contains",
                                        "body_contains", "at",          "nth",    "count",
                                        "status",        "body",        "type",   "item",
                                        "delay_ms",      "interval_ms", "lines",  "execute",
                                        "part"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void fault_free(struct fault *fault)
{
    free(fault->method);
    free(fault->prefix);
    free(fault->contains);
    free(fault->body);
    free(fault->text);
    free(fault->error_type);
    free(fault->item);
    free(fault);
}

static const char *fault_read(struct fault *fault, const json_t *rule)
{
    const char *action = json_string_value(json_object_get(rule, "action")), *name, *at, *part;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)rule, name, value)
    {
        if (!member_known(name))
            return "unknown member in a rule";
    }
    for (i = 0; i < COUNT_OF(words); i++)
        if (action != NULL && strcmp(words[i], action) == 0)
            break;
    if (i == COUNT_OF(words))
        return "unknown action";
    fault->action = (enum fault_action)i;
    fault->method = text_of(rule, "method");
    fault->prefix = text_of(rule, "prefix");
    fault->contains = text_of(rule, "contains");
    fault->body = text_of(rule, "body_contains");
    fault->text = text_of(rule, "body");
    fault->error_type = text_of(rule, "type");
    fault->item = text_of(rule, "item");
    fault->nth = number_of(rule, "nth", 1);
    fault->count = number_of(rule, "count", 1);
    fault->status = (int)number_of(rule, "status", fault->action == FAULT_EARLY ? 413 : 503);
    fault->delay_ms = number_of(rule, "delay_ms", 0);
    fault->interval_ms = number_of(rule, "interval_ms", 10);
    fault->lines = number_of(rule, "lines", 1000);
    fault->execute = json_is_true(json_object_get(rule, "execute"));
    part = json_string_value(json_object_get(rule, "part"));
    fault->drip_body = part != NULL && strcmp(part, "body") == 0;
    at = json_string_value(json_object_get(rule, "at"));
    fault->at_head = fault->action == FAULT_EARLY || (at != NULL && strcmp(at, "head") == 0);
    return NULL;
}

const char *faults_add(struct faults *faults, const json_t *json)
{
    struct fault **link = &faults->first;
    json_t *list = json_is_array(json) ? json_incref((json_t *)(uintptr_t)json)
                                       : json_pack("[O]", (json_t *)(uintptr_t)json);
    json_t *rule;
    size_t i;
    const char *why = NULL;
    while (*link != NULL)
        link = &(*link)->next;
    json_array_foreach(list, i, rule)
    {
        struct fault *fault = bytes_zalloc(sizeof *fault);
        why = fault_read(fault, rule);
        if (why != NULL) {
            fault_free(fault);
            break;
        }
        *link = fault;
        link = &fault->next;
    }
    json_decref(list);
    return why;
}

void faults_clear(struct faults *faults)
{
    struct fault *fault, *next;
    for (fault = faults->first; fault != NULL; fault = next) {
        next = fault->next;
        fault_free(fault);
    }
    faults->first = NULL;
}

/* ---- matching ---- */

static bool holds(struct span text, const char *part)
{
    return part == NULL ||
           (text.size != 0 && memmem(text.data, text.size, part, strlen(part)) != NULL);
}

struct fault *faults_find(struct faults *faults, bool at_head, struct span method,
                          struct span target, struct span body)
{
    for (struct fault *fault = faults->first; fault != NULL; fault = fault->next) {
        if (fault->at_head != at_head)
            continue;
        if (fault->method != NULL && !span_equal(method, span_cstr(fault->method)))
            continue;
        if (fault->prefix != NULL && !span_starts(target, span_cstr(fault->prefix)))
            continue;
        if (!holds(target, fault->contains) || (!at_head && !holds(body, fault->body)))
            continue;
        if (++fault->seen < fault->nth || (fault->count != 0 && fault->fired >= fault->count))
            continue;
        fault->fired++;
        return fault;
    }
    return NULL;
}

json_t *faults_show(const struct faults *faults)
{
    json_t *list = json_array();
    for (const struct fault *fault = faults->first; fault != NULL; fault = fault->next)
        json_array_append_new(list,
                              json_pack("{s:s,s:i,s:i}", "action", words[fault->action], "seen",
                                        (int)fault->seen, "fired", (int)fault->fired));
    return list;
}

/* ---- answers ---- */

static const char *type_of(const struct fault *fault)
{
    if (fault->error_type != NULL)
        return fault->error_type;
    return fault->status == 429   ? "es_rejected_execution_exception"
           : fault->status == 503 ? "unavailable_shards_exception"
           : fault->status == 409 ? "version_conflict_engine_exception"
           : fault->status == 403 ? "cluster_block_exception"
           : fault->status == 400 ? "mapper_parsing_exception"
                                  : "exception";
}

void fault_body(const struct fault *fault, struct buffer *out)
{
    if (fault->text != NULL) {
        buffer_append_cstr(out, fault->text);
        return;
    }
    const char *type = type_of(fault);
    buffer_appendf(
        out,
        "{\"error\":{\"root_cause\":[{\"type\":\"%s\",\"reason\":\"scripted\"}],\"type\":\"%s\","
        "\"reason\":\"scripted\"},\"status\":%d}",
        type, type, fault->status);
}

void fault_split_bulk(const struct fault *fault, struct span body, struct buffer *rest,
                      struct buffer *kinds)
{
    struct bulk_walk walk;
    struct bulk_item item;
    bulk_walk_init(&walk, body);
    while (bulk_next(&walk, &item) == STATUS_OK) {
        bool fails = holds(item.line, fault->item) ||
                     (fault->item != NULL && holds(item.source, fault->item));
        buffer_append_char(kinds, fails ? 'f' : 'p');
        if (fails)
            continue;
        buffer_append_span(rest, item.line);
        buffer_append_char(rest, '\n');
        if (item.action != BULK_DELETE) {
            buffer_append_span(rest, item.source);
            buffer_append_char(rest, '\n');
        }
    }
}

static void failed_item(const struct fault *fault, const struct bulk_item *item, struct buffer *out)
{
    buffer_appendf(out, "{\"%s\":{", bulk_action_name(item->action));
    if (item->index.size != 0) {
        buffer_append_cstr(out, "\"_index\":");
        buffer_append_span(out, item->index);
        buffer_append_char(out, ',');
    }
    buffer_append_cstr(out, "\"_id\":");
    buffer_append_span(out, item->id.size == 0 ? SPAN("null") : item->id);
    buffer_appendf(out, ",\"status\":%d,\"error\":{\"type\":\"%s\",\"reason\":\"scripted\"}}}",
                   fault->status, type_of(fault));
}

void fault_join_bulk(const struct fault *fault, struct span body, struct span kinds,
                     struct span answer, struct buffer *out)
{
    struct bulk_walk walk;
    struct bulk_item item;
    struct outcome_walk outcomes;
    struct outcome_item outcome;
    bool has_answer = answer.size != 0 && outcome_walk_init(&outcomes, answer) == STATUS_OK;
    buffer_append_cstr(out, "{\"took\":1,\"errors\":true,\"items\":[");
    bulk_walk_init(&walk, body);
    for (size_t i = 0; bulk_next(&walk, &item) == STATUS_OK && i < kinds.size; i++) {
        if (i != 0)
            buffer_append_char(out, ',');
        if (kinds.data[i] == 'f')
            failed_item(fault, &item, out);
        else if (has_answer && outcome_next(&outcomes, &outcome) == STATUS_OK)
            buffer_append_span(out, outcome.raw);
    }
    buffer_append_cstr(out, "]}");
}

/* doubt_asks.c - what doubt asks the primary for a batch of ids: terms, numbers, documents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/settings.h"
#include "es/vectors.h"
#include "proxy/doubt_impl.h"

#define ANSWER_MAX (512u << 20)
/* An engine reads 4 KB of a request line; with more names than fit all indices are asked for. */
#define NAMES_SIZE_MAX 3000

static void ask(struct doubt *d, enum step step, const char *method, const char *target)
{
    doubt_set_step(d, step);
    es_call_set(&d->call, method, "%s", target);
    d->call.timeout_us = d->core->settings->follower_request_timeout;
    d->call.answer_max = ANSWER_MAX;
    d->call.on_done = doubt_on_answer;
    d->call.arg = d;
}

static void send_call(struct doubt *d)
{
    atomic_fetch_add(&d->core->probes, 1);
    d->core->call(d->core, &d->call);
}

/* The distinct concrete names of the batch, comma-separated; "_all" when they are
 * too many; false when there is none. */
static bool append_targets(struct doubt *d, struct buffer *out)
{
    const struct catalog_index *last = NULL;
    size_t begin = out->size;
    for (size_t i = 0; i < d->probe_count; i++) {
        const struct catalog_index *index = d->probes[i].target;
        bool listed = index == NULL || index == last;
        for (size_t j = 0; j < i && !listed; j++)
            listed = d->probes[j].target == index;
        last = index;
        if (listed)
            continue;
        if (out->size != begin)
            buffer_append_char(out, ',');
        http_percent_encode(span_cstr(index->name), out);
    }
    if (out->size - begin <= NAMES_SIZE_MAX)
        return out->size != begin;
    out->size = begin;
    buffer_append_cstr(out, "_all");
    return true;
}

/* There are no terms to be asked for. */
static void pass_terms(struct doubt *d, enum step step)
{
    doubt_set_step(d, step);
    if (step == STEP_TERMS_AGAIN)
        doubt_finish_batch(d);
    else
        doubt_begin_reading(d);
}

void doubt_ask_terms(struct doubt *d, enum step step)
{
    if (!core_has_numbers(d->core)) {
        pass_terms(d, step);
        return;
    }
    struct buffer target = {0};
    buffer_append_cstr(&target, "/_cluster/state/metadata/");
    bool any = append_targets(d, &target);
    buffer_append_cstr(&target,
                       "?ignore_unavailable=true&filter_path=metadata.indices.*.primary_terms");
    if (any) {
        ask(d, step, "GET", buffer_cstr(&target));
        send_call(d);
    } else {
        doubt_finish_batch(d); /* no name has a life: there is nothing to read */
    }
    buffer_fini(&target);
}

void doubt_ask_stats(struct doubt *d)
{
    struct buffer target = {0};
    buffer_append_char(&target, '/');
    append_targets(d, &target);
    buffer_append_cstr(
        &target,
        "/_stats/docs?level=shards&ignore_unavailable=true&filter_path=indices.*.shards.*.seq_no,"
        "indices.*.shards.*.routing");
    ask(d, STEP_STATS, "GET", buffer_cstr(&target));
    send_call(d);
    buffer_fini(&target);
}

bool doubt_probe_is_readable(struct doubt *d, const struct probe *p)
{
    return p->target != NULL && !p->unreadable &&
           (!core_has_numbers(d->core) || shard_facts_ready(&d->facts, p->target->name, p->shard));
}

static void append_get(struct buffer *body, const struct probe *p)
{
    buffer_append_cstr(body, body->data[body->size - 1] == '[' ? "{\"_index\":" : ",{\"_index\":");
    buffer_append_json_string(body, span_cstr(p->target->name));
    buffer_append_cstr(body, ",\"_id\":");
    buffer_append_json_string(body, p->item->id);
    if (p->routed) {
        buffer_append_cstr(body, ",\"routing\":");
        buffer_append_json_string(body, p->asked_routing);
    }
    buffer_append_cstr(body, p->read_source ? "}" : ",\"_source\":false}");
}

void doubt_begin_reading(struct doubt *d)
{
    d->read_from = 0;
    d->any_read = false;
    d->read_at_once = DOUBT_READ_AT_ONCE;
    doubt_ask_read(d);
}

void doubt_ask_read(struct doubt *d)
{
    struct buffer *body = &d->call.body;
    size_t count = 0;
    ask(d, STEP_READ, "POST", "/_mget?realtime=true");
    if (!core_has_numbers(d->core))
        buffer_append_cstr(&d->call.target, "&preference=_primary");
    if (atomic_load(&d->core->hides_vectors))
        buffer_append_cstr(&d->call.target, "&" WITH_VECTORS);
    buffer_append_cstr(body, "{\"docs\":[");
    for (d->read_to = d->read_from; d->read_to < d->probe_count && count < d->read_at_once;
         d->read_to++) {
        const struct probe *p = &d->probes[d->read_to];
        if (!doubt_probe_is_readable(d, p))
            continue;
        append_get(body, p);
        count++;
    }
    buffer_append_cstr(body, "]}");
    if (count != 0)
        send_call(d);
    else if (d->any_read)
        doubt_ask_terms(d, STEP_TERMS_AGAIN);
    else
        doubt_finish_batch(d); /* no shard can be read now */
}

/* A name that is neither an index nor an alias may be date mathematics: ask what it means. */
bool doubt_ask_next_name(struct doubt *d)
{
    for (size_t i = 0; i < d->probe_count; i++) {
        struct probe *p = &d->probes[i];
        if (p->target != NULL || p->answered || p->item->name.data[0] != '<')
            continue;
        struct buffer target = {0};
        buffer_append_char(&target, '/');
        http_percent_encode(p->item->name, &target);
        buffer_append_cstr(&target, "/_settings?filter_path=*.settings.index.uuid");
        ask(d, STEP_NAMES, "GET", buffer_cstr(&target));
        buffer_fini(&target);
        send_call(d);
        return true;
    }
    return false;
}

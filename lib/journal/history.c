/* history.c - what was decided, by whom, and what came of it: numbered, only ever added to,
 * chained.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/json.h"

static const char no_hash[] = "0000000000000000000000000000000000000000000000000000000000000000";

const char *history_hash(const struct history *history)
{
    return history->last == 0 ? no_hash : history->hash;
}

static void move_to(struct history *history, uint64_t n, struct span line)
{
    unsigned char digest[HISTORY_HASH_SIZE / 2];
    unsigned size = sizeof digest;
    CHECK(EVP_Digest(line.data, line.size, digest, &size, EVP_sha256(), NULL) == 1);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(history->hash + 2 * i, 3, "%02x", digest[i]);
    history->last = n;
}

static void append_member(struct buffer *out, const char *name, const char *text)
{
    buffer_appendf(out, ",\"%s\":", name);
    buffer_append_json_string(out, span_cstr(text));
}

void history_next(struct history *history, const struct history_event *event, struct buffer *out)
{
    size_t begin = out->size;
    uint64_t n = history->last + 1;
    buffer_appendf(out, "{\"n\":%" PRIu64 ",\"time_us\":%" PRIu64, n, event->time_us);
    append_member(out, "program", event->program);
    append_member(out, "what", event->what);
    append_member(out, "by", event->by);
    append_member(out, "role", event->role);
    append_member(out, "from", event->from);
    append_member(out, "details", event->details);
    append_member(out, "before", history_hash(history));
    buffer_append_char(out, '}');
    move_to(history, n, span_of(out->data + begin, out->size - begin));
}

bool history_follow(struct history *history, struct span line)
{
    int64_t n = 0;
    if (!json_valid(line) || !json_to_i64(json_member(line, SPAN("n")), &n) ||
        (uint64_t)n != history->last + 1 ||
        !json_string_is(json_member(line, SPAN("before")), span_cstr(history_hash(history))))
        return false;
    move_to(history, (uint64_t)n, line);
    return true;
}

void history_resume(struct history *history, struct span line)
{
    int64_t n = 0;
    (void)json_to_i64(json_member(line, SPAN("n")), &n);
    move_to(history, (uint64_t)n, line);
}

void history_key(uint64_t n, char key[HISTORY_KEY_SIZE])
{
    uint8_t number[8];
    put_u64be(number, n);
    memcpy(key, HISTORY_PREFIX, 8);
    memcpy(key + 8, number, sizeof number);
}

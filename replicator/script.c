/* script.c - calls to a cluster one after the other, each tried until it has an answer.
 *
 * A cluster that is away, busy or blocked is asked again, with backoff, for ever; a final refusal
 * is the step's to judge.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"
#include "replicator/standby.h"

struct script_step {
    script_answer_fn on_answer;
    char method[8];
    char *target, *body;
    struct script_step *next;
};

void script_init(struct script *script, struct standby *sb, const char *what,
                 void (*on_end)(struct script *script))
{
    memset(script, 0, sizeof *script);
    script->sb = sb;
    script->what = what;
    script->on_end = on_end;
    script->last = &script->first;
    es_call_init(&script->call);
}

static void drop_first(struct script *script)
{
    struct script_step *step = script->first;
    script->first = step->next;
    if (script->first == NULL)
        script->last = &script->first;
    free(step->target);
    free(step->body);
    free(step);
}

static void drop_all(struct script *script)
{
    while (script->first != NULL)
        drop_first(script);
}

void script_fini(struct script *script)
{
    es_call_fini(&script->call);
    drop_all(script);
}

static struct script_step *step_new(script_answer_fn on_answer, const char *body,
                                    const char *method, const char *target)
{
    struct script_step *step = bytes_zalloc(sizeof *step);
    step->on_answer = on_answer;
    snprintf(step->method, sizeof step->method, "%s", method);
    step->target = bytes_strdup(target);
    step->body = body == NULL ? NULL : bytes_strdup(body);
    return step;
}

void script_push(struct script *script, script_answer_fn on_answer, const char *body,
                 const char *method, const char *target_format, ...)
{
    char target[4096];
    va_list args;
    va_start(args, target_format);
    vsnprintf(target, sizeof target, target_format, args);
    va_end(args);
    struct script_step *step = step_new(on_answer, body, method, target);
    *script->last = step;
    script->last = &step->next;
}

void script_push_next(struct script *script, script_answer_fn on_answer, const char *body,
                      const char *method, const char *target)
{
    struct script_step *step = step_new(on_answer, body, method, target);
    CHECK(script->first != NULL);
    step->next = script->first->next;
    script->first->next = step;
    if (step->next == NULL)
        script->last = &step->next;
}

const char *script_target(struct script *script)
{
    snprintf(script->said, sizeof script->said, "%s %.180s", script->first->method,
             script->first->target);
    return script->said;
}

void script_fail(struct script *script, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(script->why, sizeof script->why, format, args);
    bytes_mend_utf8(script->why); /* it may have been cut, and goes into JSON */
    va_end(args);
    script->failed = true;
}

static void script_expect_failed(struct script *script, int http_status, struct span body)
{
    script_fail(script, "%s %s: %d %.*s", script->first->method, script->first->target, http_status,
                (int)(body.size > 300 ? 300 : body.size), body.data == NULL ? "" : body.data);
}

bool script_expect(struct script *script, int http_status, struct span body, bool missing_ok)
{
    if ((http_status >= 200 && http_status < 300) || (missing_ok && http_status == 404))
        return true;
    script_expect_failed(script, http_status, body);
    return false;
}

static bool is_busy_answer(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void try_later(struct script *script, const char *why)
{
    struct standby *sb = script->sb;
    uint64_t now = sb->world->now_us(sb);
    uint64_t least = sb->conf->backoff_min, most = sb->conf->backoff_max;
    if (script->backoff_us == 0)
        log_warn(sb->name, "%s: trying again until it works: %s", script->what, why);
    script->backoff_us = script->backoff_us == 0 ? least : script->backoff_us * 2;
    if (script->backoff_us > most)
        script->backoff_us = most;
    script->retry_us = now + script->backoff_us;
}

static void script_on_done(struct es_call *call)
{
    struct script *script = call->arg;
    struct standby *sb = script->sb;
    char why[700];
    script->busy = false;
    sb->away = call->status == STATUS_CLUSTER_AWAY;
    if (sb->away)
        snprintf(sb->away_why, sizeof sb->away_why, "%s", call->why);
    if (call->status != STATUS_OK) {
        try_later(script, call->why);
        return;
    }
    bool rights = call->http_status == 401 || call->http_status == 403;
    bool again = is_busy_answer(call->http_status) || rights;
    if (again && script->tries_max != 0 && ++script->tries >= script->tries_max) {
        again = false; /* it is the step's to judge, so that others go on */
        script_expect_failed(script, call->http_status, buffer_span(&call->answer));
    }
    if (again) {
        snprintf(why, sizeof why, "%s %s: %d %.*s", script->first->method, script->first->target,
                 call->http_status, (int)(call->answer.size > 300 ? 300 : call->answer.size),
                 call->answer.data == NULL ? "" : call->answer.data);
        if (rights)
            snprintf(sb->alarm, sizeof sb->alarm, "%.500s", why);
        try_later(script, why);
        return;
    }
    script->backoff_us = 0;
    script->tries = 0;
    if (!script->failed)
        sb->alarm[0] = '\0';
    struct span body = buffer_span(&call->answer);
    if (script->failed)
        ; /* given up above */
    else if (script->first->on_answer != NULL)
        script->first->on_answer(script, call->http_status, body);
    else
        (void)script_expect(script, call->http_status, body, false);
    drop_first(script);
    if (script->failed)
        drop_all(script);
    script_run(script);
}

void script_run(struct script *script)
{
    struct standby *sb = script->sb;
    if (script->busy)
        return;
    if (script->first == NULL) {
        script->on_end(script);
        return;
    }
    script->busy = true;
    script->retry_us = 0;
    es_call_set(&script->call, script->first->method, "%s", script->first->target);
    if (script->first->body != NULL)
        buffer_append_cstr(&script->call.body, script->first->body);
    script->call.timeout_us = sb->conf->request_timeout;
    script->call.on_done = script_on_done;
    script->call.arg = script;
    sb->world->call(sb, &script->call);
}

void script_tick(struct script *script, uint64_t now_us)
{
    if (!script->busy && script->first != NULL && script->retry_us != 0 &&
        now_us >= script->retry_us)
        script_run(script);
}

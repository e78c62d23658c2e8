/* endpoints.c - what load balancers ask a replicator's admin address.
 *
 *     /standby[?cluster=NAME][&lag=DURATION]   may reads be sent to this standby?
 *     /live, /ready                            the replicator answers
 *
 * 200 is yes, 503 no, 404 when it is another standby; the body says why, for people. They ask for
 * no name: a load balancer has none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/endpoints.h"

#include <stdio.h>

#include "conf/settings.h"

static void answer(struct admin_request *request, struct standby *sb, int status, const char *why)
{
    uint64_t timeline =
        sb == NULL || sb->base_count == 0 ? 1 : sb->bases[sb->base_count - 1].timeline;
    admin_reply_json(
        request, status,
        json_pack("{s:s, s:I, s:s, s:f, s:s}", "role", "standby", "timeline", (json_int_t)timeline,
                  "state", sb == NULL ? "starting" : standby_state_name(sb), "lag_s",
                  sb == NULL ? -1.0 : (double)standby_lag_us(sb) / 1e6, "reason", why));
}

static bool is_filling(const struct standby *sb)
{
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->filling && life->state != LIFE_GONE && !life->ending)
            return true;
    return false;
}

/* What reads there would not see, or NULL. Rows that wait or were refused are part of the lag; what
 * a seed has not copied yet is not. */
static const char *why_not(struct standby *sb, uint64_t lag_max)
{
    static const char *const good[] = {"in_sync", "catching_up"};
    if (is_filling(sb))
        return "an index has not all of its documents yet; see `tandemctl seed`";
    const char *state = standby_state_name(sb);
    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (strcmp(state, good[i]) == 0)
            return standby_lag_us(sb) > lag_max ? "it is too far behind" : NULL;
    return "it is not in step with the primary; see state";
}

void endpoints_answer_standby(struct admin_request *request, struct standby *sb)
{
    struct buffer cluster = {0}, lag = {0};
    uint64_t lag_max = sb == NULL ? 0 : sb->conf->lag_max;
    if (sb == NULL)
        answer(request, sb, 503, "the journal is not there yet");
    else if (admin_parameter(request, "cluster", &cluster) &&
             !span_equal(buffer_span(&cluster), span_cstr(sb->conf->name)))
        answer(request, sb, 404, "this is the replicator of another standby");
    else if (admin_parameter(request, "lag", &lag) &&
             !conf_duration_parse(buffer_cstr(&lag), &lag_max))
        answer(request, sb, 400, "lag is a duration: 10s, 500ms");
    else {
        const char *why = why_not(sb, lag_max);
        answer(request, sb, why == NULL ? 200 : 503, why == NULL ? "" : why);
    }
    buffer_fini(&cluster);
    buffer_fini(&lag);
}

void endpoints_answer_ready(struct admin_request *request, struct standby *sb)
{
    answer(request, sb, 200, "");
}

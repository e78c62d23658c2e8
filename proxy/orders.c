/* orders.c - what operators tell the proxy to do, at its admin address: adopt, hold.
 *
 * Each is in the history before it is answered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/orders.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/settings.h"
#include "proxy/core.h"
#include "proxy/follower.h"
#include "proxy/history_journal.h"
#include "proxy/hold.h"

#define HOLD_MS_LEAST (HOLD_TIME_LEAST_US / 1000)
#define HOLD_MS_MOST (HOLD_TIME_MOST_US / 1000)

static void answer_adopt(struct admin_request *request, void *arg)
{
    struct orders *orders = arg;
    follower_adopt(orders->core->follower);
    history_journal_add(orders->history, "adopt", "the cluster that answers now is the primary",
                        request, json_pack("{s:b}", "adopted", 1));
}

/* ---- hold ---- */

static const char *hold_state_name(enum hold_state state)
{
    return state == HOLD_ON ? "on" : state == HOLD_RELEASING ? "releasing" : "off";
}

json_t *orders_hold_status(struct core *core, const struct hold_info *info)
{
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:b}", "state",
                     hold_state_name(info->state), "quiet", hold_is_quiet(core->hold, info),
                     "requests", (json_int_t)info->held, "bytes", (json_int_t)info->bytes,
                     "in_flight", (json_int_t)info->in_flight, "for_ms",
                     (json_int_t)(info->for_us / 1000), "ends_in_ms",
                     (json_int_t)(info->ends_in_us / 1000), "holds", (json_int_t)info->holds,
                     "most", (json_int_t)info->most, "longest_ms",
                     (json_int_t)(info->longest_us / 1000), "ended", info->ended, "cut", info->cut);
}

/* Notes WHAT and DETAILS, and answers with the hold that INFO is of. */
static void note_hold(struct orders *orders, const char *what, const char *details,
                      struct admin_request *request, const struct hold_info *info)
{
    history_journal_add(orders->history, what, details, request,
                        json_pack("{s:o}", "hold", orders_hold_status(orders->core, info)));
}

static void answer_hold(struct admin_request *request, void *arg)
{
    struct orders *orders = arg;
    struct core *core = orders->core;
    struct buffer given = {0};
    struct hold_info info;
    uint64_t max_ms = 0;
    char details[120];

    bool said = admin_parameter(request, "max_ms", &given);
    buffer_fini(&given);
    if (said && (!admin_parameter_u64(request, "max_ms", &max_ms) || max_ms < HOLD_MS_LEAST ||
                 max_ms > HOLD_MS_MOST)) {
        admin_reply_error(request, 400, "max_ms must be %" PRIu64 " to %" PRIu64 " milliseconds",
                          HOLD_MS_LEAST, HOLD_MS_MOST);
        return;
    }
    if (atomic_load(&core->state) != PROXY_ACTIVE) {
        admin_reply_error(request, 409,
                          "the proxy is %s, not active: there is nothing that could be held",
                          proxy_state_name((enum proxy_state)atomic_load(&core->state)));
        return;
    }
    if (!hold_begin(core->hold, max_ms * 1000)) {
        admin_reply_error(request, 409,
                          "writes are held already; it was not changed (to end it: tandemctl hold "
                          "--end)");
        return;
    }
    hold_look(core->hold, &info);
    snprintf(details, sizeof details, "writes are held for at most %" PRIu64 " ms",
             info.ends_in_us / 1000);
    note_hold(orders, "hold", details, request, &info);
}

static void answer_hold_end(struct admin_request *request, void *arg)
{
    struct orders *orders = arg;
    struct core *core = orders->core;
    struct hold_info info;
    char details[120];

    if (!hold_end(core->hold, "an operator ended it")) {
        admin_reply_error(request, 409, "no writes are held");
        return;
    }
    hold_look(core->hold, &info);
    snprintf(details, sizeof details, "writes go on (%" PRIu64 " requests were held at most)",
             info.most);
    note_hold(orders, "hold-end", details, request, &info);
}

void orders_route(struct admin *admin, struct orders *orders)
{
    admin_route(admin, ADMIN_ADMIN, "POST", "/_tandem/adopt", answer_adopt, orders);
    admin_route(admin, ADMIN_OPERATOR, "POST", "/_tandem/hold", answer_hold, orders);
    admin_route(admin, ADMIN_OPERATOR, "POST", "/_tandem/hold/end", answer_hold_end, orders);
}

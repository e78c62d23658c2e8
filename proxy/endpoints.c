/* endpoints.c - what load balancers ask the proxy's admin address.
 *
 *     /primary   may writes be sent here?
 *     /read      may reads be?
 *     /ready     the same as /read: has it started?
 *     /live      does it still do anything at all?
 *
 * 200 is yes, 503 no; the body says why, for people. They ask for no name: a load balancer has
 * none, and an address or a number it is not told. The primary being away is no reason for a no:
 * another proxy would not reach it either, and a client is to be told what is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/endpoints.h"

#include "proxy/core.h"

static void answer(struct admin_request *request, const struct report *report, const char *why)
{
    struct core *core = report->core;
    enum proxy_state state = (enum proxy_state)atomic_load(&core->state);
    admin_reply_json(request, why == NULL ? 200 : 503,
                     json_pack("{s:s, s:I, s:s, s:s}", "role", "primary", "timeline",
                               (json_int_t)core->timeline, "state", proxy_state_name(state),
                               "reason", why == NULL ? "" : why));
}

static bool is_draining(struct core *core)
{
    return atomic_load(&core->state) == PROXY_DRAINING;
}

/* What is under way is still finished when it drains, but nothing new should come. */
static void answer_primary(struct admin_request *request, void *arg)
{
    const struct report *report = arg;
    answer(request, report,
           is_draining(report->core) ? "it is ending" : core_refuses_writes(report->core));
}

static const char *refuses_reads(struct core *core)
{
    if (is_draining(core))
        return "it is ending";
    if (atomic_load(&core->identity_wrong))
        return "another cluster answers at the primary's address";
    return atomic_load(&core->state) == PROXY_STARTING
               ? "the primary's cluster state was not read yet"
               : NULL;
}

static void answer_read(struct admin_request *request, void *arg)
{
    const struct report *report = arg;
    answer(request, report, refuses_reads(report->core));
}

/* That there is an answer says it: the loop has turned. */
static void answer_live(struct admin_request *request, void *arg)
{
    answer(request, arg, NULL);
}

void endpoints_route(struct admin *admin, const struct report *report)
{
    void *arg = (void *)(uintptr_t)report;
    admin_route(admin, ADMIN_ANYBODY, "GET", "/primary", answer_primary, arg);
    admin_route(admin, ADMIN_ANYBODY, "GET", "/read", answer_read, arg);
    admin_route(admin, ADMIN_ANYBODY, "GET", "/ready", answer_read, arg);
    admin_route(admin, ADMIN_ANYBODY, "GET", "/live", answer_live, arg);
}

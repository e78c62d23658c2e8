/* trace.h - the trace that Tandem leaves on the primary, so that a lost journal is noticed.
 *
 * The document .tandem/_doc/primary on the primary names the system and its journal. A proxy that
 * finds no journal in its folder but such a trace has lost its journal: it must not start on an
 * empty one until somebody says so (docs/dot-tandem.md).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_TRACE_H
#define TANDEM_PROXY_TRACE_H

#include <stdbool.h>
#include <stddef.h>

struct core;
struct settings;

enum trace {
    TRACE_NONE,  /* Tandem was never in front of this primary */
    TRACE_FOUND, /* it was; WHY names the journal */
    TRACE_AWAY,  /* the primary can't be asked; WHY says the reason */
};

/* Looks for the trace; blocks for some seconds at most. Before any thread runs. */
enum trace trace_look(const struct settings *settings, const char *authorization, char *why,
                      size_t why_size);
/* Leaves it, once a start. Control thread. */
void trace_leave(struct core *core);

#endif

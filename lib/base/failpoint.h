/* failpoint.h - places where a test can make the program die, wait or fail.
 *
 *     if (FAILPOINT("P3b"))
 *         status = STATUS_JOURNAL_IO;
 *
 * In a release build FAILPOINT() is the constant false. Where it is compiled in
 * (TANDEM_FAILPOINTS), every point counts its hits, and does what the environment variable
 * TANDEM_FAILPOINTS or failpoint_set() says:
 *
 *     P3a=kill;P8=delay(200):after(3);R4=error:once
 *
 *     kill         the process gets SIGKILL here          after(n)       let the first n hits pass
 *     stop         the process gets SIGSTOP here          every(n)       of the others, each n-th
 *     delay(ms)    this thread sleeps                     prob(p,seed)   of those, a share p of 0
 * to 1 error        FAILPOINT() is true                    once           of those, the first off
 * nothing, any more
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_FAILPOINT_H
#define TANDEM_BASE_FAILPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

#ifdef TANDEM_FAILPOINTS
#define FAILPOINT(name) failpoint_hit(name)
#else
#define FAILPOINT(name) ((void)"" name, false)
#endif

/* Counts a hit of NAME and does what is set for it. */
bool failpoint_hit(const char *name);
/* Arms or disarms the points that SPEC names and leaves the others; "" disarms all. Points count
 * anew for their after(), every() and once. False, and nothing is changed, when SPEC cannot be
 * read. */
bool failpoint_set(const char *spec);
/* How often NAME was hit since the process began, armed or not. */
uint64_t failpoint_hits(const char *name);
/* Appends a line "NAME HITS" for every point that was hit or set. */
void failpoint_list(struct buffer *out);

#endif

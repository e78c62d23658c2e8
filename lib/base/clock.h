/* clock.h - the two clocks: one that only moves forward, and the one on the wall.
 *
 * Every time-out, lease and interval is measured with clock_now_us. It runs while the machine
 * sleeps, so a lease has lapsed after a suspend. The wall clock may jump; it is for log stamps and
 * for people, never for decisions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_CLOCK_H
#define TANDEM_BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_US_PER_MS UINT64_C(1000)
#define CLOCK_US_PER_S UINT64_C(1000000)

/* Microseconds since the machine started, the time it slept included. */
uint64_t clock_now_us(void);
/* Microseconds since 1970, UTC. */
uint64_t clock_wall_us(void);

#endif

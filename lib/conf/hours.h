/* hours.h - a stretch of the day, as "22:00-06:00".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CONF_HOURS_H
#define TANDEM_CONF_HOURS_H

#include <stdbool.h>
#include <stdint.h>

/* False when TEXT is neither "" (always) nor HH:MM-HH:MM. */
bool hours_valid(const char *text);
/* True when TEXT, which is valid, has MINUTE of the day (0..1439); the end is not part of it, and a
 * stretch that ends where it begins is the whole day. */
bool hours_have(const char *text, unsigned minute);
/* The minute of the day at WALL_US (since 1970), in the machine's time zone. */
unsigned hours_minute(uint64_t wall_us);

#endif

/* hours.c - a stretch of the day.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/hours.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

/* Reads HH:MM at TEXT. */
static bool read_clock(const char *text, unsigned *minute)
{
    for (int i = 0; i < 5; i++)
        if (i == 2 ? text[i] != ':' : !isdigit((unsigned char)text[i]))
            return false;
    unsigned hour = (unsigned)(text[0] - '0') * 10 + (unsigned)(text[1] - '0');
    unsigned past = (unsigned)(text[3] - '0') * 10 + (unsigned)(text[4] - '0');
    *minute = hour * 60 + past;
    return hour < 24 && past < 60;
}

static bool read_stretch(const char *text, unsigned *from, unsigned *to)
{
    return strlen(text) == 11 && text[5] == '-' && read_clock(text, from) &&
           read_clock(text + 6, to);
}

bool hours_valid(const char *text)
{
    unsigned from, to;
    return *text == '\0' || read_stretch(text, &from, &to);
}

bool hours_have(const char *text, unsigned minute)
{
    unsigned from, to;
    if (!read_stretch(text, &from, &to) || from == to)
        return true;
    if (from < to)
        return minute >= from && minute < to;
    return minute >= from || minute < to;
}

unsigned hours_minute(uint64_t wall_us)
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm local;
    if (localtime_r(&seconds, &local) == NULL)
        return 0;
    return (unsigned)(local.tm_hour * 60 + local.tm_min);
}

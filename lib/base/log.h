/* log.h - one line per event, the object's name in front:
 *
 *     2026-11-24T01:02:03.456Z info  standby b 10.0.7.2:9200: caught up (seq=90211 lag_records=0)
 *
 * A line is a sentence about something, numbers last. It leaves in one write(2), so lines of
 * several threads do not mix; it is never longer than LOG_LINE_SIZE_MAX (a pipe takes that many
 * bytes at once or not at all), and control bytes in it are escaped: what a client sends cannot
 * forge a line. A line that cannot be written is counted and forgotten; logging never blocks for
 * long and never stops the program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_LOG_H
#define TANDEM_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"

#define LOG_LINE_SIZE_MAX 4096 /* bytes, the line feed included */

enum log_level {
    LOG_LEVEL_DEBUG, /* for us */
    LOG_LEVEL_INFO,  /* an operator wants to know later */
    LOG_LEVEL_WARN,  /* an operator wants to know soon */
    LOG_LEVEL_ERROR, /* somebody must act */
};

/* Before it is called, lines of LOG_LEVEL_INFO and above go to stderr. PROGRAM (borrowed) names
 * lines that have no object. The time stamp is left out when stderr is systemd's journal, which
 * adds its own. */
void log_init(enum log_level level, const char *program);
void log_set_level(enum log_level level);
/* Reads "debug", "info", "warn" or "error"; false for anything else. */
bool log_level_parse(const char *text, enum log_level *level);
/* Sends lines to FD (borrowed) from now on, with or without time stamps. */
void log_to(int fd, bool stamped);
/* How many lines could not be written. */
uint64_t log_lines_lost(void);

extern _Atomic int log_threshold; /* log_enabled() alone reads it */
static inline bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

/* WHO names the object ("proxy", "journal", "standby b 10.0.7.2:9200"); NULL is the program. */
void log_write(enum log_level level, const char *who, const char *format, ...) PRINTF_LIKE(3, 4);

#define LOG_AT(level, who, ...)                                                                    \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write(level, who, __VA_ARGS__);                                                    \
    } while (0)
#define log_debug(who, ...) LOG_AT(LOG_LEVEL_DEBUG, who, __VA_ARGS__)
#define log_info(who, ...) LOG_AT(LOG_LEVEL_INFO, who, __VA_ARGS__)
#define log_warn(who, ...) LOG_AT(LOG_LEVEL_WARN, who, __VA_ARGS__)
#define log_error(who, ...) LOG_AT(LOG_LEVEL_ERROR, who, __VA_ARGS__)

/* For lines that an unlucky hour would write a thousand times a second. All zero is ready for use;
 * several threads may share one.
 *
 *     static struct log_limit limit;
 *     if (log_ratelimit(&limit, now_us))
 *         log_warn("proxy", "... (left_out=%" PRIu64 ")", log_left_out(&limit));
 */
#define LOG_LIMIT_US (10 * UINT64_C(1000000))
struct log_limit {
    _Atomic uint64_t next_us;    /* before this, nothing passes; 0: nothing passed yet */
    _Atomic uint64_t suppressed; /* since the last one that passed */
    _Atomic uint64_t left_out;   /* between the last two that passed */
};
/* True at most once per LOG_LIMIT_US. */
bool log_ratelimit(struct log_limit *limit, uint64_t now_us);
/* How many were suppressed before the one that has just passed. */
static inline uint64_t log_left_out(struct log_limit *limit)
{
    return atomic_load_explicit(&limit->left_out, memory_order_relaxed);
}

#endif

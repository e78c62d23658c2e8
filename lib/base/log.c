/* log.c - makes a line and writes it in one go.
 *
 * A line is put together on the stack of whoever logs, in two steps: the sentence as printf makes
 * it, then its bytes with the dangerous ones escaped. What does not fit is cut off and marked with
 * "...".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

_Atomic int log_threshold = LOG_LEVEL_INFO;

static _Atomic int log_fd = STDERR_FILENO;
static _Atomic bool log_stamped = true;
static _Atomic uint64_t lines_lost;
static const char *_Atomic log_program = "tandem";

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error",
};

/* True when FD is the very stream that systemd connected to its journal; the variable alone is
 * inherited by children whose stderr goes elsewhere. */
static bool is_journal_stream(int fd)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    char ours[64];
    if (stream == NULL || fstat(fd, &st) != 0)
        return false;
    snprintf(ours, sizeof ours, "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, ours) == 0;
}

void log_init(enum log_level level, const char *program)
{
    log_set_level(level);
    atomic_store(&log_program, program);
    log_to(STDERR_FILENO, !is_journal_stream(STDERR_FILENO));
}

void log_set_level(enum log_level level)
{
    CHECK((size_t)level < COUNT_OF(level_names));
    atomic_store(&log_threshold, (int)level);
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (size_t i = 0; i < COUNT_OF(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

void log_to(int fd, bool stamped)
{
    atomic_store(&log_fd, fd);
    atomic_store(&log_stamped, stamped);
}

uint64_t log_lines_lost(void)
{
    return atomic_load(&lines_lost);
}

/* A line under construction; there is always room behind LINE_TEXT_MAX for the mark and the line
 * feed.
 */
#define LINE_MARK "..."
#define LINE_TEXT_MAX (LOG_LINE_SIZE_MAX - sizeof LINE_MARK)
struct line {
    char text[LOG_LINE_SIZE_MAX];
    size_t size;
    bool cut;
};

static void line_put(struct line *line, const char *bytes, size_t size)
{
    if (line->cut || size > LINE_TEXT_MAX - line->size) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->size, bytes, size);
    line->size += size;
}

/* How many bytes at AT belong together: a whole character of UTF-8, or 1. */
static size_t character_size(const unsigned char *at, size_t size)
{
    size_t want = at[0] < 0xc2 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 1;
    if (want > size)
        return 1;
    for (size_t i = 1; i < want; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 1;
    return want;
}

/* Control characters, those from 0x80 to 0x9f among them (a terminal may obey them), and what is
 * not UTF-8. */
static bool is_dangerous(const unsigned char *at, size_t size)
{
    if (size == 1)
        return at[0] < 0x20 || at[0] >= 0x7f;
    return at[0] == 0xc2 && at[1] < 0xa0;
}

static void line_put_escaped(struct line *line, const char *text, size_t size)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t step; size > 0 && !line->cut; at += step, size -= step) {
        step = character_size(at, size);
        if (!is_dangerous(at, step)) {
            line_put(line, (const char *)at, step);
            continue;
        }
        char escape[4 * 4 + 1];
        for (size_t i = 0; i < step; i++)
            snprintf(escape + 4 * i, 5, "\\x%02x", at[i]);
        line_put(line, escape, 4 * step);
    }
}

static void line_put_stamp(struct line *line)
{
    uint64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / CLOCK_US_PER_S);
    struct tm tm;
    char stamp[48];
    if (gmtime_r(&seconds, &tm) == NULL)
        return;
    size_t size = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    size += (size_t)snprintf(stamp + size, sizeof stamp - size, ".%03uZ ",
                             (unsigned)(now_us / CLOCK_US_PER_MS % 1000));
    line_put(line, stamp, size);
}

static void line_write(struct line *line)
{
    if (line->cut) {
        memcpy(line->text + line->size, LINE_MARK, sizeof LINE_MARK - 1);
        line->size += sizeof LINE_MARK - 1;
    }
    line->text[line->size++] = '\n';
    ssize_t written;
    do
        written = write(atomic_load(&log_fd), line->text, line->size);
    while (written < 0 && errno == EINTR);
    if (written != (ssize_t)line->size)
        atomic_fetch_add(&lines_lost, 1);
}

void log_write(enum log_level level, const char *who, const char *format, ...)
{
    int errno_before = errno; /* logging about an error must not change it */
    struct line line;
    char sentence[LOG_LINE_SIZE_MAX];
    va_list args;

    CHECK((size_t)level < COUNT_OF(level_names));
    line.size = 0;
    line.cut = false;
    if (atomic_load(&log_stamped))
        line_put_stamp(&line);
    char name[8];
    line_put(&line, name, (size_t)snprintf(name, sizeof name, "%-5s ", level_names[level]));
    if (who == NULL)
        who = atomic_load(&log_program);
    line_put_escaped(&line, who, strnlen(who, LOG_LINE_SIZE_MAX / 2));
    line_put(&line, ": ", 2);

    va_start(args, format);
    int size = vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    bool whole = size >= 0 && (size_t)size < sizeof sentence;
    if (size < 0)
        snprintf(sentence, sizeof sentence, "(cannot be printed: %s)", format);
    line_put_escaped(&line, sentence, strlen(sentence));
    line.cut |= !whole;
    line_write(&line);
    errno = errno_before;
}

bool log_ratelimit(struct log_limit *limit, uint64_t now_us)
{
    uint64_t next = atomic_load(&limit->next_us);
    uint64_t after = now_us + LOG_LIMIT_US;
    /* of several threads that come when it is time, the one that moves the time wins */
    if (now_us < next || !atomic_compare_exchange_strong(&limit->next_us, &next, after)) {
        atomic_fetch_add(&limit->suppressed, 1);
        return false;
    }
    atomic_store(&limit->left_out, atomic_exchange(&limit->suppressed, 0));
    return true;
}

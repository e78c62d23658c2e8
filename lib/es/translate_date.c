/* translate_date.c - date formats for another line of engines: names of formats, and patterns that
 * were written for joda-time (before 7.0) where java.time reads them now.
 *
 * Most letters mean the same in both. Where joda-time's has another letter in java.time it is
 * written as that; where it has no equal it stays, and is warned of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "es/translate.h"

/* ---- names ---- */

/* Words with which the names of formats begin that come with an engine; a pattern never does. */
static bool is_named_format(const char *format)
{
    static const char *const words[] = {"basic",   "date",    "epoch",  "hour",  "iso8601",
                                        "ordinal", "rfc3339", "strict", "tTime", "t_time",
                                        "time",    "week",    "year"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strncmp(format, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* dateOptionalTime -> date_optional_time. True when that is another one. */
static bool append_snake_case(const char *format, struct buffer *out)
{
    bool other = false;
    for (; *format != '\0'; format++) {
        if (!isupper((unsigned char)*format)) {
            buffer_append_char(out, *format);
            continue;
        }
        buffer_append_char(out, '_');
        buffer_append_char(out, (char)tolower((unsigned char)*format));
        other = true;
    }
    return other;
}

/* ---- patterns ---- */

/* The next letter of a pattern at *AT, and in *COUNT how often it stands there; *AT goes behind it.
 * What is quoted is text. */
static char next_letter(const char **at, bool *quoted, size_t *count)
{
    char letter = **at;
    *quoted ^= letter == '\'';
    *count = 1;
    while (!*quoted && isalpha((unsigned char)letter) && (*at)[*count] == letter)
        ++*count;
    *at += *count;
    return letter;
}

static bool is_numeric(char letter)
{
    return letter != '\0' && strchr("yYuMdDHhKkmsSw", letter) != NULL;
}

/* True when FORMAT is one of FORMATS, which have "||" between them. */
static bool has_format(const char *formats, const char *format)
{
    size_t size = strlen(format);
    for (const char *at = formats; at != NULL; at = strstr(at, "||")) {
        at += *at == '|' ? 2 : 0;
        if (strncmp(at, format, size) == 0 && (at[size] == '|' || at[size] == '\0'))
            return size != 0;
    }
    return false;
}

/* How PATTERN is written in java.time's letters. */
struct style {
    bool colon;   /* an offset from UTC has a colon in it */
    bool lenient; /* two digits may be one, where no other digits touch them: joda-time took it */
};

static void append_java(const char *pattern, struct style style, struct buffer *out)
{
    bool quoted = false;
    char before = '\0';
    size_t count;
    while (*pattern != '\0') {
        char letter = next_letter(&pattern, &quoted, &count);
        if (!quoted && letter == 'Z') {
            buffer_append_cstr(out, count > 2 ? "VV" : style.colon ? "XXX" : "XX");
        } else {
            bool alone = !is_numeric(before) && !is_numeric(*pattern);
            if (style.lenient && !quoted && alone && count == 2 &&
                strchr("MdHhKkms", letter) != NULL)
                count = 1;
            for (; count != 0; count--)
                buffer_append_char(out, !quoted && letter == 'Y' ? 'y' : letter);
        }
        before = letter;
    }
}

/* Adds FORMAT to those in OUT, unless it is there. */
static void add_format(const char *format, struct buffer *out)
{
    if (has_format(buffer_cstr(out), format))
        return;
    buffer_append_cstr(out, out->size == 0 ? "" : "||");
    buffer_append_cstr(out, format);
}

static void add_java(const char *pattern, struct style style, struct buffer *out)
{
    struct buffer java = {0};
    append_java(pattern, style, &java);
    add_format(buffer_cstr(&java), out);
    buffer_fini(&java);
}

/* How often Z stands in PATTERN at first: 1 or 2 is an offset from UTC. */
static size_t offset_letters(const char *pattern)
{
    bool quoted = false;
    size_t count;
    while (*pattern != '\0')
        if (next_letter(&pattern, &quoted, &count) == 'Z' && !quoted)
            return count;
    return 0;
}

/* True when PATTERN has letters for which java.time has no equal. */
static bool has_changed_letters(const char *pattern)
{
    bool quoted = false;
    size_t count;
    while (*pattern != '\0') {
        char letter = next_letter(&pattern, &quoted, &count);
        if (!quoted && strchr("Cexz", letter) != NULL)
            return true;
    }
    return false;
}

/* A pattern of joda-time's, which read offsets with and without a colon alike, whatever was
 * written: so there are two formats then, the one that is printed first. */
static void translate_pattern(struct translator *t, const char *path, const char *pattern,
                              bool lenient, struct buffer *out)
{
    size_t letters = offset_letters(pattern);
    add_java(pattern, (struct style){letters == 2, lenient}, out);
    if (letters == 1 || letters == 2)
        add_java(pattern, (struct style){letters == 1, lenient}, out);
    if (has_changed_letters(pattern))
        translator_warn(
            t,
            "field %s: date format `%s` was written for joda-time, and may read dates otherwise "
            "now%s",
            path, pattern,
            t->origin == 6 ? "; put a format with the prefix 8 on the old cluster first" : "");
}

/* ---- all of a field ---- */

static void translate_name(struct translator *t, const char *path, const char *format,
                           struct buffer *out)
{
    struct buffer snake = {0};
    if ((t->line & LINE_ES8) != 0 && append_snake_case(format, &snake)) {
        translator_change(t, "field %s: date format `%s` is written as `%s`, its present name",
                          path, format, buffer_cstr(&snake));
        format = buffer_cstr(&snake);
    }
    add_format(format, out);
    buffer_fini(&snake);
}

/* Goes through FORMATS, which have "||" between them; for LENIENT ones only those of the patterns.
 */
static void translate_each(struct translator *t, const char *path, const char *formats, bool joda,
                           bool lenient, struct buffer *out)
{
    char *copy = bytes_strdup(formats), *at = copy;
    while (at != NULL) {
        char *end = strstr(at, "||");
        if (end != NULL)
            *end = '\0';
        if (!is_named_format(at) && joda)
            translate_pattern(t, path, at, lenient, out);
        else if (!is_named_format(at) && !lenient)
            add_format(at, out);
        else if (!lenient)
            translate_name(t, path, at, out);
        at = end == NULL ? NULL : end + 2;
    }
    free(copy);
}

json_t *translate_formats(struct translator *t, const char *path, const char *formats)
{
    /* The prefix is that of all of them. */
    bool joda = t->joda && (t->line & LINES_ALL) != 0 && *formats != '8';
    struct buffer out = {0};
    translate_each(t, path, formats, joda, false, &out);
    /* joda-time took one digit for two. From 6.8 a mapping may be on the standby already, where it
     * can't be changed: those stay as they were. */
    if (joda && t->origin < 6)
        translate_each(t, path, formats, joda, true, &out);
    if (joda && strcmp(buffer_cstr(&out), formats) != 0)
        translator_change(t,
                          "field %s: date format `%s` was written for joda-time, and is written as "
                          "`%s`",
                          path, formats, buffer_cstr(&out));
    json_t *text = json_string(buffer_cstr(&out));
    buffer_fini(&out);
    return text;
}

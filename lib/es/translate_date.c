/* translate_date.c - date formats for another line of engines: names of formats, and patterns that
 * were written for joda-time (before 7.0) where java.time reads them now.
 *
 * Most letters mean the same in both. Where joda-time's has another letter in java.time it is
 * written as that; where it has no equal it stays, and is warned of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdio.h>
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

/* PATTERN in java.time's letters; an offset from UTC with a colon in it, or without. */
static void append_java(const char *pattern, bool colon, struct buffer *out)
{
    bool quoted = false;
    size_t count;
    while (*pattern != '\0') {
        char letter = next_letter(&pattern, &quoted, &count);
        if (!quoted && letter == 'Z')
            buffer_append_cstr(out, count > 2 ? "VV" : colon ? "XXX" : "XX");
        else
            for (; count != 0; count--)
                buffer_append_char(out, !quoted && letter == 'Y' ? 'y' : letter);
    }
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

/* A pattern of joda-time's. It read offsets with and without a colon alike, whatever was written:
 * so there are two formats then, the one that is printed first. */
static void translate_pattern(struct translator *t, const char *path, const char *pattern,
                              struct buffer *out)
{
    struct buffer java = {0};
    size_t letters = offset_letters(pattern);
    append_java(pattern, letters == 2, &java);
    if (letters == 1 || letters == 2) {
        buffer_append_cstr(&java, "||");
        append_java(pattern, letters == 1, &java);
    }
    if (strcmp(buffer_cstr(&java), pattern) != 0)
        translator_change(t,
                          "field %s: date format `%s` was written for joda-time, and is written as "
                          "`%s`",
                          path, pattern, buffer_cstr(&java));
    if (has_changed_letters(pattern))
        translator_warn(
            t,
            "field %s: date format `%s` was written for joda-time, and may read dates otherwise "
            "now%s",
            path, pattern,
            t->origin == 6 ? "; put a format with the prefix 8 on the old cluster first" : "");
    buffer_append_span(out, buffer_span(&java));
    buffer_fini(&java);
}

/* ---- all of a field ---- */

/* One of the formats between "||". */
static void translate_one_format(struct translator *t, const char *path, const char *format,
                                 bool joda, struct buffer *out)
{
    struct buffer snake = {0};
    if (!is_named_format(format)) {
        if (joda)
            translate_pattern(t, path, format, out);
        else
            buffer_append_cstr(out, format);
    } else if ((t->line & LINE_ES8) != 0 && append_snake_case(format, &snake)) {
        translator_change(t, "field %s: date format `%s` is written as `%s`, its present name",
                          path, format, buffer_cstr(&snake));
        buffer_append_span(out, buffer_span(&snake));
    } else {
        buffer_append_cstr(out, format);
    }
    buffer_fini(&snake);
}

json_t *translate_formats(struct translator *t, const char *path, const char *formats)
{
    /* The prefix is that of all of them. */
    bool joda = t->joda && (t->line & LINES_ALL) != 0 && *formats != '8';
    struct buffer out = {0};
    char *copy = bytes_strdup(formats), *at = copy;
    for (;;) {
        char *end = strstr(at, "||");
        if (end != NULL)
            *end = '\0';
        translate_one_format(t, path, at, joda, &out);
        if (end == NULL)
            break;
        buffer_append_cstr(&out, "||");
        at = end + 2;
    }
    json_t *text = json_string(buffer_cstr(&out));
    free(copy);
    buffer_fini(&out);
    return text;
}

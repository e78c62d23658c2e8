/* filter_path.c - applies the engines' `filter_path` to a JSON answer.
 *
 * A pattern is a list of names; a `*` in a name stands for any run of characters, the name `**` for
 * one or more whole names. While we descend, a pattern is a small automaton: a state is (pattern,
 * number of names matched), and the states that hold for a value are a list. Patterns that include
 * and those that exclude are two such lists.
 *
 *   include: a value is written whole where a pattern ends at it; what lies above it is written as
 * far as it is needed. exclude: a value is left out where a pattern ends at it.
 *
 * Elements of an array have the states of the array. What the filter empties is left out with its
 * name; an object that was empty before stays where it is not asked to be more (as the engines do
 * since 8.15). A dot in a name is written `\.`.
 *
 * What must hold:
 *   - Values are copied byte for byte; only white space between them is dropped.
 *   - The text is read once to check it and once to walk it, however deep it is: the walk relies on
 *     the check.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/filter_path.h"

#include "base/json.h"

/* ------------------------------------------------------------------------------------------------------
 * Patterns */

/* A name of a pattern; the names of one pattern stand together, the last with `final`. */
struct name {
    size_t from, size; /* in filter.text */
    bool any_depth;    /* `**` */
    bool final;
    size_t step; /* the last step that added it to a list, so that none holds it twice */
};

/* States that hold for a value: numbers of names that may match next, in filter.states. */
struct states {
    size_t from, count;
};

struct filter {
    struct buffer text;             /* owned: the names, without escapes */
    struct buffer names;            /* owned: struct name[] */
    struct buffer states;           /* owned: size_t[], a stack */
    struct buffer key;              /* owned: a key whose escapes were decoded */
    struct states include, exclude; /* before the first name */
    size_t step;                    /* counts the lists that were made */
};

/* What the filter says of one value. */
struct scope {
    bool whole;            /* included with all below it */
    struct states include; /* otherwise: what may still include something below */
    struct states exclude; /* what may still exclude something below */
};

static struct name *name_at(const struct filter *filter, size_t number)
{
    return (struct name *)(void *)filter->names.data + number;
}

static size_t name_count(const struct filter *filter)
{
    return filter->names.size / sizeof(struct name);
}

static size_t state_at(const struct filter *filter, struct states states, size_t i)
{
    return ((const size_t *)(const void *)filter->states.data)[states.from + i];
}

static struct states states_begin(struct filter *filter)
{
    filter->step++;
    return (struct states){filter->states.size / sizeof(size_t), 0};
}

/* Adds a state to the list begun last. Patterns as `**.**.x` come to the same state in many ways.
 */
static void states_add(struct filter *filter, struct states *states, size_t number)
{
    if (name_at(filter, number)->step == filter->step)
        return;
    name_at(filter, number)->step = filter->step;
    buffer_append(&filter->states, &number, sizeof number);
    states->count++;
}

/* Adds one name. A `\.` becomes a dot. */
static void add_name(struct filter *filter, struct span text, bool final)
{
    struct name name = {
        .from = filter->text.size, .any_depth = span_equal(text, SPAN("**")), .final = final};
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\\' && i + 1 < text.size && text.data[i + 1] == '.')
            i++;
        buffer_append_char(&filter->text, text.data[i]);
    }
    name.size = filter->text.size - name.from;
    buffer_append(&filter->names, &name, sizeof name);
}

/* Where the first dot that ends a name is; text.size when there is none. A leading dot ends
 * nothing. */
static size_t find_dot(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\\' && i + 1 < text.size && text.data[i + 1] == '.')
            i++;
        else if (text.data[i] == '.')
            return i == 0 ? text.size : i;
    }
    return text.size;
}

static void add_pattern(struct filter *filter, struct span pattern)
{
    for (;;) {
        size_t dot = find_dot(pattern);
        add_name(filter, span_of(pattern.data, dot), dot == pattern.size);
        if (dot == pattern.size)
            return;
        pattern = span_of(pattern.data + dot + 1, pattern.size - dot - 1);
    }
}

static struct span trimmed(struct span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
        text = span_of(text.data + 1, text.size - 1);
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t'))
        text.size--;
    return text;
}

/* Adds the patterns of TEXT that exclude (EXCLUDING) or that include, and gives their first states.
 */
static struct states add_patterns(struct filter *filter, struct span text, bool excluding)
{
    struct states states = states_begin(filter);
    while (text.size > 0) {
        const char *comma = memchr(text.data, ',', text.size);
        size_t size = comma == NULL ? text.size : (size_t)(comma - text.data);
        struct span pattern = trimmed(span_of(text.data, size));
        text = comma == NULL ? SPAN_NONE : span_of(comma + 1, text.size - size - 1);
        if (span_starts(pattern, SPAN("-")) != excluding)
            continue;
        if (excluding)
            pattern = trimmed(span_of(pattern.data + 1, pattern.size - 1));
        if (pattern.size == 0)
            continue;
        size_t first = name_count(filter);
        add_pattern(filter, pattern);
        states_add(filter, &states, first);
    }
    return states;
}

/* The states behind KEY. *ENDS: a pattern ends at it. */
static struct states states_step(struct filter *filter, struct states before, struct span key,
                                 bool *ends)
{
    struct states after = states_begin(filter);
    *ends = false;
    for (size_t i = 0; i < before.count; i++) {
        size_t number = state_at(filter, before, i);
        const struct name *name = name_at(filter, number);
        if (span_matches(key, span_of(filter->text.data + name->from, name->size))) {
            *ends = *ends || name->final;
            if (!name->final)
                states_add(filter, &after, number + 1);
        }
        /* Behind a `**` it may take this name as well. */
        if (number > 0 && !name_at(filter, number - 1)->final &&
            name_at(filter, number - 1)->any_depth)
            states_add(filter, &after, number);
    }
    return after;
}

static void filter_fini(struct filter *filter)
{
    buffer_fini(&filter->text);
    buffer_fini(&filter->names);
    buffer_fini(&filter->states);
    buffer_fini(&filter->key);
}

/* ------------------------------------------------------------------------------------------------------
 * The walk, over text that json_valid() passed */

/* Inside an object or array there is always a closing bracket ahead, so no end has to be watched
 * for. */
static const char *skip_space(const char *at)
{
    for (;;) {
        while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')
            at++;
        if (*at != '/')
            return at;
        at = at[1] == '*' ? strstr(at + 2, "*/") + 2 : strchr(at, '\n') + 1; /* a comment */
    }
}

/* Behind the string whose opening quote is at AT. */
static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

static const char *skip_value(const char *at, const char *end)
{
    return at + json_value_size(span_of(at, (size_t)(end - at)));
}

/* Behind the element or member before AT: moves over a comma to the next, or stays at the closing
 * bracket. */
static const char *skip_comma(const char *at)
{
    at = skip_space(at);
    return *at == ',' ? skip_space(at + 1) : at;
}

/* The text of the key whose raw form is RAW. */
static struct span key_text(struct filter *filter, struct span raw)
{
    struct span content = span_of(raw.data + 1, raw.size - 2);
    if (content.size == 0 || memchr(content.data, '\\', content.size) == NULL)
        return content;
    buffer_clear(&filter->key);
    return json_string_decode(raw, &filter->key) ? buffer_span(&filter->key) : content;
}

/* What holds below KEY of a value with SCOPE; false when nothing of it can be written. */
static bool scope_enter(struct filter *filter, const struct scope *scope, struct span key,
                        struct scope *below)
{
    bool ends;
    *below = (struct scope){.whole = scope->whole};
    if (!scope->whole) {
        below->include = states_step(filter, scope->include, key, &ends);
        below->whole = ends;
        if (!ends && below->include.count == 0)
            return false;
    }
    if (scope->exclude.count > 0) {
        below->exclude = states_step(filter, scope->exclude, key, &ends);
        return !ends;
    }
    return true;
}

/* Writes what SCOPE leaves of the value at AT, and returns where the value ends. *WROTE: something
 * was left. */
static const char *filter_value(struct filter *filter, const struct scope *scope, const char *at,
                                const char *end, struct buffer *out, bool *wrote);

static const char *filter_object(struct filter *filter, const struct scope *scope, const char *at,
                                 const char *end, struct buffer *out, bool *wrote)
{
    size_t members = 0;
    buffer_append_char(out, '{');
    at = skip_space(at + 1);
    bool was_empty = *at == '}';
    while (*at != '}') {
        struct scope below;
        size_t out_size = out->size, states_size = filter->states.size;
        const char *key_end = skip_string(at);
        struct span raw = span_of(at, (size_t)(key_end - at));
        bool written = false;
        at = skip_space(skip_space(key_end) + 1);
        if (scope_enter(filter, scope, key_text(filter, raw), &below)) {
            if (members > 0)
                buffer_append_char(out, ',');
            buffer_append_span(out, raw);
            buffer_append_char(out, ':');
            at = filter_value(filter, &below, at, end, out, &written);
        } else {
            at = skip_value(at, end);
        }
        if (written)
            members++;
        else
            out->size = out_size;
        filter->states.size = states_size;
        at = skip_comma(at);
    }
    buffer_append_char(out, '}');
    *wrote = members > 0 || (was_empty && scope->whole);
    return at + 1;
}

static const char *filter_array(struct filter *filter, const struct scope *scope, const char *at,
                                const char *end, struct buffer *out, bool *wrote)
{
    size_t elements = 0;
    buffer_append_char(out, '[');
    at = skip_space(at + 1);
    bool was_empty = *at == ']';
    while (*at != ']') {
        size_t out_size = out->size;
        bool written;
        if (elements > 0)
            buffer_append_char(out, ',');
        at = filter_value(filter, scope, at, end, out, &written);
        if (written)
            elements++;
        else
            out->size = out_size;
        at = skip_comma(at);
    }
    buffer_append_char(out, ']');
    *wrote = elements > 0 || (was_empty && scope->whole);
    return at + 1;
}

static const char *filter_value(struct filter *filter, const struct scope *scope, const char *at,
                                const char *end, struct buffer *out, bool *wrote)
{
    if (!scope->whole || scope->exclude.count > 0) {
        if (*at == '{')
            return filter_object(filter, scope, at, end, out, wrote);
        if (*at == '[')
            return filter_array(filter, scope, at, end, out, wrote);
    }
    const char *behind = skip_value(at, end);
    *wrote = scope->whole;
    if (scope->whole)
        buffer_append(out, at, (size_t)(behind - at));
    return behind;
}

enum status filter_path_apply(struct span json, struct span text, struct buffer *out)
{
    struct filter filter = {.step = 0};
    bool wrote = false;
    size_t out_size = out->size;
    if (!json_valid(json))
        return STATUS_BAD_INPUT;

    filter.include = add_patterns(&filter, text, false);
    filter.exclude = add_patterns(&filter, text, true);
    struct scope scope = {filter.include.count == 0, filter.include, filter.exclude};
    filter_value(&filter, &scope, skip_space(json.data), json.data + json.size, out, &wrote);
    if (!wrote) {
        out->size = out_size;
        buffer_append_cstr(out, "{}");
    }
    filter_fini(&filter);
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------
 * Pretty */

/* Deeper levels are indented as this one: a document nested a thousand deep would grow a thousand
 * times. */
#define INDENT_LEVELS_MAX 64

static void new_line(struct buffer *out, size_t depth)
{
    size_t indent = 2 * (depth < INDENT_LEVELS_MAX ? depth : INDENT_LEVELS_MAX);
    buffer_append_char(out, '\n');
    memset(buffer_reserve(out, indent), ' ', indent);
    out->size += indent;
}

/* The structural byte at AT; returns behind it, and behind the closing bracket of what is empty. */
static const char *pretty_structure(const char *at, size_t *depth, struct buffer *out)
{
    char c = *at++;
    if (c == '{' || c == '[') {
        const char *next = skip_space(at);
        buffer_append_char(out, c);
        if (*next == '}' || *next == ']') {
            buffer_append_char(out, ' ');
            buffer_append_char(out, *next);
            return next + 1;
        }
        new_line(out, ++*depth);
    } else if (c == '}' || c == ']') {
        new_line(out, --*depth);
        buffer_append_char(out, c);
    } else if (c == ',') {
        buffer_append_char(out, c);
        new_line(out, *depth);
    } else {
        buffer_append_cstr(out, " : ");
    }
    return at;
}

enum status json_pretty(struct span json, struct buffer *out)
{
    size_t depth = 0;
    if (!json_valid(json))
        return STATUS_BAD_INPUT;
    const char *at = json.data, *end = at + json.size;
    while (at < end) {
        if (memchr("{}[],:", *at, 6) != NULL) {
            at = pretty_structure(at, &depth, out);
        } else if (*at == '"') {
            const char *behind = skip_string(at);
            buffer_append(out, at, (size_t)(behind - at));
            at = behind;
        } else if (*at == '/') {
            at = json_skip_space(at, end);
        } else {
            if (memchr(" \n\r\t", *at, 4) == NULL)
                buffer_append_char(out, *at); /* of a number or a word */
            at++;
        }
    }
    buffer_append_char(out, '\n'); /* the engines end a pretty answer with one */
    return STATUS_OK;
}

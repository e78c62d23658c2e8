/* json.c - walks JSON text in place, without building a tree.
 *
 * What must hold:
 *   - The grammar of RFC 8259 passes, and what the engines' parser takes besides: comments (of both
 *     kinds, wherever white space may stand) and the numbers NaN, INF, Infinity with a sign or
 *     without. Documents hold such things, and come back in answers as they were sent. Whether
 * bytes above 0x7f are UTF-8 is left to whoever stores the text: it is handed on as it came.
 *   - No byte at or behind `end` is read, not even by the vector loads.
 *   - Nesting costs one bit per level on the stack of skip_value, never a call.
 *
 * Nearly all bytes of a document are inside strings, so the speed is that of skip_string: 16 bytes
 * a step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* AT is at a slash: behind the comment that begins there, or AT when there is none. One with a NUL
 * is none: whoever walks text that passed here may look for its end as for that of a string of C.
 */
static const char *skip_comment(const char *at, const char *end)
{
    const char *stop = NULL;
    if (end - at < 2)
        return at;
    if (at[1] == '/') {
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop == NULL ? end : stop + 1;
    } else if (at[1] == '*') {
        stop = memmem(at + 2, (size_t)(end - at - 2), "*/", 2);
        stop = stop == NULL ? NULL : stop + 2;
    }
    if (stop == NULL || memchr(at, '\0', (size_t)(stop - at)) != NULL)
        return at;
    return stop;
}

const char *json_skip_space(const char *at, const char *end)
{
    for (;;) {
        while (at < end && is_space(*at))
            at++;
        if (at == end || *at != '/')
            return at;
        const char *behind = skip_comment(at, end);
        if (behind == at)
            return at;
        at = behind;
    }
}

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at < end && *at == '/' ? json_skip_space(at, end) : at;
}

/* The first quote, backslash or control byte, or END. */
static inline const char *find_special(const char *at, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i control_max = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i found =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_max), bytes));
        int bits = _mm_movemask_epi8(found);
        if (bits != 0)
            return at + __builtin_ctz((unsigned)bits);
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at;
}

/* The four hex digits at AT as a number, or -1. */
static int hex4(const char *at, const char *end)
{
    int value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = is_digit(c)              ? c - '0'
                    : (c >= 'a' && c <= 'f') ? c - 'a' + 10
                    : (c >= 'A' && c <= 'F') ? c - 'A' + 10
                                             : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* AT is behind a backslash: where the escape ends, or NULL when there is no such escape. */
static const char *skip_escape(const char *at, const char *end)
{
    if (at == end)
        return NULL;
    switch (*at) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 1;
    case 'u':
        return hex4(at + 1, end) < 0 ? NULL : at + 5;
    default:
        return NULL;
    }
}

/* AT is behind the opening quote: where the text behind the closing one begins, or NULL. */
static inline const char *skip_string(const char *at, const char *end)
{
    for (;;) {
        at = find_special(at, end);
        if (at == end)
            return NULL;
        if (*at == '"')
            return at + 1;
        if (*at != '\\')
            return NULL; /* a bare control byte */
        at = skip_escape(at + 1, end);
        if (at == NULL)
            return NULL;
    }
}

/* At least one digit. */
static inline const char *skip_digits(const char *at, const char *end)
{
    if (at == end || !is_digit(*at))
        return NULL;
    do
        at++;
    while (at < end && is_digit(*at));
    return at;
}

static const char *skip_word(const char *at, const char *end, struct span word);

/* What is no number to RFC 8259, but to the engines. AT is behind a sign, if there was one. */
static const char *skip_odd_number(const char *at, const char *end)
{
    const char *behind = skip_word(at, end, SPAN("Infinity"));
    return behind != NULL ? behind : skip_word(at, end, SPAN("INF"));
}

static const char *skip_number(const char *at, const char *end)
{
    if (*at == 'N')
        return skip_word(at, end, SPAN("NaN"));
    if (*at == 'I' || *at == '+')
        return skip_odd_number(at + (*at == '+'), end);
    if (*at == '-')
        at++;
    if (at < end && *at == 'I')
        return skip_odd_number(at, end);
    if (at < end && *at == '0')
        at++; /* and no further digit: 01 is two values */
    else if ((at = skip_digits(at, end)) == NULL)
        return NULL;
    if (at < end && *at == '.') {
        at = skip_digits(at + 1, end);
        if (at == NULL)
            return NULL;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        return skip_digits(at, end);
    }
    return at;
}

static const char *skip_word(const char *at, const char *end, struct span word)
{
    return span_starts(span_of(at, (size_t)(end - at)), word) ? at + word.size : NULL;
}

/* AT is at a value that is neither object nor array. */
static inline const char *skip_scalar(const char *at, const char *end)
{
    switch (*at) {
    case '"':
        return skip_string(at + 1, end);
    case 't':
        return skip_word(at, end, SPAN("true"));
    case 'f':
        return skip_word(at, end, SPAN("false"));
    case 'n':
        return skip_word(at, end, SPAN("null"));
    default:
        return skip_number(at, end);
    }
}

/* White space, a key, a colon. KEY, unless NULL, is what stands between the quotes. */
static inline const char *skip_key(const char *at, const char *end, struct span *key)
{
    at = skip_space(at, end);
    if (at == end || *at != '"')
        return NULL;
    const char *begin = at + 1;
    at = skip_string(begin, end);
    if (at == NULL)
        return NULL;
    if (key != NULL)
        *key = span_of(begin, (size_t)(at - 1 - begin));
    at = skip_space(at, end);
    return at < end && *at == ':' ? at + 1 : NULL;
}

/* What encloses the value that skip_value is at, innermost last. */
struct nest {
    uint64_t objects[(JSON_DEPTH_MAX + 63) / 64]; /* a bit per level: object or array */
    size_t depth;
};

static inline bool nest_push(struct nest *nest, bool object)
{
    if (nest->depth == JSON_DEPTH_MAX)
        return false;
    uint64_t bit = UINT64_C(1) << (nest->depth % 64), *word = &nest->objects[nest->depth / 64];
    if (nest->depth % 64 == 0)
        *word = 0;
    *word = object ? *word | bit : *word & ~bit;
    nest->depth++;
    return true;
}

static inline bool nest_in_object(const struct nest *nest)
{
    size_t level = nest->depth - 1;
    return (nest->objects[level / 64] >> (level % 64) & 1) != 0;
}

/* Behind a value: closes what closes here. Then either depth is 0, or AT is where the next value
 * begins. */
static inline const char *skip_closes(const char *at, const char *end, struct nest *nest)
{
    while (nest->depth > 0) {
        bool object = nest_in_object(nest);
        at = skip_space(at, end);
        if (at == end)
            return NULL;
        if (*at == ',')
            return object ? skip_key(at + 1, end, NULL) : at + 1;
        if (*at != (object ? '}' : ']'))
            return NULL;
        at++;
        nest->depth--;
    }
    return at;
}

/* Where the value ends that begins at AT (after white space), or NULL when it is not JSON or has no
 * end. */
static const char *skip_value(const char *at, const char *end)
{
    struct nest nest;
    nest.objects[0] =
        0; /* the other words are written before they are read: a level is entered once */
    nest.depth = 0;
    do {
        at = skip_space(at, end);
        if (at == end)
            return NULL;
        if (*at == '{' || *at == '[') {
            bool object = *at == '{';
            if (!nest_push(&nest, object))
                return NULL;
            at = skip_space(at + 1, end);
            if (at == end)
                return NULL;
            if (*at != (object ? '}' : ']')) {
                at = object ? skip_key(at, end, NULL) : at;
                if (at == NULL)
                    return NULL;
                continue;
            }
        } else {
            at = skip_scalar(at, end);
            if (at == NULL)
                return NULL;
        }
        at = skip_closes(at, end, &nest);
    } while (at != NULL && nest.depth > 0);
    return at;
}

/* ------------------------------------------------------------------------------------------------------
 * Walking */

static bool walk_fail(struct json_walk *walk)
{
    walk->failed = true;
    return false;
}

bool json_enter(struct json_walk *walk, struct span text, char open)
{
    CHECK(open == '{' || open == '[');
    *walk = (struct json_walk){.first = true, .close = open == '{' ? '}' : ']'};
    if (text.size == 0)
        return walk_fail(walk);
    walk->end = text.data + text.size;
    walk->at = skip_space(text.data, walk->end);
    if (walk->at == walk->end || *walk->at != open)
        return walk_fail(walk);
    walk->at++;
    return true;
}

/* Moves over the comma to where a member or element must begin; false at the end and on failure. */
static inline bool walk_step(struct json_walk *walk)
{
    if (walk->failed || walk->close == '\0')
        return false;
    walk->at = skip_space(walk->at, walk->end);
    if (walk->at == walk->end)
        return walk_fail(walk);
    if (*walk->at == walk->close) {
        walk->at++;
        walk->close = '\0'; /* the walk is over, whatever stands behind */
        return false;
    }
    if (!walk->first) {
        if (*walk->at != ',')
            return walk_fail(walk);
        walk->at++;
    }
    walk->first = false;
    return true;
}

static inline bool walk_value(struct json_walk *walk, struct span *value)
{
    const char *begin = skip_space(walk->at, walk->end);
    const char *behind = skip_value(begin, walk->end);
    if (behind == NULL)
        return walk_fail(walk);
    *value = span_of(begin, (size_t)(behind - begin));
    walk->at = behind;
    return true;
}

bool json_next_member(struct json_walk *walk, struct span *key, struct span *value)
{
    CHECK(walk->close != ']');
    if (!walk_step(walk))
        return false;
    const char *behind = skip_key(walk->at, walk->end, key);
    if (behind == NULL)
        return walk_fail(walk);
    walk->at = behind;
    return walk_value(walk, value);
}

bool json_next_element(struct json_walk *walk, struct span *value)
{
    CHECK(walk->close != '}');
    return walk_step(walk) && walk_value(walk, value);
}

static bool walk_enter(struct json_walk *walk, char open, struct json_walk *inner)
{
    bool entered = json_enter(inner, span_of(walk->at, (size_t)(walk->end - walk->at)), open);
    walk->failed = walk->failed || !entered;
    return entered;
}

bool json_enter_element(struct json_walk *walk, char open, struct json_walk *inner)
{
    CHECK(walk->close != '}');
    return walk_step(walk) && walk_enter(walk, open, inner);
}

bool json_enter_member(struct json_walk *walk, struct span name, char open, struct json_walk *inner)
{
    struct json_walk ahead = *walk;
    struct span key;
    CHECK(walk->close != ']');
    const char *behind = walk_step(&ahead) ? skip_key(ahead.at, ahead.end, &key) : NULL;
    if (behind == NULL || !span_equal(key, name))
        return false;
    ahead.at = behind;
    *walk = ahead;
    return walk_enter(walk, open, inner);
}

bool json_leave(struct json_walk *walk, const struct json_walk *inner)
{
    if (inner->failed || inner->close != '\0')
        return walk_fail(walk);
    walk->at = inner->at;
    return true;
}

/* ------------------------------------------------------------------------------------------------------
 * Strings */

static size_t put_utf8(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> size & 0xff) | c); /* as many leading ones as there are bytes */
    return size;
}

/* AT is at "u": a code point, which takes two escapes when it is above 0xffff. NULL for half a
 * pair: it has no UTF-8. */
static const char *decode_unicode(const char *at, const char *end, char out[4], size_t *size)
{
    int unit = hex4(at + 1, end);
    uint32_t c = (uint32_t)unit;
    if (unit < 0)
        return NULL;
    at += 5;
    if (c >= 0xd800 && c < 0xe000) {
        if (c >= 0xdc00 || end - at < 6 || at[0] != '\\' || at[1] != 'u')
            return NULL;
        int low = hex4(at + 2, end);
        if (low < 0xdc00 || low >= 0xe000)
            return NULL;
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
        at += 6;
    }
    *size = put_utf8(out, c);
    return at;
}

/* AT is behind a backslash: puts what the escape stands for and returns where it ends; NULL when it
 * is bad. */
static const char *decode_escape(const char *at, const char *end, char out[4], size_t *size)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return NULL;
    if (*at == 'u')
        return decode_unicode(at, end, out, size);
    const char *found = memchr(from, *at, sizeof from - 1);
    if (found == NULL)
        return NULL;
    out[0] = to[found - from];
    *size = 1;
    return at + 1;
}

/* True when CONTENT (a string without its quotes) decodes to TEXT. */
static bool content_is(struct span content, struct span text)
{
    if (content.size == 0 || memchr(content.data, '\\', content.size) == NULL)
        return span_equal(content, text);
    const char *at = content.data, *end = at + content.size;
    while (at < end) {
        char piece[4] = {*at};
        size_t size = 1;
        at = *at == '\\' ? decode_escape(at + 1, end, piece, &size) : at + 1;
        if (at == NULL || !span_starts(text, span_of(piece, size)))
            return false;
        text = span_of(text.data + size, text.size - size);
    }
    return text.size == 0;
}

static bool string_content(struct span value, struct span *content)
{
    if (!json_is_string(value) || value.data[value.size - 1] != '"')
        return false;
    *content = span_of(value.data + 1, value.size - 2);
    return true;
}

bool json_string_is(struct span value, struct span text)
{
    struct span content;
    return string_content(value, &content) && content_is(content, text);
}

bool json_string_decode(struct span value, struct buffer *out)
{
    struct span content;
    if (!string_content(value, &content))
        return false;
    const char *at = content.data, *end = at + content.size;
    size_t size_before = out->size;
    for (;;) {
        const char *special = find_special(at, end);
        buffer_append(out, at, (size_t)(special - at));
        if (special == end)
            return true;
        char piece[4];
        size_t size = 0;
        at = *special == '\\' ? decode_escape(special + 1, end, piece, &size) : NULL;
        if (at == NULL) {
            out->size = size_before;
            return false;
        }
        buffer_append(out, piece, size);
    }
}

/* ------------------------------------------------------------------------------------------------------
 * Questions about a whole text */

struct span json_member(struct span text, struct span name)
{
    struct json_walk walk;
    struct span key, value;
    if (!json_enter(&walk, text, '{'))
        return SPAN_NONE;
    while (json_next_member(&walk, &key, &value))
        if (content_is(key, name))
            return value;
    return SPAN_NONE;
}

struct span json_path(struct span text, const char *path)
{
    for (;;) {
        const char *slash = strchr(path, '/');
        if (slash == NULL)
            return json_member(text, span_cstr(path));
        text = json_member(text, span_of(path, (size_t)(slash - path)));
        if (text.size == 0)
            return SPAN_NONE;
        path = slash + 1;
    }
}

size_t json_value_size(struct span text)
{
    if (text.size == 0)
        return 0;
    const char *behind = skip_value(text.data, text.data + text.size);
    return behind == NULL ? 0 : (size_t)(behind - text.data);
}

bool json_valid(struct span text)
{
    size_t size = json_value_size(text);
    if (size == 0)
        return false;
    const char *end = text.data + text.size;
    return skip_space(text.data + size, end) == end;
}

bool json_to_i64(struct span value, int64_t *number)
{
    bool negative = value.size > 0 && value.data[0] == '-';
    struct span digits = negative ? span_of(value.data + 1, value.size - 1) : value;
    uint64_t magnitude;
    if (!span_to_u64(digits, &magnitude) || (digits.size > 1 && digits.data[0] == '0'))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + negative)
        return false;
    *number = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

/* Copies TEXT[FROM, TO) without line ends: there they are white space, since strings have none. */
static void append_without_lines(struct buffer *out, const char *from, const char *to)
{
    size_t begin = out->size;
    buffer_append(out, from, (size_t)(to - from));
    for (size_t i = begin; i < out->size; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

void json_append_line(struct span text, struct buffer *out)
{
    if (text.size == 0 || (memchr(text.data, '\n', text.size) == NULL &&
                           memchr(text.data, '\r', text.size) == NULL)) {
        buffer_append_span(out, text);
        return;
    }
    const char *at = text.data, *end = text.data + text.size, *copied = at;
    while (at < end) {
        if (*at == '"') {
            const char *behind = skip_string(at + 1, end);
            at = behind == NULL ? end : behind;
            continue;
        }
        const char *behind = *at == '/' ? skip_comment(at, end) : at;
        if (behind == at) {
            at++;
            continue;
        }
        append_without_lines(out, copied, at);
        buffer_append_char(out, ' ');
        copied = at = behind;
    }
    append_without_lines(out, copied, end);
}

/* value.c - one value of a settings row: from words, to text, copied, compared, freed.
 *
 * Every parser takes the whole word or refuses it: "10x" is no 10, "1.5s" is no second and a half
 * (1500ms is), a number that overflows is too large. The message says what would be right.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/value.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <strings.h>

static const char *const type_names[] = {
    [CONF_ADDR] = "host:port", [CONF_DURATION] = "duration",  [CONF_SIZE] = "size",
    [CONF_COUNT] = "number",   [CONF_BOOL] = "true or false", [CONF_TEXT] = "text",
    [CONF_PATH] = "path",      [CONF_LIST] = "list",          [CONF_URLS] = "list of URLs",
    [CONF_CHOICE] = "word",
};

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first: value_print takes the first that divides. */
static const struct unit durations[] = {
    {"d", 86400000000u}, {"h", 3600000000u}, {"m", 60000000u},
    {"s", 1000000u},     {"ms", 1000u},      {"us", 1u},
};
static const struct unit sizes[] = {
    {"TB", 1099511627776u}, {"GB", 1073741824u}, {"MB", 1048576u}, {"KB", 1024u}, {"B", 1u},
};

const char *conf_type_name(enum conf_type type)
{
    return type_names[type];
}

bool value_is_list(const struct conf_row *row)
{
    return row->type == CONF_LIST || row->type == CONF_URLS;
}

static void *place(const struct conf_row *row, void *values)
{
    return (char *)values + row->offset;
}

static const void *place_const(const struct conf_row *row, const void *values)
{
    return (const char *)values + row->offset;
}

/* ------------------------------------------------------------------------------------------------------
 * Numbers. */

static void print_number(const struct unit *units, size_t count, uint64_t value, struct buffer *out)
{
    size_t at = 0;

    while (at + 1 < count && (value == 0 || value % units[at].factor != 0))
        at++;
    if (value == 0 && units == durations)
        at = 3; /* 0s reads better than 0us */
    buffer_appendf(out, "%" PRIu64 "%s", value / units[at].factor, units[at].name);
}

static void print_count(enum conf_type type, uint64_t value, struct buffer *out)
{
    if (type == CONF_DURATION)
        print_number(durations, COUNT_OF(durations), value, out);
    else if (type == CONF_SIZE)
        print_number(sizes, COUNT_OF(sizes), value, out);
    else
        buffer_appendf(out, "%" PRIu64, value);
}

static bool parse_with_unit(const struct unit *units, size_t count, const char *word,
                            uint64_t *value)
{
    size_t digits = strspn(word, "0123456789");
    uint64_t number;

    if (!span_to_u64(span_of(word, digits), &number))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(word + digits, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, value);
    }
    return false;
}

bool conf_duration_parse(const char *text, uint64_t *us)
{
    return parse_with_unit(durations, COUNT_OF(durations), text, us);
}

static bool in_bounds(const struct conf_row *row, uint64_t value, char *why, size_t why_size)
{
    struct buffer bound = {0};
    bool small = value < row->least;

    if (!small && (row->most == 0 || value <= row->most))
        return true;
    print_count(row->type, small ? row->least : row->most, &bound);
    snprintf(why, why_size, "it must be at %s %s", small ? "least" : "most", buffer_cstr(&bound));
    buffer_fini(&bound);
    return false;
}

static bool set_number(const struct conf_row *row, const char *word, uint64_t *to, char *why,
                       size_t why_size)
{
    uint64_t value = 0;
    bool good;

    if (row->type == CONF_DURATION) {
        good = parse_with_unit(durations, COUNT_OF(durations), word, &value);
        if (!good)
            snprintf(why, why_size,
                     "'%.80s' is no duration; write digits and a unit: 200ms, 8s, 10m, 12h, 7d",
                     word);
    } else if (row->type == CONF_SIZE) {
        good = parse_with_unit(sizes, COUNT_OF(sizes), word, &value);
        if (!good)
            snprintf(why, why_size,
                     "'%.80s' is no size; write digits and a unit: 512B, 64KB, 100MB, 16GB", word);
    } else {
        good = span_to_u64(span_cstr(word), &value);
        if (!good)
            snprintf(why, why_size, "'%.80s' is no number; write digits only", word);
    }
    if (!good || !in_bounds(row, value, why, why_size))
        return false;
    *to = value;
    return true;
}

/* ------------------------------------------------------------------------------------------------------
 * Addresses and URLs. */

static bool host_is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool host_is_valid(const char *host, bool bracketed)
{
    struct in6_addr v6;

    if (bracketed)
        return inet_pton(AF_INET6, host, &v6) == 1;
    for (const char *p = host; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr(".-_", *p) == NULL)
            return false;
    }
    return host[0] != '\0' && host[0] != '.' && host[0] != '-' && strlen(host) <= 253;
}

bool conf_address_parse(const char *text, struct conf_address *address, char *why, size_t why_size)
{
    const char *colon = strrchr(text, ':');
    bool bracketed = text[0] == '[' && colon != NULL && colon > text + 1 && colon[-1] == ']';
    uint64_t port = 0;

    memset(address, 0, sizeof *address);
    if (colon == NULL || !span_to_u64(span_cstr(colon + 1), &port) || port == 0 || port > 65535) {
        snprintf(why, why_size,
                 "'%.80s' is no address; write host:port, as 127.0.0.1:9200 or [::1]:9200", text);
        return false;
    }
    address->host = bracketed ? span_dup(span_of(text + 1, (size_t)(colon - text) - 2))
                              : span_dup(span_of(text, (size_t)(colon - text)));
    if (!host_is_valid(address->host, bracketed)) {
        snprintf(why, why_size,
                 "'%.80s' does not begin with a host name or an IP address (IPv6 in brackets)",
                 text);
        conf_address_fini(address);
        return false;
    }
    address->text = bytes_strdup(text);
    address->port = (uint16_t)port;
    address->loopback = host_is_loopback(address->host);
    return true;
}

void conf_address_fini(struct conf_address *address)
{
    free(address->text);
    free(address->host);
    memset(address, 0, sizeof *address);
}

bool conf_url_parse(const char *url, bool *tls, struct conf_address *address, char *why,
                    size_t why_size)
{
    struct span text = span_cstr(url);
    char *rest;
    bool good;

    memset(address, 0, sizeof *address);
    *tls = span_starts(text, SPAN("https://"));
    if (!*tls && !span_starts(text, SPAN("http://"))) {
        snprintf(why, why_size, "'%.80s' must begin with http:// or https://", url);
        return false;
    }
    if (strchr(url, '@') != NULL) { /* not printed: what stands there is likely a password */
        snprintf(why, why_size,
                 "user and password do not belong into a URL; put them into a file and "
                 "name it in credentials_file");
        return false;
    }
    rest = bytes_strdup(url + (*tls ? 8 : 7));
    size_t size = strlen(rest);
    if (size > 0 && rest[size - 1] == '/')
        rest[size - 1] = '\0';
    if (strpbrk(rest, "/?#") != NULL) {
        snprintf(why, why_size, "'%.80s' must end after host:port, a path is not used", url);
        good = false;
    } else if (!(good = conf_address_parse(rest, address, why, why_size))) {
        snprintf(why, why_size,
                 "'%.80s' is no address of a node; write http://host:9200, with the port", url);
    }
    free(rest);
    return good;
}

/* The item as it is kept: scheme://host:port without a slash behind it. */
static char *url_normal(const char *url, char *why, size_t why_size)
{
    struct conf_address address;
    struct buffer out = {0};
    bool tls;

    if (!conf_url_parse(url, &tls, &address, why, why_size))
        return NULL;
    buffer_appendf(&out, "%s://%s", tls ? "https" : "http", address.text);
    char *normal = bytes_strdup(buffer_cstr(&out));
    buffer_fini(&out);
    conf_address_fini(&address);
    return normal;
}

/* ------------------------------------------------------------------------------------------------------
 * Words. */

/* The place of WORD in CHOICES ("a|b|c"), -1 when it is not there. */
static int choice_find(const char *choices, struct span word)
{
    int at = 0;

    for (const char *p = choices;; at++) {
        size_t size = strcspn(p, "|");
        if (span_equal(span_of(p, size), word))
            return at;
        p += size;
        if (*p++ == '\0')
            return -1;
    }
}

static bool say_choices(const struct conf_row *row, const char *word, char *why, size_t why_size)
{
    char *words = bytes_strdup(row->choices);

    for (char *p = words; *p != '\0'; p++) {
        if (*p == '|')
            *p = ' ';
    }
    snprintf(why, why_size, "'%.80s' is none of: %s", word, words);
    free(words);
    return false;
}

static bool text_is_plain(const char *text, char *why, size_t why_size)
{
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            snprintf(why, why_size, "it holds a control character");
            return false;
        }
    }
    return true;
}

static void list_fini(struct conf_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct conf_list){NULL, 0};
}

static bool set_list(const struct conf_row *row, const char *const *words, size_t count,
                     struct conf_list *to, char *why, size_t why_size)
{
    struct conf_list list = {NULL, 0};

    if (row->least > count) {
        snprintf(why, why_size, "it needs at least %" PRIu64 " item", row->least);
        return false;
    }
    if (count > 0)
        list.items = bytes_zalloc(count * sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        char *item = NULL;
        if (row->type == CONF_URLS)
            item = url_normal(words[i], why, why_size);
        else if (row->choices != NULL && choice_find(row->choices, span_cstr(words[i])) < 0)
            say_choices(row, words[i], why, why_size);
        else if (words[i][0] == '\0')
            snprintf(why, why_size, "an item of the list is empty");
        else if (text_is_plain(words[i], why, why_size))
            item = bytes_strdup(words[i]);
        if (item == NULL) {
            list_fini(&list);
            return false;
        }
        list.items[list.count++] = item;
    }
    list_fini(to);
    *to = list;
    return true;
}

static bool set_text(const struct conf_row *row, const char *word, char **to, char *why,
                     size_t why_size)
{
    if (!text_is_plain(word, why, why_size))
        return false;
    if (row->type == CONF_PATH && word[0] != '\0' && word[0] != '/') {
        snprintf(why, why_size, "'%.80s' is no absolute path; begin it with /", word);
        return false;
    }
    if (row->least > strlen(word)) {
        snprintf(why, why_size, "it must not be empty");
        return false;
    }
    free(*to);
    *to = bytes_strdup(word);
    return true;
}

/* ------------------------------------------------------------------------------------------------------
 * Any value. */

static bool set_scalar(const struct conf_row *row, const char *word, void *to, char *why,
                       size_t why_size)
{
    struct conf_address address;
    int choice;

    switch (row->type) {
    case CONF_ADDR:
        if (!conf_address_parse(word, &address, why, why_size))
            return false;
        conf_address_fini(to);
        memcpy(to, &address, sizeof address);
        return true;
    case CONF_BOOL:
        if (strcmp(word, "true") != 0 && strcmp(word, "false") != 0) {
            snprintf(why, why_size, "'%.80s' is neither true nor false", word);
            return false;
        }
        *(bool *)to = word[0] == 't';
        return true;
    case CONF_CHOICE:
        choice = choice_find(row->choices, span_cstr(word));
        if (choice < 0)
            return say_choices(row, word, why, why_size);
        memcpy(to, &choice, sizeof choice);
        return true;
    case CONF_TEXT:
    case CONF_PATH:
        return set_text(row, word, to, why, why_size);
    default:
        return set_number(row, word, to, why, why_size);
    }
}

bool value_set(const struct conf_row *row, const char *const *words, size_t count, void *values,
               char *why, size_t why_size)
{
    if (value_is_list(row)) {
        if (!set_list(row, words, count, place(row, values), why, why_size))
            return false;
    } else {
        CHECK(count == 1);
        if (!set_scalar(row, words[0], place(row, values), why, why_size))
            return false;
    }
    return row->check == NULL || row->check(place_const(row, values), why, why_size);
}

/* {name} in INITIAL replaced by NAME; the caller frees it. */
static char *initial_text(const char *initial, const char *name)
{
    const char *brace = name == NULL ? NULL : strstr(initial, "{name}");
    struct buffer out = {0};

    if (brace == NULL)
        return bytes_strdup(initial);
    buffer_append(&out, initial, (size_t)(brace - initial));
    buffer_append_cstr(&out, name);
    buffer_append_cstr(&out, brace + strlen("{name}"));
    char *text = bytes_strdup(buffer_cstr(&out));
    buffer_fini(&out);
    return text;
}

void value_set_initial(const struct conf_row *row, const char *name, void *values)
{
    char *text = initial_text(row->initial, name), *rest = text;
    const char *words[64];
    size_t count = 0;
    char why[200];

    if (!value_is_list(row)) {
        words[count++] = text;
    } else {
        for (char *word; (word = strsep(&rest, " ")) != NULL;) {
            CHECK(count < COUNT_OF(words));
            if (*word != '\0')
                words[count++] = word;
        }
    }
    bool good = value_set(row, words, count, values, why, sizeof why);
    CHECK(good); /* the table's own value must pass the table's own rules */
    free(text);
}

/* What YAML would read as something else, or not at all, stands in quotes. */
static bool must_quote(const char *text)
{
    if (text[0] == '\0' || strchr("-?:,[]{}#&*!|>'\"%@`~. ", text[0]) != NULL)
        return true;
    return strpbrk(text, ",[]{}#\"\\") != NULL || strstr(text, ": ") != NULL ||
           text[strlen(text) - 1] == ' ' || text[strlen(text) - 1] == ':';
}

void value_print_text(const char *text, struct buffer *out)
{
    if (!must_quote(text)) {
        buffer_append_cstr(out, text);
        return;
    }
    buffer_append_char(out, '"');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\')
            buffer_append_char(out, '\\');
        buffer_append_char(out, *p);
    }
    buffer_append_char(out, '"');
}

static void print_choice(const char *choices, unsigned at, struct buffer *out)
{
    for (; at > 0; at--)
        choices = strchr(choices, '|') + 1;
    buffer_append(out, choices, strcspn(choices, "|"));
}

void value_print(const struct conf_row *row, const void *values, struct buffer *out)
{
    const void *at = place_const(row, values);
    const struct conf_list *list = at;
    unsigned choice;

    switch (row->type) {
    case CONF_ADDR:
        value_print_text(((const struct conf_address *)at)->text, out);
        break;
    case CONF_DURATION:
    case CONF_SIZE:
    case CONF_COUNT:
        print_count(row->type, *(const uint64_t *)at, out);
        break;
    case CONF_BOOL:
        buffer_append_cstr(out, *(const bool *)at ? "true" : "false");
        break;
    case CONF_TEXT:
    case CONF_PATH:
        value_print_text(*(char *const *)at, out);
        break;
    case CONF_LIST:
    case CONF_URLS:
        buffer_append_char(out, '[');
        for (size_t i = 0; i < list->count; i++) {
            buffer_append_cstr(out, i == 0 ? "" : ", ");
            value_print_text(list->items[i], out);
        }
        buffer_append_char(out, ']');
        break;
    case CONF_CHOICE:
        memcpy(&choice, at, sizeof choice);
        print_choice(row->choices, choice, out);
        break;
    }
}

bool value_equal(const struct conf_row *row, const void *a, const void *b)
{
    struct buffer text_a = {0}, text_b = {0};

    value_print(row, a, &text_a);
    value_print(row, b, &text_b);
    bool equal = span_equal(buffer_span(&text_a), buffer_span(&text_b));
    buffer_fini(&text_a);
    buffer_fini(&text_b);
    return equal;
}

static void copy_list(const struct conf_list *from, struct conf_list *to)
{
    struct conf_list list = {from->count == 0 ? NULL : bytes_zalloc(from->count * sizeof(char *)),
                             from->count};

    for (size_t i = 0; i < from->count; i++)
        list.items[i] = bytes_strdup(from->items[i]);
    list_fini(to);
    *to = list;
}

void value_copy(const struct conf_row *row, const void *from, void *to)
{
    const void *a = place_const(row, from);
    void *b = place(row, to);
    const struct conf_address *address = a;

    value_fini(row, to);
    switch (row->type) {
    case CONF_ADDR:
        *(struct conf_address *)b =
            (struct conf_address){bytes_strdup(address->text), bytes_strdup(address->host),
                                  address->port, address->loopback};
        break;
    case CONF_DURATION:
    case CONF_SIZE:
    case CONF_COUNT:
        memcpy(b, a, sizeof(uint64_t));
        break;
    case CONF_BOOL:
        memcpy(b, a, sizeof(bool));
        break;
    case CONF_TEXT:
    case CONF_PATH:
        *(char **)b = bytes_strdup(*(char *const *)a);
        break;
    case CONF_LIST:
    case CONF_URLS:
        copy_list(a, b);
        break;
    case CONF_CHOICE:
        memcpy(b, a, sizeof(unsigned));
        break;
    }
}

void value_fini(const struct conf_row *row, void *values)
{
    void *at = place(row, values);

    if (row->type == CONF_ADDR) {
        conf_address_fini(at);
    } else if (row->type == CONF_TEXT || row->type == CONF_PATH) {
        free(*(char **)at);
        *(char **)at = NULL;
    } else if (value_is_list(row)) {
        list_fini(at);
    }
}

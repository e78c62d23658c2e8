/* outcome.c - what an answer of the engine says happened to each write.
 *
 * Two parts: reading (answers into items, at memory speed) and judging (items into outcomes, by one
 * table).
 *
 * Reading. The engines write compact JSON with few, short keys, so there is a fast path for exactly
 * that: a key without escapes, a value that is a string or a whole number, nothing between.
 * Everything else (white space, objects, escapes in keys) goes through json.h, which knows all of
 * JSON; the two see the same members.
 *
 * What must hold:
 *   - An answer that is cut, or is not JSON, ends in BAD_INPUT and never in NOT_FOUND: an item that
 *     we did not see must not be taken for one that is not there.
 *   - APPLIED only with valid numbers (_seq_no >= 0, _primary_term >= 1): without them there is no
 *     row.
 *   - REFUSED only where the engines' code can no longer have executed the write. When in doubt,
 *     UNKNOWN: a probe costs a round trip, a wrong "refused" costs a document.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/outcome.h"

#include "base/json.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* ------------------------------------------------------------------------------------------------------
 * Members, quickly */

/* Behind the closing quote of the string whose content begins at AT, when it has no escape; else
 * NULL. */
static inline const char *plain_string_end(const char *at, const char *end)
{
#if defined(__SSE2__)
    const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    const __m128i control_max = _mm_set1_epi8(0x1f);
    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i found =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash));
        found = _mm_or_si128(found, _mm_cmpeq_epi8(_mm_min_epu8(bytes, control_max), bytes));
        unsigned bits = (unsigned)_mm_movemask_epi8(found);
        if (bits != 0) {
            at += __builtin_ctz(bits);
            return *at == '"' ? at + 1 : NULL;
        }
    }
#endif
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    return at < end && *at == '"' ? at + 1 : NULL;
}

/* Behind the whole number that begins at AT, or NULL when it is none of the plain kind. */
static inline const char *plain_number_end(const char *at, const char *end)
{
    const char *first = *at == '-' ? at + 1 : at;
    const char *p = first;
    while (p < end && (unsigned char)(*p - '0') < 10)
        p++;
    bool leading_zero = p - first > 1 && *first == '0';
    return p == first || p == end || leading_zero || (*p != ',' && *p != '}') ? NULL : p;
}

/* Behind the object that begins at AT, when it is compact and holds nothing but numbers; else NULL.
 */
static inline const char *plain_numbers_end(const char *at, const char *end)
{
    do {
        at++;
        if (at == end || *at != '"')
            return NULL;
        at = plain_string_end(at + 1, end);
        if (at == NULL || end - at < 3 || *at != ':')
            return NULL;
        at = plain_number_end(at + 1, end);
        if (at == NULL)
            return NULL;
    } while (*at == ',');
    return at + 1; /* plain_number_end stops at ',' or '}' only */
}

/* Behind the value that begins at AT, when it is of a plain kind; else NULL. */
static inline const char *plain_value_end(const char *at, const char *end)
{
    if (*at == '"')
        return plain_string_end(at + 1, end);
    if (*at == '{')
        return plain_numbers_end(at, end);
    if (*at == '-' || (unsigned char)(*at - '0') < 10)
        return plain_number_end(at, end);
    return NULL;
}

/* The next member of an object, as json_next_member, but at once where it has the plain form. */
static inline bool next_member(struct json_walk *walk, struct span *key, struct span *value)
{
    const char *at = walk->at, *end = walk->end;
    if (walk->failed || walk->close == '\0')
        return false;
    if (!walk->first && at < end && *at == ',')
        at++;
    else if (!walk->first)
        return json_next_member(walk, key, value);
    if (end - at < 4 || *at != '"')
        return json_next_member(walk, key, value);
    const char *name = at + 1;
    at = plain_string_end(name, end);
    if (at == NULL || end - at < 2 || *at != ':')
        return json_next_member(walk, key, value);
    const char *begin = at + 1;
    const char *stop = plain_value_end(begin, end);
    if (stop == NULL)
        return json_next_member(walk, key, value);
    *key = span_of(name, (size_t)(at - 1 - name));
    *value = span_of(begin, (size_t)(stop - begin));
    walk->first = false;
    walk->at = stop;
    return true;
}

/* Keys are compared at their known size, which the compiler turns into a load and a compare. */
#define KEY_IS(key, literal)                                                                       \
    ((key).size == sizeof(literal) - 1 && memcmp((key).data, (literal), sizeof(literal) - 1) == 0)

/* A whole number of at most 18 digits, which is nearly all of them; the rest goes to json_to_i64.
 */
static inline bool to_i64(struct span value, int64_t *number)
{
    if (value.size == 0 || value.size > 18 || value.data[0] == '-')
        return json_to_i64(value, number);
    int64_t sum = 0;
    for (size_t i = 0; i < value.size; i++) {
        if ((unsigned char)(value.data[i] - '0') > 9)
            return false;
        sum = sum * 10 + (value.data[i] - '0');
    }
    *number = sum;
    return true;
}

/* ------------------------------------------------------------------------------------------------------
 * Items */

/* Numbers as they are collected; an item has them when both are there and valid. */
struct numbers {
    int64_t seq_no, term;
};

#define NUMBERS_NONE ((struct numbers){-1, 0})
#define ITEM_NONE ((struct outcome_item){.version = -1, .created = -1, .found = -1})

/* Absent is not valid; neither are the -2 and 0 of indices whose sequence numbers are disabled. */
static inline bool numbers_valid(struct numbers numbers)
{
    return numbers.seq_no >= 0 && numbers.term >= 1;
}

static enum result result_of(struct span value)
{
    /* clang-format off */
    static const struct { struct span text; enum result result; } results[] = {
        {{"\"created\"", 9}, RESULT_CREATED},      {{"\"updated\"", 9}, RESULT_UPDATED},
        {{"\"deleted\"", 9}, RESULT_DELETED},      {{"\"not_found\"", 11}, RESULT_NOT_FOUND},
        {{"\"noop\"", 6}, RESULT_NOOP},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT_OF(results); i++)
        if (span_equal(value, results[i].text))
            return results[i].result;
    return RESULT_NONE;
}

/* The engines name `failed` last unless it is above 0. */
static bool shards_failed(struct span shards)
{
    static const char none[] = ",\"failed\":0}";
    if (shards.size > sizeof none &&
        memcmp(shards.data + shards.size - (sizeof none - 1), none, sizeof none - 1) == 0)
        return false;
    struct json_walk walk;
    struct span key, value;
    int64_t failed = 0;
    if (json_enter(&walk, shards, '{'))
        while (next_member(&walk, &key, &value))
            if (KEY_IS(key, "failed") && !to_i64(value, &failed))
                failed = 0;
    return failed > 0;
}

/* One member of an item or of a single answer. */
static inline void item_member(struct outcome_item *item, struct numbers *numbers, struct span key,
                               struct span value)
{
    int64_t number;
    if (KEY_IS(key, "_index")) {
        item->index = value;
    } else if (KEY_IS(key, "_id")) {
        item->id = value;
    } else if (KEY_IS(key, "_version")) {
        if (to_i64(value, &number))
            item->version = number;
    } else if (KEY_IS(key, "result")) {
        item->result = result_of(value);
    } else if (KEY_IS(key, "_shards")) {
        item->shards_failed = shards_failed(value);
    } else if (KEY_IS(key, "_seq_no")) {
        if (!to_i64(value, &numbers->seq_no))
            numbers->seq_no = -1;
    } else if (KEY_IS(key, "_primary_term")) {
        if (!to_i64(value, &numbers->term))
            numbers->term = 0;
    } else if (KEY_IS(key, "status")) {
        item->status = to_i64(value, &number) && number >= 0 && number <= 999 ? (int)number : 0;
    } else if (KEY_IS(key, "error")) {
        item->error = json_is_null(value) ? SPAN_NONE : value;
    } else if (KEY_IS(key, "get")) {
        item->get = value;
    } else if (KEY_IS(key, "created")) {
        item->created = json_is_true(value);
    } else if (KEY_IS(key, "found")) {
        item->found = json_is_true(value);
    }
}

/* What is left when all members are read. */
static inline void item_finish(struct outcome_item *item, struct numbers numbers)
{
    item->has_numbers = numbers_valid(numbers);
    item->seq_no = item->has_numbers ? numbers.seq_no : -1;
    item->term = item->has_numbers ? (uint64_t)numbers.term : 0;
    if (item->get.size > 0)
        item->get_source = json_member(item->get, SPAN("_source"));
}

static bool action_of(struct span key, enum bulk_action *action)
{
    if (KEY_IS(key, "index"))
        *action = BULK_INDEX;
    else if (KEY_IS(key, "create"))
        *action = BULK_CREATE;
    else if (KEY_IS(key, "update"))
        *action = BULK_UPDATE;
    else if (KEY_IS(key, "delete"))
        *action = BULK_DELETE;
    else
        return false;
    return true;
}

/* ------------------------------------------------------------------------------------------------------
 * The walk over an array within an answer */

static inline bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* Where the value begins when AT is at the key of a member; NULL when it is not, or the key has
 * escapes. */
static inline const char *skip_plain_key(const char *at, const char *end, struct span *key)
{
    at = skip_space(at, end);
    if (at == end || *at != '"')
        return NULL;
    const char *behind = plain_string_end(at + 1, end);
    if (behind == NULL)
        return NULL;
    *key = span_of(at + 1, (size_t)(behind - at - 2));
    behind = skip_space(behind, end);
    return behind < end && *behind == ':' ? skip_space(behind + 1, end) : NULL;
}

/* Where the value of the next member begins when that is NAME; else NULL. */
static const char *peek_member(const struct json_walk *members, struct span name)
{
    struct span key;
    const char *at = skip_space(members->at, members->end);
    if (!members->first) {
        if (at == members->end || *at != ',')
            return NULL;
        at++;
    }
    at = skip_plain_key(at, members->end, &key);
    return at != NULL && span_equal(key, name) ? at : NULL;
}

/* Stands the walk before the elements of the array NAME, which is not skipped as a value first:
 * that would read the whole answer twice. Members before it are seen here, those behind it when the
 * walk ends. */
static enum status walk_enter(struct outcome_walk *walk, struct span body, struct span name)
{
    struct json_walk members;
    struct span key, value;
    *walk = (struct outcome_walk){.body = body, .errors = true};
    if (!json_enter(&members, body, '{'))
        return STATUS_BAD_INPUT;
    for (;;) {
        const char *at = peek_member(&members, name);
        if (at != NULL) {
            if (at == members.end || *at != '[')
                return STATUS_BAD_INPUT;
            walk->at = at + 1;
            walk->end = members.end;
            return STATUS_OK;
        }
        if (!json_next_member(&members, &key, &value))
            return STATUS_BAD_INPUT;
        if (KEY_IS(key, "errors"))
            walk->errors = !(value.size == 5 && value.data[0] == 'f');
    }
}

/* Behind the array: the rest of the object, and nothing behind it. */
static enum status walk_leave(const struct outcome_walk *walk, const char *at)
{
    struct json_walk members = {.at = at, .end = walk->end, .close = '}'};
    struct span key, value;
    while (json_next_member(&members, &key, &value))
        ;
    if (members.failed)
        return STATUS_BAD_INPUT;
    return skip_space(members.at, walk->end) == walk->end ? STATUS_NOT_FOUND : STATUS_BAD_INPUT;
}

/* Moves to where the next element begins. OK, or NOT_FOUND at the true end of the answer. */
static inline enum status walk_element(struct outcome_walk *walk)
{
    const char *end = walk->end, *at = skip_space(walk->at, end);
    if (at == end)
        return STATUS_BAD_INPUT;
    if (*at == ']')
        return walk_leave(walk, at + 1);
    if (walk->items > 0) {
        if (*at != ',')
            return STATUS_BAD_INPUT;
        at++;
    }
    walk->at = at;
    return STATUS_OK;
}

enum status outcome_walk_init(struct outcome_walk *walk, struct span body)
{
    return walk_enter(walk, body, SPAN("items"));
}

/* Enters `{"index":{`; BEGIN is where the outer object begins. False when it does not look so. */
static inline bool enter_item(struct json_walk *members, const struct outcome_walk *walk,
                              enum bulk_action *action, const char **begin)
{
    struct span key;
    const char *end = walk->end, *at = skip_space(walk->at, end);
    if (at == end || *at != '{')
        return false;
    *begin = at;
    at = skip_plain_key(at + 1, end, &key);
    return at != NULL && action_of(key, action) &&
           json_enter(members, span_of(at, (size_t)(end - at)), '{');
}

enum status outcome_next(struct outcome_walk *walk, struct outcome_item *item)
{
    struct json_walk members;
    struct span key, value;
    struct numbers numbers = NUMBERS_NONE;
    const char *begin;
    enum status status = walk_element(walk);
    if (status != STATUS_OK)
        return status;

    *item = ITEM_NONE;
    if (!enter_item(&members, walk, &item->action, &begin))
        return STATUS_BAD_INPUT;
    while (next_member(&members, &key, &value))
        item_member(item, &numbers, key, value);
    if (members.failed)
        return STATUS_BAD_INPUT;
    const char *at = skip_space(members.at, walk->end);
    if (at == walk->end || *at != '}') /* one action in each item */
        return STATUS_BAD_INPUT;

    item_finish(item, numbers);
    item->raw = span_of(begin, (size_t)(at + 1 - begin));
    walk->at = at + 1;
    walk->items++;
    return STATUS_OK;
}

enum status outcome_single(int http_status, struct span body, struct outcome_item *item)
{
    struct json_walk members;
    struct span key, value;
    struct numbers numbers = NUMBERS_NONE;
    *item = ITEM_NONE;
    item->status = http_status;
    item->raw = body;
    if (!json_valid(body) || !json_enter(&members, body, '{'))
        return STATUS_BAD_INPUT;
    while (next_member(&members, &key, &value))
        item_member(item, &numbers, key, value);
    item->status = http_status; /* an error's body repeats it; the line of the answer counts */
    item_finish(item, numbers);
    return STATUS_OK;
}

/* A sequence number has 40 bits in the journal, and a term 23. Clients' versions may have 63:
 * milliseconds since 1970, for one, have 41. */
#define NUMBER_BITS 40
#define TERM_MAX ((UINT64_C(1) << 23) - 1)

void numbers_of_version(int64_t version, uint64_t *term, int64_t *seq_no)
{
    uint64_t high = (uint64_t)version >> NUMBER_BITS;
    *term = high < TERM_MAX ? high + 1 : TERM_MAX;
    *seq_no = version & ((INT64_C(1) << NUMBER_BITS) - 1);
}

void outcome_by_version(struct outcome_item *item)
{
    if (item->has_numbers || item->error.size > 0 || item->version < 0)
        return;
    item->has_numbers = true;
    numbers_of_version(item->version, &item->term, &item->seq_no);
    if (item->result != RESULT_NONE)
        return;
    if (item->found >= 0)
        item->result = item->found ? RESULT_DELETED : RESULT_NOT_FOUND;
    else
        item->result = item->created > 0 || item->status == 201 ? RESULT_CREATED : RESULT_UPDATED;
}

/* ------------------------------------------------------------------------------------------------------
 * Judging */

enum wants { ANY, YES, NO };

/* One rule: what it asks of an item, and what follows. The first that fits decides. */
struct rule {
    short from, to;   /* status */
    unsigned results; /* BIT(RESULT_...); 0 for any */
    enum wants error; /* is there an "error"? */
    enum wants numbers;
    const char *type; /* of the error; NULL for any */
    enum outcome outcome;
};

#define WRITTEN (BIT(RESULT_CREATED) | BIT(RESULT_UPDATED) | BIT(RESULT_DELETED))

/* clang-format off */
static const struct rule rules[] = {
    /* A success that changed nothing: an update that is a noop repeats the numbers that are there already; a document
     * dropped by its pipeline has none. Neither used a seq_no. */
    {200, 299, BIT(RESULT_NOOP), NO, ANY, NULL, OUTCOME_NOTHING},
    /* Written on the primary copy. Failed replicas (_shards.failed) are out of the in-sync set by now: applied. Without
     * numbers (2.x, 5.x, indices that disable them) it was written too, but there is no row to be made of the answer:
     * that one falls through to UNKNOWN, and is probed. */
    {200, 299, WRITTEN, NO, YES, NULL, OUTCOME_APPLIED},
    /* A delete that found nothing uses a seq_no and leaves a tombstone; a missing index is a 404 with an error. */
    {404, 404, BIT(RESULT_NOT_FOUND), NO, YES, NULL, OUTCOME_APPLIED},
    /* The shard moved away while the write was on its way to it. */
    {404, 404, 0, YES, ANY, "shard_not_found_exception", OUTCOME_UNKNOWN},
    /* No such index or alias, or an update of a document that is not there. */
    {404, 404, 0, YES, ANY, NULL, OUTCOME_REFUSED},
    /* A create or a condition that failed when it was last tried. After the loss of a node the engine tries again by
     * itself, so the first try may have been applied. */
    {409, 409, 0, ANY, ANY, NULL, OUTCOME_CONFLICT},
    /* Not understood, or refused by the mapping, a script or a missing pipeline: all before the shard writes. */
    {400, 400, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    /* Not allowed: 401, and 403 also for the block of an index or a cluster. */
    {401, 401, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    {403, 403, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    /* Method, Accept: refused by the HTTP layer. */
    {405, 406, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    /* Length required; too large; target too long; content type: refused by the HTTP layer. */
    {411, 411, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    {413, 415, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    {417, 417, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    /* Since 9.0 a time-out says 429 too, where it said 503: what another node was asked for may have been executed. */
    {429, 429, 0, YES, ANY, "timeout_exception", OUTCOME_UNKNOWN},
    {429, 429, 0, YES, ANY, "process_cluster_event_timeout_exception", OUTCOME_UNKNOWN},
    {429, 429, 0, YES, ANY, "receive_timeout_transport_exception", OUTCOME_UNKNOWN},
    /* Rejected by a full queue or a circuit breaker, before the operation on the primary copy; copies never reject. */
    {429, 429, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    {431, 431, 0, ANY, ANY, NULL, OUTCOME_REFUSED},
    /* The pipeline failed, which is before any shard is asked. */
    {500, 500, 0, YES, ANY, "fail_processor_exception", OUTCOME_REFUSED},
    {500, 500, 0, YES, ANY, "ingest_processor_exception", OUTCOME_REFUSED},
    /* All else is UNKNOWN. That includes 503 unavailable_shards_exception, although a primary that is not active executes
     * nothing: the same words come after the node of a first try died, and that try may have been executed. */
};
/* clang-format on */

static bool fits(enum wants wants, bool is)
{
    return wants == ANY || (wants == YES) == is;
}

static bool rule_fits(const struct rule *rule, const struct outcome_item *item)
{
    if (item->status < rule->from || item->status > rule->to)
        return false;
    if (rule->results != 0 && (rule->results & BIT(item->result)) == 0)
        return false;
    if (!fits(rule->error, item->error.size > 0) || !fits(rule->numbers, item->has_numbers))
        return false;
    return rule->type == NULL ||
           json_string_is(json_member(item->error, SPAN("type")), span_cstr(rule->type));
}

enum outcome outcome_judge(const struct outcome_item *item)
{
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if (rule_fits(&rules[i], item))
            return rules[i].outcome;
    return OUTCOME_UNKNOWN;
}

enum outcome outcome_judge_whole_bulk(int http_status, struct span body, bool incremental)
{
    /* Since 8.16 earlier chunks of a body may have run as bulks of their own before a later one was
     * refused. */
    if (incremental)
        return OUTCOME_UNKNOWN;
    switch (http_status) {
    case 400: /* the body could not be read: nothing of it ran */
    case 401:
    case 403:
    case 405:
    case 406:
    case 411:
    case 413:
    case 414:
    case 415:
    case 417:
    case 429: /* over the memory for bulks in flight: refused as a whole, before it is divided among
                 shards */
    case 431:
        return OUTCOME_REFUSED;
    case 503: /* no master, or the state is not recovered: seen before the bulk is divided among
                 shards */
        return json_string_is(json_path(body, "error/type"), SPAN("cluster_block_exception"))
                   ? OUTCOME_REFUSED
                   : OUTCOME_UNKNOWN;
    default:
        return OUTCOME_UNKNOWN;
    }
}

/* ------------------------------------------------------------------------------------------------------
 * Answers to _mget */

enum status mget_walk_init(struct outcome_walk *walk, struct span body)
{
    return walk_enter(walk, body, SPAN("docs"));
}

static void doc_member(struct mget_doc *doc, struct numbers *numbers, bool *answered,
                       struct span key, struct span value)
{
    int64_t number;
    if (KEY_IS(key, "_index")) {
        doc->index = value;
    } else if (KEY_IS(key, "_id")) {
        doc->id = value;
    } else if (KEY_IS(key, "_routing")) {
        doc->routing = value;
    } else if (KEY_IS(key, "found")) {
        doc->found = json_is_true(value);
        *answered = true;
    } else if (KEY_IS(key, "error")) {
        doc->error = value;
    } else if (KEY_IS(key, "_seq_no")) {
        if (!to_i64(value, &numbers->seq_no))
            numbers->seq_no = -1;
    } else if (KEY_IS(key, "_primary_term")) {
        if (!to_i64(value, &numbers->term))
            numbers->term = 0;
    } else if (KEY_IS(key, "_version")) {
        if (to_i64(value, &number))
            doc->version = number;
    } else if (KEY_IS(key, "_source")) {
        doc->source = value;
    }
}

enum status mget_next(struct outcome_walk *walk, struct mget_doc *doc)
{
    struct json_walk members;
    struct span key, value;
    struct numbers numbers = NUMBERS_NONE;
    bool answered = false;
    enum status status = walk_element(walk);
    if (status != STATUS_OK)
        return status;

    *doc = (struct mget_doc){.version = -1};
    if (!json_enter(&members, span_of(walk->at, (size_t)(walk->end - walk->at)), '{'))
        return STATUS_BAD_INPUT;
    while (next_member(&members, &key, &value))
        doc_member(doc, &numbers, &answered, key, value);
    if (members.failed)
        return STATUS_BAD_INPUT;
    doc->failed =
        doc->error.size > 0 || !answered; /* neither found nor not found: nothing is known */
    doc->has_numbers = numbers_valid(numbers);
    doc->seq_no = doc->has_numbers ? numbers.seq_no : -1;
    doc->term = doc->has_numbers ? (uint64_t)numbers.term : 0;
    walk->at = members.at;
    walk->items++;
    return STATUS_OK;
}

void mget_by_version(struct mget_doc *doc)
{
    if (doc->has_numbers || !doc->found || doc->version < 0)
        return;
    doc->has_numbers = true;
    numbers_of_version(doc->version, &doc->term, &doc->seq_no);
}

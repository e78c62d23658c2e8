/* journal_test.c - one suite for every implementation: what journal.h promises, each keeps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal/journal.h"

/* A journal that can be opened again and again. */
struct fixture {
    bool lmdb;
    struct memory_disk *disk; /* owned, of the memory journal */
    char folder[256];         /* of the LMDB journal */
    struct journal *journal;  /* owned, opened for writing; NULL while closed */
    struct buffer out;
};

static struct journal *open_writer(struct fixture *fx)
{
    struct journal_options options = {
        .folder = fx->folder, .create = true, .size_max = 64u << 20, .sync = true};
    struct journal *journal = NULL;
    char why[256] = "";

    if (!fx->lmdb)
        assert_int_equal(journal_open_memory(fx->disk, false, &journal), STATUS_OK);
    else if (journal_open_lmdb(&options, &journal, why, sizeof why) != STATUS_OK)
        fail_msg("cannot open the journal in %s: %s", fx->folder, why);
    return journal;
}

static void reopen(struct fixture *fx)
{
    journal_close(fx->journal);
    fx->journal = open_writer(fx);
}

static int setup(void **state, bool lmdb)
{
    struct fixture *fx = bytes_zalloc(sizeof *fx);
    const char *parent = getenv("TMPDIR");

    fx->lmdb = lmdb;
    if (lmdb) {
        snprintf(fx->folder, sizeof fx->folder, "%s/journal_test.XXXXXX",
                 parent != NULL ? parent : P_tmpdir);
        assert_non_null(mkdtemp(fx->folder));
    } else {
        fx->disk = memory_disk_new();
    }
    fx->journal = open_writer(fx);
    *state = fx;
    return 0;
}

static int setup_lmdb(void **state)
{
    return setup(state, true);
}

static int setup_memory(void **state)
{
    return setup(state, false);
}

static int teardown(void **state)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "lock.tandem"};
    struct fixture *fx = *state;
    char path[300];

    journal_close(fx->journal);
    memory_disk_free(fx->disk);
    for (size_t i = 0; fx->lmdb && i < COUNT_OF(files); i++) {
        snprintf(path, sizeof path, "%s/%s", fx->folder, files[i]);
        unlink(path);
    }
    if (fx->lmdb)
        rmdir(fx->folder);
    buffer_fini(&fx->out);
    free(fx);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------
 * Helpers. */

static struct record row_of(struct span source)
{
    struct record record = {.header = {.kind = RECORD_ROW, .timeline = 1}};

    record.row = (struct row){.op = ROW_INDEX,
                              .proof = ROW_ANSWERED,
                              .incarnation = 1,
                              .term = 1,
                              .id = SPAN("id"),
                              .content = CONTENT_JSON,
                              .source = source};
    return record;
}

static struct journal_txn *begin(struct fixture *fx)
{
    struct journal_txn *txn;

    assert_int_equal(journal_begin(fx->journal, &txn), STATUS_OK);
    return txn;
}

static uint64_t append(struct journal_txn *txn, struct span source)
{
    struct record record = row_of(source);
    uint64_t seq;

    assert_int_equal(journal_append(txn, &record, &seq), STATUS_OK);
    assert_int_equal(record.header.seq, seq);
    return seq;
}

/* Appends COUNT small records in one transaction. */
static void append_many(struct fixture *fx, size_t count)
{
    struct journal_txn *txn = begin(fx);

    for (size_t i = 0; i < count; i++)
        append(txn, SPAN("{\"n\":1}"));
    assert_int_equal(journal_commit(txn), STATUS_OK);
}

static struct journal_info info_of(struct fixture *fx)
{
    struct journal_info info;

    journal_info(fx->journal, &info);
    return info;
}

/* Reads everything from FROM on, MAX_RECORDS at a time, checks each record, and returns how many
 * there were. */
static uint64_t read_all(struct fixture *fx, uint64_t from, size_t max_records, size_t max_bytes)
{
    uint64_t seq = from;
    size_t count;

    for (;;) {
        assert_int_equal(journal_read(fx->journal, seq, max_records, max_bytes, &fx->out, &count),
                         STATUS_OK);
        if (count == 0)
            return seq - from;
        assert_true(count <= max_records);
        assert_true(count == 1 || fx->out.size <= max_bytes);
        struct span rest = buffer_span(&fx->out);
        for (size_t i = 0; i < count; i++, seq++) {
            struct record record;
            size_t used;
            assert_int_equal(record_decode(rest, &record, &used), STATUS_OK);
            assert_int_equal(record.header.seq, seq);
            rest = span_of(rest.data + used, rest.size - used);
        }
        assert_int_equal(rest.size, 0);
    }
}

static void say_finding(void *arg, const char *text)
{
    (void)arg;
    print_error("finding: %s\n", text);
}

static void assert_sound(struct fixture *fx)
{
    assert_int_equal(journal_check(fx->journal, say_finding, NULL), STATUS_OK);
}

static void put(struct fixture *fx, enum journal_table table, struct span key, struct span value)
{
    struct journal_txn *txn = begin(fx);

    assert_int_equal(journal_put(txn, table, key, value), STATUS_OK);
    assert_int_equal(journal_commit(txn), STATUS_OK);
}

static bool has(struct fixture *fx, enum journal_table table, struct span key, struct span value)
{
    buffer_clear(&fx->out);
    return journal_get(fx->journal, table, key, &fx->out) == STATUS_OK &&
           span_equal(buffer_span(&fx->out), value);
}

/* ------------------------------------------------------------------------------------------------------
 * The claims. */

static void a_new_journal_is_empty(void **state)
{
    struct fixture *fx = *state;
    struct journal_info info = info_of(fx);

    assert_int_equal(info.boot, 1);
    assert_int_equal(info.first_seq, 1);
    assert_int_equal(info.last_seq, 0);
    assert_int_equal(info.oldest_time_us, 0);
    assert_true(info.append_max <= info.size_max && info.used_bytes < info.append_max);
    assert_int_equal(read_all(fx, 1, 10, 1000), 0);
    assert_sound(fx);
}

static void records_get_dense_numbers_and_come_back_in_order(void **state)
{
    struct fixture *fx = *state;
    uint64_t expected = 1;

    for (size_t size = 1; size <= 40; size++) {
        struct journal_txn *txn = begin(fx);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(append(txn, SPAN("{}")), expected++);
        assert_int_equal(journal_commit(txn), STATUS_OK);
    }
    assert_int_equal(info_of(fx).last_seq, expected - 1);
    for (uint64_t from = 1; from <= expected; from++)
        assert_int_equal(read_all(fx, from, 256, 1u << 20), expected - from);
    assert_int_equal(read_all(fx, 1, 1, 1u << 20), expected - 1);
    assert_int_equal(read_all(fx, 1, 7, 500), expected - 1);
    assert_int_equal(read_all(fx, 1, 1000, 0), expected - 1);
    assert_sound(fx);
}

static uint64_t test_clock(void *arg)
{
    return (*(uint64_t *)arg)++;
}

static void a_record_carries_journal_boot_and_time(void **state)
{
    struct fixture *fx = *state;
    struct record record;
    uint64_t now = 1000;
    size_t count, used;

    reopen(fx);
    journal_set_clock(fx->journal, test_clock, &now);
    append_many(fx, 2);
    assert_int_equal(journal_read(fx->journal, 2, 1, 0, &fx->out, &count), STATUS_OK);
    assert_int_equal(count, 1);
    assert_int_equal(record_decode(buffer_span(&fx->out), &record, &used), STATUS_OK);
    struct journal_info info = info_of(fx);
    assert_memory_equal(&record.header.journal, &info.id, sizeof info.id);
    assert_int_equal(record.header.boot, 2);
    assert_int_equal(record.header.seq, 2);
    assert_int_equal(record.header.time_us, 1001);
    assert_int_equal(info.oldest_time_us, 1000);
}

static void numbers_stay_dense_over_aborts_and_reopening(void **state)
{
    struct fixture *fx = *state;
    struct journal_info first = info_of(fx);

    for (int round = 1; round <= 5; round++) {
        append_many(fx, 3);
        struct journal_txn *txn = begin(fx);
        append(txn, SPAN("{}"));
        journal_abort(txn);
        reopen(fx);
        struct journal_info info = info_of(fx);
        assert_int_equal(info.last_seq, 3 * round);
        assert_int_equal(info.boot, 1 + round);
        assert_memory_equal(&info.id, &first.id, sizeof info.id);
    }
    assert_int_equal(read_all(fx, 1, 256, 1u << 20), 15);
    assert_sound(fx);
}

static void nothing_of_an_open_transaction_can_be_seen(void **state)
{
    struct fixture *fx = *state;

    put(fx, JOURNAL_STATE, SPAN("old"), SPAN("1"));
    struct journal_txn *txn = begin(fx);
    append(txn, SPAN("{}"));
    assert_int_equal(journal_put(txn, JOURNAL_STATE, SPAN("new"), SPAN("2")), STATUS_OK);
    assert_int_equal(journal_delete(txn, JOURNAL_STATE, SPAN("old")), STATUS_OK);
    assert_int_equal(info_of(fx).last_seq, 0);
    assert_int_equal(read_all(fx, 1, 10, 1000), 0);
    assert_true(has(fx, JOURNAL_STATE, SPAN("old"), SPAN("1")));
    assert_false(has(fx, JOURNAL_STATE, SPAN("new"), SPAN("2")));
    assert_int_equal(journal_commit(txn), STATUS_OK);
    assert_int_equal(read_all(fx, 1, 10, 1000), 1);
    assert_false(has(fx, JOURNAL_STATE, SPAN("old"), SPAN("1")));
    assert_true(has(fx, JOURNAL_STATE, SPAN("new"), SPAN("2")));
}

static void closing_with_an_open_transaction_keeps_nothing_of_it(void **state)
{
    struct fixture *fx = *state;

    append_many(fx, 2);
    struct journal_txn *txn = begin(fx);
    append(txn, SPAN("{}"));
    assert_int_equal(journal_put(txn, JOURNAL_STATE, SPAN("k"), SPAN("v")), STATUS_OK);
    reopen(fx);
    assert_int_equal(info_of(fx).last_seq, 2);
    assert_false(has(fx, JOURNAL_STATE, SPAN("k"), SPAN("v")));
}

static void reading_beyond_the_end_is_an_error_and_at_it_nothing(void **state)
{
    struct fixture *fx = *state;
    size_t count;

    append_many(fx, 3);
    assert_int_equal(journal_read(fx->journal, 4, 10, 10, &fx->out, &count), STATUS_OK);
    assert_int_equal(count, 0);
    assert_int_equal(journal_read(fx->journal, 5, 10, 10, &fx->out, &count), STATUS_JOURNAL_BROKEN);
}

struct scanned {
    char text[200];
    size_t left;
};

static bool scan_each(void *arg, struct span key, struct span value)
{
    struct scanned *scanned = arg;
    size_t at = strlen(scanned->text);

    snprintf(scanned->text + at, sizeof scanned->text - at, "%.*s=%.*s ", (int)key.size, key.data,
             (int)value.size, value.data);
    return --scanned->left > 0;
}

static void scan(struct fixture *fx, struct span from, size_t max, struct scanned *scanned)
{
    *scanned = (struct scanned){.left = max};
    assert_int_equal(journal_scan(fx->journal, JOURNAL_WATCH, from, scan_each, scanned), STATUS_OK);
}

static void tables_keep_their_keys_in_order(void **state)
{
    struct fixture *fx = *state;
    struct scanned scanned;

    put(fx, JOURNAL_WATCH, SPAN("b"), SPAN("2"));
    put(fx, JOURNAL_WATCH, SPAN("a"), SPAN("1"));
    put(fx, JOURNAL_WATCH, SPAN("ab"), SPAN(""));
    put(fx, JOURNAL_WATCH, SPAN("\xff"), SPAN("4"));
    put(fx, JOURNAL_WATCH, SPAN("b"), SPAN("3"));
    put(fx, JOURNAL_STATE, SPAN("b"), SPAN("another table"));
    scan(fx, SPAN_NONE, 100, &scanned);
    assert_string_equal(scanned.text, "a=1 ab= b=3 \xff=4 ");
    scan(fx, SPAN("aa"), 100, &scanned);
    assert_string_equal(scanned.text, "ab= b=3 \xff=4 ");
    scan(fx, SPAN("ab"), 2, &scanned);
    assert_string_equal(scanned.text, "ab= b=3 ");

    struct journal_txn *txn = begin(fx);
    assert_int_equal(journal_delete(txn, JOURNAL_WATCH, SPAN("ab")), STATUS_OK);
    assert_int_equal(journal_delete(txn, JOURNAL_WATCH, SPAN("nothing")), STATUS_OK);
    assert_int_equal(journal_commit(txn), STATUS_OK);
    scan(fx, SPAN_NONE, 100, &scanned);
    assert_string_equal(scanned.text, "a=1 b=3 \xff=4 ");
    buffer_clear(&fx->out);
    assert_int_equal(journal_get(fx->journal, JOURNAL_WATCH, SPAN("ab"), &fx->out),
                     STATUS_NOT_FOUND);
}

static void values_of_any_size_come_back(void **state)
{
    static const size_t sizes[] = {0, 1, 4000, 262143, 262144, 262145, 1048576, 5000000, 16, 17};
    struct fixture *fx = *state;
    char *bytes = bytes_alloc(5000000);

    for (size_t i = 0; i < 5000000; i++)
        bytes[i] = (char)(i * 2654435761u >> 24);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) { /* each replaces the one before */
        put(fx, JOURNAL_DEFINITIONS, SPAN("k"), span_of(bytes, sizes[i]));
        assert_true(has(fx, JOURNAL_DEFINITIONS, SPAN("k"), span_of(bytes, sizes[i])));
    }
    put(fx, JOURNAL_STATE, SPAN("large"), span_of(bytes, 5000000));
    struct journal_txn *txn = begin(fx);
    assert_int_equal(journal_delete(txn, JOURNAL_STATE, SPAN("large")), STATUS_OK);
    assert_int_equal(journal_delete(txn, JOURNAL_DEFINITIONS, SPAN("k")), STATUS_OK);
    assert_int_equal(journal_commit(txn), STATUS_OK);
    assert_sound(fx);
    free(bytes);
}

static void trimming_drops_old_records_and_only_those(void **state)
{
    struct fixture *fx = *state;
    uint64_t trimmed, first = 1;
    size_t count;

    for (int i = 0; i < 50; i++)
        append_many(fx, 10);
    put(fx, JOURNAL_DEFINITIONS, SPAN("a/b"), SPAN("never trimmed"));
    while (first < 301) {
        assert_int_equal(journal_trim(fx->journal, 301, 64, &trimmed), STATUS_OK);
        assert_in_range(trimmed, 1, 80);
        first += trimmed;
        assert_int_equal(info_of(fx).first_seq, first);
    }
    assert_int_equal(first, 301);
    assert_int_equal(journal_trim(fx->journal, 301, 64, &trimmed), STATUS_OK);
    assert_int_equal(trimmed, 0);
    assert_int_equal(journal_read(fx->journal, 300, 1, 1, &fx->out, &count), STATUS_NOT_FOUND);
    assert_int_equal(read_all(fx, 301, 256, 1u << 20), 200);
    assert_true(has(fx, JOURNAL_DEFINITIONS, SPAN("a/b"), SPAN("never trimmed")));
}

static void a_journal_trimmed_to_the_end_goes_on_with_its_numbers(void **state)
{
    struct fixture *fx = *state;
    uint64_t trimmed;

    append_many(fx, 10);
    assert_int_equal(journal_trim(fx->journal, 1000, 1000, &trimmed), STATUS_OK);
    assert_int_equal(trimmed, 10);
    for (int i = 0; i < 2; i++, reopen(fx)) {
        assert_int_equal(info_of(fx).first_seq, 11);
        assert_int_equal(info_of(fx).last_seq, 10);
        assert_int_equal(info_of(fx).oldest_time_us, 0);
        assert_int_equal(read_all(fx, 11, 10, 1000), 0);
    }
    append_many(fx, 1);
    assert_int_equal(info_of(fx).last_seq, 11);
    assert_true(info_of(fx).oldest_time_us > 0);
    assert_int_equal(read_all(fx, 11, 10, 1000), 1);
    assert_sound(fx);
}

static void the_check_finds_what_contradicts_itself(void **state)
{
    struct fixture *fx = *state;
    struct buffer bytes = {0};
    struct intent intent = {.number = 7};
    uint8_t key[8], position[8];

    put_u64be(key, 8);
    intent_encode(&bytes, &intent);
    put(fx, JOURNAL_INTENTS, span_of((char *)key, 8), buffer_span(&bytes));
    assert_int_equal(journal_check(fx->journal, say_finding, NULL), STATUS_JOURNAL_BROKEN);
    put_u64be(key, 7);
    put(fx, JOURNAL_INTENTS, span_of((char *)key, 8), buffer_span(&bytes));
    put_u64be(key, 8);
    struct journal_txn *txn = begin(fx);
    assert_int_equal(journal_delete(txn, JOURNAL_INTENTS, span_of((char *)key, 8)), STATUS_OK);
    assert_int_equal(journal_commit(txn), STATUS_OK);
    assert_sound(fx);
    put_u64le(position, 1);
    put(fx, JOURNAL_STANDBYS, SPAN("b"), span_of((char *)position, 8));
    assert_int_equal(journal_check(fx->journal, say_finding, NULL), STATUS_JOURNAL_BROKEN);
    append_many(fx, 1);
    assert_sound(fx);
    put(fx, JOURNAL_DEFINITIONS, SPAN("index/u"), SPAN("not a record"));
    assert_int_equal(journal_check(fx->journal, say_finding, NULL), STATUS_JOURNAL_BROKEN);
    buffer_fini(&bytes);
}

static void a_second_writer_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct journal_options options = {.folder = fx->folder, .size_max = 64u << 20};
    struct journal *second = NULL;
    char why[256] = "", holder[64];

    if (fx->lmdb) {
        assert_int_equal(journal_open_lmdb(&options, &second, why, sizeof why),
                         STATUS_JOURNAL_IN_USE);
        snprintf(holder, sizeof holder, "process %ld ", (long)getpid());
        assert_non_null(strstr(why, holder));
    } else {
        assert_int_equal(journal_open_memory(fx->disk, false, &second), STATUS_JOURNAL_IN_USE);
        assert_int_equal(journal_open_memory(fx->disk, true, &second), STATUS_OK);
        journal_close(second);
        second = NULL;
    }
    assert_null(second);
    append_many(fx, 1); /* the first one goes on */
}

#define ROUNDS 300

/* Reads the journal again and again while it grows and is trimmed; ends when it has seen the last
 * record. */
static void *reads_along(void *arg)
{
    struct fixture *fx = arg;
    struct buffer bytes = {0};
    struct journal_info info;
    uint64_t seq = 1, wrong = 0;
    size_t count, used;

    while (seq <= 3 * ROUNDS && wrong == 0) {
        enum status status = journal_read(fx->journal, seq, 10, 10000, &bytes, &count);
        journal_info(fx->journal, &info);
        if (status == STATUS_NOT_FOUND && info.first_seq > seq) {
            seq = info.first_seq;
            continue;
        }
        wrong += status != STATUS_OK;
        struct span rest = buffer_span(&bytes);
        for (size_t i = 0; i < count; i++, seq++) {
            struct record record;
            wrong += record_decode(rest, &record, &used) != STATUS_OK || record.header.seq != seq;
            rest = span_of(rest.data + used, rest.size - used);
        }
    }
    buffer_fini(&bytes);
    return wrong == 0 ? fx : NULL;
}

static void other_threads_read_while_it_is_written(void **state)
{
    struct fixture *fx = *state;
    pthread_t threads[2];
    uint64_t trimmed;
    void *result;

    for (size_t i = 0; i < COUNT_OF(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reads_along, fx), 0);
    for (int i = 0; i < ROUNDS; i++) {
        append_many(fx, 3);
        if (i % 50 == 49)
            assert_int_equal(journal_trim(fx->journal, 2 * (uint64_t)i, 1000, &trimmed), STATUS_OK);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_non_null(result);
    }
}

static void a_model_disk_fails_when_told_to(void **state)
{
    struct fixture *fx = *state;

    append_many(fx, 1);
    memory_disk_fail(fx->disk, STATUS_JOURNAL_FULL, 2);
    for (int i = 0; i < 2; i++) {
        struct journal_txn *txn = begin(fx);
        append(txn, SPAN("{}"));
        assert_int_equal(journal_put(txn, JOURNAL_STATE, SPAN("k"), SPAN("v")), STATUS_OK);
        assert_int_equal(journal_commit(txn), STATUS_JOURNAL_FULL);
        assert_false(has(fx, JOURNAL_STATE, SPAN("k"), SPAN("v")));
    }
    append_many(fx, 1);
    assert_int_equal(info_of(fx).last_seq, 2);

    memory_disk_fail(fx->disk, STATUS_JOURNAL_IO, 1);
    struct journal_txn *txn = begin(fx);
    append(txn, SPAN("{}"));
    assert_int_equal(journal_commit(txn), STATUS_JOURNAL_IO);
    assert_int_equal(journal_begin(fx->journal, &txn), STATUS_JOURNAL_IO); /* for good */
    reopen(fx);
    append_many(fx, 1);
    assert_int_equal(info_of(fx).last_seq, 3);
}

#define CLAIM_OF(claim, where)                                                                     \
    {                                                                                              \
        .name = #claim " (" #where ")", .test_func = claim, .setup_func = setup_##where,           \
        .teardown_func = teardown                                                                  \
    }
#define CLAIM(claim) CLAIM_OF(claim, memory), CLAIM_OF(claim, lmdb)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_new_journal_is_empty),
        CLAIM(records_get_dense_numbers_and_come_back_in_order),
        CLAIM(a_record_carries_journal_boot_and_time),
        CLAIM(numbers_stay_dense_over_aborts_and_reopening),
        CLAIM(nothing_of_an_open_transaction_can_be_seen),
        CLAIM(closing_with_an_open_transaction_keeps_nothing_of_it),
        CLAIM(reading_beyond_the_end_is_an_error_and_at_it_nothing),
        CLAIM(tables_keep_their_keys_in_order),
        CLAIM(values_of_any_size_come_back),
        CLAIM(trimming_drops_old_records_and_only_those),
        CLAIM(a_journal_trimmed_to_the_end_goes_on_with_its_numbers),
        CLAIM(the_check_finds_what_contradicts_itself),
        CLAIM(a_second_writer_is_refused),
        CLAIM(other_threads_read_while_it_is_written),
        CLAIM_OF(a_model_disk_fails_when_told_to, memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

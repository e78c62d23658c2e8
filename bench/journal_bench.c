/* journal_bench.c - records per second by the size of a commit, and what a lone commit takes.
 *
 *     journal_bench FOLDER [RECORD_BYTES]
 *
 * FOLDER must not exist, lies on the disk to be measured, and is left behind. Each row runs for
 * about a second, synced, as the proxy does it; the last one is without sync, to tell the disk's
 * part from ours. Absolute numbers are the disk's: compare rows of one run.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "journal/journal.h"

#define MIB (1ull << 20)
#define COMMITS_MAX 200000
#define RUN_US 1000000

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

/* One commit of COUNT rows, each with a look for the intent it closes. */
static void commit_rows(struct journal *journal, size_t count, struct span source)
{
    struct journal_txn *txn;
    uint64_t seq;
    char key[8];

    CHECK(journal_begin(journal, &txn) == STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        struct record record = {.header = {.kind = RECORD_ROW, .timeline = 1}};
        record.row = (struct row){.op = ROW_INDEX,
                                  .proof = ROW_ANSWERED,
                                  .incarnation = 1,
                                  .term = 1,
                                  .id = SPAN("an-id-of-20-bytes-it"),
                                  .content = CONTENT_JSON,
                                  .source = source};
        CHECK(journal_append(txn, &record, &seq) == STATUS_OK);
        put_u64be(key, seq);
        CHECK(journal_delete(txn, JOURNAL_INTENTS, span_of(key, sizeof key)) == STATUS_OK);
    }
    CHECK(journal_commit(txn) == STATUS_OK);
}

/* Keeps the journal small, as retention does; not part of what is measured. */
static void trim(struct journal *journal)
{
    struct journal_info info;
    uint64_t trimmed = 1;

    journal_info(journal, &info);
    while (info.used_bytes > info.size_max / 4 && trimmed > 0)
        CHECK(journal_trim(journal, info.last_seq, 1000, &trimmed) == STATUS_OK);
}

static void run(struct journal *journal, const char *name, size_t count, struct span source)
{
    static uint32_t took_us[COMMITS_MAX];
    uint64_t spent_us = 0;
    size_t commits = 0;

    while (spent_us < RUN_US && commits < COMMITS_MAX) {
        uint64_t begin_us = now_us();
        commit_rows(journal, count, source);
        took_us[commits] = (uint32_t)(now_us() - begin_us);
        spent_us += took_us[commits++];
        if (commits % 16 == 0)
            trim(journal);
    }
    trim(journal);
    qsort(took_us, commits, sizeof took_us[0], by_value);
    printf("%-8s %6zu %12.0f %12.0f %10" PRIu32 " %10" PRIu32 "\n", name, count,
           (double)(commits * count) * 1e6 / (double)spent_us,
           (double)commits * 1e6 / (double)spent_us, took_us[commits / 2],
           took_us[commits * 99 / 100]);
}

static struct journal *open_at(const char *folder, bool sync)
{
    struct journal_options options = {
        .folder = folder, .create = true, .size_max = 1024 * MIB, .sync = sync};
    struct journal *journal = NULL;
    char why[256];

    if (journal_open_lmdb(&options, &journal, why, sizeof why) != STATUS_OK) {
        fprintf(stderr, "journal_bench: %s\n", why);
        exit(2);
    }
    return journal;
}

int main(int argc, char **argv)
{
    static const size_t counts[] = {1, 4, 16, 64, 256, 1024};
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 10) : 1024;
    char *source = bytes_alloc(size + 1);

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: journal_bench FOLDER [RECORD_BYTES]\n");
        return 2;
    }
    memset(source, 'x', size);
    printf("%zu bytes a record\n%-8s %6s %12s %12s %10s %10s\n", size, "", "batch", "records/s",
           "commits/s", "p50_us", "p99_us");
    struct journal *journal = open_at(argv[1], true);
    for (size_t i = 0; i < COUNT_OF(counts); i++)
        run(journal, "synced", counts[i], span_of(source, size));
    journal_close(journal);
    journal = open_at(argv[1], false);
    run(journal, "unsynced", 64, span_of(source, size));
    journal_close(journal);
    free(source);
    return 0;
}

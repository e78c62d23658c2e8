/* journal_ops.h - what journal.c asks of an implementation of the journal.
 *
 * journal.c numbers and encodes records, and keeps the rules that are the same for all; an
 * implementation keeps bytes. Only lib/journal includes this.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_JOURNAL_OPS_H
#define TANDEM_JOURNAL_JOURNAL_OPS_H

#include "journal/journal.h"

#define JOURNAL_KEY_MAX 511 /* bytes: LMDB takes no longer ones */
#define WHY_SIZE 256

typedef void (*journal_say_fn)(void *arg, const char *text);

struct journal_ops {
    void (*close)(struct journal *journal);
    void (*info)(struct journal *journal, struct journal_info *info);
    unsigned (*reader_check)(struct journal *journal);
    /* Begins txn (zeroed memory of txn_size bytes; journal and bytes are set). */
    enum status (*begin)(struct journal_txn *txn);
    /* Is there room for all of txn->bytes? */
    enum status (*room)(struct journal_txn *txn);
    enum status (*put)(struct journal_txn *txn, enum journal_table table, struct span key,
                       struct span value);
    enum status (*remove)(struct journal_txn *txn, enum journal_table table, struct span key);
    /* Does the disk have room for so many bytes of records? NULL: it always has. */
    enum status (*disk_room)(struct journal *journal, uint64_t more);
    /* Ends txn; on OK journal->last_seq has been raised by txn->count. */
    enum status (*commit)(struct journal_txn *txn);
    void (*abort)(struct journal_txn *txn);
    enum status (*trim)(struct journal *journal, uint64_t keep_from, uint64_t max,
                        uint64_t *trimmed);
    enum status (*read)(struct journal *journal, uint64_t from, size_t max_records,
                        size_t max_bytes, struct buffer *out, size_t *count);
    enum status (*get)(struct journal *journal, enum journal_table table, struct span key,
                       struct buffer *value);
    enum status (*scan)(struct journal *journal, enum journal_table table, struct span from,
                        journal_each_fn each, void *arg);
    /* Checks what only the implementation knows; NULL: nothing. */
    enum status (*check)(struct journal *journal, journal_say_fn say, void *arg);
    size_t txn_size; /* of its transaction, which begins with a struct journal_txn */
};

/* An implementation's journal begins with this. */
struct journal {
    const struct journal_ops *ops;
    uint64_t (*clock_us)(void *arg);
    void *clock_arg;
    struct journal_txn *txn; /* the open one, owned; NULL when there is none */
    struct buffer spare;     /* memory of the last transaction's records, for the next */
    bool read_only;
    struct journal_id id;
    uint64_t boot;
    uint64_t last_seq; /* durable; the writer's thread only (readers ask info) */
    char why[WHY_SIZE];
};

struct journal_txn {
    struct journal *journal; /* borrowed */
    enum status failed;      /* the first failure: everything after it fails alike */
    struct buffer bytes;     /* owned: the records appended, back to back */
    uint64_t first_seq;      /* of bytes */
    uint64_t count;          /* records in bytes */
};

/* Sets up the shared part. */
void journal_init(struct journal *journal, const struct journal_ops *ops, bool read_only);
/* Notes why something failed, for journal_why; returns STATUS. */
enum status journal_fail(struct journal *journal, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
const char *journal_table_name(enum journal_table table);

#endif

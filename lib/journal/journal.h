/* journal.h - the promises both daemons rely on.
 *
 * A journal is the dense, numbered sequence of records that one proxy wrote, and a few small tables that belong to
 * it. It is written by one process, one thread at a time, in transactions: what one transaction appends, puts and
 * deletes becomes durable together, when journal_commit returns OK, and never in part. It may be read by others.
 *
 * Implementations: journal_lmdb.c (a folder on the local disk) and journal_memory.c (a model disk for the simulation,
 * which can lose what was not committed). Kafka follows later behind the same interface.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_JOURNAL_H
#define TANDEM_JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"
#include "journal/record.h"

struct journal;
struct journal_txn;

/* The tables beside the records. Keys sort as bytes. */
enum journal_table {
    JOURNAL_INTENTS,     /* number (8 bytes, big-endian) -> intent (record.h) */
    JOURNAL_SWEEPS,      /* number of an intent without items -> the write by query that it stands for (proxy/sweep.c) */
    JOURNAL_WATCH,       /* key of a watched id -> what is known of it (proxy/doubt.c) */
    JOURNAL_DEFINITIONS, /* type '/' name -> the newest metadata record of each object, whole; never trimmed */
    JOURNAL_STANDBYS,    /* name of a standby -> its position here (8 bytes, little-endian seq; then text) */
    JOURNAL_STATE,       /* name -> value: counters and facts of the proxy (system id, cluster uuid, confirmed seq ...) */
    JOURNAL_TABLES,
};

struct journal_options {
    const char *folder;      /* LMDB: the journal's folder; made when it is missing and create is set */
    bool create;             /* make a new journal where there is none; else JOURNAL_MISSING */
    bool read_only;          /* another process's reader: takes no lock, writes nothing, numbers nothing */
    uint64_t size_max;       /* LMDB: the disk quota in bytes (the map) */
    bool sync;               /* false only for benchmarks */
};

struct journal_info {
    struct journal_id id;
    uint64_t boot;       /* of the present writer: raised at each open for writing */
    uint64_t first_seq;  /* oldest record kept; last_seq + 1 when there is none */
    uint64_t last_seq;   /* newest durable record; 0 when there never was one */
    uint64_t used_bytes; /* of size_max: pages in use, not the file's size */
    uint64_t size_max;
    uint64_t append_max; /* appends are refused (JOURNAL_FULL) above this many used bytes; what is left is for
                          * trimming and for closing what is open */
    uint64_t oldest_time_us; /* commit time of the oldest record kept; 0 when there is none */
};

/* Opens the LMDB journal in options->folder. JOURNAL_IN_USE, JOURNAL_MISSING, JOURNAL_BROKEN, JOURNAL_IO: WHY (of
 * WHY_SIZE bytes) says the reason and what to do. On OK the caller owns *journal and ends it with journal_close. */
MUST_USE enum status journal_open_lmdb(const struct journal_options *options, struct journal **journal,
                                       char *why, size_t why_size);
/* A model disk. It survives journal_close; a crash of the process is a journal_close with the transaction still open:
 * nothing of that transaction is kept. Disks get the ids 1, 2, 3 ... in the order they are made; a simulation
 * that must repeat itself exactly gives its own. */
struct memory_disk;
struct memory_disk *memory_disk_new(void);
void memory_disk_free(struct memory_disk *disk);
void memory_disk_identify(struct memory_disk *disk, const struct journal_id *id);
MUST_USE enum status journal_open_memory(struct memory_disk *disk, bool read_only, struct journal **journal);
/* The next COUNT commits of DISK fail with STATUS (JOURNAL_FULL, JOURNAL_IO). */
void memory_disk_fail(struct memory_disk *disk, enum status status, unsigned count);

/* An open transaction is dropped. */
void journal_close(struct journal *journal);
void journal_info(struct journal *journal, struct journal_info *info);
/* Why the last call that failed did so, for the log: a sentence of its own; never NULL. The writer's thread only. */
const char *journal_why(const struct journal *journal);
/* Where the time in records comes from: the wall clock, until the simulation or a test gives its own. */
void journal_set_clock(struct journal *journal, uint64_t (*clock_us)(void *arg), void *arg);
/* Frees what readers that died still hold (it would keep the journal from using its pages again); returns how many there
 * were. Done at each open too. */
unsigned journal_reader_check(struct journal *journal);

/* ------------------------------------------------------------------------------------------------------
 * Writing: the owner's process, one transaction at a time. */

MUST_USE enum status journal_begin(struct journal *journal, struct journal_txn **txn);
/* Gives RECORD its seq, journal, boot and time (timeline, kind and content are the caller's) and appends it. *SEQ: the number. */
MUST_USE enum status journal_append(struct journal_txn *txn, struct record *record, uint64_t *seq);
MUST_USE enum status journal_put(struct journal_txn *txn, enum journal_table table, struct span key,
                                 struct span value);
/* OK too when there is no such key. */
MUST_USE enum status journal_delete(struct journal_txn *txn, enum journal_table table, struct span key);
/* Durable when it returns OK. JOURNAL_FULL: nothing of it is there, the journal is as before and goes on.
 * JOURNAL_IO: nothing may be acknowledged any more; the process must end. TXN is freed in any case. */
MUST_USE enum status journal_commit(struct journal_txn *txn);
void journal_abort(struct journal_txn *txn);
/* Does the disk have room for MORE bytes of records? (The quota is another matter: see journal_info.) */
bool journal_disk_has_room(struct journal *journal, uint64_t more);
/* Drops records below KEEP_FROM, at most about MAX of them, in a transaction of its own. *TRIMMED: how many. */
MUST_USE enum status journal_trim(struct journal *journal, uint64_t keep_from, uint64_t max,
                                  uint64_t *trimmed);

/* ------------------------------------------------------------------------------------------------------
 * Reading: any process, any thread; each call is a short read transaction of its own. */

/* Copies records from seq FROM on into OUT (cleared first), whole records back to back, at most MAX_RECORDS and about
 * MAX_BYTES of them (at least one). *COUNT: how many; 0 when FROM is last_seq + 1. NOT_FOUND: FROM was trimmed. JOURNAL_BROKEN:
 * FROM was never written, or the journal contradicts itself. Checksums are checked by record_decode, not here. */
MUST_USE enum status journal_read(struct journal *journal, uint64_t from, size_t max_records,
                                  size_t max_bytes, struct buffer *out, size_t *count);
/* Appends the value of KEY to VALUE. NOT_FOUND when there is none. */
MUST_USE enum status journal_get(struct journal *journal, enum journal_table table, struct span key,
                                 struct buffer *value);
/* Calls EACH for the entries of TABLE with keys >= FROM, in order, until it returns false. Spans are valid during the call only;
 * EACH must not call the journal. */
typedef bool (*journal_each_fn)(void *arg, struct span key, struct span value);
MUST_USE enum status journal_scan(struct journal *journal, enum journal_table table, struct span from,
                                  journal_each_fn each, void *arg);

/* Reads the whole journal and checks every record: decodes, CRC, dense seq, definitions decode, intents decode. Calls SAY with
 * a sentence per finding. OK when there was none. */
MUST_USE enum status journal_check(struct journal *journal, void (*say)(void *arg, const char *text),
                                   void *arg);

#endif

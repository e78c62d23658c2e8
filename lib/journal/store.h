/* store.h - a replicator's own small, durable tables.
 *
 * Not the journal: what a standby's replicator must remember across its own death (checkpoint,
 * registry, remembered deletes, waiting and parked rows). One process, one thread writes.
 * Implementations: store_lmdb.c and store_memory.c (the simulation).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_STORE_H
#define TANDEM_JOURNAL_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

struct store;

enum store_table {
    STORE_STATE,   /* name -> value */
    STORE_LIVES,   /* life's key -> what the standby has of it (JSON) */
    STORE_OBJECTS, /* type/name -> the metadata record applied last, or waiting */
    STORE_DELETES, /* incarnation, hash of the document -> version and epoch */
    STORE_WAITING, /* incarnation, seq -> record */
    STORE_PARKED,  /* seq -> record and reason */
    STORE_TABLES,
};

/* Opens (and makes) the tables in FOLDER, at most SIZE_MAX_BYTES large; JOURNAL_IN_USE when another
 * process has them open. */
MUST_USE enum status store_open_lmdb(const char *folder, uint64_t size_max_bytes,
                                     struct store **store, char *why, size_t why_size);
struct store_memory;
struct store_memory *store_memory_new(void);
void store_memory_free(struct store_memory *memory);
/* A store over MEMORY, which outlives it: what was committed is still there at the next open. */
MUST_USE enum status store_open_memory(struct store_memory *memory, struct store **store);
void store_close(struct store *store);

/* One transaction at a time. Puts and deletes outside of one stop the program. */
MUST_USE enum status store_begin(struct store *store);
MUST_USE enum status store_put(struct store *store, enum store_table table, struct span key,
                               struct span value);
/* The same for a number in STORE_STATE: 8 bytes, little-endian. */
MUST_USE enum status store_put_number(struct store *store, const char *name, uint64_t value);
MUST_USE enum status store_delete(struct store *store, enum store_table table, struct span key);
/* Durable when OK. */
MUST_USE enum status store_commit(struct store *store);
void store_abort(struct store *store);

/* Reads see what the open transaction wrote. Appends to VALUE; NOT_FOUND when there is none. */
MUST_USE enum status store_get(struct store *store, enum store_table table, struct span key,
                               struct buffer *value);
/* Calls EACH for entries with keys >= FROM, in order of bytes, until it returns false. EACH must
 * not call the store. */
typedef bool (*store_each_fn)(void *arg, struct span key, struct span value);
MUST_USE enum status store_scan(struct store *store, enum store_table table, struct span from,
                                store_each_fn each, void *arg);
/* True when the tables take most of the room they may have: the rest is for what makes room. */
bool store_is_nearly_full(struct store *store);
/* How many entries TABLE has. */
uint64_t store_count(struct store *store, enum store_table table);

#endif

/* standby.h - one standby cluster and everything its replicator knows of it.
 *
 * The machine without I/O: records come in through the source, calls to the standby go out through
 * the world, and both can be the simulation's. The parts: replay.c (rows), metadata.c
 * (definitions), deletes.c, waiting.c (rows that wait or are parked), seed.c (the first copy),
 * verify.c (comparing, making equal), takeover.c, release.c, and standby.c, which is the life
 * cycle.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_STANDBY_H
#define TANDEM_REPLICATOR_STANDBY_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <uthash.h>

#include "base/bytes.h"
#include "es/es_client.h"
#include "journal/journal.h"
#include "journal/store.h"
#include "replicator/script.h"

struct standby;
struct standby_settings;
struct settings;

enum standby_state {
    STANDBY_STARTING,  /* taking the standby over */
    STANDBY_RUNNING,   /* replaying */
    STANDBY_RELEASING, /* draining, then giving it back as an ordinary cluster */
    STANDBY_RELEASED,  /* it is an ordinary cluster; nothing more is written */
    STANDBY_STOPPED,   /* something only a person can decide; see `why` */
};

/* What the replicator asks of the world. */
struct standby_world {
    uint64_t (*now_us)(struct standby *sb);
    uint64_t (*wall_us)(struct standby *sb);
    /* A call to the standby; never calls back before it returns. */
    void (*call)(struct standby *sb, struct es_call *call);
    /* Records from FROM on, as journal_read(). */
    enum status (*read)(struct standby *sb, uint64_t from, size_t max_records, size_t max_bytes,
                        struct buffer *out, size_t *count);
    void (*journal_info)(struct standby *sb, struct journal_info *info);
    /* The present definitions of the journal, as journal_scan(JOURNAL_DEFINITIONS). */
    enum status (*definitions)(struct standby *sb, journal_each_fn each, void *arg);
    /* Asks the proxy for a mark; ends in standby_on_mark_number(). Nothing happens while the proxy
     * is away. */
    void (*ask_mark)(struct standby *sb);
    /* Everything up to SEQ is on the standby: the proxy's retention may go on. */
    void (*report)(struct standby *sb, uint64_t seq);
    /* The primary's cluster_uuid, appended; false: not known. May be NULL. */
    bool (*primary_uuid)(struct standby *sb, struct buffer *out);
    /* A call to the primary, as `call`; NULL: there is no way to it. */
    void (*primary_call)(struct standby *sb, struct es_call *call);
    /* The writes that have no outcome, as journal_scan(JOURNAL_INTENTS); may be NULL. */
    enum status (*intents)(struct standby *sb, journal_each_fn each, void *arg);
};

enum life_state {
    LIFE_UNKNOWN,  /* rows came, its definition has not */
    LIFE_CREATING, /* being made on the standby */
    LIFE_READY,    /* its alias takes rows */
    LIFE_HELD,     /* something is in the way; `why` says what; its rows wait */
    LIFE_GONE,     /* it was deleted; its rows are dropped */
};

/* One life of one index, and what the standby has of it. */
struct life {
    uint32_t incarnation; /* the journal's short number */
    char *key;            /* uuid of the primary's index, or uuid/history uuid */
    char *name;
    char hex[17];          /* names it on the standby */
    enum life_state state; /* moved by life_set_state() only */
    char *why;             /* of LIFE_HELD */
    char *settings_why;    /* why its settings were refused, until it is open again */
    char *held_why;        /* what was said of it last */
    char *applied;         /* the definition that the standby has, JSON; NULL when none */
    char *wanted;          /* the newest definition read, as the standby's engine takes it */
    char *untranslatable;  /* why there is no such; NULL: there is */
    char *standby_uuid;    /* of the index there; NULL before it is made */
    char *standby_history;
    /* Read out of `wanted` by life_read_wanted(); nothing where there is none. */
    size_t shards;
    int64_t hits_max;       /* of one search */
    bool client_versions;   /* rows go with the primary's `_version`; see replay.c */
    uint64_t stale_seq;     /* then: up to it the standby may have newer than a row says */
    bool hides_vectors;     /* on the primary, see settings_hide_vectors() */
    char *vectors;          /* owned: mapping_vectors(), where they are hidden; or NULL */
    bool no_numbers;        /* the primary was of before 6.0: read by scrolls, and not audited */
    const char *unseedable; /* why its documents can't be read back; NULL: they can */
    char *type;     /* the mapping type that its documents have in engines before 7.0; NULL when not
                       known */
    uint64_t stamp; /* state version of `wanted` */
    uint64_t since_seq; /* of the record that defined it first */
    bool filling;       /* it has content that no row brings */
    bool made_empty;    /* by us, and not seeded since: it has what the journal says, and no more */
    bool incomplete;    /* its beginning was no longer in the journal: filling for this standby */
    bool ending;        /* deleted on the primary; not here yet */
    bool kept;          /* ending, but another index needs its content */
    bool given_up;      /* kept no longer: its name has another life */
    bool stopped;       /* a row was refused, and the policy is to stop */
    bool blocked;       /* writes are refused by a block, a closed index, or for our rights */
    bool quiet;         /* it is tried again: what was said of it before is not said again */
    bool gate_open;     /* perhaps: a mapping was being put, and its end was not seen */
    bool aliases_held;  /* some alias stays where it was until another index is seeded, or gone */
    bool stray;         /* a bulk with its rows went unheard: it may still be executed */
    bool alias_away;    /* its alias was taken off, and is not back yet */
    bool alias_lost;    /* a row found no alias of ours: is the index the one that we made? */
    size_t outstanding; /* rows in lanes or in flight */
    uint64_t waiting;   /* rows in the side table */
    struct waiting_key *waiting_keys; /* their documents */
    bool feeding;                     /* waiting rows are being tried again */
    uint64_t fed_up_to;               /* seq up to which they are in the lanes */
    uint64_t next_try_us;             /* of the waiting rows */
    uint64_t try_delay_us;
    struct audit *audit; /* which numbers of the primary are accounted for; NULL: none yet */
    struct seed *seed;   /* the copy of what it held before; NULL: none was asked for */
    UT_hash_handle hh;
};

/* Bytes of several records, shared by their rows. */
struct block {
    size_t references;
    struct buffer bytes;
};

/* One row on its way. */
struct item {
    struct item *next;
    struct block *block;
    struct row row; /* into block */
    uint64_t seq;
    uint64_t time_us; /* of its commit */
    uint64_t timeline;
    uint64_t document; /* hash of (incarnation, shard, id) */
    int64_t version;
    struct life *life;
    bool from_waiting;
    struct seed_page *page; /* it is no row of the journal, but of a seed */
    bool again;             /* such a row was not taken: its page is read again */
    bool of_repair;         /* nor is this one */
    bool even_if_equal;     /* the standby's version may be this one */
    bool only_if; /* a delete of what has these numbers on the standby, and nothing else */
    uint64_t only_if_term;
    int64_t only_if_seq_no;
};

struct lane {
    struct standby *sb;
    struct item *first, **last; /* in order of seq, but for those that came back */
    size_t count, bytes;
    struct item *flying; /* in the bulk under way, in its order */
    struct es_call call;
    bool busy;
    uint64_t retry_us; /* not before; 0: at once */
    uint64_t backoff_us;
    size_t alone;              /* so many rows go one a bulk: a whole bulk of them was refused */
    uint64_t failing_since_us; /* 0: the last answer was good */
};

/* Somebody waits for a mark; his own, all zero at first. */
struct mark_wait {
    struct mark_wait *next;
    bool asked;
    uint64_t since_us;
    uint64_t number; /* 0: not known yet */
    uint64_t seq;    /* of its record; 0: not read yet */
};

struct standby {
    const struct settings *settings;
    const struct standby_settings *conf;
    const struct standby_world *world;
    void *world_arg;
    struct store *store;
    char name[64]; /* "standby b", for the log */

    enum standby_state state; /* moved by standby_set_state() only */
    bool paused;
    enum status stopped_by; /* of STOPPED */
    bool begin_again;       /* STOPPED, but taking the standby over once more mends it */
    char why[512];          /* of STOPPED, or what is wrong now */
    char alarm[512];        /* blocks and rights: retried, but somebody must act */
    bool damaged;           /* something in the store could not be read */
    bool away;              /* the last call did not reach it */
    char away_why[512];
    uint64_t away_since_us;
    uint64_t begun_us;

    /* the engine there */
    bool opensearch;
    int major, minor;
    bool no_lifecycle; /* it is an Elasticsearch without x-pack, or before 6.6 */
    char *cluster_uuid;

    /* .tandem */
    uint64_t life, session;
    char writer[48];     /* this process, told from all others that took the same session */
    char *session_text;  /* the document that takes the session */
    uint64_t doc_writes; /* how often it was written: the number of the last one */
    int64_t doc_seq_no;
    uint64_t doc_term;
    uint64_t stored_checkpoint; /* what .tandem says */
    bool doc_busy;
    struct script doc_script;
    uint64_t doc_next_us;
    char *system_id; /* of the journal; NULL before HELLO was read and .tandem had none */
    char journal_text[33];
    uint64_t reread_to; /* records up to it were applied before, perhaps to a standby that has gone
                           back since */
    uint64_t rewind_to; /* while taking over: seq to begin at, at the latest */
    struct script takeover;
    struct buffer
        bootstrap; /* the journal's present definitions, where its records do not tell them all: its
                      beginning is gone, or our tables were lost; applied first */
    size_t bootstrap_at;
    enum bootstrap_kind {
        BOOTSTRAP_NONE,
        BOOTSTRAP_INCOMPLETE,  /* the journal's beginning is gone: indices have rows that never come
                                */
        BOOTSTRAP_LOST_TABLES, /* the store was empty, and the standby was not */
    } bootstrap_kind;          /* of the one that is not through yet; stored */

    /* bases of the timelines seen */
    struct base bases[16];
    size_t base_count;

    /* replay */
    bool reading;      /* within read_more(): what is applied at once must not read on by itself */
    uint64_t next_seq; /* to be read */
    uint64_t first_open; /* lowest seq that is not done; next_seq when none */
    uint8_t *done;       /* ring over first_open .. next_seq: 1 = done */
    uint64_t done_size;
    uint64_t checkpoint;   /* durable in the store: everything up to it is done or waits in the side
                              table */
    uint64_t window_bytes; /* held by items */
    struct lane *lanes;
    size_t lane_count, lanes_busy;
    size_t bulk_bytes_now, bulks_now; /* AIMD */
    uint64_t last_read_time_us, oldest_open_time_us;
    uint64_t rows_done, rows_refused, bulks_sent, retries, stale;
    uint64_t stale_seq; /* up to it a row may be older than what the standby has */
    uint64_t rate_mark_us, rate_rows;
    double rate;

    /* metadata */
    struct life *lives;
    struct script script;         /* of the metadata record being applied */
    bool applying;                /* reading is paused for it */
    uint64_t definitions_applied; /* records that are through, since the start */
    struct record *pending;       /* the record being applied; spans into pending_bytes */
    struct buffer pending_bytes;
    uint64_t pending_seq;
    bool objects_refused;        /* some object waits for another one */
    char objects_why[600];       /* what was refused last */
    bool left_out_said;          /* that its engine can't have some of them */
    struct buffer objects_tried; /* key of the last one tried in this round; empty: none yet */
    uint64_t objects_next_us;
    uint64_t held_next_us;

    /* deletes */
    uint64_t epoch;
    uint64_t mark_asked_epoch; /* epochs up to it are behind the mark asked for; 0: none asked */
    struct mark_wait deletes_mark; /* of that mark */
    uint64_t mark_next_us;
    struct mark_wait *mark_waits;
    uint64_t mark_read_number, mark_read_seq; /* the last one that was read */
    bool mark_asking;                         /* the proxy was asked, and has not answered */
    uint64_t marks[2]; /* seqs of the last two marks that the checkpoint passed */
    uint64_t high_term;

    /* seeds */
    struct seed_page *seed_pages;           /* in no order */
    struct seed *seeds_dropped;             /* their lives have ended, but not their calls */
    size_t seed_page_count, seed_pages_now; /* AIMD */
    uint64_t seed_good;                     /* pages that went well */
    uint64_t seed_seq;     /* names rows of seeds, above all numbers of the journal */
    uint64_t seed_next_us; /* no page is read before: the limits */
    uint64_t seed_rows, seed_bytes;

    struct verify *verify; /* NULL: none was asked for */

    /* the audit */
    enum audit_state { AUDIT_IDLE, AUDIT_ASKED, AUDIT_MARKED } audit_state;
    struct es_call audit_call;
    struct mark_wait audit_mark;
    struct audit_swept *audit_swept; /* writes by query whose numbers are to be counted */
    uint64_t audit_next_us, audit_begun_us;
    uint64_t audit_found, audit_unexplained; /* of all indices, since the start */
    uint64_t audit_clean_us; /* when the last round began that found nothing; 0: none has */

    /* release */
    uint64_t release_to;       /* seq to drain to */
    bool release_undoing;      /* stored: a restart goes on with it */
    bool release_again;        /* that restart was */
    bool release_force;        /* rows that cannot go in are left out */
    uint64_t release_gates_us; /* when gates are opened again */
    json_t *release_left;      /* sentences: what to look at when it is released; NULL: nothing */
    struct buffer
        in_doubt; /* JSON: writes without an outcome at the release, at most some hundred */
    size_t in_doubt_count;
};

/* ---- standby.c ---- */
/* A standby that starts to be taken over with the first tick. STORE, SETTINGS and WORLD are
 * borrowed. */
struct standby *standby_new(const struct settings *settings, const struct standby_settings *conf,
                            struct store *store, const struct standby_world *world,
                            void *world_arg);
void standby_free(struct standby *sb);
/* To be called often; returns when to call next at the latest (now_us). */
uint64_t standby_tick(struct standby *sb);
/* There are new records. */
void standby_on_records(struct standby *sb);
void standby_on_mark_number(struct standby *sb, uint64_t number);
/* Stops writing to the standby, or goes on; over a restart too. False: that could not be stored. */
bool standby_pause(struct standby *sb, bool paused);
void standby_set_state(struct standby *sb, enum standby_state next);
void standby_stop(struct standby *sb, enum status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Ends the store's open transaction: commits it when STATUS, of what was put into it, is OK. False:
 * it failed, and the standby is stopped. */
bool standby_store_end(struct standby *sb, enum status status);
const char *standby_state_name(const struct standby *sb);
/* True when the standby's engine is at least Elasticsearch MAJOR.MINOR; OpenSearch, which began
 * from 7.10, is at least all that we ask for. */
bool standby_at_least(const struct standby *sb, int major, int minor);
/* True when it acts by lifecycle policies like Elasticsearch's (ILM), unless it is stopped. */
bool standby_has_lifecycle(const struct standby *sb);
uint64_t standby_lag_records(const struct standby *sb);
uint64_t standby_lag_us(const struct standby *sb);

/* ---- life.c ---- */
void life_set_state(struct standby *sb, struct life *life, enum life_state next, const char *why);
const char *life_state_name(enum life_state state);
struct life *life_find(struct standby *sb, uint32_t incarnation);
struct life *life_get(struct standby *sb, uint32_t incarnation);
void life_free(struct standby *sb, struct life *life);
/* Gives LIFE its key and its name, which are copied. */
void life_name(struct life *life, const char *key, const char *name);
/* LIFE's wanted definition is another one: reads out of it what is asked for often. */
void life_read_wanted(struct life *life);
/* Writes LIFE into the store's open transaction. */
MUST_USE enum status life_store(struct standby *sb, const struct life *life);
/* Stores LIFE in a transaction of its own. False: the standby is stopped. */
bool life_save(struct standby *sb, const struct life *life);
/* LIFE as JSON, appended: the `.tandem` document of a life. */
void life_document(const struct life *life, struct buffer *out);
/* Takes a stored life in. */
bool life_load(struct standby *sb, struct span json);
/* What the standby has of LIFE must be looked up: no row goes before. */
void life_forget_applied(struct standby *sb, struct life *life, const char *why);
/* The alias through which rows of LIFE are written in this session. */
void life_alias(const struct standby *sb, const struct life *life, struct buffer *out);
/* V of a row of TIMELINE. */
int64_t standby_version(struct standby *sb, uint64_t timeline, uint64_t term, int64_t seq_no);

/* ---- takeover.c ---- */
void takeover_begin(struct standby *sb);
/* Stores where we are in .tandem, when it is due. */
void takeover_tick_document(struct standby *sb, uint64_t now_us);
/* From an answer of GET /.tandem/_doc/standby: false when another replicator has taken the standby
 * over; it is stopped then. */
bool takeover_still_ours(struct standby *sb, int http_status, struct span body);
/* Stores who we are, the registry and the position; false: the standby is stopped. */
bool takeover_store(struct standby *sb);
/* The `.tandem` document as JSON, appended. STATE is "standby" or "released". */
void takeover_document(struct standby *sb, const char *state, struct buffer *out);
/* The alias that marks an index of the standby as ours, in every session. */
void life_marker(const struct life *life, char *out, size_t size);
/* What the store remembers: position, lives, epoch. */
MUST_USE enum status standby_load(struct standby *sb);

/* ---- replay.c ---- */
void replay_start(struct standby *sb, uint64_t next_seq);
/* What is in the journal now may be older than what the standby has, and that means nothing: of
 * LIFE, which was seeded or repaired, or of all (NULL), since it may have been replayed before. */
void replay_may_be_stale(struct standby *sb, struct life *life);
void replay_tick(struct standby *sb, uint64_t now_us);
/* The settings have changed. */
void replay_on_reload(struct standby *sb);
void replay_mark_done(struct standby *sb, uint64_t seq);
/* Puts ITEM into its lane, behind the others. */
void replay_enqueue(struct standby *sb, struct item *item);
struct item *item_new(struct standby *sb, struct block *block, const struct record *record);
void item_free(struct standby *sb, struct item *item);
void block_put(struct block *block);
uint64_t document_hash(uint32_t incarnation, uint32_t shard, struct span id);
/* True when nothing is in the lanes or in flight. */
bool replay_is_drained(const struct standby *sb);
/* Writes position and counters into the store's open transaction. */
MUST_USE enum status replay_store_position(struct standby *sb);
void replay_free(struct standby *sb);
/* The lowest position from which everything can be had again: what .tandem may say. */
uint64_t replay_safe_checkpoint(struct standby *sb);

/* ---- metadata.c ---- */
/* Begins to apply RECORD; reading is paused until it is done. */
void metadata_apply(struct standby *sb, const struct record *record, struct span bytes);
/* Begins to apply the record in BYTES, which stands at no seq of its own: a definition told apart
 * from its place. */
void metadata_apply_bytes(struct standby *sb, struct span bytes);
/* What was applied may no longer be there: all of it is compared, or put, again. */
MUST_USE enum status metadata_forget_applied(struct standby *sb);
/* True while LIFE is being changed on the standby: no row of it may be sent. */
bool metadata_is_changing(const struct standby *sb, const struct life *life);
/* True while calls that change a definition are under way. */
bool metadata_is_writing(const struct standby *sb);
/* What the standby has of LIFE, which is ready, is THERE (a definition): what is wanted is put once
 * more. Not while another record is applied. */
void metadata_put_again(struct standby *sb, struct life *life, const char *there);
/* Goes on when the rows in the way are through; tries again what was refused. */
void metadata_tick(struct standby *sb, uint64_t now_us);
void metadata_on_script_end(struct script *script);
/* The record being applied is through: reading goes on. */
void metadata_record_is_applied(struct standby *sb);
/* Notes in the store's open transaction that the pending record may have been applied: it can be
 * ahead of the position, and the standby be set back to a moment before it. */
MUST_USE enum status metadata_store_reread(struct standby *sb);
/* True when the pending record was applied before, and is read again. */
bool metadata_is_reread(const struct standby *sb);

/* ---- filling.c ---- */
/* DEFINITION, the primary's of LIFE, as the standby is to have it: but for aliases that wait for an
 * index to be filled. The caller's. */
char *definition_expected(const struct standby *sb, const struct life *life,
                          const char *definition);
/* The same of what is wanted. */
char *definition_now(const struct standby *sb, const struct life *life);
/* True when an alias of LIFE that waited may move now. */
bool filling_alias_is_due(const struct standby *sb, struct life *life);
/* What has its only content from SOURCE, in words; NULL: nothing. */
const char *life_needed_by(const struct standby *sb, const struct life *source);

/* ---- objects.c ---- */
/* Adds the call that puts (or deletes) the object of MD. Why it cannot be had on the standby's line
 * of engines, the caller's, when that is so; NULL: it was added. */
char *objects_push(struct script *script, script_answer_fn on_answer, const struct metadata *md);
/* Begins to apply the pending record, of an object that is no index. */
void objects_apply(struct standby *sb);
/* Its call has ended. */
void objects_on_end(struct standby *sb);
/* The objects that the journal tells of, {type: {name: body}}: all but those that are gone. STATES
 * (may be NULL) gets {type: {name: state}}: "applied", "refused", "waiting" (for the release);
 * those that are gone too. NULL: the table can't be read. The caller's. */
json_t *objects_known(struct standby *sb, json_t *states);
/* Why objects of TYPE are not put on the standby now, but kept until its release; NULL: they are.
 */
const char *objects_wait_why(const struct standby *sb, const char *type);
/* How many the standby will not have at all, since its engine has no such thing. */
size_t objects_left_out(struct standby *sb);
/* The object is put, or deleted, once more, in its turn. False: the journal never told of it. */
bool objects_put_again(struct standby *sb, const char *type, const char *name);
/* Tries the next one that was refused again; all of them have their turn before the next round. */
void objects_reapply(struct standby *sb, uint64_t now_us);

/* ---- settings_copy.c ---- */
/* BODY, the primary's definition of an index (TYPE "index") or another object NAME, as the
 * standby's line of engines takes it; SAY: what is changed goes to the log. *REFUSED: why it cannot
 * be had there (BODY is left as it is then), else NULL. Both are the caller's. */
char *definition_translated(const struct standby *sb, const char *type, const char *name,
                            struct span body, bool say, char **refused);
/* The body of the create call for a definition: settings without what is the site's own, mappings,
 * aliases, and a first alias that says whose it is. Caller frees. NULL: the definition is no JSON.
 */
char *definition_create_body(struct standby *sb, const struct life *life, const char *definition);
/* True when DEFINITION (may be NULL) has the alias NAME. */
bool definition_has_alias(const char *definition, const char *name);
/* True when writes to the alias NAME are said to go to the index of DEFINITION (may be NULL). */
bool definition_writes_to(const char *definition, const char *name);
/* DEFINITION with the aliases for which KEEP(arg, name) is true, and those of FROM (may be NULL)
 * for which ADD is. *CHANGED: they are not DEFINITION's own. Caller frees. */
char *definition_choose_aliases(const char *definition, const char *from,
                                bool (*keep)(void *arg, const char *name),
                                bool (*add)(void *arg, const char *name), void *arg, bool *changed);
/* Takes the aliases that are ours out of a definition that was read on the standby. */
void definition_drop_ours(json_t *definition);
/* What counts of a definition: what is the site's own, or held back until the
 * release, is left out. {kind: {name: {path: value}}}, where only aliases have names. The caller's.
 */
json_t *definition_parts(struct standby *sb, const char *definition);
/* Settings that differ between two definitions, as the body of a settings call; NULL when none.
 * BEFORE may be NULL. */
char *definition_settings_change(struct standby *sb, const char *before, const char *after);
/* The `_aliases` call that turns BEFORE's aliases into AFTER's; NULL when none. */
char *definition_alias_change(const char *index, const char *before, const char *after);
/* The `_aliases` call that takes all of ours off INDEX. The caller's. */
char *definition_alias_removal(const char *index);
/* AFTER's mappings when they differ from BEFORE's, else NULL. *TYPE: the mapping type of old
 * engines, or "". */
char *definition_mapping_change(const char *before, const char *after, char *type,
                                size_t type_size);
/* The mapping type of DEFINITION, the caller's; NULL when it has none. */
char *definition_type(const char *definition);
/* True when the standby must be told that a mapping is within its type (7.x and OpenSearch 1: there
 * it is optional). */
bool standby_names_types(const struct standby *sb);
bool definition_is_closed(const char *definition);
bool definition_is_filling(const char *definition);
/* The uuid of the index that DEFINITION was resized from, "" when none. */
void definition_resized_from(const char *definition, char *uuid, size_t size);
/* The value of total_fields.limit, final_pipeline and gc_deletes on the primary, as a settings body
 * for release. Caller frees. */
char *definition_release_settings(const struct standby *sb, const char *definition);
long definition_total_fields(const char *definition);
/* How many shards DEFINITION has. */
size_t definition_shards(const char *definition);
/* How many hits a search of it may ask for. */
long definition_result_window(const char *definition);
/* Why the documents of DEFINITION cannot be read back as they were written; NULL: they can. */
const char *definition_unseedable(const char *definition);
/* True when the clients set the versions of its documents. */
bool definition_has_client_versions(const char *definition);
/* It was seen first in an engine before 6.0, without sequence numbers. */
bool definition_has_no_numbers(const char *definition);
/* The primary leaves vectors out of its documents, see settings_hide_vectors(). */
bool definition_hides_vectors(const char *definition);
/* mapping_vectors() of DEFINITION; the caller's. */
char *definition_vectors(const char *definition);

/* ---- deletes.c ---- */
/* Remembers in the store's open transaction that DOCUMENT of INCARNATION was deleted at VERSION. */
MUST_USE enum status deletes_remember(struct standby *sb, uint32_t incarnation, uint64_t document,
                                      int64_t version);
/* True when a row of VERSION is older than a remembered delete. */
bool deletes_covers(struct standby *sb, uint32_t incarnation, uint64_t document, int64_t version);
void deletes_tick(struct standby *sb, uint64_t now_us);

/* ---- marks.c ---- */
/* WAIT gets the number, and then the seq, of a mark that is asked for from now on. It must stay
 * where it is until mark_forget(). */
void mark_await(struct standby *sb, struct mark_wait *wait);
void mark_forget(struct standby *sb, struct mark_wait *wait);
void marks_tick(struct standby *sb, uint64_t now_us);
/* The record of mark NUMBER was read at SEQ. */
void marks_on_record(struct standby *sb, uint64_t number, uint64_t seq);

/* ---- waiting.c ---- */
/* Moves ITEM to the side table, in the store's open transaction. */
MUST_USE enum status waiting_add(struct standby *sb, struct item *item);
/* True when an earlier row of ITEM's document waits. */
bool waiting_has(const struct life *life, const struct item *item);
/* ITEM, which came from the side table, is through. */
MUST_USE enum status waiting_remove(struct standby *sb, const struct item *item);
/* The rows of LIFE that wait may be tried again now. */
void waiting_feed(struct standby *sb, struct life *life);
void waiting_tick(struct standby *sb, uint64_t now_us);
/* Drops all that waits of LIFE. */
MUST_USE enum status waiting_drop(struct standby *sb, struct life *life);
/* Lowest seq that waits; UINT64_MAX when none. */
/* Commit time of the oldest waiting row; UINT64_MAX when none waits. */
uint64_t waiting_oldest_us(struct standby *sb);
uint64_t waiting_lowest(struct standby *sb);
MUST_USE enum status waiting_load(struct standby *sb);
/* Parks ITEM with REASON (the standby's error), in the store's open transaction. */
MUST_USE enum status parked_add(struct standby *sb, const struct item *item, struct span reason);
/* JSON array of what is parked, appended. */
void parked_list(struct standby *sb, struct buffer *out);
/* Tries SEQ (0: all) again, or drops it. How many; -1: the store failed. */
int parked_retry(struct standby *sb, uint64_t seq);
int parked_drop(struct standby *sb, uint64_t seq);
/* Drops what is parked of a life that has ended. */
void parked_drop_life(struct standby *sb, struct life *life);
uint64_t parked_count(struct standby *sb);
/* Rows parked of LIFE are tried again: its mapping changed. */
void parked_retry_life(struct standby *sb, struct life *life);

/* ---- release.c ---- */
/* Drains, then undoes all that replication set. False: WHY says what is in the way. */
/* FORCE: rows that cannot go in are left out, and listed. */
bool release_begin(struct standby *sb, bool force, char *why, size_t why_size);
/* Goes on with a release that a restart interrupted. */
void release_resume(struct standby *sb);
void release_tick(struct standby *sb, uint64_t now_us);

#endif

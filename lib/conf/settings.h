/* settings.h - every setting of the proxy, the replicator and tandemctl: one file, one table, one
 * struct.
 *
 * The names in the file are those of the fields, with a dot for the first underscore:
 * proxy.head_max is proxy_head_max. Durations are microseconds, sizes bytes. What each means is in
 * the table (settings.c), from which conf/tandem.yml and docs/configuration.md are printed. Text is
 * never NULL: "" means not set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CONF_SETTINGS_H
#define TANDEM_CONF_SETTINGS_H

#include "conf/conf.h"

enum settings_log_level { /* in the order of log.h's levels: debug first */
                          SETTINGS_LOG_DEBUG,
                          SETTINGS_LOG_INFO,
                          SETTINGS_LOG_WARN,
                          SETTINGS_LOG_ERROR,
};

enum settings_when_full {
    WHEN_FULL_DROP,  /* give up the standby that is furthest behind, loudly */
    WHEN_FULL_BLOCK, /* refuse writes until the standby has come on */
};

enum settings_confirm {
    CONFIRM_AUTO,   /* wait for a state read only where the life of an index is not certain */
    CONFIRM_ALWAYS, /* wait for one before every acknowledgement */
};

enum settings_seed {
    SEED_AUTO,   /* an index is seeded when it is filling */
    SEED_MANUAL, /* when an operator says so */
};

enum settings_refused {
    REFUSED_STOP, /* the index stops until a person has decided */
    REFUSED_PARK, /* the row is parked, the others go on */
};

struct standby_settings {
    char *name;
    struct conf_list urls;
    char *credentials_file;
    char *ca_file;
    bool insecure_skip_verify;
    struct conf_address admin;
    char *folder;      /* the replicator's own files */
    uint64_t size_max; /* of the database in that folder */
    enum settings_refused refused;
    uint64_t lanes;
    uint64_t bulk_bytes;
    uint64_t bulk_records;
    uint64_t bulks_in_flight;
    uint64_t window_bytes;
    uint64_t request_timeout;
    uint64_t backoff_min;
    uint64_t backoff_max;
    uint64_t lag_max_records;
    uint64_t lag_max;
    struct conf_list settings_override; /* "pattern setting=value" */
};

/* How long a hold may be set to last, in microseconds. */
#define HOLD_TIME_LEAST_US UINT64_C(100000)
#define HOLD_TIME_MOST_US UINT64_C(600000000)

struct settings {
    char *system_name;
    enum settings_log_level log_level;

    struct conf_address proxy_listen;
    struct conf_address proxy_admin;
    char *proxy_publish; /* "": the listen address */
    uint64_t proxy_threads;
    char *proxy_tls_certificate_file;
    char *proxy_tls_key_file;
    uint64_t proxy_connections_max;
    uint64_t proxy_head_max;
    uint64_t proxy_target_max;
    uint64_t proxy_fields_max;
    uint64_t proxy_body_max;
    uint64_t proxy_bodies_max;
    uint64_t proxy_head_timeout;
    uint64_t proxy_idle_timeout;
    uint64_t proxy_body_timeout;
    uint64_t proxy_body_rate_min; /* bytes per second; 0: no limit */
    uint64_t proxy_write_timeout;
    uint64_t proxy_hold_timeout;
    uint64_t proxy_metadata_timeout;
    uint64_t proxy_drain_timeout;
    bool proxy_rewrite_nodes;

    char *admin_tokens_file; /* see access.h */
    char *admin_tls_certificate_file;
    char *admin_tls_key_file;
    char *admin_client_ca_file;
    char *admin_audit_file;
    char *ctl_token_file;
    char *ctl_ca_file;
    char *ctl_certificate_file;
    char *ctl_key_file;

    char *primary_name;
    struct conf_list primary_urls;
    char *primary_credentials_file; /* Tandem's own account */
    char *primary_ca_file;
    bool primary_insecure_skip_verify;
    uint64_t primary_connections_max; /* per node and thread */
    uint64_t primary_connect_timeout;
    uint64_t primary_answer_timeout;
    uint64_t primary_idle_timeout;
    uint64_t primary_retry_interval;

    uint64_t hold_time_max; /* within HOLD_TIME_... */
    uint64_t hold_requests_max;
    uint64_t hold_bytes_max;

    char *journal_folder;
    uint64_t journal_size_max;
    uint64_t journal_keep_size;
    uint64_t journal_keep_age;
    enum settings_when_full journal_when_full;

    uint64_t follower_interval;
    uint64_t follower_request_timeout;
    enum settings_confirm lives_confirm;
    uint64_t doubt_watch_max;
    uint64_t by_query_timeout;
    uint64_t by_query_ids_max;

    enum settings_seed seed_mode;
    uint64_t seed_pages;       /* read at a time */
    uint64_t seed_rate_max;    /* documents per second; 0: no limit */
    uint64_t seed_bytes_max;   /* per second; 0: no limit */
    uint64_t seed_latency_max; /* of a page */
    char *seed_hours;          /* see hours.h */
    bool seed_compress;
    uint64_t audit_interval; /* 0: no audit */
    uint64_t audit_verify_interval;
    bool audit_repair;

    struct conf_list replicate_client_versions; /* patterns like those of replicate_exclude */
    struct conf_list replicate_exclude;         /* patterns of index names, `*` for any run */
    struct conf_list unreplicated_allow;        /* words: by_query reindex restore unknown opaque */

    struct standby_settings *standbys; /* owned */
    size_t standbys_count;
};

/* Reads the file at PATH. OK: the caller owns *SETTINGS. SETTINGS_WRONG: WHY (a sentence, with file
 * and line where there is one) says what would be right, *SETTINGS is NULL. */
MUST_USE enum status settings_load(const char *path, struct settings **settings, char *why,
                                   size_t why_size);
/* Everything at its initial value, with one standby b: the shipped file, for tests and the
 * simulation. */
struct settings *settings_default(void);
void settings_free(struct settings *settings);

/* Reads PATH again. OK: *FRESH (the caller's) has what may change while running from the file and
 * all else as in OLD; CHANGED has a line per setting that took its new value, NEED_RESTART one per
 * setting that did not. */
MUST_USE enum status settings_reload(const struct settings *old, const char *path,
                                     struct settings **fresh, struct buffer *changed,
                                     struct buffer *need_restart, char *why, size_t why_size);

/* True when `unreplicated.allow` holds WORD (as op_kind_name gives it, or "unknown", "opaque"). */
bool settings_allows(const struct settings *settings, const char *word);
/* True when the clients of index NAME set the versions of its documents. */
bool settings_keeps_client_versions(const struct settings *settings, struct span name);
/* True when the index NAME is excluded from replication. */
bool settings_excludes(const struct settings *settings, struct span name);
/* The standby called NAME, borrowed; NULL when there is none. */
const struct standby_settings *settings_standby(const struct settings *settings, const char *name);

/* Prints conf/tandem.yml: every setting at its initial value, each with its reason. */
void settings_print_yaml(FILE *out);
/* Prints docs/configuration.md. */
void settings_print_docs(FILE *out);

/* ------------------------------------------------------------------------------------------------------
 * Secrets: only from files, wiped when freed, never in a message. */

/* Appends the content of the file at PATH to SECRET, without the line end. SETTINGS_WRONG: it
 * cannot be read, is empty, or others than its owner may read or write it. */
MUST_USE enum status secret_read_file(const char *path, struct buffer *secret, char *why,
                                      size_t why_size);
/* The value for an Authorization header from a credentials file: `user:password` gives Basic ...,
 * `ApiKey ...` and `Bearer ...` stand as they are. *AUTHORIZATION: the caller's, ended with
 * secret_free; NULL when PATH is "". */
MUST_USE enum status secret_authorization(const char *path, char **authorization, char *why,
                                          size_t why_size);
/* Wipes and frees; NULL is fine. */
void secret_free(char *secret);
void secret_fini(struct buffer *secret);

#endif

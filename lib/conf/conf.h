/* conf.h - reads a table of settings from a YAML file, and prints one back.
 *
 * A setting is one row of a table: its dotted name, type, place in a struct, initial value and
 * meaning. The row is parsed, checked, compared at a reload, and printed into the shipped file and
 * the documentation, so that the four cannot disagree. Whatever the file holds that is not in the
 * table is refused with file and line.
 *
 *     type       in the file          in the struct
 *     ADDR       host:port            struct conf_address
 *     DURATION   200ms 8s 10m 12h 7d  uint64_t, microseconds (0 only where 0 >= least)
 *     SIZE       512B 64KB 100MB 1GB  uint64_t, bytes (KB = 1024)
 *     COUNT      256                  uint64_t
 *     BOOL       true false           bool
 *     TEXT PATH  text                 char *, never NULL, "" when not set; a path is absolute
 *     LIST       [a, b]               struct conf_list; with choices: each one of them
 *     URLS       [http://host:port]   struct conf_list of scheme://host:port, no user, no path
 *     CHOICE     one of the words     unsigned or an enum: the word's place in the choices
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CONF_CONF_H
#define TANDEM_CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

struct conf_address {
    char *text;    /* owned: as written, host:port or [v6]:port */
    char *host;    /* owned: without brackets */
    uint16_t port; /* never 0 */
    bool loopback; /* nobody outside this machine reaches it */
};

struct conf_list {
    char **items; /* owned, each too */
    size_t count;
};

enum conf_type {
    CONF_ADDR,
    CONF_DURATION,
    CONF_SIZE,
    CONF_COUNT,
    CONF_BOOL,
    CONF_TEXT,
    CONF_PATH,
    CONF_LIST,
    CONF_URLS,
    CONF_CHOICE,
};

enum conf_change {
    CONF_RESTART, /* takes effect when the program starts */
    CONF_RELOAD,  /* takes effect at SIGHUP too */
};

struct conf_row {
    const char *name; /* dotted: section.name; in a repeated section: name */
    enum conf_type type;
    size_t offset;
    const char
        *initial; /* as it would stand in the file; NULL: required; {name}: the entry's name */
    enum conf_change change;
    const char *meaning;  /* a sentence or more: what it does, why this value */
    const char *choices;  /* the words, separated by '|'; NULL when any will do */
    uint64_t least, most; /* of numbers; most 0: no bound */
    /* What no type can say, of this value alone; NULL when there is nothing. False: WHY says what
     * would be right. */
    bool (*check)(const void *value, char *why, size_t why_size);
};

/* A table. `repeated`: the table of a section that is a list of entries, kept as an array of
 * structs of entry_size bytes; every entry has a row "name", different in each. */
struct conf_table {
    const struct conf_row *rows;
    size_t count;
    size_t size;                       /* of the struct */
    const struct conf_table *repeated; /* NULL when there is none */
    const char *repeated_name;         /* "standbys" */
    size_t repeated_offset;            /* of a pointer to the array of entries */
    size_t repeated_count_offset;      /* of a size_t: how many */
    /* What must hold between settings of one struct; NULL when there is nothing. False: WHY says
     * what would be right, *ABOUT is the name of the setting to point at. */
    bool (*check)(const void *values, const char **about, char *why, size_t why_size);
};

/* Reads the file at PATH into OUT (a zeroed struct of table->size), initial values where it says
 * nothing. SETTINGS_WRONG: WHY says file, line, and what would be right. OUT can be given to
 * conf_fini in any case. */
MUST_USE enum status conf_read(const struct conf_table *table, const char *path, void *out,
                               char *why, size_t why_size);
/* The same for text in memory; NAME stands for the file in WHY. */
MUST_USE enum status conf_read_text(const struct conf_table *table, const char *name,
                                    struct span text, void *out, char *why, size_t why_size);
/* Frees what the rows own, and the entries; not OUT itself. */
void conf_fini(const struct conf_table *table, void *out);

/* In FRESH, sets RESTART rows that differ from OLD back to OLD's value, and appends a line for each
 * to REFUSED, and for each RELOAD row that differs to CHANGED ("name: old -> new"). Entries are
 * matched by name; one that came or went is a difference that needs a restart. */
void conf_keep_restart(const struct conf_table *table, const void *old, void *fresh,
                       struct buffer *changed, struct buffer *refused);

/* "duration", "size" ...: for the documentation. */
const char *conf_type_name(enum conf_type type);

/* Reads a duration as the file may have it, in microseconds. */
MUST_USE bool conf_duration_parse(const char *text, uint64_t *us);
/* Reads host:port or [v6]:port. False: WHY says what would be right, ADDRESS holds nothing. */
MUST_USE bool conf_address_parse(const char *text, struct conf_address *address, char *why,
                                 size_t why_size);
void conf_address_fini(struct conf_address *address);
/* Splits one of CONF_URLS' items. *TLS: https. False as above. */
MUST_USE bool conf_url_parse(const char *url, bool *tls, struct conf_address *address, char *why,
                             size_t why_size);

#endif

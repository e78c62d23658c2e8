/* journal.h - tandemctl journal: records printed readably, and a whole journal checked.
 *
 * Both open the journal as readers: the proxy may run meanwhile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CTL_JOURNAL_H
#define TANDEM_CTL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

/* What to show; zeroed: everything, sources shortened, as text. */
struct dump_options {
    uint64_t from;     /* the first seq; 0: from the oldest on */
    uint64_t to;       /* the last seq; 0: to the newest */
    const char *index; /* rows and definitions of this index only (name or uuid); NULL: of all */
    const char *id;    /* rows of this document id only; NULL: of all */
    bool json;         /* a JSON object a line */
    bool full;         /* sources and definitions whole, however long */
};

/* Prints records, one line each. Returns an exit code of ctl.h: DONE; REFUSED when the journal
 * cannot be opened; INCOMPLETE when there are records that cannot be read. */
int ctl_journal_dump(const char *folder, const struct dump_options *options);
/* Reads the whole journal and prints a line per finding, and a summary. DONE when it is sound,
 * INCOMPLETE when not. */
int ctl_journal_check(const char *folder);

#endif

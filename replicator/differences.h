/* differences.h - in what two definitions differ.
 *
 * Definitions come in parts: {kind: {name: {path: value}}}. A name is there or not; of one that is
 * on both sides the paths are compared. Where a kind has one thing only its name is "".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_DIFFERENCES_H
#define TANDEM_REPLICATOR_DIFFERENCES_H

#include <stdbool.h>

#include <jansson.h>

/* What the standby's parts THERE differ in from the PRIMARY's: an array of {kind, what, name, path,
 * primary, standby}. WHAT is "missing", "extra" or "different"; of a name that is on one side only
 * there is no path, and its value is all of it. The caller's. */
json_t *differences_of(const json_t *primary, const json_t *there);
/* True when PRIMARY and OTHER have the same at the place of DIFFERENCE. */
bool differences_agree(const json_t *difference, const json_t *primary, const json_t *other);
/* DIFFERENCE for people: values as text, no longer than some hundred bytes. The caller's. */
json_t *differences_show(const json_t *difference);

#endif

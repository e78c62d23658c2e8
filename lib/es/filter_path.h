/* filter_path.h - applies the engines' `filter_path` to a JSON answer.
 *
 * Tandem asks the primary for unfiltered answers to writes (it must see every item) and renders what the client asked for.
 * Syntax: patterns separated by ',', names by '.', `*` within a name, `**` for any depth, a leading '-' excludes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_FILTER_PATH_H
#define TANDEM_ES_FILTER_PATH_H

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

/* Appends JSON filtered by FILTER (decoded text of the parameter) to OUT, `{}` when nothing is left, as the engines do.
 * BAD_INPUT when JSON is no JSON; OUT is unchanged then. An empty FILTER keeps everything. */
MUST_USE enum status filter_path_apply(struct span json, struct span filter, struct buffer *out);
/* Appends JSON indented by two spaces as the engines' `pretty` does. */
MUST_USE enum status json_pretty(struct span json, struct buffer *out);

#endif

/* verdict.h - what a standby's answer to one row means: one table for the whole replicator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_VERDICT_H
#define TANDEM_REPLICATOR_VERDICT_H

#include <stdbool.h>

#include "es/outcome.h"

enum verdict {
    VERDICT_DONE,    /* it is there, or something newer is */
    VERDICT_RETRY,   /* busy or failing for a moment: the same again, later */
    VERDICT_ALIAS,   /* its alias is not there: another replicator took over, or the index went */
    VERDICT_MAPPING, /* its mapping has not come yet */
    VERDICT_BLOCKED, /* a block, a closed index, or our rights: again later, with an alarm */
    VERDICT_PARK,    /* refused for good */
};

/* Judges one item of a bulk's answer. */
enum verdict verdict_item(const struct outcome_item *item);
/* Judges an answer to a whole bulk that is not 2xx. */
enum verdict verdict_bulk(int http_status);
const char *verdict_name(enum verdict verdict);

#endif

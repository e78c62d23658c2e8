/* status.c - every way an operation can end, and what to do about it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/status.h"

#include "base/check.h"

/* clang-format off */
static const struct {
    const char *name, *text;
    enum remedy remedy;
} statuses[] = {
#define X(name, remedy, text) [STATUS_##name] = {#name, text, REMEDY_##remedy},
    STATUS_TABLE(X)
#undef X
};
/* clang-format on */

const char *status_text(enum status status)
{
    CHECK((size_t)status < COUNT_OF(statuses));
    return statuses[status].text;
}

const char *status_name(enum status status)
{
    CHECK((size_t)status < COUNT_OF(statuses));
    return statuses[status].name;
}

enum remedy status_remedy(enum status status)
{
    CHECK((size_t)status < COUNT_OF(statuses));
    return statuses[status].remedy;
}

/* status.c - the one table of statuses, as names, sentences and remedies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/status.h"

#include <pthread.h>

#include "base/check.h"

#define NAME_SIZE_MAX 24 /* the longest name and its NUL */

static const struct {
    const char *upper; /* as the table spells it */
    const char *text;
    enum remedy remedy;
} statuses[] = {
#define X(name, remedy, text) [STATUS_##name] = {#name, text, REMEDY_##remedy},
    STATUS_TABLE(X)
#undef X
};

#define X(name, remedy, text) _Static_assert(sizeof #name <= NAME_SIZE_MAX, "status name too long");
STATUS_TABLE(X)
#undef X

/* The preprocessor cannot make lower case, so the names are made once, by whoever asks first. */
static char names[COUNT_OF(statuses)][NAME_SIZE_MAX];
static pthread_once_t names_made = PTHREAD_ONCE_INIT;

static void make_names(void)
{
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        for (size_t at = 0; statuses[i].upper[at] != '\0'; at++) {
            char c = statuses[i].upper[at];
            names[i][at] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
}

const char *status_text(enum status status)
{
    CHECK((size_t)status < COUNT_OF(statuses));
    return statuses[status].text;
}

const char *status_name(enum status status)
{
    CHECK((size_t)status < COUNT_OF(statuses));
    CHECK(pthread_once(&names_made, make_names) == 0);
    return names[status];
}

enum remedy status_remedy(enum status status)
{
    CHECK((size_t)status < COUNT_OF(statuses));
    return statuses[status].remedy;
}

/* value.h - one value of a settings row: from words, to text, copied, compared, freed. For conf.c
 * and settings.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_CONF_VALUE_H
#define TANDEM_CONF_VALUE_H

#include "conf/conf.h"

/* Sets ROW in VALUES from COUNT words (one, but for lists), freeing what was there. False: WHY says
 * what would be right, without file and line, and the value is as it was. */
MUST_USE bool value_set(const struct conf_row *row, const char *const *words, size_t count,
                        void *values, char *why, size_t why_size);
/* Sets ROW to its initial value, {name} in it replaced by NAME (NULL: nothing is). A table's
 * mistake stops the program. */
void value_set_initial(const struct conf_row *row, const char *name, void *values);
/* Appends the value as it could stand in the file. */
void value_print(const struct conf_row *row, const void *values, struct buffer *out);
/* Appends TEXT as a YAML scalar, quoted where it must be. */
void value_print_text(const char *text, struct buffer *out);
bool value_equal(const struct conf_row *row, const void *a, const void *b);
void value_copy(const struct conf_row *row, const void *from, void *to);
void value_fini(const struct conf_row *row, void *values);
bool value_is_list(const struct conf_row *row);

#endif

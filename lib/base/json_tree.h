/* json_tree.h - JSON text into a tree of jansson's, whatever bytes the engines put into it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_JSON_TREE_H
#define TANDEM_BASE_JSON_TREE_H

#include <jansson.h>

#include "base/bytes.h"

/* The tree of TEXT, the caller's; NULL when it is not JSON. The engines take and give back what jansson does not:
 * bytes that are no UTF-8, halves of surrogate pairs, NUL in a name. Each such thing becomes U+FFFD, so that one odd
 * field name does not make a whole cluster state unreadable. */
json_t *json_tree(struct span text);

#endif

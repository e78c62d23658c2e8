/* vectors.h - fields of vectors, which an engine may leave out of the documents that it answers.
 *
 * Elasticsearch does so since 9.2: it keeps vectors beside `_source`, and puts them back when it is
 * asked to. Which indices are of that kind: settings_hide_vectors() in copied.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_VECTORS_H
#define TANDEM_ES_VECTORS_H

#include "base/bytes.h"

/* The parameter of a search or an `_mget` that asks for them. Engines that do not leave them out
 * may refuse it. */
#define WITH_VECTORS "_source_exclude_vectors=false"

/* A digest of the document SOURCE that does not depend on white space, nor on what an engine does
 * that puts vectors back: the order of members in an object, and the last bits of the vectors in
 * FIELDS (as mapping_vectors() gives them), of which only how long they are counts. */
uint64_t vectors_digest(struct span source, const char *fields);

#endif

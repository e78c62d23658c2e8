/* verdict.c - what a standby's answer to one row means: one table for the whole replicator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/verdict.h"

#include "base/json.h"

/* The first row that fits decides; "" fits every type. */
static const struct {
    int status;       /* 0: any */
    const char *type; /* of the error; a prefix */
    const char *says; /* within the error's text; "" for any */
    enum verdict verdict;
} table[] = {
    /* 409 with an external version: the standby has this row or a newer one. */
    {409, "version_conflict", "", VERDICT_DONE},
    /* The gate against guessed mappings (index.mapping.total_fields.limit: 0), in the words of each
       engine. */
    {400, "illegal_argument", "Limit of total fields", VERDICT_MAPPING},
    {400, "", "Limit of total fields", VERDICT_MAPPING},
    {400, "strict_dynamic_mapping", "", VERDICT_MAPPING},
    /* An alias that is gone says so; require_alias makes it a 404 of the index. */
    {404, "index_not_found", "", VERDICT_ALIAS},
    {404, "alias", "", VERDICT_ALIAS},
    /* A delete asks an engine to make the index when it has no such name: one that is just starting
       finds the alias in its own state a moment later. */
    {400, "invalid_index_name", "already exists as alias", VERDICT_RETRY},
    {400, "index_closed", "", VERDICT_BLOCKED},
    {0, "cluster_block", "", VERDICT_BLOCKED},
    {403, "", "", VERDICT_BLOCKED},
    {401, "", "", VERDICT_BLOCKED},
    {429, "", "", VERDICT_RETRY},
    {400, "", "", VERDICT_PARK},
    {413, "", "", VERDICT_PARK},
};

static bool contains(struct span text, const char *part)
{
    size_t size = strlen(part);
    return size == 0 || (text.size >= size && memmem(text.data, text.size, part, size) != NULL);
}

static bool type_starts(struct span error, const char *prefix)
{
    struct span type = json_member(error, SPAN("type"));
    return *prefix == '\0' ||
           (json_is_string(type) &&
            span_starts(span_of(type.data + 1, type.size - 2), span_cstr(prefix)));
}

enum verdict verdict_item(const struct outcome_item *item)
{
    if (item->status >= 200 && item->status < 300)
        return VERDICT_DONE;
    if (item->status == 404 && item->result == RESULT_NOT_FOUND && item->error.size == 0)
        return VERDICT_DONE; /* the delete of what is not there; it left its tombstone */
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if ((table[i].status == 0 || table[i].status == item->status) &&
            type_starts(item->error, table[i].type) && contains(item->error, table[i].says))
            return table[i].verdict;
    return VERDICT_RETRY; /* 5xx, and what we do not know: asking again does no harm */
}

enum verdict verdict_bulk(int http_status)
{
    if (http_status == 401 || http_status == 403)
        return VERDICT_BLOCKED;
    if (http_status == 400 || http_status == 413)
        return VERDICT_PARK; /* one row at a time tells which */
    return VERDICT_RETRY;
}

const char *verdict_name(enum verdict verdict)
{
    static const char *const names[] = {"done", "retry", "alias", "mapping", "blocked", "park"};
    return names[verdict];
}

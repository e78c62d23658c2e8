/* catalog.c - the primary's indices and aliases as last read: immutable, shared by all threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/catalog.h"

#include <stdlib.h>

void catalog_box_init(struct catalog_box *box)
{
    pthread_mutex_init(&box->lock, NULL);
    box->newest = NULL;
}

void catalog_box_fini(struct catalog_box *box)
{
    if (box->newest != NULL)
        catalog_put(box->newest);
    pthread_mutex_destroy(&box->lock);
}

const struct catalog *catalog_get(struct catalog_box *box)
{
    pthread_mutex_lock(&box->lock);
    struct catalog *catalog = box->newest;
    if (catalog != NULL)
        atomic_fetch_add(&catalog->references, 1);
    pthread_mutex_unlock(&box->lock);
    return catalog;
}

struct catalog *catalog_new(void)
{
    struct catalog *catalog = bytes_zalloc(sizeof *catalog);
    atomic_init(&catalog->references, 1);
    return catalog;
}

struct catalog_index *catalog_index_ref(struct catalog_index *index)
{
    atomic_fetch_add(&index->references, 1);
    return index;
}

void catalog_index_unref(struct catalog_index *index)
{
    if (atomic_fetch_sub(&index->references, 1) != 1)
        return;
    free(index->name);
    free(index->uuid);
    free(index->key);
    free(index->stream);
    free(index->type);
    free(index->definition);
    free(index);
}

static void catalog_free(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->index_count; i++)
        catalog_index_unref(catalog->indices[i]);
    for (size_t i = 0; i < catalog->alias_count; i++) {
        for (size_t m = 0; m < catalog->aliases[i].count; m++) {
            free(catalog->aliases[i].members[m].index);
            free(catalog->aliases[i].members[m].index_routing);
        }
        free(catalog->aliases[i].members);
        free(catalog->aliases[i].name);
    }
    free(catalog->indices);
    free(catalog->aliases);
    free(catalog);
}

void catalog_put(const struct catalog *catalog)
{
    /* The count is the one thing that moves in a catalog others can see. */
    struct catalog *mine = (struct catalog *)(uintptr_t)catalog;
    if (mine != NULL && atomic_fetch_sub(&mine->references, 1) == 1)
        catalog_free(mine);
}

void catalog_publish(struct catalog_box *box, struct catalog *catalog)
{
    pthread_mutex_lock(&box->lock);
    struct catalog *old = box->newest;
    box->newest = catalog;
    pthread_mutex_unlock(&box->lock);
    catalog_put(old);
}

static int compare_indices(const void *a, const void *b)
{
    return strcmp((*(struct catalog_index *const *)a)->name,
                  (*(struct catalog_index *const *)b)->name);
}

static int compare_aliases(const void *a, const void *b)
{
    return strcmp(((const struct catalog_alias *)a)->name, ((const struct catalog_alias *)b)->name);
}

static void sort(void *array, size_t count, size_t size, int (*compare)(const void *, const void *))
{
    if (count > 1)
        qsort(array, count, size, compare);
}

void catalog_sort(struct catalog *catalog)
{
    sort(catalog->indices, catalog->index_count, sizeof *catalog->indices, compare_indices);
    sort(catalog->aliases, catalog->alias_count, sizeof *catalog->aliases, compare_aliases);
}

/* Orders NAME against a C string. */
static int compare_name(struct span name, const char *text)
{
    return span_compare(name, span_cstr(text));
}

const struct catalog_index *catalog_find_index(const struct catalog *catalog, struct span name)
{
    size_t low = 0, high = catalog->index_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, catalog->indices[middle]->name);
        if (order == 0)
            return catalog->indices[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct catalog_alias *catalog_find_alias(const struct catalog *catalog, struct span name)
{
    size_t low = 0, high = catalog->alias_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, catalog->aliases[middle].name);
        if (order == 0)
            return &catalog->aliases[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct catalog_index *catalog_write_target(const struct catalog *catalog, struct span name,
                                                 const char **alias_routing)
{
    *alias_routing = NULL;
    const struct catalog_index *index = catalog_find_index(catalog, name);
    if (index != NULL)
        return index;
    const struct catalog_alias *alias = catalog_find_alias(catalog, name);
    if (alias == NULL)
        return NULL;
    for (size_t i = 0; i < alias->count; i++) {
        if (alias->members[i].is_write || alias->count == 1) {
            *alias_routing = alias->members[i].index_routing;
            return catalog_find_index(catalog, span_cstr(alias->members[i].index));
        }
    }
    return NULL;
}

const struct catalog_index *catalog_find_incarnation(const struct catalog *catalog,
                                                     uint32_t incarnation)
{
    for (size_t i = 0; i < catalog->index_count; i++)
        if (catalog->indices[i]->incarnation == incarnation)
            return catalog->indices[i];
    return NULL;
}

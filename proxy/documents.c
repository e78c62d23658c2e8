/* documents.c - writes of one document go to the primary one after the other, where that matters.
 *
 * Each document that somebody writes has a queue of turns in order of arrival; a use goes on when
 * it is the first in all of its queues. It enters all of them under one lock, so the order of two
 * uses is the same in every queue, and the first of all can always go on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/documents.h"

#include <pthread.h>
#include <stdlib.h>

#include <uthash.h>

#include "base/hash.h"
#include "proxy/core.h"

struct document {
    uint64_t key;
    struct documents_turn *first, *last;
    UT_hash_handle hh;
};

struct documents_turn {
    struct documents_use *use;
    struct document *document;
    struct documents_turn *next; /* behind it */
};

struct documents {
    struct core *core;
    pthread_mutex_t lock;
    struct document *table;
};

struct documents *documents_new(struct core *core)
{
    struct documents *documents = bytes_zalloc(sizeof *documents);
    documents->core = core;
    pthread_mutex_init(&documents->lock, NULL);
    return documents;
}

void documents_free(struct documents *documents)
{
    struct document *document, *next;
    if (documents == NULL)
        return;
    HASH_ITER(hh, documents->table, document, next)
    {
        HASH_DEL(documents->table, document);
        free(document);
    }
    pthread_mutex_destroy(&documents->lock);
    free(documents);
}

uint64_t documents_key(struct span index, struct span id)
{
    return hash64(id.data, id.size, hash64(index.data, index.size, 0));
}

static int compare_keys(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static struct document *document_get(struct documents *documents, uint64_t key)
{
    struct document *document;
    HASH_FIND(hh, documents->table, &key, sizeof key, document);
    if (document == NULL) {
        document = bytes_zalloc(sizeof *document);
        document->key = key;
        HASH_ADD(hh, documents->table, key, sizeof document->key, document);
    }
    return document;
}

static void take_turn(struct documents *documents, struct documents_use *use, uint64_t key)
{
    struct documents_turn *turn = &use->turns[use->count++];
    struct document *document = document_get(documents, key);
    *turn = (struct documents_turn){.use = use, .document = document};
    use->behind += document->last != NULL;
    if (document->last != NULL)
        document->last->next = turn;
    else
        document->first = turn;
    document->last = turn;
}

bool documents_enter(struct documents *documents, struct documents_use *use, uint64_t *keys,
                     size_t count)
{
    qsort(keys, count, sizeof *keys, compare_keys);
    use->turns = bytes_alloc((count + 1) * sizeof *use->turns);
    use->count = use->behind = 0;
    pthread_mutex_lock(&documents->lock);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || keys[i] != keys[i - 1])
            take_turn(documents, use, keys[i]);
    bool first = use->behind == 0;
    pthread_mutex_unlock(&documents->lock);
    return first;
}

static void run_turn(struct loop_task *task)
{
    struct documents_use *use = (struct documents_use *)task;
    use->on_turn(use);
}

static void give_back(struct documents *documents, struct documents_turn *turn)
{
    struct document *document = turn->document;
    CHECK(document->first == turn);
    document->first = turn->next;
    if (turn->next == NULL) {
        HASH_DEL(documents->table, document);
        free(document);
        return;
    }
    struct documents_use *next = turn->next->use;
    if (--next->behind == 0) {
        next->task.run = run_turn;
        documents->core->post(next->loop, &next->task);
    }
}

void documents_leave(struct documents *documents, struct documents_use *use)
{
    pthread_mutex_lock(&documents->lock);
    for (size_t i = 0; i < use->count; i++)
        give_back(documents, &use->turns[i]);
    pthread_mutex_unlock(&documents->lock);
    free(use->turns);
    use->turns = NULL;
    use->count = 0;
}

/* list.h - doubly linked lists whose links are inside the objects.
 *
 * A head is a link too, and an empty list is one that points at itself; so is an object that is in
 * no list.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_LIST_H
#define TANDEM_PROXY_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *prev;
};

/* The object of TYPE whose member MEMBER is LINK. */
#define LINK_OF(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct link *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct link *head)
{
    return head->next == head;
}

static inline void list_push_front(struct link *head, struct link *link)
{
    link->next = head->next;
    link->prev = head;
    head->next->prev = link;
    head->next = link;
}

static inline void list_push_back(struct link *head, struct link *link)
{
    list_push_front(head->prev, link);
}

/* Fine for an object that is in no list. */
static inline void list_remove(struct link *link)
{
    link->next->prev = link->prev;
    link->prev->next = link->next;
    list_init(link);
}

#endif

/* link.h - the line to the proxy: news of records, marks, checkpoints (see wire.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_LINK_H
#define TANDEM_REPLICATOR_LINK_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct link;

struct link_ops {
    void (*on_records)(void *arg, uint64_t seq);
    void (*on_mark)(void *arg, uint64_t number);
};

/* Connects to the socket in FOLDER, and again whenever the proxy was away. */
struct link *link_new(struct loop *loop, const char *folder, const char *standby,
                      const struct link_ops *ops, void *arg);
void link_free(struct link *link);
/* Asks for a mark; asked again after the proxy was away, until on_mark. */
void link_ask_mark(struct link *link);
void link_report(struct link *link, uint64_t seq);
bool link_is_up(const struct link *link);

#endif

/* sample.h - which sequence numbers of a shard are looked at, when not all are.
 *
 * A shard is divided into stretches; as many of them as the percentage asks for are chosen at
 * random, each as likely as the others, and told in their order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_SAMPLE_H
#define TANDEM_REPLICATOR_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sample {
    int64_t numbers, stretch; /* of the shard; of one stretch */
    int64_t at, count;        /* the next stretch, of so many */
    int64_t wanted;           /* so many are still to be chosen */
    uint64_t seed;
};

/* PERCENT (above 0, at most 100) of the numbers 0 .. NUMBERS - 1; at least one stretch, unless
 * there are no numbers. */
void sample_begin(struct sample *sample, int64_t numbers, double percent, uint64_t seed);
/* The next stretch: the numbers above *ABOVE, up to *UP_TO. False: there is none. */
bool sample_next(struct sample *sample, int64_t *above, int64_t *up_to);

#endif

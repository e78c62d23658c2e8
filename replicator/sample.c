/* sample.c - which sequence numbers of a shard are looked at, when not all are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/sample.h"

#include "base/check.h"
#include "base/hash.h"

/* Long stretches cost fewer calls, short ones are spread better. */
#define STRETCH_MAX 1000
#define STRETCHES_MIN 64

void sample_begin(struct sample *sample, int64_t numbers, double percent, uint64_t seed)
{
    CHECK(percent > 0 && percent <= 100);
    int64_t stretch = numbers / STRETCHES_MIN;
    stretch = stretch < 1 ? 1 : (stretch > STRETCH_MAX ? STRETCH_MAX : stretch);
    int64_t count = (numbers + stretch - 1) / stretch;
    double wanted = (double)count * percent / 100;
    *sample = (struct sample){.numbers = numbers,
                              .stretch = stretch,
                              .count = count,
                              .wanted = (int64_t)wanted + ((double)(int64_t)wanted < wanted),
                              .seed = seed};
}

bool sample_next(struct sample *sample, int64_t *above, int64_t *up_to)
{
    while (sample->wanted > 0 && sample->at < sample->count) {
        uint64_t draw[2] = {sample->seed, (uint64_t)sample->at};
        uint64_t left = (uint64_t)(sample->count - sample->at);
        int64_t first = sample->at++ * sample->stretch;
        if (hash64(draw, sizeof draw, 0) % left >= (uint64_t)sample->wanted)
            continue;
        sample->wanted--;
        *above = first - 1;
        *up_to = first + sample->stretch - 1;
        if (*up_to >= sample->numbers)
            *up_to = sample->numbers - 1;
        return true;
    }
    return false;
}

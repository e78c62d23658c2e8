/* hash.c - SipHash-2-4: two rounds for each eight bytes, four at the end, 128 bits of key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include "base/bytes.h"

struct sip {
    uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotate(s->b, 17) ^ s->c;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c = rotate(s->c, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    sip_round(s);
    s->a ^= word;
}

uint64_t hash64_keyed(const void *data, size_t size, uint64_t key0, uint64_t key1)
{
    /* the four words spell "somepseudorandomlygeneratedbytes" */
    struct sip s = {
        .a = key0 ^ UINT64_C(0x736f6d6570736575),
        .b = key1 ^ UINT64_C(0x646f72616e646f6d),
        .c = key0 ^ UINT64_C(0x6c7967656e657261),
        .d = key1 ^ UINT64_C(0x7465646279746573),
    };
    const uint8_t *at = data;
    size_t whole = size / 8;
    for (size_t i = 0; i < whole; i++)
        sip_word(&s, get_u64le(at + 8 * i));
    uint64_t last = (uint64_t)size << 56; /* its low byte, above the bytes that are left */
    for (size_t i = whole * 8; i < size; i++)
        last |= (uint64_t)at[i] << (8 * (i % 8));
    sip_word(&s, last);
    s.c ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}

uint64_t hash64(const void *data, size_t size, uint64_t seed)
{
    return hash64_keyed(data, size, seed, ~seed);
}

static uint64_t process_seed;
static pthread_once_t process_seed_made = PTHREAD_ONCE_INIT;

static void make_process_seed(void)
{
    ssize_t got;
    do
        got = getrandom(&process_seed, sizeof process_seed, 0);
    while (got < 0 && errno == EINTR);
    CHECK(got == (ssize_t)sizeof process_seed);
}

uint64_t hash_process_seed(void)
{
    CHECK(pthread_once(&process_seed_made, make_process_seed) == 0);
    return process_seed;
}

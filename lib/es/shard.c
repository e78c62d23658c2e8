/* shard.c - which shard a document lives in, as the engines compute it.
 *
 * The hash is murmur3 of 32 bits over the UTF-16LE code units of the routing, or of the id where
 * there is none: two bytes for each unit, four for a character above U+FFFF (a surrogate pair). The
 * arithmetic around it is that of Java: 32 bits that wrap, a floorMod that is never negative.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/shard.h"

#include <stdio.h>

/* murmur3 takes its input four bytes at a time; we feed it code units of two. */
struct murmur {
    uint32_t hash;
    uint32_t block; /* the low unit of a block that is not full yet */
    size_t units;
};

static uint32_t rotate(uint32_t v, int bits)
{
    return v << bits | v >> (32 - bits);
}

static uint32_t scramble(uint32_t block)
{
    return rotate(block * 0xcc9e2d51u, 15) * 0x1b873593u;
}

static inline void murmur_unit(struct murmur *murmur, uint32_t unit)
{
    if (murmur->units++ % 2 == 0) {
        murmur->block = unit;
        return;
    }
    murmur->hash ^= scramble(murmur->block | unit << 16);
    murmur->hash = rotate(murmur->hash, 13) * 5 + 0xe6546b64u;
}

static uint32_t murmur_end(struct murmur *murmur)
{
    uint32_t h = murmur->hash;
    if (murmur->units % 2 != 0)
        h ^= scramble(murmur->block);
    h ^= (uint32_t)(murmur->units * 2);
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

/* How many bytes the character takes that begins with LEAD; 0 when none does. */
static size_t utf8_size(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if ((lead & 0xf0) == 0xe0)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* The next code point; a byte that begins no whole character counts as U+FFFD, and is one step. */
static uint32_t utf8_next(const uint8_t **at, const uint8_t *end)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800,
                                     0x10000}; /* below it, the form is overlong */
    const uint8_t *p = *at;
    size_t size = utf8_size(*p);
    *at = p + 1;
    if (size == 1)
        return *p;
    if (size == 0 || (size_t)(end - p) < size)
        return 0xfffd;
    uint32_t c = *p & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0xfffd;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0xfffd;
    *at = p + size;
    return c;
}

int32_t shard_hash(struct span text)
{
    struct murmur murmur = {0};
    const uint8_t *at = (const uint8_t *)text.data, *end = text.size == 0 ? at : at + text.size;
    while (at < end) {
        uint32_t c = utf8_next(&at, end);
        if (c >= 0x10000) {
            murmur_unit(&murmur, 0xd800 + ((c - 0x10000) >> 10));
            murmur_unit(&murmur, 0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            murmur_unit(&murmur, c);
        }
    }
    return (int32_t)murmur_end(&murmur);
}

static uint32_t floor_mod(int32_t value, uint32_t by)
{
    int64_t rest = (int64_t)value % (int64_t)by;
    return (uint32_t)(rest < 0 ? rest + (int64_t)by : rest);
}

uint32_t shard_of(struct span id, struct span routing, uint32_t shards, uint32_t routing_shards,
                  uint32_t partition)
{
    CHECK(shards > 0 && routing_shards >= shards);
    uint32_t hash = (uint32_t)shard_hash(routing.size > 0 ? routing : id);
    if (partition > 1)
        hash += floor_mod(shard_hash(id), partition);
    return floor_mod((int32_t)hash, routing_shards) / (routing_shards / shards);
}

struct span shard_routing(struct span id, uint32_t shards, uint32_t routing_shards,
                          uint32_t partition, uint32_t shard, char text[12])
{
    struct span routing;
    unsigned number = 0;
    CHECK(shard < shards);
    do {
        routing = span_of(text, (size_t)snprintf(text, 12, "%u", number++));
    } while (shard_of(id, routing, shards, routing_shards, partition) != shard);
    return routing;
}

/* 15 bytes, which are 20 characters: 6 of the time, 3 of the sequence, 6 that are ours alone. The
 * engines keep ids of this alphabet as the bytes they encode, so big-endian time in front makes
 * terms that arrive in order. 2^24 ids in one millisecond are more than one process can make. */
void auto_id(char id[20], const uint8_t unique[6], uint32_t sequence, uint64_t now_ms)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t bytes[15];
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(now_ms >> (40 - 8 * i));
    for (int i = 0; i < 3; i++)
        bytes[6 + i] = (uint8_t)(sequence >> (16 - 8 * i));
    memcpy(bytes + 9, unique, 6);
    for (size_t in = 0, out = 0; in < sizeof bytes; in += 3, out += 4) {
        uint32_t word = (uint32_t)bytes[in] << 16 | (uint32_t)bytes[in + 1] << 8 | bytes[in + 2];
        for (size_t i = 0; i < 4; i++)
            id[out + i] = alphabet[word >> (18 - 6 * i) & 0x3f];
    }
}

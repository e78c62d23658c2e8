/* crc32c.c - CRC-32C by the processor's instruction where there is one, else from tables.
 *
 * Which of the two is decided once, before main().
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"

#define POLYNOMIAL 0x82f63b78u /* Castagnoli's, lowest bit first */

/* tables[0][b]: the remainder of byte b; tables[k][b]: of byte b with k zero bytes behind it. So
 * eight bytes take eight look-ups that do not wait for each other. */
static uint32_t tables[8][256];

static void fill_tables(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t remainder = byte;
        for (int bit = 0; bit < 8; bit++)
            remainder = remainder >> 1 ^ ((remainder & 1) != 0 ? POLYNOMIAL : 0);
        tables[0][byte] = remainder;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t before = tables[k - 1][byte];
            tables[k][byte] = before >> 8 ^ tables[0][before & 0xff];
        }
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *at = data;
    crc = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint32_t low = get_u32le(at) ^ crc;
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][at[4]] ^ tables[2][at[5]] ^ tables[1][at[6]] ^
              tables[0][at[7]];
    }
    for (; size > 0; size--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const void *data,
                                                               size_t size)
{
    const uint8_t *at = data;
    uint64_t wide = ~crc;
    for (; size >= 8; size -= 8, at += 8) {
        uint64_t bytes;
        memcpy(&bytes, at, sizeof bytes);
        wide = __builtin_ia32_crc32di(wide, bytes);
    }
    crc = (uint32_t)wide;
    for (; size > 0; size--, at++)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return ~crc;
}
#endif

static uint32_t (*crc32c_chosen)(uint32_t, const void *, size_t);

__attribute__((constructor)) static void choose(void)
{
    fill_tables();
    crc32c_chosen = crc32c_portable;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("sse4.2"))
        crc32c_chosen = crc32c_sse42;
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_chosen(crc, data, size);
}

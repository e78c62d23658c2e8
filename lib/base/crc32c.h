/* crc32c.h - the checksum of everything we store: CRC-32C (Castagnoli), as in iSCSI and Kafka.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_CRC32C_H
#define TANDEM_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of what CRC was the checksum of, followed by DATA; begin with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same from tables, for machines without the instruction (and for the test that compares both).
 */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif

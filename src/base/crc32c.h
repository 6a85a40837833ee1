/* CRC-32C, the checksum of every stored row. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/**
 * CRC-32C (Castagnoli) of the bytes; the processor's own instruction where it has one.
 *
 * Thread:  any.
 * Source:  RFC 3720, appendix B.4 (test vectors).
 */
uint32_t crc32c(const void *bytes, size_t len);

/** The checksum of bytes that go on behind those that gave `before`: crc32c(ab) = crc32c_more(crc32c(a), b). */
uint32_t crc32c_more(uint32_t before, const void *bytes, size_t len);

/** crc32c_more by table, for processors without the instruction and for the test that holds both equal. */
uint32_t crc32c_portable(uint32_t before, const void *bytes, size_t len);

#endif

/* Little-endian numbers in byte strings, for records on disk and their checksums. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "mywallet is built and tested on little-endian machines alone"
#endif

static inline void bytes_put_u16(uint8_t *at, uint16_t number)
{
    memcpy(at, &number, sizeof(number));
}

static inline void bytes_put_u32(uint8_t *at, uint32_t number)
{
    memcpy(at, &number, sizeof(number));
}

static inline void bytes_put_u64(uint8_t *at, uint64_t number)
{
    memcpy(at, &number, sizeof(number));
}

static inline uint16_t bytes_get_u16(const uint8_t *at)
{
    uint16_t number;
    memcpy(&number, at, sizeof(number));
    return number;
}

static inline uint32_t bytes_get_u32(const uint8_t *at)
{
    uint32_t number;
    memcpy(&number, at, sizeof(number));
    return number;
}

static inline uint64_t bytes_get_u64(const uint8_t *at)
{
    uint64_t number;
    memcpy(&number, at, sizeof(number));
    return number;
}

#endif

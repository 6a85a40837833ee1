#include "base/crc32c.h"

#include "base/bytes.h"

#define CRC32C_POLYNOMIAL_REVERSED UINT32_C(0x82f63b78)

/* Four bits at a time: 16 entries, made from the polynomial when the compiler folds them. */
#define STEP(x) (((x) >> 1) ^ (((x)&1u) ? CRC32C_POLYNOMIAL_REVERSED : 0u))
#define ENTRY(x) STEP(STEP(STEP(STEP((uint32_t)(x)))))

static const uint32_t nibble_table[16] = {
    ENTRY(0), ENTRY(1), ENTRY(2),  ENTRY(3),  ENTRY(4),  ENTRY(5),  ENTRY(6),  ENTRY(7),
    ENTRY(8), ENTRY(9), ENTRY(10), ENTRY(11), ENTRY(12), ENTRY(13), ENTRY(14), ENTRY(15),
};

uint32_t crc32c_portable(uint32_t before, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    uint32_t crc = ~before;

    for (size_t i = 0; i < len; i++) {
        crc ^= at[i];
        crc = (crc >> 4) ^ nibble_table[crc & 15u];
        crc = (crc >> 4) ^ nibble_table[crc & 15u];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t before, const uint8_t *at,
                                                               size_t len)
{
    uint64_t crc = (uint32_t)~before;

    for (; len >= 8; at += 8, len -= 8) {
        crc = __builtin_ia32_crc32di(crc, bytes_get_u64(at));
    }
    for (; len > 0; at++, len--) {
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *at);
    }
    return ~(uint32_t)crc;
}
#endif

uint32_t crc32c(const void *bytes, size_t len)
{
    return crc32c_more(0, bytes, len);
}

uint32_t crc32c_more(uint32_t before, const void *bytes, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_sse42(before, bytes, len);
    }
#endif
    return crc32c_portable(before, bytes, len);
}

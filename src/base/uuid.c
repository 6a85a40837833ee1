#include "base/uuid.h"

#include "base/assert.h"

void uuid_v7(struct prng *random, int64_t wall_us, char text[UUID_TEXT_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    uint64_t ms = (uint64_t)(wall_us / 1000);
    uint64_t high, low;
    int at = 0;

    ASSERT(wall_us >= 0);
    high = ms << 16 | UINT64_C(0x7000) | (prng_next(random) & 0x0fff);
    low = UINT64_C(1) << 63 | prng_next(random) >> 2;
    for (int nibble = 0; nibble < 32; nibble++) {
        uint64_t word = nibble < 16 ? high : low;
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) {
            text[at++] = '-';
        }
        text[at++] = hex[word >> (60 - nibble % 16 * 4) & 15];
    }
    ASSERT(at == UUID_TEXT_BYTES);
}

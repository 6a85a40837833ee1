#include "store/redis/place.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

enum { BUCKET_AT = 1, N_AT = 5, CRC_AT = 13, RAW_BYTES = 17, DIGITS = (RAW_BYTES * 8 + 5) / 6 };

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

unsigned place_write(enum place_kind kind, uint32_t binding, struct place at,
                     char out[STORE_CURSOR_BYTES_MAX])
{
    uint8_t raw[RAW_BYTES] = {(uint8_t)kind};
    unsigned count = 0, digits = 0;
    uint32_t bits = 0;

    bytes_put_u32(raw + BUCKET_AT, at.bucket);
    bytes_put_u64(raw + N_AT, at.n);
    bytes_put_u32(raw + CRC_AT, crc32c_more(binding, raw, CRC_AT));
    for (unsigned i = 0; i < RAW_BYTES; i++) {
        bits = bits << 8 | raw[i];
        for (count += 8; count >= 6; count -= 6) {
            out[digits++] = alphabet[bits >> (count - 6) & 63];
        }
    }
    if (count > 0) {
        out[digits++] = alphabet[bits << (6 - count) & 63];
    }
    ASSERT(digits == DIGITS);
    return digits;
}

/* One text for one cursor: digits of the alphabet alone, and no bits left over. */
static bool raw_read(struct slice text, uint8_t raw[RAW_BYTES])
{
    unsigned count = 0, at = 0;
    uint32_t bits = 0;

    if (text.len != DIGITS) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char *digit = memchr(alphabet, text.ptr[i], sizeof(alphabet) - 1);
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        count += 6;
        if (count >= 8) {
            count -= 8;
            raw[at++] = (uint8_t)(bits >> count);
        }
    }
    return (bits & ((1u << count) - 1)) == 0;
}

bool place_read(enum place_kind kind, uint32_t binding, struct slice text, struct place *out)
{
    uint8_t raw[RAW_BYTES];

    if (!raw_read(text, raw) || raw[0] != (uint8_t)kind ||
        bytes_get_u32(raw + CRC_AT) != crc32c_more(binding, raw, CRC_AT)) {
        return false;
    }
    *out = (struct place){.bucket = bytes_get_u32(raw + BUCKET_AT), .n = bytes_get_u64(raw + N_AT)};
    return true;
}

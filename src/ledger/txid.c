#include "ledger/txid.h"

#include "base/assert.h"

/* Crockford's base 32: its digits rise as ASCII does, so ids sort as their times do. */
static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
enum { PREFIX_BYTES = 3, TIME_DIGITS = 13, TAG_DIGITS = 7 };

static void put_digits(uint64_t number, unsigned count, char *text)
{
    while (count-- > 0) {
        text[count] = digits[number & 31];
        number >>= 5;
    }
}

static bool get_digits(const char *text, unsigned count, uint64_t *number)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < count; i++) {
        const char *at = text[i] == '\0' ? NULL : strchr(digits, text[i]);
        if (at == NULL || sum >> 59 != 0) {
            return false;
        }
        sum = sum << 5 | (uint64_t)(at - digits);
    }
    *number = sum;
    return true;
}

size_t txid_encode(int64_t time_us, uint32_t tag, char text[TXID_BYTES_MAX])
{
    ASSERT(time_us >= 0);
    memcpy(text, "tx_", PREFIX_BYTES);
    put_digits((uint64_t)time_us, TIME_DIGITS, text + PREFIX_BYTES);
    if (tag == 0) {
        return PREFIX_BYTES + TIME_DIGITS;
    }
    put_digits(tag, TAG_DIGITS, text + PREFIX_BYTES + TIME_DIGITS);
    return PREFIX_BYTES + TIME_DIGITS + TAG_DIGITS;
}

enum err txid_decode(struct slice text, int64_t *time_us, uint32_t *tag)
{
    uint64_t time, number = 0;

    if (!slice_starts_with(text, SLICE("tx_")) ||
        (text.len != PREFIX_BYTES + TIME_DIGITS &&
         text.len != PREFIX_BYTES + TIME_DIGITS + TAG_DIGITS) ||
        !get_digits(text.ptr + PREFIX_BYTES, TIME_DIGITS, &time) || time > INT64_MAX) {
        return ERR_INVALID;
    }
    if (text.len > PREFIX_BYTES + TIME_DIGITS &&
        (!get_digits(text.ptr + PREFIX_BYTES + TIME_DIGITS, TAG_DIGITS, &number) || number == 0 ||
         number > UINT32_MAX)) {
        return ERR_INVALID;
    }
    *time_us = (int64_t)time;
    *tag = (uint32_t)number;
    return ERR_OK;
}

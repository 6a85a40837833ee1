#include "money/money.h"

#include "base/assert.h"

enum {
    EXPONENT_MAX = 4,
    TEXT_BYTES_MAX = 1 + 20 + 1, /* sign, the digits of 2^64, point */
};

bool money_add(int64_t a, int64_t b, int64_t *out)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

bool money_sub(int64_t a, int64_t b, int64_t *out)
{
    int64_t difference;

    if (__builtin_sub_overflow(a, b, &difference)) {
        return false;
    }
    *out = difference;
    return true;
}

void money_append(struct buf *b, int64_t minor, unsigned exponent)
{
    char text[TEXT_BYTES_MAX];
    size_t at = sizeof(text);
    uint64_t rest = minor < 0 ? -(uint64_t)minor : (uint64_t)minor;
    unsigned decimals = 0;

    ASSERT(exponent <= EXPONENT_MAX);
    while (rest != 0 || decimals <= exponent) { /* at least one digit stands before the point */
        if (decimals == exponent && exponent != 0) {
            text[--at] = '.';
        }
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
        decimals++;
    }
    if (minor < 0) {
        text[--at] = '-';
    }
    buf_append(b, text + at, sizeof(text) - at);
}

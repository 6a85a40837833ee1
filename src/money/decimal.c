#include "money/decimal.h"

#include "money/money.h"

enum {
    EXPONENT_CEILING = 1000000, /* a written exponent is counted no further: far out of range */
    SCALE_MIN = -4,             /* no currency has more decimals */
    WHOLE_DIGITS_MAX = 15,      /* of the largest amount in a currency without decimals */
};

struct reader {
    const char *at;
    const char *end;
    uint64_t coefficient; /* significant digits so far, without the zeros that wait behind them */
    int32_t digits;       /* of the coefficient; past DECIMAL_DIGITS_MAX they are counted alone */
    int32_t zeros;        /* seen since the last digit that is not zero */
    int32_t decimals;     /* digits seen behind the point */
};

static bool is_digit_next(const struct reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

static bool is_next(const struct reader *r, char wanted)
{
    return r->at < r->end && *r->at == wanted;
}

static void digit_push(struct reader *r, unsigned digit)
{
    if (digit == 0) {
        r->zeros += r->digits > 0; /* leading zeros mean nothing */
        return;
    }
    r->digits += r->zeros + 1;
    if (r->digits <= DECIMAL_DIGITS_MAX) {
        for (int32_t i = 0; i <= r->zeros; i++) {
            r->coefficient *= 10;
        }
        r->coefficient += digit;
    }
    r->zeros = 0;
}

/* One digit or more; how many, 0 where there is none. */
static int32_t digits_read(struct reader *r)
{
    int32_t count = 0;

    for (; is_digit_next(r); r->at++, count++) {
        digit_push(r, (unsigned)(*r->at - '0'));
    }
    return count;
}

static bool whole_read(struct reader *r)
{
    if (is_next(r, '0')) {
        r->at++; /* a digit behind it is where nothing may stand */
        return true;
    }
    return digits_read(r) > 0;
}

static bool fraction_read(struct reader *r)
{
    if (!is_next(r, '.')) {
        return true;
    }
    r->at++;
    r->decimals = digits_read(r);
    return r->decimals > 0;
}

static bool exponent_read(struct reader *r, int32_t *exponent)
{
    bool is_negative;
    int32_t sum = 0;

    *exponent = 0;
    if (!is_next(r, 'e') && !is_next(r, 'E')) {
        return true;
    }
    r->at++;
    is_negative = is_next(r, '-');
    if (is_negative || is_next(r, '+')) {
        r->at++;
    }
    if (!is_digit_next(r)) {
        return false;
    }
    for (; is_digit_next(r); r->at++) {
        sum = sum >= EXPONENT_CEILING ? EXPONENT_CEILING : sum * 10 + (*r->at - '0');
    }
    *exponent = is_negative ? -sum : sum;
    return true;
}

enum err decimal_parse(struct slice text, struct decimal *out)
{
    struct reader r = {.at = text.ptr};
    bool is_negative;
    int32_t exponent;
    int32_t scale;

    if (text.len == 0 || text.len > DECIMAL_TEXT_BYTES_MAX) {
        return ERR_INVALID;
    }
    r.end = text.ptr + text.len;
    is_negative = is_next(&r, '-');
    r.at += is_negative;
    if (!whole_read(&r) || !fraction_read(&r) || !exponent_read(&r, &exponent) || r.at != r.end) {
        return ERR_INVALID;
    }
    if (r.digits == 0) {
        *out = (struct decimal){.coefficient = 0, .scale = 0};
        return ERR_OK;
    }
    scale = exponent - r.decimals + r.zeros;
    if (r.digits > DECIMAL_DIGITS_MAX || scale < SCALE_MIN || r.digits + scale > WHOLE_DIGITS_MAX) {
        return ERR_RANGE;
    }
    *out = (struct decimal){
        .coefficient = is_negative ? -(int64_t)r.coefficient : (int64_t)r.coefficient,
        .scale = scale,
    };
    return ERR_OK;
}

enum err decimal_to_minor(struct decimal d, unsigned exponent, int64_t *minor)
{
    int64_t amount = d.coefficient;
    int64_t power = (int64_t)d.scale + (int64_t)exponent;

    if (amount == 0) {
        *minor = 0;
        return ERR_OK;
    }
    /* both loops end within 19 turns: the amount leaves its range, or runs out of zeros, before */
    for (; power < 0; power++) {
        if (amount % 10 != 0) {
            return ERR_RANGE;
        }
        amount /= 10;
    }
    for (; power > 0 && amount >= -MONEY_MINOR_MAX && amount <= MONEY_MINOR_MAX; power--) {
        amount *= 10;
    }
    if (amount < -MONEY_MINOR_MAX || amount > MONEY_MINOR_MAX) {
        return ERR_RANGE;
    }
    *minor = amount;
    return ERR_OK;
}

bool decimal_equal(struct decimal a, struct decimal b)
{
    return a.coefficient == b.coefficient && a.scale == b.scale;
}

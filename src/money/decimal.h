/* The canonical decimal: what an amount in a request means before its currency is known. */
#ifndef MONEY_DECIMAL_H
#define MONEY_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
    DECIMAL_TEXT_BYTES_MAX = 64, /* longer source text is refused before it is read */
    DECIMAL_DIGITS_MAX = 15,     /* significant digits of a canonical coefficient */
};

/** coefficient x 10^scale. Canonical: no trailing zero in the coefficient; zero is {0, 0}. */
struct decimal {
    int64_t coefficient; /* -(10^15-1) .. 10^15-1 */
    int32_t scale;       /* power of ten */
};

/**
 * Read a JSON number's source text (RFC 8259 grammar, nothing more) exactly, without floating point.
 *
 * Returns: ERR_OK with *out canonical: 100, 100.00, 1E+2 give the same value.
 * Errors:  ERR_INVALID  not a JSON number, empty, or longer than DECIMAL_TEXT_BYTES_MAX;
 *          ERR_RANGE    more significant digits than DECIMAL_DIGITS_MAX once trailing zeros are dropped, or a
 *                       nonzero value whose scale cannot be any currency's (1e400, 1e-400).
 * Thread:  any.
 */
MUST_CHECK enum err decimal_parse(struct slice text, struct decimal *out);

/**
 * Minor units of a decimal in a currency with `exponent` decimals.
 *
 * Errors:  ERR_RANGE where it is not whole (0.001 at exponent 2) or past MONEY_MINOR_MAX either way.
 */
MUST_CHECK enum err decimal_to_minor(struct decimal d, unsigned exponent, int64_t *minor);

/** Same value: both are canonical, so the parts are equal. */
bool decimal_equal(struct decimal a, struct decimal b);

#endif

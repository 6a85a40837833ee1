/* Checked arithmetic on minor units, and the ceilings of money. Integers only. */
#ifndef MONEY_MONEY_H
#define MONEY_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/** The largest amount, balance or limit, in minor units: 15 digits, exact in every client's double. */
#define MONEY_MINOR_MAX INT64_C(999999999999999)

/** *out = a + b in minor units; false, and *out untouched, when that leaves int64_t. Thread: any. */
bool money_add(int64_t a, int64_t b, int64_t *out);

/** *out = a - b in minor units; false, and *out untouched, when that leaves int64_t. Thread: any. */
bool money_sub(int64_t a, int64_t b, int64_t *out);

/**
 * Append minor units as a JSON number with exactly `exponent` decimals: 123456, 2 -> 1234.56; -5, 3 -> -0.005; 7, 0 -> 7.
 *
 * Units:   exponent is 0..4.
 * Errors:  the buffer's own (sticky).
 */
void money_append(struct buf *b, int64_t minor, unsigned exponent);

#endif

/* The ISO 4217 table: which currencies there are and how many decimals each has. */
#ifndef MONEY_CURRENCY_H
#define MONEY_CURRENCY_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

/** Three upper-case letters packed little endian: 'C' | 'N' << 8 | 'Y' << 16. 0 is no currency. */
struct currency {
    uint32_t code;
};

/** The publication date of the table ("YYYY-MM-DD"), for docs and `mywallet --version`. */
extern const char *const currency_table_date;

/**
 * Read a three-letter code, upper case only.
 *
 * Errors:  ERR_INVALID where the table does not list it, or lists it without decimals (gold, test codes).
 * Thread:  any.
 */
MUST_CHECK enum err currency_parse(struct slice text, struct currency *out);

/**
 * The exponent of a currency by the table (CNY 2, JPY 0, KWD 3, CLF 4).
 *
 * Errors:  ERR_NOT_FOUND where the code is not in the table; *exponent untouched.
 */
MUST_CHECK enum err currency_exponent(struct currency c, unsigned *exponent);

/** The rows of the table, in the order of their letters: [0, currency_count()). */
unsigned currency_count(void);
struct currency currency_at(unsigned row);

/** Write the three letters; text holds at least 3 bytes, no NUL is added. */
void currency_text(struct currency c, char text[3]);

#endif

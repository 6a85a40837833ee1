#include "money/currency.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"

struct currency_row {
    char text[4];     /* NUL-terminated */
    uint8_t exponent; /* decimals of the minor unit */
};

const char *const currency_table_date = "2024-06-25";

/*
 * ISO 4217 list one as the maintenance agency published it on that date: the currencies and funds
 * with a minor unit, in the order of their letters. Left out are codes whose minor unit is "N.A."
 * (metals, SDR, XTS, XXX, ...).
 */
static const struct currency_row table[] = {
    {"AED", 2}, {"AFN", 2}, {"ALL", 2}, {"AMD", 2}, {"ANG", 2}, {"AOA", 2}, {"ARS", 2}, {"AUD", 2},
    {"AWG", 2}, {"AZN", 2}, {"BAM", 2}, {"BBD", 2}, {"BDT", 2}, {"BGN", 2}, {"BHD", 3}, {"BIF", 0},
    {"BMD", 2}, {"BND", 2}, {"BOB", 2}, {"BOV", 2}, {"BRL", 2}, {"BSD", 2}, {"BTN", 2}, {"BWP", 2},
    {"BYN", 2}, {"BZD", 2}, {"CAD", 2}, {"CDF", 2}, {"CHE", 2}, {"CHF", 2}, {"CHW", 2}, {"CLF", 4},
    {"CLP", 0}, {"CNY", 2}, {"COP", 2}, {"COU", 2}, {"CRC", 2}, {"CUC", 2}, {"CUP", 2}, {"CVE", 2},
    {"CZK", 2}, {"DJF", 0}, {"DKK", 2}, {"DOP", 2}, {"DZD", 2}, {"EGP", 2}, {"ERN", 2}, {"ETB", 2},
    {"EUR", 2}, {"FJD", 2}, {"FKP", 2}, {"GBP", 2}, {"GEL", 2}, {"GHS", 2}, {"GIP", 2}, {"GMD", 2},
    {"GNF", 0}, {"GTQ", 2}, {"GYD", 2}, {"HKD", 2}, {"HNL", 2}, {"HTG", 2}, {"HUF", 2}, {"IDR", 2},
    {"ILS", 2}, {"INR", 2}, {"IQD", 3}, {"IRR", 2}, {"ISK", 0}, {"JMD", 2}, {"JOD", 3}, {"JPY", 0},
    {"KES", 2}, {"KGS", 2}, {"KHR", 2}, {"KMF", 0}, {"KPW", 2}, {"KRW", 0}, {"KWD", 3}, {"KYD", 2},
    {"KZT", 2}, {"LAK", 2}, {"LBP", 2}, {"LKR", 2}, {"LRD", 2}, {"LSL", 2}, {"LYD", 3}, {"MAD", 2},
    {"MDL", 2}, {"MGA", 2}, {"MKD", 2}, {"MMK", 2}, {"MNT", 2}, {"MOP", 2}, {"MRU", 2}, {"MUR", 2},
    {"MVR", 2}, {"MWK", 2}, {"MXN", 2}, {"MXV", 2}, {"MYR", 2}, {"MZN", 2}, {"NAD", 2}, {"NGN", 2},
    {"NIO", 2}, {"NOK", 2}, {"NPR", 2}, {"NZD", 2}, {"OMR", 3}, {"PAB", 2}, {"PEN", 2}, {"PGK", 2},
    {"PHP", 2}, {"PKR", 2}, {"PLN", 2}, {"PYG", 0}, {"QAR", 2}, {"RON", 2}, {"RSD", 2}, {"RUB", 2},
    {"RWF", 0}, {"SAR", 2}, {"SBD", 2}, {"SCR", 2}, {"SDG", 2}, {"SEK", 2}, {"SGD", 2}, {"SHP", 2},
    {"SLE", 2}, {"SOS", 2}, {"SRD", 2}, {"SSP", 2}, {"STN", 2}, {"SVC", 2}, {"SYP", 2}, {"SZL", 2},
    {"THB", 2}, {"TJS", 2}, {"TMT", 2}, {"TND", 3}, {"TOP", 2}, {"TRY", 2}, {"TTD", 2}, {"TWD", 2},
    {"TZS", 2}, {"UAH", 2}, {"UGX", 0}, {"USD", 2}, {"USN", 2}, {"UYI", 0}, {"UYU", 2}, {"UYW", 4},
    {"UZS", 2}, {"VED", 2}, {"VES", 2}, {"VND", 0}, {"VUV", 0}, {"WST", 2}, {"XAF", 0}, {"XCD", 2},
    {"XOF", 0}, {"XPF", 0}, {"YER", 2}, {"ZAR", 2}, {"ZMW", 2}, {"ZWG", 2},
};

enum { TABLE_ROWS = 166 };

static_assert(ARRAY_LEN(table) == TABLE_ROWS, "a row was added or lost without notice");

/* The row of three letters, or NULL. */
static const struct currency_row *row_find(const char text[3])
{
    size_t low = 0;
    size_t high = TABLE_ROWS;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(table[middle].text, text, 3);
        if (order == 0) {
            return &table[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static struct currency pack(const char *text)
{
    return (struct currency){(uint32_t)(unsigned char)text[0] | (uint32_t)(unsigned char)text[1] << 8 |
                             (uint32_t)(unsigned char)text[2] << 16};
}

enum err currency_parse(struct slice text, struct currency *out)
{
    if (text.len != 3 || row_find(text.ptr) == NULL) {
        return ERR_INVALID;
    }
    *out = pack(text.ptr);
    return ERR_OK;
}

unsigned currency_count(void)
{
    return sizeof(table) / sizeof(table[0]);
}

struct currency currency_at(unsigned row)
{
    ASSERT(row < currency_count());
    return pack(table[row].text);
}

enum err currency_exponent(struct currency c, unsigned *exponent)
{
    char text[3];
    const struct currency_row *row;

    currency_text(c, text);
    row = c.code >> 24 != 0 ? NULL : row_find(text);
    if (row == NULL) {
        return ERR_NOT_FOUND;
    }
    *exponent = row->exponent;
    return ERR_OK;
}

void currency_text(struct currency c, char text[3])
{
    text[0] = (char)(c.code & 0xFF);
    text[1] = (char)(c.code >> 8 & 0xFF);
    text[2] = (char)(c.code >> 16 & 0xFF);
}

/*
 * Amounts: decimal_parse against a slow second opinion, which knows the grammar as a regular expression and the value
 * as a row of digits; then minor units to text and back.
 */
#include <regex.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/slice.h"
#include "money/decimal.h"
#include "money/money.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum {
    PLACES = 512,       /* the row: 10^-256 .. 10^255 */
    ONES = PLACES / 2,  /* where 10^0 stands */
    EXPONENT_FAR = 150, /* a digit of 64 bytes so far away is no amount */
};

static bool is_json_number(const char *text)
{
    static regex_t grammar; /* compiled once: this is a test */
    static bool is_ready;

    if (!is_ready) {
        ASSERT(regcomp(&grammar, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?$",
                       REG_EXTENDED | REG_NOSUB) == 0);
        is_ready = true;
    }
    return regexec(&grammar, text, 0, NULL, 0) == 0;
}

/* The written exponent, EXPONENT_FAR where it is at least that far out. */
static int exponent_of(const char *text)
{
    const char *at = text + strcspn(text, "eE");
    int sign = 1;
    int sum = 0;

    if (*at == '\0') {
        return 0;
    }
    at++;
    if (*at == '+' || *at == '-') {
        sign = *at == '-' ? -1 : 1;
        at++;
    }
    at += strspn(at, "0");
    if (strlen(at) > 3) {
        return sign * EXPONENT_FAR;
    }
    for (; *at != '\0'; at++) {
        sum = sum * 10 + (*at - '0');
    }
    return sign * (sum > EXPONENT_FAR ? EXPONENT_FAR : sum);
}

static enum err oracle(const char *text, struct decimal *out)
{
    char row[PLACES] = {0};
    size_t mantissa = strcspn(text, "eE");
    size_t point = strcspn(text, ".eE");
    int exponent = exponent_of(text);
    int high = -1;
    int low = -1;

    if (!is_json_number(text)) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < mantissa; i++) {
        if (text[i] >= '1' && text[i] <= '9') {
            int place = i < point ? (int)(point - i) - 1 : -(int)(i - point);
            row[ONES + place + exponent] = (char)(text[i] - '0');
        }
    }
    for (int i = 0; i < PLACES; i++) {
        if (row[i] != 0) {
            low = low < 0 ? i : low;
            high = i;
        }
    }
    *out = (struct decimal){0, 0};
    if (low < 0) {
        return ERR_OK;
    }
    if (low < ONES - 4 || high > ONES + 14 || high - low + 1 > 15) {
        return ERR_RANGE;
    }
    for (int i = high; i >= low; i--) {
        out->coefficient = out->coefficient * 10 + row[i];
    }
    out->coefficient *= text[0] == '-' ? -1 : 1;
    out->scale = low - ONES;
    return ERR_OK;
}

static void check_parse(const uint8_t *bytes, size_t len)
{
    char text[DECIMAL_TEXT_BYTES_MAX + 1] = {0};
    struct decimal got = {4711, 42};
    struct decimal wanted;
    enum err e = decimal_parse(slice_make((const char *)bytes, len), &got);
    enum err second;

    if (len == 0 || len > DECIMAL_TEXT_BYTES_MAX || memchr(bytes, 0, len) != NULL) {
        ASSERT(e == ERR_INVALID);
        return;
    }
    memcpy(text, bytes, len);
    second = oracle(text, &wanted);
    ASSERT(e == second);
    ASSERT(e == ERR_OK ? decimal_equal(got, wanted) : got.coefficient == 4711 && got.scale == 42);
}

/* Any minor units: written, read back, the same; past the ceiling refused. */
static void check_round_trip(int64_t minor)
{
    for (unsigned exponent = 0; exponent <= 4; exponent++) {
        struct decimal d;
        struct buf b;
        int64_t again = 0;
        bool is_amount = minor >= -MONEY_MINOR_MAX && minor <= MONEY_MINOR_MAX;
        enum err e;

        buf_init(&b, 64);
        money_append(&b, minor, exponent);
        ASSERT(b.err == ERR_OK);
        e = decimal_parse(buf_slice(&b), &d);
        if (e == ERR_OK) {
            e = decimal_to_minor(d, exponent, &again);
        }
        ASSERT(is_amount ? e == ERR_OK && again == minor : e == ERR_RANGE);
        buf_fini(&b);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    int64_t minor = 0;

    memcpy(&minor, bytes, len < sizeof(minor) ? len : sizeof(minor));
    check_parse(bytes, len);
    check_round_trip(minor);
    check_round_trip(minor % (MONEY_MINOR_MAX + 1));
    check_round_trip(minor % 100000);
    return 0;
}

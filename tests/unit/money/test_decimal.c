/* Decimals: every row of the API's table of amounts, the limits one below, at and above, and no loop on huge exponents. */
#include "money/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "money/money.h"

/* What a text gives: at which step it is refused, or its parts and its minor units with two decimals (CNY). */
static const struct {
    const char *text;
    enum err parse;
    enum err to_minor;
    int64_t coefficient;
    int32_t scale;
    int64_t minor;
} rows[] = {
    /* exact */
    {"100", ERR_OK, ERR_OK, 1, 2, 10000},
    {"100.00", ERR_OK, ERR_OK, 1, 2, 10000},
    {"100.000", ERR_OK, ERR_OK, 1, 2, 10000},
    {"1E+2", ERR_OK, ERR_OK, 1, 2, 10000},
    {"1.5e1", ERR_OK, ERR_OK, 15, 0, 1500},
    {"0.01", ERR_OK, ERR_OK, 1, -2, 1},
    {"12.34", ERR_OK, ERR_OK, 1234, -2, 1234},
    {"1005e-2", ERR_OK, ERR_OK, 1005, -2, 1005},
    {"0.1e1", ERR_OK, ERR_OK, 1, 0, 100},
    {"1e0", ERR_OK, ERR_OK, 1, 0, 100},
    {"1e-0", ERR_OK, ERR_OK, 1, 0, 100},
    {"1e00000000000000000000000000000000000000000000000000000000002", ERR_OK, ERR_OK, 1, 2, 10000},
    {"9007199254740.93", ERR_OK, ERR_OK, 900719925474093, -2, 900719925474093}, /* past 2^53 / 1000 */
    {"0.000000000000000000000000000000000000000000000000000000001e57", ERR_OK, ERR_OK, 1, 0, 100},
    {"1000000000000000000000000000000000000000000000000000000000e-57", ERR_OK, ERR_OK, 1, 0, 100},
    {"9999999999999.99", ERR_OK, ERR_OK, 999999999999999, -2, 999999999999999},
    /* too fine, too large */
    {"0.001", ERR_OK, ERR_RANGE, 1, -3, 0},
    {"0.0001", ERR_OK, ERR_RANGE, 1, -4, 0},
    {"0.00001", ERR_RANGE, 0, 0, 0, 0},
    {"1.005", ERR_OK, ERR_RANGE, 1005, -3, 0},
    {"1e-400", ERR_RANGE, 0, 0, 0, 0},
    {"1e400", ERR_RANGE, 0, 0, 0, 0},
    {"10000000000000", ERR_OK, ERR_RANGE, 1, 13, 0},
    {"10000000000000.00", ERR_OK, ERR_RANGE, 1, 13, 0},
    {"999999999999999", ERR_OK, ERR_RANGE, 999999999999999, 0, 0}, /* fits a currency without decimals */
    {"1000000000000000", ERR_RANGE, 0, 0, 0, 0},                   /* 16 digits */
    {"1234567890123456", ERR_RANGE, 0, 0, 0, 0},
    {"123456789012345.6", ERR_RANGE, 0, 0, 0, 0},
    {"0.1234567890123456", ERR_RANGE, 0, 0, 0, 0},
    {"1e1000000000", ERR_RANGE, 0, 0, 0, 0},
    {"1e-1000000000", ERR_RANGE, 0, 0, 0, 0},
    {"1e2147483648", ERR_RANGE, 0, 0, 0, 0},
    {"1e4294967298", ERR_RANGE, 0, 0, 0, 0}, /* 2 in 32 bits */
    {"1e18446744073709551618", ERR_RANGE, 0, 0, 0, 0},
    {"1e99999999999999999999999999999999999999999999999999999999999999", ERR_RANGE, 0, 0, 0, 0},
    {"-1e99999999999999999999999999999999999999999999999999999999999", ERR_RANGE, 0, 0, 0, 0},
    {"9999999999999999999999999999999999999999999999999999999999999999", ERR_RANGE, 0, 0, 0, 0},
    /* zero and less: the caller judges the sign */
    {"0", ERR_OK, ERR_OK, 0, 0, 0},
    {"0.00", ERR_OK, ERR_OK, 0, 0, 0},
    {"-0", ERR_OK, ERR_OK, 0, 0, 0},
    {"-0.00", ERR_OK, ERR_OK, 0, 0, 0},
    {"0e999999999", ERR_OK, ERR_OK, 0, 0, 0},
    {"0e-999999999", ERR_OK, ERR_OK, 0, 0, 0},
    {"0.000000000000000000000", ERR_OK, ERR_OK, 0, 0, 0},
    {"-5", ERR_OK, ERR_OK, -5, 0, -500},
    {"-100.50", ERR_OK, ERR_OK, -1005, -1, -10050},
    {"-9999999999999.99", ERR_OK, ERR_OK, -999999999999999, -2, -999999999999999},
    /* not a JSON number */
    {"", ERR_INVALID, 0, 0, 0, 0},
    {"NaN", ERR_INVALID, 0, 0, 0, 0},
    {"Infinity", ERR_INVALID, 0, 0, 0, 0},
    {"-Infinity", ERR_INVALID, 0, 0, 0, 0},
    {"inf", ERR_INVALID, 0, 0, 0, 0},
    {"01", ERR_INVALID, 0, 0, 0, 0},
    {"00", ERR_INVALID, 0, 0, 0, 0},
    {"-01", ERR_INVALID, 0, 0, 0, 0},
    {"1.", ERR_INVALID, 0, 0, 0, 0},
    {".5", ERR_INVALID, 0, 0, 0, 0},
    {"-.5", ERR_INVALID, 0, 0, 0, 0},
    {"+5", ERR_INVALID, 0, 0, 0, 0},
    {"-", ERR_INVALID, 0, 0, 0, 0},
    {"--1", ERR_INVALID, 0, 0, 0, 0},
    {"0x10", ERR_INVALID, 0, 0, 0, 0},
    {"1,000", ERR_INVALID, 0, 0, 0, 0},
    {" 1", ERR_INVALID, 0, 0, 0, 0},
    {"1 ", ERR_INVALID, 0, 0, 0, 0},
    {"1\n", ERR_INVALID, 0, 0, 0, 0},
    {"1e", ERR_INVALID, 0, 0, 0, 0},
    {"1e+", ERR_INVALID, 0, 0, 0, 0},
    {"1e-", ERR_INVALID, 0, 0, 0, 0},
    {"1e1.5", ERR_INVALID, 0, 0, 0, 0},
    {"1e1e1", ERR_INVALID, 0, 0, 0, 0},
    {"1.e1", ERR_INVALID, 0, 0, 0, 0},
    {"1.2.3", ERR_INVALID, 0, 0, 0, 0},
    {"1_000", ERR_INVALID, 0, 0, 0, 0},
    {"1f", ERR_INVALID, 0, 0, 0, 0},
    {"e5", ERR_INVALID, 0, 0, 0, 0},
    {"\xef\xbc\x91", ERR_INVALID, 0, 0, 0, 0},          /* a full-width 1 */
    {"\xd9\xa1", ERR_INVALID, 0, 0, 0, 0},              /* an Arabic 1 */
    {"99999999999999999999x", ERR_INVALID, 0, 0, 0, 0}, /* the grammar comes before the range */
};

static void reads_every_row_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decimal d = {4711, 42};
        int64_t minor = 4711;
        if (decimal_parse(slice_of(rows[i].text), &d) != rows[i].parse) {
            fail_msg("%s is parsed wrong", rows[i].text);
        }
        if (rows[i].parse != ERR_OK) {
            assert_true(d.coefficient == 4711 && d.scale == 42);
            continue;
        }
        if (d.coefficient != rows[i].coefficient || d.scale != rows[i].scale) {
            fail_msg("%s is %lld e %d", rows[i].text, (long long)d.coefficient, (int)d.scale);
        }
        if (decimal_to_minor(d, 2, &minor) != rows[i].to_minor) {
            fail_msg("%s is judged wrong", rows[i].text);
        }
        assert_true(minor == (rows[i].to_minor == ERR_OK ? rows[i].minor : 4711));
    }
}

static void refuses_a_nul_inside(void **state)
{
    struct decimal d;

    (void)state;
    assert_int_equal(decimal_parse(SLICE("1\0"), &d), ERR_INVALID);
    assert_int_equal(decimal_parse(SLICE("\0"), &d), ERR_INVALID);
    assert_int_equal(decimal_parse(SLICE_NONE, &d), ERR_INVALID);
}

static void reads_no_byte_past_the_slice(void **state)
{
    struct decimal d;

    (void)state;
    assert_int_equal(decimal_parse(slice_make("12345", 2), &d), ERR_OK);
    assert_true(d.coefficient == 12 && d.scale == 0);
    assert_int_equal(decimal_parse(slice_make("1e5", 2), &d), ERR_INVALID);
    assert_int_equal(decimal_parse(slice_make("1.5", 2), &d), ERR_INVALID);
    assert_int_equal(decimal_parse(slice_make("-5", 1), &d), ERR_INVALID);
}

static void takes_64_bytes_and_not_65(void **state)
{
    char text[DECIMAL_TEXT_BYTES_MAX + 1];
    struct decimal d;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = i == 1 ? '.' : (i == 0 ? '1' : '0');
    }
    assert_int_equal(decimal_parse(slice_make(text, DECIMAL_TEXT_BYTES_MAX - 1), &d), ERR_OK);
    assert_int_equal(decimal_parse(slice_make(text, DECIMAL_TEXT_BYTES_MAX), &d), ERR_OK);
    assert_true(d.coefficient == 1 && d.scale == 0);
    assert_int_equal(decimal_parse(slice_make(text, DECIMAL_TEXT_BYTES_MAX + 1), &d), ERR_INVALID);
}

static void takes_15_digits_and_not_16(void **state)
{
    struct decimal d;

    (void)state;
    assert_int_equal(decimal_parse(SLICE("12345678901234"), &d), ERR_OK);
    assert_int_equal(decimal_parse(SLICE("123456789012345"), &d), ERR_OK);
    assert_true(d.coefficient == INT64_C(123456789012345) && d.scale == 0);
    assert_int_equal(decimal_parse(SLICE("1234567890123456"), &d), ERR_RANGE);
    assert_int_equal(decimal_parse(SLICE("12345678901.2345"), &d), ERR_OK);
    assert_int_equal(decimal_parse(SLICE("123456789012.3456"), &d), ERR_RANGE);
    assert_int_equal(decimal_parse(SLICE("12345678901.2345000"), &d), ERR_OK); /* zeros are no digits */
    assert_int_equal(decimal_parse(SLICE("000"), &d), ERR_INVALID);
    assert_int_equal(decimal_parse(SLICE("0.00012"), &d), ERR_RANGE);
    assert_int_equal(decimal_parse(SLICE("100000000000000"), &d), ERR_OK);
    assert_int_equal(decimal_parse(SLICE("1e14"), &d), ERR_OK);
    assert_int_equal(decimal_parse(SLICE("1e15"), &d), ERR_RANGE);
}

static void judges_by_the_exponent(void **state)
{
    static const struct {
        struct decimal d;
        unsigned exponent;
        enum err e;
        int64_t minor;
    } all[] = {
        {{1, 0}, 0, ERR_OK, 1},
        {{1, 0}, 3, ERR_OK, 1000},
        {{1, 0}, 4, ERR_OK, 10000},
        {{15, -1}, 0, ERR_RANGE, 0},
        {{15, -1}, 1, ERR_OK, 15},
        {{1, -3}, 3, ERR_OK, 1},
        {{1, -3}, 2, ERR_RANGE, 0},
        {{1, -4}, 4, ERR_OK, 1},
        {{1, -4}, 3, ERR_RANGE, 0},
        {{MONEY_MINOR_MAX, 0}, 0, ERR_OK, MONEY_MINOR_MAX},
        {{-MONEY_MINOR_MAX, 0}, 0, ERR_OK, -MONEY_MINOR_MAX},
        {{MONEY_MINOR_MAX, 0}, 1, ERR_RANGE, 0},
        {{1, 14}, 0, ERR_OK, INT64_C(100000000000000)},
        {{1, 14}, 1, ERR_RANGE, 0},
        {{-1, 15}, 0, ERR_RANGE, 0},
        {{0, 0}, 4, ERR_OK, 0},
        /* parts no parser gives: they must not hurt */
        {{MONEY_MINOR_MAX + 1, 0}, 0, ERR_RANGE, 0},
        {{-MONEY_MINOR_MAX - 1, 0}, 0, ERR_RANGE, 0},
        {{INT64_MAX, 4}, 4, ERR_RANGE, 0},
        {{INT64_MIN, -1}, 0, ERR_RANGE, 0},
        {{1, INT32_MAX}, 4, ERR_RANGE, 0},
        {{1, INT32_MIN}, 0, ERR_RANGE, 0},
        {{0, INT32_MAX}, 4, ERR_OK, 0},
        {{100, -2}, 0, ERR_OK, 1},
        {{1000, -3}, 2, ERR_OK, 100},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int64_t minor = 4711;
        assert_int_equal(decimal_to_minor(all[i].d, all[i].exponent, &minor), all[i].e);
        assert_true(minor == (all[i].e == ERR_OK ? all[i].minor : 4711));
    }
}

static void equal_means_the_same_value(void **state)
{
    static const char *const same[] = {"100", "100.00", "100.000", "1E+2",
                                       "1e2", "0.1e3",  "1000e-1"};
    struct decimal first;
    struct decimal other;

    (void)state;
    assert_int_equal(decimal_parse(slice_of(same[0]), &first), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_int_equal(decimal_parse(slice_of(same[i]), &other), ERR_OK);
        assert_true(decimal_equal(first, other));
    }
    assert_int_equal(decimal_parse(SLICE("10"), &other), ERR_OK);
    assert_false(decimal_equal(first, other));
    assert_int_equal(decimal_parse(SLICE("-100"), &other), ERR_OK);
    assert_false(decimal_equal(first, other));
}

static void what_is_written_is_read_back(void **state)
{
    static const int64_t all[] = {
        0, 1, 9, 10, 99, 100, 12345, 1000000, MONEY_MINOR_MAX - 1, MONEY_MINOR_MAX};
    struct buf b;

    (void)state;
    buf_init(&b, 64);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (unsigned exponent = 0; exponent <= 4; exponent++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                struct decimal d;
                int64_t minor = 4711;
                buf_clear(&b);
                money_append(&b, sign * all[i], exponent);
                assert_int_equal(decimal_parse(buf_slice(&b), &d), ERR_OK);
                assert_int_equal(decimal_to_minor(d, exponent, &minor), ERR_OK);
                assert_true(minor == sign * all[i]);
            }
        }
    }
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_row_of_the_table),
        cmocka_unit_test(refuses_a_nul_inside),
        cmocka_unit_test(reads_no_byte_past_the_slice),
        cmocka_unit_test(takes_64_bytes_and_not_65),
        cmocka_unit_test(takes_15_digits_and_not_16),
        cmocka_unit_test(judges_by_the_exponent),
        cmocka_unit_test(equal_means_the_same_value),
        cmocka_unit_test(what_is_written_is_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Money: checked sums at the ends of int64_t, and amounts as text with every exponent. */
#include "money/money.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

static void adds_up_to_the_ends_of_int64_and_no_further(void **state)
{
    int64_t out = 77;

    (void)state;
    assert_true(money_add(INT64_MAX - 1, 1, &out));
    assert_true(out == INT64_MAX);
    assert_true(money_add(INT64_MIN + 1, -1, &out));
    assert_true(out == INT64_MIN);
    out = 77;
    assert_false(money_add(INT64_MAX, 1, &out));
    assert_false(money_add(INT64_MIN, -1, &out));
    assert_false(money_add(INT64_MIN, INT64_MIN, &out));
    assert_true(out == 77);
    assert_true(money_add(INT64_MAX, INT64_MIN, &out));
    assert_true(out == -1);
}

static void subtracts_down_to_the_ends_of_int64_and_no_further(void **state)
{
    int64_t out = 77;

    (void)state;
    assert_true(money_sub(INT64_MIN + 1, 1, &out));
    assert_true(out == INT64_MIN);
    assert_true(money_sub(INT64_MAX - 1, -1, &out));
    assert_true(out == INT64_MAX);
    assert_true(money_sub(-1, INT64_MIN, &out));
    assert_true(out == INT64_MAX);
    out = 77;
    assert_false(money_sub(INT64_MIN, 1, &out));
    assert_false(money_sub(INT64_MAX, -1, &out));
    assert_false(money_sub(0, INT64_MIN, &out));
    assert_true(out == 77);
}

static void out_may_be_an_operand(void **state)
{
    int64_t balance = 40;

    (void)state;
    assert_true(money_add(balance, 2, &balance));
    assert_true(money_sub(balance, 50, &balance));
    assert_true(balance == -8);
}

static const struct {
    int64_t minor;
    unsigned exponent;
    const char *text;
} texts[] = {
    {0, 0, "0"},
    {0, 1, "0.0"},
    {0, 2, "0.00"},
    {0, 3, "0.000"},
    {0, 4, "0.0000"},
    {1, 0, "1"},
    {1, 2, "0.01"},
    {7, 0, "7"},
    {9, 1, "0.9"},
    {10, 1, "1.0"},
    {10, 2, "0.10"},
    {99, 2, "0.99"},
    {100, 2, "1.00"},
    {123456, 2, "1234.56"},
    {100000, 2, "1000.00"},
    {-1, 2, "-0.01"},
    {-5, 3, "-0.005"},
    {-100, 2, "-1.00"},
    {-7, 0, "-7"},
    {999, 3, "0.999"},
    {1000, 3, "1.000"},
    {12345, 4, "1.2345"},
    {MONEY_MINOR_MAX, 0, "999999999999999"},
    {MONEY_MINOR_MAX, 2, "9999999999999.99"},
    {-MONEY_MINOR_MAX, 4, "-99999999999.9999"},
    {INT64_MAX, 0, "9223372036854775807"},
    {INT64_MIN, 0, "-9223372036854775808"},
    {INT64_MIN, 4, "-922337203685477.5808"},
};

static void appends_exactly_the_exponents_decimals(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 64);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_clear(&b);
        money_append(&b, texts[i].minor, texts[i].exponent);
        buf_append_byte(&b, '\0');
        assert_int_equal(b.err, ERR_OK);
        assert_string_equal(b.ptr, texts[i].text);
    }
    buf_fini(&b);
}

/* The C library's division says the same, for many values around the powers of ten. */
static void agrees_with_printf(void **state)
{
    struct buf b;
    int64_t power = 1;

    (void)state;
    buf_init(&b, 64);
    for (int digits = 0; digits < 18; digits++, power *= 10) {
        for (int64_t offset = -2; offset <= 2; offset++) {
            int64_t minor = power + offset < 0 ? 0 : power + offset;
            char text[64];
            (void)snprintf(text, sizeof(text), "%" PRId64 ".%03" PRId64, minor / 1000, minor % 1000);
            buf_clear(&b);
            money_append(&b, minor, 3);
            buf_append_byte(&b, '\0');
            assert_string_equal(b.ptr, text);
        }
    }
    buf_fini(&b);
}

static void a_failing_buffer_keeps_its_error(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 3);
    mem_fail_at(1, 0);
    money_append(&b, 100, 2);
    mem_fail_at(0, 0);
    assert_int_equal(b.err, ERR_FULL); /* the ceiling comes before the memory */
    assert_int_equal(b.len, 0);
    buf_fini(&b);
    buf_init(&b, 64);
    mem_fail_at(1, 0);
    money_append(&b, 100, 2);
    mem_fail_at(0, 0);
    assert_int_equal(b.err, ERR_NOMEM);
    assert_int_equal(b.len, 0);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up_to_the_ends_of_int64_and_no_further),
        cmocka_unit_test(subtracts_down_to_the_ends_of_int64_and_no_further),
        cmocka_unit_test(out_may_be_an_operand),
        cmocka_unit_test(appends_exactly_the_exponents_decimals),
        cmocka_unit_test(agrees_with_printf),
        cmocka_unit_test(a_failing_buffer_keeps_its_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

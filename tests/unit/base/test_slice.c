/* Slices and the little-endian numbers beside them. */
#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/bytes.h"

static void equal_means_same_bytes(void **state)
{
    char one[] = "wallet";
    char two[] = "wallet";

    (void)state;
    assert_true(slice_equal(slice_of(one), slice_of(two)));
    assert_true(slice_equal(SLICE_NONE, SLICE("")));
    assert_true(slice_equal(SLICE_NONE, SLICE_NONE));
    assert_false(slice_equal(SLICE("wallet"), SLICE("wallets")));
    assert_false(slice_equal(SLICE("wallet"), SLICE("walleT")));
    assert_false(slice_equal(SLICE("wallet"), SLICE_NONE));
    assert_true(slice_equal(SLICE("a\0b"), slice_make("a\0b", 3)));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c"))); /* no NUL ends it */
    assert_int_equal(SLICE("a\0b").len, 3);
}

static void starts_with_means_a_prefix(void **state)
{
    (void)state;
    assert_true(slice_starts_with(SLICE("wallet"), SLICE("wal")));
    assert_true(slice_starts_with(SLICE("wallet"), SLICE("wallet")));
    assert_true(slice_starts_with(SLICE("wallet"), SLICE_NONE));
    assert_true(slice_starts_with(SLICE_NONE, SLICE("")));
    assert_false(slice_starts_with(SLICE("wal"), SLICE("wallet")));
    assert_false(slice_starts_with(SLICE("wallet"), SLICE("Wal")));
    assert_false(slice_starts_with(SLICE_NONE, SLICE("w")));
}

static void nocase_folds_ascii_letters_alone(void **state)
{
    (void)state;
    assert_true(slice_equal_nocase(SLICE("Content-Length"), SLICE("cONTENT-lENGTH")));
    assert_true(slice_equal_nocase(SLICE("azAZ"), SLICE("AZaz")));
    assert_true(slice_equal_nocase(SLICE_NONE, SLICE("")));
    assert_false(slice_equal_nocase(SLICE("a"), SLICE("ab")));
    assert_false(slice_equal_nocase(SLICE("@"), SLICE("`"))); /* 0x40 and 0x60, beside the letters */
    assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_equal_nocase(SLICE("\xc4"), SLICE("\xe4"))); /* Latin-1 letters stay as they are */
    for (int c = 0; c < 256; c++) {
        for (int d = 0; d < 256; d++) {
            char x = (char)c, y = (char)d;
            int fold_c = c >= 'A' && c <= 'Z' ? c + 32 : c;
            int fold_d = d >= 'A' && d <= 'Z' ? d + 32 : d;
            assert_int_equal(slice_equal_nocase(slice_make(&x, 1), slice_make(&y, 1)),
                             fold_c == fold_d);
        }
    }
}

static void prints_through_its_format(void **state)
{
    char text[32];

    (void)state;
    (void)snprintf(text, sizeof(text), "[" SLICE_FORMAT "]", SLICE_ARGS(slice_make("wallet", 3)));
    assert_string_equal(text, "[wal]");
    (void)snprintf(text, sizeof(text), "[" SLICE_FORMAT "]", SLICE_ARGS(SLICE_NONE));
    assert_string_equal(text, "[]");
}

static void numbers_are_little_endian_and_need_no_alignment(void **state)
{
    static const uint8_t expected[8] = {0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01};
    uint8_t bytes[16];

    (void)state;
    for (size_t from = 0; from < 8; from++) {
        memset(bytes, 0x5a, sizeof(bytes));
        bytes_put_u64(bytes + from, UINT64_C(0x0123456789abcdef));
        assert_memory_equal(bytes + from, expected, 8);
        assert_true(bytes_get_u64(bytes + from) == UINT64_C(0x0123456789abcdef));
        assert_int_equal(bytes_get_u32(bytes + from), 0x89abcdef);
        assert_int_equal(bytes_get_u16(bytes + from), 0xcdef);
        bytes_put_u32(bytes + from, 0x01020304);
        assert_memory_equal(bytes + from, "\x04\x03\x02\x01\x67", 5);
        bytes_put_u16(bytes + from, 0x0a0b);
        assert_memory_equal(bytes + from, "\x0b\x0a\x02\x01", 4);
        assert_true(from == 0 || bytes[from - 1] == 0x5a);
        assert_int_equal(bytes[from + 8], 0x5a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_means_same_bytes),
        cmocka_unit_test(starts_with_means_a_prefix),
        cmocka_unit_test(nocase_folds_ascii_letters_alone),
        cmocka_unit_test(prints_through_its_format),
        cmocka_unit_test(numbers_are_little_endian_and_need_no_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

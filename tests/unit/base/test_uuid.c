/* UUIDv7: the layout of RFC 9562, the time inside, the order, and no two alike. */
#include "base/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/base/death.h"

static void has_the_layout_of_version_7(void **state)
{
    struct prng random = {.state = 1};

    (void)state;
    for (int round = 0; round < 1000; round++) {
        char text[UUID_TEXT_BYTES + 1];

        memset(text, '~', sizeof(text));
        uuid_v7(&random, INT64_C(1700000000000000) + round, text);
        assert_int_equal(text[UUID_TEXT_BYTES], '~'); /* no NUL, nothing behind */
        for (int i = 0; i < UUID_TEXT_BYTES; i++) {
            if (i == 8 || i == 13 || i == 18 || i == 23) {
                assert_int_equal(text[i], '-');
            } else {
                assert_non_null(memchr("0123456789abcdef", text[i], 16));
            }
        }
        assert_int_equal(text[14], '7');
        assert_non_null(memchr("89ab", text[19], 4));
    }
}

/* The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z is 0x017f22e279b0 ms. */
static void begins_with_the_millisecond(void **state)
{
    struct prng random = {.state = 2};
    char text[UUID_TEXT_BYTES];

    (void)state;
    uuid_v7(&random, INT64_C(1645557742000) * 1000, text);
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
    uuid_v7(&random, INT64_C(1645557742000) * 1000 + 999, text);
    assert_memory_equal(text, "017f22e2-79b0-7", 15);
    uuid_v7(&random, INT64_C(1645557742001) * 1000, text);
    assert_memory_equal(text, "017f22e2-79b1-7", 15);
    uuid_v7(&random, 0, text);
    assert_memory_equal(text, "00000000-0000-7", 15);
}

static void sorts_by_time(void **state)
{
    struct prng random = {.state = 3};
    char earlier[UUID_TEXT_BYTES];
    char later[UUID_TEXT_BYTES];
    int64_t now_us = INT64_C(1700000000000000);

    (void)state;
    uuid_v7(&random, now_us, earlier);
    for (int round = 0; round < 1000; round++) {
        now_us += 1000 + (int64_t)prng_below(&random, 1000000000);
        uuid_v7(&random, now_us, later);
        assert_true(memcmp(earlier, later, sizeof(later)) < 0);
        memcpy(earlier, later, sizeof(later));
    }
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, UUID_TEXT_BYTES);
}

static void differs_within_a_millisecond(void **state)
{
    enum { COUNT = 10000 };
    static char all[COUNT][UUID_TEXT_BYTES];
    struct prng random = {.state = 4};

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        uuid_v7(&random, 1, all[i]);
    }
    qsort(all, COUNT, sizeof(all[0]), compare);
    for (int i = 1; i < COUNT; i++) {
        assert_true(memcmp(all[i - 1], all[i], sizeof(all[i])) != 0);
    }
}

/* Every bit that is neither time, version nor variant must take both values. */
static void fills_its_random_bits(void **state)
{
    struct prng random = {.state = 5};
    uint8_t ones[UUID_TEXT_BYTES] = {0};
    uint8_t zeros[UUID_TEXT_BYTES] = {0};

    (void)state;
    for (int round = 0; round < 200; round++) {
        char text[UUID_TEXT_BYTES];
        uuid_v7(&random, 1, text);
        for (int i = 0; i < UUID_TEXT_BYTES; i++) {
            const char *digits = "0123456789abcdef";
            const char *at = memchr(digits, text[i], 16);
            uint8_t nibble = at == NULL ? 0 : (uint8_t)(at - digits);
            ones[i] |= nibble;
            zeros[i] |= (uint8_t)(~nibble & 15);
        }
    }
    for (int i = 15; i < UUID_TEXT_BYTES; i++) {
        if (i != 18 && i != 19 && i != 23) {
            assert_int_equal(ones[i], 15);
            assert_int_equal(zeros[i], 15);
        }
    }
    assert_int_equal(ones[19], 0x8 | 0x3); /* variant 10, two random bits */
    assert_int_equal(zeros[19], 0x4 | 0x3);
}

static void before_the_epoch(void *ctx)
{
    struct prng random = {.state = 6};
    char text[UUID_TEXT_BYTES];

    (void)ctx;
    uuid_v7(&random, -1, text);
}

static void refuses_times_before_the_epoch(void **state)
{
    (void)state;
    assert_true(dies(before_the_epoch, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_layout_of_version_7),
        cmocka_unit_test(begins_with_the_millisecond),
        cmocka_unit_test(sorts_by_time),
        cmocka_unit_test(differs_within_a_millisecond),
        cmocka_unit_test(fills_its_random_bits),
        cmocka_unit_test(refuses_times_before_the_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

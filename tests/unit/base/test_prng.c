/* Random numbers: SplitMix64's known stream, ranges, and secrets that differ. */
#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unit/base/death.h"

static void gives_the_known_stream(void **state)
{
    static const uint64_t expected[] = {
        UINT64_C(6457827717110365317),  UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423),  UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821),
    };
    struct prng p = {.state = 1234567};

    (void)state;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(prng_next(&p) == expected[i]);
    }
}

static void a_seed_replays(void **state)
{
    struct prng a = {.state = 99};
    struct prng b = {.state = 99};
    struct prng c = {.state = 100};
    unsigned same = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t x = prng_next(&a);
        assert_true(x == prng_next(&b));
        same += x == prng_next(&c);
    }
    assert_int_equal(same, 0);
}

static void stays_below(void **state)
{
    struct prng p = {.state = 0};
    unsigned counts[10] = {0};

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t x = prng_below(&p, 10);
        assert_true(x < 10);
        counts[x]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
    assert_int_equal(prng_below(&p, 1), 0);
    assert_true(prng_below(&p, UINT64_MAX) < UINT64_MAX);
}

static void below_zero(void *ctx)
{
    struct prng p = {.state = 0};

    (void)ctx;
    (void)prng_below(&p, 0);
}

static void refuses_an_empty_range(void **state)
{
    (void)state;
    assert_true(dies(below_zero, NULL));
}

static void secrets_fill_the_whole_range(void **state)
{
    enum { LEN = 1000 }; /* the kernel may hand over 256 bytes at a time */
    static uint8_t a[LEN + 1], b[LEN + 1];
    size_t same = 0;

    (void)state;
    a[LEN] = b[LEN] = 0x5a;
    assert_int_equal(prng_secret(a, LEN), ERR_OK);
    assert_int_equal(prng_secret(b, LEN), ERR_OK);
    for (size_t i = 0; i < LEN; i++) {
        same += a[i] == b[i];
    }
    assert_in_range(same, 0, 40); /* 4 expected */
    assert_int_equal(a[LEN], 0x5a);
    assert_int_equal(prng_secret(NULL, 0), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_known_stream),
        cmocka_unit_test(a_seed_replays),
        cmocka_unit_test(stays_below),
        cmocka_unit_test(refuses_an_empty_range),
        cmocka_unit_test(secrets_fill_the_whole_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How connections are limited by descriptors and shared among loops. */
#include "server/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

static void test_share_adds_up(void **state)
{
    (void)state;
    for (unsigned count = 1; count <= 64; count++) {
        for (uint64_t total = count; total < count + 200; total++) {
            uint64_t sum = 0;
            for (unsigned i = 0; i < count; i++) {
                uint32_t share = limits_share(total, count, i);
                assert_in_range(share, total / count, total / count + 1);
                sum += share;
            }
            assert_int_equal(sum, total);
        }
    }
}

static void test_share_is_at_least_one(void **state)
{
    (void)state;
    assert_int_equal(limits_share(1, 3, 0), 1);
    assert_int_equal(limits_share(1, 3, 2), 1);
}

static void test_connections_fit(void **state)
{
    const uint64_t others = limits_fds(0, 2);

    (void)state;
    assert_int_equal(limits_connections(100, 2, others + 100), 100);
    assert_int_equal(limits_connections(100, 2, others + 99), 99);
    assert_int_equal(limits_connections(100, 2, others + 101), 100);
    assert_int_equal(limits_connections(100, 2, others + 2), 2);
    assert_int_equal(limits_connections(100, 2, others + 1), 2); /* one a loop, come what may */
    assert_int_equal(limits_connections(100, 2, 0), 2);
    assert_int_equal(limits_connections(1000000, 64, UINT64_MAX), 1000000);
    assert_int_equal(limits_connections(100, 2, limits_fds(100, 2)), 100);
}

static void test_raise(void **state)
{
    struct rlimit before, after;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    before.rlim_cur = 64;
    before.rlim_max = before.rlim_max < 256 ? before.rlim_max : 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(limits_raise(32), 64); /* never down */
    assert_int_equal(limits_raise(100), 100);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, 100);
    assert_int_equal(limits_raise(100000), before.rlim_max);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, before.rlim_max);
    assert_int_equal(after.rlim_max, before.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_adds_up),
        cmocka_unit_test(test_share_is_at_least_one),
        cmocka_unit_test(test_connections_fit),
        cmocka_unit_test(test_raise),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where a reply ends, wherever the bytes are cut; and what never reaches the codec. */
#include "store/redis/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"

static const char *const good[] = {
    "+OK\r\n",
    "+\r\n",
    "-ERR no\r\n",
    ":0\r\n",
    ":-9223372036854775808\r\n",
    "$-1\r\n",
    "$0\r\n\r\n",
    "$5\r\na\r\nbc\r\n",
    "*-1\r\n",
    "*0\r\n",
    "*2\r\n:1\r\n*2\r\n$-1\r\n*0\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n",
    "$16777216\r\n",
    "*1048576\r\n",
};

static const char *const bad[] = {
    "$2147483648\r\n",
    "$16777217\r\n",
    "$-2\r\n",
    "$\r\n",
    "$1a\r\n",
    "$99999999999999999999\r\n",
    "$3\r\nabcd\r\n",
    "$3\r\nabc\n",
    "*1000000000\r\n",
    "*1048577\r\n",
    "*2\r\n*1048575\r\n",
    "*-2\r\n",
    "*\r\n",
    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
    ":\r\n",
    ":-\r\n",
    ":1-\r\n",
    ":1.5\r\n",
    ":12345678901234567890\r\n",
    "+a\rb\r\n",
    "+a\nb\r\n",
    "%1\r\n+a\r\n+b\r\n",
    "_\r\n",
    "#t\r\n",
    ",1.5\r\n",
    "(1\r\n",
    ">2\r\n",
    "=5\r\ntxt:a\r\n",
    "|1\r\n",
    "~1\r\n",
    "!3\r\nERR\r\n",
    "OK\r\n",
    "\r\n",
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        size_t len = strlen(good[i]);
        bool is_whole = strncmp(good[i] + 1, "16777216", 8) != 0;
        is_whole = is_whole && strncmp(good[i], "*1048576", 8) != 0;
        for (size_t cut = 0; cut < len; cut++) {
            struct guard g = {0};
            enum guard_state at;
            assert_int_equal(guard_scan(&g, good[i], cut, &at), cut);
            assert_int_equal(at, GUARD_MORE);
            assert_int_equal(guard_scan(&g, good[i] + cut, len - cut, &at), len - cut);
            assert_int_equal(at, is_whole ? GUARD_REPLY : GUARD_MORE);
        }
    }
}

static void test_one_reply_at_a_time(void **state)
{
    static const char two[] = "*1\r\n$2\r\nab\r\n:7\r\n+";
    struct guard g = {0};
    enum guard_state at;

    (void)state;
    assert_int_equal(guard_scan(&g, two, sizeof two - 1, &at), 12);
    assert_int_equal(at, GUARD_REPLY);
    assert_int_equal(guard_scan(&g, two + 12, sizeof two - 13, &at), 4);
    assert_int_equal(at, GUARD_REPLY);
    assert_int_equal(guard_scan(&g, two + 16, 1, &at), 1);
    assert_int_equal(at, GUARD_MORE);
    assert_int_equal(guard_scan(&g, two, 0, &at), 0);
    assert_int_equal(at, GUARD_MORE);
}

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct guard g = {0};
        enum guard_state at = GUARD_MORE;
        size_t len = strlen(bad[i]);
        for (size_t byte = 0; byte < len && at == GUARD_MORE; byte++) {
            (void)guard_scan(&g, bad[i] + byte, 1, &at);
        }
        if (at != GUARD_BROKEN) {
            fail_msg("%s is %d", bad[i], at);
        }
    }
}

static void test_endless(void **state)
{
    static char many[4096];
    struct guard g = {0};
    enum guard_state at;
    size_t taken = 0;

    (void)state;
    memset(many, 'a', sizeof many);
    assert_int_equal(guard_scan(&g, "+", 1, &at), 1);
    while (at == GUARD_MORE) {
        taken += guard_scan(&g, many, sizeof many, &at);
        assert_true(taken <= GUARD_LINE_BYTES_MAX + sizeof many);
    }
    assert_int_equal(at, GUARD_BROKEN);

    /* many strings, each within its own ceiling */
    g = (struct guard){0};
    assert_int_equal(guard_scan(&g, "*1000\r\n", 7, &at), 7);
    taken = 0;
    while (at == GUARD_MORE) {
        (void)guard_scan(&g, "$1048576\r\n", 10, &at);
        for (unsigned i = 0; i < 256 && at == GUARD_MORE; i++) {
            taken += guard_scan(&g, many, sizeof many, &at);
        }
        if (at == GUARD_MORE) {
            (void)guard_scan(&g, "\r\n", 2, &at);
        }
        assert_true(taken <= GUARD_REPLY_BYTES_MAX + sizeof many);
    }
    assert_int_equal(at, GUARD_BROKEN);
    assert_true(taken > GUARD_REPLY_BYTES_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_one_reply_at_a_time),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_endless),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Percent-decoding, UTF-8, query strings, media types. */
#include "http/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/media.h"

static int setup(void **state)
{
    static struct arena arena;

    arena_init(&arena, 1 << 16);
    *state = &arena;
    return 0;
}

static int teardown(void **state)
{
    arena_fini(*state);
    return 0;
}

static void decodes_once(void **state)
{
    static const struct {
        struct slice in, out;
        enum err e;
    } rows[] = {
        {SLICE("abc"), SLICE("abc"), ERR_OK},
        {SLICE(""), SLICE(""), ERR_OK},
        {SLICE("%41%2f%2F+"), SLICE("A//+"), ERR_OK},
        {SLICE("%2541"), SLICE("%41"), ERR_OK},
        {SLICE("%e8%b4%a6"), SLICE("\xe8\xb4\xa6"), ERR_OK},
        {SLICE("%f0%9f%92%b0"), SLICE("\xf0\x9f\x92\xb0"), ERR_OK},
        {SLICE("%ef%bf%bf%7f%01"), SLICE("\xef\xbf\xbf\x7f\x01"), ERR_OK},
        {SLICE("%"), SLICE(""), ERR_INVALID},
        {SLICE("%4"), SLICE(""), ERR_INVALID},
        {SLICE("a%4"), SLICE(""), ERR_INVALID},
        {SLICE("%zz"), SLICE(""), ERR_INVALID},
        {SLICE("%4z"), SLICE(""), ERR_INVALID},
        {SLICE("%z4"), SLICE(""), ERR_INVALID},
        {SLICE("%%41"), SLICE(""), ERR_INVALID},
        {SLICE("%u0041"), SLICE(""), ERR_INVALID},
        {SLICE("%00"), SLICE(""), ERR_INVALID},
        {SLICE("a%00b"), SLICE(""), ERR_INVALID},
        {SLICE("%c0%ae"), SLICE(""), ERR_INVALID}, /* overlong '.' */
        {SLICE("%c1%bf"), SLICE(""), ERR_INVALID},
        {SLICE("%e0%80%af"), SLICE(""), ERR_INVALID},
        {SLICE("%e0%9f%bf"), SLICE(""), ERR_INVALID},
        {SLICE("%f0%80%80%af"), SLICE(""), ERR_INVALID},
        {SLICE("%f0%8f%bf%bf"), SLICE(""), ERR_INVALID},
        {SLICE("%ed%a0%80"), SLICE(""), ERR_INVALID},    /* a surrogate */
        {SLICE("%f4%90%80%80"), SLICE(""), ERR_INVALID}, /* past U+10FFFF */
        {SLICE("%f5%80%80%80"), SLICE(""), ERR_INVALID},
        {SLICE("%80"), SLICE(""), ERR_INVALID},
        {SLICE("%c3"), SLICE(""), ERR_INVALID},
        {SLICE("%c3%28"), SLICE(""), ERR_INVALID},
        {SLICE("%e8%b4"), SLICE(""), ERR_INVALID},
        {SLICE("%e8%b4a"), SLICE(""), ERR_INVALID},
        {SLICE("%ff"), SLICE(""), ERR_INVALID},
        {SLICE("\xff"), SLICE(""), ERR_INVALID},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice out = SLICE("untouched");
        assert_int_equal(uri_decode(*state, rows[i].in, &out), rows[i].e);
        assert_true(slice_equal(out, rows[i].e == ERR_OK ? rows[i].out : SLICE("untouched")));
    }
}

static void takes_a_query_apart(void **state)
{
    struct uri_parameter got[3];
    unsigned count = 99;

    assert_int_equal(uri_query(*state, SLICE(""), got, 3, &count), ERR_OK);
    assert_int_equal(count, 0);
    assert_int_equal(uri_query(*state, SLICE("a=1&b%3d=%26x=y+z&c"), got, 3, &count), ERR_OK);
    assert_int_equal(count, 3);
    assert_true(slice_equal(got[0].name, SLICE("a")) && slice_equal(got[0].value, SLICE("1")));
    assert_true(slice_equal(got[1].name, SLICE("b=")) && slice_equal(got[1].value, SLICE("&x=y+z")));
    assert_true(slice_equal(got[2].name, SLICE("c")) && slice_equal(got[2].value, SLICE("")));
}

static void refuses_a_bad_query(void **state)
{
    static const char *const twice[] = {"a=1&a=2", "a=1&%61=2", "a&a", "b&a=%41&a="};
    static const char *const bad[] = {"=1",  "&",   "a=1&",  "&a=1", "a&&b",
                                      "a=%", "%=a", "a=%00", "a=%ff"};
    struct uri_parameter got[3];
    unsigned count = 99;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(uri_query(*state, slice_of(bad[i]), got, 3, &count), ERR_INVALID);
    }
    for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++) {
        assert_int_equal(uri_query(*state, slice_of(twice[i]), got, 3, &count), ERR_EXISTS);
    }
    assert_int_equal(uri_query(*state, SLICE("a&b&c&d"), got, 3, &count), ERR_FULL);
    assert_int_equal(count, 99);
}

static void survives_every_failing_allocation(void **state)
{
    struct uri_parameter got[3];
    struct arena arena;
    unsigned count;
    struct slice out;

    (void)state;
    arena_init(&arena, 1 << 16);
    mem_fail_at(1, 0);
    assert_int_equal(uri_decode(&arena, SLICE("%41"), &out), ERR_NOMEM);
    mem_fail_at(1, 0);
    assert_int_equal(uri_query(&arena, SLICE("%41=1"), got, 3, &count), ERR_NOMEM);
    mem_fail_at(1, 0);
    assert_int_equal(uri_query(&arena, SLICE("a=%41"), got, 3, &count), ERR_NOMEM);
    mem_fail_at(0, 0);
    arena_fini(&arena);
}

static void knows_json(void **state)
{
    static const char *const good[] = {
        "application/json", "Application/JSON", "application/json;charset=utf-8",
        "application/json; charset=UTF-8", "application/json \t; \tcharset=\"utf-8\""};
    static const char *const bad[] = {"",
                                      "text/plain",
                                      "application/jsonx",
                                      "application/json; charset=latin1",
                                      "application/json;",
                                      "application/json; v=1",
                                      "application/json, text/plain",
                                      "application/json; charset=utf-8; x=y",
                                      "application/problem+json"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(media_is_json(slice_of(good[i])));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(media_is_json(slice_of(bad[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(decodes_once, setup, teardown),
        cmocka_unit_test_setup_teardown(takes_a_query_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_bad_query, setup, teardown),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(knows_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

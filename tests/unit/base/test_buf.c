/* The buffer: its ceiling below, at and above; the error that sticks; numbers at their edges; failing memory. */
#include "base/buf.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "unit/base/death.h"

static void assert_content(const struct buf *b, const char *expected)
{
    assert_int_equal(b->err, ERR_OK);
    assert_int_equal(b->len, strlen(expected));
    assert_memory_equal(b->ptr, expected, b->len);
}

static void appends_in_order(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    buf_append(&b, "a\0b", 3);
    buf_append_byte(&b, '-');
    buf_append_slice(&b, SLICE("slice"));
    buf_append_slice(&b, SLICE_NONE);
    buf_append_text(&b, "");
    buf_append_text(&b, "text");
    assert_int_equal(b.len, 13);
    assert_memory_equal(buf_slice(&b).ptr, "a\0b-slicetext", 13);
    buf_clear(&b);
    buf_append_text(&b, "again");
    assert_content(&b, "again");
    buf_fini(&b);
    assert_null(b.ptr);
    assert_int_equal(b.max, 1000);
}

static void writes_numbers(void **state)
{
    static const uint64_t unsigneds[] = {0, 1, 9, 10, 99, 100, UINT32_MAX, UINT64_MAX};
    static const int64_t signeds[] = {0, -1, 9, -10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    struct buf b;
    char expected[64];

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof(unsigneds) / sizeof(unsigneds[0]); i++) {
        buf_clear(&b);
        buf_append_u64(&b, unsigneds[i]);
        (void)snprintf(expected, sizeof(expected), "%" PRIu64, unsigneds[i]);
        assert_content(&b, expected);
    }
    for (size_t i = 0; i < sizeof(signeds) / sizeof(signeds[0]); i++) {
        buf_clear(&b);
        buf_append_i64(&b, signeds[i]);
        (void)snprintf(expected, sizeof(expected), "%" PRId64, signeds[i]);
        assert_content(&b, expected);
    }
    buf_fini(&b);
}

static void formats(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 2000);
    buf_append_format(&b, "%s", "");
    assert_content(&b, "");
    buf_append_format(&b, "%s=%d;", "n", 42);
    buf_append_format(&b, SLICE_FORMAT, SLICE_ARGS(SLICE("slice")));
    assert_content(&b, "n=42;slice");
    buf_append_format(&b, "%01000d", 7);
    assert_int_equal(b.len, 1010);
    assert_int_equal(b.ptr[1009], '7');
    buf_fini(&b);
}

/* Whatever way bytes come in, max of them fit and one more does not, at once or one by one. */
static void never_passes_its_ceiling(void **state)
{
    static const size_t ceilings[] = {1, 2, 10, 255, 256, 257, 1000, 5000};
    static char bytes[6000];

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
        size_t max = ceilings[i];
        struct buf b;

        buf_init(&b, max);
        buf_append(&b, bytes, max);
        assert_int_equal(b.err, ERR_OK);
        assert_int_equal(b.len, max);
        buf_append_byte(&b, 'y');
        assert_int_equal(b.err, ERR_FULL);
        assert_int_equal(b.len, max);

        buf_fini(&b);
        buf_append(&b, bytes, max + 1);
        assert_int_equal(b.err, ERR_FULL);
        assert_int_equal(b.len, 0);

        buf_clear(&b);
        for (size_t n = 0; n < max; n++) {
            buf_append_byte(&b, 'z');
        }
        assert_int_equal(b.err, ERR_OK);
        buf_append_byte(&b, 'z');
        assert_int_equal(b.err, ERR_FULL);
        assert_int_equal(b.len, max);

        buf_clear(&b);
        buf_append_format(&b, "%.*s", (int)max, bytes);
        assert_int_equal(b.err, ERR_OK);
        assert_int_equal(b.len, max);
        buf_append_format(&b, "%s", "1");
        assert_int_equal(b.err, ERR_FULL);
        assert_int_equal(b.len, max);
        buf_fini(&b);
    }
}

static void an_error_sticks_until_clear(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 4);
    buf_append_text(&b, "12");
    buf_append_text(&b, "345");
    assert_int_equal(b.err, ERR_FULL);
    buf_append_byte(&b, '3'); /* it would fit, but a text with a hole is worse than none */
    buf_append_format(&b, "%d", 3);
    assert_int_equal(buf_reserve(&b, 1), ERR_FULL);
    assert_int_equal(b.len, 2);
    buf_clear(&b);
    buf_append_text(&b, "1234");
    assert_content(&b, "1234");
    buf_fini(&b);

    b = (struct buf){0};
    buf_append_byte(&b, 'x');
    assert_int_equal(b.err, ERR_FULL);
    buf_fini(&b);
}

static void reserved_room_cannot_fail(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 3000);
    assert_int_equal(buf_reserve(&b, 3000), ERR_OK);
    mem_fail_at(1, 1);
    for (int i = 0; i < 3000; i++) {
        buf_append_byte(&b, 'r');
    }
    mem_fail_at(0, 0);
    assert_int_equal(b.err, ERR_OK);
    assert_int_equal(b.len, 3000);
    buf_fini(&b);
}

static void survives_every_failing_allocation(void **state)
{
    uint64_t nth = 1;

    (void)state;
    for (;; nth++) {
        struct buf b;

        buf_init(&b, 10000);
        mem_fail_at(nth, 0);
        while (b.err == ERR_OK && b.len < 10000) {
            buf_append_byte(&b, 'm');
        }
        mem_fail_at(0, 0);
        if (b.err == ERR_OK) {
            buf_fini(&b);
            break;
        }
        assert_int_equal(b.err, ERR_NOMEM);
        for (size_t i = 0; i < b.len; i++) {
            assert_int_equal(b.ptr[i], 'm'); /* what was there is still there */
        }
        buf_clear(&b);
        buf_append_text(&b, "well again");
        assert_content(&b, "well again");
        buf_fini(&b);
    }
    assert_in_range(nth, 4, 12); /* it grew several times, yet not byte by byte */
}

static void drops_from_the_front(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_drop_front(&b, 0);
    buf_append_text(&b, "abcdef");
    buf_drop_front(&b, 0);
    buf_drop_front(&b, 2);
    assert_content(&b, "cdef");
    buf_append_text(&b, "gh");
    assert_content(&b, "cdefgh");
    buf_drop_front(&b, 6);
    assert_content(&b, "");
    buf_fini(&b);
}

static void drop_one_from_empty(void *ctx)
{
    struct buf b;

    (void)ctx;
    buf_init(&b, 10);
    buf_drop_front(&b, 1);
}

static void refuses_to_drop_what_is_not_there(void **state)
{
    (void)state;
    assert_true(dies(drop_one_from_empty, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_in_order),
        cmocka_unit_test(writes_numbers),
        cmocka_unit_test(formats),
        cmocka_unit_test(never_passes_its_ceiling),
        cmocka_unit_test(an_error_sticks_until_clear),
        cmocka_unit_test(reserved_room_cannot_fail),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(drops_from_the_front),
        cmocka_unit_test(refuses_to_drop_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

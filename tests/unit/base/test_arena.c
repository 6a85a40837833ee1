/* The arena: alignment, zeroed bytes, the ceiling, reuse after a reset, and every allocation failing. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static void hands_out_aligned_zeroed_bytes(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size < 300; size++) {
            unsigned char *at = arena_alloc(&a, size);
            assert_non_null(at);
            assert_int_equal((uintptr_t)at % alignof(max_align_t), 0);
            for (size_t i = 0; i < size; i++) {
                assert_int_equal(at[i], 0);
                at[i] = 0xa5; /* the second round must find zeros again */
            }
        }
        arena_reset(&a);
    }
    arena_fini(&a);
}

static void neighbours_do_not_overlap(void **state)
{
    enum { COUNT = 500, SIZE = 33 };
    struct arena a;
    char *all[COUNT];

    (void)state;
    arena_init(&a, 1 << 20);
    for (int i = 0; i < COUNT; i++) {
        all[i] = arena_alloc(&a, SIZE);
        assert_non_null(all[i]);
        memset(all[i], i & 0x7f, SIZE);
    }
    for (int i = 0; i < COUNT; i++) {
        for (int j = 0; j < SIZE; j++) {
            assert_int_equal(all[i][j], i & 0x7f);
        }
    }
    arena_fini(&a);
}

static void keeps_its_ceiling(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 128);
    assert_null(arena_alloc(&a, 129));
    assert_non_null(arena_alloc(&a, 128));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 64));
    assert_null(arena_alloc(&a, 65));
    assert_non_null(arena_alloc(&a, 64));
    assert_null(arena_alloc(&a, SIZE_MAX));
    arena_fini(&a);

    arena_init(&a, 0);
    assert_null(arena_alloc(&a, 1));
    arena_fini(&a);
}

static void one_allocation_may_be_larger_than_a_chunk(void **state)
{
    struct arena a;
    char *large;
    char *small;

    (void)state;
    arena_init(&a, 1 << 20);
    small = arena_alloc(&a, 10);
    memset(small, 's', 10);
    large = arena_alloc(&a, 100000);
    assert_non_null(large);
    memset(large, 'l', 100000);
    assert_memory_equal(small, "ssssssssss", 10);
    arena_reset(&a);
    assert_null(a.chunks); /* its memory is not held for ever */
    assert_non_null(arena_alloc(&a, 10));
    arena_reset(&a);
    assert_non_null(a.chunks); /* an ordinary chunk is */
    arena_fini(&a);
}

static void copies_slices(void **state)
{
    char source[] = "wallet";
    struct arena a;
    struct slice copy = SLICE("untouched");

    (void)state;
    arena_init(&a, 64);
    assert_int_equal(arena_copy(&a, slice_of(source), &copy), ERR_OK);
    source[0] = 'W';
    assert_true(slice_equal(copy, SLICE("wallet")));
    assert_int_equal(arena_copy(&a, SLICE_NONE, &copy), ERR_OK);
    assert_int_equal(copy.len, 0);
    assert_non_null(copy.ptr);
    copy = SLICE("untouched");
    assert_int_equal(
        arena_copy(&a, slice_make("0123456789012345678901234567890123456789", 40), &copy), ERR_NOMEM);
    assert_true(slice_equal(copy, SLICE("untouched")));
    arena_fini(&a);
}

static void survives_every_failing_allocation(void **state)
{
    unsigned long failures = 0;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct arena a;
        bool has_failed = false;

        arena_init(&a, 1 << 20);
        mem_fail_at(nth, 0);
        for (int i = 0; i < 10; i++) {
            has_failed |= arena_alloc(&a, 3000) == NULL;
        }
        mem_fail_at(0, 0);
        assert_non_null(arena_alloc(&a, 3000)); /* usable again */
        arena_fini(&a);
        if (!has_failed) {
            break;
        }
        failures++;
    }
    assert_int_equal(failures, 10);
}

static void accepts_the_zero_value(void **state)
{
    struct arena a = {0};

    (void)state;
    arena_reset(&a);
    arena_fini(&a);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_out_aligned_zeroed_bytes),
        cmocka_unit_test(neighbours_do_not_overlap),
        cmocka_unit_test(keeps_its_ceiling),
        cmocka_unit_test(one_allocation_may_be_larger_than_a_chunk),
        cmocka_unit_test(copies_slices),
        cmocka_unit_test(survives_every_failing_allocation),
        cmocka_unit_test(accepts_the_zero_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

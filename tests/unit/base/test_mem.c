/* The heap's door: zeroed memory, sizes that overflow, and failures on order. */
#include "base/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void memory_is_zeroed(void **state)
{
    (void)state;
    for (size_t size = 0; size < 5000; size = size * 2 + 1) {
        unsigned char *block = mem_alloc(size);
        assert_non_null(block);
        for (size_t i = 0; i < size; i++) {
            assert_int_equal(block[i], 0);
            block[i] = 0xff; /* the heap hands dirty blocks to the next round */
        }
        mem_free(block);
    }
    mem_free(NULL);
}

static void an_array_that_overflows_is_refused(void **state)
{
    uint64_t *numbers = mem_alloc_array(10, sizeof(*numbers));

    (void)state;
    assert_non_null(numbers);
    assert_true(numbers[9] == 0);
    mem_free(numbers);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
    /* the sanitizers' own allocator stops the program instead */
    assert_null(mem_alloc_array(SIZE_MAX / 2, 3));
#endif
}

static void resize_keeps_the_content(void **state)
{
    char *block = mem_resize(NULL, 4);
    char *larger;

    (void)state;
    assert_non_null(block);
    memcpy(block, "abc", 4);
    larger = mem_resize(block, 100000);
    assert_non_null(larger);
    assert_string_equal(larger, "abc");
    mem_fail_at(1, 0);
    assert_null(mem_resize(larger, 200000));
    mem_fail_at(0, 0);
    assert_string_equal(larger, "abc"); /* still valid, still ours */
    mem_free(larger);
}

static void fails_the_nth_alone(void **state)
{
    (void)state;
    mem_fail_at(3, 0);
    for (int i = 1; i <= 5; i++) {
        void *block = mem_alloc(1);
        assert_int_equal(block == NULL, i == 3);
        mem_free(block);
    }
    assert_int_equal(mem_asked(), 5);
    mem_fail_at(0, 0);
    assert_int_equal(mem_asked(), 0);
}

static void fails_from_the_nth_on(void **state)
{
    (void)state;
    mem_fail_at(2, 1);
    for (int i = 1; i <= 5; i++) {
        void *block = i % 2 == 0 ? mem_alloc_array(1, 1) : mem_resize(NULL, 1);
        assert_int_equal(block == NULL, i >= 2);
        mem_free(block);
    }
    mem_fail_at(0, 0);
}

static void *alloc_elsewhere(void *ctx)
{
    void *block = mem_alloc(1);

    *(int *)ctx = block != NULL;
    mem_free(block);
    return NULL;
}

static void other_threads_do_not_fail(void **state)
{
    pthread_t thread;
    int has_memory = 0;

    (void)state;
    mem_fail_at(1, 1);
    assert_int_equal(pthread_create(&thread, NULL, alloc_elsewhere, &has_memory), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    mem_fail_at(0, 0);
    assert_true(has_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed),
        cmocka_unit_test(an_array_that_overflows_is_refused),
        cmocka_unit_test(resize_keeps_the_content),
        cmocka_unit_test(fails_the_nth_alone),
        cmocka_unit_test(fails_from_the_nth_on),
        cmocka_unit_test(other_threads_do_not_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sorting pairs: against a plain insertion sort, and the order of bytes, lengths and twins. */
#include "json/json_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"

static bool is_before(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        unsigned char left = (unsigned char)a.ptr[i];
        unsigned char right = (unsigned char)b.ptr[i];
        if (left != right) {
            return left < right;
        }
    }
    return a.len < b.len;
}

static void sorts_like_an_insertion_sort(void **state)
{
    enum { COUNT_MAX = 64 };
    static const char text[] = "aab\xc3\xa9\x01zAb";
    struct prng random = {42};

    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct json_pair pairs[COUNT_MAX];
        struct json_pair wanted[COUNT_MAX];
        size_t count = prng_below(&random, COUNT_MAX + 1);
        for (size_t i = 0; i < count; i++) {
            size_t start = prng_below(&random, sizeof(text) - 1);
            size_t len = prng_below(&random, sizeof(text) - start);
            size_t at = i;
            pairs[i].name = slice_make(text + start, len);
            pairs[i].value = pairs[i].name; /* must travel with its name */
            for (; at > 0 && is_before(pairs[i].name, wanted[at - 1].name); at--) {
                wanted[at] = wanted[at - 1];
            }
            wanted[at] = pairs[i];
        }
        pairs_sort(pairs, count);
        for (size_t i = 0; i < count; i++) {
            assert_true(slice_equal(pairs[i].name, wanted[i].name));
            assert_true(slice_equal(pairs[i].value, pairs[i].name));
        }
    }
}

static void a_shorter_name_comes_first(void **state)
{
    struct json_pair pairs[] = {
        {SLICE("ab"), SLICE("3")}, {SLICE("b"), SLICE("4")},        {SLICE("a"), SLICE("2")},
        {SLICE(""), SLICE("1")},   {SLICE("\xc3\xa9"), SLICE("5")},
    };

    (void)state;
    pairs_sort(pairs, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(pairs[i].value.ptr[0], '1' + (int)i);
    }
    assert_null(pairs_find_twin(pairs, 5));
}

static void finds_twins_at_both_ends(void **state)
{
    struct json_pair pairs[] = {
        {SLICE("a"), SLICE("1")},
        {SLICE("a"), SLICE("2")},
        {SLICE("b"), SLICE("3")},
        {SLICE("b"), SLICE("4")},
    };

    (void)state;
    assert_ptr_equal(pairs_find_twin(pairs, 4), &pairs[1]);
    assert_ptr_equal(pairs_find_twin(pairs + 1, 3), &pairs[3]);
    assert_null(pairs_find_twin(pairs + 1, 2));
    assert_null(pairs_find_twin(pairs, 1));
    assert_null(pairs_find_twin(NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_like_an_insertion_sort),
        cmocka_unit_test(a_shorter_name_comes_first),
        cmocka_unit_test(finds_twins_at_both_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

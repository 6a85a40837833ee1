/* Error names, error words, assertions, the clocks. */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/clock.h"
#include "unit/base/death.h"

static void every_error_has_its_own_name(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_non_null(err_name((enum err)a));
        assert_memory_equal(err_name((enum err)a), "ERR_", 4);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(err_name((enum err)a), err_name((enum err)b));
        }
    }
    assert_string_equal(err_name(ERR_OK), "ERR_OK");
    assert_string_equal(err_name(ERR_UNSUPPORTED), "ERR_UNSUPPORTED");
    assert_int_equal(ERR_OK, 0);
}

static void name_beyond_the_last(void *ctx)
{
    (void)ctx;
    (void)err_name(ERR_COUNT);
}

static void a_number_that_is_no_error_stops(void **state)
{
    (void)state;
    assert_true(dies(name_beyond_the_last, NULL));
}

static void words_are_cut_at_the_end(void **state)
{
    struct err_text text = {"before"};
    const size_t size = sizeof(text.text);

    (void)state;
    err_text_set(NULL, "%s", "nobody listens");
    err_text_set(&text, "%s: line %d", "mywallet.conf", 3);
    assert_string_equal(text.text, "mywallet.conf: line 3");
    err_text_set(&text, "%0*d", (int)size - 1, 7);
    assert_int_equal(strlen(text.text), size - 1);
    assert_int_equal(text.text[size - 2], '7');
    err_text_set(&text, "%0*d", (int)size, 7);
    assert_int_equal(strlen(text.text), size - 1);
    assert_int_equal(text.text[size - 2], '0'); /* the 7 is what was cut */
}

static void claim_falsely(void *ctx)
{
    ASSERT(ctx != NULL);
}

static void reach_the_unreachable(void *ctx)
{
    (void)ctx;
    UNREACHABLE("never");
}

static void assertions_stop_the_process(void **state)
{
    int something;

    (void)state;
    assert_true(dies(claim_falsely, NULL));
    assert_false(dies(claim_falsely, &something));
    assert_true(dies(reach_the_unreachable, NULL));
    assert_int_equal(ARRAY_LEN(((int[]){1, 2, 3})), 3);
}

static void clocks_tell_the_time(void **state)
{
    uint64_t last_us = clock_mono_us();

    (void)state;
    for (int i = 0; i < 10000; i++) {
        uint64_t now_us = clock_mono_us();
        assert_true(now_us >= last_us);
        last_us = now_us;
    }
    assert_true(clock_wall_us() > INT64_C(1577836800000000)); /* 2020 */
    assert_true(clock_wall_us() <
                INT64_C(32503680000000000)); /* 3000: milliseconds or seconds would show */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_own_name),
        cmocka_unit_test(a_number_that_is_no_error_stops),
        cmocka_unit_test(words_are_cut_at_the_end),
        cmocka_unit_test(assertions_stop_the_process),
        cmocka_unit_test(clocks_tell_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

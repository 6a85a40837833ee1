#include "store/redis/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"

static const struct place places[] = {{0, 0},
                                      {0, 1},
                                      {4095, 0},
                                      {17, 123456789},
                                      {UINT32_MAX, UINT64_MAX}};

static void what_is_written_is_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        char text[STORE_CURSOR_BYTES_MAX];
        struct place got = {1, 1};
        const unsigned len = place_write(PLACE_HISTORY, (uint32_t)i, places[i], text);
        assert_true(place_read(PLACE_HISTORY, (uint32_t)i, slice_make(text, len), &got));
        assert_true(got.bucket == places[i].bucket && got.n == places[i].n);
        assert_false(place_read(PLACE_ACCOUNTS, (uint32_t)i, slice_make(text, len), &got));
        assert_false(place_read(PLACE_HISTORY, (uint32_t)i + 1, slice_make(text, len), &got));
    }
}

/* Any letter changed, left out or put behind: no cursor. */
static void one_text_is_one_cursor(void **state)
{
    static const char letters[] = "AB9-_a!=\n\0";
    char text[STORE_CURSOR_BYTES_MAX + 1], other[STORE_CURSOR_BYTES_MAX + 1];
    const unsigned len = place_write(PLACE_ACCOUNTS, 7, places[3], text);
    struct place got;

    (void)state;
    for (unsigned i = 0; i < len; i++) {
        assert_false(place_read(PLACE_ACCOUNTS, 7, slice_make(text, i), &got));
        for (size_t k = 0; k < sizeof(letters); k++) {
            memcpy(other, text, len);
            other[i] = letters[k];
            assert_true(place_read(PLACE_ACCOUNTS, 7, slice_make(other, len), &got) ==
                        (letters[k] == text[i]));
        }
    }
    memcpy(other, text, len);
    other[len] = 'A';
    assert_false(place_read(PLACE_ACCOUNTS, 7, slice_make(other, len + 1), &got));
    assert_false(place_read(PLACE_ACCOUNTS, 7, SLICE_NONE, &got));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(one_text_is_one_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

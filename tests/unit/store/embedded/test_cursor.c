/* Page cursors: what was written is read again; anything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/embedded/cursor.h"

static void accounts(void **state)
{
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX], read[LEDGER_ACCOUNT_ID_BYTES_MAX],
        text[STORE_CURSOR_BYTES_MAX];

    (void)state;
    for (size_t len = 0; len <= sizeof(id); len++) {
        size_t got = 999;
        unsigned text_len;
        memset(id, 'a' + (int)(len % 26), sizeof(id));
        text_len = cursor_account_write(id, len, 7, text);
        assert_true(text_len <= sizeof(text));
        assert_true(cursor_account_read(slice_make(text, text_len), 7, read, &got));
        assert_int_equal(got, len);
        assert_memory_equal(read, id, len);
        assert_false(cursor_account_read(slice_make(text, text_len), 8, read, &got)); /* other filters */
    }
}

static void histories(void **state)
{
    static const uint64_t places[] = {0, 1, 63, 64, 1u << 31, UINT64_MAX};
    char text[STORE_CURSOR_BYTES_MAX];

    (void)state;
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        unsigned len = cursor_history_write(places[i], 7, text);
        uint64_t n = 1;
        assert_true(cursor_history_read(slice_make(text, len), 7, &n));
        assert_true(n == places[i]);
        assert_false(cursor_history_read(slice_make(text, len), 8, &n)); /* of another account or filter */
        assert_false(cursor_account_read(slice_make(text, len), 7, text, &(size_t){0}));
    }
}

static void every_changed_letter_is_refused(void **state)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ .%\x01";
    char text[STORE_CURSOR_BYTES_MAX], other[STORE_CURSOR_BYTES_MAX], id[LEDGER_ACCOUNT_ID_BYTES_MAX];
    unsigned len = cursor_history_write(12345, 99, text);
    unsigned id_len = cursor_account_write("alice", 5, 7, other);
    uint64_t n;
    size_t got;

    (void)state;
    for (unsigned at = 0; at < len; at++) {
        const char was = text[at];
        for (unsigned i = 0; i < sizeof(letters); i++) { /* NUL too */
            text[at] = letters[i];
            assert_true(cursor_history_read(slice_make(text, len), 99, &n) == (letters[i] == was));
        }
        text[at] = was;
    }
    for (unsigned cut = 0; cut < len; cut++) {
        assert_false(cursor_history_read(slice_make(text, cut), 99, &n));
    }
    for (unsigned at = 0; at < id_len; at++) {
        other[at] ^= 1;
        assert_false(cursor_account_read(slice_make(other, id_len), 7, id, &got));
        other[at] ^= 1;
    }
    memset(text, 'A', sizeof(text));
    assert_false(cursor_history_read(slice_make(text, sizeof(text)), 99, &n));
    assert_false(cursor_account_read(slice_make(text, sizeof(text)), 7, id, &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts),
        cmocka_unit_test(histories),
        cmocka_unit_test(every_changed_letter_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

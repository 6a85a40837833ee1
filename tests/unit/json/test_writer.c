/* The writer: the API's bytes, escapes of every byte, numbers at their ends, misuse, and failing buffers. */
#include "json/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"

static void expect(struct buf *b, const char *text)
{
    struct slice got = buf_slice(b);

    assert_int_equal(b->err, ERR_OK);
    if (!slice_equal(got, slice_of(text))) {
        fail_msg("wrote " SLICE_FORMAT ", not %s", SLICE_ARGS(got), text);
    }
}

static void answer_write(struct json_writer *w)
{
    static const struct json_pair pairs[] = {
        {SLICE("b"), SLICE("2")},
        {SLICE("a"), SLICE("\"")},
    };

    json_open_object(w);
    json_key(w, SLICE("account_id"));
    json_string(w, SLICE("123456"));
    json_key(w, SLICE("balance"));
    buf_append_text(json_begin_raw(w), "1000.00");
    json_key(w, SLICE("transactions"));
    json_open_array(w);
    json_open_object(w);
    json_close_object(w);
    json_open_object(w);
    json_key(w, SLICE("amount"));
    json_raw(w, SLICE("-5.00"));
    json_key(w, SLICE("final"));
    json_bool(w, true);
    json_close_object(w);
    json_integer(w, -7);
    json_open_array(w);
    json_close_array(w);
    json_string(w, SLICE(""));
    json_close_array(w);
    json_key(w, SLICE("metadata"));
    json_pairs(w, pairs, 2);
    json_key(w, SLICE("empty"));
    json_pairs(w, NULL, 0);
    json_key(w, SLICE("has_more"));
    json_bool(w, false);
    json_close_object(w);
}

static const char answer[] =
    "{\"account_id\":\"123456\",\"balance\":1000.00,\"transactions\":[{},{\"amount\":-5.00,\"final\":true},"
    "-7,[],\"\"],\"metadata\":{\"b\":\"2\",\"a\":\"\\\"\"},\"empty\":{},\"has_more\":false}";

static void writes_the_seeds_balance_to_the_byte(void **state)
{
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    json_writer_init(&w, &b);
    assert_false(json_writer_is_done(&w));
    json_open_object(&w);
    json_key(&w, SLICE("account_id"));
    json_string(&w, SLICE("123456"));
    json_key(&w, SLICE("balance"));
    json_raw(&w, SLICE("1000.00"));
    assert_false(json_writer_is_done(&w));
    json_close_object(&w);
    assert_true(json_writer_is_done(&w));
    expect(&b, "{\"account_id\":\"123456\",\"balance\":1000.00}");
    buf_fini(&b);
}

static void sets_commas_by_itself(void **state)
{
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    json_writer_init(&w, &b);
    answer_write(&w);
    assert_true(json_writer_is_done(&w));
    expect(&b, answer);
    buf_fini(&b);
}

static void begins_behind_what_the_buffer_holds(void **state)
{
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    buf_append_text(&b, "data: ");
    json_writer_init(&w, &b);
    json_bool(&w, true);
    expect(&b, "data: true");
    buf_fini(&b);
}

static void writes_integers_to_their_ends(void **state)
{
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    json_writer_init(&w, &b);
    json_open_array(&w);
    json_integer(&w, 0);
    json_integer(&w, INT64_MAX);
    json_integer(&w, INT64_MIN);
    json_close_array(&w);
    expect(&b, "[0,9223372036854775807,-9223372036854775808]");
    buf_fini(&b);
}

static void escapes_what_must_be_and_nothing_else(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char raw[3] = {'<', (char)byte, '>'};
        char wanted[16];
        struct json_writer w;
        struct buf b;
        buf_init(&b, 64);
        json_writer_init(&w, &b);
        json_string(&w, slice_make(raw, 3));
        if (byte < 0x20) {
            (void)snprintf(wanted, sizeof(wanted), "\"<\\u%04x>\"", byte);
        } else if (byte == '"' || byte == '\\') {
            (void)snprintf(wanted, sizeof(wanted), "\"<\\%c>\"", (int)byte);
        } else {
            (void)snprintf(wanted, sizeof(wanted), "\"<%c>\"", (int)byte);
        }
        expect(&b, wanted);
        buf_fini(&b);
    }
}

static void escapes_at_both_ends_and_in_keys(void **state)
{
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    json_writer_init(&w, &b);
    json_open_object(&w);
    json_key(&w, SLICE("\"\n"));
    json_string(&w, SLICE("\\/\x7f\xe4\xbd\x99\xf0\x9f\x92\xb0\t"));
    json_key(&w, SLICE_NONE);
    json_string(&w, SLICE_NONE);
    json_close_object(&w);
    expect(&b, "{\"\\\"\\u000a\":\"\\\\/\x7f\xe4\xbd\x99\xf0\x9f\x92\xb0\\u0009\",\"\":\"\"}");
    buf_fini(&b);
}

static void nests_to_its_limit(void **state)
{
    struct json_writer w;
    struct buf b;

    (void)state;
    buf_init(&b, 1024);
    json_writer_init(&w, &b);
    for (int i = 0; i < JSON_WRITER_DEPTH_MAX; i++) {
        if (i % 2 == 0) {
            json_open_object(&w);
            json_key(&w, SLICE("k"));
        } else {
            json_open_array(&w);
        }
    }
    json_integer(&w, 1);
    for (int i = JSON_WRITER_DEPTH_MAX - 1; i >= 0; i--) {
        if (i % 2 == 0) {
            json_close_object(&w);
        } else {
            json_close_array(&w);
        }
    }
    assert_true(json_writer_is_done(&w));
    assert_int_equal(b.err, ERR_OK);
    buf_fini(&b);
}

static void misuse_value_without_key(struct json_writer *w)
{
    json_open_object(w);
    json_integer(w, 1);
}

static void misuse_key_in_array(struct json_writer *w)
{
    json_open_array(w);
    json_key(w, SLICE("k"));
}

static void misuse_key_at_top(struct json_writer *w)
{
    json_key(w, SLICE("k"));
}

static void misuse_two_keys(struct json_writer *w)
{
    json_open_object(w);
    json_key(w, SLICE("k"));
    json_key(w, SLICE("k"));
}

static void misuse_wrong_close(struct json_writer *w)
{
    json_open_array(w);
    json_close_object(w);
}

static void misuse_close_at_top(struct json_writer *w)
{
    json_close_array(w);
}

static void misuse_close_after_key(struct json_writer *w)
{
    json_open_object(w);
    json_key(w, SLICE("k"));
    json_close_object(w);
}

static void misuse_two_documents(struct json_writer *w)
{
    json_bool(w, true);
    json_bool(w, true);
}

static void misuse_too_deep(struct json_writer *w)
{
    for (int i = 0; i <= JSON_WRITER_DEPTH_MAX; i++) {
        json_open_array(w);
    }
}

static void misuse_empty_raw(struct json_writer *w)
{
    json_raw(w, SLICE_NONE);
}

static void aborts_rather_than_write_what_is_no_json(void **state)
{
    static void (*const misuses[])(struct json_writer *) = {
        misuse_value_without_key, misuse_key_in_array, misuse_key_at_top,      misuse_two_keys,
        misuse_wrong_close,       misuse_close_at_top, misuse_close_after_key, misuse_two_documents,
        misuse_too_deep,          misuse_empty_raw,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(misuses) / sizeof(misuses[0]); i++) {
        int status = 0;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct json_writer w;
            struct buf b;
            (void)signal(SIGABRT, SIG_DFL);
            (void)close(STDERR_FILENO);
            buf_init(&b, 1024);
            json_writer_init(&w, &b);
            misuses[i](&w);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
}

static void a_full_buffer_keeps_its_error(void **state)
{
    (void)state;
    for (size_t max = 0; max < sizeof(answer); max++) {
        struct json_writer w;
        struct buf b;
        buf_init(&b, max);
        json_writer_init(&w, &b);
        answer_write(&w);
        assert_int_equal(b.err, max < sizeof(answer) - 1 ? ERR_FULL : ERR_OK);
        assert_true(b.len <= max);
        buf_fini(&b);
    }
}

static void every_failing_allocation_is_nomem(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct json_writer w;
        struct buf b;
        uint64_t asked;
        buf_init(&b, 1024);
        json_writer_init(&w, &b);
        mem_fail_at(nth, 0);
        answer_write(&w);
        asked = mem_asked();
        mem_fail_at(0, 0);
        assert_int_equal(b.err, asked >= nth ? ERR_NOMEM : ERR_OK);
        buf_fini(&b);
        if (asked < nth) {
            assert_true(nth > 1);
            return;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_seeds_balance_to_the_byte),
        cmocka_unit_test(sets_commas_by_itself),
        cmocka_unit_test(begins_behind_what_the_buffer_holds),
        cmocka_unit_test(writes_integers_to_their_ends),
        cmocka_unit_test(escapes_what_must_be_and_nothing_else),
        cmocka_unit_test(escapes_at_both_ends_and_in_keys),
        cmocka_unit_test(nests_to_its_limit),
        cmocka_unit_test(aborts_rather_than_write_what_is_no_json),
        cmocka_unit_test(a_full_buffer_keeps_its_error),
        cmocka_unit_test(every_failing_allocation_is_nomem),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

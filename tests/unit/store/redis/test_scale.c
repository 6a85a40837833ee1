/* The decimals that a ledger in Redis was made with: kept, compared, extended. Against a real server. */
#include "store/redis/scale.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/buf.h"
#include "money/currency.h"
#include "store/redis/sync.h"
#include "support/redis_server.h"

enum { ROW_BYTES = 4, TEXT_BYTES_MAX = 128 * 1024 };

static struct redis_server server;

static enum err merge(const char *text, struct buf *out, struct err_text *why)
{
    buf_init(out, TEXT_BYTES_MAX);
    return scale_merge(slice_of(text), out, why);
}

static unsigned rows_of(struct slice text, const char *row)
{
    unsigned count = 0;

    for (size_t at = 0; at + ROW_BYTES <= text.len; at += ROW_BYTES) {
        count += memcmp(text.ptr + at, row, ROW_BYTES) == 0;
    }
    return count;
}

static void an_empty_mark_gets_the_whole_table(void **state)
{
    struct err_text why = {""};
    struct buf out;

    (void)state;
    assert_int_equal(merge("", &out, &why), ERR_OK);
    assert_int_equal(out.len, (size_t)ROW_BYTES * currency_count());
    assert_int_equal(rows_of(buf_slice(&out), "CNY2"), 1);
    assert_int_equal(rows_of(buf_slice(&out), "JPY0"), 1);
    assert_int_equal(rows_of(buf_slice(&out), "KWD3"), 1);
    buf_fini(&out);
}

static void what_only_the_ledger_has_stays(void **state)
{
    struct err_text why = {""};
    struct buf out;

    (void)state;
    assert_int_equal(merge("QQQ1KWD3", &out, &why), ERR_OK);
    assert_int_equal(out.len, (size_t)ROW_BYTES * (currency_count() + 1));
    assert_memory_equal(out.ptr, "QQQ1KWD3", 8);
    assert_int_equal(rows_of(buf_slice(&out), "KWD3"), 1);
    buf_fini(&out);
}

static void other_decimals_are_refused(void **state)
{
    struct err_text why = {""};
    struct buf out;

    (void)state;
    assert_int_equal(merge("CNY2HUF0", &out, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "HUF with 0 decimals"));
    assert_non_null(strstr(why.text, "with 2"));
    buf_fini(&out);
}

static void what_is_no_mark_is_refused(void **state)
{
    static const char *const bad[] = {"C",    "CNY",   "CNY5",      "CNY-", "cny2",
                                      "CN.2", "CNY2J", "CNY2 JPY0", "2CNY"};
    struct err_text why;
    struct buf out;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why.text[0] = '\0';
        if (merge(bad[i], &out, &why) != ERR_UNSUPPORTED || strstr(why.text, "none of ours") == NULL) {
            fail_msg("%s: %s", bad[i], why.text);
        }
        buf_fini(&out);
    }
}

static void no_memory_is_an_error(void **state)
{
    struct err_text why = {""};
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    assert_int_equal(scale_merge(SLICE(""), &out, &why), ERR_FULL);
    buf_fini(&out);
}

static void assert_mark(struct sync *s, const char *wanted)
{
    redisReply *r = NULL;

    assert_int_equal(sync_say(s, &r, "HGET w:meta decimals"), ERR_OK);
    assert_int_equal(r->type, REDIS_REPLY_STRING);
    assert_int_equal(strncmp(r->str, wanted, strlen(wanted)), 0);
    assert_int_equal(rows_of(slice_make(r->str, (size_t)r->len), "CNY2"), 1);
    sync_free(r);
}

static void the_mark_is_made_extended_and_kept(void **state)
{
    struct sync *s = *state;
    struct err_text why = {""};

    redis_server_say(&server, "FLUSHALL");
    assert_int_equal(scale_keep(s, &why), ERR_OK);
    assert_mark(s, "AED2");
    redis_server_say(&server, "HSET w:meta decimals QQQ4");
    assert_int_equal(scale_keep(s, &why), ERR_OK);
    assert_mark(s, "QQQ4AED2");
    assert_int_equal(scale_keep(s, &why), ERR_OK);
    assert_mark(s, "QQQ4AED2");
    redis_server_say(&server, "HSET w:meta decimals CNY3");
    assert_int_equal(scale_keep(s, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "CNY with 3 decimals"));
    redis_server_say(&server, "DEL w:meta");
    redis_server_say(&server, "SET w:meta x");
    assert_int_equal(scale_keep(s, &why), ERR_INVALID);
    redis_server_say(&server, "DEL w:meta");
}

static int start(void **state)
{
    struct redis_url url = {.address_count = 1};
    struct err_text why = {""};
    struct sync *s = NULL;

    redis_server_start(&server, "");
    (void)snprintf(url.addresses[0].host, sizeof url.addresses[0].host, "127.0.0.1");
    url.addresses[0].port = server.port;
    if (sync_open(&url, &url.addresses[0], NULL, "test", 2000, &s, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    *state = s;
    return 0;
}

static int stop(void **state)
{
    sync_close(*state);
    redis_server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_mark_gets_the_whole_table),
        cmocka_unit_test(what_only_the_ledger_has_stays),
        cmocka_unit_test(other_decimals_are_refused),
        cmocka_unit_test(what_is_no_mark_is_refused),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(the_mark_is_made_extended_and_kept),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

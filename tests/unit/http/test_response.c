/* The bytes of an answer, dates, deadlines lists. */
#include "http/response.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/timers.h"
#include "unit/base/death.h"

static struct response example(void)
{
    static const struct http_field fields[] = {
        {.name = "Content-Type", .value = {"application/json", 16}}};

    return (struct response){
        .status = 200,
        .date = SLICE("Thu, 01 Jan 1970 00:00:00 GMT"),
        .request_id = SLICE("id-1"),
        .fields = fields,
        .field_count = 1,
        .body = SLICE("{}"),
    };
}

static void check(const struct response *r, const char *want)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    assert_int_equal(response_write(&out, r), ERR_OK);
    buf_append_byte(&out, '\0');
    assert_string_equal(out.ptr, want);
    buf_fini(&out);
}

static void writes_an_answer(void **state)
{
    struct response r = example();

    (void)state;
    check(&r, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
              "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: id-1\r\n\r\n{}");
    r.is_head = true;
    r.is_close = true;
    r.is_keep_alive_said = true;
    check(&r,
          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
          "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: id-1\r\nConnection: close\r\n\r\n");
    r = example();
    r.is_keep_alive_said = true;
    r.status = 599;
    r.field_count = 0;
    check(&r, "HTTP/1.1 599 \r\nContent-Length: 2\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: id-1\r\n"
              "Connection: keep-alive\r\n\r\n{}");
}

static void an_empty_status_has_no_length(void **state)
{
    struct response r = example();

    (void)state;
    r.status = 204;
    r.body = SLICE_NONE;
    r.methods = 1u << HTTP_GET | 1u << HTTP_OPTIONS;
    r.field_count = 0;
    check(&r, "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nX-Request-Id: id-1\r\n"
              "Allow: GET, OPTIONS\r\n\r\n");
}

static void every_status_of_the_contract_has_its_reason(void **state)
{
    static const unsigned all[] = {200, 201, 202, 204, 303, 304, 307, 308, 400, 401, 403, 404, 405,
                                   408, 409, 412, 413, 414, 415, 422, 429, 431, 500, 503, 504};

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct response r = example();
        struct buf out;
        r.status = all[i];
        r.body = SLICE_NONE;
        buf_init(&out, 1 << 16);
        assert_int_equal(response_write(&out, &r), ERR_OK);
        assert_memory_equal(out.ptr, "HTTP/1.1 ", 9);
        assert_int_equal((out.ptr[9] - '0') * 100 + (out.ptr[10] - '0') * 10 + (out.ptr[11] - '0'),
                         all[i]);
        assert_true(out.ptr[13] >= 'A' && out.ptr[13] <= 'Z');
        buf_fini(&out);
    }
}

static void appends_behind_what_is_there(void **state)
{
    struct response r = example();
    struct buf out;
    size_t once;

    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(response_write(&out, &r), ERR_OK);
    once = out.len;
    assert_int_equal(response_write(&out, &r), ERR_OK);
    assert_int_equal(out.len, once * 2);
    assert_memory_equal(out.ptr, out.ptr + once, once);
    buf_fini(&out);
}

static void fails_whole(void **state)
{
    struct response r = example();
    struct buf out;

    (void)state;
    buf_init(&out, 600);
    buf_append_text(&out, "before");
    r.body = slice_make(NULL, 601);
    assert_int_equal(response_write(&out, &r), ERR_FULL);
    assert_int_equal(out.len, 6);
    buf_fini(&out);
    buf_init(&out, 1 << 16);
    mem_fail_at(1, 0);
    r = example();
    assert_int_equal(response_write(&out, &r), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

static void write_response(void *ctx)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    (void)!response_write(&out, ctx);
    buf_fini(&out);
}

static void a_field_cannot_be_split(void **state)
{
    static const char *const bad[] = {"a\r\nSet-Cookie: b", "a\n", "a\r", "\x7f", "\x01", "\t"};
    struct response r = example();

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_field field = {.name = "Location", .value = slice_of(bad[i])};
        r.fields = &field;
        assert_true(dies(write_response, &r));
    }
    r = example();
    assert_false(dies(write_response, &r));
    r.status = 204;
    assert_true(dies(write_response, &r)); /* a body that may not be */
    r = example();
    r.status = 199;
    assert_true(dies(write_response, &r));
    r.status = 600;
    assert_true(dies(write_response, &r));
}

static void dates_are_those_of_the_c_library(void **state)
{
    (void)state;
    for (int64_t at = 0; at < INT64_C(253402300800); at += 12345677) {
        char text[RESPONSE_DATE_BYTES + 1] = {0};
        char want[64];
        time_t when = (time_t)at;
        struct tm parts;
        response_date(at, text);
        assert_non_null(gmtime_r(&when, &parts));
        assert_int_equal(strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &parts),
                         RESPONSE_DATE_BYTES);
        assert_string_equal(text, want);
    }
}

static void deadlines_come_in_order(void **state)
{
    struct timers t;
    struct timer_link a = {0}, b = {0}, c = {0};
    enum timer_kind kind;

    (void)state;
    timers_init(&t);
    t.duration_ms[TIMER_HEAD] = 10;
    t.duration_ms[TIMER_IDLE] = 100;
    assert_int_equal(timers_next_ms(&t), UINT64_MAX);
    assert_null(timers_oldest(&t, TIMER_HEAD));
    assert_int_equal(timers_start(&t, &a, TIMER_IDLE, 0), 100);
    assert_int_equal(timers_start(&t, &b, TIMER_HEAD, 5), 15);
    assert_int_equal(timers_start(&t, &c, TIMER_HEAD, 6), 16);
    assert_int_equal(timers_next_ms(&t), 15);
    assert_ptr_equal(timers_oldest(&t, TIMER_HEAD), &b);
    assert_null(timers_pop(&t, 14, &kind));
    assert_ptr_equal(timers_pop(&t, 15, &kind), &b);
    assert_int_equal(kind, TIMER_HEAD);
    assert_int_equal(b.kind, TIMER_NONE);
    assert_int_equal(timers_start(&t, &c, TIMER_HEAD, 8), 18); /* anew */
    assert_null(timers_pop(&t, 17, &kind));
    timers_stop(&c);
    timers_stop(&c);
    assert_int_equal(timers_next_ms(&t), 100);
    assert_ptr_equal(timers_pop(&t, 1000, &kind), &a);
    assert_int_equal(kind, TIMER_IDLE);
    assert_null(timers_pop(&t, 1000, &kind));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_an_answer),
        cmocka_unit_test(an_empty_status_has_no_length),
        cmocka_unit_test(every_status_of_the_contract_has_its_reason),
        cmocka_unit_test(appends_behind_what_is_there),
        cmocka_unit_test(fails_whole),
        cmocka_unit_test(a_field_cannot_be_split),
        cmocka_unit_test(dates_are_those_of_the_c_library),
        cmocka_unit_test(deadlines_come_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

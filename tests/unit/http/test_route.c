/* Templates: which route serves a path, what is allowed there; and for which route a request was that is refused early. */
#include "http/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "http/framing.h"
#include "unit/http/fixture.h"

#define HOST "Host: a\r\n"
#define JSON "Content-Type: application/json\r\n"

static const struct http_route routes[] = {
    {.method = HTTP_GET, .template = "/"},
    {.method = HTTP_GET, .template = "/api/v1/wallet"},
    {.method = HTTP_POST, .template = "/api/v1/wallet"},
    {.method = HTTP_GET, .template = "/api/v1/wallet/{account_id}"},
    {.method = HTTP_PATCH, .template = "/api/v1/wallet/{account_id}"},
    {.method = HTTP_GET, .template = "/api/v1/wallet/{account_id}/balance"},
    {.method = HTTP_POST, .template = "/api/v1/wallet/{account_id}/credit"},
    {.method = HTTP_POST, .template = "/{a}/{b}/{c}/{d}"},
    {.method = HTTP_DELETE, .template = "/only"},
};
enum { NONE = sizeof(routes) / sizeof(routes[0]) };

static struct route_table table;

static int setup(void **state)
{
    (void)state;
    return route_table_init(&table, routes, NONE) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    route_table_fini(&table);
    return 0;
}

static unsigned find(const char *path, enum http_method method)
{
    return route_find(&table, slice_of(path), method).route;
}

static void finds_routes(void **state)
{
    (void)state;
    assert_int_equal(find("/", HTTP_GET), 0);
    assert_int_equal(find("/api/v1/wallet", HTTP_GET), 1);
    assert_int_equal(find("/api/v1/wallet", HTTP_HEAD), 1);
    assert_int_equal(find("/api/v1/wallet", HTTP_POST), 2);
    assert_int_equal(find("/api/v1/wallet/x", HTTP_PATCH), 4);
    assert_int_equal(find("/api/v1/wallet/x/balance", HTTP_GET), 5);
    assert_int_equal(find("/api/v1/wallet/x/credit", HTTP_POST), 6);
    assert_int_equal(find("/api/v1/wallet/x/credit", HTTP_HEAD), NONE);
    assert_int_equal(find("/api/v1/wallet/x/credit", HTTP_OTHER), NONE);
}

static void other_paths_are_other_paths(void **state)
{
    static const char *const none[] = {"",
                                       "*",
                                       "api",
                                       "/api",
                                       "/api/v1/wallet/x/balance/",
                                       "/API/v1/wallet",
                                       "/api/v1/wallet/x/balanc",
                                       "/api/v1/wallet/x/balances",
                                       "/%61pi/v1/wallet",
                                       "//",
                                       "/a/b/c/d/e/f/g/h/i/j/k/l",
                                       "/a/b/c/d/e/f/g/h/i/j/k/l/m/n"};

    (void)state;
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        struct route_match match = route_find(&table, slice_of(none[i]), HTTP_GET);
        assert_int_equal(match.route, NONE);
        assert_int_equal(match.methods, 0);
    }
}

static void gives_parameters_as_sent(void **state)
{
    struct route_match match = route_find(&table, SLICE("/api/v1/wallet/a%2Fb{c}/balance"), HTTP_GET);

    (void)state;
    assert_int_equal(match.param_count, 1);
    assert_true(slice_equal(match.params[0], SLICE("a%2Fb{c}")));
    match = route_find(&table, SLICE("/api/v1/wallet//balance"), HTTP_GET);
    assert_int_equal(match.route, 5);
    assert_int_equal(match.params[0].len, 0);
    match = route_find(&table, SLICE("/api/v1/wallet/"), HTTP_GET);
    assert_int_equal(match.route, 3);
    match = route_find(&table, SLICE("/1//3/"), HTTP_POST);
    assert_int_equal(match.route, 7);
    assert_int_equal(match.param_count, HTTP_PARAMS_MAX);
    assert_true(slice_equal(match.params[0], SLICE("1")) && slice_equal(match.params[2], SLICE("3")));
}

static void tells_what_is_allowed(void **state)
{
    char text[64];
    struct route_match match = route_find(&table, SLICE("/api/v1/wallet"), HTTP_PUT);

    (void)state;
    assert_int_equal(match.route, NONE);
    assert_true(slice_equal(route_allow(match.methods, text), SLICE("GET, HEAD, POST, OPTIONS")));
    match = route_find(&table, SLICE("/only"), HTTP_GET);
    assert_true(slice_equal(route_allow(match.methods, text), SLICE("DELETE, OPTIONS")));
    assert_true(slice_equal(route_allow(table.methods, text),
                            SLICE("GET, HEAD, POST, PATCH, DELETE, OPTIONS")));
    assert_true(
        slice_equal(route_allow(~0u, text), SLICE("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")));
}

static void survives_a_failing_allocation(void **state)
{
    struct route_table t = {0};

    (void)state;
    mem_fail_at(1, 0);
    assert_int_equal(route_table_init(&t, routes, NONE), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_null(t.routes);
    route_table_fini(&t);
}

/* ---- whom a refused request was for ---- */

static void assert_part(const char *bytes, size_t at, size_t len, const char *want)
{
    assert_int_equal(len, strlen(want));
    assert_memory_equal(bytes + at, want, len);
}

/* The request line is known from its own end on, whatever becomes of the head behind it. */
static void the_line_is_known_at_its_end(void **state)
{
    static const struct {
        const char *line;
        const char *authority;
        const char *path; /* NULL: the target is of no form that is known */
        const char *query;
    } lines[] = {
        {"POST /x/y?q=1 HTTP/1.1\r\n", "", "/x/y", "q=1"},
        {"GET http://a:8080/x?q HTTP/1.0\r\n", "a:8080", "/x", "q"},
        {"GET https://b?q HTTP/1.1\r\n", "b", "", "q"},
        {"OPTIONS * HTTP/1.1\r\n", "", "", ""},
        {"POST * HTTP/1.1\r\n", NULL, NULL, NULL},
        {"POST x HTTP/1.1\r\n", NULL, NULL, NULL},
        {"POST http://u@a/x HTTP/1.1\r\n", NULL, NULL, NULL},
        {"POST /x HTTP/1.2\r\n", NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        size_t line_len = strlen(lines[i].line);
        char bytes[100];
        size_t len =
            (size_t)snprintf(bytes, sizeof(bytes), "%sHost: z\r\nA : b\r\n\r\n", lines[i].line);
        for (size_t end = 0; end <= len; end++) {
            static struct framing_head h;
            enum framing_verdict verdict;
            framing_head_init(&h);
            verdict = framing_head_next(&h, bytes, end);
            assert_int_equal(h.has_line, end >= line_len && lines[i].path != NULL);
            assert_true(end < len || verdict == FRAMING_BAD); /* for its field, if for nothing before */
            if (h.has_line) {
                assert_part(bytes, h.authority_at, h.authority_len, lines[i].authority);
                assert_part(bytes, h.path_at, h.path_len, lines[i].path);
                assert_part(bytes, h.query_at, h.query_len, lines[i].query);
            }
        }
    }
}

static struct fixture f;

static int setup_server(void **state)
{
    (void)state;
    fixture_defaults(&f);
    fixture_open(&f, "127.0.0.1:0");
    return 0;
}

static int teardown_server(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

enum { ROUTE_HELLO = 0, ROUTE_ECHO = 2, ROUTE_NONE = 8 }; /* in the fixture's table */

/* Whom a request was for, whatever is wrong behind its first line: the renderer owes some of them a header. */
static void tells_the_renderer_for_whom(void **state)
{
    static const struct {
        const char *request;
        enum http_fault fault;
        enum http_method method;
        unsigned route;
    } rows[] = {
        {"POST /echo HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_ECHO},
        {"\r\nPOST /echo?a=%zz HTTP/1.1\r\n" HOST HOST "\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST,
         ROUTE_ECHO},
        {"POST /echo HTTP/1.1\r\n" HOST "A : b\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_ECHO},
        {"POST http://a/echo?b HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", HTTP_FAULT_BAD_REQUEST,
         HTTP_POST, ROUTE_ECHO},
        {"POST https://b/echo HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST,
         ROUTE_ECHO},
        {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_FAULT_BAD_REQUEST,
         HTTP_POST, ROUTE_ECHO},
        {"POST /echo HTTP/1.1\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_ECHO}, /* cut */
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", HTTP_FAULT_BAD_MEDIA_TYPE,
         HTTP_POST, ROUTE_ECHO},
        {"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 101\r\n\r\n",
         HTTP_FAULT_BODY_TOO_LARGE, HTTP_POST, ROUTE_ECHO},
        {"HEAD /hello HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_HEAD, ROUTE_HELLO},
        {"POST /echo HTTP/1.1\r", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_NONE},
        {"POST /echo HTTP/1.2\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_NONE},
        {"POST /ec\rho HTTP/1.1\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_OTHER, ROUTE_NONE},
        {"POST echo HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_NONE},
        {"POST http://u@a/echo HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST,
         ROUTE_NONE},
        {"POST * HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_NONE},
        {"OPTIONS * HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_OPTIONS, ROUTE_NONE},
        {"OPTIONS /echo HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_OPTIONS, ROUTE_NONE},
        {"GET /echo HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_GET, ROUTE_NONE},
        {"BREW /echo HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_OTHER, ROUTE_NONE},
        {"POST /gone HTTP/1.1\r\n\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_POST, ROUTE_NONE},
        {"DELETE /echo HTTP/1.1\r\n" HOST "\r\n", HTTP_FAULT_BAD_METHOD, HTTP_DELETE, ROUTE_NONE},
    };

    (void)state;
    assert_int_equal(f.options.route_count, ROUTE_NONE);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f.fault = -1;
        (void)exchange(&f, rows[i].request);
        if (f.fault != (int)rows[i].fault || f.method != rows[i].method || f.route != rows[i].route) {
            fail_msg("%s\ngot fault %d, method %d, route %u", rows[i].request, f.fault,
                     (int)f.method, f.route);
        }
    }
}

/* The request is there, and no memory for what it says: its route is known, and that a HEAD wants no body. */
static void no_memory_for_a_head_is_told_for_whom(void **state)
{
    static const struct {
        const char *first, *rest;
        enum http_method method;
        unsigned route;
        bool has_body;
    } rows[] = {{"POST /ec", "ho HTTP/1.1\r\n" HOST "\r\n", HTTP_POST, ROUTE_ECHO, true},
                {"HEAD /he", "llo HTTP/1.1\r\n" HOST "\r\n", HTTP_HEAD, ROUTE_HELLO, false}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char padding[2000];
        int fd, held;
        const char *got;
        memset(padding, 'x', sizeof(padding));
        fixture_close(&f);
        fixture_defaults(&f);
        fixture_open(&f, "127.0.0.1:0");
        fd = client_open(
            &f); /* leaves two buffers behind, large enough for all that follows, and a request */
        client_say(&f, fd, "GET /he");
        fixture_pass(&f, 1);
        client_say(&f, fd, "llo HTTP/1.1\r\n" HOST "X: ");
        client_send(&f, fd, padding, sizeof(padding));
        client_say(&f, fd, "\r\n\r\n");
        fixture_wait(&f, &f.done, 1);
        close(fd);
        held = client_open(&f); /* takes the request, and the memory that it had */
        client_say(&f, held, "POST /hold HTTP/1.1\r\n" HOST "\r\n");
        fixture_wait(&f, &f.handled, 2);
        fd = client_open(&f);
        client_say(&f, fd, rows[i].first);
        fixture_pass(&f, 1);
        mem_fail_at(1, 1);
        client_say(&f, fd, rows[i].rest);
        got = client_read(&f, fd, rows[i].has_body ? "fault" : "\r\n\r\n");
        mem_fail_at(0, 0);
        assert_int_equal(strncmp(got, "HTTP/1.1 503", 12), 0);
        assert_int_equal(strstr(got, "fault") != NULL, rows[i].has_body);
        assert_int_equal(f.fault, HTTP_FAULT_NOMEM);
        assert_int_equal(f.method, rows[i].method);
        assert_int_equal(f.route, rows[i].route);
        http_respond(f.held, 200, NULL, 0, SLICE_NONE);
        http_release(f.held);
        close(fd);
        close(held);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_routes),
        cmocka_unit_test(other_paths_are_other_paths),
        cmocka_unit_test(gives_parameters_as_sent),
        cmocka_unit_test(tells_what_is_allowed),
        cmocka_unit_test(survives_a_failing_allocation),
        cmocka_unit_test(the_line_is_known_at_its_end),
        cmocka_unit_test_setup_teardown(tells_the_renderer_for_whom, setup_server, teardown_server),
        cmocka_unit_test_setup_teardown(no_memory_for_a_head_is_told_for_whom, setup_server,
                                        teardown_server),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

/* A whole server on a loopback socket: requests and their answers, order, pipelines, early and late
 * answers. */
#include "unit/http/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

#define HOST "Host: a\r\n"
#define JSON "Content-Type: application/json\r\n"

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_defaults(&f);
    fixture_open(&f, "127.0.0.1:0");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&f);
    return 0;
}

static void starts_with(const char *text, const char *want)
{
    if (strncmp(text, want, strlen(want)) != 0) {
        print_error("got:\n%.600s\nwant:\n%s\n", text, want);
        fail();
    }
}

static void has(const char *text, const char *want)
{
    if (strstr(text, want) == NULL) {
        print_error("got:\n%.600s\nwant inside:\n%s\n", text, want);
        fail();
    }
}

static void has_not(const char *text, const char *unwanted)
{
    if (strstr(text, unwanted) != NULL) {
        print_error("got:\n%.600s\nunwanted:\n%s\n", text, unwanted);
        fail();
    }
}

static void keeps_a_connection(void **state)
{
    int fd = client_open(&f);

    (void)state;
    for (unsigned i = 1; i <= 3; i++) {
        client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: my.id_1-2\r\n\r\n");
        const char *got = client_read(&f, fd, "\"hello\"");
        starts_with(
            got, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\nDate: ");
        has(got, "\r\nX-Request-Id: my.id_1-2\r\n\r\n\"hello\"");
        has_not(got, "Connection:");
        assert_int_equal(f.handled, i);
        fixture_wait(&f, &f.done, i);
        assert_int_equal(f.done_status, 200);
    }
    assert_int_equal(http_server_connections(f.server), 1);
    close(fd);
}

static void tells_the_renderer_why(void **state)
{
    static const struct {
        const char *request;
        enum http_fault fault;
        enum http_reason reason;
    } rows[] = {
        {"GET /hello HTTP/1.1\r\n", HTTP_FAULT_BAD_REQUEST, HTTP_REASON_HOST},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nIdempotency-Key: a\r\nIdempotency-Key: b\r\n",
         HTTP_FAULT_BAD_REQUEST, HTTP_REASON_KEY_TWICE},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n", HTTP_FAULT_BAD_REQUEST,
         HTTP_REASON_EXPECT},
        {"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n", HTTP_FAULT_BAD_REQUEST,
         HTTP_REASON_FRAMING},
        {"GET /hello HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n", HTTP_FAULT_BAD_REQUEST,
         HTTP_REASON_NO_BODY},
        {"PUT /none HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n", HTTP_FAULT_BAD_REQUEST,
         HTTP_REASON_NO_BODY},
        {"GET /hello?a=1&a=2 HTTP/1.1\r\nHost: a\r\n", HTTP_FAULT_BAD_QUERY, HTTP_REASON_QUERY_TWICE},
        {"GET /hello?a=%zz HTTP/1.1\r\nHost: a\r\n", HTTP_FAULT_BAD_QUERY, HTTP_REASON_QUERY},
        {"GET /hello?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q HTTP/1.1\r\nHost: a\r\n",
         HTTP_FAULT_BAD_QUERY, HTTP_REASON_QUERY_TOO_MANY},
        {"GET /nowhere HTTP/1.1\r\nHost: a\r\n", HTTP_FAULT_NO_ROUTE, HTTP_REASON_NONE},
    };
    int fd;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char request[300];
        (void)snprintf(request, sizeof(request), "%sAccept-Language: en\r\n\r\n", rows[i].request);
        f.fault = -1;
        (void)exchange(&f, request);
        assert_int_equal(f.fault, rows[i].fault);
        assert_int_equal(f.reason, rows[i].reason);
        assert_true(f.is_english); /* though it stands behind what is wrong */
    }
    (void)exchange(&f, "PUT /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx");
    assert_int_equal(f.reason, HTTP_REASON_NO_BODY);
    (void)exchange(&f, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                       "Transfer-Encoding: chunked\r\n\r\nx");
    assert_int_equal(f.reason, HTTP_REASON_CHUNK);
    f.fault = -1;
    fd = client_open(&f);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    (void)client_read(&f, fd, "fault");
    close(fd);
    assert_int_equal(f.fault, HTTP_FAULT_BAD_REQUEST);
    assert_int_equal(f.reason, HTTP_REASON_CUT);
}

static void answers_each_fault(void **state)
{
    static const struct {
        const char *request;
        const char *status;
        int fault;      /* -1: none */
        bool is_closed; /* behind the answer */
        const char *also;
    } rows[] = {
        {"GET /hello HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, "hello"},
        {"HEAD /hello HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, "Content-Length: 7\r\n"},
        {"GET /hello?a=1&b HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, NULL},
        {"GET http://a/hello HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, NULL},
        {"GET /hello HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "200", -1, false, NULL},
        {"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "200", -1, true,
         "Connection: close\r\n"},
        {"GET /hello HTTP/1.0\r\n\r\n", "200", -1, true, "Connection: close\r\n"},
        {"GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "200", -1, false,
         "Connection: keep-alive\r\n"},
        {"GET /item/a%2Fb%41%E8%B4%A6 HTTP/1.1\r\n" HOST "\r\n", "200", -1, false,
         "\r\n\r\na/bA\xe8\xb4\xa6"},
        {"GET /item/{x} HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, "\r\n\r\n{x}"},
        {"GET /item/ HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, "Content-Length: 0\r\n"},
        {"OPTIONS /hello HTTP/1.1\r\n" HOST "\r\n", "204", -1, false, "Allow: GET, HEAD, OPTIONS\r\n"},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "204", -1, false,
         "Allow: GET, HEAD, POST, PUT, OPTIONS\r\n"},
        {"OPTIONS /gone HTTP/1.1\r\n" HOST "\r\n", "404", HTTP_FAULT_NO_ROUTE, false, NULL},
        {"GET /hello/ HTTP/1.1\r\n" HOST "\r\n", "404", HTTP_FAULT_NO_ROUTE, false, "{\"fault\":1}"},
        {"HEAD /gone HTTP/1.1\r\n" HOST "\r\n", "404", HTTP_FAULT_NO_ROUTE, false,
         "Content-Length: 11\r\n"},
        {"GET /%68ello HTTP/1.1\r\n" HOST "\r\n", "404", HTTP_FAULT_NO_ROUTE, false, NULL},
        {"DELETE /hello HTTP/1.1\r\n" HOST "\r\n", "405", HTTP_FAULT_BAD_METHOD, false,
         "Allow: GET, HEAD, OPTIONS\r\n"},
        {"TRACE /hello HTTP/1.1\r\n" HOST "\r\n", "405", HTTP_FAULT_BAD_METHOD, false,
         "Allow: GET, HEAD, OPTIONS\r\n"},
        {"BREW /echo HTTP/1.1\r\n" HOST "\r\n", "405", HTTP_FAULT_BAD_METHOD, false,
         "Allow: POST, OPTIONS\r\n"},
        {"get /hello HTTP/1.1\r\n" HOST "\r\n", "405", HTTP_FAULT_BAD_METHOD, false, NULL},
        {"HEAD /echo HTTP/1.1\r\n" HOST "\r\n", "405", HTTP_FAULT_BAD_METHOD, false, NULL},
        {"GET /item/%00 HTTP/1.1\r\n" HOST "\r\n", "400", HTTP_FAULT_BAD_PATH_PARAM, false, NULL},
        {"GET /item/%zz HTTP/1.1\r\n" HOST "\r\n", "400", HTTP_FAULT_BAD_PATH_PARAM, false, NULL},
        {"GET /item/%c0%ae HTTP/1.1\r\n" HOST "\r\n", "400", HTTP_FAULT_BAD_PATH_PARAM, false, NULL},
        {"POST /item/%zz HTTP/1.1\r\n" HOST "\r\n", "405", HTTP_FAULT_BAD_METHOD, false, NULL},
        {"GET /hello?a=1&a=2 HTTP/1.1\r\n" HOST "\r\n", "400", HTTP_FAULT_BAD_QUERY, false, NULL},
        {"GET /hello?a=%zz HTTP/1.1\r\n" HOST "\r\n", "400", HTTP_FAULT_BAD_QUERY, false, NULL},
        {"GET /hello?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p HTTP/1.1\r\n" HOST "\r\n", "200", -1, false,
         NULL},
        {"GET /hello?a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q HTTP/1.1\r\n" HOST "\r\n", "400",
         HTTP_FAULT_BAD_QUERY, false, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", "200", -1, false,
         "\r\n\r\n{}"},
        {"POST /echo HTTP/1.1\r\n" HOST "\r\n", "200", -1, false, "Content-Length: 0\r\n"},
        {"POST /echo HTTP/1.1\r\n" HOST JSON
         "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x\r\n}\r\n0\r\nT: u\r\n\r\n",
         "200", -1, false, "\r\n\r\n{}"},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", "415",
         HTTP_FAULT_BAD_MEDIA_TYPE, false, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
         "415", HTTP_FAULT_BAD_MEDIA_TYPE, false, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
         "415", HTTP_FAULT_BAD_MEDIA_TYPE, false, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST JSON
         "Content-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 2\r\n\r\n{}",
         "415", HTTP_FAULT_BAD_MEDIA_TYPE, false, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST JSON
         "Content-Encoding: Identity\r\nContent-Length: 2\r\n\r\n{}",
         "200", -1, false, NULL},
        {"POST /gone HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", "404",
         HTTP_FAULT_NO_ROUTE, false, NULL},
        {"POST /gone HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
         "404", HTTP_FAULT_NO_ROUTE, false, NULL},
        {"POST /gone HTTP/1.1\r\n" HOST JSON "Content-Length: 65537\r\n\r\n{}", "404",
         HTTP_FAULT_NO_ROUTE, true, NULL},
        {"POST /gone HTTP/1.1\r\n" HOST JSON "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
         "404", HTTP_FAULT_NO_ROUTE, true, NULL},
        {"POST /gone HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x", "400",
         HTTP_FAULT_BAD_REQUEST, true, NULL},
        {"POST /gone HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n10001\r\n", "404",
         HTTP_FAULT_NO_ROUTE, true, NULL},
        {"POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 101\r\n\r\n", "413",
         HTTP_FAULT_BODY_TOO_LARGE, true, "Connection: close\r\n"},
        {"POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n65\r\n", "413",
         HTTP_FAULT_BODY_TOO_LARGE, true, NULL},
        {"PUT /none HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "200", -1, false, NULL},
        {"PUT /none HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200", -1,
         false, NULL},
        {"PUT /none HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", "400", HTTP_FAULT_BAD_REQUEST,
         true, NULL},
        {"PUT /none HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "400", HTTP_FAULT_BAD_REQUEST, true, NULL},
        {"GET /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "200", -1,
         false, NULL},
        {"GET /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
         "400", HTTP_FAULT_BAD_REQUEST, true, NULL},
        {"GET /hello HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", "400", HTTP_FAULT_BAD_REQUEST,
         true, NULL},
        {"GET /hello HTTP/1.1\r\n\r\n", "400", HTTP_FAULT_BAD_REQUEST, true, "Connection: close\r\n"},
        {"GET /hello HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", "400", HTTP_FAULT_BAD_REQUEST, true,
         NULL},
        {"GET /hello HTTP/1.1\nHost: a\n\n", "400", HTTP_FAULT_BAD_REQUEST, true, NULL},
        {"\x16\x03\x01", "400", HTTP_FAULT_BAD_REQUEST, true, NULL},
        {"CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", "400", HTTP_FAULT_BAD_REQUEST, true, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[64];
        int fd = client_open(&f);
        const char *got;
        bool is_reset;
        f.fault = -1;
        (void)snprintf(line, sizeof(line), "HTTP/1.1 %s ", rows[i].status);
        client_say(&f, fd, rows[i].request);
        got = client_read(&f, fd, rows[i].also != NULL ? rows[i].also : "\r\n\r\n");
        starts_with(got, line);
        has(got, "\r\nX-Request-Id: ");
        if (rows[i].also != NULL) {
            has(got, rows[i].also);
        }
        assert_int_equal(f.fault, rows[i].fault);
        if (!rows[i].is_closed) { /* then it must still serve, exactly */
            fixture_pass(&f, 1);
            (void)recv(fd, line, 0, MSG_DONTWAIT);
            client_say(&f, fd, "GET /item/next HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
            has(client_read_all(&f, fd, &is_reset), "\r\n\r\nnext");
        } else {
            (void)shutdown(fd, SHUT_WR);
            has_not(client_read_all(&f, fd, &is_reset), "HTTP/1.1");
        }
        assert_false(is_reset);
        close(fd);
    }
}

static void what_is_too_large_is_told_so(void **state)
{
    static char request[HTTP_HEAD_BYTES_MAX + 1000];
    size_t len;

    (void)state;
    len = (size_t)snprintf(request, sizeof(request), "GET /");
    memset(request + len, 'a', HTTP_URI_BYTES_MAX);
    (void)snprintf(request + len + HTTP_URI_BYTES_MAX, 100, " HTTP/1.1\r\n" HOST "\r\n");
    starts_with(exchange(&f, request), "HTTP/1.1 414 ");
    assert_int_equal(f.fault, HTTP_FAULT_URI_TOO_LONG);
    len = (size_t)snprintf(request, sizeof(request), "GET / HTTP/1.1\r\n" HOST "X: ");
    memset(request + len, 'a', HTTP_HEAD_BYTES_MAX);
    (void)snprintf(request + len + HTTP_HEAD_BYTES_MAX, 100, "\r\n\r\n");
    starts_with(exchange(&f, request), "HTTP/1.1 431 ");
    assert_int_equal(f.fault, HTTP_FAULT_HEAD_TOO_LARGE);
    starts_with(exchange(&f, "GET http://a HTTP/1.1\r\n" HOST "\r\n"),
                "HTTP/1.1 404 "); /* the path is "/" */
}

static void a_large_body_arrives_whole(void **state)
{
    static char body[FIXTURE_BIG_BYTES];
    char head[200];
    const char *got;
    int fd = client_open(&f);

    (void)state;
    memset(body, 'u', sizeof(body));
    body[sizeof(body) - 1] = '.';
    (void)snprintf(head, sizeof(head),
                   "POST /upload HTTP/1.1\r\n" HOST JSON "Content-Length: %zu\r\n\r\n", sizeof(body));
    client_say(&f, fd, head);
    client_send(&f, fd, body, sizeof(body));
    got = client_read(&f, fd, "u.");
    starts_with(got, "HTTP/1.1 200");
    got = strstr(got, "\r\n\r\n") + 4;
    assert_int_equal(strlen(got), sizeof(body));
    assert_memory_equal(got, body, sizeof(body));
    close(fd);
}

/* With all memory gone, one request is left to say so with. */
static void says_that_memory_is_out(void **state)
{
    int held = client_open(&f);
    int fd = client_open(&f);

    (void)state;
    starts_with(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200");
    client_say(&f, held, "POST /hold HTTP/1.1\r\n" HOST "\r\n");
    fixture_wait(&f, &f.handled, 2);
    mem_fail_at(1, 1);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, fd, "fault"), "HTTP/1.1 503");
    mem_fail_at(0, 0);
    assert_int_equal(f.fault, HTTP_FAULT_NOMEM);
    http_respond(f.held, 200, NULL, 0, SLICE_NONE);
    http_release(f.held);
    close(fd);
    close(held);
}

static void a_head_answer_has_no_body(void **state)
{
    const char *got =
        exchange(&f, "HEAD /hello HTTP/1.1\r\n" HOST "\r\nHEAD /gone HTTP/1.1\r\n" HOST "\r\n");

    (void)state;
    assert_int_equal(count_of(got, "HTTP/1.1 "), 2);
    has_not(got, "hello");
    has_not(got, "fault");
    has(got, "Content-Length: 7\r\n");
}

static void request_ids(void **state)
{
    char request[400];
    char id[HTTP_REQUEST_ID_BYTES_MAX + 2];
    char want[200];

    (void)state;
    for (size_t len = HTTP_REQUEST_ID_BYTES_MAX - 1; len <= HTTP_REQUEST_ID_BYTES_MAX + 1; len++) {
        memset(id, 'x', len);
        id[len] = '\0';
        (void)snprintf(request, sizeof(request),
                       "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: %s\r\n\r\n", id);
        (void)snprintf(want, sizeof(want), "X-Request-Id: %s\r\n", id);
        if (len <= HTTP_REQUEST_ID_BYTES_MAX) {
            has(exchange(&f, request), want);
        } else {
            has_not(exchange(&f, request), want);
        }
    }
    has_not(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: a b\r\n\r\n"), "a b");
    has_not(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: a%0d%0ab\r\n\r\n"), "a%0d");
    has(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id:\r\n\r\n"), "X-Request-Id: 0");
    /* a bad head that is good as far as the id is still echoes it */
    has(exchange(&f, "GET /hello HTTP/1.1\r\nX-Request-Id: mine\r\nBad : 1\r\n\r\n"),
        "X-Request-Id: mine\r\n");
}

static void a_thousand_in_one_segment(void **state)
{
    static char all[1000 * 64];
    size_t len = 0;
    const char *at;
    int fd = client_open(&f);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        len += (size_t)snprintf(all + len, sizeof(all) - len,
                                "GET /item/%d. HTTP/1.1\r\n" HOST "\r\n", i);
    }
    client_send(&f, fd, all, len);
    at = client_read(&f, fd, "\r\n\r\n999.");
    for (int i = 0; i < 1000; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "\r\n\r\n%d.", i);
        at = strstr(at, want);
        assert_non_null(at);
    }
    fixture_wait(&f, &f.done, 1000);
    close(fd);
}

static void nothing_behind_an_error_is_executed(void **state)
{
    const char *got = exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n"
                                   "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}"
                                   "GET /hello HTTP/1.1\r\nHost : a\r\n\r\n"
                                   "GET /hello HTTP/1.1\r\n" HOST "\r\n");

    (void)state;
    assert_int_equal(count_of(got, "HTTP/1.1 200"), 2);
    assert_int_equal(count_of(got, "HTTP/1.1 400"), 1);
    assert_int_equal(count_of(got, "HTTP/1.1 "), 3);
    assert_int_equal(f.handled, 2);
}

static void nothing_behind_close_is_executed(void **state)
{
    const char *got = exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
                                   "GET /hello HTTP/1.1\r\n" HOST "\r\n");

    (void)state;
    assert_int_equal(count_of(got, "HTTP/1.1 "), 1);
    assert_int_equal(f.handled, 1);
}

static void bodies_pair_with_their_requests(void **state)
{
    const char *got = exchange(&f, "GET /item/1 HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"
                                   "HEAD /item/22 HTTP/1.1\r\n" HOST "\r\n"
                                   "POST /echo HTTP/1.1\r\n" HOST JSON
                                   "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n333"
                                   "GET /item/4444 HTTP/1.1\r\n" HOST "\r\n");

    (void)state;
    has_not(got, "100 Continue");
    assert_int_equal(count_of(got, "HTTP/1.1 200"), 4);
    has(got, "\r\n\r\n1HTTP/1.1 200");
    has(got, "Content-Length: 2\r\n");
    has_not(got, "\r\n\r\n22");
    has(got, "\r\n\r\n333HTTP/1.1 200");
    has(got, "\r\n\r\n4444");
}

static void each_cut_gives_the_same_answers(void **state)
{
    static const char bytes[] = "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 3\r\n\r\nabc"
                                "\r\nPOST /echo HTTP/1.1\r\n" HOST JSON
                                "Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
                                "GET /item/f HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";

    (void)state;
    for (size_t cut = 1; cut < sizeof(bytes) - 1; cut++) {
        int fd = client_open(&f);
        const char *got;
        bool is_reset;
        client_send(&f, fd, bytes, cut);
        for (int i = 0; i < 3; i++) {
            fixture_turn(&f);
        }
        client_send(&f, fd, bytes + cut, sizeof(bytes) - 1 - cut);
        got = client_read_all(&f, fd, &is_reset);
        assert_false(is_reset);
        assert_int_equal(count_of(got, "HTTP/1.1 200"), 3);
        has(got, "\r\n\r\nabcHTTP");
        has(got, "\r\n\r\ndeHTTP");
        has(got, "\r\n\r\nf");
        close(fd);
    }
}

static void says_continue_to_those_who_wait(void **state)
{
    int fd = client_open(&f);
    const char *got;

    (void)state;
    client_say(&f, fd,
               "POST /echo HTTP/1.1\r\n" HOST JSON
               "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_string_equal(client_read(&f, fd, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client_say(&f, fd, "{}");
    got = client_read(&f, fd, "{}");
    starts_with(got, "HTTP/1.1 200");
    close(fd);
    /* not with some of the body here already, not to HTTP/1.0, not before a refusal */
    fd = client_open(&f);
    client_say(&f, fd,
               "POST /echo HTTP/1.1\r\n" HOST JSON
               "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{");
    fixture_pass(&f, 5);
    client_say(&f, fd, "}");
    starts_with(client_read(&f, fd, "{}"), "HTTP/1.1 200");
    close(fd);
    fd = client_open(&f);
    client_say(&f, fd,
               "POST /echo HTTP/1.0\r\n" JSON "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    fixture_pass(&f, 5);
    client_say(&f, fd, "{}");
    starts_with(client_read(&f, fd, "{}"), "HTTP/1.1 200");
    close(fd);
    fd = client_open(&f);
    client_say(&f, fd,
               "POST /echo HTTP/1.1\r\n" HOST JSON
               "Expect: 100-continue\r\nContent-Length: 101\r\n\r\n");
    starts_with(client_read(&f, fd, "\r\n\r\n"), "HTTP/1.1 413");
    close(fd);
}

static void bodies_have_a_limit(void **state)
{
    char request[1000];

    (void)state;
    for (int len = FIXTURE_BODY_MAX - 1; len <= FIXTURE_BODY_MAX + 1; len++) {
        const char *status = len <= FIXTURE_BODY_MAX ? "HTTP/1.1 200" : "HTTP/1.1 413";
        (void)snprintf(request, sizeof(request),
                       "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: %d\r\n\r\n%0*d", len,
                       len, 7);
        starts_with(exchange(&f, request), status);
        (void)snprintf(request, sizeof(request),
                       "POST /echo HTTP/1.1\r\n" HOST JSON
                       "Transfer-Encoding: chunked\r\n\r\n32\r\n%050d\r\n%x\r\n%0*d\r\n0\r\n\r\n",
                       7, (unsigned)len - 50, len - 50, 7);
        starts_with(exchange(&f, request), status);
    }
}

/* The client goes on sending what nobody wants; it must still be able to read the answer. */
static void an_early_answer_can_be_read(void **state)
{
    static char body[1 << 20];
    int fd = client_open(&f);
    const char *got;
    bool is_reset;

    (void)state;
    client_say(&f, fd, "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 1048576\r\n\r\n");
    memset(body, 'x', sizeof(body));
    client_send(&f, fd, body, sizeof(body));
    got = client_read_all(&f, fd, &is_reset);
    starts_with(got, "HTTP/1.1 413");
    has(got, "{\"fault\":1}");
    assert_false(is_reset);
    close(fd);
    assert_int_equal(f.handled, 0);
}

static void a_late_answer(void **state)
{
    int fd = client_open(&f);
    struct slice value;
    const char *got;

    (void)state;
    client_say(&f, fd,
               "POST /hold HTTP/1.1\r\n" HOST JSON "X: 1\r\nx: 2\r\nContent-Length: 2\r\n\r\n{}");
    fixture_wait(&f, &f.handled, 1);
    client_say(&f, fd,
               "GET /item/next HTTP/1.1\r\n" HOST "\r\nGET /item/last HTTP/1.1\r\n" HOST
               "Connection: close\r\n\r\n");
    fixture_pass(&f, 5);
    assert_int_equal(f.handled, 1); /* one at a time */
    assert_int_equal(http_server_in_flight(f.server), 1);
    assert_false(http_is_answered(f.held));
    assert_ptr_equal(http_user(f.held), &f);
    assert_true(http_header(f.held, "content-TYPE", &value));
    assert_true(slice_equal(value, SLICE("application/json")));
    assert_true(http_header(f.held, "x", &value) && slice_equal(value, SLICE("1")));
    assert_int_equal(http_header_count(f.held, "X"), 2);
    assert_false(http_header(f.held, "y", &value));
    assert_true(slice_equal(http_view(f.held)->body, SLICE("{}")));
    assert_true(slice_equal(http_view(f.held)->path, SLICE("/hold")));
    assert_true(http_view(f.held)->deadline_mono_us > http_view(f.held)->start_mono_us);
    http_respond(f.held, 201, NULL, 0, SLICE("held"));
    assert_true(http_is_answered(f.held));
    assert_int_equal(f.handled, 1); /* the next one is not run from inside this answer */
    assert_true(slice_equal(http_view(f.held)->body, SLICE("{}")));
    http_release(f.held);
    got = client_read(&f, fd, "last");
    starts_with(got, "HTTP/1.1 201");
    has(got, "heldHTTP/1.1 200");
    has(got, "\r\n\r\nnextHTTP/1.1 200");
    assert_int_equal(f.done, 3);
    close(fd);
}

static void bytes_wait_in_a_bounded_buffer(void **state)
{
    static char more[300 * 1024];
    static const char one[] =
        "GET /item/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n" HOST "\r\n";
    size_t len = 0;
    size_t count = 0;
    int fd = client_open(&f);

    (void)state;
    client_say(&f, fd, "POST /hold HTTP/1.1\r\n" HOST "\r\n");
    fixture_wait(&f, &f.handled, 1);
    while (len + sizeof(one) < sizeof(more)) {
        memcpy(more + len, one, sizeof(one) - 1);
        len += sizeof(one) - 1;
        count++;
    }
    client_send(&f, fd, more, len); /* the kernel's buffers take what ours do not */
    fixture_pass(&f, 20);
    http_respond(f.held, 200, NULL, 0, SLICE_NONE);
    http_release(f.held);
    for (unsigned last = 0; f.handled < count + 1;) {
        char drop[65536];
        fixture_turn(&f);
        (void)!recv(fd, drop, sizeof(drop), MSG_DONTWAIT);
        assert_true(f.handled >= last);
        last = f.handled;
    }
    close(fd);
}

static void the_peer_goes_while_held(void **state)
{
    int fd = client_open(&f);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    (void)state;
    client_say(&f, fd, "POST /hold HTTP/1.1\r\n" HOST "\r\n");
    fixture_wait(&f, &f.handled, 1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    fixture_wait(&f, &f.done, 1);
    assert_int_equal(f.done_status, 0);
    assert_int_equal(http_server_connections(f.server), 0);
    assert_int_equal(http_server_in_flight(f.server), 0);
    assert_non_null(arena_alloc(http_arena(f.held), 100));
    assert_true(slice_equal(http_view(f.held)->path, SLICE("/hold")));
    assert_false(http_is_answered(f.held));
    http_respond(f.held, 200, NULL, 0, SLICE("dropped"));
    assert_true(http_is_answered(f.held));
    http_release(f.held);
    assert_int_equal(f.done, 1);
}

static void a_reset_under_the_answer(void **state)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    (void)state;
    for (unsigned i = 1; i <= 20; i++) {
        int fd = client_open(&f);
        client_say(&f, fd, "GET /big HTTP/1.1\r\n" HOST "\r\nGET /big HTTP/1.1\r\n" HOST "\r\n");
        if (i % 2 == 0) {
            unsigned before = f.handled;
            while (f.handled == before) {
                fixture_turn(&f);
            }
        }
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        close(fd);
        fixture_pass(&f, 3);
    }
    fixture_pass(&f, 20);
    assert_int_equal(http_server_connections(f.server), 0);
    assert_int_equal(f.done, f.handled);
}

static void a_large_answer_arrives_whole(void **state)
{
    const char *got = exchange(&f, "GET /big HTTP/1.1\r\n" HOST "\r\n");

    (void)state;
    starts_with(got, "HTTP/1.1 200");
    assert_int_equal(strlen(strstr(got, "\r\n\r\n") + 4), FIXTURE_BIG_BYTES);
    assert_int_equal(f.done, 1);
}

static void half_closed_clients_are_answered(void **state)
{
    int fd = client_open(&f);
    bool is_reset;

    (void)state;
    client_say(&f, fd, "POST /hold HTTP/1.1\r\n" HOST "\r\nGET /item/2 HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    fixture_wait(&f, &f.handled, 1);
    fixture_pass(&f, 5);
    http_respond(f.held, 200, NULL, 0, SLICE("one"));
    http_release(f.held);
    has(client_read_all(&f, fd, &is_reset), "\r\n\r\n2");
    assert_false(is_reset);
    close(fd);
    assert_int_equal(f.done, 2);
}

static void half_requests_end_badly(void **state)
{
    static const char *const halves[] = {
        "G",
        "GET /hello HTTP/1.1\r\n",
        "GET /hello HTTP/1.1\r\nHost: a\r\n",
        "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{",
        "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
        starts_with(exchange(&f, halves[i]), "HTTP/1.1 400");
    }
    assert_int_equal(f.handled, 0);
    assert_string_equal(exchange(&f, ""), "");
    assert_string_equal(exchange(&f, "\r\n"), "");
    assert_string_equal(exchange(&f, "\r"), "");
}

/* Three requests on two connections while the n-th allocation, or all from it on, fails. */
static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int is_persistent = 0; is_persistent < 2; is_persistent++) {
        for (uint64_t nth = 1; nth < 40; nth++) {
            int fd, other;
            bool is_reset;
            const char *got;
            fixture_close(&f);
            fixture_defaults(&f);
            fixture_open(&f, "127.0.0.1:0");
            fd = client_open(&f);
            other = client_open(&f);
            client_say(&f, fd,
                       "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 30\r\n\r\n0123456789");
            client_say(&f, other, "GET /item/%41?b=%42 HTTP/1.1\r\n" HOST "\r\n");
            mem_fail_at(nth, is_persistent);
            fixture_pass(&f, 1);
            client_say(&f, fd,
                       "01234567890123456789GET /big HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
            fixture_pass(&f, 1);
            mem_fail_at(0, 0);
            (void)shutdown(fd, SHUT_WR);
            (void)shutdown(other, SHUT_WR);
            got = client_read_all(&f, fd, &is_reset);
            assert_true(got[0] == '\0' || strncmp(got, "HTTP/1.1 200", 12) == 0 ||
                        strncmp(got, "HTTP/1.1 503", 12) == 0);
            got = client_read_all(&f, other, &is_reset);
            assert_true(got[0] == '\0' || strncmp(got, "HTTP/1.1 200", 12) == 0 ||
                        strncmp(got, "HTTP/1.1 503", 12) == 0);
            close(fd);
            close(other);
            fixture_pass(&f, 1);
            starts_with(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200");
        }
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(tells_the_renderer_why),
        T(keeps_a_connection),
        T(answers_each_fault),
        T(what_is_too_large_is_told_so),
        T(a_large_body_arrives_whole),
        T(says_that_memory_is_out),
        T(a_head_answer_has_no_body),
        T(request_ids),
        T(a_thousand_in_one_segment),
        T(nothing_behind_an_error_is_executed),
        T(nothing_behind_close_is_executed),
        T(bodies_pair_with_their_requests),
        T(each_cut_gives_the_same_answers),
        T(says_continue_to_those_who_wait),
        T(bodies_have_a_limit),
        T(an_early_answer_can_be_read),
        T(a_late_answer),
        T(bytes_wait_in_a_bounded_buffer),
        T(the_peer_goes_while_held),
        T(a_reset_under_the_answer),
        T(a_large_answer_arrives_whole),
        T(half_closed_clients_are_answered),
        T(half_requests_end_badly),
        T(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

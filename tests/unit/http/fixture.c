#include "unit/http/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { PASS_TURNS_MIN = 8 };

static char reply[FIXTURE_REPLY_BYTES + 1];
static char big[FIXTURE_BIG_BYTES];
static const struct http_field json[] = {{.name = "Content-Type", .value = {"application/json", 16}}};

static void handle_hello(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct fixture *f = ctx;

    (void)view;
    f->handled++;
    http_respond(request, 200, json, 1, SLICE("\"hello\""));
}

static void handle_item(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct fixture *f = ctx;

    f->handled++;
    http_respond(request, 200, json, 1, view->params[0]);
}

static void handle_echo(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct fixture *f = ctx;

    f->handled++;
    http_respond(request, 200, json, 1, view->body);
}

static void handle_hold(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct fixture *f = ctx;

    (void)view;
    f->handled++;
    f->held = request;
    http_hold(request);
    http_set_user(request, f);
}

static void handle_big(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct fixture *f = ctx;

    (void)view;
    f->handled++;
    memset(big, 'b', sizeof(big));
    http_respond(request, 200, json, 1, slice_make(big, sizeof(big)));
}

static void handle_never(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct fixture *f = ctx;

    (void)request;
    (void)view;
    f->handled++;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/hello", handle_hello, 0, false},
    {HTTP_GET, "/item/{id}", handle_item, 0, false},
    {HTTP_POST, "/echo", handle_echo, FIXTURE_BODY_MAX, true},
    {HTTP_POST, "/hold", handle_hold, FIXTURE_BODY_MAX, true},
    {HTTP_GET, "/big", handle_big, 0, false},
    {HTTP_PUT, "/none", handle_hello, 0, false},
    {HTTP_GET, "/never", handle_never, 0, false},
    {HTTP_POST, "/upload", handle_echo, FIXTURE_BIG_BYTES, true},
};

static void render_fault(struct http_request *request, enum http_fault fault, void *ctx)
{
    static const unsigned statuses[] = {
        [HTTP_FAULT_BAD_REQUEST] = 400,    [HTTP_FAULT_BAD_PATH_PARAM] = 400,
        [HTTP_FAULT_BAD_QUERY] = 400,      [HTTP_FAULT_FORBIDDEN_PEER] = 403,
        [HTTP_FAULT_NO_ROUTE] = 404,       [HTTP_FAULT_BAD_METHOD] = 405,
        [HTTP_FAULT_TIMEOUT] = 408,        [HTTP_FAULT_BODY_TOO_LARGE] = 413,
        [HTTP_FAULT_URI_TOO_LONG] = 414,   [HTTP_FAULT_BAD_MEDIA_TYPE] = 415,
        [HTTP_FAULT_HEAD_TOO_LARGE] = 431, [HTTP_FAULT_TOO_MANY] = 503,
        [HTTP_FAULT_NOMEM] = 503,
    };
    struct fixture *f = ctx;
    struct slice language = SLICE_NONE;

    f->fault = (int)fault;
    f->reason = http_fault_reason(request);
    f->method = http_view(request)->method;
    f->route = http_view(request)->route;
    f->is_english =
        http_header(request, "Accept-Language", &language) && slice_equal(language, SLICE("en"));
    assert_true(http_view(request)->request_id.len > 0);
    http_respond(request, statuses[fault], json, 1, SLICE("{\"fault\":1}"));
}

static void on_deadline(struct http_request *request, void *ctx)
{
    struct fixture *f = ctx;

    f->deadlines++;
    if (f->is_late_answered) {
        http_respond(request, 504, json, 1, SLICE("{\"late\":1}"));
    }
}

static void on_done(struct http_request *request, unsigned status, uint64_t duration_us, void *ctx)
{
    struct fixture *f = ctx;

    assert_true(http_view(request)->request_id.len > 0);
    assert_true(duration_us < 60u * 1000000u);
    f->done++;
    f->done_status = status;
}

void fixture_defaults(struct fixture *f)
{
    *f = (struct fixture){.fault = -1, .is_late_answered = true};
    f->options = (struct http_options){
        .routes = routes,
        .route_count = sizeof(routes) / sizeof(routes[0]),
        .callbacks = {.render_fault = render_fault,
                      .on_deadline = on_deadline,
                      .on_done = on_done,
                      .ctx = f},
        .connections_max = 2000,
        .request_timeout_ms = 5000,
        .head_timeout_ms = 5000,
        .idle_timeout_ms = 60000,
        .random_seed = {1},
    };
}

void fixture_open(struct fixture *f, const char *address)
{
    struct err_text why = {{0}};
    int fd = -1;

    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(http_listen(address, 1, &fd, &f->port, &why), ERR_OK);
    assert_int_equal(http_server_new(&f->loop, fd, &f->options, &f->server), ERR_OK);
}

static void on_stopped(void *ctx)
{
    struct fixture *f = ctx;

    assert_false(f->is_stopped);
    f->is_stopped = true;
}

void fixture_close(struct fixture *f)
{
    uint64_t end_us = clock_mono_us() + 5000000;

    http_server_stop(f->server, on_stopped, f);
    assert_false(f->is_stopped);
    while (!f->is_stopped) {
        assert_true(clock_mono_us() < end_us);
        fixture_turn(f);
    }
    assert_int_equal(http_server_connections(f->server), 0);
    assert_int_equal(http_server_in_flight(f->server), 0);
    http_server_free(f->server);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

int client_open_at(const char *ip, uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(inet_pton(AF_INET, ip, &to.sin_addr), 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

int client_open(const struct fixture *f)
{
    return client_open_at("127.0.0.1", f->port);
}

void client_send(struct fixture *f, int fd, const char *bytes, size_t len)
{
    uint64_t end_us = clock_mono_us() + 5000000;

    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(clock_mono_us() < end_us);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                return; /* the server has closed: what it said is still to be read */
            }
            fixture_turn(f);
            continue;
        }
        bytes += sent;
        len -= (size_t)sent;
    }
}

void client_say(struct fixture *f, int fd, const char *text)
{
    client_send(f, fd, text, strlen(text));
}

void fixture_turn(struct fixture *f)
{
    struct pollfd ready = {.fd = uv_backend_fd(&f->loop), .events = POLLIN};
    int wait_ms = uv_backend_timeout(&f->loop);

    (void)poll(&ready, 1, wait_ms == 0 ? 0 : 1);
    uv_update_time(&f->loop);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

void fixture_wait(struct fixture *f, const unsigned *count, unsigned want)
{
    uint64_t end_us = clock_mono_us() + 5000000;

    while (*count < want) {
        assert_true(clock_mono_us() < end_us);
        fixture_turn(f);
    }
    assert_int_equal(*count, want);
}

void fixture_pass(struct fixture *f, unsigned ms)
{
    uint64_t end_us = clock_mono_us() + (uint64_t)ms * 1000;

    /* some turns in any case, to accept, read and answer: a busy machine may take the whole time away */
    for (unsigned turns = 0; turns < PASS_TURNS_MIN || clock_mono_us() < end_us; turns++) {
        fixture_turn(f);
    }
}

static const char *read_until(struct fixture *f, int fd, const char *until, bool *is_reset)
{
    uint64_t end_us = clock_mono_us() + 5000000;
    size_t len = 0;

    *is_reset = false;
    reply[0] = '\0';
    for (;;) {
        ssize_t got = recv(fd, reply + len, FIXTURE_REPLY_BYTES - len, MSG_DONTWAIT);
        assert_true(clock_mono_us() < end_us);
        if (got == 0) {
            return reply;
        }
        if (got < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                *is_reset = true;
                return reply;
            }
            fixture_turn(f);
            continue;
        }
        len += (size_t)got;
        reply[len] = '\0';
        if (until != NULL && strstr(reply, until) != NULL) {
            return reply;
        }
    }
}

const char *client_read(struct fixture *f, int fd, const char *until)
{
    bool is_reset;

    return read_until(f, fd, until, &is_reset);
}

const char *client_read_all(struct fixture *f, int fd, bool *is_reset)
{
    return read_until(f, fd, NULL, is_reset);
}

const char *exchange(struct fixture *f, const char *request)
{
    bool is_reset;
    int fd = client_open(f);
    const char *got;

    client_say(f, fd, request);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    got = client_read_all(f, fd, &is_reset);
    assert_false(is_reset);
    close(fd);
    return got;
}

unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;

    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + strlen(word), word)) {
        count++;
    }
    return count;
}

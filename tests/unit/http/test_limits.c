/* Deadlines, connection limits, shedding, drain, stop, listening, descriptors running out. */
#include "unit/http/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

#define HOST "Host: a\r\n"
#define JSON "Content-Type: application/json\r\n"

enum { SHORT_MS = 60 };

static struct fixture f;

static int setup(void **state)
{
    (void)state;
    fixture_defaults(&f);
    return 0;
}

static void starts_with(const char *text, const char *want)
{
    if (strncmp(text, want, strlen(want)) != 0) {
        print_error("got:\n%.600s\nwant:\n%s\n", text, want);
        fail();
    }
}

static uint64_t now_ms(void)
{
    return clock_mono_us() / 1000;
}

static void slow_heads_are_cut(void **state)
{
    static const char head[] =
        "GET /hello HTTP/1.1\r\nHost: a\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    uint64_t start_ms;
    bool is_reset;
    const char *got;
    int fd;

    (void)state;
    f.options.head_timeout_ms = SHORT_MS;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    start_ms = now_ms();
    for (size_t i = 0; i < sizeof(head) - 1 && f.fault < 0;
         i++) { /* a byte now and then does not help */
        client_send(&f, fd, head + i, 1);
        fixture_pass(&f, 5);
    }
    assert_int_equal(f.fault, HTTP_FAULT_TIMEOUT);
    assert_in_range(now_ms() - start_ms, SHORT_MS - 1, SHORT_MS * 5);
    got = client_read(&f, fd, "fault");
    starts_with(got, "HTTP/1.1 408");
    assert_non_null(strstr(got, "Connection: close\r\n"));
    close(fd);
    /* the second request of a connection has the same deadline */
    f.fault = -1;
    fd = client_open(&f);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\nGET /hel");
    got = client_read_all(&f, fd, &is_reset);
    starts_with(got, "HTTP/1.1 200");
    assert_int_equal(count_of(got, "HTTP/1.1 408"), 1);
    assert_false(is_reset);
    close(fd);
    assert_int_equal(f.route, f.options.route_count); /* nobody knows what it would have been */
    fd = client_open(&f);
    client_say(&f, fd, "POST /upload HTTP/1.1\r\nHost: ");
    starts_with(client_read_all(&f, fd, &is_reset), "HTTP/1.1 408");
    close(fd);
    assert_int_equal(f.method, HTTP_POST);
    assert_int_equal(f.route, 7);
    fixture_close(&f);
}

static void silent_connections_just_close(void **state)
{
    bool is_reset;
    int fd;

    (void)state;
    f.options.head_timeout_ms = SHORT_MS;
    f.options.idle_timeout_ms = SHORT_MS * 2;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    assert_string_equal(client_read_all(&f, fd, &is_reset), "");
    assert_false(is_reset);
    close(fd);
    fd = client_open(&f);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n\r\n");
    uint64_t start_ms = now_ms();
    assert_int_equal(count_of(client_read_all(&f, fd, &is_reset), "HTTP/1.1 "), 1);
    assert_false(is_reset);
    assert_in_range(now_ms() - start_ms, SHORT_MS * 2 - 2, SHORT_MS * 10);
    close(fd);
    assert_int_equal(f.fault, -1);
    fixture_close(&f);
}

static void slow_bodies_are_cut(void **state)
{
    static const char *const starts[] = {
        "POST /echo HTTP/1.1\r\n" HOST JSON "Content-Length: 50\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\n32\r\n",
        "POST /gone HTTP/1.1\r\n" HOST JSON "Content-Length: 50\r\n\r\n",
    };

    (void)state;
    f.options.head_timeout_ms = SHORT_MS;
    fixture_open(&f, "127.0.0.1:0");
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        int fd = client_open(&f);
        f.fault = -1;
        client_say(&f, fd, starts[i]);
        for (int n = 0; n < 40 && f.fault < 0; n++) {
            client_say(&f, fd, "x");
            fixture_pass(&f, 5);
        }
        assert_int_equal(f.fault, HTTP_FAULT_TIMEOUT);
        starts_with(client_read(&f, fd, "fault"), "HTTP/1.1 408");
        close(fd);
    }
    fixture_close(&f);
}

static void steady_bodies_are_not(void **state)
{
    static char piece[16 * 1024];
    uint64_t start_ms;
    int fd;

    (void)state;
    f.options.head_timeout_ms = SHORT_MS * 3;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    memset(piece, 'u', sizeof(piece));
    start_ms = now_ms();
    client_say(&f, fd, "POST /upload HTTP/1.1\r\n" HOST JSON "Content-Length: 524288\r\n\r\n");
    for (int i = 0; i < 32; i++) {
        client_send(&f, fd, piece, sizeof(piece));
        fixture_pass(&f, 10);
    }
    assert_true(now_ms() - start_ms > SHORT_MS * 3);
    starts_with(client_read(&f, fd, "uuu"), "HTTP/1.1 200");
    close(fd);
    fixture_close(&f);
}

static void late_handlers_are_overtaken(void **state)
{
    const char *got;
    int fd;

    (void)state;
    f.options.request_timeout_ms = SHORT_MS;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    client_say(&f, fd, "POST /hold HTTP/1.1\r\n" HOST "\r\nGET /item/next HTTP/1.1\r\n" HOST "\r\n");
    got = client_read(&f, fd, "next");
    starts_with(got, "HTTP/1.1 504");
    assert_int_equal(count_of(got, "HTTP/1.1 200"), 1);
    assert_int_equal(f.deadlines, 1);
    assert_true(http_is_answered(f.held));
    http_release(f.held);
    close(fd);
    /* a request that nobody holds lives by its connection alone */
    fd = client_open(&f);
    client_say(&f, fd, "GET /never HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, fd, "late"), "HTTP/1.1 504");
    close(fd);
    fd = client_open(&f);
    client_say(&f, fd, "GET /never HTTP/1.1\r\n" HOST "\r\n");
    fixture_wait(&f, &f.handled, 4);
    close(fd);
    fixture_wait(&f, &f.deadlines, 3);
    fixture_close(&f);
}

static void a_deadline_may_stay_unanswered(void **state)
{
    int fd;

    (void)state;
    f.options.request_timeout_ms = SHORT_MS;
    f.is_late_answered = false;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    client_say(&f, fd, "POST /hold HTTP/1.1\r\n" HOST "\r\n");
    fixture_wait(&f, &f.deadlines, 1);
    fixture_pass(&f, SHORT_MS * 3);
    assert_int_equal(f.deadlines, 1);
    http_respond(f.held, 200, NULL, 0, SLICE("after all"));
    http_release(f.held);
    starts_with(client_read(&f, fd, "after all"), "HTTP/1.1 200");
    close(fd);
    fixture_close(&f);
}

static void who_does_not_read_is_cut(void **state)
{
    int fd;
    int small = 4096;
    uint64_t start_ms;

    (void)state;
    f.options.request_timeout_ms = SHORT_MS;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < 40; i++) {
        client_say(&f, fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    }
    start_ms = now_ms();
    while (http_server_connections(f.server) != 0 || f.handled == 0) {
        assert_true(now_ms() - start_ms < 5000);
        fixture_turn(&f);
    }
    assert_true(f.handled < 20); /* it was not answered into memory without end */
    assert_int_equal(f.done, f.handled);
    close(fd);
    fixture_close(&f);
}

/* Slow, but steady: one answer takes longer than the deadline, each stride of it does not. */
static void who_reads_slowly_is_not(void **state)
{
    enum { ANSWERS = 16, SLOW_MS = 1200, PACE_MS = 40 };
    static char drop[HTTP_HEAD_BYTES_MAX * 4];
    int small = sizeof(drop);
    uint64_t start_ms;
    size_t total = 0;
    int fd;

    (void)state;
    f.options.request_timeout_ms = PACE_MS * 6;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    for (int i = 0; i < ANSWERS; i++) {
        client_say(&f, fd, "GET /big HTTP/1.1\r\n" HOST "\r\n");
    }
    start_ms = now_ms();
    while (total < (size_t)ANSWERS * FIXTURE_BIG_BYTES) {
        ssize_t got = recv(fd, drop, sizeof(drop), MSG_DONTWAIT);
        assert_int_not_equal(got, 0);
        total += got > 0 ? (size_t)got : 0;
        assert_true(now_ms() - start_ms < 20000);
        if (now_ms() - start_ms < SLOW_MS) {
            fixture_pass(&f, PACE_MS);
            assert_true(f.handled < ANSWERS); /* else the kernel took it all, and nothing was slow */
        } else {
            fixture_turn(&f);
        }
    }
    assert_int_equal(http_server_connections(f.server), 1);
    close(fd);
    fixture_close(&f);
}

static void connections_have_a_limit(void **state)
{
    bool is_reset;
    const char *got;
    int fds[3], one_more;

    (void)state;
    f.options.connections_max = 3;
    fixture_open(&f, "127.0.0.1:0");
    for (int i = 0; i < 3;
         i++) { /* below and at the limit; still without a request, so none gives way */
        fds[i] = client_open(&f);
    }
    fixture_pass(&f, 5);
    assert_int_equal(http_server_connections(f.server), 3);
    one_more = client_open(&f);
    got = client_read_all(&f, one_more, &is_reset);
    starts_with(got, "HTTP/1.1 503");
    assert_non_null(strstr(got, "Connection: close\r\n"));
    assert_int_equal(f.fault, HTTP_FAULT_TOO_MANY);
    close(one_more);
    client_say(&f, fds[2], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, fds[2], "hello"), "HTTP/1.1 200");
    close(fds[0]);
    fixture_pass(&f, 5);
    starts_with(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), "HTTP/1.1 200");
    close(fds[1]);
    close(fds[2]);
    fixture_close(&f);
}

static void refused_connections_have_a_limit_too(void **state)
{
    enum { COUNT = 100 };
    int fds[COUNT];

    (void)state;
    f.options.connections_max = 1;
    fixture_open(&f, "127.0.0.1:0");
    for (int i = 0; i < COUNT; i++) {
        fds[i] = client_open(&f);
    }
    fixture_pass(&f, 50);
    assert_in_range(http_server_connections(f.server), 2, 1 + 64);
    for (int i = 0; i < COUNT; i++) {
        close(fds[i]);
    }
    fixture_close(&f);
}

static void the_oldest_idle_connection_gives_way(void **state)
{
    bool is_reset;
    int fds[2], one_more;

    (void)state;
    f.options.connections_max = 2;
    fixture_open(&f, "127.0.0.1:0");
    for (int i = 0; i < 2; i++) {
        fds[i] = client_open(&f);
        client_say(&f, fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        starts_with(client_read(&f, fds[i], "hello"), "HTTP/1.1 200");
    }
    starts_with(exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n"),
                "HTTP/1.1 503"); /* they were busy just now */
    fixture_pass(&f, 1100);
    one_more = client_open(&f);
    client_say(&f, one_more, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, one_more, "hello"), "HTTP/1.1 200");
    assert_string_equal(client_read_all(&f, fds[0], &is_reset), "");
    client_say(&f, fds[1], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, fds[1], "hello"), "HTTP/1.1 200");
    close(fds[0]);
    close(fds[1]);
    close(one_more);
    fixture_close(&f);
}

static void draining_closes_behind_answers(void **state)
{
    bool is_reset;
    const char *got;
    int fd;

    (void)state;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    (void)client_read(&f, fd, "hello");
    http_server_drain(f.server);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    got = client_read_all(&f, fd, &is_reset);
    assert_non_null(strstr(got, "Connection: close\r\n"));
    assert_false(is_reset);
    close(fd);
    got = exchange(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n"); /* still accepts */
    starts_with(got, "HTTP/1.1 200");
    assert_non_null(strstr(got, "Connection: close\r\n"));
    fixture_close(&f);
}

static void stopped(void *ctx)
{
    f.is_stopped = true;
    assert_null(ctx);
}

static void stopping_lets_requests_finish(void **state)
{
    bool is_reset;
    int idle, busy, half;

    (void)state;
    fixture_open(&f, "127.0.0.1:0");
    idle = client_open(&f);
    client_say(&f, idle, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    (void)client_read(&f, idle, "hello");
    busy = client_open(&f);
    client_say(&f, busy, "POST /hold HTTP/1.1\r\n" HOST "\r\n");
    half = client_open(&f);
    client_say(&f, half, "GET /item/half HTTP/1.1\r\n");
    fixture_wait(&f, &f.handled, 2);
    fixture_pass(&f, 5);
    http_server_stop(f.server, stopped, NULL);
    assert_string_equal(client_read_all(&f, idle, &is_reset), "");
    client_say(&f, half, HOST "\r\n");
    assert_non_null(strstr(client_read(&f, half, "half"), "Connection: close\r\n"));
    close(half);
    fixture_pass(&f, 5);
    assert_false(f.is_stopped);
    http_respond(f.held, 200, NULL, 0, SLICE("held"));
    http_release(f.held);
    assert_non_null(strstr(client_read_all(&f, busy, &is_reset), "Connection: close\r\n"));
    assert_false(is_reset);
    close(busy);
    close(idle);
    while (!f.is_stopped) {
        fixture_turn(&f);
    }
    http_server_free(f.server);
    assert_int_equal(uv_loop_close(&f.loop), 0);
}

static void aborting_cuts_and_held_requests_outlive_the_server(void **state)
{
    bool is_reset;
    int fd;

    (void)state;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    client_say(&f, fd, "POST /hold HTTP/1.1\r\n" HOST "X-Request-Id: last\r\n\r\n");
    fixture_wait(&f, &f.handled, 1);
    http_server_stop(f.server, stopped, NULL);
    fixture_pass(&f, 5);
    assert_false(f.is_stopped);
    http_server_abort(f.server);
    assert_int_equal(f.done, 1);
    assert_int_equal(f.done_status, 0);
    while (!f.is_stopped) {
        fixture_turn(&f);
    }
    http_server_free(f.server);
    assert_int_equal(uv_loop_close(&f.loop), 0);
    assert_true(slice_equal(http_view(f.held)->request_id, SLICE("last")));
    http_respond(f.held, 200, NULL, 0, SLICE("to nobody"));
    http_release(f.held);
    assert_string_equal(client_read_all(&f, fd, &is_reset), "");
    close(fd);
}

static void descriptors_may_run_out(void **state)
{
    struct rlimit old, none;
    uint64_t start_ms;
    int fd, spare;

    (void)state;
    fixture_open(&f, "127.0.0.1:0");
    fd = client_open(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    spare = dup(0);
    assert_true(spare > 0);
    close(spare); /* the lowest free number: with it forbidden, nothing can be opened */
    none = (struct rlimit){.rlim_cur = (rlim_t)spare, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    fixture_pass(&f, 5);
    start_ms = now_ms();
    (void)uv_run(&f.loop,
                 UV_RUN_ONCE); /* sleeps until the pause is over, though the socket is readable */
    assert_in_range(now_ms() - start_ms, 50, 2000);
    assert_int_equal(http_server_connections(f.server), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    start_ms = now_ms();
    starts_with(client_read(&f, fd, "hello"), "HTTP/1.1 200");
    assert_true(now_ms() - start_ms < 1000);
    close(fd);
    fixture_close(&f);
}

/* An address of this machine that is not a loopback one; false where it has none. */
static bool outer_address(char text[INET_ADDRSTRLEN])
{
    struct ifaddrs *all = NULL;
    bool is_found = false;

    if (getifaddrs(&all) != 0) {
        return false;
    }
    for (struct ifaddrs *at = all; at != NULL && !is_found; at = at->ifa_next) {
        if (at->ifa_addr != NULL && at->ifa_addr->sa_family == AF_INET &&
            (at->ifa_flags & IFF_LOOPBACK) == 0 && (at->ifa_flags & IFF_UP) != 0) {
            const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)at->ifa_addr;
            is_found = inet_ntop(AF_INET, &in->sin_addr, text, INET_ADDRSTRLEN) != NULL;
        }
    }
    freeifaddrs(all);
    return is_found;
}

static void strangers_are_sent_away(void **state)
{
    char address[INET_ADDRSTRLEN];
    bool is_reset;
    int fd;

    (void)state;
    if (!outer_address(address)) {
        skip();
    }
    for (int is_allowed = 0; is_allowed < 2; is_allowed++) {
        fixture_defaults(&f);
        f.options.is_remote_allowed = is_allowed != 0;
        fixture_open(&f, "0.0.0.0:0");
        fd = client_open_at(address, f.port);
        client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        starts_with(client_read_all(&f, fd, &is_reset), is_allowed ? "HTTP/1.1 200" : "HTTP/1.1 403");
        assert_false(is_reset);
        close(fd);
        assert_int_equal(f.fault, is_allowed ? -1 : HTTP_FAULT_FORBIDDEN_PEER);
        if (!is_allowed) {
            assert_int_equal(f.method, HTTP_GET);
            assert_int_equal(f.route, 0); /* of /hello: who is turned away is told apart, too */
        }
        fd = client_open(&f); /* by loopback it is welcome */
        client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        starts_with(client_read(&f, fd, "hello"), "HTTP/1.1 200");
        close(fd);
        fixture_close(&f);
    }
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool is_there = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;

    if (fd >= 0) {
        close(fd);
    }
    return is_there;
}

static void loopback_has_several_names(void **state)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    char address[INET_ADDRSTRLEN];
    int fd;

    (void)state;
    if (!has_ipv6()) {
        skip();
    }
    fixture_open(&f, "[::]:0");
    to.sin6_port = htons(f.port);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, fd, "hello"), "HTTP/1.1 200"); /* ::1 */
    close(fd);
    fd = client_open_at("127.1.2.3", f.port);
    client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    starts_with(client_read(&f, fd, "hello"), "HTTP/1.1 200"); /* ::ffff:127.0.0.1 */
    close(fd);
    if (outer_address(address)) {
        fd = client_open_at(address, f.port);
        client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        starts_with(client_read(&f, fd, "fault"), "HTTP/1.1 403");
        close(fd);
    }
    fixture_close(&f);
}

static void listens_where_told(void **state)
{
    static const char *const bad[] = {
        "",
        "127.0.0.1",
        "127.0.0.1:",
        ":8080",
        "127.0.0.1:x",
        "127.0.0.1:65536",
        "127.0.0.1:123456",
        "example.org:80",
        "[::1]",
        "[::1:80",
        "::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "1.2.3.4.5:80",
        "[aaaa:bbbb:cccc:dddd:eeee:ffff:1111:2222:3333:4444:5555]:80",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80"};
    struct err_text why = {{0}};
    int fds[4], again[4];
    char address[64];
    uint16_t port = 0;
    uint16_t other = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(http_listen(bad[i], 1, fds, &port, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, "ADDRESS:PORT"));
    }
    for (unsigned count = 1; count <= 4; count += 3) {
        assert_int_equal(http_listen("127.0.0.1:0", count, fds, &port, &why), ERR_OK);
        assert_true(port != 0);
        (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
        for (unsigned others = 1; others <= 4;
             others += 3) { /* nobody shares with us, not even one that would */
            assert_int_equal(http_listen(address, others, again, &other, &why), ERR_BUSY);
            assert_non_null(strstr(why.text, address));
        }
        for (unsigned i = 0; i < count; i++) {
            assert_true((fcntl(fds[i], F_GETFD) & FD_CLOEXEC) != 0);
            close(fds[i]);
        }
        assert_int_equal(http_listen(address, count, fds, &port, &why), ERR_OK); /* free again at once */
        for (unsigned i = 0; i < count; i++) {
            close(fds[i]);
        }
    }
    assert_int_equal(http_listen("localhost:0", 1, fds, &port, &why), ERR_OK);
    close(fds[0]);
    assert_int_equal(http_listen("203.0.113.1:0", 1, fds, &port, &why), ERR_IO);
}

/* The kernel spreads connections over all sockets of the port, the first one included. */
static void all_sockets_share_the_connections(void **state)
{
    struct err_text why = {{0}};
    int fds[2];
    unsigned taken[2] = {0, 0};
    uint16_t port;

    (void)state;
    assert_int_equal(http_listen("127.0.0.1:0", 2, fds, &port, &why), ERR_OK);
    for (int i = 0; i < 64; i++) {
        int fd = client_open_at("127.0.0.1", port);
        for (int at = 0; at < 2; at++) {
            int got = accept(fds[at], NULL, NULL);
            if (got >= 0) {
                taken[at]++;
                close(got);
            }
        }
        close(fd);
    }
    assert_int_equal(taken[0] + taken[1], 64);
    assert_true(taken[0] > 0 && taken[1] > 0);
    close(fds[0]);
    close(fds[1]);
}

static void a_server_that_cannot_start_leaves_nothing(void **state)
{
    struct err_text why;
    uv_loop_t loop;
    uint16_t port;
    int fd;

    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        assert_int_equal(http_listen("127.0.0.1:0", 1, &fd, &port, &why), ERR_OK);
        mem_fail_at(nth, 0);
        assert_int_equal(http_server_new(&loop, fd, &f.options, &f.server), ERR_NOMEM);
        mem_fail_at(0, 0);
        assert_int_equal(fcntl(fd, F_GETFD), -1); /* it was taken all the same */
    }
    assert_int_equal(http_server_new(&loop, -1, &f.options, &f.server), ERR_IO);
    assert_int_equal(uv_loop_close(&loop), 0);
    http_server_free(NULL);
}

static void churn_leaves_nothing(void **state)
{
    unsigned before;

    (void)state;
    fixture_open(&f, "127.0.0.1:0");
    before = (unsigned)dup(0);
    close((int)before);
    for (int i = 0; i < 1000; i++) {
        int fd = client_open(&f);
        if (i % 3 != 0) {
            client_say(&f, fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        }
        if (i % 3 == 1) {
            starts_with(client_read(&f, fd, "hello"), "HTTP/1.1 200");
        }
        close(fd);
    }
    fixture_pass(&f, 20);
    assert_int_equal(http_server_connections(f.server), 0);
    int after = dup(0);
    assert_int_equal(after, before);
    close(after);
    fixture_close(&f);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(slow_heads_are_cut),
        T(silent_connections_just_close),
        T(slow_bodies_are_cut),
        T(steady_bodies_are_not),
        T(late_handlers_are_overtaken),
        T(a_deadline_may_stay_unanswered),
        T(who_does_not_read_is_cut),
        T(who_reads_slowly_is_not),
        T(connections_have_a_limit),
        T(refused_connections_have_a_limit_too),
        T(the_oldest_idle_connection_gives_way),
        T(draining_closes_behind_answers),
        T(stopping_lets_requests_finish),
        T(aborting_cuts_and_held_requests_outlive_the_server),
        T(descriptors_may_run_out),
        T(strangers_are_sent_away),
        T(loopback_has_several_names),
        T(listens_where_told),
        T(all_sockets_share_the_connections),
        T(a_server_that_cannot_start_leaves_nothing),
        T(churn_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

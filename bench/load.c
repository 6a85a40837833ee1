/*
 * Latency at a fixed rate, measured from the moment a request was due (an open loop).
 *
 * Request i is due at start + i / rate, whatever the service does. Where all connections are busy it waits for one, and the
 * wait counts: a service that stalls for a second shows a second in its latencies, not one slow request.
 * Usage: load --port N --rate N [--seconds 10] [--warm 2] [--connections 64] [--accounts 10000] [--path balance|credit]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/tool.h"

enum {
    CONNECTIONS_MAX = 4096,
    REQUEST_BYTES_MAX = 256,
    ANSWER_BYTES_MAX = 4096,
    EVENTS_MAX = 256,
    DRAIN_SECONDS = 10,
    ID_FIRST = 10000000, /* as the other programs name accounts */
};

struct conn {
    int fd;
    uint64_t due_ns; /* of the request it waits for; 0: idle */
    size_t got;
    char answer[ANSWER_BYTES_MAX];
};

struct request {
    unsigned len;
    char text[REQUEST_BYTES_MAX];
};

struct load {
    uint64_t port, rate, seconds, warm, connections, accounts;
    const char *path;
    struct request *requests; /* one an account */
    struct conn *conns;
    unsigned *idle; /* a ring of idle connections, so that all take their turn */
    uint64_t idle_head, idle_tail;
    int epoll;
    uint64_t start_ns, next, total, done, refused;
    struct histogram histogram;
};

static void *must_alloc(size_t count, size_t size)
{
    void *block = mem_alloc_array(count, size);

    if (block == NULL) {
        tool_die("load: out of memory");
    }
    return block;
}

static void requests_make(struct load *l)
{
    static const char body[] = "{\"amount\":1.00}";
    const bool is_read = strcmp(l->path, "balance") == 0;

    l->requests = must_alloc(l->accounts, sizeof(*l->requests));
    for (uint64_t i = 0; i < l->accounts; i++) {
        struct request *r = &l->requests[i];
        int len = snprintf(r->text, sizeof(r->text),
                           "%s /api/v1/wallet/acct-%llu/%s HTTP/1.1\r\nHost: bench\r\n",
                           is_read ? "GET" : "POST", (unsigned long long)(ID_FIRST + i), l->path);
        const size_t at = (size_t)len;
        len += is_read ? snprintf(r->text + at, sizeof(r->text) - at, "\r\n")
                       : snprintf(r->text + at, sizeof(r->text) - at,
                                  "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                  sizeof(body) - 1, body);
        r->len = (unsigned)len;
        if (r->len >= sizeof(r->text)) {
            tool_die("load: a request is too long");
        }
    }
}

static void idle_put(struct load *l, unsigned conn)
{
    l->idle[l->idle_tail++ % l->connections] = conn;
}

static void conns_open(struct load *l)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)l->port)};
    const int on = 1;

    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    l->conns = must_alloc(l->connections, sizeof(*l->conns));
    l->idle = must_alloc(l->connections, sizeof(*l->idle));
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < l->connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&peer, sizeof(peer)) != 0 ||
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
            fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ||
            epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
            tool_die("load: cannot connect to port %llu", (unsigned long long)l->port);
        }
        l->conns[i].fd = fd;
        idle_put(l, i);
    }
}

static uint64_t due_of(const struct load *l, uint64_t i)
{
    return l->start_ns + i * UINT64_C(1000000000) / l->rate;
}

static void send_due(struct load *l, uint64_t now_ns)
{
    while (l->next < l->total && l->idle_head != l->idle_tail && due_of(l, l->next) <= now_ns) {
        struct conn *c = &l->conns[l->idle[l->idle_head++ % l->connections]];
        const struct request *r = &l->requests[l->next % l->accounts];
        if (send(c->fd, r->text, r->len, MSG_NOSIGNAL) != (ssize_t)r->len) {
            tool_die("load: a request could not be sent whole");
        }
        c->due_ns = due_of(l, l->next);
        c->got = 0;
        l->next++;
    }
}

/* Bytes of the whole answer once its head is there; 0: not yet. */
static size_t answer_bytes(struct conn *c)
{
    static const char name[] = "\r\nContent-Length:";
    const char *end, *at;
    size_t body = 0;

    c->answer[c->got] = '\0';
    end = strstr(c->answer, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    at = strcasestr(c->answer, name);
    if (at == NULL || at > end) {
        tool_die("load: an answer without Content-Length: %.80s", c->answer);
    }
    for (at += sizeof(name) - 1; *at == ' '; at++) {
    }
    for (; *at >= '0' && *at <= '9'; at++) {
        body = body * 10 + (size_t)(*at - '0');
    }
    return (size_t)(end - c->answer) + 4 + body;
}

static void conn_read(struct load *l, unsigned i)
{
    struct conn *c = &l->conns[i];
    const ssize_t got = recv(c->fd, c->answer + c->got, sizeof(c->answer) - 1 - c->got, 0);
    size_t whole;

    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        tool_die("load: the service closed a connection, or an answer was too long");
    }
    c->got += (size_t)got;
    whole = answer_bytes(c);
    if (whole == 0 || c->got < whole) {
        return;
    }
    if (c->due_ns == 0 || c->got > whole) {
        tool_die("load: more bytes than an answer has");
    }
    if (strncmp(c->answer, "HTTP/1.1 200", 12) != 0) {
        l->refused++;
    }
    if (c->due_ns >= l->start_ns + l->warm * UINT64_C(1000000000)) {
        histogram_add(&l->histogram, tool_now_ns() - c->due_ns);
    }
    c->due_ns = 0;
    l->done++;
    idle_put(l, i);
}

/* Until an answer comes or the next request is due; epoll_wait itself knows milliseconds alone. */
static void wait_until(const struct load *l, uint64_t now_ns)
{
    struct pollfd fd = {.fd = l->epoll, .events = POLLIN};
    struct timespec left = {.tv_sec = 1};

    if (l->next < l->total && l->idle_head != l->idle_tail) {
        const uint64_t due_ns = due_of(l, l->next);
        const uint64_t ns = due_ns > now_ns ? due_ns - now_ns : 0;
        left = (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                                 .tv_nsec = (long)(ns % 1000000000)};
    }
    (void)ppoll(&fd, 1, &left, NULL);
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS_MAX];
    const uint64_t give_up_ns = (l->warm + l->seconds + DRAIN_SECONDS) * UINT64_C(1000000000);

    l->total = l->rate * (l->warm + l->seconds);
    l->start_ns = tool_now_ns();
    while (l->done < l->total) {
        const uint64_t now_ns = tool_now_ns();
        int count;
        send_due(l, now_ns);
        count = epoll_wait(l->epoll, events, EVENTS_MAX, 0);
        if (count <= 0) {
            wait_until(l, now_ns);
        }
        for (int i = 0; i < count; i++) {
            conn_read(l, events[i].data.u32);
        }
        if (now_ns - l->start_ns > give_up_ns) {
            tool_die("load: %llu of %llu answers are missing",
                     (unsigned long long)(l->total - l->done), (unsigned long long)l->total);
        }
    }
}

int main(int argc, char **argv)
{
    struct load l = {.seconds = 10, .warm = 2, .connections = 64, .accounts = 10000, .path = "credit"};
    const struct tool_flag flags[] = {
        {"--port", .number = &l.port},        {"--rate", .number = &l.rate},
        {"--seconds", .number = &l.seconds},  {"--warm", .number = &l.warm},
        {"--path", .text = &l.path},          {"--connections", .number = &l.connections},
        {"--accounts", .number = &l.accounts}};

    tool_flags_read(argc, argv, flags, sizeof(flags) / sizeof(flags[0]));
    if (l.port == 0 || l.port > 65535 || l.rate == 0 || l.seconds == 0 || l.accounts == 0 ||
        l.connections == 0 || l.connections > CONNECTIONS_MAX) {
        tool_die("load: --port or --rate is missing, or a number is out of range");
    }
    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns: by default the kernel may wake us 50 µs late */
    requests_make(&l);
    conns_open(&l);
    run(&l);
    (void)printf("rate=%llu answers=%llu refused=%llu ", (unsigned long long)l.rate,
                 (unsigned long long)l.histogram.total, (unsigned long long)l.refused);
    histogram_print_us(&l.histogram);
    for (unsigned i = 0; i < l.connections; i++) {
        (void)close(l.conns[i].fd);
    }
    mem_free(l.conns);
    mem_free(l.idle);
    mem_free(l.requests);
    return 0;
}

#include "store/redis/sync.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/verdict.h"
#include "tls/tls.h"

enum {
    WORDS_MAX = 32,            /* of sync_say */
    OUT_BYTES_MAX = 256 << 20, /* one command */
    PLAIN_BYTES_MAX = 1 << 20, /* what one read of the socket may become */
    RECEIVE_BYTES = 64 * 1024,
};

struct sync {
    int fd;
    unsigned timeout_ms;
    bool is_broken; /* an answer was missed: the next one would be taken for another's */
    redisReader *reader;
    struct tls_session *tls; /* NULL: plain */
    struct buf out;          /* the command that is being made */
    struct buf wire;         /* TLS: its bytes on the wire */
    struct buf plain;        /* TLS: what has just come */
    struct err_text tls_why;
    char received[RECEIVE_BYTES];
};

static uint64_t deadline_in(unsigned ms)
{
    return clock_mono_us() + (uint64_t)ms * 1000;
}

/* Wait for the socket. Errors: ERR_TIMEOUT, ERR_IO. */
static enum err wait_for(int fd, short events, uint64_t deadline_us)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        uint64_t now = clock_mono_us();
        uint64_t left_ms = now >= deadline_us ? 0 : (deadline_us - now + 999) / 1000;
        int ready = poll(&p, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        if (ready > 0) {
            return ERR_OK;
        }
        if (ready < 0 && errno != EINTR) {
            return ERR_IO;
        }
        if (left_ms == 0) {
            return ERR_TIMEOUT;
        }
    }
}

/* ---- bytes ---- */

static enum err send_all(struct sync *s, struct slice bytes, uint64_t deadline_us)
{
    size_t done = 0;

    while (done < bytes.len) {
        ssize_t sent = send(s->fd, bytes.ptr + done, bytes.len - done, MSG_NOSIGNAL);
        enum err e = ERR_OK;
        if (sent >= 0) {
            done += (size_t)sent;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            e = wait_for(s->fd, POLLOUT, deadline_us);
        } else if (errno != EINTR) {
            e = ERR_IO;
        }
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

/* Send what TLS has for the peer. */
static enum err flush_tls(struct sync *s, uint64_t deadline_us)
{
    enum err e;

    buf_clear(&s->wire);
    e = tls_take(s->tls, &s->wire);
    return e == ERR_OK ? send_all(s, buf_slice(&s->wire), deadline_us) : e;
}

static enum err feed(struct sync *s, const char *bytes, size_t len)
{
    return len == 0 || redisReaderFeed(s->reader, bytes, len) == REDIS_OK ? ERR_OK : ERR_NOMEM;
}

static enum err feed_tls(struct sync *s, const char *bytes, size_t len, uint64_t deadline_us)
{
    enum err e, fed;

    buf_clear(&s->plain);
    e = tls_feed(s->tls, bytes, len, &s->plain, &s->tls_why);
    fed = feed(s, s->plain.ptr, s->plain.len);
    if (e == ERR_NOT_FOUND) {
        e = s->plain.len > 0 ? ERR_OK : ERR_IO; /* the end of the socket follows */
    }
    if (e != ERR_OK) {
        (void)flush_tls(s, deadline_us); /* the alert that tells the peer why */
        return e == ERR_NOMEM ? e : ERR_IO;
    }
    return fed == ERR_OK ? flush_tls(s, deadline_us) : fed;
}

/* Take what has come, waiting for the first byte of it. */
static enum err receive(struct sync *s, uint64_t deadline_us)
{
    ssize_t got = recv(s->fd, s->received, sizeof(s->received), 0);

    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return wait_for(s->fd, POLLIN, deadline_us);
    }
    if (got <= 0) {
        return ERR_IO;
    }
    return s->tls == NULL ? feed(s, s->received, (size_t)got)
                          : feed_tls(s, s->received, (size_t)got, deadline_us);
}

static enum err send_out(struct sync *s, struct slice bytes)
{
    const uint64_t deadline_us = deadline_in(s->timeout_ms);
    enum err e;

    if (s->is_broken) {
        return ERR_IO;
    }
    if (s->tls == NULL) {
        e = send_all(s, bytes, deadline_us);
    } else {
        e = tls_write(s->tls, bytes.ptr, bytes.len);
        e = e == ERR_OK ? flush_tls(s, deadline_us) : e;
    }
    s->is_broken = e != ERR_OK; /* perhaps half a command has left */
    return e;
}

/* ---- opening ---- */

static enum err connect_one(const struct addrinfo *at, uint64_t deadline_us, int *fd_out)
{
    const int on = 1;
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
    int problem = 0;
    socklen_t len = sizeof(problem);
    enum err e = ERR_OK;

    if (fd < 0) {
        return ERR_IO;
    }
    if (connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
        problem = errno;
        if (problem == EINPROGRESS) {
            e = wait_for(fd, POLLOUT, deadline_us);
            if (e == ERR_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0) {
                problem = errno;
            }
        }
    }
    if (e == ERR_OK && problem != 0) {
        e = ERR_IO;
    }
    if (e != ERR_OK) {
        (void)close(fd);
        errno = e == ERR_TIMEOUT ? ETIMEDOUT : problem;
        return e;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *fd_out = fd;
    return ERR_OK;
}

/* Each address of the name in turn, so that one which swallows everything does not cost the others' time. */
static enum err connect_any(const struct redis_address *address, uint64_t deadline_us, int *fd,
                            struct err_text *why)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char port[8];
    uint64_t count = 0;
    enum err e = ERR_IO;
    int answer;

    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    answer = getaddrinfo(address->host, port, &hints, &list);
    if (answer != 0) {
        err_text_set(why, "%s:%s: %s", address->host, port, gai_strerror(answer));
        return ERR_IO;
    }
    for (const struct addrinfo *at = list; at != NULL; at = at->ai_next) {
        count++;
    }
    for (const struct addrinfo *at = list; at != NULL && e != ERR_OK; at = at->ai_next, count--) {
        uint64_t now = clock_mono_us();
        uint64_t left = now >= deadline_us ? 0 : deadline_us - now;
        e = connect_one(at, now + left / count, fd);
    }
    if (e != ERR_OK) {
        err_text_set(why, "%s:%s: %s", address->host, port, strerror(errno));
    }
    freeaddrinfo(list);
    return e;
}

static enum err shake_hands(struct sync *s, struct tls_context *tls,
                            const struct redis_address *address, uint64_t deadline_us,
                            struct err_text *why)
{
    enum err e = tls_session_new(tls, address->host, &s->tls);

    if (e == ERR_OK) {
        e = flush_tls(s, deadline_us);
    }
    while (e == ERR_OK && !tls_is_ready(s->tls)) {
        e = receive(s, deadline_us);
    }
    if (e != ERR_OK) {
        const char *words = s->tls_why.text[0] != '\0' ? s->tls_why.text
                            : e == ERR_TIMEOUT         ? "no answer in time"
                                                       : "the connection was closed";
        err_text_set(why, "%s:%u: TLS: %s", address->host, (unsigned)address->port, words);
    }
    return e;
}

/* What a server that refuses HELLO means. */
static enum err hello_refused(const struct redisReply *reply)
{
    switch (verdict_of(slice_make(reply->str, (size_t)reply->len))) {
    case VERDICT_LATER:
    case VERDICT_CROWDED:
    case VERDICT_MOVED_AWAY:
        return ERR_IO; /* it may do so later */
    default:
        return ERR_INVALID;
    }
}

/* With TLS 1.3 a server judges our certificate after the handshake: its reason stands in the alert, if that still came through. */
static const char *hello_closed(struct sync *s)
{
    if (s->tls == NULL) {
        return "it closed the connection, or is no Redis";
    }
    if (s->tls_why.text[0] == '\0') {
        (void)receive(s, 0);
    }
    return s->tls_why.text[0] != '\0'
               ? s->tls_why.text
               : "TLS: it closed the connection after the handshake: does it want another client "
                 "certificate?";
}

static enum err hello(struct sync *s, const struct redis_url *url,
                      const struct redis_address *address, const char *name, struct err_text *why)
{
    struct slice words[7] = {SLICE("HELLO"), SLICE("2")};
    unsigned count = 2;
    struct redisReply *reply;
    enum err e;

    if (url->password[0] != '\0' || url->user[0] != '\0') {
        words[count++] = SLICE("AUTH");
        words[count++] = url->user[0] != '\0' ? slice_of(url->user) : SLICE("default");
        words[count++] = slice_of(url->password);
    }
    if (name != NULL && name[0] != '\0') {
        words[count++] = SLICE("SETNAME");
        words[count++] = slice_of(name);
    }
    e = sync_call(s, count, words, &reply);
    if (s->out.ptr != NULL) {
        explicit_bzero(s->out.ptr, s->out.cap); /* the password */
    }
    if (e != ERR_OK) {
        err_text_set(why, "%s:%u: %s", address->host, (unsigned)address->port,
                     e == ERR_TIMEOUT ? "no answer in time"
                     : e == ERR_NOMEM ? "out of memory"
                                      : hello_closed(s));
        return e;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        e = hello_refused(reply);
        err_text_set(why, "%s:%u: %s", address->host, (unsigned)address->port, reply->str);
    } else if (reply->type != REDIS_REPLY_ARRAY) {
        e = ERR_IO;
        err_text_set(why, "%s:%u: it is no Redis", address->host, (unsigned)address->port);
    }
    sync_free(reply);
    return e;
}

enum err sync_open(const struct redis_url *url, const struct redis_address *address,
                   struct tls_context *tls, const char *name, unsigned timeout_ms,
                   struct sync **out, struct err_text *why)
{
    const uint64_t deadline_us = deadline_in(timeout_ms);
    struct sync *s = mem_alloc(sizeof(*s));
    uint64_t now;
    enum err e;

    if (s == NULL) {
        err_text_set(why, "out of memory");
        return ERR_NOMEM;
    }
    s->fd = -1;
    buf_init(&s->out, OUT_BYTES_MAX);
    buf_init(&s->wire, (size_t)OUT_BYTES_MAX + OUT_BYTES_MAX / 8); /* records have heads and tails */
    buf_init(&s->plain, PLAIN_BYTES_MAX);
    s->reader = redisReaderCreate();
    if (s->reader == NULL) {
        err_text_set(why, "out of memory");
        e = ERR_NOMEM;
        goto fail;
    }
    e = connect_any(address, deadline_us, &s->fd, why);
    if (e == ERR_OK && tls != NULL) {
        e = shake_hands(s, tls, address, deadline_us, why);
    }
    if (e == ERR_OK) {
        now = clock_mono_us();
        s->timeout_ms = now >= deadline_us ? 0 : (unsigned)((deadline_us - now) / 1000);
        e = hello(s, url, address, name, why);
    }
    if (e != ERR_OK) {
        goto fail;
    }
    s->timeout_ms = timeout_ms;
    *out = s;
    return ERR_OK;

fail:
    sync_close(s);
    return e;
}

void sync_close(struct sync *s)
{
    if (s == NULL) {
        return;
    }
    if (s->tls != NULL) {
        tls_end(s->tls);
        (void)flush_tls(s, 0); /* what the socket takes at once */
        tls_session_free(s->tls);
    }
    if (s->fd >= 0) {
        (void)close(s->fd);
    }
    if (s->reader != NULL) {
        redisReaderFree(s->reader);
    }
    buf_fini(&s->out);
    buf_fini(&s->wire);
    buf_fini(&s->plain);
    mem_free(s);
}

enum err sync_peer(const struct sync *s, struct redis_address *out)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof(at);
    char port[8];

    if (getpeername(s->fd, (struct sockaddr *)&at, &len) != 0 ||
        getnameinfo((const struct sockaddr *)&at, len, out->host, sizeof(out->host), port,
                    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return ERR_IO; /* it is gone already */
    }
    out->port = (uint16_t)strtoul(port, NULL, 10);
    return ERR_OK;
}

/* ---- commands ---- */

enum err sync_send(struct sync *s, unsigned argc, const struct slice *argv)
{
    buf_clear(&s->out);
    buf_append_byte(&s->out, '*');
    buf_append_u64(&s->out, argc);
    for (unsigned i = 0; i < argc; i++) {
        buf_append_text(&s->out, "\r\n$");
        buf_append_u64(&s->out, argv[i].len);
        buf_append_text(&s->out, "\r\n");
        buf_append_slice(&s->out, argv[i]);
    }
    buf_append_text(&s->out, "\r\n");
    return s->out.err == ERR_OK ? send_out(s, buf_slice(&s->out)) : s->out.err;
}

enum err sync_send_bytes(struct sync *s, struct slice bytes)
{
    return send_out(s, bytes);
}

enum err sync_next(struct sync *s, struct redisReply **out)
{
    const uint64_t deadline_us = deadline_in(s->timeout_ms);
    enum err e = s->is_broken ? ERR_IO : ERR_OK;

    while (e == ERR_OK) {
        void *reply = NULL;
        if (redisReaderGetReply(s->reader, &reply) != REDIS_OK) {
            e = s->reader->err == REDIS_ERR_OOM ? ERR_NOMEM : ERR_IO;
        } else if (reply != NULL) {
            *out = reply;
            return ERR_OK;
        } else if (clock_mono_us() >= deadline_us) { /* also of a peer that sends byte after byte */
            e = ERR_TIMEOUT;
        } else {
            e = receive(s, deadline_us);
        }
    }
    s->is_broken = true;
    return e;
}

enum err sync_call(struct sync *s, unsigned argc, const struct slice *argv, struct redisReply **out)
{
    enum err e = sync_send(s, argc, argv);

    return e == ERR_OK ? sync_next(s, out) : e;
}

enum err sync_say(struct sync *s, struct redisReply **out, const char *words)
{
    struct slice argv[WORDS_MAX];
    unsigned argc = 0;

    for (const char *at = words, *space; at != NULL; at = space == NULL ? NULL : space + 1) {
        space = strchr(at, ' ');
        ASSERT(argc < WORDS_MAX);
        argv[argc++] = space == NULL ? slice_of(at) : slice_make(at, (size_t)(space - at));
    }
    return sync_call(s, argc, argv, out);
}

void sync_free(struct redisReply *reply)
{
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

void sync_timeout(struct sync *s, unsigned timeout_ms)
{
    s->timeout_ms = timeout_ms;
}

/*
 * The wallet as it is usually built on Redis, for comparison: a lock, a read, MULTI with what is written, an unlock, for each
 * credit; a thread for each HTTP connection, and a pool of connections to Redis that the threads borrow from.
 *
 * It is kind to that design: MULTI goes out with its commands and EXEC in one piece, HTTP is read as wrk writes it, and there is
 * no JSON, no amount to check, no idempotency, a history of one list.
 * Usage: classical --redis PORT --listen PORT [--connections 100]
 */
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "bench/tool.h"

enum {
    POOL_MAX = 1000,
    LOCK_MS = 10000,
    LOCK_RETRY_US = 10000, /* less, and those that wait keep the one that works from Redis */
    CREDIT_MINOR = 100,
    REQUEST_MAX = 4096,
    ID_MAX = 64,
    BACKLOG = 1024
};

static const char unlock[] =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t is_back;
    redisContext *idle[POOL_MAX]; /* under mutex */
    size_t count;                 /* under mutex */
};

struct client {
    struct pool *pool;
    int fd;
    char token[32];
};

/* ---- Redis ---- */

static redisContext *pool_get(struct pool *p)
{
    redisContext *c;

    pthread_mutex_lock(&p->mutex);
    while (p->count == 0) {
        pthread_cond_wait(&p->is_back, &p->mutex);
    }
    c = p->idle[--p->count];
    pthread_mutex_unlock(&p->mutex);
    return c;
}

static void pool_put(struct pool *p, redisContext *c)
{
    pthread_mutex_lock(&p->mutex);
    p->idle[p->count++] = c;
    pthread_mutex_unlock(&p->mutex);
    pthread_cond_signal(&p->is_back);
}

static redisReply *must(redisContext *c, redisReply *reply)
{
    if (reply == NULL) {
        tool_die("redis: %s", c->errstr);
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        tool_die("redis: %s", reply->str);
    }
    return reply;
}

static void done(redisContext *c, redisReply *reply)
{
    freeReplyObject(must(c, reply));
}

static bool lock_take(redisContext *c, const char *key, const char *token)
{
    redisReply *reply = must(c, redisCommand(c, "SET %s %s NX PX %d", key, token, LOCK_MS));
    const bool is_taken = reply->type == REDIS_REPLY_STATUS;

    freeReplyObject(reply);
    return is_taken;
}

static int64_t balance_read(redisContext *c, const char *key)
{
    redisReply *reply = must(c, redisCommand(c, "GET %s", key));
    int64_t balance = 0;

    if (reply->type == REDIS_REPLY_STRING && sscanf(reply->str, "%" SCNd64, &balance) != 1) {
        tool_die("a balance that is no number");
    }
    freeReplyObject(reply);
    return balance;
}

static int64_t credit(redisContext *c, const char *account, const char *token)
{
    enum { SENT_TOGETHER = 4 };
    char lock[ID_MAX + 16], balance[ID_MAX + 16], history[ID_MAX + 16];
    int64_t after;

    (void)snprintf(lock, sizeof(lock), "lock:%s", account);
    (void)snprintf(balance, sizeof(balance), "balance:%s", account);
    (void)snprintf(history, sizeof(history), "history:%s", account);
    while (!lock_take(c, lock, token)) {
        (void)usleep(LOCK_RETRY_US);
    }
    after = balance_read(c, balance) + CREDIT_MINOR;
    (void)redisAppendCommand(c, "MULTI");
    (void)redisAppendCommand(c, "SET %s %lld", balance, (long long)after);
    (void)redisAppendCommand(c, "RPUSH %s credit:%d:%lld", history, CREDIT_MINOR, (long long)after);
    (void)redisAppendCommand(c, "EXEC");
    for (int i = 0; i < SENT_TOGETHER; i++) {
        void *reply = NULL;
        (void)redisGetReply(c, &reply);
        done(c, reply);
    }
    done(c, redisCommand(c, "EVAL %s 1 %s %s", unlock, lock, token));
    return after;
}

/* ---- HTTP, as wrk speaks it ---- */

/* Read one request. False: the peer has gone. */
static bool request_read(int fd, char *buf)
{
    size_t len = 0, need = 0;

    while (need == 0 || len < need) {
        ssize_t n = len < REQUEST_MAX ? read(fd, buf + len, REQUEST_MAX - len) : 0;
        const char *end, *length;
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        buf[len] = '\0';
        end = strstr(buf, "\r\n\r\n");
        if (end != NULL) {
            length = strstr(buf, "Content-Length: ");
            need = (size_t)(end + 4 - buf) +
                   (length != NULL && length < end
                        ? strtoul(length + strlen("Content-Length: "), NULL, 10)
                        : 0);
        }
    }
    return true;
}

static void answer(int fd, int64_t minor)
{
    char out[256], body[64];
    int len = snprintf(body, sizeof(body), "{\"balance\":%" PRId64 ".%02d}", minor / 100,
                       (int)(minor % 100));

    len =
        snprintf(out, sizeof(out),
                 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 len, body);
    (void)!write(fd, out, (size_t)len);
}

static void *serve(void *ctx)
{
    struct client *me = ctx;
    char buf[REQUEST_MAX + 1], account[ID_MAX];

    while (request_read(me->fd, buf)) {
        int64_t balance = 0;
        if (sscanf(buf, "POST /api/v1/wallet/%63[^/]/credit", account) == 1) {
            redisContext *c = pool_get(me->pool);
            balance = credit(c, account, me->token);
            pool_put(me->pool, c);
        }
        answer(me->fd, balance);
    }
    (void)close(me->fd);
    mem_free(me);
    return NULL;
}

static int listen_on(uint64_t port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, BACKLOG) != 0) {
        tool_die("cannot listen on port %" PRIu64, port);
    }
    return fd;
}

int main(int argc, char **argv)
{
    static struct pool pool = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                               .is_back = PTHREAD_COND_INITIALIZER};
    uint64_t redis = 0, port = 0, connections = 100;
    const struct tool_flag flags[] = {{.name = "--redis", .number = &redis},
                                      {.name = "--listen", .number = &port},
                                      {.name = "--connections", .number = &connections}};
    int listener;

    tool_flags_read(argc, argv, flags, sizeof(flags) / sizeof(flags[0]));
    if (redis == 0 || port == 0 || connections == 0 || connections > POOL_MAX) {
        tool_die("classical --redis PORT --listen PORT [--connections 1..%d]", POOL_MAX);
    }
    for (unsigned i = 0; i < connections; i++) {
        pool.idle[i] = redisConnect("127.0.0.1", (int)redis);
        if (pool.idle[i] == NULL || pool.idle[i]->err != 0) {
            tool_die("cannot connect to Redis on port %" PRIu64, redis);
        }
        pool.count++;
    }
    listener = listen_on(port);
    for (unsigned i = 0;; i++) {
        struct client *me = mem_alloc(sizeof(*me));
        pthread_t thread;
        if (me == NULL) {
            tool_die("out of memory");
        }
        *me = (struct client){.pool = &pool, .fd = accept(listener, NULL, NULL)};
        (void)snprintf(me->token, sizeof(me->token), "client-%u", i);
        if (me->fd < 0 || pthread_create(&thread, NULL, serve, me) != 0) {
            tool_die("cannot take a connection");
        }
        (void)pthread_detach(thread);
    }
}

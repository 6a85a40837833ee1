/*
 * The wallet as it is usually built on Redis, for comparison: a lock, a read, a transaction that writes, an unlock, for each
 * credit, by clients that wait for each answer, each on a connection of its own out of a pool.
 *
 * It is kind to that design: no HTTP, no JSON, no amount to check, no idempotency, and a history of one list.
 * Usage: classical --port N [--connections 100] [--seconds 5] [--accounts 10000]
 * Prints: done=N duration_us=N contended=N
 */
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/prng.h"
#include "bench/tool.h"

enum { CONNECTIONS_MAX = 1000, LOCK_MS = 10000, CREDIT_MINOR = 100 };

static const char unlock[] =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";

struct client {
    pthread_t thread;
    unsigned index;
    uint64_t port, accounts, end_ns;
    uint64_t done, contended;
};

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

static void say(redisContext *c, const char *format, ...)
{
    va_list words;
    redisReply *reply;

    va_start(words, format);
    reply = redisvCommand(c, format, words);
    va_end(words);
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

static void credit(struct client *me, redisContext *c, uint64_t account, const char *token)
{
    char lock[64], balance[64], history[64];
    int64_t after;

    (void)snprintf(lock, sizeof(lock), "lock:%" PRIu64, account);
    (void)snprintf(balance, sizeof(balance), "balance:%" PRIu64, account);
    (void)snprintf(history, sizeof(history), "history:%" PRIu64, account);
    while (!lock_take(c, lock, token)) {
        me->contended++;
    }
    after = balance_read(c, balance) + CREDIT_MINOR;
    say(c, "MULTI");
    say(c, "SET %s %lld", balance, (long long)after);
    say(c, "RPUSH %s credit:%d:%lld", history, CREDIT_MINOR, (long long)after);
    say(c, "EXEC");
    say(c, "EVAL %s 1 %s %s", unlock, lock, token);
}

static void *run(void *ctx)
{
    struct client *me = ctx;
    redisContext *c = redisConnect("127.0.0.1", (int)me->port);
    struct prng random = {me->index + 1};
    char token[32];

    if (c == NULL || c->err != 0) {
        tool_die("cannot connect to port %" PRIu64, me->port);
    }
    (void)snprintf(token, sizeof(token), "client-%u", me->index);
    while (tool_now_ns() < me->end_ns) {
        credit(me, c, prng_below(&random, me->accounts), token);
        me->done++;
    }
    redisFree(c);
    return NULL;
}

int main(int argc, char **argv)
{
    uint64_t port = 0, connections = 100, seconds = 5, accounts = 10000;
    const struct tool_flag flags[] = {{.name = "--port", .number = &port},
                                      {.name = "--connections", .number = &connections},
                                      {.name = "--seconds", .number = &seconds},
                                      {.name = "--accounts", .number = &accounts}};
    uint64_t done = 0, contended = 0, start_ns;
    struct client *clients;

    tool_flags_read(argc, argv, flags, sizeof(flags) / sizeof(flags[0]));
    if (port == 0 || connections == 0 || connections > CONNECTIONS_MAX || accounts == 0) {
        tool_die("classical --port N [--connections 1..%d] [--accounts 1..]", CONNECTIONS_MAX);
    }
    clients = mem_alloc_array(connections, sizeof(*clients));
    if (clients == NULL) {
        tool_die("out of memory");
    }
    start_ns = tool_now_ns();
    for (unsigned i = 0; i < connections; i++) {
        clients[i] = (struct client){.index = i,
                                     .port = port,
                                     .accounts = accounts,
                                     .end_ns = start_ns + seconds * UINT64_C(1000000000)};
        if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) {
            tool_die("cannot start a thread");
        }
    }
    for (unsigned i = 0; i < connections; i++) {
        (void)pthread_join(clients[i].thread, NULL);
        done += clients[i].done;
        contended += clients[i].contended;
    }
    (void)printf("done=%" PRIu64 " duration_us=%" PRIu64 " contended=%" PRIu64 "\n", done,
                 (tool_now_ns() - start_ns) / 1000, contended);
    mem_free(clients);
    return 0;
}

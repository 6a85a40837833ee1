/*
 * The Redis store, on servers of its own that go with the test. It works on its users' loops, and the suite's clients have
 * none: so there is one thread with a loop here, to which operations go by a queue, while answers come straight to the
 * client that asked. A second opening finds the server as it was, or, every other time, killed and started again.
 */
#include "store/redis/redis.h"

#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "contract/contract.h"
#include "log/log.h"
#include "store/redis/redis_internal.h"
#include "store/redis/verify.h"
#include "support/redis_site.h"

enum { INBOX_MAX = 1 << 20, OP_TIMEOUT_US = 50 * 1000 * 1000, BUSY_MS = 1, VERIFIED_OPENING = 4 };

struct redis_shape {
    enum redis_site_kind site;
    unsigned buckets, connections, depth; /* connections for postings and reads */
};

struct redis_ledger {
    struct store store; /* first: what the clients see */
    struct contract_limits limits;
    struct redis_shape shape;
    struct redis_site site;
    unsigned openings;
    struct store *redis; /* NULL while it is closed */
    /* the thread */
    pthread_t thread;
    uv_loop_t uv;
    uv_async_t wake;
    uv_timer_t busy; /* while it is closing: is there anything at work? */
    struct store_sink sink;
    struct queue inbox;
    atomic_bool is_closing;
};

/* ---- the thread ---- */

/* What the store has no room for comes back at once, as from store_flush. */
static void refuse(struct queue_list *ops)
{
    struct queue_link *link;

    while ((link = queue_list_pop(ops)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        struct queue_list one = {0};
        op->status = STORE_UNAVAILABLE;
        queue_list_push(&one, link);
        store_complete(op->sink, &one);
    }
}

static void end_where_done(struct redis_ledger *l)
{
    if (atomic_load(&l->is_closing) && redis_busy(&l->sink) == 0) {
        uv_stop(&l->uv);
    }
}

static void on_busy(uv_timer_t *timer)
{
    end_where_done(timer->data);
}

static void on_wake(uv_async_t *wake)
{
    struct redis_ledger *l = wake->data;
    struct queue_list ops = {0};

    if (atomic_load(&l->is_closing)) {
        (void)uv_timer_start(&l->busy, on_busy, 0, BUSY_MS);
    }
    queue_take(&l->inbox, INBOX_MAX, &ops);
    if (ops.head != NULL) {
        l->redis->methods->hand_over(l->redis, &ops);
        refuse(&ops);
    }
}

static void *run(void *ctx)
{
    struct redis_ledger *l = ctx;

    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    store_detach(l->redis, &l->sink);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->busy, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    return NULL;
}

/* Nobody is ever asleep on this sink: no operation has it. */
static void wake_nobody(void *ctx)
{
    (void)ctx;
}

/* ---- what the clients see ---- */

static void hand_over(struct store *s, struct queue_list *ops)
{
    struct redis_ledger *l = (struct redis_ledger *)s;

    for (struct queue_link *link = ops->head; link != NULL; link = link->next) {
        struct store_sink *sink = ((struct store_op *)link)->sink;
        if (sink->attached != l->sink.attached) { /* written once an opening, before anybody reads it */
            sink->attached = l->sink.attached;
        }
    }
    (void)queue_put(&l->inbox, ops);
    ASSERT(uv_async_send(&l->wake) == 0);
}

static enum store_health health(struct store *s)
{
    return store_health(((struct redis_ledger *)s)->redis);
}

static const struct store_methods methods = {.hand_over = hand_over, .health = health};

/* ---- life ---- */

static void redis_ready(struct redis_ledger *l)
{
    struct redis_options o = {
        .loops = 1,
        .pool_active = l->shape.connections + 1,
        .pool_idle = l->shape.connections,
        .depth = l->shape.depth,
        .pool_idle_us = UINT64_C(300) * 1000000,
        .op_timeout_us = OP_TIMEOUT_US,
        .inbox_max = l->limits.inbox_max,
        .idempotency_ttl_us = UINT64_C(86400) * 1000000,
        .may_load = true,
        .buckets = l->shape.buckets,
    };
    struct err_text why = {""};
    enum err e;

    redis_site_reach(&l->site, &o);
    e = redis_open(&o, &l->redis, &why);
    if (e != ERR_OK) {
        print_message("cannot open: %s (%s)\n", why.text, err_name(e));
    }
    ASSERT(e == ERR_OK);
    ASSERT(l->redis->durability == redis_durability_text(redis_site_worth(&l->site)));
}

static void open_again(void *ctx)
{
    struct redis_ledger *l = ctx;
    enum err e;

    if (l->openings++ % 2 == 1) {
        redis_site_restart(&l->site);
    }
    redis_ready(l);
    l->store.durability = l->redis->durability;
    l->store.buckets = l->redis->buckets;
    atomic_store(&l->is_closing, false);
    ASSERT(uv_loop_init(&l->uv) == 0 && uv_async_init(&l->uv, &l->wake, on_wake) == 0 &&
           uv_timer_init(&l->uv, &l->busy) == 0);
    l->wake.data = l->busy.data = l;
    e = queue_init(&l->inbox, INBOX_MAX);
    ASSERT(e == ERR_OK);
    e = store_sink_init(&l->sink, wake_nobody, NULL);
    ASSERT(e == ERR_OK);
    e = store_attach(l->redis, &l->sink, &l->uv);
    ASSERT(e == ERR_OK);
    ASSERT(pthread_create(&l->thread, NULL, run, l) == 0);
}

/* Each time it is closed, the ledger must prove itself; of many buckets, where that takes long, where much has happened. */
static void verify(const struct redis_ledger *l)
{
    struct redis_options o = {0};
    struct redis_verify_report report;
    struct err_text why = {""};
    enum err e;

    redis_site_reach_to_read(&l->site, &o);
    e = redis_verify(&o.url, &o.tls, &report, &why);
    if (e != ERR_OK) {
        print_message("%s (%s)\n", why.text, err_name(e));
    }
    ASSERT(e == ERR_OK);
}

static void close_kept(void *ctx)
{
    struct redis_ledger *l = ctx;

    atomic_store(&l->is_closing, true);
    ASSERT(uv_async_send(&l->wake) == 0);
    ASSERT(pthread_join(l->thread, NULL) == 0);
    ASSERT(uv_loop_close(&l->uv) == 0);
    store_sink_fini(&l->sink);
    queue_fini(&l->inbox);
    store_close(l->redis);
    l->redis = NULL;
    if (l->shape.buckets == 1 || l->openings == VERIFIED_OPENING) {
        verify(l);
    }
}

static void *open_shape(const struct contract_limits *limits, struct redis_shape shape)
{
    struct redis_ledger *l = mem_alloc(sizeof(*l));

    ASSERT(l != NULL);
    l->store = (struct store){.methods = &methods, .name = "redis"};
    l->limits = *limits;
    l->shape = shape;
    log_configure(LOG_ERROR, LOG_LOGFMT,
                  STDERR_FILENO); /* what it says when all is well is not the suite's */
    redis_site_start(&l->site, shape.site);
    open_again(l);
    return l;
}

/* One connection: then what is asked in order is done in order, of which the suite makes much use. */
static void *open_one(const struct contract_limits *limits)
{
    return open_shape(limits,
                      (struct redis_shape){.buckets = 1, .connections = 1, .depth = REDIS_DEPTH});
}

static void *open_buckets(const struct contract_limits *limits)
{
    return open_shape(limits,
                      (struct redis_shape){.buckets = 4096, .connections = 1, .depth = REDIS_DEPTH});
}

static void *open_wide(const struct contract_limits *limits)
{
    return open_shape(limits,
                      (struct redis_shape){.buckets = 1, .connections = 8, .depth = REDIS_DEPTH});
}

/* With control's that is a pool of two, and nothing is sent before the answer to what was sent before: a sync for each takes long. */
static void *open_narrow(const struct contract_limits *limits)
{
    return open_shape(limits,
                      (struct redis_shape){
                          .site = REDIS_SITE_UNSYNCED, .buckets = 1, .connections = 1, .depth = 1});
}

static void *open_pair(const struct contract_limits *limits)
{
    return open_shape(limits, (struct redis_shape){.buckets = 1, .connections = 2, .depth = 1});
}

static void *open_synchronous(const struct contract_limits *limits)
{
    return open_shape(limits, (struct redis_shape){.site = REDIS_SITE_SYNCHRONOUS,
                                                   .buckets = 1,
                                                   .connections = 1,
                                                   .depth = REDIS_DEPTH});
}

static void *open_synchronous_wide(const struct contract_limits *limits)
{
    return open_shape(limits, (struct redis_shape){.site = REDIS_SITE_SYNCHRONOUS,
                                                   .buckets = 1,
                                                   .connections = 8,
                                                   .depth = REDIS_DEPTH});
}

static void *open_sentinel(const struct contract_limits *limits)
{
    return open_shape(limits, (struct redis_shape){.site = REDIS_SITE_SENTINEL,
                                                   .buckets = 1,
                                                   .connections = 1,
                                                   .depth = REDIS_DEPTH});
}

static void *open_tls(const struct contract_limits *limits)
{
    return open_shape(
        limits, (struct redis_shape){
                    .site = REDIS_SITE_TLS, .buckets = 1, .connections = 1, .depth = REDIS_DEPTH});
}

static struct store *store_get(void *ctx)
{
    return &((struct redis_ledger *)ctx)->store;
}

static void drop(void *ctx)
{
    struct redis_ledger *l = ctx;

    if (l->redis != NULL) {
        close_kept(l);
    }
    redis_site_stop(&l->site);
    mem_free(l);
}

/* clang-format off */
#define REDIS_KIND \
    .has_restart = true, .has_inbox = true, .is_without_keys_max = true, \
    .is_without_account_numbers = true, \
    .store = store_get, .close = close_kept, .open_again = open_again, .drop = drop
/* clang-format on */

const struct contract_store contract_redis = {
    REDIS_KIND,
    .name = "redis",
    .open = open_one,
};

const struct contract_store contract_redis_buckets = {
    REDIS_KIND,
    .name = "redis, 4096 buckets",
    .open = open_buckets,
    .is_bucketed = true,
};

const struct contract_store contract_redis_wide = {
    REDIS_KIND,
    .name = "redis, many connections",
    .open = open_wide,
    .is_unordered = true,
};

const struct contract_store contract_redis_narrow = {
    REDIS_KIND,
    .name = "redis, depth 1",
    .open = open_narrow,
};

const struct contract_store contract_redis_pair = {
    REDIS_KIND,
    .name = "redis, depth 1, two connections",
    .open = open_pair,
    .is_unordered = true,
};

const struct contract_store contract_redis_synchronous = {
    REDIS_KIND,
    .name = "redis, synchronous",
    .open = open_synchronous,
};

const struct contract_store contract_redis_synchronous_wide = {
    REDIS_KIND,
    .name = "redis, synchronous, many connections",
    .open = open_synchronous_wide,
    .is_unordered = true,
};

const struct contract_store contract_redis_sentinel = {
    REDIS_KIND,
    .name = "redis behind Sentinel",
    .open = open_sentinel,
};

const struct contract_store contract_redis_tls = {
    REDIS_KIND,
    .name = "redis by TLS",
    .open = open_tls,
};

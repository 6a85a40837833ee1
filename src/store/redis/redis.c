/* Opening in order, closing in reverse, and the port's methods. */
#include "store/redis/redis.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/control.h"
#include "store/redis/redis_internal.h"
#include "store/redis/shared.h"
#include "store/redis/work.h"
#include "tls/tls.h"

enum { CONTROL_CONNECTIONS = 1 };

struct redis_store {
    struct store store; /* first */
    struct redis_shared shared;
    struct control *control;
    uint32_t inbox_max;
    unsigned attached; /* loops so far; start-up's thread alone */
    uint64_t open_us;
};

static struct redis_store *redis_of(struct store *s)
{
    return (struct redis_store *)s;
}

/* What control found out about the server is what the store says of itself. */
static void durability_follow(struct redis_store *r)
{
    const enum redis_durability now =
        (enum redis_durability)atomic_load_explicit(&r->shared.durability, memory_order_relaxed);

    atomic_store_explicit(&r->store.durability, redis_durability_text(now), memory_order_relaxed);
}

/* One of `loops` equal shares of the pool; the first ones take what is left over. */
static unsigned share_of(unsigned all, unsigned loops, unsigned index)
{
    const unsigned share = all / loops + (index % loops < all % loops ? 1 : 0);

    return share > 0 ? share : 1;
}

static enum err attach(struct store *s, struct store_sink *sink, void *loop)
{
    struct redis_store *r = redis_of(s);
    const struct redis_options *o = &r->shared.options;
    const unsigned active =
        o->pool_active > CONTROL_CONNECTIONS ? o->pool_active - CONTROL_CONNECTIONS : 1;
    struct work_loop *l;
    enum err e = work_loop_new(&r->shared, loop, share_of(active, o->loops, r->attached),
                               share_of(o->pool_idle, o->loops, r->attached), r->inbox_max, &l);

    if (e == ERR_OK) {
        r->attached++;
        sink->attached = l;
    }
    return e;
}

static void detach(struct store *s, struct store_sink *sink)
{
    (void)s;
    work_loop_close(sink->attached);
    sink->attached = NULL;
}

static void hand_over(struct store *s, struct queue_list *ops)
{
    const struct store_op *first = (const struct store_op *)ops->head;

    durability_follow(redis_of(s));
    work_hand_over(first->sink->attached, ops);
}

static enum store_health health(struct store *s)
{
    struct redis_store *r = redis_of(s);

    durability_follow(r);
    return (enum store_health)atomic_load_explicit(&r->shared.health, memory_order_relaxed);
}

static void close_all(struct store *s)
{
    struct redis_store *r = redis_of(s);

    if (r->control != NULL) {
        control_stop(r->control);
    }
    tls_context_free(r->shared.tls);
    shared_fini(&r->shared);
    mem_free(r);
}

static const struct store_methods methods = {.attach = attach,
                                             .detach = detach,
                                             .hand_over = hand_over,
                                             .health = health,
                                             .close = close_all};

static enum err tls_open(struct redis_store *r, struct err_text *why)
{
    const struct redis_options *o = &r->shared.options;
    const struct tls_options tls = {
        .ca_file = o->tls.ca, .cert_file = o->tls.cert, .key_file = o->tls.key};

    return o->url.is_tls ? tls_context_new(&tls, &r->shared.tls, why) : ERR_OK;
}

/* An operation at work may have WORK_WINDOW calls on its way: the lane has room for those of all that may be at work. */
static uint32_t calls_max(uint32_t inbox_max)
{
    uint32_t calls;

    return __builtin_mul_overflow(inbox_max, WORK_WINDOW, &calls) ? UINT32_MAX : calls;
}

enum err redis_open(const struct redis_options *options, struct store **out, struct err_text *why)
{
    const uint64_t start_us = clock_mono_us();
    struct redis_store *r = mem_alloc(sizeof(*r));
    enum err e;

    ASSERT(options->loops >= 1 && options->inbox_max >= 1 && options->pool_active >= 1 &&
           options->depth >= 1 && options->depth <= REDIS_DEPTH_MAX);
    ASSERT(options->buckets <= NAMES_BUCKETS_MAX);
    e = r == NULL ? ERR_NOMEM : shared_init(&r->shared, options);
    if (e != ERR_OK) {
        err_text_set(why, e == ERR_NOMEM ? "out of memory" : "no random numbers from the kernel");
        mem_free(r);
        return e;
    }
    r->store = (struct store){.methods = &methods, .name = "redis"};
    r->inbox_max = options->inbox_max;
    r->shared.options.inbox_max = calls_max(options->inbox_max);
    if ((e = tls_open(r, why)) != ERR_OK ||
        (e = control_start(&r->shared, &r->control, why)) != ERR_OK) {
        close_all(&r->store);
        return e;
    }
    ASSERT(r->shared.buckets >= 1 && r->shared.buckets <= NAMES_BUCKETS_MAX);
    r->store.buckets = r->shared.buckets;
    durability_follow(r);
    r->open_us = clock_mono_us() - start_us;
    *out = &r->store;
    return ERR_OK;
}

void redis_stats(struct store *s, struct redis_stats *out)
{
    struct redis_store *r = redis_of(s);
    const unsigned lanes = atomic_load_explicit(&r->shared.lane_count, memory_order_acquire);

    *out = (struct redis_stats){0};
    control_stats(r->control, out);
    out->open_us = r->open_us;
    for (unsigned i = 0; i < lanes && i < SHARED_LANES_MAX; i++) {
        const struct shared_lane *l = &r->shared.lanes[i];
        const unsigned open = atomic_load_explicit(&l->open, memory_order_relaxed);
        const unsigned active = atomic_load_explicit(&l->active, memory_order_relaxed);
        out->connections_open += open;
        out->connections_active += active;
        out->connections_idle += open > active ? open - active : 0;
        out->calls_queued += atomic_load_explicit(&l->queued, memory_order_relaxed);
        out->calls_in_flight += atomic_load_explicit(&l->in_flight, memory_order_relaxed);
    }
}

unsigned redis_busy(const struct store_sink *sink)
{
    return ((const struct work_loop *)sink->attached)->busy;
}

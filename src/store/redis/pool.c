/* The pool of a lane: which connection takes a call, when one more is opened, and when one has to go. */
#include <string.h>

#include "base/clock.h"
#include "store/redis/lane.h"

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool owes_nothing(const struct conn *c)
{
    return c->slot_head == c->slot_tail;
}

static bool is_idle(const struct conn *c)
{
    return c->state == CONN_READY && owes_nothing(c);
}

/* So long that the way to the server may have gone without a word. */
static bool is_stale(const struct conn *c, uint64_t now_us)
{
    uint64_t half = c->lane->shared->options.pool_idle_us / 2;

    return is_idle(c) && now_us - c->idle_us > at_most(LANE_PING_US, half);
}

static bool is_opening(const struct conn *c)
{
    return c->state == CONN_OPENING || c->state == CONN_GREETING || c->state == CONN_CHECKING;
}

/* relaxed, as all gauges: a number to look at */
static void gauge_open(struct lane *l)
{
    atomic_store_explicit(&l->gauges->open, l->open, memory_order_relaxed);
}

/* ---- the server ---- */

static bool address_of(const struct redis_address *target, struct sockaddr_storage *out)
{
    *out = (struct sockaddr_storage){0};
    return uv_ip4_addr(target->host, target->port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(target->host, target->port, (struct sockaddr_in6 *)out) == 0;
}

void pool_follow(struct lane *l, uint64_t now_us)
{
    /* acquire: what control wrote before it raised the number */
    unsigned generation = atomic_load_explicit(&l->shared->generation, memory_order_acquire);
    struct sockaddr_storage old = l->address;
    struct redis_address target;
    bool is_switch;

    if (generation == l->generation) {
        return;
    }
    (void)pthread_mutex_lock(&l->shared->mutex);
    generation = atomic_load_explicit(&l->shared->generation, memory_order_relaxed);
    target = l->shared->target;
    memcpy(l->name, l->shared->target_name, sizeof(l->name));
    (void)pthread_mutex_unlock(&l->shared->mutex);
    if (l->name[0] == '\0') {
        memcpy(l->name, target.host, sizeof(l->name));
    }
    l->has_target = generation != 0 && address_of(&target, &l->address);
    is_switch = !l->has_target || memcmp(&old, &l->address, sizeof(old)) != 0;
    l->generation = generation;
    l->failures = 0;
    l->connect_us = 0;
    for (unsigned i = l->open; i-- > 0;) {
        if (is_switch) {
            lane_on_lost(l->conns[i], CLOSE_SWITCH, now_us);
        } else {
            pool_drain(l->conns[i], CLOSE_SWITCH, now_us);
        }
    }
    lane_want_turn(l);
}

void pool_failed(struct lane *l, uint64_t now_us)
{
    uint64_t pause = LANE_BACKOFF_US_MIN;

    if (now_us < l->connect_us) {
        return; /* many fail together: that is one failure */
    }
    for (unsigned i = 0; i < l->failures && pause < LANE_BACKOFF_US_MAX; i++) {
        pause *= 2;
    }
    if (pause > LANE_BACKOFF_US_MAX) {
        pause = LANE_BACKOFF_US_MAX;
    }
    l->failures++;
    l->connect_us = now_us + pause / 2 + prng_below(&l->prng, pause / 2 + 1);
}

void pool_served(struct conn *c)
{
    if (!c->has_served) {
        c->has_served = true;
        c->lane->failures = 0;
        c->lane->connect_us = 0;
    }
}

void pool_crowded(struct lane *l, uint64_t now_us)
{
    unsigned ready = 0;

    for (unsigned i = 0; i < l->open; i++) {
        ready += l->conns[i]->state == CONN_READY;
    }
    l->cap_now = ready > 0 ? ready : 1;
    l->crowded_until_us = now_us + LANE_CROWDED_US;
}

/* ---- what comes back from a connection ---- */

void pool_forget(struct conn *c)
{
    struct lane *l = c->lane;
    struct conn *last = l->conns[--l->open];

    l->conns[c->index] = last;
    last->index = c->index;
    gauge_open(l);
}

void pool_drain(struct conn *c, enum wire_close reason, uint64_t now_us)
{
    if (is_opening(c) || (c->state == CONN_READY && owes_nothing(c))) {
        lane_on_lost(c, reason, now_us);
    } else if (c->state == CONN_READY) {
        c->state = CONN_DRAINING;
        c->drain_reason = reason;
    }
}

/* ---- taking and growing ---- */

struct conn *pool_pick(struct lane *l, uint64_t now_us, bool *is_slow)
{
    struct conn *slow = NULL;

    for (unsigned i = 0; i < l->open; i++) {
        struct conn *c = l->conns[i];
        if (!redis_conn_has_room(c) || is_stale(c, now_us)) {
            continue;
        }
        if (c->waiting == 0 ||
            now_us - redis_conn_slot(c, c->slot_next)->sent_us <= LANE_SLOW_CALL_US) {
            return c;
        }
        if (slow == NULL) {
            slow = c;
        }
    }
    *is_slow = *is_slow || slow != NULL;
    return slow;
}

/* Returns false where none can be opened now. */
static bool open_one(struct lane *l, unsigned opening, uint64_t now_us)
{
    struct conn *c;

    if (!l->has_target || l->open >= l->cap_now || now_us < l->connect_us ||
        (l->failures > 0 && opening > 0)) {
        return false;
    }
    if (l->lost > 0) {
        l->lost--;
        metrics_add(l->shard, l->shared->series.reconnects, 1);
    }
    if (redis_conn_open(l, now_us, &c) != ERR_OK) {
        pool_failed(l, now_us);
        return false;
    }
    /* 30 min ± 10 %, so that they do not all go at once */
    c->retire_us = now_us + LANE_LIFETIME_US / 10 * 9 + prng_below(&l->prng, LANE_LIFETIME_US / 5);
    c->index = l->open;
    l->conns[l->open++] = c;
    gauge_open(l);
    return true;
}

void pool_grow(struct lane *l, bool is_slow, uint64_t now_us)
{
    size_t depth = l->shared->options.depth;
    size_t wanted = (l->waiting.len + depth - 1) / depth;
    unsigned opening = 0;

    if (wanted == 0 && is_slow) {
        wanted = 1;
    }
    if (wanted == 0) {
        return;
    }
    for (unsigned i = 0; i < l->open; i++) {
        opening += is_opening(l->conns[i]);
    }
    for (unsigned i = l->open; i-- > 0 && opening < wanted;) {
        struct conn *c = l->conns[i];
        if (is_stale(c, now_us)) {
            redis_conn_put_ping(c, now_us);
            redis_conn_write(c);
            opening++;
        }
    }
    while (opening < wanted && open_one(l, opening, now_us)) {
        opening++;
    }
}

/* ---- time passes ---- */

static bool has_live_call(struct conn *c)
{
    for (uint32_t at = c->slot_head; at != c->slot_tail; at++) {
        if (redis_conn_slot(c, at)->call != NULL) {
            return true;
        }
    }
    return false;
}

/* How long it may be silent in the state it is in; 0: for ever. */
static uint64_t patience_us(const struct conn *c)
{
    uint64_t op = c->lane->shared->options.op_timeout_us;

    switch (c->state) {
    case CONN_OPENING:
    case CONN_CHECKING:
        return at_most(LANE_CONNECT_US, op);
    case CONN_GREETING:
        return at_most(LANE_GREETING_US, op);
    case CONN_READY:
    case CONN_DRAINING:
        return c->waiting > 0 ? 2 * op : 0;
    case CONN_CLOSED:
        break;
    }
    return 0;
}

static void tick_conn(struct conn *c, uint64_t now_us)
{
    uint64_t since_us = c->state <= CONN_GREETING ? c->opened_us : c->byte_us;
    uint64_t patience = patience_us(c);

    if (patience > 0 && now_us - since_us > patience) {
        lane_on_lost(c, CLOSE_STALLED, now_us);
        return;
    }
    fate_tick_conn(c, now_us);
    if (c->state == CONN_DRAINING && !has_live_call(c)) {
        lane_on_lost(c, c->drain_reason, now_us);
    } else if (is_idle(c) && now_us - c->idle_us >= c->lane->shared->options.pool_idle_us) {
        lane_on_lost(c, CLOSE_IDLE, now_us);
    } else if (c->state == CONN_READY && now_us >= c->retire_us) {
        pool_drain(c, CLOSE_IDLE, now_us);
    }
}

static unsigned count_idle(const struct lane *l)
{
    unsigned idle = 0;

    for (unsigned i = 0; i < l->open; i++) {
        idle += is_idle(l->conns[i]);
    }
    return idle;
}

/* Those above the idle share go, the longest idle first. */
static void close_surplus(struct lane *l, uint64_t now_us)
{
    for (unsigned idle = count_idle(l); idle > l->idle_max; idle--) {
        struct conn *oldest = NULL;
        for (unsigned i = 0; i < l->open; i++) {
            struct conn *c = l->conns[i];
            if (is_idle(c) && (oldest == NULL || c->idle_us < oldest->idle_us)) {
                oldest = c;
            }
        }
        if (now_us - oldest->idle_us < LANE_IDLE_GRACE_US) {
            return;
        }
        lane_on_lost(oldest, CLOSE_IDLE, now_us);
    }
}

void pool_tick(struct lane *l, uint64_t now_us)
{
    if (l->cap_now < l->cap && now_us >= l->crowded_until_us) {
        l->cap_now = l->cap;
    }
    for (unsigned i = l->open;
         i-- > 0;) { /* from the end: the last one takes the place of one that goes */
        tick_conn(l->conns[i], now_us);
    }
    close_surplus(l, now_us);
}

bool pool_is_busy(const struct lane *l)
{
    unsigned idle = count_idle(l);

    return idle < l->open || idle > l->idle_max;
}

void pool_gauges(struct lane *l)
{
    unsigned active = 0;
    unsigned in_flight = 0;

    for (unsigned i = 0; i < l->open; i++) {
        active += l->conns[i]->calls > 0;
        in_flight += l->conns[i]->calls;
    }
    gauge_open(l);
    atomic_store_explicit(&l->gauges->active, active, memory_order_relaxed);
    atomic_store_explicit(&l->gauges->in_flight, in_flight, memory_order_relaxed);
    atomic_store_explicit(&l->gauges->queued, (unsigned)(l->waiting.len + l->later.len),
                          memory_order_relaxed);
}

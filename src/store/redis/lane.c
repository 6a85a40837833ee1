#include "store/redis/lane.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

/* ---- the turn and the timer ---- */

static void on_turn(uv_idle_t *turn);

void lane_want_turn(struct lane *l)
{
    l->is_turn_wanted = true;
    if (!l->is_closed && !uv_is_active((uv_handle_t *)&l->turn)) {
        (void)uv_idle_start(&l->turn, on_turn);
    }
}

static void on_tick(uv_timer_t *timer);

static void arm(struct lane *l, unsigned every_ms)
{
    if (l->is_closed || l->timer_ms == every_ms) {
        return;
    }
    l->timer_ms = every_ms;
    if (every_ms == 0) {
        (void)uv_timer_stop(&l->timer);
    } else {
        uv_update_time(l->loop);
        (void)uv_timer_start(&l->timer, on_tick, every_ms, every_ms);
    }
}

/* While nothing is under way there is only idleness to look for. */
static unsigned slow_ms(const struct lane *l)
{
    uint64_t quarter = l->shared->options.pool_idle_us / 4000;

    if (quarter > LANE_SLOW_TICK_MS) {
        return LANE_SLOW_TICK_MS;
    }
    return quarter < LANE_TICK_MS ? LANE_TICK_MS : (unsigned)quarter;
}

static bool is_busy(const struct lane *l)
{
    return l->waiting.len + l->later.len > 0 || pool_is_busy(l);
}

static void on_tick(uv_timer_t *timer)
{
    struct lane *l = timer->data;
    uint64_t now_us = clock_mono_us();

    if (l->is_closed) {
        return;
    }
    pool_follow(l, now_us);
    pool_tick(l, now_us);
    fate_tick_queue(l, now_us);
    if (l->waiting.len > 0) {
        lane_want_turn(l); /* a pause before a connection is tried again may be over */
    }
    pool_gauges(l);
    if (is_busy(l)) {
        arm(l, LANE_TICK_MS);
    } else {
        arm(l, l->open > 0 ? slow_ms(l) : 0);
    }
}

static void on_turn(uv_idle_t *turn)
{
    struct lane *l = turn->data;

    l->is_turn_wanted = false;
    fate_tell(l);
    lane_flush(l);
    fate_tell(l);
    if (!l->is_turn_wanted && !l->is_closed) {
        (void)uv_idle_stop(&l->turn);
    }
}

/* ---- the queue ---- */

void lane_send(struct lane *l, struct wire_call *call)
{
    ASSERT(call->bytes.len > 0 && call->done != NULL && call->command < WIRE_COMMAND_COUNT);
    call->was_sent = false;
    call->sent_us = call->retry_us = 0;
    call->tries = 0;
    if (l->is_closed || l->waiting.len + l->later.len >= l->shared->options.inbox_max) {
        fate_end(l, call);
        return;
    }
    queue_list_push(&l->waiting, &call->link);
    if (call->deadline_mono_us < l->queue_deadline_us) {
        l->queue_deadline_us = call->deadline_mono_us;
    }
    lane_want_turn(l);
}

static bool is_wanted(struct wire_call *call)
{
    return call->claim == NULL || call->claim(call);
}

/* Synchronous, and no replica is there: nothing is executed that nobody could confirm. */
static bool is_confirmable(struct lane *l, const struct wire_call *call)
{
    if (!call->is_write || !l->shared->options.is_synchronous ||
        atomic_load_explicit(&l->shared->replicas, memory_order_relaxed) > 0) {
        return true;
    }
    shared_ask_look(l->shared);
    return false;
}

/* Give a connection as many calls as it has room for. */
static void fill(struct lane *l, struct conn *c, uint64_t now_us)
{
    while (l->waiting.len > 0 && redis_conn_has_room(c)) {
        struct wire_call *call = (struct wire_call *)queue_list_pop(&l->waiting);
        if (call->deadline_mono_us <= now_us || !is_confirmable(l, call) || !is_wanted(call) ||
            !redis_conn_put_call(c, call, now_us)) {
            fate_end(l, call);
            continue;
        }
        c->is_touched = true;
        c->has_writes = c->has_writes || call->is_write;
    }
}

static void write_touched(struct lane *l, uint64_t now_us)
{
    const struct redis_options *options = &l->shared->options;

    for (unsigned i = l->open; i-- > 0;) { /* from the end: a write may lose its connection */
        struct conn *c = l->conns[i];
        if (!c->is_touched) {
            continue;
        }
        if (c->has_writes && options->is_synchronous) {
            /* relaxed: whichever number control has last written is the one that counts; 0 would confirm anything */
            uint32_t replicas = atomic_load_explicit(&l->shared->replicas, memory_order_relaxed);
            redis_conn_put_wait(c, replicas > 0 ? replicas : 1, options->wait_timeout_us, now_us);
        }
        c->is_touched = c->has_writes = false;
        redis_conn_write(c);
    }
}

void lane_flush(struct lane *l)
{
    uint64_t now_us;
    struct conn *c;
    bool is_slow = false;

    if (l->is_closed || l->waiting.len == 0) {
        return;
    }
    now_us = clock_mono_us();
    pool_follow(l, now_us);
    while (l->waiting.len > 0 && (c = pool_pick(l, now_us, &is_slow)) != NULL) {
        fill(l, c, now_us);
    }
    write_touched(l, now_us);
    pool_grow(l, is_slow, now_us);
    arm(l, LANE_TICK_MS);
}

/* ---- what a connection says ---- */

void lane_on_ready(struct conn *c, uint64_t now_us)
{
    c->idle_us = now_us;
    lane_want_turn(c->lane);
}

void lane_on_refused(struct conn *c, enum verdict verdict, uint64_t now_us)
{
    struct lane *l = c->lane;
    enum wire_close reason = CLOSE_PROTOCOL;

    if (verdict == VERDICT_CROWDED) {
        pool_crowded(l, now_us);
        reason = CLOSE_PEER;
    } else if (verdict == VERDICT_MOVED_AWAY || verdict == VERDICT_DENIED) {
        reason = CLOSE_SWITCH;
    }
    pool_failed(l, now_us);
    shared_ask_look(l->shared);
    lane_on_lost(c, reason, now_us);
}

static void tell_loss(const struct conn *c, enum wire_close reason)
{
    static struct log_limit limit;
    static const char *const reasons[] = {
        [CLOSE_PEER] = "peer", [CLOSE_STALLED] = "stalled", [CLOSE_PROTOCOL] = "protocol"};

    log_event_limited(&limit, LOG_WARN, "redis.connection_lost", log_text("reason", reasons[reason]),
                      log_bool("was_open", c->state > CONN_GREETING), log_u64("owed", c->waiting));
}

void lane_on_lost(struct conn *c, enum wire_close reason, uint64_t now_us)
{
    struct lane *l = c->lane;
    bool is_loss = reason == CLOSE_PEER || reason == CLOSE_STALLED || reason == CLOSE_PROTOCOL;

    if (c->state == CONN_CLOSED) {
        return;
    }
    metrics_add(l->shard, l->shared->series.closes[reason], 1);
    if (is_loss) {
        tell_loss(c, reason);
    }
    fate_of_lost(c);
    pool_forget(c);
    redis_conn_close(c);
    if (is_loss) {
        l->lost++;
        if (!c->has_served) { /* one that had is tried again at once */
            pool_failed(l, now_us);
        }
        shared_ask_look(l->shared);
    }
}

/* ---- life ---- */

static enum err init_handles(struct lane *l)
{
    if (uv_timer_init(l->loop, &l->timer) != 0) {
        return ERR_IO;
    }
    l->timer.data = l->turn.data = l;
    if (uv_idle_init(l->loop, &l->turn) != 0) {
        UNREACHABLE("libuv's idle handles need nothing that could fail");
    }
    l->handles = 2;
    return ERR_OK;
}

enum err lane_new(struct redis_shared *shared, uv_loop_t *loop, unsigned connections, unsigned idle,
                  struct lane **out)
{
    struct lane *l;
    unsigned index;
    enum err e = ERR_NOMEM;

    ASSERT(connections > 0 && shared->options.depth > 0 && shared->options.op_timeout_us > 0);
    ASSERT(shared->options.inbox_max > 0);
    l = mem_alloc(sizeof(*l) + connections * sizeof(l->conns[0]));
    if (l == NULL) {
        return ERR_NOMEM;
    }
    l->shared = shared;
    l->loop = loop;
    l->cap = l->cap_now = connections;
    l->idle_max = idle;
    l->queue_deadline_us = UINT64_MAX;
    if (shared->options.metrics != NULL) {
        e = metrics_shard_new(shared->options.metrics, &l->shard);
        if (e != ERR_OK) {
            goto fail;
        }
    }
    e = prng_secret(&l->prng.state, sizeof(l->prng.state));
    if (e != ERR_OK) {
        goto fail;
    }
    e = init_handles(l);
    if (e != ERR_OK) {
        goto fail;
    }
    /* relaxed: only that no two lanes get the same */
    index = atomic_fetch_add_explicit(&shared->lane_count, 1, memory_order_relaxed);
    ASSERT(index < SHARED_LANES_MAX);
    l->gauges = &shared->lanes[index];
    *out = l;
    return ERR_OK;

fail:
    mem_free(l);
    return e;
}

void lane_release(struct lane *l)
{
    if (--l->handles == 0) {
        mem_free(l);
    }
}

static void on_closed(uv_handle_t *handle)
{
    lane_release(handle->data);
}

void lane_close(struct lane *l)
{
    struct queue_link *link;

    if (l == NULL) {
        return;
    }
    ASSERT(!l->is_closed);
    l->is_closed = true;
    for (unsigned i = l->open; i-- > 0;) {
        lane_on_lost(l->conns[i], CLOSE_END, 0);
    }
    queue_list_move(&l->waiting, &l->later);
    while ((link = queue_list_pop(&l->waiting)) != NULL) {
        fate_end(l, (struct wire_call *)link);
    }
    while (l->unknown.len + l->not_sent.len > 0) { /* what is sent meanwhile is not */
        fate_tell(l);
    }
    pool_gauges(l);
    uv_close((uv_handle_t *)&l->timer, on_closed);
    uv_close((uv_handle_t *)&l->turn, on_closed);
}

#include "store/redis/control.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/master.h"

/*
 * When it looks:
 *   all is well       every 10 s; asked by a lane: at once, 100 ms after the last look at the earliest
 *   stalled           after 100 ms, 200 ms … 1 s, whoever asks
 *   no room           every second
 *   with sentinels    every second it asks one of them who the master is, and looks at once where that changed:
 *                     a master that was cut off together with us would not tell
 */
enum {
    LOOK_US = 10000000,
    LOOK_US_MIN = 100000,
    LOOK_US_STALLED = 1000000,
    GLANCE_US = 1000000,
};

struct control {
    struct redis_shared *shared;
    struct master master;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    atomic_bool is_stopping;
    uint64_t looked_us, look_us,
        glance_us;   /* monotonic: the last look, the next, the next question to a sentinel */
    unsigned stalls; /* looks in a row that found it stalled */
};

static void timer_set(struct control *c);

static uint64_t rest_us(const struct control *c)
{
    const uint64_t us = (uint64_t)LOOK_US_MIN << (c->stalls < 4 ? c->stalls : 4);

    return us < LOOK_US_STALLED ? us : LOOK_US_STALLED;
}

static void look(struct control *c)
{
    enum store_health h;

    /* cleared before the look: what a lane meets while it goes on asks for the next one */
    atomic_store_explicit(&c->shared->needs_look, false, memory_order_release);
    h = master_look(&c->master);
    c->looked_us = clock_mono_us();
    c->stalls = h == STORE_STALLED ? c->stalls + 1 : 0;
    c->look_us = c->looked_us + (h == STORE_STALLED     ? rest_us(c)
                                 : h == STORE_DISK_FULL ? (uint64_t)LOOK_US_STALLED
                                                        : (uint64_t)LOOK_US);
    c->glance_us = c->looked_us + GLANCE_US;
}

static void end(struct control *c)
{
    uv_close((uv_handle_t *)&c->timer, NULL);
    uv_close((uv_handle_t *)&c->wake, NULL);
}

static void turn(struct control *c)
{
    uint64_t now_us = clock_mono_us();

    if (atomic_load_explicit(&c->is_stopping, memory_order_acquire)) {
        if (!uv_is_closing((uv_handle_t *)&c->wake)) {
            end(c);
        }
        return;
    }
    if (now_us >= c->glance_us && now_us < c->look_us) {
        if (master_is_moved(&c->master)) {
            c->look_us = now_us;
        }
        now_us = clock_mono_us();
        c->glance_us = now_us + GLANCE_US;
    }
    if (atomic_load_explicit(&c->shared->needs_look, memory_order_acquire) &&
        c->look_us > c->looked_us + rest_us(c)) {
        c->look_us = c->looked_us + rest_us(c);
    }
    if (now_us >= c->look_us) {
        look(c);
    }
    timer_set(c);
}

static void on_wake(uv_async_t *wake)
{
    turn(wake->data);
}

static void on_timer(uv_timer_t *timer)
{
    turn(timer->data);
}

static void timer_set(struct control *c)
{
    const uint64_t now_us = clock_mono_us();
    const bool has_sentinels = c->shared->options.url.is_sentinel;
    const uint64_t at_us = has_sentinels && c->glance_us < c->look_us ? c->glance_us : c->look_us;
    const uint64_t wait_ms = at_us > now_us ? (at_us - now_us + 999) / 1000 : 0;
    int rc;

    uv_update_time(&c->loop); /* looks block: the loop's own time is an old one */
    rc = uv_timer_start(&c->timer, on_timer, wait_ms, 0);
    ASSERT(rc == 0);
}

static void *run(void *ctx)
{
    struct control *c = ctx;

    timer_set(c);
    (void)uv_run(&c->loop, UV_RUN_DEFAULT);
    return NULL;
}

/* The loop with its handles; ended without a run, it needs one to let them go. */
static enum err loop_init(struct control *c)
{
    if (uv_loop_init(&c->loop) != 0) {
        return ERR_NOMEM;
    }
    if (uv_async_init(&c->loop, &c->wake, on_wake) != 0) {
        (void)uv_loop_close(&c->loop);
        return ERR_NOMEM;
    }
    (void)uv_timer_init(&c->loop, &c->timer);
    c->wake.data = c;
    c->timer.data = c;
    return ERR_OK;
}

static void loop_fini(struct control *c)
{
    int rc = uv_loop_close(&c->loop);

    if (rc == UV_EBUSY) {
        end(c);
        (void)uv_run(&c->loop, UV_RUN_DEFAULT);
        rc = uv_loop_close(&c->loop);
    }
    ASSERT(rc == 0);
}

static void wake_tell(struct redis_shared *s, uv_async_t *wake)
{
    (void)pthread_mutex_lock(&s->mutex);
    s->control_wake = wake;
    (void)pthread_mutex_unlock(&s->mutex);
}

enum err control_start(struct redis_shared *shared, struct control **out, struct err_text *why)
{
    struct control *c = mem_alloc(sizeof(*c));
    enum err e;

    if (c == NULL) {
        err_text_set(why, "out of memory");
        return ERR_NOMEM;
    }
    c->shared = shared;
    e = loop_init(c);
    if (e != ERR_OK) {
        err_text_set(why, "no loop for the control thread");
        goto fail_memory;
    }
    e = master_start(&c->master, shared, why);
    if (e != ERR_OK) {
        goto fail_loop;
    }
    c->looked_us = clock_mono_us();
    c->look_us = c->looked_us + LOOK_US;
    c->glance_us = c->looked_us + GLANCE_US;
    wake_tell(shared, &c->wake);
    if (pthread_create(&c->thread, NULL, run, c) != 0) {
        err_text_set(why, "no thread for control");
        e = ERR_NOMEM;
        goto fail_master;
    }
    (void)pthread_setname_np(c->thread, "mw-redis");
    *out = c;
    return ERR_OK;

fail_master:
    wake_tell(shared, NULL);
    master_close(&c->master);
fail_loop:
    loop_fini(c);
fail_memory:
    mem_free(c);
    return e;
}

void control_stats(struct control *c, struct redis_stats *out)
{
    (void)pthread_mutex_lock(&c->shared->mutex);
    *out = c->master.stats;
    (void)pthread_mutex_unlock(&c->shared->mutex);
}

void control_stop(struct control *c)
{
    if (c == NULL) {
        return;
    }
    wake_tell(c->shared, NULL); /* no lane wakes it any more */
    atomic_store_explicit(&c->is_stopping, true, memory_order_release);
    (void)uv_async_send(&c->wake);
    (void)pthread_join(c->thread, NULL);
    master_close(&c->master);
    loop_fini(c);
    mem_free(c);
}

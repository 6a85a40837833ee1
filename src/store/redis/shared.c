#include "store/redis/shared.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/prng.h"

const char *redis_durability_text(enum redis_durability d)
{
    switch (d) {
    case REDIS_MEMORY:
        return "memory";
    case REDIS_AOF_EVERYSEC:
        return "aof-everysec";
    case REDIS_ASYNC_REPLICATED:
        return "async-replicated";
    case REDIS_FSYNC:
        return "fsync";
    case REDIS_REPLICATED:
        return "replicated";
    }
    UNREACHABLE("a durability without a name");
}

static struct redis_series series_none(void)
{
    struct redis_series s = {
        .reconnects = METRICS_NONE,
        .redirects = METRICS_NONE,
        .ambiguous = METRICS_NONE,
        .late_replies = METRICS_NONE,
        .not_sent = METRICS_NONE,
    };

    for (size_t i = 0; i < ARRAY_LEN(s.command_seconds); i++) {
        s.command_seconds[i] = METRICS_NONE;
    }
    for (size_t i = 0; i < ARRAY_LEN(s.closes); i++) {
        s.closes[i] = METRICS_NONE;
    }
    return s;
}

enum err shared_init(struct redis_shared *s, const struct redis_options *options)
{
    uint32_t number;
    enum err e = prng_secret(&number, sizeof(number));

    if (e != ERR_OK) {
        return e;
    }
    *s = (struct redis_shared){
        .options = *options,
        .series = options->series != NULL ? *options->series : series_none(),
    };
    if (pthread_mutex_init(&s->mutex, NULL) != 0) {
        return ERR_NOMEM;
    }
    (void)snprintf(s->instance, sizeof(s->instance), "mywallet-%08x", (unsigned)number);
    return ERR_OK;
}

void shared_fini(struct redis_shared *s)
{
    ASSERT(s->control_wake == NULL); /* control has ended */
    (void)pthread_mutex_destroy(&s->mutex);
    explicit_bzero(&s->options.url, sizeof(s->options.url)); /* the password */
}

void shared_ask_look(struct redis_shared *s)
{
    /* release: what the lane saw is there for control; a second ask before the look costs nothing */
    if (atomic_exchange_explicit(&s->needs_look, true, memory_order_acq_rel)) {
        return;
    }
    (void)pthread_mutex_lock(&s->mutex);
    if (s->control_wake != NULL) {
        (void)uv_async_send(s->control_wake);
    }
    (void)pthread_mutex_unlock(&s->mutex);
}

void shared_saw(struct redis_shared *s, unsigned bucket, uint64_t seq)
{
    uint64_t known;

    ASSERT(bucket < NAMES_BUCKETS_MAX);
    /* relaxed: a number by itself; control compares it only after a reconnect */
    known = atomic_load_explicit(&s->high_water[bucket], memory_order_relaxed);
    while (known < seq &&
           !atomic_compare_exchange_weak_explicit(&s->high_water[bucket], &known, seq,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    if (seq <= SHARED_SEQ_FIRST &&
        known > seq) { /* or an answer of long ago, repeated: a look costs little */
        shared_ask_look(s);
    }
}

int64_t shared_server_now(const struct redis_shared *s)
{
    return clock_wall_us() + atomic_load_explicit(&s->clock_offset_us, memory_order_relaxed);
}

#include "server/service.h"

#include <unistd.h>

#include "base/assert.h"
#include "http/http.h"
#include "server/gauges.h"
#include "server/limits.h"

_Static_assert(LEDGER_ZH_CN == 0 && LEDGER_EN == 1, "the order of default-language's choices");

/* ---- metrics, port ---- */

static enum err declare(struct service *s, struct currency default_currency)
{
    const struct api_options api = {
        .default_currency = default_currency,
        .default_language = (enum ledger_language)s->config->default_language,
        .auto_create = s->config->auto_create,
        .access_log = s->config->access_log,
    };
    enum err e = api_shared_init(&s->shared, &api, s->metrics);

    if (e == ERR_OK) {
        e = s->choice->is_redis ? redis_metrics(s->metrics, &s->redis_series)
                                : embedded_metrics(s->metrics, &s->series);
    }
    if (e == ERR_OK) {
        e = gauges_declare(s);
    }
    if (e == ERR_OK) {
        e = metrics_process(s->metrics, MYWALLET_VERSION);
    }
    return e;
}

static void limit_connections(struct service *s)
{
    const uint64_t wanted = s->config->connections;
    const uint64_t pool = s->choice->is_redis ? s->config->redis_pool_active : 0;
    const uint64_t fds = limits_raise(limits_fds(wanted, s->loop_count) + pool);

    s->connections_max = limits_connections(wanted, s->loop_count, fds > pool ? fds - pool : 0);
    if (s->connections_max < wanted) {
        log_event(LOG_WARN, "server.few_descriptors", log_u64("connections", wanted),
                  log_u64("possible", s->connections_max), log_u64("file_descriptors", fds),
                  log_text("mend", "raise the hard limit of open files (ulimit -Hn, LimitNOFILE)"));
    }
}

enum err service_init(struct service *s, const struct config *config, const struct choice *choice,
                      struct currency default_currency, struct err_text *why)
{
    enum err e;

    *s = (struct service){
        .config = config, .choice = choice, .loop_count = config_thread_count(config)};
    ASSERT(s->loop_count <= SERVICE_LOOPS_MAX);
    err_text_set(why, "out of memory");
    e = watch_open(&s->watch);
    if (e != ERR_OK) {
        err_text_set(why, "cannot watch for signals");
        goto fail;
    }
    e = metrics_new(&s->metrics);
    if (e != ERR_OK) {
        goto fail_watch;
    }
    e = declare(s, default_currency);
    if (e != ERR_OK) {
        goto fail_metrics;
    }
    limit_connections(s);
    e = http_listen(config->listen, s->loop_count, s->fds, &s->port, why);
    if (e != ERR_OK) {
        goto fail_metrics;
    }
    return ERR_OK;

fail_metrics:
    api_shared_fini(&s->shared);
    metrics_free(s->metrics);
fail_watch:
    watch_close(&s->watch);
fail:
    *s = (struct service){.loop_count = 0};
    return e;
}

void service_fini(struct service *s)
{
    for (unsigned i = 0; i < s->loop_count; i++) {
        loop_free(s->loops[i]);
        if (s->fds[i] >= 0) {
            (void)close(s->fds[i]);
        }
    }
    if (s->loop_count > 0) {
        api_shared_fini(&s->shared);
        metrics_free(s->metrics);
        watch_close(&s->watch);
    }
    *s = (struct service){.loop_count = 0};
}

/* ---- the store ---- */

/* Thread: of the store. */
static void on_fatal(void *ctx)
{
    struct service *s = ctx;

    atomic_store_explicit(&s->is_fatal, true, memory_order_relaxed);
    watch_poke(&s->watch);
}

static void end_of_task(struct service *s)
{
    atomic_store_explicit(&s->is_task_done, true, memory_order_release);
    watch_poke(&s->watch);
}

static enum err open_redis(struct service *s)
{
    struct redis_options options = s->choice->redis;

    options.metrics = s->metrics;
    options.series = &s->redis_series;
    return redis_open(&options, &s->store, &s->open_why);
}

static enum err open_embedded(struct service *s)
{
    const struct embedded_options options = {
        .dir = s->config->data,
        .inbox_max = (uint32_t)s->config->inbox,
        .batch_max = (uint32_t)s->config->batch,
        .readers = (uint32_t)s->config->readers,
        .idempotency_ttl_us = s->config->idempotency_ttl_us,
        .idempotency_max = s->config->idempotency_max,
        .metrics = s->metrics,
        .series = &s->series,
        .on_fatal = on_fatal,
        .on_fatal_ctx = s,
    };

    return embedded_open(&options, &s->store, &s->open_why);
}

static void *open_store(void *ctx)
{
    struct service *s = ctx;

    s->open_err = s->choice->is_redis ? open_redis(s) : open_embedded(s);
    end_of_task(s);
    return NULL;
}

static void *close_store(void *ctx)
{
    struct service *s = ctx;

    store_close(s->store);
    end_of_task(s);
    return NULL;
}

static enum err start_task(struct service *s, void *(*run)(void *ctx))
{
    atomic_store_explicit(&s->is_task_done, false,
                          memory_order_relaxed); /* there is no other thread to see it */
    return pthread_create(&s->task, NULL, run, s) == 0 ? ERR_OK : ERR_NOMEM;
}

enum err service_open_store(struct service *s)
{
    return start_task(s, open_store);
}

enum err service_close_store(struct service *s)
{
    return start_task(s, close_store);
}

void service_end_task(struct service *s)
{
    (void)pthread_join(s->task, NULL);
}

/* ---- the loops ---- */

/* Thread: the loop's. */
static void on_loop_done(void *ctx)
{
    struct service *s = ctx;

    (void)atomic_fetch_sub_explicit(&s->loops_left, 1, memory_order_relaxed);
    watch_poke(&s->watch);
}

static enum err make_loop(struct service *s, unsigned i)
{
    const struct loop_options options = {
        .index = i,
        .listen_fd = s->fds[i],
        .connections_max = limits_share(s->connections_max, s->loop_count, i),
        .config = s->config,
        .shared = &s->shared,
        .store = s->store,
        .metrics = s->metrics,
        .on_done = on_loop_done,
        .on_done_ctx = s,
    };

    s->fds[i] = -1;
    return loop_new(&options, &s->loops[i]);
}

enum err service_start_loops(struct service *s)
{
    enum err e;

    api_shared_attach(&s->shared, s->store);
    /* all are there before the first one runs: a scrape asks every one of them */
    for (unsigned i = 0; i < s->loop_count; i++) {
        e = make_loop(s, i);
        if (e != ERR_OK) {
            return e;
        }
    }
    atomic_store_explicit(&s->loops_left, s->loop_count, memory_order_relaxed);
    for (unsigned i = 0; i < s->loop_count; i++) {
        e = loop_start(s->loops[i]);
        if (e != ERR_OK) {
            service_tell(s, LOOP_STOP);
            service_join_loops(s);
            return e;
        }
    }
    return ERR_OK;
}

void service_tell(struct service *s, enum loop_order order)
{
    for (unsigned i = 0; i < s->loop_count; i++) {
        loop_tell(s->loops[i], order);
    }
}

void service_join_loops(struct service *s)
{
    for (unsigned i = 0; i < s->loop_count; i++) {
        loop_join(s->loops[i]);
    }
}

unsigned service_in_flight(const struct service *s)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < s->loop_count; i++) {
        sum += loop_in_flight(s->loops[i]);
    }
    return sum;
}

unsigned service_connections(const struct service *s)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < s->loop_count; i++) {
        sum += loop_connections(s->loops[i]);
    }
    return sum;
}

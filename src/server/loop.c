/*
 * A turn of the loop: timers and what was deferred - prepare hands what they submitted to the store - sockets are read -
 * check hands over what these submitted, then takes the store's answers. So all that arrives in one turn goes to the store
 * together, and it works on that while the answers are sent, which is most of a turn.
 */
#include "server/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "http/http.h"

enum { US_PER_MS = 1000 };

struct loop {
    uv_loop_t uv;
    uv_async_t wake;   /* the store has answers */
    uv_async_t orders; /* somebody told us something */
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    struct store *store;
    struct store_sink sink;
    struct api_loop api;
    struct http_server *http;
    atomic_int told; /* enum loop_order; relaxed: the async carries the news, and nothing else goes with it */
    enum loop_order done; /* how far the orders were followed */
    bool is_woken;        /* the store has answers: the check takes them */
    bool is_http_stopped;
    bool is_attached; /* the store works on this loop */
    bool has_thread;
    pthread_t thread;
    unsigned index;
    void (*on_done)(void *ctx);
    void *on_done_ctx;
};

/* ---- on the loop ---- */

static void end_where_done(struct loop *l)
{
    /* operations that were answered for by their deadline, or whose peer went, are still the store's */
    if (l->is_http_stopped && api_loop_busy(&l->api) == 0) {
        uv_stop(&l->uv);
    }
}

static void on_http_stopped(void *ctx)
{
    struct loop *l = ctx;

    l->is_http_stopped = true;
    end_where_done(l);
}

static void on_orders(uv_async_t *handle)
{
    struct loop *l = handle->data;
    const int told = atomic_load_explicit(&l->told, memory_order_relaxed);

    while ((int)l->done < told) {
        l->done = (enum loop_order)((int)l->done + 1);
        switch (l->done) {
        case LOOP_DRAIN:
            http_server_drain(l->http);
            break;
        case LOOP_STOP:
            http_server_stop(l->http, on_http_stopped, l);
            break;
        case LOOP_CUT:
            http_server_abort(l->http);
            break;
        case LOOP_RUN:
            break;
        }
    }
}

static void on_wake(uv_async_t *handle)
{
    struct loop *l = handle->data;

    l->is_woken = true;
}

static void on_before_poll(uv_prepare_t *handle)
{
    struct loop *l = handle->data;

    store_flush(l->store, &l->sink);
}

static void on_after_poll(uv_check_t *handle)
{
    struct loop *l = handle->data;

    store_flush(l->store, &l->sink);
    if (l->is_woken || l->sink.attached !=
                           NULL) { /* what was answered on this very loop waits for no other turn */
        l->is_woken = false;
        store_drain(&l->sink);
    }
    end_where_done(l);
}

/* No operation is out. The store's handles are closed, and the turn behind it runs their last callbacks, while the store is still there. */
static void detach(struct loop *l)
{
    if (l->is_attached) {
        store_detach(l->store, &l->sink);
        l->is_attached = false;
        (void)uv_run(&l->uv, UV_RUN_NOWAIT);
    }
}

static void *run(void *ctx)
{
    struct loop *l = ctx;
    char name[16];

    (void)snprintf(name, sizeof(name), "mw-loop-%u", l->index % 1000);
    (void)pthread_setname_np(pthread_self(), name);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    detach(l);
    l->on_done(l->on_done_ctx);
    return NULL;
}

/* ---- on other threads ---- */

/* Runs on a thread of the store; the loop behind it lives until the store is closed. */
static void wake(void *ctx)
{
    struct loop *l = ctx;
    int rc = uv_async_send(&l->wake);

    ASSERT(rc == 0);
}

void loop_tell(struct loop *l, enum loop_order order)
{
    int before = atomic_load_explicit(&l->told, memory_order_relaxed);

    while (before < (int)order &&
           !atomic_compare_exchange_weak_explicit(&l->told, &before, (int)order,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    (void)uv_async_send(&l->orders);
}

unsigned loop_in_flight(const struct loop *l)
{
    return http_server_in_flight(l->http);
}

unsigned loop_connections(const struct loop *l)
{
    return http_server_connections(l->http);
}

/* ---- life ---- */

static enum err open_handles(struct loop *l)
{
    if (uv_async_init(&l->uv, &l->wake, on_wake) != 0) {
        return ERR_IO;
    }
    if (uv_async_init(&l->uv, &l->orders, on_orders) != 0) {
        return ERR_IO;
    }
    (void)uv_prepare_init(&l->uv, &l->before_poll);
    (void)uv_prepare_start(&l->before_poll, on_before_poll);
    (void)uv_check_init(&l->uv, &l->after_poll);
    (void)uv_check_start(&l->after_poll, on_after_poll);
    l->wake.data = l->orders.data = l->before_poll.data = l->after_poll.data = l;
    return ERR_OK;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_uv(struct loop *l)
{
    int rc;

    uv_walk(&l->uv, close_handle, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    rc = uv_loop_close(&l->uv);
    ASSERT(rc == 0);
}

static enum err open_http(struct loop *l, const struct loop_options *o)
{
    struct http_options http = {
        .callbacks = api_callbacks(&l->api),
        .connections_max = o->connections_max,
        .request_timeout_ms = (uint32_t)(o->config->request_timeout_us / US_PER_MS),
        .head_timeout_ms = (uint32_t)(o->config->head_timeout_us / US_PER_MS),
        .idle_timeout_ms = (uint32_t)(o->config->idle_timeout_us / US_PER_MS),
        .is_remote_allowed = o->config->allow_remote,
    };
    enum err e;

    e = prng_secret(http.random_seed, sizeof(http.random_seed));
    if (e != ERR_OK) {
        (void)close(o->listen_fd);
        return e;
    }
    http.routes = api_routes(&http.route_count);
    return http_server_new(&l->uv, o->listen_fd, &http, &l->http);
}

enum err loop_new(const struct loop_options *o, struct loop **out)
{
    struct loop *l = mem_alloc(sizeof(*l));
    struct metrics_shard *shard;
    enum err e = ERR_NOMEM;

    if (l == NULL) {
        goto fail_fd;
    }
    *l = (struct loop){
        .store = o->store, .index = o->index, .on_done = o->on_done, .on_done_ctx = o->on_done_ctx};
    if (uv_loop_init(&l->uv) != 0) {
        e = ERR_IO;
        goto fail_alloc;
    }
    e = open_handles(l);
    if (e != ERR_OK) {
        goto fail_uv;
    }
    e = store_sink_init(&l->sink, wake, l);
    if (e != ERR_OK) {
        goto fail_uv;
    }
    e = store_attach(l->store, &l->sink, &l->uv);
    if (e != ERR_OK) {
        goto fail_sink;
    }
    l->is_attached = true;
    e = metrics_shard_new(o->metrics, &shard); /* the registry's, used or not */
    if (e != ERR_OK) {
        goto fail_attached;
    }
    e = api_loop_init(&l->api, o->shared, &l->sink, shard);
    if (e != ERR_OK) {
        goto fail_attached;
    }
    e = open_http(l, o);
    if (e != ERR_OK) {
        api_loop_fini(&l->api);
        detach(l);
        store_sink_fini(&l->sink);
        close_uv(l);
        mem_free(l);
        return e; /* the socket was taken */
    }
    *out = l;
    return ERR_OK;

fail_attached:
    detach(l);
fail_sink:
    store_sink_fini(&l->sink);
fail_uv:
    close_uv(l);
fail_alloc:
    mem_free(l);
fail_fd:
    (void)close(o->listen_fd);
    return e;
}

enum err loop_start(struct loop *l)
{
    ASSERT(!l->has_thread);
    l->has_thread = pthread_create(&l->thread, NULL, run, l) == 0;
    return l->has_thread ? ERR_OK : ERR_NOMEM;
}

void loop_join(struct loop *l)
{
    if (l->has_thread) {
        (void)pthread_join(l->thread, NULL);
        l->has_thread = false;
    }
}

void loop_free(struct loop *l)
{
    if (l == NULL) {
        return;
    }
    ASSERT(!l->has_thread);
    if (!l->is_http_stopped) { /* it never ran */
        http_server_stop(l->http, on_http_stopped, l);
        while (!l->is_http_stopped) {
            (void)uv_run(&l->uv, UV_RUN_NOWAIT);
        }
    }
    detach(l);
    http_server_free(l->http);
    api_loop_fini(&l->api);
    store_sink_fini(&l->sink);
    close_uv(l);
    mem_free(l);
}

#include "api/api.h"

#include "api/call.h"
#include "api/observe.h"
#include "api/respond.h"
#include "base/assert.h"

#define GET_ROUTE(path, handler) \
    { \
        .method = HTTP_GET, .template = path, .handle = handler \
    }
#define POST_ROUTE(path, handler) \
    { \
        .method = HTTP_POST, .template = path, .handle = handler, \
        .body_bytes_max = API_REQUEST_BODY_BYTES_MAX, .has_body = true \
    }

static const struct http_route routes[API_ROUTE_COUNT] = {
    [API_ROUTE_BALANCE] = GET_ROUTE("/api/v1/wallet/{account_id}/balance", api_get_balance),
    [API_ROUTE_CREDIT] = POST_ROUTE("/api/v1/wallet/{account_id}/credit", api_post_credit),
    [API_ROUTE_DEBIT] = POST_ROUTE("/api/v1/wallet/{account_id}/debit", api_post_debit),
    [API_ROUTE_OPEN] = POST_ROUTE("/api/v1/wallet", api_post_account),
    [API_ROUTE_ACCOUNTS] = GET_ROUTE("/api/v1/wallet", api_get_accounts),
    [API_ROUTE_ACCOUNT] = GET_ROUTE("/api/v1/wallet/{account_id}", api_get_account),
    [API_ROUTE_TRANSFER] = POST_ROUTE("/api/v1/transfers", api_post_transfer),
    [API_ROUTE_TRANSACTION] = GET_ROUTE("/api/v1/transactions/{transaction_id}", api_get_transaction),
    [API_ROUTE_HISTORY] = GET_ROUTE("/api/v1/wallet/{account_id}/transactions", api_get_history),
    [API_ROUTE_METRICS] = GET_ROUTE("/metrics", api_get_metrics),
    [API_ROUTE_LIVEZ] = GET_ROUTE("/livez", api_get_livez),
    [API_ROUTE_READYZ] = GET_ROUTE("/readyz", api_get_readyz),
    [API_ROUTE_HEALTHZ] = GET_ROUTE("/healthz", api_get_readyz),
    [API_ROUTE_OPENAPI] = GET_ROUTE("/openapi.yaml", api_get_openapi),
};

const struct http_route *api_routes(unsigned *count)
{
    *count = API_ROUTE_COUNT;
    return routes;
}

const char *api_route_template(unsigned route)
{
    return route < API_ROUTE_COUNT ? routes[route].template : "other";
}

/* ---- what http calls ---- */

static void render_fault(struct http_request *request, enum http_fault fault, void *ctx)
{
    const unsigned route = http_view(request)->route;
    const struct api_refusal refusal = api_refusal_of_fault(
        fault, http_fault_reason(request), route < API_ROUTE_COUNT ? routes[route].template : NULL);

    api_refuse(ctx, request, &refusal);
}

static void on_deadline(struct http_request *request, void *ctx)
{
    api_call_deadline(ctx, request);
}

static void on_done(struct http_request *request, unsigned status, uint64_t duration_us, void *ctx)
{
    api_observe_done(ctx, request, status, duration_us);
}

struct http_callbacks api_callbacks(struct api_loop *l)
{
    return (struct http_callbacks){
        .render_fault = render_fault, .on_deadline = on_deadline, .on_done = on_done, .ctx = l};
}

/* ---- shared ---- */

enum err api_shared_init(struct api_shared *s, const struct api_options *options,
                         struct metrics *metrics)
{
    struct api_series *series;
    enum err e = api_series_new(metrics, &series);
    int mutex_error;

    ASSERT(options->default_currency.code != 0);
    if (e != ERR_OK) {
        return e;
    }
    *s = (struct api_shared){.options = *options, .metrics = metrics, .series = series};
    atomic_init(&s->is_draining, false);
    mutex_error = pthread_mutex_init(&s->scrape_mutex, NULL);
    ASSERT(mutex_error == 0); /* it has nothing to fail with, given the default attributes */
    return ERR_OK;
}

void api_shared_attach(struct api_shared *s, struct store *store)
{
    ASSERT(s->store == NULL && store != NULL);
    s->store = store;
}

const char *api_durability(const struct api_shared *s)
{
    /* relaxed: a text that never changes; which one it is now is all that is asked */
    return atomic_load_explicit(&s->store->durability, memory_order_relaxed);
}

void api_shared_drain(struct api_shared *s)
{
    /* release: who sees the flag sees what was written before it */
    atomic_store_explicit(&s->is_draining, true, memory_order_release);
}

void api_shared_fini(struct api_shared *s)
{
    if (s->series != NULL) {
        (void)pthread_mutex_destroy(&s->scrape_mutex);
        api_series_free(s->series);
        s->series = NULL;
    }
}

/* ---- loop ---- */

enum err api_loop_init(struct api_loop *l, struct api_shared *shared, struct store_sink *sink,
                       struct metrics_shard *shard)
{
    struct api_loop loop = {.shared = shared, .sink = sink, .shard = shard};
    enum err e = prng_secret(&loop.random.state, sizeof(loop.random.state));

    ASSERT(shared->store != NULL);
    if (e != ERR_OK) {
        return e;
    }
    e = api_digest_init(&loop.digest);
    if (e != ERR_OK) {
        return e;
    }
    buf_init(&loop.body, API_BODY_BYTES_MAX);
    e = buf_reserve(&loop.body, API_BODY_BYTES_RESERVED);
    if (e != ERR_OK) {
        api_digest_fini(&loop.digest);
        return e;
    }
    *l = loop;
    return ERR_OK;
}

unsigned api_loop_busy(const struct api_loop *l)
{
    return l->busy_count;
}

void api_loop_fini(struct api_loop *l)
{
    api_calls_free(l);
    api_digest_fini(&l->digest);
    buf_fini(&l->body);
}

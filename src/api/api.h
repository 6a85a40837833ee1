/*
 * The API: JSON and headers on one side, postings and outcomes on the other. One file a resource; this is what the
 * server needs to put it between http and a store.
 *
 * In order: api_shared_init (declares every metric) - the store is opened - api_shared_attach - for each loop
 * api_loop_init, http_server_new with api_routes and api_callbacks, and store_flush at the end of each turn and
 * store_drain after each wake-up of the loop's sink. At the end, for each loop: http_server_stop, drain until
 * api_loop_busy is 0, api_loop_fini.
 */
#ifndef API_API_H
#define API_API_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/idempotency.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/prng.h"
#include "http/http.h"
#include "ledger/types.h"
#include "log/log.h"
#include "metrics/metrics.h"
#include "money/currency.h"
#include "store/store.h"

enum {
    API_REQUEST_BODY_BYTES_MAX = 16 * 1024,
    API_BODY_BYTES_MAX =
        2 * 1024 * 1024, /* the largest answer: a page of accounts with their metadata */
    API_BODY_BYTES_RESERVED =
        16 * 1024, /* held by each loop, so that the answer to a write needs no memory */
    API_METRICS_BYTES_MAX = 4 * 1024 * 1024, /* of one scrape */
    API_CALLS_MAX = 32 * 1024, /* operations of one loop in work at once; more: STORE_UNAVAILABLE */
    API_SLOW_US = 100 * 1000,  /* slower requests are logged */
    API_PAGE_DEFAULT = 50,     /* entries or accounts a page without `limit` */
};

struct api_options {
    struct currency default_currency; /* what is opened where no currency is asked for; not 0 */
    enum ledger_language default_language; /* where Accept-Language chooses none */
    bool auto_create;                      /* the first credit opens an account */
    bool access_log;                       /* one line a request */
    bool (*is_ready)(void *ctx); /* one more readiness check, called on any loop; NULL: none */
    void *is_ready_ctx;
};

struct api_series; /* the metrics' numbers */

/** One a process. Thread: written before the loops start, but for is_draining; then read by all. */
struct api_shared {
    struct api_options options;
    struct store *store;       /* borrowed */
    struct metrics *metrics;   /* borrowed */
    struct api_series *series; /* owned */
    atomic_bool is_draining;
    struct log_limit failed_limit;
    struct log_limit slow_limit;
    pthread_mutex_t scrape_mutex; /* metrics_render is for one at a time */
};

struct api_call;

/** One a loop. Thread: its loop. */
struct api_loop {
    struct api_shared *shared; /* borrowed, like the next two */
    struct store_sink *sink;
    struct metrics_shard *shard; /* NULL: counts nothing */
    struct prng random;          /* for generated account ids */
    struct api_digest digest;
    struct api_call *idle_calls; /* a pool: calls that are not in work */
    unsigned call_count;         /* calls there are */
    unsigned busy_count;         /* of them in work, late ones included */
    struct buf body;             /* what is being rendered */
};

/**
 * Prepare what all loops share, and declare every series there will be.
 *
 * Owns:    borrows metrics until api_shared_fini; options are copied.
 * Errors:  ERR_NOMEM.
 * Thread:  start-up, before the first metrics shard is made.
 */
MUST_CHECK enum err api_shared_init(struct api_shared *s, const struct api_options *options,
                                    struct metrics *metrics);

/** Name the store, once, before the first loop. Owns: borrowed until api_shared_fini. */
void api_shared_attach(struct api_shared *s, struct store *store);

/** From now on /readyz answers 503; everything else goes on. Thread: any. */
void api_shared_drain(struct api_shared *s);

void api_shared_fini(struct api_shared *s);

/**
 * Prepare one loop's part.
 *
 * Owns:    borrows shared, sink and shard until api_loop_fini.
 * Errors:  ERR_NOMEM; ERR_IO where the kernel gives no random bytes.
 * Thread:  the loop's, or start-up before it runs.
 */
MUST_CHECK enum err api_loop_init(struct api_loop *l, struct api_shared *shared,
                                  struct store_sink *sink, struct metrics_shard *shard);

/** Operations that have not come back from the store; some of them may have been answered for (504) long ago. */
unsigned api_loop_busy(const struct api_loop *l);

/** Free it; api_loop_busy must be 0. */
void api_loop_fini(struct api_loop *l);

/** Every route there is, for http_options and for the test that holds docs/openapi.yaml equal to them. Thread: any. */
const struct http_route *api_routes(unsigned *count);

/** The callbacks for a server on this loop; their ctx, which the handlers get too, is the loop itself. */
struct http_callbacks api_callbacks(struct api_loop *l);

#endif

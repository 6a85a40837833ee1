#include "server/gauges.h"

#include "base/assert.h"

/* A scrape comes through a loop, so the store is open and all loops are there. Thread: the loop that is scraped. */
static int64_t in_flight(void *ctx)
{
    return service_in_flight(ctx);
}

static int64_t connections(void *ctx)
{
    return service_connections(ctx);
}

static struct embedded_stats stats(void *ctx)
{
    const struct service *s = ctx;
    struct embedded_stats now;

    embedded_stats(s->store, &now);
    return now;
}

static struct redis_stats redis_now(void *ctx)
{
    const struct service *s = ctx;
    struct redis_stats now;

    redis_stats(s->store, &now);
    return now;
}

static int64_t redis_open_count(void *ctx)
{
    return (int64_t)redis_now(ctx).connections_open;
}

static int64_t redis_active(void *ctx)
{
    return (int64_t)redis_now(ctx).connections_active;
}

static int64_t redis_idle(void *ctx)
{
    return (int64_t)redis_now(ctx).connections_idle;
}

static int64_t redis_queued(void *ctx)
{
    return (int64_t)redis_now(ctx).calls_queued;
}

static int64_t redis_in_flight(void *ctx)
{
    return (int64_t)redis_now(ctx).calls_in_flight;
}

static int64_t redis_used_memory(void *ctx)
{
    return (int64_t)redis_now(ctx).used_memory;
}

static int64_t redis_max_memory(void *ctx)
{
    return (int64_t)redis_now(ctx).max_memory;
}

static int64_t redis_replicas(void *ctx)
{
    return (int64_t)redis_now(ctx).replicas;
}

static int64_t inbox_depth(void *ctx)
{
    return (int64_t)stats(ctx).inbox_depth;
}

static int64_t accounts(void *ctx)
{
    return (int64_t)stats(ctx).accounts;
}

static int64_t idempotency_records(void *ctx)
{
    return (int64_t)stats(ctx).idempotency_records;
}

static int64_t journal_seq(void *ctx)
{
    return (int64_t)stats(ctx).seq;
}

static int64_t wal_bytes(void *ctx)
{
    return (int64_t)stats(ctx).wal_bytes;
}

static int64_t store_up(void *ctx)
{
    const struct service *s = ctx;

    return store_health(s->store) == STORE_HEALTHY ? 1 : 0;
}

static int64_t connections_max(void *ctx)
{
    const struct service *s = ctx;

    return (int64_t)s->connections_max;
}

struct gauge {
    const char *name, *help, *labels;
    int64_t (*ask)(void *ctx);
};

static enum err declare(struct service *s, const struct gauge *gauges, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        enum err e = metrics_asked(s->metrics, gauges[i].name, gauges[i].help, gauges[i].labels, 0,
                                   gauges[i].ask, s);
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

#define POOL "wallet_redis_pool_connections"
#define POOL_HELP \
    "Connections to Redis: open, with requests in flight (active), without (idle); and requests that wait for one (queued)."

enum err gauges_declare(struct service *s)
{
    static const struct gauge common[] = {
        {"http_requests_in_flight", "Requests being worked on.", "", in_flight},
        {"http_connections", "Connections open.", "", connections},
        {"http_connections_max", "Connections that may be open at once.", "", connections_max},
        {"wallet_store_up", "1 where the store can be written to.", "", store_up},
    };
    static const struct gauge embedded[] = {
        {"wallet_inbox_depth", "Operations that wait for the writer.", "", inbox_depth},
        {"wallet_accounts", "Accounts in the ledger, those of the system left out.", "", accounts},
        {"wallet_idempotency_records", "Idempotency keys that are remembered.", "",
         idempotency_records},
        {"wallet_journal_seq", "Number of the journal's last record.", "", journal_seq},
        {"wallet_wal_bytes", "Size of the write-ahead log.", "", wal_bytes},
    };
    static const struct gauge redis[] = {
        {"wallet_inbox_depth", "Operations that wait for a connection to Redis.", "", redis_queued},
        {POOL, POOL_HELP, "state=\"open\"", redis_open_count},
        {POOL, POOL_HELP, "state=\"active\"", redis_active},
        {POOL, POOL_HELP, "state=\"idle\"", redis_idle},
        {POOL, POOL_HELP, "state=\"queued\"", redis_queued},
        {"wallet_redis_in_flight", "Requests sent to Redis that have no answer yet.", "",
         redis_in_flight},
        {"wallet_redis_used_memory_bytes", "Memory that Redis uses, as it last said.", "",
         redis_used_memory},
        {"wallet_redis_max_memory_bytes", "Memory that Redis may use; 0: no limit.", "",
         redis_max_memory},
        {"wallet_redis_replicas", "Replicas that the master has, as it last said.", "",
         redis_replicas},
    };
    enum err e = declare(s, common, ARRAY_LEN(common));

    if (e != ERR_OK) {
        return e;
    }
    return s->choice->is_redis ? declare(s, redis, ARRAY_LEN(redis))
                               : declare(s, embedded, ARRAY_LEN(embedded));
}

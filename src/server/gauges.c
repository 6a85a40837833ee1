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

enum err gauges_declare(struct service *s)
{
    static const struct {
        const char *name, *help;
        int64_t (*ask)(void *ctx);
    } gauges[] = {
        {"http_requests_in_flight", "Requests being worked on.", in_flight},
        {"http_connections", "Connections open.", connections},
        {"http_connections_max", "Connections that may be open at once.", connections_max},
        {"wallet_inbox_depth", "Operations that wait for the writer.", inbox_depth},
        {"wallet_accounts", "Accounts in the ledger, those of the system left out.", accounts},
        {"wallet_idempotency_records", "Idempotency keys that are remembered.", idempotency_records},
        {"wallet_journal_seq", "Number of the journal's last record.", journal_seq},
        {"wallet_store_up", "1 where the store can be written to.", store_up},
        {"wallet_wal_bytes", "Size of the write-ahead log.", wal_bytes},
    };

    for (unsigned i = 0; i < ARRAY_LEN(gauges); i++) {
        enum err e =
            metrics_asked(s->metrics, gauges[i].name, gauges[i].help, "", 0, gauges[i].ask, s);
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

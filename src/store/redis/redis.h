/* The Redis store: the same ledger in a Redis that several instances share; one atomic function call a posting. */
#ifndef STORE_REDIS_REDIS_H
#define STORE_REDIS_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "metrics/metrics.h"
#include "store/redis/url.h"
#include "store/store.h"

enum {
    REDIS_POOL_ACTIVE = 100, /* connections at most, over all loops */
    REDIS_POOL_IDLE = 50,
    REDIS_DEPTH = 16, /* requests in flight on one connection */
    REDIS_DEPTH_MAX = 1024,
    REDIS_BUCKETS = 4096, /* of a new ledger; an old one says itself how many it has */
};

/** What an answered write is worth, from the weakest to the strongest. The texts are those of Wallet-Durability. */
enum redis_durability {
    REDIS_MEMORY,       /* "memory": no append-only file */
    REDIS_AOF_EVERYSEC, /* "aof-everysec" */
    REDIS_ASYNC_REPLICATED, /* "async-replicated": fsync on the master, but a fail-over may lose what no replica has yet */
    REDIS_FSYNC, /* "fsync": one node, append-only file synced before each answer, nobody fails over */
    REDIS_REPLICATED, /* "replicated": synced, and every replica has it before the answer (WAIT) */
};
const char *redis_durability_text(enum redis_durability d);

struct redis_series; /* the metrics' numbers: metrics.h of this room */

struct redis_options {
    struct redis_url url; /* where, who, TLS */
    struct redis_tls_files {
        const char *ca, *cert, *key; /* files; NULL or "": the system's roots, no client certificate */
    } tls;
    unsigned loops; /* how many will attach: each gets its share of the pool */
    unsigned pool_active, pool_idle, depth;
    uint64_t pool_idle_us;  /* 5 min */
    uint64_t op_timeout_us; /* 2 s: of one operation, all tries together */
    uint32_t inbox_max;     /* operations of one loop that wait for a place in the pool */
    uint64_t idempotency_ttl_us;
    uint64_t keys_a_second; /* expected keyed requests, for the memory budget; 0: no budget is checked */
    bool is_synchronous; /* WAIT for the replicas before each answer */
    uint64_t wait_timeout_us;
    bool has_required; /* --require-durability */
    enum redis_durability required;
    bool may_load;           /* may load wallet.lua where it is missing or other */
    unsigned buckets;        /* for a new ledger; 0: REDIS_BUCKETS */
    struct metrics *metrics; /* redis_metrics was called on it; NULL: none */
    struct redis_series *series;
};

/**
 * Connect, check the server (version, eviction policy, persistence, rights, clock, functions, the ledger's own marks), and
 * start the control thread. Returns when it is ready to serve.
 *
 * Owns:    *out is the caller's, closed by store_close after every loop has detached; options are copied.
 * Errors:  ERR_INVALID what the server is or holds forbids it; *why says what and how to mend it;
 *          ERR_IO      it cannot be reached; ERR_UNSUPPORTED another version's ledger; ERR_NOMEM.
 * Thread:  start-up; blocks, some seconds at most.
 */
MUST_CHECK enum err redis_open(const struct redis_options *options, struct store **out,
                               struct err_text *why);

/** Numbers of now, for gauges and the start-up line. Thread: any. */
struct redis_stats {
    uint64_t connections_open, connections_active, connections_idle, calls_queued, calls_in_flight;
    uint64_t used_memory, max_memory; /* as the server last said */
    unsigned replicas;
    bool is_master_known;
    uint64_t open_us;
    char address[272]; /* of the master, host:port */
};
void redis_stats(struct store *s, struct redis_stats *out);

#endif

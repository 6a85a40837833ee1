/* Judges a server by what it said of itself: what its answers are worth, what forbids to use it, what is worth a warning. Pure. */
#ifndef STORE_REDIS_CHECK_H
#define STORE_REDIS_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "store/redis/redis.h"
#include "store/store.h"

enum {
    CHECK_IDEM_KEY_BYTES = 220, /* memory of one idempotency key, as measured: key, value, expiry */
    CHECK_WARNINGS_MAX = 16,
    CHECK_CLOCK_WARN_US = 1000000,
    CHECK_CLOCK_REFUSE_US = 30000000,
    CHECK_CLIENTS_SPARE =
        32, /* connections a server should have left for others: replicas, sentinels, operators */
    CHECK_WORD_BYTES_MAX = 64,
    CHECK_REPLICAS_MAX = 8, /* whose addresses are kept */
};

enum check_role { CHECK_NO_ROLE, CHECK_MASTER, CHECK_REPLICA };
enum check_fsync { CHECK_FSYNC_UNKNOWN, CHECK_FSYNC_NO, CHECK_FSYNC_EVERYSEC, CHECK_FSYNC_ALWAYS };

/** What a server said: INFO, and CONFIG GET where it may be asked. */
struct check_facts {
    char version[CHECK_WORD_BYTES_MAX], run_id[CHECK_WORD_BYTES_MAX], policy[CHECK_WORD_BYTES_MAX];
    enum check_role role;
    uint64_t is_cluster, is_loading, is_async_loading; /* 0 or 1 */
    uint64_t used_memory, max_memory, uncounted_memory, evicted_keys, max_clients;
    uint64_t has_aof;                                       /* 0 or 1 */
    bool is_aof_write_bad, is_aof_rewrite_bad, is_save_bad; /* the last one failed */
    unsigned connected;     /* replicas in any state: a fail-over may be meant */
    unsigned replicas;      /* of these in step: state=online, and has acknowledged something */
    unsigned replica_count; /* of replica_at: those whose address the master said */
    struct redis_address replica_at[CHECK_REPLICAS_MAX];
    uint64_t is_read_only; /* 0 or 1: a replica's own replica-read-only */
    bool has_config;       /* CONFIG GET answered, so the rest is known */
    enum check_fsync fsync;
    bool is_fsync_off_on_rewrite;
    uint64_t min_replicas, busy_ms, idle_timeout_s;
    uint64_t good_replicas;             /* what min_replicas is compared with */
    bool has_saves, is_stopped_by_save; /* there are snapshots; one that fails stops writes */
};

/** Read the answer of INFO into *facts; what it does not say stays as it was. Errors: ERR_INVALID it is no INFO of a Redis. Thread: any; pure; so all of these. */
MUST_CHECK enum err check_info(struct check_facts *facts, struct slice info);

/** Read one pair of CONFIG GET. */
void check_config(struct check_facts *facts, struct slice name, struct slice value);

/** What an answered write is worth there: never more than is certain. */
enum redis_durability check_durability(const struct check_facts *facts,
                                       const struct redis_options *options);

/** The memory that idempotency keys will take: keys a second x time to live x CHECK_IDEM_KEY_BYTES; UINT64_MAX where that is beyond counting. */
uint64_t check_budget(const struct redis_options *options);

/**
 * May the service start on it?
 *
 * Errors:  ERR_INVALID, *why says what forbids it, with the setting to change; ERR_UNSUPPORTED it is a kind of server that is
 *          not served yet.
 */
MUST_CHECK enum err check_start(const struct check_facts *facts,
                                const struct redis_options *options, struct err_text *why);

/** The health that the facts alone give while it runs; *why says why it is not STORE_HEALTHY. */
enum store_health check_health(const struct check_facts *facts, const struct redis_options *options,
                               struct err_text *why);

struct check_warnings {
    unsigned count;
    struct check_warning {
        const char *setting; /* static: which setting it is about; at most one warning each */
        char text[256];
    } items[CHECK_WARNINGS_MAX];
};

/** All that is worth a warning. Units: clock_offset_us the server's clock less ours. */
void check_warn(const struct check_facts *facts, const struct redis_options *options,
                const char *host, int64_t clock_offset_us, struct check_warnings *out);

/** Is a numeric address one of this machine alone? */
bool check_is_loopback(const char *host);

#endif

/* What the control thread tells the lanes, what lanes tell it, and what both need to know. */
#ifndef STORE_REDIS_SHARED_H
#define STORE_REDIS_SHARED_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "log/log.h"
#include "metrics/metrics.h"
#include "store/redis/names.h"
#include "store/redis/redis.h"
#include "store/redis/wire.h"

enum {
    SHARED_LANES_MAX = 65,   /* 64 loops and the control thread's own */
    SHARED_EPOCH_BYTES = 16, /* hexadecimal digits */
    SHARED_SEQ_FIRST =
        3 /* a journal that ends here has just begun: one posting may write so many records */
};

/** Series numbers; METRICS_NONE where nobody counts. */
struct redis_series {
    uint32_t command_seconds[WIRE_COMMAND_COUNT]; /* wallet_redis_command_duration_seconds{command} */
    uint32_t reconnects, redirects, ambiguous, late_replies, not_sent;
    uint32_t closes[6]; /* wallet_redis_closes_total{reason}: enum wire_close */
};

enum wire_close { CLOSE_IDLE, CLOSE_PEER, CLOSE_STALLED, CLOSE_PROTOCOL, CLOSE_SWITCH, CLOSE_END };

struct tls_context;

struct redis_shared {
    struct redis_options options; /* never changes once it is open */
    struct redis_series series;
    unsigned buckets;
    char epoch[SHARED_EPOCH_BYTES + 1]; /* of w:meta: whose ledger this is; "": lanes do not ask */
    struct tls_context *tls;            /* NULL: plain */
    char instance[48];                  /* mywallet-<8 hex>: the name of our connections */

    /* the master: written by control under mutex, then generation rises; a lane that sees another generation closes its connections in order */
    pthread_mutex_t mutex;
    struct redis_address target;                /* a numeric address */
    char target_name[REDIS_HOST_BYTES_MAX + 1]; /* the name to verify in TLS */
    atomic_uint generation;                     /* 0: none known yet */

    atomic_int health;               /* enum store_health; set by control */
    atomic_int durability;           /* enum redis_durability; set by control */
    atomic_uint replicas;            /* how many WAIT must count in synchronous mode */
    _Atomic int64_t clock_offset_us; /* server's clock - ours */
    atomic_bool has_half; /* a lane met a posting that ended in the middle: nothing is written any more */
    atomic_bool needs_look; /* a lane met READONLY, a lost connection, a missing function: control should look now */
    uv_async_t *control_wake; /* control's; NULL before it runs and after it ended (then under mutex) */

    /* what each lane counts, for gauges; relaxed */
    struct shared_lane {
        atomic_uint open, active, queued, in_flight;
    } lanes[SHARED_LANES_MAX];
    atomic_uint lane_count;

    /* the newest seq known of each bucket: after a reconnect a lower one means that acknowledged work is gone */
    _Atomic uint64_t high_water[NAMES_BUCKETS_MAX];
};

/**
 * Prepare: options copied, no master known, series METRICS_NONE where the options bring none, a name for our connections.
 *
 * Owns:    what the options point to stays the caller's, until shared_fini.
 * Errors:  ERR_NOMEM; ERR_IO the kernel has no random numbers.
 * Thread:  start-up, as shared_fini.
 */
MUST_CHECK enum err shared_init(struct redis_shared *s, const struct redis_options *options);
void shared_fini(struct redis_shared *s);

/** Ask control to look at the server now; one that is asked and has not begun (by clearing needs_look) is not woken again. Thread: any. */
void shared_ask_look(struct redis_shared *s);

/** Remember that a bucket's journal had reached seq. One that begins again is a reason to look: the server was emptied. Thread: any. */
void shared_saw(struct redis_shared *s, unsigned bucket, uint64_t seq);

/** The server's clock now, as well as it is known, µs since the epoch. Thread: any. */
int64_t shared_server_now(const struct redis_shared *s);

#endif

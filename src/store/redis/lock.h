/*
 * The one lock between instances: a lease with an owner's token and a fence. For imports, migrations and background jobs; never
 * for money, whose functions are their own critical section. See docs/locks.md.
 *
 * The lease says who should work; the fence decides whose work counts. A holder stops by itself (lock_is_held) before the lease
 * can have run out, and sends its fence with each effect: the function that does the effect refuses one that is older than the
 * newest it has seen.
 */
#ifndef STORE_REDIS_LOCK_H
#define STORE_REDIS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
    LOCK_NAME_BYTES_MAX = 32,
    LOCK_KEY_BYTES_MAX = LOCK_NAME_BYTES_MAX + 8,
    LOCK_TOKEN_BYTES = 32, /* hex */
    LOCK_FENCE_BYTES_MAX = 16,
    LOCK_TTL_MS_MAX = 60 * 60 * 1000,
};

struct sync;

struct lock {
    char key[LOCK_KEY_BYTES_MAX];       /* w:l:<name>: who holds it */
    char fence_key[LOCK_KEY_BYTES_MAX]; /* w:f:<name>: the newest fence given */
    char token[LOCK_TOKEN_BYTES + 1];   /* of this holder, random */
    char fence[LOCK_FENCE_BYTES_MAX + 1]; /* decimal; "" before it was first held. Goes with each effect */
    uint32_t ttl_ms, op_timeout_ms;
    uint64_t until_us; /* monotonic; no work from here on. 0: not held */
};

/**
 * Make a holder of the lock `name` ([a-z0-9-], 1 to LOCK_NAME_BYTES_MAX bytes); asks nobody yet.
 *
 * Units:   ttl_ms of the lease, more than twice op_timeout_ms, the longest that one call on the connection takes.
 * Errors:  ERR_RANGE, ERR_INVALID (name), ERR_IO (no random numbers).
 * Thread:  its owner's, so all of these.
 */
MUST_CHECK enum err lock_init(struct lock *l, struct slice name, uint32_t ttl_ms,
                              uint32_t op_timeout_ms);

/**
 * Take it, for ttl_ms. Asked again by the same holder (after a timeout, say) it answers with the same fence.
 *
 * Errors:  ERR_BUSY another one holds it; ERR_INVALID the server refuses us (*why); ERR_CORRUPT what stands there is no lock;
 *          ERR_IO, ERR_TIMEOUT: not known: ask again on a new connection, or let it run out; ERR_NOMEM.
 */
MUST_CHECK enum err lock_acquire(struct lock *l, struct sync *s, struct err_text *why);

/** Hold it for another ttl_ms. Errors: ERR_NOT_FOUND it is not ours any more: stop; else as lock_acquire, and what was held still is, for as long as it was. */
MUST_CHECK enum err lock_renew(struct lock *l, struct sync *s, struct err_text *why);

/** Give it back; it is not held any more, whatever comes back. Errors: ERR_NOT_FOUND it was not ours any more; else as lock_acquire. */
MUST_CHECK enum err lock_release(struct lock *l, struct sync *s, struct err_text *why);

/** May the holder still work? False from ttl less two calls' time on, counted from before the last acquire or renew was sent. Units: monotonic µs (clock_mono_us). Thread: its owner's; pure. */
bool lock_is_held(const struct lock *l, uint64_t now_mono_us);

#endif

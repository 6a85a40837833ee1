/* One event loop on a thread of its own: its listening socket, its part of the API, its sink at the store. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "api/api.h"
#include "base/err.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "store/store.h"

struct loop; /* opaque */

struct loop_options {
    unsigned index; /* for the thread's name */
    int listen_fd;
    uint32_t connections_max;    /* of this loop */
    const struct config *config; /* borrowed for the call */
    struct api_shared *shared;   /* borrowed, with its store attached; like the next two */
    struct store *store;
    struct metrics *metrics;
    void (*on_done)(void *ctx); /* the loop has ended, because it was told to stop; called on its thread */
    void *on_done_ctx;
};

enum loop_order { LOOP_RUN, LOOP_DRAIN, LOOP_STOP, LOOP_CUT }; /* each takes in those before it */

/**
 * Prepare a loop and attach it to the store; nothing is served yet.
 *
 * Owns:    takes listen_fd in any case; *out is the caller's, freed by loop_free.
 * Errors:  ERR_NOMEM, ERR_IO.
 * Thread:  start-up.
 */
MUST_CHECK enum err loop_new(const struct loop_options *options, struct loop **out);

/** Start its thread. Errors: ERR_NOMEM. Thread: start-up. */
MUST_CHECK enum err loop_start(struct loop *l);

/** Tell it to drain, to stop or to cut; an order weaker than the last one is ignored. Thread: any, until loop_free. */
void loop_tell(struct loop *l, enum loop_order order);

/** Wait for the end of a loop that called on_done; one that was never started is none. */
void loop_join(struct loop *l);

/**
 * Free a loop that is not running. One that ran has given itself back to the store; it is freed only after store_close: a thread
 * of the store may be about to wake the sink of a loop that has long had what it was to be woken for. One that never ran is freed
 * before store_close.
 */
void loop_free(struct loop *l);

/** For gauges. Thread: any. */
unsigned loop_in_flight(const struct loop *l);
unsigned loop_connections(const struct loop *l);

#endif

/* Everything one running service consists of, in the order in which it is opened. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "api/api.h"
#include "config/config.h"
#include "metrics/metrics.h"
#include "server/choice.h"
#include "server/loop.h"
#include "server/watch.h"
#include "store/embedded/embedded.h"
#include "store/redis/metrics.h"
#include "store/redis/shared.h"

enum { SERVICE_LOOPS_MAX = 64 };

/** Thread: main, but for what says otherwise. */
struct service {
    const struct config *config; /* borrowed, like choice */
    const struct choice *choice;
    struct watch watch;
    struct metrics *metrics;
    struct embedded_metrics series; /* one of these two, by choice */
    struct redis_series redis_series;
    struct api_shared shared;
    unsigned loop_count;
    uint64_t connections_max;
    int fds[SERVICE_LOOPS_MAX]; /* listening; -1: a loop has taken it */
    uint16_t port;
    struct store *store;
    struct loop *loops[SERVICE_LOOPS_MAX];
    pthread_t task;           /* opens or closes the store, so that main hears signals meanwhile */
    enum err open_err;        /* the task's, to be read once is_task_done */
    struct err_text open_why; /* likewise */
    atomic_bool is_task_done; /* set by the task; release and acquire, for what it wrote */
    atomic_uint loops_left;   /* counted down by the loops; relaxed: joining them is what orders */
    atomic_bool is_fatal;     /* set by a thread of the store; relaxed: it guards nothing */
};

/**
 * Declare the metrics and take the port; nothing on disk is touched.
 *
 * Owns:    borrows config and choice; *s is freed by service_fini.
 * Errors:  ERR_INVALID an address that is none; ERR_BUSY the port is taken; ERR_IO, ERR_NOMEM. *why says which; *s is then
 *          the zero value.
 */
MUST_CHECK enum err service_init(struct service *s, const struct config *config,
                                 const struct choice *choice, struct currency default_currency,
                                 struct err_text *why);

/** Start opening or closing the store on the task's thread; watch_poke and is_task_done tell the end. Errors: ERR_NOMEM. */
MUST_CHECK enum err service_open_store(struct service *s);
MUST_CHECK enum err service_close_store(struct service *s);

/** Join the task, which has said it is done. */
void service_end_task(struct service *s);

/** Make the loops and start them. Errors: ERR_NOMEM, ERR_IO; those that run are then stopped and joined. */
MUST_CHECK enum err service_start_loops(struct service *s);

/** Tell all loops. */
void service_tell(struct service *s, enum loop_order order);

/** Wait for the ends of the loops, all of which are done. */
void service_join_loops(struct service *s);

/** Sums over the loops. */
unsigned service_in_flight(const struct service *s);
unsigned service_connections(const struct service *s);

/** Free everything but the store, which is closed or was never opened. No loop may be running. */
void service_fini(struct service *s);

#endif

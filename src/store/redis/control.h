/* The control thread: finds the master, checks it, loads the functions, keeps looking, tells the lanes. */
#ifndef STORE_REDIS_CONTROL_H
#define STORE_REDIS_CONTROL_H

#include "base/err.h"
#include "store/redis/shared.h"

struct control;

/**
 * Find the server (by Sentinel where the URL says so), run every start-up check, load the functions and the ledger's marks
 * (w:meta), then start the thread that goes on looking: every 10 s, and at once when a lane asks.
 *
 * Fills shared->target, generation, buckets, durability, replicas, clock offset, health.
 * Errors:  as redis_open.
 * Thread:  start-up; blocks.
 */
MUST_CHECK enum err control_start(struct redis_shared *shared, struct control **out,
                                  struct err_text *why);

/** What the server last said. Thread: any. */
void control_stats(struct control *c, struct redis_stats *out);

/** End the thread and free it. Thread: start-up's. */
void control_stop(struct control *c);

#endif

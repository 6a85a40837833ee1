/* The numbers that the Redis store counts: wallet_redis_*. */
#ifndef STORE_REDIS_METRICS_H
#define STORE_REDIS_METRICS_H

#include "base/err.h"
#include "metrics/metrics.h"
#include "store/redis/shared.h"

/** Declare the series of a store. Errors: ERR_NOMEM. Thread: start-up, before the first shard. */
MUST_CHECK enum err redis_metrics(struct metrics *m, struct redis_series *out);

#endif

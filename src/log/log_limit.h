/* The token bucket behind log_write_limited, with time as an argument. */
#ifndef LOG_LOG_LIMIT_H
#define LOG_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "log/log.h"

/**
 * Take one token. On true *dropped is how many events were refused since the last one that passed.
 *
 * Units:   now_us is monotonic, in µs; an older value than another thread's costs nothing but a little fairness.
 * Returns: whether the event may be written; a refusal is counted and leaves *dropped alone.
 * Thread:  any; never blocks.
 */
bool log_limit_take(struct log_limit *limit, uint64_t now_us, uint64_t *dropped);

#endif

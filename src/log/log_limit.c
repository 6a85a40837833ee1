#include "log/log_limit.h"

#include "base/assert.h"

enum {
    TOKEN_US = 1000000 / LOG_PER_SECOND,
    AHEAD_US_MAX = (LOG_BURST - 1) * TOKEN_US,
};

/*
 * limit->state is the moment at which the bucket will be full again (GCRA): one number says everything, so that
 * one compare-and-swap takes a token. It lies at most AHEAD_US_MAX + TOKEN_US in the future. Relaxed order is
 * enough throughout: the two numbers guard no other memory.
 */
bool log_limit_take(struct log_limit *limit, uint64_t now_us, uint64_t *dropped)
{
    uint64_t full_us;
    uint64_t start_us;

    ASSERT(limit != NULL && dropped != NULL);
    full_us = __atomic_load_n(&limit->state, __ATOMIC_RELAXED);
    do {
        start_us = full_us > now_us ? full_us : now_us;
        if (start_us - now_us > AHEAD_US_MAX) {
            (void)__atomic_add_fetch(&limit->dropped, 1, __ATOMIC_RELAXED);
            return false;
        }
    } while (!__atomic_compare_exchange_n(&limit->state, &full_us, start_us + TOKEN_US, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    *dropped = __atomic_exchange_n(&limit->dropped, 0, __ATOMIC_RELAXED);
    return true;
}

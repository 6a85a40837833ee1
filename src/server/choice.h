/* Which store the configuration asks for: the data folder's, or Redis with all that is to be known of it. */
#ifndef SERVER_CHOICE_H
#define SERVER_CHOICE_H

#include <stdbool.h>

#include "base/err.h"
#include "config/config.h"
#include "store/redis/redis.h"

struct choice {
    bool is_redis;
    struct redis_options redis; /* is_redis; its texts are the configuration's */
};

/**
 * Judge what the configuration says of the store.
 *
 * Owns:    *out borrows config. metrics and series are left to who has them.
 * Errors:  ERR_INVALID, *why names the key, what is wrong with it and how to mend it; never a password.
 * Thread:  any.
 */
MUST_CHECK enum err choice_make(const struct config *config, struct choice *out,
                                struct err_text *why);

#endif

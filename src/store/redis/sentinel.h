/* Asks the sentinels who the master is. */
#ifndef STORE_REDIS_SENTINEL_H
#define STORE_REDIS_SENTINEL_H

#include "base/err.h"
#include "store/redis/url.h"

struct sync;
struct tls_context;

enum { SENTINEL_TIMEOUT_MS = 200 /* of one sentinel */ };

/** The sentinel that answered last, to whom the line stays open. The zero value is a good one. */
struct sentinel {
    struct sync *line;
    unsigned at; /* of url->addresses */
};

/**
 * Ask the sentinels in turn, the one that answered last first, each for SENTINEL_TIMEOUT_MS at most. What they say is a
 * hint: whether that server is a master says only itself.
 *
 * User and password are the server's; a sentinel that refuses them is asked once more without.
 *
 * Errors:  ERR_NOT_FOUND some answered, none knows the master's name; ERR_IO none answered; ERR_NOMEM; *why.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err sentinel_ask(struct sentinel *s, const struct redis_url *url,
                                 struct tls_context *tls, const char *name,
                                 struct redis_address *out, struct err_text *why);

/** Ask the next one first, the next time. */
void sentinel_next(struct sentinel *s, const struct redis_url *url);

/** Close the line. */
void sentinel_close(struct sentinel *s);

#endif

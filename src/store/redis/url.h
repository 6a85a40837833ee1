/* REDIS_ADDR: where the Redis is, in the forms that people write. */
#ifndef STORE_REDIS_URL_H
#define STORE_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum {
    REDIS_HOST_BYTES_MAX = 255,
    REDIS_SECRET_BYTES_MAX = 255,
    REDIS_SENTINELS_MAX = 16,
};

struct redis_address {
    char host[REDIS_HOST_BYTES_MAX + 1]; /* a name or an address; IPv6 without brackets */
    uint16_t port;
};

struct redis_url {
    bool is_tls, is_sentinel;
    struct redis_address addresses[REDIS_SENTINELS_MAX]; /* one server, or the sentinels */
    unsigned address_count;
    char master_name[128];                     /* sentinel */
    char user[REDIS_SECRET_BYTES_MAX + 1];     /* "": the default user */
    char password[REDIS_SECRET_BYTES_MAX + 1]; /* "": none. Never logged */
};

/**
 * host:port · redis://[user[:password]@]host[:port] · rediss://… (TLS) ·
 * redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/master-name  (rediss+sentinel:// with TLS).
 * Percent-decoding in user and password. The port is 6379, a sentinel's 26379, where none is given.
 *
 * Errors:  ERR_INVALID, *why says what, never quoting the password; ERR_UNSUPPORTED for redis+cluster://.
 * Thread:  any; pure.
 */
MUST_CHECK enum err redis_url_parse(struct slice text, struct redis_url *out, struct err_text *why);

#endif

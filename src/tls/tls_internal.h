/* What a context and its sessions share. */
#ifndef TLS_TLS_INTERNAL_H
#define TLS_TLS_INTERNAL_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include "base/err.h"

struct tls_context {
    SSL_CTX *ctx;
    bool is_server;
};

/**
 * Put `prefix: reason` into *why, the reason being the first that OpenSSL queued on this thread; empties the queue.
 *
 * Thread:  any.
 */
void tls_reason(struct err_text *why, const char *prefix);

#endif

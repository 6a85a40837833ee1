/*
 * TLS over somebody else's socket: OpenSSL with memory BIOs. Bytes from the peer go in by tls_feed, bytes for the peer come out
 * by tls_take; between them plain text is read and written. Knows no socket, no loop, no HTTP and no Redis.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct tls_context;
struct tls_session;

struct tls_options {
    bool is_server;
    const char *ca_file; /* trusted roots; NULL or "": the system's (client), no client certificates asked for (server) */
    const char *cert_file; /* chain; NULL or "": none (client only) */
    const char *key_file;
};

/**
 * Errors:  ERR_INVALID a file that cannot be used, *why says which and why; ERR_NOMEM.
 * Owns:    freed by tls_context_free, after the last of its sessions.
 * Thread:  start-up; sessions of one context may be made on any thread.
 */
MUST_CHECK enum err tls_context_new(const struct tls_options *options, struct tls_context **out,
                                    struct err_text *why);
void tls_context_free(struct tls_context *c);

/** host: the name or address that the server's certificate must be for (and SNI); NULL for a server's session. Errors: ERR_NOMEM, ERR_INVALID. Thread: its owner's, so all below. */
MUST_CHECK enum err tls_session_new(struct tls_context *c, const char *host,
                                    struct tls_session **out);
void tls_session_free(struct tls_session *s);

/** Is the handshake over? With TLS 1.3 a client is ready before the server has judged its certificate: that comes by tls_feed. */
bool tls_is_ready(const struct tls_session *s);

/**
 * Take bytes that came from the peer, go on with the handshake, append plain text to *plain (as far as there was any before an
 * error too). A stream that ends without ERR_NOT_FOUND was cut off.
 *
 * Errors:  ERR_IO        the peer broke TLS or its certificate does not hold (*why); an alert for it may stand in tls_take;
 *          ERR_NOT_FOUND the peer ended in order;
 *          ERR_FULL      plain is at its ceiling; nothing is lost: make room and feed on, 0 bytes will do;
 *          ERR_NOMEM.    All but ERR_FULL stay.
 */
MUST_CHECK enum err tls_feed(struct tls_session *s, const void *bytes, size_t len,
                             struct buf *plain, struct err_text *why);

/** Plain text for the peer; kept until the handshake is over. Errors: ERR_NOMEM, ERR_IO (broken, or after tls_end): nothing of it is ever sent. */
MUST_CHECK enum err tls_write(struct tls_session *s, const void *bytes, size_t len);

/** Append to *wire what is to be sent to the peer now (the first flight of the handshake too). Errors: ERR_FULL, ERR_NOMEM of *wire; nothing is lost. */
MUST_CHECK enum err tls_take(struct tls_session *s, struct buf *wire);

/** Say goodbye: the close_notify is then in tls_take. */
void tls_end(struct tls_session *s);

#endif

/*
 * One plain blocking connection for start-up, checks and the offline commands (verify, export, import): resolve, connect, TLS,
 * HELLO, one command, one reply, each with a deadline. Never on a loop.
 */
#ifndef STORE_REDIS_SYNC_H
#define STORE_REDIS_SYNC_H

#include "base/err.h"
#include "base/slice.h"
#include "store/redis/url.h"

struct redisReply;
struct sync;
struct tls_context;

/**
 * Connect to one address and say HELLO 2 with user and password.
 *
 * Errors:  ERR_IO, ERR_TIMEOUT, ERR_INVALID (refused: wrong password, no rights); *why.
 * Thread:  any; blocks up to timeout_ms.
 */
MUST_CHECK enum err sync_open(const struct redis_url *url, const struct redis_address *address,
                              struct tls_context *tls, const char *name, unsigned timeout_ms,
                              struct sync **out, struct err_text *why);
void sync_close(struct sync *s);

/** The numeric address that it is connected to. Errors: ERR_IO the peer is gone. */
MUST_CHECK enum err sync_peer(const struct sync *s, struct redis_address *out);

/** Send a command of argc words without waiting. */
MUST_CHECK enum err sync_send(struct sync *s, unsigned argc, const struct slice *argv);
/** The next reply; an error reply is a reply. Owns: *out is the caller's, freed by sync_free. Errors: ERR_IO, ERR_TIMEOUT, ERR_NOMEM; the connection is then of no use. */
MUST_CHECK enum err sync_next(struct sync *s, struct redisReply **out);
/** Both. */
MUST_CHECK enum err sync_call(struct sync *s, unsigned argc, const struct slice *argv,
                              struct redisReply **out);
/** Words from text: sync_say(s, &r, "CONFIG GET maxmemory-policy"). Words are separated by one space. */
MUST_CHECK enum err sync_say(struct sync *s, struct redisReply **out, const char *words);
/** Bytes that are RESP already. */
MUST_CHECK enum err sync_send_bytes(struct sync *s, struct slice bytes);
void sync_free(struct redisReply *reply);
void sync_timeout(struct sync *s, unsigned timeout_ms);

#endif

/* A posting as one FCALL, and its answer. */
#ifndef STORE_REDIS_POST_H
#define STORE_REDIS_POST_H

#include "base/buf.h"
#include "ledger/posting.h"
#include "store/store.h"

struct redisReply;

/** What became of an FCALL of `post`. */
enum post_verdict {
    POST_DONE,  /* result is filled */
    POST_STALE, /* it came after its not_after: surely not applied */
    POST_BROKEN, /* a stored value is not what it should be: nothing applied; *broken names the key */
    POST_HALF,   /* an error out of the function itself: perhaps half applied. Alarm */
};

/**
 * Append the RESP bytes of the posting's FCALL.
 *
 * Units:   not_after_us is µs since the epoch by the server's clock; ttl_us of the idempotency key.
 * Errors:  ERR_NOMEM.
 * Thread:  any; pure.
 */
MUST_CHECK enum err post_encode(struct buf *out, const struct posting *p, unsigned buckets,
                                int64_t not_after_us, uint64_t ttl_us);

/**
 * Read its reply into op->result (with op->out for memory): first answers, replays, key reuse with what differs, refusals.
 *
 * Errors:  ERR_CORRUPT a reply that wallet.lua could not have given; ERR_NOMEM.
 */
MUST_CHECK enum err post_read(const struct redisReply *reply, struct store_op *op, unsigned buckets,
                              enum post_verdict *verdict, struct slice *broken);

/**
 * Append the RESP bytes of FCALL_RO `look`: the answer that stands under the posting's key, if any. It works where memory is
 * full, so that an unknown outcome can always be settled. post_read reads its reply too, with POST_STALE for "no such key".
 */
MUST_CHECK enum err post_encode_look(struct buf *out, const struct posting *p, unsigned buckets);

#endif

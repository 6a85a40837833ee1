/* Reading Redis' replies, and writing commands of a few words: what every read needs. */
#ifndef STORE_REDIS_REPLY_H
#define STORE_REDIS_REPLY_H

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

static inline bool reply_is_text(const struct redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

static inline bool reply_is_list(const struct redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY;
}

static inline struct slice reply_text(const struct redisReply *r)
{
    return slice_make(r->str, (size_t)r->len);
}

/** A decimal number, as redis writes one: an integer reply, or a text without signs or zeros in front. Errors: ERR_CORRUPT. Thread: any; pure. */
MUST_CHECK enum err reply_u64(const struct redisReply *r, uint64_t *out);
/** The same, perhaps negative. */
MUST_CHECK enum err reply_i64(const struct redisReply *r, int64_t *out);

/** Begin a command of so many words; then each of them. Errors stick in the buffer. */
void resp_begin(struct buf *out, unsigned words);
void resp_word(struct buf *out, struct slice word);
void resp_text(struct buf *out, const char *word);
void resp_i64(struct buf *out, int64_t word);

#endif

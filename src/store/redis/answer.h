/* Small questions to a reply that everybody who talks to a server one by one asks. */
#ifndef STORE_REDIS_ANSWER_H
#define STORE_REDIS_ANSWER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/slice.h"

/** The bytes of a string, a status or an error; ptr NULL of anything else. Owns: the reply's. Thread: any; so all of these. */
static inline struct slice answer_text(const redisReply *r)
{
    const int t = r->type;

    return t == REDIS_REPLY_STRING || t == REDIS_REPLY_STATUS || t == REDIS_REPLY_ERROR
               ? slice_make(r->str, (size_t)r->len)
               : SLICE_NONE;
}

/** Is it an error that starts so? */
static inline bool answer_is_error(const redisReply *r, struct slice start)
{
    return r->type == REDIS_REPLY_ERROR && slice_starts_with(answer_text(r), start);
}

/** Put "what: the error's text" into *why; an error of ours is told as such. */
void answer_say(const redisReply *r, const char *what, struct err_text *why);

#endif

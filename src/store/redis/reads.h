/* The reads of the Redis store, each a few steps of a work: see work.h. */
#ifndef STORE_REDIS_READS_H
#define STORE_REDIS_READS_H

#include "store/redis/work.h"

void read_account(struct work *w);
void read_accounts(struct work *w);
void read_history(struct work *w);
void read_transaction(struct work *w);

/** Ask for an account's hash. */
void read_view_ask(const struct work *w, struct slice id, bool wants_metadata, struct buf *out);

/**
 * What it says. view->id and view->entries stay as they are; *metadata is set only where it was asked for and is there.
 *
 * Owns:    *metadata is in the arena.
 * Errors:  ERR_NOT_FOUND no such account; ERR_CORRUPT; ERR_NOMEM.
 */
MUST_CHECK enum err read_view_take(const struct redisReply *reply, struct account_view *view,
                                   struct arena *a, struct slice *metadata);

/** Ask how long an account's history is. */
void read_length_ask(const struct work *w, struct slice id, struct buf *out);

/** Ask for the entries of a bucket's journal of one time. */
void read_journal_ask(unsigned bucket, int64_t time_us, struct buf *out);

#endif

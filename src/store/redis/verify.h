/* The proof of a ledger in a Redis: every bucket's journal is folded, and everything else there is compared with it. */
#ifndef STORE_REDIS_VERIFY_H
#define STORE_REDIS_VERIFY_H

#include "base/err.h"
#include "store/redis/redis.h"

/** What `verify` found. */
struct redis_verify_report {
    uint64_t entries, accounts,
        keys; /* journal entries; accounts without @world; open idempotency keys */
    unsigned buckets, used_buckets, currencies;
};

/**
 * Prove a ledger: each bucket's journal is gapless and rises in time; every balance after is the running sum; each account's
 * hash, history and opening agree with its entries; @world of each bucket and currency is the sum of its legs, and each
 * currency's total is 0; a posting that touches several buckets stands in each of them alike; idempotency keys point at
 * entries; no key under w: belongs to nobody. Changes nothing.
 *
 * A service may be running on it: the journals are read up to one moment, and what moved since is followed by its entries.
 *
 * Owns:    borrows all; memory is bounded by the accounts: some 200 bytes each for those of one bucket, 8 for all others.
 * Errors:  ERR_CORRUPT with *why naming the first thing wrong; ERR_NOT_FOUND no ledger there; ERR_BUSY a half import is in it;
 *          ERR_UNSUPPORTED, ERR_IO, ERR_TIMEOUT, ERR_INVALID, ERR_NOMEM.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err redis_verify(const struct redis_url *url, const struct redis_tls_files *tls,
                                 struct redis_verify_report *report, struct err_text *why);

#endif

/*
 * A journal entry of the Redis store: what wallet.lua writes into a bucket's stream, read back. First answers, replays,
 * histories, transactions, verify and export all read the same text, so they cannot differ.
 */
#ifndef STORE_REDIS_ENTRY_H
#define STORE_REDIS_ENTRY_H

#include "base/arena.h"
#include "base/err.h"
#include "ledger/posting.h"
#include "ledger/types.h"

struct redisReply;

struct entry_leg {
    struct slice account; /* "@world" too */
    int64_t delta, held;  /* signed, minor units */
    int64_t balance;      /* after */
};

struct entry {
    enum record_kind kind;
    uint64_t seq;  /* in its bucket, 1.. */
    unsigned lead; /* the bucket of the posting's first account: the tag of its transaction id */
    int64_t time_us;
    unsigned sub; /* 0..: which of the records of that time */
    struct currency currency;
    unsigned exponent;
    unsigned leg_count;
    struct entry_leg *legs; /* in the posting's order; RECORD_OPEN: one, delta = overdraft limit. In the arena */
    struct slice reference;        /* ptr NULL: absent */
    struct slice metadata;         /* ptr NULL: absent */
    enum record_kind refused_kind; /* RECORD_REFUSAL */
    enum outcome refused_outcome;
    enum ledger_language language;
    struct slice refused_account; /* the first one of what was asked for; ptr NULL: not known any more */
};

/**
 * Read one stream entry: its id `<time_us>-<sub>` and its field-value pairs (`e`, and `r`, `m` where they are).
 *
 * Owns:    slices point into the reply; legs come from the arena.
 * Errors:  ERR_CORRUPT for anything wallet.lua could not have written; ERR_NOMEM.
 * Thread:  any; pure.
 */
MUST_CHECK enum err entry_read(struct slice id, const struct redisReply *fields, struct arena *a,
                               struct entry *out);

/** The same of a first answer, `<id> <e>`; the entry's reference and metadata are not in it. */
MUST_CHECK enum err entry_read_answer(struct slice answer, struct arena *a, struct entry *out);

/** The same of an XRANGE element [id, [field, value…]]. */
MUST_CHECK enum err entry_read_element(const struct redisReply *element, struct arena *a,
                                       struct entry *out);

/** The leg of an account, or NULL. */
const struct entry_leg *entry_leg_of(const struct entry *e, struct slice account);

/** The answer a posting got, from the entry that it left. Everything is copied into the arena. `bucket` is the entry's own. Errors: ERR_NOMEM. */
MUST_CHECK enum err entry_result(const struct entry *e, unsigned bucket, struct arena *a,
                                 struct posting_result *out);

#endif

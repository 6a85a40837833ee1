/* The pieces of verify: a bucket's ledger as its journal makes it, and what the server's keys are compared with. */
#ifndef STORE_REDIS_VERIFY_INTERNAL_H
#define STORE_REDIS_VERIFY_INTERNAL_H

#include "base/hash.h"
#include "store/redis/names.h"
#include "store/redis/offline.h"
#include "store/redis/verify.h"

enum { VERIFY_CURRENCIES_MAX = 256 };

/** An account as its bucket's journal makes it. */
struct fold_account {
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX];
    uint8_t id_len, exponent;
    uint32_t currency;
    int64_t balance, held, overdraft, created_us, updated_us;
    uint64_t version, entries, last_seq, metadata_seq;
    uint64_t metadata_hash;
    uint64_t history_hash; /* of its history's elements, chained */
};

/** @world of a bucket in one currency. */
struct fold_world {
    uint32_t currency;
    int64_t balance;
};

/** Two hashes under secret keys, summed: equal sums are equal postings. */
struct fold_sum {
    uint64_t a, b;
};

/** One bucket, folded up to `seq`. */
struct fold {
    unsigned bucket;
    uint64_t seq;
    int64_t time_us;
    unsigned sub;
    struct fold_account *accounts; /* in the order they were opened; owned */
    uint32_t *slots;               /* by id: index in accounts + 1; 0: empty. Owned */
    uint64_t account_count, account_cap, slot_count;
    uint64_t opened_hash; /* of the ids in that order, chained */
    struct fold_world worlds[VERIFY_CURRENCIES_MAX];
    unsigned world_count;
};

struct verify_total {
    uint32_t currency;
    __int128 sum; /* of all balances and all @world */
};

struct verifier {
    struct offline *o;
    struct err_text *why;
    struct redis_verify_report *report;
    struct hash_key keys[2]; /* drawn anew each time: nobody can prepare postings that hash alike */
    struct fold fold;        /* of the bucket at work */
    struct arena arena;      /* of the entry at work */
    struct buf bytes;        /* what is hashed */
    struct fold_sum *cross; /* by home bucket: 0 where each of its postings stands in all its buckets; owned */
    struct fold_sum *cross_later; /* the same of what came after the moment: not looked at; owned */
    uint64_t *ids;                /* hash of each account's id; sorted at the end. Owned */
    size_t id_count, id_cap;
    struct verify_total totals[VERIFY_CURRENCIES_MAX];
    unsigned total_count;
};

/** Forget the bucket, begin another; memory is kept. */
void fold_begin(struct fold *f, unsigned bucket);
void fold_fini(struct fold *f);

/**
 * Take the next entry of the bucket's journal.
 *
 * Errors:  ERR_CORRUPT with words in why: it contradicts the entries before it; ERR_NOMEM.
 */
MUST_CHECK enum err fold_take(struct verifier *v, const struct entry *e);

/** The account of an id, or NULL. */
struct fold_account *fold_find(const struct verifier *v, struct slice id);

/** Hash a posting as it must stand in each of its buckets. Errors: ERR_NOMEM. */
MUST_CHECK enum err fold_hash(struct verifier *v, const struct entry *e, struct fold_sum *out);

/** A chained hash: what came before, and one more. */
uint64_t fold_chain(const struct verifier *v, uint64_t before, struct slice more);

/** The text of one element of a history; returns its length. */
size_t fold_mark(enum record_kind kind, int64_t time_us, char out[24]);

/**
 * Compare the server's keys of the folded bucket with it: marks, order of opening, accounts, histories. The journal is
 * followed by `scroll` where the bucket moves on meanwhile.
 */
MUST_CHECK enum err verify_bucket_keys(struct verifier *v, struct scroll *scroll);

/** Every key under w:, one after another: does it belong to somebody, and do idempotency keys point at entries? */
MUST_CHECK enum err verify_all_keys(struct verifier *v);

/** The whole proof over a connection that is open, of a ledger that may still be marked as being imported. */
MUST_CHECK enum err verify_ledger(struct offline *o, struct redis_verify_report *report,
                                  struct err_text *why);

#endif

/*
 * The book: every account, in memory, and the one function that changes them. It is the heart of the embedded store and
 * the oracle for every other one. Deterministic: time enters as data; no clock, no I/O, and no allocation in apply.
 *
 * A batch: for each posting book_reserve, then book_apply, which appends journal records and history marks to an effects
 * list. The caller makes those durable, then calls book_commit; or book_undo, and nothing of the batch ever was.
 */
#ifndef LEDGER_BOOK_H
#define LEDGER_BOOK_H

#include "base/hash.h"
#include "ledger/index.h"
#include "ledger/keys.h"
#include "ledger/posting.h"
#include "ledger/record.h"

enum {
    BOOK_SEGMENT = 4096,            /* accounts allocated at a time */
    BOOK_ACCOUNTS_MAX = 1000000000, /* positions in the index are 32 bits */
    BOOK_CURRENCIES_MAX = 256,
};

struct account {
    const char *id; /* owned by the book */
    int64_t balance, held, overdraft;
    uint64_t version, entries, last_seq, metadata_seq;
    int64_t created_us, updated_us;
    uint32_t currency;
    uint8_t id_len, exponent, status;
};

/** Where a history page can start: entry n of an account stands at seq. */
struct book_mark {
    uint64_t account, n, seq;
    int64_t time_us;
};

/** What a batch does, in order: to be made durable. Capacity is fixed when it is made. */
struct book_fx {
    struct record *records;  /* owned */
    struct book_mark *marks; /* owned */
    unsigned record_count, record_cap;
    unsigned mark_count, mark_cap;
};

/** Accounts touched before the batch is durable, as they were. */
struct book_undo_entry {
    uint64_t no;
    struct account before;
};

/** A moment to go back to. */
struct book_point {
    uint64_t account_count, last_seq, key_next;
    int64_t last_time_us;
    unsigned undo_count, record_count, mark_count, world_count;
};

struct book_world {
    uint32_t currency;
    uint64_t no;
};

struct book {
    struct account **segments; /* owned */
    uint64_t segment_cap;
    uint64_t account_count; /* accounts are numbered 1..account_count */
    struct index index;     /* id -> no */
    struct hash_key hash_key;
    struct id_chunk *ids;         /* newest first; owned */
    uint64_t *dirty;              /* bit no-1: changed since its row was last written; owned */
    uint64_t dirty_cap;           /* bits */
    struct book_undo_entry *undo; /* owned */
    unsigned undo_count, undo_cap;
    struct book_world worlds[BOOK_CURRENCIES_MAX];
    unsigned world_count;
    struct keys keys;
    uint64_t last_seq;
    int64_t last_time_us;
};

/**
 * Make an empty book.
 *
 * Units:   undo_max: account changes one batch may make; keys_max: idempotency keys remembered.
 * Errors:  ERR_NOMEM; *b is then as if finished.
 * Thread:  all of the book belongs to one thread, the writer.
 */
MUST_CHECK enum err book_init(struct book *b, unsigned undo_max, uint64_t keys_max,
                              struct hash_key hash_key);
void book_fini(struct book *b);

/** Make an effects list for batches of up to record_max records. Errors: ERR_NOMEM. */
MUST_CHECK enum err book_fx_init(struct book_fx *fx, unsigned record_max);
void book_fx_fini(struct book_fx *fx);

/** Records and account changes one posting can make at most: what must be free in fx and undo before it is applied. */
unsigned book_records_of(const struct posting *p);

/**
 * Make room so that applying p allocates nothing.
 *
 * Errors:  ERR_FULL   fx or the undo log has no room: end the batch first;
 *          ERR_NOMEM  this posting cannot be applied now.
 */
MUST_CHECK enum err book_reserve(struct book *b, const struct posting *p, const struct book_fx *fx);

/**
 * Apply one posting, for which room was reserved. No clock, no I/O, no log, no allocation.
 *
 * Units:   now_us is µs since the Unix epoch; the posting's own time is max(now, last + 1).
 * Owns:    borrows p until the batch is durable: the records point into its extra and ids.
 * Returns: the outcome, also in out->outcome. A refusal moves no money; under a key it leaves one record.
 *          OUTCOME_REPLAY: nothing was done, the first answer stands at out->seq.
 * Errors:  none: a broken precondition aborts.
 */
enum outcome book_apply(struct book *b, const struct posting *p, int64_t now_us, struct book_fx *fx,
                        struct posting_result *out);

/** Where the book is now, to come back to by book_undo (a batch's start, or an atomic group in it). */
struct book_point book_point_get(const struct book *b, const struct book_fx *fx);

/** Undo everything since a point, in memory and in fx. */
void book_undo(struct book *b, struct book_fx *fx, const struct book_point *to);

/** The batch is durable: forget how to undo it, and its effects. */
void book_commit(struct book *b, struct book_fx *fx);

/** Look an account up by id; false: not there. *view borrows the id from the book. */
bool book_find(const struct book *b, struct slice id, struct account_view *view);

/** Account number no, 1..account_count. */
const struct account *book_account(const struct book *b, uint64_t no);
void book_view(const struct book *b, uint64_t no, struct account_view *view);

/* ---- recovery ---- */

/** Load one account's stored row; accounts come in the order of their numbers. Errors: ERR_NOMEM, ERR_CORRUPT. */
MUST_CHECK enum err book_load(struct book *b, const struct account *row);

/**
 * Apply a record that is durable already, with every number of it checked against the book.
 *
 * Units:   a side is applied iff r->seq is past that account's as_of; debit_as_of and credit_as_of are 0 for accounts
 *          that the journal itself opened. Marks go to fx where it is not NULL.
 * Errors:  ERR_CORRUPT: the record contradicts the book; ERR_NOMEM.
 */
MUST_CHECK enum err book_replay(struct book *b, const struct record *r, uint64_t debit_as_of,
                                uint64_t credit_as_of);

/** Sum of all balances of each currency is zero, and no account is outside its bounds. O(accounts). Errors: ERR_CORRUPT; *bad_no is then an account's number or 0. */
MUST_CHECK enum err book_check(const struct book *b, uint64_t *bad_no);

/* ---- the sweep of changed accounts ---- */

/** The next account with no >= from that changed since it was cleaned; 0: none. Looks at up to `most` accounts; *next is where to go on (0: the end). */
uint64_t book_dirty_next(const struct book *b, uint64_t from, uint64_t most, uint64_t *next);
void book_dirty_set(struct book *b, uint64_t no, bool is_dirty);

#endif

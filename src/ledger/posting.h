/*
 * The one primitive: a guarded posting. Every verb is compiled into one by pure code; a store executes it atomically and
 * durably, or refuses it with the outcome of the guard that failed.
 */
#ifndef LEDGER_POSTING_H
#define LEDGER_POSTING_H

#include "base/arena.h"
#include "ledger/types.h"
#include "money/decimal.h"

enum {
    IDEM_SCOPE_BYTES = 16,
    IDEM_FINGERPRINT_BYTES = 16,
    IDEM_FIELDS_MAX = 8, /* named fields of a request, each with a tag that tells whether it differs */
};

/** An idempotency key, as the store needs it. Made at the edge: digests of its scope and of the request (docs/openapi.yaml, Idempotency). */
struct idem {
    uint8_t scope[IDEM_SCOPE_BYTES];             /* caller, first account, key: what is unique */
    uint8_t fingerprint[IDEM_FINGERPRINT_BYTES]; /* the parsed request: what must be equal */
    uint8_t field_count;
    uint16_t field_tags[IDEM_FIELDS_MAX]; /* a short digest of each field, in the order of the route's field list */
};

/** What one posting does to one account. */
struct posting_leg {
    struct slice account; /* its id; LEDGER_WORLD means the system account of the posting's currency */
    struct decimal balance; /* Δbalance, signed, not zero unless held is given */
    struct decimal held;    /* Δheld, signed; none for LEDGER_WORLD */
    bool may_open;          /* an unknown account is opened first, in the posting's currency */
};

struct posting {
    enum record_kind kind;
    struct currency currency; /* every leg's account must have it; 0: that of the first leg's account */
    struct currency open_currency; /* what may_open opens in; never 0 where a leg may open */
    const struct posting_leg *legs; /* borrowed; one an account, at most LEDGER_LEGS_MAX; the path account first */
    unsigned leg_count;
    bool has_if_match;
    unsigned if_match_count;                /* 0 with has_if_match: any version will do (`*`) */
    uint64_t if_match[LEDGER_IF_MATCH_MAX]; /* versions of the first leg's account */
    struct decimal overdraft;               /* RECORD_OPEN: its limit, >= 0 */
    struct slice extra; /* RECORD_OPEN, and movements with reference or metadata: encoded, see record.h */
    struct slice open_extra; /* may_open: the encoded extra of the account's own RECORD_OPEN */
    const struct idem *idem; /* NULL: no key */
    enum ledger_language language; /* of a refusal's words, stored with it */
};

/** What a verb is made of; slices are borrowed and must outlive the posting. */
struct posting_words {
    struct slice reference;        /* empty ptr NULL: absent */
    struct slice metadata;         /* canonical JSON object text; ptr NULL: absent */
    struct currency currency;      /* as asked; 0: not given */
    struct currency open_currency; /* the ledger's default */
    bool may_open;
};

/**
 * Compile the verbs. Legs and extras come from the arena; everything else is borrowed.
 *
 * Units:   amount is positive (ASSERT); ids are valid (1..64 bytes).
 * Errors:  ERR_NOMEM; *out untouched.
 * Thread:  any; pure.
 */
MUST_CHECK enum err posting_credit(struct arena *a, struct slice account, struct decimal amount,
                                   const struct posting_words *words, struct posting *out);
MUST_CHECK enum err posting_debit(struct arena *a, struct slice account, struct decimal amount,
                                  const struct posting_words *words, struct posting *out);
MUST_CHECK enum err posting_transfer(struct arena *a, struct slice from, struct slice to,
                                     struct decimal amount, const struct posting_words *words,
                                     struct posting *out);
/** Opens `account` in words->currency, or in words->open_currency where none was asked; metadata goes with the account. */
MUST_CHECK enum err posting_open(struct arena *a, struct slice account, struct decimal overdraft,
                                 const struct posting_words *words, struct posting *out);

/** What the executor says of one leg's account, after the posting. */
struct posting_side {
    struct slice account; /* the posting's own slice, or the op's memory on a replay */
    int64_t balance;      /* minor units */
};

enum { POSTING_SIDES_MAX = 2 };

/** The answer of a store, from which every response is rendered; the same values on a first answer and on a replay. */
struct posting_result {
    enum outcome outcome;
    bool is_replay;
    enum record_kind kind;         /* the verb, also of a refusal */
    enum ledger_language language; /* of a refusal's words */
    uint64_t seq;    /* journal position: of the effect, or where a refusal was judged */
    uint32_t bucket; /* which of the store's journals that is; 0 where there is one */
    int64_t time_us; /* the transaction's own time; with tag it makes its id */
    uint32_t tag;
    struct currency currency;
    unsigned exponent;
    int64_t amount;                               /* minor units, positive */
    struct posting_side sides[POSTING_SIDES_MAX]; /* in the order of the posting's legs, @world left out */
    unsigned side_count;
    struct account_view opened;   /* RECORD_OPEN: the account as it was opened */
    struct slice opened_metadata; /* canonical JSON text, or ptr NULL */
    uint8_t differing; /* OUTCOME_KEY_REUSED: bit i set where field i of the list differs */
};

/** Is this an account id that clients may name? System accounts (@…) are not. Thread: any; pure. */
bool ledger_is_account_id(struct slice text);

#endif

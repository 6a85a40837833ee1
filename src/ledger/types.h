/* The words of the domain: accounts, kinds of record, outcomes, and the limits of them. Pure: no clock, no I/O. */
#ifndef LEDGER_TYPES_H
#define LEDGER_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "money/currency.h"

enum {
    LEDGER_ACCOUNT_ID_BYTES_MAX = 64,
    LEDGER_REFERENCE_BYTES_MAX = 128,
    LEDGER_METADATA_BYTES_MAX = 4096, /* canonical JSON text of the object */
    LEDGER_LEGS_MAX = 100,
    LEDGER_IF_MATCH_MAX = 8, /* versions an If-Match may list */
    LEDGER_MARK_EVERY = 64,  /* every 64th entry of an account leaves a history mark */
};

/** The id of the other side of every credit and debit; one account of this name a currency. */
#define LEDGER_WORLD SLICE("@world")

enum account_status {
    ACCOUNT_ACTIVE = 0,
    ACCOUNT_FROZEN = 1,
    ACCOUNT_CLOSED = 2,
    ACCOUNT_STATUS_COUNT
};

/** What a journal record says. The numbers are stored: never change one, only append. */
enum record_kind {
    RECORD_NONE = 0,
    RECORD_OPEN = 1,     /* an account came to be; `amount` is its overdraft limit */
    RECORD_CREDIT = 2,   /* money from @world */
    RECORD_DEBIT = 3,    /* money to @world */
    RECORD_TRANSFER = 4, /* between two accounts */
    RECORD_REFUSAL = 5,  /* a business refusal under an idempotency key; moves nothing */
    RECORD_KIND_COUNT,
};

/** What became of a posting. The numbers of those that are stored (RECORD_REFUSAL) never change; only append. */
enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_ACCOUNT_FROZEN = 1,
    OUTCOME_ACCOUNT_CLOSED = 2,
    OUTCOME_CURRENCY_MISMATCH = 3,
    OUTCOME_SAME_ACCOUNT = 4,
    OUTCOME_BALANCE_LIMIT_EXCEEDED = 5,
    OUTCOME_INSUFFICIENT_BALANCE = 6,
    OUTCOME_UNBALANCED_ENTRIES = 7,
    OUTCOME_STORED_COUNT = 8, /* those below are never stored under a key */
    OUTCOME_KEY_REUSED = 64, /* the key belongs to another request; store.h says which fields differ */
    OUTCOME_ACCOUNT_NOT_FOUND,
    OUTCOME_ACCOUNT_EXISTS,
    OUTCOME_PRECONDITION_FAILED,
    OUTCOME_INVALID_AMOUNT, /* does not fit the account's currency */
    OUTCOME_REPLAY,         /* inside the ledger: the key is known, the answer stands at `seq` */
    OUTCOME_KEYS_FULL,      /* the idempotency index is full: nothing applied */
    OUTCOME_TRANSACTION_NOT_FOUND,
    OUTCOME_INVALID_CURSOR,
};

/** The languages an answer's words may have; stored with a refusal, so only append. */
enum ledger_language { LEDGER_ZH_CN = 0, LEDGER_EN = 1 };

/** Does a refusal of this outcome stay under its key? */
static inline bool outcome_is_stored(enum outcome o)
{
    return o != OUTCOME_OK && o < OUTCOME_STORED_COUNT;
}

/** What one account looks like from outside, at one moment. */
struct account_view {
    struct slice id;
    struct currency currency;
    unsigned exponent;
    enum account_status status;
    int64_t balance, held, overdraft; /* minor units */
    uint64_t version; /* rises with every record that touches the account; 1 when opened */
    int64_t created_us, updated_us; /* µs since the Unix epoch */
    uint64_t metadata_seq; /* journal position of the record that holds its metadata; 0: none */
    uint64_t last_seq;     /* head of its history chain; 0: no entry yet */
    uint64_t entries;      /* records in that chain */
    uint64_t no;           /* its number, 1.. */
};

#endif

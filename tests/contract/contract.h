/*
 * The contract suite: what store.h promises, asked of every store in the same words. A store registers itself with a
 * struct contract_store and is added to `stores` in main.c and races.c; it writes no test of its own here.
 */
#ifndef CONTRACT_CONTRACT_H
#define CONTRACT_CONTRACT_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/mem.h"
#include "store/store.h"

struct contract_limits {
    uint32_t inbox_max;
    uint32_t batch_max;
    uint64_t keys_max;
};

/** How a store joins the suite. */
struct contract_store {
    const char *name;
    bool has_restart; /* open_again finds what was durable */
    bool has_inbox;   /* keeps limits.inbox_max */
    bool is_bucketed; /* a journal a bucket: positions, @world and tags of transactions are each bucket's own */
    bool is_unordered;               /* what one loop asks at once may be done in another order */
    bool is_without_keys_max;        /* keys cost memory alone: no number of them is refused */
    bool is_without_account_numbers; /* account_view.no is 0 */
    /** A new, empty ledger. Aborts where there is none to be had. */
    void *(*open)(const struct contract_limits *limits);
    struct store *(*store)(void *ctx);
    /** Close the store and keep the ledger; what it owes its sinks is then in their outboxes. */
    void (*close)(void *ctx);
    /** Open the ledger again after close: nothing durable may be lost. */
    void (*open_again)(void *ctx);
    /** Throw the ledger away, closed before or not. */
    void (*drop)(void *ctx);
};

extern const struct contract_store contract_book; /* the bare book: the oracle */
extern const struct contract_store contract_embedded;
extern const struct contract_store contract_redis, contract_redis_buckets, contract_redis_wide;
extern const struct contract_store contract_redis_narrow, contract_redis_pair,
    contract_redis_synchronous, contract_redis_synchronous_wide, contract_redis_sentinel,
    contract_redis_tls;

/** A loop without a loop: one thread's sink, and a place to sleep until the store wakes it. */
struct client {
    struct store_sink sink;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    unsigned wakes; /* under mutex: signals not seen yet */
    unsigned done;  /* operations that came back, ever */
};

/** A store under test with a client of its own. */
struct contract {
    const struct contract_store *kind;
    void *ctx;
    struct store *store;
    struct client client;
};

/** One operation, with all that its posting borrows. */
struct call {
    struct store_op op; /* first: done gets it */
    struct client *client;
    struct arena arena;
    struct idem idem;
    unsigned done; /* must be 1 in the end */
};

enum { CONTRACT_CALLS_MAX = 4096 };

extern const struct contract_limits contract_limits_usual;

void client_init(struct client *client);
void client_fini(struct client *client);

/** Sleep until the store wakes this client, and run done for what came; aborts after a minute of nothing. */
void client_wait(struct client *client);

struct contract *contract_new(const struct contract_store *kind,
                              const struct contract_limits *limits);
void contract_free(struct contract *c);
void contract_reopen(struct contract *c);

/** cmocka's: *state is a struct contract_store, then a struct contract. */
int contract_setup(void **state);
int contract_teardown(void **state);

/** Make calls ready; fini frees what they got. */
struct call *calls_new(unsigned count);
void calls_free(struct call *calls, unsigned count);
void call_init(struct call *call, struct client *client, enum store_op_kind kind);
void call_fini(struct call *call);

/* What a call asks. Amounts and currencies are text; currency NULL: not asked for. */
void call_credit(struct call *call, struct client *client, const char *account, const char *amount);
void call_debit(struct call *call, struct client *client, const char *account, const char *amount);
void call_transfer(struct call *call, struct client *client, const char *from, const char *to,
                   const char *amount);
void call_open(struct call *call, struct client *client, const char *account, const char *currency,
               const char *overdraft, const char *metadata);

/** The verbs with everything that a request may say. */
struct call_words {
    enum record_kind kind;
    const char *account, *to, *amount, *currency, *reference, *metadata;
    bool may_open;
};
void call_post(struct call *call, struct client *client, const struct call_words *words);

/** Give a posting the key of this number; requests of another fingerprint are others. */
void call_key(struct call *call, uint64_t key, char fingerprint);

void call_account(struct call *call, struct client *client, const char *account);
void call_history(struct call *call, struct client *client, const char *account, unsigned limit);
void call_transaction(struct call *call, struct client *client, int64_t time_us, uint32_t tag);
void call_accounts(struct call *call, struct client *client, unsigned limit, const char *prefix);

/** Submit and flush calls; wait until all are done. */
void calls_run(struct contract *c, struct client *client, struct call *calls, unsigned count);
void call_run(struct contract *c, struct call *call);

/** Run one posting by the contract's own client and expect; the call is still to be finished. */
void call_must(struct contract *c, struct call *call, enum outcome wanted);

/** The same at once, for those whose answer nobody reads. */
void must_credit(struct contract *c, const char *account, const char *amount, enum outcome wanted);
void must_debit(struct contract *c, const char *account, const char *amount, enum outcome wanted);
void must_transfer(struct contract *c, const char *from, const char *to, const char *amount,
                   enum outcome wanted);
void must_open(struct contract *c, const char *account, const char *currency, const char *overdraft,
               enum outcome wanted);

/** The account now; its id is not to be read. Aborts where it is unknown. */
struct account_view account_now(struct contract *c, const char *account);
bool account_is_known(struct contract *c, const char *account);
int64_t balance_now(struct contract *c, const char *account);

/** Two answers must have the same values; is_replay is not looked at. */
void assert_same_result(const struct posting_result *a, const struct posting_result *b);

/** Entries of a history, collected over all pages; times_too: false where two stores are compared. */
struct entries {
    struct store_entry *list; /* owned, with texts in arena */
    unsigned count, cap;
    unsigned pages;
    struct arena arena;
};
void entries_collect(struct contract *c, const char *account, const struct store_history_in *in,
                     struct entries *out);
void entries_fini(struct entries *e);
void assert_same_entry(const struct store_entry *a, const struct store_entry *b, bool times_too);

/** The text of "prefix" and a number, in one of a few turning places. */
const char *name_number(const char *prefix, unsigned number);

/* ---- the suites ---- */

struct contract_suite {
    const char *name;
    const struct CMUnitTest *tests;
    size_t count;
};

extern const struct contract_suite contract_posts, contract_keys, contract_life, contract_reads,
    contract_history, contract_transactions;

/** Run suites on stores; what main returns. */
int contract_run(const struct contract_store *const *stores, size_t store_count,
                 const struct contract_suite *const *suites, size_t suite_count);

#endif

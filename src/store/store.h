/*
 * The port between the API and whatever keeps the money. A store does one thing with a posting: execute it atomically
 * and durably, or refuse it naming the guard that failed. One contract suite judges every store.
 *
 * Promises of every store:
 *   - An operation that answers STORE_DONE with OUTCOME_OK is durable (as durable as `durability` says) before its done
 *     runs. A refusal has changed nothing but what its key remembers.
 *   - Operations are atomic and linearizable: a read sees every operation that was answered before it was submitted.
 *   - done runs exactly once for each submitted operation, on the thread that drains its sink, never inside store_submit.
 *   - STORE_UNAVAILABLE: surely not applied. STORE_UNKNOWN: perhaps applied; the same key settles it.
 *   - The same key with the same fingerprint gives the first answer's values again, also after a restart.
 *
 * Life of an operation: the loop fills it, store_submit stages it, store_flush hands over what is staged (end of the loop's
 * turn), the store takes it up, works, puts it into the sink's outbox and wakes the sink once; store_drain runs done.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/queue.h"
#include "ledger/posting.h"
#include "ledger/types.h"

enum {
    STORE_PAGE_MAX = 200,              /* entries or accounts a page */
    STORE_HISTORY_LOOKED_MAX = 10000,  /* entries one filtered page looks at */
    STORE_OUT_BYTES_MAX = 1024 * 1024, /* what one operation's answer may take */
    STORE_CURSOR_BYTES_MAX = 128,
    STORE_ENTRIES_MAX = LEDGER_LEGS_MAX,
};

enum store_op_kind {
    STORE_POST,        /* execute a posting */
    STORE_ACCOUNT,     /* read one account */
    STORE_ACCOUNTS,    /* a page of accounts */
    STORE_HISTORY,     /* a page of one account's entries */
    STORE_TRANSACTION, /* one transaction with all its entries */
};

enum store_status {
    STORE_DONE,        /* answered; see the outcome */
    STORE_UNAVAILABLE, /* surely not applied: full inbox, disk full, late, stopping */
    STORE_UNKNOWN,     /* perhaps applied */
    STORE_FAULT, /* our own failure (damaged record, out of memory in a read); nothing applied */
};

/** Who has an operation now. The loop may take a queued one back; a taken one runs to its end. */
enum store_claim { STORE_QUEUED, STORE_TAKEN, STORE_CANCELED };

struct store_entry { /* what one transaction did to one account */
    struct slice account; /* its id, "@world" for a system account; empty where the page is of one account */
    int64_t time_us;
    uint32_t tag;
    uint64_t seq;
    enum record_kind kind;
    int64_t amount;            /* signed, minor units */
    int64_t balance;           /* after */
    struct slice counterparty; /* the other side where there is exactly one; else ptr NULL */
    struct slice reference;    /* ptr NULL: absent */
    struct slice metadata;     /* ptr NULL: absent */
};

struct store_history_in {
    unsigned limit; /* 1..STORE_PAGE_MAX */
    bool is_ascending;
    uint32_t kinds;         /* bit 1 << enum record_kind; 0: all */
    int64_t from_us, to_us; /* inclusive, exclusive; 0: open */
    struct slice cursor;    /* as handed out, ptr NULL: the beginning */
};

struct store_op {
    struct queue_link link; /* first member: the queues' own */
    /* filled by the caller */
    enum store_op_kind kind;
    struct store_sink *sink;
    uint64_t deadline_mono_us; /* not taken up by then: STORE_UNAVAILABLE */
    void (*done)(struct store_op *op);
    void *user;
    struct posting posting;  /* STORE_POST; what it borrows lives until done */
    struct slice account_id; /* STORE_ACCOUNT, STORE_HISTORY */
    bool wants_metadata;     /* STORE_ACCOUNT */
    struct store_history_in history;
    struct {
        unsigned limit;
        struct slice cursor, prefix;
        int status; /* -1: any */
    } accounts;
    int64_t tx_time_us; /* STORE_TRANSACTION */
    uint32_t tx_tag;
    struct arena out; /* the store's, for the answer; init by store_op_init, freed by store_op_fini */
    /* filled by the store */
    _Atomic int claim; /* enum store_claim */
    enum store_status status;
    struct posting_result result; /* STORE_POST; of all others only .outcome, .seq, .currency, .exponent */
    struct account_view account;   /* STORE_ACCOUNT, STORE_HISTORY */
    struct slice account_metadata; /* canonical JSON, ptr NULL: none */
    struct store_entry *entries; /* STORE_HISTORY (newest first unless ascending), STORE_TRANSACTION (debits first); in out */
    struct account_view *views;   /* STORE_ACCOUNTS; in out */
    struct slice *views_metadata; /* STORE_ACCOUNTS, beside views */
    unsigned count;               /* of entries or views */
    bool has_more;
    char next_cursor[STORE_CURSOR_BYTES_MAX]; /* [A-Za-z0-9_-]; set with has_more */
    unsigned next_cursor_len;
    /* the store's own while it works */
    uint64_t scratch[4];
};

/** Where one loop's completions go. wake runs on a store's thread, once for a batch; it must only signal the loop. */
struct store_sink {
    struct queue outbox;
    struct queue_list staged; /* submitted in this turn, not handed over yet */
    void (*wake)(void *ctx);
    void *wake_ctx;
    void *attached; /* the store's own, between attach and detach */
};

enum store_health {
    STORE_HEALTHY,
    STORE_DISK_FULL, /* writes are refused for want of room; reads go on */
    STORE_STALLED,   /* a commit hangs in the disk */
    STORE_STOPPING,
    STORE_FAILED, /* nothing is written any more */
};

struct store;

struct store_methods {
    /* NULL both: the store has threads of its own, and asks nothing of a loop */
    enum err (*attach)(struct store *s, struct store_sink *sink, void *loop);
    void (*detach)(struct store *s, struct store_sink *sink);
    void (*hand_over)(struct store *s,
                      struct queue_list *ops); /* ops that do not fit stay in the list */
    enum store_health (*health)(struct store *s);
    void (*close)(struct store *s);
};

/** What every store begins with. */
struct store {
    const struct store_methods *methods;
    const char *name;               /* "embedded" */
    const char *_Atomic durability; /* the truth of now for Wallet-Durability: "fsync"; static text */
    unsigned buckets; /* journals it keeps, each numbered for itself; 0: one journal */
};

/** Prepare a sink. Errors: ERR_NOMEM. Thread: its loop. */
MUST_CHECK enum err store_sink_init(struct store_sink *sink, void (*wake)(void *ctx), void *wake_ctx);
void store_sink_fini(struct store_sink *sink);

/**
 * Let the store work on a loop (a uv_loop_t), whose operations come by this sink: before the first one is submitted.
 *
 * Errors:  ERR_NOMEM, ERR_IO.
 * Thread:  start-up, before the loop runs.
 */
MUST_CHECK enum err store_attach(struct store *s, struct store_sink *sink, void *loop);

/** Give the loop back; every operation has come back. The loop is run once more after it. Thread: the loop's, or one that has joined it. */
void store_detach(struct store *s, struct store_sink *sink);

/** Zero an operation for a use; call store_op_fini when its answer has been read. */
void store_op_init(struct store_op *op, enum store_op_kind kind, struct store_sink *sink,
                   void (*done)(struct store_op *op));
void store_op_fini(struct store_op *op);

/** Stage an operation; done will run later, exactly once. Thread: the sink's loop. */
void store_submit(struct store_op *op);

/** Hand over what was staged. What the store has no room for is completed as STORE_UNAVAILABLE. Thread: the sink's loop. */
void store_flush(struct store *s, struct store_sink *sink);

/**
 * Take an operation back, because its caller no longer waits. done runs all the same.
 *
 * Returns: true where it was not taken up: it is surely not applied, and never will be. False: it is being worked on.
 * Thread:  the sink's loop.
 */
bool store_cancel(struct store_op *op);

/** Run done for everything completed. Thread: the sink's loop, after wake. */
void store_drain(struct store_sink *sink);

/** For stores: is the operation still wanted? Claims it. False: canceled, complete it as STORE_UNAVAILABLE. Thread: the store's. */
bool store_claim(struct store_op *op);

/** A digest of what a page of accounts was asked for, its limit apart: its cursor goes on with nothing else. Thread: any; pure. */
uint32_t store_accounts_binding(const struct store_op *op);

/** For stores: hand completed operations of one sink to its loop, and wake it. Thread: the store's. */
void store_complete(struct store_sink *sink, struct queue_list *ops);

enum store_health store_health(struct store *s);

/** Finish what was handed over, make it durable, free everything. No loop may submit any more. Thread: start-up's. */
void store_close(struct store *s);

#endif

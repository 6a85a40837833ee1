/* The embedded store: state in memory, truth in an append-only journal in SQLite, one fsync for all that waits. */
#ifndef STORE_EMBEDDED_EMBEDDED_H
#define STORE_EMBEDDED_EMBEDDED_H

#include <stdint.h>

#include "base/err.h"
#include "metrics/metrics.h"
#include "store/store.h"

struct embedded_options {
    const char *dir; /* the data folder; made (0700) where it does not exist; borrowed for the call */
    uint32_t inbox_max; /* operations waiting for the writer */
    uint32_t batch_max; /* operations a commit */
    uint32_t readers;   /* threads for histories and other reads from the file */
    uint64_t idempotency_ttl_us;
    uint64_t idempotency_max; /* records */
    struct metrics *metrics;  /* embedded_metrics was called on it; NULL: none */
    struct embedded_metrics *series;
    /**
     * The disk failed and memory is not to be trusted: everything in work was answered STORE_UNKNOWN, nothing will be
     * written any more. The process should let its loops send what they have, then exit. Called once, on a store's thread.
     */
    void (*on_fatal)(void *ctx);
    void *on_fatal_ctx;
    uint32_t sweep_rows_min; /* records between the starts of two sweeps, at least; 0: SWEEP_ROWS_MIN */
    uint32_t checkpoint_pages; /* log pages from which on a checkpoint is made; 0: CHECKPOINT_PAGES */
};

/** The store's series; declared before metrics are frozen. */
struct embedded_metrics {
    uint32_t commit_seconds, batch_size, checkpoint_seconds; /* histograms */
};

/** Declare the store's series. Errors: ERR_NOMEM. Thread: start-up. */
MUST_CHECK enum err embedded_metrics(struct metrics *m, struct embedded_metrics *out);

/** What start-up found, for its log line; and numbers that gauges ask for at any time. */
struct embedded_stats {
    uint64_t accounts; /* without @world */
    uint64_t seq, idempotency_records;
    uint64_t inbox_depth, wal_bytes;
    uint64_t replayed; /* records replayed at the last start */
    uint64_t open_us;  /* how long it took */
};

/**
 * Open (or make) the ledger in a folder, recover, start its threads. Returns when it is ready to serve.
 *
 * Owns:    *out is the caller's, closed by store_close.
 * Errors:  ERR_LOCKED       another process has it; *why says which;
 *          ERR_CORRUPT      damage; *why names the file and the place; nothing was changed;
 *          ERR_UNSUPPORTED  another program's file or a newer format;
 *          ERR_DISK_FULL, ERR_IO, ERR_NOMEM.
 * Thread:  start-up; blocks while it recovers.
 */
MUST_CHECK enum err embedded_open(const struct embedded_options *options, struct store **out,
                                  struct err_text *why);

/** Numbers of now. Thread: any. */
void embedded_stats(struct store *s, struct embedded_stats *out);

/** The version of SQLite that is linked, for `mywallet version`. Owns: static. Thread: any. */
const char *embedded_sqlite_version(void);

/** What `verify` found. */
struct verify_report {
    uint64_t records, blocks, accounts, marks, keys;
    unsigned currencies;
};

/**
 * Prove a ledger: hash chain, gapless seq, balances = sums of legs, per currency the sum is 0, chains and marks reach every
 * entry, keys. Takes no lock and changes nothing; a service may be running on it.
 *
 * Errors:  ERR_CORRUPT with *why naming the first bad record; ERR_NOT_FOUND no ledger there; ERR_IO, ERR_NOMEM, ERR_UNSUPPORTED.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err embedded_verify(const char *dir, struct verify_report *report,
                                    struct err_text *why);

#endif

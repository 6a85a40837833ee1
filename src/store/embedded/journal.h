/*
 * The journal's writing end: one SQLite transaction a batch, synced before it returns.
 *
 * A commit holds the batch's records, the hash block over them, its history marks, the rows of accounts it opened, a
 * bounded piece of the sweep of changed accounts, and now and then a blob of idempotency keys. All or nothing.
 */
#ifndef STORE_EMBEDDED_JOURNAL_H
#define STORE_EMBEDDED_JOURNAL_H

#include "base/buf.h"
#include "ledger/book.h"
#include "store/embedded/db.h"

enum {
    SWEEP_ROWS_MIN = 262144, /* records between the starts of two sweeps, at least */
    SWEEP_ROWS_PER_ACCOUNT =
        2, /* and at least this many a account, so that a sweep finds its pages full of changes */
    SWEEP_RECORDS_PER_ROW = 8, /* one swept account for so many records of the commit */
    SWEEP_BASE = 4,            /* and these in any case */
    SWEEP_LOOK = 4096,         /* accounts looked at for each one to sweep, at most */
    KEY_BLOB_ENTRIES = 4096,   /* idempotency keys a blob; fewer at the end of a sweep */
    KEY_BLOBS_DROPPED = 2,     /* expired blobs dropped by a commit that writes one */
};

enum journal_stmt {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_RECORD,
    STMT_MARK,
    STMT_ACCOUNT,
    STMT_BLOCK,
    STMT_KEYS,
    STMT_KEYS_OLD,
    STMT_KEYS_DROP,
    STMT_META,
    STMT_COUNT
};

/** How far the pass over changed accounts is. */
struct sweep {
    uint64_t at;        /* the next account to look at; 0: no sweep is running */
    uint64_t start_seq; /* journal position when it started: what recovery may skip once it is complete */
    uint64_t done_seq; /* start_seq of the last complete sweep */
};

struct journal {
    sqlite3 *db;
    sqlite3_stmt *stmts[STMT_COUNT];
    void *digest;         /* EVP_MD_CTX; owned */
    struct buf canonical; /* one record's canonical bytes */
    uint8_t last_hash[DB_HASH_BYTES];
    struct sweep sweep;
    uint32_t sweep_rows_min; /* SWEEP_ROWS_MIN, or less in tests */
    uint64_t keys_seq;       /* last_seq of the newest blob; 0: there was none yet */
    uint64_t keys_stored;    /* entries of the book's keys below this number are in blobs */
    uint64_t *swept;         /* accounts written by this commit: clean once it is durable. Owned */
    unsigned swept_count, swept_cap;
    int wal_pages; /* pages in the WAL after the last commit */
};

/** Prepare statements on an open connection. Owns: takes db in any case; closed by journal_close. Errors: as db_err. */
MUST_CHECK enum err journal_init(struct journal *j, sqlite3 *db);
void journal_close(struct journal *j);

/**
 * Make a batch durable: after ERR_OK it survives a power cut.
 *
 * Units:   expire_before_us: blobs of keys older than this are dropped, a few at a time.
 * Errors:  ERR_DISK_FULL, ERR_BUSY, ERR_NOMEM: nothing was written, the caller undoes the batch and goes on;
 *          ERR_IO, ERR_CORRUPT: what is on the disk is not known: stop writing.
 * Thread:  writer; blocks for the sync.
 */
MUST_CHECK enum err journal_commit(struct journal *j, struct book *b, const struct book_fx *fx,
                                   int64_t expire_before_us);

/** Sweep everything that is still dirty, so that the next start replays nothing. Errors: as journal_commit. */
MUST_CHECK enum err journal_sweep_all(struct journal *j, struct book *b, int64_t expire_before_us);

/** SHA-256 over the canonical bytes of records, chained: the same for writing and for checking. */
struct block_hash {
    void *digest;
    struct buf *canonical;
};
void block_hash_begin(struct block_hash *h, const uint8_t prev_hash[DB_HASH_BYTES]);
/** Adds one record; returns its CRC, which is over the same bytes. Errors: none: canonical was reserved. */
uint32_t block_hash_add(struct block_hash *h, const struct record *r);
void block_hash_end(struct block_hash *h, uint8_t hash[DB_HASH_BYTES]);
/** Make the pieces of a block_hash. Errors: ERR_NOMEM. */
MUST_CHECK enum err block_hash_new(void **digest, struct buf *canonical);
void block_hash_free(void *digest, struct buf *canonical);

#endif

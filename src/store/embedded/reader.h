/*
 * Reads from the ledger's file, on threads and connections of their own: histories, single transactions, pages of accounts,
 * and the first answers that a repeated idempotency key gets again. Each operation is one snapshot.
 */
#ifndef STORE_EMBEDDED_READER_H
#define STORE_EMBEDDED_READER_H

#include "store/embedded/db.h"
#include "store/store.h"

enum reader_stmt {
    READ_BEGIN,
    READ_END,
    READ_RECORD,
    READ_LAST,
    READ_ACCOUNT,
    READ_MARK,
    READ_ACCOUNTS_FROM,
    READ_ACCOUNTS_BEHIND,
    READ_STMT_COUNT
};

struct reader {
    sqlite3 *db; /* owned */
    sqlite3_stmt *stmts[READ_STMT_COUNT];
};

/** Open a connection and prepare its statements. Errors: as db_open. */
MUST_CHECK enum err reader_open(struct reader *r, const char *path, struct err_text *why);
void reader_close(struct reader *r);

/**
 * Answer one operation from a snapshot taken now: fills op->status and its answer.
 *
 * STORE_POST:        op->result.outcome is OUTCOME_REPLAY and .seq where the first answer stands
 * STORE_ACCOUNT:     op->account is filled; adds its metadata
 * STORE_HISTORY:     op->account is the head that the page is of
 * STORE_ACCOUNTS:    finds the page's account numbers; the writer fills the balances of now
 * STORE_TRANSACTION: all of it
 *
 * Thread:  the reader's; blocks on the disk.
 */
void reader_answer(struct reader *r, struct store_op *op);

/* ---- for the files of the reader alone ---- */

/** Fetch a record; its blobs are borrowed until the statement's next use. Errors: ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO. */
MUST_CHECK enum err reader_record(struct reader *r, uint64_t seq, struct record *out);

/** The journal's last record; 0: there is none. Errors: ERR_CORRUPT, ERR_IO. */
MUST_CHECK enum err reader_last(struct reader *r, uint64_t *seq);

/** Fetch an account's id (copied to `a`), currency and exponent by number. Errors: ERR_CORRUPT, ERR_NOMEM, ERR_IO. */
MUST_CHECK enum err reader_account(struct reader *r, uint64_t no, struct arena *a,
                                   struct account_view *out);

MUST_CHECK enum err reader_history(struct reader *r, struct store_op *op);
MUST_CHECK enum err reader_transaction(struct reader *r, struct store_op *op);
MUST_CHECK enum err reader_replay(struct reader *r, struct store_op *op);

/**
 * Copy reference and metadata of a movement's transaction into an entry. Its last record has them, wherever this one stands:
 * the blobs of *rec are gone after.
 *
 * Errors:  ERR_CORRUPT, ERR_NOMEM, ERR_IO.
 */
MUST_CHECK enum err reader_words(struct reader *r, const struct record *rec, struct arena *a,
                                 struct store_entry *e);

#endif

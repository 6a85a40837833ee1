/* SQLite as this store uses it: one place that opens connections, maps errors and knows the tables. */
#ifndef STORE_EMBEDDED_DB_H
#define STORE_EMBEDDED_DB_H

#include <sqlite3.h>

#include "base/err.h"
#include "ledger/book.h"
#include "ledger/record.h"

/** The file's marks: "MWLT", and the version of the tables. */
#define DB_APPLICATION_ID 0x4d574c54
#define DB_FORMAT_VERSION 1
#define DB_FILE_NAME "ledger.db"

enum {
    DB_PATH_BYTES_MAX = 4096,
    DB_BUSY_MS = 1000,   /* how long a foreign writer (sqlite3, a replicator) may hold us up */
    DB_CACHE_KIB = 8192, /* page cache of the writer; filled only as it is needed */
    DB_READER_CACHE_KIB = 512,
    DB_HASH_BYTES = 32,
};

/** What a SQLite result means to us; `db` (may be NULL) tells a full disk from a failing one. Thread: the connection's. */
enum err db_err(sqlite3 *db, int rc);

/** Put "what: SQLite's words (path)" into *why. */
void db_why(struct err_text *why, sqlite3 *db, const char *what);

/** Run SQL without results. Errors: as db_err. */
MUST_CHECK enum err db_exec(sqlite3 *db, const char *sql);

/** Prepare a statement that lives as long as its connection. */
MUST_CHECK enum err db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out);

/** Step a statement that returns no row, and reset it. */
MUST_CHECK enum err db_run(sqlite3 *db, sqlite3_stmt *stmt);

/** The path of the ledger's file in a folder. Errors: ERR_RANGE (too long). */
MUST_CHECK enum err db_path(const char *dir, char path[DB_PATH_BYTES_MAX]);

/** How a connection will be used. */
enum db_use { DB_WRITER, DB_READER, DB_VERIFIER };

/**
 * Open a connection with this store's pragmas. DB_WRITER makes the file where there is none.
 *
 * Errors:  ERR_NOT_FOUND (no file, not a writer), ERR_UNSUPPORTED (another program's file, a newer format), as db_err.
 * Owns:    *out is the caller's; sqlite3_close after finalizing its statements.
 */
MUST_CHECK enum err db_open(const char *path, enum db_use use, sqlite3 **out, struct err_text *why);

/** One number by a query that gives one row; *found false where it gives none or NULL. */
MUST_CHECK enum err db_number(sqlite3 *db, const char *sql, int64_t *number, bool *found);

/* ---- rows, with their checksums ---- */

#define DB_RECORD_COLUMNS \
    "seq,time_us,kind,tag,debit,credit,amount,held,debit_balance,credit_balance,debit_prev,credit_prev,idem,extra,crc"
#define DB_ACCOUNT_COLUMNS \
    "no,id,currency,exponent,status,overdraft,balance,held,version,entries,last_seq,metadata_seq,created_us," \
    "updated_us,as_of,crc"

/** Bind a record to "INSERT INTO journal(DB_RECORD_COLUMNS) VALUES(15 ?)"; blobs are bound as borrowed. */
void db_record_bind(sqlite3_stmt *stmt, const struct record *r, uint32_t crc);

/** Read a record from a row of DB_RECORD_COLUMNS; blobs are borrowed until the next step. Errors: ERR_CORRUPT (checksum, ranges). */
MUST_CHECK enum err db_record_read(sqlite3_stmt *stmt, struct record *out);

/** Bind an account to "… VALUES(16 ?)" of DB_ACCOUNT_COLUMNS; borrowed until it was run. */
void db_account_bind(sqlite3_stmt *stmt, uint64_t no, const struct account *a, uint64_t as_of);

/** Read an account row; the id is borrowed until the next step. Errors: ERR_CORRUPT. */
MUST_CHECK enum err db_account_read(sqlite3_stmt *stmt, uint64_t *no, struct account *out,
                                    uint64_t *as_of);

/** CRC-32C of a history mark. */
uint32_t db_mark_crc(const struct book_mark *m);

#define DB_MARK_COLUMNS "seq,time_us,crc"

/** Read the mark of entry n of an account from a row of DB_MARK_COLUMNS. Errors: ERR_CORRUPT. */
MUST_CHECK enum err db_mark_read(sqlite3_stmt *stmt, uint64_t account, uint64_t n,
                                 struct book_mark *out);

/**
 * A blob of idempotency keys. Each names the one before it, and meta names the newest ("keys_end") and the newest of those
 * that were dropped ("keys_dropped"), so that a lost one is missed: a forgotten key would let a payment happen twice.
 */
struct db_keys {
    uint64_t last_seq;   /* of its last entry */
    uint64_t prev_seq;   /* last_seq of the blob before it, 0: it is the first */
    int64_t time_us;     /* when it was written: not before any of its keys */
    const void *entries; /* struct key_entry, not aligned; borrowed */
    size_t count;
};

#define DB_KEYS_COLUMNS "last_seq,prev_seq,time_us,data,crc"

uint32_t db_keys_crc(const struct db_keys *k);

/** Read a blob from a row of DB_KEYS_COLUMNS; entries are borrowed until the next step. Errors: ERR_CORRUPT. */
MUST_CHECK enum err db_keys_read(sqlite3_stmt *stmt, struct db_keys *out);

struct key_entry db_keys_at(const struct db_keys *k, size_t i);

/** The named number that the writer counts up to find out whether a full disk has room again; it means nothing. */
#define DB_META_PROBE "probe"

/** CRC-32C of a named number, as table meta keeps them. */
uint32_t db_meta_crc(const char *key, int64_t value);

/** Read a named number. Errors: ERR_NOT_FOUND, ERR_CORRUPT. */
MUST_CHECK enum err db_meta_get(sqlite3 *db, const char *key, int64_t *value);

#endif

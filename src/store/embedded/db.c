#include "store/embedded/db.h"

#include <errno.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

static const char schema[] =
    "CREATE TABLE journal(seq INTEGER PRIMARY KEY,time_us INTEGER NOT NULL,kind INTEGER NOT NULL,tag INTEGER NOT NULL,"
    "debit INTEGER NOT NULL,credit INTEGER NOT NULL,amount INTEGER NOT NULL,held INTEGER NOT NULL,"
    "debit_balance INTEGER NOT NULL,credit_balance INTEGER NOT NULL,debit_prev INTEGER NOT NULL,"
    "credit_prev INTEGER NOT NULL,idem BLOB,extra BLOB,crc INTEGER NOT NULL) STRICT;"
    "CREATE TABLE block(last_seq INTEGER PRIMARY KEY,first_seq INTEGER NOT NULL,accounts INTEGER NOT NULL,"
    "prev_hash BLOB NOT NULL,hash BLOB NOT NULL) STRICT;"
    "CREATE TABLE account(no INTEGER PRIMARY KEY,id TEXT NOT NULL,currency TEXT NOT NULL,exponent INTEGER NOT NULL,"
    "status INTEGER NOT NULL,overdraft INTEGER NOT NULL,balance INTEGER NOT NULL,held INTEGER NOT NULL,"
    "version INTEGER NOT NULL,entries INTEGER NOT NULL,last_seq INTEGER NOT NULL,metadata_seq INTEGER NOT NULL,"
    "created_us INTEGER NOT NULL,updated_us INTEGER NOT NULL,as_of INTEGER NOT NULL,crc INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX account_id ON account(id,currency);"
    "CREATE TABLE history_mark(account INTEGER NOT NULL,n INTEGER NOT NULL,seq INTEGER NOT NULL,"
    "time_us INTEGER NOT NULL,crc INTEGER NOT NULL,PRIMARY KEY(account,n)) WITHOUT ROWID,STRICT;"
    "CREATE TABLE key_blob(last_seq INTEGER PRIMARY KEY,prev_seq INTEGER NOT NULL,time_us INTEGER NOT NULL,"
    "data BLOB NOT NULL,crc INTEGER NOT NULL) STRICT;"
    "CREATE TABLE meta(key TEXT PRIMARY KEY,value INTEGER NOT NULL,crc INTEGER NOT NULL) WITHOUT ROWID,STRICT;";

static bool is_full_errno(int number)
{
    return number == ENOSPC || number == EFBIG || number == EDQUOT;
}

/* What the last failed write failed of, in the ledger's file or its log. SQLite itself tells only for some operations. */
static bool is_full(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int of_db = 0, of_log = 0;

    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &of_db);
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log != NULL && log->pMethods != NULL) {
        (void)log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &of_log);
    }
    return (is_full_errno(of_db) || is_full_errno(of_log)) &&
           (of_db == 0 || is_full_errno(of_db)) && (of_log == 0 || is_full_errno(of_log));
}

enum err db_err(sqlite3 *db, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_DISK_FULL;
    case SQLITE_NOMEM:
        return ERR_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_IOERR:
        if (rc == SQLITE_IOERR_NOMEM) {
            return ERR_NOMEM;
        }
        /* a quota or file-size limit is a full disk too; SQLite names only ENOSPC so. A failed sync is never that. */
        if (db != NULL && rc == SQLITE_IOERR_WRITE && is_full(db)) {
            return ERR_DISK_FULL;
        }
        return ERR_IO;
    default:
        return ERR_IO;
    }
}

void db_why(struct err_text *why, sqlite3 *db, const char *what)
{
    const char *path = db == NULL ? NULL : sqlite3_db_filename(db, "main");

    err_text_set(why, "%s: %s (%s)", what, db == NULL ? "out of memory" : sqlite3_errmsg(db),
                 path == NULL ? DB_FILE_NAME : path);
}

enum err db_exec(sqlite3 *db, const char *sql)
{
    return db_err(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

enum err db_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
    return db_err(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL));
}

enum err db_run(sqlite3 *db, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);

    ASSERT(rc != SQLITE_ROW);
    rc = rc == SQLITE_DONE ? SQLITE_OK : rc;
    (void)sqlite3_reset(stmt); /* says the step's error again */
    return db_err(db, rc);
}

enum err db_path(const char *dir, char path[DB_PATH_BYTES_MAX])
{
    int len = snprintf(path, DB_PATH_BYTES_MAX, "%s/" DB_FILE_NAME, dir);

    return len > 0 && len < DB_PATH_BYTES_MAX ? ERR_OK : ERR_RANGE;
}

enum err db_number(sqlite3 *db, const char *sql, int64_t *number, bool *found)
{
    sqlite3_stmt *stmt;
    enum err e = db_err(db, sqlite3_prepare_v2(db, sql, -1, &stmt, NULL));
    int rc;

    if (e != ERR_OK) {
        return e;
    }
    rc = sqlite3_step(stmt);
    *found = rc == SQLITE_ROW && sqlite3_column_type(stmt, 0) == SQLITE_INTEGER;
    *number = *found ? sqlite3_column_int64(stmt, 0) : 0;
    (void)sqlite3_finalize(stmt);
    return db_err(db, rc);
}

static enum err schema_make(sqlite3 *db)
{
    char sql[sizeof(schema) + 256];
    int len = snprintf(sql, sizeof(sql),
                       "BEGIN;%sPRAGMA application_id=%d;PRAGMA user_version=%d;COMMIT;", schema,
                       DB_APPLICATION_ID, DB_FORMAT_VERSION);

    ASSERT(len > 0 && (size_t)len < sizeof(sql));
    return db_exec(db, sql);
}

/* Is it ours, and of a version we know? An empty file may become ours: *is_new. A foreign one is left as it is. */
static enum err identity_check(sqlite3 *db, enum db_use use, bool *is_new, struct err_text *why)
{
    int64_t id, version, tables;
    bool found;
    enum err e;

    if ((e = db_number(db, "PRAGMA application_id", &id, &found)) != ERR_OK ||
        (e = db_number(db, "PRAGMA user_version", &version, &found)) != ERR_OK ||
        (e = db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, &found)) != ERR_OK) {
        return e;
    }
    *is_new = id == 0 && version == 0 && tables == 0 && use == DB_WRITER;
    if (*is_new) {
        return ERR_OK;
    }
    if (id != DB_APPLICATION_ID) {
        err_text_set(why, "%s is not a ledger of mywallet (application_id %lld)",
                     sqlite3_db_filename(db, "main"), (long long)id);
        return ERR_UNSUPPORTED;
    }
    if (version != DB_FORMAT_VERSION) {
        err_text_set(why, "%s has format %lld, this program knows format %d",
                     sqlite3_db_filename(db, "main"), (long long)version, DB_FORMAT_VERSION);
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

/* Write-ahead logging, really: SQLite answers with the mode it has, not with an error, where a file system cannot do it. */
static enum err wal_set(sqlite3 *db)
{
    sqlite3_stmt *stmt = NULL;
    bool is_wal = false;
    int rc = sqlite3_prepare_v2(db, "PRAGMA journal_mode=WAL", -1, &stmt, NULL);

    if (rc == SQLITE_OK) {
        rc = sqlite3_step(stmt);
        is_wal = rc == SQLITE_ROW &&
                 sqlite3_stricmp((const char *)sqlite3_column_text(stmt, 0), "wal") == 0;
        rc = sqlite3_finalize(stmt);
    }
    if (rc != SQLITE_OK) {
        return db_err(db, rc);
    }
    if (!is_wal) { /* it also keeps its mode where it could not change it just now */
        const enum err e = db_err(db, sqlite3_errcode(db));
        return e == ERR_OK ? ERR_UNSUPPORTED : e;
    }
    return db_exec(db, "PRAGMA synchronous=FULL");
}

static enum err pragmas_set(sqlite3 *db, enum db_use use)
{
    char sql[256];
    int off = 0;

    /* checkpoints are ours to time, and closing must not make one behind our back */
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, &off);
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, DB_BUSY_MS);
    /* nothing is written before its commit: wal_check.c tells a torn commit from damage by the order of its pages */
    (void)snprintf(
        sql, sizeof(sql),
        "PRAGMA cache_size=-%d;PRAGMA cache_spill=0;PRAGMA wal_autocheckpoint=0;PRAGMA cell_size_check=1;%s",
        use == DB_WRITER ? DB_CACHE_KIB : DB_READER_CACHE_KIB,
        use == DB_WRITER ? "" : "PRAGMA query_only=1;");
    return db_exec(db, sql);
}

enum err db_open(const char *path, enum db_use use, sqlite3 **out, struct err_text *why)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (use == DB_WRITER ? SQLITE_OPEN_CREATE : 0);
    sqlite3 *db = NULL;
    int rc = sqlite3_open_v2(path, &db, flags, NULL);
    bool is_new = false;
    enum err e;

    err_text_set(why, "%s", "");
    if (rc != SQLITE_OK) {
        e = (rc & 0xff) == SQLITE_CANTOPEN && use != DB_WRITER ? ERR_NOT_FOUND : db_err(db, rc);
        if (e == ERR_NOT_FOUND) {
            err_text_set(why, "there is no ledger at %s", path);
        } else {
            db_why(why, db, "cannot open the ledger");
        }
        (void)sqlite3_close(db);
        return e;
    }
    e = pragmas_set(db, use);
    if (e == ERR_OK && use == DB_WRITER && sqlite3_db_readonly(db, "main") == 1) {
        err_text_set(why,
                     "%s cannot be written: look at its owner and mode, and at those of its file "
                     "system",
                     path);
        e = ERR_IO;
    }
    if (e == ERR_OK) {
        e = identity_check(db, use, &is_new, why);
    }
    if (e == ERR_OK && use == DB_WRITER) {
        e = wal_set(db);
    }
    if (e == ERR_OK && is_new) {
        e = schema_make(db);
    }
    if (e != ERR_OK) {
        if (why != NULL && why->text[0] == '\0') {
            db_why(why, db, "cannot open the ledger");
        }
        (void)sqlite3_close(db);
        return e;
    }
    *out = db;
    return ERR_OK;
}

static void blob_bind(sqlite3_stmt *stmt, int column, struct slice s)
{
    int rc = s.len == 0 ? sqlite3_bind_null(stmt, column)
                        : sqlite3_bind_blob(stmt, column, s.ptr, (int)s.len, SQLITE_STATIC);
    ASSERT(rc == SQLITE_OK);
}

static void number_bind(sqlite3_stmt *stmt, int column, int64_t number)
{
    int rc = sqlite3_bind_int64(stmt, column, number);
    ASSERT(rc == SQLITE_OK);
}

void db_record_bind(sqlite3_stmt *stmt, const struct record *r, uint32_t crc)
{
    const int64_t numbers[] = {
        (int64_t)r->seq,
        r->time_us,
        r->kind,
        r->tag,
        (int64_t)r->debit,
        (int64_t)r->credit,
        r->amount,
        r->held,
        r->debit_balance,
        r->credit_balance,
        (int64_t)r->debit_prev,
        (int64_t)r->credit_prev,
    };

    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        number_bind(stmt, (int)i + 1, numbers[i]);
    }
    blob_bind(stmt, 13, r->idem);
    blob_bind(stmt, 14, r->extra);
    number_bind(stmt, 15, crc);
}

static struct slice column_slice(sqlite3_stmt *stmt, int column)
{
    const void *bytes = sqlite3_column_blob(stmt, column); /* before the length, by SQLite's rule */

    return slice_make(bytes, (size_t)sqlite3_column_bytes(stmt, column));
}

enum err db_record_read(sqlite3_stmt *stmt, struct record *out)
{
    struct record r = {
        .seq = (uint64_t)sqlite3_column_int64(stmt, 0),
        .time_us = sqlite3_column_int64(stmt, 1),
        .kind = (uint32_t)sqlite3_column_int64(stmt, 2),
        .tag = (uint32_t)sqlite3_column_int64(stmt, 3),
        .debit = (uint64_t)sqlite3_column_int64(stmt, 4),
        .credit = (uint64_t)sqlite3_column_int64(stmt, 5),
        .amount = sqlite3_column_int64(stmt, 6),
        .held = sqlite3_column_int64(stmt, 7),
        .debit_balance = sqlite3_column_int64(stmt, 8),
        .credit_balance = sqlite3_column_int64(stmt, 9),
        .debit_prev = (uint64_t)sqlite3_column_int64(stmt, 10),
        .credit_prev = (uint64_t)sqlite3_column_int64(stmt, 11),
        .idem = column_slice(stmt, 12),
        .extra = column_slice(stmt, 13),
    };

    if ((int64_t)record_crc(&r) != sqlite3_column_int64(stmt, 14)) {
        return ERR_CORRUPT;
    }
    *out = r;
    return record_check(&r);
}

enum { ACCOUNT_NUMBERS = 13 };

static void account_numbers(uint64_t no, const struct account *a, uint64_t as_of,
                            int64_t numbers[ACCOUNT_NUMBERS])
{
    const int64_t all[ACCOUNT_NUMBERS] = {
        (int64_t)no,
        a->exponent,
        a->status,
        a->overdraft,
        a->balance,
        a->held,
        (int64_t)a->version,
        (int64_t)a->entries,
        (int64_t)a->last_seq,
        (int64_t)a->metadata_seq,
        a->created_us,
        a->updated_us,
        (int64_t)as_of,
    };

    memcpy(numbers, all, sizeof(all));
}

static uint32_t account_crc(const struct account *a, const int64_t numbers[ACCOUNT_NUMBERS])
{
    char letters[3];
    uint32_t crc;

    currency_text((struct currency){a->currency}, letters);
    crc = crc32c(numbers, ACCOUNT_NUMBERS * sizeof(numbers[0])); /* little endian, see base/bytes.h */
    crc = crc32c_more(crc, letters, sizeof(letters));
    return crc32c_more(crc, a->id, a->id_len);
}

void db_account_bind(sqlite3_stmt *stmt, uint64_t no, const struct account *a, uint64_t as_of)
{
    int64_t numbers[ACCOUNT_NUMBERS];
    int rc;

    account_numbers(no, a, as_of, numbers);
    number_bind(stmt, 1, numbers[0]);
    rc = sqlite3_bind_text(stmt, 2, a->id, a->id_len, SQLITE_STATIC);
    ASSERT(rc == SQLITE_OK);
    /* the code is its letters, little endian; bound as they lie there, for a copy would need memory */
    rc = sqlite3_bind_text(stmt, 3, (const char *)&a->currency, 3, SQLITE_STATIC);
    ASSERT(rc == SQLITE_OK);
    for (int i = 1; i < ACCOUNT_NUMBERS; i++) {
        number_bind(stmt, i + 3, numbers[i]);
    }
    number_bind(stmt, 16, account_crc(a, numbers));
}

enum err db_account_read(sqlite3_stmt *stmt, uint64_t *no, struct account *out, uint64_t *as_of)
{
    const char *letters = (const char *)sqlite3_column_text(stmt, 2);
    const char *id = (const char *)sqlite3_column_text(stmt, 1);
    const int id_len = sqlite3_column_bytes(stmt, 1);
    int64_t numbers[ACCOUNT_NUMBERS];
    struct account a;

    if (id == NULL || letters == NULL || id_len < 1 || id_len > LEDGER_ACCOUNT_ID_BYTES_MAX ||
        sqlite3_column_bytes(stmt, 2) != 3) {
        return ERR_CORRUPT;
    }
    numbers[0] = sqlite3_column_int64(stmt, 0);
    for (int i = 1; i < ACCOUNT_NUMBERS; i++) {
        numbers[i] = sqlite3_column_int64(stmt, i + 2);
    }
    a = (struct account){
        .id = id,
        .id_len = (uint8_t)id_len,
        .currency = (uint32_t)(uint8_t)letters[0] | (uint32_t)(uint8_t)letters[1] << 8 |
                    (uint32_t)(uint8_t)letters[2] << 16,
        .exponent = (uint8_t)numbers[1],
        .status = (uint8_t)numbers[2],
        .overdraft = numbers[3],
        .balance = numbers[4],
        .held = numbers[5],
        .version = (uint64_t)numbers[6],
        .entries = (uint64_t)numbers[7],
        .last_seq = (uint64_t)numbers[8],
        .metadata_seq = (uint64_t)numbers[9],
        .created_us = numbers[10],
        .updated_us = numbers[11],
    };
    if ((int64_t)account_crc(&a, numbers) != sqlite3_column_int64(stmt, 15) || numbers[1] < 0 ||
        numbers[1] > 4 || numbers[2] < 0 || numbers[2] >= ACCOUNT_STATUS_COUNT) {
        return ERR_CORRUPT;
    }
    *no = (uint64_t)numbers[0];
    *out = a;
    *as_of = (uint64_t)numbers[12];
    return ERR_OK;
}

uint32_t db_mark_crc(const struct book_mark *m)
{
    uint8_t bytes[32];

    bytes_put_u64(bytes, m->account);
    bytes_put_u64(bytes + 8, m->n);
    bytes_put_u64(bytes + 16, m->seq);
    bytes_put_u64(bytes + 24, (uint64_t)m->time_us);
    return crc32c(bytes, sizeof(bytes));
}

enum err db_mark_read(sqlite3_stmt *stmt, uint64_t account, uint64_t n, struct book_mark *out)
{
    struct book_mark m = {
        .account = account,
        .n = n,
        .seq = (uint64_t)sqlite3_column_int64(stmt, 0),
        .time_us = sqlite3_column_int64(stmt, 1),
    };

    if (sqlite3_column_int64(stmt, 2) != (int64_t)db_mark_crc(&m)) {
        return ERR_CORRUPT;
    }
    *out = m;
    return ERR_OK;
}

uint32_t db_keys_crc(const struct db_keys *k)
{
    uint8_t bytes[24];

    bytes_put_u64(bytes, k->last_seq);
    bytes_put_u64(bytes + 8, k->prev_seq);
    bytes_put_u64(bytes + 16, (uint64_t)k->time_us);
    return crc32c_more(crc32c(bytes, sizeof(bytes)), k->entries, k->count * sizeof(struct key_entry));
}

enum err db_keys_read(sqlite3_stmt *stmt, struct db_keys *out)
{
    const void *bytes = sqlite3_column_blob(stmt, 3); /* before the length, by SQLite's rule */
    const size_t len = (size_t)sqlite3_column_bytes(stmt, 3);
    struct db_keys k = {
        .last_seq = (uint64_t)sqlite3_column_int64(stmt, 0),
        .prev_seq = (uint64_t)sqlite3_column_int64(stmt, 1),
        .time_us = sqlite3_column_int64(stmt, 2),
        .entries = bytes,
        .count = len / sizeof(struct key_entry),
    };

    if (len == 0 || len % sizeof(struct key_entry) != 0 ||
        sqlite3_column_int64(stmt, 4) != (int64_t)db_keys_crc(&k)) {
        return ERR_CORRUPT;
    }
    *out = k;
    return ERR_OK;
}

struct key_entry db_keys_at(const struct db_keys *k, size_t i)
{
    struct key_entry entry;

    ASSERT(i < k->count);
    memcpy(&entry, (const char *)k->entries + i * sizeof(entry), sizeof(entry));
    return entry;
}

uint32_t db_meta_crc(const char *key, int64_t value)
{
    uint8_t bytes[8];

    bytes_put_u64(bytes, (uint64_t)value);
    return crc32c_more(crc32c(key, strlen(key)), bytes, sizeof(bytes));
}

enum err db_meta_get(sqlite3 *db, const char *key, int64_t *value)
{
    sqlite3_stmt *stmt;
    enum err e =
        db_err(db, sqlite3_prepare_v2(db, "SELECT value,crc FROM meta WHERE key=?", -1, &stmt, NULL));
    int rc;

    if (e != ERR_OK) {
        return e;
    }
    (void)sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);
    rc = sqlite3_step(stmt);
    e = rc == SQLITE_DONE ? ERR_NOT_FOUND : db_err(db, rc);
    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(stmt, 0);
        e = sqlite3_column_int64(stmt, 1) == (int64_t)db_meta_crc(key, *value) ? ERR_OK : ERR_CORRUPT;
    }
    (void)sqlite3_finalize(stmt);
    return e;
}

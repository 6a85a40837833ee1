#include "store/embedded/journal.h"

#include "base/assert.h"
#include "base/mem.h"

static const char *const statements[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_RECORD] = "INSERT INTO journal(" DB_RECORD_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    [STMT_MARK] = "INSERT INTO history_mark(account,n," DB_MARK_COLUMNS ") VALUES(?,?,?,?,?)",
    [STMT_ACCOUNT] =
        ("INSERT INTO account(" DB_ACCOUNT_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) "
         "ON CONFLICT(no) DO UPDATE SET status=excluded.status,overdraft=excluded.overdraft,"
         "balance=excluded.balance,held=excluded.held,version=excluded.version,entries=excluded.entries,"
         "last_seq=excluded.last_seq,metadata_seq=excluded.metadata_seq,updated_us=excluded.updated_us,"
         "as_of=excluded.as_of,crc=excluded.crc"),
    [STMT_BLOCK] = "INSERT INTO block(last_seq,first_seq,accounts,prev_hash,hash) VALUES(?,?,?,?,?)",
    [STMT_KEYS] = "INSERT INTO key_blob(" DB_KEYS_COLUMNS ") VALUES(?,?,?,?,?)",
    [STMT_KEYS_OLD] =
        "SELECT last_seq FROM key_blob WHERE last_seq=(SELECT min(last_seq) FROM key_blob) AND time_us<?",
    [STMT_KEYS_DROP] = "DELETE FROM key_blob WHERE last_seq=?",
    [STMT_META] =
        ("INSERT INTO meta(key,value,crc) VALUES(?,?,?) ON CONFLICT(key) DO UPDATE SET value=excluded.value,"
         "crc=excluded.crc"),
};

static int wal_grew(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct journal *j = ctx;

    (void)db;
    (void)name;
    j->wal_pages = pages;
    return SQLITE_OK;
}

enum err journal_init(struct journal *j, sqlite3 *db)
{
    enum err e;

    *j = (struct journal){.db = db, .sweep_rows_min = SWEEP_ROWS_MIN};
    e = block_hash_new(&j->digest, &j->canonical);
    for (int i = 0; e == ERR_OK && i < STMT_COUNT; i++) {
        e = db_prepare(db, statements[i], &j->stmts[i]);
    }
    if (e != ERR_OK) {
        journal_close(j);
        return e;
    }
    (void)sqlite3_wal_hook(db, wal_grew, j);
    return ERR_OK;
}

void journal_close(struct journal *j)
{
    for (int i = 0; i < STMT_COUNT; i++) {
        (void)sqlite3_finalize(j->stmts[i]);
    }
    if (j->digest != NULL) {
        block_hash_free(j->digest, &j->canonical);
    }
    mem_free(j->swept);
    (void)sqlite3_close(j->db);
    *j = (struct journal){0};
}

static void bind(sqlite3_stmt *stmt, int column, int64_t number)
{
    int rc = sqlite3_bind_int64(stmt, column, number);
    ASSERT(rc == SQLITE_OK);
}

static void bind_bytes(sqlite3_stmt *stmt, int column, const void *bytes, size_t len)
{
    int rc = sqlite3_bind_blob64(stmt, column, bytes, len, SQLITE_STATIC);
    ASSERT(rc == SQLITE_OK);
}

static enum err write_records(struct journal *j, const struct book *b, const struct book_fx *fx,
                              uint8_t hash[DB_HASH_BYTES])
{
    struct block_hash h = {.digest = j->digest, .canonical = &j->canonical};
    sqlite3_stmt *block = j->stmts[STMT_BLOCK];
    enum err e = ERR_OK;

    block_hash_begin(&h, j->last_hash);
    for (unsigned i = 0; e == ERR_OK && i < fx->record_count; i++) {
        db_record_bind(j->stmts[STMT_RECORD], &fx->records[i], block_hash_add(&h, &fx->records[i]));
        e = db_run(j->db, j->stmts[STMT_RECORD]);
    }
    block_hash_end(&h, hash);
    if (e != ERR_OK) {
        return e;
    }
    bind(block, 1, (int64_t)b->last_seq);
    bind(block, 2, (int64_t)fx->records[0].seq);
    bind(block, 3, (int64_t)b->account_count);
    bind_bytes(block, 4, j->last_hash, DB_HASH_BYTES);
    bind_bytes(block, 5, hash, DB_HASH_BYTES);
    return db_run(j->db, block);
}

static enum err write_marks(struct journal *j, const struct book_fx *fx)
{
    sqlite3_stmt *stmt = j->stmts[STMT_MARK];
    enum err e = ERR_OK;

    for (unsigned i = 0; e == ERR_OK && i < fx->mark_count; i++) {
        bind(stmt, 1, (int64_t)fx->marks[i].account);
        bind(stmt, 2, (int64_t)fx->marks[i].n);
        bind(stmt, 3, (int64_t)fx->marks[i].seq);
        bind(stmt, 4, fx->marks[i].time_us);
        bind(stmt, 5, db_mark_crc(&fx->marks[i]));
        e = db_run(j->db, stmt);
    }
    return e;
}

/* Write one account's row as it stands at the end of this batch. */
static enum err write_account(struct journal *j, const struct book *b, uint64_t no)
{
    ASSERT(j->swept_count < j->swept_cap);
    j->swept[j->swept_count++] = no;
    db_account_bind(j->stmts[STMT_ACCOUNT], no, book_account(b, no), b->last_seq);
    return db_run(j->db, j->stmts[STMT_ACCOUNT]);
}

static enum err write_opened(struct journal *j, const struct book *b, const struct book_fx *fx)
{
    enum err e = ERR_OK;

    for (unsigned i = 0; e == ERR_OK && i < fx->record_count; i++) {
        if (fx->records[i].kind == RECORD_OPEN) {
            e = write_account(j, b, fx->records[i].credit);
        }
    }
    return e;
}

static enum err write_meta(struct journal *j, const char *key, int64_t value)
{
    sqlite3_stmt *stmt = j->stmts[STMT_META];
    int rc = sqlite3_bind_text(stmt, 1, key, -1, SQLITE_STATIC);

    ASSERT(rc == SQLITE_OK);
    bind(stmt, 2, value);
    bind(stmt, 3, db_meta_crc(key, value));
    return db_run(j->db, stmt);
}

/* Entries from keys_stored on, up to a blob's worth, into one blob. */
static enum err write_keys(struct journal *j, const struct book *b)
{
    sqlite3_stmt *stmt = j->stmts[STMT_KEYS];
    struct key_entry *entries = mem_alloc_array(KEY_BLOB_ENTRIES, sizeof(*entries));
    struct db_keys blob;
    size_t count = 0;
    enum err e;

    if (entries == NULL) {
        return ERR_NOMEM;
    }
    while (count < KEY_BLOB_ENTRIES && j->keys_stored < b->keys.next) {
        const struct key_entry *entry = keys_at(&b->keys, j->keys_stored++);
        if (entry->seq != 0) { /* not one that was used again and retired */
            entries[count++] = *entry;
        }
    }
    if (count == 0) {
        mem_free(entries);
        return ERR_OK;
    }
    blob = (struct db_keys){.last_seq = entries[count - 1].seq,
                            .prev_seq = j->keys_seq,
                            .time_us = b->last_time_us,
                            .entries = entries,
                            .count = count};
    bind(stmt, 1, (int64_t)blob.last_seq);
    bind(stmt, 2, (int64_t)blob.prev_seq);
    bind(stmt, 3, blob.time_us);
    bind_bytes(stmt, 4, entries, count * sizeof(*entries));
    bind(stmt, 5, db_keys_crc(&blob));
    e = db_run(j->db, stmt);
    mem_free(entries);
    if (e == ERR_OK) {
        j->keys_seq = blob.last_seq;
        e = write_meta(j, "keys_end", (int64_t)blob.last_seq);
    }
    return e;
}

/* Drop the oldest blob where all its keys have expired. */
static enum err drop_keys(struct journal *j, int64_t expire_before_us)
{
    sqlite3_stmt *old = j->stmts[STMT_KEYS_OLD];
    int64_t last_seq;
    enum err e;
    int rc;

    bind(old, 1, expire_before_us);
    rc = sqlite3_step(old);
    last_seq = rc == SQLITE_ROW ? sqlite3_column_int64(old, 0) : 0;
    (void)sqlite3_reset(old);
    if (rc != SQLITE_ROW) {
        return rc == SQLITE_DONE ? ERR_OK : db_err(j->db, rc);
    }
    bind(j->stmts[STMT_KEYS_DROP], 1, last_seq);
    e = db_run(j->db, j->stmts[STMT_KEYS_DROP]);
    return e == ERR_OK ? write_meta(j, "keys_dropped", last_seq) : e;
}

/* A bounded piece of the pass over changed accounts; when it ends, recovery may start later. */
static enum err write_sweep(struct journal *j, const struct book *b, unsigned budget)
{
    enum err e = ERR_OK;
    uint64_t interval = b->account_count * SWEEP_ROWS_PER_ACCOUNT;

    interval = interval > j->sweep_rows_min ? interval : j->sweep_rows_min;
    if (j->sweep.at == 0) {
        if (b->last_seq - j->sweep.done_seq < interval || b->account_count == 0) {
            return ERR_OK;
        }
        j->sweep.at = 1;
        j->sweep.start_seq = b->last_seq;
    }
    while (e == ERR_OK && budget-- > 0 && j->sweep.at != 0) {
        uint64_t no = book_dirty_next(b, j->sweep.at, SWEEP_LOOK, &j->sweep.at);
        if (no != 0) {
            e = write_account(j, b, no);
        }
    }
    if (e == ERR_OK && j->sweep.at == 0) {
        j->sweep.done_seq = j->sweep.start_seq;
        while (e == ERR_OK && j->keys_stored < b->keys.next) {
            e = write_keys(j, b); /* so that a start scans for keys no further back than for balances */
        }
        if (e == ERR_OK) {
            e = write_meta(j, "sweep_start", (int64_t)j->sweep.start_seq);
        }
    }
    return e;
}

static enum err swept_reserve(struct journal *j, unsigned count)
{
    uint64_t *grown;

    j->swept_count = 0;
    if (count <= j->swept_cap) {
        return ERR_OK;
    }
    grown = mem_resize(j->swept, count * sizeof(*grown));
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    j->swept = grown;
    j->swept_cap = count;
    return ERR_OK;
}

/*
 * What a failed COMMIT means. Where a write into the log failed, the commit is not in it. Anything else may have failed behind
 * the sync, such as growing the log's index: then the next start would find the commit, so nobody may be told that it is not.
 */
static enum err commit_failed(const struct journal *j, enum err e)
{
    const int rc = sqlite3_extended_errcode(j->db);

    if (e == ERR_BUSY || (e == ERR_DISK_FULL && (rc == SQLITE_FULL || rc == SQLITE_IOERR_WRITE))) {
        return e;
    }
    return e == ERR_CORRUPT ? e : ERR_IO;
}

/* BEGIN, write, COMMIT; on failure everything of this transaction is gone and the journal's own state as before. */
static enum err transact(struct journal *j, struct book *b, const struct book_fx *fx,
                         unsigned sweep_budget, int64_t expire_before_us)
{
    const struct sweep sweep_before = j->sweep;
    const uint64_t keys_before = j->keys_stored, keys_seq_before = j->keys_seq;
    uint8_t hash[DB_HASH_BYTES];
    enum err e = swept_reserve(j, sweep_budget + (fx == NULL ? 0 : fx->record_count));

    if (j->keys_stored < b->keys.first) {
        j->keys_stored = b->keys.first; /* expired before a blob was full */
    }
    if (e != ERR_OK || (e = db_run(j->db, j->stmts[STMT_BEGIN])) != ERR_OK) {
        return e;
    }
    memcpy(hash, j->last_hash, sizeof(hash));
    if (fx != NULL && ((e = write_records(j, b, fx, hash)) != ERR_OK ||
                       (e = write_marks(j, fx)) != ERR_OK || (e = write_opened(j, b, fx)) != ERR_OK)) {
        goto undo;
    }
    if (b->keys.next - j->keys_stored >= KEY_BLOB_ENTRIES && (e = write_keys(j, b)) != ERR_OK) {
        goto undo;
    }
    if ((e = write_sweep(j, b, sweep_budget)) != ERR_OK) {
        goto undo;
    }
    for (int i = 0; i < KEY_BLOBS_DROPPED && j->keys_seq != keys_seq_before;
         i++) { /* faster than they are written */
        if ((e = drop_keys(j, expire_before_us)) != ERR_OK) {
            goto undo;
        }
    }
    if ((e = db_run(j->db, j->stmts[STMT_COMMIT])) != ERR_OK) {
        e = commit_failed(j, e);
        goto undo;
    }
    memcpy(j->last_hash, hash, sizeof(hash));
    for (unsigned i = 0; i < j->swept_count; i++) {
        book_dirty_set(b, j->swept[i], false);
    }
    return ERR_OK;

undo:
    if (sqlite3_get_autocommit(j->db) == 0) {
        enum err rolled = db_run(j->db, j->stmts[STMT_ROLLBACK]);
        e = rolled == ERR_IO || rolled == ERR_CORRUPT ? rolled : e;
    }
    j->sweep = sweep_before;
    j->keys_stored = keys_before;
    j->keys_seq = keys_seq_before;
    return e;
}

enum err journal_commit(struct journal *j, struct book *b, const struct book_fx *fx,
                        int64_t expire_before_us)
{
    ASSERT(fx->record_count > 0 && fx->records[fx->record_count - 1].seq == b->last_seq);
    return transact(j, b, fx, SWEEP_BASE + fx->record_count / SWEEP_RECORDS_PER_ROW,
                    expire_before_us);
}

enum err journal_sweep_all(struct journal *j, struct book *b, int64_t expire_before_us)
{
    enum { ROWS_A_COMMIT = 65536 };
    enum err e = ERR_OK;

    if (b->last_seq == 0 || b->last_seq == j->sweep.done_seq) {
        return ERR_OK;
    }
    j->sweep.at = 1; /* a pass that was running starts over: only a whole one counts */
    j->sweep.start_seq = b->last_seq;
    while (e == ERR_OK && j->sweep.at != 0) {
        e = transact(j, b, NULL, ROWS_A_COMMIT, expire_before_us);
    }
    return e;
}

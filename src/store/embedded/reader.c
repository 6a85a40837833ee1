#include "store/embedded/reader.h"

#include "base/assert.h"
#include "log/log.h"
#include "store/embedded/cursor.h"

/* Of one transaction, but for accounts it opens: at most one for each leg that moves, and one for each that holds. */
enum { RECORDS_MAX = 2 * LEDGER_LEGS_MAX };

static const char *const statements[READ_STMT_COUNT] = {
    [READ_BEGIN] = "BEGIN",
    [READ_END] = "COMMIT",
    [READ_RECORD] = "SELECT " DB_RECORD_COLUMNS " FROM journal WHERE seq=?",
    [READ_LAST] = "SELECT max(seq) FROM journal",
    [READ_ACCOUNT] = "SELECT " DB_ACCOUNT_COLUMNS " FROM account WHERE no=?",
    [READ_MARK] = "SELECT " DB_MARK_COLUMNS " FROM history_mark WHERE account=? AND n=?",
    [READ_ACCOUNTS_FROM] =
        "SELECT " DB_ACCOUNT_COLUMNS " FROM account WHERE id>=? ORDER BY id LIMIT ?",
    [READ_ACCOUNTS_BEHIND] =
        "SELECT " DB_ACCOUNT_COLUMNS " FROM account WHERE id>? ORDER BY id LIMIT ?",
};

enum err reader_open(struct reader *r, const char *path, struct err_text *why)
{
    enum err e;

    *r = (struct reader){0};
    e = db_open(path, DB_READER, &r->db, why);
    for (int i = 0; e == ERR_OK && i < READ_STMT_COUNT; i++) {
        e = db_prepare(r->db, statements[i], &r->stmts[i]);
        if (e != ERR_OK) {
            db_why(why, r->db, "cannot prepare reads");
        }
    }
    if (e != ERR_OK) {
        reader_close(r);
    }
    return e;
}

void reader_close(struct reader *r)
{
    for (int i = 0; i < READ_STMT_COUNT; i++) {
        (void)sqlite3_finalize(r->stmts[i]);
    }
    (void)sqlite3_close(r->db);
    *r = (struct reader){0};
}

/* Step a one-row look-up by number; the row stays readable until the next use of the statement. */
static enum err look_up(struct reader *r, sqlite3_stmt *stmt, uint64_t number)
{
    int rc;

    (void)sqlite3_reset(stmt);
    rc = sqlite3_bind_int64(stmt, 1, (int64_t)number);
    ASSERT(rc == SQLITE_OK);
    rc = sqlite3_step(stmt);
    return rc == SQLITE_DONE ? ERR_NOT_FOUND : db_err(r->db, rc);
}

enum err reader_record(struct reader *r, uint64_t seq, struct record *out)
{
    enum err e = look_up(r, r->stmts[READ_RECORD], seq);

    return e == ERR_OK ? db_record_read(r->stmts[READ_RECORD], out) : e;
}

enum err reader_last(struct reader *r, uint64_t *seq)
{
    sqlite3_stmt *stmt = r->stmts[READ_LAST];
    int rc;

    (void)sqlite3_reset(stmt);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        return rc == SQLITE_DONE ? ERR_CORRUPT : db_err(r->db, rc);
    }
    *seq = (uint64_t)sqlite3_column_int64(stmt, 0); /* no record: NULL reads as 0 */
    return ERR_OK;
}

enum err reader_account(struct reader *r, uint64_t no, struct arena *a, struct account_view *out)
{
    struct account row;
    uint64_t as_of;
    enum err e = look_up(r, r->stmts[READ_ACCOUNT], no);

    if (e == ERR_OK) {
        e = db_account_read(r->stmts[READ_ACCOUNT], &no, &row, &as_of);
    }
    if (e != ERR_OK) {
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    }
    *out = (struct account_view){.no = no, .currency = {row.currency}, .exponent = row.exponent};
    out->metadata_seq = row.metadata_seq;
    out->status = (enum account_status)row.status;
    return arena_copy(a, slice_make(row.id, row.id_len), &out->id);
}

/* Does the transaction go on up to this position? */
static enum err reaches(struct reader *r, const struct record *rec, uint64_t seq, bool *does)
{
    struct record there;
    uint64_t last;
    enum err e = reader_record(r, seq, &there);

    *does = e == ERR_OK && there.time_us == rec->time_us && there.tag == rec->tag &&
            there.kind == rec->kind;
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    e = reader_last(r, &last);
    return e == ERR_OK && seq <= last ? ERR_CORRUPT : e;
}

/* The last record of a transaction, from any of its movements: in growing steps, then in halves. */
static enum err last_of(struct reader *r, const struct record *rec, uint64_t *seq)
{
    uint64_t beyond = rec->seq + RECORDS_MAX, step = 1;
    enum err e = ERR_OK;

    for (*seq = rec->seq; e == ERR_OK && beyond - *seq > 1; step *= 2) {
        const uint64_t half = (beyond - *seq) / 2;
        const uint64_t at = *seq + (step < half ? step : half);
        bool does = false;
        e = reaches(r, rec, at, &does);
        if (does) {
            *seq = at;
        } else {
            beyond = at;
        }
    }
    return e;
}

enum err reader_words(struct reader *r, const struct record *rec, struct arena *a,
                      struct store_entry *entry)
{
    struct record_extra x;
    struct record last;
    enum err e = ERR_OK;

    if (rec->extra.len == 0 && rec->idem.len == 0) { /* only a transaction's last record has any */
        uint64_t seq;
        e = last_of(r, rec, &seq);
        if (e == ERR_OK && seq == rec->seq) {
            return ERR_OK;
        }
        if (e == ERR_OK) {
            e = reader_record(r, seq, &last);
            rec = &last;
        }
    }
    if (e == ERR_OK) {
        e = record_extra_decode(rec->extra, &x);
    }
    if (e == ERR_OK && x.reference.ptr != NULL) {
        e = arena_copy(a, x.reference, &entry->reference);
    }
    if (e == ERR_OK && x.metadata.ptr != NULL) {
        e = arena_copy(a, x.metadata, &entry->metadata);
    }
    return e;
}

static enum err read_metadata(struct reader *r, uint64_t seq, struct arena *a, struct slice *out)
{
    struct record rec;
    struct record_extra x;
    enum err e;

    if (seq == 0) {
        return ERR_OK;
    }
    e = reader_record(r, seq, &rec);
    if (e == ERR_OK) {
        e = record_extra_decode(rec.extra, &x);
    }
    return e == ERR_OK && x.metadata.ptr != NULL ? arena_copy(a, x.metadata, out) : e;
}

/* One row of a page of accounts: does it belong, and is there room? */
static enum err take_account(struct reader *r, sqlite3_stmt *stmt, struct store_op *op)
{
    struct account row;
    uint64_t no, as_of;
    struct slice id;
    enum err e = db_account_read(stmt, &no, &row, &as_of);

    if (e != ERR_OK) {
        return e;
    }
    id = slice_make(row.id, row.id_len);
    if (id.ptr[0] == '@' || (op->accounts.status >= 0 && row.status != op->accounts.status)) {
        return ERR_OK;
    }
    if (op->count == op->accounts.limit) {
        op->has_more = true;
        return ERR_OK;
    }
    op->views[op->count] = (struct account_view){.no = no};
    e = arena_copy(&op->out, id, &op->views[op->count].id);
    if (e == ERR_OK) {
        e = read_metadata(r, row.metadata_seq, &op->out, &op->views_metadata[op->count]);
    }
    op->count++;
    return e;
}

/* Does `last` stand at or behind the first id that a prefix could begin, in the order of bytes? */
static bool is_behind(struct slice last, struct slice prefix)
{
    const size_t len = last.len < prefix.len ? last.len : prefix.len;
    const int order = len == 0 ? 0 : memcmp(last.ptr, prefix.ptr, len);

    return last.len > 0 && (order > 0 || (order == 0 && last.len >= prefix.len));
}

static enum err read_accounts(struct reader *r, struct store_op *op)
{
    const struct slice prefix = op->accounts.prefix;
    sqlite3_stmt *stmt = r->stmts[READ_ACCOUNTS_FROM];
    char last[LEDGER_ACCOUNT_ID_BYTES_MAX] = "";
    size_t last_len = 0;
    int looked = 0, rc;
    enum err e = ERR_OK;

    op->views = arena_alloc(&op->out, op->accounts.limit * sizeof(*op->views));
    op->views_metadata = arena_alloc(&op->out, op->accounts.limit * sizeof(*op->views_metadata));
    if (op->views == NULL || op->views_metadata == NULL) {
        return ERR_NOMEM;
    }
    if (op->accounts.cursor.ptr != NULL &&
        !cursor_account_read(op->accounts.cursor, store_accounts_binding(op), last, &last_len)) {
        op->result.outcome = OUTCOME_INVALID_CURSOR;
        return ERR_OK;
    }
    if (is_behind(slice_make(last, last_len), prefix)) { /* the page goes on behind the cursor */
        stmt = r->stmts[READ_ACCOUNTS_BEHIND];
        rc = sqlite3_bind_text(stmt, 1, last, (int)last_len, SQLITE_TRANSIENT);
    } else {
        rc = sqlite3_bind_text(stmt, 1, prefix.ptr == NULL ? "" : prefix.ptr, (int)prefix.len,
                               SQLITE_STATIC);
    }
    if (rc != SQLITE_OK) {
        return db_err(r->db, rc);
    }
    (void)sqlite3_bind_int(stmt, 2, STORE_HISTORY_LOOKED_MAX);
    while (e == ERR_OK && !op->has_more && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        struct slice id;
        if (rc != SQLITE_ROW) {
            e = db_err(r->db, rc);
            break;
        }
        id = slice_make((const char *)sqlite3_column_text(stmt, 1),
                        (size_t)sqlite3_column_bytes(stmt, 1));
        if (id.len > sizeof(last) || !slice_starts_with(id, prefix)) {
            break; /* ids are read in order: none behind it has the prefix */
        }
        e = take_account(r, stmt, op);
        if (!op->has_more) { /* the page's last look: where the next one begins */
            memcpy(last, id.ptr, id.len);
            last_len = id.len;
        }
        op->has_more = op->has_more || ++looked == STORE_HISTORY_LOOKED_MAX;
    }
    (void)sqlite3_reset(stmt);
    if (op->has_more) {
        op->next_cursor_len =
            cursor_account_write(last, last_len, store_accounts_binding(op), op->next_cursor);
    }
    return e;
}

static enum err answer(struct reader *r, struct store_op *op)
{
    switch (op->kind) {
    case STORE_POST:
        return reader_replay(r, op);
    case STORE_ACCOUNT:
        return read_metadata(r, op->account.metadata_seq, &op->out, &op->account_metadata);
    case STORE_ACCOUNTS:
        return read_accounts(r, op);
    case STORE_HISTORY:
        return reader_history(r, op);
    case STORE_TRANSACTION:
        return reader_transaction(r, op);
    }
    UNREACHABLE("no such operation");
}

void reader_answer(struct reader *r, struct store_op *op)
{
    static struct log_limit limit;
    enum err e = db_run(r->db, r->stmts[READ_BEGIN]);

    if (e == ERR_OK) {
        e = answer(r, op);
        for (int i = READ_RECORD; i < READ_STMT_COUNT; i++) {
            (void)sqlite3_reset(r->stmts[i]);
        }
        if (sqlite3_get_autocommit(r->db) == 0) {
            enum err ended = db_run(r->db, r->stmts[READ_END]);
            e = e == ERR_OK ? ended : e;
        }
    }
    if (e == ERR_OK) {
        op->status = STORE_DONE;
        return;
    }
    log_event_limited(&limit, LOG_ERROR, "store.read_failed", log_text("err", err_name(e)),
                      log_text("file", DB_FILE_NAME));
    if (e != ERR_BUSY && e != ERR_NOMEM) {
        op->status = STORE_FAULT;
    } else { /* a repeated write was applied once: the same key will tell with what outcome */
        op->status = op->kind == STORE_POST ? STORE_UNKNOWN : STORE_UNAVAILABLE;
    }
}

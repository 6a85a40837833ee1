/*
 * The proof of a ledger, by folding its journal from the first record in a book of its own and comparing everything the
 * file says with that: hash blocks, account rows (each at its own as_of), chains, history marks, keys.
 */
#include <time.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "store/embedded/embedded.h"
#include "store/embedded/journal.h"
#include "store/embedded/wal_check.h"

enum { VERIFY_BATCH = 16, VERIFY_KEYS_MAX = 1000000000 };
#define VERIFY_TTL_MIN_US (INT64_C(600) * 1000000) /* no service forgets a key sooner */

/* One account as its row has it, to be compared when the fold has come to as_of. */
struct row {
    struct account account; /* id NULL: compared by id_hash */
    uint64_t id_hash;
    uint64_t as_of;
    bool is_compared;
};

struct verifier {
    sqlite3 *db;
    struct err_text *why;
    struct verify_report *report;
    struct book book;
    struct row *rows; /* by account number - 1; owned */
    uint64_t row_count;
    void *digest;
    struct buf canonical;
    uint8_t last_hash[DB_HASH_BYTES];
    uint64_t keys_seq;    /* last_seq of the blob before */
    uint64_t sweep_start; /* where a start would begin to replay */
    sqlite3_stmt *times;  /* one record's time by its position */
    sqlite3_stmt *marks;  /* one mark by (account, n) */
};

static enum err bad(struct verifier *v, const char *what, uint64_t at)
{
    err_text_set(v->why, "%s: %s %llu", sqlite3_db_filename(v->db, "main"), what,
                 (unsigned long long)at);
    return ERR_CORRUPT;
}

static enum err failed(struct verifier *v, int rc, const char *what)
{
    enum err e = db_err(v->db, rc);

    db_why(v->why, v->db, what);
    return e == ERR_OK ? ERR_CORRUPT : e;
}

/* Run a query and give each row to a function, until one says no. */
static enum err each_row(struct verifier *v, const char *sql,
                         enum err (*take)(struct verifier *, sqlite3_stmt *))
{
    sqlite3_stmt *stmt = NULL;
    enum err e = ERR_OK;
    int rc = sqlite3_prepare_v2(v->db, sql, -1, &stmt, NULL);

    if (rc != SQLITE_OK) {
        return failed(v, rc, "cannot read");
    }
    while (e == ERR_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        e = rc == SQLITE_ROW ? take(v, stmt) : failed(v, rc, "cannot read");
    }
    (void)sqlite3_finalize(stmt);
    return e;
}

static enum err take_row(struct verifier *v, sqlite3_stmt *stmt)
{
    uint64_t no, as_of, id_hash;
    struct account a;
    struct row *grown;

    if (db_account_read(stmt, &no, &a, &as_of) != ERR_OK || no != v->row_count + 1) {
        return bad(v, "the row is damaged or missing of account", v->row_count + 1);
    }
    if ((v->row_count & (v->row_count - 1)) == 0) { /* at each power of two: double */
        grown = mem_resize(v->rows, (v->row_count == 0 ? 1 : v->row_count * 2) * sizeof(*grown));
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        v->rows = grown;
    }
    id_hash = hash_bytes(&v->book.hash_key, slice_make(a.id, a.id_len));
    a.id = NULL; /* borrowed from the statement; the opening record has it too */
    v->rows[v->row_count++] = (struct row){.account = a, .id_hash = id_hash, .as_of = as_of};
    return ERR_OK;
}

/* The fold is at a moment where account no is as it was at its row's as_of: is it? */
static enum err row_compare(struct verifier *v, uint64_t no)
{
    struct row *row = &v->rows[no - 1];
    struct account folded = *book_account(&v->book, no);

    if (row->is_compared) {
        return ERR_OK;
    }
    row->is_compared = true;
    if (hash_bytes(&v->book.hash_key, slice_make(folded.id, folded.id_len)) != row->id_hash) {
        return bad(v, "the row has another id than the record that opened it, of account", no);
    }
    if (folded.balance != row->account.balance || folded.held != row->account.held ||
        folded.overdraft != row->account.overdraft || folded.version != row->account.version ||
        folded.entries != row->account.entries || folded.last_seq != row->account.last_seq ||
        folded.metadata_seq != row->account.metadata_seq || folded.currency != row->account.currency ||
        folded.exponent != row->account.exponent || folded.status != row->account.status ||
        folded.id_len != row->account.id_len || folded.created_us != row->account.created_us ||
        folded.updated_us != row->account.updated_us) {
        return bad(v, "the row is not the sum of its records, of account", no);
    }
    return ERR_OK;
}

static enum err side_before(struct verifier *v, const struct record *r, uint64_t no)
{
    if (no == 0 || r->kind == RECORD_OPEN) {
        return ERR_OK;
    }
    if (no > v->row_count || no > v->book.account_count) {
        return bad(v, "an account that does not exist is named by record", r->seq);
    }
    if (r->seq <= v->rows[no - 1].as_of) {
        return ERR_OK;
    }
    if (r->seq <=
        v->sweep_start) { /* a start would replay from there: the row must have had this record */
        return bad(v, "the row is older than the last sweep, of account", no);
    }
    return row_compare(v, no);
}

/* An entry that must have left a mark: is it there, and right? */
static enum err mark_check(struct verifier *v, const struct record *r, uint64_t no)
{
    const struct account *a = no == 0 || r->kind == RECORD_OPEN ? NULL : book_account(&v->book, no);
    struct book_mark mark;

    if (a == NULL || a->entries % LEDGER_MARK_EVERY != 0) {
        return ERR_OK;
    }
    (void)sqlite3_reset(v->marks);
    (void)sqlite3_bind_int64(v->marks, 1, (int64_t)no);
    (void)sqlite3_bind_int64(v->marks, 2, (int64_t)a->entries);
    if (sqlite3_step(v->marks) != SQLITE_ROW ||
        db_mark_read(v->marks, no, a->entries, &mark) != ERR_OK || mark.seq != r->seq ||
        mark.time_us != r->time_us) {
        return bad(v, "the history mark is missing or wrong at record", r->seq);
    }
    v->report->marks++;
    return ERR_OK;
}

static enum err key_check(struct verifier *v, const struct record *r)
{
    struct idem idem;
    uint64_t before;
    enum err e;

    if (r->idem.len == 0) {
        return ERR_OK;
    }
    if (record_idem_decode(r->idem, &idem) != ERR_OK) {
        return bad(v, "the key is damaged of record", r->seq);
    }
    v->report->keys++;
    before = keys_find(&v->book.keys, idem.scope);
    if (before != 0) { /* used again: only after it had expired */
        (void)sqlite3_reset(v->times);
        (void)sqlite3_bind_int64(v->times, 1, (int64_t)before);
        if (sqlite3_step(v->times) != SQLITE_ROW ||
            r->time_us - sqlite3_column_int64(v->times, 0) < VERIFY_TTL_MIN_US) {
            return bad(v, "a key was used twice within its life, again at record", r->seq);
        }
        keys_retire(&v->book.keys, idem.scope);
    }
    e = keys_reserve(&v->book.keys, idem.scope);
    if (e == ERR_OK) {
        keys_put(&v->book.keys, idem.scope, r->seq, r->time_us);
    }
    return e;
}

static enum err take_record(struct verifier *v, const struct record *r)
{
    enum err e;

    if (r->time_us < v->book.last_time_us || r->seq != v->book.last_seq + 1) {
        return bad(v, "time or position falls back at record", r->seq);
    }
    if ((e = side_before(v, r, r->debit)) != ERR_OK || (e = side_before(v, r, r->credit)) != ERR_OK) {
        return e;
    }
    e = book_replay(&v->book, r, 0, 0);
    if (e != ERR_OK) {
        return e == ERR_CORRUPT
                   ? bad(v, "the chain or the balance after it is wrong at record", r->seq)
                   : e;
    }
    v->report->records++;
    if ((e = mark_check(v, r, r->debit)) != ERR_OK || (e = mark_check(v, r, r->credit)) != ERR_OK) {
        return e;
    }
    return key_check(v, r);
}

/* One hash block: its records, one after another, and its hash over them. */
static enum err take_block(struct verifier *v, sqlite3_stmt *block)
{
    struct block_hash h = {.digest = v->digest, .canonical = &v->canonical};
    const uint64_t last = (uint64_t)sqlite3_column_int64(block, 0);
    uint8_t computed[DB_HASH_BYTES];
    sqlite3_stmt *records = NULL;
    enum err e = ERR_OK;
    int rc;

    if ((uint64_t)sqlite3_column_int64(block, 1) != v->book.last_seq + 1 ||
        last <= v->book.last_seq || sqlite3_column_bytes(block, 3) != DB_HASH_BYTES ||
        sqlite3_column_bytes(block, 4) != DB_HASH_BYTES ||
        memcmp(sqlite3_column_blob(block, 3), v->last_hash, DB_HASH_BYTES) != 0) {
        return bad(v, "the hash chain breaks at the block that ends at record", last);
    }
    rc = sqlite3_prepare_v2(
        v->db, "SELECT " DB_RECORD_COLUMNS " FROM journal WHERE seq>? AND seq<=? ORDER BY seq", -1,
        &records, NULL);
    if (rc != SQLITE_OK) {
        return failed(v, rc, "cannot read the journal");
    }
    (void)sqlite3_bind_int64(records, 1, (int64_t)v->book.last_seq);
    (void)sqlite3_bind_int64(records, 2, (int64_t)last);
    block_hash_begin(&h, v->last_hash);
    while (e == ERR_OK && (rc = sqlite3_step(records)) == SQLITE_ROW) {
        struct record r;
        e = db_record_read(records, &r) == ERR_OK ? take_record(v, &r)
                                                  : bad(v, "damaged record", v->book.last_seq + 1);
        if (e == ERR_OK) {
            (void)block_hash_add(&h, &r);
        }
    }
    (void)sqlite3_finalize(records);
    block_hash_end(&h, computed);
    if (e == ERR_OK && rc != SQLITE_DONE) {
        return failed(v, rc, "cannot read the journal");
    }
    if (e == ERR_OK && v->book.last_seq != last) {
        return bad(v, "missing record", v->book.last_seq + 1);
    }
    if (e == ERR_OK && (memcmp(computed, sqlite3_column_blob(block, 4), DB_HASH_BYTES) != 0 ||
                        (uint64_t)sqlite3_column_int64(block, 2) != v->book.account_count)) {
        return bad(v, "the hash block is wrong that ends at record", last);
    }
    memcpy(v->last_hash, computed, DB_HASH_BYTES);
    v->report->blocks++;
    return e;
}

/* Every key in a blob is a key of the journal, at its last place; those that expired may be missing from blobs. */
static enum err take_blob(struct verifier *v, sqlite3_stmt *stmt)
{
    struct db_keys blob;

    if (db_keys_read(stmt, &blob) != ERR_OK || blob.prev_seq != v->keys_seq) {
        return bad(v, "the keys are damaged or missing up to record",
                   (uint64_t)sqlite3_column_int64(stmt, 0));
    }
    v->keys_seq = blob.last_seq;
    for (size_t i = 0; i < blob.count; i++) {
        const struct key_entry entry = db_keys_at(&blob, i);
        if (keys_find(&v->book.keys, entry.scope) < entry.seq) {
            return bad(v, "a stored key is not in the journal at record", entry.seq);
        }
    }
    return ERR_OK;
}

/* The blobs of keys, from the newest that was dropped to the end that meta names. */
static enum err blobs_check(struct verifier *v)
{
    int64_t dropped = 0, end = 0;
    enum err e = db_meta_get(v->db, "keys_dropped", &dropped);

    v->keys_seq = (uint64_t)dropped;
    if (e == ERR_OK || e == ERR_NOT_FOUND) {
        e = db_meta_get(v->db, "keys_end", &end);
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        return failed(v, sqlite3_errcode(v->db), "which keys there are is damaged");
    }
    e = each_row(v, "SELECT " DB_KEYS_COLUMNS " FROM key_blob ORDER BY last_seq", take_blob);
    return e == ERR_OK && v->keys_seq != (uint64_t)end
               ? bad(v, "the keys are missing up to record", (uint64_t)end)
               : e;
}

static enum err take_meta(struct verifier *v, sqlite3_stmt *stmt)
{
    const char *key = (const char *)sqlite3_column_text(stmt, 0);

    if (key == NULL ||
        (strcmp(key, DB_META_PROBE) != 0 &&
         sqlite3_column_int64(stmt, 2) != (int64_t)db_meta_crc(key, sqlite3_column_int64(stmt, 1)))) {
        err_text_set(v->why, "%s: a named number is damaged: %s",
                     sqlite3_db_filename(v->db, "main"), key == NULL ? "" : key);
        return ERR_CORRUPT;
    }
    return ERR_OK;
}

/* What SQLite itself can say: rows against their index, pages against each other. */
static enum err take_integrity(struct verifier *v, sqlite3_stmt *stmt)
{
    const char *text = (const char *)sqlite3_column_text(stmt, 0);

    if (text != NULL && strcmp(text, "ok") == 0) {
        return ERR_OK;
    }
    err_text_set(v->why, "%s: SQLite's integrity check: %s", sqlite3_db_filename(v->db, "main"),
                 text == NULL ? "" : text);
    return ERR_CORRUPT;
}

static enum err ends_check(struct verifier *v)
{
    int64_t last = 0, marks = 0;
    uint64_t no;
    bool found;
    enum err e;

    if ((e = db_number(v->db, "SELECT max(seq) FROM journal", &last, &found)) != ERR_OK ||
        (e = db_number(v->db, "SELECT count(*) FROM history_mark", &marks, &found)) != ERR_OK) {
        return failed(v, sqlite3_errcode(v->db), "cannot read");
    }
    if ((uint64_t)last != v->book.last_seq) {
        return bad(v, "no hash block over record", v->book.last_seq + 1);
    }
    if ((uint64_t)marks != v->report->marks) {
        return bad(v, "there are history marks that no record left, in all",
                   (uint64_t)marks - v->report->marks);
    }
    if (v->row_count != v->book.account_count) {
        return bad(v, "the row is missing of account", v->row_count + 1);
    }
    for (no = 1; no <= v->row_count; no++) {
        if ((e = row_compare(v, no)) != ERR_OK) {
            return e;
        }
    }
    e = book_check(&v->book, &no);
    if (e != ERR_OK) {
        return bad(v, "the sum of a currency is not zero, or out of bounds is account", no);
    }
    v->report->accounts = v->book.account_count;
    v->report->currencies = v->book.world_count;
    return ERR_OK;
}

static enum err read_sweep_start(struct verifier *v)
{
    int64_t start = 0;
    enum err e = db_meta_get(v->db, "sweep_start", &start);

    v->sweep_start = (uint64_t)start;
    if (e == ERR_CORRUPT) {
        return bad(v, "where the last sweep started is damaged; it says record", v->sweep_start);
    }
    return e == ERR_OK || e == ERR_NOT_FOUND ? ERR_OK
                                             : failed(v, sqlite3_errcode(v->db), "cannot read");
}

static enum err verify_snapshot(struct verifier *v)
{
    enum err e = read_sweep_start(v);
    int rc;

    if (e != ERR_OK) {
        return e;
    }
    if ((rc = sqlite3_prepare_v2(
             v->db, "SELECT " DB_MARK_COLUMNS " FROM history_mark WHERE account=? AND n=?", -1,
             &v->marks, NULL)) != SQLITE_OK ||
        (rc = sqlite3_prepare_v2(v->db, "SELECT time_us FROM journal WHERE seq=?", -1, &v->times,
                                 NULL)) != SQLITE_OK) {
        return failed(v, rc, "cannot read");
    }
    if ((e = each_row(v, "SELECT " DB_ACCOUNT_COLUMNS " FROM account ORDER BY no", take_row)) !=
            ERR_OK ||
        (e = each_row(v, "SELECT last_seq,first_seq,accounts,prev_hash,hash FROM block ORDER BY last_seq",
                      take_block)) != ERR_OK ||
        (e = blobs_check(v)) != ERR_OK ||
        (e = each_row(v, "SELECT key,value,crc FROM meta", take_meta)) != ERR_OK ||
        (e = each_row(v, "PRAGMA integrity_check(1)", take_integrity)) != ERR_OK) {
        return e;
    }
    return ends_check(v);
}

/* A running service appends while we read, which can look like damage for a moment: only what stays is damage. */
static enum err wal_check_live(const char *wal_path, struct err_text *why)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    enum err e = ERR_CORRUPT;

    for (int tries = 0; e == ERR_CORRUPT && tries < 5; tries++) {
        if (tries > 0) {
            (void)nanosleep(&pause, NULL);
        }
        e = wal_check(wal_path, why);
    }
    return e;
}

enum err embedded_verify(const char *dir, struct verify_report *report, struct err_text *why)
{
    struct verifier v = {.why = why, .report = report};
    struct hash_key key;
    char path[DB_PATH_BYTES_MAX], wal_path[DB_PATH_BYTES_MAX + 8];
    enum err e;

    *report = (struct verify_report){0};
    err_text_set(why, "out of memory");
    if ((e = db_path(dir, path)) != ERR_OK || (e = prng_secret(&key, sizeof(key))) != ERR_OK) {
        return e;
    }
    (void)sqlite3_snprintf(sizeof(wal_path), wal_path, "%s-wal", path);
    if ((e = wal_base_check(path, wal_path, why)) != ERR_OK ||
        (e = wal_check_live(wal_path, why)) != ERR_OK ||
        (e = db_open(path, DB_VERIFIER, &v.db, why)) != ERR_OK) {
        return e;
    }
    if ((e = book_init(&v.book, VERIFY_BATCH, VERIFY_KEYS_MAX, key)) == ERR_OK &&
        (e = block_hash_new(&v.digest, &v.canonical)) == ERR_OK &&
        (e = db_exec(v.db, "BEGIN")) == ERR_OK) {
        e = verify_snapshot(&v);
    }
    (void)sqlite3_finalize(v.marks);
    (void)sqlite3_finalize(v.times);
    if (v.digest != NULL) {
        block_hash_free(v.digest, &v.canonical);
    }
    book_fini(&v.book);
    mem_free(v.rows);
    (void)sqlite3_close(v.db);
    return e;
}

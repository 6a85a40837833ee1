#include "store/embedded/recover.h"

#include "base/assert.h"
#include "base/mem.h"

struct recovery {
    struct journal *j;
    struct book *b;
    struct err_text *why;
    uint64_t *as_of; /* by account number - 1; owned */
    uint64_t as_of_cap;
    uint64_t last_seq, accounts; /* what the last block says */
    uint64_t sweep_start;
    uint64_t keys_seq; /* keys up to this position came from blobs */
    int64_t expire_before_us;
    uint64_t replayed;
};

static enum err damaged(struct recovery *r, const char *what, uint64_t at)
{
    err_text_set(r->why, "%s is damaged: %s %llu", sqlite3_db_filename(r->j->db, "main"), what,
                 (unsigned long long)at);
    return ERR_CORRUPT;
}

static enum err sql_failed(struct recovery *r, enum err e, const char *what)
{
    db_why(r->why, r->j->db, what);
    return e;
}

/* The newest block says where the ledger ends and how many accounts it has. */
static enum err read_end(struct recovery *r)
{
    sqlite3 *db = r->j->db;
    int64_t last = 0, block = 0, accounts = 0, start = 0;
    bool found;
    enum err e;

    if ((e = db_number(db, "SELECT max(seq) FROM journal", &last, &found)) != ERR_OK ||
        (e = db_number(db, "SELECT max(last_seq) FROM block", &block, &found)) != ERR_OK ||
        (e = db_number(db, "SELECT accounts FROM block ORDER BY last_seq DESC LIMIT 1", &accounts,
                       &found)) != ERR_OK) {
        return sql_failed(r, e, "cannot read the journal's end");
    }
    if (last != block || last < 0 || accounts < 0 || accounts > BOOK_ACCOUNTS_MAX) {
        return damaged(r, "the journal does not end with its last hash block, at record",
                       (uint64_t)last);
    }
    e = db_meta_get(db, "sweep_start", &start);
    if (e == ERR_CORRUPT) {
        return damaged(r, "where the last sweep started; it says record", (uint64_t)start);
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        return sql_failed(r, e, "cannot read where the last sweep started");
    }
    if (start < 0 || start > last) {
        return damaged(r, "the last sweep started behind the journal's end, at record",
                       (uint64_t)start);
    }
    r->last_seq = (uint64_t)last;
    r->accounts = (uint64_t)accounts;
    r->sweep_start = (uint64_t)start;
    return ERR_OK;
}

/* The time of a record, by its checksum; 0 for record 0. */
static enum err read_time(struct recovery *r, uint64_t seq, int64_t *time_us)
{
    struct record rec;
    sqlite3_stmt *stmt = NULL;
    enum err e;
    int rc;

    *time_us = 0;
    if (seq == 0) {
        return ERR_OK;
    }
    e = db_err(r->j->db,
               sqlite3_prepare_v2(r->j->db, "SELECT " DB_RECORD_COLUMNS " FROM journal WHERE seq=?",
                                  -1, &stmt, NULL));
    if (e != ERR_OK) {
        return sql_failed(r, e, "cannot read the journal");
    }
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)seq);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        e = sql_failed(r, db_err(r->j->db, rc), "cannot read the journal");
    } else if (rc == SQLITE_DONE || db_record_read(stmt, &rec) != ERR_OK) {
        e = damaged(r, "record", seq);
    } else {
        *time_us = rec.time_us;
    }
    (void)sqlite3_finalize(stmt);
    return e;
}

/*
 * From which time on keys count. The newest record tells better than the wall clock what time it was for this ledger: one
 * that is ahead at start must not forget keys, and one that was ahead once must not either.
 */
static enum err read_expiry(struct recovery *r, int64_t wall_us, int64_t ttl_us)
{
    int64_t last_us;
    enum err e = read_time(r, r->last_seq, &last_us);

    r->expire_before_us = (last_us < wall_us ? last_us : wall_us) - ttl_us;
    return e;
}

static enum err load_row(struct recovery *r, sqlite3_stmt *stmt)
{
    struct account a;
    uint64_t no, as_of;
    enum err e = db_account_read(stmt, &no, &a, &as_of);

    if (e != ERR_OK || no != r->b->account_count + 1 || no > r->accounts || as_of > r->last_seq) {
        return damaged(r, "row of account", (uint64_t)sqlite3_column_int64(stmt, 0));
    }
    e = book_load(r->b, &a);
    if (e == ERR_CORRUPT) {
        return damaged(r, "two rows for one account, at number", no);
    }
    r->as_of[no - 1] = as_of;
    return e;
}

static enum err load_accounts(struct recovery *r)
{
    sqlite3_stmt *stmt;
    enum err e;
    int rc;

    r->as_of = mem_alloc_array(r->accounts, sizeof(*r->as_of));
    if (r->as_of == NULL) {
        return ERR_NOMEM;
    }
    e = db_err(r->j->db,
               sqlite3_prepare_v2(r->j->db, "SELECT " DB_ACCOUNT_COLUMNS " FROM account ORDER BY no",
                                  -1, &stmt, NULL));
    if (e != ERR_OK) {
        return sql_failed(r, e, "cannot read the accounts");
    }
    while (e == ERR_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        e = rc == SQLITE_ROW ? load_row(r, stmt)
                             : sql_failed(r, db_err(r->j->db, rc), "cannot read the accounts");
    }
    (void)sqlite3_finalize(stmt);
    if (e == ERR_OK && r->b->account_count != r->accounts) {
        return damaged(r, "the row is missing of account", r->b->account_count + 1);
    }
    return e;
}

/* The index must name every account once: pages of accounts are read by it, and nobody would miss one that is left out. */
static enum err check_index(struct recovery *r)
{
    char before[LEDGER_ACCOUNT_ID_BYTES_MAX] = "";
    uint64_t count = 0;
    size_t before_len = 0;
    sqlite3_stmt *stmt;
    enum err e;
    int rc;

    e = db_err(r->j->db,
               sqlite3_prepare_v2(
                   r->j->db, "SELECT no,id FROM account INDEXED BY account_id ORDER BY id,currency",
                   -1, &stmt, NULL));
    if (e != ERR_OK) {
        return sql_failed(r, e, "cannot read the index of accounts");
    }
    while (e == ERR_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        const uint64_t no = (uint64_t)sqlite3_column_int64(stmt, 0);
        const char *text = (const char *)sqlite3_column_text(stmt, 1);
        const struct slice id = slice_make(text, (size_t)sqlite3_column_bytes(stmt, 1));
        const struct account *a =
            no >= 1 && no <= r->b->account_count ? book_account(r->b, no) : NULL;
        int order;
        if (rc != SQLITE_ROW) {
            e = sql_failed(r, db_err(r->j->db, rc), "cannot read the index of accounts");
            break;
        }
        if (text == NULL || a == NULL || !slice_equal(id, slice_make(a->id, a->id_len))) {
            e = damaged(r, "the index entry of account", no);
            break;
        }
        order = memcmp(before, id.ptr, before_len < id.len ? before_len : id.len);
        if (order > 0 || (order == 0 && before_len >= id.len && !slice_equal(id, LEDGER_WORLD))) {
            e = damaged(r, "the index is out of order at account", no);
        }
        memcpy(before, id.ptr, id.len);
        before_len = id.len;
        count++;
    }
    (void)sqlite3_finalize(stmt);
    if (e == ERR_OK && count != r->b->account_count) {
        return damaged(r, "the index of accounts misses some; it has", count);
    }
    return e;
}

/*
 * Put a key. Where an expired one was used again the newer answer is the one that was given last, and it is put as new, so
 * that it reaches a blob of its own. More keys than a service may hold are loaded too: it refuses new ones then.
 */
static enum err key_load(struct recovery *r, const uint8_t *scope, uint64_t seq, int64_t time_us)
{
    enum err e;

    if (keys_find(&r->b->keys, scope) != 0) {
        keys_retire(&r->b->keys, scope);
    }
    e = keys_reserve(&r->b->keys, scope);
    if (e == ERR_OK) {
        keys_put(&r->b->keys, scope, seq, time_us);
    }
    return e;
}

static enum err load_blob(struct recovery *r, sqlite3_stmt *stmt)
{
    struct db_keys blob;
    struct key_entry entry = {0};
    enum err e;

    if (db_keys_read(stmt, &blob) != ERR_OK || blob.prev_seq != r->keys_seq ||
        blob.last_seq > r->last_seq) {
        return damaged(r, "the keys up to record", (uint64_t)sqlite3_column_int64(stmt, 0));
    }
    for (size_t i = 0; i < blob.count && blob.time_us >= r->expire_before_us; i++) {
        entry = db_keys_at(&blob, i);
        if (entry.seq == 0 || entry.seq > blob.last_seq) {
            return damaged(r, "a key at record", entry.seq);
        }
        if ((e = key_load(r, entry.scope, entry.seq, blob.time_us)) != ERR_OK) {
            return e;
        }
    }
    r->keys_seq = blob.last_seq;
    return ERR_OK;
}

/* Where the blobs begin, or end. 0 where none was dropped, or written. */
static enum err read_keys_bound(struct recovery *r, const char *key, uint64_t *seq)
{
    int64_t number = 0;
    enum err e = db_meta_get(r->j->db, key, &number);

    if (e == ERR_CORRUPT) {
        return damaged(r, "the bounds of the stored keys; one says record", (uint64_t)number);
    }
    if (e != ERR_OK && e != ERR_NOT_FOUND) {
        return sql_failed(r, e, "cannot read which keys there are");
    }
    *seq = (uint64_t)number;
    return ERR_OK;
}

static enum err load_keys(struct recovery *r)
{
    sqlite3_stmt *stmt;
    uint64_t end = 0;
    enum err e;
    int rc;

    if ((e = read_keys_bound(r, "keys_dropped", &r->keys_seq)) != ERR_OK ||
        (e = read_keys_bound(r, "keys_end", &end)) != ERR_OK) {
        return e;
    }
    e = db_err(r->j->db, sqlite3_prepare_v2(
                             r->j->db, "SELECT " DB_KEYS_COLUMNS " FROM key_blob ORDER BY last_seq",
                             -1, &stmt, NULL));
    if (e != ERR_OK) {
        return sql_failed(r, e, "cannot read the keys");
    }
    while (e == ERR_OK && (rc = sqlite3_step(stmt)) != SQLITE_DONE) {
        e = rc == SQLITE_ROW ? load_blob(r, stmt)
                             : sql_failed(r, db_err(r->j->db, rc), "cannot read the keys");
    }
    (void)sqlite3_finalize(stmt);
    if (e == ERR_OK && r->keys_seq != end) {
        e = damaged(r, "the keys are missing up to record", end);
    }
    r->j->keys_seq = r->keys_seq;
    r->j->keys_stored = r->b->keys.next;
    return e;
}

static uint64_t as_of_of(const struct recovery *r, uint64_t no)
{
    return no >= 1 && no <= r->accounts ? r->as_of[no - 1] : 0;
}

static enum err replay_key(struct recovery *r, const struct record *rec)
{
    struct idem idem;

    if (rec->idem.len == 0 || rec->seq <= r->keys_seq || rec->time_us < r->expire_before_us) {
        return ERR_OK;
    }
    if (record_idem_decode(rec->idem, &idem) != ERR_OK) {
        return damaged(r, "the key of record", rec->seq);
    }
    return key_load(r, idem.scope, rec->seq, rec->time_us);
}

/* Read the records of one block again, each by its own checksum, all by the block's hash. */
static enum err replay_block(struct recovery *r, sqlite3_stmt *records, uint64_t last,
                             const uint8_t *hash)
{
    struct block_hash h = {.digest = r->j->digest, .canonical = &r->j->canonical};
    uint8_t computed[DB_HASH_BYTES];
    enum err e = ERR_OK;

    block_hash_begin(&h, r->j->last_hash);
    while (e == ERR_OK && r->b->last_seq < last) {
        struct record rec;
        int rc = sqlite3_step(records);
        if (rc != SQLITE_ROW) {
            return rc == SQLITE_DONE
                       ? damaged(r, "missing record", r->b->last_seq + 1)
                       : sql_failed(r, db_err(r->j->db, rc), "cannot read the journal");
        }
        if (db_record_read(records, &rec) != ERR_OK || rec.seq != r->b->last_seq + 1) {
            return damaged(r, "record", r->b->last_seq + 1);
        }
        (void)block_hash_add(&h, &rec);
        e = book_replay(r->b, &rec, as_of_of(r, rec.debit), as_of_of(r, rec.credit));
        if (e == ERR_CORRUPT) {
            return damaged(r, "the accounts do not agree with record", rec.seq);
        }
        if (e == ERR_OK) {
            e = replay_key(r, &rec);
        }
        r->replayed++;
    }
    block_hash_end(&h, computed);
    if (e == ERR_OK && memcmp(computed, hash, DB_HASH_BYTES) != 0) {
        return damaged(r, "the hash block that ends at record", last);
    }
    return e;
}

/* The hash that the first block to replay must build on, and the time of the record before it. */
static enum err read_base(struct recovery *r)
{
    char sql[128];
    sqlite3_stmt *stmt = NULL;
    enum err e;
    int rc;

    r->b->last_seq = r->sweep_start;
    if (r->sweep_start == 0) {
        return ERR_OK;
    }
    e = read_time(r, r->sweep_start, &r->b->last_time_us);
    if (e != ERR_OK) {
        return e;
    }
    (void)sqlite3_snprintf(sizeof(sql), sql, "SELECT hash FROM block WHERE last_seq=%lld",
                           (long long)r->sweep_start);
    e = db_err(r->j->db, sqlite3_prepare_v2(r->j->db, sql, -1, &stmt, NULL));
    if (e != ERR_OK) {
        return sql_failed(r, e, "cannot read the journal");
    }
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        e = sql_failed(r, db_err(r->j->db, rc), "cannot read the hash blocks");
    } else if (rc == SQLITE_DONE || sqlite3_column_bytes(stmt, 0) != DB_HASH_BYTES) {
        e = damaged(r, "no hash block ends at record", r->sweep_start);
    } else {
        memcpy(r->j->last_hash, sqlite3_column_blob(stmt, 0), DB_HASH_BYTES);
    }
    (void)sqlite3_finalize(stmt);
    return e;
}

static enum err replay_blocks(struct recovery *r, sqlite3_stmt *blocks, sqlite3_stmt *records)
{
    enum err e = ERR_OK;
    int rc;

    (void)sqlite3_bind_int64(blocks, 1, (int64_t)r->sweep_start);
    (void)sqlite3_bind_int64(records, 1, (int64_t)r->sweep_start);
    while (e == ERR_OK && (rc = sqlite3_step(blocks)) != SQLITE_DONE) {
        uint8_t hash[DB_HASH_BYTES];
        uint64_t last;
        if (rc != SQLITE_ROW) {
            return sql_failed(r, db_err(r->j->db, rc), "cannot read the hash blocks");
        }
        last = (uint64_t)sqlite3_column_int64(blocks, 0);
        if (sqlite3_column_bytes(blocks, 2) != DB_HASH_BYTES ||
            sqlite3_column_bytes(blocks, 3) != DB_HASH_BYTES ||
            (uint64_t)sqlite3_column_int64(blocks, 1) != r->b->last_seq + 1 ||
            last <= r->b->last_seq ||
            memcmp(sqlite3_column_blob(blocks, 2), r->j->last_hash, DB_HASH_BYTES) != 0) {
            return damaged(r, "the hash block that ends at record", last);
        }
        memcpy(hash, sqlite3_column_blob(blocks, 3), DB_HASH_BYTES);
        e = replay_block(r, records, last, hash);
        memcpy(r->j->last_hash, hash, DB_HASH_BYTES);
    }
    if (e == ERR_OK && r->b->last_seq != r->last_seq) {
        return damaged(r, "no hash block over record", r->b->last_seq + 1);
    }
    return e;
}

static enum err replay(struct recovery *r)
{
    sqlite3_stmt *blocks = NULL, *records = NULL;
    sqlite3 *db = r->j->db;
    enum err e = read_base(r);

    if (e != ERR_OK) {
        return e;
    }
    if ((e = db_err(db, sqlite3_prepare_v2(
                            db,
                            "SELECT last_seq,first_seq,prev_hash,hash FROM block WHERE last_seq>? "
                            "ORDER BY last_seq",
                            -1, &blocks, NULL))) == ERR_OK &&
        (e = db_err(db, sqlite3_prepare_v2(
                            db, "SELECT " DB_RECORD_COLUMNS " FROM journal WHERE seq>? ORDER BY seq",
                            -1, &records, NULL))) == ERR_OK) {
        e = replay_blocks(r, blocks, records);
    } else {
        (void)sql_failed(r, e, "cannot read the journal");
    }
    (void)sqlite3_finalize(blocks);
    (void)sqlite3_finalize(records);
    return e;
}

enum err recover(struct journal *j, struct book *b, int64_t wall_us, int64_t ttl_us,
                 uint64_t *replayed, struct err_text *why)
{
    struct recovery r = {.j = j, .b = b, .why = why};
    uint64_t bad_no = 0;
    enum err e;

    ASSERT(b->account_count == 0 && b->last_seq == 0);
    err_text_set(why, "%s", "out of memory");
    memset(j->last_hash, 0, sizeof(j->last_hash));
    if ((e = read_end(&r)) == ERR_OK && (e = read_expiry(&r, wall_us, ttl_us)) == ERR_OK &&
        (e = load_accounts(&r)) == ERR_OK && (e = check_index(&r)) == ERR_OK &&
        (e = load_keys(&r)) == ERR_OK && (e = replay(&r)) == ERR_OK &&
        (e = book_check(b, &bad_no)) != ERR_OK) {
        (void)damaged(&r, "the balances do not sum to zero, or account", bad_no);
    }
    j->sweep = (struct sweep){.done_seq = r.sweep_start};
    mem_free(r.as_of);
    *replayed = r.replayed;
    return e;
}

/*
 * Pages of one account's history. Entries hang on a chain, newest first: each record names the one before it in either
 * account's chain. Every 64th entry left a mark, so that any entry, or any time, is at most 64 steps from a look-up.
 * Entries are numbered 1..n in the order they were made; records of one transaction on the account are one entry of a page.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/embedded/cursor.h"
#include "store/embedded/reader.h"

/* A place on the chain: entry n stands at seq. n 0: before the first. */
struct place {
    uint64_t n, seq;
};

#define SEVERAL UINT64_MAX /* no account's number */

struct walk {
    struct reader *r;
    struct store_op *op;
    const struct store_history_in *in;
    uint64_t no; /* the account's number */
    struct place head;
    unsigned looked;       /* records read for this page */
    uint64_t counterparty; /* account number on the other side of the last entry; 0: none, or SEVERAL */
};

static uint32_t binding_of(const struct store_op *op)
{
    uint8_t bytes[33];

    bytes_put_u64(bytes, op->account.no);
    bytes_put_u64(bytes + 8, (uint64_t)op->history.from_us);
    bytes_put_u64(bytes + 16, (uint64_t)op->history.to_us);
    bytes_put_u32(bytes + 24, op->history.kinds);
    bytes_put_u32(bytes + 28, 0);
    bytes[32] = op->history.is_ascending;
    return crc32c(bytes, sizeof(bytes));
}

static enum err chain_record(struct walk *w, struct place at, struct record *rec)
{
    enum err e = reader_record(w->r, at.seq, rec);

    w->looked++;
    if (e == ERR_NOT_FOUND || (e == ERR_OK && rec->debit != w->no && rec->credit != w->no)) {
        return ERR_CORRUPT;
    }
    return e;
}

static struct place step_back(const struct walk *w, struct place at, const struct record *rec)
{
    return (struct place){.n = at.n - 1,
                          .seq = rec->debit == w->no ? rec->debit_prev : rec->credit_prev};
}

static enum err mark_get(struct walk *w, uint64_t n, struct place *out, int64_t *time_us)
{
    sqlite3_stmt *stmt = w->r->stmts[READ_MARK];
    struct book_mark mark;
    enum err e;
    int rc;

    (void)sqlite3_reset(stmt);
    (void)sqlite3_bind_int64(stmt, 1, (int64_t)w->no);
    (void)sqlite3_bind_int64(stmt, 2, (int64_t)n);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        return rc == SQLITE_DONE ? ERR_CORRUPT : db_err(w->r->db, rc);
    }
    e = db_mark_read(stmt, w->no, n, &mark);
    if (e == ERR_OK) {
        *out = (struct place){.n = n, .seq = mark.seq};
        *time_us = mark.time_us;
    }
    return e;
}

/* The nearest place at or above entry n that is known without walking. */
static enum err place_above(struct walk *w, uint64_t n, struct place *out)
{
    uint64_t mark = (n + LEDGER_MARK_EVERY - 1) / LEDGER_MARK_EVERY * LEDGER_MARK_EVERY;
    int64_t time_us;

    if (mark > w->head.n) {
        *out = w->head;
        return ERR_OK;
    }
    return mark_get(w, mark, out, &time_us);
}

static enum err place_of(struct walk *w, uint64_t n, struct place *out)
{
    struct place at;
    struct record rec;
    enum err e = place_above(w, n, &at);

    while (e == ERR_OK && at.n > n) {
        e = chain_record(w, at, &rec);
        at = e == ERR_OK ? step_back(w, at, &rec) : at;
    }
    *out = at;
    return e;
}

/* The last entry made before a time; n 0 where there is none. */
static enum err place_before(struct walk *w, int64_t time_us, struct place *out)
{
    uint64_t low = 0,
             high = w->head.n / LEDGER_MARK_EVERY; /* marks known to be before; may be before */
    struct place at;
    struct record rec;
    enum err e = ERR_OK;

    while (e == ERR_OK && low < high) {
        uint64_t mid = low + (high - low + 1) / 2;
        int64_t mark_us;
        e = mark_get(w, mid * LEDGER_MARK_EVERY, &at, &mark_us);
        if (e == ERR_OK && mark_us < time_us) {
            low = mid;
        } else {
            high = mid - 1;
        }
    }
    if (e == ERR_OK) {
        e = place_above(w, low * LEDGER_MARK_EVERY + 1, &at);
    }
    while (e == ERR_OK && at.n > 0) {
        e = chain_record(w, at, &rec);
        if (e == ERR_OK && rec.time_us < time_us) {
            break;
        }
        at = e == ERR_OK ? step_back(w, at, &rec) : at;
    }
    *out = at;
    return e;
}

static bool same_transaction(const struct store_entry *entry, const struct record *rec)
{
    return entry->time_us == rec->time_us && entry->tag == rec->tag;
}

static enum err counterparty_set(struct walk *w, struct store_entry *entry)
{
    struct account_view other;
    enum err e;

    entry->counterparty = SLICE_NONE;
    if (w->counterparty == 0 || w->counterparty == SEVERAL) {
        return ERR_OK;
    }
    e = reader_account(w->r, w->counterparty, &w->op->out, &other);
    entry->counterparty = e == ERR_OK ? other.id : SLICE_NONE;
    return e;
}

/* What a record did to the account, as an entry of its own. */
static enum err entry_make(struct walk *w, const struct record *rec, struct store_entry *out)
{
    const bool is_debit = rec->debit == w->no;

    *out = (struct store_entry){
        .time_us = rec->time_us,
        .tag = rec->tag,
        .seq = rec->seq,
        .kind = (enum record_kind)rec->kind,
        .amount = is_debit ? -rec->amount : rec->amount,
        .balance = is_debit ? rec->debit_balance : rec->credit_balance,
    };
    w->counterparty = is_debit ? rec->credit : rec->debit;
    return reader_words(w->r, rec, &w->op->out, out);
}

/* Take a record into the page, merging it with its transaction's entry. *is_full: it belongs to the next page. */
static enum err take(struct walk *w, const struct record *rec, bool *is_full)
{
    struct store_op *op = w->op;
    struct store_entry *last = op->count == 0 ? NULL : &op->entries[op->count - 1];
    const uint64_t other = rec->debit == w->no ? rec->credit : rec->debit;
    enum err e;

    if (last != NULL && same_transaction(last, rec)) {
        last->amount += rec->debit == w->no ? -rec->amount : rec->amount;
        if (rec->seq > last->seq) {
            last->balance = rec->debit == w->no ? rec->debit_balance : rec->credit_balance;
            last->seq = rec->seq;
        }
        if (other == 0 || other == w->counterparty) {
            return ERR_OK; /* held money alone has no other side */
        }
        w->counterparty = w->counterparty == 0 ? other : SEVERAL;
        return counterparty_set(w, last);
    }
    if (op->count == w->in->limit || w->looked > STORE_HISTORY_LOOKED_MAX) {
        *is_full = true;
        return ERR_OK;
    }
    if (w->in->kinds != 0 && (w->in->kinds & 1u << rec->kind) == 0) {
        return ERR_OK;
    }
    e = entry_make(w, rec, &op->entries[op->count]);
    if (e == ERR_OK) {
        e = counterparty_set(w, &op->entries[op->count]);
    }
    op->count++;
    return e;
}

static void more_from(struct walk *w, uint64_t n)
{
    w->op->has_more = true;
    w->op->next_cursor_len = cursor_history_write(n, binding_of(w->op), w->op->next_cursor);
}

static enum err page_descending(struct walk *w, uint64_t from_n)
{
    struct place at = {0};
    struct record rec;
    enum err e = ERR_OK;

    if (from_n != 0) {
        e = place_of(w, from_n, &at);
    } else if (w->in->to_us != 0) {
        e = place_before(w, w->in->to_us, &at);
    } else {
        at = w->head;
    }
    w->looked = 0;
    while (e == ERR_OK && at.n > 0) {
        bool is_full = false;
        e = chain_record(w, at, &rec);
        if (e != ERR_OK || rec.time_us < w->in->from_us) {
            break;
        }
        e = take(w, &rec, &is_full);
        if (is_full) {
            more_from(w, at.n);
            break;
        }
        at = step_back(w, at, &rec);
    }
    return e;
}

/* Fill seqs[0..] with the places of entries first..last, at most LEDGER_MARK_EVERY of them, by walking back from last. */
static enum err stretch(struct walk *w, uint64_t first, uint64_t last,
                        uint64_t seqs[LEDGER_MARK_EVERY])
{
    struct place at;
    struct record rec;
    enum err e = place_of(w, last, &at);

    ASSERT(first >= 1 && first <= last && last - first < LEDGER_MARK_EVERY);
    while (e == ERR_OK) {
        seqs[at.n - first] = at.seq;
        if (at.n == first) {
            break;
        }
        e = chain_record(w, at, &rec);
        at = e == ERR_OK ? step_back(w, at, &rec) : at;
    }
    return e;
}

static enum err page_ascending(struct walk *w, uint64_t from_n)
{
    uint64_t n = from_n == 0 ? 1 : from_n;
    bool is_full = false, is_past = false;
    unsigned looked = 0;
    enum err e = ERR_OK;

    if (from_n == 0 && w->in->from_us != 0) {
        struct place before;
        e = place_before(w, w->in->from_us, &before);
        n = before.n + 1;
    }
    while (e == ERR_OK && n <= w->head.n && !is_full && !is_past) {
        uint64_t seqs[LEDGER_MARK_EVERY];
        uint64_t last = (n + LEDGER_MARK_EVERY - 1) / LEDGER_MARK_EVERY * LEDGER_MARK_EVERY;
        uint64_t first = n;
        last = last < w->head.n ? last : w->head.n;
        e = stretch(w, first, last, seqs);
        while (e == ERR_OK && n <= last) {
            struct record rec;
            e = chain_record(w, (struct place){.n = n, .seq = seqs[n - first]}, &rec);
            is_past = e == ERR_OK && w->in->to_us != 0 && rec.time_us >= w->in->to_us;
            w->looked = ++looked; /* entries looked at, not the walking to reach them */
            if (e == ERR_OK && !is_past) {
                e = take(w, &rec, &is_full);
            }
            if (is_past || is_full) {
                break;
            }
            n++;
        }
    }
    if (e == ERR_OK && is_full) {
        more_from(w, n);
    }
    return e;
}

enum err reader_history(struct reader *r, struct store_op *op)
{
    struct walk w = {.r = r, .op = op, .in = &op->history, .no = op->account.no};
    uint64_t from_n = 0;

    w.head = (struct place){.n = op->account.entries, .seq = op->account.last_seq};
    ASSERT(op->history.limit >= 1 && op->history.limit <= STORE_PAGE_MAX);
    op->entries = arena_alloc(&op->out, op->history.limit * sizeof(*op->entries));
    if (op->entries == NULL) {
        return ERR_NOMEM;
    }
    if (op->history.cursor.ptr != NULL &&
        (!cursor_history_read(op->history.cursor, binding_of(op), &from_n) || from_n == 0 ||
         from_n > w.head.n)) {
        op->result.outcome = OUTCOME_INVALID_CURSOR;
        return ERR_OK;
    }
    return op->history.is_ascending ? page_ascending(&w, from_n) : page_descending(&w, from_n);
}

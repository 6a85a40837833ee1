/* What a record does to the book: one code for live postings and for recovery, so that they cannot differ. */
#include "base/assert.h"
#include "ledger/book_internal.h"
#include "money/money.h"

static void undo_note(struct book *b, uint64_t no)
{
    ASSERT(b->undo_count < b->undo_cap);
    b->undo[b->undo_count++] = (struct book_undo_entry){.no = no, .before = *book_account(b, no)};
}

enum err book_open_decode(const struct record *r, struct account *out)
{
    struct record_extra x;

    if (record_extra_decode(r->extra, &x) != ERR_OK || x.account_id.len == 0 || x.currency.code == 0) {
        return ERR_CORRUPT;
    }
    *out = (struct account){
        .id = x.account_id.ptr,
        .id_len = (uint8_t)x.account_id.len,
        .currency = x.currency.code,
        .exponent = x.exponent,
        .status = ACCOUNT_ACTIVE,
        .overdraft = r->amount,
        .version = 1,
        .metadata_seq = x.metadata.ptr == NULL ? 0 : r->seq,
        .created_us = r->time_us,
        .updated_us = r->time_us,
    };
    return ERR_OK;
}

bool book_side_apply(struct book *b, const struct record *r, uint64_t no, struct book_mark *mark)
{
    struct account *a = book_account_mutable(b, no);
    const bool is_debit = r->debit == no;

    ASSERT(is_debit || r->credit == no);
    ASSERT(a->last_seq == (is_debit ? r->debit_prev : r->credit_prev));
    a->balance = is_debit ? r->debit_balance : r->credit_balance;
    a->held += is_debit ? r->held : 0;
    a->last_seq = r->seq;
    a->updated_us = r->time_us;
    a->entries++;
    a->version++;
    book_dirty_set(b, no, true);
    if (a->entries % LEDGER_MARK_EVERY != 0) {
        return false;
    }
    *mark = (struct book_mark){.account = no, .n = a->entries, .seq = r->seq, .time_us = r->time_us};
    return true;
}

/* The live path: as recovery does it, with undo and marks. */
static void side_live(struct book *b, const struct record *r, uint64_t no, struct book_fx *fx)
{
    struct book_mark mark;

    undo_note(b, no);
    if (book_side_apply(b, r, no, &mark)) {
        ASSERT(fx->mark_count < fx->mark_cap);
        fx->marks[fx->mark_count++] = mark;
    }
}

struct record *book_emit(struct book *b, enum record_kind kind, int64_t time_us, struct book_fx *fx)
{
    struct record *r = &fx->records[fx->record_count];

    ASSERT(fx->record_count < fx->record_cap);
    fx->record_count++;
    b->last_seq++;
    b->last_time_us = time_us;
    *r = (struct record){.seq = b->last_seq, .time_us = time_us, .kind = kind};
    return r;
}

void book_move(struct book *b, struct record *r, uint64_t debit, uint64_t credit, int64_t amount,
               int64_t held, struct book_fx *fx)
{
    bool fits = true;

    ASSERT(amount >= 0 && debit != 0 && debit != credit);
    r->debit = debit;
    r->credit = credit;
    r->amount = amount;
    r->held = held;
    r->debit_prev = book_account(b, debit)->last_seq;
    fits &= money_sub(book_account(b, debit)->balance, amount, &r->debit_balance);
    if (credit != 0) {
        r->credit_prev = book_account(b, credit)->last_seq;
        fits &= money_add(book_account(b, credit)->balance, amount, &r->credit_balance);
    }
    ASSERT(fits); /* the guards saw to it */
    side_live(b, r, debit, fx);
    if (credit != 0) {
        side_live(b, r, credit, fx);
    }
}

enum err book_load(struct book *b, const struct account *row)
{
    struct slice id = slice_make(row->id, row->id_len);
    enum err e = book_accounts_reserve(b, 1);

    if (e == ERR_OK) {
        e = book_id_reserve(b, id);
    }
    if (e != ERR_OK) {
        return e;
    }
    if (book_lookup(b, id, (struct currency){row->currency}) != 0 ||
        (slice_equal(id, LEDGER_WORLD) && b->world_count == BOOK_CURRENCIES_MAX)) {
        return ERR_CORRUPT; /* twice the same account */
    }
    book_account_add(b, row);
    return ERR_OK;
}

static enum err replay_open(struct book *b, const struct record *r)
{
    struct account a;
    enum err e;

    if (r->credit <= b->account_count) {
        return ERR_OK; /* its row came with the same commit and was loaded */
    }
    if (r->credit != b->account_count + 1 || book_open_decode(r, &a) != ERR_OK) {
        return ERR_CORRUPT;
    }
    e = book_load(b, &a);
    if (e == ERR_OK) {
        book_dirty_set(b, r->credit, true);
    }
    return e;
}

/* Does the record fit on the account as it stands before it? */
static bool side_fits(const struct book *b, const struct record *r, uint64_t no)
{
    const bool is_debit = r->debit == no;
    const struct account *a;
    int64_t after, held;

    if (no < 1 || no > b->account_count) {
        return false;
    }
    a = book_account(b, no);
    if (is_debit) {
        return a->last_seq == r->debit_prev && money_sub(a->balance, r->amount, &after) &&
               after == r->debit_balance && money_add(a->held, r->held, &held) && held >= 0 &&
               held <= BOOK_HELD_MAX;
    }
    return a->last_seq == r->credit_prev && money_add(a->balance, r->amount, &after) &&
           after == r->credit_balance;
}

enum err book_replay(struct book *b, const struct record *r, uint64_t debit_as_of,
                     uint64_t credit_as_of)
{
    struct book_mark mark;

    if (record_check(r) != ERR_OK || r->seq != b->last_seq + 1 || r->time_us < b->last_time_us) {
        return ERR_CORRUPT;
    }
    if (r->kind == RECORD_OPEN) {
        enum err e = replay_open(b, r);
        if (e != ERR_OK) {
            return e;
        }
    } else if (r->kind != RECORD_REFUSAL) {
        const bool is_new_to_debit = r->seq > debit_as_of;
        const bool is_new_to_credit = r->credit != 0 && r->seq > credit_as_of;
        if ((is_new_to_debit && !side_fits(b, r, r->debit)) ||
            (is_new_to_credit && !side_fits(b, r, r->credit))) {
            return ERR_CORRUPT;
        }
        if (is_new_to_debit) {
            (void)book_side_apply(b, r, r->debit, &mark); /* its mark came with the same commit */
        }
        if (is_new_to_credit) {
            (void)book_side_apply(b, r, r->credit, &mark);
        }
    }
    b->last_seq = r->seq;
    b->last_time_us = r->time_us;
    return ERR_OK;
}

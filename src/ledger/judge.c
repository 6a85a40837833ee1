/*
 * Judgement: does a posting pass its guards, in the order that every store keeps:
 *   key -> account exists -> If-Match -> amount fits the exponent -> currency -> same account -> status -> limits -> balance.
 * A posting that passes becomes records, which apply.c applies; nothing can fail from there on.
 */
#include "base/assert.h"
#include "ledger/book_internal.h"
#include "money/money.h"

/* One leg while it is judged. */
struct side {
    uint64_t no;   /* 0: still to be opened */
    int64_t delta; /* Δbalance, minor units */
    int64_t held;  /* Δheld */
    int64_t left;  /* of delta, not yet in a record */
};

struct judged {
    struct side sides[LEDGER_LEGS_MAX];
    struct currency currency;
    unsigned exponent;
};

unsigned book_records_of(const struct posting *p)
{
    /* each leg may open an account, move once more than the leg before it, and hold; and @world may be opened */
    return p->kind == RECORD_OPEN ? 2 : 3 * p->leg_count + 1;
}

enum err book_reserve(struct book *b, const struct posting *p, const struct book_fx *fx)
{
    const unsigned records = book_records_of(p);
    enum err e = ERR_OK;

    ASSERT(p->leg_count >= 1 && p->leg_count <= LEDGER_LEGS_MAX);
    if (fx->record_cap - fx->record_count < records ||
        fx->mark_cap - fx->mark_count < 2 * records || b->undo_cap - b->undo_count < 2 * records) {
        return ERR_FULL;
    }
    if (p->idem != NULL) {
        e = keys_reserve(&b->keys, p->idem->scope);
    }
    if (e == ERR_OK && p->open_currency.code != 0) {
        e = book_accounts_reserve(b, p->leg_count + 1);
        for (unsigned i = 0; e == ERR_OK && i < p->leg_count; i++) {
            e = book_id_reserve(b, p->legs[i].account);
        }
    }
    return e;
}

static enum outcome judge_if_match(const struct book *b, const struct posting *p, uint64_t no)
{
    if (!p->has_if_match) {
        return OUTCOME_OK;
    }
    if (no != 0 && p->if_match_count == 0) {
        return OUTCOME_OK;
    }
    for (unsigned i = 0; no != 0 && i < p->if_match_count; i++) {
        if (p->if_match[i] == book_account(b, no)->version) {
            return OUTCOME_OK;
        }
    }
    return OUTCOME_PRECONDITION_FAILED;
}

/* Find each leg's account, and with the first of them the posting's currency. */
static enum outcome judge_accounts(const struct book *b, const struct posting *p, struct judged *j)
{
    const struct posting_leg *lead = &p->legs[0];

    ASSERT(!slice_equal(lead->account, LEDGER_WORLD)); /* the lead's currency decides whose world it is */
    for (unsigned i = 0; i < p->leg_count; i++) {
        const struct posting_leg *leg = &p->legs[i];
        const bool is_world = slice_equal(leg->account, LEDGER_WORLD);
        ASSERT(!is_world || leg->held.coefficient == 0); /* whose availability nobody guards */
        j->sides[i] = (struct side){.no = book_lookup(b, leg->account, j->currency)};
        if (j->sides[i].no == 0 && !leg->may_open && !is_world) {
            return OUTCOME_ACCOUNT_NOT_FOUND;
        }
        if (i == 0) {
            j->currency.code = j->sides[0].no != 0 ? book_account(b, j->sides[0].no)->currency
                                                   : p->open_currency.code;
        }
    }
    return judge_if_match(b, p, j->sides[0].no);
}

static enum outcome judge_amounts(const struct book *b, const struct posting *p, struct judged *j)
{
    int64_t sum = 0;
    enum err e = currency_exponent(j->currency, &j->exponent);

    if (j->sides[0].no != 0) {
        j->exponent = book_account(b, j->sides[0].no)->exponent;
    } else {
        ASSERT(e == ERR_OK);
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        struct side *s = &j->sides[i];
        bool fits;
        if (decimal_to_minor(p->legs[i].balance, j->exponent, &s->delta) != ERR_OK ||
            decimal_to_minor(p->legs[i].held, j->exponent, &s->held) != ERR_OK) {
            return OUTCOME_INVALID_AMOUNT;
        }
        s->left = s->delta;
        fits = money_add(sum, s->delta, &sum);
        ASSERT(fits); /* 100 legs of 15 digits stay far below int64 */
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        const struct account *a = j->sides[i].no != 0 ? book_account(b, j->sides[i].no) : NULL;
        /* an account keeps the decimals it was opened with: after a change of the ISO table, two may differ in them */
        if ((a != NULL && (a->currency != j->currency.code || a->exponent != j->exponent)) ||
            (p->currency.code != 0 && p->currency.code != j->currency.code)) {
            return OUTCOME_CURRENCY_MISMATCH;
        }
    }
    return sum == 0 ? OUTCOME_OK : OUTCOME_UNBALANCED_ENTRIES;
}

static enum outcome judge_same(const struct posting *p)
{
    for (unsigned i = 1; i < p->leg_count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (slice_equal(p->legs[i].account, p->legs[k].account)) {
                return OUTCOME_SAME_ACCOUNT;
            }
        }
    }
    return OUTCOME_OK;
}

static bool takes(const struct side *s)
{
    return s->delta < 0 || s->held > 0;
}

static enum outcome judge_status(const struct book *b, const struct side *s)
{
    enum account_status status =
        s->no == 0 ? ACCOUNT_ACTIVE : (enum account_status)book_account(b, s->no)->status;

    if (status == ACCOUNT_CLOSED) {
        return OUTCOME_ACCOUNT_CLOSED;
    }
    return status == ACCOUNT_FROZEN && takes(s) ? OUTCOME_ACCOUNT_FROZEN : OUTCOME_OK;
}

static enum outcome judge_limit(const struct book *b, const struct side *s, bool is_system)
{
    int64_t after;

    if (!money_add(s->no == 0 ? 0 : book_account(b, s->no)->balance, s->delta, &after)) {
        return OUTCOME_BALANCE_LIMIT_EXCEEDED;
    }
    return is_system || s->delta <= 0 || after <= MONEY_MINOR_MAX ? OUTCOME_OK
                                                                  : OUTCOME_BALANCE_LIMIT_EXCEEDED;
}

static enum outcome judge_balance(const struct book *b, const struct side *s, bool is_system)
{
    static const struct account unopened = {0};
    const struct account *a = s->no == 0 ? &unopened : book_account(b, s->no);
    int64_t held = a->held + s->held; /* both within 15 digits, as balance and overdraft are */

    if (is_system) {
        return OUTCOME_OK;
    }
    if (held < 0 || (takes(s) && a->balance + s->delta - held + a->overdraft < 0)) {
        return OUTCOME_INSUFFICIENT_BALANCE;
    }
    return OUTCOME_OK;
}

static enum outcome judge_state(const struct book *b, const struct posting *p, const struct judged *j)
{
    enum outcome o = OUTCOME_OK;

    for (unsigned i = 0; o == OUTCOME_OK && i < p->leg_count; i++) {
        o = judge_status(b, &j->sides[i]);
    }
    for (unsigned i = 0; o == OUTCOME_OK && i < p->leg_count; i++) {
        o = judge_limit(b, &j->sides[i], slice_equal(p->legs[i].account, LEDGER_WORLD));
    }
    for (unsigned i = 0; o == OUTCOME_OK && i < p->leg_count; i++) {
        o = judge_balance(b, &j->sides[i], slice_equal(p->legs[i].account, LEDGER_WORLD));
    }
    return o;
}

/* Write the record that opens an account, and open it. */
static uint64_t open_account(struct book *b, struct slice extra, int64_t overdraft, int64_t time_us,
                             struct book_fx *fx)
{
    struct record *r = book_emit(b, RECORD_OPEN, time_us, fx);
    struct account a;
    enum err e;

    r->credit = b->account_count + 1;
    r->amount = overdraft;
    if (extra.len > 0 && extra.len <= RECORD_SMALL_BYTES && extra.ptr != r->small) {
        memcpy(r->small, extra.ptr,
               extra.len); /* the caller's bytes may be gone before the record is written */
        extra.ptr = r->small;
    }
    r->extra = extra;
    e = book_open_decode(r, &a);
    ASSERT(e == ERR_OK);
    return book_account_add(b, &a);
}

static uint64_t open_world(struct book *b, const struct judged *j, int64_t time_us, struct book_fx *fx)
{
    const struct record_extra x = {
        .account_id = LEDGER_WORLD, .currency = j->currency, .exponent = (uint8_t)j->exponent};
    char bytes[RECORD_SMALL_BYTES];

    return open_account(b, slice_make(bytes, record_extra_encode(&x, bytes, sizeof(bytes))), 0,
                        time_us, fx);
}

/* Pair what goes out with what comes in: at most one record a leg. */
static void move_all(struct book *b, const struct posting *p, struct judged *j, int64_t time_us,
                     struct book_fx *fx)
{
    unsigned out = 0, in = 0;

    for (;;) {
        struct side *from, *to;
        int64_t amount;
        while (out < p->leg_count && j->sides[out].left >= 0) {
            out++;
        }
        while (in < p->leg_count && j->sides[in].left <= 0) {
            in++;
        }
        if (out == p->leg_count || in == p->leg_count) {
            break;
        }
        from = &j->sides[out];
        to = &j->sides[in];
        amount = -from->left < to->left ? -from->left : to->left;
        book_move(b, book_emit(b, p->kind, time_us, fx), from->no, to->no, amount, from->held, fx);
        from->left += amount;
        to->left -= amount;
        from->held = 0; /* it went with the leg's first record */
    }
    ASSERT(out == p->leg_count && in == p->leg_count);
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (j->sides[i].held != 0) {
            book_move(b, book_emit(b, p->kind, time_us, fx), j->sides[i].no, 0, 0, j->sides[i].held,
                      fx);
        }
    }
}

/* The last record of a posting carries its extra and its key. */
static void seal(struct book *b, const struct posting *p, struct record *r, char *idem_at)
{
    if (p->idem != NULL) {
        r->idem = slice_make(idem_at, record_idem_encode(p->idem, idem_at));
        keys_put(&b->keys, p->idem->scope, r->seq, r->time_us);
    }
}

static void result_fill(const struct book *b, const struct posting *p, const struct judged *j,
                        struct posting_result *out)
{
    out->currency = j->currency;
    out->exponent = j->exponent;
    out->amount = j->sides[0].delta < 0 ? -j->sides[0].delta : j->sides[0].delta;
    for (unsigned i = 0; i < p->leg_count && out->side_count < POSTING_SIDES_MAX; i++) {
        if (!slice_equal(p->legs[i].account, LEDGER_WORLD)) {
            out->sides[out->side_count++] = (struct posting_side){
                .account = p->legs[i].account, .balance = book_account(b, j->sides[i].no)->balance};
        }
    }
}

static enum outcome apply_open(struct book *b, const struct posting *p, int64_t time_us,
                               struct book_fx *fx, struct posting_result *out)
{
    struct judged j = {.currency = p->open_currency};
    struct record_extra x;
    struct record *r;
    int64_t overdraft;
    uint64_t no, world;
    enum err e;

    if (book_lookup(b, p->legs[0].account, p->open_currency) != 0) {
        return OUTCOME_ACCOUNT_EXISTS;
    }
    e = currency_exponent(j.currency, &j.exponent);
    ASSERT(e == ERR_OK);
    if (decimal_to_minor(p->overdraft, j.exponent, &overdraft) != ERR_OK) {
        return OUTCOME_INVALID_AMOUNT;
    }
    world = book_lookup(b, LEDGER_WORLD, j.currency);
    if (world == 0) {
        open_world(b, &j, time_us, fx);
    } else if (book_account(b, world)->exponent != j.exponent) {
        return OUTCOME_CURRENCY_MISMATCH; /* no money could ever come to it */
    }
    no = open_account(b, p->extra, overdraft, time_us, fx);
    r = &fx->records[fx->record_count - 1];
    seal(b, p, r, r->idem_bytes);
    book_view(b, no, &out->opened);
    e = record_extra_decode(p->extra, &x);
    ASSERT(e == ERR_OK);                 /* it has just been opened from */
    out->opened.id = p->legs[0].account; /* the caller's: the book's memory is the writer's alone */
    out->opened_metadata = x.metadata;   /* the caller's too */
    out->currency = j.currency;
    out->exponent = j.exponent;
    return OUTCOME_OK;
}

static enum outcome apply_moves(struct book *b, const struct posting *p, int64_t time_us,
                                struct book_fx *fx, struct posting_result *out)
{
    struct judged j;
    struct record *r;
    enum outcome o;

    j.currency.code = 0;
    o = judge_accounts(b, p, &j);
    if (o == OUTCOME_OK) {
        o = judge_amounts(b, p, &j);
    }
    if (o == OUTCOME_OK) {
        o = judge_same(p);
    }
    if (o == OUTCOME_OK) {
        o = judge_state(b, p, &j);
    }
    if (o != OUTCOME_OK) {
        return o;
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (j.sides[i].no == 0 && slice_equal(p->legs[i].account, LEDGER_WORLD)) {
            j.sides[i].no = book_lookup(b, LEDGER_WORLD, j.currency);
            j.sides[i].no = j.sides[i].no != 0 ? j.sides[i].no : open_world(b, &j, time_us, fx);
        } else if (j.sides[i].no == 0) {
            j.sides[i].no = open_account(b, p->open_extra, 0, time_us, fx);
            /* there is one open_extra: a second leg that opens would open the first one's account again */
            ASSERT(book_lookup(b, p->legs[i].account, j.currency) == j.sides[i].no);
        }
    }
    move_all(b, p, &j, time_us, fx);
    ASSERT(fx->record_count > 0);
    r = &fx->records[fx->record_count - 1];
    ASSERT(r->time_us == time_us && r->kind == p->kind); /* no leg of it was empty */
    r->extra = p->extra;
    seal(b, p, r, r->idem_bytes);
    result_fill(b, p, &j, out);
    return OUTCOME_OK;
}

static void remember_refusal(struct book *b, const struct posting *p, enum outcome o,
                             int64_t time_us, struct book_fx *fx)
{
    const struct record_extra x = {.account_id = p->legs[0].account, /* whose key it is */
                                   .has_refusal = true,
                                   .refused_kind = (uint8_t)p->kind,
                                   .refused_outcome = (uint8_t)o,
                                   .language = (uint8_t)p->language};
    struct record *r = book_emit(b, RECORD_REFUSAL, time_us, fx);

    r->extra = slice_make(r->small, record_extra_encode(&x, r->small, sizeof(r->small)));
    seal(b, p, r, r->idem_bytes);
}

enum outcome book_apply(struct book *b, const struct posting *p, int64_t now_us, struct book_fx *fx,
                        struct posting_result *out)
{
    const int64_t time_us = now_us > b->last_time_us ? now_us : b->last_time_us + 1;
    const unsigned records_before = fx->record_count;

    *out = (struct posting_result){.kind = p->kind, .language = p->language};
    if (p->idem != NULL) {
        out->seq = keys_find(&b->keys, p->idem->scope);
        if (out->seq != 0) {
            out->outcome = OUTCOME_REPLAY;
            return out->outcome;
        }
        if (keys_is_full(&b->keys)) {
            out->outcome = OUTCOME_KEYS_FULL;
            return out->outcome;
        }
    }
    out->outcome = p->kind == RECORD_OPEN ? apply_open(b, p, time_us, fx, out)
                                          : apply_moves(b, p, time_us, fx, out);
    ASSERT(out->outcome == OUTCOME_OK || fx->record_count == records_before);
    if (p->idem != NULL && outcome_is_stored(out->outcome)) {
        remember_refusal(b, p, out->outcome, time_us, fx);
    }
    out->seq = b->last_seq;
    out->time_us = time_us;
    return out->outcome;
}

/*
 * A naive second opinion on the book, written from the contract and not from the code: plain arrays, linear search, every
 * guard in its own loop, whole copies for undo. Slow and obvious.
 */
#ifndef UNIT_LEDGER_MODEL_H
#define UNIT_LEDGER_MODEL_H

#include "base/assert.h"
#include "ledger/posting.h"
#include "ledger/record.h"
#include "money/money.h"

enum {
    MODEL_ACCOUNTS_MAX = 160,
    MODEL_KEYS_MAX = 128,
    MODEL_RECORDS_MAX = 3 * LEDGER_LEGS_MAX + 1,
};

struct model_account {
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX];
    size_t id_len;
    uint32_t currency;
    unsigned exponent;
    enum account_status status;
    int64_t balance, held, overdraft;
    uint64_t version, entries, last_seq, metadata_seq;
    int64_t created_us, updated_us;
};

struct model_key {
    uint8_t scope[IDEM_SCOPE_BYTES];
    uint64_t seq;
};

struct model {
    struct model_account accounts[MODEL_ACCOUNTS_MAX]; /* account no is at no - 1 */
    uint64_t account_count;
    struct model_key keys[MODEL_KEYS_MAX];
    unsigned key_count, keys_max;
    uint64_t last_seq;
    int64_t last_time_us;
};

/* What the model expects of one posting. */
struct model_answer {
    enum outcome outcome;
    uint64_t seq;
    int64_t time_us, amount;
    struct record records[MODEL_RECORDS_MAX]; /* without their blobs */
    unsigned record_count;
};

static inline uint64_t model_find(const struct model *m, struct slice id, uint32_t currency)
{
    const bool is_world = slice_equal(id, LEDGER_WORLD);

    for (uint64_t no = 1; no <= m->account_count; no++) {
        const struct model_account *a = &m->accounts[no - 1];
        if (slice_equal(slice_make(a->id, a->id_len), id) && (!is_world || a->currency == currency)) {
            return no;
        }
    }
    return 0;
}

/* Minor units by wide arithmetic; false where they are not whole or too many. */
static inline bool model_minor(struct decimal d, unsigned exponent, int64_t *out)
{
    __int128 value = d.coefficient;

    for (int power = d.scale + (int)exponent; power > 0 && value != 0; power--) {
        value *= 10;
        if (value > (__int128)MONEY_MINOR_MAX * 10 || value < -(__int128)MONEY_MINOR_MAX * 10) {
            return false;
        }
    }
    for (int power = d.scale + (int)exponent; power < 0 && value != 0; power++) {
        if (value % 10 != 0) {
            return false;
        }
        value /= 10;
    }
    *out = (int64_t)value;
    return value >= -MONEY_MINOR_MAX && value <= MONEY_MINOR_MAX;
}

static inline struct record *model_emit(struct model *m, struct model_answer *a, enum record_kind kind)
{
    struct record *r = &a->records[a->record_count++];

    ASSERT(a->record_count <= MODEL_RECORDS_MAX);
    *r = (struct record){.seq = ++m->last_seq, .time_us = a->time_us, .kind = kind};
    m->last_time_us = a->time_us;
    return r;
}

static inline uint64_t model_add(struct model *m, struct model_answer *a, struct slice id,
                                 struct currency c, int64_t overdraft, bool has_metadata)
{
    struct record *r = model_emit(m, a, RECORD_OPEN);
    struct model_account *account = &m->accounts[m->account_count++];
    enum err e;

    ASSERT(m->account_count <= MODEL_ACCOUNTS_MAX);
    *account = (struct model_account){
        .id_len = id.len,
        .currency = c.code,
        .overdraft = overdraft,
        .version = 1,
        .metadata_seq = has_metadata ? r->seq : 0,
        .created_us = a->time_us,
        .updated_us = a->time_us,
    };
    memcpy(account->id, id.ptr, id.len);
    e = currency_exponent(c, &account->exponent);
    ASSERT(e == ERR_OK);
    r->credit = m->account_count;
    r->amount = overdraft;
    return m->account_count;
}

static inline void model_touch(struct model_account *a, const struct record *r)
{
    a->last_seq = r->seq;
    a->updated_us = r->time_us;
    a->entries++;
    a->version++;
}

static inline void model_move(struct model *m, struct model_answer *answer, enum record_kind kind,
                              uint64_t from, uint64_t to, int64_t amount, int64_t held)
{
    struct record *r = model_emit(m, answer, kind);
    struct model_account *a = &m->accounts[from - 1];

    r->debit = from;
    r->credit = to;
    r->amount = amount;
    r->held = held;
    r->debit_prev = a->last_seq;
    a->balance -= amount;
    a->held += held;
    r->debit_balance = a->balance;
    model_touch(a, r);
    if (to != 0) {
        a = &m->accounts[to - 1];
        r->credit_prev = a->last_seq;
        a->balance += amount;
        r->credit_balance = a->balance;
        model_touch(a, r);
    }
}

static inline enum outcome model_open(struct model *m, const struct posting *p,
                                      struct model_answer *a)
{
    struct record_extra x;
    unsigned exponent = 0;
    int64_t overdraft;
    enum err e = record_extra_decode(p->extra, &x);

    ASSERT(e == ERR_OK);
    if (model_find(m, p->legs[0].account, 0) != 0) {
        return OUTCOME_ACCOUNT_EXISTS;
    }
    e = currency_exponent(p->open_currency, &exponent);
    ASSERT(e == ERR_OK);
    if (!model_minor(p->overdraft, exponent, &overdraft)) {
        return OUTCOME_INVALID_AMOUNT;
    }
    if (model_find(m, LEDGER_WORLD, p->open_currency.code) == 0) {
        (void)model_add(m, a, LEDGER_WORLD, p->open_currency, 0, false);
    }
    (void)model_add(m, a, p->legs[0].account, p->open_currency, overdraft, x.metadata.ptr != NULL);
    return OUTCOME_OK;
}

struct model_leg {
    uint64_t no;
    bool is_world;
    struct model_account before; /* an account to be opened is all zero */
    int64_t delta, held;
};

static inline bool model_if_match_fails(const struct posting *p, const struct model_leg *lead)
{
    bool is_listed = p->if_match_count == 0;

    for (unsigned i = 0; i < p->if_match_count; i++) {
        is_listed |= p->if_match[i] == lead->before.version;
    }
    return p->has_if_match && (lead->no == 0 || !is_listed);
}

/* The guards, in the order of the contract, each over all legs before the next. */
static inline enum outcome model_judge(const struct model *m, const struct posting *p,
                                       struct model_leg *legs, struct currency *c)
{
    __int128 sum = 0;
    unsigned exponent = 0;

    for (unsigned i = 0; i < p->leg_count; i++) {
        legs[i] = (struct model_leg){.is_world = slice_equal(p->legs[i].account, LEDGER_WORLD)};
        legs[i].no = model_find(m, p->legs[i].account, c->code);
        if (legs[i].no != 0) {
            legs[i].before = m->accounts[legs[i].no - 1];
        } else if (!p->legs[i].may_open && !legs[i].is_world) {
            return OUTCOME_ACCOUNT_NOT_FOUND;
        }
        if (i == 0) {
            c->code = legs[0].no != 0 ? legs[0].before.currency : p->open_currency.code;
        }
    }
    if (model_if_match_fails(p, &legs[0])) {
        return OUTCOME_PRECONDITION_FAILED;
    }
    if (currency_exponent(*c, &exponent) != ERR_OK) {
        UNREACHABLE("currencies come from the table");
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (!model_minor(p->legs[i].balance, exponent, &legs[i].delta) ||
            !model_minor(p->legs[i].held, exponent, &legs[i].held)) {
            return OUTCOME_INVALID_AMOUNT;
        }
        sum += legs[i].delta;
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if ((legs[i].no != 0 && legs[i].before.currency != c->code) ||
            (p->currency.code != 0 && p->currency.code != c->code)) {
            return OUTCOME_CURRENCY_MISMATCH;
        }
    }
    if (sum != 0) {
        return OUTCOME_UNBALANCED_ENTRIES;
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (slice_equal(p->legs[i].account, p->legs[k].account)) {
                return OUTCOME_SAME_ACCOUNT;
            }
        }
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (legs[i].before.status == ACCOUNT_CLOSED) {
            return OUTCOME_ACCOUNT_CLOSED;
        }
        if (legs[i].before.status == ACCOUNT_FROZEN && (legs[i].delta < 0 || legs[i].held > 0)) {
            return OUTCOME_ACCOUNT_FROZEN;
        }
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        __int128 after = (__int128)legs[i].before.balance + legs[i].delta;
        if (after > INT64_MAX || after < INT64_MIN ||
            (!legs[i].is_world && legs[i].delta > 0 && after > MONEY_MINOR_MAX)) {
            return OUTCOME_BALANCE_LIMIT_EXCEEDED;
        }
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        const struct model_account *a = &legs[i].before;
        __int128 held = (__int128)a->held + legs[i].held;
        __int128 available = (__int128)a->balance + legs[i].delta - held + a->overdraft;
        bool takes = legs[i].delta < 0 || legs[i].held > 0;
        if (!legs[i].is_world && (held < 0 || (takes && available < 0))) {
            return OUTCOME_INSUFFICIENT_BALANCE;
        }
    }
    return OUTCOME_OK;
}

/*
 * Which money went to whom: lay all that goes out end to end, in the order of the legs, and all that comes in beside it.
 * Where a stretch of the one lies beside a stretch of the other, there is a record of that length.
 */
static inline void model_pair(struct model *m, const struct posting *p,
                              const struct model_leg *legs, struct model_answer *a)
{
    bool has_moved[LEDGER_LEGS_MAX] = {false};
    int64_t out_at = 0, in_at;

    for (unsigned o = 0; o < p->leg_count; o++) {
        if (legs[o].delta >= 0) {
            continue;
        }
        in_at = 0;
        for (unsigned i = 0; i < p->leg_count; i++) {
            int64_t start, end;
            if (legs[i].delta <= 0) {
                continue;
            }
            start = in_at > out_at ? in_at : out_at;
            end = in_at + legs[i].delta < out_at - legs[o].delta ? in_at + legs[i].delta
                                                                 : out_at - legs[o].delta;
            if (end > start) {
                model_move(m, a, p->kind, legs[o].no, legs[i].no, end - start,
                           has_moved[o] ? 0 : legs[o].held);
                has_moved[o] = true;
            }
            in_at += legs[i].delta;
        }
        out_at -= legs[o].delta;
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (legs[i].held != 0 && !has_moved[i]) {
            model_move(m, a, p->kind, legs[i].no, 0, 0, legs[i].held);
        }
    }
}

static inline enum outcome model_movement(struct model *m, const struct posting *p,
                                          struct model_answer *a)
{
    struct model_leg legs[LEDGER_LEGS_MAX];
    struct currency c = {0};
    enum outcome o = model_judge(m, p, legs, &c);

    if (o != OUTCOME_OK) {
        return o;
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (legs[i].no == 0) {
            legs[i].no = model_add(m, a, p->legs[i].account, c, 0, false);
        }
    }
    model_pair(m, p, legs, a);
    a->amount = legs[0].delta < 0 ? -legs[0].delta : legs[0].delta;
    return OUTCOME_OK;
}

static inline uint64_t model_key_find(const struct model *m, const uint8_t scope[IDEM_SCOPE_BYTES])
{
    for (unsigned i = 0; i < m->key_count; i++) {
        if (memcmp(m->keys[i].scope, scope, IDEM_SCOPE_BYTES) == 0) {
            return m->keys[i].seq;
        }
    }
    return 0;
}

/* What book_apply must do with this posting; the model moves on. */
static inline void model_apply(struct model *m, const struct posting *p, int64_t now_us,
                               struct model_answer *a)
{
    a->record_count = 0;
    a->amount = 0;
    a->time_us = now_us > m->last_time_us ? now_us : m->last_time_us + 1;
    a->seq = p->idem == NULL ? 0 : model_key_find(m, p->idem->scope);
    if (a->seq != 0) {
        a->outcome = OUTCOME_REPLAY;
        return;
    }
    if (p->idem != NULL && m->key_count == m->keys_max) {
        a->outcome = OUTCOME_KEYS_FULL;
        return;
    }
    a->outcome = p->kind == RECORD_OPEN ? model_open(m, p, a) : model_movement(m, p, a);
    if (p->idem != NULL && outcome_is_stored(a->outcome)) {
        (void)model_emit(m, a, RECORD_REFUSAL);
    }
    if (p->idem != NULL && (a->outcome == OUTCOME_OK || outcome_is_stored(a->outcome))) {
        struct model_key *key = &m->keys[m->key_count++];
        memcpy(key->scope, p->idem->scope, IDEM_SCOPE_BYTES);
        key->seq = m->last_seq;
    }
    a->seq = m->last_seq;
}

#endif

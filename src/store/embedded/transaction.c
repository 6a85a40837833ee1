/* One transaction by its id's time, and the first answer of a repeated key, both built again from journal records. */
#include "base/assert.h"
#include "store/embedded/reader.h"

/* What names a transaction: its records have both in common, and no other's do. */
struct transaction {
    int64_t time_us;
    uint32_t tag;
};

/* What a transaction did to one account. */
struct side {
    uint64_t no, seq;        /* the account; the newest of its records */
    int64_t amount, balance; /* after */
};

/* A transaction that moved something, put together from its records. */
struct movement {
    struct side sides[STORE_ENTRIES_MAX]; /* as the records name them, of each the debit first */
    unsigned count;                       /* 0: there is none */
    enum record_kind kind;
    uint64_t seq;             /* its last record */
    struct store_entry words; /* reference and metadata alone */
};

/* The first record at or after a time; *last + 1: none. Times never fall with seq, so halving finds it. */
static enum err first_at(struct reader *r, int64_t time_us, uint64_t *seq, uint64_t *last)
{
    uint64_t low = 1, high;
    enum err ended = reader_last(r, last);

    if (ended != ERR_OK) {
        return ended;
    }
    high = *last + 1;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        struct record rec; /* whole, with its checksum: a damaged time would lead astray in silence */
        enum err e = reader_record(r, mid, &rec);
        if (e != ERR_OK) {
            return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
        }
        if (rec.time_us < time_us) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    *seq = low;
    return ERR_OK;
}

static bool is_movement(const struct record *rec)
{
    return rec->kind != RECORD_OPEN && rec->kind != RECORD_REFUSAL;
}

static struct side *side_of(struct movement *m, uint64_t no)
{
    unsigned i = 0;

    while (i < m->count && m->sides[i].no != no) {
        i++;
    }
    return i < STORE_ENTRIES_MAX ? &m->sides[i] : NULL;
}

static enum err side_add(struct movement *m, uint64_t no, int64_t amount, int64_t balance,
                         uint64_t seq)
{
    struct side *side = side_of(m, no);

    if (side == NULL) {
        return ERR_CORRUPT;
    }
    if (side == &m->sides[m->count]) {
        m->count++;
        *side = (struct side){.no = no};
    }
    side->amount += amount;
    side->balance = balance;
    side->seq = seq;
    return ERR_OK;
}

/* Put a transaction together from its records, which stand one behind another from `from` on and not behind `last`. */
static enum err movement_read(struct reader *r, const struct transaction *tx, uint64_t from,
                              uint64_t last, struct arena *a, struct movement *m)
{
    enum err e = ERR_OK;

    m->count = 0;
    m->words = (struct store_entry){0};
    for (uint64_t seq = from; e == ERR_OK && seq <= last; seq++) {
        struct record rec;
        e = reader_record(r, seq, &rec);
        e = e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
        if (e == ERR_OK && rec.time_us != tx->time_us) {
            break;
        }
        if (e != ERR_OK || rec.tag != tx->tag || !is_movement(&rec)) {
            continue;
        }
        m->kind = (enum record_kind)rec.kind;
        m->seq = rec.seq;
        e = side_add(m, rec.debit, -rec.amount, rec.debit_balance, rec.seq);
        if (e == ERR_OK && rec.credit != 0) {
            e = side_add(m, rec.credit, rec.amount, rec.credit_balance, rec.seq);
        }
        if (e == ERR_OK && rec.extra.len > 0) {
            e = reader_words(r, &rec, a, &m->words);
        }
    }
    return e;
}

/* Debits first, then the rest, each in the order of the records. */
static enum err entries_fill(struct reader *r, struct store_op *op, const struct movement *m)
{
    op->entries = arena_alloc(&op->out, m->count * sizeof(*op->entries));
    if (op->entries == NULL) {
        return ERR_NOMEM;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < m->count; i++) {
            const struct side *side = &m->sides[i];
            struct account_view account;
            enum err e;
            if ((side->amount < 0) != (pass == 0)) {
                continue;
            }
            e = reader_account(r, side->no, &op->out, &account);
            if (e != ERR_OK) {
                return e;
            }
            op->entries[op->count++] = (struct store_entry){
                .account = account.id,
                .time_us = op->tx_time_us,
                .tag = op->tx_tag,
                .seq = side->seq,
                .kind = m->kind,
                .amount = side->amount,
                .balance = side->balance,
                .reference = m->words.reference,
                .metadata = m->words.metadata,
            };
            op->result.currency = account.currency;
            op->result.exponent = account.exponent;
        }
    }
    return ERR_OK;
}

enum err reader_transaction(struct reader *r, struct store_op *op)
{
    const struct transaction tx = {.time_us = op->tx_time_us, .tag = op->tx_tag};
    struct movement m;
    uint64_t seq = 0, last = 0;
    enum err e = first_at(r, tx.time_us, &seq, &last);

    if (e == ERR_OK) {
        e = movement_read(r, &tx, seq, last, &op->out, &m);
    }
    if (e != ERR_OK) {
        return e;
    }
    if (m.count == 0) {
        op->result.outcome = OUTCOME_TRANSACTION_NOT_FOUND;
        return ERR_OK;
    }
    op->result.outcome = OUTCOME_OK;
    op->result.kind = m.kind;
    op->result.time_us = tx.time_us;
    op->result.tag = tx.tag;
    op->result.seq = m.seq;
    return entries_fill(r, op, &m);
}

/* ---- the first answer of a repeated key ---- */

static enum err replay_refusal(const struct record *rec, struct posting_result *out)
{
    struct record_extra x;

    if (record_extra_decode(rec->extra, &x) != ERR_OK || !x.has_refusal) {
        return ERR_CORRUPT;
    }
    out->outcome = (enum outcome)x.refused_outcome;
    out->kind = (enum record_kind)x.refused_kind;
    out->language = (enum ledger_language)x.language;
    return ERR_OK;
}

static enum err replay_open(const struct record *rec, struct arena *a, struct posting_result *out)
{
    struct record_extra x;
    struct account_view *v = &out->opened;
    enum err e = record_extra_decode(rec->extra, &x);

    if (e != ERR_OK) {
        return e;
    }
    *v = (struct account_view){
        .currency = x.currency,
        .exponent = x.exponent,
        .status = ACCOUNT_ACTIVE,
        .overdraft = rec->amount,
        .version = 1,
        .created_us = rec->time_us,
        .updated_us = rec->time_us,
        .metadata_seq = x.metadata.ptr == NULL ? 0 : rec->seq,
        .no = rec->credit,
    };
    out->currency = x.currency;
    out->exponent = x.exponent;
    e = arena_copy(a, x.account_id, &v->id);
    return e == ERR_OK && x.metadata.ptr != NULL ? arena_copy(a, x.metadata, &out->opened_metadata)
                                                 : e;
}

/* Where the transaction begins whose last record this is. */
static enum err first_of(struct reader *r, const struct record *last, uint64_t *first)
{
    enum err e = ERR_OK;

    for (*first = last->seq; e == ERR_OK && *first > 1; --*first) {
        struct record rec;
        e = reader_record(r, *first - 1, &rec);
        if (e == ERR_OK && (rec.time_us != last->time_us || rec.tag != last->tag)) {
            break;
        }
    }
    return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
}

/*
 * The order of the legs is not in the journal, but the request that comes again has it: its fingerprint says that it is the
 * same. Should a later program make other legs of it, the order of the records has to do.
 */
static void legs_order(const struct posting *p, const struct slice ids[], const struct movement *m,
                       unsigned exponent, unsigned order[])
{
    bool is_same = p->leg_count == m->count;

    for (unsigned i = 0; is_same && i < m->count; i++) {
        const struct posting_leg *leg = &p->legs[i];
        unsigned at = 0;
        int64_t amount;
        while (at < m->count && !slice_equal(ids[at], leg->account)) {
            at++;
        }
        is_same = at < m->count && decimal_to_minor(leg->balance, exponent, &amount) == ERR_OK &&
                  amount == m->sides[at].amount;
        order[i] = at;
    }
    for (unsigned i = 0; !is_same && i < m->count; i++) {
        order[i] = i;
    }
}

/* The posting's sides as they were answered: by its legs, no @world; the amount is the first one's. */
static enum err replay_movement(struct reader *r, struct store_op *op, const struct transaction *tx,
                                uint64_t first, struct posting_result *out)
{
    struct slice ids[STORE_ENTRIES_MAX];
    unsigned order[STORE_ENTRIES_MAX];
    struct movement m;
    enum err e = movement_read(r, tx, first, out->seq, &op->out, &m);

    for (unsigned i = 0; e == ERR_OK && i < m.count; i++) {
        struct account_view account;
        e = reader_account(r, m.sides[i].no, &op->out, &account);
        if (e == ERR_OK) {
            ids[i] = account.id;
            out->currency = account.currency;
            out->exponent = account.exponent;
        }
    }
    if (e != ERR_OK) {
        return e;
    }
    legs_order(&op->posting, ids, &m, out->exponent, order);
    for (unsigned i = 0; i < m.count && out->side_count < POSTING_SIDES_MAX; i++) {
        const struct side *side = &m.sides[order[i]];
        if (slice_equal(ids[order[i]], LEDGER_WORLD)) {
            continue;
        }
        if (out->side_count == 0) {
            out->amount = side->amount < 0 ? -side->amount : side->amount;
        }
        out->sides[out->side_count++] =
            (struct posting_side){.account = ids[order[i]], .balance = side->balance};
    }
    return ERR_OK;
}

static void differing_set(const struct idem *first, const struct idem *now, struct posting_result *out)
{
    out->outcome = OUTCOME_KEY_REUSED;
    for (unsigned i = 0; i < IDEM_FIELDS_MAX; i++) {
        bool has_both = i < first->field_count && i < now->field_count;
        bool has_one = i < first->field_count || i < now->field_count;
        if (has_both ? first->field_tags[i] != now->field_tags[i] : has_one) {
            out->differing |= (uint8_t)(1u << i);
        }
    }
}

enum err reader_replay(struct reader *r, struct store_op *op)
{
    const struct idem *now = op->posting.idem;
    struct posting_result out = {.is_replay = true, .seq = op->result.seq};
    struct record rec;
    struct idem first;
    enum err e = reader_record(r, op->result.seq, &rec);

    ASSERT(now != NULL && op->result.outcome == OUTCOME_REPLAY);
    if (e != ERR_OK) {
        return e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
    }
    if (record_idem_decode(rec.idem, &first) != ERR_OK ||
        memcmp(first.scope, now->scope, IDEM_SCOPE_BYTES) != 0) {
        return ERR_CORRUPT;
    }
    out.kind = (enum record_kind)rec.kind;
    out.time_us = rec.time_us;
    out.tag = rec.tag;
    if (memcmp(first.fingerprint, now->fingerprint, IDEM_FINGERPRINT_BYTES) != 0) {
        out.is_replay = false;
        out.kind = op->posting.kind;
        out.language = op->posting.language;
        differing_set(&first, now, &out);
    } else if (rec.kind == RECORD_REFUSAL) {
        e = replay_refusal(&rec, &out);
    } else if (rec.kind == RECORD_OPEN) {
        e = replay_open(&rec, &op->out, &out);
    } else {
        const struct transaction tx = {.time_us = rec.time_us, .tag = rec.tag};
        uint64_t seq;
        e = first_of(r, &rec, &seq);
        if (e == ERR_OK) {
            e = replay_movement(r, op, &tx, seq, &out);
        }
    }
    if (e == ERR_OK) {
        op->result = out;
    }
    return e;
}

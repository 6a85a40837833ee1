/* One transaction by its id's time, and the first answer of a repeated key, both built again from journal records. */
#include "base/assert.h"
#include "store/embedded/reader.h"

/* The first record at or after a time; *last + 1: none. Times never fall with seq, so halving finds it. */
static enum err first_at(struct reader *r, int64_t time_us, uint64_t *seq, uint64_t *last)
{
    uint64_t low = 1, high;
    sqlite3_stmt *stmt = r->stmts[READ_LAST];
    int rc;

    (void)sqlite3_reset(stmt);
    rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW) {
        return rc == SQLITE_DONE ? ERR_CORRUPT : db_err(r->db, rc);
    }
    *last = (uint64_t)sqlite3_column_int64(stmt, 0); /* no record: NULL reads as 0 */
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

/* Add a side to the transaction's entries, one an account. */
static enum err side_add(struct reader *r, struct store_op *op, uint64_t nos[STORE_ENTRIES_MAX],
                         uint64_t no, int64_t amount, int64_t balance, const struct record *rec)
{
    struct account_view account;
    unsigned i = 0;
    enum err e;

    while (i < op->count && nos[i] != no) {
        i++;
    }
    if (i < op->count) {
        op->entries[i].amount += amount;
        op->entries[i].balance = balance;
        return ERR_OK;
    }
    if (op->count == STORE_ENTRIES_MAX) {
        return ERR_CORRUPT;
    }
    e = reader_account(r, no, &op->out, &account);
    if (e != ERR_OK) {
        return e;
    }
    nos[op->count] = no;
    op->entries[op->count++] = (struct store_entry){
        .account = account.id,
        .time_us = rec->time_us,
        .tag = rec->tag,
        .seq = rec->seq,
        .kind = (enum record_kind)rec->kind,
        .amount = amount,
        .balance = balance,
    };
    op->result.currency = account.currency;
    op->result.exponent = account.exponent;
    return ERR_OK;
}

enum err reader_transaction(struct reader *r, struct store_op *op)
{
    uint64_t nos[STORE_ENTRIES_MAX];
    struct store_entry words = {0};
    uint64_t seq = 0, last = 0;
    enum err e = first_at(r, op->tx_time_us, &seq, &last);

    op->entries = arena_alloc(&op->out, STORE_ENTRIES_MAX * sizeof(*op->entries));
    if (op->entries == NULL) {
        return ERR_NOMEM;
    }
    for (; e == ERR_OK && seq <= last; seq++) {
        struct record rec;
        e = reader_record(r, seq, &rec);
        e = e == ERR_NOT_FOUND ? ERR_CORRUPT : e;
        if (e == ERR_OK && rec.time_us != op->tx_time_us) {
            break;
        }
        if (e != ERR_OK || rec.tag != op->tx_tag || !is_movement(&rec)) {
            continue;
        }
        op->result.kind = (enum record_kind)rec.kind;
        op->result.time_us = rec.time_us;
        op->result.tag = rec.tag;
        op->result.seq = rec.seq;
        if (rec.extra.len > 0) {
            e = reader_words(&rec, &op->out, &words);
        }
        if (e == ERR_OK) {
            e = side_add(r, op, nos, rec.debit, -rec.amount, rec.debit_balance, &rec);
        }
        if (e == ERR_OK && rec.credit != 0) {
            e = side_add(r, op, nos, rec.credit, rec.amount, rec.credit_balance, &rec);
        }
    }
    for (unsigned i = 0; e == ERR_OK && i < op->count; i++) {
        op->entries[i].reference = words.reference;
        op->entries[i].metadata = words.metadata;
    }
    op->result.outcome = op->count == 0 ? OUTCOME_TRANSACTION_NOT_FOUND : OUTCOME_OK;
    return e;
}

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

/* The sides of a record as the posting had them: the credited account of a credit, else debit side first, no @world. */
static enum err replay_movement(struct reader *r, const struct record *rec, struct arena *a,
                                struct posting_result *out)
{
    const struct posting_side balances[] = {{.balance = rec->debit_balance},
                                            {.balance = rec->credit_balance}};
    const uint64_t nos[] = {rec->debit, rec->credit};

    out->amount = rec->amount;
    for (unsigned i = 0; i < ARRAY_LEN(nos); i++) {
        struct account_view account;
        enum err e;
        if (nos[i] == 0) {
            continue;
        }
        e = reader_account(r, nos[i], a, &account);
        if (e != ERR_OK) {
            return e;
        }
        out->currency = account.currency;
        out->exponent = account.exponent;
        if (!slice_equal(account.id, LEDGER_WORLD)) {
            out->sides[out->side_count] = balances[i];
            out->sides[out->side_count++].account = account.id;
        }
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
        e = replay_movement(r, &rec, &op->out, &out);
    }
    if (e == ERR_OK) {
        op->result = out;
    }
    return e;
}

#include "sim/drive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/prng.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

unsigned drive_scaled(unsigned usual)
{
    const char *text = getenv("FAULT_SCALE");
    unsigned long percent = text == NULL ? 100 : strtoul(text, NULL, 10);
    unsigned scaled = (unsigned)((unsigned long)usual * percent / 100 / (IS_SANITIZED ? 8 : 1));

    return scaled == 0 ? 1 : scaled;
}

/* ---- folders ---- */

void drive_folder_make(char dir[DRIVE_PATH_MAX])
{
    char *made;

    (void)snprintf(dir, DRIVE_PATH_MAX, "%s/mywallet-simXXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    made = mkdtemp(dir);
    ASSERT(made != NULL);
}

void drive_folder_clear(const char *dir, bool all)
{
    static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm",
                                        "ledger.db-journal", "lock"};
    char path[DRIVE_PATH_MAX + 32];

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    if (all) {
        (void)rmdir(dir);
    }
}

/* ---- the store ---- */

static void wake(void *ctx)
{
    struct drive *d = ctx;

    pthread_mutex_lock(&d->mutex);
    d->is_woken = true;
    pthread_cond_signal(&d->woken);
    pthread_mutex_unlock(&d->mutex);
}

static void fatal(void *ctx)
{
    struct drive *d = ctx;

    d->fatal_count++;
}

unsigned drive_fatal_count(struct drive *d)
{
    return d->fatal_count;
}

enum err drive_open(struct drive *d, const char *dir, const struct drive_options *o,
                    struct err_text *why)
{
    struct embedded_options options = {
        .dir = dir,
        .inbox_max = o->inbox_max != 0 ? o->inbox_max : 4096,
        .batch_max = o->batch_max != 0 ? o->batch_max : DRIVE_GROUP_MAX,
        .readers = 1,
        .idempotency_ttl_us = UINT64_C(3600) * 1000 * 1000,
        .idempotency_max = 100000,
        .on_fatal = fatal,
        .on_fatal_ctx = d,
        .sweep_rows_min = o->sweep_rows_min,
        .checkpoint_pages = o->checkpoint_pages,
    };
    enum err e;

    *d = (struct drive){0};
    pthread_mutex_init(&d->mutex, NULL);
    pthread_cond_init(&d->woken, NULL);
    e = store_sink_init(&d->sink, wake, d);
    ASSERT(e == ERR_OK);
    e = embedded_open(&options, &d->store, why);
    if (e != ERR_OK) {
        store_sink_fini(&d->sink);
        d->store = NULL;
    }
    return e;
}

void drive_close(struct drive *d)
{
    if (d->store != NULL) {
        store_close(d->store);
        store_sink_fini(&d->sink);
        d->store = NULL;
    }
    pthread_mutex_destroy(&d->mutex);
    pthread_cond_destroy(&d->woken);
}

static void done(struct store_op *op)
{
    ((struct drive *)op->user)->done_count++;
}

void drive_run(struct drive *d, struct store_op *const *ops, unsigned count)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DRIVE_HANG_S;
    d->done_count = 0;
    for (unsigned i = 0; i < count; i++) {
        ops[i]->user = d;
        store_submit(ops[i]);
    }
    store_flush(d->store, &d->sink);
    while (d->done_count < count) {
        int late = 0;
        pthread_mutex_lock(&d->mutex);
        while (!d->is_woken && late == 0) {
            late = pthread_cond_timedwait(&d->woken, &d->mutex, &until);
        }
        ASSERT(late == 0); /* the store hangs */
        d->is_woken = false;
        pthread_mutex_unlock(&d->mutex);
        store_drain(&d->sink);
    }
    ASSERT(d->done_count == count);
}

void drive_run_one(struct drive *d, struct store_op *op)
{
    drive_run(d, &op, 1);
}

static void op_begin(struct store_op *op, enum store_op_kind kind, struct drive *d)
{
    store_op_init(op, kind, &d->sink, done);
    op->deadline_mono_us = clock_mono_us() + UINT64_C(1000000) * DRIVE_HANG_S;
}

/* ---- the script's words ---- */

size_t drive_id(unsigned i, char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 1])
{
    return (size_t)snprintf(text, LEDGER_ACCOUNT_ID_BYTES_MAX + 1, "acct-%02u", i);
}

static uint32_t currency_of(unsigned account)
{
    static const char letters[][4] = {"CNY", "JPY"};
    struct currency c = {0};
    enum err e = currency_parse(slice_make(letters[account % 3 == 0], 3), &c);

    ASSERT(e == ERR_OK);
    return c.code;
}

static struct decimal decimal_of(int64_t minor, unsigned account)
{
    struct decimal d = {.coefficient = minor, .scale = account % 3 == 0 ? 0 : -2};

    while (d.coefficient != 0 && d.coefficient % 10 == 0) {
        d.coefficient /= 10;
        d.scale++;
    }
    return d.coefficient == 0 ? (struct decimal){0} : d;
}

/* ---- making a script ---- */

static void model_apply(struct model *m, struct script_op *op)
{
    struct model_account *from = &m->accounts[op->from];
    struct model_account *to = op->kind == RECORD_TRANSFER ? &m->accounts[op->to] : from;

    op->outcome = OUTCOME_OK;
    op->side_count = 0;
    if (op->kind == RECORD_OPEN) {
        if (from->is_open) {
            op->outcome = OUTCOME_ACCOUNT_EXISTS;
            return;
        }
        *from = (struct model_account){
            .is_open = true, .currency = currency_of(op->from), .overdraft = op->amount, .version = 1};
        return;
    }
    if (op->kind == RECORD_CREDIT && !from->is_open && op->may_open) {
        *from =
            (struct model_account){.is_open = true, .currency = currency_of(op->from), .version = 1};
    }
    if (!from->is_open || !to->is_open) {
        op->outcome = OUTCOME_ACCOUNT_NOT_FOUND;
    } else if (from->currency != to->currency) {
        op->outcome = OUTCOME_CURRENCY_MISMATCH;
    } else if (op->kind == RECORD_TRANSFER && from == to) {
        op->outcome = OUTCOME_SAME_ACCOUNT;
    } else if (op->kind != RECORD_CREDIT && from->balance - op->amount + from->overdraft < 0) {
        op->outcome = OUTCOME_INSUFFICIENT_BALANCE;
    }
    if (op->outcome != OUTCOME_OK) {
        return;
    }
    from->balance += op->kind == RECORD_CREDIT ? op->amount : -op->amount;
    from->version++;
    from->entries++;
    op->balances[op->side_count++] = from->balance;
    if (to != from) {
        to->balance += op->amount;
        to->version++;
        to->entries++;
        op->balances[op->side_count++] = to->balance;
    }
}

static struct script_op op_random(struct prng *p, unsigned i)
{
    static const enum record_kind kinds[] = {RECORD_OPEN,     RECORD_CREDIT,   RECORD_CREDIT,
                                             RECORD_CREDIT,   RECORD_CREDIT,   RECORD_DEBIT,
                                             RECORD_TRANSFER, RECORD_TRANSFER, RECORD_TRANSFER};
    struct script_op op = {.kind = kinds[prng_below(p, ARRAY_LEN(kinds))], .key = i};

    /* some accounts are hot, so that their histories pass the first marks */
    op.from = (unsigned)prng_below(p, prng_below(p, 3) == 0 ? DRIVE_ACCOUNTS : 4);
    op.to = (unsigned)prng_below(p, prng_below(p, 5) == 0 ? DRIVE_ACCOUNTS : 4);
    if (prng_below(p, 8) != 0) { /* mostly between accounts of one currency, neither of them the same */
        op.to = op.from % 3 == 0   ? (op.from + 3) % DRIVE_ACCOUNTS
                : op.from % 3 == 1 ? op.from + 1
                                   : op.from - 1;
    }
    op.amount = 1 + (int64_t)prng_below(p, op.kind == RECORD_CREDIT ? 5000 : 1500);
    if (op.kind == RECORD_OPEN && prng_below(p, 2) == 0) {
        op.amount = 0;
    }
    op.has_key = prng_below(p, 4) != 0;
    op.has_words = prng_below(p, 3) == 0;
    op.may_open = op.kind == RECORD_CREDIT && prng_below(p, 4) != 0;
    return op;
}

static bool is_stored(const struct script_op *op)
{
    return op->has_key && (op->outcome == OUTCOME_OK || outcome_is_stored(op->outcome));
}

void script_make(struct script *s, unsigned count, uint64_t seed)
{
    struct prng p = {.state = seed};

    ASSERT(count <= DRIVE_OPS_MAX);
    *s = (struct script){.count = count};
    for (unsigned i = 0; i < count; i++) {
        struct script_op *op = &s->ops[i];
        const unsigned earlier = i == 0 ? 0 : (unsigned)prng_below(&p, i);
        s->after[i + 1] = s->after[i];
        if (i > 0 && prng_below(&p, 12) == 0 && is_stored(&s->ops[earlier]) &&
            !s->ops[earlier].is_replay) {
            *op = s->ops[earlier]; /* the same again */
            op->first = earlier;
            op->is_replay = true;
            if (prng_below(&p, 3) == 0) {
                op->amount++; /* or nearly */
                op->outcome = OUTCOME_KEY_REUSED;
                op->is_replay = false;
                op->side_count = 0;
            }
            continue;
        }
        *op = op_random(&p, i);
        model_apply(&s->after[i + 1], op);
    }
}

void script_fill(const struct script_op *from, struct store_op *op)
{
    char ids[2][LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
    struct slice a, b;
    struct posting_words words = {.may_open = from->may_open};
    struct decimal amount = decimal_of(from->amount, from->from);
    enum err e = arena_copy(&op->out, slice_make(ids[0], drive_id(from->from, ids[0])), &a);

    ASSERT(e == ERR_OK);
    e = arena_copy(&op->out, slice_make(ids[1], drive_id(from->to, ids[1])), &b);
    ASSERT(e == ERR_OK);
    words.open_currency.code = currency_of(from->from);
    if (from->has_words) {
        words.metadata = SLICE("{\"note\":\"some words that go with it\"}");
        words.reference = from->kind == RECORD_OPEN ? SLICE_NONE : SLICE("ref-1");
    }
    switch (from->kind) {
    case RECORD_OPEN:
        e = posting_open(&op->out, a, amount, &words, &op->posting);
        break;
    case RECORD_CREDIT:
        e = posting_credit(&op->out, a, amount, &words, &op->posting);
        break;
    case RECORD_DEBIT:
        e = posting_debit(&op->out, a, amount, &words, &op->posting);
        break;
    default:
        e = posting_transfer(&op->out, a, b, amount, &words, &op->posting);
        break;
    }
    ASSERT(e == ERR_OK);
    if (from->has_key) {
        struct idem *idem = arena_alloc(&op->out, sizeof(*idem));
        ASSERT(idem != NULL);
        memcpy(idem->scope, &from->key, sizeof(from->key));
        idem->scope[15] = 0x5a;
        memcpy(idem->fingerprint, &from->amount, sizeof(from->amount));
        idem->field_count = 2;
        idem->field_tags[0] = (uint16_t)from->kind;
        idem->field_tags[1] = (uint16_t)from->amount;
        op->posting.idem = idem;
    }
}

/* ---- running it ---- */

static void result_check(const struct script *s, const struct script_op *op,
                         const struct posting_result *r, bool is_replay)
{
    const struct script_op *first =
        op->is_replay || op->outcome == OUTCOME_KEY_REUSED ? &s->ops[op->first] : op;

    ASSERT(r->outcome == op->outcome);
    ASSERT(r->is_replay == is_replay);
    ASSERT(r->kind == op->kind);
    if (is_replay || op->outcome == OUTCOME_KEY_REUSED) {
        ASSERT(r->seq == first->seq);
    }
    if (is_replay) {
        ASSERT(r->time_us == first->time_us && r->tag == 0);
    }
    if (op->outcome == OUTCOME_KEY_REUSED) {
        ASSERT(r->differing == 2);
    }
    if (r->outcome != OUTCOME_OK) {
        return;
    }
    ASSERT(r->currency.code == currency_of(op->from) && r->exponent == (op->from % 3 == 0 ? 0u : 2u));
    if (op->kind == RECORD_OPEN) {
        char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
        ASSERT(slice_equal(r->opened.id, slice_make(id, drive_id(op->from, id))));
        ASSERT(r->opened.overdraft == op->amount && r->opened.version == 1 && r->opened.balance == 0);
        return;
    }
    ASSERT(r->amount == op->amount && r->side_count == op->side_count);
    for (unsigned i = 0; i < r->side_count; i++) {
        char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
        ASSERT(r->sides[i].balance == op->balances[i]);
        ASSERT(slice_equal(r->sides[i].account,
                           slice_make(id, drive_id(i == 0 ? op->from : op->to, id))));
    }
}

void script_run(struct script *s, struct drive *d, unsigned first, unsigned count,
                enum store_status *statuses)
{
    struct store_op ops[DRIVE_GROUP_MAX];
    struct store_op *pointers[DRIVE_GROUP_MAX] = {0};

    ASSERT(count <= DRIVE_GROUP_MAX && first + count <= s->count);
    for (unsigned i = 0; i < count; i++) {
        op_begin(&ops[i], STORE_POST, d);
        script_fill(&s->ops[first + i], &ops[i]);
        pointers[i] = &ops[i];
    }
    drive_run(d, pointers, count);
    for (unsigned i = 0; i < count; i++) {
        struct script_op *op = &s->ops[first + i];
        const struct posting_result *r = &ops[i].result;
        const uint64_t before = first + i == 0 ? 0 : s->ops[first + i - 1].seq_after;
        statuses[i] = ops[i].status;
        if (ops[i].status == STORE_DONE) {
            const bool is_new = !op->is_replay && op->outcome != OUTCOME_KEY_REUSED;
            op->seq_after = is_new ? r->seq : before;
            op->seq = r->seq;
            op->time_us = r->time_us;
            result_check(s, op, r, op->is_replay);
        }
        store_op_fini(&ops[i]);
    }
}

void script_replay(const struct script *s, struct drive *d, unsigned from, unsigned to,
                   unsigned applied)
{
    for (unsigned i = from; i < to; i++) {
        const struct script_op *op = &s->ops[i];
        const bool is_repeated =
            op->is_replay || (i < applied && is_stored(op) && op->outcome != OUTCOME_KEY_REUSED);
        const bool is_known = i >= applied || op->outcome == OUTCOME_KEY_REUSED || is_repeated;
        struct script_op expected = *op;
        struct store_op again;
        if (!is_known) {
            continue; /* without a key, giving it again would be another operation */
        }
        op_begin(&again, STORE_POST, d);
        script_fill(op, &again);
        drive_run_one(d, &again);
        ASSERT(again.status == STORE_DONE);
        if (is_repeated && !op->is_replay) {
            expected.is_replay = true;
            expected.first = i;
        }
        if ((op->is_replay || op->outcome == OUTCOME_KEY_REUSED) && op->first >= applied) {
            /* what it repeats was done anew just now, with a time of its own */
            ASSERT(again.result.outcome == op->outcome && again.result.is_replay == op->is_replay);
        } else {
            result_check(s, &expected, &again.result, is_repeated);
        }
        store_op_fini(&again);
    }
}

unsigned script_prefix(const struct script *s, uint64_t seq)
{
    unsigned n = 0;

    while (n < s->count && s->ops[n].seq_after <= seq) {
        n++;
    }
    ASSERT((n == 0 ? 0 : s->ops[n - 1].seq_after) == seq); /* an operation is there whole or not at all */
    return n;
}

/* ---- comparing ---- */

static void accounts_check(const struct model *m, struct drive *d)
{
    struct store_op op;
    unsigned at = 0;

    op_begin(&op, STORE_ACCOUNTS, d);
    op.accounts.limit = STORE_PAGE_MAX;
    drive_run_one(d, &op);
    ASSERT(op.status == STORE_DONE && op.result.outcome == OUTCOME_OK && !op.has_more);
    for (unsigned i = 0; i < DRIVE_ACCOUNTS; i++) {
        const struct model_account *a = &m->accounts[i];
        char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
        const struct account_view *v;
        if (!a->is_open) {
            continue;
        }
        ASSERT(at < op.count);
        v = &op.views[at++];
        ASSERT(slice_equal(v->id, slice_make(id, drive_id(i, id))));
        ASSERT(v->balance == a->balance && v->held == 0 && v->overdraft == a->overdraft);
        ASSERT(v->currency.code == a->currency && v->version == a->version &&
               v->entries == a->entries);
    }
    ASSERT(at == op.count);
    store_op_fini(&op);
}

static bool moves(const struct script_op *op, unsigned account)
{
    return op->kind != RECORD_OPEN && op->outcome == OUTCOME_OK && !op->is_replay &&
           (op->from == account || (op->kind == RECORD_TRANSFER && op->to == account));
}

static void entry_check(const struct script_op *op, unsigned account, const struct store_entry *e)
{
    const bool is_to = op->kind == RECORD_TRANSFER && op->to == account;
    const bool is_plus = op->kind == RECORD_CREDIT || is_to;
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
    struct slice other = LEDGER_WORLD;

    if (op->kind == RECORD_TRANSFER) {
        other = slice_make(id, drive_id(is_to ? op->from : op->to, id));
    }
    ASSERT(e->seq == op->seq && e->time_us == op->time_us && e->kind == op->kind);
    ASSERT(e->amount == (is_plus ? op->amount : -op->amount));
    ASSERT(e->balance == op->balances[is_to ? 1 : 0]);
    ASSERT(slice_equal(e->counterparty, other));
    ASSERT((e->reference.ptr != NULL) == op->has_words && (e->metadata.ptr != NULL) == op->has_words);
}

static void history_check(const struct script *s, struct drive *d, unsigned n, unsigned account,
                          bool is_ascending)
{
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
    char cursor[STORE_CURSOR_BYTES_MAX];
    struct slice from = SLICE_NONE;
    unsigned next = is_ascending ? 0 : n; /* descending: the one above the next */
    bool has_more = true;

    while (has_more) {
        struct store_op op;
        op_begin(&op, STORE_HISTORY, d);
        op.account_id = slice_make(id, drive_id(account, id));
        op.history =
            (struct store_history_in){.limit = 50, .is_ascending = is_ascending, .cursor = from};
        drive_run_one(d, &op);
        ASSERT(op.status == STORE_DONE && op.result.outcome == OUTCOME_OK);
        for (unsigned i = 0; i < op.count; i++) {
            if (is_ascending) {
                while (next < n && !moves(&s->ops[next], account)) {
                    next++;
                }
                ASSERT(next < n);
                entry_check(&s->ops[next++], account, &op.entries[i]);
            } else {
                while (next > 0 && !moves(&s->ops[next - 1], account)) {
                    next--;
                }
                ASSERT(next > 0);
                entry_check(&s->ops[--next], account, &op.entries[i]);
            }
        }
        has_more = op.has_more;
        memcpy(cursor, op.next_cursor, sizeof(cursor));
        from = slice_make(cursor, op.next_cursor_len);
        store_op_fini(&op);
    }
    for (; is_ascending && next < n; next++) {
        ASSERT(!moves(&s->ops[next], account));
    }
    for (; !is_ascending && next > 0; next--) {
        ASSERT(!moves(&s->ops[next - 1], account));
    }
}

static void transaction_check(const struct script_op *op, struct drive *d)
{
    struct store_op read;

    op_begin(&read, STORE_TRANSACTION, d);
    read.tx_time_us = op->time_us;
    drive_run_one(d, &read);
    ASSERT(read.status == STORE_DONE && read.result.outcome == OUTCOME_OK);
    ASSERT(read.count == 2 && read.result.kind == op->kind && read.result.seq == op->seq);
    ASSERT(read.entries[0].amount == -op->amount && read.entries[1].amount == op->amount);
    store_op_fini(&read);
}

void script_check(const struct script *s, struct drive *d, unsigned n, bool is_deep)
{
    accounts_check(&s->after[n], d);
    for (unsigned i = 0; is_deep && i < DRIVE_ACCOUNTS; i++) {
        if (s->after[n].accounts[i].is_open) {
            history_check(s, d, n, i, false);
            history_check(s, d, n, i, true);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if ((is_deep || i + 2 >= n) && moves(&s->ops[i], s->ops[i].from)) {
            transaction_check(&s->ops[i], d);
        }
    }
}

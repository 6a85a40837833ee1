/*
 * The oracle: a store that is the bare book, a list of records and a list of first answers. It works inside hand_over, on
 * the caller's thread, under one lock; a commit is an append to a list. Reads look at every record there is, each time.
 * "Disk" is what survives close: the lists. Opening again replays them.
 */
#include <stdio.h>

#include "base/clock.h"
#include "contract/contract.h"
#include "unit/ledger/stage.h"

/* What was answered under a key. */
struct answer {
    struct idem idem;
    struct posting_result result;
};

struct book_store {
    struct store store;
    pthread_mutex_t mutex;
    struct contract_limits limits;
    bool is_open;
    struct book book;
    struct book_fx fx;
    /* the disk */
    struct tape tape;
    struct answer *answers; /* owned */
    size_t answer_count, answer_cap;
};

/* ---- postings ---- */

static void answer_keep(struct book_store *s, const struct store_op *op)
{
    struct answer *a;

    if (s->answer_count == s->answer_cap) {
        s->answer_cap = s->answer_cap == 0 ? 64 : s->answer_cap * 2;
        s->answers = mem_resize(s->answers, s->answer_cap * sizeof(*s->answers));
        ASSERT(s->answers != NULL);
    }
    a = &s->answers[s->answer_count++];
    *a = (struct answer){.idem = *op->posting.idem, .result = op->result};
    for (unsigned i = 0; i < a->result.side_count; i++) {
        a->result.sides[i].account = tape_keep(&s->tape, a->result.sides[i].account);
    }
    a->result.opened.id = tape_keep(&s->tape, a->result.opened.id);
    a->result.opened_metadata = tape_keep(&s->tape, a->result.opened_metadata);
}

static const struct answer *answer_find(const struct book_store *s, const struct idem *idem)
{
    for (size_t i = 0; i < s->answer_count; i++) {
        if (memcmp(s->answers[i].idem.scope, idem->scope, IDEM_SCOPE_BYTES) == 0) {
            return &s->answers[i];
        }
    }
    return NULL;
}

/* The first answer again, or the fields in which the requests differ. */
static void replay(const struct book_store *s, struct store_op *op)
{
    const struct idem *idem = op->posting.idem;
    const struct answer *a = answer_find(s, idem);

    ASSERT(a != NULL && a->result.seq == op->result.seq);
    if (memcmp(a->idem.fingerprint, idem->fingerprint, IDEM_FINGERPRINT_BYTES) == 0) {
        op->result = a->result;
        op->result.is_replay = true;
        return;
    }
    op->result = (struct posting_result){
        .outcome = OUTCOME_KEY_REUSED, .kind = op->posting.kind, .seq = a->result.seq};
    op->result.language = op->posting.language;
    for (unsigned i = 0; i < IDEM_FIELDS_MAX; i++) {
        const bool has_first = i < a->idem.field_count, has_now = i < idem->field_count;
        if (has_first != has_now || (has_now && a->idem.field_tags[i] != idem->field_tags[i])) {
            op->result.differing |= (uint8_t)(1u << i);
        }
    }
}

static enum store_status post(struct book_store *s, struct store_op *op)
{
    const struct posting *p = &op->posting;
    enum err e = book_reserve(&s->book, p, &s->fx);

    ASSERT(e == ERR_OK);
    switch (book_apply(&s->book, p, clock_wall_us(), &s->fx, &op->result)) {
    case OUTCOME_REPLAY:
        replay(s, op);
        break;
    case OUTCOME_KEYS_FULL:
        return STORE_UNAVAILABLE;
    default:
        if (p->idem != NULL && s->fx.record_count > 0) {
            answer_keep(s, op);
        }
    }
    tape_append(&s->tape, &s->fx);
    book_commit(&s->book, &s->fx);
    return STORE_DONE;
}

/* ---- reads ---- */

static struct slice out_copy(struct store_op *op, struct slice s)
{
    struct slice copy = SLICE_NONE;
    enum err e = s.ptr == NULL ? ERR_OK : arena_copy(&op->out, s, &copy);

    ASSERT(e == ERR_OK);
    return copy;
}

static void *out_alloc(struct store_op *op, size_t size)
{
    void *at = arena_alloc(&op->out, size);

    ASSERT(at != NULL);
    return at;
}

static struct record_extra extra_of(const struct record *r)
{
    struct record_extra x;
    enum err e = record_extra_decode(r->extra, &x);

    ASSERT(e == ERR_OK);
    return x;
}

static struct slice metadata_at(const struct book_store *s, uint64_t seq, struct store_op *op)
{
    return seq == 0 ? SLICE_NONE : out_copy(op, extra_of(&s->tape.records[seq - 1]).metadata);
}

static struct slice id_of(const struct book_store *s, uint64_t no)
{
    const struct account *a = book_account(&s->book, no);

    return slice_make(a->id, a->id_len);
}

static bool head_read(const struct book_store *s, struct store_op *op)
{
    op->result.seq = s->book.last_seq;
    if (!book_find(&s->book, op->account_id, &op->account)) {
        op->result.outcome = OUTCOME_ACCOUNT_NOT_FOUND;
        return false;
    }
    op->account.id = out_copy(op, op->account.id);
    op->result.currency = op->account.currency;
    op->result.exponent = op->account.exponent;
    return true;
}

static void read_account(const struct book_store *s, struct store_op *op)
{
    if (head_read(s, op) && op->wants_metadata) {
        op->account_metadata = metadata_at(s, op->account.metadata_seq, op);
    }
}

/* The last letter makes a cursor that was cut another text than any whole one. */
static void cursor_put(struct store_op *op, const char *of, uint64_t a, uint64_t b)
{
    int len = snprintf(op->next_cursor, sizeof(op->next_cursor), "%s-%llu-%llu-", of,
                       (unsigned long long)a, (unsigned long long)b);

    ASSERT(len > 0 && (size_t)len < sizeof(op->next_cursor));
    op->next_cursor_len = (unsigned)len;
}

/* Accounts in the order of their numbers; the cursor is a number. */
static void read_accounts(const struct book_store *s, struct store_op *op)
{
    uint64_t no = 1;

    op->views = out_alloc(op, op->accounts.limit * sizeof(*op->views));
    op->views_metadata = out_alloc(op, op->accounts.limit * sizeof(*op->views_metadata));
    if (op->accounts.cursor.ptr != NULL) {
        unsigned long long number;
        char text[STORE_CURSOR_BYTES_MAX + 1] = "";
        memcpy(text, op->accounts.cursor.ptr,
               op->accounts.cursor.len < STORE_CURSOR_BYTES_MAX ? op->accounts.cursor.len : 0);
        no = sscanf(text, "accounts-%llu-0-", &number) == 1 ? number : 0;
        cursor_put(op, "accounts", no, 0);
        if (!slice_equal(slice_make(op->next_cursor, op->next_cursor_len), op->accounts.cursor) ||
            no == 0 || no > s->book.account_count) {
            op->result.outcome = OUTCOME_INVALID_CURSOR;
            return;
        }
    }
    for (; no <= s->book.account_count && !op->has_more; no++) {
        const struct account *a = book_account(&s->book, no);
        if (a->id[0] == '@' || !slice_starts_with(id_of(s, no), op->accounts.prefix) ||
            (op->accounts.status >= 0 && a->status != op->accounts.status)) {
            continue;
        }
        if (op->count == op->accounts.limit) {
            op->has_more = true;
            cursor_put(op, "accounts", no, 0);
            continue;
        }
        book_view(&s->book, no, &op->views[op->count]);
        op->views[op->count].id = out_copy(op, id_of(s, no));
        op->views_metadata[op->count] = metadata_at(s, a->metadata_seq, op);
        op->count++;
    }
}

static bool is_movement(const struct record *r)
{
    return r->kind != RECORD_OPEN && r->kind != RECORD_REFUSAL;
}

static bool same_transaction(const struct store_entry *e, const struct record *r)
{
    return e->time_us == r->time_us && e->tag == r->tag;
}

/* Reference and metadata of a transaction: any of its records may carry them. */
static void words_fill(const struct book_store *s, struct store_op *op, struct store_entry *e)
{
    for (size_t i = 0; i < s->tape.count; i++) {
        const struct record *r = &s->tape.records[i];
        if (is_movement(r) && same_transaction(e, r) && r->extra.len > 0) {
            e->reference = out_copy(op, extra_of(r).reference);
            e->metadata = out_copy(op, extra_of(r).metadata);
        }
    }
}

enum { NOBODY = 0, SEVERAL = UINT32_MAX };

/* All that ever happened to an account, oldest first; others[] gets the number of the other side, where there is one. */
static struct store_entry *entries_of(const struct book_store *s, uint64_t no, unsigned *count,
                                      uint64_t **others)
{
    struct store_entry *all = mem_alloc_array(s->tape.count + 1, sizeof(*all));

    *others = mem_alloc_array(s->tape.count + 1, sizeof(**others));
    ASSERT(all != NULL && *others != NULL);
    *count = 0;
    for (size_t i = 0; i < s->tape.count; i++) {
        const struct record *r = &s->tape.records[i];
        const bool is_debit = r->debit == no;
        const uint64_t other = is_debit ? r->credit : r->debit;
        struct store_entry *last = *count == 0 ? NULL : &all[*count - 1];
        if (!is_movement(r) || (!is_debit && r->credit != no)) {
            continue;
        }
        if (last == NULL || !same_transaction(last, r)) {
            last = &all[(*count)++];
            *last = (struct store_entry){
                .time_us = r->time_us, .tag = r->tag, .kind = (enum record_kind)r->kind};
            (*others)[*count - 1] = other;
        } else if (other != NOBODY) { /* not held money alone */
            (*others)[*count - 1] = (*others)[*count - 1] == NOBODY ? other : SEVERAL;
        }
        last->seq = r->seq;
        last->amount += is_debit ? -r->amount : r->amount;
        last->balance = is_debit ? r->debit_balance : r->credit_balance;
    }
    return all;
}

static uint64_t binding_of(const struct store_op *op)
{
    uint64_t hash = 1;

    hash_number(&hash, op->account.no);
    hash_number(&hash, op->history.kinds);
    hash_number(&hash, (uint64_t)op->history.from_us);
    hash_number(&hash, (uint64_t)op->history.to_us);
    hash_number(&hash, op->history.is_ascending);
    return hash;
}

/* Where a cursor leads: the place of its entry in all[], or count where it is not one of ours. */
static unsigned cursor_follow(struct store_op *op, const struct store_entry *all, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cursor_put(op, "history", binding_of(op), all[i].seq);
        if (slice_equal(slice_make(op->next_cursor, op->next_cursor_len), op->history.cursor)) {
            return i;
        }
    }
    return count;
}

/* The page from all[at] on, in the order asked for. */
static void page_fill(const struct book_store *s, struct store_op *op, const struct store_entry *all,
                      const uint64_t *others, unsigned count, unsigned at)
{
    const struct store_history_in *in = &op->history;
    unsigned looked = 0;

    for (; at < count;
         at += in->is_ascending ? 1 : -1u) { /* past either end it is no longer below count */
        const struct store_entry *e = &all[at];
        if (e->time_us < in->from_us || (in->to_us != 0 && e->time_us >= in->to_us)) {
            continue;
        }
        if (op->count == in->limit || looked++ == STORE_HISTORY_LOOKED_MAX) {
            op->has_more = true;
            cursor_put(op, "history", binding_of(op), e->seq);
            return;
        }
        if (in->kinds == 0 || (in->kinds & 1u << e->kind) != 0) {
            struct store_entry *kept = &op->entries[op->count++];
            *kept = *e;
            kept->counterparty = others[at] == NOBODY || others[at] == SEVERAL
                                     ? SLICE_NONE
                                     : out_copy(op, id_of(s, others[at]));
            words_fill(s, op, kept);
        }
    }
}

static void read_history(const struct book_store *s, struct store_op *op)
{
    struct store_entry *all;
    uint64_t *others;
    unsigned count, at;

    if (!head_read(s, op)) {
        return;
    }
    op->entries = out_alloc(op, op->history.limit * sizeof(*op->entries));
    all = entries_of(s, op->account.no, &count, &others);
    at = op->history.is_ascending || count == 0 ? 0 : count - 1;
    if (op->history.cursor.ptr != NULL) {
        at = cursor_follow(op, all, count);
        op->result.outcome = at == count ? OUTCOME_INVALID_CURSOR : OUTCOME_OK;
    }
    if (op->result.outcome == OUTCOME_OK) {
        page_fill(s, op, all, others, count, at);
    }
    mem_free(all);
    mem_free(others);
}

static void side_add(const struct book_store *s, struct store_entry *all, unsigned *count,
                     const struct record *r, bool is_debit)
{
    const uint64_t no = is_debit ? r->debit : r->credit;
    unsigned i = 0;

    while (i < *count && !slice_equal(all[i].account, id_of(s, no))) {
        i++;
    }
    if (i == *count) {
        ASSERT(*count < STORE_ENTRIES_MAX);
        ++*count;
        all[i] = (struct store_entry){.account = id_of(s, no),
                                      .time_us = r->time_us,
                                      .tag = r->tag,
                                      .kind = (enum record_kind)r->kind};
    }
    all[i].seq = r->seq;
    all[i].amount += is_debit ? -r->amount : r->amount;
    all[i].balance = is_debit ? r->debit_balance : r->credit_balance;
}

/* Debits first, then the rest, each in the order of the records. */
static void read_transaction(const struct book_store *s, struct store_op *op)
{
    struct store_entry all[STORE_ENTRIES_MAX];
    unsigned count = 0;

    op->entries = out_alloc(op, STORE_ENTRIES_MAX * sizeof(*op->entries));
    op->result.outcome = OUTCOME_TRANSACTION_NOT_FOUND;
    for (size_t i = 0; i < s->tape.count; i++) {
        const struct record *r = &s->tape.records[i];
        if (!is_movement(r) || r->time_us != op->tx_time_us || r->tag != op->tx_tag) {
            continue;
        }
        side_add(s, all, &count, r, true);
        if (r->credit != NOBODY) {
            side_add(s, all, &count, r, false);
        }
        op->result = (struct posting_result){
            .outcome = OUTCOME_OK, .kind = (enum record_kind)r->kind, .seq = r->seq};
        op->result.currency.code = book_account(&s->book, r->debit)->currency;
        op->result.exponent = book_account(&s->book, r->debit)->exponent;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < count; i++) {
            struct store_entry *kept = &op->entries[op->count];
            if ((all[i].amount < 0) == (pass == 0)) {
                *kept = all[i];
                kept->account = out_copy(op, all[i].account);
                words_fill(s, op, kept);
                op->count++;
            }
        }
    }
}

/* ---- the port ---- */

static enum store_status work(struct book_store *s, struct store_op *op)
{
    if (!store_claim(op) || op->deadline_mono_us <= clock_mono_us()) {
        return STORE_UNAVAILABLE;
    }
    switch (op->kind) {
    case STORE_POST:
        return post(s, op);
    case STORE_ACCOUNT:
        read_account(s, op);
        break;
    case STORE_ACCOUNTS:
        read_accounts(s, op);
        break;
    case STORE_HISTORY:
        read_history(s, op);
        break;
    case STORE_TRANSACTION:
        read_transaction(s, op);
        break;
    }
    return STORE_DONE;
}

static void hand_over(struct store *store, struct queue_list *ops)
{
    struct book_store *s = (struct book_store *)store;
    struct queue_list finished = {0};
    struct store_sink *sink = ((struct store_op *)ops->head)->sink;
    struct queue_link *link;

    pthread_mutex_lock(&s->mutex);
    while ((link = queue_list_pop(ops)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        op->status = work(s, op);
        queue_list_push(&finished, link);
    }
    pthread_mutex_unlock(&s->mutex);
    store_complete(sink, &finished);
}

static enum store_health health(struct store *store)
{
    (void)store;
    return STORE_HEALTHY;
}

static void book_close(struct store *store)
{
    struct book_store *s = (struct book_store *)store;

    book_fini(&s->book);
    book_fx_fini(&s->fx);
    s->is_open = false;
}

static const struct store_methods methods = {.hand_over = hand_over,
                                             .health = health,
                                             .close = book_close};

static void open_again(void *ctx)
{
    struct book_store *s = ctx;
    enum err e = book_init(&s->book, STAGE_UNDO, s->limits.keys_max, stage_hash_key);

    ASSERT(e == ERR_OK);
    e = book_fx_init(&s->fx, STAGE_RECORDS);
    ASSERT(e == ERR_OK);
    e = tape_replay(&s->tape, &s->book);
    ASSERT(e == ERR_OK);
    s->is_open = true;
}

static void *open_new(const struct contract_limits *limits)
{
    struct book_store *s = mem_alloc(sizeof(*s));

    ASSERT(s != NULL && pthread_mutex_init(&s->mutex, NULL) == 0);
    s->store = (struct store){.methods = &methods, .name = "book", .durability = "memory"};
    s->limits = *limits;
    tape_init(&s->tape);
    open_again(s);
    return s;
}

static struct store *store_get(void *ctx)
{
    return &((struct book_store *)ctx)->store;
}

static void close_kept(void *ctx)
{
    store_close(store_get(ctx));
}

static void drop(void *ctx)
{
    struct book_store *s = ctx;

    if (s->is_open) {
        store_close(&s->store);
    }
    tape_fini(&s->tape);
    mem_free(s->answers);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

const struct contract_store contract_book = {
    .name = "book",
    .has_restart = true,
    .has_inbox = false,
    .open = open_new,
    .store = store_get,
    .close = close_kept,
    .open_again = open_again,
    .drop = drop,
};

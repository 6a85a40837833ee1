/*
 * A game of random commands against a book and the naive model at once: postings of every kind, group and batch undo,
 * commits, time that steps back. After each command both must agree, record by record. Who chooses is a function: a seeded
 * generator in the property test, the input's bytes in the fuzz target.
 */
#ifndef UNIT_LEDGER_PLAY_H
#define UNIT_LEDGER_PLAY_H

#include "unit/ledger/model.h"
#include "unit/ledger/stage.h"

enum { PLAY_NAMES = 24, PLAY_AMOUNTS = 14, PLAY_OUTCOMES = 80 };

struct play {
    struct stage s;
    struct model m, start_m, batch_m,
        group_m; /* now, at first, at the batch's start, at the group's */
    struct book_point batch, group;
    uint64_t batch_hash, group_hash;
    uint64_t (*choose)(void *ctx, uint64_t below);
    void *ctx;
    uint64_t outcomes[PLAY_OUTCOMES]; /* how often each was seen */
    uint64_t undone, replayed;
};

static inline uint64_t pick(struct play *g, uint64_t below)
{
    return g->choose(g->ctx, below);
}

static inline struct slice play_name(struct play *g)
{
    static const char *const names[PLAY_NAMES] = {
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "g",
        "h",
        "i",
        "j",
        "k",
        "l",
        "user:1@home",
        "A",
        "b.",
        "0",
        "kw1",
        "kw2",
        "jp1",
        "jp2",
        "a-name-of-exactly-sixty-four-bytes-0123456789-0123456789-0123457",
        "a-name-of-exactly-sixty-four-bytes-0123456789-0123456789-0123458",
        "frozen",
        "closed"};
    /* most of it on a few hot accounts */
    return slice_of(names[pick(g, pick(g, 4) == 0 ? PLAY_NAMES : 8)]);
}

static inline struct decimal play_amount(struct play *g)
{
    static const struct decimal amounts[PLAY_AMOUNTS] = {{1, 0},
                                                         {1, 1},
                                                         {25, 0},
                                                         {1, -2},
                                                         {199, -2},
                                                         {5, -1},
                                                         {1, 2},
                                                         {1, 3},
                                                         {1, -3},
                                                         {1, -4},
                                                         {999999999999999, -2},
                                                         {999999999999999, 0},
                                                         {1, 12},
                                                         {999999999999998, -2}};
    return amounts[pick(g, pick(g, 8) == 0 ? PLAY_AMOUNTS : 8)];
}

static inline struct currency play_currency(struct play *g)
{
    static const char *const all[] = {"CNY", "JPY", "KWD", "USD"};

    return cur(all[pick(g, 3) == 0 ? pick(g, ARRAY_LEN(all)) : 0]);
}

static inline void play_words(struct play *g, struct posting_words *w)
{
    *w = (struct posting_words){.open_currency = play_currency(g)};
    if (pick(g, 6) == 0) {
        w->currency = play_currency(g);
    }
    if (pick(g, 6) == 0) {
        w->reference = pick(g, 2) == 0 ? SLICE("") : SLICE("order 4711");
    }
    if (pick(g, 6) == 0) {
        w->metadata = SLICE("{\"k\":\"v\"}");
    }
}

/* Any number of legs, mostly few, mostly balanced; now and then with held money or an account named twice. */
static inline enum err play_many(struct play *g, struct posting *out)
{
    const unsigned most = pick(g, 20) == 0 ? 16 : 6;
    const unsigned count = 1 + (unsigned)pick(g, most);
    struct posting_leg *legs = arena_alloc(&g->s.arena, count * sizeof(*legs));
    int64_t sum = 0;

    if (legs == NULL) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < count; i++) {
        int64_t delta = (int64_t)pick(g, 400) - 200;
        legs[i].account = i > 0 && pick(g, 6) == 0 ? LEDGER_WORLD : play_name(g);
        for (unsigned k = 0; k < i && pick(g, 30) != 0; k++) {
            if (slice_equal(legs[k].account, legs[i].account)) {
                legs[i].account = play_name(g);
                k = (unsigned)-1; /* try again, mostly */
            }
        }
        if (i + 1 == count && pick(g, 10) != 0) {
            delta = -sum;
        }
        sum += delta;
        legs[i].balance = (struct decimal){delta, 0};
        if (slice_equal(legs[i].account, LEDGER_WORLD)) {
            continue; /* nothing is held there */
        }
        if (delta == 0 || pick(g, 5) == 0) {
            int64_t held = (int64_t)pick(g, 200) - 100;
            legs[i].held = (struct decimal){held == 0 ? 1 : held, 0};
        }
    }
    *out = (struct posting){.kind = RECORD_TRANSFER, .legs = legs, .leg_count = count};
    return ERR_OK;
}

static inline struct posting play_posting(struct play *g, struct idem *idem)
{
    struct posting_words w;
    struct posting p;
    struct arena *a = &g->s.arena;
    enum err e;
    uint64_t kind = pick(g, 100);

    play_words(g, &w);
    if (kind < 40) {
        w.may_open = pick(g, 4) != 0;
        e = posting_credit(a, play_name(g), play_amount(g), &w, &p);
    } else if (kind < 60) {
        e = posting_debit(a, play_name(g), play_amount(g), &w, &p);
    } else if (kind < 80) {
        e = posting_transfer(a, play_name(g), play_name(g), play_amount(g), &w, &p);
    } else if (kind < 85) {
        w.reference = SLICE_NONE;
        e = posting_open(a, play_name(g), pick(g, 2) == 0 ? (struct decimal){0, 0} : play_amount(g),
                         &w, &p);
    } else {
        e = play_many(g, &p);
    }
    ASSERT(e == ERR_OK);
    if (pick(g, 8) == 0) {
        uint64_t no = model_find(&g->m, p.legs[0].account, 0);
        p.has_if_match = true;
        p.if_match_count = (unsigned)pick(g, 3);
        p.if_match[0] = pick(g, 50);
        p.if_match[1] = no == 0 ? 1 : g->m.accounts[no - 1].version;
    }
    if (pick(g, 4) == 0) {
        *idem = stage_key((char)pick(g, 160), 'f');
        p.idem = idem;
        p.language = (enum ledger_language)pick(g, 2);
    }
    return p;
}

static inline void play_check_record(const struct record *got, const struct record *wanted)
{
    ASSERT(got->seq == wanted->seq && got->time_us == wanted->time_us &&
           got->kind == wanted->kind && got->tag == 0);
    ASSERT(got->debit == wanted->debit && got->credit == wanted->credit);
    ASSERT(got->amount == wanted->amount && got->held == wanted->held);
    ASSERT(got->debit_balance == wanted->debit_balance &&
           got->credit_balance == wanted->credit_balance);
    ASSERT(got->debit_prev == wanted->debit_prev && got->credit_prev == wanted->credit_prev);
    ASSERT(record_check(got) == ERR_OK);
}

static inline void play_check_account(const struct book *b, uint64_t no,
                                      const struct model_account *wanted)
{
    const struct account *got = book_account(b, no);

    ASSERT(got->id_len == wanted->id_len && memcmp(got->id, wanted->id, wanted->id_len) == 0);
    ASSERT(got->currency == wanted->currency && got->exponent == wanted->exponent &&
           got->status == wanted->status);
    ASSERT(got->balance == wanted->balance && got->held == wanted->held &&
           got->overdraft == wanted->overdraft);
    ASSERT(got->version == wanted->version && got->entries == wanted->entries &&
           got->last_seq == wanted->last_seq);
    ASSERT(got->metadata_seq == wanted->metadata_seq);
    ASSERT(got->created_us == wanted->created_us && got->updated_us == wanted->updated_us);
}

/* Everything is as the model says; and the invariants, said again without it. */
static inline void play_check(const struct play *g)
{
    const struct book *b = &g->s.b;
    uint64_t bad_no;

    ASSERT(b->account_count == g->m.account_count);
    ASSERT(b->last_seq == g->m.last_seq && b->last_time_us == g->m.last_time_us);
    ASSERT(keys_count(&b->keys) == g->m.key_count);
    for (uint64_t no = 1; no <= b->account_count; no++) {
        play_check_account(b, no, &g->m.accounts[no - 1]);
    }
    for (unsigned i = 0; i < g->m.key_count; i++) {
        ASSERT(keys_find(&b->keys, g->m.keys[i].scope) == g->m.keys[i].seq);
    }
    for (unsigned w = 0; w < b->world_count; w++) {
        __int128 sum = 0; /* nothing is made or lost */
        for (uint64_t no = 1; no <= b->account_count; no++) {
            const struct account *a = book_account(b, no);
            bool is_world = no == b->worlds[w].no;
            sum += a->currency == b->worlds[w].currency ? a->balance : 0;
            ASSERT(is_world || a->id[0] == '@' || a->balance - a->held + a->overdraft >= 0);
        }
        ASSERT(sum == 0);
    }
    ASSERT(book_check(b, &bad_no) == ERR_OK && bad_no == 0);
}

/* No verb freezes or closes yet: such accounts come out of a file. */
static inline void play_load(struct book *b)
{
    const uint32_t code = cur("CNY").code;
    const struct account rows[] = {
        {.id = "@world", .id_len = 6, .balance = -100000},
        {.id = "frozen", .id_len = 6, .balance = 90000, .held = 1000, .status = ACCOUNT_FROZEN},
        {.id = "closed", .id_len = 6, .status = ACCOUNT_CLOSED},
        {.id = "a", .id_len = 1, .balance = 10000, .held = 2000, .overdraft = 500},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct account row = rows[i];
        enum err e;
        row.currency = code;
        row.exponent = 2;
        row.version = 1;
        e = book_load(b, &row);
        ASSERT(e == ERR_OK);
    }
}

static inline void play_load_model(struct model *m, const struct book *b)
{
    for (uint64_t no = 1; no <= b->account_count; no++) {
        const struct account *a = book_account(b, no);
        struct model_account *copy = &m->accounts[m->account_count++];
        *copy = (struct model_account){
            .id_len = a->id_len,
            .currency = a->currency,
            .exponent = a->exponent,
            .status = (enum account_status)a->status,
            .balance = a->balance,
            .held = a->held,
            .overdraft = a->overdraft,
            .version = a->version,
        };
        memcpy(copy->id, a->id, a->id_len);
    }
}

static inline void play_mark_group(struct play *g)
{
    g->group_m = g->m;
    g->group = book_point_get(&g->s.b, &g->s.fx);
    g->group_hash = book_hash(&g->s.b);
}

static inline void play_commit(struct play *g)
{
    stage_commit(&g->s);
    arena_reset(&g->s.arena);
    g->batch_m = g->m;
    g->batch = book_point_get(&g->s.b, &g->s.fx);
    g->batch_hash = book_hash(&g->s.b);
    play_mark_group(g);
}

static inline void play_init(struct play *g, uint64_t (*choose)(void *ctx, uint64_t below), void *ctx)
{
    *g = (struct play){.choose = choose, .ctx = ctx, .m.keys_max = 100};
    stage_init_with(&g->s, STAGE_RECORDS, STAGE_UNDO, g->m.keys_max);
    play_load(&g->s.b);
    play_load_model(&g->m, &g->s.b);
    g->start_m = g->m;
    play_commit(g);
}

static inline void play_fini(struct play *g)
{
    stage_fini(&g->s);
}

static inline void play_check_result(const struct play *g, const struct posting *p,
                                     const struct posting_result *out)
{
    ASSERT(out->kind == p->kind && out->language == p->language && !out->is_replay && out->tag == 0);
    if (out->outcome == OUTCOME_OK && p->kind == RECORD_OPEN) {
        const uint64_t no = model_find(&g->m, p->legs[0].account, 0);
        const struct model_account *a = &g->m.accounts[no - 1];
        ASSERT(out->opened.no == no && slice_equal(out->opened.id, p->legs[0].account));
        ASSERT(out->opened.overdraft == a->overdraft && out->opened.balance == 0 &&
               out->opened.version == 1);
        ASSERT(out->opened.currency.code == a->currency && out->opened.exponent == a->exponent);
        ASSERT(out->opened.metadata_seq == a->metadata_seq &&
               (a->metadata_seq != 0) == (out->opened_metadata.ptr != NULL));
    } else if (out->outcome == OUTCOME_OK) {
        unsigned side = 0;
        for (unsigned i = 0; i < p->leg_count && side < POSTING_SIDES_MAX; i++) {
            if (!slice_equal(p->legs[i].account, LEDGER_WORLD)) {
                const uint64_t no = model_find(&g->m, p->legs[i].account, 0);
                ASSERT(slice_equal(out->sides[side].account, p->legs[i].account));
                ASSERT(out->sides[side].balance == g->m.accounts[no - 1].balance);
                side++;
            }
        }
        ASSERT(out->side_count == side);
    } else {
        ASSERT(out->side_count == 0);
    }
}

static inline void play_post(struct play *g)
{
    struct idem *idem = arena_alloc(&g->s.arena, sizeof(*idem));
    struct posting p;
    struct posting_result out;
    struct model_answer wanted;
    unsigned before;
    enum err e;

    ASSERT(idem != NULL);
    p = play_posting(g, idem);
    e = book_reserve(&g->s.b, &p, &g->s.fx);
    if (e == ERR_FULL) {
        stage_commit(&g->s); /* without the reset: p lives in the arena */
        g->batch_m = g->m;
        g->batch = book_point_get(&g->s.b, &g->s.fx);
        g->batch_hash = book_hash(&g->s.b);
        play_mark_group(g);
        e = book_reserve(&g->s.b, &p, &g->s.fx);
    }
    ASSERT(e == ERR_OK);
    before = g->s.fx.record_count;
    model_apply(&g->m, &p, g->s.now_us, &wanted);
    (void)book_apply(&g->s.b, &p, g->s.now_us, &g->s.fx, &out);
    ASSERT(out.outcome == wanted.outcome && out.seq == wanted.seq);
    ASSERT(out.outcome == OUTCOME_REPLAY || out.outcome == OUTCOME_KEYS_FULL ||
           out.time_us == wanted.time_us);
    ASSERT(out.amount == wanted.amount);
    ASSERT(g->s.fx.record_count - before == wanted.record_count);
    ASSERT(wanted.record_count <= book_records_of(&p));
    for (unsigned i = 0; i < wanted.record_count; i++) {
        play_check_record(&g->s.fx.records[before + i], &wanted.records[i]);
    }
    if (wanted.record_count > 0) {
        const struct record *last = &g->s.fx.records[g->s.fx.record_count - 1];
        ASSERT((last->idem.len > 0) == (p.idem != NULL)); /* the last record has the key, and the words */
        ASSERT(last->kind == RECORD_REFUSAL || slice_equal(last->extra, p.extra));
    }
    play_check_result(g, &p, &out);
    g->outcomes[out.outcome]++;
}

static inline void play_undo(struct play *g, const struct book_point *to, const struct model *m,
                             uint64_t hash)
{
    book_undo(&g->s.b, &g->s.fx, to);
    g->m = *m;
    ASSERT(book_hash(&g->s.b) == hash);
    ASSERT(g->s.fx.record_count == to->record_count && g->s.fx.mark_count == to->mark_count);
    g->undone++;
}

static inline void play_step(struct play *g)
{
    const uint64_t command = pick(g, 200);

    g->s.now_us += (int64_t)pick(g, 3);
    if (command < 190) {
        play_post(g);
    } else if (command < 193) {
        play_commit(g);
        play_check(g);
    } else if (command < 195) {
        play_undo(g, &g->batch, &g->batch_m, g->batch_hash);
        play_mark_group(g);
        play_check(g);
    } else if (command < 197) {
        play_mark_group(g);
    } else if (command < 199) {
        play_undo(g, &g->group, &g->group_m, g->group_hash);
        play_check(g);
    } else {
        g->s.now_us -= (int64_t)pick(g, 1000); /* the clock steps back; the ledger's time does not */
    }
}

/* The journal alone tells it all: balances are the fold of the records, chains reach every entry, every 64th left a mark. */
static inline void play_check_tape(const struct play *g)
{
    const struct tape *t = &g->s.tape;
    int64_t balance[MODEL_ACCOUNTS_MAX] = {0};
    uint64_t entries[MODEL_ACCOUNTS_MAX] = {0}, last[MODEL_ACCOUNTS_MAX] = {0};
    size_t marks = 0;

    for (uint64_t no = 1; no <= g->start_m.account_count; no++) {
        balance[no - 1] = g->start_m.accounts[no - 1].balance;
    }
    for (size_t i = 0; i < t->count; i++) {
        const struct record *r = &t->records[i];
        const uint64_t nos[] = {r->debit, r->credit};
        const int64_t deltas[] = {-r->amount, r->amount};
        ASSERT(r->seq == i + 1); /* gapless */
        ASSERT(i == 0 || r->time_us >= t->records[i - 1].time_us);
        for (unsigned side = 0; r->kind != RECORD_OPEN && side < 2; side++) {
            uint64_t at = nos[side] - 1;
            if (nos[side] == 0) {
                continue;
            }
            balance[at] += deltas[side];
            ASSERT(balance[at] == (side == 0 ? r->debit_balance : r->credit_balance));
            ASSERT(last[at] == (side == 0 ? r->debit_prev : r->credit_prev));
            last[at] = r->seq;
            entries[at]++;
            if (entries[at] % LEDGER_MARK_EVERY == 0) {
                ASSERT(marks < t->mark_count && t->marks[marks].account == nos[side] &&
                       t->marks[marks].seq == r->seq);
                ASSERT(t->marks[marks].n == entries[at] && t->marks[marks].time_us == r->time_us);
                marks++;
            }
        }
    }
    ASSERT(marks == t->mark_count);
    for (uint64_t no = 1; no <= g->m.account_count; no++) {
        ASSERT(balance[no - 1] == g->m.accounts[no - 1].balance &&
               entries[no - 1] == g->m.accounts[no - 1].entries);
        ASSERT(last[no - 1] == g->m.accounts[no - 1].last_seq);
    }
}

/* Commit, then live through the journal again: the same book. */
static inline void play_end(struct play *g)
{
    struct book again;
    enum err e;

    play_commit(g);
    play_check(g);
    play_check_tape(g);
    e = book_init(&again, 1, g->m.keys_max, stage_hash_key);
    ASSERT(e == ERR_OK);
    play_load(&again);
    e = tape_replay(&g->s.tape, &again);
    ASSERT(e == ERR_OK);
    ASSERT(book_hash(&again) == book_hash(&g->s.b));
    book_fini(&again);
    g->replayed += g->s.tape.count;
}

#endif

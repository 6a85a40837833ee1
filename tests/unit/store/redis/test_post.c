/* Postings over Redis: judged as the bare book judges them, answered as the embedded store answers them. */
#include "base/bytes.h"
#include "base/prng.h"
#include "money/money.h"
#include "unit/store/redis/rig.h"

enum { MANY = 4096 };

/* ---- the bare book beside it ---- */

/* Give an account on the server the state that stage_load gave it in the book. */
static void load_both(struct rig *r, struct stage *s, unsigned buckets, const char *id,
                      const char *currency, struct account row)
{
    const unsigned bucket = names_bucket(slice_of(id), buckets);
    const struct names_key key = names_account(bucket, slice_of(id));
    const struct names_key meta = names_bucket_meta(bucket);
    char text[64], world[8];
    unsigned exponent;

    stage_load(s, id, currency, row);
    assert_int_equal(currency_exponent(cur(currency), &exponent), ERR_OK);
    (void)snprintf(text, sizeof(text), "%lld", (long long)row.balance);
    rig_set(r, key, "b", text);
    rig_set(r, key, "v", "1");
    (void)snprintf(text, sizeof(text), "%s %u", currency, exponent);
    rig_set(r, key, "c", text);
    rig_set(r, key, "t", "1");
    rig_set(r, key, "u", "1");
    if (row.held != 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)row.held);
        rig_set(r, key, "h", text);
    }
    if (row.overdraft != 0) {
        (void)snprintf(text, sizeof(text), "%lld", (long long)row.overdraft);
        rig_set(r, key, "o", text);
    }
    if (row.status != 0) {
        rig_set(r, key, "s", row.status == ACCOUNT_FROZEN ? "1" : "2");
    }
    rig_field(r, meta, "s", text);
    if (text[0] == '\0') {
        rig_set(r, meta, "s", "0");
        rig_set(r, meta, "t", "1");
    }
    (void)snprintf(world, sizeof(world), "w%s", currency);
    rig_field(r, meta, world, text);
    if (text[0] == '\0') {
        rig_set(r, meta, world, "0");
    }
}

/* The sum of @world over all buckets. */
static int64_t world_of(struct rig *r, const char *currency, unsigned buckets)
{
    char field[8];
    int64_t sum = 0;

    (void)snprintf(field, sizeof(field), "w%s", currency);
    for (unsigned i = 0; i < buckets; i++) {
        sum += rig_number(r, names_bucket_meta(i), field);
    }
    return sum;
}

static void assert_same_account(struct rig *r, const struct stage *s, unsigned buckets,
                                const char *id, bool is_counted)
{
    const unsigned bucket = names_bucket(slice_of(id), buckets);
    const struct names_key key = names_account(bucket, slice_of(id));
    struct account_view view;
    char text[64];

    if (!book_find(&s->b, slice_of(id), &view)) {
        rig_field(r, key, "b", text);
        assert_string_equal(text, "");
        return;
    }
    assert_true(rig_number(r, key, "b") == view.balance);
    assert_true(rig_number(r, key, "h") == view.held);
    assert_true(rig_number(r, key, "o") == view.overdraft);
    assert_true(rig_number(r, key, "s") == (int64_t)view.status);
    if (is_counted) {
        char name[NAMES_KEY_BYTES_MAX + 1];
        redisReply *reply;
        assert_true(rig_number(r, key, "v") == (int64_t)view.version);
        assert_true(rig_number(r, key, "q") == (int64_t)view.metadata_seq);
        assert_true(rig_number(r, key, "l") == (int64_t)view.last_seq);
        key_text(names_history(bucket, slice_of(id)), name);
        reply = rig_ask(r, "LLEN", name);
        assert_true(reply->integer == (long long)view.entries);
        freeReplyObject(reply);
    }
}

static void assert_same_answer(const struct posting_result *x, const struct posting_result *y)
{
    assert_int_equal(x->outcome, y->outcome);
    assert_int_equal(x->kind, y->kind);
    assert_int_equal(x->language, y->language);
    if (x->outcome != OUTCOME_OK) {
        assert_true(y->side_count == 0 && y->amount == 0);
        return;
    }
    assert_true(x->currency.code == y->currency.code && x->exponent == y->exponent);
    assert_true(x->amount == y->amount && x->side_count == y->side_count);
    for (unsigned i = 0; i < x->side_count; i++) {
        assert_true(slice_equal(x->sides[i].account, y->sides[i].account));
        assert_true(x->sides[i].balance == y->sides[i].balance);
    }
    assert_true(slice_equal(x->opened.id, y->opened.id));
    assert_true(slice_equal(x->opened_metadata, y->opened_metadata));
    assert_true((x->opened_metadata.ptr == NULL) == (y->opened_metadata.ptr == NULL));
    assert_true(x->opened.overdraft == y->opened.overdraft && x->opened.version == y->opened.version);
}

/* Every journal: gapless from 1, readable to the end, its times rising; balances follow from its legs. */
static void assert_journal(struct rig *r, unsigned buckets, unsigned bucket)
{
    char name[NAMES_KEY_BYTES_MAX + 1];
    redisReply *reply;
    struct arena a;
    uint64_t seq = 0;
    int64_t time_us = 0;
    bool ends = true;

    arena_init(&a, RIG_BYTES_MAX * 16u);
    key_text(names_journal(bucket), name);
    reply = rig_ask(r, "XRANGE", name, "-", "+");
    for (size_t i = 0; i < reply->elements; i++) {
        struct entry e;
        assert_int_equal(entry_read_element(reply->element[i], &a, &e), ERR_OK);
        assert_true(e.seq == ++seq);
        assert_true(e.time_us > time_us || (e.time_us == time_us && !ends));
        assert_true(e.sub == 0 || e.time_us == time_us);
        ends = e.kind != RECORD_OPEN;
        time_us = e.time_us;
        assert_true(e.lead < buckets);
    }
    assert_true(rig_number(r, names_bucket_meta(bucket), "s") == (int64_t)seq);
    assert_true(rig_number(r, names_bucket_meta(bucket), "t") == time_us);
    freeReplyObject(reply);
    arena_fini(&a);
}

/* ---- the order of judgement ---- */

enum violation {
    NOBODY,
    IF_MATCH,
    AMOUNT,
    CURRENCY,
    UNBALANCED,
    SAME,
    STATUS,
    LIMIT,
    BALANCE,
    VIOLATIONS
};

static const enum outcome answers[VIOLATIONS] = {
    OUTCOME_ACCOUNT_NOT_FOUND, OUTCOME_PRECONDITION_FAILED,    OUTCOME_INVALID_AMOUNT,
    OUTCOME_CURRENCY_MISMATCH, OUTCOME_UNBALANCED_ENTRIES,     OUTCOME_SAME_ACCOUNT,
    OUTCOME_ACCOUNT_CLOSED,    OUTCOME_BALANCE_LIMIT_EXCEEDED, OUTCOME_INSUFFICIENT_BALANCE,
};

static void leg_add(struct posting_leg *legs, struct posting *p, const char *account,
                    const char *amount, int64_t *sum)
{
    struct decimal d = dec(amount);

    legs[p->leg_count++] = (struct posting_leg){.account = slice_of(account), .balance = d};
    *sum += d.scale == 0 ? d.coefficient : 0; /* those with decimals come in pairs */
}

static struct posting violate(struct posting_leg *legs, unsigned set)
{
    struct posting p = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 1};
    int64_t sum = 0;

    leg_add(legs, &p, "second", "5", &sum);
    if (set & 1u << NOBODY) {
        leg_add(legs, &p, "nobody", "1", &sum);
    }
    if (set & 1u << IF_MATCH) {
        p.has_if_match = true;
        p.if_match_count = 1;
        p.if_match[0] = 999;
    }
    if (set & 1u << AMOUNT) {
        leg_add(legs, &p, "third", "0.001", &sum);
        leg_add(legs, &p, "fourth", "-0.001", &sum);
    }
    if (set & 1u << CURRENCY) {
        leg_add(legs, &p, "dollars", "1", &sum);
    }
    if (set & 1u << SAME) {
        leg_add(legs, &p, "second", "1", &sum);
    }
    if (set & 1u << STATUS) {
        leg_add(legs, &p, "closed", "1", &sum);
    }
    if (set & 1u << LIMIT) {
        leg_add(legs, &p, "full", "1", &sum);
    }
    if (set & 1u << BALANCE) {
        leg_add(legs, &p, "poor", "-1", &sum);
    }
    legs[0] = (struct posting_leg){.account = SLICE("rich"),
                                   .balance = {set & 1u << UNBALANCED ? -sum - 1 : -sum, 0}};
    return p;
}

static void order_in(struct rig *r, unsigned buckets)
{
    struct posting_leg legs[16];
    struct stage s;
    uint64_t hash;

    rig_flush(r);
    stage_init(&s);
    load_both(r, &s, buckets, "rich", "CNY", (struct account){.balance = 1000000});
    load_both(r, &s, buckets, "second", "CNY", (struct account){0});
    load_both(r, &s, buckets, "third", "CNY", (struct account){0});
    load_both(r, &s, buckets, "fourth", "CNY", (struct account){.balance = 500});
    load_both(r, &s, buckets, "closed", "CNY", (struct account){.status = ACCOUNT_CLOSED});
    load_both(r, &s, buckets, "full", "CNY", (struct account){.balance = MONEY_MINOR_MAX});
    load_both(r, &s, buckets, "poor", "CNY", (struct account){0});
    load_both(r, &s, buckets, "dollars", "USD", (struct account){0});
    hash = rig_hash(r);
    for (unsigned set = 1; set < 1u << VIOLATIONS; set++) {
        const struct posting p = violate(legs, set);
        struct posting_result out;
        struct store_op op;
        assert_int_equal(stage_apply(&s, &p, &out), answers[__builtin_ctz(set)]);
        assert_int_equal(rig_post(r, &p, buckets, &op), POST_DONE);
        assert_same_answer(&out, &op.result);
        op_end(&op);
    }
    assert_true(rig_hash(r) == hash);
    {
        const struct posting p = violate(legs, 0);
        (void)stage_must(&s, p, OUTCOME_OK);
        rig_must(r, &p, buckets, OUTCOME_OK);
    }
    assert_same_account(r, &s, buckets, "rich", false);
    stage_fini(&s);
}

static void the_first_guard_that_fails_answers(void **state)
{
    order_in(*state, 1);
    order_in(*state, MANY);
}

/* ---- the same random postings to both ---- */

enum { NAMES = 12, LOADED = 6, KEYS = 300, ROUNDS = 4000 };

static const char *const names[NAMES] = {"a",   "b",     "c",      "d",      "e",    "f",
                                         "yen", "dinar", "frozen", "closed", "full", "debt"};

static const char *any_name(struct prng *p)
{
    return names[prng_below(p, prng_below(p, 3) == 0 ? NAMES : 5)];
}

static const char *any_amount(struct prng *p)
{
    static const char *const amounts[] = {"1",
                                          "2.50",
                                          "10",
                                          "0.01",
                                          "100",
                                          "7",
                                          "0.001",
                                          "5e2",
                                          "0.1",
                                          "9999999999999.99",
                                          "99999999999999",
                                          "999999999999999",
                                          "1234567.89"};

    return amounts[prng_below(p, prng_below(p, 6) == 0 ? ARRAY_LEN(amounts) : 6)];
}

static struct decimal negative(struct decimal d)
{
    d.coefficient = -d.coefficient;
    return d;
}

/* One of the verbs. */
static void any_verb(struct prng *random, struct arena *a, struct posting *p)
{
    static const char *const currencies[] = {"CNY", "JPY", "KWD"};
    const uint64_t kind = prng_below(random, 10);
    struct posting_words w = {.open_currency = cur("CNY")};
    const char *first = any_name(random), *second = any_name(random);
    const struct decimal amount = dec(any_amount(random));
    enum err e;

    if (prng_below(random, 8) == 0) {
        w.currency = cur(currencies[prng_below(random, 3)]);
    }
    w.metadata = prng_below(random, 5) == 0 ? SLICE("{\"a\":\"b\"}") : SLICE_NONE;
    w.reference = prng_below(random, 5) != 0   ? SLICE_NONE
                  : prng_below(random, 2) == 0 ? SLICE("")
                                               : SLICE("re fe\r\n");
    if (kind < 5) {
        w.may_open = prng_below(random, 8) != 0;
        e = posting_credit(a, slice_of(first), amount, &w, p);
    } else if (kind < 7) {
        e = posting_debit(a, slice_of(first), amount, &w, p);
    } else if (kind < 9) {
        e = posting_transfer(a, slice_of(first), slice_of(second), amount, &w, p);
    } else {
        e = posting_open(a, slice_of(first), prng_below(random, 2) == 0 ? dec("0") : amount, &w, p);
    }
    assert_int_equal(e, ERR_OK);
}

/* What no verb compiles to yet: many legs, held money. */
static void any_legs(struct prng *random, struct arena *a, struct posting *p)
{
    const unsigned count = 1 + (unsigned)prng_below(random, 6);
    struct posting_leg *legs = arena_alloc(a, (count + 1) * sizeof(*legs));
    int64_t sum = 0;

    assert_non_null(legs);
    *p = (struct posting){.kind = RECORD_TRANSFER, .legs = legs};
    for (unsigned i = 0; i < count; i++) {
        const int64_t d = (int64_t)prng_below(random, 2000) - 1000;
        legs[p->leg_count++] =
            (struct posting_leg){.account = slice_of(any_name(random)), .balance = {d, -2}};
        if (d == 0 || prng_below(random, 3) == 0) {
            legs[i].held = (struct decimal){(int64_t)prng_below(random, 400) - 150, -2};
            legs[i].held.coefficient += legs[i].held.coefficient == 0;
        }
        sum += d;
    }
    if (sum != 0 || prng_below(random, 10) == 0) {
        legs[p->leg_count++] = (struct posting_leg){
            .account = prng_below(random, 2) == 0 ? LEDGER_WORLD : slice_of(any_name(random)),
            .balance = {prng_below(random, 20) == 0 || sum == 0 ? -sum - 1 : -sum, -2}};
    }
    if (prng_below(random, 10) == 0) {
        p->legs = legs;
        legs[0].balance = negative(legs[0].balance);
    }
}

/* The book writes several records for many legs, and counts a version for each; the functions one. */
static void any_guards(struct prng *random, struct arena *a, struct posting *p, uint64_t round,
                       bool has_legs)
{
    p->language = (enum ledger_language)prng_below(random, 2);
    if (prng_below(random, 2) == 0) {
        struct idem *idem = arena_alloc(a, sizeof(*idem));
        assert_non_null(idem);
        *idem = stage_key('s', prng_below(random, 10) == 0 ? 'g' : 'f');
        bytes_put_u64(idem->scope, prng_below(random, KEYS) + round / 1000 * KEYS);
        idem->scope[8] = (uint8_t)names_bucket(p->legs[0].account, MANY); /* a key is an account's */
        idem->scope[9] = (uint8_t)(names_bucket(p->legs[0].account, MANY) >> 8);
        p->idem = idem;
    }
    if (prng_below(random, 10) == 0) {
        p->has_if_match = true;
        p->if_match_count = has_legs ? 0 : (unsigned)prng_below(random, 3);
        p->if_match[0] = prng_below(random, 10);
        p->if_match[1] = prng_below(random, 100);
    }
}

struct tally {
    uint64_t outcomes[128], replays;
};

/* The book tells a replay by its position alone: what was answered there is kept here. */
struct kept {
    struct posting_result results[65536];
    struct arena texts;
};

static struct slice keep_text(struct kept *k, struct slice s)
{
    struct slice copy = SLICE_NONE;
    enum err e = s.ptr == NULL ? ERR_OK : arena_copy(&k->texts, s, &copy);

    assert_int_equal(e, ERR_OK);
    return copy;
}

static void keep(struct kept *k, const struct posting_result *out)
{
    struct posting_result r = *out;

    for (unsigned i = 0; i < r.side_count; i++) {
        r.sides[i].account = keep_text(k, r.sides[i].account);
    }
    r.opened.id = keep_text(k, r.opened.id);
    r.opened_metadata = keep_text(k, r.opened_metadata);
    assert_true(r.seq < ARRAY_LEN(k->results));
    k->results[r.seq] = r;
}

static void one_round(struct rig *r, struct stage *s, unsigned buckets, const struct posting *p,
                      bool is_counted, struct kept *kept, struct tally *tally)
{
    struct posting_result out;
    struct store_op op;

    (void)stage_apply(s, p, &out);
    assert_int_equal(rig_post(r, p, buckets, &op), POST_DONE);
    assert_true(op.result.bucket == op.result.tag &&
                op.result.bucket == names_bucket(p->legs[0].account, buckets));
    if (out.outcome == OUTCOME_REPLAY) {
        const struct posting_result *first = &kept->results[out.seq];
        assert_true(!is_counted || op.result.seq == out.seq);
        if (op.result.outcome == OUTCOME_KEY_REUSED) {
            assert_false(op.result.is_replay);
            assert_int_equal(op.result.differing, 0); /* stage_key gives all the same tags */
            tally->outcomes[OUTCOME_KEY_REUSED]++;
        } else {
            assert_true(op.result.is_replay);
            assert_int_equal(op.result.outcome, first->outcome);
            op.result.language = first->outcome == OUTCOME_OK ? first->language : op.result.language;
            assert_same_answer(first, &op.result);
            tally->replays++;
        }
    } else {
        assert_false(op.result.is_replay);
        assert_same_answer(&out, &op.result);
        assert_true(!is_counted || op.result.seq == out.seq);
        tally->outcomes[out.outcome]++;
        if (p->idem != NULL && (out.outcome == OUTCOME_OK || outcome_is_stored(out.outcome))) {
            keep(kept, &out);
        }
    }
    op_end(&op);
    stage_commit(s);
}

static void differential(struct rig *r, unsigned buckets, bool has_legs, uint64_t seed,
                         struct tally *tally)
{
    struct kept *kept = mem_alloc(sizeof(*kept));
    struct prng random = {seed};
    struct stage s;

    assert_non_null(kept);
    arena_init(&kept->texts, RIG_BYTES_MAX);
    rig_flush(r);
    stage_init_with(&s, STAGE_RECORDS, STAGE_UNDO, 100000);
    if (has_legs) {
        load_both(r, &s, buckets, "yen", "JPY", (struct account){.balance = 100000});
        load_both(r, &s, buckets, "dinar", "KWD", (struct account){.balance = 100000});
        load_both(r, &s, buckets, "frozen", "CNY",
                  (struct account){.balance = 5000, .held = 300, .status = ACCOUNT_FROZEN});
        load_both(r, &s, buckets, "closed", "CNY", (struct account){.status = ACCOUNT_CLOSED});
        load_both(r, &s, buckets, "full", "CNY", (struct account){.balance = MONEY_MINOR_MAX});
        load_both(r, &s, buckets, "debt", "CNY",
                  (struct account){.balance = -700, .overdraft = 100000, .held = 5});
    }
    for (uint64_t round = 0; round < ROUNDS; round++) {
        struct posting p;
        if (has_legs && prng_below(&random, 3) == 0) {
            any_legs(&random, &s.arena, &p);
        } else {
            any_verb(&random, &s.arena, &p);
        }
        any_guards(&random, &s.arena, &p, round, has_legs);
        one_round(r, &s, buckets, &p, buckets == 1 && !has_legs, kept, tally);
        if (round % 500 == 499) {
            for (unsigned i = 0; i < NAMES; i++) {
                assert_same_account(r, &s, buckets, names[i], buckets == 1 && !has_legs);
            }
        }
    }
    for (unsigned i = 0; i < s.b.world_count; i++) {
        char text[4] = {0};
        currency_text((struct currency){s.b.worlds[i].currency}, text);
        assert_true(world_of(r, text, buckets) == book_account(&s.b, s.b.worlds[i].no)->balance);
    }
    for (unsigned i = 0; i < NAMES && !has_legs; i++) {
        assert_journal(r, buckets, names_bucket(slice_of(names[i]), buckets));
    }
    stage_fini(&s);
    arena_fini(&kept->texts);
    mem_free(kept);
}

static void agrees_with_the_book(void **state)
{
    struct tally t = {0};
    uint64_t sum = 0;

    for (uint64_t seed = 1; seed <= 2; seed++) {
        differential(*state, 1, false, seed, &t);
        differential(*state, MANY, false, seed + 10, &t);
        differential(*state, 1, true, seed + 20, &t);
        differential(*state, MANY, true, seed + 30, &t);
    }
    for (int o = 0; o < 128; o++) {
        sum += t.outcomes[o];
        if (t.outcomes[o] > 0) {
            print_message("outcome %d: %llu\n", o, (unsigned long long)t.outcomes[o]);
        }
    }
    print_message("replays: %llu\n", (unsigned long long)t.replays);
    assert_true(t.outcomes[OUTCOME_OK] > sum / 3 && t.replays > 100);
    for (int o = OUTCOME_ACCOUNT_FROZEN; o < OUTCOME_STORED_COUNT; o++) {
        assert_true(t.outcomes[o] > 10);
    }
    for (int o = OUTCOME_KEY_REUSED; o <= OUTCOME_INVALID_AMOUNT; o++) {
        assert_true(t.outcomes[o] > 10);
    }
}

/* ---- keys ---- */

static void a_replay_is_the_first_answer(void **state)
{
    struct rig *r = *state;
    struct idem idem = stage_key('k', 'f'), other = stage_key('k', 'g');
    struct store_op first, again;
    struct posting p;
    struct stage s;
    uint64_t hash;

    rig_flush(r);
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    p.idem = &idem;
    assert_int_equal(rig_post(r, &p, MANY, &first), POST_DONE);
    p.idem = NULL;
    rig_must(r, &p, MANY, OUTCOME_OK);
    p.idem = &idem;
    hash = rig_hash(r);
    assert_int_equal(rig_post_until(r, &p, MANY, 0, &again, NULL), POST_DONE); /* late is not too late */
    assert_true(!first.result.is_replay && again.result.is_replay);
    assert_true(again.result.seq == first.result.seq && again.result.time_us == first.result.time_us);
    assert_true(again.result.tag == first.result.tag &&
                again.result.tag == names_bucket(SLICE("a"), MANY));
    assert_same_answer(&first.result, &again.result);
    op_end(&again);
    op_end(&first);
    other.field_count = 3;
    other.field_tags[0] = 7;
    p.idem = &other;
    assert_int_equal(rig_post(r, &p, MANY, &again), POST_DONE);
    assert_int_equal(again.result.outcome, OUTCOME_KEY_REUSED);
    assert_int_equal(again.result.differing,
                     5); /* the first tag, and the third, which one of them lacks */
    assert_true(again.result.kind == RECORD_CREDIT && again.result.amount == 0);
    op_end(&again);
    assert_true(rig_hash(r) == hash);
    stage_fini(&s);
}

static enum post_verdict look(struct rig *r, const struct posting *p, struct store_op *op)
{
    enum post_verdict verdict;
    struct slice broken;
    redisReply *reply;

    op_begin(op, p);
    assert_int_equal(post_encode_look(&r->out, p, MANY), ERR_OK);
    reply = rig_exchange(r);
    assert_int_equal(post_read(reply, op, MANY, &verdict, &broken), ERR_OK);
    freeReplyObject(reply);
    return verdict;
}

static void a_refusal_stands_under_its_key(void **state)
{
    struct rig *r = *state;
    struct idem idem = stage_key('k', 'f');
    struct posting p;
    struct store_op op;
    struct stage s;
    int64_t seq;

    rig_flush(r);
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    rig_must(r, &p, MANY, OUTCOME_OK);
    p = stage_debit(&s, "a", "2");
    p.idem = &idem;
    p.language = LEDGER_EN;
    assert_int_equal(look(r, &p, &op), POST_STALE);
    op_end(&op);
    rig_must(r, &p, MANY, OUTCOME_INSUFFICIENT_BALANCE);
    seq = rig_number(r, names_bucket_meta(names_bucket(SLICE("a"), MANY)), "s");
    assert_int_equal(seq, 4);
    p = stage_credit(&s, "a", "5");
    rig_must(r, &p, MANY, OUTCOME_OK);
    p = stage_debit(&s, "a", "2");
    p.idem = &idem;
    assert_int_equal(rig_post(r, &p, MANY, &op), POST_DONE);
    assert_true(op.result.outcome == OUTCOME_INSUFFICIENT_BALANCE && op.result.is_replay);
    assert_true(op.result.language == LEDGER_EN && op.result.kind == RECORD_DEBIT);
    assert_true(op.result.seq == (uint64_t)seq);
    op_end(&op);
    assert_int_equal(look(r, &p, &op), POST_DONE);
    assert_true(op.result.outcome == OUTCOME_INSUFFICIENT_BALANCE && op.result.is_replay);
    op_end(&op);
    /* what is a state of the world leaves the key free */
    idem = stage_key('n', 'f');
    p = stage_debit(&s, "nobody", "2");
    p.idem = &idem;
    rig_must(r, &p, MANY, OUTCOME_ACCOUNT_NOT_FOUND);
    assert_int_equal(look(r, &p, &op), POST_STALE);
    op_end(&op);
    stage_fini(&s);
}

/* ---- held money ---- */

static void held_money_comes_and_goes(void **state)
{
    struct rig *r = *state;
    struct posting_leg legs[] = {{.account = SLICE("a"), .held = {6, 0}}, {.account = SLICE("b")}};
    struct posting p, hold = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 1};
    const struct names_key a = names_account(names_bucket(SLICE("a"), MANY), SLICE("a"));
    struct stage s;
    char text[64];

    rig_flush(r);
    stage_init(&s);
    p = stage_credit(&s, "a", "10");
    rig_must(r, &p, MANY, OUTCOME_OK);
    p = stage_credit(&s, "b", "1");
    rig_must(r, &p, MANY, OUTCOME_OK);
    rig_must(r, &hold, MANY, OUTCOME_OK);
    rig_field(r, a, "h", text);
    assert_string_equal(text, "600");
    p = stage_debit(&s, "a", "4.01");
    rig_must(r, &p, MANY, OUTCOME_INSUFFICIENT_BALANCE);
    legs[0].held.coefficient = -7;
    rig_must(r, &hold, MANY, OUTCOME_INSUFFICIENT_BALANCE); /* more than is held */
    legs[0].held.coefficient = -6;
    rig_must(r, &hold, MANY, OUTCOME_OK);
    rig_field(r, a, "h", text);
    assert_string_equal(text, ""); /* no field is a zero */
    legs[0].held.coefficient = 6;
    rig_must(r, &hold, MANY, OUTCOME_OK);
    legs[0].held.coefficient = -6; /* a capture */
    legs[0].balance = (struct decimal){-6, 0};
    legs[1].balance = (struct decimal){6, 0};
    hold.leg_count = 2;
    rig_must(r, &hold, MANY, OUTCOME_OK);
    rig_must(r, &hold, MANY, OUTCOME_INSUFFICIENT_BALANCE);
    rig_field(r, a, "h", text);
    assert_string_equal(text, "");
    assert_true(rig_number(r, a, "b") == 400 && rig_number(r, a, "v") == 6);
    assert_journal(r, MANY, names_bucket(SLICE("a"), MANY));
    assert_journal(r, MANY, names_bucket(SLICE("b"), MANY));
    stage_fini(&s);
}

/* ---- many legs ---- */

static void a_hundred_legs_in_as_many_journals(void **state)
{
    struct rig *r = *state;
    static struct posting_leg legs[LEDGER_LEGS_MAX];
    static char ids[LEDGER_LEGS_MAX][8];
    struct posting p = {.kind = RECORD_TRANSFER,
                        .legs = legs,
                        .leg_count = LEDGER_LEGS_MAX,
                        .open_currency = cur("CNY")};
    struct store_op op;
    struct stage s;

    rig_flush(r);
    stage_init(&s);
    for (unsigned i = 0; i < LEDGER_LEGS_MAX; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "n%02u", i);
        legs[i] = (struct posting_leg){.account = slice_of(ids[i]),
                                       .balance = {i < 50 ? 999999999999999 : -999999999999999, -2}};
        legs[i].may_open = i < 50;
        if (i >= 50) {
            struct posting open = stage_open(&s, ids[i], "CNY", "9999999999999.99");
            rig_must(r, &open, MANY, OUTCOME_OK);
        }
    }
    legs[0].balance.coefficient -= 1; /* one in 5 x 10^16: no double of the sum would show it */
    rig_must(r, &p, MANY, OUTCOME_UNBALANCED_ENTRIES);
    legs[0].balance.coefficient += 1;
    assert_int_equal(rig_post(r, &p, MANY, &op), POST_DONE);
    assert_int_equal(op.result.outcome, OUTCOME_OK);
    assert_true(op.result.side_count == 2 && op.result.amount == MONEY_MINOR_MAX);
    op_end(&op);
    for (unsigned i = 0; i < LEDGER_LEGS_MAX; i++) {
        const unsigned bucket = names_bucket(legs[i].account, MANY);
        assert_true(rig_number(r, names_account(bucket, legs[i].account), "b") ==
                    (i < 50 ? MONEY_MINOR_MAX : -MONEY_MINOR_MAX));
        assert_journal(r, MANY, bucket);
    }
    rig_must(r, &p, MANY, OUTCOME_BALANCE_LIMIT_EXCEEDED);
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_guard_that_fails_answers),
        cmocka_unit_test(agrees_with_the_book),
        cmocka_unit_test(a_replay_is_the_first_answer),
        cmocka_unit_test(a_refusal_stands_under_its_key),
        cmocka_unit_test(held_money_comes_and_goes),
        cmocka_unit_test(a_hundred_legs_in_as_many_journals),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}

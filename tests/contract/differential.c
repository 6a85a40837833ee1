/*
 * The same random requests to the oracle and to each other store, in batches, with restarts: equal outcomes, positions,
 * amounts, balances, histories. Only times may differ, for each store has its own; and positions, where each bucket counts
 * for itself. DIFFERENTIAL_POSTINGS=100000 in the environment asks for so many of each store.
 */
#include <stdlib.h>

#include "base/prng.h"
#include "contract/contract.h"
#include "contract/legs.h"

enum { SEEDS = 3, BATCHES = 40, BATCH_MAX = 60, NAMES = 10, KEYS = 300 };

static const char *const names[NAMES] = {"a", "b",   "c",     "d",    "e",
                                         "f", "yen", "dinar", "no:1", "no.2"};

static const char *any_name(struct prng *p)
{
    return names[prng_below(p, prng_below(p, 3) == 0 ? NAMES : 4)];
}

static const char *any_amount(struct prng *p)
{
    static const char *const amounts[] = {
        "1", "2.50", "10", "0.01", "100", "7", "0.001", "9999999999999.99", "99999999999999"};

    return amounts[prng_below(p, prng_below(p, 6) == 0 ? ARRAY_LEN(amounts) : 6)];
}

static const char *any_currency(struct prng *p)
{
    static const char *const currencies[] = {"CNY", "JPY", "KWD"};

    return currencies[prng_below(p, ARRAY_LEN(currencies))];
}

/* A key belongs to the request's first account, as the edge makes them, where a store keeps it beside that account. */
static uint64_t any_key(struct prng *p, const char *account, bool is_bucketed)
{
    uint64_t i = 0;

    if (!is_bucketed) {
        return prng_below(p, KEYS) + 1;
    }
    while (strcmp(names[i], account) != 0) {
        i++;
    }
    return i * KEYS + prng_below(p, KEYS / 4) + 1;
}

/* A posting of many legs. A key asks the same each time, as a request's fingerprint promises, or is another kind's. */
static void any_legs(struct prng *p, struct call *call, struct client *client)
{
    const uint64_t key = prng_below(p, 2) == 0 ? 0 : prng_below(p, KEYS) + 1;
    struct prng own = {key != 0 ? key : prng_next(p)};
    const unsigned among =
        prng_below(&own, 8) == 0 ? NAMES : 6; /* those that mostly have one currency */
    struct posting *posting = &call->op.posting;
    struct legs *legs;
    const char *chosen[NAMES];

    memcpy(chosen, names, sizeof(names));
    for (unsigned i = among; i > 1; i--) {
        const unsigned other = (unsigned)prng_below(&own, i);
        const char *const kept = chosen[i - 1];
        chosen[i - 1] = chosen[other];
        chosen[other] = kept;
    }
    call_post(call, client,
              &(struct call_words){.kind = RECORD_CREDIT,
                                   .account = chosen[0],
                                   .amount = "1",
                                   .may_open = prng_below(&own, 2) == 0,
                                   .reference = prng_below(&own, 3) == 0 ? "reference" : NULL,
                                   .metadata = prng_below(&own, 3) == 0 ? "{\"a\":\"b\"}" : NULL});
    legs = arena_alloc(&call->arena, sizeof(*legs));
    ASSERT(legs != NULL);
    legs_any(&own, chosen, among, legs);
    legs->list[0].may_open = posting->legs[0].may_open;
    posting->kind = (enum record_kind)(RECORD_CREDIT + prng_below(&own, 3));
    posting->legs = legs->list;
    posting->leg_count = legs->count;
    posting->language = LEDGER_EN;
    if (key != 0) {
        call_key(call, key, 'm');
    }
}

/* One request, by the generator alone, so that every store can be asked the same. */
static void any_post(struct prng *p, struct call *call, struct client *client,
                     const struct contract_store *other)
{
    const bool is_bucketed = other->is_bucketed;
    struct call_words w = {.account = any_name(p), .to = any_name(p), .amount = any_amount(p)};
    const uint64_t kind = prng_below(p, 10);

    /* in a Redis a posting is one record, whatever its legs: positions and versions are not the book's */
    if (other == &contract_embedded && prng_below(p, 3) == 0) {
        any_legs(p, call, client);
        return;
    }
    w.kind = kind < 5   ? RECORD_CREDIT
             : kind < 7 ? RECORD_DEBIT
             : kind < 9 ? RECORD_TRANSFER
                        : RECORD_OPEN;
    w.may_open = w.kind == RECORD_CREDIT && prng_below(p, 8) != 0;
    w.currency = prng_below(p, w.kind == RECORD_OPEN ? 2 : 8) == 0 ? any_currency(p) : NULL;
    w.metadata = prng_below(p, 5) == 0 ? "{\"a\":\"b\"}" : NULL;
    w.reference = w.kind != RECORD_OPEN && prng_below(p, 5) == 0 ? "reference" : NULL;
    if (w.kind == RECORD_OPEN && prng_below(p, 2) == 0) {
        w.amount = "0";
    }
    call_post(call, client, &w);
    call->op.posting.language = (enum ledger_language)prng_below(p, 2);
    if (prng_below(p, 2) == 0) {
        const uint64_t key = any_key(p, w.account, is_bucketed);
        call_key(call, key, prng_below(p, 10) == 0 ? 'g' : 'f');
    }
    if (prng_below(p, 10) == 0) {
        call->op.posting.has_if_match = true;
        call->op.posting.if_match_count = (unsigned)prng_below(p, 3);
        call->op.posting.if_match[0] = prng_below(p, 10);
        call->op.posting.if_match[1] = prng_below(p, 100);
    }
}

static void assert_same_answer(const struct call *a, const struct call *b,
                               const struct contract_store *other)
{
    const struct posting_result *x = &a->op.result, *y = &b->op.result;

    assert_int_equal(a->op.status, b->op.status);
    assert_int_equal(x->outcome, y->outcome);
    assert_true(x->is_replay == y->is_replay && x->kind == y->kind && x->differing == y->differing);
    assert_true(x->outcome == OUTCOME_KEY_REUSED || x->seq == y->seq || other->is_bucketed);
    if (outcome_is_stored(x->outcome)) {
        assert_int_equal(x->language, y->language);
    }
    if (x->outcome != OUTCOME_OK) {
        return;
    }
    assert_true(x->currency.code == y->currency.code && x->exponent == y->exponent &&
                x->amount == y->amount);
    assert_int_equal(x->side_count, y->side_count);
    for (unsigned i = 0; i < x->side_count; i++) {
        assert_true(slice_equal(x->sides[i].account, y->sides[i].account) &&
                    x->sides[i].balance == y->sides[i].balance);
    }
    if (x->kind == RECORD_OPEN) {
        assert_true(slice_equal(x->opened.id, y->opened.id) &&
                    slice_equal(x->opened_metadata, y->opened_metadata));
        assert_true((x->opened_metadata.ptr == NULL) == (y->opened_metadata.ptr == NULL));
        assert_true(x->opened.overdraft == y->opened.overdraft && x->opened.version == 1);
        assert_true(x->opened.no == y->opened.no || other->is_without_account_numbers);
    }
}

/* The transaction that each store made of a posting, as each store's id of it finds it. */
static void assert_same_transaction(struct contract *a, struct contract *b,
                                    const struct posting_result *x, const struct posting_result *y)
{
    struct call p, q;

    call_transaction(&p, &a->client, x->time_us, x->tag);
    call_transaction(&q, &b->client, y->time_us, y->tag);
    call_must(a, &p, OUTCOME_OK);
    call_must(b, &q, OUTCOME_OK);
    assert_int_equal(p.op.count, q.op.count);
    for (unsigned i = 0; i < p.op.count; i++) {
        assert_same_entry(&p.op.entries[i], &q.op.entries[i], false);
    }
    call_fini(&p);
    call_fini(&q);
}

static void assert_same_account(struct contract *a, struct contract *b, const char *name)
{
    struct account_view x, y;
    const bool is_known = account_is_known(a, name);

    assert_true(is_known == account_is_known(b, name));
    if (!is_known) {
        return;
    }
    x = account_now(a, name);
    y = account_now(b, name);
    x.created_us = x.updated_us = y.created_us = y.updated_us = 0;
    if (b->kind->is_without_account_numbers) {
        assert_true(y.no == 0);
        x.no = 0;
    }
    if (b->kind->is_bucketed) {
        assert_true((x.last_seq == 0) == (y.last_seq == 0) &&
                    (x.metadata_seq == 0) == (y.metadata_seq == 0));
        x.last_seq = y.last_seq;
        x.metadata_seq = y.metadata_seq;
    }
    assert_memory_equal(&x, &y, sizeof(x));
    for (int order = 0; order < 2; order++) {
        for (uint32_t kinds = 0; kinds <= 1u << RECORD_DEBIT; kinds += 1u << RECORD_DEBIT) {
            const struct store_history_in in = {
                .limit = 23, .is_ascending = order != 0, .kinds = kinds};
            struct entries p, q;
            entries_collect(a, name, &in, &p);
            entries_collect(b, name, &in, &q);
            assert_int_equal(p.count, q.count);
            for (unsigned i = 0; i < p.count; i++) {
                if (b->kind->is_bucketed) {
                    p.list[i].seq = q.list[i].seq;
                    p.list[i].tag = q.list[i].tag;
                }
                assert_same_entry(&p.list[i], &q.list[i], false);
            }
            entries_fini(&p);
            entries_fini(&q);
        }
    }
}

/* Returns how many postings it asked; of many legs there were (*many)[0] that succeeded, and (*many)[1] that were repeated. */
static uint64_t one_seed(const struct contract_store *other, uint64_t seed, uint64_t outcomes[128],
                         uint64_t (*many)[2])
{
    struct contract *a = contract_new(&contract_book, &contract_limits_usual);
    struct contract *b = contract_new(other, &contract_limits_usual);
    struct prng random = {seed};
    uint64_t asked = 0;

    for (unsigned batch = 0; batch < BATCHES; batch++) {
        const unsigned count = 1 + (unsigned)prng_below(&random, BATCH_MAX);
        struct prng same = random;
        struct call *x = calls_new(count), *y = calls_new(count);
        for (unsigned i = 0; i < count; i++) {
            any_post(&random, &x[i], &a->client, other);
            any_post(&same, &y[i], &b->client, other);
        }
        asked += count;
        calls_run(a, &a->client, x, count);
        calls_run(b, &b->client, y, count);
        for (unsigned i = 0; i < count; i++) {
            assert_same_answer(&x[i], &y[i], other);
            if (x[i].op.result.outcome == OUTCOME_OK && x[i].op.posting.leg_count > 2) {
                assert_same_transaction(a, b, &x[i].op.result, &y[i].op.result);
                (*many)[x[i].op.result.is_replay]++;
            }
            outcomes[x[i].op.result.is_replay ? OUTCOME_REPLAY : x[i].op.result.outcome]++;
        }
        calls_free(x, count);
        calls_free(y, count);
        if (batch % 10 == 9) {
            for (size_t i = 0; i < NAMES; i++) {
                assert_same_account(a, b, names[i]);
            }
            if (other->has_restart) {
                contract_reopen(b);
            }
        }
    }
    for (size_t i = 0; i < NAMES; i++) {
        assert_same_account(a, b, names[i]);
    }
    contract_free(a);
    contract_free(b);
    return asked;
}

static void agrees_with_the_oracle(void **state)
{
    const char *const text = getenv("DIFFERENTIAL_POSTINGS");
    const uint64_t wanted = text == NULL ? 0 : strtoull(text, NULL, 10);
    uint64_t outcomes[128] = {0}, many[2] = {0}, sum = 0, asked = 0;

    for (uint64_t seed = 1; seed <= SEEDS || asked < wanted; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        asked += one_seed(*state, seed, outcomes, &many);
    }
    print_message("%llu postings\n", (unsigned long long)asked);
    for (int o = 0; o < 128; o++) {
        sum += outcomes[o];
    }
    assert_true(*state != &contract_embedded || (many[0] > 50 && many[1] > 10));
    /* the mix: much that succeeds, and some of each refusal that a request can meet */
    assert_true(outcomes[OUTCOME_OK] > sum / 3 && outcomes[OUTCOME_REPLAY] > 100 &&
                outcomes[OUTCOME_KEY_REUSED] > 10);
    assert_true(outcomes[OUTCOME_CURRENCY_MISMATCH] > 10 && outcomes[OUTCOME_SAME_ACCOUNT] > 10);
    assert_true(outcomes[OUTCOME_BALANCE_LIMIT_EXCEEDED] > 5 &&
                outcomes[OUTCOME_INSUFFICIENT_BALANCE] > 10);
    assert_true(outcomes[OUTCOME_ACCOUNT_NOT_FOUND] > 10 && outcomes[OUTCOME_ACCOUNT_EXISTS] > 10);
    assert_true(outcomes[OUTCOME_PRECONDITION_FAILED] > 10 && outcomes[OUTCOME_INVALID_AMOUNT] > 10);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(agrees_with_the_oracle),
};

static const struct contract_suite differential = {"differential", tests, ARRAY_LEN(tests)};

int main(void)
{
    static const struct contract_store *const stores[] = {&contract_embedded, &contract_redis,
                                                          &contract_redis_buckets};
    static const struct contract_suite *const suites[] = {&differential};

    return contract_run(stores, ARRAY_LEN(stores), suites, ARRAY_LEN(suites));
}

/* One transaction by its time and tag: its entries, its words, and what is none. */
#include "contract/contract.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

static void find(struct contract *c, struct call *call, int64_t time_us, uint32_t tag,
                 enum outcome wanted)
{
    call_transaction(call, &c->client, time_us, tag);
    call_must(c, call, wanted);
    assert_true(wanted == OUTCOME_OK || call->op.count == 0);
}

static void none(struct contract *c, int64_t time_us, uint32_t tag)
{
    struct call call;

    find(c, &call, time_us, tag, OUTCOME_TRANSACTION_NOT_FOUND);
    call_fini(&call);
}

static struct posting_result post(struct contract *c, const struct call_words *words,
                                  enum outcome wanted)
{
    struct posting_result r;
    struct call call;

    call_post(&call, &c->client, words);
    call_key(&call, (uint64_t)(uintptr_t)words, 'f');
    call_must(c, &call, wanted);
    r = call.op.result;
    call_fini(&call);
    return r;
}

static void assert_side(const struct store_entry *e, const char *account, int64_t amount,
                        int64_t balance, const struct posting_result *r)
{
    assert_true(slice_equal(e->account, slice_of(account)));
    assert_true(e->amount == amount && e->balance == balance);
    assert_true(e->time_us == r->time_us && e->tag == r->tag && e->kind == r->kind &&
                e->seq == r->seq);
}

static void each_movement_is_found(void **state)
{
    const struct call_words credit = {
        .kind = RECORD_CREDIT, .account = "alice", .amount = "10", .may_open = true};
    const struct call_words debit = {
        .kind = RECORD_DEBIT, .account = "alice", .amount = "1", .reference = ""};
    const struct call_words transfer = {.kind = RECORD_TRANSFER,
                                        .account = "alice",
                                        .to = "bob",
                                        .amount = "2",
                                        .reference = "r",
                                        .metadata = "{\"a\":\"b\"}"};
    struct contract *c = *state;
    const int64_t world = c->kind->is_bucketed ? 0 : -100; /* of bob's credit: the other bucket's */
    struct posting_result r[3];
    struct call call;

    must_credit(c, "bob", "1", OUTCOME_OK);
    r[0] = post(c, &credit, OUTCOME_OK);
    r[1] = post(c, &debit, OUTCOME_OK);
    r[2] = post(c, &transfer, OUTCOME_OK);
    for (int round = 0; round < (c->kind->has_restart ? 2 : 1); round++) {
        find(c, &call, r[0].time_us, r[0].tag, OUTCOME_OK);
        assert_int_equal(call.op.count, 2);
        assert_side(&call.op.entries[0], "@world", -1000, world - 1000, &r[0]);
        assert_side(&call.op.entries[1], "alice", 1000, 1000, &r[0]);
        assert_true(call.op.entries[0].reference.ptr == NULL &&
                    call.op.entries[0].metadata.ptr == NULL);
        assert_true(call.op.result.exponent == 2 &&
                    call.op.result.currency.code == r[0].currency.code);
        assert_true(call.op.result.seq == r[0].seq && call.op.result.kind == RECORD_CREDIT);
        call_fini(&call);
        find(c, &call, r[1].time_us, r[1].tag, OUTCOME_OK);
        assert_int_equal(call.op.count, 2);
        assert_side(&call.op.entries[0], "alice", -100, 900, &r[1]);
        assert_side(&call.op.entries[1], "@world", 100, world - 900, &r[1]);
        assert_true(call.op.entries[0].reference.ptr != NULL && call.op.entries[0].reference.len == 0);
        call_fini(&call);
        find(c, &call, r[2].time_us, r[2].tag, OUTCOME_OK);
        assert_int_equal(call.op.count, 2);
        assert_side(&call.op.entries[0], "alice", -200, 700, &r[2]);
        assert_side(&call.op.entries[1], "bob", 200, 300, &r[2]);
        for (int i = 0; i < 2; i++) {
            assert_true(slice_equal(call.op.entries[i].reference, SLICE("r")));
            assert_true(slice_equal(call.op.entries[i].metadata, SLICE("{\"a\":\"b\"}")));
        }
        call_fini(&call);
        if (c->kind->has_restart) {
            contract_reopen(c);
        }
    }
}

static void what_moves_nothing_is_no_transaction(void **state)
{
    const struct call_words open = {.kind = RECORD_OPEN, .account = "alice", .amount = "0"};
    const struct call_words refused = {.kind = RECORD_DEBIT, .account = "alice", .amount = "1"};
    const struct call_words credit = {.kind = RECORD_CREDIT, .account = "alice", .amount = "1"};
    struct contract *c = *state;
    struct posting_result r;

    none(c, 1, 0); /* an empty ledger */
    none(c, INT64_MAX, UINT32_MAX);
    r = post(c, &open, OUTCOME_OK);
    none(c, r.time_us, r.tag);
    r = post(c, &refused, OUTCOME_INSUFFICIENT_BALANCE);
    none(c, r.time_us, r.tag);
    r = post(c, &credit, OUTCOME_OK);
    none(c, r.time_us - 1, r.tag);
    none(c, r.time_us + 1, r.tag);
    none(c, r.time_us, r.tag + 1);
    none(c, 0, 0);
    none(c, INT64_MAX, 0);
}

static void each_of_many_is_found(void **state)
{
    enum { COUNT = 300 };
    struct contract *c = *state;
    struct call *calls = calls_new(COUNT), *finds = calls_new(COUNT);

    for (unsigned i = 0; i < COUNT; i++) {
        call_credit(&calls[i], &c->client, "alice", name_number("", i + 1));
    }
    calls_run(c, &c->client, calls, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        call_transaction(&finds[i], &c->client, calls[i].op.result.time_us, calls[i].op.result.tag);
    }
    calls_run(c, &c->client, finds, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(finds[i].op.status, STORE_DONE);
        assert_int_equal(finds[i].op.count, 2);
        assert_side(&finds[i].op.entries[1], "alice", (i + 1) * 100,
                    calls[i].op.result.sides[0].balance, &calls[i].op.result);
    }
    calls_free(finds, COUNT);
    calls_free(calls, COUNT);
}

/* Three pay two: debits first, one entry an account. */
static void many_legs_are_one_transaction(void **state)
{
    const struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {-5, 0}},
                                       {.account = SLICE("d"), .balance = {9, 0}},
                                       {.account = SLICE("b"), .balance = {-5, 0}},
                                       {.account = SLICE("e"), .balance = {4, 0}},
                                       {.account = SLICE("c"), .balance = {-3, 0}}};
    static const int64_t wanted[] = {-500, -500, -300, 900, 400};
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct contract *c = *state;
    struct call call, found;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        must_credit(c, names[i], "10", OUTCOME_OK);
    }
    call_init(&call, &c->client, STORE_POST);
    call.op.posting = (struct posting){.kind = RECORD_TRANSFER,
                                       .legs = legs,
                                       .leg_count = ARRAY_LEN(legs),
                                       .extra = SLICE("\3\2\0rr")};
    call_must(c, &call, OUTCOME_OK);
    find(c, &found, call.op.result.time_us, call.op.result.tag, OUTCOME_OK);
    assert_int_equal(found.op.count, ARRAY_LEN(names));
    for (unsigned i = 0; i < found.op.count; i++) {
        const struct store_entry *e = &found.op.entries[i];
        const unsigned at = (unsigned)(e->account.ptr[0] - 'a');
        assert_true(at < ARRAY_LEN(names) && e->amount == wanted[at] &&
                    e->balance == 1000 + wanted[at]);
        assert_true(slice_equal(e->reference, SLICE("rr")));
        assert_true(i == 0 || e->amount > 0 || found.op.entries[i - 1].amount < 0);
    }
    call_fini(&found);
    call_fini(&call);
}

/* Money that a posting holds moves nothing, and is told all the same; words are there whatever record they stand in. */
static void held_money_is_an_entry(void **state)
{
    static const struct posting_leg legs[] = {
        {.account = SLICE("a"), .balance = {-2, 0}, .held = {1, 0}},
        {.account = SLICE("c"), .balance = {3, 0}, .held = {3, 0}},
        {.account = SLICE("b"), .balance = {-1, 0}},
        {.account = SLICE("d"), .held = {4, 0}}};
    static const char *const names[] = {"a", "b", "c", "d"};
    static const int64_t wanted[] = {-200, -100, 300, 0};
    struct contract *c = *state;
    struct call call, found;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        must_credit(c, names[i], "10", OUTCOME_OK);
    }
    call_init(&call, &c->client, STORE_POST);
    call.op.posting = (struct posting){.kind = RECORD_TRANSFER,
                                       .legs = legs,
                                       .leg_count = ARRAY_LEN(legs),
                                       .extra = SLICE("\3\2\0rr\4\2\0{}")};
    call_must(c, &call, OUTCOME_OK);
    must_credit(c, "a", "1", OUTCOME_OK);
    find(c, &found, call.op.result.time_us, call.op.result.tag, OUTCOME_OK);
    assert_int_equal(found.op.count, ARRAY_LEN(names));
    assert_true(found.op.result.seq == call.op.result.seq);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        const struct store_entry *e = &found.op.entries[i];
        assert_true(slice_equal(e->account, slice_of(names[i])));
        assert_true(e->amount == wanted[i] && e->balance == 1000 + wanted[i]);
        assert_true(slice_equal(e->reference, SLICE("rr")) && slice_equal(e->metadata, SLICE("{}")));
    }
    call_fini(&found);
    call_fini(&call);
}

static const struct CMUnitTest tests[] = {
    TEST(each_movement_is_found), TEST(what_moves_nothing_is_no_transaction),
    TEST(each_of_many_is_found),  TEST(many_legs_are_one_transaction),
    TEST(held_money_is_an_entry),
};

const struct contract_suite contract_transactions = {"transactions", tests, ARRAY_LEN(tests)};

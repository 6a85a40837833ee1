/* Postings: each verb and each outcome with its values, the limits, order, and what a refusal leaves. */
#include "contract/contract.h"
#include "money/money.h"

#define MAX_CNY "9999999999999.99"

static const struct currency cny = {'C' | 'N' << 8 | 'Y' << 16};

static void a_credit_opens_and_answers(void **state)
{
    struct contract *c = *state;
    struct call call;
    struct account_view view;

    call_credit(&call, &c->client, "alice", "100.00");
    call_must(c, &call, OUTCOME_OK);
    assert_int_equal(call.op.result.kind, RECORD_CREDIT);
    assert_false(call.op.result.is_replay);
    assert_true(call.op.result.seq == 3 && call.op.result.time_us > 0); /* account, world, credit */
    assert_true(call.op.result.tag == 0 || c->kind->is_bucketed);
    assert_true(call.op.result.currency.code == cny.code && call.op.result.exponent == 2);
    assert_true(call.op.result.amount == 10000 && call.op.result.side_count == 1);
    assert_true(slice_equal(call.op.result.sides[0].account, SLICE("alice")) &&
                call.op.result.sides[0].balance == 10000);
    view = account_now(c, "alice");
    assert_true(view.balance == 10000 && view.held == 0 && view.overdraft == 0 &&
                view.status == ACCOUNT_ACTIVE);
    assert_true(view.version == 2 && view.created_us == call.op.result.time_us &&
                view.updated_us == call.op.result.time_us);
    assert_true(view.currency.code == cny.code && view.exponent == 2);
    call_fini(&call);
    call_credit(&call, &c->client, "alice", "0.01");
    call_must(c, &call, OUTCOME_OK);
    assert_true(call.op.result.sides[0].balance == 10001 && call.op.result.seq == 4 &&
                account_now(c, "alice").version == 3);
    call_fini(&call);
}

static void a_debit_answers(void **state)
{
    struct contract *c = *state;
    struct call call;

    must_credit(c, "alice", "10", OUTCOME_OK);
    call_debit(&call, &c->client, "alice", "2.50");
    call_must(c, &call, OUTCOME_OK);
    assert_int_equal(call.op.result.kind, RECORD_DEBIT);
    assert_true(call.op.result.amount == 250 && call.op.result.side_count == 1 &&
                call.op.result.sides[0].balance == 750);
    assert_true(slice_equal(call.op.result.sides[0].account, SLICE("alice")));
    call_fini(&call);
    assert_true(balance_now(c, "alice") == 750);
}

static void a_transfer_answers_with_both_sides(void **state)
{
    struct contract *c = *state;
    struct call call;

    must_credit(c, "alice", "10", OUTCOME_OK);
    must_credit(c, "bob", "1", OUTCOME_OK);
    call_transfer(&call, &c->client, "alice", "bob", "2.50");
    call_must(c, &call, OUTCOME_OK);
    assert_int_equal(call.op.result.kind, RECORD_TRANSFER);
    assert_true(call.op.result.amount == 250 && call.op.result.side_count == 2);
    assert_true(slice_equal(call.op.result.sides[0].account, SLICE("alice")) &&
                call.op.result.sides[0].balance == 750);
    assert_true(slice_equal(call.op.result.sides[1].account, SLICE("bob")) &&
                call.op.result.sides[1].balance == 350);
    call_fini(&call);
    assert_true(balance_now(c, "alice") == 750 && balance_now(c, "bob") == 350);
}

static void an_open_answers_with_the_account(void **state)
{
    struct contract *c = *state;
    struct call call, read;

    call_open(&call, &c->client, "alice", "KWD", "1.234", "{\"name\":\"A\"}");
    call_must(c, &call, OUTCOME_OK);
    assert_int_equal(call.op.result.kind, RECORD_OPEN);
    assert_true(slice_equal(call.op.result.opened.id, SLICE("alice")) &&
                call.op.result.opened.overdraft == 1234);
    assert_true(call.op.result.opened.exponent == 3 && call.op.result.opened.version == 1 &&
                call.op.result.opened.balance == 0);
    assert_true(call.op.result.opened.created_us == call.op.result.time_us);
    assert_true(slice_equal(call.op.result.opened_metadata, SLICE("{\"name\":\"A\"}")));
    call_account(&read, &c->client, "alice");
    call_must(c, &read, OUTCOME_OK);
    assert_true(slice_equal(read.op.account_metadata, SLICE("{\"name\":\"A\"}")) &&
                read.op.account.overdraft == 1234);
    assert_true(read.op.account.entries == 0 && read.op.account.version == 1);
    call_fini(&read);
    call_fini(&call);
    call_open(&call, &c->client, "bob", NULL, "0", NULL); /* in the default currency, without metadata */
    call_must(c, &call, OUTCOME_OK);
    assert_true(call.op.result.opened.currency.code == cny.code &&
                call.op.result.opened_metadata.ptr == NULL);
    call_fini(&call);
}

static void each_refusal_has_its_outcome(void **state)
{
    struct contract *c = *state;

    must_debit(c, "alice", "1", OUTCOME_ACCOUNT_NOT_FOUND);
    must_transfer(c, "alice", "bob", "1", OUTCOME_ACCOUNT_NOT_FOUND);
    must_credit(c, "alice", "0.001", OUTCOME_INVALID_AMOUNT);
    assert_false(account_is_known(c, "alice"));
    must_open(c, "alice", "CNY", "0", OUTCOME_OK);
    must_open(c, "alice", "USD", "0.001", OUTCOME_ACCOUNT_EXISTS);
    must_open(c, "yen", "JPY", "0.1", OUTCOME_INVALID_AMOUNT);
    must_open(c, "yen", "JPY", "0", OUTCOME_OK);
    must_transfer(c, "alice", "yen", "1", OUTCOME_CURRENCY_MISMATCH);
    must_transfer(c, "yen", "alice", "0.1", OUTCOME_INVALID_AMOUNT);
    must_transfer(c, "alice", "alice", "1", OUTCOME_SAME_ACCOUNT);
    must_debit(c, "alice", "0.01", OUTCOME_INSUFFICIENT_BALANCE);
    must_credit(c, "alice", MAX_CNY, OUTCOME_OK);
    must_credit(c, "alice", "0.01", OUTCOME_BALANCE_LIMIT_EXCEEDED);
    must_credit(c, "yen", "1", OUTCOME_OK);
    assert_true(balance_now(c, "alice") == MONEY_MINOR_MAX && balance_now(c, "yen") == 1);
}

static void an_asked_currency_must_be_the_accounts(void **state)
{
    struct contract *c = *state;
    struct call call;
    struct call_words words = {
        .kind = RECORD_CREDIT, .account = "alice", .amount = "1", .currency = "USD"};

    must_credit(c, "alice", "1", OUTCOME_OK);
    call_post(&call, &c->client, &words);
    call_must(c, &call, OUTCOME_CURRENCY_MISMATCH);
    call_fini(&call);
    words.kind = RECORD_DEBIT;
    call_post(&call, &c->client, &words);
    call_must(c, &call, OUTCOME_CURRENCY_MISMATCH);
    call_fini(&call);
    words.currency = "CNY";
    call_post(&call, &c->client, &words);
    call_must(c, &call, OUTCOME_OK);
    call_fini(&call);
}

static void a_refusal_changes_nothing(void **state)
{
    struct contract *c = *state;
    struct account_view before, after;
    struct call call;
    uint64_t seq;

    must_credit(c, "alice", "1", OUTCOME_OK);
    before = account_now(c, "alice");
    for (int i = 0; i < 3; i++) {
        call_debit(&call, &c->client, "alice", "2");
        call_must(c, &call, OUTCOME_INSUFFICIENT_BALANCE);
        seq = call.op.result.seq; /* where it was judged */
        assert_true(seq == 3 && call.op.result.side_count == 0 && !call.op.result.is_replay);
        call_fini(&call);
    }
    after = account_now(c, "alice");
    assert_memory_equal(&before, &after, sizeof(after));
}

static void an_overdraft_is_used_to_the_last_unit(void **state)
{
    struct contract *c = *state;

    must_open(c, "alice", "CNY", "5", OUTCOME_OK);
    must_debit(c, "alice", "5.01", OUTCOME_INSUFFICIENT_BALANCE);
    must_debit(c, "alice", "5", OUTCOME_OK);
    must_debit(c, "alice", "0.01", OUTCOME_INSUFFICIENT_BALANCE);
    assert_true(balance_now(c, "alice") == -500);
}

static void if_match(struct contract *c, unsigned count, uint64_t first, uint64_t second,
                     enum outcome wanted)
{
    struct call call;

    call_credit(&call, &c->client, "alice", "1");
    call.op.posting.has_if_match = true;
    call.op.posting.if_match_count = count;
    call.op.posting.if_match[0] = first;
    call.op.posting.if_match[1] = second;
    call_must(c, &call, wanted);
    call_fini(&call);
}

static void if_match_is_judged(void **state)
{
    struct contract *c = *state;

    if_match(c, 0, 0, 0, OUTCOME_PRECONDITION_FAILED); /* any version of an account that is not there */
    assert_false(account_is_known(c, "alice"));
    must_credit(c, "alice", "1", OUTCOME_OK);
    if_match(c, 1, 1, 0, OUTCOME_PRECONDITION_FAILED);
    if_match(c, 1, 2, 0, OUTCOME_OK);
    if_match(c, 1, 2, 0, OUTCOME_PRECONDITION_FAILED);
    if_match(c, 2, 2, 3, OUTCOME_OK);
    if_match(c, 0, 0, 0, OUTCOME_OK);
    assert_true(account_now(c, "alice").version == 5);
}

/* Hundreds in one flush: each sees what the ones before it did, positions and times rise. */
static void a_batch_is_worked_in_order(void **state)
{
    enum { COUNT = 600 };
    struct contract *c = *state;
    struct call *calls = calls_new(COUNT);

    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 3 == 2) {
            call_debit(&calls[i], &c->client, "alice", "2"); /* just what is there */
        } else {
            call_credit(&calls[i], &c->client, "alice", "1");
        }
    }
    calls_run(c, &c->client, calls, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        const struct posting_result *r = &calls[i].op.result;
        assert_int_equal(calls[i].op.status, STORE_DONE);
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_true(r->seq == i + 3 && r->sides[0].balance == (i + 1) % 3 * 100);
        assert_true(i == 0 || r->time_us > calls[i - 1].op.result.time_us);
    }
    calls_free(calls, COUNT);
    assert_true(balance_now(c, "alice") == 0 && account_now(c, "alice").entries == COUNT);
}

/* A refusal in the middle of a batch touches nothing else in it. */
static void a_refusal_in_a_batch_stands_alone(void **state)
{
    enum { COUNT = 50 };
    struct contract *c = *state;
    struct call *calls = calls_new(COUNT);
    int64_t balance = 0;

    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 2 == 0) {
            call_credit(&calls[i], &c->client, "alice", "1");
        } else {
            call_debit(&calls[i], &c->client, "alice", i % 4 == 1 ? "1000" : "0.50");
        }
    }
    calls_run(c, &c->client, calls, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        const bool is_refused = i % 4 == 1;
        balance += i % 2 == 0 ? 100 : is_refused ? 0 : -50;
        assert_int_equal(calls[i].op.result.outcome,
                         is_refused ? OUTCOME_INSUFFICIENT_BALANCE : OUTCOME_OK);
        assert_true(is_refused || calls[i].op.result.sides[0].balance == balance);
    }
    calls_free(calls, COUNT);
    assert_true(balance_now(c, "alice") == balance);
}

static void legs_set(struct call *call, struct client *client, const struct posting_leg *legs,
                     unsigned count)
{
    call_init(call, client, STORE_POST);
    call->op.posting = (struct posting){.kind = RECORD_TRANSFER, .legs = legs, .leg_count = count};
}

static void held_money_is_not_available(void **state)
{
    struct contract *c = *state;
    struct posting_leg hold = {.account = SLICE("alice"), .held = {6, 0}};
    struct call call;

    must_credit(c, "alice", "10", OUTCOME_OK);
    legs_set(&call, &c->client, &hold, 1);
    call_must(c, &call, OUTCOME_OK);
    call_fini(&call);
    assert_true(account_now(c, "alice").held == 600 && account_now(c, "alice").balance == 1000);
    must_debit(c, "alice", "4.01", OUTCOME_INSUFFICIENT_BALANCE);
    must_debit(c, "alice", "4", OUTCOME_OK);
    if (c->kind->has_restart) {
        contract_reopen(c);
        assert_true(account_now(c, "alice").held == 600);
    }
    hold.held = (struct decimal){-6, 0};
    legs_set(&call, &c->client, &hold, 1);
    call_must(c, &call, OUTCOME_OK);
    call_fini(&call);
    must_debit(c, "alice", "6", OUTCOME_OK);
    assert_true(account_now(c, "alice").held == 0 && balance_now(c, "alice") == 0);
}

/* The largest posting there is, many of them in one flush, so that a batch ends early for want of room. */
static void a_hundred_legs_are_all_or_nothing(void **state)
{
    enum { POSTS = 40 };
    struct contract *c = *state;
    struct posting_leg legs[LEDGER_LEGS_MAX];
    char names[LEDGER_LEGS_MAX][8];
    struct call *calls = calls_new(LEDGER_LEGS_MAX);

    for (unsigned i = 0; i < LEDGER_LEGS_MAX; i++) {
        memcpy(names[i], name_number("n", i), sizeof(names[i]));
        call_credit(&calls[i], &c->client, names[i], i == 0 ? "3000" : "1");
        legs[i] =
            (struct posting_leg){.account = slice_of(names[i]), .balance = {i == 0 ? -99 : 1, 0}};
    }
    calls_run(c, &c->client, calls, LEDGER_LEGS_MAX);
    calls_free(calls, LEDGER_LEGS_MAX);
    calls = calls_new(POSTS);
    for (unsigned i = 0; i < POSTS; i++) {
        legs_set(&calls[i], &c->client, legs, LEDGER_LEGS_MAX);
    }
    calls_run(c, &c->client, calls, POSTS);
    for (unsigned i = 0; i < POSTS; i++) { /* 3000 / 99 */
        assert_int_equal(calls[i].op.status, STORE_DONE);
        assert_int_equal(calls[i].op.result.outcome,
                         i < 30 ? OUTCOME_OK : OUTCOME_INSUFFICIENT_BALANCE);
        assert_true(i >= 30 ||
                    calls[i].op.result.sides[0].balance == 300000 - (int64_t)(i + 1) * 9900);
    }
    calls_free(calls, POSTS);
    assert_true(balance_now(c, "n0") == 3000 && balance_now(c, "n1") == 3100 &&
                balance_now(c, "n99") == 3100);
    if (c->kind->has_restart) {
        contract_reopen(c);
        assert_true(balance_now(c, "n0") == 3000 && balance_now(c, "n99") == 3100);
    }
}

static void ids_are_bytes(void **state)
{
    static const char *const ids[] = {
        "a",
        "A",
        "a.",
        "a:b@c-d_e",
        "0",
        "a123456789012345678901234567890123456789012345678901234567890123",
        "a123456789012345678901234567890123456789012345678901234567890124"};
    struct contract *c = *state;

    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        must_credit(c, ids[i], name_number("", i + 1), OUTCOME_OK);
    }
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++) {
        assert_true(balance_now(c, ids[i]) == (i + 1) * 100);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

static const struct CMUnitTest tests[] = {
    TEST(a_credit_opens_and_answers),
    TEST(a_debit_answers),
    TEST(a_transfer_answers_with_both_sides),
    TEST(an_open_answers_with_the_account),
    TEST(each_refusal_has_its_outcome),
    TEST(an_asked_currency_must_be_the_accounts),
    TEST(a_refusal_changes_nothing),
    TEST(an_overdraft_is_used_to_the_last_unit),
    TEST(if_match_is_judged),
    TEST(a_batch_is_worked_in_order),
    TEST(a_refusal_in_a_batch_stands_alone),
    TEST(held_money_is_not_available),
    TEST(a_hundred_legs_are_all_or_nothing),
    TEST(ids_are_bytes),
};

const struct contract_suite contract_posts = {"posts", tests, ARRAY_LEN(tests)};

/* The life of an operation: done once and never too early, deadlines, taking back, no room, closing, restarts. */
#include "contract/contract.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

enum { KINDS = 5 };

/* One operation of each kind, about an account that is there. */
static void kinds_make(struct contract *c, struct call *calls)
{
    call_credit(&calls[0], &c->client, "alice", "1");
    call_account(&calls[1], &c->client, "alice");
    call_accounts(&calls[2], &c->client, 10, NULL);
    call_history(&calls[3], &c->client, "alice", 10);
    call_transaction(&calls[4], &c->client, 1, 0);
}

static void done_runs_once_and_only_in_drain(void **state)
{
    struct contract *c = *state;
    struct call *calls = calls_new(KINDS);

    must_credit(c, "alice", "1", OUTCOME_OK);
    kinds_make(c, calls);
    for (unsigned i = 0; i < KINDS; i++) {
        store_submit(&calls[i].op);
        assert_int_equal(calls[i].done, 0);
    }
    store_drain(&c->client.sink); /* nothing was handed over yet */
    store_flush(c->store, &c->client.sink);
    for (unsigned i = 0; i < KINDS; i++) {
        assert_int_equal(calls[i].done, 0);
    }
    while (calls[0].done + calls[1].done + calls[2].done + calls[3].done + calls[4].done < KINDS) {
        client_wait(&c->client);
    }
    store_drain(&c->client.sink);
    store_flush(c->store, &c->client.sink); /* nothing staged: nothing happens */
    for (unsigned i = 0; i < KINDS; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].op.status, STORE_DONE);
    }
    calls_free(calls, KINDS);
}

static void a_passed_deadline_is_surely_not_applied(void **state)
{
    struct contract *c = *state;
    struct call *calls = calls_new(KINDS);

    must_credit(c, "alice", "1", OUTCOME_OK);
    kinds_make(c, calls);
    for (unsigned i = 0; i < KINDS; i++) {
        calls[i].op.deadline_mono_us = 1;
    }
    call_key(&calls[0], 1, 'f');
    calls_run(c, &c->client, calls, KINDS);
    for (unsigned i = 0; i < KINDS; i++) {
        assert_int_equal(calls[i].op.status, STORE_UNAVAILABLE);
    }
    calls_free(calls, KINDS);
    assert_true(balance_now(c, "alice") == 100);
    calls = calls_new(1); /* nor did it use the key */
    call_credit(&calls[0], &c->client, "alice", "1");
    call_key(&calls[0], 1, 'f');
    call_must(c, &calls[0], OUTCOME_OK);
    assert_false(calls[0].op.result.is_replay);
    calls_free(calls, 1);
}

static void what_was_taken_back_is_surely_not_applied(void **state)
{
    struct contract *c = *state;
    struct call *calls = calls_new(KINDS);

    must_credit(c, "alice", "1", OUTCOME_OK);
    kinds_make(c, calls);
    for (unsigned i = 0; i < KINDS; i++) {
        assert_true(store_cancel(&calls[i].op));
        assert_false(store_cancel(&calls[i].op)); /* once is enough */
    }
    calls_run(c, &c->client, calls, KINDS); /* done runs all the same */
    for (unsigned i = 0; i < KINDS; i++) {
        assert_int_equal(calls[i].op.status, STORE_UNAVAILABLE);
    }
    calls_free(calls, KINDS);
    assert_true(balance_now(c, "alice") == 100);
}

static void what_is_done_cannot_be_taken_back(void **state)
{
    struct contract *c = *state;
    struct call call;

    call_credit(&call, &c->client, "alice", "1");
    call_must(c, &call, OUTCOME_OK);
    assert_false(store_cancel(&call.op));
    call_fini(&call);
    assert_true(balance_now(c, "alice") == 100);
}

/* Taken back while the store may be at it: whoever was told "not applied" was not, everybody else was. */
static void a_race_for_taking_back_has_one_winner(void **state)
{
    enum { COUNT = 400 };
    struct contract *c = *state;
    struct call *calls = calls_new(COUNT);
    unsigned applied = 0, done_before = c->client.done;

    for (unsigned i = 0; i < COUNT; i++) {
        call_credit(&calls[i], &c->client, "alice", "1");
        store_submit(&calls[i].op);
        if (i % 10 == 9) {
            store_flush(c->store, &c->client.sink);
        }
    }
    for (unsigned i = COUNT; i-- > 0;) {
        calls[i].op.user = store_cancel(&calls[i].op) ? calls : NULL;
    }
    while (c->client.done < done_before + COUNT) {
        client_wait(&c->client);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].op.status,
                         calls[i].op.user != NULL ? STORE_UNAVAILABLE : STORE_DONE);
        applied += calls[i].op.user == NULL;
    }
    calls_free(calls, COUNT);
    assert_true(applied == 0 || balance_now(c, "alice") == applied * 100);
}

static void a_full_inbox_refuses_at_once(void **state)
{
    enum { ROOM = 8, COUNT = 500 };
    const struct contract_store *kind = *state;
    const struct contract_limits limits = {.inbox_max = ROOM, .batch_max = 4, .keys_max = 100};
    struct contract *c;
    struct call *calls;
    unsigned applied = 0;

    if (!kind->has_inbox) {
        skip();
    }
    c = contract_new(kind, &limits);
    calls = calls_new(COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        call_credit(&calls[i], &c->client, "alice", "1");
        call_key(&calls[i], i + 1, 'f');
    }
    calls_run(c, &c->client, calls, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(calls[i].op.status,
                         i < ROOM ? STORE_DONE : STORE_UNAVAILABLE); /* in order, while there is room */
        applied += calls[i].op.status == STORE_DONE;
    }
    calls_free(calls, COUNT);
    assert_int_equal(applied, ROOM);
    assert_true(balance_now(c, "alice") == ROOM * 100);
    calls = calls_new(COUNT);
    for (unsigned i = 0; i < COUNT; i++) { /* reads too */
        call_accounts(&calls[i], &c->client, 1, NULL);
    }
    calls_run(c, &c->client, calls, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(calls[i].op.status == STORE_DONE ? calls[i].op.count == 1
                                                     : calls[i].op.status == STORE_UNAVAILABLE);
    }
    calls_free(calls, COUNT);
    for (int i = 0; i < 50; i++) { /* and there is room again */
        must_credit(c, "alice", "1", OUTCOME_OK);
    }
    contract_free(c);
}

/* The smallest store there can be. */
static void a_store_of_one_place_works(void **state)
{
    const struct contract_limits limits = {.inbox_max = 1, .batch_max = 1, .keys_max = 10};
    struct contract *c = contract_new(*state, &limits);
    struct call call;

    for (int i = 0; i < 20; i++) {
        must_credit(c, "alice", "1", OUTCOME_OK);
        assert_true(account_now(c, "alice").entries == (uint64_t)i + 1);
    }
    call_accounts(&call, &c->client, 10, NULL);
    call_must(c, &call, OUTCOME_OK);
    assert_true(call.op.count == 1 && call.op.views[0].balance == 2000);
    call_fini(&call);
    contract_free(c);
}

/* Closing finishes what was handed over: each operation comes back once, and what it says is what is found again. */
static void closing_answers_everything_first(void **state)
{
    enum { COUNT = 900 };
    struct contract *c = *state;
    struct call *calls = calls_new(COUNT);
    unsigned applied = 0;

    must_credit(c, "alice", "1", OUTCOME_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        switch (i % 6) {
        case 0:
            call_account(&calls[i], &c->client, "alice");
            break;
        case 1:
            call_accounts(&calls[i], &c->client, 5, NULL);
            break;
        case 2:
            call_history(&calls[i], &c->client, "alice", 5);
            break;
        case 3:
            call_transaction(&calls[i], &c->client, 1, 0);
            break;
        default:
            call_credit(&calls[i], &c->client, "alice", "1");
            call_key(&calls[i], i / 12 + 1, 'f'); /* some are duplicates */
        }
        store_submit(&calls[i].op);
    }
    store_flush(c->store, &c->client.sink);
    c->kind->close(c->ctx);
    store_drain(&c->client.sink);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_true(calls[i].op.status == STORE_DONE || calls[i].op.status == STORE_UNAVAILABLE ||
                    (calls[i].op.kind == STORE_POST && calls[i].op.status == STORE_UNKNOWN));
        applied += calls[i].op.kind == STORE_POST && calls[i].op.status == STORE_DONE &&
                   !calls[i].op.result.is_replay;
    }
    c->kind->open_again(c->ctx);
    c->store = c->kind->store(c->ctx);
    if (c->kind->has_restart) {
        assert_true(balance_now(c, "alice") == 100 + applied * 100);
        assert_int_equal(applied, COUNT / 12); /* nothing was in their way */
    }
    calls_free(calls, COUNT);
}

static void a_restart_goes_on_where_it_was(void **state)
{
    struct contract *c = *state;
    int64_t last_us = 0;
    uint64_t last_seq = 0;

    if (!c->kind->has_restart) {
        skip();
    }
    contract_reopen(c); /* an empty ledger too */
    for (unsigned i = 0; i < 8; i++) {
        struct account_view before, after;
        struct call call;
        call_credit(&call, &c->client, "alice", "1");
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.result.seq == (last_seq == 0 ? 3 : last_seq + 1) &&
                    call.op.result.time_us > last_us);
        last_seq = call.op.result.seq;
        last_us = call.op.result.time_us;
        call_fini(&call);
        before = account_now(c, "alice");
        contract_reopen(c);
        after = account_now(c, "alice");
        assert_memory_equal(&before, &after, sizeof(after));
        must_debit(c, "alice", "1000", OUTCOME_INSUFFICIENT_BALANCE);
        if (i % 2 == 0) {
            contract_reopen(c); /* nothing was written since */
        }
    }
    assert_true(balance_now(c, "alice") == 800);
}

static void a_store_says_what_it_is(void **state)
{
    static const char *const truths[] = {"fsync", "replicated", "async-replicated", "aof-everysec",
                                         "memory"};
    struct contract *c = *state;
    bool is_known = false;

    for (size_t i = 0; i < ARRAY_LEN(truths); i++) {
        is_known |= strcmp(c->store->durability, truths[i]) == 0;
    }
    assert_true(is_known && c->store->name[0] != '\0');
    assert_int_equal(store_health(c->store), STORE_HEALTHY);
}

static const struct CMUnitTest tests[] = {
    TEST(done_runs_once_and_only_in_drain),
    TEST(a_passed_deadline_is_surely_not_applied),
    TEST(what_was_taken_back_is_surely_not_applied),
    TEST(what_is_done_cannot_be_taken_back),
    TEST(a_race_for_taking_back_has_one_winner),
    cmocka_unit_test(a_full_inbox_refuses_at_once),
    cmocka_unit_test(a_store_of_one_place_works),
    TEST(closing_answers_everything_first),
    TEST(a_restart_goes_on_where_it_was),
    TEST(a_store_says_what_it_is),
};

const struct contract_suite contract_life = {"life", tests, ARRAY_LEN(tests)};

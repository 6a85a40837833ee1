/* Idempotency: the first answer again, for ever the same; another request under a used key; duplicates; a full index. */
#include "contract/contract.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

enum { VERBS = 10 };

/* One request of each kind under key `number`; what it answers first is in wanted[]. */
static void verb(struct call *call, struct client *client, unsigned number)
{
    switch (number) {
    case 0:
        call_credit(call, client, "fresh", "12.34"); /* opens */
        break;
    case 1:
        call_credit(call, client, "alice", "0.01");
        break;
    case 2:
        call_debit(call, client, "alice", "1");
        break;
    case 3:
        call_transfer(call, client, "alice", "bob", "2");
        break;
    case 4:
        call_open(call, client, "carol", "JPY", "77", "{\"k\":\"v\"}");
        break;
    case 5:
        call_open(call, client, "dave", NULL, "0", NULL);
        break;
    case 6:
        call_debit(call, client, "alice", "1000000");
        break;
    case 7:
        call_transfer(call, client, "alice", "alice", "1");
        break;
    case 8:
        call_post(call, client,
                  &(struct call_words){
                      .kind = RECORD_DEBIT, .account = "alice", .amount = "1", .currency = "USD"});
        break;
    default:
        call_credit(call, client, "alice", "9999999999999");
    }
    call_key(call, 1000 + number, 'f');
    call->op.posting.language = number % 2 == 0 ? LEDGER_ZH_CN : LEDGER_EN;
}

static const enum outcome wanted[VERBS] = {OUTCOME_OK,
                                           OUTCOME_OK,
                                           OUTCOME_OK,
                                           OUTCOME_OK,
                                           OUTCOME_OK,
                                           OUTCOME_OK,
                                           OUTCOME_INSUFFICIENT_BALANCE,
                                           OUTCOME_SAME_ACCOUNT,
                                           OUTCOME_CURRENCY_MISMATCH,
                                           OUTCOME_BALANCE_LIMIT_EXCEEDED};

static void verbs_again(struct contract *c, const struct call *first)
{
    for (unsigned i = 0; i < VERBS; i++) {
        struct call again;
        verb(&again, &c->client, i);
        again.op.posting.language =
            i % 2 == 0 ? LEDGER_EN : LEDGER_ZH_CN; /* asked in another language now */
        call_must(c, &again, wanted[i]);
        assert_true(again.op.result.is_replay);
        assert_same_result(&again.op.result, &first[i].op.result);
        call_fini(&again);
    }
}

static void the_first_answer_again(void **state)
{
    struct contract *c = *state;
    struct call *first = calls_new(VERBS);
    uint64_t seq;

    must_credit(c, "alice", "10000", OUTCOME_OK);
    must_credit(c, "bob", "1", OUTCOME_OK);
    for (unsigned i = 0; i < VERBS; i++) {
        verb(&first[i], &c->client, i);
        call_must(c, &first[i], wanted[i]);
        assert_false(first[i].op.result.is_replay);
        assert_int_equal(first[i].op.result.language, i % 2 == 0 ? LEDGER_ZH_CN : LEDGER_EN);
    }
    verbs_again(c, first); /* at once */
    must_debit(c, "alice", "9000", OUTCOME_OK);
    must_credit(c, "fresh", "1", OUTCOME_OK);
    must_credit(c, "carol", "1", OUTCOME_OK);
    seq = account_now(c, "carol").last_seq;
    verbs_again(c, first); /* when the world has moved on */
    if (c->kind->has_restart) {
        contract_reopen(c);
        verbs_again(c, first);
        must_credit(c, "alice", "1", OUTCOME_OK);
        contract_reopen(c);
        verbs_again(c, first);
    }
    must_credit(c, "carol", "1", OUTCOME_OK); /* and none of them left a record */
    assert_true(account_now(c, "carol").last_seq ==
                seq + (c->kind->has_restart && !c->kind->is_bucketed ? 2 : 1));
    calls_free(first, VERBS);
}

/* A replay is answered before the account, the version or the existence of anything is looked at. */
static void a_replay_beats_every_guard(void **state)
{
    struct contract *c = *state;
    struct call first, again;

    must_open(c, "alice", "CNY", "0", OUTCOME_OK);
    call_credit(&first, &c->client, "alice", "1");
    call_key(&first, 1, 'f');
    first.op.posting.has_if_match = true;
    first.op.posting.if_match_count = 1;
    first.op.posting.if_match[0] = 1;
    call_must(c, &first, OUTCOME_OK);
    call_credit(&again, &c->client, "alice", "1");
    call_key(&again, 1, 'f');
    again.op.posting.has_if_match = true; /* of the version that was: now it is another */
    again.op.posting.if_match_count = 1;
    again.op.posting.if_match[0] = 1;
    call_must(c, &again, OUTCOME_OK);
    assert_true(again.op.result.is_replay);
    assert_same_result(&again.op.result, &first.op.result);
    call_fini(&again);
    call_fini(&first);

    call_open(&first, &c->client, "bob", NULL, "0", NULL);
    call_key(&first, 2, 'f');
    call_must(c, &first, OUTCOME_OK);
    call_open(&again, &c->client, "bob", NULL, "0", NULL); /* not ACCOUNT_EXISTS */
    call_key(&again, 2, 'f');
    call_must(c, &again, OUTCOME_OK);
    assert_true(again.op.result.is_replay);
    call_fini(&again);
    call_fini(&first);
}

static void reused(struct contract *c, const struct idem *idem, uint8_t differing)
{
    struct call call;

    call_debit(&call, &c->client, "alice", "3");
    call.idem = *idem;
    call.op.posting.idem = &call.idem;
    call.op.posting.language = LEDGER_EN;
    call_must(c, &call, OUTCOME_KEY_REUSED);
    assert_int_equal(call.op.result.differing, differing);
    assert_false(call.op.result.is_replay);
    assert_int_equal(call.op.result.kind, RECORD_DEBIT);
    assert_int_equal(call.op.result.language,
                     LEDGER_EN); /* an answer to this request, not the stored one */
    call_fini(&call);
}

static void another_request_under_a_used_key(void **state)
{
    struct contract *c = *state;
    struct idem idem = {
        .scope = {7}, .fingerprint = {1}, .field_count = 4, .field_tags = {1, 2, 3, 4}};
    struct call call;

    call_credit(&call, &c->client, "alice", "10");
    call.idem = idem;
    call.op.posting.idem = &call.idem;
    call_must(c, &call, OUTCOME_OK);
    call_fini(&call);
    for (int round = 0; round < (c->kind->has_restart ? 2 : 1); round++) {
        struct idem other = idem;
        other.fingerprint[15] = 9; /* the last byte counts */
        reused(c, &other, 0);      /* tags may collide: then no name is given */
        other.field_tags[0] = 9;
        reused(c, &other, 1);
        other.field_tags[3] = 9;
        reused(c, &other, 9);
        other.field_count = 2; /* fields that one of them does not have */
        reused(c, &other, 1 | 4 | 8);
        other.field_count = 6;
        reused(c, &other, 1 | 8 | 16 | 32);
        other.field_count = 0;
        reused(c, &other, 15);
        if (c->kind->has_restart) {
            contract_reopen(c);
        }
    }
    assert_true(balance_now(c, "alice") == 1000);
    call_credit(&call, &c->client, "alice", "10"); /* and the first answer still stands */
    call.idem = idem;
    call.op.posting.idem = &call.idem;
    call_must(c, &call, OUTCOME_OK);
    assert_true(call.op.result.is_replay && balance_now(c, "alice") == 1000);
    call_fini(&call);
}

/* Under a stored refusal too. */
static void a_refusal_owns_its_key(void **state)
{
    struct contract *c = *state;
    struct call call;

    must_open(c, "alice", "CNY", "0", OUTCOME_OK);
    call_debit(&call, &c->client, "alice", "1");
    call_key(&call, 5, 'a');
    call_must(c, &call, OUTCOME_INSUFFICIENT_BALANCE);
    call_fini(&call);
    call_debit(&call, &c->client, "alice", "1");
    call_key(&call, 5, 'b');
    call_must(c, &call, OUTCOME_KEY_REUSED);
    assert_int_equal(call.op.result.differing, 1);
    call_fini(&call);
}

static void duplicates_in_one_batch(void **state)
{
    enum { COUNT = 64 };
    struct contract *c = *state;
    struct call *calls = calls_new(COUNT);

    must_credit(c, "alice", "100", OUTCOME_OK);
    for (unsigned i = 0; i < COUNT; i++) {
        call_debit(&calls[i], &c->client, "alice", "1");
        call_key(&calls[i], 9 + i % 2,
                 i < COUNT - 2 ? 'f' : 'g'); /* two keys; the last two requests are others */
    }
    calls_run(c, &c->client, calls, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(calls[i].op.status, STORE_DONE);
        assert_int_equal(calls[i].op.result.outcome, i < COUNT - 2 ? OUTCOME_OK : OUTCOME_KEY_REUSED);
        if (i < COUNT - 2) {
            assert_true(calls[i].op.result.is_replay == (i >= 2));
            assert_same_result(&calls[i].op.result, &calls[i % 2].op.result);
        }
    }
    assert_true(balance_now(c, "alice") == 9800);
    calls_free(calls, COUNT);
}

static void what_is_not_stored_may_be_tried_again(void **state)
{
    struct contract *c = *state;
    struct call call;

    for (int i = 0; i < 2; i++) {
        call_debit(&call, &c->client, "alice", "0.001");
        call_key(&call, 3, 'f');
        call_must(c, &call, i == 0 ? OUTCOME_ACCOUNT_NOT_FOUND : OUTCOME_INVALID_AMOUNT);
        assert_false(call.op.result.is_replay);
        call_fini(&call);
        if (i == 0) {
            must_credit(c, "alice", "1", OUTCOME_OK);
        }
    }
    call_debit(&call, &c->client, "alice", "1");
    call_key(&call, 3, 'g'); /* another request: nobody has the key yet */
    call_must(c, &call, OUTCOME_OK);
    assert_false(call.op.result.is_replay);
    call_fini(&call);
}

/* Full: new keys are refused, none is forgotten, and whoever has no key goes on. */
static void a_full_index_refuses_and_never_forgets(void **state)
{
    enum { KEYS = 20 };
    const struct contract_store *kind = *state;
    const struct contract_limits limits = {.inbox_max = 64, .batch_max = 16, .keys_max = KEYS};
    struct contract *c;
    struct call call;

    if (kind->is_without_keys_max) {
        skip();
    }
    c = contract_new(kind, &limits);
    for (uint64_t key = 1; key <= KEYS + 5; key++) {
        call_credit(&call, &c->client, "alice", "1");
        call_key(&call, key, 'f');
        call_run(c, &call);
        assert_int_equal(call.op.status, key <= KEYS ? STORE_DONE : STORE_UNAVAILABLE);
        call_fini(&call);
    }
    assert_true(balance_now(c, "alice") == KEYS * 100);
    for (uint64_t key = 1; key <= KEYS; key++) {
        call_credit(&call, &c->client, "alice", "1");
        call_key(&call, key, 'f');
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.result.is_replay);
        call_fini(&call);
    }
    must_credit(c, "alice", "1", OUTCOME_OK);
    assert_true(balance_now(c, "alice") == KEYS * 100 + 100);
    contract_free(c);
}

/* Postings that no verb makes, and what of them is answered: the first leg's amount, and two balances in the legs' order. */
enum { LEGS_OF_ONE = 5 };

static const struct many_legs {
    enum record_kind kind;
    unsigned count;
    struct posting_leg legs[LEGS_OF_ONE];
    int64_t amount;
    unsigned sides[POSTING_SIDES_MAX]; /* which legs are answered */
} many_legs[] = {
    {RECORD_TRANSFER, /* as the records name them: a to c, a to d, b to d */
     4,
     {{.account = SLICE("a"), .balance = {-5, 0}},
      {.account = SLICE("c"), .balance = {4, 0}},
      {.account = SLICE("b"), .balance = {-2, 0}},
      {.account = SLICE("d"), .balance = {3, 0}}},
     500,
     {0, 1}},
    {RECORD_TRANSFER, /* who pays first, then who gets: a record has one of each */
     4,
     {{.account = SLICE("a"), .balance = {-5, 0}},
      {.account = SLICE("b"), .balance = {-6, 0}},
      {.account = SLICE("c"), .balance = {4, 0}},
      {.account = SLICE("d"), .balance = {7, 0}}},
     500,
     {0, 1}},
    {RECORD_TRANSFER, /* who gets first */
     3,
     {{.account = SLICE("d"), .balance = {11, 0}},
      {.account = SLICE("b"), .balance = {-6, 0}},
      {.account = SLICE("a"), .balance = {-5, 0}}},
     1100,
     {0, 1}},
    {RECORD_TRANSFER, /* two legs, and still not as the verb has them */
     2,
     {{.account = SLICE("d"), .balance = {11, 0}}, {.account = SLICE("a"), .balance = {-11, 0}}},
     1100,
     {0, 1}},
    {RECORD_CREDIT, /* @world is not answered, wherever it stands */
     3,
     {{.account = SLICE("b"), .balance = {1, -1}},
      {.account = LEDGER_WORLD, .balance = {-3, -1}},
      {.account = SLICE("c"), .balance = {2, -1}}},
     10,
     {0, 2}},
    {RECORD_DEBIT,
     4,
     {{.account = SLICE("c"), .balance = {-2, 0}},
      {.account = LEDGER_WORLD, .balance = {3, 0}},
      {.account = SLICE("d"), .balance = {-2, 0}},
      {.account = SLICE("a"), .balance = {1, 0}}},
     200,
     {0, 2}},
    {RECORD_TRANSFER, /* held money is in records of its own behind the others */
     5,
     {{.account = SLICE("d"), .held = {2, 0}},
      {.account = SLICE("a"), .balance = {-1, 0}, .held = {1, 0}},
      {.account = SLICE("b"), .balance = {2, 0}, .held = {3, 0}},
      {.account = SLICE("c"), .balance = {-1, 0}},
      {.account = SLICE("e"), .held = {1, 0}}},
     0,
     {0, 1}},
    {RECORD_TRANSFER,
     2,
     {{.account = SLICE("a"), .balance = {-1, 0}},
      {.account = SLICE("b"), .balance = {1, 0}, .held = {1, 0}}},
     100,
     {0, 1}},
};

static void many_legs_call(struct call *call, struct client *client, unsigned i)
{
    const struct many_legs *m = &many_legs[i];

    call_init(call, client, STORE_POST);
    call->op.posting = (struct posting){.kind = m->kind, .legs = m->legs, .leg_count = m->count};
    call_key(call, 1 + i, 'f');
}

static void many_legs_again(struct contract *c, const struct call *first)
{
    for (unsigned i = 0; i < ARRAY_LEN(many_legs); i++) {
        struct call again;
        many_legs_call(&again, &c->client, i);
        call_must(c, &again, OUTCOME_OK);
        assert_true(again.op.result.is_replay && again.op.count == 0);
        assert_same_result(&first[i].op.result, &again.op.result);
        call_fini(&again);
    }
}

static void many_legs_replay_as_well(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    struct contract *c = *state;
    struct call *first = calls_new(ARRAY_LEN(many_legs));

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        must_credit(c, names[i], "100", OUTCOME_OK);
    }
    for (unsigned i = 0; i < ARRAY_LEN(many_legs); i++) {
        const struct many_legs *m = &many_legs[i];
        const struct posting_result *r = &first[i].op.result;
        many_legs_call(&first[i], &c->client, i);
        call_must(c, &first[i], OUTCOME_OK);
        assert_true(!r->is_replay && r->amount == m->amount && r->side_count == POSTING_SIDES_MAX);
        for (unsigned k = 0; k < POSTING_SIDES_MAX; k++) {
            assert_true(slice_equal(r->sides[k].account, m->legs[m->sides[k]].account));
        }
    }
    many_legs_again(c, first); /* at once */
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        must_credit(c, names[i], "1", OUTCOME_OK);
    }
    many_legs_again(c, first); /* when balances are others */
    if (c->kind->has_restart) {
        contract_reopen(c);
        many_legs_again(c, first);
    }
    calls_free(first, ARRAY_LEN(many_legs));
}

/* More than a segment or a blob of them, over restarts: every answer is found again. */
static void thousands_of_keys_outlive_a_restart(void **state)
{
    enum { KEYS = 10000, FLUSH = 500 };
    struct contract *c = *state;
    uint64_t *seqs = mem_alloc_array(KEYS, sizeof(*seqs));
    unsigned asked = 0;

    assert_non_null(seqs);
    for (unsigned round = 0; round < (c->kind->has_restart ? 4 : 2); round++) {
        const unsigned step =
            round == 0 ? 1 : 7 + round; /* all of them once, then some of them again */
        for (unsigned from = 0; from < KEYS;) {
            struct call *calls = calls_new(FLUSH);
            unsigned count = 0;
            for (; count < FLUSH && from < KEYS; from += step, count++) {
                call_credit(&calls[count], &c->client, name_number("k", from % 50), "1");
                call_key(&calls[count], from + 1, 'f');
                calls[count].op.user = &seqs[from];
            }
            calls_run(c, &c->client, calls, count);
            for (unsigned i = 0; i < count; i++) {
                uint64_t *seq = calls[i].op.user;
                assert_int_equal(calls[i].op.status, STORE_DONE);
                assert_int_equal(calls[i].op.result.outcome, OUTCOME_OK);
                assert_true(calls[i].op.result.is_replay == (round > 0));
                assert_true(round == 0 || calls[i].op.result.seq == *seq);
                *seq = calls[i].op.result.seq;
                asked++;
            }
            calls_free(calls, count);
        }
        if (c->kind->has_restart) {
            contract_reopen(c);
        }
    }
    assert_true(asked > KEYS && balance_now(c, "k0") == KEYS / 50 * 100);
    mem_free(seqs);
}

static const struct CMUnitTest tests[] = {
    TEST(the_first_answer_again),
    TEST(a_replay_beats_every_guard),
    TEST(another_request_under_a_used_key),
    TEST(a_refusal_owns_its_key),
    TEST(duplicates_in_one_batch),
    TEST(what_is_not_stored_may_be_tried_again),
    cmocka_unit_test(a_full_index_refuses_and_never_forgets),
    TEST(many_legs_replay_as_well),
    TEST(thousands_of_keys_outlive_a_restart),
};

const struct contract_suite contract_keys = {"keys", tests, ARRAY_LEN(tests)};

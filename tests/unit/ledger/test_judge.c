/* Judgement: every outcome, the limits to the last unit, and what an accepted posting leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "money/money.h"
#include "unit/base/death.h"
#include "unit/ledger/stage.h"

#define MAX_CNY "9999999999999.99" /* 999 999 999 999 999 minor units */

static void an_asked_currency_is_a_guard(void **state)
{
    struct posting_words words = {
        .open_currency = cur("CNY"), .currency = cur("USD"), .may_open = true};
    struct posting p;
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    assert_int_equal(posting_credit(&s.arena, SLICE("a"), dec("1"), &words, &p), ERR_OK);
    (void)stage_must(&s, p, OUTCOME_CURRENCY_MISMATCH);
    words.currency = cur("CNY");
    assert_int_equal(posting_credit(&s.arena, SLICE("a"), dec("1"), &words, &p), ERR_OK);
    (void)stage_must(&s, p, OUTCOME_OK);
    (void)stage_must(&s, stage_open(&s, "yen", "JPY", "0"), OUTCOME_OK);
    (void)stage_must(&s, stage_transfer(&s, "a", "yen", "1"), OUTCOME_CURRENCY_MISMATCH);
    (void)stage_must(&s, stage_transfer(&s, "a", "yen", "0.001"),
                     OUTCOME_INVALID_AMOUNT); /* that comes first */
    (void)stage_must(&s, stage_transfer(&s, "yen", "a", "0.1"), OUTCOME_INVALID_AMOUNT);
    stage_fini(&s);
}

/* As after a change of the ISO table between the two openings: a hundred of one is not a hundred of the other. */
static void accounts_of_different_decimals_do_not_mix(void **state)
{
    struct account_view b;
    uint64_t world;
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "b", "1"), OUTCOME_OK);
    assert_true(book_find(&s.b, SLICE("b"), &b));
    ((struct account *)(uintptr_t)book_account(&s.b, b.no))->exponent = 0;
    (void)stage_must(&s, stage_transfer(&s, "a", "b", "1"), OUTCOME_CURRENCY_MISMATCH);
    (void)stage_must(&s, stage_transfer(&s, "b", "a", "1"), OUTCOME_CURRENCY_MISMATCH);
    (void)stage_must(&s, stage_credit(&s, "b", "1"),
                     OUTCOME_CURRENCY_MISMATCH); /* @world's are still two */
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    world = s.fx.records[s.fx.record_count - 1].debit; /* the last credit's other side */
    ((struct account *)(uintptr_t)book_account(&s.b, world))->exponent = 0;
    (void)stage_must(&s, stage_open(&s, "c", "CNY", "0"), OUTCOME_CURRENCY_MISMATCH);
    (void)stage_must(&s, stage_credit(&s, "c", "1"), OUTCOME_CURRENCY_MISMATCH);
    stage_fini(&s);
}

/* ---- opening ---- */

static void a_credit_opens_what_is_unknown(void **state)
{
    struct stage s;
    struct posting_result r;
    const struct record *records;

    (void)state;
    stage_init(&s);
    r = stage_must(&s, stage_credit(&s, "a", "12.50"), OUTCOME_OK);
    assert_int_equal(s.fx.record_count, 3);
    records = s.fx.records;
    assert_true(records[0].kind == RECORD_OPEN && records[0].credit == 1 && records[0].debit == 0 &&
                records[0].amount == 0);
    assert_true(records[1].kind == RECORD_OPEN && records[1].credit == 2); /* the world of its currency */
    assert_true(records[2].kind == RECORD_CREDIT && records[2].debit == 2 && records[2].credit == 1);
    assert_true(records[2].amount == 1250 && records[2].debit_balance == -1250 &&
                records[2].credit_balance == 1250);
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(records[i].seq == i + 1 && records[i].time_us == r.time_us && records[i].tag == 0);
    }
    assert_true(r.seq == 3 && r.amount == 1250 && r.side_count == 1 && r.sides[0].balance == 1250 &&
                r.exponent == 2);
    assert_true(r.currency.code == cur("CNY").code && slice_equal(r.sides[0].account, SLICE("a")));
    assert_true(stage_view(&s, "a").version == 2 && stage_view(&s, "a").entries == 1 &&
                stage_view(&s, "a").last_seq == 3);
    r = stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    assert_int_equal(s.fx.record_count, 4); /* it is known now */
    r = stage_must(&s, stage_credit(&s, "b", "1"), OUTCOME_OK);
    assert_int_equal(s.fx.record_count, 6); /* so is the world */
    stage_fini(&s);
}

static void only_a_credit_opens(void **state)
{
    const struct posting_words words = {.open_currency = cur("CNY")};
    struct posting p;
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_debit(&s, "a", "1"), OUTCOME_ACCOUNT_NOT_FOUND);
    assert_int_equal(posting_credit(&s.arena, SLICE("a"), dec("1"), &words, &p), ERR_OK);
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_NOT_FOUND);
    (void)stage_must(&s, stage_credit(&s, "b", "1"), OUTCOME_OK);
    (void)stage_must(&s, stage_transfer(&s, "b", "a", "1"), OUTCOME_ACCOUNT_NOT_FOUND);
    (void)stage_must(&s, stage_transfer(&s, "a", "b", "1"), OUTCOME_ACCOUNT_NOT_FOUND);
    (void)stage_must(&s, stage_credit(&s, "a", "0.001"), OUTCOME_INVALID_AMOUNT);
    assert_int_equal(s.b.account_count, 2); /* nor does a credit that is refused */
    stage_fini(&s);
}

static void open_answers_with_the_account(void **state)
{
    const struct posting_words words = {
        .currency = cur("KWD"), .open_currency = cur("CNY"), .metadata = SLICE("{\"k\":\"v\"}")};
    struct posting p;
    struct posting_result r;
    struct stage s;

    (void)state;
    stage_init(&s);
    assert_int_equal(posting_open(&s.arena, SLICE("a"), dec("1.234"), &words, &p), ERR_OK);
    r = stage_must(&s, p, OUTCOME_OK);
    assert_true(s.fx.record_count == 2 && r.seq == 2 && s.fx.records[1].amount == 1234);
    assert_true(slice_equal(r.opened.id, SLICE("a")) && r.opened.overdraft == 1234 &&
                r.opened.balance == 0);
    assert_true(r.opened.currency.code == cur("KWD").code && r.opened.exponent == 3 &&
                r.exponent == 3);
    assert_true(r.opened.version == 1 && r.opened.entries == 0 && r.opened.last_seq == 0 &&
                r.opened.metadata_seq == 2);
    assert_true(r.opened.created_us == r.time_us && r.opened.updated_us == r.time_us &&
                r.opened.no == 2);
    assert_true(slice_equal(r.opened_metadata, SLICE("{\"k\":\"v\"}"))); /* as a replay of it will say */
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_EXISTS);
    (void)stage_must(&s, stage_open(&s, "a", "CNY", "0.001"),
                     OUTCOME_ACCOUNT_EXISTS); /* before the amount */
    (void)stage_must(&s, stage_open(&s, "b", "CNY", "0.001"), OUTCOME_INVALID_AMOUNT);
    (void)stage_must(&s, stage_open(&s, "b", "JPY", "0.1"), OUTCOME_INVALID_AMOUNT);
    assert_int_equal(s.b.account_count, 2);
    r = stage_must(&s, stage_open(&s, "b", "KWD", "0"), OUTCOME_OK);
    assert_true(r.opened_metadata.ptr == NULL && r.opened.metadata_seq == 0 && s.b.world_count == 1);
    stage_fini(&s);
}

/* ---- limits ---- */

static void balances_stop_at_fifteen_digits(void **state)
{
    struct stage s;
    struct posting_result r;

    (void)state;
    stage_init(&s);
    r = stage_must(&s, stage_credit(&s, "a", MAX_CNY), OUTCOME_OK);
    assert_true(r.sides[0].balance == MONEY_MINOR_MAX);
    (void)stage_must(&s, stage_credit(&s, "a", "0.01"), OUTCOME_BALANCE_LIMIT_EXCEEDED);
    (void)stage_must(&s, stage_debit(&s, "a", "0.01"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "a", "0.02"), OUTCOME_BALANCE_LIMIT_EXCEEDED);
    (void)stage_must(&s, stage_credit(&s, "a", "0.01"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "b", "0.01"), OUTCOME_OK);
    (void)stage_must(&s, stage_transfer(&s, "b", "a", "0.01"), OUTCOME_BALANCE_LIMIT_EXCEEDED);
    (void)stage_must(&s, stage_transfer(&s, "b", "a", "0.02"),
                     OUTCOME_BALANCE_LIMIT_EXCEEDED); /* before the balance */
    (void)stage_must(&s, stage_debit(&s, "a", MAX_CNY), OUTCOME_OK);
    assert_true(stage_view(&s, "a").balance == 0);
    (void)stage_must(&s, stage_credit(&s, "a", "99999999999999.9"),
                     OUTCOME_INVALID_AMOUNT); /* 16 digits of minor units */
    stage_fini(&s);
}

static void the_world_stops_at_int64(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    stage_load(&s, "a", "CNY", (struct account){0});
    ((struct account *)book_account(&s.b, 1))->balance = INT64_MIN + 100;
    (void)stage_must(&s, stage_credit(&s, "a", "1.01"), OUTCOME_BALANCE_LIMIT_EXCEEDED);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    assert_true(book_account(&s.b, 1)->balance == INT64_MIN);
    (void)stage_must(&s, stage_credit(&s, "a", "0.01"), OUTCOME_BALANCE_LIMIT_EXCEEDED);
    ((struct account *)book_account(&s.b, 1))->balance = INT64_MAX - 50;
    (void)stage_must(&s, stage_debit(&s, "a", "0.51"), OUTCOME_BALANCE_LIMIT_EXCEEDED);
    (void)stage_must(&s, stage_debit(&s, "a", "0.5"), OUTCOME_OK);
    stage_fini(&s);
}

static void exponents_decide_what_fits(void **state)
{
    static const struct {
        const char *currency, *fits, *too_fine;
        int64_t minor;
    } all[] = {{"JPY", "7", "0.1", 7},
               {"CNY", "0.07", "0.001", 7},
               {"KWD", "0.007", "0.0001", 7},
               {"CLF", "0.0007", NULL, 7}};
    struct stage s;

    (void)state;
    stage_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        (void)stage_must(&s, stage_open(&s, all[i].currency, all[i].currency, "0"), OUTCOME_OK);
        assert_true(stage_must(&s, stage_credit(&s, all[i].currency, all[i].fits), OUTCOME_OK).amount ==
                    all[i].minor);
        if (all[i].too_fine != NULL) {
            (void)stage_must(&s, stage_credit(&s, all[i].currency, all[i].too_fine),
                             OUTCOME_INVALID_AMOUNT);
        }
    }
    stage_fini(&s);
}

static void an_overdraft_is_used_to_the_last_unit(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_open(&s, "a", "CNY", "100"), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "a", "100.01"), OUTCOME_INSUFFICIENT_BALANCE);
    (void)stage_must(&s, stage_debit(&s, "a", "100"), OUTCOME_OK);
    assert_true(stage_view(&s, "a").balance == -10000);
    (void)stage_must(&s, stage_debit(&s, "a", "0.01"), OUTCOME_INSUFFICIENT_BALANCE);
    (void)stage_must(&s, stage_credit(&s, "a", "0.01"), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "a", "0.01"), OUTCOME_OK);
    (void)stage_must(&s, stage_open(&s, "b", "CNY", MAX_CNY), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "b", MAX_CNY), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "b", "0.01"), OUTCOME_INSUFFICIENT_BALANCE);
    assert_true(stage_view(&s, "b").balance == -MONEY_MINOR_MAX);
    stage_fini(&s);
}

static void money_in_is_taken_while_less_is_available_than_nothing(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    stage_load(&s, "a", "CNY", (struct account){.balance = -500}); /* its overdraft was lowered since */
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "a", "0.01"), OUTCOME_INSUFFICIENT_BALANCE);
    stage_fini(&s);
}

/* ---- status ---- */

static void frozen_lets_money_in_alone(void **state)
{
    struct posting_leg hold = {.account = SLICE("a"), .held = {1, 0}};
    const struct posting p = {.kind = RECORD_TRANSFER, .legs = &hold, .leg_count = 1};
    struct stage s;

    (void)state;
    stage_init(&s);
    stage_load(&s, "a", "CNY",
               (struct account){.balance = 10000, .held = 500, .status = ACCOUNT_FROZEN});
    stage_load(&s, "b", "CNY", (struct account){.balance = 10000});
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    (void)stage_must(&s, stage_transfer(&s, "b", "a", "1"), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "a", "1"), OUTCOME_ACCOUNT_FROZEN);
    (void)stage_must(&s, stage_transfer(&s, "a", "b", "1"), OUTCOME_ACCOUNT_FROZEN);
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_FROZEN); /* to hold is to take */
    hold.held = (struct decimal){-1, 0};
    (void)stage_must(&s, p, OUTCOME_OK); /* to let go is not */
    stage_fini(&s);
}

static void closed_lets_nothing_in_or_out(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    stage_load(&s, "a", "CNY", (struct account){.status = ACCOUNT_CLOSED});
    stage_load(&s, "b", "CNY", (struct account){.balance = 10000});
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_ACCOUNT_CLOSED);
    (void)stage_must(&s, stage_debit(&s, "a", "1"), OUTCOME_ACCOUNT_CLOSED);
    (void)stage_must(&s, stage_transfer(&s, "b", "a", "1"), OUTCOME_ACCOUNT_CLOSED);
    (void)stage_must(&s, stage_transfer(&s, "a", "b", "1"), OUTCOME_ACCOUNT_CLOSED);
    stage_fini(&s);
}

/* ---- held money ---- */

static struct posting holding(struct posting_leg *leg, const char *id, const char *held)
{
    *leg = (struct posting_leg){.account = slice_of(id), .held = dec(held)};
    return (struct posting){.kind = RECORD_TRANSFER, .legs = leg, .leg_count = 1};
}

static void held_money_is_not_available(void **state)
{
    struct posting_leg leg;
    struct stage s;
    const struct record *r;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "10"), OUTCOME_OK);
    (void)stage_must(&s, holding(&leg, "a", "10.01"), OUTCOME_INSUFFICIENT_BALANCE);
    (void)stage_must(&s, holding(&leg, "a", "0.001"), OUTCOME_INVALID_AMOUNT);
    (void)stage_must(&s, holding(&leg, "a", "6"), OUTCOME_OK);
    r = &s.fx.records[s.fx.record_count - 1];
    assert_true(r->debit == 1 && r->credit == 0 && r->amount == 0 && r->held == 600 &&
                r->debit_balance == 1000);
    assert_true(stage_view(&s, "a").balance == 1000 && stage_view(&s, "a").held == 600 &&
                stage_view(&s, "a").entries == 2);
    (void)stage_must(&s, stage_debit(&s, "a", "4.01"), OUTCOME_INSUFFICIENT_BALANCE);
    (void)stage_must(&s, holding(&leg, "a", "4.01"), OUTCOME_INSUFFICIENT_BALANCE);
    (void)stage_must(&s, stage_debit(&s, "a", "4"), OUTCOME_OK);
    (void)stage_must(&s, holding(&leg, "a", "-6.01"),
                     OUTCOME_INSUFFICIENT_BALANCE); /* more than is held */
    (void)stage_must(&s, holding(&leg, "a", "-6"), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "a", "6"), OUTCOME_OK);
    assert_true(stage_view(&s, "a").balance == 0 && stage_view(&s, "a").held == 0);
    stage_fini(&s);
}

static void a_capture_moves_what_was_held(void **state)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {-6, 0}, .held = {-6, 0}},
                                 {.account = SLICE("b"), .balance = {6, 0}}};
    const struct posting p = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 2};
    struct posting_leg leg;
    const struct record *r;
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "6"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "b", "1"), OUTCOME_OK);
    (void)stage_must(&s, holding(&leg, "a", "6"), OUTCOME_OK);
    (void)stage_must(&s, stage_transfer(&s, "a", "b", "6"), OUTCOME_INSUFFICIENT_BALANCE);
    (void)stage_must(&s, p, OUTCOME_OK);
    r = &s.fx.records[s.fx.record_count - 1]; /* in one record */
    assert_true(r->amount == 600 && r->held == -600 && r->debit_balance == 0 &&
                r->credit_balance == 700);
    assert_true(stage_view(&s, "a").held == 0 && stage_view(&s, "b").balance == 700);
    (void)stage_must(&s, p, OUTCOME_INSUFFICIENT_BALANCE);
    stage_fini(&s);
}

static void money_may_be_held_as_it_comes_in(void **state)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {5, 0}, .held = {5, 0}},
                                 {.account = LEDGER_WORLD, .balance = {-5, 0}}};
    const struct posting p = {.kind = RECORD_CREDIT, .legs = legs, .leg_count = 2};
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_open(&s, "a", "CNY", "0"), OUTCOME_OK);
    (void)stage_must(&s, p, OUTCOME_OK);
    assert_true(stage_view(&s, "a").balance == 500 && stage_view(&s, "a").held == 500 &&
                stage_view(&s, "a").entries == 2);
    legs[0].held = (struct decimal){6, 0};
    (void)stage_must(&s, p, OUTCOME_INSUFFICIENT_BALANCE);
    stage_fini(&s);
}

static void holds_may_reach_into_the_overdraft(void **state)
{
    struct posting_leg leg;
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_open(&s, "a", "CNY", MAX_CNY), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "a", MAX_CNY), OUTCOME_OK);
    (void)stage_must(&s, holding(&leg, "a", MAX_CNY), OUTCOME_OK);
    (void)stage_must(&s, holding(&leg, "a", MAX_CNY), OUTCOME_OK);
    (void)stage_must(&s, holding(&leg, "a", "0.01"), OUTCOME_INSUFFICIENT_BALANCE);
    assert_true(stage_view(&s, "a").held == 2 * MONEY_MINOR_MAX);
    assert_int_equal(book_check(&s.b, &(uint64_t){0}), ERR_OK);
    stage_fini(&s);
}

/* ---- if-match ---- */

static void if_match_wants_one_of_the_versions(void **state)
{
    struct posting p;
    struct stage s;

    (void)state;
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    p.has_if_match = true;
    (void)stage_must(&s, p, OUTCOME_PRECONDITION_FAILED); /* any version, but there is no account */
    assert_int_equal(s.b.account_count, 0);
    p.has_if_match = false;
    (void)stage_must(&s, p, OUTCOME_OK);
    p.has_if_match = true;
    (void)stage_must(&s, p, OUTCOME_OK);
    assert_true(stage_view(&s, "a").version == 3);
    p.if_match_count = LEDGER_IF_MATCH_MAX;
    for (unsigned i = 0; i < LEDGER_IF_MATCH_MAX; i++) {
        p.if_match[i] = 10 + i;
    }
    (void)stage_must(&s, p, OUTCOME_PRECONDITION_FAILED);
    p.if_match[LEDGER_IF_MATCH_MAX - 1] = 3;
    (void)stage_must(&s, p, OUTCOME_OK);
    (void)stage_must(&s, p, OUTCOME_PRECONDITION_FAILED); /* it has moved on */
    p.if_match[1] = 4;
    p.if_match_count = 1; /* only so many count */
    (void)stage_must(&s, p, OUTCOME_PRECONDITION_FAILED);
    p.if_match_count = 2;
    (void)stage_must(&s, p, OUTCOME_OK);
    stage_fini(&s);
}

/* ---- keys ---- */

static void a_refusal_is_remembered_and_moves_nothing(void **state)
{
    struct idem idem = stage_key('k', 'f');
    struct posting p;
    struct posting_result r;
    struct record_extra x;
    struct account_view before;
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    stage_commit(&s);
    before = stage_view(&s, "a");
    p = stage_debit(&s, "a", "2");
    p.idem = &idem;
    p.language = LEDGER_EN;
    r = stage_must(&s, p, OUTCOME_INSUFFICIENT_BALANCE);
    assert_int_equal(s.fx.record_count, 1);
    assert_true(r.seq == s.b.last_seq && r.seq == s.fx.records[0].seq &&
                r.time_us == s.fx.records[0].time_us);
    assert_true(s.fx.records[0].kind == RECORD_REFUSAL && s.fx.records[0].debit == 0 &&
                s.fx.records[0].credit == 0);
    assert_int_equal(record_extra_decode(s.fx.records[0].extra, &x), ERR_OK);
    assert_true(x.has_refusal && x.refused_kind == RECORD_DEBIT &&
                x.refused_outcome == OUTCOME_INSUFFICIENT_BALANCE);
    assert_true(x.language == LEDGER_EN && s.fx.records[0].idem.len > 0);
    assert_true(stage_view(&s, "a").version == before.version &&
                stage_view(&s, "a").last_seq == before.last_seq);
    (void)stage_must(&s, stage_credit(&s, "a", "100"), OUTCOME_OK);
    assert_true(stage_must(&s, p, OUTCOME_REPLAY).seq == r.seq); /* now there would be enough */
    stage_fini(&s);
}

/* Those above are no answers but states of the world: the same key may be tried again. */
static void what_is_not_stored_leaves_its_key_free(void **state)
{
    struct idem idem = stage_key('k', 'f');
    struct posting p;
    struct stage s;

    (void)state;
    stage_init(&s);
    p = stage_debit(&s, "a", "0.001");
    p.idem = &idem;
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_NOT_FOUND);
    (void)stage_must(&s, stage_open(&s, "a", "CNY", "5"), OUTCOME_OK);
    (void)stage_must(&s, p, OUTCOME_INVALID_AMOUNT);
    p.has_if_match = true;
    p.if_match_count = 1;
    (void)stage_must(&s, p, OUTCOME_PRECONDITION_FAILED);
    p = stage_open(&s, "a", "CNY", "0");
    p.idem = &idem;
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_EXISTS);
    assert_int_equal(keys_count(&s.b.keys), 0);
    p = stage_debit(&s, "a", "1");
    p.idem = &idem;
    (void)stage_must(&s, p, OUTCOME_OK);
    assert_true(keys_count(&s.b.keys) == 1 && keys_find(&s.b.keys, idem.scope) == s.b.last_seq);
    (void)stage_must(&s, p, OUTCOME_REPLAY);
    stage_fini(&s);
}

static void outcomes_below_the_line_are_stored(void **state)
{
    (void)state;
    for (int o = 0; o <= OUTCOME_INVALID_CURSOR; o++) {
        assert_int_equal(outcome_is_stored((enum outcome)o), o >= 1 && o <= 7);
    }
    /* what is in files for ever */
    assert_true(OUTCOME_ACCOUNT_FROZEN == 1 && OUTCOME_ACCOUNT_CLOSED == 2 &&
                OUTCOME_CURRENCY_MISMATCH == 3);
    assert_true(OUTCOME_SAME_ACCOUNT == 4 && OUTCOME_BALANCE_LIMIT_EXCEEDED == 5 &&
                OUTCOME_INSUFFICIENT_BALANCE == 6);
    assert_true(OUTCOME_UNBALANCED_ENTRIES == 7 && RECORD_OPEN == 1 && RECORD_CREDIT == 2 &&
                RECORD_DEBIT == 3);
    assert_true(RECORD_TRANSFER == 4 && RECORD_REFUSAL == 5 && LEDGER_ZH_CN == 0 && LEDGER_EN == 1);
    assert_true(ACCOUNT_ACTIVE == 0 && ACCOUNT_FROZEN == 1 && ACCOUNT_CLOSED == 2);
}

/* ---- time ---- */

static void time_rises_with_each_posting_whatever_the_clock_does(void **state)
{
    static const int64_t clock[] = {1000, 1000, 1000, 5000, 4000, 0, -1000, INT64_MIN, 5004, 6000};
    static const int64_t wanted[] = {1000, 1001, 1002, 5000, 5001, 5002, 5003, 5004, 5005, 6000};
    struct stage s;

    (void)state;
    stage_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(clock); i++) {
        s.now_us = clock[i];
        assert_true(stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK).time_us == wanted[i]);
        assert_true(s.b.last_time_us == wanted[i] &&
                    s.fx.records[s.fx.record_count - 1].time_us == wanted[i]);
    }
    s.now_us = 7000;
    (void)stage_must(&s, stage_debit(&s, "b", "1"), OUTCOME_ACCOUNT_NOT_FOUND);
    assert_true(s.b.last_time_us == 6000); /* what leaves no record takes no time */
    stage_fini(&s);

    stage_init(&s);
    s.now_us = -5;
    assert_true(stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK).time_us ==
                1); /* before the epoch there is none */
    stage_fini(&s);
}

/* ---- many legs ---- */

/* Forty-nine pay 3.00 or 5.00 each, fifty get what is collected. */
static void a_hundred_legs_are_one_transaction(void **state)
{
    static struct posting_leg legs[LEDGER_LEGS_MAX];
    const struct posting p = {.kind = RECORD_TRANSFER,
                              .legs = legs,
                              .leg_count = LEDGER_LEGS_MAX,
                              .extra = SLICE("\3\1\0r")};
    int64_t in[LEDGER_LEGS_MAX + 2] = {0};
    struct posting_result r;
    struct stage s;
    int64_t paid = 0;
    char *names;

    (void)state;
    stage_init(&s);
    names = arena_alloc(&s.arena, LEDGER_LEGS_MAX * 4);
    assert_non_null(names);
    for (unsigned i = 0; i < LEDGER_LEGS_MAX; i++) {
        int64_t amount = i % 2 == 0 ? 3 : 5;
        (void)snprintf(names + (size_t)i * 4, 4, "n%02u", i);
        (void)stage_must(&s, stage_credit(&s, names + (size_t)i * 4, "10"), OUTCOME_OK);
        legs[i].account = slice_of(names + (size_t)i * 4);
        if (i < 49) {
            legs[i].balance = (struct decimal){-amount, 0};
            paid += amount;
        } else if (i < 99) {
            legs[i].balance = (struct decimal){2, 0};
            paid -= 2;
        } else {
            legs[i].balance = (struct decimal){paid, 0};
        }
    }
    stage_commit(&s);
    r = stage_must(&s, p, OUTCOME_OK);
    assert_true(s.fx.record_count <= LEDGER_LEGS_MAX - 1 && s.fx.record_count >= 51);
    assert_true(r.side_count == 2 && r.sides[0].balance == 700 && r.sides[1].balance == 500 &&
                r.amount == 300);
    for (unsigned i = 0; i < s.fx.record_count; i++) {
        const struct record *rec = &s.fx.records[i];
        assert_true(rec->time_us == r.time_us && rec->kind == RECORD_TRANSFER && rec->amount > 0 &&
                    record_check(rec) == ERR_OK);
        assert_int_equal(rec->extra.len,
                         i + 1 == s.fx.record_count ? 4 : 0); /* the words are on the last */
        in[rec->debit] -= rec->amount;
        in[rec->credit] += rec->amount;
    }
    assert_true(r.seq == s.fx.records[s.fx.record_count - 1].seq);
    for (unsigned i = 0; i < LEDGER_LEGS_MAX; i++) {
        struct account_view view = stage_view(&s, names + (size_t)i * 4);
        assert_true(in[view.no] == legs[i].balance.coefficient * 100 &&
                    view.balance == 1000 + in[view.no]);
        assert_true(view.entries == view.version - 1 && view.updated_us == r.time_us);
    }
    assert_int_equal(book_check(&s.b, &(uint64_t){0}), ERR_OK);
    (void)stage_must(&s, p, OUTCOME_OK);
    (void)stage_must(&s, p, OUTCOME_INSUFFICIENT_BALANCE); /* half of them could pay again */
    stage_fini(&s);
}

/* One account in many records of one transaction: its chain and its marks count records. */
static void a_hub_leaves_marks_within_one_transaction(void **state)
{
    static struct posting_leg legs[LEDGER_LEGS_MAX];
    const struct posting p = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = LEDGER_LEGS_MAX};
    struct stage s;
    char *names;
    uint64_t hub;
    unsigned marks = 0;

    (void)state;
    stage_init(&s);
    names = arena_alloc(&s.arena, LEDGER_LEGS_MAX * 4);
    assert_non_null(names);
    (void)stage_must(&s, stage_credit(&s, "hub", "1000"), OUTCOME_OK);
    legs[0] = (struct posting_leg){.account = SLICE("hub"), .balance = {-99, 0}};
    for (unsigned i = 1; i < LEDGER_LEGS_MAX; i++) {
        (void)snprintf(names + (size_t)i * 4, 4, "n%02u", i);
        (void)stage_must(&s, stage_open(&s, names + (size_t)i * 4, "CNY", "0"), OUTCOME_OK);
        legs[i] = (struct posting_leg){.account = slice_of(names + (size_t)i * 4), .balance = {1, 0}};
    }
    stage_commit(&s);
    (void)stage_must(&s, p, OUTCOME_OK);
    assert_int_equal(s.fx.record_count, 99);
    hub = stage_view(&s, "hub").no;
    assert_true(stage_view(&s, "hub").entries == 100 && stage_view(&s, "hub").balance == 90100);
    for (unsigned i = 0; i < s.fx.mark_count; i++) {
        marks += s.fx.marks[i].account == hub && s.fx.marks[i].n == 64 &&
                 s.fx.marks[i].seq == s.fx.records[62].seq;
    }
    assert_true(marks == 1 && s.fx.mark_count == 1);
    for (unsigned i = 1; i < 99; i++) {
        assert_true(s.fx.records[i].debit_prev == s.fx.records[i - 1].seq);
        assert_true(s.fx.records[i].debit_balance == s.fx.records[i - 1].debit_balance - 100);
    }
    stage_fini(&s);
}

static void unbalanced_legs_are_refused(void **state)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {-5, 0}},
                                 {.account = SLICE("b"), .balance = {4, 0}}};
    struct posting p = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 2};
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "10"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "b", "10"), OUTCOME_OK);
    (void)stage_must(&s, p, OUTCOME_UNBALANCED_ENTRIES);
    legs[1].balance = (struct decimal){6, 0};
    (void)stage_must(&s, p, OUTCOME_UNBALANCED_ENTRIES);
    p.leg_count = 1;
    (void)stage_must(&s, p, OUTCOME_UNBALANCED_ENTRIES);
    stage_fini(&s);
}

/* ---- what no caller may ask ---- */

static void apply_legs(struct posting_leg *legs, unsigned count, struct posting *with)
{
    struct posting p = {.kind = RECORD_TRANSFER,
                        .open_currency = cur("CNY"),
                        .open_extra = SLICE("\1\1\0x\2\4\0CNY\2")};
    struct posting_result out;
    struct stage s;

    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "10"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "b", "10"), OUTCOME_OK);
    if (with != NULL) {
        p = *with;
    }
    p.legs = legs;
    p.leg_count = count;
    (void)stage_apply(&s, &p, &out);
}

static void the_world_leads(void *ctx)
{
    struct posting_leg legs[] = {{.account = LEDGER_WORLD, .balance = {-5, 0}},
                                 {.account = SLICE("b"), .balance = {5, 0}}};

    (void)ctx;
    apply_legs(legs, 2, NULL);
}

static void the_world_holds(void *ctx)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {-5, 0}},
                                 {.account = LEDGER_WORLD, .balance = {5, 0}, .held = {1, 0}}};

    (void)ctx;
    apply_legs(legs, 2, NULL);
}

static void nothing_moves(void *ctx)
{
    struct posting_leg legs[] = {{.account = SLICE("a")}, {.account = SLICE("b")}};

    (void)ctx;
    apply_legs(legs, 2, NULL);
}

static void two_legs_open(void *ctx)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {-2, 0}},
                                 {.account = SLICE("x"), .balance = {1, 0}, .may_open = true},
                                 {.account = SLICE("y"), .balance = {1, 0}, .may_open = true}};

    (void)ctx;
    apply_legs(legs, 3, NULL);
}

static void one_leg_opens(void *ctx)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .balance = {-1, 0}},
                                 {.account = SLICE("x"), .balance = {1, 0}, .may_open = true}};

    (void)ctx;
    apply_legs(legs, 2, NULL);
}

static void aborts_on_misuse(void **state)
{
    (void)state;
    assert_true(dies(the_world_leads, NULL));
    assert_true(dies(the_world_holds, NULL));
    assert_true(dies(nothing_moves, NULL));
    assert_true(dies(two_legs_open, NULL));
    assert_false(dies(one_leg_opens, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_asked_currency_is_a_guard),
        cmocka_unit_test(accounts_of_different_decimals_do_not_mix),
        cmocka_unit_test(a_credit_opens_what_is_unknown),
        cmocka_unit_test(only_a_credit_opens),
        cmocka_unit_test(open_answers_with_the_account),
        cmocka_unit_test(balances_stop_at_fifteen_digits),
        cmocka_unit_test(the_world_stops_at_int64),
        cmocka_unit_test(exponents_decide_what_fits),
        cmocka_unit_test(an_overdraft_is_used_to_the_last_unit),
        cmocka_unit_test(money_in_is_taken_while_less_is_available_than_nothing),
        cmocka_unit_test(frozen_lets_money_in_alone),
        cmocka_unit_test(closed_lets_nothing_in_or_out),
        cmocka_unit_test(held_money_is_not_available),
        cmocka_unit_test(a_capture_moves_what_was_held),
        cmocka_unit_test(money_may_be_held_as_it_comes_in),
        cmocka_unit_test(holds_may_reach_into_the_overdraft),
        cmocka_unit_test(if_match_wants_one_of_the_versions),
        cmocka_unit_test(a_refusal_is_remembered_and_moves_nothing),
        cmocka_unit_test(what_is_not_stored_leaves_its_key_free),
        cmocka_unit_test(outcomes_below_the_line_are_stored),
        cmocka_unit_test(time_rises_with_each_posting_whatever_the_clock_does),
        cmocka_unit_test(a_hundred_legs_are_one_transaction),
        cmocka_unit_test(a_hub_leaves_marks_within_one_transaction),
        cmocka_unit_test(unbalanced_legs_are_refused),
        cmocka_unit_test(aborts_on_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

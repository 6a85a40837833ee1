/* The order of judgement, the same on every store: of several guards that fail the first one answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "money/money.h"
#include "unit/ledger/stage.h"

/* Each violates one guard; in the order in which they are judged. */
enum violation {
    REPLAY,
    KEYS_ARE_FULL,
    NOBODY,
    IF_MATCH,
    AMOUNT,
    CURRENCY,
    UNBALANCED,
    SAME,
    STATUS,
    LIMIT,
    BALANCE,
    VIOLATIONS,
};

static const enum outcome answers[VIOLATIONS] = {
    OUTCOME_REPLAY,
    OUTCOME_KEYS_FULL,
    OUTCOME_ACCOUNT_NOT_FOUND,
    OUTCOME_PRECONDITION_FAILED,
    OUTCOME_INVALID_AMOUNT,
    OUTCOME_CURRENCY_MISMATCH,
    OUTCOME_UNBALANCED_ENTRIES,
    OUTCOME_SAME_ACCOUNT,
    OUTCOME_ACCOUNT_CLOSED,
    OUTCOME_BALANCE_LIMIT_EXCEEDED,
    OUTCOME_INSUFFICIENT_BALANCE,
};

/* A ledger in which everything can go wrong, its one key used. */
static void order_stage(struct stage *s, struct idem *used)
{
    struct posting p;

    stage_init_with(s, STAGE_RECORDS, STAGE_UNDO, 1);
    stage_load(s, "rich", "CNY", (struct account){.balance = 1000000});
    stage_load(s, "second", "CNY", (struct account){0});
    stage_load(s, "third", "CNY", (struct account){0});
    stage_load(s, "fourth", "CNY", (struct account){.balance = 500});
    stage_load(s, "closed", "CNY", (struct account){.status = ACCOUNT_CLOSED});
    stage_load(s, "full", "CNY", (struct account){.balance = MONEY_MINOR_MAX});
    stage_load(s, "poor", "CNY", (struct account){0});
    stage_load(s, "dollars", "USD", (struct account){0});
    *used = stage_key('u', 'u');
    p = stage_credit(s, "rich", "1");
    p.idem = used;
    (void)stage_must(s, p, OUTCOME_OK);
    stage_commit(s);
}

static void leg_add(struct posting_leg *legs, struct posting *p, const char *account,
                    const char *amount, int64_t *sum)
{
    struct decimal d = dec(amount);

    legs[p->leg_count++] = (struct posting_leg){.account = slice_of(account), .balance = d};
    *sum += d.scale == 0 ? d.coefficient : 0; /* those with decimals come in pairs */
}

/* A posting that violates each guard of a set, and no other. */
static struct posting violate(struct posting_leg *legs, unsigned set, const struct idem *used,
                              const struct idem *fresh)
{
    struct posting p = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 1};
    int64_t sum = 0;

    leg_add(legs, &p, "second", "5", &sum);
    p.idem = set & 1u << REPLAY ? used : set & 1u << KEYS_ARE_FULL ? fresh : NULL;
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

/* Every set of violations there is: the first of them, in the contract's order, is the answer, and nothing has changed. */
static void the_first_guard_that_fails_answers(void **state)
{
    struct stage s;
    struct idem used, fresh = stage_key('n', 'n');
    uint64_t hash;

    (void)state;
    order_stage(&s, &used);
    hash = book_hash(&s.b);
    for (unsigned set = 1; set < 1u << VIOLATIONS; set++) {
        struct posting_leg legs[16];
        struct posting p = violate(legs, set, &used, &fresh);
        struct posting_result out;
        assert_int_equal(stage_apply(&s, &p, &out), answers[__builtin_ctz(set)]);
        assert_int_equal(s.fx.record_count, 0);
        assert_true(book_hash(&s.b) == hash);
        if (set & 1u << REPLAY) {
            assert_true(out.seq == keys_find(&s.b.keys, used.scope));
        } else if (set & 1u << KEYS_ARE_FULL) {
            assert_true(out.seq == 0);
        } else {
            assert_true(out.seq == s.b.last_seq); /* where it was judged */
        }
        assert_true(out.side_count == 0 && out.amount == 0);
    }
    (void)stage_must(&s, violate((struct posting_leg[16]){{.held = {0, 0}}}, 0, NULL, NULL),
                     OUTCOME_OK);
    stage_fini(&s);
}

/* Guards of one kind: the first leg that fails answers, and frozen is not closed. */
static void status_is_judged_leg_by_leg(void **state)
{
    struct posting_leg legs[] = {{.account = SLICE("rich"), .balance = {-1, 0}},
                                 {.account = SLICE("frozen"), .balance = {-1, 0}},
                                 {.account = SLICE("closed"), .balance = {2, 0}}};
    struct posting p = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 3};
    struct stage s;
    struct idem used;

    (void)state;
    order_stage(&s, &used);
    stage_load(&s, "frozen", "CNY", (struct account){.balance = 0, .status = ACCOUNT_FROZEN});
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_FROZEN);
    legs[1].account = SLICE("closed");
    legs[2].account = SLICE("frozen");
    (void)stage_must(&s, p, OUTCOME_ACCOUNT_CLOSED);
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_guard_that_fails_answers),
        cmocka_unit_test(status_is_judged_leg_by_leg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

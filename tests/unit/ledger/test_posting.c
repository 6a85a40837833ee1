/* The verbs compiled: legs, currencies, extras; every allocation failing; and what may not be asked for. */
#include "ledger/posting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "ledger/record.h"
#include "unit/base/death.h"

static const struct currency cny = {'C' | 'N' << 8 | 'Y' << 16};
static const struct currency jpy = {'J' | 'P' << 8 | 'Y' << 16};
static const struct decimal twelve_fifty = {125, -1};

static void assert_leg(const struct posting_leg *leg, struct slice account, int64_t coefficient,
                       bool may_open)
{
    assert_true(slice_equal(leg->account, account));
    assert_true(leg->balance.coefficient == coefficient && leg->balance.scale == twelve_fifty.scale);
    assert_true(leg->held.coefficient == 0 && leg->may_open == may_open);
}

static void assert_plain(const struct posting *p)
{
    assert_false(p->has_if_match);
    assert_int_equal(p->if_match_count, 0);
    assert_null(p->idem);
    assert_true(p->overdraft.coefficient == 0);
}

static void a_credit_comes_from_the_world(void **state)
{
    const struct posting_words words = {.open_currency = cny};
    struct posting p;
    struct arena a;

    (void)state;
    arena_init(&a, 65536);
    assert_int_equal(posting_credit(&a, SLICE("alice"), twelve_fifty, &words, &p), ERR_OK);
    assert_plain(&p);
    assert_int_equal(p.kind, RECORD_CREDIT);
    assert_int_equal(p.leg_count, 2);
    assert_leg(&p.legs[0], SLICE("alice"), 125, false); /* the path's account first */
    assert_leg(&p.legs[1], LEDGER_WORLD, -125, false);
    assert_int_equal(p.currency.code, 0);
    assert_int_equal(p.open_currency.code, 0); /* it may not open, so nothing is reserved for that */
    assert_true(p.extra.ptr == NULL && p.open_extra.ptr == NULL);
    arena_fini(&a);
}

static void a_credit_may_open(void **state)
{
    struct posting_words words = {.open_currency = cny, .may_open = true, .metadata = SLICE("{}")};
    struct posting p;
    struct record_extra x;
    struct arena a;

    (void)state;
    arena_init(&a, 65536);
    assert_int_equal(posting_credit(&a, SLICE("alice"), twelve_fifty, &words, &p), ERR_OK);
    assert_leg(&p.legs[0], SLICE("alice"), 125, true);
    assert_leg(&p.legs[1], LEDGER_WORLD, -125, false);
    assert_true(p.currency.code == 0 && p.open_currency.code == cny.code);
    assert_int_equal(record_extra_decode(p.open_extra, &x), ERR_OK);
    assert_true(slice_equal(x.account_id, SLICE("alice")) && x.currency.code == cny.code &&
                x.exponent == 2);
    assert_true(x.metadata.ptr == NULL); /* that is the movement's, not the account's */
    assert_int_equal(record_extra_decode(p.extra, &x), ERR_OK);
    assert_true(slice_equal(x.metadata, SLICE("{}")) && x.account_id.ptr == NULL);

    words.currency = jpy; /* asked for: a guard, the account is still opened in the default */
    assert_int_equal(posting_credit(&a, SLICE("alice"), twelve_fifty, &words, &p), ERR_OK);
    assert_true(p.currency.code == jpy.code && p.open_currency.code == cny.code);
    assert_int_equal(record_extra_decode(p.open_extra, &x), ERR_OK);
    assert_true(x.currency.code == cny.code && x.exponent == 2);
    arena_fini(&a);
}

static void a_debit_goes_to_the_world(void **state)
{
    const struct posting_words words = {.open_currency = cny, .currency = jpy, .reference = SLICE("")};
    struct posting p;
    struct record_extra x;
    struct arena a;

    (void)state;
    arena_init(&a, 65536);
    assert_int_equal(posting_debit(&a, SLICE("alice"), twelve_fifty, &words, &p), ERR_OK);
    assert_plain(&p);
    assert_int_equal(p.kind, RECORD_DEBIT);
    assert_int_equal(p.leg_count, 2);
    assert_leg(&p.legs[0], SLICE("alice"), -125, false);
    assert_leg(&p.legs[1], LEDGER_WORLD, 125, false);
    assert_true(p.currency.code == jpy.code && p.open_currency.code == 0);
    assert_int_equal(record_extra_decode(p.extra, &x), ERR_OK);
    assert_true(x.reference.ptr != NULL && x.reference.len == 0); /* empty is not absent */
    arena_fini(&a);
}

static void a_transfer_has_two_accounts(void **state)
{
    const struct posting_words words = {
        .open_currency = cny, .reference = SLICE("r"), .metadata = SLICE("{\"a\":\"b\"}")};
    struct posting p;
    struct record_extra x;
    struct arena a;

    (void)state;
    arena_init(&a, 65536);
    assert_int_equal(posting_transfer(&a, SLICE("from"), SLICE("to"), twelve_fifty, &words, &p),
                     ERR_OK);
    assert_plain(&p);
    assert_int_equal(p.kind, RECORD_TRANSFER);
    assert_int_equal(p.leg_count, 2);
    assert_leg(&p.legs[0], SLICE("from"), -125, false);
    assert_leg(&p.legs[1], SLICE("to"), 125, false);
    assert_int_equal(record_extra_decode(p.extra, &x), ERR_OK);
    assert_true(slice_equal(x.reference, SLICE("r")) &&
                slice_equal(x.metadata, SLICE("{\"a\":\"b\"}")));
    arena_fini(&a);
}

static void an_open_has_its_account_alone(void **state)
{
    struct posting_words words = {.open_currency = cny, .metadata = SLICE("{}")};
    struct posting p;
    struct record_extra x;
    struct arena a;

    (void)state;
    arena_init(&a, 65536);
    assert_int_equal(posting_open(&a, SLICE("alice"), (struct decimal){0, 0}, &words, &p), ERR_OK);
    assert_int_equal(p.kind, RECORD_OPEN);
    assert_int_equal(p.leg_count, 1);
    assert_true(slice_equal(p.legs[0].account, SLICE("alice")) && p.overdraft.coefficient == 0);
    assert_true(p.currency.code == cny.code && p.open_currency.code == cny.code);
    assert_int_equal(record_extra_decode(p.extra, &x), ERR_OK);
    assert_true(slice_equal(x.account_id, SLICE("alice")) && x.currency.code == cny.code &&
                x.exponent == 2);
    assert_true(slice_equal(x.metadata, SLICE("{}")));
    words.currency = jpy;
    words.metadata = SLICE_NONE;
    assert_int_equal(posting_open(&a, SLICE("bob"), twelve_fifty, &words, &p), ERR_OK);
    assert_true(p.open_currency.code == jpy.code && p.overdraft.coefficient == 125);
    assert_int_equal(record_extra_decode(p.extra, &x), ERR_OK);
    assert_true(x.currency.code == jpy.code && x.exponent == 0 && x.metadata.ptr == NULL);
    arena_fini(&a);
}

static enum err compile(int verb, struct arena *a, struct posting *p)
{
    static const char metadata[LEDGER_METADATA_BYTES_MAX]; /* a part larger than a chunk */
    struct posting_words words = {.open_currency = cny,
                                  .metadata = slice_make(metadata, sizeof(metadata))};

    switch (verb) {
    case 0:
        words.may_open = true;
        return posting_credit(a, SLICE("alice"), twelve_fifty, &words, p);
    case 1:
        return posting_debit(a, SLICE("alice"), twelve_fifty, &words, p);
    case 2:
        return posting_transfer(a, SLICE("alice"), SLICE("bob"), twelve_fifty, &words, p);
    default:
        return posting_open(a, SLICE("alice"), twelve_fifty, &words, p);
    }
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    for (int verb = 0; verb < 4; verb++) {
        enum err e = ERR_NOMEM;
        unsigned failed = 0;
        for (size_t bytes = 0; bytes < 8192; bytes += 16) { /* the arena's own ceiling */
            struct posting p = {.leg_count = 77};
            struct arena a;
            arena_init(&a, bytes);
            e = compile(verb, &a, &p);
            assert_int_equal(p.leg_count == 77, e != ERR_OK);
            failed += e == ERR_NOMEM;
            arena_fini(&a);
        }
        assert_int_equal(e, ERR_OK);
        assert_true(failed > 256);
        for (uint64_t nth = 1; nth < 10; nth++) { /* the heap below it */
            struct posting p = {.leg_count = 77};
            struct arena a;
            arena_init(&a, 65536);
            mem_fail_at(nth, 0);
            e = compile(verb, &a, &p);
            assert_true(e == (mem_asked() >= nth ? ERR_NOMEM : ERR_OK));
            mem_fail_at(0, 0);
            assert_int_equal(p.leg_count == 77, e != ERR_OK);
            arena_fini(&a);
        }
    }
}

static void act(int which)
{
    struct posting_words words = {.open_currency = cny, .may_open = which < 2};
    struct posting p;
    struct arena a;
    enum err e;

    arena_init(&a, 65536);
    switch (which) {
    case 0:
        e = posting_debit(&a, SLICE("a"), twelve_fifty, &words, &p);
        break;
    case 1:
        e = posting_transfer(&a, SLICE("a"), SLICE("b"), twelve_fifty, &words, &p);
        break;
    case 2:
        e = posting_credit(&a, SLICE("a"), (struct decimal){0, 0}, &words, &p);
        break;
    case 3:
        e = posting_debit(&a, SLICE("a"), (struct decimal){-1, 0}, &words, &p);
        break;
    default:
        e = posting_open(&a, SLICE("a"), (struct decimal){-1, 0}, &words, &p);
    }
    (void)e;
}

static void act_on(void *ctx)
{
    act(*(int *)ctx);
}

static void aborts_on_what_no_request_is(void **state)
{
    (void)state;
    for (int which = 0; which <= 4; which++) {
        assert_true(dies(act_on, &which));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_credit_comes_from_the_world),
        cmocka_unit_test(a_credit_may_open),
        cmocka_unit_test(a_debit_goes_to_the_world),
        cmocka_unit_test(a_transfer_has_two_accounts),
        cmocka_unit_test(an_open_has_its_account_alone),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(aborts_on_what_no_request_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

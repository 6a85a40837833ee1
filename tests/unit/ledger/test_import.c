/* Postings of another store in a book: their own times and tags, the oracle's records, keys that were used again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/import.h"
#include "unit/ledger/stage.h"

static enum outcome import(struct stage *s, struct posting p, int64_t time_us, uint32_t tag)
{
    struct posting_result result;
    enum outcome o;

    assert_int_equal(book_reserve(&s->b, &p, &s->fx), ERR_OK);
    o = book_import(&s->b, &p, time_us, tag, &s->fx, &result);
    assert_int_equal(result.tag, tag);
    return o;
}

static struct idem key(uint8_t letter)
{
    struct idem idem = {.field_count = 1, .field_tags = {letter}};

    memset(idem.scope, letter, sizeof(idem.scope));
    return idem;
}

/* At one time under several tags; what is made replays as any journal. */
static void has_its_own_time_and_tag(void **state)
{
    struct stage s;
    struct book again;

    (void)state;
    stage_init(&s);
    assert_int_equal(import(&s, stage_credit(&s, "a", "5"), 77, 3), OUTCOME_OK);
    assert_int_equal(import(&s, stage_credit(&s, "b", "5"), 77, 4), OUTCOME_OK);
    assert_int_equal(import(&s, stage_debit(&s, "a", "5"), 78, 0), OUTCOME_OK);
    assert_int_equal(s.fx.record_count, 6); /* a, @world, credit, b, credit, debit */
    for (unsigned i = 0; i < s.fx.record_count; i++) {
        assert_int_equal(s.fx.records[i].time_us, i < 5 ? 77 : 78);
        assert_int_equal(s.fx.records[i].tag, i < 3 ? 3 : i < 5 ? 4 : 0);
        assert_int_equal(s.fx.records[i].seq, i + 1);
    }
    stage_commit(&s);
    assert_int_equal(book_init(&again, STAGE_UNDO, 1000, stage_hash_key), ERR_OK);
    assert_int_equal(tape_replay(&s.tape, &again), ERR_OK);
    assert_int_equal(book_hash(&again), book_hash(&s.b));
    book_fini(&again);
    stage_fini(&s);
}

/* One that does not pass its guards leaves the book as it was. */
static void is_judged_again(void **state)
{
    struct stage s;
    uint64_t before;

    (void)state;
    stage_init(&s);
    assert_int_equal(import(&s, stage_credit(&s, "a", "5"), 77, 0), OUTCOME_OK);
    stage_commit(&s);
    before = book_hash(&s.b);
    assert_int_equal(import(&s, stage_debit(&s, "a", "6"), 99, 0), OUTCOME_INSUFFICIENT_BALANCE);
    assert_int_equal(import(&s, stage_debit(&s, "b", "1"), 99, 0), OUTCOME_ACCOUNT_NOT_FOUND);
    assert_int_equal(s.fx.record_count, 0);
    assert_int_equal(book_hash(&s.b), before);
    assert_int_equal(import(&s, stage_debit(&s, "a", "5"), 78, 0), OUTCOME_OK);
    stage_fini(&s);
}

static void a_key_answers_with_its_newest_use(void **state)
{
    const struct idem idem = key('k');
    struct posting p;
    struct stage s;

    (void)state;
    stage_init(&s);
    p = stage_credit(&s, "a", "5");
    p.idem = &idem;
    assert_int_equal(import(&s, p, 77, 0), OUTCOME_OK);
    assert_int_equal(keys_find(&s.b.keys, idem.scope), 3);
    assert_int_equal(import(&s, p, 78, 0), OUTCOME_OK);
    assert_int_equal(keys_find(&s.b.keys, idem.scope), 4);
    stage_fini(&s);
}

static void a_refusal_keeps_whose_it_is(void **state)
{
    const struct idem idem = key('r');
    struct record_extra x;
    struct posting p;
    struct stage s;

    (void)state;
    stage_init(&s);
    p = stage_debit(&s, "a", "5");
    p.idem = &idem;
    assert_int_equal(book_import_refusal_reserve(&s.b, p.idem, &s.fx), ERR_OK);
    book_import_refusal(&s.b, &p, OUTCOME_ACCOUNT_CLOSED, 77, 9, &s.fx);
    assert_int_equal(s.fx.records[0].tag, 9);
    assert_int_equal(s.fx.records[0].time_us, 77);
    assert_int_equal(record_extra_decode(s.fx.records[0].extra, &x), ERR_OK);
    assert_true(slice_equal(x.account_id, SLICE("a")));
    assert_int_equal(x.refused_kind, RECORD_DEBIT);
    assert_int_equal(x.refused_outcome, OUTCOME_ACCOUNT_CLOSED);
    assert_int_equal(keys_find(&s.b.keys, idem.scope), 1);
    p.idem = NULL; /* its key has ended */
    p.leg_count = 0;
    book_import_refusal(&s.b, &p, OUTCOME_ACCOUNT_CLOSED, 77, 9, &s.fx);
    assert_int_equal(s.fx.records[1].idem.len, 0);
    assert_int_equal(record_check(&s.fx.records[1]), ERR_OK);
    s.fx.record_cap = 2;
    assert_int_equal(book_import_refusal_reserve(&s.b, NULL, &s.fx), ERR_FULL);
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_its_own_time_and_tag),
        cmocka_unit_test(is_judged_again),
        cmocka_unit_test(a_key_answers_with_its_newest_use),
        cmocka_unit_test(a_refusal_keeps_whose_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Recovery: the journal makes the same book again, from nothing or from stored rows, and a record that lies is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "money/money.h"
#include "unit/base/death.h"
#include "unit/ledger/stage.h"

enum { STEPS = 400 };

/* A ledger with a bit of everything. */
static void live(struct stage *s, uint64_t seed)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct prng random = {seed};
    struct posting_leg held[] = {{.account = SLICE("a"), .held = {5, 0}}};
    struct idem key;

    stage_init(s);
    (void)stage_must(s, stage_open(s, "a", "CNY", "100"), OUTCOME_OK);
    (void)stage_must(s, stage_credit(s, "b", "50000"), OUTCOME_OK);
    (void)stage_must(s, stage_open(s, "yen", "JPY", "0"), OUTCOME_OK);
    (void)stage_must(s, stage_credit(s, "yen", "7"), OUTCOME_OK);
    (void)stage_must(s, stage_credit(s, "c", "10"), OUTCOME_OK);
    (void)stage_must(s, stage_credit(s, "d", "10"), OUTCOME_OK);
    (void)stage_must(s, (struct posting){.kind = RECORD_TRANSFER, .legs = held, .leg_count = 1},
                     OUTCOME_OK);
    for (int i = 0; i < STEPS; i++) {
        const char *from = names[prng_below(&random, 4)], *to = names[prng_below(&random, 4)];
        struct posting p = stage_transfer(s, from, to, "1.50");
        struct posting_result out;
        if (prng_below(&random, 3) == 0) {
            key = stage_key((char)i, (char)(i >> 8));
            p.idem = &key;
        }
        (void)stage_apply(s, &p, &out);
        if (prng_below(&random, 20) == 0 || p.idem != NULL) {
            stage_commit(s);
        }
    }
    stage_commit(s);
}

static void a_book_from_its_journal(struct book *b, const struct tape *t, enum err wanted)
{
    assert_int_equal(book_init(b, 1, 1000, stage_hash_key), ERR_OK);
    assert_int_equal(tape_replay(t, b), wanted);
}

static void the_journal_alone_makes_the_same_book(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct stage s;
        struct book again;
        uint64_t bad_no;
        live(&s, seed);
        a_book_from_its_journal(&again, &s.tape, ERR_OK);
        assert_true(book_hash(&again) == book_hash(&s.b));
        assert_int_equal(book_check(&again, &bad_no), ERR_OK);
        book_fini(&again);
        stage_fini(&s);
    }
}

/* Rows swept at any moment, each at its own: what they hold already is not applied again. */
static void rows_of_any_age_end_up_the_same(void **state)
{
    struct prng random = {11};

    (void)state;
    for (int round = 0; round < 30; round++) {
        struct stage s;
        struct book again, young;
        struct account rows[16];
        uint64_t as_of[16];
        live(&s, 77);
        assert_int_equal(book_init(&again, 1, 1000, stage_hash_key), ERR_OK);
        for (uint64_t no = 1; no <= s.b.account_count;
             no++) { /* the book as it was at a random moment after the opening */
            const uint64_t at =
                book_account(&s.b, no)->created_us > s.tape.records[s.tape.count - 1].time_us
                    ? s.tape.count
                    : prng_below(&random, s.tape.count + 1);
            struct tape part = s.tape;
            part.count = at;
            a_book_from_its_journal(&young, &part, ERR_OK);
            while (young.account_count < no) {
                part.count++;
                assert_int_equal(book_replay(&young, &s.tape.records[part.count - 1], 0, 0), ERR_OK);
            }
            rows[no - 1] = *book_account(&young, no);
            rows[no - 1].id = book_account(&s.b, no)->id;
            as_of[no - 1] = part.count;
            assert_int_equal(book_load(&again, &rows[no - 1]), ERR_OK);
            book_fini(&young);
        }
        for (size_t i = 0; i < s.tape.count; i++) {
            const struct record *r = &s.tape.records[i];
            const uint64_t debit_as_of = r->debit == 0 ? 0 : as_of[r->debit - 1];
            const uint64_t credit_as_of = r->credit == 0 ? 0 : as_of[r->credit - 1];
            uint64_t from = 0;
            assert_int_equal(book_replay(&again, r, debit_as_of, credit_as_of), ERR_OK);
            if (r->kind != RECORD_OPEN && r->debit != 0 &&
                r->seq > debit_as_of) { /* its row is older now */
                assert_true(book_dirty_next(&again, r->debit, 1, &from) == r->debit);
            }
        }
        for (uint64_t no = 1; no <= s.b.account_count; no++) {
            uint64_t next;
            bool is_dirty = book_dirty_next(&again, no, 1, &next) == no;
            assert_true(is_dirty == (book_account(&s.b, no)->last_seq > as_of[no - 1]));
        }
        keys_cut(&s.b.keys, 0); /* rows hold none */
        assert_true(book_hash(&again) == book_hash(&s.b));
        book_fini(&again);
        stage_fini(&s);
    }
}

/* A book with @world (1), a (2: 100.00, 5.00 held), b (3: 20.00); the next record is 10. */
static void small_book(struct book *b)
{
    static const struct account rows[] = {
        {.id = "@world", .id_len = 6, .balance = -12000, .last_seq = 7},
        {.id = "a", .id_len = 1, .balance = 10000, .held = 500, .last_seq = 8},
        {.id = "b", .id_len = 1, .balance = 2000, .last_seq = 9},
    };

    assert_int_equal(book_init(b, 1, 10, stage_hash_key), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct account row = rows[i];
        row.currency = cur("CNY").code;
        row.exponent = 2;
        assert_int_equal(book_load(b, &row), ERR_OK);
    }
    b->last_seq = 9;
    b->last_time_us = 1000;
}

static const struct record good = {.seq = 10,
                                   .time_us = 1000,
                                   .kind = RECORD_TRANSFER,
                                   .debit = 2,
                                   .credit = 3,
                                   .amount = 100,
                                   .debit_balance = 9900,
                                   .credit_balance = 2100,
                                   .debit_prev = 8,
                                   .credit_prev = 9};

/* Replayed, the record is refused, and the book is as it was. */
static void assert_refused(struct record r)
{
    struct book b;
    uint64_t before;

    small_book(&b);
    before = book_hash(&b);
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_CORRUPT);
    assert_true(book_hash(&b) == before);
    book_fini(&b);
}

#define REFUSED_WITH(field, value) \
    do { \
        struct record r_ = good; \
        r_.field = (value); \
        assert_refused(r_); \
    } while (0)

static void the_good_record_is_good(void **state)
{
    struct book b;

    (void)state;
    small_book(&b);
    assert_int_equal(book_replay(&b, &good, 0, 0), ERR_OK);
    assert_true(book_account(&b, 2)->balance == 9900 && book_account(&b, 3)->balance == 2100);
    assert_true(b.last_seq == 10 && book_account(&b, 3)->version == 1);
    book_fini(&b);
}

static void a_record_that_contradicts_the_book_is_refused(void **state)
{
    (void)state;
    REFUSED_WITH(seq, 9);
    REFUSED_WITH(seq, 11);
    REFUSED_WITH(time_us, 999);
    REFUSED_WITH(kind, RECORD_NONE);
    REFUSED_WITH(debit, 4);
    REFUSED_WITH(debit, 1);
    REFUSED_WITH(debit, UINT64_MAX);
    REFUSED_WITH(amount, 101);
    REFUSED_WITH(debit_balance, 9901);
    REFUSED_WITH(debit_prev, 7);
}

/* The second side is looked at before the first one is changed. */
static void a_lie_on_the_second_side_changes_nothing(void **state)
{
    (void)state;
    REFUSED_WITH(credit, 4);
    REFUSED_WITH(credit, 1);
    REFUSED_WITH(credit, UINT64_MAX);
    REFUSED_WITH(credit_balance, 2099);
    REFUSED_WITH(credit_prev, 8);
}

static struct record held_record(int64_t held)
{
    return (struct record){.seq = 10,
                           .time_us = 1000,
                           .kind = RECORD_TRANSFER,
                           .debit = 2,
                           .held = held,
                           .debit_balance = 10000,
                           .debit_prev = 8};
}

static void held_money_never_falls_below_zero(void **state)
{
    struct record r = held_record(-500);
    struct book b;

    (void)state;
    small_book(&b);
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_OK);
    assert_true(book_account(&b, 2)->held == 0);
    book_fini(&b);
    assert_refused(held_record(-501));
    REFUSED_WITH(held, -501);
}

/* Records with right checksums and absurd numbers must not bring a sum past its type. */
static void held_money_does_not_creep_past_its_type(void **state)
{
    struct record r = held_record(MONEY_MINOR_MAX);
    struct book b;
    enum err e = ERR_OK;

    (void)state;
    small_book(&b);
    for (int i = 0; e == ERR_OK && i < 20000; i++) {
        e = book_replay(&b, &r, 0, 0);
        r.debit_prev = r.seq++;
    }
    assert_int_equal(e, ERR_CORRUPT);
    book_fini(&b);
}

/* Nobody can hold more than a balance and an overdraft at their ceilings. */
static void held_money_has_a_ceiling(void **state)
{
    struct record r = held_record(MONEY_MINOR_MAX);
    struct book b;

    (void)state;
    small_book(&b); /* 500 are held */
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_OK);
    r.debit_prev = r.seq++;
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_CORRUPT);
    r.held = MONEY_MINOR_MAX - 500;
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_OK);
    assert_true(book_account(&b, 2)->held == 2 * MONEY_MINOR_MAX);
    book_fini(&b);
}

/* A row that was loaded with numbers at the end of their type: the sum is refused, not wrapped. */
static void refuses_what_would_overflow(void **state)
{
    struct record r = good;
    struct account *a;
    struct book b;

    (void)state;
    small_book(&b);
    a = (struct account *)book_account(&b, 2);
    a->held = INT64_MAX;
    r.held = 1;
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_CORRUPT);
    a->held = 0;
    r.held = 0;
    a->balance = INT64_MIN;
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_CORRUPT);
    a->balance = 10000;
    ((struct account *)book_account(&b, 3))->balance = INT64_MAX;
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_CORRUPT);
    book_fini(&b);
}

static struct record open_record(uint64_t no, struct slice extra)
{
    return (struct record){
        .seq = 10, .time_us = 1000, .kind = RECORD_OPEN, .credit = no, .amount = 77, .extra = extra};
}

static void an_opening_is_checked(void **state)
{
    struct record r = open_record(4, SLICE("\1\1\0c\2\4\0JPY\0\4\2\0{}"));
    struct account_view view;
    struct book b;
    uint64_t next;

    (void)state;
    small_book(&b);
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_OK);
    assert_true(book_find(&b, SLICE("c"), &view));
    assert_true(view.no == 4 && view.overdraft == 77 && view.exponent == 0 && view.version == 1 &&
                view.entries == 0);
    assert_true(view.created_us == 1000 && view.updated_us == 1000 && view.metadata_seq == 10);
    assert_int_equal(book_dirty_next(&b, 1, 100, &next), 4);
    book_fini(&b);
    assert_refused(open_record(5, SLICE("\1\1\0c\2\4\0CNY\2")));      /* a number is left out */
    assert_refused(open_record(4, SLICE("\1\1\0a\2\4\0CNY\2")));      /* a is there */
    assert_refused(open_record(4, SLICE("\1\6\0@world\2\4\0CNY\2"))); /* so is its world */
    assert_refused(open_record(4, SLICE("\1\1\0c")));
    assert_refused(open_record(4, SLICE("\2\4\0CNY\2")));
    assert_refused(open_record(4, SLICE("")));
    assert_refused(open_record(4, SLICE("\1\1\0")));
}

static void a_refusal_moves_position_and_time_alone(void **state)
{
    struct record r = {
        .seq = 10, .time_us = 2000, .kind = RECORD_REFUSAL, .extra = SLICE("\5\3\0\3\6\1")};
    struct book b;
    uint64_t before;

    (void)state;
    small_book(&b);
    before = book_hash(&b);
    assert_int_equal(book_replay(&b, &r, 0, 0), ERR_OK);
    assert_true(b.last_seq == 10 && b.last_time_us == 2000);
    b.last_seq = 9;
    b.last_time_us = 1000;
    assert_true(book_hash(&b) == before);
    book_fini(&b);
}

/* Each allocation of an opening fails; the same record then goes through. */
static void an_opening_may_run_out_of_memory(void **state)
{
    struct stage s;

    (void)state;
    live(&s, 3);
    for (uint64_t nth = 1;; nth++) {
        struct book again;
        bool has_failed = false;
        assert_int_equal(book_init(&again, 1, 1000, stage_hash_key), ERR_OK);
        mem_fail_at(nth, 0);
        for (size_t i = 0; i < s.tape.count; i++) {
            enum err e = book_replay(&again, &s.tape.records[i], 0, 0);
            if (e == ERR_NOMEM) {
                assert_false(has_failed);
                has_failed = true;
                assert_true(again.last_seq == i);
                e = book_replay(&again, &s.tape.records[i], 0, 0);
            }
            assert_int_equal(e, ERR_OK);
        }
        mem_fail_at(0, 0);
        keys_cut(&s.b.keys, 0);
        assert_true(book_hash(&again) == book_hash(&s.b));
        book_fini(&again);
        if (!has_failed) {
            assert_true(nth > 3);
            break;
        }
    }
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_journal_alone_makes_the_same_book),
        cmocka_unit_test(rows_of_any_age_end_up_the_same),
        cmocka_unit_test(the_good_record_is_good),
        cmocka_unit_test(a_record_that_contradicts_the_book_is_refused),
        cmocka_unit_test(a_lie_on_the_second_side_changes_nothing),
        cmocka_unit_test(held_money_never_falls_below_zero),
        cmocka_unit_test(held_money_does_not_creep_past_its_type),
        cmocka_unit_test(held_money_has_a_ceiling),
        cmocka_unit_test(refuses_what_would_overflow),
        cmocka_unit_test(an_opening_is_checked),
        cmocka_unit_test(a_refusal_moves_position_and_time_alone),
        cmocka_unit_test(an_opening_may_run_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

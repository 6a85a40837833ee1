/* Storage of the book: accounts by number and id, room and its lack, undo, loading, checking, and the sweep. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/prng.h"
#include "money/money.h"
#include "unit/base/death.h"
#include "unit/ledger/stage.h"

static void starting_may_run_out_of_memory(void **state)
{
    struct book b;
    struct book_fx fx;

    (void)state;
    mem_fail_at(1, 0);
    assert_int_equal(book_init(&b, 10, 10, stage_hash_key), ERR_NOMEM);
    book_fini(&b);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_at(nth, 0);
        assert_int_equal(book_fx_init(&fx, 10), ERR_NOMEM);
        assert_true(fx.records == NULL && fx.marks == NULL);
        book_fx_fini(&fx);
    }
    mem_fail_at(3, 0);
    assert_int_equal(book_fx_init(&fx, 10), ERR_OK);
    mem_fail_at(0, 0);
    assert_true(fx.record_cap == 10 && fx.mark_cap == 20);
    book_fx_fini(&fx);
    book_fx_fini(&fx);
}

/* The nth of many ids, of every length there is. */
static struct slice name_of(unsigned n, char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8])
{
    const int len = snprintf(text, LEDGER_ACCOUNT_ID_BYTES_MAX + 8, "%u-", n);
    const size_t wanted = (size_t)len + n % (LEDGER_ACCOUNT_ID_BYTES_MAX - (unsigned)len + 1);

    memset(text + len, 'x', wanted - (size_t)len);
    return slice_make(text, wanted);
}

static struct posting open_of(struct stage *s, struct slice id)
{
    const struct posting_words words = {.open_currency = cur("CNY")};
    struct posting p;
    struct slice copy;

    assert_int_equal(arena_copy(&s->arena, id, &copy), ERR_OK);
    assert_int_equal(posting_open(&s->arena, copy, dec("0"), &words, &p), ERR_OK);
    return p;
}

enum { MANY = 3 * BOOK_SEGMENT + 5 };

static void finds_each_of_many(void **state)
{
    struct stage s;
    struct account_view view;
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];

    (void)state;
    stage_init(&s);
    assert_false(book_find(&s.b, SLICE("a"), &view));
    for (unsigned n = 0; n < MANY; n++) {
        struct posting_result r = stage_must(&s, open_of(&s, name_of(n, text)), OUTCOME_OK);
        assert_int_equal(r.opened.no, n + 2); /* the world is 1 */
        if (n % 100 == 0) {
            stage_commit(&s);
            arena_reset(&s.arena); /* the book has ids of its own */
        }
    }
    for (unsigned n = 0; n < MANY; n++) {
        struct slice id = name_of(n, text);
        assert_true(book_find(&s.b, id, &view));
        assert_true(view.no == n + 2 && slice_equal(view.id, id) && view.version == 1);
        assert_true(view.created_us == book_account(&s.b, n + 2)->created_us);
        assert_false(book_find(&s.b, slice_make(id.ptr, id.len - 1), &view) && view.no == n + 2);
    }
    assert_false(book_find(&s.b, name_of(MANY, text), &view));
    assert_false(book_find(&s.b, SLICE(""), &view));
    assert_false(book_find(&s.b, LEDGER_WORLD, &view)); /* nobody's to ask for */
    stage_fini(&s);
}

/* Ids that the index cannot tell apart (found by search, under the stage's key): only the ids themselves can. */
static void ids_of_one_hash_are_told_apart(void **state)
{
    static const char *const twins[] = {"c2359910", "c3118126"};
    const uint64_t a = hash_bytes(&stage_hash_key, slice_of(twins[0]));
    const uint64_t b = hash_bytes(&stage_hash_key, slice_of(twins[1]));
    struct account_view view;
    struct book_point before;
    struct stage s;

    (void)state;
    assert_true(a >> 56 == b >> 56 && (uint32_t)a == (uint32_t)b);
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, twins[0], "1"), OUTCOME_OK);
    assert_false(book_find(&s.b, slice_of(twins[1]), &view));
    (void)stage_must(&s, stage_debit(&s, twins[1], "1"), OUTCOME_ACCOUNT_NOT_FOUND);
    before = book_point_get(&s.b, &s.fx);
    (void)stage_must(&s, stage_credit(&s, twins[1], "2"), OUTCOME_OK);
    assert_true(stage_view(&s, twins[0]).balance == 100 && stage_view(&s, twins[1]).balance == 200);
    book_undo(&s.b, &s.fx, &before);
    assert_true(stage_view(&s, twins[0]).balance == 100);
    assert_false(book_find(&s.b, slice_of(twins[1]), &view));
    stage_fini(&s);
}

static void counts_what_a_posting_needs(void **state)
{
    struct posting p = {.kind = RECORD_OPEN, .leg_count = 1};

    (void)state;
    assert_int_equal(book_records_of(&p), 2);
    p = (struct posting){.kind = RECORD_CREDIT, .leg_count = 2};
    assert_int_equal(book_records_of(&p), 7);
    p.leg_count = LEDGER_LEGS_MAX;
    assert_int_equal(book_records_of(&p), 301);
}

/* One place short in each of the three lists: full; exactly enough: not. */
static void says_when_the_batch_is_full(void **state)
{
    struct stage s;
    struct posting p;

    (void)state;
    stage_init_with(&s, 7, 14, 10);
    p = stage_credit(&s, "a", "1");
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_OK);
    s.fx.record_count = 1;
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_FULL);
    s.fx.record_count = 0;
    s.fx.mark_count = 1;
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_FULL);
    s.fx.mark_count = 0;
    s.b.undo_count = 1;
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_FULL);
    s.b.undo_count = 0;
    assert_int_equal(stage_apply(&s, &p, &(struct posting_result){0}), OUTCOME_OK);
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_FULL);
    stage_commit(&s); /* makes room again */
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_OK);
    stage_fini(&s);
}

static void apply_and_undo(struct stage *s, unsigned from, unsigned count)
{
    const struct book_point before = book_point_get(&s->b, &s->fx);
    const uint64_t hash = book_hash(&s->b);
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];

    for (unsigned n = from; n < from + count; n++) {
        struct posting p = open_of(s, name_of(n, text));
        enum err e = book_reserve(&s->b, &p, &s->fx);
        struct posting_result out;
        if (e == ERR_FULL) {
            break;
        }
        assert_int_equal(e, ERR_OK);
        assert_int_equal(book_apply(&s->b, &p, s->now_us, &s->fx, &out), OUTCOME_OK);
    }
    book_undo(&s->b, &s->fx, &before);
    assert_true(book_hash(&s->b) == hash);
    assert_int_equal(s->fx.record_count, before.record_count);
}

/* Over every border that storage has: segments of accounts, chunks of ids. */
static void undoes_openings_across_borders(void **state)
{
    struct stage s;
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];

    (void)state;
    stage_init(&s);
    apply_and_undo(&s, 0, 3); /* the first of all, world included */
    assert_true(s.b.account_count == 0 && s.b.world_count == 0);
    for (unsigned n = 0; n < 2 * BOOK_SEGMENT; n++) {
        if (n % 50 == 0) {
            stage_commit(&s);
            apply_and_undo(&s, n, 100);
        }
        (void)stage_must(&s, open_of(&s, name_of(n, text)), OUTCOME_OK);
    }
    for (unsigned n = 0; n < 2 * BOOK_SEGMENT; n++) {
        struct account_view view;
        assert_true(book_find(&s.b, name_of(n, text), &view) && view.no == n + 2);
    }
    stage_fini(&s);
}

/* One posting that opens two accounts, the second of them the first of a new segment. */
static void opens_two_across_a_border(void **state)
{
    struct stage s;
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];

    (void)state;
    stage_init(&s);
    for (unsigned n = 0; n < BOOK_SEGMENT - 2; n++) {
        (void)stage_must(&s, open_of(&s, name_of(n, text)), OUTCOME_OK);
    }
    assert_int_equal(s.b.account_count, BOOK_SEGMENT - 1);
    (void)stage_must(&s, stage_open(&s, "yen", "JPY", "0"), OUTCOME_OK);
    assert_int_equal(s.b.account_count, BOOK_SEGMENT + 1);
    assert_int_equal(stage_view(&s, "yen").no, BOOK_SEGMENT + 1);
    stage_fini(&s);
}

/* A disk that stays full undoes every batch: that must not cost memory each time. */
static void undone_openings_give_their_memory_back(void **state)
{
    struct stage s;
    const struct id_chunk *ids;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    stage_commit(&s);
    ids = s.b.ids;
    for (unsigned n = 0; n < 20000; n++) {
        apply_and_undo(&s, n, 1);
        arena_reset(&s.arena);
    }
    assert_ptr_equal(s.b.ids, ids);
    stage_fini(&s);
}

static void undoes_everything_to_each_point(void **state)
{
    enum { POINTS = 12 };
    struct book_point points[POINTS];
    uint64_t hashes[POINTS];
    struct stage s;
    struct idem keys[POINTS];

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "100"), OUTCOME_OK);
    stage_commit(&s);
    for (int i = 0; i < POINTS; i++) {
        struct posting p;
        points[i] = book_point_get(&s.b, &s.fx);
        hashes[i] = book_hash(&s.b);
        keys[i] = stage_key((char)i, 'x');
        switch (i % 4) {
        case 0:
            p = stage_credit(&s, i == 0 ? "b" : i == 4 ? "c" : "d", "5"); /* opens */
            break;
        case 1:
            p = stage_open(&s,
                           i == 1   ? "yen"
                           : i == 5 ? "dinar"
                                    : "dollar",
                           i == 1   ? "JPY"
                           : i == 5 ? "KWD"
                                    : "USD",
                           "3");
            break;
        case 2:
            p = stage_transfer(&s, "a", "b", "1");
            break;
        default:
            p = stage_debit(&s, "b", "10000"); /* a refusal that is remembered */
        }
        p.idem = &keys[i];
        s.now_us += 1000;
        (void)stage_must(&s, p, i % 4 == 3 ? OUTCOME_INSUFFICIENT_BALANCE : OUTCOME_OK);
        assert_true(book_hash(&s.b) != hashes[i]);
    }
    for (int i = POINTS - 1; i >= 0; i--) {
        book_undo(&s.b, &s.fx, &points[i]);
        assert_true(book_hash(&s.b) == hashes[i]);
        assert_true(s.fx.record_count == points[i].record_count &&
                    s.fx.mark_count == points[i].mark_count);
        assert_true(keys_find(&s.b.keys, keys[i].scope) == 0);
    }
    assert_int_equal(s.fx.record_count, 0);
    (void)stage_must(&s, stage_credit(&s, "b", "5"), OUTCOME_OK); /* life goes on */
    assert_int_equal(stage_view(&s, "b").no, 3);
    stage_fini(&s);
}

/* A batch that was undone leaves no mark behind, and the next one makes it at the same entry. */
static void undoes_history_marks(void **state)
{
    struct stage s;
    struct book_point before;

    (void)state;
    stage_init(&s);
    for (int i = 1; i < LEDGER_MARK_EVERY; i++) {
        (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    }
    assert_int_equal(s.fx.mark_count, 0);
    for (int round = 0; round < 2; round++) {
        before = book_point_get(&s.b, &s.fx);
        (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
        assert_int_equal(s.fx.mark_count, 2); /* a's, and the world's */
        assert_true(s.fx.marks[0].n == LEDGER_MARK_EVERY && s.fx.marks[0].seq == s.b.last_seq);
        assert_true(s.fx.marks[0].time_us == s.b.last_time_us);
        assert_true(s.fx.marks[0].account + s.fx.marks[1].account == 1 + 2);
        if (round == 0) {
            book_undo(&s.b, &s.fx, &before);
            assert_int_equal(s.fx.mark_count, 0);
        }
    }
    stage_fini(&s);
}

/* Each allocation of a reserve fails in its turn: the book is as it was, and the second try works. */
static void a_failed_reserve_changes_nothing(void **state)
{
    struct stage s;
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];
    unsigned failures = 0;

    (void)state;
    stage_init_with(&s, 20, 40, 1 << 20);
    for (unsigned n = 0; n < 5 * BOOK_SEGMENT; n++) {
        struct idem idem = stage_key('k', 'f');
        struct posting p = open_of(&s, name_of(n, text));
        const uint64_t accounts = s.b.account_count, keys = s.b.keys.next;
        enum err e = ERR_NOMEM;
        memcpy(idem.scope, &n, sizeof(n));
        p.idem = &idem;
        for (uint64_t nth = 1; e == ERR_NOMEM; nth++) {
            mem_fail_at(nth, 0);
            e = book_reserve(&s.b, &p, &s.fx);
            mem_fail_at(0, 0);
            failures += e == ERR_NOMEM;
            assert_true(s.b.account_count == accounts && s.b.keys.next == keys);
        }
        mem_fail_at(1, 1);
        assert_int_equal(book_apply(&s.b, &p, s.now_us++, &s.fx, &(struct posting_result){0}),
                         OUTCOME_OK);
        assert_int_equal(mem_asked(), 0); /* nothing allocates in apply */
        mem_fail_at(0, 0);
        book_commit(&s.b, &s.fx);
        arena_reset(&s.arena);
    }
    assert_true(failures > 1000);
    for (unsigned n = 0; n < 5 * BOOK_SEGMENT; n++) {
        struct account_view view;
        assert_true(book_find(&s.b, name_of(n, text), &view) && view.no == n + 2);
    }
    stage_fini(&s);
}

static struct account row_of(const char *id, const char *currency)
{
    return (struct account){.id = id,
                            .id_len = (uint8_t)strlen(id),
                            .currency = cur(currency).code,
                            .exponent = 2,
                            .version = 1};
}

/* One below, at, and one above the number of accounts that positions can tell apart. */
static void accounts_have_a_ceiling(void **state)
{
    const struct account row = {.id = "b", .id_len = 1, .currency = 1, .version = 1};
    struct stage s;
    struct posting p;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    p = stage_open(&s, "new", "CNY", "0"); /* may open two: its world as well */
    s.b.account_count = BOOK_ACCOUNTS_MAX - 1;
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_NOMEM);
    s.b.account_count = BOOK_ACCOUNTS_MAX;
    assert_int_equal(book_load(&s.b, &row), ERR_NOMEM);
    s.b.account_count = 2;
    assert_int_equal(book_reserve(&s.b, &p, &s.fx), ERR_OK);
    assert_int_equal(book_load(&s.b, &row), ERR_OK);
    stage_fini(&s);
}

static void loads_rows_and_refuses_twins(void **state)
{
    struct account world = row_of("@world", "CNY"), a = row_of("a", "CNY"),
                   dollars = row_of("@world", "USD");
    struct account_view view;
    struct book b;

    (void)state;
    assert_int_equal(book_init(&b, 1, 1, stage_hash_key), ERR_OK);
    a.balance = 5;
    a.status = ACCOUNT_FROZEN;
    assert_int_equal(book_load(&b, &world), ERR_OK);
    assert_int_equal(book_load(&b, &a), ERR_OK);
    assert_int_equal(book_load(&b, &a), ERR_CORRUPT);
    a.currency = dollars.currency; /* the same id, whatever else it is */
    assert_int_equal(book_load(&b, &a), ERR_CORRUPT);
    assert_int_equal(book_load(&b, &world), ERR_CORRUPT);
    assert_int_equal(book_load(&b, &dollars), ERR_OK);
    assert_true(b.account_count == 3 && b.world_count == 2);
    assert_true(book_find(&b, SLICE("a"), &view));
    assert_true(view.no == 2 && view.balance == 5 && view.status == ACCOUNT_FROZEN &&
                view.currency.code == cur("CNY").code);
    book_fini(&b);
}

static void loads_so_many_worlds_and_no_more(void **state)
{
    struct account world = row_of("@world", "CNY");
    struct book b;

    (void)state;
    assert_int_equal(book_init(&b, 1, 1, stage_hash_key), ERR_OK);
    for (uint32_t i = 1; i <= BOOK_CURRENCIES_MAX; i++) {
        world.currency = i;
        assert_int_equal(book_load(&b, &world), ERR_OK);
    }
    world.currency = BOOK_CURRENCIES_MAX + 1;
    assert_int_equal(book_load(&b, &world), ERR_CORRUPT);
    assert_int_equal(b.account_count, BOOK_CURRENCIES_MAX);
    book_fini(&b);
}

static void a_failed_load_changes_nothing(void **state)
{
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];
    unsigned failures = 0;
    struct book b;

    (void)state;
    assert_int_equal(book_init(&b, 1, 1, stage_hash_key), ERR_OK);
    for (unsigned n = 0; n < 5 * BOOK_SEGMENT; n++) {
        struct slice id = name_of(n, text);
        struct account row = row_of("", "CNY");
        enum err e = ERR_NOMEM;
        row.id = id.ptr;
        row.id_len = (uint8_t)id.len;
        for (uint64_t nth = 1; e == ERR_NOMEM; nth++) {
            mem_fail_at(nth, 0);
            e = book_load(&b, &row);
            mem_fail_at(0, 0);
            failures += e == ERR_NOMEM;
            assert_int_equal(b.account_count, e == ERR_OK ? n + 1 : n);
        }
        assert_int_equal(e, ERR_OK);
    }
    assert_true(failures > 1000);
    for (unsigned n = 0; n < 5 * BOOK_SEGMENT; n++) {
        struct account_view view;
        assert_true(book_find(&b, name_of(n, text), &view) && view.no == n + 1);
    }
    book_fini(&b);
}

/* World -600.00, a 100.00 with 40.00 held, b 500.00; world of yen 0, y 0 with an overdraft. */
static void check_book(struct book *b)
{
    struct account rows[] = {row_of("@world", "CNY"), row_of("a", "CNY"), row_of("b", "CNY"),
                             row_of("@world", "JPY"), row_of("y", "JPY")};

    rows[0].balance = -60000;
    rows[1].balance = 10000;
    rows[1].held = 4000;
    rows[2].balance = 50000;
    rows[4].overdraft = 100;
    assert_int_equal(book_init(b, 1, 1, stage_hash_key), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(book_load(b, &rows[i]), ERR_OK);
    }
}

enum field { BALANCE, HELD, OVERDRAFT };

/* Add to one number of one account (and to the other side, so that the sum stays): what does the check say? */
static void tamper(uint64_t no, enum field field, int64_t add, uint64_t other, uint64_t wanted_no,
                   enum err wanted)
{
    struct book b;
    struct account *a;
    int64_t *number;
    uint64_t bad_no = 77;

    check_book(&b);
    a = (struct account *)book_account(&b, no);
    number = field == BALANCE ? &a->balance : field == HELD ? &a->held : &a->overdraft;
    *number += add;
    if (other != 0) {
        ((struct account *)book_account(&b, other))->balance -= add;
    }
    assert_int_equal(book_check(&b, &bad_no), wanted);
    assert_int_equal(bad_no, wanted_no);
    book_fini(&b);
}

static void the_check_finds_what_does_not_sum_to_zero(void **state)
{
    (void)state;
    tamper(2, BALANCE, 0, 0, 0, ERR_OK);
    tamper(2, BALANCE, 1, 0, 0, ERR_CORRUPT);
    tamper(2, BALANCE, -1, 0, 0, ERR_CORRUPT);
    tamper(1, BALANCE, 1, 0, 0, ERR_CORRUPT);
    tamper(5, BALANCE, 1, 0, 0, ERR_CORRUPT);
    tamper(2, BALANCE, 1, 5, 0, ERR_CORRUPT); /* equal and opposite, but in two currencies */
    tamper(2, BALANCE, 1, 3, 0, ERR_OK);      /* between two accounts only a history could tell */
}

static void the_check_finds_accounts_out_of_bounds(void **state)
{
    (void)state;
    tamper(2, BALANCE, -6000, 3, 0, ERR_OK); /* all that is left is held */
    tamper(2, BALANCE, -6001, 3, 2, ERR_CORRUPT);
    tamper(2, HELD, 6000, 0, 0, ERR_OK);
    tamper(2, HELD, 6001, 0, 2, ERR_CORRUPT);
    tamper(2, HELD, -4000, 0, 0, ERR_OK);
    tamper(2, HELD, -4001, 0, 2, ERR_CORRUPT);
    tamper(5, BALANCE, -100, 4, 0, ERR_OK);
    tamper(5, BALANCE, -101, 4, 5, ERR_CORRUPT);
    tamper(2, BALANCE, MONEY_MINOR_MAX - 10000, 1, 0, ERR_OK);
    tamper(2, BALANCE, MONEY_MINOR_MAX - 9999, 1, 2, ERR_CORRUPT);
}

/* Numbers far outside must not bring the check's own arithmetic to overflow, and so to agree. */
static void the_check_is_not_fooled_by_absurd_numbers(void **state)
{
    (void)state;
    tamper(5, OVERDRAFT, MONEY_MINOR_MAX - 100, 0, 0, ERR_OK);
    tamper(5, OVERDRAFT, MONEY_MINOR_MAX - 99, 0, 5, ERR_CORRUPT);
    tamper(2, OVERDRAFT, -1, 0, 2, ERR_CORRUPT);
    tamper(2, OVERDRAFT, INT64_MAX, 0, 2, ERR_CORRUPT);
    tamper(2, HELD, INT64_MAX - 4000, 0, 2, ERR_CORRUPT);
    tamper(2, BALANCE, INT64_MIN, 1, 2, ERR_CORRUPT);
    tamper(1, HELD, 1, 0, 1, ERR_CORRUPT); /* the world holds nothing */
    tamper(1, OVERDRAFT, 1, 0, 1, ERR_CORRUPT);
}

static void the_check_wants_a_world_for_each_currency(void **state)
{
    struct account lone = row_of("a", "USD");
    struct book b;
    uint64_t bad_no;

    (void)state;
    assert_int_equal(book_init(&b, 1, 1, stage_hash_key), ERR_OK);
    assert_int_equal(book_check(&b, &bad_no), ERR_OK); /* nothing is right */
    assert_int_equal(book_load(&b, &lone), ERR_OK);
    assert_int_equal(book_check(&b, &bad_no), ERR_CORRUPT);
    assert_int_equal(bad_no, 1);
    book_fini(&b);
    check_book(&b); /* there are worlds, but not its own */
    lone.id = "lone";
    lone.id_len = 4;
    assert_int_equal(book_load(&b, &lone), ERR_OK);
    assert_int_equal(book_check(&b, &bad_no), ERR_CORRUPT);
    assert_int_equal(bad_no, 6);
    book_fini(&b);
}

/* Ten thousand full accounts are past int64; it must still be exact. */
static void the_check_sums_past_int64(void **state)
{
    enum { ACCOUNTS = 20000 };
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];
    struct account row = row_of("@world", "CNY");
    struct book b;
    uint64_t bad_no;

    (void)state;
    assert_int_equal(book_init(&b, 1, 1, stage_hash_key), ERR_OK);
    assert_int_equal(book_load(&b, &row), ERR_OK);
    for (unsigned n = 0; n < ACCOUNTS; n++) {
        struct slice id = name_of(n, text);
        row.id = id.ptr;
        row.id_len = (uint8_t)id.len;
        row.balance = n < ACCOUNTS / 2 ? MONEY_MINOR_MAX : -MONEY_MINOR_MAX;
        row.overdraft = n < ACCOUNTS / 2 ? 0 : MONEY_MINOR_MAX;
        assert_int_equal(book_load(&b, &row), ERR_OK);
    }
    assert_int_equal(book_check(&b, &bad_no), ERR_OK);
    book_fini(&b);
}

static void the_sweep_agrees_with_a_list(void **state)
{
    enum { ACCOUNTS = 700 };
    struct stage s;
    struct prng random = {9};
    bool is_dirty[ACCOUNTS + 1] = {false};
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 8];

    (void)state;
    stage_init(&s);
    for (unsigned n = 0; n < ACCOUNTS - 1; n++) {
        (void)stage_must(&s, open_of(&s, name_of(n, text)), OUTCOME_OK);
    }
    assert_int_equal(s.b.account_count, ACCOUNTS);
    for (int round = 0; round < 20000; round++) {
        uint64_t from = 1 + prng_below(&random, ACCOUNTS + 1);
        uint64_t most = 1 + prng_below(&random, prng_below(&random, 2) == 0 ? 70 : 2000);
        uint64_t next = 77, wanted = 0, wanted_next = 0;
        uint64_t no = 1 + prng_below(&random, ACCOUNTS);
        is_dirty[no] = prng_below(&random, 8) == 0;
        book_dirty_set(&s.b, no, is_dirty[no]);
        for (uint64_t at = from; at < from + most && at <= ACCOUNTS; at++) {
            wanted_next = at < ACCOUNTS ? at + 1 : 0;
            if (is_dirty[at]) {
                wanted = at;
                break;
            }
        }
        assert_int_equal(book_dirty_next(&s.b, from, most, &next), wanted);
        assert_int_equal(next, wanted_next);
    }
    stage_fini(&s);
}

static void the_sweep_of_nothing(void **state)
{
    struct stage s;
    uint64_t next = 77;

    (void)state;
    stage_init(&s);
    assert_int_equal(book_dirty_next(&s.b, 1, 1000, &next), 0);
    assert_int_equal(next, 0);
    stage_fini(&s);
}

/* What moved is dirty; what was only opened is not, for its row comes with the same commit; nor what a refusal named. */
static void a_movement_makes_both_sides_dirty(void **state)
{
    struct stage s;
    struct book_point before;
    uint64_t next;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_open(&s, "a", "CNY", "0"), OUTCOME_OK);
    (void)stage_must(&s, stage_debit(&s, "a", "1"), OUTCOME_INSUFFICIENT_BALANCE);
    assert_int_equal(book_dirty_next(&s.b, 1, 100, &next), 0);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    assert_int_equal(book_dirty_next(&s.b, 1, 100, &next), 1);
    assert_int_equal(book_dirty_next(&s.b, next, 100, &next), 2);
    assert_int_equal(next, 0);
    book_dirty_set(&s.b, 1, false);
    book_dirty_set(&s.b, 2, false);
    stage_commit(&s);
    before = book_point_get(&s.b, &s.fx);
    (void)stage_must(&s, stage_credit(&s, "new", "1"), OUTCOME_OK);
    assert_int_equal(book_dirty_next(&s.b, 2, 100, &next), 3);
    book_undo(&s.b, &s.fx, &before);
    (void)stage_must(&s, stage_open(&s, "other", "CNY", "0"),
                     OUTCOME_OK); /* has the number that "new" had */
    assert_int_equal(book_dirty_next(&s.b, 2, 100, &next), 0);
    stage_fini(&s);
}

static void account_zero(void *ctx)
{
    (void)book_account(ctx, 0);
}

static void account_past_the_end(void *ctx)
{
    (void)book_account(ctx, 3);
}

static void sweep_past_the_end(void *ctx)
{
    uint64_t next;

    (void)book_dirty_next(ctx, 4, 1, &next);
}

static void a_dirty_stranger(void *ctx)
{
    book_dirty_set(ctx, 1 << 30, true);
}

static void undo_the_future(void *ctx)
{
    struct book_fx fx = {0};
    struct book_point p = book_point_get(ctx, &fx);

    p.account_count++;
    book_undo(ctx, &fx, &p);
}

static void reserve_no_legs(void *ctx)
{
    struct posting p = {.kind = RECORD_TRANSFER, .leg_count = LEDGER_LEGS_MAX + 1};
    struct book_fx fx = {0};
    enum err e = book_reserve(ctx, &p, &fx);

    (void)e;
}

static void aborts_on_misuse(void **state)
{
    struct stage s;

    (void)state;
    stage_init(&s);
    (void)stage_must(&s, stage_credit(&s, "a", "1"), OUTCOME_OK);
    assert_true(dies(account_zero, &s.b));
    assert_true(dies(account_past_the_end, &s.b));
    assert_true(dies(sweep_past_the_end, &s.b));
    assert_true(dies(a_dirty_stranger, &s.b));
    assert_true(dies(undo_the_future, &s.b));
    assert_true(dies(reserve_no_legs, &s.b));
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starting_may_run_out_of_memory),
        cmocka_unit_test(finds_each_of_many),
        cmocka_unit_test(ids_of_one_hash_are_told_apart),
        cmocka_unit_test(counts_what_a_posting_needs),
        cmocka_unit_test(says_when_the_batch_is_full),
        cmocka_unit_test(undoes_openings_across_borders),
        cmocka_unit_test(opens_two_across_a_border),
        cmocka_unit_test(undone_openings_give_their_memory_back),
        cmocka_unit_test(undoes_everything_to_each_point),
        cmocka_unit_test(undoes_history_marks),
        cmocka_unit_test(a_failed_reserve_changes_nothing),
        cmocka_unit_test(accounts_have_a_ceiling),
        cmocka_unit_test(loads_rows_and_refuses_twins),
        cmocka_unit_test(loads_so_many_worlds_and_no_more),
        cmocka_unit_test(a_failed_load_changes_nothing),
        cmocka_unit_test(the_check_finds_what_does_not_sum_to_zero),
        cmocka_unit_test(the_check_finds_accounts_out_of_bounds),
        cmocka_unit_test(the_check_is_not_fooled_by_absurd_numbers),
        cmocka_unit_test(the_check_wants_a_world_for_each_currency),
        cmocka_unit_test(the_check_sums_past_int64),
        cmocka_unit_test(the_sweep_agrees_with_a_list),
        cmocka_unit_test(the_sweep_of_nothing),
        cmocka_unit_test(a_movement_makes_both_sides_dirty),
        cmocka_unit_test(aborts_on_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

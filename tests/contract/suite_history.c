/* Histories: order, running balances, filters, times, cursors that stay right, and accounts of thousands of entries. */
#include "contract/contract.h"

#include <stdio.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

/* Everything an account's history is checked against: what the postings themselves were answered. */
struct diary {
    struct posting_result *results; /* of alice's postings, oldest first; owned */
    unsigned count;
    bool is_bucketed; /* bob's positions are not alice's */
};

enum { FLUSH = 500 };

static const char *const diary_reference = "a reference";

/* alice: of each eight postings five credits, two debits, a transfer to bob (with words) and one from bob. */
static void diary_verb(struct call *call, struct client *client, unsigned i)
{
    switch (i % 8) {
    case 3:
    case 5:
        call_debit(call, client, "alice", "0.50");
        break;
    case 6:
        call_post(call, client,
                  &(struct call_words){.kind = RECORD_TRANSFER,
                                       .account = "alice",
                                       .to = "bob",
                                       .amount = "0.25",
                                       .reference = diary_reference,
                                       .metadata = "{\"n\":\"6\"}"});
        break;
    case 7:
        call_transfer(call, client, "bob", "alice", "0.10");
        break;
    default:
        call_credit(call, client, "alice", "1");
    }
}

static void diary_write(struct contract *c, struct diary *d, unsigned count)
{
    d->results = mem_resize(d->results, (d->count + count) * sizeof(*d->results));
    assert_non_null(d->results);
    for (unsigned from = 0; from < count; from += FLUSH) {
        const unsigned some = count - from < FLUSH ? count - from : FLUSH;
        struct call *calls = calls_new(some);
        for (unsigned i = 0; i < some; i++) {
            diary_verb(&calls[i], &c->client, d->count + i);
        }
        calls_run(c, &c->client, calls, some);
        for (unsigned i = 0; i < some; i++) {
            assert_int_equal(calls[i].op.status, STORE_DONE);
            assert_int_equal(calls[i].op.result.outcome, OUTCOME_OK);
            d->results[d->count++] = calls[i].op.result;
        }
        calls_free(calls, some);
    }
}

static void diary_begin(struct contract *c, struct diary *d, unsigned count)
{
    *d = (struct diary){.is_bucketed = c->kind->is_bucketed};
    must_credit(c, "bob", "1000", OUTCOME_OK);
    must_credit(c, "carol", "1000", OUTCOME_OK);
    diary_write(c, d, count);
}

/* Entry i of the diary, as the history must tell it. */
static void assert_entry(const struct diary *d, unsigned i, const struct store_entry *e)
{
    const struct posting_result *r = &d->results[i];
    const bool is_in = i % 8 != 3 && i % 8 != 5 && i % 8 != 6;
    const int64_t balance = i % 8 == 7 ? r->sides[1].balance : r->sides[0].balance;

    assert_true(e->seq == r->seq || (d->is_bucketed && i % 8 == 7 && e->seq > 0));
    assert_true(e->time_us == r->time_us && e->tag == r->tag && e->kind == r->kind);
    assert_true(e->amount == (is_in ? r->amount : -r->amount) && e->balance == balance);
    assert_true(e->account.len == 0);
    if (i % 8 >= 6) {
        assert_true(slice_equal(e->counterparty, SLICE("bob")));
    } else {
        assert_true(slice_equal(e->counterparty, LEDGER_WORLD));
    }
    assert_true((e->reference.ptr != NULL) == (i % 8 == 6) &&
                (e->metadata.ptr != NULL) == (i % 8 == 6));
    assert_true(i % 8 != 6 || slice_equal(e->reference, slice_of(diary_reference)));
    assert_true(i % 8 != 6 || slice_equal(e->metadata, SLICE("{\"n\":\"6\"}")));
}

static bool is_wanted(const struct diary *d, unsigned i, const struct store_history_in *in)
{
    const struct posting_result *r = &d->results[i];

    return (in->kinds == 0 || (in->kinds & 1u << r->kind) != 0) &&
           (in->from_us == 0 || r->time_us >= in->from_us) &&
           (in->to_us == 0 || r->time_us < in->to_us);
}

/* All pages of alice's history must be those entries of the diary that were asked for, in the order asked for. */
static void assert_history(struct contract *c, const struct diary *d,
                           const struct store_history_in *in)
{
    struct entries got;
    unsigned at = 0;

    entries_collect(c, "alice", in, &got);
    for (unsigned k = 0; k < d->count; k++) {
        const unsigned i = in->is_ascending ? k : d->count - 1 - k;
        if (is_wanted(d, i, in)) {
            assert_true(at < got.count);
            assert_entry(d, i, &got.list[at]);
            at++;
        }
    }
    assert_int_equal(at, got.count);
    if (in->kinds == 0) {
        assert_int_equal(got.pages, at == 0 ? 1 : (at + in->limit - 1) / in->limit);
    }
    entries_fini(&got);
}

static void an_account_without_entries_has_none(void **state)
{
    struct contract *c = *state;
    struct call call;

    must_open(c, "alice", "CNY", "0", OUTCOME_OK); /* opening is no entry */
    for (int ascending = 0; ascending < 2; ascending++) {
        call_history(&call, &c->client, "alice", 10);
        call.op.history.is_ascending = ascending != 0;
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.count == 0 && !call.op.has_more);
        assert_true(call.op.account.entries == 0 && call.op.result.exponent == 2);
        call_fini(&call);
        call_history(&call, &c->client, "alice", 10);
        call.op.history.from_us = 1;
        call.op.history.to_us = INT64_MAX;
        call.op.history.is_ascending = ascending != 0;
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.count == 0 && !call.op.has_more);
        call_fini(&call);
    }
}

static void newest_first_and_oldest_first(void **state)
{
    static const unsigned limits[] = {1, 7, 64, 200};
    struct contract *c = *state;
    struct diary d;

    diary_begin(c, &d, 330); /* past five marks */
    for (int round = 0; round < (c->kind->has_restart ? 2 : 1); round++) {
        for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
            assert_history(c, &d, &(struct store_history_in){.limit = limits[i]});
            assert_history(c, &d,
                           &(struct store_history_in){.limit = limits[i], .is_ascending = true});
        }
        if (c->kind->has_restart) {
            contract_reopen(c);
            diary_write(c, &d, 8); /* the chain goes on */
        }
    }
    mem_free(d.results);
}

static void the_answer_names_its_head(void **state)
{
    struct contract *c = *state;
    struct diary d;
    struct call call;

    diary_begin(c, &d, 10);
    call_history(&call, &c->client, "alice", 5);
    call_must(c, &call, OUTCOME_OK);
    assert_true(call.op.account.entries == 10 && call.op.account.last_seq == d.results[9].seq);
    assert_true(call.op.has_more && call.op.count == 5);
    call_fini(&call);
    mem_free(d.results);
}

static void kinds_filter(void **state)
{
    static const uint32_t kinds[] = {
        1u << RECORD_CREDIT,   1u << RECORD_DEBIT,
        1u << RECORD_TRANSFER, 1u << RECORD_DEBIT | 1u << RECORD_TRANSFER,
        1u << RECORD_OPEN,     1u << RECORD_REFUSAL | 1u << RECORD_CREDIT};
    struct contract *c = *state;
    struct diary d;

    diary_begin(c, &d, 150);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        assert_history(c, &d, &(struct store_history_in){.limit = 9, .kinds = kinds[i]});
        assert_history(
            c, &d, &(struct store_history_in){.limit = 9, .kinds = kinds[i], .is_ascending = true});
        assert_history(c, &d, &(struct store_history_in){.limit = 200, .kinds = kinds[i]});
    }
    mem_free(d.results);
}

/* Borders at, before and behind every entry that matters: the first, around marks, the last. */
static void times_filter(void **state)
{
    static const unsigned places[] = {0, 1, 62, 63, 64, 65, 127, 128, 129, 190, 199};
    struct contract *c = *state;
    struct diary d;

    diary_begin(c, &d, 200);
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        for (int64_t off = -1; off <= 1; off++) {
            const int64_t time_us = d.results[places[i]].time_us + off;
            for (int order = 0; order < 2; order++) {
                struct store_history_in in = {.limit = 50, .is_ascending = order != 0};
                in.from_us = time_us; /* inclusive */
                assert_history(c, &d, &in);
                in.from_us = 0;
                in.to_us = time_us; /* exclusive */
                assert_history(c, &d, &in);
                in.from_us = d.results[places[i] / 2].time_us;
                assert_history(c, &d, &in);
                in.kinds = 1u << RECORD_DEBIT;
                assert_history(c, &d, &in);
                in.from_us = time_us; /* nothing between */
                assert_history(c, &d, &in);
                in.from_us = INT64_MAX;
                assert_history(c, &d, &in);
            }
        }
    }
    mem_free(d.results);
}

/* Past the number of entries that one filtered page looks at. */
static void a_page_looks_at_so_many_entries(void **state)
{
    enum { ENTRIES = STORE_HISTORY_LOOKED_MAX + 300 };
    struct contract *c = *state;
    struct diary d;

    diary_begin(c, &d, ENTRIES);
    for (int order = 0; order < 2; order++) {
        struct store_history_in in = {
            .limit = 200, .kinds = 1u << RECORD_OPEN, .is_ascending = order != 0};
        struct call call;
        struct entries got;
        call_history(&call, &c->client, "alice", 200);
        call.op.history = in;
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.count == 0 && call.op.has_more); /* it gave up, and says so */
        call_fini(&call);
        entries_collect(c, "alice", &in, &got);
        assert_true(got.count == 0 && got.pages == 2);
        entries_fini(&got);
        in.kinds = 1u << RECORD_TRANSFER;
        assert_history(c, &d, &in);
        in.kinds = 0; /* and all of it by marks */
        assert_history(c, &d, &in);
        in.from_us = d.results[5000].time_us;
        in.to_us = d.results[9000].time_us;
        assert_history(c, &d, &in);
    }
    mem_free(d.results);
}

/* Pages read while new entries arrive: what was there at the first page is listed once each, whatever comes. */
static void new_entries_do_not_disturb_a_cursor(void **state)
{
    struct contract *c = *state;
    struct diary d;
    unsigned there, at;

    diary_begin(c, &d, 100);
    there = d.count;
    for (int order = 0; order < 2; order++) {
        char cursor[STORE_CURSOR_BYTES_MAX];
        size_t cursor_len = 0;
        bool has_more = true;
        there = d.count;
        for (at = 0; has_more;) {
            struct call call;
            call_history(&call, &c->client, "alice", 30);
            call.op.history.is_ascending = order != 0;
            call.op.history.cursor = at == 0 ? SLICE_NONE : slice_make(cursor, cursor_len);
            call_must(c, &call, OUTCOME_OK);
            for (unsigned i = 0; i < call.op.count; i++, at++) {
                assert_entry(&d, order == 0 ? there - 1 - at : at, &call.op.entries[i]);
            }
            has_more = call.op.has_more;
            cursor_len = call.op.next_cursor_len;
            memcpy(cursor, call.op.next_cursor, cursor_len);
            call_fini(&call);
            if (at < there) {
                diary_write(c, &d, 40);
                if (c->kind->has_restart && at < 40) {
                    contract_reopen(c); /* a cursor is not the process's */
                }
            }
        }
        assert_true(order == 0 ? at == there
                               : at == d.count); /* oldest first comes to the new ones in the end */
    }
    mem_free(d.results);
}

/* One changed thing about the question, and the cursor is no longer of it. */
static void a_cursor_is_bound_to_its_question(void **state)
{
    struct contract *c = *state;
    struct diary d;
    struct call first;
    char text[STORE_CURSOR_BYTES_MAX + 1];

    diary_begin(c, &d, 100);
    for (int i = 0; i < 40; i++) {
        must_credit(c, "bob", "1", OUTCOME_OK);
    }
    call_history(&first, &c->client, "alice", 10);
    first.op.history.kinds = 1u << RECORD_CREDIT;
    first.op.history.from_us = d.results[3].time_us;
    first.op.history.to_us = d.results[90].time_us;
    call_must(c, &first, OUTCOME_OK);
    assert_true(first.op.has_more);
    memcpy(text, first.op.next_cursor, first.op.next_cursor_len);
    for (int change = 0; change < 10; change++) {
        struct call call;
        call_history(&call, &c->client, change == 1 ? "bob" : "alice",
                     change == 0 ? 20 : 10); /* another limit is allowed */
        call.op.history.kinds = change == 2   ? 0
                                : change == 3 ? 1u << RECORD_DEBIT
                                              : first.op.history.kinds;
        call.op.history.from_us =
            first.op.history.from_us + (change == 4) - (change == 5 ? first.op.history.from_us : 0);
        call.op.history.to_us =
            first.op.history.to_us + (change == 6) - (change == 7 ? first.op.history.to_us : 0);
        call.op.history.is_ascending = change == 8;
        call.op.history.cursor = slice_make(text, first.op.next_cursor_len - (change == 9 ? 1u : 0u));
        call_must(c, &call, change == 0 ? OUTCOME_OK : OUTCOME_INVALID_CURSOR);
        assert_true(change == 0 || (call.op.count == 0 && !call.op.has_more));
        call_fini(&call);
    }
    for (unsigned i = 0; i <= first.op.next_cursor_len;
         i++) { /* a letter changed at any place, or one more */
        struct call call;
        memcpy(text, first.op.next_cursor, first.op.next_cursor_len);
        text[i] = i < first.op.next_cursor_len && text[i] == 'B' ? 'C' : 'B';
        call_history(&call, &c->client, "alice", 10);
        call.op.history = first.op.history;
        call.op.history.cursor =
            slice_make(text, i < first.op.next_cursor_len ? first.op.next_cursor_len : i + 1);
        call_must(c, &call, OUTCOME_INVALID_CURSOR);
        call_fini(&call);
    }
    call_fini(&first);
    mem_free(d.results);
}

static void garbage_is_no_cursor(void **state)
{
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("A"),
        SLICE("AAAA"),
        SLICE("!"),
        SLICE("\0\0"),
        SLICE("AgAAAAAAAAAAAAAA"),
        SLICE(
            "________________________________________________________________________________________"
            "________________________________________________________________________________________")};
    struct contract *c = *state;

    must_credit(c, "alice", "1", OUTCOME_OK);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct call call;
        call_history(&call, &c->client, "alice", 10);
        call.op.history.cursor = bad[i];
        call_must(c, &call, OUTCOME_INVALID_CURSOR);
        assert_int_equal(call.op.count, 0);
        call_fini(&call);
    }
}

/* A reader never finds the history behind the balance that it was told before, nor the reverse. */
static void history_and_balance_agree(void **state)
{
    struct contract *c = *state;

    for (int i = 0; i < 60; i++) {
        struct call call;
        must_credit(c, "alice", "1", OUTCOME_OK);
        call_history(&call, &c->client, "alice", 1);
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.count == 1 && call.op.entries[0].balance == (i + 1) * 100);
        assert_true(call.op.entries[0].balance == call.op.account.balance &&
                    call.op.entries[0].seq == call.op.account.last_seq);
        assert_true(call.op.has_more == (i > 0) && balance_now(c, "alice") == (i + 1) * 100);
        call_fini(&call);
    }
}

/* The largest page of the wordiest entries fits into an answer. */
static void the_largest_page_fits(void **state)
{
    static char metadata[LEDGER_METADATA_BYTES_MAX + 1], reference[LEDGER_REFERENCE_BYTES_MAX + 1];
    char names[STORE_PAGE_MAX][LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
    struct contract *c = *state;
    struct call *calls = calls_new(2 * STORE_PAGE_MAX);
    struct call page;

    memset(metadata, 'm', LEDGER_METADATA_BYTES_MAX);
    memset(reference, 'r', LEDGER_REFERENCE_BYTES_MAX);
    for (unsigned i = 0; i < STORE_PAGE_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%064u", i);
        call_credit(&calls[i], &c->client, names[i], "1");
    }
    must_credit(c, "alice", "1000", OUTCOME_OK);
    calls_run(c, &c->client, calls, STORE_PAGE_MAX);
    for (unsigned i = 0; i < STORE_PAGE_MAX; i++) {
        call_post(&calls[STORE_PAGE_MAX + i], &c->client,
                  &(struct call_words){.kind = RECORD_TRANSFER,
                                       .account = "alice",
                                       .to = names[i],
                                       .amount = "1",
                                       .reference = reference,
                                       .metadata = metadata});
    }
    calls_run(c, &c->client, calls + STORE_PAGE_MAX, STORE_PAGE_MAX);
    calls_free(calls, 2 * STORE_PAGE_MAX);
    call_history(&page, &c->client, "alice", STORE_PAGE_MAX);
    call_must(c, &page, OUTCOME_OK);
    assert_true(page.op.count == STORE_PAGE_MAX && page.op.has_more);
    for (unsigned i = 0; i < STORE_PAGE_MAX; i++) {
        assert_true(slice_equal(page.op.entries[i].reference, slice_of(reference)));
        assert_true(slice_equal(page.op.entries[i].metadata, slice_of(metadata)));
        assert_true(
            slice_equal(page.op.entries[i].counterparty, slice_of(names[STORE_PAGE_MAX - 1 - i])));
    }
    call_fini(&page);
}

/* Several legs of one transaction on one account are one entry, without a counterparty where there were many. */
static void many_legs_are_one_entry(void **state)
{
    enum { LEGS = 90, POSTS = 3 };
    struct contract *c = *state;
    struct posting_leg legs[LEGS];
    char names[LEGS][8];
    struct entries got;
    struct call call;

    must_credit(c, "hub", "1000", OUTCOME_OK);
    for (unsigned i = 1; i < LEGS; i++) {
        memcpy(names[i], name_number("n", i), sizeof(names[i]));
        must_open(c, names[i], "CNY", "0", OUTCOME_OK);
        legs[i] = (struct posting_leg){.account = slice_of(names[i]), .balance = {1, 0}};
    }
    legs[0] = (struct posting_leg){.account = SLICE("hub"), .balance = {1 - LEGS, 0}};
    for (unsigned i = 0; i < POSTS; i++) {
        call_init(&call, &c->client, STORE_POST);
        call.op.posting = (struct posting){
            .kind = RECORD_TRANSFER, .legs = legs, .leg_count = LEGS, .extra = SLICE("\3\2\0rr")};
        call_must(c, &call, OUTCOME_OK);
        call_fini(&call);
    }
    for (int order = 0; order < 2; order++) {
        for (unsigned limit = 1; limit <= POSTS + 1; limit++) {
            const struct store_history_in in = {.limit = limit, .is_ascending = order != 0};
            entries_collect(c, "hub", &in, &got);
            assert_int_equal(got.count, POSTS + 1);
            for (unsigned i = 0; i < POSTS; i++) {
                const struct store_entry *e = &got.list[order == 0 ? i : POSTS - i];
                assert_true(e->amount == -8900 && e->balance == 100000 - 8900 * (int64_t)(POSTS - i));
                assert_true(e->counterparty.ptr == NULL && slice_equal(e->reference, SLICE("rr")));
            }
            entries_fini(&got);
        }
    }
    for (unsigned n = 1; n < LEGS;
         n++) { /* the words are the transaction's: every account's entry has them */
        const struct store_history_in in = {.limit = 1 + n % 4, .is_ascending = n % 2 == 0};
        entries_collect(c, names[n], &in, &got);
        assert_int_equal(got.count, POSTS);
        for (unsigned i = 0; i < POSTS; i++) {
            assert_true(got.list[i].amount == 100 &&
                        slice_equal(got.list[i].counterparty, SLICE("hub")));
            assert_true(slice_equal(got.list[i].reference, SLICE("rr")));
        }
        entries_fini(&got);
    }
}

/* One entry of one account's history, as a posting of many legs left it. */
struct left {
    const char *account, *counterparty; /* NULL: none, or several */
    int64_t amount, balance;
};

/* The newest entry of each account, whichever record of the posting it hangs on; and without words none are found. */
static void each_leg_has_its_entry(void **state)
{
    static const struct posting_leg legs[] = {
        {.account = SLICE("a"), .balance = {-2, 0}, .held = {1, 0}},
        {.account = SLICE("c"), .balance = {3, 0}, .held = {3, 0}},
        {.account = SLICE("b"), .balance = {-4, 0}},
        {.account = SLICE("e"), .balance = {3, 0}, .held = {3, 0}},
        {.account = SLICE("d"), .held = {4, 0}}};
    static const struct left wanted[] = {{"a", "c", -200, 800},
                                         {"b", NULL, -400, 600},
                                         {"c", NULL, 300, 1300},
                                         {"d", NULL, 0, 1000},
                                         {"e", "b", 300, 1300}};
    struct contract *c = *state;
    struct entries got;

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        must_credit(c, wanted[i].account, "10", OUTCOME_OK);
    }
    for (int with_words = 0; with_words < 2; with_words++) {
        struct call call;
        call_init(&call, &c->client, STORE_POST);
        call.op.posting =
            (struct posting){.kind = RECORD_TRANSFER, .legs = legs, .leg_count = ARRAY_LEN(legs)};
        call.op.posting.extra = with_words != 0 ? SLICE("\4\2\0{}") : SLICE_NONE;
        call_must(c, &call, OUTCOME_OK);
        call_fini(&call);
        for (unsigned i = 0; i < 2 * ARRAY_LEN(wanted); i++) {
            const struct left *w = &wanted[i / 2];
            const struct store_history_in in = {.limit = 1, .is_ascending = i % 2 != 0};
            const struct store_entry *e;
            entries_collect(c, w->account, &in, &got);
            assert_int_equal(got.count, 2 + with_words);
            e = &got.list[i % 2 == 0 ? 0 : got.count - 1];
            assert_true(e->amount == w->amount && e->balance == w->balance + with_words * w->amount);
            assert_true(e->reference.ptr == NULL && (e->metadata.ptr != NULL) == (with_words != 0));
            assert_true((e->counterparty.ptr != NULL) == (w->counterparty != NULL));
            assert_true(w->counterparty == NULL ||
                        slice_equal(e->counterparty, slice_of(w->counterparty)));
            entries_fini(&got);
        }
    }
}

static const struct CMUnitTest tests[] = {
    TEST(an_account_without_entries_has_none),
    TEST(newest_first_and_oldest_first),
    TEST(the_answer_names_its_head),
    TEST(kinds_filter),
    TEST(times_filter),
    TEST(a_page_looks_at_so_many_entries),
    TEST(new_entries_do_not_disturb_a_cursor),
    TEST(a_cursor_is_bound_to_its_question),
    TEST(garbage_is_no_cursor),
    TEST(history_and_balance_agree),
    TEST(the_largest_page_fits),
    TEST(many_legs_are_one_entry),
    TEST(each_leg_has_its_entry),
};

const struct contract_suite contract_history = {"history", tests, ARRAY_LEN(tests)};

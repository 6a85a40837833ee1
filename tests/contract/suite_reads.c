/* Reads of accounts: one, and pages of them with filters and cursors that stay right while others are opened. */
#include "contract/contract.h"

#include <stdio.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

static void reads_see_what_was_answered(void **state)
{
    struct contract *c = *state;

    for (int i = 1; i <= 100; i++) {
        must_credit(c, "alice", "1", OUTCOME_OK);
        assert_true(balance_now(c, "alice") == i * 100);
        assert_true(account_now(c, "alice").version == (uint64_t)i + 1 &&
                    account_now(c, "alice").entries == (uint64_t)i);
    }
}

static void an_unknown_account_is_not_found(void **state)
{
    struct contract *c = *state;
    struct call call;

    assert_false(account_is_known(c, "alice"));
    must_credit(c, "alice", "1", OUTCOME_OK);
    assert_true(account_is_known(c, "alice"));
    assert_false(account_is_known(c, "alic"));
    assert_false(account_is_known(c, "alice2"));
    assert_false(account_is_known(c, "ALICE"));
    assert_false(account_is_known(c, "@world")); /* nobody's to ask for */
    call_history(&call, &c->client, "bob", 10);
    call_must(c, &call, OUTCOME_ACCOUNT_NOT_FOUND);
    assert_int_equal(call.op.count, 0);
    call_fini(&call);
    call_history(&call, &c->client, "@world", 10);
    call_must(c, &call, OUTCOME_ACCOUNT_NOT_FOUND);
    call_fini(&call);
}

static void metadata_comes_where_it_is_wanted(void **state)
{
    static char large[LEDGER_METADATA_BYTES_MAX + 1];
    struct contract *c = *state;
    struct call call;

    memset(large, 'm', LEDGER_METADATA_BYTES_MAX);
    call_open(&call, &c->client, "alice", "CNY", "0", large);
    call_must(c, &call, OUTCOME_OK);
    call_fini(&call);
    must_credit(c, "alice", "1", OUTCOME_OK);
    for (int round = 0; round < (c->kind->has_restart ? 2 : 1); round++) {
        call_account(&call, &c->client, "alice");
        call_must(c, &call, OUTCOME_OK);
        assert_true(slice_equal(call.op.account_metadata, slice_of(large)) &&
                    call.op.account.metadata_seq != 0);
        call_fini(&call);
        call_account(&call, &c->client, "alice");
        call.op.wants_metadata = false;
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.account_metadata.ptr == NULL && call.op.account.balance == 100);
        call_fini(&call);
        if (c->kind->has_restart) {
            contract_reopen(c);
        }
    }
}

/* ---- pages of accounts ---- */

enum { ACCOUNTS = 450 };

/* c0, c1, ... with balances of their numbers; every tenth has metadata. */
static void accounts_make(struct contract *c, unsigned from, unsigned to)
{
    struct call *calls = calls_new(2 * (to - from));
    unsigned count = 0;

    for (unsigned i = from; i < to; i++) {
        call_open(&calls[count++], &c->client, name_number("c", i), "CNY", "0",
                  i % 10 == 0 ? name_number("{}", i) : NULL);
        call_credit(&calls[count++], &c->client, name_number("c", i), name_number("", i + 1));
    }
    calls_run(c, &c->client, calls, count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(calls[i].op.result.outcome, OUTCOME_OK);
    }
    calls_free(calls, count);
}

struct listing {
    unsigned seen[2 * ACCOUNTS]; /* how often each number was listed */
    unsigned pages, count;
};

static void listed(const struct call *call, struct listing *l)
{
    for (unsigned i = 0; i < call->op.count; i++) {
        const struct account_view *view = &call->op.views[i];
        char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 1] = "";
        unsigned number;
        assert_true(view->id.len > 0 && view->id.len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
        memcpy(text, view->id.ptr, view->id.len);
        assert_int_equal(sscanf(text, "c%u", &number), 1);
        assert_true(number < 2 * ACCOUNTS);
        l->seen[number]++;
        l->count++;
        assert_true(view->balance == ((int64_t)number + 1) * 100 && view->version == 2 &&
                    view->entries == 1);
        assert_true(view->status == ACCOUNT_ACTIVE && view->exponent == 2 && view->created_us > 0);
        assert_true((call->op.views_metadata[i].ptr != NULL) == (number % 10 == 0));
        assert_true(number % 10 != 0 ||
                    slice_equal(call->op.views_metadata[i], slice_of(name_number("{}", number))));
    }
}

/* All pages; after each, `between` may do something. */
static struct listing *list_all(struct contract *c, unsigned limit, const char *prefix, int status,
                                void (*between)(struct contract *c, unsigned page))
{
    struct listing *l = mem_alloc(sizeof(*l));
    char cursor[STORE_CURSOR_BYTES_MAX];
    size_t cursor_len = 0;
    bool has_more = true;

    assert_non_null(l);
    while (has_more) {
        struct call call;
        call_accounts(&call, &c->client, limit, prefix);
        call.op.accounts.status = status;
        call.op.accounts.cursor = l->pages == 0 ? SLICE_NONE : slice_make(cursor, cursor_len);
        call_must(c, &call, OUTCOME_OK);
        assert_true(call.op.count <= limit);
        listed(&call, l);
        has_more = call.op.has_more;
        cursor_len = call.op.next_cursor_len;
        memcpy(cursor, call.op.next_cursor, cursor_len);
        l->pages++;
        call_fini(&call);
        if (between != NULL && has_more) {
            between(c, l->pages);
        }
    }
    return l;
}

static void assert_listed(const struct listing *l, bool (*wanted)(unsigned number))
{
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        assert_int_equal(l->seen[i], wanted(i) ? 1 : 0);
    }
}

static bool is_any(unsigned number)
{
    (void)number;
    return true;
}

static bool is_none(unsigned number)
{
    (void)number;
    return false;
}

static bool has_prefix_c1(unsigned number)
{
    return name_number("", number)[0] == '1';
}

static bool is_c44(unsigned number)
{
    return number == 44 || number / 10 == 44;
}

static void pages_list_each_account_once(void **state)
{
    static const unsigned limits[] = {1, 7, 200};
    struct contract *c = *state;

    accounts_make(c, 0, ACCOUNTS);
    for (int round = 0; round < (c->kind->has_restart ? 2 : 1); round++) {
        for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
            struct listing *l = list_all(c, limits[i], NULL, -1, NULL);
            assert_listed(l, is_any);
            assert_int_equal(l->pages, (ACCOUNTS + limits[i] - 1) / limits[i]);
            mem_free(l);
        }
        if (c->kind->has_restart) {
            contract_reopen(c);
        }
    }
}

static void a_prefix_filters(void **state)
{
    static const struct {
        const char *prefix;
        bool (*wanted)(unsigned number);
    } all[] = {{"c", is_any},  {"", is_any},   {"c1", has_prefix_c1}, {"c44", is_c44},
               {"d", is_none}, {"C", is_none}, {"@", is_none},        {"c44x", is_none}};
    struct contract *c = *state;

    accounts_make(c, 0, ACCOUNTS);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct listing *l = list_all(c, 20, all[i].prefix, -1, NULL);
        assert_listed(l, all[i].wanted);
        mem_free(l);
    }
}

static void a_status_filters(void **state)
{
    struct contract *c = *state;
    struct listing *l;

    accounts_make(c, 0, 50);
    l = list_all(c, 20, NULL, ACCOUNT_ACTIVE, NULL);
    assert_int_equal(l->count, 50);
    mem_free(l);
    l = list_all(c, 20, NULL, ACCOUNT_FROZEN, NULL); /* no verb makes any yet */
    assert_int_equal(l->count, 0);
    mem_free(l);
}

static void open_more(struct contract *c, unsigned page)
{
    accounts_make(c, ACCOUNTS + 10 * page, ACCOUNTS + 10 * page + 10);
}

static void new_accounts_do_not_disturb_a_listing(void **state)
{
    struct contract *c = *state;
    struct listing *l;

    accounts_make(c, 0, ACCOUNTS);
    l = list_all(c, 50, NULL, -1, open_more);
    assert_listed(l, is_any);
    for (unsigned i = ACCOUNTS; i < 2 * ACCOUNTS; i++) {
        assert_true(l->seen[i] <= 1); /* the new ones as it happens, but never twice */
    }
    mem_free(l);
}

static void an_empty_ledger_lists_nothing(void **state)
{
    struct listing *l = list_all(*state, 10, NULL, -1, NULL);

    assert_true(l->count == 0 && l->pages == 1);
    mem_free(l);
}

static void has_more_is_exact_without_a_filter(void **state)
{
    struct contract *c = *state;
    struct call call;

    accounts_make(c, 0, 20);
    for (unsigned limit = 19; limit <= 21; limit++) {
        call_accounts(&call, &c->client, limit, NULL);
        call_must(c, &call, OUTCOME_OK);
        assert_int_equal(call.op.count, limit < 20 ? limit : 20);
        assert_int_equal(call.op.has_more, limit < 20);
        call_fini(&call);
    }
}

static void cursors_of_nobody_are_refused(void **state)
{
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("A"),
        SLICE("AAAA"),
        SLICE("!"),
        SLICE("a b"),
        SLICE("\0"),
        SLICE("-----"),
        SLICE(
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")};
    struct contract *c = *state;
    struct call first, call;
    char text[STORE_CURSOR_BYTES_MAX + 1];

    accounts_make(c, 0, 30);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        call_accounts(&call, &c->client, 10, NULL);
        call.op.accounts.cursor = bad[i];
        call_must(c, &call, OUTCOME_INVALID_CURSOR);
        assert_true(call.op.count == 0 && !call.op.has_more);
        call_fini(&call);
    }
    call_accounts(&first, &c->client, 10, NULL);
    call_must(c, &first, OUTCOME_OK);
    assert_true(first.op.has_more);
    for (unsigned i = 0; i <= first.op.next_cursor_len;
         i++) { /* one letter more, less, or changed at any place */
        memcpy(text, first.op.next_cursor, first.op.next_cursor_len);
        text[i] = text[i] == 'B' || i == first.op.next_cursor_len ? 'C' : 'B';
        call_accounts(&call, &c->client, 10, NULL);
        call.op.accounts.cursor =
            slice_make(text, i < first.op.next_cursor_len ? first.op.next_cursor_len : i + 1);
        call_must(c, &call, OUTCOME_INVALID_CURSOR);
        call_fini(&call);
        call_accounts(&call, &c->client, 10, NULL);
        call.op.accounts.cursor = slice_make(first.op.next_cursor, i);
        call_must(c, &call, i == first.op.next_cursor_len ? OUTCOME_OK : OUTCOME_INVALID_CURSOR);
        call_fini(&call);
    }
    call_history(&call, &c->client, "c1", 10); /* nor does it lead anywhere else */
    call.op.history.cursor = slice_make(first.op.next_cursor, first.op.next_cursor_len);
    call_must(c, &call, OUTCOME_INVALID_CURSOR);
    call_fini(&call);
    call_fini(&first);
}

/* The largest page of the largest accounts fits into an answer. */
static void the_largest_page_fits(void **state)
{
    static char large[LEDGER_METADATA_BYTES_MAX + 1];
    struct contract *c = *state;
    struct call *calls = calls_new(STORE_PAGE_MAX);
    struct call page;

    memset(large, 'm', LEDGER_METADATA_BYTES_MAX);
    for (unsigned i = 0; i < STORE_PAGE_MAX; i++) {
        char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
        (void)snprintf(id, sizeof(id), "%064u", i);
        call_open(&calls[i], &c->client, id, "CNY", "0", large);
    }
    calls_run(c, &c->client, calls, STORE_PAGE_MAX);
    calls_free(calls, STORE_PAGE_MAX);
    call_accounts(&page, &c->client, STORE_PAGE_MAX, NULL);
    call_must(c, &page, OUTCOME_OK);
    assert_true(page.op.count == STORE_PAGE_MAX && !page.op.has_more);
    for (unsigned i = 0; i < STORE_PAGE_MAX; i++) {
        assert_int_equal(page.op.views_metadata[i].len, LEDGER_METADATA_BYTES_MAX);
    }
    call_fini(&page);
}

static const struct CMUnitTest tests[] = {
    TEST(reads_see_what_was_answered),
    TEST(an_unknown_account_is_not_found),
    TEST(metadata_comes_where_it_is_wanted),
    TEST(pages_list_each_account_once),
    TEST(a_prefix_filters),
    TEST(a_status_filters),
    TEST(new_accounts_do_not_disturb_a_listing),
    TEST(an_empty_ledger_lists_nothing),
    TEST(has_more_is_exact_without_a_filter),
    TEST(cursors_of_nobody_are_refused),
    TEST(the_largest_page_fits),
};

const struct contract_suite contract_reads = {"reads", tests, ARRAY_LEN(tests)};

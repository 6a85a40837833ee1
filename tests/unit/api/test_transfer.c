/* Transfers, and the reading of transactions and histories. */
#include "fake.h"

#include <stdio.h>

#include "base/assert.h"
#include "ledger/txid.h"

#define TIME INT64_C(1735787045678901)
#define CREATED "\"created_at\":\"2025-01-02T03:04:05.678901Z\""

static char txid[TXID_BYTES_MAX + 1];

static int set_up(void **state)
{
    static struct fake f;

    fake_init(&f);
    memset(txid, 0, sizeof(txid));
    (void)txid_encode(TIME, 0, txid);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fake_fini(*state);
    return 0;
}

static void fill_transfer(struct store_op *op)
{
    const struct posting *p = &op->posting;

    assert_int_equal(p->kind, RECORD_TRANSFER);
    assert_false(p->has_if_match);
    op->result = (struct posting_result){
        .kind = RECORD_TRANSFER,
        .seq = 5,
        .time_us = TIME,
        .currency = fake_currency("JPY"),
        .exponent = 0,
        .amount = 30,
        .side_count = 2,
        .sides = {{p->legs[0].account, 70}, {p->legs[1].account, 130}},
    };
}

static void a_transfer_shows_both_sides(void **state)
{
    struct fake *f = *state;
    char expected[400];

    f->store.fill = fill_transfer;
    fake_exchange(f, HTTP_POST, "/api/v1/transfers", NULL,
                  "{\"to\":\"b\",\"from\":\"a\",\"amount\":30}");
    (void)snprintf(
        expected, sizeof(expected),
        "{\"transaction_id\":\"%s\",\"from\":{\"account_id\":\"a\",\"balance\":70},\"to\":{\"account_id\":\"b\","
        "\"balance\":130},\"amount\":30,\"currency\":\"JPY\"," CREATED "}",
        txid);
    fake_expect(f, 201, expected);
    assert_string_equal(fake_field(f, "Wallet-Seq"), "5");
    assert_int_equal(
        fake_series(f, "wallet_operations_total{operation=\"transfer\",result=\"ok\"} "), 1);
}

static void transfers_are_strict(void **state)
{
    static const struct {
        const char *target, *headers, *body, *code;
    } cases[] = {
        {"/api/v1/transfers", NULL, "{\"to\":\"b\",\"amount\":30}", "INVALID_REQUEST"},
        {"/api/v1/transfers", NULL, "{\"from\":\"a\",\"amount\":30}", "INVALID_REQUEST"},
        {"/api/v1/transfers", NULL, "{\"from\":\"a\",\"to\":\"b\"}", "INVALID_REQUEST"},
        {"/api/v1/transfers", NULL, "{\"from\":\"a\",\"to\":\"b\",\"amount\":-1}", "INVALID_AMOUNT"},
        {"/api/v1/transfers", NULL, "{\"from\":\"@world\",\"to\":\"b\",\"amount\":1}",
         "INVALID_ACCOUNT_ID"},
        {"/api/v1/transfers", NULL, "{\"from\":\"a\",\"to\":\"b/c\",\"amount\":1}",
         "INVALID_ACCOUNT_ID"},
        {"/api/v1/transfers", NULL, "{\"from\":1,\"to\":\"b\",\"amount\":1}", "INVALID_REQUEST"},
        {"/api/v1/transfers", "If-Match: \"1\"", "{\"from\":\"a\",\"to\":\"b\",\"amount\":1}",
         "INVALID_REQUEST"},
        {"/api/v1/transfers?dry=1", NULL, "{\"from\":\"a\",\"to\":\"b\",\"amount\":1}",
         "INVALID_REQUEST"},
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_exchange(f, HTTP_POST, cases[i].target, cases[i].headers, cases[i].body);
        fake_expect_code(f, 400, cases[i].code);
    }
    assert_int_equal(f->store.handed, 0);
    fake_exchange(f, HTTP_GET, "/api/v1/transfers", NULL, NULL);
    fake_expect_code(f, 404, "ROUTE_NOT_FOUND");
    assert_int_equal(
        fake_series(f, "http_requests_total{method=\"GET\",route=\"other\",code=\"404\"} "), 1);
}

static void a_bad_id_of_a_transfer_says_which_side(void **state)
{
    struct fake *f = *state;

    fake_exchange(f, HTTP_POST, "/api/v1/transfers", "Accept-Language: en",
                  "{\"from\":\"@world\",\"to\":\"b/c\",\"amount\":1}");
    fake_expect(
        f, 400,
        "{\"error\":{\"code\":\"INVALID_ACCOUNT_ID\",\"message\":\"invalid account id: from\"}}");
    fake_exchange(f, HTTP_POST, "/api/v1/transfers", NULL,
                  "{\"from\":\"a\",\"to\":\"b/c\",\"amount\":1}");
    fake_expect(f, 400,
                "{\"error\":{\"code\":\"INVALID_ACCOUNT_ID\",\"message\":\"账户标识无效：to\"}}");
}

static void a_limit_out_of_range_says_the_range(void **state)
{
    struct fake *f = *state;

    fake_exchange(f, HTTP_GET, "/api/v1/wallet/a/transactions?limit=201", "Accept-Language: en",
                  NULL);
    fake_expect(
        f, 400,
        "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"invalid request: limit must be a whole "
        "number from 1 to 200\"}}");
}

static struct store_entry entries[2];

static void fill_transaction(struct store_op *op)
{
    assert_int_equal(op->kind, STORE_TRANSACTION);
    assert_true(op->tx_time_us == TIME && op->tx_tag == 0);
    entries[0] = (struct store_entry){.account = SLICE("@world"),
                                      .time_us = TIME,
                                      .kind = RECORD_CREDIT,
                                      .amount = -1005,
                                      .reference = SLICE("r\"1"),
                                      .metadata = SLICE("{\"a\":\"1\"}")};
    entries[1] = (struct store_entry){
        .account = SLICE("a"), .time_us = TIME, .kind = RECORD_CREDIT, .amount = 1005};
    op->entries = entries;
    op->count = 2;
    op->result.currency = fake_currency("KWD");
    op->result.exponent = 3;
}

static void fill_bare_transaction(struct store_op *op)
{
    fill_transaction(op);
    entries[0].reference = entries[0].metadata = SLICE_NONE;
}

static void fill_not_found(struct store_op *op)
{
    op->result.outcome = OUTCOME_TRANSACTION_NOT_FOUND;
}

static void a_transaction_shows_its_entries(void **state)
{
    struct fake *f = *state;
    char target[100], expected[400];

    (void)snprintf(target, sizeof(target), "/api/v1/transactions/%s", txid);
    f->store.fill = fill_transaction;
    fake_exchange(f, HTTP_GET, target, NULL, NULL);
    (void)snprintf(
        expected, sizeof(expected),
        "{\"transaction_id\":\"%s\",\"type\":\"credit\",\"currency\":\"KWD\"," CREATED
        ",\"entries\":[{\"account_id\":\"@world\",\"amount\":-1.005},{\"account_id\":\"a\",\"amount\":1.005}],"
        "\"reference\":\"r\\\"1\",\"metadata\":{\"a\":\"1\"}}",
        txid);
    fake_expect(f, 200, expected);
    f->store.fill = fill_bare_transaction;
    fake_exchange(f, HTTP_GET, target, NULL, NULL);
    assert_null(strstr(f->request.body, "reference"));
    assert_null(strstr(f->request.body, "metadata"));
    f->store.fill = fill_not_found;
    fake_exchange(f, HTTP_GET, target, NULL, NULL);
    fake_expect_code(f, 404, "TRANSACTION_NOT_FOUND");
    assert_null(fake_field(f, "Wallet-Durability"));
}

static void an_id_that_cannot_be_is_one_that_is_not(void **state)
{
    struct fake *f = *state;

    fake_exchange(f, HTTP_GET, "/api/v1/transactions/tx_123abc", NULL, NULL);
    fake_expect_code(f, 404, "TRANSACTION_NOT_FOUND");
    fake_exchange(f, HTTP_GET, "/api/v1/transactions/", NULL, NULL);
    fake_expect_code(f, 404, "TRANSACTION_NOT_FOUND");
    fake_exchange(f, HTTP_GET, "/api/v1/transactions/x?y=1", NULL, NULL);
    fake_expect_code(f, 400, "INVALID_REQUEST");
    assert_int_equal(f->store.handed, 0);
}

static void fill_history(struct store_op *op)
{
    assert_int_equal(op->kind, STORE_HISTORY);
    assert_int_equal(op->history.limit, 2);
    assert_true(op->history.is_ascending);
    assert_int_equal(op->history.kinds, 1 << RECORD_TRANSFER);
    assert_true(op->history.from_us == TIME - 1 && op->history.to_us == TIME + 1);
    op->account = (struct account_view){.id = op->account_id, .exponent = 2};
    entries[0] = (struct store_entry){.time_us = TIME,
                                      .kind = RECORD_TRANSFER,
                                      .amount = -500,
                                      .balance = 1,
                                      .counterparty = SLICE("b"),
                                      .reference = SLICE("ref")};
    entries[1] =
        (struct store_entry){.time_us = TIME, .kind = RECORD_CREDIT, .amount = 5, .balance = -1};
    op->entries = entries;
    op->count = 2;
    op->has_more = true;
    memcpy(op->next_cursor, "c9", 2);
    op->next_cursor_len = 2;
}

static void a_history_is_a_page_of_entries(void **state)
{
    struct fake *f = *state;
    char expected[600];

    f->store.fill = fill_history;
    fake_exchange(
        f, HTTP_GET,
        "/api/v1/wallet/a/transactions?limit=2&type=transfer&order=asc&from=2025-01-02T03:04:05.678900Z"
        "&to=2025-01-02T11:04:05.678902+08:00",
        NULL, NULL);
    (void)snprintf(
        expected, sizeof(expected),
        "{\"account_id\":\"a\",\"transactions\":[{\"transaction_id\":\"%s\",\"type\":\"transfer\",\"amount\":-5.00,"
        "\"balance\":0.01,\"counterparty\":\"b\",\"reference\":\"ref\"," CREATED
        "},{\"transaction_id\":\"%s\",\"type\":\"credit\",\"amount\":0.05,\"balance\":-0.01," CREATED
        "}],\"has_more\":true,\"next_cursor\":\"c9\"}",
        txid, txid);
    fake_expect(f, 200, expected);
    assert_null(fake_field(f, "ETag"));
}

static void fill_defaults(struct store_op *op)
{
    assert_int_equal(op->history.limit, API_PAGE_DEFAULT);
    assert_false(op->history.is_ascending);
    assert_int_equal(op->history.kinds, 0);
    assert_null(op->history.cursor.ptr);
    assert_int_equal(op->history.from_us, 0);
    op->account = (struct account_view){.id = op->account_id, .exponent = 2};
}

static void fill_epoch(struct store_op *op)
{
    assert_int_equal(op->history.to_us, 1); /* 0 would mean: no bound */
    op->account = (struct account_view){.id = op->account_id, .exponent = 2};
}

static void fill_bad_cursor(struct store_op *op)
{
    op->result.outcome = OUTCOME_INVALID_CURSOR;
}

static void histories_have_defaults_and_rules(void **state)
{
    static const struct {
        const char *target, *code;
    } cases[] = {
        {"/api/v1/wallet/a/transactions?limit=0", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?limit=201", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?type=open", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?type=", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?order=up", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?from=2025-01-01", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?to=yesterday", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?at=1", "INVALID_REQUEST"},
        {"/api/v1/wallet/a/transactions?cursor=%", "INVALID_CURSOR"},
        {"/api/v1/wallet/@a/transactions", "INVALID_ACCOUNT_ID"},
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_exchange(f, HTTP_GET, cases[i].target, NULL, NULL);
        fake_expect_code(f, 400, cases[i].code);
    }
    assert_int_equal(f->store.handed, 0);
    f->store.fill = fill_defaults;
    fake_exchange(f, HTTP_GET, "/api/v1/wallet/a/transactions?order=desc", NULL, NULL);
    fake_expect(f, 200, "{\"account_id\":\"a\",\"transactions\":[],\"has_more\":false}");
    f->store.fill = fill_epoch;
    fake_exchange(f, HTTP_GET, "/api/v1/wallet/a/transactions?to=1970-01-01T00:00:00Z", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    f->store.fill = fill_bad_cursor;
    fake_exchange(f, HTTP_GET, "/api/v1/wallet/a/transactions?cursor=abc", NULL, NULL);
    fake_expect_code(f, 400, "INVALID_CURSOR");
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FAKE(a_bad_id_of_a_transfer_says_which_side),
        WITH_FAKE(a_limit_out_of_range_says_the_range),
        WITH_FAKE(a_transfer_shows_both_sides),
        WITH_FAKE(transfers_are_strict),
        WITH_FAKE(a_transaction_shows_its_entries),
        WITH_FAKE(an_id_that_cannot_be_is_one_that_is_not),
        WITH_FAKE(a_history_is_a_page_of_entries),
        WITH_FAKE(histories_have_defaults_and_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

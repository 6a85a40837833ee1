/* Accounts: opened, read, listed. */
#include "fake.h"

#include "base/assert.h"
#include "base/uuid.h"

#define VIEW(name) \
    { \
        .id = SLICE(name), .currency = fake_currency("USD"), .exponent = 2, .balance = -150, \
        .held = 25, .overdraft = 100000, .status = ACCOUNT_FROZEN, .version = 3, \
        .created_us = 1735787045678901, .updated_us = 1735787045678902 \
    }
#define JSON(name, metadata) \
    "{\"account_id\":\"" name \
    "\",\"currency\":\"USD\",\"balance\":-1.50,\"held\":0.25,\"available\":998.25," \
    "\"overdraft_limit\":1000.00,\"status\":\"frozen\",\"version\":3,\"created_at\":\"2025-01-02T03:04:05.678901Z\"," \
    "\"updated_at\":\"2025-01-02T03:04:05.678902Z\",\"metadata\":" metadata "}"

static int set_up(void **state)
{
    static struct fake f;

    fake_init(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fake_fini(*state);
    return 0;
}

static void fill_account(struct store_op *op)
{
    assert_int_equal(op->kind, STORE_ACCOUNT);
    assert_true(op->wants_metadata);
    op->account = (struct account_view)VIEW("a1");
    op->account.id = op->account_id;
    op->account_metadata = SLICE("{\"k\":\"v\"}");
}

static void an_account_is_shown_whole(void **state)
{
    struct fake *f = *state;

    f->store.fill = fill_account;
    fake_exchange(f, HTTP_GET, "/api/v1/wallet/a1", NULL, NULL);
    fake_expect(f, 200, JSON("a1", "{\"k\":\"v\"}"));
    assert_string_equal(fake_field(f, "ETag"), "\"3\"");
    fake_exchange(f, HTTP_HEAD, "/api/v1/wallet/a1", "If-None-Match: W/\"3\"", NULL);
    fake_expect(f, 304, "");
    assert_int_equal(
        fake_series(
            f,
            "http_requests_total{method=\"HEAD\",route=\"/api/v1/wallet/{account_id}\",code=\"304\"} "),
        1);
}

static struct slice opened_id;
static bool had_key;

static void fill_opened(struct store_op *op)
{
    const struct posting *p = &op->posting;

    assert_int_equal(p->kind, RECORD_OPEN);
    opened_id = p->legs[0].account;
    had_key = p->idem != NULL;
    op->result = (struct posting_result){.kind = RECORD_OPEN, .seq = 9, .opened = VIEW("x")};
    op->result.opened.id = opened_id;
}

static void fill_far(struct store_op *op)
{
    fill_opened(op);
    op->result.seq = UINT64_MAX;
    op->result.bucket = UINT32_MAX;
}

static void opening_answers_201_with_location(void **state)
{
    struct fake *f = *state;

    f->store.fill = fill_opened;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL,
                  "{\"account_id\":\"a1\",\"currency\":\"USD\",\"overdraft_limit\":1000}");
    fake_expect(f, 201, JSON("a1", "{}"));
    assert_string_equal(fake_field(f, "Location"), "/api/v1/wallet/a1");
    assert_string_equal(fake_field(f, "Wallet-Seq"), "9");
    assert_string_equal(fake_field(f, "Wallet-Durability"), "memory");
    assert_int_equal(fake_series(f, "wallet_operations_total{operation=\"open\",result=\"ok\"} "), 1);
}

static void without_an_id_one_is_made(void **state)
{
    struct fake *f = *state;
    char first[UUID_TEXT_BYTES];

    f->store.fill = fill_opened;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_int_equal(f->request.status, 201);
    assert_int_equal(opened_id.len, UUID_TEXT_BYTES);
    memcpy(first, opened_id.ptr, sizeof(first));
    assert_int_equal(first[14], '7');
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_memory_not_equal(first, opened_id.ptr, sizeof(first));
}

static struct idem seen;

static void note_idem(struct store_op *op)
{
    seen = *op->posting.idem;
    fill_opened(op);
}

/* The id is a stored format: yesterday's try must be asked for by today's. */
static void a_key_makes_the_same_id_at_each_try(void **state)
{
    struct fake *f = *state;
    char first[UUID_TEXT_BYTES];

    f->store.fill = fill_opened;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", "Idempotency-Key: k", "{}");
    assert_int_equal(opened_id.len, UUID_TEXT_BYTES);
    memcpy(first, opened_id.ptr, sizeof(first));
    assert_memory_equal(first, "08c80c98-d1c1-8213-a781-2a23cfb0201b", sizeof(first));
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", "Idempotency-Key: \"k\"",
                  "{\"overdraft_limit\":5}");
    assert_memory_equal(first, opened_id.ptr, sizeof(first));
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", "Idempotency-Key: K", "{}");
    assert_memory_not_equal(first, opened_id.ptr, sizeof(first));
}

/* In a store of several journals the position names the one. */
static void a_position_names_its_journal(void **state)
{
    struct fake *f = *state;

    f->store.fill = fill_opened;
    f->store.store.buckets = 4096;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_string_equal(fake_field(f, "Wallet-Seq"), "0:9");
    f->store.fill = fill_far;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_string_equal(fake_field(f, "Wallet-Seq"), "4294967295:18446744073709551615");
    f->store.store.buckets = 0;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_string_equal(fake_field(f, "Wallet-Seq"), "18446744073709551615");
}

/* What an answer is worth is asked for at each answer. */
static void durability_is_that_of_now(void **state)
{
    struct fake *f = *state;

    f->store.fill = fill_opened;
    atomic_store(&f->store.store.durability, "replicated");
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_string_equal(fake_field(f, "Wallet-Durability"), "replicated");
    atomic_store(&f->store.store.durability, "fsync");
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", NULL, "{}");
    assert_string_equal(fake_field(f, "Wallet-Durability"), "fsync");
}

static void a_made_id_is_no_part_of_the_request(void **state)
{
    struct fake *f = *state;
    struct idem first;

    f->store.fill = note_idem;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", "Idempotency-Key: k", "{}");
    first = seen;
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", "Idempotency-Key: k", "{}");
    assert_memory_equal(&first, &seen, sizeof(seen));
    fake_exchange(f, HTTP_POST, "/api/v1/wallet", "Idempotency-Key: k", "{\"overdraft_limit\":0}");
    assert_memory_equal(first.scope, seen.scope, sizeof(seen.scope));
    assert_memory_not_equal(first.fingerprint, seen.fingerprint, sizeof(seen.fingerprint));
    assert_true(had_key);
}

static void opening_is_strict(void **state)
{
    static const struct {
        const char *headers, *body, *code;
    } cases[] = {
        {NULL, "{\"account_id\":\"@world\"}", "INVALID_ACCOUNT_ID"},
        {NULL, "{\"account_id\":\"\"}", "INVALID_ACCOUNT_ID"},
        {NULL, "{\"account_id\":7}", "INVALID_REQUEST"},
        {NULL, "{\"currency\":\"usd\"}", "INVALID_CURRENCY"},
        {NULL, "{\"overdraft_limit\":-1}", "INVALID_AMOUNT"},
        {NULL, "{\"overdraft_limit\":\"x\"}", "INVALID_AMOUNT"},
        {NULL, "{\"overdraft_limit\":null}", "INVALID_AMOUNT"},
        {NULL, "{\"metadata\":\"x\"}", "INVALID_REQUEST"},
        {NULL, "{\"reference\":\"x\"}", "INVALID_REQUEST"},
        {NULL, "", "INVALID_REQUEST"},
        {"If-Match: \"1\"", "{}", "INVALID_REQUEST"},
        {"Idempotency-Key: \xc3\xa9", "{}", "INVALID_IDEMPOTENCY_KEY"},
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_exchange(f, HTTP_POST, "/api/v1/wallet", cases[i].headers, cases[i].body);
        fake_expect_code(f, 400, cases[i].code);
        assert_string_equal(fake_field(f, "Wallet-Durability"), "memory");
    }
    assert_int_equal(f->store.handed, 0);
}

static struct account_view views[2];
static struct slice views_metadata[2] = {{NULL, 0}, {"{\"a\":\"b\"}", 9}};

static void fill_page(struct store_op *op)
{
    assert_int_equal(op->accounts.limit, 2);
    assert_true(slice_equal(op->accounts.cursor, SLICE("Ab-_9")));
    assert_true(slice_equal(op->accounts.prefix, SLICE("a")));
    assert_int_equal(op->accounts.status, ACCOUNT_FROZEN);
    views[0] = (struct account_view)VIEW("a1");
    views[1] = (struct account_view)VIEW("a2");
    op->views = views;
    op->views_metadata = views_metadata;
    op->count = 2;
    op->has_more = true;
    memcpy(op->next_cursor, "next", 4);
    op->next_cursor_len = 4;
}

static void fill_empty_page(struct store_op *op)
{
    assert_int_equal(op->accounts.limit, API_PAGE_DEFAULT);
    assert_null(op->accounts.cursor.ptr);
    assert_int_equal(op->accounts.status, -1);
}

static void accounts_come_in_pages(void **state)
{
    struct fake *f = *state;

    f->store.fill = fill_page;
    fake_exchange(f, HTTP_GET, "/api/v1/wallet?limit=2&cursor=Ab-_9&prefix=a&status=frozen", NULL,
                  NULL);
    fake_expect(f, 200,
                "{\"accounts\":[" JSON("a1", "{}") "," JSON(
                    "a2", "{\"a\":\"b\"}") "],\"has_more\":true,\"next_cursor\":\"next\"}");
    f->store.fill = fill_empty_page;
    fake_exchange(f, HTTP_GET, "/api/v1/wallet", NULL, NULL);
    fake_expect(f, 200, "{\"accounts\":[],\"has_more\":false}");
    fake_exchange(f, HTTP_GET, "/api/v1/wallet?prefix=", NULL, NULL);
    assert_int_equal(f->request.status, 200);
}

static void pages_are_asked_for_strictly(void **state)
{
    static const struct {
        const char *target, *code;
    } cases[] = {
        {"/api/v1/wallet?limit=0", "INVALID_REQUEST"},
        {"/api/v1/wallet?limit=201", "INVALID_REQUEST"},
        {"/api/v1/wallet?limit=-1", "INVALID_REQUEST"},
        {"/api/v1/wallet?limit=", "INVALID_REQUEST"},
        {"/api/v1/wallet?limit=1x", "INVALID_REQUEST"},
        {"/api/v1/wallet?limit=4294967297", "INVALID_REQUEST"},
        {"/api/v1/wallet?cursor=", "INVALID_CURSOR"},
        {"/api/v1/wallet?cursor=a.b", "INVALID_CURSOR"},
        {"/api/v1/wallet?prefix=@", "INVALID_REQUEST"},
        {"/api/v1/wallet?prefix=a*", "INVALID_REQUEST"},
        {"/api/v1/wallet?status=open", "INVALID_REQUEST"},
        {"/api/v1/wallet?order=asc", "INVALID_REQUEST"},
        {"/api/v1/wallet?Limit=1", "INVALID_REQUEST"},
    };
    struct fake *f = *state;
    char target[200] = "/api/v1/wallet?cursor=";

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake_exchange(f, HTTP_GET, cases[i].target, NULL, NULL);
        fake_expect_code(f, 400, cases[i].code);
    }
    fake_exchange(f, HTTP_GET, "/api/v1/wallet?limit=1", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    fake_exchange(f, HTTP_GET, "/api/v1/wallet?limit=199", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    fake_exchange(f, HTTP_GET, "/api/v1/wallet?limit=200", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    for (size_t len = STORE_CURSOR_BYTES_MAX - 1; len <= STORE_CURSOR_BYTES_MAX + 1; len++) {
        memset(target + strlen("/api/v1/wallet?cursor="), 'c', len);
        target[strlen("/api/v1/wallet?cursor=") + len] = '\0';
        fake_exchange(f, HTTP_GET, target, NULL, NULL);
        assert_int_equal(f->request.status, len <= STORE_CURSOR_BYTES_MAX ? 200 : 400);
    }
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FAKE(an_account_is_shown_whole),
        WITH_FAKE(opening_answers_201_with_location),
        WITH_FAKE(without_an_id_one_is_made),
        WITH_FAKE(a_key_makes_the_same_id_at_each_try),
        WITH_FAKE(a_position_names_its_journal),
        WITH_FAKE(durability_is_that_of_now),
        WITH_FAKE(a_made_id_is_no_part_of_the_request),
        WITH_FAKE(opening_is_strict),
        WITH_FAKE(accounts_come_in_pages),
        WITH_FAKE(pages_are_asked_for_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What machines ask: metrics, health, the contract; and the route table itself. */
#include "fake.h"

#include <stdio.h>

#include "api/error.h"
#include "api/openapi.h"
#include "base/assert.h"
#include "base/mem.h"

static bool is_server_ready = true;

static bool ask_ready(void *ctx)
{
    (void)ctx;
    return is_server_ready;
}

static int set_up(void **state)
{
    static struct fake f;
    const struct api_options options = {.default_currency = fake_currency("CNY"),
                                        .is_ready = ask_ready};

    fake_init_with(&f, &options);
    is_server_ready = true;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fake_fini(*state);
    return 0;
}

static void metrics_are_prometheus_text(void **state)
{
    struct fake *f = *state;

    fake_exchange(f, HTTP_GET, "/livez", NULL, NULL);
    fake_exchange(f, HTTP_GET, "/metrics", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    assert_string_equal(fake_field(f, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(f->request.body,
                           "http_requests_total{method=\"GET\",route=\"/livez\",code=\"200\"} 1\n"));
    assert_non_null(strstr(
        f->request.body, "http_request_duration_seconds_count{method=\"GET\",route=\"/livez\"} 1\n"));
    assert_non_null(strstr(f->request.body, "# TYPE wallet_operations_total counter\n"));
    fake_exchange(f, HTTP_GET, "/metrics?x=1", NULL, NULL);
    fake_expect_code(f, 400, "INVALID_REQUEST");
}

static void alive_is_alive(void **state)
{
    struct fake *f = *state;

    f->store.health = STORE_FAILED;
    fake_exchange(f, HTTP_GET, "/livez", NULL, NULL);
    fake_expect(f, 200, "{\"status\":\"ok\"}");
    fake_exchange(f, HTTP_GET, "/livez?verbose", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    fake_exchange(f, HTTP_GET, "/livez?x", NULL, NULL);
    fake_expect_code(f, 400, "INVALID_REQUEST");
}

static void ready_names_store_and_durability(void **state)
{
    static const char *const targets[] = {"/readyz", "/healthz"};
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        fake_exchange(f, HTTP_GET, targets[i], NULL, NULL);
        fake_expect(f, 200, "{\"status\":\"ok\",\"store\":\"fake\",\"durability\":\"memory\"}");
    }
    fake_exchange(f, HTTP_GET, "/readyz?verbose", NULL, NULL);
    fake_expect(
        f, 200,
        "{\"status\":\"ok\",\"store\":\"fake\",\"durability\":\"memory\",\"checks\":[{\"name\":\"store\",\"status\":\"ok\"},"
        "{\"name\":\"lifecycle\",\"status\":\"ok\"},{\"name\":\"server\",\"status\":\"ok\"}]}");
    fake_exchange(f, HTTP_GET, "/readyz?x", NULL, NULL);
    fake_expect_code(f, 400, "INVALID_REQUEST");
}

static void expect_unready(struct fake *f, const char *check)
{
    fake_exchange(f, HTTP_GET, "/readyz", NULL, NULL);
    fake_expect_code(f, 503, "STORE_UNAVAILABLE");
    assert_string_equal(fake_field(f, "Retry-After"), "1");
    fake_exchange(f, HTTP_GET, "/healthz?verbose", NULL, NULL);
    assert_int_equal(f->request.status, 503);
    assert_non_null(strstr(f->request.body, "{\"status\":\"unavailable\","));
    assert_non_null(strstr(f->request.body, check));
}

static void every_check_can_make_it_unready(void **state)
{
    struct fake *f = *state;

    f->store.health = STORE_DISK_FULL;
    expect_unready(f, "{\"name\":\"store\",\"status\":\"disk_full\"}");
    f->store.health = STORE_STOPPING;
    expect_unready(f, "{\"name\":\"store\",\"status\":\"stopping\"}");
    f->store.health = STORE_FAILED;
    expect_unready(f, "{\"name\":\"store\",\"status\":\"failed\"}");
    f->store.health = STORE_HEALTHY;
    is_server_ready = false;
    expect_unready(f, "{\"name\":\"server\",\"status\":\"not_ready\"}");
    is_server_ready = true;
    api_shared_drain(&f->shared);
    expect_unready(f, "{\"name\":\"lifecycle\",\"status\":\"draining\"}");
}

static void the_contract_is_served(void **state)
{
    struct fake *f = *state;
    char condition[200];

    fake_exchange(f, HTTP_GET, "/openapi.yaml", NULL, NULL);
    assert_int_equal(f->request.status, 200);
    assert_string_equal(fake_field(f, "Content-Type"), "application/yaml");
    assert_true(strncmp(f->request.body, "openapi: 3.1.", 13) == 0);
    assert_true(slice_equal(slice_of(f->request.body), api_openapi_text()));
    (void)snprintf(condition, sizeof(condition), "If-None-Match: %s", fake_field(f, "ETag"));
    fake_exchange(f, HTTP_GET, "/openapi.yaml", condition, NULL);
    fake_expect(f, 304, "");
    fake_exchange(f, HTTP_GET, "/openapi.yaml?v=1", NULL, NULL);
    fake_expect_code(f, 400, "INVALID_REQUEST");
}

static void every_route_and_code_stands_in_the_contract(void **state)
{
    unsigned count;
    const struct http_route *routes = api_routes(&count);
    struct slice text = api_openapi_text();

    (void)state;
    for (unsigned i = 0; i < count; i++) {
        char line[200];
        const char *at;
        int len = snprintf(line, sizeof(line), "\n  %s:\n", routes[i].template);
        at = memmem(text.ptr, text.len, line, (size_t)len);
        assert_non_null(at);
    }
    for (int c = API_OK + 1; c < API_CODE_COUNT; c++) {
        const char *code = api_code_text((enum api_code)c);
        assert_non_null(memmem(text.ptr, text.len, code, strlen(code)));
    }
}

static void expect_fault(struct fake *f, enum http_method method, const char *target,
                         enum http_fault fault, unsigned status, const char *code)
{
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    fake_request(f, method, target, NULL, NULL);
    callbacks.render_fault(&f->request, fault, callbacks.ctx);
    fake_expect_code(f, status, code);
    callbacks.on_done(&f->request, f->request.status, 1, callbacks.ctx);
}

static void faults_of_http_get_the_envelope(void **state)
{
    struct fake *f = *state;

    expect_fault(f, HTTP_POST, "/api/v1/wallet/a/credit", HTTP_FAULT_BODY_TOO_LARGE, 413,
                 "PAYLOAD_TOO_LARGE");
    assert_string_equal(fake_field(f, "Wallet-Durability"), "memory");
    assert_int_equal(
        fake_series(f, "wallet_operations_total{operation=\"credit\",result=\"PAYLOAD_TOO_LARGE\"} "),
        1);
    expect_fault(f, HTTP_GET, "/api/v1/wallet/a", HTTP_FAULT_BAD_PATH_PARAM, 400,
                 "INVALID_ACCOUNT_ID");
    assert_null(fake_field(f, "Wallet-Durability"));
    expect_fault(f, HTTP_GET, "/api/v1/transactions/x", HTTP_FAULT_BAD_PATH_PARAM, 404,
                 "TRANSACTION_NOT_FOUND");
    expect_fault(f, HTTP_GET, "/nowhere", HTTP_FAULT_TOO_MANY, 503, "STORE_UNAVAILABLE");
    assert_string_equal(fake_field(f, "Retry-After"), "1");
    expect_fault(f, HTTP_GET, "/livez", HTTP_FAULT_FORBIDDEN_PEER, 403, "FORBIDDEN");
    assert_non_null(strstr(f->request.body, "--allow-remote"));
    expect_fault(f, HTTP_DELETE, "/livez", HTTP_FAULT_BAD_METHOD, 405, "METHOD_NOT_ALLOWED");
    assert_int_equal(
        fake_series(f, "http_requests_total{method=\"DELETE\",route=\"other\",code=\"405\"} "), 1);
}

/* Wherever a request was refused: what the store is worth is said to writes, and to nobody else. */
static void a_fault_of_a_write_says_the_durability(void **state)
{
    static const struct {
        enum http_method method;
        const char *target;
        bool is_write;
    } rows[] = {
        {HTTP_POST, "/api/v1/wallet/a/credit", true},
        {HTTP_POST, "/api/v1/wallet/a/debit", true},
        {HTTP_POST, "/api/v1/wallet", true},
        {HTTP_POST, "/api/v1/transfers", true},
        {HTTP_GET, "/api/v1/wallet", false},
        {HTTP_GET, "/api/v1/wallet/a/balance", false},
        {HTTP_HEAD, "/livez", false},
        {HTTP_PUT, "/api/v1/transfers", false}, /* no such method there */
        {HTTP_POST, "/nowhere", false},
    };
    struct fake *f = *state;
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        for (int fault = HTTP_FAULT_BAD_REQUEST; fault <= HTTP_FAULT_NOMEM; fault++) {
            fake_request(f, rows[i].method, rows[i].target, NULL, NULL);
            callbacks.render_fault(&f->request, (enum http_fault)fault, callbacks.ctx);
            assert_int_equal(fake_field(f, "Wallet-Durability") != NULL, rows[i].is_write);
            assert_null(fake_field(f, "Wallet-Seq"));
        }
    }
}

static void a_fault_says_which_rule_was_broken(void **state)
{
    struct fake *f = *state;
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    fake_request(f, HTTP_GET, "/livez", "Accept-Language: en", NULL);
    f->request.reason = HTTP_REASON_FIELD_TWICE;
    callbacks.render_fault(&f->request, HTTP_FAULT_BAD_REQUEST, callbacks.ctx);
    fake_expect(
        f, 400,
        "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"invalid request: a header that may be given "
        "once is given twice\"}}");
    fake_request(f, HTTP_POST, "/api/v1/wallet/a/credit", NULL, NULL);
    f->request.reason = HTTP_REASON_KEY_TWICE;
    callbacks.render_fault(&f->request, HTTP_FAULT_BAD_REQUEST, callbacks.ctx);
    fake_expect(
        f, 400,
        "{\"error\":{\"code\":\"INVALID_IDEMPOTENCY_KEY\",\"message\":\"幂等键无效：Idempotency-Key 出现了多次\"}}");
}

static void a_peer_that_went_is_counted(void **state)
{
    struct fake *f = *state;
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    fake_request(f, HTTP_GET, "/livez", NULL, NULL);
    callbacks.on_done(&f->request, 0, 1, callbacks.ctx);
    assert_int_equal(
        fake_series(f, "http_requests_total{method=\"GET\",route=\"/livez\",code=\"499\"} "), 1);
}

static void a_deadline_without_an_operation_is_503(void **state)
{
    struct fake *f = *state;
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    fake_request(f, HTTP_GET, "/livez", NULL, NULL);
    callbacks.on_deadline(&f->request, callbacks.ctx);
    fake_expect_code(f, 503, "STORE_UNAVAILABLE");
}

static void start_up_survives_every_allocation_failing(void **state)
{
    const struct api_options options = {.default_currency = fake_currency("CNY")};
    struct fake *f = *state;

    for (uint64_t n = 1;; n++) {
        struct metrics *metrics;
        struct api_shared shared = {0};
        struct api_loop loop;
        enum err e;
        assert_int_equal(metrics_new(&metrics), ERR_OK);
        mem_fail_at(n, 0);
        e = api_shared_init(&shared, &options, metrics);
        if (e == ERR_OK) {
            api_shared_attach(&shared, f->shared.store);
            e = api_loop_init(&loop, &shared, &f->sink, NULL);
            if (e == ERR_OK) {
                api_loop_fini(&loop);
            }
        }
        mem_fail_at(0, 0);
        api_shared_fini(&shared);
        metrics_free(metrics);
        if (e == ERR_OK) {
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
    }
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FAKE(metrics_are_prometheus_text),
        WITH_FAKE(alive_is_alive),
        WITH_FAKE(ready_names_store_and_durability),
        WITH_FAKE(every_check_can_make_it_unready),
        WITH_FAKE(the_contract_is_served),
        WITH_FAKE(every_route_and_code_stands_in_the_contract),
        WITH_FAKE(faults_of_http_get_the_envelope),
        WITH_FAKE(a_fault_of_a_write_says_the_durability),
        WITH_FAKE(a_fault_says_which_rule_was_broken),
        WITH_FAKE(a_peer_that_went_is_counted),
        WITH_FAKE(a_deadline_without_an_operation_is_503),
        WITH_FAKE(start_up_survives_every_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

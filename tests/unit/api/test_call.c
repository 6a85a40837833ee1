/* The life of an operation: done, refused for want of room, past its deadline, late; and memory running out everywhere. */
#include "fake.h"

#include "base/assert.h"
#include "base/mem.h"

#define CREDIT "/api/v1/wallet/a/credit"
#define BALANCE "/api/v1/wallet/a/balance"

static enum store_status next_status;

static void fill(struct store_op *op)
{
    op->status = next_status;
    if (op->kind == STORE_POST) {
        op->result = (struct posting_result){.kind = op->posting.kind,
                                             .time_us = 1,
                                             .exponent = 2,
                                             .side_count = 1,
                                             .sides = {{op->posting.legs[0].account, 100}}};
        return;
    }
    op->account = (struct account_view){.id = op->account_id, .exponent = 2, .version = 1};
}

static int set_up(void **state)
{
    static struct fake f;

    fake_init(&f);
    f.store.fill = fill;
    next_status = STORE_DONE;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fake_fini(*state);
    return 0;
}

static void what_the_store_says_decides_the_status(void **state)
{
    static const struct {
        enum store_status status;
        unsigned write, read;
        const char *write_code, *read_code;
    } cases[] = {
        {STORE_UNAVAILABLE, 503, 503, "STORE_UNAVAILABLE", "STORE_UNAVAILABLE"},
        {STORE_UNKNOWN, 504, 503, "OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"},
        {STORE_FAULT, 500, 500, "SYSTEM_ERROR", "SYSTEM_ERROR"},
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        next_status = cases[i].status;
        fake_exchange(f, HTTP_POST, CREDIT, NULL, "{\"amount\":1}");
        fake_expect_code(f, cases[i].write, cases[i].write_code);
        assert_int_equal(fake_field(f, "Retry-After") != NULL, cases[i].write == 503);
        assert_null(fake_field(f, "Wallet-Seq"));
        fake_exchange(f, HTTP_GET, BALANCE, NULL, NULL);
        fake_expect_code(f, cases[i].read, cases[i].read_code);
    }
}

static void a_full_store_is_503(void **state)
{
    struct fake *f = *state;

    f->store.is_full = true;
    fake_exchange(f, HTTP_POST, CREDIT, NULL, "{\"amount\":1}");
    fake_expect_code(f, 503, "STORE_UNAVAILABLE");
}

/* Start a request whose operation the store keeps, and let its deadline pass. */
static void run_past_deadline(struct fake *f, bool is_write, bool is_taken)
{
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    f->store.is_slow = true;
    fake_request(f, is_write ? HTTP_POST : HTTP_GET, is_write ? CREDIT : BALANCE, NULL,
                 is_write ? "{\"amount\":1}" : NULL);
    fake_handle(f);
    assert_int_equal(f->request.answers, 0);
    assert_int_equal(f->request.holds, 1);
    if (is_taken) {
        assert_true(store_claim(f->store.last));
    }
    callbacks.on_deadline(&f->request, callbacks.ctx);
    assert_int_equal(f->request.answers, 1);
    assert_int_equal(f->request.holds, 1); /* the store still reads its arena */
    assert_int_equal(api_loop_busy(&f->loop), 1);
}

static void late_completions_find_the_answer_given(void **state)
{
    static const struct {
        bool is_write, is_taken;
        unsigned status;
        const char *code;
    } cases[] = {
        {true, false, 503, "STORE_UNAVAILABLE"},
        {true, true, 504, "OUTCOME_UNKNOWN"},
        {false, false, 503, "STORE_UNAVAILABLE"},
        {false, true, 503, "STORE_UNAVAILABLE"},
    };
    struct fake *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        run_past_deadline(f, cases[i].is_write, cases[i].is_taken);
        fake_expect_code(f, cases[i].status, cases[i].code);
        if (!cases[i].is_taken) {
            assert_false(store_claim(f->store.last)); /* it was taken back for good */
        }
        fake_finish(f);
        assert_int_equal(f->request.answers, 1);
        assert_int_equal(f->request.holds, 0);
        assert_int_equal(api_loop_busy(&f->loop), 0);
    }
    assert_int_equal(
        fake_series(f, "wallet_operations_total{operation=\"credit\",result=\"OUTCOME_UNKNOWN\"} "),
        1);
    assert_int_equal(
        fake_series(f, "wallet_operations_total{operation=\"credit\",result=\"STORE_UNAVAILABLE\"} "),
        1);
    assert_int_equal(fake_series(f, "wallet_operations_total{operation=\"credit\",result=\"ok\"} "),
                     0);
}

static void operations_wait_for_their_store(void **state)
{
    struct fake *f = *state;

    f->store.is_slow = true;
    fake_request(f, HTTP_POST, CREDIT, NULL, "{\"amount\":1}");
    fake_handle(f);
    assert_int_equal(api_loop_busy(&f->loop), 1);
    fake_finish(f);
    assert_int_equal(f->request.status, 200);
    assert_int_equal(api_loop_busy(&f->loop), 0);
}

static void calls_are_used_again(void **state)
{
    struct fake *f = *state;

    for (int i = 0; i < 100; i++) {
        fake_exchange(f, HTTP_POST, CREDIT, "Idempotency-Key: k", "{\"amount\":1}");
        fake_exchange(f, HTTP_POST, CREDIT, NULL, "{\"amount\":0}");
    }
    assert_int_equal(f->loop.call_count, 1);
}

static void the_pool_has_a_ceiling(void **state)
{
    struct fake *f = *state;

    f->loop.call_count = API_CALLS_MAX;
    fake_exchange(f, HTTP_POST, CREDIT, NULL, "{\"amount\":1}");
    fake_expect_code(f, 503, "STORE_UNAVAILABLE");
    f->loop.call_count = API_CALLS_MAX - 1;
    fake_exchange(f, HTTP_POST, CREDIT, NULL, "{\"amount\":1}");
    assert_int_equal(f->request.status, 200);
    assert_int_equal(f->loop.call_count, API_CALLS_MAX);
    fake_exchange(f, HTTP_POST, CREDIT, NULL, "{\"amount\":1}"); /* from the pool */
    assert_int_equal(f->request.status, 200);
}

static void memory_running_out_is_503_and_nothing_applied(void **state)
{
    static const struct {
        enum http_method method;
        const char *target, *headers, *body;
    } cases[] = {
        {HTTP_POST, CREDIT, "Idempotency-Key: \"a\\\\b\"",
         "{\"amount\":1,\"currency\":\"CNY\",\"reference\":\"r\",\"metadata\":{\"a\":\"b\"}}"},
        {HTTP_POST, "/api/v1/wallet/a/debit", NULL, "{\"amount\":1,\"x\":1}"},
        {HTTP_POST, "/api/v1/wallet", NULL, "{\"metadata\":{\"a\":\"b\"}}"},
        {HTTP_POST, "/api/v1/transfers", NULL, "{\"from\":\"a\",\"to\":\"b\",\"amount\":1}"},
        {HTTP_GET, BALANCE, NULL, NULL},
        {HTTP_GET, "/metrics", NULL, NULL}, /* may do without what is kept for its log line */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int is_persistent = 0; is_persistent < 2; is_persistent++) {
            for (uint64_t n = 1;; n++) {
                static struct fake f;
                bool is_clean;
                fake_init(&f);
                next_status = STORE_UNAVAILABLE; /* so that everything but a 400 is a 503 */
                f.store.fill = fill;
                fake_request(&f, cases[i].method, cases[i].target, cases[i].headers, cases[i].body);
                mem_fail_at(n, is_persistent);
                fake_handle(&f);
                is_clean = mem_asked() < n;
                mem_fail_at(0, 0);
                assert_int_equal(f.request.answers, 1);
                assert_true(f.request.status == 503 || f.request.status == 400 ||
                            (f.request.status == 200 && (is_clean || f.store.handed == 0)));
                fake_fini(&f);
                if (is_clean) {
                    assert_true(n > 1);
                    break;
                }
            }
        }
    }
}

static void an_answer_too_large_to_render_is_no_success(void **state)
{
    struct fake *f = *state;

    buf_fini(&f->loop.body);
    f->loop.body.max = 120;
    fake_exchange(f, HTTP_GET, "/readyz?verbose", NULL, NULL);
    fake_expect_code(f, 503, "STORE_UNAVAILABLE");
}

#define WITH_FAKE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FAKE(what_the_store_says_decides_the_status),
        WITH_FAKE(a_full_store_is_503),
        WITH_FAKE(late_completions_find_the_answer_given),
        WITH_FAKE(operations_wait_for_their_store),
        WITH_FAKE(calls_are_used_again),
        WITH_FAKE(the_pool_has_a_ceiling),
        WITH_FAKE(memory_running_out_is_503_and_nothing_applied),
        WITH_FAKE(an_answer_too_large_to_render_is_no_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

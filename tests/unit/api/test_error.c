/* The code table: held against the contract's own list, the seed's words, and what leads to each code. */
#include "fake.h"

#include "api/error.h"
#include "base/assert.h"
#include "base/mem.h"

static const struct {
    const char *code;
    unsigned status;
} contract[] = {
    {"INVALID_REQUEST", 400},
    {"INVALID_AMOUNT", 400},
    {"INVALID_ACCOUNT_ID", 400},
    {"INVALID_CURRENCY", 400},
    {"INVALID_CURSOR", 400},
    {"INVALID_IDEMPOTENCY_KEY", 400},
    {"UNAUTHORIZED", 401},
    {"FORBIDDEN", 403},
    {"ACCOUNT_NOT_FOUND", 404},
    {"TRANSACTION_NOT_FOUND", 404},
    {"HOLD_NOT_FOUND", 404},
    {"ROUTE_NOT_FOUND", 404},
    {"METHOD_NOT_ALLOWED", 405},
    {"REQUEST_TIMEOUT", 408},
    {"ACCOUNT_EXISTS", 409},
    {"HOLD_NOT_ACTIVE", 409},
    {"IDEMPOTENCY_IN_PROGRESS", 409},
    {"PRECONDITION_FAILED", 412},
    {"PAYLOAD_TOO_LARGE", 413},
    {"URI_TOO_LONG", 414},
    {"UNSUPPORTED_MEDIA_TYPE", 415},
    {"HEADERS_TOO_LARGE", 431},
    {"INSUFFICIENT_BALANCE", 422},
    {"ACCOUNT_FROZEN", 422},
    {"ACCOUNT_CLOSED", 422},
    {"CURRENCY_MISMATCH", 422},
    {"SAME_ACCOUNT", 422},
    {"BALANCE_LIMIT_EXCEEDED", 422},
    {"REVERSAL_EXCEEDS_ORIGINAL", 422},
    {"HOLD_AMOUNT_EXCEEDED", 422},
    {"UNBALANCED_ENTRIES", 422},
    {"IDEMPOTENCY_KEY_REUSED", 422},
    {"RATE_LIMITED", 429},
    {"SYSTEM_ERROR", 500},
    {"STORE_UNAVAILABLE", 503},
    {"OUTCOME_UNKNOWN", 504},
};

static void every_code_has_its_status_and_words(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LEN(contract), API_CODE_COUNT - 1);
    for (int c = API_OK + 1; c < API_CODE_COUNT; c++) {
        bool is_found = false;
        for (size_t i = 0; i < ARRAY_LEN(contract); i++) {
            if (strcmp(contract[i].code, api_code_text((enum api_code)c)) == 0) {
                assert_false(is_found);
                is_found = true;
                assert_int_equal(contract[i].status, api_code_status((enum api_code)c));
            }
        }
        assert_true(is_found);
        assert_true(strlen(api_code_message((enum api_code)c, LEDGER_ZH_CN)) > 0);
        assert_true(strlen(api_code_message((enum api_code)c, LEDGER_EN)) > 0);
    }
}

static void expect_envelope(const struct api_refusal *refusal, enum ledger_language language,
                            const char *expected)
{
    struct buf out;

    buf_init(&out, 4096);
    api_error_render(&out, refusal, language);
    buf_append_byte(&out, '\0');
    assert_int_equal(out.err, ERR_OK);
    assert_string_equal(out.ptr, expected);
    buf_fini(&out);
}

static void the_seeds_words_are_kept(void **state)
{
    (void)state;
    expect_envelope(&(struct api_refusal){.code = API_INSUFFICIENT_BALANCE}, LEDGER_ZH_CN,
                    "{\"error\":{\"code\":\"INSUFFICIENT_BALANCE\",\"message\":\"账户余额不足\"}}");
    expect_envelope(&(struct api_refusal){.code = API_ACCOUNT_NOT_FOUND}, LEDGER_ZH_CN,
                    "{\"error\":{\"code\":\"ACCOUNT_NOT_FOUND\",\"message\":\"账户不存在\"}}");
    expect_envelope(&(struct api_refusal){.code = API_INVALID_AMOUNT}, LEDGER_ZH_CN,
                    "{\"error\":{\"code\":\"INVALID_AMOUNT\",\"message\":\"金额无效\"}}");
    expect_envelope(&(struct api_refusal){.code = API_SYSTEM_ERROR}, LEDGER_ZH_CN,
                    "{\"error\":{\"code\":\"SYSTEM_ERROR\",\"message\":\"系统内部错误\"}}");
    expect_envelope(&(struct api_refusal){.code = API_SYSTEM_ERROR}, LEDGER_EN,
                    "{\"error\":{\"code\":\"SYSTEM_ERROR\",\"message\":\"internal error\"}}");
}

static void what_it_is_about_is_escaped(void **state)
{
    struct api_refusal refusal = {API_INVALID_REQUEST, API_REASON_MISSING, SLICE("a\"\n\\b")};

    (void)state;
    expect_envelope(
        &refusal, LEDGER_EN,
        "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"invalid request: missing member: "
        "a\\\"\\u000a\\\\b\"}}");
}

static void without_memory_the_codes_own_words_remain(void **state)
{
    struct api_refusal refusal = {API_INVALID_REQUEST, API_REASON_MISSING, SLICE("amount")};
    char expected[] = "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"invalid request\"}}";
    struct buf out;

    (void)state;
    buf_init(&out, 4096);
    assert_int_equal(buf_reserve(&out, 1024), ERR_OK);
    mem_fail_at(1, 1);
    api_error_render(&out, &refusal, LEDGER_EN);
    mem_fail_at(0, 0);
    assert_int_equal(out.err, ERR_OK);
    assert_int_equal(out.len, strlen(expected));
    assert_memory_equal(out.ptr, expected, out.len);
    buf_fini(&out);
}

static void every_reason_has_words(void **state)
{
    (void)state;
    for (int r = API_REASON_NONE + 1; r < API_REASON_COUNT; r++) {
        for (int language = LEDGER_ZH_CN; language <= LEDGER_EN; language++) {
            struct api_refusal refusal = {API_INVALID_REQUEST, (enum api_reason)r, SLICE("it")};
            struct buf with, without;
            buf_init(&with, 4096);
            buf_init(&without, 4096);
            api_error_render(&with, &refusal, (enum ledger_language)language);
            refusal.reason = API_REASON_NONE;
            api_error_render(&without, &refusal, (enum ledger_language)language);
            assert_true(with.len > without.len + 4);
            buf_fini(&with);
            buf_fini(&without);
        }
    }
}

static void faults_of_http_have_their_codes(void **state)
{
    static const struct {
        enum http_fault fault;
        enum api_code code;
    } cases[] = {
        {HTTP_FAULT_BAD_REQUEST, API_INVALID_REQUEST},
        {HTTP_FAULT_BAD_QUERY, API_INVALID_REQUEST},
        {HTTP_FAULT_FORBIDDEN_PEER, API_FORBIDDEN},
        {HTTP_FAULT_NO_ROUTE, API_ROUTE_NOT_FOUND},
        {HTTP_FAULT_BAD_METHOD, API_METHOD_NOT_ALLOWED},
        {HTTP_FAULT_TIMEOUT, API_REQUEST_TIMEOUT},
        {HTTP_FAULT_BODY_TOO_LARGE, API_PAYLOAD_TOO_LARGE},
        {HTTP_FAULT_URI_TOO_LONG, API_URI_TOO_LONG},
        {HTTP_FAULT_BAD_MEDIA_TYPE, API_UNSUPPORTED_MEDIA_TYPE},
        {HTTP_FAULT_HEAD_TOO_LARGE, API_HEADERS_TOO_LARGE},
        {HTTP_FAULT_TOO_MANY, API_STORE_UNAVAILABLE},
        {HTTP_FAULT_NOMEM, API_STORE_UNAVAILABLE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(api_code_of_fault(cases[i].fault, NULL), cases[i].code);
    }
    assert_int_equal(
        api_code_of_fault(HTTP_FAULT_BAD_PATH_PARAM, "/api/v1/wallet/{account_id}/balance"),
        API_INVALID_ACCOUNT_ID);
    assert_int_equal(
        api_code_of_fault(HTTP_FAULT_BAD_PATH_PARAM, "/api/v1/transactions/{transaction_id}"),
        API_TRANSACTION_NOT_FOUND);
    assert_int_equal(api_code_of_fault(HTTP_FAULT_BAD_PATH_PARAM, NULL), API_INVALID_REQUEST);
}

static void a_broken_rule_of_http_has_words_and_a_code(void **state)
{
    (void)state;
    for (int r = HTTP_REASON_NONE + 1; r < HTTP_REASON_COUNT; r++) {
        const bool is_key = r == HTTP_REASON_KEY_TWICE || r == HTTP_REASON_KEY_BYTE;
        struct api_refusal refusal =
            api_refusal_of_fault(HTTP_FAULT_BAD_REQUEST, (enum http_reason)r, NULL);
        assert_int_equal(refusal.code, is_key ? API_INVALID_IDEMPOTENCY_KEY : API_INVALID_REQUEST);
        assert_int_not_equal(refusal.reason, API_REASON_NONE);
        assert_int_equal(refusal.about.len, 0);
    }
    expect_envelope(
        &(struct api_refusal){API_INVALID_REQUEST, API_REASON_HOST, SLICE_NONE}, LEDGER_ZH_CN,
        "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"请求无效：Host 缺失或无效\"}}");
    assert_int_equal(api_refusal_of_fault(HTTP_FAULT_NO_ROUTE, HTTP_REASON_NONE, NULL).reason,
                     API_REASON_NONE);
    assert_int_equal(api_refusal_of_fault(HTTP_FAULT_FORBIDDEN_PEER, HTTP_REASON_NONE, NULL).reason,
                     API_REASON_REMOTE_PEER);
}

static void what_looks_like_a_name_can_be_named(void **state)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz_ABCDEF";

    (void)state;
    assert_true(api_is_nameable(slice_make(name, 1)));
    assert_true(api_is_nameable(slice_make(name, 32)));
    assert_false(api_is_nameable(slice_make(name, 33)));
    assert_false(api_is_nameable(SLICE("")));
    for (int c = 0; c < 256; c++) {
        char one = (char)c;
        bool is_allowed =
            (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        assert_int_equal(api_is_nameable(slice_make(&one, 1)), is_allowed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_rule_of_http_has_words_and_a_code),
        cmocka_unit_test(what_looks_like_a_name_can_be_named),
        cmocka_unit_test(every_code_has_its_status_and_words),
        cmocka_unit_test(the_seeds_words_are_kept),
        cmocka_unit_test(what_it_is_about_is_escaped),
        cmocka_unit_test(without_memory_the_codes_own_words_remain),
        cmocka_unit_test(every_reason_has_words),
        cmocka_unit_test(faults_of_http_have_their_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Reading requests: languages and account ids; the rest of request.h is seen through the handlers' tests. */
#include "fake.h"

#include "api/request.h"
#include "base/assert.h"

static void the_language_with_the_highest_weight_wins(void **state)
{
    static const struct {
        const char *header;
        enum ledger_language expected;
    } cases[] = {
        {"", LEDGER_ZH_CN},
        {"zh-CN", LEDGER_ZH_CN},
        {"en", LEDGER_EN},
        {"EN-us", LEDGER_EN},
        {"zh-TW, en;q=0.9", LEDGER_ZH_CN},
        {"en;q=0.8, zh;q=0.9", LEDGER_ZH_CN},
        {"zh;q=0.8, en;q=0.9", LEDGER_EN},
        {"de, fr;q=0.9, en;q=0.1", LEDGER_EN},
        {"de, *;q=0.5", LEDGER_ZH_CN},
        {"*;q=0.1, en;q=0.2", LEDGER_EN},
        {"en;q=0", LEDGER_ZH_CN},
        {"en ; q=0.5 , zh;q=0.4", LEDGER_EN},
        {"en;q=1.000", LEDGER_EN},
        {"en;q=1.001, zh;q=0.1", LEDGER_ZH_CN},
        {"en;q=2", LEDGER_ZH_CN},
        {"en;q=", LEDGER_ZH_CN},
        {"en;q=0.1234", LEDGER_ZH_CN},
        {"en;q=.5", LEDGER_ZH_CN},
        {"en;level=1", LEDGER_ZH_CN},
        {"english", LEDGER_ZH_CN},
        {"e", LEDGER_ZH_CN},
        {",;,;q=1,", LEDGER_ZH_CN},
        {"en, zh", LEDGER_EN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(api_language_parse(slice_of(cases[i].header), LEDGER_ZH_CN),
                         cases[i].expected);
    }
    assert_int_equal(api_language_parse(SLICE("de"), LEDGER_EN), LEDGER_EN);
    assert_int_equal(api_language_parse(SLICE("*"), LEDGER_EN), LEDGER_EN);
}

static void account_ids_have_a_grammar(void **state)
{
    static const char *const good[] = {"0", "a", "Z9", "a.b_c:d@e-f",
                                       "00000000-0000-7000-8000-000000000000"};
    static const char *const bad[] = {"",    "@world", ".a",    "-a",       "_a",        ":a",
                                      "a b", "a/b",    "a{b}c", "\xc3\xa9", "a\xc3\xa9", "a%20"};
    char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(ledger_is_account_id(slice_of(good[i])));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(ledger_is_account_id(slice_of(bad[i])));
    }
    assert_false(ledger_is_account_id(slice_make("a\0b", 3)));
    memset(text, 'a', sizeof(text));
    assert_true(ledger_is_account_id(slice_make(text, LEDGER_ACCOUNT_ID_BYTES_MAX - 1)));
    assert_true(ledger_is_account_id(slice_make(text, LEDGER_ACCOUNT_ID_BYTES_MAX)));
    assert_false(ledger_is_account_id(slice_make(text, LEDGER_ACCOUNT_ID_BYTES_MAX + 1)));
    for (int c = 0; c < 256; c++) { /* every byte in second place */
        char two[2] = {'a', (char)c};
        bool is_allowed = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                          (c >= 'a' && c <= 'z') || (c != 0 && strchr("._:@-", c) != NULL);
        assert_int_equal(ledger_is_account_id(slice_make(two, 2)), is_allowed);
    }
}

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void traceparents_are_read_strictly(void **state)
{
    static const char *const good[] = {"00-" TRACE "-" PARENT "-00", "00-" TRACE "-" PARENT "-01",
                                       "00-" TRACE "-" PARENT "-ff",
                                       "00-" TRACE "-0000000000000001-01"};
    static const char *const bad[] = {
        "",
        "00",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-011",
        "00-" TRACE "-" PARENT "-01-x",
        "00-" TRACE "-" PARENT "-0g",
        "01-" TRACE "-" PARENT "-01",
        "ff-" TRACE "-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-00f067aa0ba902B7-01",
        " 0-" TRACE "-" PARENT "-01",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct slice id = SLICE_NONE;
        assert_true(api_traceparent_parse(slice_of(good[i]), &id));
        assert_true(slice_equal(id, SLICE(TRACE)));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct slice id = SLICE("untouched");
        assert_false(api_traceparent_parse(slice_of(bad[i]), &id));
        assert_true(slice_equal(id, SLICE("untouched")));
    }
}

static void one_traceparent_makes_a_trace(void **state)
{
    static struct fake f;
    struct slice id;

    (void)state;
    fake_init(&f);
    fake_request(&f, HTTP_GET, "/livez", "traceparent: 00-" TRACE "-" PARENT "-01", NULL);
    assert_true(api_trace_id(&f.request, &id));
    assert_true(slice_equal(id, SLICE(TRACE)));
    fake_request(&f, HTTP_GET, "/livez",
                 "traceparent: 00-" TRACE "-" PARENT "-01\ntraceparent: 00-" TRACE "-" PARENT "-01",
                 NULL);
    assert_false(api_trace_id(&f.request, &id));
    fake_request(&f, HTTP_GET, "/livez", NULL, NULL);
    assert_false(api_trace_id(&f.request, &id));
    fake_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traceparents_are_read_strictly),
        cmocka_unit_test(one_traceparent_makes_a_trace),
        cmocka_unit_test(the_language_with_the_highest_weight_wins),
        cmocka_unit_test(account_ids_have_a_grammar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

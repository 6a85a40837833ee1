/* Entity tags and the two conditions on them. */
#include "fake.h"

#include "api/etag.h"
#include "base/assert.h"

static void a_version_is_a_strong_tag(void **state)
{
    char text[API_ETAG_BYTES_MAX];

    (void)state;
    assert_true(slice_equal(api_etag_text(0, text), SLICE("\"0\"")));
    assert_true(slice_equal(api_etag_text(17, text), SLICE("\"17\"")));
    assert_true(slice_equal(api_etag_text(UINT64_MAX, text), SLICE("\"18446744073709551615\"")));
}

static void if_match_takes_lists_and_a_star(void **state)
{
    struct api_if_match m;

    (void)state;
    assert_int_equal(api_if_match_parse(SLICE("*"), &m), ERR_OK);
    assert_true(m.is_any);
    assert_int_equal(api_if_match_parse(SLICE("\"5\""), &m), ERR_OK);
    assert_false(m.is_any);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.versions[0], 5);
    assert_int_equal(api_if_match_parse(SLICE("\"18446744073709551615\" ,\t\"0\",\"3\""), &m),
                     ERR_OK);
    assert_int_equal(m.count, 3);
    assert_true(m.versions[0] == UINT64_MAX && m.versions[1] == 0 && m.versions[2] == 3);
    assert_int_equal(api_if_match_parse(SLICE("\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\""), &m),
                     ERR_OK);
    assert_int_equal(m.count, LEDGER_IF_MATCH_MAX - 1);
    assert_int_equal(
        api_if_match_parse(SLICE("\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\""), &m), ERR_OK);
    assert_int_equal(m.count, LEDGER_IF_MATCH_MAX);
    assert_int_equal(
        api_if_match_parse(SLICE("\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\""), &m),
        ERR_INVALID);
    assert_int_equal(m.count, LEDGER_IF_MATCH_MAX);
}

static void if_match_refuses_everything_else(void **state)
{
    static const char *const bad[] = {
        "",           "5",        "\"5",         "5\"",          "\"5\",",   ",\"5\"",
        "\"5\"\"6\"", "*,\"5\"",  "\"5\",*",     "w/\"5\"",      "W/ \"5\"", "W/",
        "\"5 \"",     "\"\x7f\"", "\"5\";\"6\"", "\"5\",,\"6\"", "**"};
    struct api_if_match m;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(api_if_match_parse(slice_of(bad[i]), &m), ERR_INVALID);
    }
}

static void tags_that_are_no_versions_match_nothing(void **state)
{
    static const char *const tags[] = {"\"\"",     "\"05\"",         "\"-5\"",
                                       "\"zzz\"",  "W/\"5\"",        "\"18446744073709551616\"",
                                       "\"\xe9\"", "\"a,b\",W/\"1\""};
    struct api_if_match m;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        assert_int_equal(api_if_match_parse(slice_of(tags[i]), &m), ERR_OK);
        assert_false(m.is_any);
        assert_int_equal(m.count, 1);
        assert_true(m.versions[0] == API_NO_VERSION);
    }
    assert_int_equal(api_if_match_parse(SLICE("\"zzz\", W/\"4\", \"7\""), &m), ERR_OK);
    assert_int_equal(m.count, 1);
    assert_int_equal(m.versions[0], 7);
}

static void if_none_match_compares_weakly(void **state)
{
    (void)state;
    assert_true(api_if_none_match(SLICE("*"), SLICE("\"5\"")));
    assert_true(api_if_none_match(SLICE("\"5\""), SLICE("\"5\"")));
    assert_true(api_if_none_match(SLICE("W/\"5\""), SLICE("\"5\"")));
    assert_true(api_if_none_match(SLICE("\"a,b\" , W/\"4\",\"5\""), SLICE("\"5\"")));
    assert_false(api_if_none_match(SLICE("\"15\", \"55\", \"\""), SLICE("\"5\"")));
    assert_false(api_if_none_match(SLICE("5"), SLICE("\"5\"")));
    assert_false(api_if_none_match(SLICE(""), SLICE("\"5\"")));
    assert_false(api_if_none_match(SLICE("\"4\" \"5\""), SLICE("\"5\"")));
    assert_false(api_if_none_match(SLICE("\"4"), SLICE("\"5\"")));
    assert_false(api_if_none_match(SLICE("W/"), SLICE("\"5\"")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_is_a_strong_tag),
        cmocka_unit_test(if_match_takes_lists_and_a_star),
        cmocka_unit_test(if_match_refuses_everything_else),
        cmocka_unit_test(tags_that_are_no_versions_match_nothing),
        cmocka_unit_test(if_none_match_compares_weakly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

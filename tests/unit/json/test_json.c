/* The reader: what it takes, the faults a schema finds, their order, and each limit below, at and above. */
#include "json/json.h"

#include "unit/json/json_fixture.h"

static void reads_every_kind(void **state)
{
    const struct json_array *entries = &values[ENTRIES].array;

    (void)state;
    reads(
        " { \"entries\" : [ {\"id\":\"a\",\"amount\":-5.00} ,\n{\"meta\":{\"k\":\"v\"}}, {} ],\t\"final\":true,"
        "\r\"count\":42,\"name\":\"\",\"amount\":\"1.00\",\"meta\":{\"b\":\"1\",\"a\":\"2\",\"\":\"3\"} } \n");
    text_is(&values[AMOUNT], "1.00");
    assert_int_equal(values[AMOUNT].form, JSON_FORM_STRING);
    text_is(&values[NAME], "");
    assert_true(values[FINAL].is_present && values[FINAL].boolean);
    assert_true(values[COUNT].is_present && values[COUNT].integer == 42);
    assert_int_equal(values[META].map.count, 3);
    assert_true(slice_equal(values[META].map.pairs[0].name, SLICE("b")));
    assert_true(slice_equal(values[META].map.pairs[0].value, SLICE("1")));
    assert_true(slice_equal(values[META].map.sorted[0].name, SLICE("")));
    assert_true(slice_equal(values[META].map.sorted[1].name, SLICE("a")));
    assert_true(slice_equal(values[META].map.sorted[1].value, SLICE("2")));
    assert_true(slice_equal(values[META].map.sorted[2].name, SLICE("b")));
    assert_true(values[ENTRIES].is_present);
    assert_int_equal(entries->count, 3);
    assert_int_equal(entries->columns, ENTRY_FIELDS);
    text_is(&entries->values[ENTRY_ID], "a");
    text_is(&entries->values[ENTRY_AMOUNT], "-5.00");
    assert_false(entries->values[ENTRY_META].is_present);
    assert_int_equal(entries->values[ENTRY_FIELDS + ENTRY_META].map.count, 1);
    assert_false(entries->values[ENTRY_FIELDS + ENTRY_ID].is_present);
    for (size_t i = 0; i < ENTRY_FIELDS; i++) {
        assert_false(entries->values[2 * ENTRY_FIELDS + i].is_present);
    }
}

static void an_absent_member_is_not_present(void **state)
{
    (void)state;
    memset(values, 0xff, sizeof(values));
    reads("{}");
    for (size_t i = 0; i < FIELDS; i++) {
        assert_false(values[i].is_present);
    }
    reads("{\"meta\":{},\"entries\":[]}");
    assert_true(values[META].is_present && values[META].map.count == 0);
    assert_true(values[ENTRIES].is_present && values[ENTRIES].array.count == 0);
    assert_false(values[AMOUNT].is_present);
}

static void a_schema_may_be_empty(void **state)
{
    static const struct json_schema nothing = {NULL, 0, false};

    (void)state;
    arena_fini(&arena);
    arena_init(&arena, 1 << 16);
    assert_int_equal(json_read_object(SLICE("{}"), &arena, &nothing, NULL, &fault), ERR_OK);
    assert_int_equal(json_read_object(SLICE("{\"a\":1}"), &arena, &nothing, NULL, &fault),
                     ERR_INVALID);
    assert_int_equal(fault.kind, JSON_FAULT_UNKNOWN);
}

static void keeps_the_source_text_of_numbers(void **state)
{
    static const char *const all[] = {
        "0",       "-0",    "1",       "1.00",
        "100.000", "1E+2",  "1e400",   "1e-400",
        "-5",      "0.1",   "1e05",    "0e+0",
        "12e3",    "1.5E2", "-0.0e-0", "99999999999999999999999999999999999999",
    };
    char body[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        (void)snprintf(body, sizeof(body), "{\"amount\":%s}", all[i]);
        reads(body);
        text_is(&values[AMOUNT], all[i]);
        assert_int_equal(values[AMOUNT].form, JSON_FORM_NUMBER);
        (void)snprintf(body, sizeof(body), "{\"amount\":\"%s\"}", all[i]);
        reads(body);
        text_is(&values[AMOUNT], all[i]);
        assert_int_equal(values[AMOUNT].form, JSON_FORM_STRING);
    }
    reads("{\"amount\":\"1\\u0030\\u002E5\"}");
    text_is(&values[AMOUNT], "10.5");
    reads("{\"amount\":\" 1,000 NaN \"}"); /* no number: that is the caller's to judge */
    text_is(&values[AMOUNT], " 1,000 NaN ");
}

static void an_amount_of_another_type_is_told_apart(void **state)
{
    static const char *const all[] = {"true",
                                      "false",
                                      "null",
                                      "[]",
                                      "{}",
                                      "[1,[2]]",
                                      "[{}]",
                                      "{\"a\":[]}",
                                      "{\"amount\":1}",
                                      "[null]",
                                      "{\"a\":1,\"a\":2}"};
    char body[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        (void)snprintf(body, sizeof(body), "{\"amount\":%s,\"name\":\"x\"}", all[i]);
        reads(body);
        assert_true(values[AMOUNT].is_present);
        assert_int_equal(values[AMOUNT].form, JSON_FORM_OTHER);
        assert_int_equal(values[AMOUNT].text.len, 0);
        text_is(&values[NAME], "x"); /* what follows is read */
    }
    reads("{\"entries\":[{\"amount\":[{}]},{\"id\":\"x\"}]}");
    assert_int_equal(values[ENTRIES].array.values[ENTRY_AMOUNT].form, JSON_FORM_OTHER);
    text_is(&values[ENTRIES].array.values[ENTRY_FIELDS + ENTRY_ID], "x");
}

static void decodes_escapes(void **state)
{
    (void)state;
    reads("{\"name\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}");
    text_is(&values[NAME], "\"\\/\b\f\n\r\t");
    reads("{\"name\":\"\\u0001\\u001f\\u007F\\u00e9\\u4F59\"}");
    text_is(&values[NAME], "\x01\x1f\x7f\xc3\xa9\xe4\xbd\x99");
    reads("{\"name\":\"\\uD83D\\uDCB0\\uDBFF\\uDFFF\"}"); /* the last is a noncharacter */
    text_is(&values[NAME], "\xf0\x9f\x92\xb0\xf4\x8f\xbf\xbf");
    reads("{\"name\":\"\\uFFFF\\uFDD0\\ud7ff\\ue000\"}");
    text_is(&values[NAME], "\xef\xbf\xbf\xef\xb7\x90\xed\x9f\xbf\xee\x80\x80");
    reads("{\"name\":\"\\\\u0000\"}"); /* a backslash, then plain text */
    text_is(&values[NAME], "\\u0000");
    reads("{\"name\":\"\\\\uD800\"}");
    text_is(&values[NAME], "\\uD800");
    reads("{\"\\u006eame\":\"x\"}");
    text_is(&values[NAME], "x");
    reads("{\"meta\":{\"\\n\":\"\\t\"}}");
    assert_true(slice_equal(values[META].map.pairs[0].name, SLICE("\n")));
    assert_true(slice_equal(values[META].map.pairs[0].value, SLICE("\t")));
}

static void keeps_utf8_as_it_is(void **state)
{
    static const char *const all[] = {
        "\xc2\x80",     "\xdf\xbf",         "\xe0\xa0\x80",     "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\x7f",         "\xef\xbb\xbf",
    };
    char body[64];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        (void)snprintf(body, sizeof(body), "{\"name\":\"%s\"}", all[i]);
        reads(body);
        text_is(&values[NAME], all[i]);
    }
}

static void reads_integers_to_their_ends(void **state)
{
    (void)state;
    reads("{\"count\":9223372036854775807}");
    assert_true(values[COUNT].integer == INT64_MAX);
    reads("{\"count\":-9223372036854775808}");
    assert_true(values[COUNT].integer == INT64_MIN);
    reads("{\"count\":-0}");
    assert_true(values[COUNT].integer == 0);
    refuses_at("{\"count\":9223372036854775808}", JSON_FAULT_RANGE, COUNT, "count");
    refuses_at("{\"count\":-9223372036854775809}", JSON_FAULT_RANGE, COUNT, "count");
    refuses_at("{\"count\":99999999999999999999}", JSON_FAULT_RANGE, COUNT, "count");
    refuses_at("{\"count\":1.0}", JSON_FAULT_WRONG_TYPE, COUNT, "count");
    refuses_at("{\"count\":1e2}", JSON_FAULT_WRONG_TYPE, COUNT, "count");
    refuses_at("{\"count\":\"1\"}", JSON_FAULT_WRONG_TYPE, COUNT, "count");
}

static void what_it_hands_out_outlives_the_body(void **state)
{
    char body[] = "{\"name\":\"hello\",\"amount\":1.00,\"meta\":{\"k\":\"v\"}}";

    (void)state;
    reads(body);
    memset(body, 'x', sizeof(body));
    text_is(&values[NAME], "hello");
    text_is(&values[AMOUNT], "1.00");
    assert_true(slice_equal(values[META].map.pairs[0].name, SLICE("k")));
}

static void refuses_duplicates(void **state)
{
    (void)state;
    refuses_at("{\"amount\":1,\"amount\":1}", JSON_FAULT_DUPLICATE, AMOUNT, "amount");
    refuses_at("{\"amount\":1,\"\\u0061mount\":2}", JSON_FAULT_DUPLICATE, AMOUNT, "amount");
    refuses_at("{\"\\u0061\\u006dount\":1,\"name\":\"\",\"amount\":2}", JSON_FAULT_DUPLICATE,
               AMOUNT, "amount");
    refuses_at("{\"amount\":null,\"amount\":1}", JSON_FAULT_DUPLICATE, AMOUNT, "amount");
    refuses_at("{\"meta\":{},\"meta\":{}}", JSON_FAULT_DUPLICATE, META, "meta");
    refuses_at("{\"entries\":[],\"entries\":[]}", JSON_FAULT_DUPLICATE, ENTRIES, "entries");
    refuses_at("{\"meta\":{\"k\":\"1\",\"l\":\"2\",\"k\":\"1\"}}", JSON_FAULT_DUPLICATE, META, "k");
    refuses_at("{\"meta\":{\"k\":\"1\",\"\\u006b\":\"2\"}}", JSON_FAULT_DUPLICATE, META, "k");
    refuses_at("{\"meta\":{\"\":\"1\",\"\":\"2\"}}", JSON_FAULT_DUPLICATE, META, "");
    refuses("{\"entries\":[{\"id\":\"a\"},{\"id\":\"a\",\"id\":\"b\"}]}", JSON_FAULT_DUPLICATE);
    assert_ptr_equal(fault.array, &fields[ENTRIES]);
    assert_ptr_equal(fault.field, &entry_fields[ENTRY_ID]);
    assert_int_equal(fault.row, 1);
    refuses("{\"entries\":[{\"meta\":{\"k\":\"1\",\"k\":\"2\"}}]}", JSON_FAULT_DUPLICATE);
    assert_ptr_equal(fault.field, &entry_fields[ENTRY_META]);
    reads("{\"entries\":[{\"id\":\"a\"},{\"id\":\"a\"}],\"name\":\"a\",\"meta\":{\"name\":\"a\"}}");
}

static void refuses_unknown_members(void **state)
{
    char body[256];

    (void)state;
    refuses_at("{\"amonut\":1}", JSON_FAULT_UNKNOWN, -1, "amonut");
    refuses_at("{\"Amount\":1}", JSON_FAULT_UNKNOWN, -1, "Amount");
    refuses_at("{\"\":1}", JSON_FAULT_UNKNOWN, -1, "");
    refuses_at("{\"amoun\":1}", JSON_FAULT_UNKNOWN, -1, "amoun");
    refuses_at("{\"amountt\":1}", JSON_FAULT_UNKNOWN, -1, "amountt");
    refuses_at("{\"amount \":1}", JSON_FAULT_UNKNOWN, -1, "amount ");
    refuses_at("{\"amount\":1,\"\\u4f59\":[{}]}", JSON_FAULT_UNKNOWN, -1, "\xe4\xbd\x99");
    refuses_at("{\"id\":\"a\"}", JSON_FAULT_UNKNOWN, -1, "id");
    refuses("{\"entries\":[{},{},{\"name\":\"a\"}]}", JSON_FAULT_UNKNOWN);
    assert_ptr_equal(fault.array, &fields[ENTRIES]);
    assert_int_equal(fault.row, 2);
    for (int len = JSON_FAULT_NAME_BYTES_MAX - 1; len <= JSON_FAULT_NAME_BYTES_MAX + 1; len++) {
        (void)snprintf(body, sizeof(body), "{\"%0*d\":1}", len, 0);
        refuses(body, JSON_FAULT_UNKNOWN);
        assert_int_equal(fault.name.len, len <= JSON_FAULT_NAME_BYTES_MAX ? len : 0);
    }
}

static void a_tolerant_schema_skips_unknown_members(void **state)
{
    (void)state;
    assert_int_equal(
        read_by(&tolerant, SLICE("{\"x\":1,\"y\":[{\"name\":[]}],\"name\":\"a\",\"z\":{\"name\":\"b\"},"
                                 "\"z\":null,\"amount\":2}")),
        ERR_OK);
    text_is(&values[NAME], "a");
    text_is(&values[AMOUNT], "2");
    assert_int_equal(read_by(&tolerant, SLICE("{\"name\":\"a\",\"x\":1,\"name\":\"a\"}")),
                     ERR_INVALID);
    assert_int_equal(fault.kind, JSON_FAULT_DUPLICATE);
    assert_int_equal(read_by(&tolerant, SLICE("{\"entries\":[{\"x\":1}]}")), ERR_INVALID);
    assert_int_equal(fault.kind, JSON_FAULT_UNKNOWN);
}

static void refuses_wrong_types_by_name(void **state)
{
    static const char *const values_of[] = {"1",  "\"s\"",     "true", "null", "{}",
                                            "[]", "{\"a\":1}", "[1]",  "[{}]", "[[]]"};
    static const bool is_taken[FIELDS][ARRAY_LEN(values_of)] = {
        [AMOUNT] = {true, true, true, true, true, true, true, true, true, true},
        [NAME] = {[1] = true},
        [FINAL] = {[2] = true},
        [COUNT] = {[0] = true},
        [META] = {[4] = true},
        [ENTRIES] = {[5] = true, [8] = true},
    };
    char body[64];

    (void)state;
    for (int field = 0; field < FIELDS; field++) {
        for (size_t i = 0; i < ARRAY_LEN(values_of); i++) {
            (void)snprintf(body, sizeof(body), "{\"%s\":%s}", fields[field].name, values_of[i]);
            if (is_taken[field][i]) {
                reads(body);
            } else {
                refuses_at(body, JSON_FAULT_WRONG_TYPE, field, fields[field].name);
            }
        }
    }
    refuses_at("{\"meta\":{\"a\":\"b\",\"c\":null}}", JSON_FAULT_WRONG_TYPE, META, "meta");
    refuses_at("{\"meta\":{\"a\":[]}}", JSON_FAULT_WRONG_TYPE, META, "meta");
    refuses_at("{\"meta\":{\"a\":{}}}", JSON_FAULT_WRONG_TYPE, META, "meta");
    refuses_at("{\"entries\":[{},\"x\"]}", JSON_FAULT_WRONG_TYPE, ENTRIES, "entries");
    refuses("{\"entries\":[{},{\"id\":1}]}", JSON_FAULT_WRONG_TYPE);
    assert_ptr_equal(fault.field, &entry_fields[ENTRY_ID]);
    assert_ptr_equal(fault.array, &fields[ENTRIES]);
    assert_int_equal(fault.row, 1);
}

static void refuses_what_is_not_an_object(void **state)
{
    static const char *const all[] = {"[]",  "[1]",     "[{}]",   "\"x\"", "\"\"",
                                      "1",   "-1.5e3",  "true",   "null",  "false",
                                      " 1 ", "\"\\n\"", "[[[]]]", "\n[]\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        refuses_at(all[i], JSON_FAULT_WRONG_TYPE, -1, "");
    }
}

static void broken_grammar_wins_over_the_schema(void **state)
{
    (void)state;
    refuses("{\"x\":1", JSON_FAULT_NOT_JSON);
    refuses("{\"amount\":true", JSON_FAULT_NOT_JSON);
    refuses("{\"name\":1,\"amount\":01}", JSON_FAULT_NOT_JSON);
    refuses("{\"name\":\"a\",\"name\":\"b\"}}", JSON_FAULT_NOT_JSON);
    refuses("[1,2", JSON_FAULT_NOT_JSON);
    refuses("{\"x\":[{\"y\":{]}", JSON_FAULT_NOT_JSON);
    refuses_at("{\"name\":1,\"x\":2,\"count\":\"\"}", JSON_FAULT_WRONG_TYPE, NAME,
               "name"); /* else the first */
    refuses_at("{\"x\":{\"amount\":[]},\"name\":1}", JSON_FAULT_UNKNOWN, -1, "x");
}

static void keeps_the_limit_of_a_string(void **state)
{
    char body[64];

    (void)state;
    for (int len = 0; len <= 14; len++) {
        (void)snprintf(body, sizeof(body), "{\"name\":\"%.*s\"}", len, "aaaaaaaaaaaaaaaaaaaa");
        if (len <= 12) {
            reads(body);
            assert_int_equal(values[NAME].text.len, len);
        } else {
            refuses_at(body, JSON_FAULT_TOO_LONG, NAME, "name");
        }
    }
    reads("{\"name\":\"\\u4f59\\u4f59\\u4f59\\u4f59\"}"); /* 12 bytes once decoded */
    refuses("{\"name\":\"\\u4f59\\u4f59\\u4f59\\u4f59.\"}", JSON_FAULT_TOO_LONG);
}

static void keeps_the_limit_of_a_map(void **state)
{
    (void)state;
    reads("{\"meta\":{\"aaaaa\":\"bbb\",\"ccccc\":\"dd\"}}");
    reads("{\"meta\":{\"aaaaa\":\"bbb\",\"ccccc\":\"ddd\"}}");
    refuses_at("{\"meta\":{\"aaaaa\":\"bbb\",\"ccccc\":\"dddd\"}}", JSON_FAULT_TOO_LONG, META,
               "meta");
    refuses_at("{\"meta\":{\"aaaaaaaaaaaaaaaaa\":\"\"}}", JSON_FAULT_TOO_LONG, META, "meta");
    reads("{\"entries\":[{\"meta\":{\"aaaaaaaa\":\"bbbbbbbb\"}},{\"meta\":{\"aaaaaaaa\":\"bbbbbbbb\"}}]}");
    refuses("{\"entries\":[{\"meta\":{\"a\":\"b\"}},{\"meta\":{\"aaaaaaaa\":\"bbbbbbbbb\"}}]}",
            JSON_FAULT_TOO_LONG);
    assert_int_equal(fault.row, 1);
}

static void keeps_the_limit_of_an_array(void **state)
{
    (void)state;
    reads("{\"entries\":[{},{}]}");
    reads("{\"entries\":[{},{},{}]}");
    assert_int_equal(values[ENTRIES].array.count, 3);
    refuses_at("{\"entries\":[{},{},{},{}]}", JSON_FAULT_TOO_LONG, ENTRIES, "entries");
}

static void keeps_the_limit_of_depth(void **state)
{
    (void)state;
    reads("{\"amount\":[[[[[[[]]]]]]]}"); /* 8 in all */
    refuses("{\"amount\":[[[[[[[[]]]]]]]]}", JSON_FAULT_TOO_DEEP);
    reads("{\"amount\":[[[[[[{\"a\":1}]]]]]]}");
    refuses("{\"amount\":[[[[[[[{}]]]]]]]}", JSON_FAULT_TOO_DEEP);
    refuses("[[[[[[[[]]]]]]]]", JSON_FAULT_WRONG_TYPE);
    refuses("[[[[[[[[[]]]]]]]]]", JSON_FAULT_TOO_DEEP);
    refuses("{\"x\":[[[[[[[[]]]]]]]]}", JSON_FAULT_TOO_DEEP);
}

static void faults_have_names(void **state)
{
    (void)state;
    for (int kind = 0; kind < JSON_FAULT_COUNT; kind++) {
        assert_non_null(json_fault_name((enum json_fault_kind)kind));
    }
    assert_string_equal(json_fault_name(JSON_FAULT_DUPLICATE), "DUPLICATE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_kind),
        cmocka_unit_test(an_absent_member_is_not_present),
        cmocka_unit_test(a_schema_may_be_empty),
        cmocka_unit_test(keeps_the_source_text_of_numbers),
        cmocka_unit_test(an_amount_of_another_type_is_told_apart),
        cmocka_unit_test(decodes_escapes),
        cmocka_unit_test(keeps_utf8_as_it_is),
        cmocka_unit_test(reads_integers_to_their_ends),
        cmocka_unit_test(what_it_hands_out_outlives_the_body),
        cmocka_unit_test(refuses_duplicates),
        cmocka_unit_test(refuses_unknown_members),
        cmocka_unit_test(a_tolerant_schema_skips_unknown_members),
        cmocka_unit_test(refuses_wrong_types_by_name),
        cmocka_unit_test(refuses_what_is_not_an_object),
        cmocka_unit_test(broken_grammar_wins_over_the_schema),
        cmocka_unit_test(keeps_the_limit_of_a_string),
        cmocka_unit_test(keeps_the_limit_of_a_map),
        cmocka_unit_test(keeps_the_limit_of_an_array),
        cmocka_unit_test(keeps_the_limit_of_depth),
        cmocka_unit_test(faults_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, arena_teardown);
}

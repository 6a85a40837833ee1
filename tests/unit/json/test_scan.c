/* What is not JSON, byte by byte and cut anywhere; bad UTF-8, NUL and lone surrogates wherever they may stand. */
#include "json/json_internal.h"

#include "unit/json/json_fixture.h"

static const char *const not_json[] = {
    "",
    " ",
    "\n",
    "{",
    "}",
    "[",
    "]",
    "{]",
    "[}",
    "{\"",
    "{\"a",
    "{\"amount",
    "{\"amount\"",
    "{\"amount\":",
    "{\"amount\":1",
    "{\"amount\":1,",
    "{\"amount\":1,}",
    "{,\"amount\":1}",
    "{,}",
    "{\"amount\" 1}",
    "{\"amount\"::1}",
    "{\"amount\":1:2}",
    "{\"amount\":1 \"name\":\"x\"}",
    "{\"amount\":1,,\"name\":\"x\"}",
    "{amount:1}",
    "{'amount':1}",
    "{1:1}",
    "{null:1}",
    "{\"amount\"}",
    "{\"amount\":}",
    "{\"amount\":1}}",
    "{\"amount\":1}]",
    "{\"amount\":1},",
    "{\"amount\":1}{}",
    "{\"amount\":1} {}",
    "{\"amount\":1}\n{\"amount\":1}",
    "{\"amount\":1} x",
    "{\"amount\":1}\"x\"",
    "{\"amount\":1}1",
    "{\"amount\":1}null",
    "{\"amount\":1}/**/",
    "{\"amount\":1}//",
    "/**/{\"amount\":1}",
    "{/**/\"amount\":1}",
    "{\"amount\":1}#",
    "{\"amount\":1};",
    "\xef\xbb\xbf{\"amount\":1}",
    "{\"amount\":NaN}",
    "{\"amount\":Infinity}",
    "{\"amount\":-Infinity}",
    "{\"amount\":nan}",
    "{\"amount\":01}",
    "{\"amount\":00}",
    "{\"amount\":-01}",
    "{\"amount\":1.}",
    "{\"amount\":.5}",
    "{\"amount\":-.5}",
    "{\"amount\":+5}",
    "{\"amount\":0x10}",
    "{\"amount\":0X1}",
    "{\"amount\":1,000}",
    "{\"amount\":1e}",
    "{\"amount\":1e+}",
    "{\"amount\":1E-}",
    "{\"amount\":1.e1}",
    "{\"amount\":-}",
    "{\"amount\":--1}",
    "{\"amount\":+-1}",
    "{\"amount\":1.2.3}",
    "{\"amount\":1e1.5}",
    "{\"amount\":1_0}",
    "{\"amount\":1f}",
    "{\"amount\":0.1.2}",
    "{\"amount\":1 2}",
    "{\"amount\":- 1}",
    "{\"amount\":1a}",
    "{\"amount\":\xef\xbc\x91}",
    "{\"amount\":True}",
    "{\"amount\":tru}",
    "{\"amount\":truee}",
    "{\"amount\":nul}",
    "{\"amount\":fals}",
    "{\"amount\":nulll}",
    "{\"amount\":TRUE}",
    "{\"amount\":undefined}",
    "{\"amount\":[1,]}",
    "{\"amount\":[,1]}",
    "{\"amount\":[1 2]}",
    "{\"amount\":[1,,2]}",
    "{\"amount\":[}",
    "{\"amount\":[1}",
    "{\"amount\":{]}",
    "{\"amount\":[\"a\":1]}",
    "{\"amount\":{\"a\"}}",
    "{\"amount\":{1:1}}",
    "{\"name\":\"\n\"}",
    "{\"name\":\"\t\"}",
    "{\"name\":\"\x01\"}",
    "{\"name\":\"\x1f\"}",
    "{\"name\":\"\\x41\"}",
    "{\"name\":\"\\a\"}",
    "{\"name\":\"\\'\"}",
    "{\"name\":\"\\u\"}",
    "{\"name\":\"\\u12\"}",
    "{\"name\":\"\\u123\"}",
    "{\"name\":\"\\u12G4\"}",
    "{\"name\":\"\\U0041\"}",
    "{\"name\":\"\\u00\"}",
    "{\"name\":\"\\\xc3\xa9\"}",
    "{\"name\":\"\\\"}",
    "{\"name\":\"\\",
    "{\"name\":\"\\u00",
    "{\"name\":\"x}",
    "{\"name\":'x'}",
    "{\"name\":x}",
    "{\"name\":\"x\"\"y\"}",
    "{\"name\":\"x\" + \"y\"}",
    "{\"amount\":1\v}",
    "{\"amount\":1\f}",
    "\f{\"amount\":1}",
    "{\"amount\":1}\v",
    "{\"amount\":1}\f",
    "{\"amount\":1\xc2\xa0}",
    "{\"amount\":1\xe2\x80\x8b}",
    "\xe2\x80\xa8{}",
    "{\"amount\":1}\x7f",
    "tru",
    "nul",
    "1.",
    "-",
    "\"x",
    "[1",
    "[1,",
    "x",
    "\\",
    "{\\",
    "\\u007b}",
    "<a/>",
    "amount=1",
    "[1]x",
    "1 2",
    "\"a\" \"b\"",
    "[][]",
    "01",
    "{\"amount\":\"1\"",
    "{{}}",
    "{{",
    "{[]}",
    "*",
};

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(not_json); i++) {
        refuses(not_json[i], JSON_FAULT_NOT_JSON);
    }
    refuses_bytes(SLICE_NONE, JSON_FAULT_NOT_JSON);
    refuses_bytes(SLICE("{\"amount\":1}\0"), JSON_FAULT_NOT_JSON);
    refuses_bytes(SLICE("\0{\"amount\":1}"), JSON_FAULT_NOT_JSON);
    refuses_bytes(SLICE("{\"name\":\"a\0b\"}"), JSON_FAULT_NOT_JSON);
    refuses_bytes(SLICE("{\0\"amount\":1}"), JSON_FAULT_NOT_JSON);
    refuses_bytes(SLICE("{\"amount\":1\0}"), JSON_FAULT_NOT_JSON);
}

/* Every byte where a value, a member or nothing may stand. */
static void takes_no_stray_byte(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char behind[] = "{\"amount\":1}?";
        char before[] = "{?\"amount\":1}";
        char inside[] = "{\"amount\":?}";
        bool is_space = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
        behind[sizeof(behind) - 2] = (char)byte;
        before[1] = (char)byte;
        inside[10] = (char)byte;
        assert_int_equal(read_by(&schema, slice_make(behind, sizeof(behind) - 1)) == ERR_OK,
                         is_space);
        assert_int_equal(read_by(&schema, slice_make(before, sizeof(before) - 1)) == ERR_OK,
                         is_space);
        assert_int_equal(read_by(&schema, slice_make(inside, sizeof(inside) - 1)) == ERR_OK,
                         byte >= '0' && byte <= '9');
    }
}

/* No true beginning of a body is a body; cut anywhere, nothing is read past the cut (a heap copy, for ASan). */
static void a_body_cut_anywhere_is_not_json(void **state)
{
    static const char *const all[] = {
        "{\"amount\":100.00,\"name\":\"\\uD83D\\uDCB0\",\"final\":true,\"meta\":{\"k\":\"\xe4\xbd\x99\"}}",
        "{\"entries\":[{\"id\":\"a\",\"amount\":null},{\"id\":\"\\\\\"}],\"count\":-12}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct slice body = slice_of(all[i]);
        reads(all[i]);
        for (size_t len = 0; len < body.len; len++) {
            char *copy = mem_alloc(len);
            assert_non_null(copy);
            memcpy(copy, body.ptr, len);
            assert_int_equal(read_by(&schema, slice_make(copy, len)), ERR_INVALID);
            assert_true(fault.kind == JSON_FAULT_NOT_JSON || fault.kind == JSON_FAULT_UTF8 ||
                        fault.kind == JSON_FAULT_SURROGATE);
            mem_free(copy);
        }
    }
}

static void refuses_bad_utf8_anywhere(void **state)
{
    static const char *const all[] = {
        "\x80",
        "\xbf",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xc0\x80",
        "\xc2",
        "\xc2\x20",
        "\xc2\xc2",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xe1\x80",
        "\xe1\x80\x20",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xed\xa0\xbd\xed\xb2\xb0",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf1\x80\x80",
        "\xf1\x80\x80\x20",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xfc\x84\x80\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xe9",
    };
    static const char *const places[] = {
        "{\"name\":\"%s\"}",
        "{\"%s\":1}",
        "{\"meta\":{\"%s\":\"\"}}",
        "{\"meta\":{\"\":\"%s\"}}",
        "{\"amount\":\"%s\"}",
        "{\"amount\":{\"%s\":1}}",
        "%s",
        "{%s}",
        "{}%s",
        "{\"name\":\"\\n%s\"}",
    };
    char body[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        for (size_t j = 0; j < ARRAY_LEN(places); j++) {
            const char *place = places[j];
            const char *hole = strstr(place, "%s");
            (void)snprintf(body, sizeof(body), "%.*s%s%s", (int)(hole - place), place, all[i],
                           hole + 2);
            refuses(body, JSON_FAULT_UTF8);
        }
    }
}

static void refuses_an_escaped_nul_anywhere(void **state)
{
    (void)state;
    refuses("{\"name\":\"\\u0000\"}", JSON_FAULT_NUL);
    refuses("{\"name\":\"x\\u0000y\"}", JSON_FAULT_NUL);
    refuses("{\"name\\u0000\":\"x\"}", JSON_FAULT_NUL);
    refuses("{\"amount\":\"1\\u0000\"}", JSON_FAULT_NUL);
    refuses("{\"meta\":{\"\\u0000\":\"\"}}", JSON_FAULT_NUL);
    refuses("{\"meta\":{\"\":\"\\\\\\u0000\"}}", JSON_FAULT_NUL);
    refuses("{\"amount\":[\"\\u0000\"]}", JSON_FAULT_NUL);
    assert_int_equal(fault.at, 12);
    reads("{\"name\":\"\\u0001\"}");
}

static void refuses_lone_surrogates(void **state)
{
    static const char *const all[] = {
        "\\uD800",
        "\\uDBFF",
        "\\uDC00",
        "\\uDFFF",
        "\\ud83d",
        "x\\uD800y",
        "\\uD800\\uD800",
        "\\uDC00\\uD800",
        "\\uD800\\n",
        "\\uD800\\u0041",
        "\\uD800\\uE000",
        "\\uD800\\uDBFF",
        "\\uD800\\\\uDC00",
        "\\uD83D\\uDCB0\\uDCB0",
        "\\uD83D\\uD83D\\uDCB0",
        "\\uD800uDC00",
        "\\uD800 \\uDC00",
        "\\uD800\\uDC0",
        "\\uD800\\u",
    };
    char body[128];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        (void)snprintf(body, sizeof(body), "{\"name\":\"%s\"}", all[i]);
        refuses(body, JSON_FAULT_SURROGATE);
        (void)snprintf(body, sizeof(body), "{\"%s\":1}", all[i]);
        refuses(body, JSON_FAULT_SURROGATE);
    }
}

static void survives_a_hundred_thousand_brackets(void **state)
{
    enum { LEN = 100000 };
    static const char *const units[] = {
        "[", "{", "{\"a\":", "]", "}", "[[]", "{\"amount\":", "\"", "\\"};
    char *body = mem_alloc(LEN);

    (void)state;
    assert_non_null(body);
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        size_t len = strlen(units[i]);
        for (size_t at = 0; at < LEN; at++) {
            body[at] = units[i][at % len];
        }
        assert_int_equal(read_by(&schema, slice_make(body, LEN)), ERR_INVALID);
    }
    mem_free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_json),
        cmocka_unit_test(takes_no_stray_byte),
        cmocka_unit_test(a_body_cut_anywhere_is_not_json),
        cmocka_unit_test(refuses_bad_utf8_anywhere),
        cmocka_unit_test(refuses_an_escaped_nul_anywhere),
        cmocka_unit_test(refuses_lone_surrogates),
        cmocka_unit_test(survives_a_hundred_thousand_brackets),
    };

    return cmocka_run_group_tests(tests, NULL, arena_teardown);
}

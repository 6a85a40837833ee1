/* One log line: its text, its escapes, its ceiling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/assert.h"
#include "base/prng.h"
#include "log/log_line.h"

#define NOW_US UINT64_C(1721649600123456) /* 2024-07-22T12:00:00.123456Z */
#define LOGFMT_HEAD "time=2024-07-22T12:00:00.123456Z level=info event=e"
#define JSON_HEAD "{\"time\":\"2024-07-22T12:00:00.123456Z\",\"level\":\"info\",\"event\":\"e\""

static const char *line_text(struct log_line *line)
{
    assert_true(line->len < sizeof(line->text));
    line->text[line->len] = '\0';
    return line->text;
}

static void expect_field(enum log_format format, struct log_field field, const char *expected)
{
    struct log_line line;
    char whole[LOG_LINE_BYTES_MAX];

    log_line_start(&line, format, NOW_US, LOG_INFO, "e");
    log_line_field(&line, &field);
    log_line_end(&line, 0);
    (void)snprintf(whole, sizeof(whole), "%s%s\n", format == LOG_JSON ? JSON_HEAD : LOGFMT_HEAD,
                   expected);
    assert_string_equal(line_text(&line), whole);
}

static void test_types(void **state)
{
    (void)state;
    expect_field(LOG_LOGFMT, log_u64("n", UINT64_MAX), " n=18446744073709551615");
    expect_field(LOG_LOGFMT, log_i64("n", INT64_MIN), " n=-9223372036854775808");
    expect_field(LOG_LOGFMT, log_i64("n", 0), " n=0");
    expect_field(LOG_LOGFMT, log_bool("is_open", true), " is_open=true");
    expect_field(LOG_LOGFMT, log_bool("is_open", false), " is_open=false");
    expect_field(LOG_LOGFMT, log_text("path", "/api/v1/wallet"), " path=/api/v1/wallet");
    expect_field(LOG_JSON, log_u64("n", 7), ",\"n\":7}");
    expect_field(LOG_JSON, log_i64("n", -7), ",\"n\":-7}");
    expect_field(LOG_JSON, log_bool("is_open", true), ",\"is_open\":true}");
    expect_field(LOG_JSON, log_text("path", "/x"), ",\"path\":\"/x\"}");
}

static void test_logfmt_quotes_when_needed(void **state)
{
    (void)state;
    expect_field(LOG_LOGFMT, log_text("t", ""), " t=\"\"");
    expect_field(LOG_LOGFMT, log_slice("t", SLICE_NONE), " t=\"\"");
    expect_field(LOG_LOGFMT, log_text("t", "a b"), " t=\"a b\"");
    expect_field(LOG_LOGFMT, log_text("t", "a=b"), " t=\"a=b\"");
    expect_field(LOG_LOGFMT, log_text("t", "a\"b"), " t=\"a\\\"b\"");
    expect_field(LOG_LOGFMT, log_text("t", "a\\b"), " t=\"a\\\\b\"");
    expect_field(LOG_LOGFMT, log_text("t", "余额"), " t=余额");
}

static void test_escapes(void **state)
{
    (void)state;
    expect_field(LOG_LOGFMT, log_text("t", "a\nb\r\tc"), " t=\"a\\nb\\r\\tc\"");
    expect_field(LOG_JSON, log_text("t", "a\nb\r\tc"), ",\"t\":\"a\\nb\\r\\tc\"}");
    expect_field(LOG_LOGFMT, log_text("t", "\x1b[31m"), " t=\"\\u001b[31m\"");
    expect_field(LOG_JSON, log_text("t", "\x1b[31m"), ",\"t\":\"\\u001b[31m\"}");
    expect_field(LOG_JSON, log_slice("t", SLICE("a\0b")), ",\"t\":\"a\\u0000b\"}");
    expect_field(LOG_JSON, log_text("t", "\x7f"), ",\"t\":\"\\u007f\"}");
    expect_field(LOG_JSON, log_text("t", "\xC2\x9B"), ",\"t\":\"\\u009b\"}");
    expect_field(LOG_LOGFMT, log_text("t", "\xE2\x80\xA8"), " t=\"\\u2028\"");
    expect_field(LOG_LOGFMT, log_text("t", "\xE2\x80\xAE"), " t=\"\\u202e\"");
    expect_field(LOG_LOGFMT, log_text("t", "\xE2\x81\xA6"), " t=\"\\u2066\"");
    expect_field(LOG_JSON, log_text("t", "\xC2\xA0"), ",\"t\":\"\xC2\xA0\"}");
}

#define BAD "\xEF\xBF\xBD"

static void test_invalid_utf8_is_replaced(void **state)
{
    (void)state;
    expect_field(LOG_LOGFMT, log_text("t", "\xFF"), " t=\"" BAD "\"");
    expect_field(LOG_LOGFMT, log_text("t", "a\x80z"), " t=\"a" BAD "z\"");
    expect_field(LOG_JSON, log_text("t", "\xC0\xAF"), ",\"t\":\"" BAD BAD "\"}"); /* overlong */
    expect_field(LOG_JSON, log_text("t", "\xE0\x80\x80"), ",\"t\":\"" BAD BAD BAD "\"}"); /* overlong */
    expect_field(LOG_JSON, log_text("t", "\xED\xA0\x80"), ",\"t\":\"" BAD BAD BAD "\"}"); /* surrogate */
    expect_field(LOG_JSON, log_text("t", "\xF4\x90\x80\x80"), ",\"t\":\"" BAD BAD BAD BAD "\"}");
    expect_field(LOG_JSON, log_text("t", "\xF0\x9F\x98"),
                 ",\"t\":\"" BAD BAD BAD "\"}"); /* ends early */
    expect_field(LOG_JSON, log_text("t", "\xF0\x9F\x98\x80"), ",\"t\":\"\xF0\x9F\x98\x80\"}");
    expect_field(LOG_JSON, log_text("t", "\xF4\x8F\xBF\xBF"), ",\"t\":\"\xF4\x8F\xBF\xBF\"}");
}

static void expect_cut(size_t len, size_t kept, bool is_cut)
{
    char text[LOG_FIELD_BYTES_MAX + 8];
    char expected[LOG_LINE_BYTES_MAX];
    struct log_line line;
    struct log_field field = log_slice("t", slice_make(text, len));

    memset(text, 'x', sizeof(text));
    log_line_start(&line, LOG_LOGFMT, NOW_US, LOG_INFO, "e");
    log_line_field(&line, &field);
    log_line_end(&line, 0);
    (void)snprintf(expected, sizeof(expected), LOGFMT_HEAD " t=%.*s%s\n", (int)kept, text,
                   is_cut ? " truncated=true" : "");
    assert_string_equal(line_text(&line), expected);
}

static void test_texts_are_cut(void **state)
{
    char text[LOG_FIELD_BYTES_MAX + 4];
    struct log_field field = log_slice("t", slice_make(text, sizeof(text)));
    struct log_line line;

    (void)state;
    expect_cut(LOG_FIELD_BYTES_MAX - 1, LOG_FIELD_BYTES_MAX - 1, false);
    expect_cut(LOG_FIELD_BYTES_MAX, LOG_FIELD_BYTES_MAX, false);
    expect_cut(LOG_FIELD_BYTES_MAX + 1, LOG_FIELD_BYTES_MAX, true);

    /* a character astride the cut goes as a whole, wherever in it the cut falls */
    for (size_t before = 0; before <= 4; before++) {
        memset(text, 'x', sizeof(text));
        memcpy(text + LOG_FIELD_BYTES_MAX - before, "\xF0\x9F\x98\x80", 4);
        log_line_start(&line, LOG_LOGFMT, NOW_US, LOG_INFO, "e");
        log_line_field(&line, &field);
        assert_null(strstr(line_text(&line), BAD));
        assert_int_equal(line.len, strlen(LOGFMT_HEAD " t=") + LOG_FIELD_BYTES_MAX -
                                       (before == 4 ? 0 : before));
    }
}

static void test_line_is_bounded(void **state)
{
    char text[LOG_FIELD_BYTES_MAX];
    struct log_field field = log_slice("big", slice_make(text, sizeof(text)));
    struct log_field small = log_u64("small", 1);
    struct log_line line;
    size_t written = 0;

    (void)state;
    memset(text, 1, sizeof(text)); /* six bytes each when escaped */
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        log_line_start(&line, (enum log_format)format, NOW_US, LOG_INFO, "e");
        for (int i = 0; i < 5; i++) {
            size_t before = line.len;

            log_line_field(&line, &field);
            written += line.len > before ? 1 : 0;
        }
        log_line_field(&line, &small); /* what still fits is still written */
        log_line_end(&line, UINT64_MAX);
        assert_true(line.len <= LOG_LINE_BYTES_MAX);
        if (format == LOG_JSON) {
            assert_non_null(
                strstr(line_text(&line),
                       ",\"small\":1,\"dropped\":18446744073709551615,\"truncated\":true}\n"));
        } else {
            assert_non_null(
                strstr(line_text(&line), " small=1 dropped=18446744073709551615 truncated=true\n"));
        }
    }
    assert_int_equal(written, 2 * 2);
}

/* Fill the line to each length around its end in turn: the tail must fit behind every one of them. */
static void test_every_length_near_the_end(void **state)
{
    char text[LOG_FIELD_BYTES_MAX];
    struct log_line line;

    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t last = 0; last < sizeof(text); last++) {
        log_line_start(&line, LOG_JSON, NOW_US, LOG_INFO, "e");
        for (int i = 0; i < 14; i++) {
            struct log_field field = log_slice("k", slice_make(text, sizeof(text)));
            log_line_field(&line, &field);
        }
        for (int i = 0; i < 2; i++) {
            struct log_field field = log_slice("k", slice_make(text, last));
            log_line_field(&line, &field);
        }
        log_line_end(&line, UINT64_MAX);
        assert_true(line.len <= LOG_LINE_BYTES_MAX);
        assert_memory_equal(line.text + line.len - 2, "}\n", 2);
    }
}

static void test_event_of_any_bytes(void **state)
{
    char event[4096];
    struct log_line line;

    (void)state;
    memset(event, 1, sizeof(event) - 1);
    event[sizeof(event) - 1] = '\0';
    log_line_start(&line, LOG_JSON, NOW_US, LOG_ERROR, event);
    log_line_end(&line, 1);
    assert_non_null(strstr(line_text(&line), "\"level\":\"error\""));
    assert_non_null(strstr(line_text(&line), "\",\"dropped\":1,\"truncated\":true}\n"));
}

static void test_times(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {UINT64_C(951782399999999), "2000-02-28T23:59:59.999999Z"},
        {UINT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {UINT64_C(951868800000000), "2000-03-01T00:00:00.000000Z"},
        {UINT64_C(1709164800000001), "2024-02-29T00:00:00.000001Z"},
        {UINT64_C(1735689599000000), "2024-12-31T23:59:59.000000Z"},
        {UINT64_C(1735689600000000), "2025-01-01T00:00:00.000000Z"},
        {UINT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
        {UINT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct log_line line;

        log_line_start(&line, LOG_LOGFMT, cases[i].us, LOG_DEBUG, "e");
        assert_memory_equal(line.text, "time=", 5);
        assert_memory_equal(line.text + 5, cases[i].text, strlen(cases[i].text));
    }
}

/* Reads one quoted text as JSON does; NULL when it is malformed. */
static const char *skip_quoted(const char *at)
{
    if (*at++ != '"') {
        return NULL;
    }
    while (*at != '"') {
        if (*at == '\0' || (unsigned char)*at < 0x20 || *at == 0x7f) {
            return NULL;
        }
        if (*at == '\\') {
            at++;
            if (*at == 'u') {
                if (strspn(at + 1, "0123456789abcdef") < 4) {
                    return NULL;
                }
                at += 4;
            } else if (*at == '\0' || strchr("\"\\nrt", *at) == NULL) {
                return NULL;
            }
        }
        at++;
    }
    return at + 1;
}

static const char *skip_json_line(const char *at)
{
    if (*at != '{') {
        return NULL;
    }
    do {
        at = skip_quoted(at + 1);
        if (at == NULL || *at++ != ':') {
            return NULL;
        }
        if (*at == '"') {
            at = skip_quoted(at);
            if (at == NULL) {
                return NULL;
            }
        } else {
            at += strspn(at, "-0123456789truefals");
        }
    } while (*at == ',');
    return *at == '}' ? at + 1 : NULL;
}

static const char *skip_logfmt_line(const char *at)
{
    for (;;) {
        size_t key = strspn(at, "abcdefghijklmnopqrstuvwxyz_");

        if (key == 0 || at[key] != '=') {
            return NULL;
        }
        at += key + 1;
        if (*at == '"') {
            at = skip_quoted(at);
            if (at == NULL) {
                return NULL;
            }
        } else {
            size_t value = strcspn(at, " =\"\n");

            if (value == 0) {
                return NULL;
            }
            at += value;
        }
        if (*at != ' ') {
            return at;
        }
        at++;
    }
}

static void test_any_bytes_give_a_line_that_parses(void **state)
{
    /* bytes that make trouble more often than chance would */
    static const char spice[] = "\"\\= \n\x1b\xC2\x9B\xE2\x80\xA8\xF0\x9F\x98\x80\xED\xA0\xFF\x80";
    struct prng prng = {.state = 20240722};
    char texts[4][400];

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct log_line line;
        enum log_format format = round % 2 == 0 ? LOG_LOGFMT : LOG_JSON;
        const char *end;

        log_line_start(&line, format, NOW_US, LOG_WARN, "e");
        for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
            size_t len = prng_below(&prng, round % 8 == 0 ? sizeof(texts[i]) : 12);
            struct log_field field = log_slice("t", slice_make(texts[i], len));

            for (size_t b = 0; b < len; b++) {
                texts[i][b] = prng_below(&prng, 2) == 0 ? spice[prng_below(&prng, sizeof(spice))]
                                                        : (char)prng_below(&prng, 256);
            }
            log_line_field(&line, &field);
        }
        log_line_end(&line, 0);
        end = format == LOG_JSON ? skip_json_line(line_text(&line))
                                 : skip_logfmt_line(line_text(&line));
        assert_non_null(end);
        assert_ptr_equal(end, line.text + line.len - 1);
        assert_int_equal(*end, '\n');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_logfmt_quotes_when_needed),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_invalid_utf8_is_replaced),
        cmocka_unit_test(test_texts_are_cut),
        cmocka_unit_test(test_line_is_bounded),
        cmocka_unit_test(test_every_length_near_the_end),
        cmocka_unit_test(test_event_of_any_bytes),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_any_bytes_give_a_line_that_parses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

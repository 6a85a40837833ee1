/* RFC 3339, both ways. */
#include "fake.h"

#include <stdio.h>
#include <time.h>

#include "api/time.h"
#include "base/assert.h"

static void expect_text(int64_t time_us, const char *expected)
{
    struct buf out;

    buf_init(&out, 64);
    api_time_append(&out, time_us);
    buf_append_byte(&out, '\0');
    assert_string_equal(out.ptr, expected);
    buf_fini(&out);
}

static void writes_six_digits(void **state)
{
    (void)state;
    expect_text(0, "1970-01-01T00:00:00.000000Z");
    expect_text(1, "1970-01-01T00:00:00.000001Z");
    expect_text(1709251199999999, "2024-02-29T23:59:59.999999Z");
    expect_text(2147483648000000, "2038-01-19T03:14:08.000000Z");
    expect_text(INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z");
}

static void agrees_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t s = 0; s < INT64_C(253402300800); s += 86400 * 13 + 12345) { /* to the year 9999 */
        time_t seconds = (time_t)s;
        struct tm tm;
        char expected[64], text[80];
        struct buf out;
        int64_t back;
        assert_non_null(gmtime_r(&seconds, &tm));
        (void)strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(text, sizeof(text), "%s.000042Z", expected);
        buf_init(&out, 64);
        api_time_append(&out, s * 1000000 + 42);
        assert_true(slice_equal(buf_slice(&out), slice_of(text)));
        assert_int_equal(api_time_parse(buf_slice(&out), &back), ERR_OK);
        assert_int_equal(back, s * 1000000 + 42);
        buf_fini(&out);
    }
}

static void reads_zones_and_fractions(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01T08:00:00+08:00", 0},
        {"1969-12-31T23:30:00-00:30", 0},
        {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.000001Z", 1},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2024-02-29T00:00:00Z", 1709164800000000},
        {"2000-02-29T00:00:00Z", 951782400000000},
    };
    int64_t us;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(api_time_parse(slice_of(cases[i].text), &us), ERR_OK);
        assert_int_equal(us, cases[i].us);
    }
}

static void refuses_everything_else(void **state)
{
    static const char *const bad[] = {
        "",
        "2025",
        "2025-01-01",
        "2025-01-01T00:00:00",
        "2025-01-01 00:00:00Z",
        "2025-01-01t00:00:00Z",
        "2025-01-01T00:00:00z",
        "2025-1-01T00:00:00Z",
        "2025-00-01T00:00:00Z",
        "2025-13-01T00:00:00Z",
        "2025-01-00T00:00:00Z",
        "2025-01-32T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2025-04-31T00:00:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:60:00Z",
        "2025-01-01T23:59:60Z",
        "2025-01-01T00:00:00.Z",
        "2025-01-01T00:00:00.1234567Z",
        "2025-01-01T00:00:00+0800",
        "2025-01-01T00:00:00+24:00",
        "2025-01-01T00:00:00+08:60",
        "2025-01-01T00:00:00ZZ",
        " 2025-01-01T00:00:00Z",
        "2025-01-01T00:00:00 08:00",
        "-025-01-01T00:00:00Z",
        "2025-01-01T00:00Z",
        "1735689600",
    };
    int64_t us = 77;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(api_time_parse(slice_of(bad[i]), &us), ERR_INVALID);
        assert_int_equal(us, 77);
    }
    for (size_t len = 0; len < 27; len++) { /* every beginning of a good one */
        assert_int_equal(api_time_parse(slice_make("2025-01-02T03:04:05.678901Z", len), &us),
                         ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_six_digits),
        cmocka_unit_test(agrees_with_the_c_library),
        cmocka_unit_test(reads_zones_and_fractions),
        cmocka_unit_test(refuses_everything_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

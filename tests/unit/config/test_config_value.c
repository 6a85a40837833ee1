/* One value of each kind: what is read, what is refused, and that what is written reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "config/config_internal.h"

union value {
    uint64_t number;
    bool is_on;
    int index;
    char text[CONFIG_TEXT_BYTES_MAX + 1];
};

static const struct config_entry number = {.name = "n", .kind = CONFIG_NUMBER, .min = 2, .max = 5};
static const struct config_entry any_number = {.name = "n", .kind = CONFIG_NUMBER, .max = UINT64_MAX};
static const struct config_entry duration = {.name = "d",
                                             .kind = CONFIG_DURATION,
                                             .max = 3650 * CONFIG_DAY};
static const struct config_entry size = {.name = "s", .kind = CONFIG_SIZE, .max = UINT64_MAX};
static const struct config_entry on_off = {.name = "b", .kind = CONFIG_SWITCH};
static const struct config_entry choice = {.name = "c",
                                           .kind = CONFIG_CHOICE,
                                           .choices = "red|green|blue"};
static const struct config_entry text = {.name = "t", .kind = CONFIG_TEXT};
static const struct config_entry short_text = {.name = "t", .kind = CONFIG_TEXT, .min = 2, .max = 3};
static const struct config_entry address = {.name = "a", .kind = CONFIG_ADDRESS};

static union value read_ok(const struct config_entry *entry, const char *from)
{
    union value value = {.text = ""};
    struct err_text why = {.text = ""};
    bool is_good = config_value_parse(entry, slice_of(from), &value, &why);

    if (!is_good) {
        print_error("%s: %s\n", from, why.text);
    }
    assert_true(is_good);
    return value;
}

static void refused(const struct config_entry *entry, const char *from, const char *words)
{
    union value value;
    union value before;
    struct err_text why = {.text = ""};

    memset(&value, 0x5A, sizeof(value));
    memcpy(&before, &value, sizeof(value));
    assert_false(config_value_parse(entry, slice_of(from), &value, &why));
    assert_memory_equal(&value, &before, sizeof(value));
    if (words != NULL) {
        assert_string_equal(why.text, words);
    }
}

static void test_numbers(void **state)
{
    static const char *const bad[] = {"",
                                      " 3",
                                      "3 ",
                                      "+3",
                                      "-3",
                                      "0x3",
                                      "3.0",
                                      "three",
                                      "3s",
                                      "3KiB",
                                      "18446744073709551616",
                                      "99999999999999999999999"};

    (void)state;
    refused(&number, "1", "n = 1 is out of range, which is 2 to 5");
    assert_int_equal(read_ok(&number, "2").number, 2);
    assert_int_equal(read_ok(&number, "5").number, 5);
    assert_int_equal(read_ok(&number, "0005").number, 5);
    refused(&number, "6", "n = 6 is out of range, which is 2 to 5");
    refused(&number, "x", "n = x is not a whole number, 2 to 5");
    assert_true(read_ok(&any_number, "18446744073709551615").number == UINT64_MAX);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&any_number, bad[i], NULL);
    }
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        uint64_t us;
    } good[] = {{"0", 0},
                {"0s", 0},
                {"0d", 0},
                {"1us", 1},
                {"250ms", 250000},
                {"5s", 5000000},
                {"1m", 60000000},
                {"24h", UINT64_C(86400000000)},
                {"2d", UINT64_C(172800000000)},
                {"3650d", UINT64_C(315360000000000)}};
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5S",
                                      "5 s",
                                      "5sec",
                                      "1.5s",
                                      "-5s",
                                      "1h30m",
                                      "5min",
                                      "3651d",
                                      "18446744073709551615d",
                                      "307445734561826m1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(read_ok(&duration, good[i].text).number == good[i].us);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&duration, bad[i], NULL);
    }
    refused(&duration, "5", "d = 5 is not a time such as 250ms, 5s, 1m, 24h or 30d, 0s to 3650d");
    refused(&duration, "3651d", "d = 3651d is out of range, which is 0s to 3650d");
}

static void test_sizes(void **state)
{
    static const char *const bad[] = {
        "",      "KiB",    "1K", "1KB",         "1kib",
        "1 KiB", "1.5MiB", "-1", "16777216TiB", "18446744073709551616"};

    (void)state;
    assert_int_equal(read_ok(&size, "0").number, 0);
    assert_int_equal(read_ok(&size, "512").number, 512);
    assert_int_equal(read_ok(&size, "512B").number, 512);
    assert_int_equal(read_ok(&size, "16KiB").number, 16384);
    assert_int_equal(read_ok(&size, "64MiB").number, 67108864);
    assert_int_equal(read_ok(&size, "1GiB").number, 1073741824);
    assert_true(read_ok(&size, "16777215TiB").number == UINT64_C(16777215) << 40);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&size, bad[i], NULL);
    }
}

static void test_switches(void **state)
{
    static const char *const on[] = {"true", "yes", "on", "1", "TRUE", "On"};
    static const char *const off[] = {"false", "no", "off", "0", "False"};
    static const char *const bad[] = {"", "2", "t", "maybe", "true "};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(on); i++) {
        assert_true(read_ok(&on_off, on[i]).is_on);
    }
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        assert_false(read_ok(&on_off, off[i]).is_on);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&on_off, bad[i], NULL);
    }
}

static void test_choices(void **state)
{
    static const char *const bad[] = {"", "re", "redd", "Red", "red|green", "|", "yellow"};

    (void)state;
    assert_int_equal(read_ok(&choice, "red").index, 0);
    assert_int_equal(read_ok(&choice, "green").index, 1);
    assert_int_equal(read_ok(&choice, "blue").index, 2);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&choice, bad[i], NULL);
    }
    refused(&choice, "yellow", "c = yellow is not one of red|green|blue");
}

static void test_texts(void **state)
{
    char longest[CONFIG_TEXT_BYTES_MAX + 2];

    (void)state;
    assert_string_equal(read_ok(&text, "").text, "");
    assert_string_equal(read_ok(&text, "/数据/x y").text, "/数据/x y");
    memset(longest, 'x', sizeof(longest));
    longest[CONFIG_TEXT_BYTES_MAX] = '\0';
    assert_string_equal(read_ok(&text, longest).text, longest);
    longest[CONFIG_TEXT_BYTES_MAX] = 'x';
    longest[CONFIG_TEXT_BYTES_MAX + 1] = '\0';
    refused(&text, longest, NULL);
    refused(&text, "a\nb", "t = a?b holds a control character");
    refused(&text, "a\x7f", "t = a? holds a control character");
    refused(&short_text, "a", "t = a has 1 bytes, allowed are 2 to 3");
    (void)read_ok(&short_text, "ab");
    (void)read_ok(&short_text, "abc");
    refused(&short_text, "abcd", "t = abcd has 4 bytes, allowed are 2 to 3");
}

static void test_addresses(void **state)
{
    static const char *const good[] = {"127.0.0.1:0", "localhost:65535", "[::1]:8080", "[::]:1",
                                       "0.0.0.0:08080"};
    static const char *const bad[] = {"",        "8080",    ":8080",  "h:",       "h:65536",
                                      "h:-1",    "h:http",  "::1",    "::1:8080", "[::1]",
                                      "[::1:80", "::1]:80", "[:]x:1", "[h:1",     "a b:1"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_string_equal(read_ok(&address, good[i]).text, good[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        refused(&address, bad[i], NULL);
    }
}

static void assert_reads_back(const struct config_entry *entry, uint64_t wanted, const char *expected)
{
    struct buf out;

    buf_init(&out, 64);
    config_number_format(entry->kind, wanted, &out);
    buf_append_byte(&out, '\0');
    assert_int_equal(out.err, ERR_OK);
    if (expected != NULL) {
        assert_string_equal(out.ptr, expected);
    }
    assert_true(read_ok(entry, out.ptr).number == wanted);
    buf_fini(&out);
}

static void test_written_numbers_read_back(void **state)
{
    struct prng prng = {.state = 7};

    (void)state;
    assert_reads_back(&duration, 0, "0s");
    assert_reads_back(&duration, 1, "1us");
    assert_reads_back(&duration, 1500000, "1500ms");
    assert_reads_back(&duration, 60 * CONFIG_SECOND, "1m");
    assert_reads_back(&duration, CONFIG_DAY, "24h");
    assert_reads_back(&duration, 2 * CONFIG_DAY, "2d");
    assert_reads_back(&size, 0, "0");
    assert_reads_back(&size, 1000, "1000");
    assert_reads_back(&size, 1 << 20, "1MiB");
    assert_reads_back(&size, (1 << 20) + 1024, "1025KiB");
    assert_reads_back(&any_number, UINT64_MAX, "18446744073709551615");
    for (int i = 0; i < 10000; i++) {
        assert_reads_back(&duration, prng_below(&prng, duration.max + 1), NULL);
        assert_reads_back(&size, prng_next(&prng) >> prng_below(&prng, 64) << prng_below(&prng, 20),
                          NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),   cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_switches),
        cmocka_unit_test(test_choices),   cmocka_unit_test(test_texts),
        cmocka_unit_test(test_addresses), cmocka_unit_test(test_written_numbers_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

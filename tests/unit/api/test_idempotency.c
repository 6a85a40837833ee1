/* Idempotency keys: their two spellings, their limits, and digests that are a stored format. */
#include "fake.h"

#include "api/idempotency.h"
#include "base/assert.h"
#include "base/mem.h"

static enum err parse(struct slice value, struct slice *key)
{
    static struct arena arena;

    arena_fini(&arena);
    arena_init(&arena, 4096);
    return api_key_parse(value, &arena, key);
}

static void expect_key(const char *value, const char *expected)
{
    struct slice key;

    assert_int_equal(parse(slice_of(value), &key), ERR_OK);
    assert_true(slice_equal(key, slice_of(expected)));
}

static void both_spellings_are_one_key(void **state)
{
    (void)state;
    expect_key("abc", "abc");
    expect_key("\"abc\"", "abc");
    expect_key("!#~", "!#~");
    expect_key("a\"b\\c", "a\"b\\c");
    expect_key("\"a\\\"b\\\\c\"", "a\"b\\c");
}

static void everything_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",    "\"",      "\"\"", "\"a",  "\"a\"b\"",    "\"a\\\"",      "\"a\\b\"", "\"a\";p=1",
        "a b", "\"a b\"", "a\tb", "\x7f", "caf\xc3\xa9", "\"\xc3\xa9\"", "\"\\\"",   "\x01"};
    struct slice key;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(parse(slice_of(bad[i]), &key), ERR_INVALID);
    }
    assert_int_equal(parse(slice_make("a\0b", 3), &key), ERR_INVALID);
}

static void the_length_is_that_of_the_key_itself(void **state)
{
    char text[2 * API_KEY_BYTES_MAX + 8];
    struct slice key;

    (void)state;
    for (size_t len = API_KEY_BYTES_MAX - 1; len <= API_KEY_BYTES_MAX + 1; len++) {
        enum err expected = len <= API_KEY_BYTES_MAX ? ERR_OK : ERR_INVALID;
        memset(text, 'k', sizeof(text));
        assert_int_equal(parse(slice_make(text, len), &key), expected);
        text[0] = text[len + 1] = '"';
        assert_int_equal(parse(slice_make(text, len + 2), &key), expected);
        memset(text, '\\', sizeof(text)); /* each byte escaped */
        text[0] = text[2 * len + 1] = '"';
        assert_int_equal(parse(slice_make(text, 2 * len + 2), &key), expected);
    }
}

static void no_memory_is_told_from_a_bad_key(void **state)
{
    struct arena arena;
    struct slice key;

    (void)state;
    arena_init(&arena, 0);
    assert_int_equal(api_key_parse(SLICE("\"a\\\\\""), &arena, &key), ERR_NOMEM);
    assert_int_equal(api_key_parse(SLICE("\"a\""), &arena, &key), ERR_OK);
}

static const struct api_field_names names = {4, {"route", "amount", "currency", "reference"}};

static struct idem make(struct slice caller, struct slice account, struct slice key,
                        struct slice currency, struct slice reference)
{
    struct api_digest d;
    struct api_fields f;
    struct decimal amount = {15, 1};
    struct idem out;

    assert_int_equal(api_digest_init(&d), ERR_OK);
    api_fields_init(&f, &names, "credit");
    api_fields_decimal(&f, &amount);
    api_fields_text(&f, currency);
    api_fields_text(&f, reference);
    assert_int_equal(api_idem_make(&d, caller, account, key, &f, &out), ERR_OK);
    api_digest_fini(&d);
    return out;
}

static void the_digests_are_a_stored_format(void **state)
{
    /* printf '\0A\0k' | sha256sum; and the same of 01, then for each field its presence, length and bytes */
    static const uint8_t scope[] = {0xe9, 0x83, 0xd1, 0x12, 0xa5, 0x5c, 0xac, 0x24,
                                    0x0b, 0x8e, 0x33, 0xe2, 0x5c, 0x3d, 0x88, 0xc1};
    static const uint8_t fingerprint[] = {0x89, 0x42, 0x63, 0xa7, 0x67, 0x6c, 0xab, 0x60,
                                          0x4e, 0xdf, 0x16, 0x83, 0x72, 0xc0, 0x41, 0xdd};
    struct idem idem = make(SLICE(""), SLICE("A"), SLICE("k"), SLICE("CNY"), SLICE_NONE);

    (void)state;
    assert_memory_equal(idem.scope, scope, IDEM_SCOPE_BYTES);
    assert_memory_equal(idem.fingerprint, fingerprint, IDEM_FINGERPRINT_BYTES);
    assert_int_equal(idem.field_count, 4);
}

static void parts_are_not_confused(void **state)
{
    struct idem a = make(SLICE("x"), SLICE("y"), SLICE("k"), SLICE("AB"), SLICE("C"));
    struct idem b = make(SLICE(""), SLICE("xy"), SLICE("k"), SLICE("A"), SLICE("BC"));
    struct idem absent = make(SLICE("x"), SLICE("y"), SLICE("k"), SLICE("AB"), SLICE_NONE);
    struct idem empty = make(SLICE("x"), SLICE("y"), SLICE("k"), SLICE("AB"), SLICE(""));

    (void)state;
    assert_memory_not_equal(a.scope, b.scope, IDEM_SCOPE_BYTES);
    assert_memory_not_equal(a.fingerprint, b.fingerprint, IDEM_FINGERPRINT_BYTES);
    assert_memory_not_equal(absent.fingerprint, empty.fingerprint, IDEM_FINGERPRINT_BYTES);
    assert_int_not_equal(absent.field_tags[3], empty.field_tags[3]);
    assert_memory_equal(a.scope, absent.scope, IDEM_SCOPE_BYTES);
}

static void expect_differing(uint8_t bits, const char *expected)
{
    struct buf out;

    buf_init(&out, 256);
    api_differing_append(&out, &names, bits);
    buf_append_byte(&out, '\0');
    assert_string_equal(out.ptr, expected);
    buf_fini(&out);
}

static void differing_fields_are_named(void **state)
{
    (void)state;
    expect_differing(0, "");
    expect_differing(1 << 1, "amount");
    expect_differing(1 << 1 | 1 << 3, "amount, reference");
    expect_differing(0xFF, "route");
    expect_differing(1 << 7, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_spellings_are_one_key),
        cmocka_unit_test(everything_else_is_refused),
        cmocka_unit_test(the_length_is_that_of_the_key_itself),
        cmocka_unit_test(no_memory_is_told_from_a_bad_key),
        cmocka_unit_test(the_digests_are_a_stored_format),
        cmocka_unit_test(parts_are_not_confused),
        cmocka_unit_test(differing_fields_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

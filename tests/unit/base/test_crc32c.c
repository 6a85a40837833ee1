/* CRC-32C: the published vectors, and the processor's instruction against the table. */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/prng.h"

static void assert_both(const void *bytes, size_t len, uint32_t expected)
{
    assert_int_equal(crc32c(bytes, len), expected);
    assert_int_equal(crc32c_portable(0, bytes, len), expected);
}

/* RFC 3720, appendix B.4; the last is the check value of the Rocksoft model. */
static void gives_the_published_values(void **state)
{
    static const uint8_t read_command[48] = {
        0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
        0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0,
    };
    uint8_t bytes[32];

    (void)state;
    memset(bytes, 0, sizeof(bytes));
    assert_both(bytes, sizeof(bytes), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_both(bytes, sizeof(bytes), 0x62a8ab43);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = i;
    }
    assert_both(bytes, sizeof(bytes), 0x46dd794e);
    for (uint8_t i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)(31 - i);
    }
    assert_both(bytes, sizeof(bytes), 0x113fdb5c);
    assert_both(read_command, sizeof(read_command), 0xd9963a56);
    assert_both("123456789", 9, 0xe3069283);
    assert_both("", 0, 0);
}

static void both_ways_agree_on_any_length_and_alignment(void **state)
{
    static uint8_t bytes[4096 + 16];
    struct prng random = {.state = 20260101};

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)prng_next(&random);
    }
    for (size_t len = 0; len < 200; len++) {
        for (size_t from = 0; from < 9; from++) {
            assert_int_equal(crc32c(bytes + from, len), crc32c_portable(0, bytes + from, len));
        }
    }
    for (int round = 0; round < 500; round++) {
        size_t from = prng_below(&random, 16);
        size_t len = prng_below(&random, 4096);
        assert_int_equal(crc32c(bytes + from, len), crc32c_portable(0, bytes + from, len));
    }
}

/* Cut anywhere, the parts give the checksum of the whole, whichever way computed each. */
static void goes_on_where_it_stopped(void **state)
{
    static const char text[] = "a checksum over several pieces is that of all of them in one";
    const size_t len = sizeof(text) - 1;
    uint32_t whole = crc32c(text, len);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        uint32_t fast = crc32c(text, cut);
        uint32_t slow = crc32c_portable(0, text, cut);
        assert_int_equal(crc32c_more(fast, text + cut, len - cut), whole);
        assert_int_equal(crc32c_more(slow, text + cut, len - cut), whole);
        assert_int_equal(crc32c_portable(fast, text + cut, len - cut), whole);
    }
}

static void sees_any_single_flipped_bit(void **state)
{
    uint8_t bytes[64] = {0};
    uint32_t before = crc32c(bytes, sizeof(bytes));

    (void)state;
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(crc32c(bytes, sizeof(bytes)), before);
        assert_int_not_equal(crc32c_portable(0, bytes, sizeof(bytes)), before);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_published_values),
        cmocka_unit_test(both_ways_agree_on_any_length_and_alignment),
        cmocka_unit_test(goes_on_where_it_stopped),
        cmocka_unit_test(sees_any_single_flipped_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

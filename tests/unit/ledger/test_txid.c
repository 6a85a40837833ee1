/* Transaction ids: there and back, text that sorts as time does, and one text for one id. */
#include "ledger/txid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/prng.h"
#include "unit/base/death.h"

static struct slice text_of(int64_t time_us, uint32_t tag, char text[TXID_BYTES_MAX])
{
    return slice_make(text, txid_encode(time_us, tag, text));
}

static void known_texts(void **state)
{
    static const struct {
        int64_t time_us;
        uint32_t tag;
        const char *text;
    } all[] = {
        {0, 0, "tx_0000000000000"},
        {1, 0, "tx_0000000000001"},
        {31, 0, "tx_000000000000z"},
        {32, 0, "tx_0000000000010"},
        {1700000000000000, 0, "tx_001ga4gc1wg00"},
        {INT64_MAX, 0, "tx_7zzzzzzzzzzzz"},
        {INT64_MAX, UINT32_MAX, "tx_7zzzzzzzzzzzz3zzzzzz"},
        {1, 1, "tx_00000000000010000001"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char text[TXID_BYTES_MAX];
        int64_t time_us = -1;
        uint32_t tag = 7;
        struct slice got = text_of(all[i].time_us, all[i].tag, text);
        assert_true(got.len <= TXID_BYTES_MAX);
        assert_true(slice_equal(got, slice_of(all[i].text)));
        assert_int_equal(txid_decode(got, &time_us, &tag), ERR_OK);
        assert_true(time_us == all[i].time_us && tag == all[i].tag);
    }
}

static int64_t any_time(struct prng *p)
{
    return (int64_t)(prng_next(p) >> (1 + prng_below(p, 63)));
}

static void goes_there_and_back_and_sorts(void **state)
{
    struct prng random = {3};

    (void)state;
    for (int i = 0; i < 200000; i++) {
        char a_text[TXID_BYTES_MAX], b_text[TXID_BYTES_MAX];
        const int64_t a_time = any_time(&random);
        const int64_t b_time = prng_below(&random, 2) == 0 ? any_time(&random) : a_time ^ 1;
        const uint32_t tag = (uint32_t)(prng_below(&random, 3) == 0 ? prng_next(&random) : 0);
        struct slice a = text_of(a_time, tag, a_text);
        struct slice b = text_of(b_time, 0, b_text);
        int64_t time_us;
        uint32_t got_tag;
        int order = memcmp(a.ptr, b.ptr, b.len);
        assert_int_equal(txid_decode(a, &time_us, &got_tag), ERR_OK);
        assert_true(time_us == a_time && got_tag == tag);
        assert_true(a_time < b_time ? order < 0 : a_time > b_time ? order > 0 : order == 0);
    }
}

static void refuses_any_other_text(void **state)
{
    static const struct slice bad[] = {
        SLICE(""),
        SLICE("tx_"),
        SLICE("tx_000000000000"),          /* a digit is missing */
        SLICE("tx_00000000000000"),        /* one too many */
        SLICE("tx_000000000000000000"),    /* half a tag */
        SLICE("tx_000000000000000000001"), /* a tag and one more */
        SLICE("tx-0000000000001"),
        SLICE("TX_0000000000001"),
        SLICE("xx_0000000000001"),
        SLICE("tx_000000000000A"), /* upper case is another text */
        SLICE("tx_000000000000i"), /* not in Crockford's alphabet */
        SLICE("tx_000000000000l"),
        SLICE("tx_000000000000o"),
        SLICE("tx_000000000000u"),
        SLICE("tx_000000000000\0"),
        SLICE("tx_ 000000000001"),
        SLICE("tx_000000000000\xff"),
        SLICE("tx_8000000000000"), /* past INT64_MAX */
        SLICE("tx_fzzzzzzzzzzzz"),
        SLICE("tx_g000000000000"), /* past 64 bits */
        SLICE("tx_zzzzzzzzzzzzz"),
        SLICE("tx_00000000000010000000"), /* a tag of nothing has its own, shorter text */
        SLICE("tx_00000000000014000000"), /* past 32 bits */
        SLICE("tx_0000000000001zzzzzzz"),
        SLICE("tx_0000000000001000000u"),
    };
    int64_t time_us = 42;
    uint32_t tag = 43;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(txid_decode(bad[i], &time_us, &tag), ERR_INVALID);
    }
    assert_int_equal(txid_decode(SLICE_NONE, &time_us, &tag), ERR_INVALID);
    assert_true(time_us == 42 && tag == 43);
}

/* Whatever decodes is the one text of its id. */
static void one_text_for_one_id(void **state)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz_A";
    struct prng random = {4};
    unsigned decoded = 0;

    (void)state;
    for (int i = 0; i < 200000; i++) {
        char text[23] = "tx_", again[TXID_BYTES_MAX];
        size_t len = prng_below(&random, 2) == 0 ? 16 : 23;
        int64_t time_us;
        uint32_t tag;
        for (size_t k = 3; k < len; k++) {
            text[k] =
                letters[prng_below(&random, prng_below(&random, 20) == 0 ? sizeof(letters) - 1 : 18)];
        }
        if (txid_decode(slice_make(text, len), &time_us, &tag) == ERR_OK) {
            assert_true(slice_equal(text_of(time_us, tag, again), slice_make(text, len)));
            decoded++;
        }
    }
    assert_true(decoded > 1000);
}

static void encode_before_the_epoch(void *ctx)
{
    char text[TXID_BYTES_MAX];

    (void)ctx;
    (void)txid_encode(-1, 0, text);
}

static void aborts_before_the_epoch(void **state)
{
    (void)state;
    assert_true(dies(encode_before_the_epoch, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts),
        cmocka_unit_test(goes_there_and_back_and_sorts),
        cmocka_unit_test(refuses_any_other_text),
        cmocka_unit_test(one_text_for_one_id),
        cmocka_unit_test(aborts_before_the_epoch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

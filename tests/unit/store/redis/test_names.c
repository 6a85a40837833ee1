/* Key names are stored: every value here is fixed for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "store/redis/names.h"
#include "support/redis_server.h"

static void slot_of_known_keys(void **state)
{
    (void)state;
    /* CRC-16/XMODEM's own check value, 0x31C3, and keys from the specification of Redis Cluster */
    assert_int_equal(names_slot(SLICE("123456789")), 0x31c3 % 16384);
    assert_int_equal(names_slot(SLICE("")), 0);
    assert_int_equal(names_slot(SLICE_NONE), 0);
    assert_int_equal(names_slot(SLICE("{user1000}.following")), names_slot(SLICE("user1000")));
    assert_int_equal(names_slot(SLICE("foo{bar}{zap}")), names_slot(SLICE("bar")));
    assert_int_equal(names_slot(SLICE("foo{{bar}}zap")), names_slot(SLICE("{bar")));
    assert_int_not_equal(names_slot(SLICE("foo{}{bar}")), names_slot(SLICE("bar")));
    assert_int_not_equal(names_slot(SLICE("foo{bar")), names_slot(SLICE("bar")));
}

static void bucket_is_pinned(void **state)
{
    static const struct {
        struct slice id;
        unsigned of_4096, of_16;
    } rows[] = {
        {SLICE("alice"), 654, 14},
        {SLICE("bob"), 1748, 4},
        {SLICE("@world"), 26, 10},
        {SLICE("123456789"), 0xe3069283u % 4096, 0xe3069283u % 16}, /* CRC-32C's own check value */
        {SLICE("0123456789012345678901234567890123456789012345678901234567890123"), 141, 13},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(names_bucket(rows[i].id, 4096), rows[i].of_4096);
        assert_int_equal(names_bucket(rows[i].id, 16), rows[i].of_16);
        assert_int_equal(names_bucket(rows[i].id, 1), 0);
    }
}

/* The tags as they were made: the first of 0-9a-z that fits, shorter before longer. */
static void tags_are_the_first_that_fit(void **state)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    static char first[NAMES_BUCKETS_MAX][NAMES_TAG_BYTES_MAX + 1];
    unsigned found = 0;

    (void)state;
    for (unsigned len = 1; found < NAMES_BUCKETS_MAX; len++) {
        unsigned count = 1;
        assert_in_range(len, 1, NAMES_TAG_BYTES_MAX);
        for (unsigned i = 0; i < len; i++) {
            count *= 36;
        }
        for (unsigned n = 0; n < count && found < NAMES_BUCKETS_MAX; n++) {
            char tag[NAMES_TAG_BYTES_MAX + 1] = {0};
            unsigned rest = n, slot;
            for (unsigned i = len; i-- > 0; rest /= 36) {
                tag[i] = letters[rest % 36];
            }
            slot = names_slot(slice_make(tag, len));
            if (slot % 4 == 0 && first[slot / 4][0] == '\0') {
                memcpy(first[slot / 4], tag, sizeof(tag));
                found++;
            }
        }
    }
    for (unsigned b = 0; b < NAMES_BUCKETS_MAX; b++) {
        struct slice tag = names_tag(b);
        assert_true(slice_equal(tag, slice_of(first[b])));
        assert_int_equal(names_slot(tag), 4 * b); /* so no two are the same */
    }
}

static void tags_never_change(void **state)
{
    static const uint8_t expected[32] = {0x1f, 0xe5, 0xfb, 0x81, 0x87, 0xe4, 0xcf, 0x37,
                                         0x09, 0xa7, 0xcb, 0x5d, 0xa8, 0x2d, 0x90, 0x10,
                                         0x92, 0x8d, 0xfc, 0x8a, 0xe7, 0xcc, 0x3b, 0x55,
                                         0x61, 0x63, 0x79, 0x9c, 0xe4, 0xda, 0x80, 0x96};
    uint8_t digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    (void)state;
    assert_non_null(ctx);
    assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL), 1);
    for (unsigned b = 0; b < NAMES_BUCKETS_MAX; b++) {
        struct slice tag = names_tag(b);
        assert_int_equal(EVP_DigestUpdate(ctx, tag.ptr, tag.len), 1);
        assert_int_equal(EVP_DigestUpdate(ctx, "\n", 1), 1);
    }
    assert_int_equal(EVP_DigestFinal_ex(ctx, digest, NULL), 1);
    EVP_MD_CTX_free(ctx);
    assert_memory_equal(digest, expected, sizeof(expected));
    assert_true(slice_equal(names_tag(0), SLICE("1bz")));
    assert_true(slice_equal(names_tag(4095), SLICE("wu")));
}

static void assert_key(struct names_key key, const char *expected)
{
    assert_int_equal(key.len, strlen(expected));
    assert_memory_equal(key.text, expected, key.len);
    assert_true(slice_equal(names_slice(&key), slice_of(expected)));
}

static void keys_have_their_forms(void **state)
{
    uint8_t scope[16];
    struct names_key key;
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX];

    (void)state;
    assert_key(names_account(0, SLICE("alice")), "w:a:{1bz}:alice");
    assert_key(names_history(1, SLICE("a")), "w:h:{53p}:a");
    assert_key(names_journal(4095), "w:j:{wu}");
    assert_key(names_bucket_meta(0), "w:m:{1bz}");
    assert_key(names_opened(0), "w:o:{1bz}");
    for (unsigned i = 0; i < sizeof(scope); i++) {
        scope[i] = (uint8_t)(i * 17); /* a zero byte, a line feed's neighbours, 0xff */
    }
    key = names_idem(0, scope);
    assert_int_equal(key.len, 10 + 16);
    assert_memory_equal(key.text, "w:i:{1bz}:", 10);
    assert_memory_equal(key.text + 10, scope, 16);
    memset(id, 'x', sizeof(id));
    key = names_account(0, slice_make(id, sizeof(id)));
    assert_int_equal(key.len, 10 + sizeof(id));
    /* the tag decides, whatever an id or a scope has in it */
    memset(scope, '}', sizeof(scope));
    key = names_idem(7, scope);
    assert_int_equal(names_slot(names_slice(&key)), 28);
    memset(scope, '{', sizeof(scope));
    key = names_idem(7, scope);
    assert_int_equal(names_slot(names_slice(&key)), 28);
}

static void a_cluster_agrees(void **state)
{
    struct redis_server server;

    (void)state;
    redis_server_start(&server, "--cluster-enabled yes");
    for (unsigned b = 0; b < NAMES_BUCKETS_MAX; b += 315) {
        struct names_key keys[] = {names_account(b, SLICE("some.account-1_x")), names_journal(b),
                                   names_bucket_meta(b), names_opened(b),
                                   names_history(b, SLICE("z"))};
        for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            char words[160];
            (void)snprintf(words, sizeof(words), "CLUSTER KEYSLOT %.*s", (int)keys[i].len,
                           keys[i].text);
            assert_int_equal(redis_server_number(&server, words), 4 * b);
            assert_int_equal(names_slot(names_slice(&keys[i])), 4 * b);
        }
    }
    assert_int_equal(redis_server_number(&server, "CLUSTER KEYSLOT 123456789"), 0x31c3 % 16384);
    assert_int_equal(redis_server_number(&server, "CLUSTER KEYSLOT foo{}{bar}"),
                     names_slot(SLICE("foo{}{bar}")));
    redis_server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slot_of_known_keys),          cmocka_unit_test(bucket_is_pinned),
        cmocka_unit_test(tags_are_the_first_that_fit), cmocka_unit_test(tags_never_change),
        cmocka_unit_test(keys_have_their_forms),       cmocka_unit_test(a_cluster_agrees),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

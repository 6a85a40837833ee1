/* The journal record: canonical bytes and checksum pinned for ever, blobs both ways, and what a disk may not hand back. */
#include "ledger/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/prng.h"
#include "money/money.h"
#include "unit/base/death.h"

static const struct currency cny = {'C' | 'N' << 8 | 'Y' << 16};

static void fixed_bytes_never_change(void **state)
{
    const struct record r = {
        .seq = 0x0102030405060708,
        .time_us = 0x1112131415161718,
        .kind = RECORD_TRANSFER,
        .tag = 0x21222324,
        .debit = 0x31,
        .credit = 0x32,
        .amount = 0x33,
        .held = -1,
        .debit_balance = -2,
        .credit_balance = 0x35,
        .debit_prev = 0x36,
        .credit_prev = 0x37,
        .idem = SLICE("key"),
        .extra = SLICE("words"),
    };
    const uint8_t wanted[RECORD_FIXED_BYTES] = {
        8,    7,    6,    5,    4,    3,    2,    1,    0x18, 0x17, 0x16, 0x15, 0x14, 0x13,
        0x12, 0x11, 4,    0,    0,    0,    0x24, 0x23, 0x22, 0x21, 0x31, 0,    0,    0,
        0,    0,    0,    0,    0x32, 0,    0,    0,    0,    0,    0,    0,    0x33, 0,
        0,    0,    0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x35, 0,    0,    0,    0,    0,
        0,    0,    0x36, 0,    0,    0,    0,    0,    0,    0,    0x37, 0,    0,    0,
        0,    0,    0,    0,    3,    0,    0,    0,    5,    0,    0,    0,
    };
    uint8_t got[RECORD_FIXED_BYTES];
    uint8_t all[RECORD_FIXED_BYTES + 8];

    (void)state;
    record_fixed_encode(&r, got);
    assert_memory_equal(got, wanted, sizeof(wanted));
    memcpy(all, wanted, sizeof(wanted));
    memcpy(all + sizeof(wanted), "keywords", 8);
    assert_int_equal(record_crc(&r), crc32c(all, sizeof(all)));
}

/* Flip every bit of every field in turn: the checksum must see it. */
static void the_checksum_covers_every_field(void **state)
{
    struct record r = {
        .seq = 9, .time_us = 8, .kind = 4, .idem = SLICE("key"), .extra = SLICE("words")};
    const uint32_t before = record_crc(&r);
    uint64_t *const wide[] = {&r.seq,
                              (uint64_t *)&r.time_us,
                              &r.debit,
                              &r.credit,
                              (uint64_t *)&r.amount,
                              (uint64_t *)&r.held,
                              (uint64_t *)&r.debit_balance,
                              (uint64_t *)&r.credit_balance,
                              &r.debit_prev,
                              &r.credit_prev};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wide); i++) {
        for (int bit = 0; bit < 64; bit++) {
            *wide[i] ^= UINT64_C(1) << bit;
            assert_int_not_equal(record_crc(&r), before);
            *wide[i] ^= UINT64_C(1) << bit;
        }
    }
    r.kind ^= 1;
    assert_int_not_equal(record_crc(&r), before);
    r.kind ^= 1;
    r.tag = 1;
    assert_int_not_equal(record_crc(&r), before);
    r.tag = 0;
    r.idem = SLICE("keyw");
    r.extra = SLICE("ords"); /* the same bytes, cut elsewhere */
    assert_int_not_equal(record_crc(&r), before);
    r.idem = SLICE("kez");
    r.extra = SLICE("words");
    assert_int_not_equal(record_crc(&r), before);
}

static void assert_same_extra(const struct record_extra *a, const struct record_extra *b)
{
    assert_true(slice_equal(a->account_id, b->account_id) &&
                (a->account_id.ptr == NULL) == (b->account_id.ptr == NULL));
    assert_true(a->currency.code == b->currency.code && a->exponent == b->exponent);
    assert_true(slice_equal(a->reference, b->reference) &&
                (a->reference.ptr == NULL) == (b->reference.ptr == NULL));
    assert_true(slice_equal(a->metadata, b->metadata) &&
                (a->metadata.ptr == NULL) == (b->metadata.ptr == NULL));
    assert_true(a->has_refusal == b->has_refusal && a->refused_kind == b->refused_kind);
    assert_true(a->refused_outcome == b->refused_outcome && a->language == b->language);
}

static void extras_go_there_and_back(void **state)
{
    static const char long_text[LEDGER_METADATA_BYTES_MAX] = "long";
    struct prng random = {1};

    (void)state;
    for (int i = 0; i < 5000; i++) {
        struct record_extra x = {0}, got;
        char bytes[RECORD_EXTRA_BYTES_MAX];
        size_t len;
        if (prng_below(&random, 2) == 0) {
            x.account_id =
                slice_make(long_text, 1 + prng_below(&random, LEDGER_ACCOUNT_ID_BYTES_MAX));
        }
        if (prng_below(&random, 2) == 0) {
            x.currency = cny;
            x.exponent = (uint8_t)prng_below(&random, 5);
        }
        if (prng_below(&random, 2) == 0) {
            x.reference = slice_make(long_text, prng_below(&random, LEDGER_REFERENCE_BYTES_MAX + 1));
        }
        if (prng_below(&random, 2) == 0) {
            x.metadata =
                slice_make(long_text, prng_below(&random, 8) == 0 ? LEDGER_METADATA_BYTES_MAX
                                                                  : prng_below(&random, 99));
        }
        if (prng_below(&random, 2) == 0) {
            x.has_refusal = true;
            x.refused_kind = RECORD_DEBIT;
            x.refused_outcome = (uint8_t)(1 + prng_below(&random, OUTCOME_STORED_COUNT - 1));
            x.language = LEDGER_EN;
        }
        len = record_extra_encode(&x, bytes, sizeof(bytes));
        assert_int_equal(len, record_extra_size(&x));
        assert_int_equal(record_extra_decode(slice_make(bytes, len), &got), ERR_OK);
        assert_same_extra(&x, &got);
        for (size_t cut = 1; cut < len && cut < 90;
             cut++) { /* a part lost behind: an older content or nothing, never more */
            if (record_extra_decode(slice_make(bytes, len - cut), &got) == ERR_OK) {
                assert_true(record_extra_size(&got) == len - cut);
            }
        }
    }
}

/* One content has one encoding, and this is it. */
static void extra_bytes_never_change(void **state)
{
    const struct record_extra open = {
        .account_id = SLICE("al"), .currency = cny, .exponent = 2, .metadata = SLICE("{}")};
    const struct record_extra moved = {.reference = SLICE("r"), .metadata = SLICE("{}")};
    const struct record_extra refused = {
        .has_refusal = true, .refused_kind = 3, .refused_outcome = 6, .language = 1};
    char bytes[64];

    (void)state;
    assert_int_equal(record_extra_encode(&open, bytes, sizeof(bytes)), 17);
    assert_memory_equal(bytes, "\1\2\0al\2\4\0CNY\2\4\2\0{}", 17);
    assert_int_equal(record_extra_encode(&moved, bytes, sizeof(bytes)), 9);
    assert_memory_equal(bytes, "\3\1\0r\4\2\0{}", 9);
    assert_int_equal(record_extra_encode(&refused, bytes, sizeof(bytes)), 6);
    assert_memory_equal(bytes, "\5\3\0\3\6\1", 6);
    assert_int_equal(record_extra_encode(&(struct record_extra){0}, bytes, sizeof(bytes)), 0);
}

static void refuses_what_no_encoder_wrote(void **state)
{
    static const struct slice bad[] = {
        SLICE("\1"),             /* half a head */
        SLICE("\1\1"),           /* still half */
        SLICE("\3\1\0"),         /* a byte is missing */
        SLICE("\3\xff\xff"),     /* all of them are */
        SLICE("\0\0\0"),         /* no such part */
        SLICE("\6\0\0"),         /* nor this */
        SLICE("\xff\0\0"),       /* nor this */
        SLICE("\4\0\0\3\0\0"),   /* out of order */
        SLICE("\3\0\0\3\0\0"),   /* twice */
        SLICE("\1\0\0"),         /* an id of nothing */
        SLICE("\2\3\0CNY"),      /* no exponent */
        SLICE("\2\5\0CNY\2x"),   /* more than one */
        SLICE("\2\4\0CnY\2"),    /* not upper case */
        SLICE("\2\4\0[NY\2"),    /* past Z */
        SLICE("\2\4\0@NY\2"),    /* before A */
        SLICE("\2\4\0CNY\5"),    /* no currency has so many decimals */
        SLICE("\2\4\0CNY\xff"),  /* nor so few */
        SLICE("\5\2\0\3\6"),     /* no language */
        SLICE("\5\4\0\3\6\1\1"), /* two of them */
        SLICE("\5\3\0\3\0\1"),   /* refused with OK */
        SLICE("\5\3\0\3\x8\1"),  /* an outcome that is never stored */
        SLICE("\5\3\0\3\6\2"),   /* a language that is not spoken */
        SLICE("\5\3\0\6\6\1"),   /* a verb that does not exist */
    };
    char text[4200] = "\1";
    struct record_extra untouched = {.exponent = 77};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(record_extra_decode(bad[i], &untouched), ERR_CORRUPT);
    }
    text[1] = 65; /* an id one byte too long */
    assert_int_equal(record_extra_decode(slice_make(text, 3 + 65), &untouched), ERR_CORRUPT);
    text[0] = 3;
    text[1] = (char)129; /* a reference */
    assert_int_equal(record_extra_decode(slice_make(text, 3 + 129), &untouched), ERR_CORRUPT);
    text[0] = 4;
    text[1] = 1;
    text[2] = 16; /* 4097 bytes of metadata */
    assert_int_equal(record_extra_decode(slice_make(text, 3 + 4097), &untouched), ERR_CORRUPT);
    assert_int_equal(untouched.exponent, 77);
    text[1] = 0; /* 4096 will do */
    assert_int_equal(record_extra_decode(slice_make(text, 3 + 4096), &untouched), ERR_OK);
}

static void garbage_never_decodes_to_something_else(void **state)
{
    struct prng random = {2};
    unsigned decoded = 0;

    (void)state;
    for (int i = 0; i < 300000; i++) {
        struct record_extra x;
        char bytes[24], again[RECORD_EXTRA_BYTES_MAX];
        size_t len = prng_below(&random, sizeof(bytes));
        for (size_t k = 0; k < len; k++) {
            bytes[k] = (char)prng_below(&random, prng_below(&random, 4) == 0 ? 256 : 6);
        }
        if (record_extra_decode(slice_make(bytes, len), &x) == ERR_OK) {
            assert_int_equal(record_extra_encode(&x, again, sizeof(again)), len);
            assert_memory_equal(again, bytes, len);
            decoded++;
        }
    }
    assert_true(decoded > 1000); /* else this proved nothing */
}

static void keys_go_there_and_back(void **state)
{
    (void)state;
    for (uint8_t fields = 0; fields <= IDEM_FIELDS_MAX; fields++) {
        struct idem idem = {.field_count = fields}, got;
        char bytes[RECORD_IDEM_BYTES_MAX];
        size_t len;
        memset(idem.scope, 'a' + fields, sizeof(idem.scope));
        memset(idem.fingerprint, 'A' + fields, sizeof(idem.fingerprint));
        for (uint8_t i = 0; i < fields; i++) {
            idem.field_tags[i] = (uint16_t)(0xff00 + i);
        }
        len = record_idem_encode(&idem, bytes);
        assert_int_equal(len, 32 + 2 * fields);
        assert_int_equal(record_idem_decode(slice_make(bytes, len), &got), ERR_OK);
        assert_memory_equal(&got, &idem, sizeof(got));
        assert_int_equal(record_idem_decode(slice_make(bytes, len - 1), &got), ERR_CORRUPT);
    }
}

static void refuses_keys_of_no_length(void **state)
{
    const char bytes[64] = {0};
    struct idem idem;

    (void)state;
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        bool is_right = len >= 32 && len <= 48 && len % 2 == 0;
        assert_int_equal(record_idem_decode(slice_make(bytes, len), &idem),
                         is_right ? ERR_OK : ERR_CORRUPT);
    }
    assert_int_equal(record_idem_decode(SLICE_NONE, &idem), ERR_CORRUPT);
}

static const struct record good_transfer = {.seq = 5,
                                            .time_us = 1,
                                            .kind = RECORD_TRANSFER,
                                            .debit = 1,
                                            .credit = 2,
                                            .amount = 3,
                                            .debit_prev = 4,
                                            .credit_prev = 4};
static const struct record good_held = {.seq = 5,
                                        .time_us = 1,
                                        .kind = RECORD_TRANSFER,
                                        .debit = 1,
                                        .held = -3};
static const struct record good_open = {.seq = 5,
                                        .time_us = 1,
                                        .kind = RECORD_OPEN,
                                        .credit = 2,
                                        .amount = 100};
static const struct record good_refusal = {.seq = 5, .time_us = 1, .kind = RECORD_REFUSAL};

static void check(struct record r, enum err wanted)
{
    assert_int_equal(record_check(&r), wanted);
}

/* Change one field of a good record. */
#define CHECK_WITH(good, field, value, wanted) \
    do { \
        struct record r_ = (good); \
        r_.field = (value); \
        check(r_, (wanted)); \
    } while (0)

static void passes_what_a_ledger_writes(void **state)
{
    (void)state;
    check(good_transfer, ERR_OK);
    check(good_held, ERR_OK);
    check(good_open, ERR_OK);
    check(good_refusal, ERR_OK);
    CHECK_WITH(good_transfer, kind, RECORD_CREDIT, ERR_OK);
    CHECK_WITH(good_transfer, kind, RECORD_DEBIT, ERR_OK);
    CHECK_WITH(good_transfer, amount, MONEY_MINOR_MAX, ERR_OK);
    CHECK_WITH(good_transfer, held, MONEY_MINOR_MAX, ERR_OK);
    CHECK_WITH(good_transfer, tag, UINT32_MAX, ERR_OK);
    CHECK_WITH(good_transfer, debit_balance, INT64_MIN, ERR_OK); /* @world's may be any */
    CHECK_WITH(good_open, amount, MONEY_MINOR_MAX, ERR_OK);
}

static void refuses_numbers_of_no_ledger(void **state)
{
    static const char bytes[RECORD_EXTRA_BYTES_MAX + 1];

    (void)state;
    CHECK_WITH(good_transfer, seq, 0, ERR_CORRUPT);
    CHECK_WITH(good_transfer, time_us, 0, ERR_CORRUPT);
    CHECK_WITH(good_transfer, time_us, -1, ERR_CORRUPT);
    CHECK_WITH(good_transfer, kind, RECORD_NONE, ERR_CORRUPT);
    CHECK_WITH(good_transfer, kind, RECORD_KIND_COUNT, ERR_CORRUPT);
    CHECK_WITH(good_transfer, amount, -1, ERR_CORRUPT);
    CHECK_WITH(good_transfer, debit_prev, 5, ERR_CORRUPT);
    CHECK_WITH(good_transfer, credit_prev, 5, ERR_CORRUPT);
    CHECK_WITH(good_transfer, debit, 0, ERR_CORRUPT);
    CHECK_WITH(good_transfer, credit, 0, ERR_CORRUPT);
    CHECK_WITH(good_transfer, credit, 1, ERR_CORRUPT);
    CHECK_WITH(good_open, credit, 0, ERR_CORRUPT);
    CHECK_WITH(good_open, debit, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, debit, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, credit, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, amount, 1, ERR_CORRUPT);
    CHECK_WITH(good_transfer, extra, slice_make(bytes, RECORD_EXTRA_BYTES_MAX), ERR_OK);
    CHECK_WITH(good_transfer, extra, slice_make(bytes, RECORD_EXTRA_BYTES_MAX + 1), ERR_CORRUPT);
    CHECK_WITH(good_transfer, idem, slice_make(bytes, RECORD_IDEM_BYTES_MAX), ERR_OK);
    CHECK_WITH(good_transfer, idem, slice_make(bytes, RECORD_IDEM_BYTES_MAX + 1), ERR_CORRUPT);
}

/* Amounts have a ceiling, and where a record has no side or moves nothing, nothing may stand. */
static void refuses_amounts_past_the_ceiling(void **state)
{
    (void)state;
    CHECK_WITH(good_transfer, amount, MONEY_MINOR_MAX + 1, ERR_CORRUPT);
    CHECK_WITH(good_open, amount, MONEY_MINOR_MAX + 1, ERR_CORRUPT);
    CHECK_WITH(good_transfer, held, MONEY_MINOR_MAX + 1, ERR_CORRUPT);
    CHECK_WITH(good_transfer, held, -MONEY_MINOR_MAX - 1, ERR_CORRUPT);
    CHECK_WITH(good_transfer, held, INT64_MIN, ERR_CORRUPT);
}

static void refuses_records_that_move_nothing(void **state)
{
    (void)state;
    CHECK_WITH(good_transfer, amount, 0, ERR_CORRUPT);
    CHECK_WITH(good_held, held, 0, ERR_CORRUPT);
    CHECK_WITH(good_held, credit_balance, 1, ERR_CORRUPT);
    CHECK_WITH(good_held, credit_prev, 1, ERR_CORRUPT);
    CHECK_WITH(good_open, held, 1, ERR_CORRUPT);
    CHECK_WITH(good_open, credit_balance, 1, ERR_CORRUPT);
    CHECK_WITH(good_open, debit_balance, 1, ERR_CORRUPT);
    CHECK_WITH(good_open, credit_prev, 1, ERR_CORRUPT);
    CHECK_WITH(good_open, debit_prev, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, held, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, debit_balance, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, credit_balance, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, debit_prev, 1, ERR_CORRUPT);
    CHECK_WITH(good_refusal, credit_prev, 1, ERR_CORRUPT);
}

static void encode(void *ctx)
{
    char bytes[RECORD_EXTRA_BYTES_MAX];

    (void)record_extra_encode(ctx, bytes, sizeof(bytes));
}

static void encode_short(void *ctx)
{
    char bytes[8];

    (void)record_extra_encode(ctx, bytes, sizeof(bytes));
}

static void encode_key(void *ctx)
{
    char bytes[RECORD_IDEM_BYTES_MAX];

    (void)record_idem_encode(ctx, bytes);
}

static void aborts_on_over_long_parts(void **state)
{
    static const char text[LEDGER_METADATA_BYTES_MAX + 1];
    struct record_extra id = {.account_id = slice_make(text, LEDGER_ACCOUNT_ID_BYTES_MAX + 1)};
    struct record_extra reference = {.reference = slice_make(text, LEDGER_REFERENCE_BYTES_MAX + 1)};
    struct record_extra metadata = {.metadata = slice_make(text, LEDGER_METADATA_BYTES_MAX + 1)};
    struct record_extra right = {.reference = slice_make(text, 6)};
    struct idem idem = {.field_count = IDEM_FIELDS_MAX + 1};

    (void)state;
    assert_true(dies(encode, &id));
    assert_true(dies(encode, &reference));
    assert_true(dies(encode, &metadata));
    assert_false(dies(encode, &right));
    assert_true(dies(encode_short, &right));
    assert_true(dies(encode_key, &idem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_bytes_never_change),
        cmocka_unit_test(the_checksum_covers_every_field),
        cmocka_unit_test(extras_go_there_and_back),
        cmocka_unit_test(extra_bytes_never_change),
        cmocka_unit_test(refuses_what_no_encoder_wrote),
        cmocka_unit_test(garbage_never_decodes_to_something_else),
        cmocka_unit_test(keys_go_there_and_back),
        cmocka_unit_test(refuses_keys_of_no_length),
        cmocka_unit_test(passes_what_a_ledger_writes),
        cmocka_unit_test(refuses_numbers_of_no_ledger),
        cmocka_unit_test(refuses_amounts_past_the_ceiling),
        cmocka_unit_test(refuses_records_that_move_nothing),
        cmocka_unit_test(aborts_on_over_long_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What a disk may hand back: the blobs of a record and its numbers. Nothing may crash; what decodes must encode to the
 * same bytes, so that one content has one checksum; what passes record_check must keep to the bounds of a ledger.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "ledger/book.h"
#include "ledger/record.h"
#include "ledger/txid.h"
#include "money/money.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_extra(struct slice bytes)
{
    struct record_extra x;
    char again[RECORD_EXTRA_BYTES_MAX];

    if (record_extra_decode(bytes, &x) != ERR_OK) {
        return;
    }
    ASSERT(bytes.len <= RECORD_EXTRA_BYTES_MAX && record_extra_size(&x) == bytes.len);
    ASSERT(record_extra_encode(&x, again, sizeof(again)) == bytes.len);
    ASSERT(slice_equal(slice_make(again, bytes.len), bytes));
}

static void check_idem(struct slice bytes)
{
    struct idem idem;
    char again[RECORD_IDEM_BYTES_MAX];

    if (record_idem_decode(bytes, &idem) == ERR_OK) {
        ASSERT(record_idem_encode(&idem, again) == bytes.len);
        ASSERT(slice_equal(slice_make(again, bytes.len), bytes));
    }
}

static void check_txid(struct slice bytes)
{
    char again[TXID_BYTES_MAX];
    int64_t time_us;
    uint32_t tag;

    if (txid_decode(bytes, &time_us, &tag) == ERR_OK) {
        ASSERT(slice_equal(slice_make(again, txid_encode(time_us, tag, again)), bytes));
    }
}

static uint64_t number_take(struct slice *in)
{
    uint8_t bytes[8] = {0};
    size_t len = in->len < sizeof(bytes) ? in->len : sizeof(bytes);

    if (len > 0) {
        memcpy(bytes, in->ptr, len);
        *in = slice_make(in->ptr + len, in->len - len);
    }
    return bytes_get_u64(bytes);
}

static struct record record_take(struct slice *in)
{
    struct record r = {0};
    size_t idem_len;

    r.seq = number_take(in);
    r.time_us = (int64_t)number_take(in);
    r.kind = (uint32_t)number_take(in);
    r.tag = (uint32_t)number_take(in);
    r.debit = number_take(in);
    r.credit = number_take(in);
    r.amount = (int64_t)number_take(in);
    r.held = (int64_t)number_take(in);
    r.debit_balance = (int64_t)number_take(in);
    r.credit_balance = (int64_t)number_take(in);
    r.debit_prev = number_take(in);
    r.credit_prev = number_take(in);
    idem_len = number_take(in) % 64;
    idem_len = idem_len < in->len ? idem_len : in->len;
    r.idem = slice_make(in->ptr, idem_len);
    r.extra = slice_make(in->ptr + idem_len, in->len - idem_len);
    return r;
}

/* Records from nowhere against a book with three accounts: refused or applied, never a crash, never an impossible account. */
static void check_replay(struct slice in)
{
    static const struct hash_key key = {1, 2};
    static const struct account rows[] = {
        {.id = "@world", .id_len = 6, .balance = -300},
        {.id = "a", .id_len = 1, .balance = 100, .held = 50, .overdraft = 10},
        {.id = "b", .id_len = 1, .balance = 200},
    };
    struct record r = record_take(&in);
    struct book b;
    enum err e = book_init(&b, 1, 1, key);

    ASSERT(e == ERR_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct account row = rows[i];
        row.currency = 'C' | 'N' << 8 | 'Y' << 16;
        row.exponent = 2;
        e = book_load(&b, &row);
        ASSERT(e == ERR_OK);
    }
    r.seq = 1; /* these two would be refused at once */
    r.time_us = r.time_us > 0 ? r.time_us : 1;
    (void)record_crc(&r);
    for (int turn = 0; turn < 3; turn++) { /* the same again: sums must not creep past their type */
        if (book_replay(&b, &r, 0, 0) == ERR_OK) {
            uint64_t bad_no;
            ASSERT(record_check(&r) == ERR_OK && r.amount <= MONEY_MINOR_MAX);
            ASSERT(b.last_seq == r.seq && b.last_time_us == r.time_us);
            e = book_check(&b, &bad_no);
            ASSERT(e == ERR_OK || e == ERR_CORRUPT);
        }
        r.seq++;
        r.debit_prev = r.debit_prev == 0 ? 1 : r.debit_prev;
        r.credit_prev = r.credit_prev == 0 && r.credit != 0 ? 1 : r.credit_prev;
        (void)__builtin_sub_overflow(r.debit_balance, r.amount, &r.debit_balance);
        (void)__builtin_add_overflow(r.credit_balance, r.amount, &r.credit_balance);
    }
    book_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice rest;

    if (len == 0) {
        return 0;
    }
    rest = slice_make((const char *)bytes + 1, len - 1);
    switch (bytes[0] % 4) {
    case 0:
        check_extra(rest);
        break;
    case 1:
        check_idem(rest);
        break;
    case 2:
        check_txid(rest);
        break;
    default:
        check_replay(rest);
        break;
    }
    return 0;
}

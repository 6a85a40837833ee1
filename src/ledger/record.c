#include "ledger/record.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "money/money.h"

/* Parts of an extra: tag, length (u16), bytes. Tags rise, so every content has one encoding. Never reuse a number. */
enum {
    PART_ACCOUNT_ID = 1,
    PART_CURRENCY = 2,
    PART_REFERENCE = 3,
    PART_METADATA = 4,
    PART_REFUSAL = 5
};
enum { PART_HEAD_BYTES = 3, PART_CURRENCY_BYTES = 4, PART_REFUSAL_BYTES = 3 };

void record_fixed_encode(const struct record *r, uint8_t bytes[RECORD_FIXED_BYTES])
{
    bytes_put_u64(bytes, r->seq);
    bytes_put_u64(bytes + 8, (uint64_t)r->time_us);
    bytes_put_u32(bytes + 16, r->kind);
    bytes_put_u32(bytes + 20, r->tag);
    bytes_put_u64(bytes + 24, r->debit);
    bytes_put_u64(bytes + 32, r->credit);
    bytes_put_u64(bytes + 40, (uint64_t)r->amount);
    bytes_put_u64(bytes + 48, (uint64_t)r->held);
    bytes_put_u64(bytes + 56, (uint64_t)r->debit_balance);
    bytes_put_u64(bytes + 64, (uint64_t)r->credit_balance);
    bytes_put_u64(bytes + 72, r->debit_prev);
    bytes_put_u64(bytes + 80, r->credit_prev);
    bytes_put_u32(bytes + 88, (uint32_t)r->idem.len);
    bytes_put_u32(bytes + 92, (uint32_t)r->extra.len);
}

uint32_t record_crc(const struct record *r)
{
    uint8_t fixed[RECORD_FIXED_BYTES];
    uint32_t crc;

    record_fixed_encode(r, fixed);
    crc = crc32c(fixed, sizeof(fixed));
    crc = crc32c_more(crc, r->idem.ptr, r->idem.len);
    return crc32c_more(crc, r->extra.ptr, r->extra.len);
}

static size_t part_size(struct slice s)
{
    return s.ptr == NULL ? 0 : PART_HEAD_BYTES + s.len;
}

size_t record_extra_size(const struct record_extra *x)
{
    return part_size(x->account_id) +
           (x->currency.code == 0 ? 0 : PART_HEAD_BYTES + PART_CURRENCY_BYTES) +
           part_size(x->reference) + part_size(x->metadata) +
           (x->has_refusal ? PART_HEAD_BYTES + PART_REFUSAL_BYTES : 0);
}

static size_t part_put(char *at, uint8_t tag, struct slice s)
{
    uint8_t *head = (uint8_t *)at;

    if (s.ptr == NULL) {
        return 0;
    }
    ASSERT(s.len <= UINT16_MAX);
    head[0] = tag;
    bytes_put_u16(head + 1, (uint16_t)s.len);
    memcpy(at + PART_HEAD_BYTES, s.ptr, s.len);
    return PART_HEAD_BYTES + s.len;
}

size_t record_extra_encode(const struct record_extra *x, char *out, size_t cap)
{
    char *at = out;

    ASSERT(record_extra_size(x) <= cap && record_extra_size(x) <= RECORD_EXTRA_BYTES_MAX);
    ASSERT(x->account_id.len <= LEDGER_ACCOUNT_ID_BYTES_MAX &&
           x->reference.len <= LEDGER_REFERENCE_BYTES_MAX);
    ASSERT(x->metadata.len <= LEDGER_METADATA_BYTES_MAX);
    at += part_put(at, PART_ACCOUNT_ID, x->account_id);
    if (x->currency.code != 0) {
        char bytes[PART_CURRENCY_BYTES];
        currency_text(x->currency, bytes);
        bytes[3] = (char)x->exponent;
        at += part_put(at, PART_CURRENCY, slice_make(bytes, sizeof(bytes)));
    }
    at += part_put(at, PART_REFERENCE, x->reference);
    at += part_put(at, PART_METADATA, x->metadata);
    if (x->has_refusal) {
        const char bytes[PART_REFUSAL_BYTES] = {(char)x->refused_kind, (char)x->refused_outcome,
                                                (char)x->language};
        at += part_put(at, PART_REFUSAL, slice_make(bytes, sizeof(bytes)));
    }
    return (size_t)(at - out);
}

static enum err part_take(uint8_t tag, struct slice part, struct record_extra *out)
{
    switch (tag) {
    case PART_ACCOUNT_ID:
        out->account_id = part;
        return part.len >= 1 && part.len <= LEDGER_ACCOUNT_ID_BYTES_MAX ? ERR_OK : ERR_CORRUPT;
    case PART_CURRENCY:
        if (part.len != PART_CURRENCY_BYTES) {
            return ERR_CORRUPT;
        }
        for (int i = 0; i < 3; i++) {
            if (part.ptr[i] < 'A' || part.ptr[i] > 'Z') {
                return ERR_CORRUPT;
            }
            out->currency.code |= (uint32_t)part.ptr[i] << (8 * i);
        }
        out->exponent = (uint8_t)part.ptr[3];
        return out->exponent <= 4 ? ERR_OK : ERR_CORRUPT;
    case PART_REFERENCE:
        out->reference = part;
        return part.len <= LEDGER_REFERENCE_BYTES_MAX ? ERR_OK : ERR_CORRUPT;
    case PART_METADATA:
        out->metadata = part;
        return part.len <= LEDGER_METADATA_BYTES_MAX ? ERR_OK : ERR_CORRUPT;
    case PART_REFUSAL:
        if (part.len != PART_REFUSAL_BYTES) {
            return ERR_CORRUPT;
        }
        out->has_refusal = true;
        out->refused_kind = (uint8_t)part.ptr[0];
        out->refused_outcome = (uint8_t)part.ptr[1];
        out->language = (uint8_t)part.ptr[2];
        return out->refused_kind < RECORD_KIND_COUNT && out->refused_outcome > OUTCOME_OK &&
                       out->refused_outcome < OUTCOME_STORED_COUNT && out->language <= LEDGER_EN
                   ? ERR_OK
                   : ERR_CORRUPT;
    default:
        return ERR_CORRUPT;
    }
}

enum err record_extra_decode(struct slice bytes, struct record_extra *out)
{
    struct record_extra x = {0};
    size_t at = 0;
    uint8_t last = 0;

    while (at < bytes.len) {
        const uint8_t *head = (const uint8_t *)bytes.ptr + at;
        size_t len;
        if (bytes.len - at < PART_HEAD_BYTES || head[0] <= last) {
            return ERR_CORRUPT;
        }
        len = bytes_get_u16(head + 1);
        if (len > bytes.len - at - PART_HEAD_BYTES) {
            return ERR_CORRUPT;
        }
        if (part_take(head[0], slice_make(bytes.ptr + at + PART_HEAD_BYTES, len), &x) != ERR_OK) {
            return ERR_CORRUPT;
        }
        last = head[0];
        at += PART_HEAD_BYTES + len;
    }
    *out = x;
    return ERR_OK;
}

size_t record_idem_encode(const struct idem *idem, char out[RECORD_IDEM_BYTES_MAX])
{
    uint8_t *at = (uint8_t *)out;

    ASSERT(idem->field_count <= IDEM_FIELDS_MAX);
    memcpy(at, idem->scope, IDEM_SCOPE_BYTES);
    memcpy(at + IDEM_SCOPE_BYTES, idem->fingerprint, IDEM_FINGERPRINT_BYTES);
    at += IDEM_SCOPE_BYTES + IDEM_FINGERPRINT_BYTES;
    for (unsigned i = 0; i < idem->field_count; i++) {
        bytes_put_u16(at, idem->field_tags[i]);
        at += 2;
    }
    return (size_t)((char *)at - out);
}

enum err record_idem_decode(struct slice bytes, struct idem *out)
{
    const size_t digests = IDEM_SCOPE_BYTES + IDEM_FINGERPRINT_BYTES;
    struct idem idem = {0};

    if (bytes.len < digests || bytes.len > RECORD_IDEM_BYTES_MAX || (bytes.len - digests) % 2 != 0) {
        return ERR_CORRUPT;
    }
    memcpy(idem.scope, bytes.ptr, IDEM_SCOPE_BYTES);
    memcpy(idem.fingerprint, bytes.ptr + IDEM_SCOPE_BYTES, IDEM_FINGERPRINT_BYTES);
    idem.field_count = (uint8_t)((bytes.len - digests) / 2);
    for (unsigned i = 0; i < idem.field_count; i++) {
        idem.field_tags[i] = bytes_get_u16((const uint8_t *)bytes.ptr + digests + 2 * i);
    }
    *out = idem;
    return ERR_OK;
}

/* Nothing stands where a record has no side. */
static bool is_empty(int64_t held, int64_t balance, uint64_t prev)
{
    return held == 0 && balance == 0 && prev == 0;
}

static bool moves_right(const struct record *r)
{
    if (r->debit == 0 || r->debit == r->credit || r->held < -MONEY_MINOR_MAX ||
        r->held > MONEY_MINOR_MAX) {
        return false;
    }
    return r->credit != 0
               ? r->amount > 0
               : r->amount == 0 && r->held != 0 && is_empty(0, r->credit_balance, r->credit_prev);
}

enum err record_check(const struct record *r)
{
    const bool has_no_move = is_empty(r->held, r->debit_balance, r->debit_prev) &&
                             is_empty(0, r->credit_balance, r->credit_prev) && r->debit == 0;
    bool is_right;

    if (r->seq == 0 || r->time_us <= 0 || r->amount < 0 || r->amount > MONEY_MINOR_MAX ||
        r->debit_prev >= r->seq || r->credit_prev >= r->seq ||
        r->extra.len > RECORD_EXTRA_BYTES_MAX || r->idem.len > RECORD_IDEM_BYTES_MAX) {
        return ERR_CORRUPT;
    }
    switch (r->kind) {
    case RECORD_OPEN:
        is_right = has_no_move && r->credit != 0;
        break;
    case RECORD_REFUSAL:
        is_right = has_no_move && r->credit == 0 && r->amount == 0;
        break;
    case RECORD_CREDIT:
    case RECORD_DEBIT:
    case RECORD_TRANSFER:
        is_right = moves_right(r);
        break;
    default:
        is_right = false;
    }
    return is_right ? ERR_OK : ERR_CORRUPT;
}

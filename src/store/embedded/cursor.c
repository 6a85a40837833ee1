#include "store/embedded/cursor.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

enum {
    VERSION_ACCOUNT = 1,
    VERSION_HISTORY = 2,
    RAW_BYTES_MAX = 1 + LEDGER_ACCOUNT_ID_BYTES_MAX + 4
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static unsigned text_write(const uint8_t *raw, size_t len, char out[STORE_CURSOR_BYTES_MAX])
{
    unsigned at = 0;
    uint32_t bits = 0;
    unsigned count = 0;

    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | raw[i];
        count += 8;
        while (count >= 6) {
            count -= 6;
            ASSERT(at < STORE_CURSOR_BYTES_MAX);
            out[at++] = alphabet[bits >> count & 63];
        }
    }
    if (count > 0) {
        out[at++] = alphabet[bits << (6 - count) & 63];
    }
    return at;
}

static bool text_read(struct slice text, uint8_t raw[RAW_BYTES_MAX], size_t *len)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t at = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *digit = text.ptr[i] == '\0' ? NULL : strchr(alphabet, text.ptr[i]);
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        count += 6;
        if (count >= 8) {
            count -= 8;
            if (at == RAW_BYTES_MAX) {
                return false;
            }
            raw[at++] = (uint8_t)(bits >> count);
        }
    }
    *len = at;
    return count < 6 && (bits & ((1u << count) - 1)) == 0; /* one text for one cursor */
}

/* Close with a checksum, so that a text with a typing error is refused instead of leading elsewhere. */
static unsigned seal(uint8_t *raw, size_t len, uint32_t binding, char out[STORE_CURSOR_BYTES_MAX])
{
    bytes_put_u32(raw + len, crc32c_more(binding, raw, len));
    return text_write(raw, len + 4, out);
}

static bool open_sealed(struct slice text, uint8_t version, uint32_t binding,
                        uint8_t raw[RAW_BYTES_MAX], size_t *len)
{
    if (!text_read(text, raw, len) || *len < 5 || raw[0] != version) {
        return false;
    }
    *len -= 4;
    return bytes_get_u32(raw + *len) == crc32c_more(binding, raw, *len);
}

unsigned cursor_account_write(const char *id, size_t len, uint32_t binding,
                              char out[STORE_CURSOR_BYTES_MAX])
{
    uint8_t raw[RAW_BYTES_MAX] = {VERSION_ACCOUNT};

    ASSERT(len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    memcpy(raw + 1, id, len);
    return seal(raw, 1 + len, binding, out);
}

bool cursor_account_read(struct slice text, uint32_t binding, char *id, size_t *len)
{
    uint8_t raw[RAW_BYTES_MAX];
    size_t raw_len;

    if (!open_sealed(text, VERSION_ACCOUNT, binding, raw, &raw_len)) {
        return false;
    }
    *len = raw_len - 1;
    memcpy(id, raw + 1, *len);
    return true;
}

unsigned cursor_history_write(uint64_t n, uint32_t binding, char out[STORE_CURSOR_BYTES_MAX])
{
    uint8_t raw[RAW_BYTES_MAX] = {VERSION_HISTORY};

    bytes_put_u64(raw + 1, n);
    return seal(raw, 9, binding, out);
}

bool cursor_history_read(struct slice text, uint32_t binding, uint64_t *n)
{
    uint8_t raw[RAW_BYTES_MAX];
    size_t raw_len;

    if (!open_sealed(text, VERSION_HISTORY, binding, raw, &raw_len) || raw_len != 9) {
        return false;
    }
    *n = bytes_get_u64(raw + 1);
    return true;
}

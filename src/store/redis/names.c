#include "store/redis/names.h"

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/redis/names_tags.h"

enum { SLOTS = 16384 };

unsigned names_bucket(struct slice account, unsigned buckets)
{
    ASSERT(buckets >= 1 && buckets <= NAMES_BUCKETS_MAX);
    return crc32c(account.ptr, account.len) % buckets;
}

/* The part of a key that is hashed: what stands between its first brace and the next closing one, if anything. */
static struct slice hashed_part(struct slice key)
{
    const char *open = key.len == 0 ? NULL : memchr(key.ptr, '{', key.len);
    const char *close;

    if (open == NULL) {
        return key;
    }
    open++;
    close = memchr(open, '}', key.len - (size_t)(open - key.ptr));
    return close == NULL || close == open ? key : slice_make(open, (size_t)(close - open));
}

unsigned names_slot(struct slice key)
{
    struct slice part = hashed_part(key);
    unsigned crc = 0;

    for (size_t i = 0; i < part.len; i++) {
        crc ^= (unsigned)(unsigned char)part.ptr[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
        }
        crc &= 0xffff;
    }
    return crc % SLOTS;
}

struct slice names_tag(unsigned bucket)
{
    const char *tag = names_tags + (size_t)bucket * NAMES_TAG_BYTES_MAX;
    size_t len = NAMES_TAG_BYTES_MAX;

    ASSERT(bucket < NAMES_BUCKETS_MAX);
    while (tag[len - 1] == ' ') {
        len--;
    }
    return slice_make(tag, len);
}

static void put(struct names_key *k, struct slice part)
{
    ASSERT(part.len <= sizeof(k->text) - k->len);
    if (part.len > 0) {
        memcpy(k->text + k->len, part.ptr, part.len);
        k->len += (unsigned)part.len;
    }
}

static struct names_key make(struct slice prefix, unsigned bucket, struct slice middle,
                             struct slice rest)
{
    struct names_key k;

    k.len = 0;
    put(&k, prefix);
    put(&k, names_tag(bucket));
    put(&k, middle);
    put(&k, rest);
    return k;
}

struct names_key names_account(unsigned bucket, struct slice account)
{
    ASSERT(account.len >= 1 && account.len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    return make(SLICE("w:a:{"), bucket, SLICE("}:"), account);
}

struct names_key names_history(unsigned bucket, struct slice account)
{
    ASSERT(account.len >= 1 && account.len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    return make(SLICE("w:h:{"), bucket, SLICE("}:"), account);
}

struct names_key names_journal(unsigned bucket)
{
    return make(SLICE("w:j:{"), bucket, SLICE("}"), SLICE_NONE);
}

struct names_key names_bucket_meta(unsigned bucket)
{
    return make(SLICE("w:m:{"), bucket, SLICE("}"), SLICE_NONE);
}

struct names_key names_opened(unsigned bucket)
{
    return make(SLICE("w:o:{"), bucket, SLICE("}"), SLICE_NONE);
}

struct names_key names_idem(unsigned bucket, const uint8_t scope[16])
{
    return make(SLICE("w:i:{"), bucket, SLICE("}:"), slice_make((const char *)scope, 16));
}

bool names_is_ledgers(struct slice key)
{
    return !slice_equal(key, NAMES_META) && !slice_starts_with(key, SLICE(NAMES_LOCK_PREFIX)) &&
           !slice_starts_with(key, SLICE("w:f:"));
}

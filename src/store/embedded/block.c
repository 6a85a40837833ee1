/* Hash blocks: each commit's records under one SHA-256 that also covers the block before. */
#include <openssl/evp.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/embedded/journal.h"

enum { CANONICAL_BYTES_MAX = RECORD_FIXED_BYTES + RECORD_IDEM_BYTES_MAX + RECORD_EXTRA_BYTES_MAX };

enum err block_hash_new(void **digest, struct buf *canonical)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    buf_init(canonical, CANONICAL_BYTES_MAX);
    if (ctx == NULL || buf_reserve(canonical, CANONICAL_BYTES_MAX) != ERR_OK) {
        EVP_MD_CTX_free(ctx);
        buf_fini(canonical);
        return ERR_NOMEM;
    }
    *digest = ctx;
    return ERR_OK;
}

void block_hash_free(void *digest, struct buf *canonical)
{
    EVP_MD_CTX_free(digest);
    buf_fini(canonical);
}

void block_hash_begin(struct block_hash *h, const uint8_t prev_hash[DB_HASH_BYTES])
{
    int ok = EVP_DigestInit_ex(h->digest, EVP_sha256(), NULL);

    ok &= EVP_DigestUpdate(h->digest, prev_hash, DB_HASH_BYTES);
    ASSERT(ok == 1);
}

uint32_t block_hash_add(struct block_hash *h, const struct record *r)
{
    struct buf *c = h->canonical;
    int ok;

    c->len = RECORD_FIXED_BYTES;
    record_fixed_encode(r, (uint8_t *)c->ptr);
    buf_append_slice(c, r->idem);
    buf_append_slice(c, r->extra);
    ASSERT(c->err == ERR_OK);
    ok = EVP_DigestUpdate(h->digest, c->ptr, c->len);
    ASSERT(ok == 1);
    return crc32c(c->ptr, c->len);
}

void block_hash_end(struct block_hash *h, uint8_t hash[DB_HASH_BYTES])
{
    unsigned len = 0;
    int ok = EVP_DigestFinal_ex(h->digest, hash, &len);

    ASSERT(ok == 1 && len == DB_HASH_BYTES);
}

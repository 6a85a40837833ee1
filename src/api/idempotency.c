#include "api/idempotency.h"

#include <openssl/evp.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"

enum { SHA256_BYTES = 32, UUID_BYTES = 16, FORMAT_VERSION = 1 };

static bool is_visible(char c)
{
    return c >= 0x21 && c <= 0x7E;
}

/* The content of "…": escapes are undone into the arena only where there are any. */
static enum err quoted_parse(struct slice value, struct arena *a, struct slice *key)
{
    struct slice inner = slice_make(value.ptr + 1, value.len - 2);
    char *copy;
    size_t len = 0;

    if (value.len < 2 || value.ptr[value.len - 1] != '"' ||
        inner.len > 2 * (size_t)API_KEY_BYTES_MAX) {
        return ERR_INVALID;
    }
    if (inner.len > 0 && memchr(inner.ptr, '\\', inner.len) == NULL) {
        *key = inner;
        return memchr(inner.ptr, '"', inner.len) == NULL ? ERR_OK : ERR_INVALID;
    }
    copy = arena_alloc(a, inner.len + 1);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < inner.len; i++) {
        char c = inner.ptr[i];
        if (c == '"') {
            return ERR_INVALID;
        }
        if (c == '\\') {
            i++;
            if (i == inner.len || (inner.ptr[i] != '"' && inner.ptr[i] != '\\')) {
                return ERR_INVALID;
            }
            c = inner.ptr[i];
        }
        copy[len++] = c;
    }
    *key = slice_make(copy, len);
    return ERR_OK;
}

enum err api_key_parse(struct slice value, struct arena *a, struct slice *key)
{
    struct slice k = value;

    if (value.len > 0 && value.ptr[0] == '"') {
        enum err e = quoted_parse(value, a, &k);
        if (e != ERR_OK) {
            return e;
        }
    }
    if (k.len == 0 || k.len > API_KEY_BYTES_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < k.len; i++) {
        if (!is_visible(k.ptr[i])) {
            return ERR_INVALID;
        }
    }
    *key = k;
    return ERR_OK;
}

enum err api_digest_init(struct api_digest *d)
{
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (sha256 == NULL || ctx == NULL) {
        EVP_MD_CTX_free(ctx);
        EVP_MD_free(sha256);
        return ERR_NOMEM;
    }
    *d = (struct api_digest){.sha256 = sha256, .ctx = ctx};
    return ERR_OK;
}

void api_digest_fini(struct api_digest *d)
{
    EVP_MD_CTX_free(d->ctx);
    EVP_MD_free(d->sha256);
    *d = (struct api_digest){0};
}

void api_fields_init(struct api_fields *f, const struct api_field_names *names, const char *route)
{
    ASSERT(names->count > API_FIELD_ROUTE && names->count <= IDEM_FIELDS_MAX);
    f->names = names;
    f->count = 0;
    f->decimal_count = 0;
    api_fields_text(f, slice_of(route));
}

void api_fields_text(struct api_fields *f, struct slice text)
{
    ASSERT(f->count < f->names->count);
    f->list[f->count++] = text;
}

void api_fields_decimal(struct api_fields *f, const struct decimal *d)
{
    uint8_t *bytes;

    if (d == NULL) {
        api_fields_text(f, SLICE_NONE);
        return;
    }
    ASSERT(f->decimal_count < API_DECIMALS_MAX);
    bytes = f->decimals[f->decimal_count++];
    bytes_put_u64(bytes, (uint64_t)d->coefficient);
    bytes_put_u32(bytes + 8, (uint32_t)d->scale);
    api_fields_text(f, slice_make((const char *)bytes, API_DECIMAL_BYTES));
}

/* What stands before a field's bytes, so that no two lists of fields are the same bytes. */
enum { FIELD_HEAD_BYTES = 5 };

static void field_head(struct slice field, uint8_t head[FIELD_HEAD_BYTES])
{
    head[0] = field.ptr == NULL ? 0 : 1;
    bytes_put_u32(head + 1, (uint32_t)field.len);
}

/* Tells which fields differ, and decides nothing: 16 bits that collide leave a name out of a message. */
static uint16_t field_tag(struct slice field)
{
    uint32_t crc = field.ptr == NULL ? 0 : crc32c(field.ptr, field.len) + 1;

    return (uint16_t)(crc ^ crc >> 16);
}

static bool digest_begin(const struct api_digest *d)
{
    return EVP_DigestInit_ex2(d->ctx, d->sha256, NULL) == 1;
}

static bool digest_add(const struct api_digest *d, struct slice bytes)
{
    return bytes.len == 0 || EVP_DigestUpdate(d->ctx, bytes.ptr, bytes.len) == 1;
}

static bool digest_end(const struct api_digest *d, uint8_t *out, size_t len)
{
    uint8_t full[SHA256_BYTES];

    if (EVP_DigestFinal_ex(d->ctx, full, NULL) != 1) {
        return false;
    }
    memcpy(out, full, len);
    return true;
}

static bool fingerprint_make(const struct api_digest *d, const struct api_fields *f, uint8_t *out)
{
    static const char version[] = {FORMAT_VERSION};
    bool is_good = digest_begin(d) && digest_add(d, slice_make(version, sizeof(version)));

    for (unsigned i = 0; is_good && i < f->count; i++) {
        uint8_t head[FIELD_HEAD_BYTES];
        field_head(f->list[i], head);
        is_good = digest_add(d, slice_make((const char *)head, sizeof(head))) &&
                  digest_add(d, f->list[i]);
    }
    return is_good && digest_end(d, out, IDEM_FINGERPRINT_BYTES);
}

enum err api_scope_make(const struct api_digest *d, struct slice caller, struct slice account,
                        struct slice key, uint8_t scope[IDEM_SCOPE_BYTES])
{
    const struct slice nul = SLICE("\0");

    ASSERT(key.len > 0);
    /* none of the three can hold a NUL, so the parts cannot be confused */
    if (!digest_begin(d) || !digest_add(d, caller) || !digest_add(d, nul) || !digest_add(d, account) ||
        !digest_add(d, nul) || !digest_add(d, key) || !digest_end(d, scope, IDEM_SCOPE_BYTES)) {
        return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err api_id_make(const struct api_digest *d, const uint8_t scope[IDEM_SCOPE_BYTES],
                     char text[API_MADE_ID_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t id[UUID_BYTES];
    size_t at = 0;

    /* a text of its own before it: an id is public, and a scope is what stored keys are found by */
    if (!digest_begin(d) || !digest_add(d, SLICE("mywallet account id\0")) ||
        !digest_add(d, slice_make((const char *)scope, IDEM_SCOPE_BYTES)) ||
        !digest_end(d, id, sizeof(id))) {
        return ERR_NOMEM;
    }
    id[6] = (uint8_t)(0x80 | (id[6] & 0x0f));
    id[8] = (uint8_t)(0x80 | (id[8] & 0x3f));
    for (size_t i = 0; i < sizeof(id); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[at++] = '-';
        }
        text[at++] = hex[id[i] >> 4];
        text[at++] = hex[id[i] & 0x0f];
    }
    ASSERT(at == API_MADE_ID_BYTES);
    return ERR_OK;
}

enum err api_idem_make(const struct api_digest *d, struct slice caller, struct slice account,
                       struct slice key, const struct api_fields *f, struct idem *out)
{
    struct idem idem = {.field_count = (uint8_t)f->count};

    ASSERT(f->count == f->names->count && key.len > 0);
    for (unsigned i = 0; i < f->count; i++) {
        idem.field_tags[i] = field_tag(f->list[i]);
    }
    if (api_scope_make(d, caller, account, key, idem.scope) != ERR_OK ||
        !fingerprint_make(d, f, idem.fingerprint)) {
        return ERR_NOMEM;
    }
    *out = idem;
    return ERR_OK;
}

void api_differing_append(struct buf *out, const struct api_field_names *names, uint8_t differing)
{
    bool is_first = true;

    for (unsigned i = 0; i < names->count; i++) {
        if ((differing >> i & 1) == 0) {
            continue;
        }
        if (!is_first) {
            buf_append_text(out, ", ");
        }
        is_first = false;
        buf_append_text(out, names->names[i]);
        if (i == API_FIELD_ROUTE) {
            return; /* the lists of two routes have no more in common */
        }
    }
}

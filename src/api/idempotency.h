/* The idempotency key: its header, and the digests that a store compares. */
#ifndef API_IDEMPOTENCY_H
#define API_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"
#include "ledger/posting.h"
#include "money/decimal.h"

enum { API_KEY_BYTES_MAX = 255 };

/**
 * Read the value of Idempotency-Key: the key itself, or a quoted structured-field string of it ("…" with \" and \\).
 *
 * Returns: *key, 1..API_KEY_BYTES_MAX bytes 0x21..0x7E, unescaped; it points into value or the arena.
 * Errors:  ERR_INVALID  empty, too long, another byte, a quote without its end, parameters behind it;
 *          ERR_NOMEM.
 * Source:  RFC 9651, section 3.3.3.
 */
MUST_CHECK enum err api_key_parse(struct slice value, struct arena *a, struct slice *key);

struct evp_md_st;
struct evp_md_ctx_st;

/** SHA-256 with everything fetched beforehand. Thread: one owner. */
struct api_digest {
    struct evp_md_st *sha256;
    struct evp_md_ctx_st *ctx;
};

/** Errors: ERR_NOMEM (or an OpenSSL without SHA-256). */
MUST_CHECK enum err api_digest_init(struct api_digest *d);
void api_digest_fini(struct api_digest *d);

/**
 * The fields of a route's request, in the order of their tags. Field 0 is the route itself, so that two routes' lists are
 * never compared by position without that one telling.
 */
struct api_field_names {
    unsigned count;
    const char *names[IDEM_FIELDS_MAX]; /* as messages name them */
};

enum { API_FIELD_ROUTE = 0, API_DECIMAL_BYTES = 12, API_DECIMALS_MAX = 2 };

/** A parsed request as its fingerprint sees it; absent is not the same as empty, and not the same as the default. */
struct api_fields {
    const struct api_field_names *names;
    unsigned count;
    struct slice list[IDEM_FIELDS_MAX]; /* ptr NULL: absent */
    unsigned decimal_count;
    uint8_t decimals[API_DECIMALS_MAX][API_DECIMAL_BYTES]; /* list points into it: do not copy this struct */
};

/** Begin a list with the route's name ("credit"). Owns: borrows everything it is given, until the digests are made. */
void api_fields_init(struct api_fields *f, const struct api_field_names *names, const char *route);

/** The next field of the list, a text; ptr NULL: absent. */
void api_fields_text(struct api_fields *f, struct slice text);

/** The next field of the list, a decimal; NULL: absent. */
void api_fields_decimal(struct api_fields *f, const struct decimal *d);

/**
 * Make the digest of a key's scope: what api_idem_make puts into idem.scope.
 *
 * Errors:  ERR_NOMEM (the digest library's).
 * Thread:  d's owner.
 */
MUST_CHECK enum err api_scope_make(const struct api_digest *d, struct slice caller,
                                   struct slice account, struct slice key,
                                   uint8_t scope[IDEM_SCOPE_BYTES]);

/**
 * Write the account id that a key without one makes: a UUID of version 8 over SHA-256 of a fixed text and the scope. The same key
 * makes the same id for ever, also when the key itself has been forgotten.
 *
 * Errors:  ERR_NOMEM (the digest library's).
 * Thread:  d's owner.
 * Source:  RFC 9562, section 5.8.
 */
enum { API_MADE_ID_BYTES = 36 };
MUST_CHECK enum err api_id_make(const struct api_digest *d, const uint8_t scope[IDEM_SCOPE_BYTES],
                                char text[API_MADE_ID_BYTES]);

/**
 * Make the digests of a key and its request, whose list must be complete.
 *
 * Units:   caller is the API key's name, "" without one; account is what the request acts on first, empty for none.
 * Errors:  ERR_NOMEM (the digest library's).
 * Thread:  d's owner.
 *
 * The bytes that are hashed are a stored format: a change makes yesterday's keys unknown, or wrongly reused.
 */
MUST_CHECK enum err api_idem_make(const struct api_digest *d, struct slice caller,
                                  struct slice account, struct slice key,
                                  const struct api_fields *f, struct idem *out);

/** Append the names of differing fields ("amount, reference"), or "route" alone where that differs. Errors: the buffer's own. */
void api_differing_append(struct buf *out, const struct api_field_names *names, uint8_t differing);

#endif

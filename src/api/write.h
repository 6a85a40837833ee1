/* What every write has: its key, its precondition, and the words that most bodies share. */
#ifndef API_WRITE_H
#define API_WRITE_H

#include "api/call.h"
#include "api/etag.h"
#include "api/request.h"

#define API_CALLER \
    SLICE("") /* the name of the API key that a request came with: there are none yet */

struct api_write {
    bool has_key;
    struct slice key;
    bool has_if_match;
    struct api_if_match if_match;
    struct posting_words words;
    struct slice currency_text; /* as asked, for the fingerprint; ptr NULL: absent */
    struct api_fields fields;   /* do not copy this struct */
};

/**
 * Read what is not in the body: no query parameter, Idempotency-Key, and If-Match where the path names an account.
 * Begins *w.
 */
struct api_refusal api_write_read(struct api_call *call, bool takes_if_match, struct api_write *w);

/** Read the members that several bodies share; reference is NULL for one that has none. */
struct api_refusal api_words_read(struct api_call *call, const struct json_value *currency,
                                  const struct json_value *reference,
                                  const struct json_value *metadata, struct api_write *w);

/**
 * The last step, behind the compiling of the posting, which returned `compiled`: language, precondition, and, where there
 * is a key, the digests over w->fields.
 *
 * Units:   account is what the request acts on first; empty for none.
 */
struct api_refusal api_write_seal(struct api_call *call, enum err compiled, struct slice account,
                                  const struct api_write *w);

#endif

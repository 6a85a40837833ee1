/* Percent-decoding and query strings. Pure but for the arena that takes what had to be decoded. */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

/**
 * Is this well-formed UTF-8 (no overlong form, no surrogate, nothing past U+10FFFF) without a NUL?
 */
bool uri_is_text(struct slice s);

/**
 * Percent-decode once; '+' stays a plus.
 *
 * Owns:    *out lies in `in` where nothing was encoded, else in the arena.
 * Errors:  ERR_INVALID: a '%' without two hex digits, or the result is not text (uri_is_text);
 *          ERR_NOMEM.
 */
MUST_CHECK enum err uri_decode(struct arena *arena, struct slice in, struct slice *out);

struct uri_parameter {
    struct slice name, value; /* decoded */
};

/**
 * Take a query apart: name[=value] joined by '&'. An empty query has no parameter.
 *
 * Errors:  ERR_INVALID: an empty name, or what does not decode; ERR_EXISTS: a name twice; ERR_FULL:
 *          more than max; ERR_NOMEM.
 */
MUST_CHECK enum err uri_query(struct arena *arena, struct slice query, struct uri_parameter *out,
                              unsigned max, unsigned *count);

#endif

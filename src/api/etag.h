/* Entity tags: an account's version as a strong tag, and the two conditions on it. */
#ifndef API_ETAG_H
#define API_ETAG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "ledger/types.h"

enum { API_ETAG_BYTES_MAX = 22 }; /* two quotes around a uint64_t */

/** Write `"17"`; the slice points into text. Thread: any. */
struct slice api_etag_text(uint64_t version, char text[API_ETAG_BYTES_MAX]);

/** The versions that an If-Match allows. */
struct api_if_match {
    bool is_any;                            /* `*`: any version of an account that exists */
    unsigned count;                         /* at least 1 unless is_any */
    uint64_t versions[LEDGER_IF_MATCH_MAX]; /* API_NO_VERSION where no tag of the list can be one */
};

enum { API_NO_VERSION = 0 }; /* accounts begin with 1 */

/**
 * Read If-Match: `*`, or entity tags with commas between, at most LEDGER_IF_MATCH_MAX versions among them. A weak tag, or one
 * that is no version, is well formed and matches nothing.
 *
 * Errors:  ERR_INVALID for anything else.
 * Source:  RFC 9110, sections 8.8.3 and 13.1.1.
 */
MUST_CHECK enum err api_if_match_parse(struct slice value, struct api_if_match *out);

/**
 * Does If-None-Match name this tag (or is it `*`)? Compared weakly, as for a GET. A malformed list names nothing: the
 * worst that follows is a full answer.
 */
bool api_if_none_match(struct slice value, struct slice etag);

#endif

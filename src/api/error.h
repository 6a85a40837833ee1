/* The error codes: each with its one status and its words in both languages, and what leads to which. */
#ifndef API_ERROR_H
#define API_ERROR_H

#include "base/buf.h"
#include "base/slice.h"
#include "http/http.h"
#include "ledger/types.h"

/** Every code an answer may carry; API_OK is the absence of one. One code, one status. */
enum api_code {
    API_OK = 0,
    /* 400 */
    API_INVALID_REQUEST,
    API_INVALID_AMOUNT,
    API_INVALID_ACCOUNT_ID,
    API_INVALID_CURRENCY,
    API_INVALID_CURSOR,
    API_INVALID_IDEMPOTENCY_KEY,
    /* 401, 403 */
    API_UNAUTHORIZED,
    API_FORBIDDEN,
    /* 404 */
    API_ACCOUNT_NOT_FOUND,
    API_TRANSACTION_NOT_FOUND,
    API_HOLD_NOT_FOUND,
    API_ROUTE_NOT_FOUND,
    /* 405, 408 */
    API_METHOD_NOT_ALLOWED,
    API_REQUEST_TIMEOUT,
    /* 409 */
    API_ACCOUNT_EXISTS,
    API_HOLD_NOT_ACTIVE,
    API_IDEMPOTENCY_IN_PROGRESS,
    /* 412 */
    API_PRECONDITION_FAILED,
    /* 413, 414, 415, 431 */
    API_PAYLOAD_TOO_LARGE,
    API_URI_TOO_LONG,
    API_UNSUPPORTED_MEDIA_TYPE,
    API_HEADERS_TOO_LARGE,
    /* 422 */
    API_INSUFFICIENT_BALANCE,
    API_ACCOUNT_FROZEN,
    API_ACCOUNT_CLOSED,
    API_CURRENCY_MISMATCH,
    API_SAME_ACCOUNT,
    API_BALANCE_LIMIT_EXCEEDED,
    API_REVERSAL_EXCEEDS_ORIGINAL,
    API_HOLD_AMOUNT_EXCEEDED,
    API_UNBALANCED_ENTRIES,
    API_IDEMPOTENCY_KEY_REUSED,
    /* 429 */
    API_RATE_LIMITED,
    /* 500, 503, 504 */
    API_SYSTEM_ERROR,
    API_STORE_UNAVAILABLE,
    API_OUTCOME_UNKNOWN,
    API_CODE_COUNT
};

/** What is wrong, for the words of a message; the code alone is what programs read. */
enum api_reason {
    API_REASON_NONE = 0,
    API_REASON_NOT_JSON,
    API_REASON_BAD_TEXT,  /* not UTF-8, a NUL or half a surrogate pair */
    API_REASON_DUPLICATE, /* a member twice */
    API_REASON_UNKNOWN_MEMBER,
    API_REASON_WRONG_TYPE,
    API_REASON_TOO_LONG,
    API_REASON_TOO_DEEP,
    API_REASON_MISSING,
    API_REASON_UNKNOWN_PARAMETER,
    API_REASON_BAD_PARAMETER,
    API_REASON_BAD_HEADER,
    API_REASON_HEADER_NOT_HERE, /* a header that this route does not take */
    API_REASON_DIFFERING,       /* of IDEMPOTENCY_KEY_REUSED: the fields that differ */
    API_REASON_REMOTE_PEER,     /* of FORBIDDEN: what to do about it */
    API_REASON_LIMIT,           /* `limit` outside of its range */
    API_REASON_REFERENCE,       /* `reference` empty or too long */
    API_REASON_METADATA,        /* `metadata` too long */
    API_REASON_KEY,             /* of INVALID_IDEMPOTENCY_KEY: what a key may be */
    /* what http found wrong; api_reason_of_http */
    API_REASON_REQUEST_LINE,
    API_REASON_METHOD,
    API_REASON_TARGET,
    API_REASON_VERSION,
    API_REASON_FIELD,
    API_REASON_FIELD_TWICE,
    API_REASON_HOST,
    API_REASON_FRAMING,
    API_REASON_EXPECT,
    API_REASON_KEY_TWICE,
    API_REASON_NO_BODY,
    API_REASON_CHUNK,
    API_REASON_CUT,
    API_REASON_QUERY,
    API_REASON_QUERY_TWICE,
    API_REASON_QUERY_TOO_MANY,
    API_REASON_COUNT
};

/** Why a request is not served: a code, and words about it. code API_OK: it is. */
struct api_refusal {
    enum api_code code;
    enum api_reason reason;
    struct slice about; /* a member, parameter or header of ours; empty: none. Of what a client wrote only a name that
                           looks like one (api_is_nameable): no secret that was sent to the wrong place may come
                           back in a message */
};

enum {
    API_ABOUT_BYTES_MAX = 128
}; /* a longer `about` is left out of the message: strangers choose it */

/** "INVALID_AMOUNT"; "ok" for API_OK. Thread: any. */
const char *api_code_text(enum api_code code);

/** The one HTTP status of a code, 400..599. */
unsigned api_code_status(enum api_code code);

/** The words of a code. The seed's four are kept to the byte in zh-CN. */
const char *api_code_message(enum api_code code, enum ledger_language language);

/** What a store's outcome is called outside; API_OK for OUTCOME_OK. */
enum api_code api_code_of_outcome(enum outcome outcome);

/**
 * What a fault of the HTTP room is called outside. `template` is the route's, or NULL where no route was found: it tells
 * which kind of id a broken path parameter was.
 */
enum api_code api_code_of_fault(enum http_fault fault, const char *template);

/**
 * The refusal for a fault: its code by api_code_of_fault, or INVALID_IDEMPOTENCY_KEY where that header is what `reason`
 * is about, with words.
 */
struct api_refusal api_refusal_of_fault(enum http_fault fault, enum http_reason reason,
                                        const char *template);

/** May a message repeat this name of an unknown member or parameter? [A-Za-z0-9_]{1,32}. */
bool api_is_nameable(struct slice name);

/** Append the envelope {"error":{"code":"…","message":"…"}}. Errors: the buffer's own (sticky). */
void api_error_render(struct buf *out, const struct api_refusal *refusal,
                      enum ledger_language language);

#endif

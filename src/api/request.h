/* Reading requests: language, ids, query parameters, and the members of bodies. */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include "api/api_internal.h"
#include "money/decimal.h"
#include "json/json.h"

/** The language that Accept-Language prefers; fallback where it names neither of ours. Thread: any. */
enum ledger_language api_language_parse(struct slice header, enum ledger_language fallback);

/** The same of a request. */
enum ledger_language api_language(const struct http_request *request, enum ledger_language fallback);

/**
 * Read the value of a traceparent header.
 *
 * Returns: *trace_id, the 32 hex digits in it. False: not version 00, or against its grammar; to be ignored.
 * Source:  W3C Trace Context, section 3.2.
 */
bool api_traceparent_parse(struct slice value, struct slice *trace_id);

/** The trace id of a request that has one valid traceparent. */
bool api_trace_id(const struct http_request *request, struct slice *trace_id);

/** INVALID_ACCOUNT_ID for any other text. */
struct api_refusal api_account_id_check(struct slice text);

/** Nothing is wrong. */
#define API_FINE ((struct api_refusal){.code = API_OK})

static inline struct api_refusal api_invalid(enum api_reason reason, const char *about)
{
    return (struct api_refusal){API_INVALID_REQUEST, reason, slice_of(about)};
}

/** INVALID_REQUEST for a query parameter that is not among names. */
struct api_refusal api_query_check(const struct http_view *view, const char *const *names,
                                   unsigned count);

/** A query parameter's value; false where it is absent. */
bool api_query_get(const struct http_view *view, const char *name, struct slice *value);

/** `limit`: 1..STORE_PAGE_MAX, API_PAGE_DEFAULT where absent; else INVALID_REQUEST. */
struct api_refusal api_query_limit(const struct http_view *view, unsigned *limit);

/** `cursor`: 1..STORE_CURSOR_BYTES_MAX of [A-Za-z0-9_-], ptr NULL where absent; else INVALID_CURSOR. */
struct api_refusal api_query_cursor(const struct http_view *view, struct slice *cursor);

/** INVALID_REQUEST where If-Match is given: it belongs to writes whose path names an account. */
struct api_refusal api_no_if_match(const struct http_request *request);

/** What a GET may not have: other query parameters than names, and If-Match. */
struct api_refusal api_get_check(const struct http_request *request, const char *const *names,
                                 unsigned count);

/** The same for one whose path begins with an account: its id first. */
struct api_refusal api_account_get_check(const struct http_request *request,
                                         const char *const *names, unsigned count);

/** Read a body by a schema into values; every fault of JSON is INVALID_REQUEST. */
struct api_refusal api_body_read(struct http_request *request, const struct json_schema *schema,
                                 struct json_value *values);

/** An account id that must be there. Missing: INVALID_REQUEST. */
struct api_refusal api_account_member_read(const struct json_value *value, const char *name,
                                           struct slice *id);

/** A positive amount. Missing: INVALID_REQUEST; anything else that is none: INVALID_AMOUNT. */
struct api_refusal api_amount_read(const struct json_value *value, const char *name,
                                   struct decimal *amount);

/** currency, where present: one of the table, or INVALID_CURRENCY. */
struct api_refusal api_currency_read(const struct json_value *value, struct currency *currency);

/** reference, where present: 1..LEDGER_REFERENCE_BYTES_MAX bytes. */
struct api_refusal api_reference_read(const struct json_value *value, struct slice *reference);

/** metadata, where present: its canonical text, at most LEDGER_METADATA_BYTES_MAX bytes, in the arena. */
struct api_refusal api_metadata_read(struct arena *a, const struct json_value *value,
                                     struct slice *metadata);

#endif

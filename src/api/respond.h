/* Answers: the headers that every answer of a kind carries, the error envelope, and the counting of both. */
#ifndef API_RESPOND_H
#define API_RESPOND_H

#include "api/api_internal.h"

enum { API_ANSWER_FIELDS_MAX = 8, API_RETRY_AFTER_SECONDS = 1 };

struct api_answer {
    unsigned status;
    enum api_code code; /* API_OK, or why it failed */
    bool is_replay;
    const char *content_type; /* of a body that is not empty; NULL: application/json */
    struct http_field fields[API_ANSWER_FIELDS_MAX];
    unsigned field_count;
};

/** Add a header field; the value is borrowed until the answer is sent. */
void api_answer_add(struct api_answer *a, const char *name, struct slice value);

/**
 * Send it, with Content-Type and, for a write, Wallet-Durability; count the operation and remember the code for the log.
 * A write is what http found a route for that writes, whoever answers: a handler, the deadline, or render_fault.
 */
void api_answer_send(struct api_loop *l, struct http_request *request, struct api_answer *a,
                     struct slice body);

/**
 * Answer 200 (or `status`) to a write or a read with what stands in the loop's body buffer. Where rendering ran out of
 * memory: STORE_UNAVAILABLE, or OUTCOME_UNKNOWN for a write.
 */
void api_answer_body(struct api_loop *l, struct http_request *request, struct api_answer *a);

/** Answer a refusal, in the request's language. */
void api_refuse(struct api_loop *l, struct http_request *request, const struct api_refusal *refusal);

/** The same for a code without words about it. */
void api_refuse_code(struct api_loop *l, struct http_request *request, enum api_code code);

/**
 * Add what the store's result says in headers: Wallet-Seq (`number`, or `bucket:number` where the store keeps several
 * journals) and Idempotent-Replayed. text outlives the sending.
 */
enum { API_SEQ_BYTES_MAX = 10 + 1 + 20 };
void api_answer_result(struct api_loop *l, struct api_answer *a,
                       const struct posting_result *result, char text[API_SEQ_BYTES_MAX]);

/** Answer a write that the store refused; names are its route's, for the words of IDEMPOTENCY_KEY_REUSED. */
void api_refuse_result(struct api_loop *l, struct http_request *request,
                       const struct posting_result *result, const struct api_field_names *names);

/**
 * If the client's If-None-Match names this tag, answer 304 and return true.
 *
 * Owns:    borrows etag for the call.
 */
bool api_answer_not_modified(struct api_loop *l, struct http_request *request, struct slice etag);

/** The body buffer of the loop, emptied. */
struct buf *api_body_begin(struct api_loop *l);

#endif

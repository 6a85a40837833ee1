/*
 * The life of one store operation under one request.
 *
 * taken from the loop's pool - the handler fills op - submitted: the request is held, because the store reads its arena -
 * done, on the loop: answered, unless the deadline answered before - the request is let go, the call back in the pool.
 *
 * At the deadline a call that the store has not taken up is taken back (503: surely not applied). One that it has is left
 * to itself: 504 for a write, 503 for a read; its completion comes later and finds the answer given.
 */
#ifndef API_CALL_H
#define API_CALL_H

#include "api/api_internal.h"
#include "api/idempotency.h"
#include "store/store.h"

struct api_call {
    struct store_op op; /* first member: the store hands back a pointer to it */
    struct api_loop *loop;
    struct http_request *request;
    void (*answer)(struct api_call *call);     /* renders OUTCOME_OK */
    const struct api_field_names *field_names; /* of a write */
    struct idem idem;                          /* what op.posting.idem points at */
    struct api_call *next_idle;
};

/**
 * Take a call for a request, its operation zeroed.
 *
 * Returns: NULL where the pool's ceiling or memory is reached; the request is then answered (STORE_UNAVAILABLE).
 */
struct api_call *api_call_take(struct api_loop *l, struct http_request *request,
                               enum store_op_kind kind, void (*answer)(struct api_call *call));

/** Give it back unused and answer the refusal. */
void api_call_refuse(struct api_call *call, const struct api_refusal *refusal);

/** Submit the operation. */
void api_call_submit(struct api_call *call);

/** Submit, or refuse where there is something to refuse. */
void api_call_settle(struct api_call *call, struct api_refusal refusal);

/** The deadline of a request has passed: answer it. */
void api_call_deadline(struct api_loop *l, struct http_request *request);

/** Free the pool. */
void api_calls_free(struct api_loop *l);

#endif

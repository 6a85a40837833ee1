/* The history of one account, a page at a time. */
#include "api/call.h"
#include "api/render.h"
#include "api/request.h"
#include "api/respond.h"
#include "api/time.h"
#include "base/assert.h"

static void history_answer(struct api_call *call)
{
    struct api_answer a = {.status = 200};

    api_render_history(api_body_begin(call->loop), &call->op);
    api_answer_body(call->loop, call->request, &a);
}

static struct api_refusal type_read(const struct http_view *view, uint32_t *kinds)
{
    static const enum record_kind types[] = {RECORD_CREDIT, RECORD_DEBIT, RECORD_TRANSFER};
    struct slice text;

    if (!api_query_get(view, "type", &text)) {
        return API_FINE;
    }
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        if (slice_equal(text, slice_of(api_kind_text(types[i])))) {
            *kinds = UINT32_C(1) << types[i];
            return API_FINE;
        }
    }
    return api_invalid(API_REASON_BAD_PARAMETER, "type");
}

/* A bound in time; 0 means open to the store, so that an instant at or before the epoch is the one behind it: no entry is
   so old, and both bounds say the same as before. */
static struct api_refusal bound_read(const struct http_view *view, const char *name, int64_t *bound_us)
{
    struct slice text;

    if (!api_query_get(view, name, &text)) {
        return API_FINE;
    }
    if (api_time_parse(text, bound_us) != ERR_OK) {
        return api_invalid(API_REASON_BAD_PARAMETER, name);
    }
    if (*bound_us < 1) {
        *bound_us = 1;
    }
    return API_FINE;
}

static struct api_refusal order_read(const struct http_view *view, bool *is_ascending)
{
    struct slice text;

    if (!api_query_get(view, "order", &text)) {
        return API_FINE;
    }
    *is_ascending = slice_equal(text, SLICE("asc"));
    return *is_ascending || slice_equal(text, SLICE("desc"))
               ? API_FINE
               : api_invalid(API_REASON_BAD_PARAMETER, "order");
}

static struct api_refusal history_read(struct api_call *call, const struct http_view *view)
{
    static const char *const known[] = {"limit", "cursor", "type", "from", "to", "order"};
    struct store_history_in *in = &call->op.history;
    struct api_refusal refusal = api_account_get_check(call->request, known, ARRAY_LEN(known));

    if (refusal.code == API_OK) {
        refusal = api_query_limit(view, &in->limit);
    }
    if (refusal.code == API_OK) {
        refusal = api_query_cursor(view, &in->cursor);
    }
    if (refusal.code == API_OK) {
        refusal = type_read(view, &in->kinds);
    }
    if (refusal.code == API_OK) {
        refusal = bound_read(view, "from", &in->from_us);
    }
    if (refusal.code == API_OK) {
        refusal = bound_read(view, "to", &in->to_us);
    }
    if (refusal.code == API_OK) {
        refusal = order_read(view, &in->is_ascending);
    }
    return refusal;
}

void api_get_history(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_HISTORY, history_answer);

    if (call != NULL) {
        call->op.account_id = view->params[0];
        api_call_settle(call, history_read(call, view));
    }
}

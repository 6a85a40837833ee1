/* One transaction with its entries. */
#include "api/call.h"
#include "api/render.h"
#include "api/request.h"
#include "api/respond.h"
#include "ledger/txid.h"

static void transaction_answer(struct api_call *call)
{
    struct api_answer a = {.status = 200};

    api_render_transaction(api_body_begin(call->loop), &call->op);
    api_answer_body(call->loop, call->request, &a);
}

static struct api_refusal transaction_read(struct api_call *call, const struct http_view *view)
{
    struct api_refusal refusal = api_get_check(call->request, NULL, 0);

    if (refusal.code == API_OK &&
        txid_decode(view->params[0], &call->op.tx_time_us, &call->op.tx_tag) != ERR_OK) {
        refusal.code =
            API_TRANSACTION_NOT_FOUND; /* ids are opaque: one that cannot be is one that is not */
    }
    return refusal;
}

void api_get_transaction(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_TRANSACTION, transaction_answer);

    if (call != NULL) {
        api_call_settle(call, transaction_read(call, view));
    }
}

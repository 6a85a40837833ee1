/* The seed's resource: a balance, and money in and out of it. */
#include "api/call.h"
#include "api/etag.h"
#include "api/render.h"
#include "api/request.h"
#include "api/respond.h"
#include "api/write.h"

/* ---- GET /api/v1/wallet/{account_id}/balance ---- */

static void balance_answer(struct api_call *call)
{
    char tag[API_ETAG_BYTES_MAX];
    const struct slice etag = api_etag_text(call->op.account.version, tag);
    struct api_answer a = {.status = 200};

    if (api_answer_not_modified(call->loop, call->request, etag)) {
        return;
    }
    api_render_balance(api_body_begin(call->loop), &call->op.account);
    api_answer_add(&a, "ETag", etag);
    api_answer_body(call->loop, call->request, &a);
}

void api_get_balance(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_ACCOUNT, balance_answer);

    if (call != NULL) {
        call->op.account_id = view->params[0];
        api_call_settle(call, api_account_get_check(request, NULL, 0));
    }
}

/* ---- POST /api/v1/wallet/{account_id}/credit and …/debit ---- */

enum { AMOUNT, CURRENCY, REFERENCE, METADATA, MEMBERS };

static const struct json_field members[MEMBERS] = {
    [AMOUNT] = {.name = "amount", .kind = JSON_NUMBER_TEXT},
    [CURRENCY] = {.name = "currency", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [REFERENCE] = {.name = "reference", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [METADATA] = {.name = "metadata", .kind = JSON_STRING_MAP, .max = LEDGER_METADATA_BYTES_MAX},
};
static const struct json_schema schema = {.fields = members, .count = MEMBERS};

static const struct api_field_names names = {5,
                                             {"route", "amount", "currency", "reference", "metadata"}};

static void move_answer(struct api_call *call)
{
    struct api_answer a = {.status = 200};
    char seq[API_SEQ_BYTES_MAX];

    api_render_movement(api_body_begin(call->loop), &call->op.result);
    api_answer_result(call->loop, &a, &call->op.result, seq);
    api_answer_body(call->loop, call->request, &a);
}

static struct api_refusal move_read(struct api_call *call, struct slice account,
                                    struct api_write *w, struct decimal *amount)
{
    struct json_value values[MEMBERS];
    struct api_refusal refusal = api_account_id_check(account);

    if (refusal.code == API_OK) {
        refusal = api_write_read(call, true, w);
    }
    if (refusal.code == API_OK) {
        refusal = api_body_read(call->request, &schema, values);
    }
    if (refusal.code == API_OK) {
        refusal = api_amount_read(&values[AMOUNT], "amount", amount);
    }
    if (refusal.code == API_OK) {
        refusal = api_words_read(call, &values[CURRENCY], &values[REFERENCE], &values[METADATA], w);
    }
    return refusal;
}

static struct api_refusal move_compile(struct api_call *call, enum record_kind kind)
{
    const struct slice account = http_view(call->request)->params[0];
    struct arena *arena = http_arena(call->request);
    struct posting *posting = &call->op.posting;
    struct decimal amount;
    struct api_write w;
    struct api_refusal refusal = move_read(call, account, &w, &amount);
    enum err e;

    if (refusal.code != API_OK) {
        return refusal;
    }
    api_fields_init(&w.fields, &names, kind == RECORD_CREDIT ? "credit" : "debit");
    api_fields_decimal(&w.fields, &amount);
    api_fields_text(&w.fields, w.currency_text);
    api_fields_text(&w.fields, w.words.reference);
    api_fields_text(&w.fields, w.words.metadata);
    if (kind == RECORD_CREDIT) {
        w.words.may_open = call->loop->shared->options.auto_create;
        e = posting_credit(arena, account, amount, &w.words, posting);
    } else {
        e = posting_debit(arena, account, amount, &w.words, posting);
    }
    return api_write_seal(call, e, account, &w);
}

static void move(struct http_request *request, struct api_loop *l, enum record_kind kind)
{
    struct api_call *call = api_call_take(l, request, STORE_POST, move_answer);

    if (call != NULL) {
        api_call_settle(call, move_compile(call, kind));
    }
}

void api_post_credit(struct http_request *request, const struct http_view *view, void *ctx)
{
    (void)view;
    move(request, ctx, RECORD_CREDIT);
}

void api_post_debit(struct http_request *request, const struct http_view *view, void *ctx)
{
    (void)view;
    move(request, ctx, RECORD_DEBIT);
}

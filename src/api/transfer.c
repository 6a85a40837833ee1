/* Transfers: money between two accounts. */
#include "api/call.h"
#include "api/render.h"
#include "api/request.h"
#include "api/respond.h"
#include "api/write.h"

enum { FROM, TO, AMOUNT, CURRENCY, REFERENCE, METADATA, MEMBERS };

static const struct json_field members[MEMBERS] = {
    [FROM] = {.name = "from", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [TO] = {.name = "to", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [AMOUNT] = {.name = "amount", .kind = JSON_NUMBER_TEXT},
    [CURRENCY] = {.name = "currency", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [REFERENCE] = {.name = "reference", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [METADATA] = {.name = "metadata", .kind = JSON_STRING_MAP, .max = LEDGER_METADATA_BYTES_MAX},
};
static const struct json_schema schema = {.fields = members, .count = MEMBERS};

static const struct api_field_names names = {
    7,
    {"route", "from", "to", "amount", "currency", "reference", "metadata"}};

static void transfer_answer(struct api_call *call)
{
    struct api_answer a = {.status = 201};
    char seq[API_SEQ_BYTES_MAX];

    api_render_transfer(api_body_begin(call->loop), &call->op.result);
    api_answer_result(call->loop, &a, &call->op.result, seq);
    api_answer_body(call->loop, call->request, &a);
}

struct sides {
    struct slice from, to;
    struct decimal amount;
};

static struct api_refusal transfer_read(struct api_call *call, struct api_write *w, struct sides *s)
{
    struct json_value values[MEMBERS];
    struct api_refusal refusal = api_write_read(call, false, w);

    if (refusal.code == API_OK) {
        refusal = api_body_read(call->request, &schema, values);
    }
    if (refusal.code == API_OK) {
        refusal = api_account_member_read(&values[FROM], "from", &s->from);
    }
    if (refusal.code == API_OK) {
        refusal = api_account_member_read(&values[TO], "to", &s->to);
    }
    if (refusal.code == API_OK) {
        refusal = api_amount_read(&values[AMOUNT], "amount", &s->amount);
    }
    if (refusal.code == API_OK) {
        refusal = api_words_read(call, &values[CURRENCY], &values[REFERENCE], &values[METADATA], w);
    }
    return refusal;
}

static struct api_refusal transfer_compile(struct api_call *call)
{
    struct sides s;
    struct api_write w;
    struct api_refusal refusal = transfer_read(call, &w, &s);
    enum err e;

    if (refusal.code != API_OK) {
        return refusal;
    }
    api_fields_init(&w.fields, &names, "transfer");
    api_fields_text(&w.fields, s.from);
    api_fields_text(&w.fields, s.to);
    api_fields_decimal(&w.fields, &s.amount);
    api_fields_text(&w.fields, w.currency_text);
    api_fields_text(&w.fields, w.words.reference);
    api_fields_text(&w.fields, w.words.metadata);
    e = posting_transfer(http_arena(call->request), s.from, s.to, s.amount, &w.words,
                         &call->op.posting);
    return api_write_seal(call, e, s.from, &w);
}

void api_post_transfer(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_POST, transfer_answer);

    (void)view;
    if (call != NULL) {
        api_call_settle(call, transfer_compile(call));
    }
}

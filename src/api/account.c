/* Accounts: opened, read, listed. */
#include "api/call.h"
#include "api/etag.h"
#include "api/render.h"
#include "api/request.h"
#include "api/respond.h"
#include "api/write.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/uuid.h"

/* ---- GET /api/v1/wallet/{account_id} ---- */

static void account_answer(struct api_call *call)
{
    char tag[API_ETAG_BYTES_MAX];
    const struct slice etag = api_etag_text(call->op.account.version, tag);
    struct api_answer a = {.status = 200};

    if (api_answer_not_modified(call->loop, call->request, etag)) {
        return;
    }
    api_render_account(api_body_begin(call->loop), &call->op.account, call->op.account_metadata);
    api_answer_add(&a, "ETag", etag);
    api_answer_body(call->loop, call->request, &a);
}

void api_get_account(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_ACCOUNT, account_answer);

    if (call != NULL) {
        call->op.account_id = view->params[0];
        call->op.wants_metadata = true;
        api_call_settle(call, api_account_get_check(request, NULL, 0));
    }
}

/* ---- GET /api/v1/wallet ---- */

static void accounts_answer(struct api_call *call)
{
    struct api_answer a = {.status = 200};

    api_render_accounts(api_body_begin(call->loop), &call->op);
    api_answer_body(call->loop, call->request, &a);
}

static struct api_refusal prefix_read(const struct http_view *view, struct slice *prefix)
{
    if (api_query_get(view, "prefix", prefix) && prefix->len > 0 && !ledger_is_account_id(*prefix)) {
        return api_invalid(API_REASON_BAD_PARAMETER,
                           "prefix"); /* the beginning of an id is itself one */
    }
    return API_FINE;
}

static struct api_refusal status_read(const struct http_view *view, int *status)
{
    struct slice text;

    if (!api_query_get(view, "status", &text)) {
        return API_FINE;
    }
    for (int i = 0; i < ACCOUNT_STATUS_COUNT; i++) {
        if (slice_equal(text, slice_of(api_status_text((enum account_status)i)))) {
            *status = i;
            return API_FINE;
        }
    }
    return api_invalid(API_REASON_BAD_PARAMETER, "status");
}

static struct api_refusal accounts_read(struct api_call *call, const struct http_view *view)
{
    static const char *const known[] = {"limit", "cursor", "prefix", "status"};
    struct api_refusal refusal = api_get_check(call->request, known, ARRAY_LEN(known));

    if (refusal.code == API_OK) {
        refusal = api_query_limit(view, &call->op.accounts.limit);
    }
    if (refusal.code == API_OK) {
        refusal = api_query_cursor(view, &call->op.accounts.cursor);
    }
    if (refusal.code == API_OK) {
        refusal = prefix_read(view, &call->op.accounts.prefix);
    }
    if (refusal.code == API_OK) {
        refusal = status_read(view, &call->op.accounts.status);
    }
    return refusal;
}

void api_get_accounts(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_ACCOUNTS, accounts_answer);

    if (call != NULL) {
        api_call_settle(call, accounts_read(call, view));
    }
}

/* ---- POST /api/v1/wallet ---- */

enum { ACCOUNT_ID, CURRENCY, OVERDRAFT_LIMIT, METADATA, MEMBERS };

static const struct json_field members[MEMBERS] = {
    [ACCOUNT_ID] = {.name = "account_id", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [CURRENCY] = {.name = "currency", .kind = JSON_STRING, .max = API_REQUEST_BODY_BYTES_MAX},
    [OVERDRAFT_LIMIT] = {.name = "overdraft_limit", .kind = JSON_NUMBER_TEXT},
    [METADATA] = {.name = "metadata", .kind = JSON_STRING_MAP, .max = LEDGER_METADATA_BYTES_MAX},
};
static const struct json_schema schema = {.fields = members, .count = MEMBERS};

static const struct api_field_names names = {
    5,
    {"route", "account_id", "currency", "overdraft_limit", "metadata"}};

#define LOCATION_PREFIX "/api/v1/wallet/"
enum { LOCATION_PREFIX_BYTES = sizeof(LOCATION_PREFIX) - 1 };

static void open_answer(struct api_call *call)
{
    const struct posting_result *result = &call->op.result;
    struct api_answer a = {.status = 201};
    char location[LOCATION_PREFIX_BYTES + LEDGER_ACCOUNT_ID_BYTES_MAX] = LOCATION_PREFIX;
    char seq[API_SEQ_BYTES_MAX];

    ASSERT(result->opened.id.len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    memcpy(location + LOCATION_PREFIX_BYTES, result->opened.id.ptr, result->opened.id.len);
    api_answer_add(&a, "Location",
                   slice_make(location, LOCATION_PREFIX_BYTES + result->opened.id.len));
    api_render_account(api_body_begin(call->loop), &result->opened, result->opened_metadata);
    api_answer_result(call->loop, &a, result, seq);
    api_answer_body(call->loop, call->request, &a);
}

static struct api_refusal overdraft_read(const struct json_value *value, struct decimal *overdraft)
{
    *overdraft = (struct decimal){0};
    if (value->is_present &&
        (decimal_parse(value->text, overdraft) != ERR_OK || overdraft->coefficient < 0)) {
        return (struct api_refusal){.code = API_INVALID_AMOUNT};
    }
    return API_FINE;
}

/*
 * The id of an account that was not given one. Under a key it comes from the key, so that each try opens the same account, and
 * asks the same part of a store that is kept in parts.
 */
static enum err id_make(struct api_call *call, const struct api_write *w, char *text)
{
    const struct api_digest *digest = &call->loop->digest;
    uint8_t scope[IDEM_SCOPE_BYTES];
    enum err e;

    _Static_assert((int)API_MADE_ID_BYTES == (int)UUID_TEXT_BYTES, "either is a UUID");
    if (!w->has_key) {
        uuid_v7(&call->loop->random, clock_wall_us(), text);
        return ERR_OK;
    }
    e = api_scope_make(digest, API_CALLER, SLICE_NONE, w->key, scope);
    return e == ERR_OK ? api_id_make(digest, scope, text) : e;
}

static struct api_refusal id_read(struct api_call *call, const struct json_value *value,
                                  const struct api_write *w, struct slice *id)
{
    char *text;

    if (value->is_present) {
        *id = value->text;
        return api_account_id_check(*id);
    }
    text = arena_alloc(http_arena(call->request), UUID_TEXT_BYTES);
    if (text == NULL || id_make(call, w, text) != ERR_OK) {
        return (struct api_refusal){.code = API_STORE_UNAVAILABLE};
    }
    *id = slice_make(text, UUID_TEXT_BYTES);
    return API_FINE;
}

static struct api_refusal open_compile(struct api_call *call)
{
    struct json_value values[MEMBERS];
    struct slice id, asked_id = SLICE_NONE;
    struct decimal overdraft;
    struct api_write w;
    struct api_refusal refusal = api_write_read(call, false, &w);
    enum err e;

    if (refusal.code == API_OK) {
        refusal = api_body_read(call->request, &schema, values);
    }
    if (refusal.code == API_OK) {
        refusal = id_read(call, &values[ACCOUNT_ID], &w, &id);
    }
    if (refusal.code == API_OK) {
        refusal = overdraft_read(&values[OVERDRAFT_LIMIT], &overdraft);
    }
    if (refusal.code == API_OK) {
        refusal = api_words_read(call, &values[CURRENCY], NULL, &values[METADATA], &w);
    }
    if (refusal.code != API_OK) {
        return refusal;
    }
    if (values[ACCOUNT_ID].is_present) {
        asked_id = id;
    }
    api_fields_init(&w.fields, &names, "open");
    api_fields_text(&w.fields, asked_id);
    api_fields_text(&w.fields, w.currency_text);
    api_fields_decimal(&w.fields, values[OVERDRAFT_LIMIT].is_present ? &overdraft : NULL);
    api_fields_text(&w.fields, w.words.metadata);
    e = posting_open(http_arena(call->request), id, overdraft, &w.words, &call->op.posting);
    return api_write_seal(call, e, asked_id,
                          &w); /* a made id comes from the scope: it is no part of it */
}

void api_post_account(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_call *call = api_call_take(ctx, request, STORE_POST, open_answer);

    (void)view;
    if (call != NULL) {
        api_call_settle(call, open_compile(call));
    }
}

#include "api/write.h"

static struct api_refusal key_read(struct api_call *call, struct api_write *w)
{
    struct slice value;
    enum err e;

    if (!http_header(call->request, "Idempotency-Key", &value)) {
        return API_FINE;
    }
    if (http_header_count(call->request, "Idempotency-Key") != 1) {
        return (struct api_refusal){API_INVALID_IDEMPOTENCY_KEY, API_REASON_KEY_TWICE, SLICE_NONE};
    }
    e = api_key_parse(value, http_arena(call->request), &w->key);
    if (e == ERR_INVALID) {
        return (struct api_refusal){API_INVALID_IDEMPOTENCY_KEY, API_REASON_KEY, SLICE_NONE};
    }
    if (e != ERR_OK) {
        return (struct api_refusal){.code = API_STORE_UNAVAILABLE};
    }
    w->has_key = true;
    return API_FINE;
}

static struct api_refusal if_match_read(struct api_call *call, struct api_write *w)
{
    struct slice value;

    if (!http_header(call->request, "If-Match", &value)) {
        return API_FINE;
    }
    if (http_header_count(call->request, "If-Match") != 1 ||
        api_if_match_parse(value, &w->if_match) != ERR_OK) {
        return api_invalid(API_REASON_BAD_HEADER, "If-Match");
    }
    w->has_if_match = true;
    return API_FINE;
}

struct api_refusal api_write_read(struct api_call *call, bool takes_if_match, struct api_write *w)
{
    struct api_refusal refusal = api_query_check(http_view(call->request), NULL, 0);

    w->has_key = false;
    w->has_if_match = false;
    w->words = (struct posting_words){.open_currency = call->loop->shared->options.default_currency};
    w->currency_text = SLICE_NONE;
    if (refusal.code == API_OK) {
        refusal = key_read(call, w);
    }
    if (refusal.code == API_OK) {
        refusal = takes_if_match ? if_match_read(call, w) : api_no_if_match(call->request);
    }
    return refusal;
}

struct api_refusal api_words_read(struct api_call *call, const struct json_value *currency,
                                  const struct json_value *reference,
                                  const struct json_value *metadata, struct api_write *w)
{
    struct api_refusal refusal = api_currency_read(currency, &w->words.currency);

    if (currency->is_present) {
        w->currency_text = currency->text;
    }
    if (refusal.code == API_OK && reference != NULL) {
        refusal = api_reference_read(reference, &w->words.reference);
    }
    if (refusal.code == API_OK) {
        refusal = api_metadata_read(http_arena(call->request), metadata, &w->words.metadata);
    }
    return refusal;
}

struct api_refusal api_write_seal(struct api_call *call, enum err compiled, struct slice account,
                                  const struct api_write *w)
{
    struct posting *posting = &call->op.posting;

    if (compiled != ERR_OK) {
        return (struct api_refusal){.code = API_STORE_UNAVAILABLE};
    }
    call->field_names = w->fields.names;
    posting->language = api_language(call->request, call->loop->shared->options.default_language);
    if (w->has_if_match) {
        posting->has_if_match = true;
        posting->if_match_count = w->if_match.is_any ? 0 : w->if_match.count;
        memcpy(posting->if_match, w->if_match.versions, sizeof(posting->if_match));
    }
    if (!w->has_key) {
        return API_FINE;
    }
    if (api_idem_make(&call->loop->digest, API_CALLER, account, w->key, &w->fields, &call->idem) !=
        ERR_OK) {
        return (struct api_refusal){.code = API_STORE_UNAVAILABLE};
    }
    posting->idem = &call->idem;
    return API_FINE;
}

#include "api/respond.h"

#include "api/etag.h"
#include "api/observe.h"
#include "api/request.h"
#include "base/assert.h"

void api_answer_add(struct api_answer *a, const char *name, struct slice value)
{
    ASSERT(a->field_count < API_ANSWER_FIELDS_MAX);
    a->fields[a->field_count++] = (struct http_field){.name = name, .value = value};
}

struct api_note *api_note_get(struct http_request *request)
{
    struct api_note *note = http_user(request);

    if (note == NULL) {
        note = arena_alloc(http_arena(request), sizeof(*note));
        http_set_user(request, note);
    }
    return note;
}

struct buf *api_body_begin(struct api_loop *l)
{
    buf_clear(&l->body);
    return &l->body;
}

static bool wants_retry_after(enum api_code code)
{
    const unsigned status = api_code_status(code);

    return status == 429 || status == 503 || code == API_IDEMPOTENCY_IN_PROGRESS;
}

void api_answer_send(struct api_loop *l, struct http_request *request, struct api_answer *a,
                     struct slice body)
{
    const unsigned route = http_view(request)->route;
    struct api_note *note = api_note_get(request);

    if (body.len > 0) {
        api_answer_add(a, "Content-Type",
                       slice_of(a->content_type == NULL ? "application/json" : a->content_type));
    }
    if (api_operation_of_route(route) != API_OPERATION_NONE) {
        api_answer_add(a, "Wallet-Durability", slice_of(api_durability(l->shared)));
    }
    if (wants_retry_after(a->code)) {
        _Static_assert(API_RETRY_AFTER_SECONDS == 1, "the text says it too");
        api_answer_add(a, "Retry-After", SLICE("1"));
    }
    if (note != NULL) { /* without one the log line lacks a word, no more */
        note->code = a->code;
        note->is_replay = a->is_replay;
    }
    api_observe_operation(l, route, a->code, a->is_replay);
    http_respond(request, a->status, a->fields, a->field_count, body);
}

void api_answer_body(struct api_loop *l, struct http_request *request, struct api_answer *a)
{
    if (l->body.err != ERR_OK) {
        const bool is_write = api_operation_of_route(http_view(request)->route) != API_OPERATION_NONE;
        api_refuse_code(l, request, is_write ? API_OUTCOME_UNKNOWN : API_STORE_UNAVAILABLE);
        return;
    }
    api_answer_send(l, request, a, buf_slice(&l->body));
}

static void refusal_send(struct api_loop *l, struct http_request *request, struct api_answer *a,
                         const struct api_refusal *refusal, enum ledger_language language)
{
    struct buf *body = api_body_begin(l);

    a->code = refusal->code;
    a->status = api_code_status(refusal->code);
    api_error_render(body, refusal, language);
    ASSERT(body->err == ERR_OK); /* far below what is reserved */
    api_answer_send(l, request, a, buf_slice(body));
}

void api_refuse(struct api_loop *l, struct http_request *request, const struct api_refusal *refusal)
{
    struct api_answer a = {0};

    refusal_send(l, request, &a, refusal, api_language(request, l->shared->options.default_language));
}

void api_refuse_code(struct api_loop *l, struct http_request *request, enum api_code code)
{
    api_refuse(l, request, &(struct api_refusal){.code = code});
}

/* Write a number before text[at]. Returns: where it begins. */
static size_t number_before(char *text, size_t at, uint64_t number)
{
    do {
        text[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return at;
}

void api_answer_result(struct api_loop *l, struct api_answer *a,
                       const struct posting_result *result, char text[API_SEQ_BYTES_MAX])
{
    size_t at = number_before(text, API_SEQ_BYTES_MAX, result->seq);

    if (l->shared->store->buckets > 0) {
        text[--at] = ':';
        at = number_before(text, at, result->bucket);
    }
    api_answer_add(a, "Wallet-Seq", slice_make(text + at, API_SEQ_BYTES_MAX - at));
    a->is_replay = result->is_replay;
    if (result->is_replay) {
        api_answer_add(a, "Idempotent-Replayed", SLICE("true"));
    }
}

enum { DIFFERING_BYTES_MAX = API_ABOUT_BYTES_MAX };

void api_refuse_result(struct api_loop *l, struct http_request *request,
                       const struct posting_result *result, const struct api_field_names *names)
{
    struct api_refusal refusal = {.code = api_code_of_outcome(result->outcome)};
    enum ledger_language language = result->language;
    struct api_answer a = {0};
    char seq[API_SEQ_BYTES_MAX];
    struct buf differing;

    buf_init(&differing, DIFFERING_BYTES_MAX);
    if (!outcome_is_stored(result->outcome)) { /* a stored one speaks the language of its first answer */
        language = api_language(request, l->shared->options.default_language);
    }
    if (api_code_status(refusal.code) == 422) {
        api_answer_result(l, &a, result, seq);
    }
    if (refusal.code == API_IDEMPOTENCY_KEY_REUSED) {
        api_differing_append(&differing, names, result->differing);
        if (differing.len > 0 && differing.err == ERR_OK) {
            refusal.reason = API_REASON_DIFFERING;
            refusal.about = buf_slice(&differing);
        }
    }
    refusal_send(l, request, &a, &refusal, language);
    buf_fini(&differing);
}

bool api_answer_not_modified(struct api_loop *l, struct http_request *request, struct slice etag)
{
    struct api_answer a = {.status = 304};
    struct slice value;

    if (!http_header(request, "If-None-Match", &value) || !api_if_none_match(value, etag)) {
        return false;
    }
    api_answer_add(&a, "ETag", etag);
    api_answer_send(l, request, &a, SLICE_NONE);
    return true;
}

#include "api/request.h"

#include "base/assert.h"
#include "json/writer.h"

/* ---- language ---- */

static struct slice trim(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = slice_make(s.ptr + 1, s.len - 1);
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) {
        s.len--;
    }
    return s;
}

/* Cut the part before `byte` off the front; all of it where there is none. */
static struct slice cut(struct slice *rest, char byte)
{
    const char *at = rest->len == 0 ? NULL : memchr(rest->ptr, byte, rest->len);
    struct slice part = at == NULL ? *rest : slice_make(rest->ptr, (size_t)(at - rest->ptr));

    *rest = at == NULL ? SLICE_NONE : slice_make(at + 1, rest->len - part.len - 1);
    return part;
}

/* A weight in thousandths, 0..1000; -1 for none. */
static int weight_parse(struct slice text)
{
    int weight, digit_worth = 100;

    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.')) {
        return -1;
    }
    weight = text.ptr[0] == '1' ? 1000 : 0;
    for (size_t i = 2; i < text.len; i++, digit_worth /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return -1;
        }
        weight += (text.ptr[i] - '0') * digit_worth;
    }
    return weight > 1000 ? -1 : weight;
}

static bool is_of_language(struct slice range, const char *language)
{
    return range.len >= 2 && slice_equal_nocase(slice_make(range.ptr, 2), slice_of(language)) &&
           (range.len == 2 || range.ptr[2] == '-');
}

enum ledger_language api_language_parse(struct slice header, enum ledger_language fallback)
{
    enum ledger_language best = fallback;
    int best_weight = 0;

    while (header.len > 0) {
        struct slice item = cut(&header, ',');
        struct slice range = trim(cut(&item, ';'));
        int weight = 1000;
        enum ledger_language language;
        item = trim(item);
        if (item.len > 0) {
            bool is_weight =
                item.len > 2 && (item.ptr[0] == 'q' || item.ptr[0] == 'Q') && item.ptr[1] == '=';
            weight = is_weight ? weight_parse(slice_make(item.ptr + 2, item.len - 2)) : -1;
        }
        if (is_of_language(range, "zh")) {
            language = LEDGER_ZH_CN;
        } else if (is_of_language(range, "en")) {
            language = LEDGER_EN;
        } else if (slice_equal(range, SLICE("*"))) {
            language = fallback;
        } else {
            continue;
        }
        if (weight > best_weight) {
            best = language;
            best_weight = weight;
        }
    }
    return best;
}

enum ledger_language api_language(const struct http_request *request, enum ledger_language fallback)
{
    struct slice header;

    return http_header(request, "Accept-Language", &header) ? api_language_parse(header, fallback)
                                                            : fallback;
}

/* ---- trace ---- */

/* Lower-case hex digits, not all of them 0 unless that is allowed. */
static bool is_hex(struct slice text, bool may_be_zero)
{
    bool is_zero = true;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
            return false;
        }
        is_zero = is_zero && c == '0';
    }
    return may_be_zero || !is_zero;
}

/* 00-<trace id>-<parent id>-<flags> */
enum { TRACE_ID_AT = 3, TRACE_ID_BYTES = 32, PARENT_AT = 36, PARENT_BYTES = 16, FLAGS_AT = 53 };
enum { FLAGS_BYTES = 2, TRACEPARENT_BYTES = FLAGS_AT + FLAGS_BYTES };

bool api_traceparent_parse(struct slice value, struct slice *trace_id)
{
    struct slice id;

    if (value.len != TRACEPARENT_BYTES || memcmp(value.ptr, "00-", TRACE_ID_AT) != 0 ||
        value.ptr[PARENT_AT - 1] != '-' || value.ptr[FLAGS_AT - 1] != '-') {
        return false;
    }
    id = slice_make(value.ptr + TRACE_ID_AT, TRACE_ID_BYTES);
    if (!is_hex(id, false) || !is_hex(slice_make(value.ptr + PARENT_AT, PARENT_BYTES), false) ||
        !is_hex(slice_make(value.ptr + FLAGS_AT, FLAGS_BYTES), true)) {
        return false;
    }
    *trace_id = id;
    return true;
}

bool api_trace_id(const struct http_request *request, struct slice *trace_id)
{
    struct slice value;

    return http_header(request, "traceparent", &value) &&
           http_header_count(request, "traceparent") == 1 && api_traceparent_parse(value, trace_id);
}

/* ---- ids, query ---- */

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

struct api_refusal api_account_id_check(struct slice text)
{
    return ledger_is_account_id(text) ? API_FINE
                                      : (struct api_refusal){.code = API_INVALID_ACCOUNT_ID};
}

struct api_refusal api_query_check(const struct http_view *view, const char *const *names,
                                   unsigned count)
{
    for (unsigned i = 0; i < view->query_count; i++) {
        bool is_known = false;
        for (unsigned j = 0; j < count && !is_known; j++) {
            is_known = slice_equal(view->query[i].name, slice_of(names[j]));
        }
        if (!is_known) {
            const struct slice name = view->query[i].name;
            return (struct api_refusal){API_INVALID_REQUEST, API_REASON_UNKNOWN_PARAMETER,
                                        api_is_nameable(name) ? name : SLICE_NONE};
        }
    }
    return API_FINE;
}

bool api_query_get(const struct http_view *view, const char *name, struct slice *value)
{
    for (unsigned i = 0; i < view->query_count; i++) {
        if (slice_equal(view->query[i].name, slice_of(name))) {
            *value = view->query[i].value;
            return true;
        }
    }
    return false;
}

enum { LIMIT_DIGITS_MAX = 3 };

struct api_refusal api_query_limit(const struct http_view *view, unsigned *limit)
{
    struct slice text;
    unsigned sum = 0;

    *limit = API_PAGE_DEFAULT;
    if (!api_query_get(view, "limit", &text)) {
        return API_FINE;
    }
    for (size_t i = 0; i < text.len && i <= LIMIT_DIGITS_MAX; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return api_invalid(API_REASON_LIMIT, "");
        }
        sum = sum * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (text.len > LIMIT_DIGITS_MAX || sum < 1 || sum > STORE_PAGE_MAX) {
        return api_invalid(API_REASON_LIMIT, "");
    }
    *limit = sum;
    return API_FINE;
}

struct api_refusal api_query_cursor(const struct http_view *view, struct slice *cursor)
{
    *cursor = SLICE_NONE;
    if (!api_query_get(view, "cursor", cursor)) {
        return API_FINE;
    }
    if (cursor->len == 0 || cursor->len > STORE_CURSOR_BYTES_MAX) {
        return (struct api_refusal){.code = API_INVALID_CURSOR};
    }
    for (size_t i = 0; i < cursor->len; i++) {
        if (!is_letter_or_digit(cursor->ptr[i]) && cursor->ptr[i] != '_' && cursor->ptr[i] != '-') {
            return (struct api_refusal){.code = API_INVALID_CURSOR};
        }
    }
    return API_FINE;
}

struct api_refusal api_no_if_match(const struct http_request *request)
{
    return http_header_count(request, "If-Match") == 0
               ? API_FINE
               : api_invalid(API_REASON_HEADER_NOT_HERE, "If-Match");
}

struct api_refusal api_get_check(const struct http_request *request, const char *const *names,
                                 unsigned count)
{
    struct api_refusal refusal = api_query_check(http_view(request), names, count);

    return refusal.code == API_OK ? api_no_if_match(request) : refusal;
}

struct api_refusal api_account_get_check(const struct http_request *request,
                                         const char *const *names, unsigned count)
{
    struct api_refusal refusal = api_account_id_check(http_view(request)->params[0]);

    return refusal.code == API_OK ? api_get_check(request, names, count) : refusal;
}

/* ---- bodies ---- */

static enum api_reason reason_of_fault(enum json_fault_kind kind)
{
    switch (kind) {
    case JSON_FAULT_UTF8:
    case JSON_FAULT_NUL:
    case JSON_FAULT_SURROGATE:
        return API_REASON_BAD_TEXT;
    case JSON_FAULT_DUPLICATE:
        return API_REASON_DUPLICATE;
    case JSON_FAULT_UNKNOWN:
        return API_REASON_UNKNOWN_MEMBER;
    case JSON_FAULT_WRONG_TYPE:
    case JSON_FAULT_RANGE:
        return API_REASON_WRONG_TYPE;
    case JSON_FAULT_TOO_LONG:
        return API_REASON_TOO_LONG;
    case JSON_FAULT_TOO_DEEP:
        return API_REASON_TOO_DEEP;
    case JSON_FAULT_NONE:
    case JSON_FAULT_NOT_JSON:
    case JSON_FAULT_COUNT:
        break;
    }
    return API_REASON_NOT_JSON;
}

/* The member that a fault is about, where it is one of ours or can be named. */
static struct slice name_of_fault(const struct json_fault *fault)
{
    if (fault->field != NULL) {
        return slice_of(fault->field->name);
    }
    return fault->kind == JSON_FAULT_UNKNOWN && api_is_nameable(fault->name) ? fault->name
                                                                             : SLICE_NONE;
}

struct api_refusal api_body_read(struct http_request *request, const struct json_schema *schema,
                                 struct json_value *values)
{
    struct json_fault fault;
    enum err e =
        json_read_object(http_view(request)->body, http_arena(request), schema, values, &fault);

    if (e == ERR_OK) {
        return API_FINE;
    }
    if (e != ERR_INVALID) {
        return (struct api_refusal){.code = API_STORE_UNAVAILABLE};
    }
    if (fault.kind == JSON_FAULT_WRONG_TYPE && fault.field == NULL) {
        return (struct api_refusal){API_INVALID_REQUEST, API_REASON_NOT_JSON, SLICE_NONE};
    }
    if (fault.kind == JSON_FAULT_TOO_LONG && fault.field != NULL &&
        fault.field->kind == JSON_STRING_MAP) {
        return api_invalid(API_REASON_METADATA, "");
    }
    return (struct api_refusal){API_INVALID_REQUEST, reason_of_fault(fault.kind),
                                name_of_fault(&fault)};
}

struct api_refusal api_account_member_read(const struct json_value *value, const char *name,
                                           struct slice *id)
{
    if (!value->is_present) {
        return api_invalid(API_REASON_MISSING, name);
    }
    *id = value->text;
    if (!ledger_is_account_id(*id)) {
        return (struct api_refusal){.code = API_INVALID_ACCOUNT_ID, .about = slice_of(name)};
    }
    return API_FINE;
}

struct api_refusal api_amount_read(const struct json_value *value, const char *name,
                                   struct decimal *amount)
{
    if (!value->is_present) {
        return api_invalid(API_REASON_MISSING, name);
    }
    if (decimal_parse(value->text, amount) != ERR_OK || amount->coefficient <= 0) {
        return (struct api_refusal){.code = API_INVALID_AMOUNT};
    }
    return API_FINE;
}

struct api_refusal api_currency_read(const struct json_value *value, struct currency *currency)
{
    *currency = (struct currency){0};
    if (value->is_present && currency_parse(value->text, currency) != ERR_OK) {
        return (struct api_refusal){.code = API_INVALID_CURRENCY};
    }
    return API_FINE;
}

struct api_refusal api_reference_read(const struct json_value *value, struct slice *reference)
{
    *reference = SLICE_NONE;
    if (!value->is_present) {
        return API_FINE;
    }
    if (value->text.len == 0 || value->text.len > LEDGER_REFERENCE_BYTES_MAX) {
        return api_invalid(API_REASON_REFERENCE, "");
    }
    *reference = value->text;
    return API_FINE;
}

struct api_refusal api_metadata_read(struct arena *a, const struct json_value *value,
                                     struct slice *metadata)
{
    struct api_refusal refusal = API_FINE;
    struct json_writer w;
    struct buf text;

    *metadata = SLICE_NONE;
    if (!value->is_present) {
        return API_FINE;
    }
    buf_init(&text, LEDGER_METADATA_BYTES_MAX);
    json_writer_init(&w, &text);
    json_pairs(&w, value->map.sorted, value->map.count);
    if (text.err == ERR_FULL) {
        refusal = api_invalid(API_REASON_METADATA, "");
    } else if (text.err != ERR_OK || arena_copy(a, buf_slice(&text), metadata) != ERR_OK) {
        refusal = (struct api_refusal){.code = API_STORE_UNAVAILABLE};
    }
    buf_fini(&text);
    return refusal;
}

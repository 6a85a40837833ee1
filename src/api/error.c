#include "api/error.h"

#include "api/idempotency.h"
#include "base/assert.h"
#include "store/store.h"
#include "json/writer.h"

struct code_row {
    const char *code;
    unsigned status;
    const char *zh;
    const char *en;
};

/* A stored refusal is rendered again from this table after a restart, byte for byte: the words of the 422s stay as they are. */
static const struct code_row codes[] = {
    [API_OK] = {"ok", 200, "", ""},
    [API_INVALID_REQUEST] = {"INVALID_REQUEST", 400, "请求无效", "invalid request"},
    [API_INVALID_AMOUNT] = {"INVALID_AMOUNT", 400, "金额无效", "invalid amount"},
    [API_INVALID_ACCOUNT_ID] = {"INVALID_ACCOUNT_ID", 400, "账户标识无效", "invalid account id"},
    [API_INVALID_CURRENCY] = {"INVALID_CURRENCY", 400, "货币代码无效", "invalid currency"},
    [API_INVALID_CURSOR] = {"INVALID_CURSOR", 400, "分页游标无效", "invalid cursor"},
    [API_INVALID_IDEMPOTENCY_KEY] = {"INVALID_IDEMPOTENCY_KEY", 400, "幂等键无效",
                                     "invalid idempotency key"},
    [API_UNAUTHORIZED] = {"UNAUTHORIZED", 401, "未提供有效凭证", "credentials are missing or wrong"},
    [API_FORBIDDEN] = {"FORBIDDEN", 403, "没有权限", "not allowed"},
    [API_ACCOUNT_NOT_FOUND] = {"ACCOUNT_NOT_FOUND", 404, "账户不存在", "account not found"},
    [API_TRANSACTION_NOT_FOUND] = {"TRANSACTION_NOT_FOUND", 404, "交易不存在",
                                   "transaction not found"},
    [API_HOLD_NOT_FOUND] = {"HOLD_NOT_FOUND", 404, "冻结款不存在", "hold not found"},
    [API_ROUTE_NOT_FOUND] = {"ROUTE_NOT_FOUND", 404, "接口不存在", "no such route"},
    [API_METHOD_NOT_ALLOWED] = {"METHOD_NOT_ALLOWED", 405, "该接口不支持此方法",
                                "the route has no such method"},
    [API_REQUEST_TIMEOUT] = {"REQUEST_TIMEOUT", 408, "请求发送超时",
                             "the request did not arrive in time"},
    [API_ACCOUNT_EXISTS] = {"ACCOUNT_EXISTS", 409, "账户已存在", "account exists already"},
    [API_HOLD_NOT_ACTIVE] = {"HOLD_NOT_ACTIVE", 409, "冻结款已结束", "hold is not active"},
    [API_IDEMPOTENCY_IN_PROGRESS] = {"IDEMPOTENCY_IN_PROGRESS", 409, "使用同一幂等键的请求正在处理",
                                     "a request with this idempotency key is in progress"},
    [API_PRECONDITION_FAILED] = {"PRECONDITION_FAILED", 412, "账户版本不匹配",
                                 "the account has another version"},
    [API_PAYLOAD_TOO_LARGE] = {"PAYLOAD_TOO_LARGE", 413, "请求体过大", "request body too large"},
    [API_URI_TOO_LONG] = {"URI_TOO_LONG", 414, "请求地址过长", "request target too long"},
    [API_UNSUPPORTED_MEDIA_TYPE] = {"UNSUPPORTED_MEDIA_TYPE", 415,
                                    "请求体必须是未压缩的 application/json",
                                    "the body must be application/json, not encoded"},
    [API_HEADERS_TOO_LARGE] = {"HEADERS_TOO_LARGE", 431, "请求头过大", "request headers too large"},
    /* The texts of these 422s are replayed byte for byte to whoever repeats a key: they never change. */
    [API_INSUFFICIENT_BALANCE] = {"INSUFFICIENT_BALANCE", 422, "账户余额不足", "insufficient balance"},
    [API_ACCOUNT_FROZEN] = {"ACCOUNT_FROZEN", 422, "账户已冻结", "account is frozen"},
    [API_ACCOUNT_CLOSED] = {"ACCOUNT_CLOSED", 422, "账户已关闭", "account is closed"},
    [API_CURRENCY_MISMATCH] = {"CURRENCY_MISMATCH", 422, "货币不匹配", "currencies do not match"},
    [API_SAME_ACCOUNT] = {"SAME_ACCOUNT", 422, "转出与转入是同一账户",
                          "both sides are the same account"},
    [API_BALANCE_LIMIT_EXCEEDED] = {"BALANCE_LIMIT_EXCEEDED", 422, "账户余额超过上限",
                                    "the balance would pass its limit"},
    [API_REVERSAL_EXCEEDS_ORIGINAL] = {"REVERSAL_EXCEEDS_ORIGINAL", 422, "冲正金额超过原交易余额",
                                       "the reversal exceeds what is left of the original"},
    [API_HOLD_AMOUNT_EXCEEDED] = {"HOLD_AMOUNT_EXCEEDED", 422, "金额超过冻结款余额",
                                  "the amount exceeds what is left of the hold"},
    [API_UNBALANCED_ENTRIES] = {"UNBALANCED_ENTRIES", 422, "分录不平衡",
                                "the entries do not sum to zero"},
    [API_IDEMPOTENCY_KEY_REUSED] = {"IDEMPOTENCY_KEY_REUSED", 422, "幂等键已用于另一个请求",
                                    "the idempotency key belongs to another request"},
    [API_RATE_LIMITED] = {"RATE_LIMITED", 429, "请求过于频繁", "too many requests"},
    [API_SYSTEM_ERROR] = {"SYSTEM_ERROR", 500, "系统内部错误", "internal error"},
    [API_STORE_UNAVAILABLE] = {"STORE_UNAVAILABLE", 503, "服务暂不可用，请求未执行",
                               "temporarily unavailable; nothing was applied"},
    [API_OUTCOME_UNKNOWN] = {"OUTCOME_UNKNOWN", 504, "结果未知，请用同一幂等键重试",
                             "outcome unknown; retry with the same idempotency key to learn it"},
};
_Static_assert(ARRAY_LEN(codes) == API_CODE_COUNT, "every code has its row");

static const char *const reasons[][2] = {
    [API_REASON_NONE] = {"", ""},
    [API_REASON_NOT_JSON] = {"请求体不是 JSON 对象", "the body is not a JSON object"},
    [API_REASON_BAD_TEXT] = {"文本不是有效的 UTF-8 或含有 NUL",
                             "text that is not UTF-8, or has a NUL"},
    [API_REASON_DUPLICATE] = {"成员重复", "member given twice"},
    [API_REASON_UNKNOWN_MEMBER] = {"未知成员", "unknown member"},
    [API_REASON_WRONG_TYPE] = {"成员类型错误", "member of the wrong type"},
    [API_REASON_TOO_LONG] = {"成员长度超出限制", "member too long or empty"},
    [API_REASON_TOO_DEEP] = {"嵌套过深", "nested too deep"},
    [API_REASON_MISSING] = {"缺少成员", "missing member"},
    [API_REASON_UNKNOWN_PARAMETER] = {"未知查询参数", "unknown query parameter"},
    [API_REASON_BAD_PARAMETER] = {"查询参数无效", "invalid query parameter"},
    [API_REASON_BAD_HEADER] = {"请求头无效", "invalid header"},
    [API_REASON_HEADER_NOT_HERE] = {"该接口不接受此请求头", "header not accepted by this route"},
    [API_REASON_DIFFERING] = {"不一致的字段", "these fields differ"},
    [API_REASON_REMOTE_PEER] =
        {"只接受本机的请求；要接受其他地址，请以 --allow-remote 启动",
         "only requests from this machine are served; start with --allow-remote to serve others"},
    [API_REASON_LIMIT] = {"limit 应为 1 至 200 的整数", "limit must be a whole number from 1 to 200"},
    [API_REASON_REFERENCE] = {"reference 应为 1 至 128 字节", "reference must have 1 to 128 bytes"},
    [API_REASON_METADATA] = {"metadata 不得超过 4096 字节", "metadata must have at most 4096 bytes"},
    [API_REASON_KEY] = {"应为 1 至 255 个可见 ASCII 字符",
                        "it must be 1 to 255 visible ASCII characters"},
    [API_REASON_REQUEST_LINE] = {"请求行格式错误", "malformed request line"},
    [API_REASON_METHOD] = {"不支持此方法", "method not supported"},
    [API_REASON_TARGET] = {"请求目标格式错误", "malformed request target"},
    [API_REASON_VERSION] = {"只支持 HTTP/1.1 与 HTTP/1.0", "only HTTP/1.1 and HTTP/1.0 are spoken"},
    [API_REASON_FIELD] = {"请求头格式错误，或有折行", "malformed or folded header line"},
    [API_REASON_FIELD_TWICE] = {"只能出现一次的请求头出现了多次",
                                "a header that may be given once is given twice"},
    [API_REASON_HOST] = {"Host 缺失或无效", "Host is missing or invalid"},
    [API_REASON_FRAMING] = {"请求体边界有歧义（Content-Length、Transfer-Encoding）",
                            "ambiguous framing (Content-Length, Transfer-Encoding)"},
    [API_REASON_EXPECT] = {"不支持的 Expect", "unsupported Expect"},
    [API_REASON_KEY_TWICE] = {"Idempotency-Key 出现了多次", "Idempotency-Key is given twice"},
    [API_REASON_NO_BODY] = {"此请求不能带请求体", "this request takes no body"},
    [API_REASON_CHUNK] = {"分块请求体格式错误", "malformed chunked body"},
    [API_REASON_CUT] = {"请求未发送完整", "the request ended early"},
    [API_REASON_QUERY] = {"查询字符串格式错误", "malformed query"},
    [API_REASON_QUERY_TWICE] = {"查询参数重复", "query parameter given twice"},
    [API_REASON_QUERY_TOO_MANY] = {"查询参数过多", "too many query parameters"},
};
_Static_assert(STORE_PAGE_MAX == 200 && LEDGER_REFERENCE_BYTES_MAX == 128 &&
                   LEDGER_METADATA_BYTES_MAX == 4096 && API_KEY_BYTES_MAX == 255,
               "the words say it too");
_Static_assert(ARRAY_LEN(reasons) == API_REASON_COUNT, "every reason has its row");

static const struct code_row *row_of(enum api_code code)
{
    ASSERT((unsigned)code < API_CODE_COUNT);
    return &codes[code];
}

const char *api_code_text(enum api_code code)
{
    return row_of(code)->code;
}

unsigned api_code_status(enum api_code code)
{
    return row_of(code)->status;
}

const char *api_code_message(enum api_code code, enum ledger_language language)
{
    return language == LEDGER_EN ? row_of(code)->en : row_of(code)->zh;
}

enum api_code api_code_of_outcome(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_OK:
        return API_OK;
    case OUTCOME_ACCOUNT_FROZEN:
        return API_ACCOUNT_FROZEN;
    case OUTCOME_ACCOUNT_CLOSED:
        return API_ACCOUNT_CLOSED;
    case OUTCOME_CURRENCY_MISMATCH:
        return API_CURRENCY_MISMATCH;
    case OUTCOME_SAME_ACCOUNT:
        return API_SAME_ACCOUNT;
    case OUTCOME_BALANCE_LIMIT_EXCEEDED:
        return API_BALANCE_LIMIT_EXCEEDED;
    case OUTCOME_INSUFFICIENT_BALANCE:
        return API_INSUFFICIENT_BALANCE;
    case OUTCOME_UNBALANCED_ENTRIES:
        return API_UNBALANCED_ENTRIES;
    case OUTCOME_KEY_REUSED:
        return API_IDEMPOTENCY_KEY_REUSED;
    case OUTCOME_ACCOUNT_NOT_FOUND:
        return API_ACCOUNT_NOT_FOUND;
    case OUTCOME_ACCOUNT_EXISTS:
        return API_ACCOUNT_EXISTS;
    case OUTCOME_PRECONDITION_FAILED:
        return API_PRECONDITION_FAILED;
    case OUTCOME_INVALID_AMOUNT:
        return API_INVALID_AMOUNT;
    case OUTCOME_KEYS_FULL:
        return API_STORE_UNAVAILABLE;
    case OUTCOME_TRANSACTION_NOT_FOUND:
        return API_TRANSACTION_NOT_FOUND;
    case OUTCOME_INVALID_CURSOR:
        return API_INVALID_CURSOR;
    case OUTCOME_STORED_COUNT:
    case OUTCOME_REPLAY: /* stays inside the ledger */
        break;
    }
    return API_SYSTEM_ERROR;
}

enum api_code api_code_of_fault(enum http_fault fault, const char *template)
{
    switch (fault) {
    case HTTP_FAULT_BAD_REQUEST:
    case HTTP_FAULT_BAD_QUERY:
        return API_INVALID_REQUEST;
    case HTTP_FAULT_BAD_PATH_PARAM:
        if (template != NULL && strstr(template, "{transaction_id}") != NULL) {
            return API_TRANSACTION_NOT_FOUND;
        }
        return template != NULL && strstr(template, "{account_id}") != NULL ? API_INVALID_ACCOUNT_ID
                                                                            : API_INVALID_REQUEST;
    case HTTP_FAULT_FORBIDDEN_PEER:
        return API_FORBIDDEN;
    case HTTP_FAULT_NO_ROUTE:
        return API_ROUTE_NOT_FOUND;
    case HTTP_FAULT_BAD_METHOD:
        return API_METHOD_NOT_ALLOWED;
    case HTTP_FAULT_TIMEOUT:
        return API_REQUEST_TIMEOUT;
    case HTTP_FAULT_BODY_TOO_LARGE:
        return API_PAYLOAD_TOO_LARGE;
    case HTTP_FAULT_URI_TOO_LONG:
        return API_URI_TOO_LONG;
    case HTTP_FAULT_BAD_MEDIA_TYPE:
        return API_UNSUPPORTED_MEDIA_TYPE;
    case HTTP_FAULT_HEAD_TOO_LARGE:
        return API_HEADERS_TOO_LARGE;
    case HTTP_FAULT_TOO_MANY:
    case HTTP_FAULT_NOMEM:
        return API_STORE_UNAVAILABLE;
    }
    return API_SYSTEM_ERROR;
}

static enum api_reason reason_of_http(enum http_reason reason)
{
    static const enum api_reason map[] = {
        [HTTP_REASON_NONE] = API_REASON_NONE,
        [HTTP_REASON_REQUEST_LINE] = API_REASON_REQUEST_LINE,
        [HTTP_REASON_METHOD] = API_REASON_METHOD,
        [HTTP_REASON_TARGET] = API_REASON_TARGET,
        [HTTP_REASON_VERSION] = API_REASON_VERSION,
        [HTTP_REASON_FIELD] = API_REASON_FIELD,
        [HTTP_REASON_FIELD_TWICE] = API_REASON_FIELD_TWICE,
        [HTTP_REASON_HOST] = API_REASON_HOST,
        [HTTP_REASON_FRAMING] = API_REASON_FRAMING,
        [HTTP_REASON_EXPECT] = API_REASON_EXPECT,
        [HTTP_REASON_KEY_TWICE] = API_REASON_KEY_TWICE,
        [HTTP_REASON_KEY_BYTE] = API_REASON_KEY,
        [HTTP_REASON_NO_BODY] = API_REASON_NO_BODY,
        [HTTP_REASON_CHUNK] = API_REASON_CHUNK,
        [HTTP_REASON_CUT] = API_REASON_CUT,
        [HTTP_REASON_QUERY] = API_REASON_QUERY,
        [HTTP_REASON_QUERY_TWICE] = API_REASON_QUERY_TWICE,
        [HTTP_REASON_QUERY_TOO_MANY] = API_REASON_QUERY_TOO_MANY,
    };
    _Static_assert(ARRAY_LEN(map) == HTTP_REASON_COUNT, "every reason of http has words");

    ASSERT((unsigned)reason < HTTP_REASON_COUNT);
    return map[reason];
}

struct api_refusal api_refusal_of_fault(enum http_fault fault, enum http_reason reason,
                                        const char *template)
{
    struct api_refusal refusal = {.code = api_code_of_fault(fault, template)};

    if (fault == HTTP_FAULT_FORBIDDEN_PEER) {
        refusal.reason = API_REASON_REMOTE_PEER;
    } else if (fault == HTTP_FAULT_BAD_REQUEST || fault == HTTP_FAULT_BAD_QUERY) {
        refusal.reason = reason_of_http(reason);
    }
    if (reason == HTTP_REASON_KEY_TWICE || reason == HTTP_REASON_KEY_BYTE) {
        refusal.code = API_INVALID_IDEMPOTENCY_KEY;
    }
    return refusal;
}

enum { NAMEABLE_BYTES_MAX = 32 };

bool api_is_nameable(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_')) {
            return false;
        }
    }
    return name.len > 0 && name.len <= NAMEABLE_BYTES_MAX;
}

/* The message without its quotes. */
static void message_make(struct buf *out, const struct api_refusal *refusal,
                         enum ledger_language language)
{
    const bool is_english = language == LEDGER_EN;

    buf_append_text(out, api_code_message(refusal->code, language));
    ASSERT((unsigned)refusal->reason < API_REASON_COUNT);
    if (refusal->reason != API_REASON_NONE) {
        buf_append_text(out, is_english ? ": " : "：");
        buf_append_text(out, reasons[refusal->reason][is_english ? 1 : 0]);
    }
    ASSERT(refusal->about.len <= API_ABOUT_BYTES_MAX);
    if (refusal->about.len > 0) {
        buf_append_text(out, is_english ? ": " : "：");
        buf_append_slice(out, refusal->about);
    }
}

enum { MESSAGE_BYTES_MAX = 512 };

void api_error_render(struct buf *out, const struct api_refusal *refusal,
                      enum ledger_language language)
{
    struct json_writer w;
    struct buf message;

    ASSERT(refusal->code != API_OK);
    buf_init(&message, MESSAGE_BYTES_MAX);
    if (refusal->reason != API_REASON_NONE || refusal->about.len > 0) {
        message_make(&message, refusal, language);
    }
    json_writer_init(&w, out);
    json_open_object(&w);
    json_key(&w, SLICE("error"));
    json_open_object(&w);
    json_key(&w, SLICE("code"));
    json_string(&w, slice_of(api_code_text(refusal->code)));
    json_key(&w, SLICE("message"));
    if (message.len > 0 && message.err == ERR_OK) {
        json_string(&w, buf_slice(&message));
    } else { /* the code's own words: also where there is no memory for more */
        json_string(&w, slice_of(api_code_message(refusal->code, language)));
    }
    json_close_object(&w);
    json_close_object(&w);
    buf_fini(&message);
}

#include "http/framing.h"

#include "base/assert.h"

enum { IS_TOKEN = 1, IS_VALUE = 2, IS_TARGET = 4, IS_HOST = 8, IS_HEX = 16 };

enum {
    TOKEN_BYTE = IS_TOKEN | IS_VALUE | IS_TARGET,
    HOST_BYTE = TOKEN_BYTE | IS_HOST,
    HEX_BYTE = HOST_BYTE | IS_HEX,
    OTHER_BYTE = IS_VALUE | IS_TARGET,
};

/*
 * RFC 9110 token characters; field-value bytes (HTAB, SP, VCHAR, obs-text); any visible ASCII but
 * '#' in a target: what an id may hold is not a matter of framing; host characters without the
 * sub-delims that nobody's host has.
 */
static const uint8_t byte_class[256] = {
    ['\t'] = IS_VALUE,           [' '] = IS_VALUE,
    ['!'] = TOKEN_BYTE,          ['"'] = OTHER_BYTE,
    ['#'] = IS_TOKEN | IS_VALUE, ['$' ... '\''] = TOKEN_BYTE, /* $ % & ' */
    ['(' ... ')'] = OTHER_BYTE,  ['*' ... '+'] = TOKEN_BYTE,
    [','] = OTHER_BYTE,          ['-' ... '.'] = HOST_BYTE,
    ['/'] = OTHER_BYTE,          ['0' ... '9'] = HEX_BYTE,
    [':' ... '@'] = OTHER_BYTE, /* : ; < = > ? @ */
    ['A' ... 'F'] = HEX_BYTE,    ['G' ... 'Z'] = HOST_BYTE,
    ['[' ... ']'] = OTHER_BYTE,  ['^'] = TOKEN_BYTE,
    ['_'] = HOST_BYTE,           ['`'] = TOKEN_BYTE,
    ['a' ... 'f'] = HEX_BYTE,    ['g' ... 'z'] = HOST_BYTE,
    ['{'] = OTHER_BYTE,          ['|'] = TOKEN_BYTE,
    ['}'] = OTHER_BYTE,          ['~'] = HOST_BYTE,
    [0x80 ... 0xff] = IS_VALUE,
};

static bool is_class(char c, unsigned class)
{
    return (byte_class[(unsigned char)c] & class) != 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_nocase(const char *bytes, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (lower(bytes[i]) != text[i]) {
            return false;
        }
    }
    return true;
}

enum framing_known framing_known_find(const char *name, size_t len)
{
    static const struct {
        const char *name;
        size_t len;
        enum framing_known known;
    } table[] = {
#define KNOWN(text, known) {text, sizeof(text) - 1, known}
        KNOWN("host", FRAMING_HOST),
        KNOWN("expect", FRAMING_EXPECT),
        KNOWN("if-match", FRAMING_IF_MATCH),
        KNOWN("connection", FRAMING_CONNECTION),
        KNOWN("content-type", FRAMING_CONTENT_TYPE),
        KNOWN("x-request-id", FRAMING_REQUEST_ID),
        KNOWN("authorization", FRAMING_AUTHORIZATION),
        KNOWN("if-none-match", FRAMING_IF_NONE_MATCH),
        KNOWN("content-length", FRAMING_CONTENT_LENGTH),
        KNOWN("idempotency-key", FRAMING_IDEMPOTENCY_KEY),
        KNOWN("content-encoding", FRAMING_CONTENT_ENCODING),
        KNOWN("transfer-encoding", FRAMING_TRANSFER_ENCODING),
#undef KNOWN
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (table[i].len == len && is_nocase(name, table[i].name, len)) {
            return table[i].known;
        }
    }
    return FRAMING_OTHER;
}

/* ---- the head ---- */

enum head_stage {
    STAGE_START,
    STAGE_START_LF,
    STAGE_METHOD,
    STAGE_TARGET,
    STAGE_VERSION,
    STAGE_FIELDS,
    STAGE_DONE
};

void framing_head_init(struct framing_head *h)
{
    memset(h, 0, offsetof(struct framing_head, fields));
}

bool framing_head_has_begun(const char *bytes, size_t len)
{
    return len > 2 || (len > 0 && bytes[0] != '\r');
}

static enum http_method method_find(const char *bytes, size_t len)
{
    static const struct {
        const char *name;
        enum http_method method;
    } table[] = {
        {"GET", HTTP_GET},         {"POST", HTTP_POST},   {"HEAD", HTTP_HEAD},
        {"PUT", HTTP_PUT},         {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE},
        {"OPTIONS", HTTP_OPTIONS},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strlen(table[i].name) == len && memcmp(table[i].name, bytes, len) == 0) {
            return table[i].method;
        }
    }
    return HTTP_OTHER;
}

/* The first broken rule is the one that is told. */
static void note(struct framing_head *h, enum http_reason reason)
{
    if (h->reason == HTTP_REASON_NONE) {
        h->reason = (uint8_t)reason;
    }
}

static enum framing_verdict bad(struct framing_head *h, enum http_reason reason)
{
    note(h, reason);
    return FRAMING_BAD;
}

static enum framing_verdict read_start(struct framing_head *h, const char *bytes, size_t len)
{
    if (h->stage == STAGE_START) {
        if (bytes[0] != '\r') {
            h->stage = STAGE_METHOD;
            return FRAMING_DONE;
        }
        h->at = 1;
        h->stage = STAGE_START_LF;
    }
    if (len < 2) {
        return FRAMING_MORE;
    }
    if (bytes[1] != '\n') {
        return bad(h, HTTP_REASON_REQUEST_LINE);
    }
    h->at = 2;
    h->start = 2;
    h->stage = STAGE_METHOD;
    return FRAMING_DONE;
}

static enum framing_verdict read_method(struct framing_head *h, const char *bytes, size_t len)
{
    uint32_t at = h->at;

    while (at < len && is_class(bytes[at], IS_TOKEN)) {
        if (at - h->start == FRAMING_METHOD_BYTES_MAX) {
            return bad(h, HTTP_REASON_REQUEST_LINE);
        }
        at++;
    }
    h->at = at;
    if (at == len) {
        return FRAMING_MORE;
    }
    if (bytes[at] != ' ' || at == h->start) {
        return bad(h, HTTP_REASON_REQUEST_LINE);
    }
    h->method_len = (uint8_t)(at - h->start);
    h->method = method_find(bytes + h->start, h->method_len);
    h->at = at + 1;
    h->target_at = (uint16_t)h->at;
    h->stage = STAGE_TARGET;
    return FRAMING_DONE;
}

static enum framing_verdict read_target(struct framing_head *h, const char *bytes, size_t len)
{
    uint32_t at = h->at;
    uint32_t end = h->target_at + (uint32_t)HTTP_URI_BYTES_MAX;

    while (at < len && at < end && is_class(bytes[at], IS_TARGET)) {
        at++;
    }
    h->at = at;
    if (at == len) {
        return FRAMING_MORE;
    }
    if (at == end && is_class(bytes[at], IS_TARGET)) {
        return FRAMING_URI_TOO_LONG;
    }
    if (bytes[at] != ' ' || at == h->target_at) {
        return bad(h, HTTP_REASON_TARGET);
    }
    h->target_len = (uint16_t)(at - h->target_at);
    h->at = at + 1;
    h->stage = STAGE_VERSION;
    return FRAMING_DONE;
}

static bool is_port(const char *bytes, size_t len)
{
    unsigned port = 0;

    if (len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] < '0' || bytes[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(bytes[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* uri-host [ ":" port ]: a name, an IPv4 address, or an IPv6 address in brackets; no userinfo, no
 * path, no list */
static bool is_host(struct slice host)
{
    size_t at = 0;

    if (host.len > 0 && host.ptr[0] == '[') {
        for (at = 1; at < host.len && host.ptr[at] != ']'; at++) {
            if (!is_class(host.ptr[at], IS_HEX) && host.ptr[at] != ':' && host.ptr[at] != '.') {
                return false;
            }
        }
        if (at < 3 || at >= host.len) {
            return false;
        }
        at++;
    } else {
        while (at < host.len && is_class(host.ptr[at], IS_HOST)) {
            at++;
        }
        if (at == 0) {
            return false;
        }
    }
    return at == host.len || (host.ptr[at] == ':' && is_port(host.ptr + at + 1, host.len - at - 1));
}

/* Find authority, path and query. Returns: is it a target of a form that we know? */
static bool split_target(struct framing_head *h, const char *bytes)
{
    const char *target = bytes + h->target_at;
    uint32_t at = 0;
    uint32_t path_at;

    if (h->target_len == 1 && target[0] == '*') {
        h->is_asterisk = true;
        return h->method == HTTP_OPTIONS;
    }
    if (target[0] != '/') {
        uint32_t host_at;
        if (h->target_len > 7 && is_nocase(target, "http://", 7)) {
            host_at = 7;
        } else if (h->target_len > 8 && is_nocase(target, "https://", 8)) {
            host_at = 8;
        } else {
            return false;
        }
        at = host_at;
        while (at < h->target_len && target[at] != '/' && target[at] != '?') {
            at++;
        }
        if (!is_host(slice_make(target + host_at, at - host_at))) {
            return false;
        }
        h->authority_at = (uint16_t)(h->target_at + host_at);
        h->authority_len = (uint16_t)(at - host_at);
    }
    path_at = at;
    while (at < h->target_len && target[at] != '?') {
        at++;
    }
    h->path_at = (uint16_t)(h->target_at + path_at);
    h->path_len = (uint16_t)(at - path_at);
    if (at < h->target_len) {
        h->query_at = (uint16_t)(h->target_at + at + 1);
        h->query_len = (uint16_t)(h->target_len - at - 1);
    }
    return true;
}

static enum framing_verdict read_version(struct framing_head *h, const char *bytes, size_t len)
{
    static const char version[] = "HTTP/1.x\r\n";
    uint32_t start = (uint32_t)(h->target_at + h->target_len + 1);

    while (h->at < len && h->at - start < sizeof(version) - 1) {
        char want = version[h->at - start];
        char have = bytes[h->at];
        if (want == 'x' ? have != '0' && have != '1' : have != want) {
            return bad(h, HTTP_REASON_VERSION);
        }
        if (want == 'x') {
            h->version_minor = (uint8_t)(have - '0');
        }
        h->at++;
    }
    if (h->at - start < sizeof(version) - 1) {
        return FRAMING_MORE;
    }
    h->scanned = h->at;
    h->stage = STAGE_FIELDS;
    h->has_line =
        split_target(h, bytes); /* a bad one is told at the end of the head, as its fields are */
    return FRAMING_DONE;
}

/*
 * Connection is a list of tokens in one or more fields; what it names beyond these two is ignored.
 */
static void read_connection(struct framing_head *h, struct slice value)
{
    size_t at = 0;

    while (at < value.len) {
        size_t end = at;
        size_t next;
        while (end < value.len && value.ptr[end] != ',') {
            end++;
        }
        next = end + 1;
        while (at < end && (value.ptr[at] == ' ' || value.ptr[at] == '\t')) {
            at++;
        }
        while (end > at && (value.ptr[end - 1] == ' ' || value.ptr[end - 1] == '\t')) {
            end--;
        }
        if (end - at == 5 && is_nocase(value.ptr + at, "close", 5)) {
            h->has_close = true;
        } else if (end - at == 10 && is_nocase(value.ptr + at, "keep-alive", 10)) {
            h->has_keep_alive = true;
        }
        at = next;
    }
}

/* The two fields that frame the body get no slack in white space either: proxies differ on it. */
static bool is_bare(const char *bytes, uint32_t colon_at, uint32_t value_at, uint32_t value_end,
                    uint32_t line_end)
{
    return value_end == line_end &&
           (value_at == colon_at + 1 || (value_at == colon_at + 2 && bytes[colon_at + 1] == ' '));
}

static bool read_length(struct framing_head *h, struct slice value)
{
    uint64_t length = 0;

    if (value.len == 0 || value.len > 18 || (value.len > 1 && value.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < '0' || value.ptr[i] > '9') {
            return false;
        }
        length = length * 10 + (uint64_t)(value.ptr[i] - '0');
    }
    h->has_length = true;
    h->content_length = length;
    return true;
}

/* Returns: which rule the field breaks, if any. */
static enum http_reason read_known(struct framing_head *h, enum framing_known known,
                                   struct slice value, bool is_value_bare)
{
    bool is_again = h->known[known] != 0;

    if (!is_again) {
        h->known[known] = (uint8_t)(h->field_count + 1);
    }
    switch (known) {
    case FRAMING_CONNECTION:
        read_connection(h, value);
        return HTTP_REASON_NONE;
    case FRAMING_CONTENT_ENCODING:
        h->is_encoded = h->is_encoded || !slice_equal_nocase(value, SLICE("identity"));
        return HTTP_REASON_NONE;
    case FRAMING_CONTENT_LENGTH:
        return !is_again && is_value_bare && read_length(h, value) ? HTTP_REASON_NONE
                                                                   : HTTP_REASON_FRAMING;
    case FRAMING_TRANSFER_ENCODING:
        h->is_chunked = true;
        return !is_again && is_value_bare && slice_equal_nocase(value, SLICE("chunked"))
                   ? HTTP_REASON_NONE
                   : HTTP_REASON_FRAMING;
    case FRAMING_EXPECT:
        return !is_again && slice_equal_nocase(value, SLICE("100-continue")) ? HTTP_REASON_NONE
                                                                             : HTTP_REASON_EXPECT;
    case FRAMING_IDEMPOTENCY_KEY:
        return is_again ? HTTP_REASON_KEY_TWICE : HTTP_REASON_NONE;
    case FRAMING_OTHER:
    case FRAMING_AUTHORIZATION:
    case FRAMING_CONTENT_TYPE:
    case FRAMING_HOST:
    case FRAMING_IF_MATCH:
    case FRAMING_IF_NONE_MATCH:
    case FRAMING_REQUEST_ID:
    case FRAMING_KNOWN_COUNT:
        break;
    }
    return is_again ? HTTP_REASON_FIELD_TWICE : HTTP_REASON_NONE;
}

/* One field line, without its CRLF. A line that starts with white space (obs-fold) has no name and
 * falls out by that. */
static enum framing_verdict read_field(struct framing_head *h, const char *bytes, uint32_t line_end)
{
    uint32_t colon_at = h->at;
    uint32_t value_at, value_end;
    enum framing_known known;

    while (colon_at < line_end && is_class(bytes[colon_at], IS_TOKEN)) {
        colon_at++;
    }
    if (colon_at == line_end || bytes[colon_at] != ':' || colon_at == h->at) {
        return bad(h, HTTP_REASON_FIELD);
    }
    known = framing_known_find(bytes + h->at, colon_at - h->at);
    for (uint32_t i = colon_at + 1; i < line_end; i++) {
        if (!is_class(bytes[i], IS_VALUE)) {
            return bad(h,
                       known == FRAMING_IDEMPOTENCY_KEY ? HTTP_REASON_KEY_BYTE : HTTP_REASON_FIELD);
        }
    }
    value_at = colon_at + 1;
    while (value_at < line_end && (bytes[value_at] == ' ' || bytes[value_at] == '\t')) {
        value_at++;
    }
    value_end = line_end;
    while (value_end > value_at && (bytes[value_end - 1] == ' ' || bytes[value_end - 1] == '\t')) {
        value_end--;
    }
    if (h->field_count == HTTP_HEADERS_MAX) {
        return FRAMING_HEAD_TOO_LARGE;
    }
    if (known != FRAMING_OTHER) {
        note(h, read_known(h, known, slice_make(bytes + value_at, value_end - value_at),
                           is_bare(bytes, colon_at, value_at, value_end, line_end)));
    }
    h->fields[h->field_count++] = (struct framing_field){
        .name_at = (uint16_t)h->at,
        .name_len = (uint16_t)(colon_at - h->at),
        .value_at = (uint16_t)value_at,
        .value_len = (uint16_t)(value_end - value_at),
    };
    return FRAMING_DONE;
}

/* A URL as the target must name the same host as the Host field. */
static bool is_authority_right(const struct framing_head *h, const char *bytes, bool has_host,
                               struct slice host)
{
    return h->authority_len == 0 || !has_host ||
           slice_equal_nocase(slice_make(bytes + h->authority_at, h->authority_len), host);
}

/* What only the whole head can tell. */
static enum framing_verdict finish_head(struct framing_head *h, const char *bytes)
{
    bool has_host = h->known[FRAMING_HOST] != 0;
    struct slice host = SLICE_NONE;

    if (h->reason != HTTP_REASON_NONE) {
        return FRAMING_BAD;
    }
    if (has_host) {
        const struct framing_field *field = &h->fields[h->known[FRAMING_HOST] - 1];
        host = slice_make(bytes + field->value_at, field->value_len);
        if (!is_host(host)) {
            return bad(h, HTTP_REASON_HOST);
        }
    } else if (h->version_minor == 1) {
        return bad(h, HTTP_REASON_HOST); /* HTTP/1.0 may do without */
    }
    if (h->is_chunked && (h->has_length || h->version_minor == 0)) {
        return bad(h, HTTP_REASON_FRAMING);
    }
    if (h->method_len == 7 && memcmp(bytes + h->start, "CONNECT", 7) == 0) {
        return bad(h, HTTP_REASON_METHOD); /* not a proxy */
    }
    if (h->content_length > 0 &&
        (h->method == HTTP_GET || h->method == HTTP_HEAD || h->method == HTTP_OPTIONS)) {
        return bad(h, HTTP_REASON_NO_BODY);
    }
    if (!h->has_line || !is_authority_right(h, bytes, has_host, host)) {
        return bad(h, HTTP_REASON_TARGET);
    }
    /* RFC 9110, 10.1.1: an HTTP/1.0 client's 100-continue is ignored */
    h->is_continue_expected = h->known[FRAMING_EXPECT] != 0 && h->version_minor == 1;
    h->stage = STAGE_DONE;
    return FRAMING_DONE;
}

static enum framing_verdict read_fields(struct framing_head *h, const char *bytes, size_t len)
{
    size_t end = (size_t)h->start + HTTP_HEAD_BYTES_MAX;
    size_t known_len = len < end ? len : end;

    for (;;) {
        const char *lf = memchr(bytes + h->scanned, '\n', known_len - h->scanned);
        uint32_t lf_at;
        if (lf == NULL) {
            h->scanned = (uint32_t)known_len;
            return len >= end ? FRAMING_HEAD_TOO_LARGE : FRAMING_MORE;
        }
        lf_at = (uint32_t)(lf - bytes);
        if (lf_at == h->at || bytes[lf_at - 1] != '\r') {
            return bad(h, HTTP_REASON_FIELD);
        }
        if (lf_at - 1 > h->at) {
            enum framing_verdict verdict = read_field(h, bytes, lf_at - 1);
            if (verdict != FRAMING_DONE) {
                return verdict;
            }
            h->at = h->scanned = lf_at + 1;
            continue;
        }
        h->at = h->scanned = lf_at + 1;
        return finish_head(h, bytes);
    }
}

enum framing_verdict framing_head_next(struct framing_head *h, const char *bytes, size_t len)
{
    enum framing_verdict verdict = FRAMING_MORE;

    ASSERT(h->stage != STAGE_DONE);
    while (h->at < len || h->stage == STAGE_FIELDS) {
        switch (h->stage) {
        case STAGE_START:
        case STAGE_START_LF:
            verdict = read_start(h, bytes, len);
            break;
        case STAGE_METHOD:
            verdict = read_method(h, bytes, len);
            break;
        case STAGE_TARGET:
            verdict = read_target(h, bytes, len);
            break;
        case STAGE_VERSION:
            verdict = read_version(h, bytes, len);
            break;
        default:
            return read_fields(h, bytes, len);
        }
        if (verdict != FRAMING_DONE) {
            return verdict;
        }
    }
    return FRAMING_MORE;
}

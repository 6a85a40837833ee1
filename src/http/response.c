#include "http/response.h"

#include "base/assert.h"
#include "http/route.h"

enum { RESPONSE_FIXED_BYTES_MAX = 512 }; /* all but request id, fields and body */

static struct slice status_line(unsigned status)
{
    switch (status) {
#define LINE(code, reason) \
    case code: \
        return SLICE("HTTP/1.1 " #code " " reason "\r\n")
        LINE(200, "OK");
        LINE(201, "Created");
        LINE(202, "Accepted");
        LINE(204, "No Content");
        LINE(303, "See Other");
        LINE(304, "Not Modified");
        LINE(307, "Temporary Redirect");
        LINE(308, "Permanent Redirect");
        LINE(400, "Bad Request");
        LINE(401, "Unauthorized");
        LINE(403, "Forbidden");
        LINE(404, "Not Found");
        LINE(405, "Method Not Allowed");
        LINE(408, "Request Timeout");
        LINE(409, "Conflict");
        LINE(412, "Precondition Failed");
        LINE(413, "Content Too Large");
        LINE(414, "URI Too Long");
        LINE(415, "Unsupported Media Type");
        LINE(422, "Unprocessable Content");
        LINE(429, "Too Many Requests");
        LINE(431, "Request Header Fields Too Large");
        LINE(500, "Internal Server Error");
        LINE(503, "Service Unavailable");
        LINE(504, "Gateway Timeout");
#undef LINE
    default:
        return SLICE_NONE; /* the reason may be empty: RFC 9112, 4 */
    }
}

static char *put(char *at, struct slice s)
{
    if (s.len > 0) {
        memcpy(at, s.ptr, s.len);
    }
    return at + s.len;
}

static char *put_u64(char *at, uint64_t number)
{
    char digits[20];
    size_t from = sizeof(digits);

    do {
        digits[--from] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    return put(at, slice_make(digits + from, sizeof(digits) - from));
}

static char *put_fields(char *at, const struct response *r)
{
    for (unsigned i = 0; i < r->field_count; i++) {
        const struct http_field *field = &r->fields[i];
        for (size_t b = 0; b < field->value.len; b++) {
            unsigned char c = (unsigned char)field->value.ptr[b];
            ASSERT(c >= ' ' && c != 0x7f); /* user text is validated where it comes in, never here */
        }
        at = put(at, slice_of(field->name));
        at = put(at, SLICE(": "));
        at = put(at, field->value);
        at = put(at, SLICE("\r\n"));
    }
    return at;
}

static char *put_own_fields(char *at, const struct response *r)
{
    if (r->status != 204 && r->status != 304) {
        at = put_u64(put(at, SLICE("Content-Length: ")), r->body.len);
        at = put(at, SLICE("\r\n"));
    }
    at = put(put(at, SLICE("Date: ")), r->date);
    at = put(put(at, SLICE("\r\nX-Request-Id: ")), r->request_id);
    if (r->methods != 0) {
        char allow[64];
        at = put(put(at, SLICE("\r\nAllow: ")), route_allow(r->methods, allow));
    }
    if (r->is_close) {
        at = put(at, SLICE("\r\nConnection: close"));
    } else if (r->is_keep_alive_said) {
        at = put(at, SLICE("\r\nConnection: keep-alive"));
    }
    return put(at, SLICE("\r\n\r\n"));
}

enum err response_write(struct buf *out, const struct response *r)
{
    size_t size = RESPONSE_FIXED_BYTES_MAX + r->request_id.len + r->body.len;
    struct slice line = status_line(r->status);
    char *at;
    enum err e;

    ASSERT(r->status >= 200 && r->status <= 599);
    ASSERT((r->status != 204 && r->status != 304) || r->body.len == 0);
    for (unsigned i = 0; i < r->field_count; i++) {
        size += strlen(r->fields[i].name) + r->fields[i].value.len + 4;
    }
    e = buf_reserve(out, size);
    if (e != ERR_OK) {
        return e;
    }
    at = out->ptr + out->len;
    if (line.len > 0) {
        at = put(at, line);
    } else {
        at = put_u64(put(at, SLICE("HTTP/1.1 ")), r->status);
        at = put(at, SLICE(" \r\n"));
    }
    at = put_fields(at, r);
    at = put_own_fields(at, r);
    if (!r->is_head) {
        at = put(at, r->body);
    }
    ASSERT((size_t)(at - (out->ptr + out->len)) <= size);
    out->len = (size_t)(at - out->ptr);
    return ERR_OK;
}

static void put_two(char *at, int number)
{
    at[0] = (char)('0' + number / 10);
    at[1] = (char)('0' + number % 10);
}

void response_date(int64_t wall_s, char text[RESPONSE_DATE_BYTES])
{
    static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t day = wall_s / 86400;
    int second = (int)(wall_s % 86400);
    /*
     * civil date from days, Howard Hinnant's algorithm: years start in March, eras have 400 years
     */
    int64_t shifted = day + 719468;
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    int month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    int year = (int)(year_of_era + era * 400 + (month <= 2));

    ASSERT(wall_s >= 0 && year <= 9999);
    memcpy(text, "Ddd, 00 Mmm 0000 00:00:00 GMT", RESPONSE_DATE_BYTES);
    memcpy(text, days + day % 7 * 3, 3);
    put_two(text + 5, (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1));
    memcpy(text + 8, months + (month - 1) * 3, 3);
    put_two(text + 12, year / 100);
    put_two(text + 14, year % 100);
    put_two(text + 17, second / 3600);
    put_two(text + 20, second / 60 % 60);
    put_two(text + 23, second % 60);
}

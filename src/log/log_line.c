#include "log/log_line.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"

enum {
    ESCAPED_BYTES_MAX = 6, /* \u001b */
    TAIL_BYTES = 64,       /* ,"dropped":18446744073709551615,"truncated":true} and the newline */
    BODY_BYTES_MAX = LOG_LINE_BYTES_MAX - TAIL_BYTES,
    HEAD_BYTES = 128, /* time, level and the names around them */
};

static_assert(HEAD_BYTES + ESCAPED_BYTES_MAX * LOG_FIELD_BYTES_MAX <= BODY_BYTES_MAX,
              "the start of a line always fits");

/* One character of a text: its code point and length, or is_valid false for one byte that is no UTF-8. */
struct character {
    uint32_t code;
    unsigned len;
    bool is_valid;
};

static struct character character_at(const char *text, size_t len)
{
    const unsigned char *at = (const unsigned char *)text;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    struct character c = {.code = at[0], .len = 1, .is_valid = at[0] < 0x80};
    unsigned need;

    if (c.is_valid) {
        return c;
    }
    if (at[0] >= 0xC2 && at[0] <= 0xDF) {
        need = 2;
        c.code = at[0] & 0x1Fu;
    } else if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        need = 3;
        c.code = at[0] & 0x0Fu;
    } else if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        need = 4;
        c.code = at[0] & 0x07u;
    } else {
        return c;
    }
    for (unsigned i = 1; i < need; i++) {
        if (i >= len || (at[i] & 0xC0u) != 0x80u) {
            return c;
        }
        c.code = c.code << 6 | (at[i] & 0x3Fu);
    }
    /* overlong forms, surrogates and what lies past Unicode are as invalid as a stray byte */
    if (c.code < least[need] || (c.code >= 0xD800 && c.code <= 0xDFFF) || c.code > 0x10FFFF) {
        return c;
    }
    c.len = need;
    c.is_valid = true;
    return c;
}

/*
 * Characters that a terminal obeys, that some line reader takes for a line's end (U+0085, U+2028, U+2029) or that
 * turn the reading direction and so let a stranger's text pose as another field.
 */
static bool is_escaped(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code <= 0x9F) || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069) || code == '"' || code == '\\';
}

/* May the text stand in logfmt without quotes? */
static bool is_bare(struct slice text)
{
    for (size_t i = 0; i < text.len;) {
        struct character c = character_at(text.ptr + i, text.len - i);

        if (!c.is_valid || is_escaped(c.code) || c.code == ' ' || c.code == '=') {
            return false;
        }
        i += c.len;
    }
    return text.len > 0;
}

/* False, with nothing appended, when the body has no room left. */
static bool put(struct log_line *line, const char *bytes, size_t len)
{
    if (len > BODY_BYTES_MAX - line->len) {
        return false;
    }
    memcpy(line->text + line->len, bytes, len);
    line->len += len;
    return true;
}

static bool put_text(struct log_line *line, const char *text)
{
    return put(line, text, strlen(text));
}

static size_t decimal(char out[20], uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    memcpy(out, digits + at, sizeof(digits) - at);
    return sizeof(digits) - at;
}

static bool put_u64(struct log_line *line, uint64_t number)
{
    char digits[20];
    size_t len = decimal(digits, number);

    return put(line, digits, len);
}

static bool put_padded(struct log_line *line, uint64_t number, size_t width)
{
    char digits[20];
    size_t len = decimal(digits, number);

    for (size_t i = len; i < width; i++) {
        if (!put(line, "0", 1)) {
            return false;
        }
    }
    return put(line, digits, len);
}

static bool put_escaped(struct log_line *line, uint32_t code)
{
    static const char hex[] = "0123456789abcdef";
    char out[ESCAPED_BYTES_MAX] = {'\\', 'u', '0', '0', '0', '0'};

    switch (code) {
    case '"':
        return put(line, "\\\"", 2);
    case '\\':
        return put(line, "\\\\", 2);
    case '\n':
        return put(line, "\\n", 2);
    case '\r':
        return put(line, "\\r", 2);
    case '\t':
        return put(line, "\\t", 2);
    default:
        ASSERT(code <= 0xFFFF);
        for (unsigned i = 0; i < 4; i++) {
            out[5 - i] = hex[code >> (4 * i) & 0xFu];
        }
        return put(line, out, sizeof(out));
    }
}

static bool put_quoted(struct log_line *line, struct slice text)
{
    bool fits = put(line, "\"", 1);

    for (size_t i = 0; fits && i < text.len;) {
        struct character c = character_at(text.ptr + i, text.len - i);

        if (!c.is_valid) {
            fits = put(line, "\xEF\xBF\xBD", 3);
        } else if (is_escaped(c.code)) {
            fits = put_escaped(line, c.code);
        } else {
            fits = put(line, text.ptr + i, c.len);
        }
        i += c.len;
    }
    return fits && put(line, "\"", 1);
}

/* The first LOG_FIELD_BYTES_MAX bytes, less a character that the cut would split. */
static struct slice cut(struct slice text)
{
    size_t len = LOG_FIELD_BYTES_MAX;

    for (unsigned back = 0; back < 4; back++) {
        if (((unsigned char)text.ptr[len - back] & 0xC0u) != 0x80u) {
            return slice_make(text.ptr, len - back);
        }
    }
    return slice_make(text.ptr, len);
}

static bool put_value(struct log_line *line, struct slice text)
{
    if (text.len > LOG_FIELD_BYTES_MAX) {
        line->is_truncated = true;
        text = cut(text);
    }
    if (line->format == LOG_LOGFMT && is_bare(text)) {
        return put(line, text.ptr, text.len);
    }
    return put_quoted(line, text);
}

static bool put_key(struct log_line *line, const char *key)
{
    bool is_json = line->format == LOG_JSON;

    return put_text(line, is_json ? ",\"" : " ") && put_text(line, key) &&
           put_text(line, is_json ? "\":" : "=");
}

/*
 * The civil date of a day count since 1970 in the Gregorian calendar. Not gmtime_r, which takes a process-wide lock.
 * Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
 */
static void put_time(struct log_line *line, uint64_t now_us)
{
    uint64_t second = now_us / 1000000;
    uint64_t day = second / 86400 + 719468; /* since 0000-03-01 */
    uint64_t era = day / 146097;
    uint64_t day_of_era = day % 146097;
    uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t month_from_march = (5 * day_of_year + 2) / 153;
    uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
    uint64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
    const uint64_t parts[] = {
        year,
        month,
        day_of_year - (153 * month_from_march + 2) / 5 + 1,
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
        now_us % 1000000,
    };
    static const size_t widths[] = {4, 2, 2, 2, 2, 2, 6};
    static const char *const after[] = {"-", "-", "T", ":", ":", ".", "Z"};

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        bool fits = put_padded(line, parts[i], widths[i]) && put_text(line, after[i]);
        ASSERT(fits);
    }
}

void log_line_start(struct log_line *line, enum log_format format, uint64_t now_us,
                    enum log_level level, const char *event)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    bool fits;

    ASSERT(event != NULL);
    ASSERT((size_t)level < ARRAY_LEN(levels));
    line->len = 0;
    line->format = format;
    line->is_truncated = false;
    if (format == LOG_JSON) {
        fits = put_text(line, "{\"time\":\"");
        put_time(line, now_us);
        fits = fits && put_text(line, "\",\"level\":\"") && put_text(line, levels[level]) &&
               put_text(line, "\"");
    } else {
        fits = put_text(line, "time=");
        put_time(line, now_us);
        fits = fits && put_text(line, " level=") && put_text(line, levels[level]);
    }
    fits = fits && put_key(line, "event") && put_value(line, slice_of(event));
    ASSERT(fits);
}

void log_line_field(struct log_line *line, const struct log_field *field)
{
    size_t mark = line->len;
    bool fits;

    ASSERT(field->key != NULL && field->key[0] != '\0');
    ASSERT(strspn(field->key, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(field->key));
    fits = put_key(line, field->key);
    switch (field->type) {
    case LOG_TYPE_TEXT:
        fits = fits && put_value(line, field->text);
        break;
    case LOG_TYPE_I64:
        fits = fits && (field->i64 >= 0 || put(line, "-", 1)) &&
               put_u64(line, field->i64 < 0 ? -(uint64_t)field->i64 : (uint64_t)field->i64);
        break;
    case LOG_TYPE_U64:
        fits = fits && put_u64(line, field->u64);
        break;
    case LOG_TYPE_BOOL:
        fits = fits && put_text(line, field->u64 != 0 ? "true" : "false");
        break;
    default:
        UNREACHABLE("log type");
    }
    if (!fits) {
        line->len = mark;
        line->is_truncated = true;
    }
}

void log_line_end(struct log_line *line, uint64_t dropped)
{
    bool is_json = line->format == LOG_JSON;
    char tail[TAIL_BYTES];
    size_t len = 0;
    struct slice pieces[] = {
        is_json ? SLICE(",\"dropped\":") : SLICE(" dropped="),
        is_json ? SLICE(",\"truncated\":true") : SLICE(" truncated=true"),
        is_json ? SLICE("}\n") : SLICE("\n"),
    };

    if (dropped > 0) {
        memcpy(tail, pieces[0].ptr, pieces[0].len);
        len = pieces[0].len;
        len += decimal(tail + len, dropped);
    }
    for (size_t i = line->is_truncated ? 1 : 2; i < ARRAY_LEN(pieces); i++) {
        ASSERT(len + pieces[i].len <= sizeof(tail));
        memcpy(tail + len, pieces[i].ptr, pieces[i].len);
        len += pieces[i].len;
    }
    ASSERT(line->len + len <= sizeof(line->text));
    memcpy(line->text + line->len, tail, len);
    line->len += len;
}

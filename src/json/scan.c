#include "json/json_internal.h"

struct cursor {
    const unsigned char *start;
    const unsigned char *at;
    const unsigned char *end;
    struct scan *scan;
};

static bool fault_set(struct cursor *c, enum json_fault_kind kind, const unsigned char *at)
{
    c->scan->fault = kind;
    c->scan->at = (size_t)(at - c->start);
    return false;
}

static bool is_continuation(const struct cursor *c, ptrdiff_t offset, unsigned char low,
                            unsigned char high)
{
    return c->end - c->at > offset && c->at[offset] >= low && c->at[offset] <= high;
}

/* Step over one character past 0x7F, by the table of RFC 3629, section 4: no overlong form, no
 * surrogate, nothing past U+10FFFF. */
static bool utf8_step(struct cursor *c)
{
    unsigned char first = *c->at;
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    ptrdiff_t len;

    if (first >= 0xC2 && first <= 0xDF) {
        len = 2;
    } else if (first >= 0xE0 && first <= 0xEF) {
        len = 3;
        low = first == 0xE0 ? 0xA0 : low;
        high = first == 0xED ? 0x9F : high;
    } else if (first >= 0xF0 && first <= 0xF4) {
        len = 4;
        low = first == 0xF0 ? 0x90 : low;
        high = first == 0xF4 ? 0x8F : high;
    } else {
        return fault_set(c, JSON_FAULT_UTF8, c->at);
    }
    if (!is_continuation(c, 1, low, high) || (len > 2 && !is_continuation(c, 2, 0x80, 0xBF)) ||
        (len > 3 && !is_continuation(c, 3, 0x80, 0xBF))) {
        return fault_set(c, JSON_FAULT_UTF8, c->at);
    }
    c->at += len;
    return true;
}

/* The unit of a \uXXXX at `at`, or -1 where none stands there. */
static int32_t unit_at(const struct cursor *c, const unsigned char *at)
{
    int32_t unit = 0;

    if (c->end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    for (int i = 2; i < 6; i++) {
        unsigned char digit = at[i];
        if (digit >= '0' && digit <= '9') {
            unit = unit << 4 | (digit - '0');
        } else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f') {
            unit = unit << 4 | ((digit | 0x20) - 'a' + 10);
        } else {
            return -1;
        }
    }
    return unit;
}

/* Step over a backslash and what it takes along; unknown escapes are left to the parser. */
static bool escape_step(struct cursor *c)
{
    int32_t unit = unit_at(c, c->at);

    if (unit == 0) {
        return fault_set(c, JSON_FAULT_NUL, c->at);
    }
    if (unit >= 0xDC00 && unit <= 0xDFFF) {
        return fault_set(c, JSON_FAULT_SURROGATE, c->at);
    }
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        int32_t other = unit_at(c, c->at + 6);
        if (other < 0xDC00 || other > 0xDFFF) {
            return fault_set(c, JSON_FAULT_SURROGATE, c->at);
        }
        c->at += 12;
        return true;
    }
    if (c->end - c->at < 2) {
        return fault_set(c, JSON_FAULT_NOT_JSON, c->at);
    }
    /* a byte past 0x7F is looked at for itself, and \uXY that is none is refused by the parser */
    c->at += unit > 0 ? 6 : (c->at[1] < 0x80 ? 2 : 1);
    return true;
}

/* Step over a string; the cursor stands behind its opening quote. */
static bool string_step(struct cursor *c)
{
    const unsigned char *start = c->at;
    bool has_escape = false;

    while (c->at < c->end) {
        unsigned char byte = *c->at;
        if (byte == '"') {
            size_t len = (size_t)(c->at - start);
            if (has_escape && len > c->scan->escaped_bytes_max) {
                c->scan->escaped_bytes_max = len;
            }
            c->at++;
            return true;
        }
        if (byte == '\\') {
            has_escape = true;
            if (!escape_step(c)) {
                return false;
            }
        } else if (byte >= 0x80) {
            if (!utf8_step(c)) {
                return false;
            }
        } else {
            c->at++; /* control characters are refused by the parser */
        }
    }
    return fault_set(c, JSON_FAULT_NOT_JSON, c->at);
}

static bool is_structural(unsigned char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r' || byte == '{' ||
           byte == '}' || byte == '[' || byte == ']' || byte == ',' || byte == ':' || byte == '"';
}

void scan_body(struct slice body, struct scan *out)
{
    const unsigned char *start = (const unsigned char *)body.ptr;
    struct cursor c = {.start = start, .at = start, .end = start + body.len, .scan = out};
    const unsigned char *tail = start;

    *out = (struct scan){.fault = JSON_FAULT_NONE};
    while (c.at < c.end) {
        unsigned char byte = *c.at;
        if (byte == '"') {
            c.at++;
            if (!string_step(&c)) {
                return;
            }
            tail = c.at;
        } else if (byte >= 0x80) {
            if (!utf8_step(&c)) {
                return;
            }
        } else if (byte == '\v' || byte == '\f') {
            fault_set(&c, JSON_FAULT_NOT_JSON, c.at);
            return;
        } else {
            out->objects += byte == '{';
            c.at++;
            tail = is_structural(byte) ? c.at : tail;
        }
    }
    out->tail_bytes = (size_t)(c.end - tail);
}

#include "api/etag.h"

#include "base/assert.h"

struct slice api_etag_text(uint64_t version, char text[API_ETAG_BYTES_MAX])
{
    char digits[20];
    size_t at = sizeof(digits);
    size_t len;

    do {
        digits[--at] = (char)('0' + version % 10);
        version /= 10;
    } while (version > 0);
    len = sizeof(digits) - at;
    ASSERT(len + 2 <= API_ETAG_BYTES_MAX);
    text[0] = '"';
    memcpy(text + 1, digits + at, len);
    text[len + 1] = '"';
    return slice_make(text, len + 2);
}

static struct slice drop(struct slice s, size_t bytes)
{
    return slice_make(s.ptr + bytes, s.len - bytes);
}

static struct slice skip_blanks(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = drop(s, 1);
    }
    return s;
}

static bool is_tag_byte(char c)
{
    const unsigned char byte = (unsigned char)c;

    return byte == 0x21 || (byte >= 0x23 && byte != 0x7F);
}

/* Take an entity tag off the front; *tag is what stands between its quotes. */
static bool take_tag(struct slice *rest, bool *is_weak, struct slice *tag)
{
    struct slice s = *rest;
    size_t len = 0;

    *is_weak = slice_starts_with(s, SLICE("W/"));
    if (*is_weak) {
        s = drop(s, 2);
    }
    if (s.len == 0 || s.ptr[0] != '"') {
        return false;
    }
    s = drop(s, 1);
    while (len < s.len && is_tag_byte(s.ptr[len])) {
        len++;
    }
    if (len == s.len || s.ptr[len] != '"') {
        return false;
    }
    *tag = slice_make(s.ptr, len);
    *rest = drop(s, len + 1);
    return true;
}

/* Take what is behind a tag: a comma (more follows) or the end. */
static bool take_separator(struct slice *rest, bool *is_end)
{
    struct slice s = skip_blanks(*rest);

    *is_end = s.len == 0;
    if (*is_end) {
        return true;
    }
    if (s.ptr[0] != ',') {
        return false;
    }
    *rest = skip_blanks(drop(s, 1));
    return true;
}

/* A version as api_etag_text writes it: no leading zero, no sign, within uint64_t. */
static bool is_version(struct slice tag, uint64_t *version)
{
    uint64_t sum = 0;

    if (tag.len == 0 || (tag.len > 1 && tag.ptr[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < tag.len; i++) {
        if (tag.ptr[i] < '0' || tag.ptr[i] > '9' || __builtin_mul_overflow(sum, UINT64_C(10), &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(tag.ptr[i] - '0'), &sum)) {
            return false;
        }
    }
    *version = sum;
    return true;
}

enum err api_if_match_parse(struct slice value, struct api_if_match *out)
{
    struct api_if_match m = {0};
    struct slice rest = value;
    bool is_end = false;

    if (slice_equal(value, SLICE("*"))) {
        *out = (struct api_if_match){.is_any = true};
        return ERR_OK;
    }
    while (!is_end) {
        struct slice tag;
        bool is_weak;
        uint64_t version;
        if (!take_tag(&rest, &is_weak, &tag) || !take_separator(&rest, &is_end)) {
            return ERR_INVALID;
        }
        if (is_weak || !is_version(tag, &version)) {
            continue;
        }
        if (m.count == LEDGER_IF_MATCH_MAX) {
            return ERR_INVALID;
        }
        m.versions[m.count++] = version;
    }
    if (m.count == 0) {
        m.versions[m.count++] = API_NO_VERSION;
    }
    *out = m;
    return ERR_OK;
}

bool api_if_none_match(struct slice value, struct slice etag)
{
    struct slice rest = value;
    bool is_end = false;

    ASSERT(etag.len >= 2);
    if (slice_equal(value, SLICE("*"))) {
        return true;
    }
    while (!is_end) {
        struct slice tag;
        bool is_weak;
        if (!take_tag(&rest, &is_weak, &tag)) {
            return false;
        }
        if (slice_equal(tag, slice_make(etag.ptr + 1, etag.len - 2))) {
            return true;
        }
        if (!take_separator(&rest, &is_end)) {
            return false;
        }
    }
    return false;
}

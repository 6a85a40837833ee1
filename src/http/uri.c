#include "http/uri.h"

#include <stdint.h>

/* The length of the well-formed sequence at s[0], 0 for none. Source: Unicode 15, table 3-7. */
static size_t sequence_len(const unsigned char *s, size_t len)
{
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t need;

    if (s[0] < 0x80) {
        return s[0] == 0 ? 0 : 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        need = 2;
    } else if (s[0] >= 0xe0 && s[0] <= 0xef) {
        need = 3;
        low = s[0] == 0xe0 ? 0xa0 : low;
        high = s[0] == 0xed ? 0x9f : high;
    } else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        need = 4;
        low = s[0] == 0xf0 ? 0x90 : low;
        high = s[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (len < need || s[1] < low || s[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < need; i++) {
        if (s[i] < 0x80 || s[i] > 0xbf) {
            return 0;
        }
    }
    return need;
}

bool uri_is_text(struct slice s)
{
    size_t at = 0;

    while (at < s.len) {
        size_t len = sequence_len((const unsigned char *)s.ptr + at, s.len - at);
        if (len == 0) {
            return false;
        }
        at += len;
    }
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err uri_decode(struct arena *arena, struct slice in, struct slice *out)
{
    char *copy;
    size_t len = 0;

    if (in.len == 0 || memchr(in.ptr, '%', in.len) == NULL) {
        if (!uri_is_text(in)) {
            return ERR_INVALID;
        }
        *out = in;
        return ERR_OK;
    }
    copy = arena_alloc(arena, in.len);
    if (copy == NULL) {
        return ERR_NOMEM;
    }
    for (size_t at = 0; at < in.len; at++) {
        int high, low;
        if (in.ptr[at] != '%') {
            copy[len++] = in.ptr[at];
            continue;
        }
        if (in.len - at < 3) {
            return ERR_INVALID;
        }
        high = hex_digit(in.ptr[at + 1]);
        low = hex_digit(in.ptr[at + 2]);
        if (high < 0 || low < 0) {
            return ERR_INVALID;
        }
        copy[len++] = (char)(high << 4 | low);
        at += 2;
    }
    if (!uri_is_text(slice_make(copy, len))) {
        return ERR_INVALID;
    }
    *out = slice_make(copy, len);
    return ERR_OK;
}

static enum err decode_parameter(struct arena *arena, struct slice piece, struct uri_parameter *out)
{
    const char *equals = piece.len == 0 ? NULL : memchr(piece.ptr, '=', piece.len);
    size_t name_len = equals == NULL ? piece.len : (size_t)(equals - piece.ptr);
    struct slice name = slice_make(piece.ptr, name_len);
    struct slice value = equals == NULL ? slice_make(piece.ptr + name_len, 0)
                                        : slice_make(equals + 1, piece.len - name_len - 1);
    enum err e;

    if (name_len == 0) {
        return ERR_INVALID;
    }
    e = uri_decode(arena, name, &out->name);
    return e != ERR_OK ? e : uri_decode(arena, value, &out->value);
}

enum err uri_query(struct arena *arena, struct slice query, struct uri_parameter *out, unsigned max,
                   unsigned *count)
{
    size_t at = 0;
    unsigned found = 0;

    if (query.len == 0) {
        *count = 0;
        return ERR_OK;
    }
    for (;;) {
        size_t end = at;
        enum err e;
        while (end < query.len && query.ptr[end] != '&') {
            end++;
        }
        if (found == max) {
            return ERR_FULL;
        }
        e = decode_parameter(arena, slice_make(query.ptr + at, end - at), &out[found]);
        if (e != ERR_OK) {
            return e;
        }
        for (unsigned i = 0; i < found; i++) {
            if (slice_equal(out[i].name, out[found].name)) {
                return ERR_EXISTS;
            }
        }
        found++;
        if (end == query.len) {
            break;
        }
        at = end + 1;
    }
    *count = found;
    return ERR_OK;
}

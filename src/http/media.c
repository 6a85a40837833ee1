#include "http/media.h"

static struct slice skip_space(struct slice s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s = slice_make(s.ptr + 1, s.len - 1);
    }
    return s;
}

bool media_is_json(struct slice content_type)
{
    struct slice json = SLICE("application/json");
    struct slice rest;

    if (content_type.len < json.len ||
        !slice_equal_nocase(slice_make(content_type.ptr, json.len), json)) {
        return false;
    }
    rest = skip_space(slice_make(content_type.ptr + json.len, content_type.len - json.len));
    if (rest.len == 0) {
        return true;
    }
    if (rest.ptr[0] != ';') {
        return false;
    }
    rest = skip_space(slice_make(rest.ptr + 1, rest.len - 1));
    return slice_equal_nocase(rest, SLICE("charset=utf-8")) ||
           slice_equal_nocase(rest, SLICE("charset=\"utf-8\""));
}

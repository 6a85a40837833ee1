#include "json/writer.h"

#include "base/assert.h"

void json_writer_init(struct json_writer *w, struct buf *b)
{
    *w = (struct json_writer){.buf = b};
}

bool json_writer_is_done(const struct json_writer *w)
{
    return w->depth == 0 && w->needs_comma;
}

static bool is_in_object(const struct json_writer *w)
{
    return w->depth > 0 && (w->objects >> w->depth & 1) != 0;
}

/* What comes before any value. */
static void value_begin(struct json_writer *w)
{
    ASSERT(is_in_object(w) == w->has_key);
    ASSERT(w->depth > 0 || !w->needs_comma); /* one document has one value */
    if (w->needs_comma && !w->has_key) {
        buf_append_byte(w->buf, ',');
    }
    w->has_key = false;
    w->needs_comma = true;
}

static void container_open(struct json_writer *w, bool is_object)
{
    value_begin(w);
    ASSERT(w->depth < JSON_WRITER_DEPTH_MAX);
    w->depth++;
    w->objects = (w->objects & ~(UINT32_C(1) << w->depth)) | (uint32_t)is_object << w->depth;
    w->needs_comma = false;
    buf_append_byte(w->buf, is_object ? '{' : '[');
}

static void container_close(struct json_writer *w, bool is_object)
{
    ASSERT(w->depth > 0 && is_in_object(w) == is_object && !w->has_key);
    w->depth--;
    w->needs_comma = true;
    buf_append_byte(w->buf, is_object ? '}' : ']');
}

void json_open_object(struct json_writer *w)
{
    container_open(w, true);
}

void json_close_object(struct json_writer *w)
{
    container_close(w, true);
}

void json_open_array(struct json_writer *w)
{
    container_open(w, false);
}

void json_close_array(struct json_writer *w)
{
    container_close(w, false);
}

static void quoted_append(struct buf *b, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    size_t plain = 0; /* where the run of bytes starts that need no escape */

    buf_append_byte(b, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        buf_append(b, s.ptr + plain, i - plain);
        plain = i + 1;
        if (byte < 0x20) {
            char escape[6] = {'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 0xF]};
            buf_append(b, escape, sizeof(escape));
        } else {
            char escape[2] = {'\\', (char)byte};
            buf_append(b, escape, sizeof(escape));
        }
    }
    if (plain < s.len) {
        buf_append(b, s.ptr + plain, s.len - plain);
    }
    buf_append_byte(b, '"');
}

void json_key(struct json_writer *w, struct slice name)
{
    ASSERT(is_in_object(w) && !w->has_key);
    if (w->needs_comma) {
        buf_append_byte(w->buf, ',');
    }
    quoted_append(w->buf, name);
    buf_append_byte(w->buf, ':');
    w->has_key = true;
}

void json_string(struct json_writer *w, struct slice s)
{
    value_begin(w);
    quoted_append(w->buf, s);
}

void json_integer(struct json_writer *w, int64_t number)
{
    value_begin(w);
    buf_append_i64(w->buf, number);
}

void json_bool(struct json_writer *w, bool is_true)
{
    value_begin(w);
    buf_append_text(w->buf, is_true ? "true" : "false");
}

void json_raw(struct json_writer *w, struct slice text)
{
    ASSERT(text.len > 0);
    value_begin(w);
    buf_append_slice(w->buf, text);
}

struct buf *json_begin_raw(struct json_writer *w)
{
    value_begin(w);
    return w->buf;
}

void json_pairs(struct json_writer *w, const struct json_pair *pairs, size_t count)
{
    json_open_object(w);
    for (size_t i = 0; i < count; i++) {
        json_key(w, pairs[i].name);
        json_string(w, pairs[i].value);
    }
    json_close_object(w);
}

#include "store/redis/reply.h"

#include <stdio.h>

static enum err digits_read(struct slice text, uint64_t *out)
{
    uint64_t sum = 0;

    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0')) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < text.len; i++) {
        const unsigned digit = (unsigned char)text.ptr[i] - (unsigned)'0';
        if (digit > 9 || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, digit, &sum)) {
            return ERR_CORRUPT;
        }
    }
    *out = sum;
    return ERR_OK;
}

enum err reply_u64(const struct redisReply *r, uint64_t *out)
{
    if (r->type == REDIS_REPLY_INTEGER && r->integer >= 0) {
        *out = (uint64_t)r->integer;
        return ERR_OK;
    }
    return reply_is_text(r) ? digits_read(reply_text(r), out) : ERR_CORRUPT;
}

enum err reply_i64(const struct redisReply *r, int64_t *out)
{
    struct slice text;
    uint64_t size;
    bool is_negative;
    enum err e;

    if (r->type == REDIS_REPLY_INTEGER) {
        *out = r->integer;
        return ERR_OK;
    }
    if (!reply_is_text(r)) {
        return ERR_CORRUPT;
    }
    text = reply_text(r);
    is_negative = text.len > 0 && text.ptr[0] == '-';
    if (is_negative) {
        text = slice_make(text.ptr + 1, text.len - 1);
    }
    e = digits_read(text, &size);
    if (e != ERR_OK || size > INT64_MAX || (is_negative && size == 0)) {
        return ERR_CORRUPT;
    }
    *out = is_negative ? -(int64_t)size : (int64_t)size;
    return ERR_OK;
}

static void head_append(struct buf *out, char type, size_t number)
{
    buf_append_byte(out, type);
    buf_append_u64(out, number);
    buf_append(out, "\r\n", 2);
}

void resp_begin(struct buf *out, unsigned words)
{
    head_append(out, '*', words);
}

void resp_word(struct buf *out, struct slice word)
{
    head_append(out, '$', word.len);
    buf_append_slice(out, word);
    buf_append(out, "\r\n", 2);
}

void resp_text(struct buf *out, const char *word)
{
    resp_word(out, slice_of(word));
}

void resp_i64(struct buf *out, int64_t word)
{
    char text[24];
    const int len = snprintf(text, sizeof(text), "%lld", (long long)word);

    resp_word(out, slice_make(text, (size_t)len));
}

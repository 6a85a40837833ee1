#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/mem.h"

enum { BUF_FIRST_BYTES = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->ptr);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->err = ERR_OK;
}

enum err buf_reserve(struct buf *b, size_t len)
{
    size_t cap;
    char *ptr;

    ASSERT(b->len <= b->cap || b->cap == 0);
    if (b->err != ERR_OK) {
        return b->err;
    }
    if (len > b->max - b->len) { /* asked first: the memory may be more than the ceiling */
        b->err = ERR_FULL;
        return b->err;
    }
    if (len <= b->cap - b->len) {
        return ERR_OK;
    }
    cap = b->cap < BUF_FIRST_BYTES ? BUF_FIRST_BYTES : b->cap;
    while (cap - b->len < len) {
        cap = cap > b->max / 2 ? b->max : cap * 2;
    }
    /* one byte more than cap, for the NUL that vsnprintf puts behind a text that fills the buffer */
    ptr = cap == SIZE_MAX ? NULL : mem_resize(b->ptr, cap + 1);
    if (ptr == NULL) {
        b->err = ERR_NOMEM;
        return b->err;
    }
    b->ptr = ptr;
    b->cap = cap;
    return ERR_OK;
}

void buf_append(struct buf *b, const void *bytes, size_t len)
{
    if (len == 0 || buf_reserve(b, len) != ERR_OK) {
        return;
    }
    memcpy(b->ptr + b->len, bytes, len);
    b->len += len;
}

void buf_append_byte(struct buf *b, char byte)
{
    buf_append(b, &byte, 1);
}

void buf_append_slice(struct buf *b, struct slice s)
{
    buf_append(b, s.ptr, s.len);
}

void buf_append_text(struct buf *b, const char *text)
{
    buf_append(b, text, strlen(text));
}

void buf_append_u64(struct buf *b, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    buf_append(b, digits + at, sizeof(digits) - at);
}

void buf_append_i64(struct buf *b, int64_t number)
{
    if (number < 0) {
        buf_append_byte(b, '-');
        buf_append_u64(b, -(uint64_t)number);
    } else {
        buf_append_u64(b, (uint64_t)number);
    }
}

void buf_append_format(struct buf *b, const char *format, ...)
{
    va_list args;
    va_list again;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(len >= 0);
    if (len > 0 && buf_reserve(b, (size_t)len) == ERR_OK) {
        (void)vsnprintf(b->ptr + b->len, (size_t)len + 1, format, again);
        b->len += (size_t)len;
    }
    va_end(again);
}

void buf_drop_front(struct buf *b, size_t len)
{
    ASSERT(len <= b->len);
    if (len == 0) {
        return;
    }
    memmove(b->ptr, b->ptr + len, b->len - len);
    b->len -= len;
}

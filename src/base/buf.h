/* A growing byte buffer that is born with a ceiling. Appends after a failure do nothing; the error sticks. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

struct buf {
    char *ptr;    /* owned */
    size_t len;   /* bytes in use */
    size_t cap;   /* bytes it may hold before it grows; one more is allocated */
    size_t max;   /* the ceiling; len never passes it */
    enum err err; /* ERR_OK, ERR_FULL (ceiling) or ERR_NOMEM; sticks until buf_clear */
};

/** Prepare an empty buffer that may grow to max bytes; allocates nothing. Thread: its owner. */
void buf_init(struct buf *b, size_t max);

/** Free the bytes and leave an empty buffer. Accepts the zero value. */
void buf_fini(struct buf *b);

/** Forget the content and the error, keep the memory. */
void buf_clear(struct buf *b);

/** Append bytes. On failure nothing is appended and b->err says why. */
void buf_append(struct buf *b, const void *bytes, size_t len);

/** Append one byte. */
void buf_append_byte(struct buf *b, char byte);

/** Append a slice. */
void buf_append_slice(struct buf *b, struct slice s);

/** Append a NUL-terminated text without its NUL. */
void buf_append_text(struct buf *b, const char *text);

/** Append a number in decimal. */
void buf_append_u64(struct buf *b, uint64_t number);

/** Append a number in decimal, with a minus sign where it is negative. */
void buf_append_i64(struct buf *b, int64_t number);

/** Append formatted text. */
void buf_append_format(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);

/** Make room for len more bytes, so that appends up to there cannot fail. Errors: ERR_FULL, ERR_NOMEM (sticks). */
MUST_CHECK enum err buf_reserve(struct buf *b, size_t len);

/** Drop the first len bytes, moving the rest to the front. */
void buf_drop_front(struct buf *b, size_t len);

/** The content as a borrowed slice, valid until the next change. */
static inline struct slice buf_slice(const struct buf *b)
{
    return slice_make(b->ptr, b->len);
}

#endif

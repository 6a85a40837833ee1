/* A borrowed run of bytes: pointer and length, never NUL-terminated by promise. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *ptr; /* borrowed; may be NULL when len is 0 */
    size_t len;      /* bytes */
};

#define SLICE(literal) ((struct slice){.ptr = "" literal, .len = sizeof(literal) - 1})
#define SLICE_NONE ((struct slice){.ptr = NULL, .len = 0})
#define SLICE_FORMAT "%.*s"
#define SLICE_ARGS(s) (int)(s).len, (s).ptr == NULL ? "" : (s).ptr

static inline struct slice slice_make(const char *ptr, size_t len)
{
    return (struct slice){.ptr = ptr, .len = len};
}

static inline struct slice slice_of(const char *text)
{
    return slice_make(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

/** Equal when ASCII letters' case is ignored; bytes past 0x7F compare as they are. Thread: any. */
bool slice_equal_nocase(struct slice a, struct slice b);

#endif

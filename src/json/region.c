#include <stdalign.h>
#include <string.h>

#include "base/assert.h"
#include "json/json_internal.h"

enum {
    YAJL_FIXED_BYTES = 1024, /* its handle, lexer and state stack take about 450 */
    YAJL_BUF_BYTES = 2048,   /* what each of its two buffers starts with */
};

/* One of yajl's buffers doubles, here in place, until len bytes and a NUL fit. */
static size_t buf_bytes(size_t len)
{
    return len + 2 < YAJL_BUF_BYTES ? (size_t)YAJL_BUF_BYTES : 2 * (len + 2);
}

size_t region_bytes(const struct scan *scan)
{
    size_t need = YAJL_FIXED_BYTES + buf_bytes(scan->tail_bytes); /* what it lexes at the end */

    if (scan->escaped_bytes_max > 0) {
        need += buf_bytes(scan->escaped_bytes_max); /* what it decodes, one string at a time */
    }
    return need;
}

void *region_alloc(void *ctx, size_t size)
{
    struct region *r = ctx;
    const size_t align = alignof(max_align_t);

    ASSERT(size <= r->cap - r->used);
    r->last = r->used;
    r->used += size;
    r->used += (align - r->used % align) % align;
    r->used = r->used < r->cap ? r->used : r->cap;
    return r->start + r->last;
}

void *region_resize(void *ctx, void *block, size_t size)
{
    struct region *r = ctx;
    char *old = block;
    char *moved;
    size_t old_len;

    if (old == NULL) {
        return region_alloc(ctx, size);
    }
    if (old == r->start + r->last) {
        r->used = r->last;
        return region_alloc(ctx, size);
    }
    old_len = r->used - (size_t)(old - r->start); /* its own bytes and perhaps later blocks' */
    moved = region_alloc(ctx, size);
    memcpy(moved, old, old_len < size ? old_len : size);
    return moved;
}

void region_free(void *ctx, void *block)
{
    (void)ctx;
    (void)block;
}

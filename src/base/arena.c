#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/mem.h"

enum { ARENA_CHUNK_BYTES = 4096 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t cap;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void chunks_free(struct arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct arena_chunk *next = chunk->next;
        mem_free(chunk);
        chunk = next;
    }
}

void arena_fini(struct arena *a)
{
    chunks_free(a->chunks);
    *a = (struct arena){.max = a->max};
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = a->chunks;

    if (keep != NULL) {
        chunks_free(keep->next);
        keep->next = NULL;
        if (keep->cap > ARENA_CHUNK_BYTES) { /* one large request must not pin its memory for ever */
            mem_free(keep);
            keep = NULL;
        }
    }
    *a = (struct arena){.chunks = keep, .max = a->max};
}

void *arena_alloc(struct arena *a, size_t size)
{
    const size_t align = alignof(max_align_t);
    size_t need;
    char *at;

    if (size > a->max || a->total > a->max - size) {
        return NULL;
    }
    need = (size + align - 1) / align * align;
    if (a->chunks == NULL || a->chunks->cap - a->used < need) {
        size_t cap = need > ARENA_CHUNK_BYTES ? need : ARENA_CHUNK_BYTES;
        struct arena_chunk *chunk = mem_alloc(sizeof(*chunk) + cap);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->cap = cap;
        chunk->next = a->chunks;
        a->chunks = chunk;
        a->used = 0;
    }
    at = a->chunks->bytes + a->used;
    ASSERT((uintptr_t)at % align == 0);
    a->used += need;
    a->total += need;
    memset(at, 0, size); /* a chunk that was reset holds old bytes */
    return at;
}

enum err arena_copy(struct arena *a, struct slice s, struct slice *out)
{
    char *copy = arena_alloc(a, s.len == 0 ? 1 : s.len);

    if (copy == NULL) {
        return ERR_NOMEM;
    }
    if (s.len > 0) {
        memcpy(copy, s.ptr, s.len);
    }
    *out = slice_make(copy, s.len);
    return ERR_OK;
}

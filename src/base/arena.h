/* A bump allocator for one request: many small allocations, one release. Born with a ceiling. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"
#include "base/slice.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first; owned */
    size_t used;                /* bytes used of the newest chunk */
    size_t total;               /* bytes handed out since the last reset */
    size_t max;                 /* the ceiling on total */
};

/** Prepare an arena that hands out up to max bytes; allocates nothing. Thread: one owner at a time. */
void arena_init(struct arena *a, size_t max);

/** Free everything. Accepts the zero value. */
void arena_fini(struct arena *a);

/** Forget everything handed out, keep one chunk of memory for the next use. */
void arena_reset(struct arena *a);

/** size bytes, zeroed, aligned for any type; NULL at the ceiling or out of memory. Valid until reset or fini. */
void *arena_alloc(struct arena *a, size_t size);

/** Copy bytes into the arena. Errors: ERR_NOMEM; *out is then untouched. */
MUST_CHECK enum err arena_copy(struct arena *a, struct slice s, struct slice *out);

#endif

/* What the reader's files share: a look over the raw bytes, yajl's memory, the order of pairs. */
#ifndef JSON_JSON_INTERNAL_H
#define JSON_JSON_INTERNAL_H

#include "json/json.h"

/** What one pass over the raw bytes learns. The lengths bound what yajl has to hold. */
struct scan {
    enum json_fault_kind fault; /* NONE, or the first that yajl would let pass or not tell apart */
    size_t at;                  /* byte offset of the fault */
    size_t escaped_bytes_max;   /* the longest string with an escape, undecoded; 0: there is none */
    size_t tail_bytes;          /* bytes of a number or word that the body ends with */
    size_t objects;             /* opening braces outside strings */
};

/**
 * Look over a body for what yajl accepts or blurs: bad UTF-8, \u0000, lone surrogates, \v and \f as white space, and
 * strings without an end.
 */
void scan_body(struct slice body, struct scan *out);

/** Memory set aside for yajl, handed out from its start and freed as a whole by its owner. */
struct region {
    char *start; /* borrowed, aligned for any type */
    size_t used;
    size_t cap;
    size_t last; /* offset of the newest block: it grows in place */
};

/** What a region must hold so that yajl can read a body with such a scan and never asks in vain. */
size_t region_bytes(const struct scan *scan);

/** yajl's hooks; ctx is a struct region. A region smaller than region_bytes said is a programmer error. */
void *region_alloc(void *ctx, size_t size);
void *region_resize(void *ctx, void *block, size_t size);
void region_free(void *ctx, void *block);

/** Sort pairs by the bytes of their names, in place, n log n, without recursion. */
void pairs_sort(struct json_pair *pairs, size_t count);

/** The first of two neighbours with one name in sorted pairs, or NULL. */
const struct json_pair *pairs_find_twin(const struct json_pair *sorted, size_t count);

#endif

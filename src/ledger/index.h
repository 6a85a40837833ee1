/*
 * From a 64-bit hash to 32-bit positions: open addressing in 256 shards that grow one by one, so that no growth stops the
 * ledger for long. The index stores no keys: the caller compares what stands at each position.
 */
#ifndef LEDGER_INDEX_H
#define LEDGER_INDEX_H

#include <stdint.h>

#include "base/err.h"

enum { INDEX_SHARDS = 256 };

struct index_shard {
    uint64_t *slots; /* hash's low half << 32 | position; 0: empty. Owned */
    uint32_t mask;   /* slots - 1; 0 with slots NULL: nothing allocated yet */
    uint32_t used;
};

struct index {
    struct index_shard shards[INDEX_SHARDS];
};

/** A search in progress. */
struct index_cursor {
    uint32_t at;
    uint32_t steps;
};

void index_fini(struct index *ix);

/** Make sure that one more position can be put under this hash without allocating. Errors: ERR_NOMEM. */
MUST_CHECK enum err index_reserve(struct index *ix, uint64_t hash);

/** The first, then each next position whose hash looks the same; 0 when there are no more. Start with *c zeroed. */
uint32_t index_next(const struct index *ix, uint64_t hash, struct index_cursor *c);

/** Put a position (not 0) under a hash; room was reserved. */
void index_put(struct index *ix, uint64_t hash, uint32_t position);

/** Take a position out again; it must be there. */
void index_remove(struct index *ix, uint64_t hash, uint32_t position);

#endif

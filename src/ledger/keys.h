/* The idempotency index: which key was used, and at which journal position its answer stands. First in, first out. */
#ifndef LEDGER_KEYS_H
#define LEDGER_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "ledger/index.h"
#include "ledger/posting.h"

enum { KEYS_SEGMENT = 4096 /* entries allocated at a time */ };

/** One entry, also as it stands in the file. */
struct key_entry {
    uint8_t scope[IDEM_SCOPE_BYTES];
    uint64_t seq;
};
_Static_assert(sizeof(struct key_entry) == 24, "stored as it is");

struct key_segment;

struct keys {
    struct key_segment **segments; /* a window: segments[i] holds entries (first_segment + i) * KEYS_SEGMENT … ; owned */
    uint64_t first_segment;
    uint64_t segment_count, segment_cap;
    uint64_t first,
        next;     /* entries are numbered from 0 without gap; these are held: first <= i < next */
    uint64_t max; /* ceiling of next - first */
    struct hash_key hash_key;
    struct index index;
};

/** Prepare an empty index. Owns: freed by keys_fini. Thread: the book's. */
void keys_init(struct keys *k, uint64_t max, struct hash_key hash_key);
void keys_fini(struct keys *k);

static inline uint64_t keys_count(const struct keys *k)
{
    return k->next - k->first;
}

static inline bool keys_is_full(const struct keys *k)
{
    return keys_count(k) >= k->max;
}

/** Find a key's journal position; 0: unknown. */
uint64_t keys_find(const struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES]);

/** Make room so that keys_put of this scope cannot fail. Errors: ERR_NOMEM. */
MUST_CHECK enum err keys_reserve(struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES]);

/** Remember a new key; room was reserved, and it is not known. Whether the index is full is for the caller to ask: what is
 *  in a file is loaded all the same. time_us never falls. */
void keys_put(struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES], uint64_t seq, int64_t time_us);

/**
 * Forget a key before its time, because it is about to be put again: in recovery, where one that had expired was used
 * again. Its entry stays in its place with seq 0, so that the numbers of the others do not change.
 */
void keys_retire(struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES]);

/** Forget the newest entries from number `next` on: the undo of keys_put. */
void keys_cut(struct keys *k, uint64_t next);

/** Forget at most `most` of the oldest entries, of segments whose newest entry is older than before_us. */
void keys_expire(struct keys *k, int64_t before_us, unsigned most);

/** Entry number i, first <= i < next; its seq is 0 where it was retired. */
const struct key_entry *keys_at(const struct keys *k, uint64_t i);

#endif

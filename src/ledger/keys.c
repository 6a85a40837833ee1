#include "ledger/keys.h"

#include "base/assert.h"
#include "base/mem.h"

struct key_segment {
    int64_t last_time_us; /* of its newest entry */
    struct key_entry entries[KEYS_SEGMENT];
};

/* Positions in the index are 32 bits and never 0; entries in the window stay far fewer, so they are unambiguous. */
#define POSITIONS UINT64_C(0xffffffff)

void keys_init(struct keys *k, uint64_t max, struct hash_key hash_key)
{
    ASSERT(max > 0 && max < POSITIONS - KEYS_SEGMENT);
    *k = (struct keys){.max = max, .hash_key = hash_key};
}

void keys_fini(struct keys *k)
{
    for (uint64_t i = 0; i < k->segment_count; i++) {
        mem_free(k->segments[i]);
    }
    mem_free(k->segments);
    index_fini(&k->index);
    *k = (struct keys){0};
}

static uint64_t hash_of(const struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES])
{
    return hash_bytes(&k->hash_key, slice_make((const char *)scope, IDEM_SCOPE_BYTES));
}

static uint32_t position_of(uint64_t i)
{
    return (uint32_t)(i % POSITIONS + 1);
}

static struct key_segment *segment_of(const struct keys *k, uint64_t i)
{
    uint64_t at = i / KEYS_SEGMENT - k->first_segment;

    ASSERT(i / KEYS_SEGMENT >= k->first_segment && at < k->segment_count);
    return k->segments[at];
}

const struct key_entry *keys_at(const struct keys *k, uint64_t i)
{
    ASSERT(i >= k->first && i < k->next);
    return &segment_of(k, i)->entries[i % KEYS_SEGMENT];
}

/* The number of a key's entry; false: unknown. */
static bool entry_find(const struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES], uint64_t *number)
{
    const uint64_t hash = hash_of(k, scope);
    struct index_cursor c = {0};
    uint32_t position;

    while ((position = index_next(&k->index, hash, &c)) != 0) {
        uint64_t i = k->first + (position - 1 + POSITIONS - k->first % POSITIONS) % POSITIONS;
        if (memcmp(keys_at(k, i)->scope, scope, IDEM_SCOPE_BYTES) == 0) {
            *number = i;
            return true;
        }
    }
    return false;
}

uint64_t keys_find(const struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES])
{
    uint64_t i;

    return entry_find(k, scope, &i) ? keys_at(k, i)->seq : 0;
}

/* Take an entry out of the index, unless it was retired from it before. */
static void entry_unlink(struct keys *k, uint64_t i)
{
    struct key_entry *entry = &segment_of(k, i)->entries[i % KEYS_SEGMENT];

    if (entry->seq != 0) {
        index_remove(&k->index, hash_of(k, entry->scope), position_of(i));
        entry->seq = 0;
    }
}

void keys_retire(struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES])
{
    uint64_t i;
    bool is_there = entry_find(k, scope, &i);

    ASSERT(is_there);
    entry_unlink(k, i);
}

enum err keys_reserve(struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES])
{
    uint64_t needed = k->next / KEYS_SEGMENT - k->first_segment + 1;

    if (needed > k->segment_cap) {
        uint64_t cap = k->segment_cap == 0 ? 16 : k->segment_cap * 2;
        struct key_segment **grown = mem_resize(k->segments, cap * sizeof(*grown));
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        k->segments = grown;
        k->segment_cap = cap;
    }
    if (needed > k->segment_count) {
        struct key_segment *segment = mem_alloc(sizeof(*segment));
        if (segment == NULL) {
            return ERR_NOMEM;
        }
        ASSERT(needed == k->segment_count + 1);
        k->segments[k->segment_count++] = segment;
    }
    return index_reserve(&k->index, hash_of(k, scope));
}

void keys_put(struct keys *k, const uint8_t scope[IDEM_SCOPE_BYTES], uint64_t seq, int64_t time_us)
{
    struct key_segment *segment = segment_of(k, k->next);
    struct key_entry *entry = &segment->entries[k->next % KEYS_SEGMENT];

    ASSERT(seq > 0);
    memcpy(entry->scope, scope, IDEM_SCOPE_BYTES);
    entry->seq = seq;
    segment->last_time_us = time_us;
    index_put(&k->index, hash_of(k, scope), position_of(k->next));
    k->next++;
}

void keys_cut(struct keys *k, uint64_t next)
{
    ASSERT(next >= k->first && next <= k->next);
    while (k->next > next) {
        entry_unlink(k, k->next - 1);
        k->next--;
    }
}

static void first_segment_drop(struct keys *k)
{
    mem_free(k->segments[0]);
    k->segment_count--;
    k->first_segment++;
    memmove(k->segments, k->segments + 1, k->segment_count * sizeof(struct key_segment *));
}

void keys_expire(struct keys *k, int64_t before_us, unsigned most)
{
    while (most-- > 0 && k->first < k->next) {
        uint64_t last = k->first / KEYS_SEGMENT * KEYS_SEGMENT + KEYS_SEGMENT - 1;
        if (segment_of(k, k->first)->last_time_us >= before_us) {
            return;
        }
        entry_unlink(k, k->first);
        if (k->first++ == last) {
            first_segment_drop(k);
        }
    }
}

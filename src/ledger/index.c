#include "ledger/index.h"

#include "base/assert.h"
#include "base/mem.h"

enum { SHARD_FIRST_SLOTS = 16 };

static struct index_shard *shard_of(const struct index *ix, uint64_t hash)
{
    return (struct index_shard *)&ix->shards[hash >> 56];
}

void index_fini(struct index *ix)
{
    for (int i = 0; i < INDEX_SHARDS; i++) {
        mem_free(ix->shards[i].slots);
        ix->shards[i] = (struct index_shard){0};
    }
}

static void slot_put(struct index_shard *s, uint64_t slot)
{
    uint32_t at = (uint32_t)(slot >> 32) & s->mask;

    while (s->slots[at] != 0) {
        at = (at + 1) & s->mask;
    }
    s->slots[at] = slot;
    s->used++;
}

enum err index_reserve(struct index *ix, uint64_t hash)
{
    struct index_shard *s = shard_of(ix, hash);
    struct index_shard grown;
    size_t count = s->slots == NULL ? 0 : (size_t)s->mask + 1;

    if (count != 0 && (size_t)s->used + 1 <= count / 4 * 3) {
        return ERR_OK;
    }
    count = count == 0 ? SHARD_FIRST_SLOTS : count * 2;
    grown = (struct index_shard){.slots = mem_alloc_array(count, sizeof(*grown.slots)),
                                 .mask = (uint32_t)(count - 1)};
    if (grown.slots == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; s->slots != NULL && i <= s->mask; i++) {
        if (s->slots[i] != 0) {
            slot_put(&grown, s->slots[i]);
        }
    }
    ASSERT(grown.used == s->used);
    mem_free(s->slots);
    *s = grown;
    return ERR_OK;
}

uint32_t index_next(const struct index *ix, uint64_t hash, struct index_cursor *c)
{
    const struct index_shard *s = shard_of(ix, hash);
    const uint32_t low = (uint32_t)hash;

    if (s->slots == NULL) {
        return 0;
    }
    if (c->steps == 0) {
        c->at = low & s->mask;
    }
    for (;;) {
        uint64_t slot = s->slots[c->at];
        ASSERT(c->steps <= s->mask); /* never full, so an empty slot ends each search */
        if (slot == 0) {
            return 0;
        }
        c->at = (c->at + 1) & s->mask;
        c->steps++;
        if ((uint32_t)(slot >> 32) == low) {
            return (uint32_t)slot;
        }
    }
}

void index_put(struct index *ix, uint64_t hash, uint32_t position)
{
    struct index_shard *s = shard_of(ix, hash);

    ASSERT(position != 0 && s->slots != NULL && s->used < s->mask);
    slot_put(s, hash << 32 | position);
}

void index_remove(struct index *ix, uint64_t hash, uint32_t position)
{
    struct index_shard *s = shard_of(ix, hash);
    const uint64_t wanted = hash << 32 | position;
    uint32_t hole = (uint32_t)hash & s->mask;
    uint32_t at;

    while (s->slots[hole] != wanted) {
        ASSERT(s->slots[hole] != 0);
        hole = (hole + 1) & s->mask;
    }
    /* close the gap: whoever was pushed past the hole moves back into it */
    for (at = (hole + 1) & s->mask; s->slots[at] != 0; at = (at + 1) & s->mask) {
        uint32_t home = (uint32_t)(s->slots[at] >> 32) & s->mask;
        if (((at - home) & s->mask) >= ((at - hole) & s->mask)) {
            s->slots[hole] = s->slots[at];
            hole = at;
        }
    }
    s->slots[hole] = 0;
    s->used--;
}

/* Storage of the book: accounts, ids, undo, recovery. What a posting means stands in judge.c. */
#include "ledger/book.h"

#include "base/assert.h"
#include "base/mem.h"
#include "ledger/book_internal.h"
#include "money/money.h"

enum { ID_CHUNK_BYTES = 256 * 1024 };

struct id_chunk {
    struct id_chunk *next;
    size_t used;
    char bytes[ID_CHUNK_BYTES];
};

enum err book_init(struct book *b, unsigned undo_max, uint64_t keys_max, struct hash_key hash_key)
{
    *b = (struct book){.hash_key = hash_key, .undo_cap = undo_max};
    keys_init(&b->keys, keys_max, hash_key);
    b->undo = mem_alloc_array(undo_max, sizeof(*b->undo));
    return b->undo == NULL ? ERR_NOMEM : ERR_OK;
}

void book_fini(struct book *b)
{
    for (uint64_t i = 0; i < b->segment_cap; i++) {
        mem_free(b->segments[i]);
    }
    mem_free(b->segments);
    while (b->ids != NULL) {
        struct id_chunk *next = b->ids->next;
        mem_free(b->ids);
        b->ids = next;
    }
    mem_free(b->dirty);
    mem_free(b->undo);
    index_fini(&b->index);
    keys_fini(&b->keys);
    *b = (struct book){0};
}

enum err book_fx_init(struct book_fx *fx, unsigned record_max)
{
    *fx = (struct book_fx){.record_cap = record_max, .mark_cap = 2 * record_max};
    fx->records = mem_alloc_array(fx->record_cap, sizeof(*fx->records));
    fx->marks = mem_alloc_array(fx->mark_cap, sizeof(*fx->marks));
    if (fx->records == NULL || fx->marks == NULL) {
        book_fx_fini(fx);
        return ERR_NOMEM;
    }
    return ERR_OK;
}

void book_fx_fini(struct book_fx *fx)
{
    mem_free(fx->records);
    mem_free(fx->marks);
    *fx = (struct book_fx){0};
}

struct account *book_account_mutable(struct book *b, uint64_t no)
{
    ASSERT(no >= 1 && no <= b->account_count);
    return &b->segments[(no - 1) / BOOK_SEGMENT][(no - 1) % BOOK_SEGMENT];
}

const struct account *book_account(const struct book *b, uint64_t no)
{
    ASSERT(no >= 1 && no <= b->account_count);
    return &b->segments[(no - 1) / BOOK_SEGMENT][(no - 1) % BOOK_SEGMENT];
}

/* Grow the table of segments, and the bits beside it, to hold one account more. */
static enum err segment_reserve(struct book *b, uint64_t at)
{
    if (at >= b->segment_cap) {
        uint64_t cap = b->segment_cap == 0 ? 4 : b->segment_cap * 2;
        struct account **segments = mem_resize(b->segments, cap * sizeof(struct account *));
        uint64_t *dirty;
        if (segments == NULL) {
            return ERR_NOMEM;
        }
        b->segments = segments;
        dirty = mem_resize(b->dirty, cap * BOOK_SEGMENT / 8);
        if (dirty == NULL) {
            return ERR_NOMEM;
        }
        b->dirty = dirty;
        memset(segments + b->segment_cap, 0, (cap - b->segment_cap) * sizeof(struct account *));
        memset(dirty + b->dirty_cap / 64, 0, (cap * BOOK_SEGMENT - b->dirty_cap) / 8);
        b->segment_cap = cap;
        b->dirty_cap = cap * BOOK_SEGMENT;
    }
    if (b->segments[at] == NULL) {
        b->segments[at] = mem_alloc_array(BOOK_SEGMENT, sizeof(struct account));
    }
    return b->segments[at] == NULL ? ERR_NOMEM : ERR_OK;
}

enum err book_accounts_reserve(struct book *b, unsigned count)
{
    const size_t id_bytes = (size_t)count * LEDGER_ACCOUNT_ID_BYTES_MAX;
    uint64_t last = (b->account_count + count) / BOOK_SEGMENT;

    ASSERT(id_bytes <= ID_CHUNK_BYTES);
    if (b->account_count + count > BOOK_ACCOUNTS_MAX) {
        return ERR_NOMEM;
    }
    for (uint64_t at = b->account_count / BOOK_SEGMENT; at <= last; at++) {
        enum err e = segment_reserve(b, at);
        if (e != ERR_OK) {
            return e;
        }
    }
    if (b->ids == NULL || ID_CHUNK_BYTES - b->ids->used < id_bytes) {
        struct id_chunk *chunk = mem_alloc(sizeof(*chunk));
        if (chunk == NULL) {
            return ERR_NOMEM;
        }
        chunk->next = b->ids;
        b->ids = chunk;
    }
    return ERR_OK;
}

static struct slice id_of(const struct account *a)
{
    return slice_make(a->id, a->id_len);
}

static bool is_world(struct slice id)
{
    return slice_equal(id, LEDGER_WORLD);
}

uint64_t book_lookup(const struct book *b, struct slice id, struct currency c)
{
    struct index_cursor cursor = {0};
    uint64_t hash;
    uint32_t no;

    if (is_world(id)) {
        for (unsigned i = 0; i < b->world_count; i++) {
            if (b->worlds[i].currency == c.code) {
                return b->worlds[i].no;
            }
        }
        return 0;
    }
    hash = hash_bytes(&b->hash_key, id);
    while ((no = index_next(&b->index, hash, &cursor)) != 0) {
        if (slice_equal(id_of(book_account(b, no)), id)) {
            return no;
        }
    }
    return 0;
}

enum err book_id_reserve(struct book *b, struct slice id)
{
    return index_reserve(&b->index, hash_bytes(&b->hash_key, id));
}

uint64_t book_account_add(struct book *b, const struct account *a)
{
    struct account *slot;
    char *id;

    ASSERT(a->id_len >= 1 && a->id_len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    ASSERT(b->ids != NULL && ID_CHUNK_BYTES - b->ids->used >= a->id_len);
    id = b->ids->bytes + b->ids->used;
    memcpy(id, a->id, a->id_len);
    b->ids->used += a->id_len;
    b->account_count++;
    slot = book_account_mutable(b, b->account_count);
    *slot = *a;
    slot->id = id;
    if (is_world(id_of(slot))) {
        ASSERT(b->world_count < BOOK_CURRENCIES_MAX);
        b->worlds[b->world_count++] =
            (struct book_world){.currency = a->currency, .no = b->account_count};
    } else {
        index_put(&b->index, hash_bytes(&b->hash_key, id_of(slot)), (uint32_t)b->account_count);
    }
    return b->account_count;
}

void book_account_pop(struct book *b)
{
    struct account *a = book_account_mutable(b, b->account_count);

    if (is_world(id_of(a))) {
        ASSERT(b->worlds[b->world_count - 1].no == b->account_count);
        b->world_count--;
    } else {
        index_remove(&b->index, hash_bytes(&b->hash_key, id_of(a)), (uint32_t)b->account_count);
    }
    if (b->ids->used >= a->id_len && b->ids->bytes + b->ids->used - a->id_len == a->id) {
        b->ids->used -= a->id_len;
    }
    book_dirty_set(b, b->account_count, false);
    *a = (struct account){0};
    b->account_count--;
}

struct book_point book_point_get(const struct book *b, const struct book_fx *fx)
{
    return (struct book_point){
        .account_count = b->account_count,
        .last_seq = b->last_seq,
        .key_next = b->keys.next,
        .last_time_us = b->last_time_us,
        .undo_count = b->undo_count,
        .record_count = fx->record_count,
        .mark_count = fx->mark_count,
        .world_count = b->world_count,
    };
}

void book_undo(struct book *b, struct book_fx *fx, const struct book_point *to)
{
    ASSERT(to->undo_count <= b->undo_count && to->account_count <= b->account_count);
    while (b->undo_count > to->undo_count) {
        const struct book_undo_entry *entry = &b->undo[--b->undo_count];
        *book_account_mutable(b, entry->no) = entry->before;
    }
    while (b->account_count > to->account_count) {
        book_account_pop(b);
    }
    ASSERT(b->world_count == to->world_count);
    keys_cut(&b->keys, to->key_next);
    b->last_seq = to->last_seq;
    b->last_time_us = to->last_time_us;
    fx->record_count = to->record_count;
    fx->mark_count = to->mark_count;
}

void book_commit(struct book *b, struct book_fx *fx)
{
    b->undo_count = 0;
    fx->record_count = 0;
    fx->mark_count = 0;
}

void book_view(const struct book *b, uint64_t no, struct account_view *view)
{
    const struct account *a = book_account(b, no);

    *view = (struct account_view){
        .id = id_of(a),
        .currency = {a->currency},
        .exponent = a->exponent,
        .status = (enum account_status)a->status,
        .balance = a->balance,
        .held = a->held,
        .overdraft = a->overdraft,
        .version = a->version,
        .created_us = a->created_us,
        .updated_us = a->updated_us,
        .metadata_seq = a->metadata_seq,
        .last_seq = a->last_seq,
        .entries = a->entries,
        .no = no,
    };
}

bool book_find(const struct book *b, struct slice id, struct account_view *view)
{
    uint64_t no = is_world(id) ? 0 : book_lookup(b, id, (struct currency){0});

    if (no == 0) {
        return false;
    }
    book_view(b, no, view);
    return true;
}

/* Each number by itself first, so that the last sum cannot overflow. */
static bool is_within_bounds(const struct account *a)
{
    if (is_world(id_of(a))) {
        return a->held == 0 && a->overdraft == 0;
    }
    return a->balance >= -MONEY_MINOR_MAX && a->balance <= MONEY_MINOR_MAX && a->overdraft >= 0 &&
           a->overdraft <= MONEY_MINOR_MAX && a->held >= 0 && a->held <= BOOK_HELD_MAX &&
           a->balance - a->held + a->overdraft >= 0;
}

enum err book_check(const struct book *b, uint64_t *bad_no)
{
    __int128 sums[BOOK_CURRENCIES_MAX] = {0}; /* a billion accounts of 15 digits pass int64 */
    unsigned world = 0;                       /* neighbours mostly share their currency */

    for (uint64_t no = 1; no <= b->account_count; no++) {
        const struct account *a = book_account(b, no);
        for (unsigned i = 0; i < b->world_count && b->worlds[world].currency != a->currency; i++) {
            world = (world + 1) % b->world_count;
        }
        if (b->world_count == 0 || b->worlds[world].currency != a->currency || !is_within_bounds(a)) {
            *bad_no = no;
            return ERR_CORRUPT;
        }
        sums[world] += a->balance;
    }
    *bad_no = 0;
    for (unsigned i = 0; i < b->world_count; i++) {
        if (sums[i] != 0) {
            return ERR_CORRUPT;
        }
    }
    return ERR_OK;
}

uint64_t book_dirty_next(const struct book *b, uint64_t from, uint64_t most, uint64_t *next)
{
    uint64_t at = from - 1;
    uint64_t end = b->account_count - at < most ? b->account_count : at + most;

    ASSERT(from >= 1 && from <= b->account_count + 1);
    while (at < end) {
        uint64_t word = b->dirty[at / 64] >> (at % 64);
        if (word != 0) {
            at += (uint64_t)__builtin_ctzll(word);
            if (at >= end) {
                break;
            }
            *next = at + 1 < b->account_count ? at + 2 : 0;
            return at + 1;
        }
        at = (at / 64 + 1) * 64;
    }
    *next = end < b->account_count ? end + 1 : 0;
    return 0;
}

void book_dirty_set(struct book *b, uint64_t no, bool is_dirty)
{
    uint64_t bit = UINT64_C(1) << ((no - 1) % 64);

    ASSERT(no >= 1 && no <= b->dirty_cap);
    if (is_dirty) {
        b->dirty[(no - 1) / 64] |= bit;
    } else {
        b->dirty[(no - 1) / 64] &= ~bit;
    }
}

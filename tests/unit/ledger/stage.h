/* What every test of the book needs: a book with an effects list, the journal it would have made, and a hash of its state. */
#ifndef UNIT_LEDGER_STAGE_H
#define UNIT_LEDGER_STAGE_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "ledger/book.h"

enum {
    STAGE_RECORDS = 700, /* two postings of a hundred legs fill a batch */
    STAGE_UNDO = 1400,
    STAGE_BYTES_MAX = 1 << 30,
};

static const struct hash_key stage_hash_key = {UINT64_C(0x0123456789abcdef),
                                               UINT64_C(0xfedcba9876543210)};

/* The journal: durable records and marks, with blobs of their own. */
struct tape {
    struct record *records;
    struct book_mark *marks;
    size_t count, cap, mark_count, mark_cap;
    struct arena blobs;
};

struct stage {
    struct book b;
    struct book_fx fx;
    struct tape tape;
    struct arena arena; /* for postings; what they borrow lives until the commit */
    int64_t now_us;
};

static inline void tape_init(struct tape *t)
{
    *t = (struct tape){0};
    arena_init(&t->blobs, STAGE_BYTES_MAX);
}

static inline void tape_fini(struct tape *t)
{
    mem_free(t->records);
    mem_free(t->marks);
    arena_fini(&t->blobs);
    *t = (struct tape){0};
}

static inline struct slice tape_keep(struct tape *t, struct slice s)
{
    struct slice kept = SLICE_NONE;
    enum err e = s.len == 0 ? ERR_OK : arena_copy(&t->blobs, s, &kept);

    ASSERT(e == ERR_OK);
    return kept;
}

static inline void tape_append(struct tape *t, const struct book_fx *fx)
{
    while (t->cap < t->count + fx->record_count) {
        t->cap = t->cap == 0 ? 1024 : t->cap * 2;
        t->records = mem_resize(t->records, t->cap * sizeof(*t->records));
        ASSERT(t->records != NULL);
    }
    while (t->mark_cap < t->mark_count + fx->mark_count) {
        t->mark_cap = t->mark_cap == 0 ? 64 : t->mark_cap * 2;
        t->marks = mem_resize(t->marks, t->mark_cap * sizeof(*t->marks));
        ASSERT(t->marks != NULL);
    }
    for (unsigned i = 0; i < fx->record_count; i++) {
        struct record *r = &t->records[t->count++];
        *r = fx->records[i];
        r->idem = tape_keep(t, r->idem);
        r->extra = tape_keep(t, r->extra);
    }
    for (unsigned i = 0; i < fx->mark_count; i++) {
        t->marks[t->mark_count++] = fx->marks[i];
    }
}

static inline void stage_init_with(struct stage *s, unsigned records, unsigned undo, uint64_t keys_max)
{
    enum err e = book_init(&s->b, undo, keys_max, stage_hash_key);

    ASSERT(e == ERR_OK);
    e = book_fx_init(&s->fx, records);
    ASSERT(e == ERR_OK);
    tape_init(&s->tape);
    arena_init(&s->arena, STAGE_BYTES_MAX);
    s->now_us = 1000000;
}

static inline void stage_init(struct stage *s)
{
    stage_init_with(s, STAGE_RECORDS, STAGE_UNDO, 1000);
}

static inline void stage_fini(struct stage *s)
{
    book_fini(&s->b);
    book_fx_fini(&s->fx);
    tape_fini(&s->tape);
    arena_fini(&s->arena);
}

static inline void stage_commit(struct stage *s)
{
    tape_append(&s->tape, &s->fx);
    book_commit(&s->b, &s->fx);
}

static inline enum outcome stage_apply(struct stage *s, const struct posting *p,
                                       struct posting_result *out)
{
    enum err e = book_reserve(&s->b, p, &s->fx);

    if (e == ERR_FULL) {
        stage_commit(s);
        e = book_reserve(&s->b, p, &s->fx);
    }
    ASSERT(e == ERR_OK);
    return book_apply(&s->b, p, s->now_us++, &s->fx, out);
}

/* ---- a hash of everything that a book is ---- */

static inline void hash_more(uint64_t *hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        *hash = (*hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    }
}

static inline void hash_number(uint64_t *hash, uint64_t number)
{
    hash_more(hash, &number, sizeof(number));
}

static inline void hash_account(uint64_t *hash, const struct book *b, uint64_t no)
{
    const struct account *a = book_account(b, no);
    struct account_view view;
    const bool is_found = book_find(b, slice_make(a->id, a->id_len), &view);

    hash_more(hash, a->id, a->id_len);
    hash_number(hash, (uint64_t)a->balance);
    hash_number(hash, (uint64_t)a->held);
    hash_number(hash, (uint64_t)a->overdraft);
    hash_number(hash, a->version);
    hash_number(hash, a->entries);
    hash_number(hash, a->last_seq);
    hash_number(hash, a->metadata_seq);
    hash_number(hash, (uint64_t)a->created_us);
    hash_number(hash, (uint64_t)a->updated_us);
    hash_number(hash, a->currency);
    hash_number(hash, (uint64_t)a->id_len << 16 | (uint64_t)a->exponent << 8 | a->status);
    hash_number(hash, is_found ? view.no : 0);
    ASSERT(is_found ? view.no == no : slice_equal(slice_make(a->id, a->id_len), LEDGER_WORLD));
}

static inline uint64_t index_used(const struct index *ix)
{
    uint64_t used = 0;

    for (int i = 0; i < INDEX_SHARDS; i++) {
        used += ix->shards[i].used;
    }
    return used;
}

/* Accounts, the index, worlds, keys, position and time. Not the marks of what is dirty: an undo may leave more of them. */
static inline uint64_t book_hash(const struct book *b)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    hash_number(&hash, b->account_count);
    for (uint64_t no = 1; no <= b->account_count; no++) {
        hash_account(&hash, b, no);
    }
    hash_number(&hash, index_used(&b->index));
    hash_number(&hash, b->world_count);
    for (unsigned i = 0; i < b->world_count; i++) {
        hash_number(&hash, b->worlds[i].currency);
        hash_number(&hash, b->worlds[i].no);
    }
    hash_number(&hash, b->keys.first);
    hash_number(&hash, b->keys.next);
    hash_number(&hash, index_used(&b->keys.index));
    for (uint64_t i = b->keys.first; i < b->keys.next; i++) {
        const struct key_entry *entry = keys_at(&b->keys, i);
        hash_more(&hash, entry->scope, sizeof(entry->scope));
        hash_number(&hash, entry->seq);
        ASSERT(keys_find(&b->keys, entry->scope) == entry->seq);
    }
    hash_number(&hash, b->last_seq);
    hash_number(&hash, (uint64_t)b->last_time_us);
    return hash;
}

/* Make an empty book live through a journal again, keys included. */
static inline enum err tape_replay(const struct tape *t, struct book *b)
{
    for (size_t i = 0; i < t->count; i++) {
        struct idem idem;
        enum err e = book_replay(b, &t->records[i], 0, 0);
        if (e == ERR_OK && t->records[i].idem.len > 0) {
            e = record_idem_decode(t->records[i].idem, &idem);
            if (e == ERR_OK) {
                e = keys_reserve(&b->keys, idem.scope);
            }
            if (e == ERR_OK) {
                keys_put(&b->keys, idem.scope, t->records[i].seq, t->records[i].time_us);
            }
        }
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

/* ---- words for postings ---- */

static inline struct decimal dec(const char *text)
{
    struct decimal d;
    enum err e = decimal_parse(slice_of(text), &d);

    ASSERT(e == ERR_OK);
    return d;
}

static inline struct currency cur(const char *text)
{
    struct currency c;
    enum err e = currency_parse(slice_of(text), &c);

    ASSERT(e == ERR_OK);
    return c;
}

static inline struct posting stage_credit(struct stage *s, const char *id, const char *amount)
{
    const struct posting_words words = {.open_currency = cur("CNY"), .may_open = true};
    struct posting p;
    enum err e = posting_credit(&s->arena, slice_of(id), dec(amount), &words, &p);

    ASSERT(e == ERR_OK);
    return p;
}

static inline struct posting stage_debit(struct stage *s, const char *id, const char *amount)
{
    const struct posting_words words = {.open_currency = cur("CNY")};
    struct posting p;
    enum err e = posting_debit(&s->arena, slice_of(id), dec(amount), &words, &p);

    ASSERT(e == ERR_OK);
    return p;
}

static inline struct posting stage_transfer(struct stage *s, const char *from, const char *to,
                                            const char *amount)
{
    const struct posting_words words = {.open_currency = cur("CNY")};
    struct posting p;
    enum err e = posting_transfer(&s->arena, slice_of(from), slice_of(to), dec(amount), &words, &p);

    ASSERT(e == ERR_OK);
    return p;
}

static inline struct posting stage_open(struct stage *s, const char *id, const char *currency,
                                        const char *overdraft)
{
    const struct posting_words words = {.currency = cur(currency), .open_currency = cur("CNY")};
    struct posting p;
    enum err e = posting_open(&s->arena, slice_of(id), dec(overdraft), &words, &p);

    ASSERT(e == ERR_OK);
    return p;
}

/* A key that is all of one letter; the fingerprint likewise. */
static inline struct idem stage_key(char scope, char fingerprint)
{
    struct idem idem = {.field_count = 2, .field_tags = {1, 2}};

    memset(idem.scope, scope, sizeof(idem.scope));
    memset(idem.fingerprint, fingerprint, sizeof(idem.fingerprint));
    return idem;
}

/* Apply and expect. */
static inline struct posting_result stage_must(struct stage *s, struct posting p, enum outcome wanted)
{
    struct posting_result out;
    enum outcome got = stage_apply(s, &p, &out);

    ASSERT(got == wanted && out.outcome == wanted);
    return out;
}

static inline struct account_view stage_view(const struct stage *s, const char *id)
{
    struct account_view view;
    bool is_found = book_find(&s->b, slice_of(id), &view);

    ASSERT(is_found);
    return view;
}

/* Load an account with any state, behind the back of every guard; the world of its currency is made first. */
static inline void stage_load(struct stage *s, const char *id, const char *currency,
                              struct account row)
{
    struct account world = {
        .id = "@world", .id_len = 6, .version = 1, .created_us = 1, .updated_us = 1};
    unsigned exponent = 0;
    enum err e = currency_exponent(cur(currency), &exponent);
    bool has_world = false;

    ASSERT(e == ERR_OK);
    for (unsigned i = 0; i < s->b.world_count; i++) {
        has_world |= s->b.worlds[i].currency == cur(currency).code;
    }
    if (!has_world) {
        world.currency = cur(currency).code;
        world.exponent = (uint8_t)exponent;
        e = book_load(&s->b, &world);
        ASSERT(e == ERR_OK);
    }
    row.id = id;
    row.id_len = (uint8_t)strlen(id);
    row.currency = cur(currency).code;
    row.exponent = (uint8_t)exponent;
    row.version = row.version == 0 ? 1 : row.version;
    e = book_load(&s->b, &row);
    ASSERT(e == ERR_OK);
}

#endif

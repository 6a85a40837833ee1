/* One bucket's journal, folded: what its accounts and its @world must be. */
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "money/money.h"
#include "store/redis/verify_internal.h"

static const int64_t held_max = 2 * MONEY_MINOR_MAX;

static enum err bad(struct verifier *v, const struct entry *e, const char *what)
{
    const struct names_key key = names_journal(v->fold.bucket);

    return offline_bad(v->o, SLICE_FORMAT ", entry %lld-%u: %s", SLICE_ARGS(names_slice(&key)),
                       (long long)e->time_us, e->sub, what);
}

static enum err no_memory(struct verifier *v)
{
    err_text_set(v->why, "out of memory");
    return ERR_NOMEM;
}

/* ---- hashes ---- */

uint64_t fold_chain(const struct verifier *v, uint64_t before, struct slice more)
{
    uint8_t bytes[8 + LEDGER_ACCOUNT_ID_BYTES_MAX];

    ASSERT(more.len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    bytes_put_u64(bytes, before);
    memcpy(bytes + 8, more.ptr, more.len);
    return hash_bytes(&v->keys[0], slice_make((const char *)bytes, 8 + more.len));
}

size_t fold_mark(enum record_kind kind, int64_t time_us, char out[24])
{
    int len = snprintf(out, 24, "%d%016lld", (int)kind, (long long)time_us);

    ASSERT(len == 17);
    return (size_t)len;
}

static void words_append(struct buf *b, struct slice s)
{
    buf_append_byte(b, s.ptr == NULL ? '-' : '+');
    buf_append_u64(b, s.len);
    buf_append_byte(b, ':');
    buf_append_slice(b, s);
}

enum err fold_hash(struct verifier *v, const struct entry *e, struct fold_sum *out)
{
    struct buf *b = &v->bytes;

    buf_clear(b);
    buf_append_format(b, "%d %lld %u %u %u %u", (int)e->kind, (long long)e->time_us, e->lead,
                      e->currency.code, e->exponent, e->leg_count);
    for (unsigned i = 0; i < e->leg_count; i++) {
        const struct entry_leg *leg = &e->legs[i];
        words_append(b, leg->account);
        buf_append_format(b, " %lld %lld %lld", (long long)leg->delta, (long long)leg->held,
                          (long long)leg->balance);
    }
    words_append(b, e->reference);
    words_append(b, e->metadata);
    if (b->err != ERR_OK) {
        return no_memory(v);
    }
    *out = (struct fold_sum){hash_bytes(&v->keys[0], buf_slice(b)),
                             hash_bytes(&v->keys[1], buf_slice(b))};
    return ERR_OK;
}

/* ---- accounts ---- */

void fold_begin(struct fold *f, unsigned bucket)
{
    f->bucket = bucket;
    f->seq = 0;
    f->time_us = 0;
    f->sub = 0;
    f->account_count = 0;
    f->opened_hash = 0;
    f->world_count = 0;
    if (f->slots != NULL) {
        memset(f->slots, 0, f->slot_count * sizeof(*f->slots));
    }
}

void fold_fini(struct fold *f)
{
    mem_free(f->accounts);
    mem_free(f->slots);
    *f = (struct fold){.bucket = 0};
}

static uint64_t slot_of(const struct verifier *v, struct slice id)
{
    return hash_bytes(&v->keys[1], id) & (v->fold.slot_count - 1);
}

struct fold_account *fold_find(const struct verifier *v, struct slice id)
{
    const struct fold *f = &v->fold;

    if (f->account_count == 0) {
        return NULL;
    }
    for (uint64_t at = slot_of(v, id); f->slots[at] != 0; at = (at + 1) & (f->slot_count - 1)) {
        struct fold_account *a = &f->accounts[f->slots[at] - 1];
        if (slice_equal(slice_make(a->id, a->id_len), id)) {
            return a;
        }
    }
    return NULL;
}

static void slot_put(struct verifier *v, uint64_t number)
{
    struct fold *f = &v->fold;
    const struct fold_account *a = &f->accounts[number - 1];
    uint64_t at = slot_of(v, slice_make(a->id, a->id_len));

    while (f->slots[at] != 0) {
        at = (at + 1) & (f->slot_count - 1);
    }
    f->slots[at] = (uint32_t)number;
}

/* Room for one account more, at most half of the slots in use. */
static enum err grow(struct verifier *v)
{
    struct fold *f = &v->fold;
    uint64_t cap = f->account_cap == 0 ? 64 : f->account_cap * 2;
    struct fold_account *accounts;
    uint32_t *slots;

    if (f->account_count < f->account_cap) {
        return ERR_OK;
    }
    if (cap > UINT32_MAX / 2 ||
        (accounts = mem_resize(f->accounts, cap * sizeof(*accounts))) == NULL) {
        return no_memory(v);
    }
    f->accounts = accounts;
    slots = mem_alloc_array(2 * cap, sizeof(*slots));
    if (slots == NULL) {
        return no_memory(v);
    }
    mem_free(f->slots);
    f->slots = slots;
    f->slot_count = 2 * cap;
    f->account_cap = cap;
    for (uint64_t n = 1; n <= f->account_count; n++) {
        slot_put(v, n);
    }
    return ERR_OK;
}

static enum err id_note(struct verifier *v, struct slice id)
{
    if (v->id_count == v->id_cap) {
        size_t cap = v->id_cap == 0 ? 4096 : v->id_cap * 2;
        uint64_t *grown = mem_resize(v->ids, cap * sizeof(*grown));
        if (grown == NULL) {
            return no_memory(v);
        }
        v->ids = grown;
        v->id_cap = cap;
    }
    v->ids[v->id_count++] = hash_bytes(&v->keys[0], id);
    return ERR_OK;
}

static struct fold_world *world_find(struct fold *f, struct currency c)
{
    for (unsigned i = 0; i < f->world_count; i++) {
        if (f->worlds[i].currency == c.code) {
            return &f->worlds[i];
        }
    }
    return NULL;
}

static enum err open_world(struct verifier *v, const struct entry *e)
{
    struct fold *f = &v->fold;

    if (world_find(f, e->currency) != NULL || f->world_count == VERIFY_CURRENCIES_MAX) {
        return bad(v, e, "@world is opened again");
    }
    f->worlds[f->world_count++] = (struct fold_world){.currency = e->currency.code};
    return ERR_OK;
}

static enum err open_take(struct verifier *v, const struct entry *e)
{
    const struct slice id = e->legs[0].account;
    struct fold *f = &v->fold;
    struct fold_account *a;
    enum err err;

    if (slice_equal(id, LEDGER_WORLD)) {
        return open_world(v, e);
    }
    if (names_bucket(id, v->o->marks.buckets) != f->bucket) {
        return bad(v, e, "it opens an account of another bucket");
    }
    if (fold_find(v, id) != NULL) {
        return bad(v, e, "it opens an account that there is already");
    }
    if ((err = grow(v)) != ERR_OK || (err = id_note(v, id)) != ERR_OK) {
        return err;
    }
    a = &f->accounts[f->account_count++];
    *a = (struct fold_account){
        .id_len = (uint8_t)id.len,
        .exponent = (uint8_t)e->exponent,
        .currency = e->currency.code,
        .overdraft = e->legs[0].delta,
        .created_us = e->time_us,
        .updated_us = e->time_us,
        .version = 1,
        .metadata_seq = e->metadata.ptr == NULL ? 0 : e->seq,
        .metadata_hash = e->metadata.ptr == NULL ? 0 : hash_bytes(&v->keys[0], e->metadata)};
    memcpy(a->id, id.ptr, id.len);
    slot_put(v, f->account_count);
    f->opened_hash = fold_chain(v, f->opened_hash, id);
    return ERR_OK;
}

/* ---- movements ---- */

static enum err world_take(struct verifier *v, const struct entry *e, const struct entry_leg *leg)
{
    struct fold_world *world = world_find(&v->fold, e->currency);

    if (world == NULL) {
        return bad(v, e, "@world was not opened in this currency");
    }
    if (!money_add(world->balance, leg->delta, &world->balance) || world->balance != leg->balance) {
        return bad(v, e, "the balance after it is not the sum, of @world");
    }
    return ERR_OK;
}

static enum err leg_take(struct verifier *v, const struct entry *e, const struct entry_leg *leg)
{
    struct fold_account *a = fold_find(v, leg->account);
    char mark[24];
    size_t len;

    if (a == NULL) {
        return bad(v, e, "it moves an account that was not opened");
    }
    if (a->currency != e->currency.code || a->exponent != e->exponent) {
        return bad(v, e, "its currency is not that of its account");
    }
    a->balance += leg->delta; /* both of at most 15 digits */
    a->held += leg->held;
    if (a->balance != leg->balance) {
        return bad(v, e, "the balance after it is not the sum, of an account");
    }
    if (a->held < 0 || a->held > held_max) {
        return bad(v, e, "what is held after it cannot be, of an account");
    }
    a->version++;
    a->entries++;
    a->last_seq = e->seq;
    a->updated_us = e->time_us;
    len = fold_mark(e->kind, e->time_us, mark);
    a->history_hash = fold_chain(v, a->history_hash, slice_make(mark, len));
    return ERR_OK;
}

/* What a posting of several buckets adds to its home's sum: as often as it must stand elsewhere, less where it does. */
static enum err cross_add(struct verifier *v, const struct entry *e, unsigned home, unsigned others)
{
    struct fold_sum hash, *sum = &v->cross[home];
    enum err err = fold_hash(v, e, &hash);

    if (err != ERR_OK) {
        return err;
    }
    if (home == v->fold.bucket) {
        sum->a += hash.a * others;
        sum->b += hash.b * others;
    } else {
        sum->a -= hash.a;
        sum->b -= hash.b;
    }
    return ERR_OK;
}

static enum err movement_take(struct verifier *v, const struct entry *e)
{
    const unsigned buckets = v->o->marks.buckets;
    unsigned involved[LEDGER_LEGS_MAX], count, own = 0;
    unsigned home;
    enum err err = ERR_OK;

    if (slice_equal(e->legs[0].account, LEDGER_WORLD)) {
        return bad(v, e, "@world leads it");
    }
    home = offline_home(e, buckets);
    if (!v->o->is_moved && e->lead != home) {
        return bad(v, e, "its tag is not the bucket of its first account");
    }
    for (unsigned i = 0; err == ERR_OK && i < e->leg_count; i++) {
        const struct entry_leg *leg = &e->legs[i];
        const bool is_world = slice_equal(leg->account, LEDGER_WORLD);
        if ((is_world ? home : names_bucket(leg->account, buckets)) == v->fold.bucket) {
            err = is_world ? world_take(v, e, leg) : leg_take(v, e, leg);
            own++;
        }
    }
    if (err == ERR_OK && own == 0) {
        return bad(v, e, "none of its accounts is of this bucket");
    }
    count = offline_involved(e, buckets, involved);
    return err == ERR_OK && count > 1 ? cross_add(v, e, home, count - 1) : err;
}

enum err fold_take(struct verifier *v, const struct entry *e)
{
    struct fold *f = &v->fold;
    enum err err;

    if (e->seq != f->seq + 1) {
        err = bad(v, e, "its number does not follow the one before it");
        return err;
    }
    if (f->seq > 0 && e->time_us == f->time_us ? e->sub != f->sub + 1
                                               : e->time_us < f->time_us || e->sub != 0) {
        return bad(v, e, "its id does not follow the one before it");
    }
    switch (e->kind) {
    case RECORD_OPEN:
        err = open_take(v, e);
        break;
    case RECORD_REFUSAL:
        err = !v->o->is_moved && e->lead != f->bucket
                  ? bad(v, e, "it is the refusal of another bucket")
                  : ERR_OK;
        break;
    default:
        err = movement_take(v, e);
        break;
    }
    f->seq = e->seq;
    f->time_us = e->time_us;
    f->sub = e->sub;
    return err;
}

/*
 * The proof: bucket by bucket the journal is folded and the server's keys are compared with the fold; then what no bucket can
 * know alone: each currency's sum, postings of several buckets, keys that are nobody's.
 */
#include "store/redis/verify.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "store/redis/answer.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"
#include "store/redis/verify_internal.h"

enum { HASHED_BYTES_MAX = 1 << 20 };

/* ---- one bucket ---- */

static enum err total_add(struct verifier *v, uint32_t currency, int64_t balance)
{
    unsigned i = 0;

    while (i < v->total_count && v->totals[i].currency != currency) {
        i++;
    }
    if (i == VERIFY_CURRENCIES_MAX) {
        return offline_bad(v->o, "there are too many currencies");
    }
    if (i == v->total_count) {
        v->totals[v->total_count++] = (struct verify_total){.currency = currency};
    }
    v->totals[i].sum += balance;
    return ERR_OK;
}

/* What the bucket comes to at the moment that all of them are of. */
static enum err bucket_sum(struct verifier *v)
{
    const struct fold *f = &v->fold;
    enum err e = ERR_OK;

    for (uint64_t i = 0; e == ERR_OK && i < f->account_count; i++) {
        e = total_add(v, f->accounts[i].currency, f->accounts[i].balance);
    }
    for (unsigned i = 0; e == ERR_OK && i < f->world_count; i++) {
        e = total_add(v, f->worlds[i].currency, f->worlds[i].balance);
    }
    v->report->accounts += f->account_count;
    v->report->entries += f->seq;
    v->report->used_buckets += f->seq > 0;
    return e;
}

static enum err bucket_verify(struct verifier *v, unsigned bucket)
{
    struct fold_sum *saved;
    struct scroll scroll;
    enum err e = offline_tick(v->o);

    fold_begin(&v->fold, bucket);
    scroll_init(&scroll, v->o, bucket, v->o->ends[bucket].seq, OFFLINE_PAGE);
    while (e == ERR_OK) {
        struct entry entry;
        arena_reset(&v->arena);
        e = scroll_next(&scroll, &v->arena, &entry);
        if (e == ERR_OK) {
            e = fold_take(v, &entry);
        }
    }
    if (e == ERR_NOT_FOUND) {
        e = bucket_sum(v);
    }
    if (e == ERR_OK) { /* what comes behind the moment stands in other buckets that were read before */
        saved = v->cross;
        v->cross = v->cross_later;
        e = verify_bucket_keys(v, &scroll);
        v->cross = saved;
    }
    scroll_fini(&scroll);
    return e;
}

/* ---- postings of several buckets ---- */

/* Does this posting stand alike in a bucket? */
static enum err copy_find(struct verifier *v, const struct entry *wanted, unsigned bucket, bool *found)
{
    const struct names_key key = names_journal(bucket);
    struct offline *o = v->o;
    struct fold_sum hash, other;
    redisReply *r = NULL;
    enum err e = fold_hash(v, wanted, &hash);

    *found = false;
    if (e != ERR_OK) {
        return e;
    }
    resp_begin(&o->out, 4);
    resp_text(&o->out, "XRANGE");
    resp_word(&o->out, names_slice(&key));
    resp_i64(&o->out, wanted->time_us);
    resp_i64(&o->out, wanted->time_us);
    e = offline_ask(o, &r);
    for (size_t i = 0; e == ERR_OK && !*found && r->type == REDIS_REPLY_ARRAY && i < r->elements;
         i++) {
        struct entry entry;
        e = entry_read_element(r->element[i], &v->arena, &entry);
        if (e == ERR_OK && entry.kind != RECORD_REFUSAL) {
            e = fold_hash(v, &entry, &other);
            *found = e == ERR_OK && hash.a == other.a && hash.b == other.b;
        }
    }
    if (r != NULL) {
        sync_free(r);
    }
    return e;
}

/* One posting that is led by a bucket, as it stands in another or the same: is it in all the others? */
static enum err copies_check(struct verifier *v, const struct entry *e, unsigned bucket)
{
    unsigned involved[LEDGER_LEGS_MAX];
    const unsigned count = offline_involved(e, v->o->marks.buckets, involved);

    for (unsigned i = 0; i < count; i++) {
        const struct names_key here = names_journal(bucket), there = names_journal(involved[i]);
        bool found = true;
        enum err err = involved[i] == bucket ? ERR_OK : copy_find(v, e, involved[i], &found);
        if (err != ERR_OK) {
            return err;
        }
        if (!found) {
            return offline_bad(
                v->o, SLICE_FORMAT ", entry %lld-%u: it does not stand alike in " SLICE_FORMAT,
                SLICE_ARGS(names_slice(&here)), (long long)e->time_us, e->sub,
                SLICE_ARGS(names_slice(&there)));
        }
    }
    return ERR_OK;
}

/* Look through a bucket's journal for a posting, led by `home`, that is not alike everywhere. */
static enum err name_in(struct verifier *v, unsigned bucket, unsigned home)
{
    struct scroll scroll;
    enum err e = ERR_OK;

    scroll_init(&scroll, v->o, bucket, v->o->ends[bucket].seq, OFFLINE_PAGE);
    while (e == ERR_OK) {
        struct entry entry;
        arena_reset(&v->arena);
        e = scroll_next(&scroll, &v->arena, &entry);
        if (e == ERR_OK && entry.kind != RECORD_OPEN && entry.kind != RECORD_REFUSAL &&
            offline_home(&entry, v->o->marks.buckets) == home) {
            e = copies_check(v, &entry, bucket);
        }
    }
    scroll_fini(&scroll);
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err cross_check(struct verifier *v)
{
    const unsigned buckets = v->o->marks.buckets;

    for (unsigned home = 0; home < buckets; home++) {
        const struct names_key key = names_journal(home);
        enum err e = ERR_OK;
        if (v->cross[home].a == 0 && v->cross[home].b == 0) {
            continue;
        }
        e = name_in(v, home, home); /* first where it leads, then wherever a copy may be */
        for (unsigned b = 0; e == ERR_OK && b < buckets; b++) {
            e = b == home ? ERR_OK : name_in(v, b, home);
        }
        return e == ERR_OK ? offline_bad(v->o,
                                         "the postings led by " SLICE_FORMAT
                                         " do not stand alike in all their buckets",
                                         SLICE_ARGS(names_slice(&key)))
                           : e;
    }
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err totals_check(struct verifier *v)
{
    for (unsigned i = 0; i < v->total_count; i++) {
        char letters[3];
        if (v->totals[i].sum != 0) {
            currency_text((struct currency){v->totals[i].currency}, letters);
            return offline_bad(v->o, "the sum of all balances is not zero in %.3s", letters);
        }
    }
    v->report->currencies = v->total_count;
    return ERR_OK;
}

static enum err ledger_verify(struct verifier *v)
{
    const unsigned buckets = v->o->marks.buckets;
    enum err e;

    v->cross = mem_alloc_array(buckets, sizeof(*v->cross));
    v->cross_later = mem_alloc_array(buckets, sizeof(*v->cross_later));
    if (v->cross == NULL || v->cross_later == NULL) {
        err_text_set(v->why, "out of memory");
        return ERR_NOMEM;
    }
    e = offline_cut(v->o);
    for (unsigned b = 0; e == ERR_OK && b < buckets; b++) {
        e = bucket_verify(v, b);
    }
    v->report->buckets = buckets;
    if (e == ERR_OK) {
        e = totals_check(v);
    }
    if (e == ERR_OK) {
        e = cross_check(v);
    }
    return e == ERR_OK ? verify_all_keys(v) : e;
}

enum err verify_ledger(struct offline *o, struct redis_verify_report *report, struct err_text *why)
{
    struct verifier *v = mem_alloc(sizeof(*v));
    enum err e;

    *report = (struct redis_verify_report){.entries = 0};
    if (v == NULL) {
        err_text_set(why, "out of memory");
        return ERR_NOMEM;
    }
    v->o = o;
    v->why = why;
    v->report = report;
    arena_init(&v->arena, 2 * OFFLINE_ENTRY_BYTES_MAX);
    buf_init(&v->bytes, HASHED_BYTES_MAX);
    e = prng_secret(v->keys, sizeof(v->keys));
    if (e == ERR_OK) {
        e = ledger_verify(v);
    } else {
        err_text_set(why, "no random numbers from the kernel");
    }
    fold_fini(&v->fold);
    arena_fini(&v->arena);
    buf_fini(&v->bytes);
    mem_free(v->cross);
    mem_free(v->cross_later);
    mem_free(v->ids);
    mem_free(v);
    return e;
}

enum err redis_verify(const struct redis_url *url, const struct redis_tls_files *tls,
                      struct redis_verify_report *report, struct err_text *why)
{
    struct offline o;
    enum err e = offline_open(&o, url, tls, why);

    *report = (struct redis_verify_report){.entries = 0};
    if (e == ERR_OK) {
        e = offline_ledger_check(&o);
    }
    if (e == ERR_OK) {
        e = verify_ledger(&o, report, why);
    }
    offline_close(&o);
    return e;
}

/* The marks of an import, the room it needs, and whether what came in is what the export says. */
#include <stdio.h>

#include "base/assert.h"
#include "base/prng.h"
#include "store/redis/answer.h"
#include "store/redis/import_internal.h"
#include "store/redis/look.h"
#include "store/redis/mend.h"
#include "store/redis/names.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"
#include "store/redis/verify_internal.h"

/* ---- is it what the export says? ---- */

static enum err world_add(struct importer *m, const char *field, __int128 *sum)
{
    const unsigned buckets = m->o.marks.buckets;
    redisReply *r = NULL;
    enum err e;

    for (unsigned b = 0; b < buckets; b++) {
        const struct names_key meta = names_bucket_meta(b);
        resp_begin(&m->o.out, 3);
        resp_text(&m->o.out, "HGET");
        resp_word(&m->o.out, names_slice(&meta));
        resp_text(&m->o.out, field);
    }
    e = offline_step(&m->o, buckets, &r);
    if (e != ERR_OK) {
        return e;
    }
    for (unsigned b = 0; b < buckets; b++) {
        int64_t balance = 0;
        if (r->element[b]->type != REDIS_REPLY_NIL && reply_i64(r->element[b], &balance) != ERR_OK) {
            e = offline_bad(&m->o, "an @world is no number");
        }
        *sum += balance;
    }
    sync_free(r);
    return e;
}

enum err import_totals(struct importer *m)
{
    const struct move_totals *t = &m->reader.totals;
    struct redis_verify_report report;
    enum err e = ERR_OK;

    for (unsigned i = 0; e == ERR_OK && i < t->currency_count; i++) {
        char field[5] = "w";
        __int128 sum = 0;
        currency_text(t->sums[i].currency, field + 1);
        e = world_add(m, field, &sum);
        if (e == ERR_OK && sum != -t->sums[i].minor) {
            e = offline_bad(&m->o, "the sum of %s is not that of the export", field + 1);
        }
    }
    if (e == ERR_OK) {
        e = verify_ledger(&m->o, &report, m->why);
    }
    if (e == ERR_OK && report.accounts != t->accounts) {
        e = offline_bad(&m->o, "there are %llu accounts, and the export has %llu",
                        (unsigned long long)report.accounts, (unsigned long long)t->accounts);
    }
    return e;
}

/* ---- marks ---- */

/* Run one command of which only an error counts. */
static enum err say(struct importer *m)
{
    redisReply *r = NULL;
    enum err e = offline_ask(&m->o, &r);

    if (e == ERR_OK) {
        sync_free(r);
    }
    return e;
}

/* Look at every key of a ledger: remove them, as a half import's; or find the first one. */
static enum err keys_sweep(struct importer *m, bool removes, bool *found)
{
    char cursor[OFFLINE_CURSOR_BYTES] = "0";
    enum err e;

    *found = false;
    do {
        redisReply *page = NULL;
        e = offline_scan(&m->o, cursor, &page);
        if (e != ERR_OK) {
            return e;
        }
        for (size_t i = 0; e == ERR_OK && i < page->element[1]->elements; i++) {
            const struct slice key = answer_text(page->element[1]->element[i]);
            if (!names_is_ledgers(key)) {
                continue;
            }
            *found = true;
            if (removes) {
                resp_begin(&m->o.out, 2);
                resp_text(&m->o.out, "UNLINK");
                resp_word(&m->o.out, key);
                e = say(m);
            }
        }
        sync_free(page);
    } while (e == ERR_OK && strcmp(cursor, "0") != 0 && (removes || !*found));
    return e;
}

/* A service that is connected would write into what is being made. */
static enum err services_check(struct importer *m)
{
    redisReply *r = NULL;
    bool is_there = false;
    struct slice text;
    enum err e;

    resp_begin(&m->o.out, 2);
    resp_text(&m->o.out, "CLIENT");
    resp_text(&m->o.out, "LIST");
    e = offline_ask(&m->o, &r);
    if (e == ERR_INVALID) {
        return ERR_OK; /* not allowed to ask: the ledger's new epoch will stop them, some seconds later */
    }
    if (e != ERR_OK) {
        return e;
    }
    text = answer_text(r);
    for (size_t i = 0; i + 14 < text.len && !is_there; i++) {
        const struct slice at = slice_make(text.ptr + i, text.len - i);
        is_there = slice_starts_with(at, SLICE(" name=mywallet-")) &&
                   !slice_starts_with(at, SLICE(" name=mywallet-offline"));
    }
    sync_free(r);
    if (is_there) {
        err_text_set(m->why, "a service is connected to this Redis: stop it first");
        return ERR_BUSY;
    }
    return ERR_OK;
}

/* Under the lock: is there room for a ledger? What a killed import left is removed. */
enum err import_room(struct importer *m)
{
    bool found;
    enum err e = look_marks(m->o.line, &m->o.marks, m->why);

    if (e == ERR_OK) {
        e = keys_sweep(m, m->o.marks.is_importing, &found);
    }
    if (e == ERR_OK && found && !m->o.marks.is_importing) {
        err_text_set(m->why,
                     "this Redis holds a ledger already (keys w:*); an import needs an empty one");
        e = ERR_EXISTS;
    }
    return e == ERR_OK ? services_check(m) : e;
}

enum err import_begin(struct importer *m, unsigned buckets)
{
    struct buf *out = &m->o.out;
    redisReply *r = NULL;
    enum err e;

    resp_begin(out, 2);
    resp_text(out, "DEL");
    resp_word(out, NAMES_META);
    resp_begin(out, 6);
    resp_text(out, "HSET");
    resp_word(out, NAMES_META);
    resp_text(out, "format");
    resp_text(out, "importing");
    resp_text(out, "buckets");
    resp_i64(out, buckets);
    e = offline_step(&m->o, 2, &r);
    if (e != ERR_OK) {
        return e;
    }
    e = r->element[1]->type == REDIS_REPLY_INTEGER ? ERR_OK : ERR_INVALID;
    if (e != ERR_OK) {
        answer_say(r->element[1], "writing w:meta", m->why);
    }
    sync_free(r);
    m->o.marks = (struct look_marks){.buckets = buckets, .is_importing = true};
    m->o.is_moved = true;
    return e;
}

/* The one command that makes it a ledger. */
enum err import_end(struct importer *m)
{
    struct buf *out = &m->o.out;
    char epoch[LOOK_EPOCH_BYTES + 1];
    uint64_t secret = 0;
    enum err e = prng_secret(&secret, sizeof(secret));

    if (e == ERR_OK) {
        m->renewed_us = 0; /* ask, so that it is surely ours for this step */
        e = import_lock_keep(m);
    }
    if (e != ERR_OK) {
        return e;
    }
    (void)snprintf(epoch, sizeof(epoch), "%016llx", (unsigned long long)secret);
    resp_begin(out, 8);
    resp_text(out, "HSET");
    resp_word(out, NAMES_META);
    resp_text(out, "format");
    resp_i64(out, MEND_FORMAT);
    resp_text(out, "epoch");
    resp_text(out, epoch);
    resp_text(out, "moved");
    resp_text(out, "1");
    return say(m);
}

/* Every key under w:, whose is it? And the idempotency keys, each with the entry that it answers with. */
#include <stdlib.h>

#include "base/assert.h"
#include "store/redis/answer.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"
#include "store/redis/verify_internal.h"

/* A key as text: what cannot be shown is a dot. */
static enum err stray(struct verifier *v, struct slice key, const char *what)
{
    char text[NAMES_KEY_BYTES_MAX + 1];
    size_t len = key.len < sizeof(text) - 1 ? key.len : sizeof(text) - 1;

    for (size_t i = 0; i < len; i++) {
        text[i] = key.ptr[i] > ' ' && key.ptr[i] < 0x7f ? key.ptr[i] : '.';
    }
    text[len] = '\0';
    return offline_bad(v->o, "%s: %s", text, what);
}

static int number_order(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static bool is_known(const struct verifier *v, struct slice id)
{
    const uint64_t hash = hash_bytes(&v->keys[0], id);

    return v->id_count > 0 &&
           bsearch(&hash, v->ids, v->id_count, sizeof(*v->ids), number_order) != NULL;
}

/* An account that the journals did not open while they were read: has one of them opened it since? */
static enum err newcomer_check(struct verifier *v, struct slice key, unsigned bucket, struct slice id)
{
    const struct names_key hash = names_account(bucket, id);
    struct offline *o = v->o;
    redisReply *r = NULL;
    int64_t created_us = 0;
    bool is_new;
    enum err e;

    resp_begin(&o->out, 3);
    resp_text(&o->out, "HGET");
    resp_word(&o->out, names_slice(&hash));
    resp_text(&o->out, "t");
    e = offline_ask(o, &r);
    if (e != ERR_OK) {
        return e;
    }
    is_new = reply_i64(r, &created_us) == ERR_OK && created_us > o->ends[bucket].time_us;
    sync_free(r);
    return is_new ? ERR_OK : stray(v, key, "it belongs to no account that was ever opened");
}

static enum err account_key_check(struct verifier *v, struct slice key, unsigned bucket,
                                  struct slice rest)
{
    struct slice id;

    if (rest.len < 2 || rest.len > LEDGER_ACCOUNT_ID_BYTES_MAX + 1 || rest.ptr[0] != ':') {
        return stray(v, key, "it belongs to nobody");
    }
    id = slice_make(rest.ptr + 1, rest.len - 1);
    if (names_bucket(id, v->o->marks.buckets) != bucket) {
        return stray(v, key, "it stands in another bucket than its account's");
    }
    return is_known(v, id) ? ERR_OK : newcomer_check(v, key, bucket, id);
}

/* ---- idempotency keys ---- */

static bool is_answer(const struct verifier *v, const redisReply *r, unsigned bucket, int64_t time_us)
{
    struct arena *a = (struct arena *)&v->arena;
    struct entry e;

    arena_reset(a);
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 1 ||
        entry_read_element(r->element[0], a, &e) != ERR_OK || e.time_us != time_us) {
        return false;
    }
    return e.kind == RECORD_REFUSAL || offline_home(&e, v->o->marks.buckets) == bucket;
}

static enum err idem_check(struct verifier *v, struct slice key, unsigned bucket,
                           const redisReply *value)
{
    const struct names_key journal = names_journal(bucket);
    struct offline *o = v->o;
    redisReply *r = NULL;
    int64_t time_us;
    struct idem idem;
    bool is_right;
    enum err e;

    if (value->type == REDIS_REPLY_NIL) {
        return ERR_OK; /* it has just expired */
    }
    if (!offline_idem_read(answer_text(value), &idem, &time_us)) {
        return stray(v, key, "the idempotency key is damaged");
    }
    resp_begin(&o->out, 6);
    resp_text(&o->out, "XREVRANGE");
    resp_word(&o->out, names_slice(&journal));
    resp_i64(&o->out, time_us);
    resp_i64(&o->out, time_us);
    resp_text(&o->out, "COUNT");
    resp_text(&o->out, "1");
    e = offline_ask(o, &r);
    if (e != ERR_OK) {
        return e;
    }
    is_right = is_answer(v, r, bucket, time_us);
    sync_free(r);
    if (!is_right) {
        return stray(v, key, "the idempotency key points at no entry that could be its answer");
    }
    v->report->keys++;
    return ERR_OK;
}

static bool is_idem(const struct verifier *v, struct slice key, unsigned *bucket)
{
    struct slice rest;

    return slice_starts_with(key, SLICE("w:i:")) &&
           offline_bucket_of(key, v->o->marks.buckets, bucket, &rest) &&
           rest.len == IDEM_SCOPE_BYTES + 1 && rest.ptr[0] == ':';
}

/* ---- pages ---- */

static enum err name_check(struct verifier *v, struct slice key)
{
    struct slice rest;
    unsigned bucket;

    if (slice_equal(key, NAMES_META) ||
        ((slice_starts_with(key, SLICE(NAMES_LOCK_PREFIX)) || slice_starts_with(key, SLICE("w:f:"))) &&
         key.len > 4)) {
        return ERR_OK;
    }
    if (slice_starts_with(key, SLICE("w:i:"))) {
        return is_idem(v, key, &bucket) ? ERR_OK : stray(v, key, "it belongs to nobody");
    }
    if (key.len < 4 || key.ptr[3] != ':' || memchr("ahojm", key.ptr[2], 5) == NULL ||
        !offline_bucket_of(key, v->o->marks.buckets, &bucket, &rest)) {
        return stray(v, key, "it belongs to nobody");
    }
    if (key.ptr[2] == 'a' || key.ptr[2] == 'h') {
        return account_key_check(v, key, bucket, rest);
    }
    return rest.len == 0 ? ERR_OK : stray(v, key, "it belongs to nobody");
}

static enum err page_check(struct verifier *v, const redisReply *names)
{
    struct offline *o = v->o;
    redisReply *values = NULL;
    unsigned count = 0, bucket;
    size_t at = 0;
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < names->elements; i++) {
        e = name_check(v, answer_text(names->element[i]));
        count += is_idem(v, answer_text(names->element[i]), &bucket);
    }
    if (e != ERR_OK || count == 0) {
        return e;
    }
    for (size_t i = 0; i < names->elements; i++) {
        const struct slice key = answer_text(names->element[i]);
        if (is_idem(v, key, &bucket)) {
            resp_begin(&o->out, 2);
            resp_text(&o->out, "GET");
            resp_word(&o->out, key);
        }
    }
    e = offline_step(o, count, &values);
    for (size_t i = 0; e == ERR_OK && i < names->elements; i++) {
        const struct slice key = answer_text(names->element[i]);
        if (is_idem(v, key, &bucket)) {
            e = idem_check(v, key, bucket, values->element[at++]);
        }
    }
    if (values != NULL) {
        sync_free(values);
    }
    return e;
}

enum err verify_all_keys(struct verifier *v)
{
    char cursor[OFFLINE_CURSOR_BYTES] = "0";
    enum err e;

    if (v->id_count > 0) {
        qsort(v->ids, v->id_count, sizeof(*v->ids), number_order);
    }
    do {
        redisReply *page = NULL;
        e = offline_scan(v->o, cursor, &page);
        if (e == ERR_OK) {
            e = page_check(v, page->element[1]);
            sync_free(page);
        }
    } while (e == ERR_OK && strcmp(cursor, "0") != 0);
    return e;
}

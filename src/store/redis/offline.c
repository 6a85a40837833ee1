#include "store/redis/offline.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "store/redis/answer.h"
#include "store/redis/mend.h"
#include "store/redis/names.h"
#include "store/redis/reply.h"
#include "store/redis/sentinel.h"
#include "store/redis/sync.h"
#include "tls/tls.h"

enum { PREFIX_BYTES = 4, IDEM_HEAD_BYTES = IDEM_FINGERPRINT_BYTES + 1 };

static const char connection_name[] = "mywallet-offline";

enum err offline_bad(struct offline *o, const char *format, ...)
{
    char text[sizeof(o->why->text)];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    err_text_set(o->why, "%s", text);
    return ERR_CORRUPT;
}

static enum err silent(struct offline *o, enum err e)
{
    if (e == ERR_NOMEM) {
        err_text_set(o->why, "out of memory");
    } else {
        err_text_set(o->why, "the server does not answer: %s", err_name(e));
    }
    return e;
}

/* ---- questions ---- */

enum err offline_flush(struct offline *o)
{
    enum err e = o->out.err;

    if (e == ERR_OK && o->out.len > 0) {
        e = sync_send_bytes(o->line, buf_slice(&o->out));
    }
    buf_clear(&o->out);
    return e == ERR_OK ? ERR_OK : silent(o, e);
}

enum err offline_next(struct offline *o, redisReply **out)
{
    redisReply *r = NULL;
    enum err e = sync_next(o->line, &r);

    if (e != ERR_OK) {
        return silent(o, e);
    }
    if (r->type == REDIS_REPLY_ERROR) {
        e = answer_is_error(r, SLICE("WRONGTYPE")) ? ERR_CORRUPT : ERR_INVALID;
        answer_say(r, "the server", o->why);
        sync_free(r);
        return e;
    }
    *out = r;
    return ERR_OK;
}

enum err offline_ask(struct offline *o, redisReply **out)
{
    enum err e = offline_flush(o);

    return e == ERR_OK ? offline_next(o, out) : e;
}

enum err offline_step(struct offline *o, unsigned count, redisReply **out)
{
    struct buf multi;
    redisReply *r = NULL;
    enum err e;

    buf_init(&multi, 64);
    resp_begin(&multi, 1);
    resp_text(&multi, "MULTI");
    resp_begin(&o->out, 1);
    resp_text(&o->out, "EXEC");
    e = multi.err == ERR_OK ? sync_send_bytes(o->line, buf_slice(&multi)) : multi.err;
    buf_fini(&multi);
    if (e != ERR_OK) {
        return silent(o, e);
    }
    e = offline_flush(o);
    for (unsigned i = 0; e == ERR_OK && i < count + 1; i++) { /* OK, then QUEUED for each */
        e = offline_next(o, &r);
        if (e == ERR_OK) {
            sync_free(r);
        }
    }
    if (e == ERR_OK) {
        e = offline_next(o, &r);
    }
    if (e != ERR_OK) {
        return e;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != count) {
        sync_free(r);
        err_text_set(o->why, "the server does not run a transaction (MULTI, EXEC)");
        return ERR_INVALID;
    }
    *out = r;
    return ERR_OK;
}

enum err offline_tick(struct offline *o)
{
    return o->tick == NULL ? ERR_OK : o->tick(o->tick_ctx);
}

enum err offline_time(struct offline *o, int64_t *us)
{
    redisReply *r = NULL;
    uint64_t s = 0, rest = 0;
    enum err e;

    resp_begin(&o->out, 1);
    resp_text(&o->out, "TIME");
    e = offline_ask(o, &r);
    if (e != ERR_OK) {
        return e;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || reply_u64(r->element[0], &s) != ERR_OK ||
        reply_u64(r->element[1], &rest) != ERR_OK || s > INT64_MAX / 2000000) {
        e = offline_bad(o, "the server's clock says no time");
    }
    *us = (int64_t)(s * 1000000 + rest);
    sync_free(r);
    return e;
}

enum err offline_scan(struct offline *o, char cursor[OFFLINE_CURSOR_BYTES], redisReply **out)
{
    redisReply *r = NULL;
    struct slice next;
    enum err e = offline_tick(o);

    if (e != ERR_OK) {
        return e;
    }
    resp_begin(&o->out, 6);
    resp_text(&o->out, "SCAN");
    resp_text(&o->out, cursor);
    resp_text(&o->out, "MATCH");
    resp_text(&o->out, "w:*");
    resp_text(&o->out, "COUNT");
    resp_i64(&o->out, OFFLINE_SCAN_COUNT);
    e = offline_ask(o, &r);
    if (e != ERR_OK) {
        return e;
    }
    next = r->type == REDIS_REPLY_ARRAY && r->elements == 2 ? answer_text(r->element[0]) : SLICE_NONE;
    if (next.len == 0 || next.len >= OFFLINE_CURSOR_BYTES ||
        r->element[1]->type != REDIS_REPLY_ARRAY) {
        sync_free(r);
        err_text_set(o->why, "the server does not list its keys (SCAN)");
        return ERR_INVALID;
    }
    memcpy(cursor, next.ptr, next.len);
    cursor[next.len] = '\0';
    *out = r;
    return ERR_OK;
}

/* ---- the moment ---- */

static enum err end_take(struct offline *o, unsigned bucket, const redisReply *r)
{
    struct offline_end *end = &o->ends[bucket];
    uint64_t time_us = 0;

    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
        r->element[0]->type == REDIS_REPLY_NIL && r->element[1]->type == REDIS_REPLY_NIL) {
        return ERR_OK;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 ||
        reply_u64(r->element[0], &end->seq) != ERR_OK ||
        reply_u64(r->element[1], &time_us) != ERR_OK || time_us > INT64_MAX) {
        const struct names_key key = names_bucket_meta(bucket);
        return offline_bad(o, SLICE_FORMAT " does not say where its journal ends",
                           SLICE_ARGS(names_slice(&key)));
    }
    end->time_us = (int64_t)time_us;
    return ERR_OK;
}

enum err offline_cut(struct offline *o)
{
    redisReply *r = NULL;
    enum err e;

    mem_free(o->ends);
    o->ends = mem_alloc_array(o->marks.buckets, sizeof(*o->ends));
    if (o->ends == NULL) {
        return silent(o, ERR_NOMEM);
    }
    for (unsigned b = 0; b < o->marks.buckets; b++) {
        const struct names_key key = names_bucket_meta(b);
        resp_begin(&o->out, 4);
        resp_text(&o->out, "HMGET");
        resp_word(&o->out, names_slice(&key));
        resp_text(&o->out, "s");
        resp_text(&o->out, "t");
    }
    e = offline_step(o, o->marks.buckets, &r);
    if (e != ERR_OK) {
        return e;
    }
    for (unsigned b = 0; e == ERR_OK && b < o->marks.buckets; b++) {
        e = end_take(o, b, r->element[b]);
    }
    sync_free(r);
    return e;
}

/* ---- connecting ---- */

static enum err master_find(struct offline *o, const struct redis_url *url, struct redis_address *out)
{
    struct sentinel sentinel = {.at = 0};
    enum err e;

    if (!url->is_sentinel) {
        *out = url->addresses[0];
        return ERR_OK;
    }
    e = sentinel_ask(&sentinel, url, o->tls, connection_name, out, o->why);
    sentinel_close(&sentinel);
    return e == ERR_NOT_FOUND ? ERR_INVALID : e;
}

static enum err server_check(struct offline *o)
{
    struct check_facts facts;
    int64_t offset_us;
    uint64_t trip_us;
    enum err e = look_facts(o->line, &facts, &offset_us, &trip_us, o->why);

    if (e == ERR_OK && facts.role != CHECK_MASTER) {
        err_text_set(o->why, "this server is a replica: give the master, or the sentinels");
        e = ERR_INVALID;
    }
    if (e == ERR_OK && (facts.is_cluster != 0 || facts.is_loading != 0)) {
        err_text_set(o->why, facts.is_cluster != 0 ? "a Redis Cluster is not served yet"
                                                   : "the server is still loading its data");
        e = ERR_INVALID;
    }
    return e;
}

static enum err moved_read(struct offline *o)
{
    redisReply *r = NULL;
    enum err e;

    resp_begin(&o->out, 3);
    resp_text(&o->out, "HGET");
    resp_word(&o->out, NAMES_META);
    resp_text(&o->out, "moved");
    e = offline_ask(o, &r);
    if (e == ERR_OK) {
        o->is_moved = slice_equal(answer_text(r), SLICE("1"));
        sync_free(r);
    }
    return e;
}

enum err offline_open(struct offline *o, const struct redis_url *url,
                      const struct redis_tls_files *tls, struct err_text *why)
{
    struct redis_address address;
    enum err e = ERR_OK;

    *o = (struct offline){.why = why};
    buf_init(&o->out, OFFLINE_PIPE_BYTES_MAX);
    err_text_set(why, "out of memory");
    if (url->is_tls) {
        const struct tls_options options = {
            .ca_file = tls->ca, .cert_file = tls->cert, .key_file = tls->key};
        e = tls_context_new(&options, &o->tls, why);
    }
    if (e == ERR_OK) {
        e = master_find(o, url, &address);
    }
    if (e == ERR_OK) {
        e = sync_open(url, &address, o->tls, connection_name, OFFLINE_TIMEOUT_MS, &o->line, why);
    }
    if (e == ERR_OK) {
        e = server_check(o);
    }
    if (e == ERR_OK) {
        e = look_marks(o->line, &o->marks, why);
    }
    return e == ERR_OK ? moved_read(o) : e;
}

void offline_close(struct offline *o)
{
    if (o->line != NULL) {
        sync_close(o->line);
    }
    if (o->tls != NULL) {
        tls_context_free(o->tls);
    }
    buf_fini(&o->out);
    mem_free(o->ends);
    *o = (struct offline){.line = NULL};
}

enum err offline_ledger_check(struct offline *o)
{
    const struct look_marks *m = &o->marks;

    if (m->is_importing) {
        err_text_set(o->why,
                     "a half import is in this Redis: it runs still, or was killed; run it again");
        return ERR_BUSY;
    }
    if (m->format == 0 && m->buckets == 0 && m->epoch[0] == '\0') {
        err_text_set(o->why, "there is no ledger in this Redis (no w:meta)");
        return ERR_NOT_FOUND;
    }
    if (m->format != MEND_FORMAT) {
        err_text_set(o->why, "the ledger has format %u, this program knows format %d", m->format,
                     MEND_FORMAT);
        return ERR_UNSUPPORTED;
    }
    if (m->buckets == 0 || m->buckets > NAMES_BUCKETS_MAX || m->epoch[0] == '\0') {
        return offline_bad(o, "w:meta is damaged: it says %u buckets, epoch \"%s\"", m->buckets,
                           m->epoch);
    }
    return ERR_OK;
}

/* ---- names ---- */

bool offline_bucket_of(struct slice key, unsigned buckets, unsigned *bucket, struct slice *rest)
{
    const char *close;
    struct slice tag;

    if (key.len < PREFIX_BYTES + 3 || key.ptr[PREFIX_BYTES] != '{') {
        return false;
    }
    tag = slice_make(key.ptr + PREFIX_BYTES + 1, key.len - PREFIX_BYTES - 1);
    close = memchr(tag.ptr, '}', tag.len);
    if (close == NULL) {
        return false;
    }
    *rest = slice_make(close + 1, (size_t)(key.ptr + key.len - close) - 1);
    tag.len = (size_t)(close - tag.ptr);
    *bucket = names_slot(key) / (16384 / NAMES_BUCKETS_MAX); /* a tag's slot is 4 x bucket */
    return *bucket < buckets && slice_equal(names_tag(*bucket), tag);
}

unsigned offline_home(const struct entry *e, unsigned buckets)
{
    return names_bucket(e->legs[0].account, buckets);
}

unsigned offline_involved(const struct entry *e, unsigned buckets, unsigned out[LEDGER_LEGS_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < e->leg_count; i++) {
        unsigned k = 0, bucket;
        if (slice_equal(e->legs[i].account, LEDGER_WORLD)) {
            continue;
        }
        bucket = names_bucket(e->legs[i].account, buckets);
        while (k < count && out[k] != bucket) {
            k++;
        }
        if (k == count) {
            out[count++] = bucket;
        }
    }
    return count;
}

bool offline_idem_read(struct slice value, struct idem *out, int64_t *time_us)
{
    const uint8_t *bytes = (const uint8_t *)value.ptr;
    struct slice digits;
    size_t head;

    if (value.len <= IDEM_HEAD_BYTES || bytes[IDEM_FINGERPRINT_BYTES] > IDEM_FIELDS_MAX) {
        return false;
    }
    *out = (struct idem){.field_count = bytes[IDEM_FINGERPRINT_BYTES]};
    memcpy(out->fingerprint, bytes, IDEM_FINGERPRINT_BYTES);
    head = IDEM_HEAD_BYTES + 2u * out->field_count;
    if (value.len <= head || value.len - head > 16) {
        return false;
    }
    for (unsigned i = 0; i < out->field_count; i++) {
        out->field_tags[i] = bytes_get_u16(bytes + IDEM_HEAD_BYTES + 2u * i);
    }
    digits = slice_make(value.ptr + head, value.len - head);
    *time_us = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < (i == 0 ? '1' : '0') || digits.ptr[i] > '9') {
            return false;
        }
        *time_us = *time_us * 10 + (digits.ptr[i] - '0');
    }
    return true;
}

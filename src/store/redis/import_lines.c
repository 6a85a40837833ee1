/* The postings of an export, each by one call of the function `restore`. */
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "store/redis/answer.h"
#include "store/redis/import_internal.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"

enum {
    HEAD_WORDS = 13, /* of restore's ARGV, before the legs */
    LEG_WORDS = 5,
    IDEM_HEAD_BYTES_MAX = IDEM_FINGERPRINT_BYTES + 1 + 2 * IDEM_FIELDS_MAX,
    TAG_MAX = NAMES_BUCKETS_MAX - 1,
};

#define TIME_US_MAX INT64_C(8999999999999999) /* as the function library has it */

static enum err bad(struct importer *m, enum err e, uint64_t line, const char *what)
{
    err_text_set(m->why, "line %llu of the export: %s", (unsigned long long)line, what);
    return e;
}
/* ---- one call of restore ---- */

struct call {
    enum record_kind kind;
    struct slice currency; /* "CNY 2" or nothing */
    int64_t time_us;
    uint32_t tag;
    unsigned buckets[LEDGER_LEGS_MAX];
    unsigned bucket_count;
    const struct move_leg *legs;
    unsigned leg_count;
    int64_t overdraft;
    struct slice reference, metadata, refusal;
    const struct move_line *keyed; /* whose idempotency key goes with it; NULL: none */
};

static void key_word(struct buf *out, struct names_key key)
{
    resp_word(out, names_slice(&key));
}

static bool is_world(const struct move_leg *leg)
{
    return slice_equal(leg->account, LEDGER_WORLD);
}

static void keys_append(struct importer *m, const struct call *c)
{
    const unsigned buckets = m->o.marks.buckets;
    struct buf *out = &m->o.out;

    resp_text(out, m->lock.key);
    for (unsigned i = 0; i < c->bucket_count; i++) {
        key_word(out, names_bucket_meta(c->buckets[i]));
        key_word(out, names_journal(c->buckets[i]));
        key_word(out, names_opened(c->buckets[i]));
    }
    for (unsigned i = 0; i < c->leg_count; i++) {
        const struct slice id = c->legs[i].account;
        if (!is_world(&c->legs[i])) {
            key_word(out, names_account(names_bucket(id, buckets), id));
            key_word(out, names_history(names_bucket(id, buckets), id));
        }
    }
    if (c->keyed != NULL) {
        key_word(out, names_idem(c->buckets[0], c->keyed->key.scope));
    }
}

static void idem_append(struct importer *m, const struct call *c)
{
    struct buf *out = &m->o.out;
    uint8_t head[IDEM_HEAD_BYTES_MAX];
    const struct idem *key;

    if (c->keyed == NULL) {
        resp_text(out, "");
        resp_text(out, "");
        return;
    }
    key = &c->keyed->key;
    memcpy(head, key->fingerprint, IDEM_FINGERPRINT_BYTES);
    head[IDEM_FINGERPRINT_BYTES] = key->field_count;
    for (unsigned i = 0; i < key->field_count; i++) {
        bytes_put_u16(head + IDEM_FINGERPRINT_BYTES + 1 + 2u * i, key->field_tags[i]);
    }
    resp_word(out,
              slice_make((const char *)head, IDEM_FINGERPRINT_BYTES + 1 + 2u * key->field_count));
    resp_i64(out, c->keyed->key_expires_ms - m->now_ms);
}

static void legs_append(struct importer *m, const struct call *c)
{
    struct buf *out = &m->o.out;

    for (unsigned i = 0; i < c->leg_count; i++) {
        const struct move_leg *leg = &c->legs[i];
        unsigned place = 0;
        while (!is_world(leg) && c->buckets[place] != names_bucket(leg->account, m->o.marks.buckets)) {
            place++;
        }
        resp_word(out, leg->account);
        resp_i64(out, (int64_t)place + 1);
        resp_i64(out, c->kind == RECORD_OPEN ? c->overdraft : leg->delta);
        resp_i64(out, leg->held);
        if (is_world(leg) || c->kind == RECORD_OPEN) {
            resp_text(out, "");
        } else {
            resp_i64(out, leg->balance);
        }
    }
}

static enum err answers_take(struct importer *m);

static enum err call_append(struct importer *m, const struct call *c)
{
    struct buf *out = &m->o.out;
    unsigned accounts = 0;
    unsigned keys;

    for (unsigned i = 0; i < c->leg_count; i++) {
        accounts += !is_world(&c->legs[i]);
    }
    keys = 1 + 3 * c->bucket_count + 2 * accounts + (c->keyed != NULL ? 1u : 0u);
    resp_begin(out, 3 + keys + HEAD_WORDS + LEG_WORDS * c->leg_count);
    resp_text(out, "FCALL");
    resp_text(out, LIBRARY_NAME "_restore");
    resp_i64(out, keys);
    keys_append(m, c);
    resp_text(out, m->lock.token);
    resp_text(out, m->lock.fence);
    resp_i64(out, (int64_t)++m->position);
    resp_i64(out, c->kind);
    resp_i64(out, c->time_us);
    resp_i64(out, c->tag);
    resp_i64(out, c->bucket_count);
    resp_word(out, c->currency);
    if (c->reference.ptr == NULL) {
        resp_text(out, "");
    } else {
        buf_append_format(out, "$%zu\r\nr", c->reference.len + 1);
        buf_append_slice(out, c->reference);
        buf_append_text(out, "\r\n");
    }
    resp_word(out, c->metadata);
    idem_append(m, c);
    resp_word(out, c->refusal);
    legs_append(m, c);
    m->line_of[m->pending++] = m->reader.line_number;
    if (c->keyed != NULL) { /* to the millisecond, however long the call was on its way */
        resp_begin(out, 3);
        resp_text(out, "PEXPIREAT");
        key_word(out, names_idem(c->buckets[0], c->keyed->key.scope));
        resp_i64(out, c->keyed->key_expires_ms);
        m->line_of[m->pending++] = m->reader.line_number;
    }
    return out->err;
}

static enum err answer_judge(struct importer *m, const redisReply *r, uint64_t line)
{
    const struct slice word =
        r->type == REDIS_REPLY_ARRAY && r->elements > 0 ? answer_text(r->element[0]) : SLICE_NONE;
    const struct slice detail =
        r->type == REDIS_REPLY_ARRAY && r->elements > 1 ? answer_text(r->element[1]) : SLICE_NONE;

    if (slice_starts_with(answer_text(r), SLICE("OK")) || r->type == REDIS_REPLY_INTEGER) {
        return ERR_OK;
    }
    if (slice_equal(word, SLICE("FENCED"))) {
        err_text_set(m->why, "the lock was lost: another import may be running");
        return ERR_BUSY;
    }
    err_text_set(m->why,
                 "line %llu of the export: the posting does not come out as it says: " SLICE_FORMAT
                 " " SLICE_FORMAT,
                 (unsigned long long)line, SLICE_ARGS(word), SLICE_ARGS(detail));
    return ERR_CORRUPT;
}

/* Send what waits, and judge all answers. */
static enum err answers_take(struct importer *m)
{
    enum err e = offline_flush(&m->o);

    for (unsigned i = 0; e == ERR_OK && i < m->pending; i++) {
        redisReply *r = NULL;
        e = offline_next(&m->o, &r);
        if (e == ERR_OK) {
            e = answer_judge(m, r, m->line_of[i]);
            sync_free(r);
        }
    }
    m->pending = 0;
    return e == ERR_OK ? import_lock_keep(m) : e;
}

/* ---- one line ---- */

static enum err place_check(struct importer *m, const struct call *c)
{
    for (unsigned i = 0; i < c->bucket_count; i++) {
        struct newest *n = &m->newest[c->buckets[i]];
        if (n->time_us == c->time_us && n->tag != c->tag) {
            return bad(m, ERR_UNSUPPORTED, m->reader.line_number,
                       "two postings of one microsecond fall into one bucket; a ledger with as many "
                       "buckets as the export's takes them");
        }
        *n = (struct newest){c->time_us, c->tag};
    }
    return ERR_OK;
}

/* The buckets of a posting, its first account's first. */
static void buckets_find(struct importer *m, struct call *c)
{
    const unsigned buckets = m->o.marks.buckets;

    c->bucket_count = 0;
    for (unsigned i = 0; i < c->leg_count; i++) {
        const unsigned bucket = names_bucket(c->legs[i].account, buckets);
        unsigned k = 0;
        if (is_world(&c->legs[i])) {
            continue;
        }
        while (k < c->bucket_count && c->buckets[k] != bucket) {
            k++;
        }
        if (k == c->bucket_count) {
            c->buckets[c->bucket_count++] = bucket;
        }
    }
}

/* An account that a leg opens is opened by a call of its own, of the same time. */
static enum err opening_append(struct importer *m, const struct call *of)
{
    for (unsigned i = 0; i < m->line.leg_count; i++) {
        const struct move_leg leg = {.account = m->line.legs[i].account};
        struct call c = {.kind = RECORD_OPEN,
                         .currency = of->currency,
                         .time_us = of->time_us,
                         .tag = of->tag,
                         .legs = &leg,
                         .leg_count = 1};
        enum err e = ERR_OK;
        if (m->line.legs[i].opens) {
            buckets_find(m, &c);
            e = call_append(m, &c);
        }
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

static enum err line_import(struct importer *m)
{
    const struct move_line *line = &m->line;
    char currency[8] = "", refusal[96] = "";
    struct call c = {.kind = line->kind,
                     .time_us = line->time_us,
                     .tag = line->tag,
                     .legs = line->legs,
                     .leg_count = line->leg_count,
                     .overdraft = line->overdraft,
                     .reference = line->reference,
                     .metadata = line->metadata};
    unsigned exponent;
    enum err e;

    if (line->tag > TAG_MAX || line->time_us > TIME_US_MAX) {
        return bad(m, ERR_UNSUPPORTED, m->reader.line_number,
                   "its tag or its time is more than this store can hold");
    }
    if (line->kind != RECORD_REFUSAL && currency_exponent(line->currency, &exponent) == ERR_OK &&
        exponent != line->exponent) {
        return bad(m, ERR_UNSUPPORTED, m->reader.line_number,
                   "its currency has other decimals than in this program");
    }
    buckets_find(m, &c);
    if (line->kind == RECORD_REFUSAL) {
        const int len =
            snprintf(refusal, sizeof(refusal), "%d %d %d%s" SLICE_FORMAT, (int)line->refused_kind,
                     (int)line->refused_outcome, (int)line->language, line->leg_count > 0 ? " " : "",
                     SLICE_ARGS(line->leg_count > 0 ? line->legs[0].account : SLICE_NONE));
        ASSERT(len > 0 && (size_t)len < sizeof(refusal));
        c.refusal = slice_of(refusal);
        c.leg_count = 0;
        if (c.bucket_count == 0) { /* an older ledger does not know whose it was */
            c.buckets[c.bucket_count++] = line->tag % m->o.marks.buckets;
        }
    } else {
        currency_text(line->currency, currency);
        (void)snprintf(currency + 3, sizeof(currency) - 3, " %u", line->exponent);
        c.currency = slice_of(currency);
    }
    if (line->has_key && line->key_expires_ms > m->now_ms) {
        c.keyed = line;
    }
    if ((e = place_check(m, &c)) != ERR_OK) {
        return e;
    }
    if (line->kind != RECORD_OPEN && line->kind != RECORD_REFUSAL &&
        (e = opening_append(m, &c)) != ERR_OK) {
        return e;
    }
    e = call_append(m, &c);
    return e == ERR_OK && m->pending >= OFFLINE_PIPE ? answers_take(m) : e;
}

static enum err now_read(struct importer *m)
{
    int64_t us;
    enum err e = offline_time(&m->o, &us);

    m->now_ms = us / 1000;
    return e;
}

enum err import_lines(struct importer *m)
{
    enum err e = ERR_OK;

    while (e == ERR_OK) {
        e = m->pending == 0 ? now_read(m) : ERR_OK;
        if (e == ERR_OK) {
            e = move_read(&m->reader, &m->line);
        }
        if (e == ERR_OK) {
            e = line_import(m);
            if (e == ERR_NOMEM || e == ERR_FULL) {
                err_text_set(m->why, "out of memory");
            }
        }
    }
    return e == ERR_NOT_FOUND ? answers_take(m) : e;
}

/* No posting of this ledger's own may come before one that was imported, nor at the same time. */
enum err import_clocks(struct importer *m)
{
    enum err e = ERR_OK;

    for (unsigned b = 0; e == ERR_OK && b < m->o.marks.buckets; b++) {
        struct call c = {.kind = RECORD_NONE, .time_us = m->reader.totals.last_us, .bucket_count = 1};
        c.buckets[0] = b;
        e = call_append(m, &c);
        if (e == ERR_OK && m->pending >= OFFLINE_PIPE) {
            e = answers_take(m);
        }
    }
    return e == ERR_OK ? answers_take(m) : e;
}

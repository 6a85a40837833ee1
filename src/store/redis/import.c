/*
 * An export as a ledger in a Redis.
 *
 * It goes well: the export is proven, where it can be read twice -> the lock "migration" -> nothing of a ledger is there ->
 * w:meta says format "importing" -> each posting by mywallet_v1_restore, which judges and checks it there, under the lock's
 * fence -> all buckets' clocks go past the export's last time -> sums compared, everything verified as any ledger -> w:meta gets
 * format, epoch and "moved" in one command -> the lock is released.
 * It fails, or is killed: w:meta says "importing", at which every instance refuses to start. The next import removes it all.
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "store/redis/answer.h"
#include "store/redis/check.h"
#include "store/redis/library.h"
#include "store/redis/lock.h"
#include "store/redis/look.h"
#include "store/redis/mend.h"
#include "store/redis/move.h"
#include "store/redis/names.h"
#include "store/redis/offline.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"
#include "store/redis/verify_internal.h"

enum {
    CALL_TIMEOUT_MS = 10000,
    LOCK_TTL_MS = 30000,
    LOCK_RENEW_MS = 8000,
    HEAD_WORDS = 13, /* of restore's ARGV, before the legs */
    LEG_WORDS = 5,
    IDEM_HEAD_BYTES_MAX = IDEM_FINGERPRINT_BYTES + 1 + 2 * IDEM_FIELDS_MAX,
    TAG_MAX = NAMES_BUCKETS_MAX - 1,
};

#define TIME_US_MAX INT64_C(8999999999999999) /* as the function library has it */

/* The newest posting of a bucket. */
struct newest {
    int64_t time_us;
    uint32_t tag;
};

struct importer {
    struct offline o;
    struct err_text *why;
    struct lock lock;
    uint64_t renewed_us; /* monotonic */
    struct move_reader reader;
    struct move_line line;
    struct newest *newest;              /* by bucket; owned */
    uint64_t line_of[OFFLINE_PIPE + 4]; /* of the calls on their way */
    unsigned pending;
    uint64_t position;
    int64_t now_ms; /* the server's clock, as of the last flush */
};

static enum err bad(struct importer *m, enum err e, uint64_t line, const char *what)
{
    err_text_set(m->why, "line %llu of the export: %s", (unsigned long long)line, what);
    return e;
}

/* ---- the lock ---- */

static enum err lock_keep(void *ctx)
{
    struct importer *m = ctx;
    const uint64_t now_us = clock_mono_us();
    enum err e;

    if (now_us - m->renewed_us < LOCK_RENEW_MS * UINT64_C(1000)) {
        return ERR_OK;
    }
    e = lock_renew(&m->lock, m->o.line, m->why);
    if (e == ERR_NOT_FOUND) {
        err_text_set(m->why, "the lock was lost: the import took no step for longer than its lease");
        return ERR_BUSY;
    }
    m->renewed_us = now_us;
    return e;
}

static enum err lock_take(struct importer *m)
{
    enum err e = lock_init(&m->lock, SLICE("migration"), LOCK_TTL_MS, CALL_TIMEOUT_MS);

    if (e == ERR_OK) {
        m->renewed_us = clock_mono_us();
        e = lock_acquire(&m->lock, m->o.line, m->why);
    }
    if (e == ERR_BUSY) {
        err_text_set(m->why,
                     "another import holds the lock; one that was killed lets it go after %d s",
                     LOCK_TTL_MS / 1000);
    }
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
    return e == ERR_OK ? lock_keep(m) : e;
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

static enum err lines_import(struct importer *m)
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
static enum err clocks_raise(struct importer *m)
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

/* ---- is it what the export says? ---- */

static enum err world_add(struct importer *m, const char *field, __int128 *sum)
{
    const unsigned buckets = m->o.marks.buckets;
    redisReply *r = NULL;
    enum err e;

    for (unsigned b = 0; b < buckets; b++) {
        resp_begin(&m->o.out, 3);
        resp_text(&m->o.out, "HGET");
        key_word(&m->o.out, names_bucket_meta(b));
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

static enum err totals_check(struct importer *m)
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

static bool is_ledgers(struct slice key)
{
    return !slice_equal(key, NAMES_META) && !slice_starts_with(key, SLICE(NAMES_LOCK_PREFIX)) &&
           !slice_starts_with(key, SLICE("w:f:"));
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
            if (!is_ledgers(key)) {
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
static enum err room_make(struct importer *m)
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

static enum err marks_begin(struct importer *m, unsigned buckets)
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
static enum err marks_end(struct importer *m)
{
    struct buf *out = &m->o.out;
    char epoch[LOOK_EPOCH_BYTES + 1];
    uint64_t secret = 0;
    enum err e = prng_secret(&secret, sizeof(secret));

    if (e == ERR_OK) {
        m->renewed_us = 0; /* ask, so that it is surely ours for this step */
        e = lock_keep(m);
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

/* ---- all of it ---- */

static unsigned buckets_of(const struct importer *m, unsigned asked)
{
    const unsigned there = m->reader.header.buckets;

    if (asked != 0) {
        return asked;
    }
    return there >= 1 && there <= NAMES_BUCKETS_MAX ? there : (unsigned)REDIS_BUCKETS;
}

static enum err import_locked(struct importer *m, unsigned asked, int fd)
{
    enum err e = room_make(m);
    unsigned buckets;

    if (e != ERR_OK || (e = move_reader_init(&m->reader, fd, m->why)) != ERR_OK) {
        return e;
    }
    buckets = buckets_of(m, asked);
    m->newest = mem_alloc_array(buckets, sizeof(*m->newest));
    if (m->newest == NULL) {
        err_text_set(m->why, "out of memory");
        return ERR_NOMEM;
    }
    if ((e = marks_begin(m, buckets)) != ERR_OK || (e = lines_import(m)) != ERR_OK ||
        (e = clocks_raise(m)) != ERR_OK || (e = totals_check(m)) != ERR_OK) {
        return e;
    }
    return marks_end(m);
}

/* What a service would refuse is refused before it holds a ledger. */
static enum err server_check(struct importer *m)
{
    const struct redis_options options = {0};
    struct check_facts facts;
    int64_t offset_us;
    uint64_t trip_us;
    bool is_known = true;
    enum err e = look_facts(m->o.line, &facts, &offset_us, &trip_us, m->why);

    if (e == ERR_OK) {
        e = check_start(&facts, &options, m->why);
    }
    if (e == ERR_OK && facts.has_aof != 0) {
        e = mend_replay(m->o.line, &is_known, m->why);
    }
    if (!is_known) {
        mend_replay_warn();
    }
    return e;
}

static enum err import_connected(struct importer *m, unsigned buckets, int fd)
{
    struct err_text released;
    bool is_loaded;
    enum err e;

    sync_timeout(m->o.line, CALL_TIMEOUT_MS);
    if ((e = server_check(m)) != ERR_OK ||
        (e = mend_library(m->o.line, true, MEND_SAME, &is_loaded, m->why)) != ERR_OK ||
        (e = lock_take(m)) != ERR_OK) {
        return e;
    }
    m->o.tick = lock_keep;
    m->o.tick_ctx = m;
    e = import_locked(m, buckets, fd);
    (void)!lock_release(&m->lock, m->o.line, &released); /* where it cannot be, it ends by itself */
    return e;
}

enum err redis_import(const struct redis_url *url, const struct redis_tls_files *tls,
                      unsigned buckets, int fd, struct move_totals *totals, struct err_text *why)
{
    struct importer *m = mem_alloc(sizeof(*m));
    enum err e;

    ASSERT(buckets <= NAMES_BUCKETS_MAX);
    err_text_set(why, "out of memory");
    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->why = why;
    e = move_prove(fd, why);
    if (e == ERR_OK) {
        e = offline_open(&m->o, url, tls, why);
        if (e == ERR_OK) {
            e = import_connected(m, buckets, fd);
        }
        offline_close(&m->o);
    }
    *totals = m->reader.totals;
    move_reader_fini(&m->reader);
    mem_free(m->newest);
    mem_free(m);
    return e;
}

/* The other side of wallet.lua's post: its KEYS and ARGV are written here, its answers read. */
#include "store/redis/post.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "ledger/record.h"
#include "money/money.h"
#include "store/redis/entry.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/reply.h"

enum {
    HEAD_WORDS = 14, /* of ARGV, before the legs */
    LEG_WORDS = 4,
    LEG_WORDS_WITH_HELD = 6,
    IDEM_HEAD_BYTES_MAX = IDEM_FINGERPRINT_BYTES + 1 + 2 * IDEM_FIELDS_MAX,
    EXPONENT_MAX = 4,
};

/* What is to be known of a posting before its first word is written. */
struct plan {
    unsigned buckets[LEDGER_LEGS_MAX]; /* the involved ones, the lead first */
    unsigned bucket_count;
    unsigned places[LEDGER_LEGS_MAX]; /* of each leg's bucket, 1.. */
    unsigned accounts;                /* legs that are not @world */
    bool has_held, may_open;
};

static bool is_world(const struct posting_leg *leg)
{
    return slice_equal(leg->account, LEDGER_WORLD);
}

static unsigned plan_place(struct plan *plan, unsigned bucket)
{
    unsigned i = 0;

    while (i < plan->bucket_count && plan->buckets[i] != bucket) {
        i++;
    }
    if (i == plan->bucket_count) {
        plan->buckets[plan->bucket_count++] = bucket;
    }
    return i + 1;
}

static void plan_make(const struct posting *p, unsigned buckets, struct plan *plan)
{
    ASSERT(p->leg_count >= 1 && p->leg_count <= LEDGER_LEGS_MAX && !is_world(&p->legs[0]));
    ASSERT(p->kind != RECORD_OPEN || p->leg_count == 1);
    plan->bucket_count = plan->accounts = 0;
    plan->has_held = plan->may_open = false;
    for (unsigned i = 0; i < p->leg_count; i++) {
        const struct posting_leg *leg = &p->legs[i];
        if (is_world(leg)) {
            ASSERT(leg->held.coefficient == 0);
            plan->places[i] = 1;
        } else {
            plan->places[i] = plan_place(plan, names_bucket(leg->account, buckets));
            plan->accounts++;
        }
        plan->has_held |= leg->held.coefficient != 0;
        plan->may_open |= leg->may_open;
    }
    ASSERT(p->open_currency.code != 0 || (!plan->may_open && p->kind != RECORD_OPEN));
}

static void word_key(struct buf *out, struct names_key key)
{
    resp_word(out, names_slice(&key));
}

static void words_keys(struct buf *out, const struct posting *p, const struct plan *plan)
{
    for (unsigned i = 0; i < plan->bucket_count; i++) {
        word_key(out, names_bucket_meta(plan->buckets[i]));
        word_key(out, names_journal(plan->buckets[i]));
        word_key(out, names_opened(plan->buckets[i]));
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (!is_world(&p->legs[i])) {
            const unsigned bucket = plan->buckets[plan->places[i] - 1];
            word_key(out, names_account(bucket, p->legs[i].account));
            word_key(out, names_history(bucket, p->legs[i].account));
        }
    }
    if (p->idem != NULL) {
        word_key(out, names_idem(plan->buckets[0], p->idem->scope));
    }
}

static void word_currency(struct buf *out, struct currency c)
{
    char text[3];

    if (c.code == 0) {
        resp_word(out, SLICE(""));
        return;
    }
    currency_text(c, text);
    resp_word(out, slice_make(text, sizeof(text)));
}

/* "CNY 2": as the account's field c has it. */
static void word_opening(struct buf *out, struct currency c)
{
    char text[5] = {0};
    unsigned exponent;
    enum err e;

    if (c.code == 0) {
        resp_word(out, SLICE(""));
        return;
    }
    e = currency_exponent(c, &exponent);
    ASSERT(e == ERR_OK && exponent <= EXPONENT_MAX); /* currencies were parsed against the same table */
    currency_text(c, text);
    text[3] = ' ';
    text[4] = (char)('0' + exponent);
    resp_word(out, slice_make(text, sizeof(text)));
}

static void word_if_match(struct buf *out, const struct posting *p)
{
    char text[LEDGER_IF_MATCH_MAX * 21 + 2] = " ";
    size_t len = 1;

    if (!p->has_if_match || p->if_match_count == 0) {
        resp_word(out, p->has_if_match ? SLICE("*") : SLICE(""));
        return;
    }
    ASSERT(p->if_match_count <= LEDGER_IF_MATCH_MAX);
    for (unsigned i = 0; i < p->if_match_count; i++) {
        const int wrote =
            snprintf(text + len, sizeof(text) - len, "%llu ", (unsigned long long)p->if_match[i]);
        ASSERT(wrote > 0 && (size_t)wrote < sizeof(text) - len);
        len += (size_t)wrote;
    }
    resp_word(out, slice_make(text, len));
}

/* What the key's value begins with: the fingerprint, then a count of tags and the tags. */
static void words_idem(struct buf *out, const struct idem *idem, uint64_t ttl_us)
{
    uint8_t head[IDEM_HEAD_BYTES_MAX];
    const uint64_t ttl_ms = ttl_us / 1000 + (ttl_us % 1000 != 0);
    size_t len = IDEM_FINGERPRINT_BYTES;

    if (idem == NULL) {
        resp_word(out, SLICE(""));
        resp_word(out, SLICE(""));
        return;
    }
    ASSERT(idem->field_count <= IDEM_FIELDS_MAX && ttl_us > 0 && ttl_us <= INT64_MAX / 1000);
    memcpy(head, idem->fingerprint, IDEM_FINGERPRINT_BYTES);
    head[len++] = idem->field_count;
    for (unsigned i = 0; i < idem->field_count; i++, len += 2) {
        bytes_put_u16(head + len, idem->field_tags[i]);
    }
    resp_word(out, slice_make((const char *)head, len));
    resp_i64(out, (int64_t)ttl_ms);
}

static struct record_extra extra_of(struct slice bytes)
{
    struct record_extra x;
    enum err e = record_extra_decode(bytes, &x);

    ASSERT(e == ERR_OK); /* posting.c encoded it */
    return x;
}

/* Reference behind one letter, so that an empty one is one; metadata; metadata of what a leg opens. */
static void words_extra(struct buf *out, const struct posting *p)
{
    const struct record_extra x = extra_of(p->extra), opened = extra_of(p->open_extra);
    char reference[1 + LEDGER_REFERENCE_BYTES_MAX] = "r";

    ASSERT(x.reference.len <= LEDGER_REFERENCE_BYTES_MAX);
    ASSERT(x.metadata.ptr == NULL || x.metadata.len > 0);
    if (x.reference.len > 0) {
        memcpy(reference + 1, x.reference.ptr, x.reference.len);
    }
    resp_word(out, x.reference.ptr == NULL ? SLICE("") : slice_make(reference, 1 + x.reference.len));
    resp_word(out, x.metadata);
    resp_word(out, opened.metadata);
}

static void words_decimal(struct buf *out, struct decimal d)
{
    ASSERT(d.coefficient >= -MONEY_MINOR_MAX && d.coefficient <= MONEY_MINOR_MAX);
    resp_i64(out, d.coefficient);
    resp_i64(out, d.scale);
}

static void words_leg(struct buf *out, const struct posting *p, unsigned i, const struct plan *plan)
{
    const struct posting_leg *leg = &p->legs[i];
    char place[16];
    const int len = snprintf(place, sizeof(place), "%u%s", plan->places[i], leg->may_open ? "+" : "");

    resp_word(out, leg->account);
    resp_word(out, slice_make(place, (size_t)len));
    words_decimal(out, p->kind == RECORD_OPEN ? p->overdraft : leg->balance);
    if (plan->has_held) {
        words_decimal(out, leg->held);
    }
}

enum err post_encode(struct buf *out, const struct posting *p, unsigned buckets,
                     int64_t not_after_us, uint64_t ttl_us)
{
    struct plan plan;
    unsigned keys, width;

    plan_make(p, buckets, &plan);
    keys = 3 * plan.bucket_count + 2 * plan.accounts + (p->idem != NULL ? 1 : 0);
    width = plan.has_held ? LEG_WORDS_WITH_HELD : LEG_WORDS;
    resp_begin(out, 3 + keys + HEAD_WORDS + width * p->leg_count);
    resp_text(out, "FCALL");
    resp_text(out, LIBRARY_NAME "_post");
    resp_i64(out, keys);
    words_keys(out, p, &plan);
    resp_i64(out, p->kind);
    resp_i64(out, not_after_us < 0 ? 0 : not_after_us);
    resp_i64(out, plan.buckets[0]);
    resp_i64(out, plan.bucket_count);
    word_currency(out, p->currency);
    word_opening(out, p->open_currency);
    word_if_match(out, p);
    resp_i64(out, p->language);
    resp_i64(out, width);
    words_idem(out, p->idem, ttl_us);
    words_extra(out, p);
    for (unsigned i = 0; i < p->leg_count; i++) {
        words_leg(out, p, i, &plan);
    }
    return out->err;
}

enum err post_encode_look(struct buf *out, const struct posting *p, unsigned buckets)
{
    unsigned bucket;

    ASSERT(p->idem != NULL && p->leg_count >= 1 && !is_world(&p->legs[0]));
    bucket = names_bucket(p->legs[0].account, buckets);
    resp_begin(out, 5);
    resp_text(out, "FCALL_RO");
    resp_text(out, LIBRARY_NAME "_look");
    resp_text(out, "2");
    word_key(out, names_idem(bucket, p->idem->scope));
    word_key(out, names_journal(bucket));
    return out->err;
}

/* ---- answers ---- */

static bool is_bytes(const struct redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_STRING && r->str != NULL;
}

/* What stands under a key before the time of its answer. */
static enum err idem_read(struct slice value, struct idem *out)
{
    const uint8_t *bytes = (const uint8_t *)value.ptr;
    size_t at = IDEM_FINGERPRINT_BYTES + 1;

    if (value.len <= at || bytes[at - 1] > IDEM_FIELDS_MAX || value.len <= at + 2u * bytes[at - 1]) {
        return ERR_CORRUPT;
    }
    *out = (struct idem){.field_count = bytes[at - 1]};
    memcpy(out->fingerprint, bytes, IDEM_FINGERPRINT_BYTES);
    for (unsigned i = 0; i < out->field_count; i++, at += 2) {
        out->field_tags[i] = bytes_get_u16(bytes + at);
    }
    return ERR_OK;
}

static uint8_t differing_of(const struct idem *first, const struct idem *now)
{
    uint8_t differing = 0;

    for (unsigned i = 0; i < IDEM_FIELDS_MAX; i++) {
        const bool has_first = i < first->field_count, has_now = i < now->field_count;
        if (has_first != has_now || (has_now && first->field_tags[i] != now->field_tags[i])) {
            differing |= (uint8_t)(1u << i);
        }
    }
    return differing;
}

/* The entry of an answer, as the result of a posting. */
static enum err answer_read(const struct redisReply *reply, struct store_op *op, unsigned lead,
                            struct posting_result *out)
{
    struct entry entry;
    enum err e;

    if (!is_bytes(reply->element[1])) {
        return ERR_CORRUPT;
    }
    e = entry_read(reply_text(reply->element[1]), reply->element[2], &op->out, &entry);
    return e == ERR_OK ? entry_result(&entry, lead, &op->out, out) : e;
}

static enum err first_read(const struct redisReply *reply, struct store_op *op, unsigned lead)
{
    struct posting_result r;
    enum err e;

    if (reply->elements != 3) {
        return ERR_CORRUPT;
    }
    e = answer_read(reply, op, lead, &r);
    /* a replay may be of an answer from before the ledger was moved here, with the tag of then */
    if (e == ERR_OK && (r.kind != op->posting.kind || r.tag != lead)) {
        return ERR_CORRUPT;
    }
    if (e == ERR_OK) {
        r.language = op->posting.language;
        op->result = r;
    }
    return e;
}

static enum err again_read(const struct redisReply *reply, struct store_op *op, unsigned lead)
{
    const struct idem *now = op->posting.idem;
    struct posting_result r;
    struct idem first;
    enum err e;

    if (reply->elements != 4 || now == NULL || !is_bytes(reply->element[3])) {
        return ERR_CORRUPT;
    }
    e = idem_read(reply_text(reply->element[3]), &first);
    if (e == ERR_OK) {
        e = answer_read(reply, op, lead, &r);
    }
    if (e != ERR_OK) {
        return e;
    }
    r.is_replay = true;
    if (memcmp(first.fingerprint, now->fingerprint, IDEM_FINGERPRINT_BYTES) != 0) {
        r = (struct posting_result){
            .outcome = OUTCOME_KEY_REUSED,
            .kind = op->posting.kind,
            .language = op->posting.language,
            .seq = r.seq,
            .bucket = r.bucket,
            .time_us = r.time_us,
            .tag = r.tag,
            .differing = differing_of(&first, now),
        };
    }
    op->result = r;
    return ERR_OK;
}

/* A refusal that left nothing. */
static enum err refusal_read(const struct redisReply *reply, struct store_op *op, unsigned lead)
{
    uint64_t outcome, seq;

    if (reply->elements != 3 || reply_u64(reply->element[1], &outcome) != ERR_OK ||
        reply_u64(reply->element[2], &seq) != ERR_OK || outcome > OUTCOME_INVALID_AMOUNT ||
        (!outcome_is_stored((enum outcome)outcome) && outcome < OUTCOME_ACCOUNT_NOT_FOUND)) {
        return ERR_CORRUPT;
    }
    op->result = (struct posting_result){
        .outcome = (enum outcome)outcome,
        .kind = op->posting.kind,
        .language = op->posting.language,
        .seq = seq,
        .bucket = lead,
        .tag = lead,
    };
    return ERR_OK;
}

enum err post_read(const struct redisReply *reply, struct store_op *op, unsigned buckets,
                   enum post_verdict *verdict, struct slice *broken)
{
    const unsigned lead = names_bucket(op->posting.legs[0].account, buckets);
    struct slice what;

    if (reply->type == REDIS_REPLY_ERROR) {
        *verdict = POST_HALF;
        return ERR_OK;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || !is_bytes(reply->element[0])) {
        return ERR_CORRUPT;
    }
    what = reply_text(reply->element[0]);
    *verdict = POST_DONE;
    if (slice_equal(what, SLICE("OK"))) {
        return first_read(reply, op, lead);
    }
    if (slice_equal(what, SLICE("DUP"))) {
        return again_read(reply, op, lead);
    }
    if (slice_equal(what, SLICE("NO"))) {
        return refusal_read(reply, op, lead);
    }
    if (slice_equal(what, SLICE("STALE")) && reply->elements == 1) {
        *verdict = POST_STALE;
        return ERR_OK;
    }
    if (slice_equal(what, SLICE("BROKEN")) && reply->elements == 2 && is_bytes(reply->element[1])) {
        *verdict = POST_BROKEN;
        *broken = reply_text(reply->element[1]);
        return ERR_OK;
    }
    return ERR_CORRUPT;
}

/* What wallet.lua's post answers. */
#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "ledger/record.h"
#include "store/redis/entry.h"
#include "store/redis/names.h"
#include "store/redis/post.h"
#include "store/redis/reply.h"

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

/* answer: what stands behind "OK " */
static enum err first_read(struct slice answer, struct store_op *op, unsigned lead)
{
    struct posting_result r;
    struct record_extra extra;
    struct entry entry;
    enum err e = entry_read_answer(answer, &op->out, &entry);

    if (e == ERR_OK && entry.kind == RECORD_OPEN) {
        e = record_extra_decode(op->posting.extra, &extra);
        entry.metadata = extra.metadata;
    }
    if (e == ERR_OK) {
        e = entry_result(&entry, lead, &op->out, &r);
    }
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
    struct entry entry;
    struct idem first;
    enum err e;

    if (reply->elements != 4 || now == NULL || !is_bytes(reply->element[1]) ||
        !is_bytes(reply->element[3])) {
        return ERR_CORRUPT;
    }
    e = idem_read(reply_text(reply->element[3]), &first);
    if (e == ERR_OK) {
        e = entry_read(reply_text(reply->element[1]), reply->element[2], &op->out, &entry);
    }
    if (e == ERR_OK) {
        e = entry_result(&entry, lead, &op->out, &r);
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
    const struct slice ok = SLICE("OK ");
    struct slice what;

    if (reply->type == REDIS_REPLY_ERROR) {
        *verdict = POST_HALF;
        return ERR_OK;
    }
    if (is_bytes(reply) && slice_starts_with(reply_text(reply), ok)) {
        *verdict = POST_DONE;
        return first_read(slice_make(reply->str + ok.len, (size_t)reply->len - ok.len), op, lead);
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || !is_bytes(reply->element[0])) {
        return ERR_CORRUPT;
    }
    what = reply_text(reply->element[0]);
    *verdict = POST_DONE;
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

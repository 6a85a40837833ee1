/*
 * One transaction. Its tag is the bucket of its first account, whose journal has all its legs. A transaction that came from
 * another store has the tag it was born with (0, mostly), in whatever bucket: where the tag's has none of it, all are asked.
 */
#include "base/assert.h"
#include "store/redis/entry.h"
#include "store/redis/reads.h"
#include "store/redis/reply.h"

void read_journal_ask(unsigned bucket, int64_t time_us, struct buf *out)
{
    const struct names_key key = names_journal(bucket);

    resp_begin(out, 4);
    resp_text(out, "XRANGE");
    resp_word(out, names_slice(&key));
    resp_i64(out, time_us);
    resp_i64(out, time_us);
}

/* Debits first, then the rest, each in the posting's order. */
static enum err entries_fill(struct work *w, const struct entry *e, unsigned bucket)
{
    struct store_op *op = w->op;
    struct store_entry words = {.time_us = e->time_us, .tag = op->tx_tag, .seq = e->seq};
    enum err err = ERR_OK;

    op->entries = arena_alloc(&op->out, e->leg_count * sizeof(*op->entries));
    if (op->entries == NULL) {
        return ERR_NOMEM;
    }
    words.kind = e->kind;
    if (e->reference.ptr != NULL) {
        err = arena_copy(&op->out, e->reference, &words.reference);
    }
    if (err == ERR_OK && e->metadata.ptr != NULL) {
        err = arena_copy(&op->out, e->metadata, &words.metadata);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; err == ERR_OK && i < e->leg_count; i++) {
            const struct entry_leg *leg = &e->legs[i];
            struct store_entry *out = &op->entries[op->count];
            if ((leg->delta < 0) != (pass == 0)) {
                continue;
            }
            *out = words;
            out->amount = leg->delta;
            out->balance = leg->balance;
            err = arena_copy(&op->out, leg->account, &out->account);
            op->count++;
        }
    }
    op->result.outcome = OUTCOME_OK;
    op->result.kind = e->kind;
    op->result.time_us = e->time_us;
    op->result.tag = op->tx_tag;
    op->result.seq = e->seq;
    op->result.bucket = bucket;
    op->result.currency = e->currency;
    op->result.exponent = e->exponent;
    return err;
}

/* The journal of the first account's bucket tells of it, not others, which have a leg of it too. */
static bool is_wanted(const struct work *w, const struct entry *e, unsigned bucket)
{
    return e->kind != RECORD_OPEN && e->kind != RECORD_REFUSAL && e->lead == w->op->tx_tag &&
           e->time_us == w->op->tx_time_us &&
           names_bucket(e->legs[0].account, w->loop->shared->buckets) == bucket;
}

/* A journal's entries of that time: is the transaction among them? */
static enum err journal_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    const unsigned bucket = w->at.transaction.bucket + i;

    if (!reply_is_list(reply)) {
        return ERR_CORRUPT;
    }
    for (size_t k = 0; k < reply->elements && w->op->count == 0; k++) {
        struct entry entry;
        enum err e = entry_read_element(reply->element[k], &w->scratch, &entry);
        if (e == ERR_OK && is_wanted(w, &entry, bucket)) {
            e = entries_fill(w, &entry, bucket);
        }
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

static enum err journal_ask(struct work *w, unsigned i, struct buf *out)
{
    const int64_t time_us = w->op->tx_time_us;

    read_journal_ask(w->at.transaction.bucket + i, time_us < 0 ? 0 : time_us, out);
    return ERR_OK;
}

static enum err moved_ask(struct work *w, unsigned i, struct buf *out)
{
    (void)w;
    (void)i;
    resp_begin(out, 3);
    resp_text(out, "HGET");
    resp_word(out, NAMES_META);
    resp_text(out, "moved");
    return ERR_OK;
}

static enum err moved_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    (void)i;
    w->at.transaction.is_everywhere =
        reply_is_text(reply) && slice_equal(reply_text(reply), SLICE("1"));
    return ERR_OK;
}

static void not_found(struct work *w)
{
    w->op->result.outcome = OUTCOME_TRANSACTION_NOT_FOUND;
    work_end(w, STORE_DONE);
}

static void end(struct work *w)
{
    if (w->op->count > 0) {
        work_end(w, STORE_DONE);
    } else {
        not_found(w);
    }
}

static void everywhere(struct work *w)
{
    if (!w->at.transaction.is_everywhere || w->loop->shared->buckets == 1) {
        not_found(w);
        return;
    }
    w->at.transaction.bucket = 0;
    work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                    .count = w->loop->shared->buckets,
                                    .ask = journal_ask,
                                    .take = journal_take,
                                    .then = end});
}

static void found_or_moved(struct work *w)
{
    if (w->op->count > 0) {
        work_end(w, STORE_DONE);
    } else {
        work_ask(w, &(struct work_step){.command = WIRE_READ,
                                        .count = 1,
                                        .ask = moved_ask,
                                        .take = moved_take,
                                        .then = everywhere});
    }
}

void read_transaction(struct work *w)
{
    const uint32_t tag = w->op->tx_tag;

    /* of a tag that no bucket has one question is asked all the same: so it is claimed and late as any other */
    w->at.transaction = (struct transaction_at){.bucket = tag < w->loop->shared->buckets ? tag : 0};
    work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                    .count = 1,
                                    .ask = journal_ask,
                                    .take = journal_take,
                                    .then = found_or_moved});
}

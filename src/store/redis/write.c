/*
 * Happy path: encode -> FCALL -> the answer, which is the operation's.
 * Surely not applied: it was not sent; it came too late (STALE); memory is full and no answer stands under its key.
 * Perhaps applied: no answer came; the function ended in the middle; the answer makes no sense. All that is told as unknown,
 *   and never tried again from here: the lane itself repeats what has a key, and only that.
 */
#include "store/redis/write.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "log/log.h"
#include "store/redis/post.h"
#include "store/redis/reply.h"
#include "store/redis/verdict.h"

static void alarm_raise(const char *what, struct slice detail)
{
    static struct log_limit limit;

    log_event_limited(&limit, LOG_ERROR, "store.alarm", log_text("what", what),
                      log_slice("redis", detail));
}

/* What is half applied would be applied again by the same key: nothing more is written from here, from this moment on. */
static void half_end(struct work *w, struct slice detail)
{
    struct redis_shared *s = w->loop->shared;

    alarm_raise("a posting ended in the middle: it may be half applied", detail);
    atomic_store_explicit(&s->has_half, true, memory_order_release);
    shared_ask_look(s); /* control says it in the health */
    work_end(w, STORE_UNKNOWN);
}

static void result_take(struct work *w)
{
    const struct posting_result *r = &w->op->result;

    if (r->bucket < w->loop->shared->buckets) {
        shared_saw(w->loop->shared, r->bucket, r->seq);
    }
    work_end(w, STORE_DONE);
}

/* No error reply: what the function said. */
static void reply_take(struct work *w, const struct redisReply *reply)
{
    enum post_verdict verdict;
    struct slice broken = SLICE_NONE;
    enum err e = post_read(reply, w->op, w->loop->shared->buckets, &verdict, &broken);

    if (e != ERR_OK) {
        alarm_raise("an answer to a posting that cannot be read", slice_of(err_name(e)));
        work_end(w, STORE_UNKNOWN);
        return;
    }
    switch (verdict) {
    case POST_DONE:
        result_take(w);
        return;
    case POST_STALE:
        shared_ask_look(w->loop->shared); /* it was in time by our clock: perhaps one of them was set */
        work_end(w, STORE_UNAVAILABLE);
        return;
    case POST_BROKEN:
        alarm_raise("a stored value is not what it should be: nothing is posted over it", broken);
        work_end(w, STORE_FAULT);
        return;
    case POST_HALF:
        half_end(w, SLICE_NONE);
        return;
    }
    UNREACHABLE("no such verdict");
}

static void look_done(struct work_part *part, enum wire_fate fate, const struct redisReply *reply)
{
    struct work *w = part->work;

    if (fate != WIRE_ANSWERED || reply->type == REDIS_REPLY_ERROR) {
        work_end(w, STORE_UNKNOWN);
        return;
    }
    reply_take(w, reply);
}

/* As look_done, where a try of the posting may be on its way still: that nothing stands under its key says nothing yet. */
static void look_done_in_doubt(struct work_part *part, enum wire_fate fate,
                               const struct redisReply *reply)
{
    if (fate == WIRE_ANSWERED && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) { /* STALE */
        work_end(part->work, STORE_UNKNOWN);
        return;
    }
    look_done(part, fate, reply);
}

/* The server's memory is full, so it ran nothing this time; but an earlier try of the same key may stand. */
static void look(struct work *w, bool is_in_doubt)
{
    struct work_part *part;

    if (w->op->posting.idem == NULL) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    part = work_part_ready(w);
    if (post_encode_look(&part->bytes, &w->op->posting, w->loop->shared->buckets) != ERR_OK) {
        work_end(w, STORE_UNKNOWN);
        return;
    }
    /* what it finds is an answer to a write: it waits for the replicas as the first one did */
    work_part_send(part, WIRE_POST, w->loop->shared->options.is_synchronous, true,
                   is_in_doubt ? look_done_in_doubt : look_done);
}

static void error_take(struct work *w, struct slice text, bool was_sent)
{
    switch (verdict_of(text)) {
    case VERDICT_FULL:
        look(w, was_sent);
        return;
    case VERDICT_HALF:
        half_end(w, text);
        return;
    default: /* what surely did not run is the lane's to repeat */
        alarm_raise("an error for a posting that nobody foresaw", text);
    }
    work_end(w, STORE_UNKNOWN);
}

static void post_done(struct work_part *part, enum wire_fate fate, const struct redisReply *reply)
{
    struct work *w = part->work;

    switch (fate) {
    case WIRE_NOT_SENT:
        work_end(w, STORE_UNAVAILABLE);
        return;
    case WIRE_UNKNOWN:
        work_end(w, STORE_UNKNOWN);
        return;
    case WIRE_ANSWERED:
        if (reply->type == REDIS_REPLY_ERROR) {
            error_take(w, reply_text(reply), part->call.was_sent);
        } else {
            reply_take(w, reply);
        }
        return;
    }
    UNREACHABLE("no such fate");
}

bool write_is_forbidden(const struct redis_shared *s)
{
    const struct redis_options *o = &s->options;

    /* relaxed: each is a word by itself; a lane that is led to another server has met what was set before (pool.c) */
    return atomic_load_explicit(&s->health, memory_order_relaxed) == STORE_FAILED ||
           atomic_load_explicit(&s->has_half, memory_order_relaxed) ||
           (o->is_synchronous && atomic_load_explicit(&s->replicas, memory_order_relaxed) == 0) ||
           (o->has_required &&
            atomic_load_explicit(&s->durability, memory_order_relaxed) < (int)o->required);
}

void write_post(struct work *w)
{
    struct redis_shared *shared = w->loop->shared;
    const struct posting *p = &w->op->posting;
    struct work_part *part = work_part_ready(w);
    const uint64_t now_us = clock_mono_us();
    const uint64_t left_us = w->deadline_mono_us > now_us ? w->deadline_mono_us - now_us : 0;
    enum err e;

    if (write_is_forbidden(shared)) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    e = post_encode(&part->bytes, p, shared->buckets, shared_server_now(shared) + (int64_t)left_us,
                    shared->options.idempotency_ttl_us);
    if (e != ERR_OK) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    work_part_send(part, WIRE_POST, true, p->idem != NULL, post_done);
}

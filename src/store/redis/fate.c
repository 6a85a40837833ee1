/*
 * What becomes of a call. `was_sent` means: there is a try of which nobody knows whether it was executed; such a call
 * never ends as WIRE_NOT_SENT again.
 *
 *   a reply           -> answered; or, by its verdict, once more (it did not run)
 *   a lost connection -> no byte left: once more; may_resend: once more, marked; else unknown
 *   its deadline      -> on a connection: unknown, and its slot stays as a tombstone; in a queue: as it is marked
 *   replicas short    -> unknown
 */
#include <hiredis/hiredis.h>

#include "store/redis/lane.h"

static void wait_in(struct lane *l, struct queue_list *list, struct wire_call *call)
{
    queue_list_push(list, &call->link);
    if (call->deadline_mono_us < l->queue_deadline_us) {
        l->queue_deadline_us = call->deadline_mono_us;
    }
    lane_want_turn(l);
}

void fate_end(struct lane *l, struct wire_call *call)
{
    queue_list_push(call->was_sent ? &l->unknown : &l->not_sent, &call->link);
    lane_want_turn(l);
}

static void end_unknown(struct lane *l, struct wire_call *call)
{
    call->was_sent = true;
    fate_end(l, call);
}

void fate_again(struct lane *l, struct wire_call *call, uint64_t now_us)
{
    uint64_t pause = LANE_RETRY_US_MIN + prng_below(&l->prng, LANE_RETRY_US_MAX - LANE_RETRY_US_MIN);

    call->tries++;
    call->retry_us = now_us + pause;
    if (call->retry_us >= call->deadline_mono_us) {
        fate_end(l, call);
    } else {
        wait_in(l, &l->later, call);
    }
}

void fate_tell(struct lane *l)
{
    struct queue_link *link;

    /* each is taken off before its done, which may send more or close the lane */
    while ((link = queue_list_pop(&l->unknown)) != NULL) {
        struct wire_call *call = (struct wire_call *)link;
        metrics_add(l->shard, l->shared->series.ambiguous, 1);
        call->done(call, WIRE_UNKNOWN, NULL);
    }
    while ((link = queue_list_pop(&l->not_sent)) != NULL) {
        struct wire_call *call = (struct wire_call *)link;
        metrics_add(l->shard, l->shared->series.not_sent, 1);
        call->done(call, WIRE_NOT_SENT, NULL);
    }
}

/* ---- replies ---- */

static void answer(struct lane *l, struct wire_call *call, const struct redisReply *reply,
                   uint64_t now_us)
{
    metrics_observe(l->shard, l->shared->series.command_seconds[call->command],
                    now_us - call->sent_us);
    call->done(call, WIRE_ANSWERED, reply);
}

static void on_error(struct conn *c, struct wire_call *call, struct redisReply *reply, uint64_t now_us)
{
    struct lane *l = c->lane;

    switch (verdict_of(slice_make(reply->str, (size_t)reply->len))) {
    case VERDICT_ANSWER:
    case VERDICT_FULL:
    case VERDICT_HALF:
        answer(l, call, reply, now_us);
        return;
    case VERDICT_LATER:
    case VERDICT_LOAD:
        shared_ask_look(l->shared);
        break;
    case VERDICT_MOVED_AWAY:
        metrics_add(l->shard, l->shared->series.redirects, 1);
        c->is_moved = true;
        pool_drain(c, CLOSE_SWITCH, now_us);
        shared_ask_look(l->shared);
        break;
    case VERDICT_DENIED:
        pool_drain(c, CLOSE_SWITCH, now_us);
        pool_failed(l, now_us);
        shared_ask_look(l->shared);
        break;
    case VERDICT_CROWDED:
        pool_crowded(l, now_us);
        pool_drain(c, CLOSE_PEER, now_us);
        break;
    }
    fate_again(l, call, now_us);
}

bool lane_on_reply(struct conn *c, struct slot *slot, struct redisReply *reply, uint64_t now_us)
{
    struct lane *l = c->lane;
    struct wire_call *call = slot->call;

    if (call == NULL) {
        metrics_add(l->shard, l->shared->series.late_replies, 1);
        return false;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        /* it did not run, or it is an alarm: neither waits for replicas */
        slot->call = NULL;
        on_error(c, call, reply, now_us);
        return false;
    }
    pool_served(c);
    if (c->is_moved && !call->is_write && call->may_resend) {
        slot->call = NULL;
        fate_again(l, call, now_us);
        return false;
    }
    if (call->is_write && l->shared->options.is_synchronous) {
        slot->held = reply;
        return true;
    }
    slot->call = NULL;
    answer(l, call, reply, now_us);
    return false;
}

void lane_on_wait(struct conn *c, int64_t replicas, uint64_t now_us)
{
    uint32_t end = c->slot_next; /* behind the WAIT */
    int64_t known = redis_conn_slot(c, end - 1)->number;
    bool is_enough = replicas >= known;

    if (replicas !=
        known) { /* one has gone, or come: control should know how many are to be waited for */
        shared_ask_look(c->lane->shared);
    }
    if (replicas < 0) { /* it is no master any more, or cannot say */
        c->is_moved = true;
        pool_drain(c, CLOSE_SWITCH, now_us);
    }
    for (uint32_t at = c->slot_head; at != end && c->state != CONN_CLOSED; at++) {
        struct slot *slot = redis_conn_slot(c, at);
        struct redisReply *reply = slot->held;
        struct wire_call *call = slot->call;
        if (reply == NULL) {
            continue;
        }
        slot->held = NULL;
        slot->call = NULL;
        if (is_enough) {
            answer(c->lane, call, reply, now_us);
        } else {
            end_unknown(c->lane, call);
        }
        freeReplyObject(reply);
    }
}

/* ---- lost connections ---- */

void fate_of_lost(struct conn *c)
{
    struct lane *l = c->lane;
    uint64_t accepted = redis_conn_accepted(c);
    struct queue_list again = {0};

    for (uint32_t at = c->slot_head; at != c->slot_tail; at++) {
        struct slot *slot = redis_conn_slot(c, at);
        struct wire_call *call = slot->call;
        bool is_sent = slot->held != NULL || slot->begin < accepted;
        if (slot->held != NULL) {
            freeReplyObject(slot->held);
            slot->held = NULL;
        }
        slot->call = NULL;
        if (call == NULL) {
            continue;
        }
        if (is_sent && !call->may_resend) {
            end_unknown(l, call);
            continue;
        }
        call->was_sent = call->was_sent || is_sent;
        call->tries++;
        wait_in(l, &again, call);
    }
    /* before what came later */
    queue_list_move(&again, &l->waiting);
    l->waiting = again;
}

/* ---- deadlines ---- */

static uint64_t sift(struct lane *l, struct queue_list *list, bool is_later, uint64_t now_us)
{
    struct queue_list all = *list;
    struct queue_link *link;
    uint64_t next_us = UINT64_MAX;

    *list = (struct queue_list){0};
    while ((link = queue_list_pop(&all)) != NULL) {
        struct wire_call *call = (struct wire_call *)link;
        if (call->deadline_mono_us <= now_us) {
            fate_end(l, call);
            continue;
        }
        if (call->deadline_mono_us < next_us) {
            next_us = call->deadline_mono_us;
        }
        if (is_later && call->retry_us <= now_us) {
            queue_list_push(&l->waiting, link);
            lane_want_turn(l);
        } else {
            queue_list_push(list, link);
        }
    }
    return next_us;
}

void fate_tick_queue(struct lane *l, uint64_t now_us)
{
    uint64_t later_us = sift(l, &l->later, true, now_us);

    if (now_us >= l->queue_deadline_us) {
        uint64_t waiting_us = sift(l, &l->waiting, false, now_us);
        l->queue_deadline_us = waiting_us < later_us ? waiting_us : later_us;
    }
}

void fate_tick_conn(struct conn *c, uint64_t now_us)
{
    uint64_t accepted;
    bool is_stuck = false;

    if (now_us < c->deadline_us) {
        return;
    }
    accepted = redis_conn_accepted(c);
    c->deadline_us = UINT64_MAX;
    for (uint32_t at = c->slot_head; at != c->slot_tail; at++) {
        struct slot *slot = redis_conn_slot(c, at);
        struct wire_call *call = slot->call;
        if (call == NULL) {
            continue;
        }
        if (call->deadline_mono_us > now_us) {
            if (call->deadline_mono_us < c->deadline_us) {
                c->deadline_us = call->deadline_mono_us;
            }
        } else if (slot->held == NULL && slot->begin >= accepted) {
            is_stuck = true; /* its bytes must not leave any more, and they stand in the stream */
        } else {
            if (slot->held != NULL) {
                freeReplyObject(slot->held);
                slot->held = NULL;
            }
            slot->call = NULL;
            end_unknown(c->lane, call);
            shared_ask_look(c->lane->shared); /* does it answer anybody? */
        }
    }
    if (is_stuck) {
        lane_on_lost(c, CLOSE_STALLED, now_us);
    } else {
        redis_conn_pop_finished(c, now_us);
    }
}

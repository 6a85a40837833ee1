/* The way back: bytes, replies, and whom a reply is for. What the bytes may be is guard.c's business. */
#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include "base/clock.h"
#include "store/redis/lane.h"
#include "tls/tls.h"

static bool is_master(const redisReply *reply)
{
    const redisReply *first;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return false;
    }
    first = reply->element[0];
    return first->type == REDIS_REPLY_STRING &&
           slice_equal(slice_make(first->str, (size_t)first->len), SLICE("master"));
}

static bool is_our_epoch(const struct conn *c, const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING &&
           slice_equal(slice_make(reply->str, (size_t)reply->len), slice_of(c->lane->shared->epoch));
}

static enum verdict verdict_of_reply(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR ? verdict_of(slice_make(reply->str, (size_t)reply->len))
                                            : VERDICT_ANSWER;
}

/* A reply to a command of our own. */
static void take_own(struct conn *c, enum slot_kind kind, const redisReply *reply, uint64_t now_us)
{
    bool is_error = reply->type == REDIS_REPLY_ERROR;

    switch (kind) {
    case SLOT_HELLO:
        if (is_error) {
            lane_on_refused(c, verdict_of_reply(reply), now_us);
        }
        return;
    case SLOT_EPOCH:
        if (is_error || !is_our_epoch(c, reply)) {
            lane_on_refused(c, is_error ? verdict_of_reply(reply) : VERDICT_MOVED_AWAY, now_us);
        }
        return;
    case SLOT_ROLE:
        if (!is_error && !is_master(reply)) {
            lane_on_refused(c, VERDICT_MOVED_AWAY, now_us);
            return;
        }
        break;
    case SLOT_PING:
        break;
    case SLOT_WAIT:
        lane_on_wait(c, reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1, now_us);
        return;
    case SLOT_NO_EVICT: /* an older server, or no right to: it helps us, it is not needed */
    case SLOT_CALL:
        return;
    }
    if (is_error) {
        lane_on_refused(c, verdict_of_reply(reply), now_us);
    } else if (c->state != CONN_DRAINING) {
        c->state = CONN_READY;
        lane_on_ready(c, now_us);
    }
}

/* Returns false where the connection is gone. */
static bool take_reply(struct conn *c, uint64_t now_us)
{
    redisReply *reply = NULL;
    struct slot *slot;

    if (redisReaderGetReply(c->reader, (void **)&reply) != REDIS_OK || reply == NULL) {
        lane_on_lost(c, CLOSE_PROTOCOL, now_us);
        return false;
    }
    if (c->slot_next == c->slot_tail) { /* nobody asked */
        freeReplyObject(reply);
        lane_on_lost(c, CLOSE_PROTOCOL, now_us);
        return false;
    }
    slot = redis_conn_slot(c, c->slot_next++);
    slot->is_answered = true;
    c->waiting--;
    if (slot->kind != SLOT_CALL) {
        take_own(c, slot->kind, reply, now_us);
        freeReplyObject(reply);
    } else if (!lane_on_reply(c, slot, reply, now_us)) {
        freeReplyObject(reply);
    }
    if (c->state == CONN_CLOSED) {
        return false;
    }
    redis_conn_pop_finished(c, now_us);
    if (c->state == CONN_DRAINING && c->slot_head == c->slot_tail) {
        lane_on_lost(c, c->drain_reason, now_us);
        return false;
    }
    return true;
}

/* Returns false where the connection is gone. */
static bool take(struct conn *c, const char *bytes, size_t len, uint64_t now_us)
{
    while (len > 0) {
        enum guard_state state;
        size_t some = guard_scan(&c->guard, bytes, len, &state);
        /* one reply at a time: the codec moves what is left in its buffer to the front after each */
        if (state == GUARD_BROKEN || redisReaderFeed(c->reader, bytes, some) != REDIS_OK) {
            lane_on_lost(c, CLOSE_PROTOCOL, now_us);
            return false;
        }
        if (state == GUARD_REPLY && !take_reply(c, now_us)) {
            return false;
        }
        bytes += some;
        len -= some;
    }
    return true;
}

/* Returns false where the connection is gone. */
static bool take_encrypted(struct conn *c, const char *bytes, size_t len, uint64_t now_us)
{
    struct err_text why = {0};
    enum err e;

    do {
        e = tls_feed(c->tls, bytes, len, &c->in, &why);
        if (!take(c, c->in.ptr, c->in.len, now_us)) {
            return false;
        }
        buf_clear(&c->in);
        len = 0;
    } while (e == ERR_FULL);
    if (e != ERR_OK) {
        if (e == ERR_IO) {
            static struct log_limit limit;
            log_event_limited(&limit, LOG_WARN, "redis.tls", log_text("why", why.text));
            redis_conn_write(c); /* the alert that tells the peer */
        }
        if (c->state != CONN_CLOSED) {
            lane_on_lost(c, e == ERR_NOT_FOUND ? CLOSE_PEER : CLOSE_PROTOCOL, now_us);
        }
        return false;
    }
    redis_conn_write(c);
    return c->state != CONN_CLOSED;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;

    (void)suggested;
    *buf = uv_buf_init(c->lane->read, LANE_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    uint64_t now_us;

    if (c->state == CONN_CLOSED || count == 0) {
        return;
    }
    now_us = clock_mono_us();
    if (count < 0) {
        lane_on_lost(c, CLOSE_PEER, now_us);
        return;
    }
    c->byte_us = now_us;
    if (c->tls != NULL) {
        (void)take_encrypted(c, buf->base, (size_t)count, now_us);
    } else {
        (void)take(c, buf->base, (size_t)count, now_us);
    }
    lane_want_turn(c->lane);
}

enum err redis_conn_listen(struct conn *c)
{
    return uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) == 0 ? ERR_OK : ERR_IO;
}

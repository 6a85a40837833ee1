/*
 * The way to Redis: a loop's connections, and calls that travel on them. A lane is what one loop has of the pool. Calls that
 * are sent in one turn of the loop leave in one write a connection.
 *
 * A call ends in one of three ways, and the difference is the point of this file:
 *   WIRE_ANSWERED  the reply is there (an error reply that was surely not executed is retried here until the deadline,
 *                  and then is WIRE_NOT_SENT; see verdict.h for which are which);
 *   WIRE_NOT_SENT  surely not executed: no byte of it left, or the server said that it did not run;
 *   WIRE_UNKNOWN   bytes left, and no answer came in time. Its place in the connection's order stays (a tombstone), so that
 *                  the late reply is never taken for the next call's.
 */
#ifndef STORE_REDIS_WIRE_H
#define STORE_REDIS_WIRE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/queue.h"
#include "base/slice.h"

struct redisReply;
struct redis_shared; /* shared.h */
struct lane;

enum wire_fate { WIRE_ANSWERED, WIRE_NOT_SENT, WIRE_UNKNOWN };

enum wire_command { /* a closed set, for metrics */
                    WIRE_POST,
                    WIRE_READ,
                    WIRE_HISTORY,
                    WIRE_CONTROL,
                    WIRE_COMMAND_COUNT
};

struct wire_call {
    struct queue_link link; /* first: the lane's while it waits */
    /* filled by the caller, who owns the memory until done has run */
    struct slice bytes; /* the command in RESP; lives until done */
    uint64_t deadline_mono_us;
    enum wire_command command;
    bool is_write; /* in synchronous mode its answer waits for WAIT; short of replicas it ends as WIRE_UNKNOWN */
    bool may_resend; /* after WIRE_UNKNOWN by a lost connection it may be sent again within its deadline: it carries an idempotency key, or only reads */
    /** Asked right before its bytes are taken, for each try; false: it is not wanted any more, and ends as WIRE_NOT_SENT, after a try that was sent as WIRE_UNKNOWN. NULL: it is. */
    bool (*claim)(struct wire_call *call);
    /** Runs exactly once, on the loop, never inside lane_send. reply is borrowed for the call, NULL unless answered. It may be an error reply (type REDIS_REPLY_ERROR). It may send more. */
    void (*done)(struct wire_call *call, enum wire_fate fate, const struct redisReply *reply);
    /* the lane's own */
    bool was_sent;
    uint64_t sent_us, retry_us;
    unsigned tries;
};

/**
 * Make a loop's lane; it opens no connection before the first call.
 *
 * Units:   connections: this lane's share of the pool, at least 1.
 * Owns:    borrows shared and loop until lane_close.
 * Errors:  ERR_NOMEM, ERR_IO.
 * Thread:  the loop's, or start-up before it runs; so all of these.
 */
MUST_CHECK enum err lane_new(struct redis_shared *shared, uv_loop_t *loop, unsigned connections,
                             unsigned idle, struct lane **out);

/** Queue a call. Where the queue is full it ends as WIRE_NOT_SENT (at the next turn). */
void lane_send(struct lane *l, struct wire_call *call);

/** Give what waits to connections and write: once at the end of a turn. */
void lane_flush(struct lane *l);

/** Close all connections and handles; calls that are still there end as WIRE_NOT_SENT or WIRE_UNKNOWN before it returns. Memory goes with the loop's last callbacks: run the loop once more. */
void lane_close(struct lane *l);

#endif

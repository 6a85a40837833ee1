/*
 * The inside of a lane: its pool, its queues, and what a connection tells it.
 *
 *   lane.c  queue, flush, timer; the public side (wire.h)
 *   pool.c  which connection takes a call; opening, idleness, backoff, another master
 *   fate.c  what becomes of a call: replies, lost connections, deadlines
 *
 * `done` runs from three places only: a reply (lane_on_reply), the lane's turn (uv_idle), and lane_close. Everything else puts
 * calls that end onto `unknown` or `not_sent`, so that no caller is entered while lists are being walked.
 */
#ifndef STORE_REDIS_LANE_H
#define STORE_REDIS_LANE_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/prng.h"
#include "base/queue.h"
#include "store/redis/conn.h"
#include "store/redis/shared.h"
#include "store/redis/verdict.h"
#include "store/redis/wire.h"

enum {
    LANE_TICK_MS = 10,
    LANE_SLOW_TICK_MS = 1000,          /* while nothing is under way */
    LANE_SLOW_CALL_US = 5 * 1000,      /* one that waits longer lets another connection open */
    LANE_CONNECT_US = 500 * 1000,      /* the socket; and a PING */
    LANE_GREETING_US = 1000 * 1000,    /* socket, TLS and greeting together */
    LANE_BACKOFF_US_MIN = 50 * 1000,   /* between two tries to connect */
    LANE_BACKOFF_US_MAX = 2000 * 1000, /* and at most */
    LANE_RETRY_US_MIN = 10 * 1000,     /* of a call that the server did not run */
    LANE_RETRY_US_MAX = 50 * 1000,
    LANE_PING_US = 30 * 1000 * 1000, /* idle longer, or half of pool_idle_us: asked before it is used */
    LANE_IDLE_GRACE_US = 100 * 1000, /* above the idle share: a pause in a burst is no idleness */
    LANE_CROWDED_US = 10 * 1000 * 1000, /* how long fewer connections are opened */
    LANE_READ_BYTES = 64 * 1024,
    LANE_OUT_BYTES_MAX = 64 * 1024 * 1024, /* of one connection, not written yet */
};
#define LANE_LIFETIME_US (UINT64_C(30) * 60 * 1000 * 1000)

struct lane {
    struct redis_shared *shared;
    struct shared_lane *gauges;
    struct metrics_shard *shard; /* NULL: nobody counts */
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_idle_t turn; /* active where something is to be done before the loop sleeps */
    unsigned handles;
    unsigned timer_ms; /* 0: off */
    bool is_closed, is_turn_wanted;
    struct prng prng;

    /* queues of calls */
    struct queue_list waiting;  /* for a place */
    struct queue_list later;    /* for their retry_us */
    struct queue_list unknown;  /* to be told so */
    struct queue_list not_sent; /* to be told so */
    uint64_t queue_deadline_us; /* nothing that waits has an earlier deadline */

    /* the server */
    unsigned generation;
    bool has_target;
    struct sockaddr_storage address;
    char name[REDIS_HOST_BYTES_MAX + 1]; /* for TLS */

    /* the pool */
    unsigned cap, idle_max;
    unsigned cap_now; /* less than cap while the server is crowded */
    uint64_t crowded_until_us, connect_us /* not before */;
    unsigned failures; /* tries to connect, one after another */
    unsigned lost;     /* connections that were lost and not tried again */
    unsigned open;
    char read[LANE_READ_BYTES];
    struct conn *conns[];
};

/* ---- what a connection says ---- */

/** It may be used. */
void lane_on_ready(struct conn *c, uint64_t now_us);

/** A reply has come for a slot; borrowed, but a slot may keep it: then true. May run `done`, so anything may have happened after it. */
bool lane_on_reply(struct conn *c, struct slot *slot, struct redisReply *reply, uint64_t now_us);

/** Its WAIT was answered: how many replicas have it; -1: nobody knows. */
void lane_on_wait(struct conn *c, int64_t replicas, uint64_t now_us);

/** An error reply to the greeting or a PING; why it cannot be used. */
void lane_on_refused(struct conn *c, enum verdict verdict, uint64_t now_us);

/** It is of no use any more: broken, lost, or in our way. Closes it; its calls go where they belong. */
void lane_on_lost(struct conn *c, enum wire_close reason, uint64_t now_us);

/** Something was freed or is to be told: take a turn before the loop sleeps. */
void lane_want_turn(struct lane *l);

/** The last handle but one is gone? Then free. */
void lane_release(struct lane *l);

/* ---- pool.c ---- */

/** Take over the master that control tells of; connections to the one before go. */
void pool_follow(struct lane *l, uint64_t now_us);

/** The connection to fill next, or NULL: one that answers in good time before one that does not, of which *is_slow tells. */
struct conn *pool_pick(struct lane *l, uint64_t now_us, bool *is_slow);

/** Open or wake connections for what still waits, as far as cap and backoff let. */
void pool_grow(struct lane *l, bool is_slow, uint64_t now_us);

/** Patience, idleness, age; and the deadlines of what connections owe. */
void pool_tick(struct lane *l, uint64_t now_us);

/** Take a connection that is about to be closed out of the pool; the last one takes its place. */
void pool_forget(struct conn *c);

/** It has answered a call: the server works. */
void pool_served(struct conn *c);

/** Connecting did not work: the next try waits, longer each time. */
void pool_failed(struct lane *l, uint64_t now_us);

/** Let it finish what it owes and then close it; at once where it owes no call. */
void pool_drain(struct conn *c, enum wire_close reason, uint64_t now_us);

/** The server has too many clients: no more connections than there are, for a while. */
void pool_crowded(struct lane *l, uint64_t now_us);

void pool_gauges(struct lane *l);

/** Is there more to look for than idleness? */
bool pool_is_busy(const struct lane *l);

/* ---- fate.c ---- */

/** It ends without an answer: unknown where a try of it may have been executed. Told at the lane's turn. */
void fate_end(struct lane *l, struct wire_call *call);

/** It did not run: once more after a pause, or ended where the deadline is nearer. */
void fate_again(struct lane *l, struct wire_call *call, uint64_t now_us);

/** Pauses and deadlines of what is queued. */
void fate_tick_queue(struct lane *l, uint64_t now_us);

/** Deadlines of what a connection owes. May lose it. */
void fate_tick_conn(struct conn *c, uint64_t now_us);

/** Run the done of all that has ended. */
void fate_tell(struct lane *l);

/** Queue again, or end, all calls of a connection that is about to be closed. */
void fate_of_lost(struct conn *c);

#endif

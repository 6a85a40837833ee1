/*
 * One connection of a lane: socket, TLS, greeting, and the order of what it owes. What becomes of a call is the lane's business.
 *
 * Each command that goes out has a slot in a ring, in the order sent; a reply is always for the first slot that has none. A slot
 * remembers where in the stream of bytes its command begins, so that of a connection that is lost it is known which
 * commands the kernel took a byte of.
 */
#ifndef STORE_REDIS_CONN_H
#define STORE_REDIS_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "store/redis/guard.h"
#include "store/redis/shared.h"
#include "store/redis/wire.h"

struct redisReader;
struct tls_session;

enum conn_state {
    CONN_OPENING,  /* the socket */
    CONN_GREETING, /* TLS, HELLO, whose ledger it is, ROLE */
    CONN_READY,
    CONN_CHECKING, /* a PING is under way, for it was idle long */
    CONN_DRAINING, /* takes nothing more, is closed when nothing is owed */
    CONN_CLOSED,
};

enum slot_kind {
    SLOT_CALL, /* without a call: a tombstone */
    SLOT_HELLO,
    SLOT_NO_EVICT,
    SLOT_EPOCH,
    SLOT_ROLE,
    SLOT_PING,
    SLOT_WAIT,
};

struct slot {
    struct wire_call *call;  /* borrowed */
    struct redisReply *held; /* owned: the call's answer, while the replicas' is awaited */
    uint64_t begin;          /* where in the stream; with TLS where its flush begins */
    uint64_t sent_us;
    uint32_t number; /* SLOT_WAIT: replicas that are enough */
    uint8_t kind;    /* enum slot_kind */
    bool is_answered;
};

struct conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct lane *lane;
    unsigned index; /* in the lane's pool */
    enum conn_state state;
    enum wire_close drain_reason;
    bool is_moved;    /* it said that it is no master: what it answers to reads is old */
    bool is_writing;  /* libuv has `sending` */
    bool is_touched;  /* got calls in this flush */
    bool has_writes;  /* among them some whose replication is awaited */
    bool has_served;  /* answered a call */
    unsigned calls;   /* slots of calls, tombstones too */
    unsigned waiting; /* slots without an answer */
    uint64_t opened_us, idle_us, retire_us;
    uint64_t byte_us;      /* when it last sent something, or began to owe */
    uint64_t deadline_us;  /* no call on it has an earlier one */
    uint64_t stream_bytes; /* ever put into out */

    struct buf plain;   /* with TLS: not encrypted yet */
    struct buf out;     /* not written yet */
    struct buf sending; /* with libuv */
    struct buf in;      /* with TLS: decrypted */
    struct guard guard;
    struct redisReader *reader;
    struct tls_session *tls; /* NULL: plain */

    uint32_t slot_mask, slot_head, slot_next, slot_tail; /* first, first unanswered, behind the last */
    struct slot slots[];
};

/**
 * Begin to open a connection to the lane's target; it comes back as lane_on_ready or lane_on_lost, never from within.
 *
 * Errors:  ERR_NOMEM, ERR_IO; there is then no connection.
 * Thread:  the lane's; so all of these.
 */
MUST_CHECK enum err redis_conn_open(struct lane *l, uint64_t now_us, struct conn **out);

/** Give it a call. Returns false where memory does not suffice for its bytes; nothing is then changed. */
bool redis_conn_put_call(struct conn *c, struct wire_call *call, uint64_t now_us);

/** Is there room for one more call, by depth and by what the socket takes? */
bool redis_conn_has_room(const struct conn *c);

/** Append WAIT for what was put before. */
void redis_conn_put_wait(struct conn *c, uint32_t replicas, uint64_t timeout_us, uint64_t now_us);

/** Ask whether it still lives; it is CONN_CHECKING then. */
void redis_conn_put_ping(struct conn *c, uint64_t now_us);

/** Write what there is. May lose the connection. */
void redis_conn_write(struct conn *c);

/** How many bytes of the stream the kernel took, as far as that is known: never less than it took. */
uint64_t redis_conn_accepted(const struct conn *c);

/** Slots from the head on that are answered and not awaited by anybody are over. */
void redis_conn_pop_finished(struct conn *c, uint64_t now_us);

static inline struct slot *redis_conn_slot(struct conn *c, uint32_t at)
{
    return &c->slots[at & c->slot_mask];
}

/** Begin to take what the server sends (conn_read.c). Errors: ERR_IO. */
MUST_CHECK enum err redis_conn_listen(struct conn *c);

/** Close the socket. The slots are left to the lane, which must forget this connection; memory goes with libuv's callback. */
void redis_conn_close(struct conn *c);

#endif

/*
 * An operation at work on a loop. What it asks of Redis are steps: a step is some commands, of which up to WORK_WINDOW
 * travel at a time; when all of them are answered, the next step begins or the operation ends.
 */
#ifndef STORE_REDIS_WORK_H
#define STORE_REDIS_WORK_H

#include <uv.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/redis/place.h"
#include "store/redis/shared.h"
#include "store/redis/wire.h"
#include "store/store.h"

struct redisReply;

enum {
    WORK_WINDOW = 16, /* commands of one operation in flight */
    WORK_COMMAND_BYTES_MAX = 256 * 1024,
    WORK_KEPT_BYTES_MAX = 16 * 1024, /* a longer command's memory is not kept for the next */
    WORK_SCRATCH_BYTES_MAX = 4 * 1024 * 1024 /* of one operation on its way */
};

struct work;

/** Where works live: what one loop has of the store. */
struct work_loop {
    struct redis_shared *shared;
    struct lane *lane;
    uv_prepare_t before_poll;
    uv_check_t after_poll;
    unsigned handles; /* of libuv, still open */
    bool needs_flush; /* something was sent since the last flush */
    unsigned busy;    /* operations at work */
    unsigned busy_max;
    struct work *idle; /* to be used again; owned */
};

struct work_step {
    enum wire_command command;
    unsigned count;                                               /* >= 1 */
    enum err (*ask)(struct work *w, unsigned i, struct buf *out); /* append command i in RESP */
    /* take its answer, never an error reply; they come in any order */
    enum err (*take)(struct work *w, unsigned i, const struct redisReply *reply);
    void (*then)(struct work *w); /* all are taken: begin another step, or work_end */
};

struct work_part {         /* one command on its way */
    struct wire_call call; /* first */
    struct work *work;
    unsigned i; /* which of the step's commands */
    struct buf bytes;
    /* beside the steps: takes its end */
    void (*then)(struct work_part *part, enum wire_fate fate, const struct redisReply *reply);
};

struct pick { /* an entry for the page */
    int64_t time_us;
    unsigned kind;
};

struct history_at {
    uint64_t count; /* elements of the list */
    uint64_t low,
        high; /* searching: the first element not before the bound is in low..high, 0-based */
    uint64_t low_next, high_next;
    uint64_t n;       /* the next element to look at, 1..count; any other: none */
    uint64_t first;   /* 0-based: the chunk that is asked for */
    unsigned chunk;   /* its length */
    int64_t until_us; /* exclusive: the end of the question, or what is newer than the view */
    unsigned looked, picked;
    struct pick *picks;
    bool is_settled; /* nothing more to look at */
};

struct found { /* ids that one bucket's list had */
    struct slice *ids;
    uint64_t *at; /* their indexes */
    unsigned count;
    uint64_t behind; /* the index behind what was looked at */
    bool is_end;     /* the list has no more */
};

struct candidate {
    struct place at;
    unsigned id_len;
    char id[LEDGER_ACCOUNT_ID_BYTES_MAX];
    struct account_view view;
    struct slice metadata; /* in scratch */
};

struct accounts_at {
    struct place next; /* where looking goes on; bucket == buckets: nowhere */
    unsigned wave;     /* lists asked now */
    unsigned wave_next;
    unsigned chunk; /* ids asked of each */
    unsigned looked;
    struct found *found; /* of this wave */
    struct candidate *candidates;
    unsigned candidate_count, candidate_max;
};

struct transaction_at {
    unsigned bucket; /* of the first journal of this step */
    bool is_everywhere;
};

struct work {
    struct work *next; /* in the idle list */
    struct work_loop *loop;
    struct store_op *op;
    uint64_t deadline_mono_us;
    bool is_claimed;
    bool has_failed; /* no more commands; ends with `failed` once those in flight are back */
    enum store_status failed;
    struct work_step step;
    unsigned asked, in_flight;
    unsigned used; /* bit set of parts */
    struct arena scratch;
    union {
        bool is_look; /* STORE_POST */
        struct history_at history;
        struct accounts_at accounts;
        struct transaction_at transaction;
    } at;
    struct work_part first;
    struct work_part *others; /* WORK_WINDOW - 1, made when first needed; owned */
};

/** Make a loop's place, for so many operations at a time. Errors: ERR_NOMEM, ERR_IO. Thread: as lane_new. */
MUST_CHECK enum err work_loop_new(struct redis_shared *shared, uv_loop_t *uv, unsigned connections,
                                  unsigned idle, unsigned busy_max, struct work_loop **out);

/** End the lane; what is still at work comes back first. Memory goes with the loop's last callbacks. Thread: the loop's. */
void work_loop_close(struct work_loop *l);

/** Take up operations, as many as there is room for, and send what they ask; the rest stay. Thread: the loop's. */
void work_hand_over(struct work_loop *l, struct queue_list *ops);

/** Begin a step. Thread: the loop's, so all below. */
void work_ask(struct work *w, const struct work_step *step);

/** Give the operation back to whom it belongs to; w is gone then. */
void work_end(struct work *w, enum store_status status);

/** Give it back as DONE, or as what an error of our own makes of a read: logged, with the key that it is about. */
void work_end_read(struct work *w, enum err e, struct slice about);

/** A command of its own, beside the steps: fill part->bytes. */
struct work_part *work_part_ready(struct work *w);

/** Send it; `then` gets its end, as wire_call's done would. */
void work_part_send(struct work_part *part, enum wire_command command, bool is_write, bool may_resend,
                    void (*then)(struct work_part *part, enum wire_fate fate,
                                 const struct redisReply *reply));

#endif

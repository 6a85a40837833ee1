/* The crossing between threads: a bounded queue of linked items, many producers, taken whole by consumers. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct queue_link {
    struct queue_link *next;
};

/** A plain first-in first-out list of one thread; also what crosses at once. */
struct queue_list {
    struct queue_link *head;
    struct queue_link *tail;
    size_t len;
};

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty;
    struct queue_list list; /* under mutex */
    size_t max;             /* the ceiling on list.len */
    size_t waiting;         /* consumers asleep; under mutex */
    size_t least;           /* so many items wake one; under mutex */
    bool is_closed;         /* under mutex: nothing more comes */
};

/** Append an item to a list of this thread. */
void queue_list_push(struct queue_list *list, struct queue_link *item);

/** Take the first item, or NULL. */
struct queue_link *queue_list_pop(struct queue_list *list);

/** Move all items of from behind those of to. */
void queue_list_move(struct queue_list *to, struct queue_list *from);

/** Prepare an empty queue of at most max items. Errors: ERR_NOMEM. */
MUST_CHECK enum err queue_init(struct queue *q, size_t max);

/** Free it; it must be empty and nobody may wait on it. */
void queue_fini(struct queue *q);

/**
 * Move items into the queue, in order, as many as fit; the rest stay in *items. Wakes a sleeping consumer.
 *
 * Returns: true where the queue was empty before, so that an owner with a wake-up of its own knows to send one.
 * Thread:  any; never blocks for long.
 */
bool queue_put(struct queue *q, struct queue_list *items);

/** As queue_put, but before what is already there. */
bool queue_put_first(struct queue *q, struct queue_list *items);

/**
 * Take up to max items (behind those already in *out), waiting while there are none.
 *
 * Returns: false when the queue is closed and empty; nothing is then taken.
 * Thread:  a consumer that may block.
 */
bool queue_wait(struct queue *q, size_t max, struct queue_list *out);

/** As queue_wait, but gives up after timeout_ms: then true with nothing taken. */
bool queue_wait_for(struct queue *q, size_t max, unsigned timeout_ms, struct queue_list *out);

/**
 * As queue_wait, but gives the queue up to linger_us to reach `least` items first: company for the first one. An item that
 * comes later than that is taken at once.
 *
 * Thread: the queue's one consumer.
 */
bool queue_wait_many(struct queue *q, size_t max, size_t least, unsigned linger_us,
                     struct queue_list *out);

/** Take up to max items without waiting. Thread: any. */
void queue_take(struct queue *q, size_t max, struct queue_list *out);

/** Say that nothing more comes: waiting consumers drain what is there, then get false. */
void queue_close(struct queue *q);

/** Items in the queue at this moment, for metrics. */
size_t queue_len(struct queue *q);

#endif

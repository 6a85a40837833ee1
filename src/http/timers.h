/*
 * Deadlines of one loop's connections. Each kind has one constant duration, so each is a first-in
 * first-out list: starting and stopping cost a few pointer writes, and one timer of the loop serves
 * them all. Pure: time is an argument.
 */
#ifndef HTTP_TIMERS_H
#define HTTP_TIMERS_H

#include <stdint.h>

#include "http/list.h"

enum timer_kind {
    TIMER_NONE,
    TIMER_HEAD,    /* from accept or a request's first byte to its complete head */
    TIMER_BODY,    /* for each HTTP_BODY_STRIDE_BYTES of a body */
    TIMER_IDLE,    /* keep-alive without a byte */
    TIMER_REQUEST, /* from the complete request to its answer */
    TIMER_WRITE,   /* for each HTTP_WRITE_STRIDE_BYTES that the peer shall take */
    TIMER_LINGER,  /* from the last answer to the peer's close */
    TIMER_COUNT,
};

struct timer_link {
    struct list_link link;
    uint64_t deadline_ms;
    enum timer_kind kind; /* the list it is in; TIMER_NONE: none */
};

struct timers {
    struct list_link lists[TIMER_COUNT]; /* oldest first */
    uint32_t duration_ms[TIMER_COUNT];
};

/** Make the lists empty; the caller then sets duration_ms. */
void timers_init(struct timers *t);

/** Start, or start anew, a deadline of the kind's duration from now. Returns it. */
uint64_t timers_start(struct timers *t, struct timer_link *timer, enum timer_kind kind,
                      uint64_t now_ms);

/** Take it out of its list, if it is in one. */
void timers_stop(struct timer_link *timer);

/** The next deadline of all, UINT64_MAX for none. */
uint64_t timers_next_ms(const struct timers *t);

/** Take out one whose deadline has come, NULL for none. *kind is what it was. */
struct timer_link *timers_pop(struct timers *t, uint64_t now_ms, enum timer_kind *kind);

/** The one of a kind that was started first, NULL for none; it stays in its list. */
struct timer_link *timers_oldest(struct timers *t, enum timer_kind kind);

#endif

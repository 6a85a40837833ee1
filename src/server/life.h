/*
 * When a service drains, stops, cuts and ends: what to do next, given what is known now. Pure: no clock, no I/O.
 *
 * Clean end:   STARTING -opened-> SERVING -signal-> DELAYING -delay over-> STOPPING -loops done-> CLOSING -closed-> exit 0
 * Slow peers:  STOPPING -drain time-out-> CUTTING -loops done-> CLOSING
 * Hung store:  CUTTING -grace over-> exit 1
 * Dead disk:   SERVING, DELAYING, STOPPING or CUTTING -fatal-> FAILING -loops done, or a second over-> exit 1
 * Impatience:  a second signal, anywhere: exit 1
 */
#ifndef SERVER_LIFE_H
#define SERVER_LIFE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    LIFE_FAILING_US = 1000 * 1000, /* for answers that are on their way when the store fails */
    LIFE_GRACE_US =
        5000 * 1000, /* for the store to give back what it works on, after all connections were cut */
};

enum life_state {
    LIFE_STARTING,
    LIFE_SERVING,
    LIFE_DELAYING, /* says that it is not ready, and serves */
    LIFE_STOPPING, /* accepts nothing new, finishes what is in flight */
    LIFE_CUTTING,  /* has cut what did not finish */
    LIFE_CLOSING,  /* the store makes everything durable */
    LIFE_FAILING,  /* the store failed: answers what it has to */
    LIFE_ENDED,
};

/** What is known. All but now_us only ever grows. */
struct life_facts {
    uint64_t now_us;  /* monotonic */
    unsigned signals; /* that asked for the end */
    bool is_opened;   /* the store is open and serves */
    bool has_failed_to_start;
    bool is_fatal; /* the store has failed */
    bool are_loops_done;
    bool is_closed; /* the store is closed */
};

enum life_action {
    LIFE_WAIT,  /* until life_deadline_us, or until something is known that was not */
    LIFE_SERVE, /* start the loops */
    LIFE_DRAIN, /* /readyz says 503, answers say Connection: close */
    LIFE_STOP,  /* stop accepting */
    LIFE_CUT,   /* cut the connections that are left */
    LIFE_CLOSE, /* close the store */
    LIFE_EXIT,  /* with exit_code */
};

struct life {
    enum life_state state;
    uint64_t deadline_us; /* UINT64_MAX: none */
    uint64_t drain_delay_us, drain_timeout_us;
    int exit_code; /* valid with LIFE_EXIT */
};

/** Begin. */
void life_init(struct life *l, uint64_t drain_delay_us, uint64_t drain_timeout_us);

/** What to do now; call it again after doing it, until it says LIFE_WAIT or LIFE_EXIT. */
enum life_action life_next(struct life *l, const struct life_facts *facts);

#endif

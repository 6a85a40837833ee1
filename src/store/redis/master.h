/* The master as control sees it: found, checked, compared with what it was, and told to the lanes. */
#ifndef STORE_REDIS_MASTER_H
#define STORE_REDIS_MASTER_H

#include <stdbool.h>

#include "base/err.h"
#include "store/redis/look.h"
#include "store/redis/sentinel.h"
#include "store/redis/shared.h"
#include "store/store.h"

enum {
    MASTER_LOADING_US_MAX = 30000000, /* start-up waits so long for a server that loads its data */
    MASTER_FAILOVER_US_MAX = 5000000, /* and so long for the sentinels to have a master */
    MASTER_STEP_US_MAX = 10000000,    /* and, synchronous, for a connected replica to be in step */
    MASTER_JOURNALS_US = 1000000, /* between two comparisons of all journals, on one connection */
    MASTER_DOUBT_US = 3000000, /* sentinels that disagree, or have just come back, know better by then */
    MASTER_TRIP_US_MAX = 100000, /* a slower answer says too little about the server's clock */
};

/** Control's own; all of it belongs to its thread, but `stats`, which is under shared->mutex. */
struct master {
    struct redis_shared *shared;
    struct sentinel sentinel;
    struct sync *line;          /* NULL: none open */
    struct redis_address said;  /* as configured, or as the sentinels say */
    struct redis_address at;    /* where the line goes: numeric */
    struct check_facts facts;   /* as last said */
    struct look_marks marks;    /* of start-up */
    struct check_warnings told; /* those in the log already */
    uint64_t journals_us;       /* when all journals were last compared; 0: not on this line */
    bool has_clock;
    bool has_replay; /* on this line it was asked whether a restart brings everything back */
    bool has_rights; /* and the functions' self-test passed: rights are a node's own, and a new master may have others */
    uint64_t doubt_us; /* since when the server that the sentinels name lacks what is known; 0: it does not */
    bool is_lost; /* the ledger is not the one it was: nothing is written until an operator has looked and starts again */
    struct err_text lost_why;
    struct redis_stats stats;
};

/**
 * Find it, check everything, load the functions, make the marks of a new ledger, and tell shared.
 *
 * Errors:  as redis_open.
 * Thread:  start-up; blocks.
 */
MUST_CHECK enum err master_start(struct master *m, struct redis_shared *shared, struct err_text *why);

/** Look again, load what vanished, tell shared what changed. Returns the health it has told, but STORE_STALLED where it should look again soon. Thread: control's; blocks. */
enum store_health master_look(struct master *m);

/** Do the sentinels name another one? False where there are no sentinels, or none answers. Thread: control's; blocks. */
bool master_is_moved(struct master *m);

/** Tell shared and the log how it is; the master, its address and what it is worth stay as they were. Thread: control's; so the next two. */
void master_health(struct master *m, enum store_health h, const struct err_text *why);

/** Tell all: address, durability, replicas, numbers, warnings, health. */
void master_tell(struct master *m, enum store_health h, const struct err_text *why);

bool master_is_same(const struct redis_address *a, const struct redis_address *b);

/** Close what is open; the zero value is allowed. */
void master_close(struct master *m);

#endif

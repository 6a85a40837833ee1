/* What an error reply means: whether the command ran, and what to do. One row a reply, each of them tested. */
#ifndef STORE_REDIS_VERDICT_H
#define STORE_REDIS_VERDICT_H

#include "base/slice.h"

enum verdict {
    VERDICT_ANSWER, /* an ordinary error reply: for the caller */
    VERDICT_LATER, /* did not run: LOADING, BUSY, CLUSTERDOWN, TRYAGAIN, NOREPLICAS, MISCONF; try again until the deadline */
    VERDICT_FULL,  /* did not run: OOM. At once the caller's: he may look by the key */
    VERDICT_MOVED_AWAY, /* did not run: READONLY, MASTERDOWN, MOVED, ASK, UNBLOCKED: another node is the master; close, look, try again */
    VERDICT_LOAD,       /* did not run: function not found; control loads it, try again */
    VERDICT_DENIED,     /* did not run: NOAUTH, WRONGPASS, NOPERM; close, look */
    VERDICT_CROWDED,    /* max number of clients reached: close, fewer connections, later */
    VERDICT_HALF,       /* an error from inside our function: perhaps half done */
};

/** Thread: any; pure. */
enum verdict verdict_of(struct slice error);

#endif

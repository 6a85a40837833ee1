/* What the replicas say of themselves: a write that waited for one is worth what that one does with it. */
#ifndef STORE_REDIS_REPLICAS_H
#define STORE_REDIS_REPLICAS_H

#include "base/err.h"
#include "store/redis/check.h"
#include "store/redis/shared.h"

/** Is a replica set so that what it acknowledged survives on it? Errors: ERR_INVALID, *why says which setting to change; ERR_UNSUPPORTED it would not say how it is set. Thread: any; pure. */
MUST_CHECK enum err replicas_judge(const struct check_facts *replica, struct err_text *why);

/**
 * Ask each replica that the master names, with the master's user and password, how it is set, and whether a restart would bring
 * everything back (mend_replay). What cannot be asked, and in asynchronous mode also what is wrong, is a warning in the log.
 *
 * Errors:  ERR_INVALID where answers would be called "replicated" and a replica is not set for it; *why says how to mend it.
 * Thread:  start-up; blocks up to half a second for each step with a replica that does not answer.
 */
MUST_CHECK enum err replicas_check(const struct redis_shared *shared,
                                   const struct check_facts *master, struct err_text *why);

#endif

/* Puts into a server what the ledger needs of it: the function library, and the marks of a new ledger (w:meta). */
#ifndef STORE_REDIS_MEND_H
#define STORE_REDIS_MEND_H

#include <stdbool.h>

#include "base/err.h"
#include "store/redis/look.h"

struct sync;

enum { MEND_FORMAT = 1 };

/** What the user default needs, and where; shorter than a field of the log. */
#define MEND_REPLAY_ADVICE \
    "give the user default, in the server's configuration and also where it is off, " \
    "~w:* +del +hdel +hset +pexpireat +rpush +set +xadd"

/** How much of the library has to be right. */
enum mend_need {
    MEND_SAME, /* the very library of this program: start-up */
    MEND_SOME, /* any of its major version: another instance, newer than this one, may have loaded its own; two that each
                   insisted would load for ever */
};

/**
 * Ask for the library's hash, load it (FUNCTION LOAD REPLACE) where it is missing or, for MEND_SAME, another. Libraries of other
 * names stay. Several instances may do this at once: each puts the same text in place, whole.
 *
 * Returns: in *is_loaded whether it was.
 * Errors:  ERR_INVALID it may not be loaded, or the server would not take it; ERR_IO, ERR_TIMEOUT, ERR_NOMEM; *why.
 * Thread:  any; blocks; so all of these.
 */
MUST_CHECK enum err mend_library(struct sync *s, bool may_load, enum mend_need need,
                                 bool *is_loaded, struct err_text *why);

/** Let the library run each of its commands, and those of reads, on keys of its own, and run what lanes need beside: what the user may not do fails now, not in the middle of a posting. Errors: ERR_DISK_FULL its memory is full, so nothing was tried; ERR_INVALID; as above. */
MUST_CHECK enum err mend_selftest(struct sync *s, struct err_text *why);

/**
 * Would the server bring back from its append-only file all that postings write? It replays them as the user default, and what
 * that one may not do within a transaction, which is what a function's writes are to it, it leaves out and goes on.
 *
 * Returns: *is_known: false where the user may not ask (ACL DRYRUN), or the server cannot say.
 * Errors:  ERR_INVALID it would not; as above.
 * Source:  github.com/redis/redis/issues/14541; seen on 7.0.15.
 */
MUST_CHECK enum err mend_replay(struct sync *s, bool *is_known, struct err_text *why);

/** Say in the log that mend_replay's *is_known was false. Thread: any. */
void mend_replay_warn(void);

/**
 * Read the ledger's marks; make them where there is no ledger at all. Several instances at once agree on one.
 *
 * buckets: what a new ledger gets; an old one must have as many. 0: REDIS_BUCKETS, and whatever an old one has.
 * Errors:  ERR_UNSUPPORTED another format, or other buckets; ERR_INVALID there are keys of a ledger and no marks, or the server
 *          refused; ERR_IO, ERR_TIMEOUT, ERR_NOMEM; *why.
 */
MUST_CHECK enum err mend_marks(struct sync *s, unsigned buckets, struct look_marks *out,
                               struct err_text *why);

#endif

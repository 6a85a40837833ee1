/* One look at a server over one connection: what it says of itself, its clock, its ledger's marks, how far its journals reach. */
#ifndef STORE_REDIS_LOOK_H
#define STORE_REDIS_LOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/redis/check.h"
#include "store/redis/shared.h"

struct sync;

enum {
    LOOK_EPOCH_BYTES = SHARED_EPOCH_BYTES,
    LOOK_JOURNALS_MAX = 512 /* journals asked for at once */
};

/** What w:meta says: made once, on an empty database, and the same for ever. */
struct look_marks {
    char epoch[LOOK_EPOCH_BYTES + 1]; /* "": not there */
    unsigned format, buckets;         /* 0: not there */
    bool is_importing;                /* an import runs, or was killed half way */
};

/** A journal that once reached further. */
struct look_loss {
    unsigned bucket;
    uint64_t known, found;
};

/**
 * Ask INFO, CONFIG GET and TIME in one go. That CONFIG GET is forbidden is no error: facts->has_config says so.
 *
 * Units:   *clock_offset_us is the server's clock less ours, at the middle of the round trip; *trip_us how long that was.
 * Errors:  ERR_IO, ERR_TIMEOUT, ERR_NOMEM, the connection is then of no use; ERR_INVALID the server will not say; *why.
 * Thread:  any; blocks; so all of these.
 */
MUST_CHECK enum err look_facts(struct sync *s, struct check_facts *facts, int64_t *clock_offset_us,
                               uint64_t *trip_us, struct err_text *why);

/** Read w:meta; a field that is not there is 0 or "". Errors: as look_facts; ERR_UNSUPPORTED what stands there is none of ours. */
MUST_CHECK enum err look_marks(struct sync *s, struct look_marks *out, struct err_text *why);

/**
 * Compare every journal with what this process once saw of it (shared->high_water).
 *
 * Returns: in *loss the first that is behind; loss->known is 0 where none is.
 * Errors:  as look_facts.
 */
MUST_CHECK enum err look_journals(struct sync *s, const struct redis_shared *shared,
                                  struct look_loss *loss, struct err_text *why);

#endif

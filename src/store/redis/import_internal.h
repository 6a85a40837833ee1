/* An import's parts: its postings, its marks. What it does in which order stands in import.c. All of one thread; they block. */
#ifndef STORE_REDIS_IMPORT_INTERNAL_H
#define STORE_REDIS_IMPORT_INTERNAL_H

#include "store/redis/lock.h"
#include "store/redis/move.h"
#include "store/redis/offline.h"

/* The newest posting of a bucket. */
struct newest {
    int64_t time_us;
    uint32_t tag;
};

struct importer {
    struct offline o;
    struct err_text *why;
    struct lock lock;
    uint64_t renewed_us; /* monotonic */
    struct move_reader reader;
    struct move_line line;
    struct newest *newest;              /* by bucket; owned */
    uint64_t line_of[OFFLINE_PIPE + 4]; /* of the calls on their way */
    unsigned pending;
    uint64_t position;
    int64_t now_ms; /* the server's clock, as of the last flush */
};

/** Keep the lock, or renew it where it is time. ctx: the importer. Errors: ERR_BUSY it was lost; as sync. */
MUST_CHECK enum err import_lock_keep(void *ctx);

/** Put every line of the export into the ledger, as postings of their own times. Errors: ERR_CORRUPT, ERR_UNSUPPORTED of a line; as sync; *m->why. */
MUST_CHECK enum err import_lines(struct importer *m);

/** No posting of this ledger's own may come before one that was imported, nor at the same time. */
MUST_CHECK enum err import_clocks(struct importer *m);

/** Under the lock: is there room for a ledger? What a killed import left is removed. Errors: ERR_EXISTS a ledger is there. */
MUST_CHECK enum err import_room(struct importer *m);

/** From here on it is an import's: no instance starts on it. */
MUST_CHECK enum err import_begin(struct importer *m, unsigned buckets);

/** Is it what the export says: sums of each currency, count of accounts, and everything that verify asks. Errors: ERR_CORRUPT. */
MUST_CHECK enum err import_totals(struct importer *m);

/** The one command that makes it a ledger. */
MUST_CHECK enum err import_end(struct importer *m);

#endif

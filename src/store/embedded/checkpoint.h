/*
 * Copies the write-ahead log into the ledger's file, on a thread and connection of its own, so that commits wait as little
 * as can be. Under unbroken load the log would never be wholly copied; so when a pass is done, the writer copies the small
 * rest itself between two commits, and the next commit starts the log from its beginning.
 */
#ifndef STORE_EMBEDDED_CHECKPOINT_H
#define STORE_EMBEDDED_CHECKPOINT_H

#include <pthread.h>
#include <stdbool.h>

#include "metrics/metrics.h"
#include "store/embedded/db.h"

enum {
    CHECKPOINT_PAGES = 4096, /* log pages (16 MiB) from which on a pass is made */
    CHECKPOINT_GATE_TIMES =
        2, /* a log this many times as long is held up by readers: let none begin, and copy */
    CHECKPOINT_FORCE_TIMES = 4, /* the writer waits for a pass, and copies however large the rest is */
    CHECKPOINT_REST_PART =
        2, /* a rest of less than that part the writer copies itself; more is worth another pass */
};

struct checkpoint {
    sqlite3 *db;                 /* owned */
    pthread_rwlock_t *snapshots; /* borrowed: held shared by whoever reads from the file */
    int pages, rest_pages; /* a pass is made from so many on; a rest the writer copies itself */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake, ended;
    int force_pages;  /* the writer's: the log's length from which on it must not grow further */
    bool is_running;  /* the thread exists */
    bool is_wanted;   /* under mutex */
    bool is_stopping; /* under mutex */
    bool is_done;     /* under mutex: a pass ended since the writer last asked */
    int done_pages;   /* under mutex: log pages copied by it */
    enum err err;     /* under mutex: a failed pass; sticks, the writer must stop */
    struct metrics_shard *shard;
    uint32_t seconds; /* metrics series */
};

/** Start the thread; a pass is made from `pages` log pages on. Owns: takes db. Errors: ERR_NOMEM. Thread: start-up. */
MUST_CHECK enum err checkpoint_start(struct checkpoint *c, sqlite3 *db, pthread_rwlock_t *snapshots,
                                     int pages, struct metrics_shard *shard, uint32_t seconds);

/** End the thread (a running pass is finished first) and close its connection. */
void checkpoint_stop(struct checkpoint *c);

/**
 * After a commit: start a pass where the log is long, or copy the rest on `writer` where one has just ended. A log can start
 * over only when all of it is copied, which a snapshot older than the end of the log prevents; under unbroken reads there
 * always is one. So from CHECKPOINT_GATE_TIMES on, reads wait for one copy. Where more is written during one read than a
 * rest may have, no rest is ever small; so from CHECKPOINT_FORCE_TIMES on it need not be, and the writer waits for the pass. A
 * foreign reader (a backup) can still hold the log up; then the writer waits again only after as much growth.
 *
 * Errors:  ERR_IO, ERR_CORRUPT of a pass or of the rest: what is on the disk is not known: stop writing.
 * Thread:  writer; blocks for a rest, and for a pass where the log is too long.
 */
MUST_CHECK enum err checkpoint_turn(struct checkpoint *c, sqlite3 *writer, int wal_pages);

#endif

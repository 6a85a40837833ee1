/* A ledger without the service: book and journal, driven by hand on one thread. */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include "base/arena.h"
#include "ledger/book.h"
#include "store/embedded/journal.h"

enum {
    RIG_ID_BYTES_MAX = 16,
    RIG_ID_FIRST =
        10000000, /* ids are "acct-10000000" and up: one length, and no formatting to make one */
};

/** Must not move while it is open: the journal's hook knows its address. */
struct rig {
    struct book book;
    struct book_fx fx;
    struct journal journal;
};

/** Open (make) a ledger in a folder that holds none; made where it does not exist. Dies on any error. */
void rig_open(struct rig *r, const char *dir, unsigned batch_max);

/** Apply one posting; it lives until rig_commit. Dies unless it is accepted. */
void rig_apply(struct rig *r, const struct posting *p, int64_t now_us);

/** Commit what was applied, and checkpoint in line where the log is long. */
void rig_commit(struct rig *r, int wal_pages_max);

/** Sweep and checkpoint everything, as a clean stop of the service does. */
void rig_settle(struct rig *r);
void rig_close(struct rig *r);

/** Checkpoint where the log has at least wal_pages_max pages; the same for ours and the bare inserts. */
void rig_checkpoint(sqlite3 *db, int *wal_pages, int wal_pages_max);

/** The id of account i, 0..; *text keeps it. */
struct slice rig_id(uint64_t i, char text[RIG_ID_BYTES_MAX]);

/** Compile a credit of 100.00 CNY that may open its account. The arena keeps all of it, the id too. */
void rig_credit(struct arena *a, uint64_t account, struct posting *out);

/** Remove a ledger's files from a folder, if there are any. */
void rig_remove(const char *dir);

#endif

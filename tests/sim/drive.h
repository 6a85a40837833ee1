/*
 * Drives the real embedded store from a test: a seeded script of operations whose answers are known beforehand from a
 * model of its own, and checks of everything that can be asked of a store against a prefix of that script.
 */
#ifndef SIM_DRIVE_H
#define SIM_DRIVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/embedded/embedded.h"
#include "store/store.h"

enum {
    DRIVE_ACCOUNTS = 12,
    DRIVE_OPS_MAX = 1024,
    DRIVE_GROUP_MAX = 8,
    DRIVE_PATH_MAX = 256,
    DRIVE_HANG_S = 60,
};

/* ---- a store with a thread of its own to answer to ---- */

struct drive {
    struct store *store;
    struct store_sink sink;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool is_woken;
    _Atomic unsigned fatal_count; /* how often the store said that it is done for */
    unsigned done_count;
};

struct drive_options {
    uint32_t sweep_rows_min, checkpoint_pages, inbox_max, batch_max;
};

/** Open the store in a folder. On an error nothing is left open. */
MUST_CHECK enum err drive_open(struct drive *d, const char *dir, const struct drive_options *o,
                               struct err_text *why);
void drive_close(struct drive *d);

/** Submit operations together and wait until all are answered; a store that does not answer aborts the test. */
void drive_run(struct drive *d, struct store_op *const *ops, unsigned count);
void drive_run_one(struct drive *d, struct store_op *op);

/** How often on_fatal was called. */
unsigned drive_fatal_count(struct drive *d);

/* ---- the script ---- */

struct script_op {
    enum record_kind kind;
    unsigned from, to; /* accounts; `to` of a transfer alone */
    int64_t amount;    /* minor units; RECORD_OPEN: overdraft */
    bool has_key, has_words, may_open;
    unsigned key; /* which; a repeated key is a replay, or with other words a reuse */
    /* what must come of it */
    enum outcome outcome;
    bool is_replay;
    unsigned first; /* of a replay: the operation answered first */
    int64_t balances[2];
    unsigned side_count;
    /* what came of it, filled by the run whose answers count */
    uint64_t seq, seq_after;
    int64_t time_us;
};

struct model_account {
    bool is_open;
    uint32_t currency;
    int64_t balance, overdraft;
    uint64_t version, entries;
};

struct model_entry {
    unsigned op;
    int64_t amount, balance;
};

/** The state of all accounts between two operations. */
struct model {
    struct model_account accounts[DRIVE_ACCOUNTS];
};

struct script {
    struct script_op ops[DRIVE_OPS_MAX];
    struct model after[DRIVE_OPS_MAX + 1]; /* after[n]: when n operations have been applied */
    unsigned count;
};

/** Make a script of `count` operations; about one in six is refused or repeated. */
void script_make(struct script *s, unsigned count, uint64_t seed);

/** Fill a store operation from one of the script's; its posting lives in the op's arena. */
void script_fill(const struct script_op *from, struct store_op *op);

/** Run operations first..first+count-1 as one group; statuses[i] says what came of each. Fills what came of it where a
 * store answered, and aborts where an answer is not the model's. */
void script_run(struct script *s, struct drive *d, unsigned first, unsigned count,
                enum store_status *statuses);

/** Give all operations of [from, to) again: those below `applied` must be repeated answers, the others work now. */
void script_replay(const struct script *s, struct drive *d, unsigned from, unsigned to,
                   unsigned applied);

/** How many operations of the script a ledger that ends at `seq` holds; aborts where it ends inside of one. */
unsigned script_prefix(const struct script *s, uint64_t seq);

/** Compare what the store says with the script's first n operations: all accounts; their histories where is_deep. */
void script_check(const struct script *s, struct drive *d, unsigned n, bool is_deep);

/** The id of account i, into text; returns its length. */
size_t drive_id(unsigned i, char text[LEDGER_ACCOUNT_ID_BYTES_MAX + 1]);

/* ---- folders ---- */

/** A fresh folder in memory where there is such a file system. */
void drive_folder_make(char dir[DRIVE_PATH_MAX]);
/** Delete the ledger's files in it; with `all` the folder too. */
void drive_folder_clear(const char *dir, bool all);

/** How much work to do: FAULT_SCALE, a percentage, 100 by default; sanitized builds do an eighth. */
unsigned drive_scaled(unsigned usual);

#endif

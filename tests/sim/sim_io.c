/*
 * A disk that fails. Over one workload with commits, sweeps, checkpoints, a clean stop and a recovery, the k-th write, sync,
 * truncation, open or wal-index piece fails, for every k, once or from then on, with EIO, ENOSPC or EFBIG. Each operation
 * works on a wallet of its own, so that afterwards each can be asked for:
 *   answered as done        -> it is there, once
 *   answered as unavailable -> it is not there, and never will be
 *   answered as unknown     -> either
 * A full disk heals: the store works again without a restart. After a failed device it writes nothing any more and says so
 * once. The same with memory running out, in our own allocator and in SQLite's.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "sim/drive.h"
#include "sim/fault_vfs.h"

enum {
    WAL_INDEX_PIECE = 4062,
    OPS = 96,
    GROUP = 8,
    MORE = 8,
    WALLETS = 16,
    HOT = 4,
    DOUBLE = 1000
};

/* What became of one operation: of credit i to wallet i, and of the same amount on the shared wallet. */
enum fate { FATE_NONE, FATE_DONE, FATE_UNAVAILABLE, FATE_UNKNOWN };

struct run {
    char dir[DRIVE_PATH_MAX];
    enum fate fates[OPS + 2 * MORE];
    enum fate doubles[OPS + 2 * MORE]; /* of the operation that goes with it, to another wallet */
    unsigned submitted;
};

static char current[256];

static void on_abort(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, current, strlen(current));
}

static const struct drive_options tuning = {.sweep_rows_min = 24,
                                            .checkpoint_pages = 16,
                                            .batch_max = 2 * GROUP};

static void done(struct store_op *op)
{
    ((struct drive *)op->user)->done_count++;
}

/* Where operation i goes, and which bit of that wallet's balance is its own. The first wallets are used all the time, the
 * others only in the beginning: rows that one sweep writes and later ones must not miss. */
static unsigned wallet_of(unsigned i)
{
    return i < 2 * WALLETS ? i % WALLETS : i % HOT;
}

static unsigned bit_of(unsigned i)
{
    return i < 2 * WALLETS ? i / WALLETS : 2 + (i - 2 * WALLETS) / HOT;
}

enum { ID_BYTES_MAX = 32 };

static size_t id_of(char letter, unsigned number, char text[ID_BYTES_MAX])
{
    return (size_t)snprintf(text, ID_BYTES_MAX, "%c%02u", letter, number);
}

static void op_fill(struct store_op *op, struct drive *d, unsigned i)
{
    struct posting_words words = {.may_open = true};
    struct decimal amount = {.coefficient = 1, .scale = 0};
    struct idem *idem;
    char text[ID_BYTES_MAX];
    struct slice id;
    enum err e;

    store_op_init(op, STORE_POST, &d->sink, done);
    op->deadline_mono_us = clock_mono_us() + UINT64_C(1000000) * DRIVE_HANG_S;
    e = currency_parse(SLICE("CNY"), &words.open_currency);
    ASSERT(e == ERR_OK);
    if (i < 2 * DOUBLE) { /* each amount is another bit of the balance */
        amount.coefficient = INT64_C(1) << bit_of(i % DOUBLE);
        id = slice_make(text, id_of(i < DOUBLE ? 'w' : 's', wallet_of(i % DOUBLE), text));
    } else {
        id = slice_make(text, id_of('x', i, text));
    }
    e = arena_copy(&op->out, id, &id);
    ASSERT(e == ERR_OK);
    e = posting_credit(&op->out, id, amount, &words, &op->posting);
    ASSERT(e == ERR_OK);
    idem = arena_alloc(&op->out, sizeof(*idem));
    ASSERT(idem != NULL);
    memcpy(idem->scope, &i, sizeof(i));
    memcpy(idem->fingerprint, &i, sizeof(i));
    op->posting.idem = idem;
}

static enum fate fate_of(const struct store_op *op)
{
    switch (op->status) {
    case STORE_DONE:
        ASSERT(op->result.outcome == OUTCOME_OK);
        return FATE_DONE;
    case STORE_UNAVAILABLE:
        return FATE_UNAVAILABLE;
    case STORE_UNKNOWN:
        return FATE_UNKNOWN;
    case STORE_FAULT:
        break;
    }
    UNREACHABLE("a write has no such answer");
}

/* Submit operations [from, from + count) together, each with its double on a shared wallet. */
static void group_run(struct run *r, struct drive *d, unsigned from, unsigned count)
{
    struct store_op ops[2 * GROUP];
    struct store_op *pointers[2 * GROUP] = {0};

    ASSERT(count <= GROUP && from + count <= ARRAY_LEN(r->fates));
    for (unsigned i = 0; i < count; i++) {
        op_fill(&ops[i], d, from + i);
        op_fill(&ops[count + i], d, DOUBLE + from + i);
        pointers[i] = &ops[i];
        pointers[count + i] = &ops[count + i];
    }
    drive_run(d, pointers, 2 * count);
    for (unsigned i = 0; i < count; i++) {
        r->fates[from + i] = fate_of(&ops[i]);
        r->doubles[from + i] = fate_of(&ops[count + i]);
        store_op_fini(&ops[i]);
        store_op_fini(&ops[count + i]);
    }
}

/* Read a wallet. Reads are answered whatever the disk does, unless the store is done for: false. */
static bool wallet_read(struct drive *d, const char *id, bool *is_found, int64_t *balance)
{
    struct store_op op;
    bool is_answered;

    store_op_init(&op, STORE_ACCOUNT, &d->sink, done);
    op.deadline_mono_us = clock_mono_us() + UINT64_C(1000000) * DRIVE_HANG_S;
    op.account_id = slice_of(id);
    drive_run_one(d, &op);
    is_answered = op.status == STORE_DONE;
    ASSERT(is_answered || store_health(d->store) == STORE_FAILED);
    *is_found = is_answered && op.result.outcome == OUTCOME_OK;
    *balance = *is_found ? op.account.balance : 0;
    store_op_fini(&op);
    return is_answered;
}

/* Is operation i, or where it is given its double, in the balance? */
static bool is_there(struct drive *d, unsigned i, bool *is_answered)
{
    char id[ID_BYTES_MAX];
    int64_t balance;
    bool is_found;

    (void)id_of(i < DOUBLE ? 'w' : 's', wallet_of(i % DOUBLE), id);
    *is_answered = wallet_read(d, id, &is_found, &balance);
    ASSERT(balance % 100 == 0);
    return (balance / 100 >> bit_of(i % DOUBLE) & 1) != 0;
}

/* Compare one wallet with what became of its operations. Returns false where the store has failed just now. */
static bool wallet_check(const enum fate *fates, struct drive *d, char letter, unsigned number)
{
    char id[ID_BYTES_MAX];
    int64_t balance;
    bool is_found;

    (void)id_of(letter, number, id);
    if (!wallet_read(d, id, &is_found, &balance)) {
        return false;
    }
    ASSERT(balance % 100 == 0);
    for (unsigned i = 0; i < OPS + 2 * MORE; i++) {
        const bool found = (balance / 100 >> bit_of(i) & 1) != 0;
        if (wallet_of(i) == number) {
            ASSERT(fates[i] != FATE_DONE || found);
            ASSERT(fates[i] != FATE_UNAVAILABLE || !found);
            ASSERT(fates[i] != FATE_NONE || !found);
        }
    }
    return true;
}

static void fates_check(const struct run *r, struct drive *d)
{
    for (unsigned number = 0; number < WALLETS; number++) {
        if (!wallet_check(r->fates, d, 'w', number) || !wallet_check(r->doubles, d, 's', number)) {
            break;
        }
    }
}

/* The key settles one operation: done before, or done now. */
static void settle_one(struct drive *d, unsigned i)
{
    struct store_op op;
    bool is_answered;
    const bool was_there = is_there(d, i, &is_answered);

    ASSERT(is_answered);
    op_fill(&op, d, i);
    drive_run_one(d, &op);
    ASSERT(op.status == STORE_DONE && op.result.outcome == OUTCOME_OK);
    ASSERT(op.result.is_replay == was_there);
    store_op_fini(&op);
    ASSERT(is_there(d, i, &is_answered) && is_answered);
}

static void settle(struct run *r, struct drive *d)
{
    for (unsigned i = 0; i < OPS; i++) {
        settle_one(d, i);
        settle_one(d, DOUBLE + i);
        r->fates[i] = FATE_DONE;
        r->doubles[i] = FATE_DONE;
    }
    fates_check(r, d);
}

static void verify(const char *dir)
{
    struct verify_report report;
    struct err_text why = {""};
    enum err e = embedded_verify(dir, &report, &why);

    if (e != ERR_OK) {
        print_message("does not verify: %s\n", why.text);
    }
    ASSERT(e == ERR_OK);
}

static void store_open(struct run *r, struct drive *d)
{
    struct err_text why = {""};
    enum err e = drive_open(d, r->dir, &tuning, &why);

    if (e != ERR_OK) {
        print_message("cannot open: %s: %s\n", err_name(e), why.text);
    }
    ASSERT(e == ERR_OK);
}

/* What a power cut or kill would leave right now: a copy of the files but for the wal-index, opened elsewhere. */
static void copy_check(const struct run *r)
{
    static const char *const names[] = {"ledger.db", "ledger.db-wal"};
    struct run copy = *r;
    struct drive d;

    fault_vfs_pause(true);
    drive_folder_make(copy.dir);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        char path[DRIVE_PATH_MAX + 32];
        static uint8_t bytes[1 << 25];
        size_t len;
        FILE *file;
        (void)snprintf(path, sizeof(path), "%s/%s", r->dir, names[i]);
        file = fopen(path, "rb");
        if (file == NULL) {
            continue;
        }
        len = fread(bytes, 1, sizeof(bytes), file);
        ASSERT(len < sizeof(bytes));
        (void)fclose(file);
        (void)snprintf(path, sizeof(path), "%s/%s", copy.dir, names[i]);
        file = fopen(path, "wb");
        ASSERT(file != NULL && fwrite(bytes, 1, len, file) == len);
        (void)fclose(file);
    }
    store_open(&copy, &d);
    fates_check(&copy, &d);
    drive_close(&d);
    drive_folder_clear(copy.dir, true);
    fault_vfs_pause(false);
}

/* ---- the loop over k ---- */

struct workload {
    unsigned fatal_count;
    bool was_opened; /* the store opened at all, under the fault */
};

/*
 * The workload, with a fault planned: an open (of a ledger that needs recovery), groups of operations, a close.
 */
static void workload_run(struct run *r, struct workload *w, bool is_full)
{
    struct err_text why = {""};
    struct drive d;
    enum err e = drive_open(&d, r->dir, &tuning, &why);
    bool was_failed = false;
    unsigned refused = 0;

    w->was_opened = e == ERR_OK;
    if (e != ERR_OK) {
        ASSERT(e == ERR_IO || e == ERR_DISK_FULL || e == ERR_NOMEM || e == ERR_BUSY ||
               e == ERR_NOT_FOUND);
        ASSERT(why.text[0] != '\0');
        return;
    }
    for (unsigned at = MORE; at < OPS; at += GROUP) {
        enum store_health health;
        group_run(r, &d, at, GROUP);
        health = store_health(d.store);
        if (health == STORE_FAILED) {
            was_failed = true;
        }
        ASSERT(!was_failed || health == STORE_FAILED);
        if (r->fates[at] != FATE_DONE && refused++ < 2) {
            copy_check(r); /* a kill right after that answer must not make it untrue */
        }
        if (!was_failed) {
            fates_check(r, &d); /* reads go on */
        }
        ASSERT(!is_full || !was_failed); /* no room is no reason to stop */
        ASSERT(!is_full || r->fates[at] != FATE_UNAVAILABLE || health == STORE_DISK_FULL);
        if (was_failed && r->fates[at] == FATE_UNAVAILABLE) {
            break; /* it answers, and writes nothing */
        }
    }
    if (refused > 0) {
        copy_check(r); /* nor a kill some commits later, with sweeps behind it */
    }
    was_failed = store_health(d.store) == STORE_FAILED;
    drive_close(&d);
    w->fatal_count = drive_fatal_count(&d);
    ASSERT(w->fatal_count <= 1 && (!was_failed || w->fatal_count == 1));
}

/* A ledger with a log to recover from, as a killed process leaves it: its folder is copied while the store runs. */
static void folder_prepare(struct run *r)
{
    struct run first = {.dir = ""};
    struct drive d;

    drive_folder_make(first.dir);
    store_open(&first, &d);
    group_run(&first, &d, 0, MORE);
    memcpy(r->fates, first.fates, sizeof(r->fates));
    memcpy(r->doubles, first.doubles, sizeof(r->doubles));
    for (unsigned i = 0; i < 2; i++) {
        static const char *const names[] = {"ledger.db", "ledger.db-wal"};
        char from[DRIVE_PATH_MAX + 32], to[DRIVE_PATH_MAX + 32];
        static uint8_t bytes[1 << 20];
        FILE *file;
        size_t len;
        (void)snprintf(from, sizeof(from), "%s/%s", first.dir, names[i]);
        (void)snprintf(to, sizeof(to), "%s/%s", r->dir, names[i]);
        file = fopen(from, "rb");
        ASSERT(file != NULL);
        len = fread(bytes, 1, sizeof(bytes), file);
        (void)fclose(file);
        file = fopen(to, "wb");
        ASSERT(file != NULL && fwrite(bytes, 1, len, file) == len);
        (void)fclose(file);
    }
    drive_close(&d);
    drive_folder_clear(first.dir, true);
}

/* One k: returns false where the plan's k-th operation does not exist. */
static bool fault_run(struct fault_plan plan, const char *name, unsigned fates[FATE_UNKNOWN + 1])
{
    struct run r = {.dir = ""};
    struct workload w = {0};
    struct drive d;
    uint64_t failed;

    (void)snprintf(current, sizeof(current), "%s: operation %llu of kinds %u, error %d, %s\n", name,
                   (unsigned long long)plan.at, plan.ops, (int)plan.error,
                   plan.is_persistent ? "from then on" : "once");
    drive_folder_make(r.dir);
    folder_prepare(&r);
    fault_vfs_plan(plan);
    workload_run(&r, &w, plan.error != FAULT_EIO && plan.ops == FAULT_WRITE);
    failed = fault_vfs_failed();
    fault_vfs_plan((struct fault_plan){0});
    for (unsigned i = MORE; i < OPS; i += GROUP) {
        fates[r.fates[i]]++;
    }
    store_open(&r, &d);
    fates_check(&r, &d);
    settle(&r, &d);
    drive_close(&d);
    verify(r.dir);
    drive_folder_clear(r.dir, true);
    return failed > 0;
}

static void loop_all(unsigned ops, const char *name)
{
    static const enum fault_error errors[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_EFBIG};
    static const char *const words[] = {"EIO", "ENOSPC", "EFBIG"};
    unsigned total = 0;

    for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
        for (unsigned is_persistent = 0; is_persistent < 2; is_persistent++) {
            unsigned fates[FATE_UNKNOWN + 1] = {0};
            uint64_t k = 1;
            while (fault_run(
                (struct fault_plan){
                    .ops = ops, .at = k, .is_persistent = is_persistent != 0, .error = errors[i]},
                name, fates)) {
                /* FAULT_SCALE=500: every operation */
                const bool is_first =
                    errors[i] != FAULT_EFBIG && is_persistent == 0 && ops != FAULT_READ;
                const unsigned step = (is_first ? 100 : 500) / drive_scaled(100);
                k += step == 0 ? 1 : step;
                total++;
            }
            print_message("%s %s %s: batches done %u, surely not %u, perhaps %u, never tried %u\n",
                          name, words[i], is_persistent ? "from then on" : "once", fates[FATE_DONE],
                          fates[FATE_UNAVAILABLE], fates[FATE_UNKNOWN], fates[FATE_NONE]);
        }
    }
    print_message("%s: %u faults\n", name, total);
    assert_true(total > 0);
}

static void writes_fail(void **state)
{
    (void)state;
    loop_all(FAULT_WRITE, "write");
}

static void syncs_fail(void **state)
{
    (void)state;
    loop_all(FAULT_SYNC, "sync");
}

static void others_fail(void **state)
{
    (void)state;
    loop_all(FAULT_TRUNCATE, "truncate");
    loop_all(FAULT_OPEN, "open");
    loop_all(FAULT_SHM, "wal-index");
    loop_all(FAULT_READ, "read");
}

/* A disk that is full for a while: nothing is lost, reads go on, and then it works again without a restart. */
static void full_disk_heals(void **state)
{
    (void)state;
    for (unsigned k = 1; k < 40; k++) {
        struct run r = {.dir = ""};
        struct drive d;
        (void)snprintf(current, sizeof(current), "full disk from write %u on\n", k);
        drive_folder_make(r.dir);
        store_open(&r, &d);
        group_run(&r, &d, 0, GROUP);
        fault_vfs_plan((struct fault_plan){
            .ops = FAULT_WRITE, .at = k, .is_persistent = true, .error = FAULT_ENOSPC});
        for (unsigned at = GROUP; at < OPS / 2; at += GROUP) {
            group_run(&r, &d, at, GROUP);
        }
        fates_check(&r, &d);
        assert_int_equal(r.fates[OPS / 2 - 1], FATE_UNAVAILABLE);
        assert_int_equal(store_health(d.store), STORE_DISK_FULL);
        fault_vfs_plan((struct fault_plan){0});
        if (k % 13 == 0) { /* with nobody writing, the store finds out by itself */
            for (unsigned tries = 0; store_health(d.store) != STORE_HEALTHY; tries++) {
                ASSERT(tries < 500);
                (void)usleep(10000);
            }
        }
        for (unsigned at = OPS / 2; at < OPS; at += GROUP) {
            group_run(&r, &d, at, GROUP);
            assert_int_equal(r.fates[at], FATE_DONE);
        }
        assert_int_equal(store_health(d.store), STORE_HEALTHY);
        fates_check(&r, &d);
        copy_check(&r);
        assert_int_equal(drive_fatal_count(&d), 0);
        drive_close(&d);
        store_open(&r, &d);
        fates_check(&r, &d);
        settle(&r, &d);
        drive_close(&d);
        verify(r.dir);
        drive_folder_clear(r.dir, true);
    }
}

/* ---- memory ---- */

/* Our own allocator, at start-up: on the thread that opens. */
static void open_without_memory(void **state)
{
    unsigned total = 0;

    (void)state;
    for (unsigned is_persistent = 0; is_persistent < 2; is_persistent++) {
        bool is_hit = true;
        for (uint64_t k = 1; is_hit; k++) {
            struct run r = {.dir = ""};
            struct err_text why = {""};
            struct drive d;
            enum err e;
            (void)snprintf(current, sizeof(current), "allocation %llu at open\n",
                           (unsigned long long)k);
            drive_folder_make(r.dir);
            folder_prepare(&r);
            mem_fail_at(k, (int)is_persistent);
            e = drive_open(&d, r.dir, &tuning, &why);
            is_hit = mem_asked() >= k;
            mem_fail_at(0, 0);
            if (is_hit) {
                ASSERT(e == ERR_NOMEM && why.text[0] != '\0');
                total++;
                store_open(&r, &d);
            } else {
                ASSERT(e == ERR_OK);
            }
            fates_check(&r, &d);
            drive_close(&d);
            drive_folder_clear(r.dir, true);
        }
    }
    print_message("open: %u failed allocations\n", total);
}

static void verify_without_memory(void **state)
{
    struct run r = {.dir = ""};
    struct verify_report report;
    struct err_text why;
    unsigned total = 0;
    bool is_hit = true;

    (void)state;
    drive_folder_make(r.dir);
    folder_prepare(&r);
    for (uint64_t k = 1; is_hit; k++) {
        enum err e;
        mem_fail_at(k, 0);
        e = embedded_verify(r.dir, &report, &why);
        is_hit = mem_asked() >= k;
        mem_fail_at(0, 0);
        ASSERT(e == (is_hit ? ERR_NOMEM : ERR_OK));
        total += is_hit;
    }
    print_message("verify: %u failed allocations\n", total);
    drive_folder_clear(r.dir, true);
}

/* SQLite's allocator, with a countdown. */
static struct {
    sqlite3_mem_methods real;
    _Atomic int64_t left; /* allocations until one fails; negative: off */
    _Atomic bool is_persistent;
    _Atomic uint64_t failed;
} heap;

static bool heap_fails(void)
{
    int64_t left;

    if (heap.left < 0) {
        return false;
    }
    left = --heap.left;
    if (left > 0) {
        return false;
    }
    heap.left = heap.is_persistent ? 1 : -1;
    heap.failed++;
    return true;
}

static void *heap_malloc(int size)
{
    return heap_fails() ? NULL : heap.real.xMalloc(size);
}

static void *heap_realloc(void *block, int size)
{
    return heap_fails() ? NULL : heap.real.xRealloc(block, size);
}

static void heap_plan(int64_t at, bool is_persistent)
{
    heap.is_persistent = is_persistent;
    heap.failed = 0;
    heap.left = at;
}

static void sqlite_without_memory(void **state)
{
    unsigned total = 0, fates[FATE_UNKNOWN + 1] = {0};

    (void)state;
    for (unsigned is_persistent = 0; is_persistent < 2; is_persistent++) {
        const unsigned step =
            (is_persistent ? 1700 : 500) / drive_scaled(100); /* FAULT_SCALE=500, 1700: each one */
        uint64_t failed = 1;
        for (int64_t k = 1; failed > 0; k += step == 0 ? 1 : step) {
            struct run r = {.dir = ""};
            struct workload w = {0};
            struct drive d;
            (void)snprintf(current, sizeof(current), "allocation %lld of SQLite, %s\n",
                           (long long)k, is_persistent ? "from then on" : "once");
            drive_folder_make(r.dir);
            folder_prepare(&r);
            heap_plan(k, is_persistent != 0);
            {
                struct err_text why = {""};
                enum err e = drive_open(&d, r.dir, &tuning, &why);
                if (e == ERR_OK) {
                    for (unsigned at = MORE; at < OPS / 2; at += GROUP) {
                        group_run(&r, &d, at, GROUP);
                        if (r.fates[at] != FATE_DONE) {
                            const int64_t left = heap.left;
                            heap.left = -1;
                            copy_check(&r); /* a kill right now */
                            heap.left = left;
                            fates[r.fates[at]]++;
                        }
                    }
                    heap.left = -1;
                    w.fatal_count = drive_fatal_count(&d);
                    ASSERT(w.fatal_count <= 1);
                    drive_close(&d);
                } else {
                    if (e != ERR_NOMEM) {
                        print_message("opens with %s: %s\n", err_name(e), why.text);
                    }
                    ASSERT(e == ERR_NOMEM && why.text[0] != '\0');
                }
            }
            failed = heap.failed;
            heap_plan(-1, false);
            store_open(&r, &d);
            fates_check(&r, &d);
            drive_close(&d);
            drive_folder_clear(r.dir, true);
            total += failed > 0;
        }
    }
    print_message("SQLite: %u failed allocations; %u batches surely not applied, %u perhaps\n",
                  total, fates[FATE_UNAVAILABLE], fates[FATE_UNKNOWN]);
}

/*
 * SQLite maps a further piece of its wal-index every 4096 log pages, in the middle of a commit whose pages are already in the
 * log and synced. A failure there must not become "surely not applied".
 */
static void wal_index_grows_once(struct fault_plan disk, int64_t memory_at)
{
    const struct drive_options long_log = {.checkpoint_pages = 100000, .batch_max = 2 * GROUP};
    struct run r = {.dir = ""};
    struct embedded_stats stats = {0};
    struct err_text why;
    struct drive d;
    enum err e;

    (void)snprintf(current, sizeof(current), "wal-index grows, error %d, allocation %lld\n",
                   (int)disk.error, (long long)memory_at);
    drive_folder_make(r.dir);
    e = drive_open(&d, r.dir, &long_log, &why);
    ASSERT(e == ERR_OK);
    for (unsigned n = 0; stats.wal_bytes / 4096 < WAL_INDEX_PIECE - 8;
         n++) { /* to just below the edge, by other work */
        struct store_op op;
        op_fill(&op, &d, 100000 + n);
        drive_run_one(&d, &op);
        ASSERT(op.status == STORE_DONE);
        store_op_fini(&op);
        embedded_stats(d.store, &stats);
    }
    fault_vfs_plan(disk);
    for (unsigned at = 0; at < OPS && store_health(d.store) == STORE_HEALTHY; at++) {
        embedded_stats(d.store, &stats);
        if (memory_at > 0 && stats.wal_bytes / 4096 <= WAL_INDEX_PIECE) {
            heap_plan(memory_at, true); /* anew for each commit, until the one over the edge */
        }
        group_run(&r, &d, at, 1);
        heap_plan(-1, false);
        if (r.fates[at] != FATE_DONE) {
            copy_check(&r);
        }
    }
    fault_vfs_plan((struct fault_plan){0});
    drive_close(&d);
    store_open(&r, &d);
    fates_check(&r, &d);
    settle(&r, &d);
    drive_close(&d);
    drive_folder_clear(r.dir, true);
}

static void wal_index_grows(void **state)
{
    static const enum fault_error errors[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_EFBIG};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++) {
        wal_index_grows_once(
            (struct fault_plan){.ops = FAULT_SHM, .at = 1, .is_persistent = true, .error = errors[i]},
            -1);
    }
    for (int64_t k = 1; k <= 16; k++) {
        wal_index_grows_once((struct fault_plan){0}, k);
    }
}

static int setup(void **state)
{
    sqlite3_mem_methods methods;
    int rc;

    (void)state;
    rc = sqlite3_config(SQLITE_CONFIG_GETMALLOC, &heap.real);
    ASSERT(rc == SQLITE_OK);
    heap.left = -1;
    methods = heap.real;
    methods.xMalloc = heap_malloc;
    methods.xRealloc = heap_realloc;
    rc = sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    ASSERT(rc == SQLITE_OK);
    fault_vfs_install();
    if (getenv("SIM_LOG") == NULL) { /* hundreds of failures are no news here */
        log_configure(LOG_ERROR, LOG_LOGFMT, open("/dev/null", O_WRONLY | O_CLOEXEC));
    }
    (void)signal(SIGABRT, on_abort);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_fail),           cmocka_unit_test(syncs_fail),
        cmocka_unit_test(others_fail),           cmocka_unit_test(wal_index_grows),
        cmocka_unit_test(full_disk_heals),       cmocka_unit_test(open_without_memory),
        cmocka_unit_test(verify_without_memory), cmocka_unit_test(sqlite_without_memory),
    };

    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    return cmocka_run_group_tests(tests, setup, NULL);
}

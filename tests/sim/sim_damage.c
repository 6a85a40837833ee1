/*
 * Bit rot. A small ledger with every kind of record is stopped cleanly; then bytes of its file are damaged, one at a time, and
 * everything that can be asked of the store is asked. Each answer is the right one, or there is none: the store does not
 * open and names the file, or the read fails. What opening and reading did not find, `verify` finds, or it is harmless: the
 * tables hold what they held. The same for the log that a killed process leaves, where damage to the last transaction may
 * also look like a torn write.
 *
 * By default all heads of pages and frames are damaged, and a sample of the bytes between, another one with each seed: one in
 * 20 of the file, every second of the log. FAULT_SCALE=2000 takes every byte of both.
 *
 * Usage: sim_damage [SEED]
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
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/assert.h"
#include "base/clock.h"
#include "log/log.h"
#include "sim/crash_image.h"
#include "sim/drive.h"

enum { OPS = 330, WORKERS = 4, QUERIES_MAX = 2048, TRANSACTIONS = 60, WAL_OPS = 60 };

static const struct drive_options tuning = {.batch_max = 64};

/* One thing to ask, and the digest of its right answer. */
struct query {
    enum store_op_kind kind;
    unsigned account; /* or the operation of the script, for STORE_POST and STORE_TRANSACTION */
    struct store_history_in history;
    char cursor[STORE_CURSOR_BYTES_MAX];
    unsigned cursor_len;
    uint64_t answer;
};

struct tally {
    _Atomic uint64_t flips, at_open, at_read, by_verify, harmless, silent, torn;
};

struct rot {
    struct script script;
    struct query queries[QUERIES_MAX];
    unsigned query_count;
    struct image pristine;
    uint64_t dump; /* digest of all tables */
    struct tally *tally;
    char dir[DRIVE_PATH_MAX];
};

static char current[768];
static uint64_t seed = 7;

static void on_abort(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, current, strlen(current));
}

/* ---- digests ---- */

static void mix(uint64_t *h, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < len; i++) {
        *h = (*h ^ at[i]) * UINT64_C(0x100000001b3);
    }
}

static void mix_number(uint64_t *h, int64_t number)
{
    mix(h, &number, sizeof(number));
}

static void mix_slice(uint64_t *h, struct slice s)
{
    mix_number(h, s.ptr == NULL ? -1 : (int64_t)s.len);
    mix(h, s.ptr, s.ptr == NULL ? 0 : s.len);
}

static void mix_view(uint64_t *h, const struct account_view *v)
{
    mix_slice(h, v->id);
    mix_number(h, v->currency.code);
    mix_number(h, v->exponent);
    mix_number(h, v->status);
    mix_number(h, v->balance);
    mix_number(h, v->held);
    mix_number(h, v->overdraft);
    mix_number(h, (int64_t)v->version);
    mix_number(h, v->created_us);
    mix_number(h, v->updated_us);
}

static uint64_t digest_of(const struct store_op *op)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    const struct posting_result *r = &op->result;

    mix_number(&h, r->outcome);
    switch (op->kind) {
    case STORE_POST:
        mix_number(&h, r->is_replay);
        mix_number(&h, r->kind);
        mix_number(&h, (int64_t)r->seq);
        mix_number(&h, r->time_us);
        mix_number(&h, r->tag);
        mix_number(&h, r->currency.code);
        mix_number(&h, r->amount);
        for (unsigned i = 0; i < r->side_count; i++) {
            mix_slice(&h, r->sides[i].account);
            mix_number(&h, r->sides[i].balance);
        }
        if (r->kind == RECORD_OPEN && r->outcome == OUTCOME_OK) {
            mix_view(&h, &r->opened);
            mix_slice(&h, r->opened_metadata);
        }
        break;
    case STORE_ACCOUNT:
        mix_view(&h, &op->account);
        mix_slice(&h, op->account_metadata);
        break;
    case STORE_ACCOUNTS:
        for (unsigned i = 0; i < op->count; i++) {
            mix_view(&h, &op->views[i]);
            mix_slice(&h, op->views_metadata[i]);
        }
        mix_number(&h, op->has_more);
        break;
    case STORE_HISTORY:
    case STORE_TRANSACTION:
        for (unsigned i = 0; i < op->count; i++) {
            const struct store_entry *e = &op->entries[i];
            mix_slice(&h, e->account);
            mix_number(&h, e->time_us);
            mix_number(&h, (int64_t)e->seq);
            mix_number(&h, e->kind);
            mix_number(&h, e->amount);
            mix_number(&h, e->balance);
            mix_slice(&h, e->counterparty);
            mix_slice(&h, e->reference);
            mix_slice(&h, e->metadata);
        }
        mix_number(&h, op->has_more);
        mix(&h, op->next_cursor, op->next_cursor_len);
        break;
    }
    return h;
}

/* Everything the tables hold, read by SQL. 0: it cannot be read, or SQLite finds fault with it. */
static uint64_t dump_of(const char *dir)
{
    static const char *const sqls[] = {
        "SELECT * FROM journal ORDER BY seq",
        "SELECT * FROM block ORDER BY last_seq",
        "SELECT * FROM account ORDER BY no",
        "SELECT * FROM history_mark ORDER BY account,n",
        "SELECT * FROM key_blob ORDER BY last_seq",
        "SELECT * FROM meta ORDER BY key",
        "SELECT id,currency,no FROM account ORDER BY id,currency",
        "PRAGMA integrity_check",
    };
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    char path[DRIVE_PATH_MAX + 32];
    sqlite3 *db;

    (void)snprintf(path, sizeof(path), "%s/ledger.db", dir);
    if (sqlite3_open(path, &db) != SQLITE_OK) {
        (void)sqlite3_close(db);
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_LEN(sqls); i++) {
        sqlite3_stmt *stmt = NULL;
        int rc = sqlite3_prepare_v2(db, sqls[i], -1, &stmt, NULL);
        while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
            for (int c = 0; c < sqlite3_column_count(stmt); c++) {
                const void *bytes = sqlite3_column_blob(stmt, c);
                mix_number(&h, sqlite3_column_type(stmt, c));
                mix(&h, bytes, (size_t)sqlite3_column_bytes(stmt, c));
            }
            rc = SQLITE_OK;
        }
        (void)sqlite3_finalize(stmt);
        if (rc != SQLITE_DONE) {
            h = 0;
            break;
        }
    }
    (void)sqlite3_close(db);
    return h;
}

/* ---- asking ---- */

static void done(struct store_op *op)
{
    ((struct drive *)op->user)->done_count++;
}

static void query_fill(const struct rot *r, const struct query *q, struct drive *d,
                       struct store_op *op, char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1])
{
    store_op_init(op, q->kind, &d->sink, done);
    op->deadline_mono_us = clock_mono_us() + UINT64_C(1000000) * DRIVE_HANG_S;
    op->account_id = slice_make(id, drive_id(q->account, id));
    op->wants_metadata = true;
    switch (q->kind) {
    case STORE_POST:
        script_fill(&r->script.ops[q->account], op);
        break;
    case STORE_ACCOUNTS:
        op->accounts.limit = STORE_PAGE_MAX;
        break;
    case STORE_HISTORY:
        op->history = q->history;
        op->history.cursor = q->cursor_len == 0 ? SLICE_NONE : slice_make(q->cursor, q->cursor_len);
        break;
    case STORE_TRANSACTION:
        op->tx_time_us = r->script.ops[q->account].time_us;
        break;
    case STORE_ACCOUNT:
        break;
    }
}

/* Ask everything at once. Returns how many had no answer; *wrong: how many had another one. */
static unsigned ask_all(const struct rot *r, struct drive *d, unsigned *wrong)
{
    static struct store_op ops[QUERIES_MAX];
    static struct store_op *pointers[QUERIES_MAX];
    static char ids[QUERIES_MAX][LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
    unsigned refused = 0;

    *wrong = 0;
    for (unsigned i = 0; i < r->query_count; i++) {
        query_fill(r, &r->queries[i], d, &ops[i], ids[i]);
        pointers[i] = &ops[i];
    }
    drive_run(d, pointers, r->query_count);
    for (unsigned i = 0; i < r->query_count; i++) {
        if (ops[i].status != STORE_DONE) {
            refused++;
        } else if (digest_of(&ops[i]) != r->queries[i].answer) {
            const size_t len = strlen(current);
            if (*wrong == 0) {
                (void)snprintf(current + len, sizeof(current) - len,
                               ", query %u of kind %d about %u, outcome %d", i, (int)ops[i].kind,
                               r->queries[i].account, (int)ops[i].result.outcome);
            }
            ++*wrong;
        }
        store_op_fini(&ops[i]);
    }
    return refused;
}

/* Ask one thing of the sound ledger and keep the answer; a page that has more is followed. */
static void query_add(struct rot *r, struct drive *d, struct query q)
{
    bool has_more = true;

    while (has_more) {
        char id[LEDGER_ACCOUNT_ID_BYTES_MAX + 1];
        struct store_op op;
        ASSERT(r->query_count < QUERIES_MAX);
        query_fill(r, &q, d, &op, id);
        drive_run_one(d, &op);
        ASSERT(op.status == STORE_DONE);
        q.answer = digest_of(&op);
        r->queries[r->query_count++] = q;
        has_more = op.has_more;
        memcpy(q.cursor, op.next_cursor, sizeof(q.cursor));
        q.cursor_len = op.next_cursor_len;
        store_op_fini(&op);
    }
}

static void queries_make(struct rot *r, struct drive *d)
{
    const struct model *m = &r->script.after[r->script.count];
    unsigned transactions = 0;

    query_add(r, d, (struct query){.kind = STORE_ACCOUNTS});
    for (unsigned i = 0; i < DRIVE_ACCOUNTS; i++) {
        struct query q = {.kind = STORE_HISTORY, .account = i, .history = {.limit = 50}};
        if (!m->accounts[i].is_open) {
            continue;
        }
        query_add(r, d, (struct query){.kind = STORE_ACCOUNT, .account = i});
        query_add(r, d, q);
        q.history.is_ascending = true;
        query_add(r, d, q);
        q.history.from_us = r->script.ops[r->script.count / 4].time_us;
        q.history.to_us = r->script.ops[r->script.count / 2].time_us;
        query_add(r, d, q);
        q.history.is_ascending = false;
        query_add(r, d, q);
    }
    for (unsigned i = 0; i < r->script.count; i++) {
        const struct script_op *op = &r->script.ops[i];
        if (op->outcome == OUTCOME_OK && !op->is_replay && op->kind != RECORD_OPEN && i % 8 == 0 &&
            transactions++ < TRANSACTIONS) {
            query_add(r, d, (struct query){.kind = STORE_TRANSACTION, .account = i});
        }
        if (i % 3 == 0 && op->has_key &&
            (op->outcome == OUTCOME_OK || outcome_is_stored(op->outcome))) {
            query_add(r, d, (struct query){.kind = STORE_POST, .account = i});
        }
    }
}

/* Run the script's operations [from, to) on an open store. */
static void run_ops(struct rot *r, struct drive *d, unsigned from, unsigned to)
{
    while (from < to) {
        enum store_status statuses[DRIVE_GROUP_MAX];
        unsigned count = to - from < 5 ? to - from : 5;
        script_run(&r->script, d, from, count, statuses);
        for (unsigned i = 0; i < count; i++) {
            ASSERT(statuses[i] == STORE_DONE);
        }
        from += count;
    }
}

/* ---- one flip in the database ---- */

static void flipped_put(struct rot *r, enum sim_file file, size_t at, uint8_t mask)
{
    drive_folder_clear(r->dir, false);
    r->pristine.files[file].bytes[at] ^= mask;
    image_put(&r->pristine, r->dir);
    r->pristine.files[file].bytes[at] ^= mask;
}

static void complain(struct rot *r, const char *what)
{
    if (r->tally->silent++ < 200) {
        print_message("%s%s\n", current, what);
    }
}

static void database_flip(struct rot *r, size_t at, uint8_t mask)
{
    struct verify_report report;
    struct err_text why = {""};
    struct drive d;
    unsigned refused, wrong;
    enum err e;

    (void)snprintf(current, sizeof(current), "ledger.db byte %zu (page %zu + %zu) ^ %02x", at,
                   at / 4096 + 1, at % 4096, mask);
    r->tally->flips++;
    flipped_put(r, SIM_DB, at, mask);
    e = drive_open(&d, r->dir, &tuning, &why);
    if (e != ERR_OK) {
        ASSERT(strstr(why.text, "ledger.db") != NULL);
        ASSERT(e == ERR_CORRUPT || e == ERR_UNSUPPORTED || e == ERR_IO);
        r->tally->at_open++;
        return;
    }
    refused = ask_all(r, &d, &wrong);
    drive_close(&d);
    if (wrong > 0) {
        complain(r, ": another answer");
        return;
    }
    if (refused > 0) {
        r->tally->at_read++;
        return;
    }
    flipped_put(r, SIM_DB, at, mask); /* again, for the closing may have written over it */
    e = embedded_verify(r->dir, &report, &why);
    if (e != ERR_OK) {
        ASSERT(strstr(why.text, "ledger.db") != NULL);
        r->tally->by_verify++;
    } else if (dump_of(r->dir) == r->dump) {
        r->tally->harmless++;
    } else {
        complain(r, ": the tables differ, and verify does not find it");
    }
}

static void database_worker(struct rot *r, unsigned me, unsigned step)
{
    const size_t len = r->pristine.files[SIM_DB].len;

    (void)signal(SIGABRT, on_abort);
    drive_folder_make(r->dir);
    for (size_t at = 0; at < len; at++) {
        const size_t turn = at * 2654435761u >> 7; /* spreads what is left out over all offsets */
        if (at % WORKERS != me || (at % 4096 >= 16 && (turn + seed) % step != 0)) {
            continue;
        }
        database_flip(r, at, (uint8_t)(1u << (at * 7 + at / 4096) % 8));
        if (turn % 5 == 0) {
            database_flip(r, at, 0xff);
        }
    }
    drive_folder_clear(r->dir, true);
}

/* Fork the workers and wait for them. */
static void work(struct rot *r, void (*worker)(struct rot *, unsigned, unsigned), unsigned step)
{
    pid_t pids[WORKERS];

    (void)fflush(NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            worker(r, i, step);
            (void)fflush(NULL);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static struct rot *rot_new(unsigned ops)
{
    struct rot *r =
        mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(r != MAP_FAILED);
    r->tally =
        mmap(NULL, sizeof(*r->tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(r->tally != MAP_FAILED);
    script_make(&r->script, ops, seed);
    drive_folder_make(r->dir);
    return r;
}

static void rot_free(struct rot *r)
{
    image_free(&r->pristine);
    (void)munmap(r->tally, sizeof(*r->tally));
    (void)munmap(r, sizeof(*r));
}

static void drive_open_sound(struct rot *r, struct drive *d)
{
    struct err_text why = {""};
    enum err e = drive_open(d, r->dir, &tuning, &why);

    if (e != ERR_OK) {
        print_message("cannot open: %s\n", why.text);
    }
    ASSERT(e == ERR_OK);
}

static void database_rots(void **state)
{
    const unsigned parts = 2000 / drive_scaled(100); /* FAULT_SCALE=2000: every byte */
    const unsigned step = parts == 0 ? 1 : parts;
    const uint64_t start_us = clock_mono_us();
    struct rot *r = rot_new(OPS);
    struct verify_report report;
    struct err_text why;
    struct drive d;
    enum err e;

    (void)state;
    drive_open_sound(r, &d);
    run_ops(r, &d, 0, r->script.count);
    drive_close(&d);
    drive_open_sound(r, &d);
    queries_make(r, &d);
    drive_close(&d);
    e = embedded_verify(r->dir, &report, &why);
    assert_int_equal(e, ERR_OK);
    assert_true(report.marks > 0 && report.keys > 100 && report.currencies == 2);
    r->dump = dump_of(r->dir);
    assert_true(r->dump != 0);
    r->pristine = image_get(r->dir);
    assert_int_equal(r->pristine.files[SIM_WAL].len, 0);
    drive_folder_clear(r->dir, true);
    print_message("%zu bytes, %llu records, %llu marks, %llu keys, %u things to ask\n",
                  r->pristine.files[SIM_DB].len, (unsigned long long)report.records,
                  (unsigned long long)report.marks, (unsigned long long)report.keys, r->query_count);
    work(r, database_worker, step);
    print_message(
        "%llu flips: %llu refused at open, %llu by a read, %llu found by verify, %llu harmless, %llu SILENT; %llu ms\n",
        (unsigned long long)r->tally->flips, (unsigned long long)r->tally->at_open,
        (unsigned long long)r->tally->at_read, (unsigned long long)r->tally->by_verify,
        (unsigned long long)r->tally->harmless, (unsigned long long)r->tally->silent,
        (unsigned long long)((clock_mono_us() - start_us) / 1000));
    assert_int_equal(r->tally->silent, 0);
    rot_free(r);
}

/* ---- the log of a killed process ---- */

enum { LAST_GROUP = 5 };

static void log_flip(struct rot *r, size_t at, size_t last_begin, uint8_t mask)
{
    const uint64_t seq_all = r->script.ops[r->script.count - 1].seq_after;
    const uint64_t seq_before = r->script.ops[r->script.count - LAST_GROUP - 1].seq_after;
    struct embedded_stats stats;
    struct err_text why = {""};
    struct drive d;
    unsigned refused, wrong;
    enum err e;

    (void)snprintf(
        current, sizeof(current),
        "ledger.db-wal byte %zu (frame %zu + %zu) ^ %02x, the last transaction begins at %zu", at,
        (at - 32) / 4120 + 1, (at - 32) % 4120, mask, last_begin);
    r->tally->flips++;
    flipped_put(r, SIM_WAL, at, mask);
    e = drive_open(&d, r->dir, &tuning, &why);
    if (e != ERR_OK) {
        ASSERT(strstr(why.text, "ledger.db") != NULL && e == ERR_CORRUPT);
        r->tally->at_open++;
        return;
    }
    embedded_stats(d.store, &stats);
    if (at >= last_begin && stats.seq == seq_before) {
        script_check(&r->script, &d, r->script.count - LAST_GROUP, false);
        r->tally->torn++;
    } else if (stats.seq != seq_all) {
        complain(r, ": committed transactions are gone");
    } else {
        refused = ask_all(r, &d, &wrong);
        if (wrong > 0 || refused > 0) {
            complain(r, ": another answer");
        } else {
            r->tally->harmless++;
        }
    }
    drive_close(&d);
}

static size_t last_begin_of(const struct image *image)
{
    const struct image_file *f = &image->files[SIM_WAL];
    size_t begin = 32, end = 32;

    for (size_t at = 32; at + 4120 <= f->len; at += 4120) {
        const uint8_t *h = f->bytes + at;
        if (memcmp(h + 8, f->bytes + 16, 8) == 0 && (h[4] | h[5] | h[6] | h[7]) != 0) {
            begin = end;
            end = at + 4120;
        }
    }
    return begin;
}

static void log_worker(struct rot *r, unsigned me, unsigned step)
{
    const size_t len = r->pristine.files[SIM_WAL].len, last_begin = last_begin_of(&r->pristine);

    (void)signal(SIGABRT, on_abort);
    drive_folder_make(r->dir);
    for (size_t at = 0; at < len; at++) {
        const bool is_head = at < 32 || (at - 32) % 4120 < 24;
        const size_t turn = at * 2654435761u >> 7; /* spreads what is left out over all offsets */
        if (at % WORKERS != me || (!is_head && (turn + seed) % step != 0)) {
            continue;
        }
        log_flip(r, at, last_begin, (uint8_t)(1u << (at * 5 + at / 4120) % 8));
        if (is_head && turn % 5 == 0) {
            log_flip(r, at, last_begin, 0xff);
        }
    }
    drive_folder_clear(r->dir, true);
}

static void log_rots(void **state)
{
    const unsigned parts = 200 / drive_scaled(100); /* FAULT_SCALE=200: every byte of its pages too */
    const unsigned step = parts == 0 ? 1 : parts;
    const uint64_t start_us = clock_mono_us();
    struct rot *r = rot_new(WAL_OPS);
    struct drive d;

    (void)state;
    drive_open_sound(r, &d);
    run_ops(r, &d, 0, r->script.count);
    queries_make(r, &d);
    r->pristine = image_get(r->dir);
    drive_close(&d);
    drive_folder_clear(r->dir, true);
    print_message("a log of %zu bytes, the last transaction begins at %zu\n",
                  r->pristine.files[SIM_WAL].len, last_begin_of(&r->pristine));
    work(r, log_worker, step);
    print_message(
        "%llu flips: %llu refused, %llu taken for a torn last transaction, %llu harmless, %llu SILENT; %llu ms\n",
        (unsigned long long)r->tally->flips, (unsigned long long)r->tally->at_open,
        (unsigned long long)r->tally->torn, (unsigned long long)r->tally->harmless,
        (unsigned long long)r->tally->silent,
        (unsigned long long)((clock_mono_us() - start_us) / 1000));
    assert_int_equal(r->tally->silent, 0);
    assert_true(r->tally->at_open > 0 && r->tally->torn > 0);
    rot_free(r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(database_rots),
        cmocka_unit_test(log_rots),
    };

    if (argc > 1) {
        seed = strtoull(argv[1], NULL, 10);
    }
    log_configure(LOG_ERROR, LOG_LOGFMT, open("/dev/null", O_WRONLY | O_CLOEXEC));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

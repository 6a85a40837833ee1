/*
 * Long reads and what they may not hold up: the log, which starts over although somebody always reads; those who wait for a
 * read, which is not worked through once nobody waits for it; repeated answers, which go before histories.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/embedded/embedded_internal.h"

enum {
    BATCH = 256,
    ENTRIES = 2048, /* of the account that is read: a read of a kind that it has none of looks at all */
    HISTORIES = 8,        /* always outstanding */
    CHECKPOINT_FROM = 32, /* log pages */
    LOG_PAGES_MAX = CHECKPOINT_FROM * 48,
    COMMITS =
        3000, /* of two pages and more: never begun anew, the log would pass the bound several times */
    STEPS = 600, /* commits of a page */
    SLACK = 8,
    PAGE_BYTES = 4096,
    WAIT_US = 60 * 1000 * 1000,
    ARENA_BYTES = 1 << 20,
};

struct bench {
    char dir[64], path[DB_PATH_BYTES_MAX];
    struct store *store;
    struct embedded *e; /* the same */
    struct store_sink sink;
    sem_t woken;
    unsigned left, done;
    bool is_over; /* histories that are done are not begun again */
};

struct call {
    struct store_op op; /* first: done gets it */
    struct bench *bench;
    struct arena arena;
    struct idem idem;
    unsigned place; /* the how manieth it was to be done */
};

static void wake(void *ctx)
{
    struct bench *b = ctx;

    (void)sem_post(&b->woken);
}

static void bench_open(struct bench *b, uint32_t readers)
{
    const struct embedded_options options = {.dir = b->dir,
                                             .inbox_max = 4096,
                                             .batch_max = BATCH,
                                             .readers = readers,
                                             .idempotency_ttl_us = UINT64_C(86400) * 1000000,
                                             .idempotency_max = 1000,
                                             .checkpoint_pages = CHECKPOINT_FROM};
    struct err_text why = {""};

    if (embedded_open(&options, &b->store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    b->e = (struct embedded *)b->store;
}

static void bench_begin(struct bench *b)
{
    *b = (struct bench){0};
    (void)snprintf(b->dir, sizeof(b->dir), "%s/checkpoint-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(b->dir));
    assert_int_equal(db_path(b->dir, b->path), ERR_OK);
    assert_int_equal(sem_init(&b->woken, 0, 0), 0);
    assert_int_equal(store_sink_init(&b->sink, wake, b), ERR_OK);
}

static void bench_end(struct bench *b)
{
    static const char *const files[] = {"lock", DB_FILE_NAME, DB_FILE_NAME "-wal",
                                        DB_FILE_NAME "-shm"};
    char path[128];

    store_sink_fini(&b->sink);
    (void)sem_destroy(&b->woken);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", b->dir, files[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(b->dir), 0);
}

/* ---- calls ---- */

static void call_done(struct store_op *op)
{
    struct call *c = (struct call *)op;

    c->place = ++c->bench->done;
    c->bench->left--;
}

static void call_init(struct bench *b, struct call *c, enum store_op_kind kind)
{
    *c = (struct call){.bench = b};
    arena_init(&c->arena, ARENA_BYTES);
    store_op_init(&c->op, kind, &b->sink, call_done);
    c->op.deadline_mono_us = clock_mono_us() + WAIT_US;
}

static void call_fini(struct call *c)
{
    store_op_fini(&c->op);
    arena_fini(&c->arena);
}

static void credit(struct bench *b, struct call *c, char key)
{
    struct posting_words words = {.may_open = true};

    call_init(b, c, STORE_POST);
    assert_int_equal(currency_parse(SLICE("CNY"), &words.open_currency), ERR_OK);
    assert_int_equal(posting_credit(&c->arena, SLICE("a"), (struct decimal){.coefficient = 1},
                                    &words, &c->op.posting),
                     ERR_OK);
    if (key != '\0') {
        memset(c->idem.scope, key, sizeof(c->idem.scope));
        c->op.posting.idem = &c->idem;
    }
}

/* All of account a, and nothing found. */
static void history(struct bench *b, struct call *c)
{
    call_init(b, c, STORE_HISTORY);
    c->op.account_id = SLICE("a");
    c->op.history = (struct store_history_in){.limit = STORE_PAGE_MAX, .kinds = 1U << RECORD_DEBIT};
}

static void submit(struct bench *b, struct call *c)
{
    b->left++;
    store_submit(&c->op);
}

static void turn(struct bench *b)
{
    store_flush(b->store, &b->sink);
    while (sem_wait(&b->woken) != 0) { /* interrupted */
    }
    store_drain(&b->sink);
}

static void run(struct bench *b)
{
    while (b->left > 0) {
        turn(b);
    }
}

/* Fill account a with entries. */
static void fill(struct bench *b)
{
    struct call *calls = mem_alloc_array(BATCH, sizeof(*calls));

    assert_non_null(calls);
    for (int i = 0; i < ENTRIES; i += BATCH) {
        for (int k = 0; k < BATCH; k++) {
            credit(b, &calls[k], '\0');
            submit(b, &calls[k]);
        }
        run(b);
        for (int k = 0; k < BATCH; k++) {
            assert_int_equal(calls[k].op.status, STORE_DONE);
            call_fini(&calls[k]);
        }
    }
    mem_free(calls);
}

/* ---- the log ---- */

static void history_again(struct store_op *op)
{
    struct call *c = (struct call *)op;
    struct bench *b = c->bench;

    assert_int_equal(op->status, STORE_DONE);
    b->done++;
    b->left--;
    call_fini(c);
    if (!b->is_over) {
        history(b, c);
        c->op.done = history_again;
        submit(b, c);
    }
}

static void test_log_is_bounded_under_unbroken_reads(void **state)
{
    struct embedded_stats stats;
    struct call histories[HISTORIES];
    uint64_t longest = 0;
    struct bench b;

    (void)state;
    bench_begin(&b);
    bench_open(&b, 2);
    fill(&b);
    b.done = 0;
    for (int i = 0; i < HISTORIES; i++) {
        history(&b, &histories[i]);
        histories[i].op.done = history_again;
        submit(&b, &histories[i]);
    }
    for (int i = 0; i < COMMITS; i++) {
        const unsigned left = b.left;
        struct call c;
        credit(&b, &c, '\0');
        submit(&b, &c);
        while (c.place == 0) {
            turn(&b);
        }
        assert_int_equal(c.op.status, STORE_DONE);
        assert_int_equal(b.left, left); /* the reads went on */
        call_fini(&c);
        embedded_stats(b.store, &stats);
        longest = longest > stats.wal_bytes ? longest : stats.wal_bytes;
    }
    print_message("log: at most %llu pages; %u histories\n",
                  (unsigned long long)longest / PAGE_BYTES, b.done > COMMITS ? b.done - COMMITS : 0);
    assert_true(longest >= (uint64_t)CHECKPOINT_FROM * PAGE_BYTES);
    assert_true(longest < (uint64_t)LOG_PAGES_MAX * PAGE_BYTES);
    b.is_over = true;
    run(&b);
    store_close(b.store);
    bench_end(&b);
}

/*
 * The same step by step. Two readers of the log overlap, so that there always is one, and the older is always at least
 * `step` commits behind; they let go only when they are refused because the writer closed the gate.
 */
struct rotation {
    sqlite3 *readers[2];
    pthread_rwlock_t snapshots;
    _Atomic bool must_turn; /* the older is to begin anew */
    _Atomic bool is_over;
    unsigned older, refusals;
};

static void snapshot_begin(sqlite3 *db)
{
    enum err e = db_exec(db, "BEGIN; SELECT count(*) FROM journal");

    ASSERT(e == ERR_OK);
}

static void snapshot_end(sqlite3 *db)
{
    enum err e = db_exec(db, "COMMIT");

    ASSERT(e == ERR_OK);
}

static void *rotate(void *ctx)
{
    struct rotation *r = ctx;

    (void)pthread_rwlock_rdlock(&r->snapshots);
    while (!r->is_over) {
        if (r->must_turn) {
            snapshot_end(r->readers[r->older]);
            snapshot_begin(r->readers[r->older]);
            r->older ^= 1;
            r->must_turn = false;
        } else if (pthread_rwlock_tryrdlock(&r->snapshots) == 0) {
            (void)pthread_rwlock_unlock(&r->snapshots);
        } else {
            r->refusals++;
            snapshot_end(r->readers[0]);
            snapshot_end(r->readers[1]);
            (void)pthread_rwlock_unlock(&r->snapshots);
            (void)pthread_rwlock_rdlock(&r->snapshots);
            snapshot_begin(r->readers[0]);
            snapshot_begin(r->readers[1]);
        }
        (void)sched_yield();
    }
    (void)pthread_rwlock_unlock(&r->snapshots);
    return NULL;
}

static void pass_await(struct checkpoint *c)
{
    const uint64_t until_us = clock_mono_us() + WAIT_US;
    bool is_wanted = true;

    while (is_wanted) {
        pthread_mutex_lock(&c->mutex);
        is_wanted = c->is_wanted;
        pthread_mutex_unlock(&c->mutex);
        assert_true(clock_mono_us() < until_us);
        (void)sched_yield();
    }
}

static int log_grew(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    *(int *)ctx = pages;
    return SQLITE_OK;
}

static sqlite3 *connect(const struct bench *b, enum db_use use)
{
    struct err_text why = {""};
    sqlite3 *db;

    assert_int_equal(db_open(b->path, use, &db, &why), ERR_OK);
    return db;
}

/* Commit a page or two at a time; how long was the log at most? */
static int longest_log(int step)
{
    static const char write[] = "INSERT INTO meta(key,value,crc) VALUES('x',1,0) "
                                "ON CONFLICT(key) DO UPDATE SET value=value+1";
    struct rotation r = {.snapshots = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP};
    int pages = 0, longest = 0;
    struct checkpoint c;
    pthread_t thread;
    struct bench b;
    sqlite3 *writer;

    bench_begin(&b);
    writer = connect(&b, DB_WRITER);
    (void)sqlite3_wal_hook(writer, log_grew, &pages);
    assert_int_equal(checkpoint_start(&c, connect(&b, DB_WRITER), &r.snapshots, CHECKPOINT_FROM,
                                      NULL, METRICS_NONE),
                     ERR_OK);
    for (int i = 0; i < 2; i++) {
        r.readers[i] = connect(&b, DB_READER);
        assert_int_equal(db_exec(writer, write), ERR_OK);
        snapshot_begin(r.readers[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, rotate, &r), 0);
    for (int i = 0; i < STEPS; i++) {
        assert_int_equal(db_exec(writer, write), ERR_OK);
        longest = longest > pages ? longest : pages;
        r.must_turn = i % step == 0;
        while (r.must_turn) {
            (void)sched_yield();
        }
        assert_int_equal(checkpoint_turn(&c, writer, pages), ERR_OK);
        pass_await(&c);
    }
    r.is_over = true;
    (void)pthread_join(thread, NULL);
    assert_true(r.refusals > 0);
    for (int i = 0; i < 2; i++) {
        snapshot_end(r.readers[i]);
        assert_int_equal(sqlite3_close(r.readers[i]), SQLITE_OK);
    }
    checkpoint_stop(&c);
    assert_int_equal(sqlite3_close(writer), SQLITE_OK);
    bench_end(&b);
    return longest;
}

static void test_log_begins_anew_between_short_reads(void **state)
{
    (void)state;
    assert_in_range(longest_log(1), CHECKPOINT_FROM * CHECKPOINT_GATE_TIMES,
                    CHECKPOINT_FROM * CHECKPOINT_GATE_TIMES + SLACK);
}

/* More is written during one read than the writer would copy as a rest. */
static void test_log_begins_anew_between_long_reads(void **state)
{
    (void)state;
    assert_in_range(longest_log(CHECKPOINT_FROM), CHECKPOINT_FROM * CHECKPOINT_FORCE_TIMES,
                    CHECKPOINT_FROM * CHECKPOINT_FORCE_TIMES + SLACK);
}

/* ---- reads that nobody waits for ---- */

/* A reader's thread is its function and a queue: here it runs on this thread, over what is in the queue already. */
static void reader_run_here(struct bench *b, struct queue_list *ops)
{
    struct embedded e = {0};
    struct err_text why = {""};

    e.readers[0].store = &e;
    assert_int_equal(queue_init(&e.reads, 100), ERR_OK);
    assert_int_equal(pthread_rwlock_init(&e.snapshots, NULL), 0);
    assert_int_equal(reader_open(&e.readers[0].reader, b->path, &why), ERR_OK);
    (void)queue_put(&e.reads, ops);
    assert_null(ops->head);
    queue_close(&e.reads);
    (void)reader_run(&e.readers[0]);
    store_drain(&b->sink);
    reader_close(&e.readers[0].reader);
    pthread_rwlock_destroy(&e.snapshots);
    queue_fini(&e.reads);
}

static void test_late_reads_are_not_worked_through(void **state)
{
    static const enum store_op_kind kinds[] = {STORE_HISTORY, STORE_POST, STORE_ACCOUNT,
                                               STORE_TRANSACTION, STORE_ACCOUNTS};
    struct call calls[2 * ARRAY_LEN(kinds)];
    struct queue_list ops = {0};
    struct call first;
    struct bench b;

    (void)state;
    bench_begin(&b);
    bench_open(&b, 1);
    credit(&b, &first, 'k');
    submit(&b, &first);
    run(&b);
    assert_int_equal(first.op.result.outcome, OUTCOME_OK);
    store_close(b.store);
    b.done = 0;

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) { /* as the writer leaves them to a reader */
        struct call *c = &calls[i];
        call_init(&b, c, kinds[i / 2]);
        if (i % 2 == 0) {
            c->op.deadline_mono_us = 1;
        }
        c->op.account_id = SLICE("a");
        c->op.account = (struct account_view){.no = 1, .last_seq = first.op.result.seq};
        c->op.history.limit = 1;
        c->op.result.seq = first.op.result.seq;
        c->op.result.outcome = c->op.kind == STORE_POST ? OUTCOME_REPLAY : OUTCOME_OK;
        c->op.posting.idem = &first.idem;
        c->op.tx_time_us = first.op.result.time_us;
        c->op.tx_tag = first.op.result.tag;
        c->op.accounts.prefix = SLICE("no such");
        c->op.accounts.limit = 1;
        queue_list_push(&ops, &c->op.link);
    }
    reader_run_here(&b, &ops);
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        const enum store_status late =
            calls[i].op.kind == STORE_POST ? STORE_UNKNOWN : STORE_UNAVAILABLE;
        assert_int_equal(calls[i].place, i + 1);
        assert_int_equal(calls[i].op.status, i % 2 == 0 ? late : STORE_DONE);
        call_fini(&calls[i]);
    }
    call_fini(&first);
    bench_end(&b);
}

/* ---- who goes first ---- */

/* Wait until the readers' queue holds so much. */
static void reads_await(struct bench *b, size_t len)
{
    const uint64_t until_us = clock_mono_us() + WAIT_US;

    while (queue_len(&b->e->reads) != len) {
        assert_true(clock_mono_us() < until_us);
        (void)sched_yield();
    }
}

static void test_repeated_answers_go_first(void **state)
{
    enum { QUEUED = 12 };
    struct call first, again, histories[QUEUED + 1];
    struct bench b;

    (void)state;
    bench_begin(&b);
    bench_open(&b, 1);
    credit(&b, &first, 'k');
    submit(&b, &first);
    run(&b);
    assert_int_equal(first.op.status, STORE_DONE);
    b.done = 0;

    /* hold the one reader at its first history, so that all others surely stand in the queue */
    assert_int_equal(pthread_rwlock_wrlock(&b.e->snapshots), 0);
    history(&b, &histories[QUEUED]);
    submit(&b, &histories[QUEUED]);
    store_flush(b.store, &b.sink);
    for (int i = 0; i < QUEUED; i++) {
        history(&b, &histories[i]);
        submit(&b, &histories[i]);
    }
    store_flush(b.store, &b.sink);
    reads_await(&b, QUEUED);
    credit(&b, &again, 'k');
    submit(&b, &again);
    store_flush(b.store, &b.sink);
    reads_await(&b, QUEUED + 1);
    assert_int_equal(pthread_rwlock_unlock(&b.e->snapshots), 0);
    run(&b);

    assert_int_equal(again.op.status, STORE_DONE);
    assert_true(again.op.result.is_replay);
    assert_true(again.op.result.seq == first.op.result.seq);
    assert_int_equal(histories[QUEUED].place, 1);
    assert_int_equal(again.place, 2);
    for (int i = 0; i <= QUEUED; i++) {
        assert_int_equal(histories[i].op.status, STORE_DONE);
        call_fini(&histories[i]);
    }
    call_fini(&again);
    call_fini(&first);
    store_close(b.store);
    bench_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_is_bounded_under_unbroken_reads),
        cmocka_unit_test(test_log_begins_anew_between_short_reads),
        cmocka_unit_test(test_log_begins_anew_between_long_reads),
        cmocka_unit_test(test_late_reads_are_not_worked_through),
        cmocka_unit_test(test_repeated_answers_go_first),
    };

    return cmocka_run_group_tests_name("embedded/checkpoint", tests, NULL, NULL);
}

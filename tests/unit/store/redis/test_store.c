/* The store on a real server, where things go wrong: memory full, values broken, a server that sleeps, dies or forgets. */
#include "store/redis/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "store/redis/metrics.h"
#include "store/redis/names.h"
#include "store/redis/redis_internal.h"
#include "support/redis_server.h"

enum { TIMEOUT_US = 600 * 1000, WAIT_US = 20 * 1000 * 1000, POOL = 3 };

struct bench {
    struct redis_server server;
    struct store *store;
    uv_loop_t uv;
    uv_async_t wake;
    struct store_sink sink;
    struct metrics *metrics;
    struct redis_series series;
    unsigned buckets;
    uint64_t timeout_us;
};

struct ask {
    struct store_op op; /* first */
    struct arena arena;
    struct idem idem;
    bool is_done;
};

/* ---- the bench ---- */

static void on_wake(uv_async_t *wake)
{
    struct bench *b = wake->data;

    store_drain(&b->sink);
}

static void wake(void *ctx)
{
    struct bench *b = ctx;

    ASSERT(uv_async_send(&b->wake) == 0);
}

static void bench_open(struct bench *b)
{
    struct redis_options o = {
        .loops = 1,
        .pool_active = POOL,
        .pool_idle = POOL,
        .depth = REDIS_DEPTH,
        .pool_idle_us = UINT64_C(300) * 1000000,
        .op_timeout_us = b->timeout_us,
        .inbox_max = 64,
        .idempotency_ttl_us = UINT64_C(3600) * 1000000,
        .may_load = true,
        .buckets = b->buckets,
    };
    struct err_text why = {""};
    char address[32];
    enum err e = metrics_new(&b->metrics);

    ASSERT(e == ERR_OK);
    e = redis_metrics(b->metrics, &b->series);
    ASSERT(e == ERR_OK);
    o.metrics = b->metrics;
    o.series = &b->series;
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", b->server.port);
    e = redis_url_parse(slice_of(address), &o.url, &why);
    ASSERT(e == ERR_OK);
    e = redis_open(&o, &b->store, &why);
    if (e != ERR_OK) {
        print_message("%s\n", why.text);
    }
    ASSERT(e == ERR_OK && why.text[0] == '\0' && uv_loop_init(&b->uv) == 0);
    ASSERT(uv_async_init(&b->uv, &b->wake, on_wake) == 0);
    b->wake.data = b;
    e = store_sink_init(&b->sink, wake, b);
    ASSERT(e == ERR_OK);
    e = store_attach(b->store, &b->sink, &b->uv);
    ASSERT(e == ERR_OK);
}

static void bench_close(struct bench *b)
{
    store_detach(b->store, &b->sink);
    uv_close((uv_handle_t *)&b->wake, NULL);
    (void)uv_run(&b->uv, UV_RUN_DEFAULT);
    ASSERT(uv_loop_close(&b->uv) == 0);
    store_sink_fini(&b->sink);
    store_close(b->store);
    metrics_free(b->metrics);
}

static int setup_with(void **state, unsigned buckets, uint64_t timeout_us)
{
    struct bench *b = mem_alloc(sizeof(*b));

    ASSERT(b != NULL);
    log_configure(LOG_ERROR, LOG_LOGFMT, STDERR_FILENO);
    redis_server_start(&b->server, "--appendonly yes --appendfsync no --enable-debug-command local");
    b->buckets = buckets;
    b->timeout_us = timeout_us;
    bench_open(b);
    *state = b;
    return 0;
}

static int setup_hasty(void **state)
{
    return setup_with(state, 1, TIMEOUT_US);
}

static int setup_many(void **state)
{
    return setup_with(state, 4096, WAIT_US / 2);
}

static int setup(void **state)
{
    return setup_with(state, 1, WAIT_US / 2);
}

static int teardown(void **state)
{
    struct bench *b = *state;

    bench_close(b);
    redis_server_stop(&b->server);
    mem_free(b);
    return 0;
}

/* ---- asking ---- */

static void on_done(struct store_op *op)
{
    struct ask *a = (struct ask *)op;

    ASSERT(!a->is_done);
    a->is_done = true;
}

static void ask_init(struct bench *b, struct ask *a, enum store_op_kind kind, const char *account)
{
    *a = (struct ask){0};
    arena_init(&a->arena, 4096);
    store_op_init(&a->op, kind, &b->sink, on_done);
    a->op.deadline_mono_us = UINT64_MAX;
    a->op.account_id = slice_of(account);
    a->op.history.limit = a->op.accounts.limit = 10;
}

static void ask_fini(struct ask *a)
{
    arena_fini(&a->arena);
    store_op_fini(&a->op);
}

static void on_late(uv_timer_t *timer)
{
    (void)timer;
    UNREACHABLE("an operation never came back");
}

static void ask_wait(struct bench *b, struct ask *a)
{
    uv_timer_t late;

    ASSERT(uv_timer_init(&b->uv, &late) == 0 &&
           uv_timer_start(&late, on_late, WAIT_US / 1000, 0) == 0);
    while (!a->is_done) {
        (void)uv_run(&b->uv, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&late, NULL);
    (void)uv_run(&b->uv, UV_RUN_NOWAIT);
}

static enum store_status ask_run(struct bench *b, struct ask *a)
{
    store_submit(&a->op);
    store_flush(b->store, &b->sink);
    ask_wait(b, a);
    return a->op.status;
}

/* A credit of 1; key 0: without one. */
static void credit_init(struct bench *b, struct ask *a, const char *account, uint64_t key)
{
    const struct posting_words words = {.open_currency = {'C' | 'N' << 8 | 'Y' << 16},
                                        .may_open = true};
    enum err e;

    ask_init(b, a, STORE_POST, account);
    e = posting_credit(&a->arena, a->op.account_id, (struct decimal){1, 0}, &words, &a->op.posting);
    ASSERT(e == ERR_OK);
    if (key != 0) {
        a->idem = (struct idem){.fingerprint = {1}};
        memcpy(a->idem.scope, &key, sizeof(key));
        a->op.posting.idem = &a->idem;
    }
}

static enum store_status credit(struct bench *b, const char *account, uint64_t key)
{
    struct ask a;
    enum store_status status;

    credit_init(b, &a, account, key);
    status = ask_run(b, &a);
    ASSERT(status != STORE_DONE || a.op.result.outcome == OUTCOME_OK);
    ask_fini(&a);
    return status;
}

static enum store_status read_of(struct bench *b, enum store_op_kind kind, const char *account)
{
    struct ask a;
    enum store_status status;

    ask_init(b, &a, kind, account);
    status = ask_run(b, &a);
    ask_fini(&a);
    return status;
}

/* The account's balance in whole units; -1: unknown. Waits for a server that was away. */
static int64_t balance(struct bench *b, const char *account)
{
    const uint64_t end_us = clock_mono_us() + WAIT_US;
    struct ask a;
    int64_t units;

    for (;;) {
        ask_init(b, &a, STORE_ACCOUNT, account);
        if (ask_run(b, &a) == STORE_DONE) {
            break;
        }
        ask_fini(&a);
        ASSERT(clock_mono_us() < end_us);
    }
    units = a.op.result.outcome == OUTCOME_OK ? a.op.account.balance / 100 : -1;
    ask_fini(&a);
    return units;
}

/* ---- the tests ---- */

/* Reads go on, replays are answered, and what is refused is surely not applied. */
static void a_full_memory_settles_keys(void **state)
{
    struct bench *b = *state;
    struct ask a;

    assert_int_equal(credit(b, "alice", 1), STORE_DONE);
    redis_server_say(&b->server, "CONFIG SET maxmemory 1");
    assert_int_equal(credit(b, "alice", 0), STORE_UNAVAILABLE);
    assert_int_equal(credit(b, "alice", 2), STORE_UNAVAILABLE);
    credit_init(b, &a, "alice", 1);
    assert_int_equal(ask_run(b, &a), STORE_DONE);
    assert_true(a.op.result.is_replay && a.op.result.outcome == OUTCOME_OK &&
                a.op.result.sides[0].balance == 100);
    ask_fini(&a);
    credit_init(b, &a, "alice", 1);
    a.idem.fingerprint[0] = 9;
    assert_int_equal(ask_run(b, &a), STORE_DONE);
    assert_int_equal(a.op.result.outcome, OUTCOME_KEY_REUSED);
    ask_fini(&a);
    assert_true(balance(b, "alice") == 1);
    redis_server_say(&b->server, "CONFIG SET maxmemory 0");
    assert_int_equal(credit(b, "alice", 2), STORE_DONE);
    assert_true(balance(b, "alice") == 2);
}

/* One planted value: what needs it is a fault, and everybody else goes on. */
static void broken_values_are_nobody_elses(void **state)
{
    static const struct {
        const char *plant, *value; /* words before and behind the key */
        enum store_op_kind kind;
        enum store_status status;
    } all[] = {
        {"HSET", "b x", STORE_POST, STORE_FAULT},
        {"HSET", "b x", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "b 01", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "b 9999999999999999999", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "v 0", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "v -1", STORE_HISTORY, STORE_FAULT},
        {"HSET", "c CNY", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "c xxx_2", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "s 9", STORE_ACCOUNT, STORE_FAULT},
        {"HSET", "q -0", STORE_ACCOUNT, STORE_FAULT},
        {"HDEL", "t", STORE_ACCOUNT, STORE_FAULT},
        {"SET", "x", STORE_POST, STORE_FAULT},
        {"SET", "x", STORE_ACCOUNT, STORE_FAULT},
        {"SET", "x", STORE_HISTORY, STORE_FAULT},
        {"SET", "x", STORE_ACCOUNTS, STORE_FAULT},
        {"DEL", "", STORE_ACCOUNTS, STORE_FAULT},
    };
    struct bench *b = *state;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        const struct names_key key = names_account(0, SLICE("broken"));
        char named[NAMES_KEY_BYTES_MAX + 1] = "", words[256];
        assert_int_equal(credit(b, "broken", 0), STORE_DONE);
        assert_int_equal(credit(b, "alice", 0), STORE_DONE);
        memcpy(named, key.text, key.len);
        (void)snprintf(words, sizeof(words), "COPY %s kept", named);
        redis_server_say(&b->server, words);
        (void)snprintf(words, sizeof(words), "%s %s %s", all[i].plant, named, all[i].value);
        redis_server_say(&b->server, words);
        if (all[i].kind == STORE_POST) {
            assert_int_equal(credit(b, "broken", 0), all[i].status);
        } else {
            assert_int_equal(read_of(b, all[i].kind, "broken"), all[i].status);
        }
        assert_int_equal(credit(b, "alice", 0), STORE_DONE);
        (void)snprintf(words, sizeof(words), "COPY kept %s REPLACE", named);
        redis_server_say(&b->server, words);
        redis_server_say(&b->server, "DEL kept");
    }
}

static void broken_lists_are_faults(void **state)
{
    static const char *const elements[] = {"x", "5", "020000000000000001",
                                           "20000000000000001" /* nothing was then */,
                                           "90000000000000001" /* no such kind */};
    struct bench *b = *state;
    const struct slice tag = names_tag(0);
    char words[128];

    assert_int_equal(credit(b, "alice", 0), STORE_DONE);
    for (size_t i = 0; i < ARRAY_LEN(elements); i++) {
        assert_int_equal(read_of(b, STORE_HISTORY, "alice"), STORE_DONE);
        (void)snprintf(words, sizeof(words), "RPUSH w:h:{" SLICE_FORMAT "}:alice %s",
                       SLICE_ARGS(tag), elements[i]);
        redis_server_say(&b->server, words);
        assert_int_equal(read_of(b, STORE_HISTORY, "alice"), STORE_FAULT);
        (void)snprintf(words, sizeof(words), "RPOP w:h:{" SLICE_FORMAT "}:alice", SLICE_ARGS(tag));
        redis_server_say(&b->server, words);
    }
    (void)snprintf(words, sizeof(words), "DEL w:j:{" SLICE_FORMAT "}", SLICE_ARGS(tag));
    redis_server_say(&b->server, words);
    assert_int_equal(read_of(b, STORE_HISTORY, "alice"), STORE_FAULT);
    assert_int_equal(read_of(b, STORE_ACCOUNT, "alice"), STORE_DONE);
    (void)snprintf(words, sizeof(words), "SET w:h:{" SLICE_FORMAT "}:alice x", SLICE_ARGS(tag));
    redis_server_say(&b->server, words);
    assert_int_equal(read_of(b, STORE_ACCOUNT, "alice"), STORE_FAULT);
    assert_int_equal(read_of(b, STORE_ACCOUNTS, "alice"), STORE_FAULT);
}

/* A server that sleeps: the outcome is unknown; when it wakes up, what came too late is not done any more. */
static void what_wakes_up_too_late_is_not_applied(void **state)
{
    struct bench *b = *state;
    struct ask a;

    assert_int_equal(credit(b, "alice", 0), STORE_DONE);
    redis_server_freeze(&b->server);
    assert_int_equal(credit(b, "alice", 0), STORE_UNKNOWN);
    assert_int_equal(credit(b, "alice", 7), STORE_UNKNOWN);
    assert_int_equal(read_of(b, STORE_ACCOUNT, "alice"), STORE_UNAVAILABLE);
    (void)usleep(TIMEOUT_US);
    redis_server_thaw(&b->server);
    assert_true(balance(b, "alice") == 1);
    credit_init(b, &a, "alice", 7);
    assert_int_equal(ask_run(b, &a), STORE_DONE);
    assert_false(a.op.result.is_replay); /* nothing stood under the key */
    ask_fini(&a);
    assert_true(balance(b, "alice") == 2);
}

static void a_dead_server_is_surely_not_applied(void **state)
{
    struct bench *b = *state;

    assert_int_equal(credit(b, "alice", 1), STORE_DONE);
    redis_server_kill(&b->server);
    (void)credit(b, "alice", 2); /* it may have met the connection's end */
    assert_int_equal(credit(b, "alice", 3), STORE_UNAVAILABLE);
    assert_int_equal(read_of(b, STORE_ACCOUNT, "alice"), STORE_UNAVAILABLE);
    assert_int_equal(read_of(b, STORE_ACCOUNTS, "alice"), STORE_UNAVAILABLE);
    redis_server_restart(&b->server);
    assert_true(balance(b, "alice") == 1);
    assert_int_equal(credit(b, "alice", 3), STORE_DONE);
    assert_true(balance(b, "alice") == 2);
}

/* Both were sent, and no answer came: what has a key is sent again and applied once, what has none is not. */
static void only_a_key_is_tried_again(void **state)
{
    struct bench *b = *state;
    struct ask keyless, keyed, again;

    assert_int_equal(credit(b, "alice", 0), STORE_DONE);
    redis_server_freeze(&b->server);
    credit_init(b, &keyless, "bob", 0);
    credit_init(b, &keyed, "alice", 1);
    store_submit(&keyless.op);
    store_submit(&keyed.op);
    store_flush(b->store, &b->sink);
    redis_server_kill(&b->server); /* with the commands in its socket */
    redis_server_restart(&b->server);
    ask_wait(b, &keyless);
    ask_wait(b, &keyed);
    assert_int_equal(keyless.op.status, STORE_UNKNOWN);
    assert_int_equal(keyed.op.status, STORE_DONE);
    assert_true(balance(b, "bob") == -1 && balance(b, "alice") == 2);
    credit_init(b, &again, "alice", 1);
    assert_int_equal(ask_run(b, &again), STORE_DONE);
    assert_true(again.op.result.is_replay && again.op.result.seq == keyed.op.result.seq);
    ask_fini(&again);
    ask_fini(&keyed);
    ask_fini(&keyless);
}

/* Another ledger under the same address: no write is accepted any more, reads go on. */
static void a_server_that_forgot_gets_no_writes(void **state)
{
    struct bench *b = *state;
    const uint64_t end_us = clock_mono_us() + WAIT_US;

    assert_int_equal(credit(b, "alice", 1), STORE_DONE);
    redis_server_say(&b->server, "FLUSHALL");
    redis_server_say(&b->server, "CLIENT KILL TYPE normal");
    while (store_health(b->store) != STORE_FAILED) {
        ASSERT(clock_mono_us() < end_us);
        (void)read_of(b, STORE_ACCOUNT, "alice");
        (void)usleep(10000);
    }
    assert_int_equal(credit(b, "alice", 0), STORE_UNAVAILABLE);
    assert_int_equal(credit(b, "alice", 1), STORE_UNAVAILABLE);
    assert_int_equal(read_of(b, STORE_ACCOUNT, "alice"), STORE_UNAVAILABLE); /* not "no such account" */
}

/* A ledger that was moved here has transactions with the tag they were born with, in whichever bucket. */
static void moved_transactions_are_found_by_their_own_tag(void **state)
{
    struct bench *b = *state;
    struct ask first, a;
    char words[256];
    int64_t moved_us;
    uint32_t tag;

    credit_init(b, &first, "alice", 0);
    assert_int_equal(ask_run(b, &first), STORE_DONE);
    tag = first.op.result.tag;
    moved_us = first.op.result.time_us + 1000;
    assert_true(tag == names_bucket(SLICE("alice"), 4096) && tag != 0);
    (void)snprintf(words, sizeof(words),
                   "XADD w:j:{" SLICE_FORMAT
                   "} %lld-0 e \"2 4 0 CNY 2 2 alice 100 200 @world -100 -200\"",
                   SLICE_ARGS(names_tag(tag)), (long long)moved_us);
    redis_server_say(&b->server, words);
    for (int is_moved = 0; is_moved < 2; is_moved++) {
        const struct {
            int64_t time_us;
            uint32_t tag;
            bool is_found;
        } all[] = {
            {moved_us - 1000, tag, true},
            {moved_us - 1000, 0, false},
            {moved_us - 1000, tag + 1, false},
            {moved_us, 0, is_moved != 0},
            {moved_us, tag, false},
            {moved_us, 4096, false},
            {moved_us, UINT32_MAX, false},
            {INT64_MIN, 0, false},
            {INT64_MAX, tag, false},
        };
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            ask_init(b, &a, STORE_TRANSACTION, "");
            a.op.tx_time_us = all[i].time_us;
            a.op.tx_tag = all[i].tag;
            assert_int_equal(ask_run(b, &a), STORE_DONE);
            assert_int_equal(a.op.result.outcome,
                             all[i].is_found ? OUTCOME_OK : OUTCOME_TRANSACTION_NOT_FOUND);
            assert_int_equal(a.op.count, all[i].is_found ? 2 : 0);
            assert_true(!all[i].is_found ||
                        (a.op.result.tag == all[i].tag && a.op.entries[1].tag == all[i].tag &&
                         slice_equal(a.op.entries[1].account, SLICE("alice"))));
            ask_fini(&a);
        }
        redis_server_say(&b->server, "HSET w:meta moved 1");
    }
    ask_fini(&first);
}

/* More ids than one page looks at, none of them wanted. */
static void a_page_of_accounts_gives_up_in_time(void **state)
{
    struct bench *b = *state;
    const struct slice tag = names_tag(0);
    char words[512], text[8] = "", cursor[STORE_CURSOR_BYTES_MAX];
    struct ask a;
    size_t len;

    memcpy(text, tag.ptr, tag.len);
    assert_int_equal(credit(b, "alice", 0), STORE_DONE);
    for (int i = 0; i < 10500; i += 50) {
        int at = snprintf(words, sizeof(words), "RPUSH w:o:{%s}", text);
        for (int k = 0; k < 50; k++) {
            at += snprintf(words + at, sizeof(words) - (size_t)at, " z%d", i + k);
        }
        redis_server_say(&b->server, words);
    }
    assert_int_equal(credit(b, "yves", 0), STORE_DONE);
    ask_init(b, &a, STORE_ACCOUNTS, "");
    a.op.accounts.prefix = SLICE("y");
    assert_int_equal(ask_run(b, &a), STORE_DONE);
    assert_true(a.op.count == 0 && a.op.has_more);
    len = a.op.next_cursor_len;
    memcpy(cursor, a.op.next_cursor, len);
    ask_fini(&a);
    ask_init(b, &a, STORE_ACCOUNTS, "");
    a.op.accounts.prefix = SLICE("y");
    a.op.accounts.cursor = slice_make(cursor, len);
    assert_int_equal(ask_run(b, &a), STORE_DONE);
    assert_true(a.op.count == 1 && !a.op.has_more);
    assert_true(slice_equal(a.op.views[0].id, SLICE("yves")));
    ask_fini(&a);
}

/* A status decides one by one: pages are full all the same. */
static void a_status_is_looked_for(void **state)
{
    struct bench *b = *state;
    unsigned listed = 0, pages = 0;
    char cursor[STORE_CURSOR_BYTES_MAX];
    size_t len = 0;
    bool has_more = true;

    for (int i = 0; i < 300; i++) {
        char id[16], words[128];
        const struct slice tag = names_tag(0);
        (void)snprintf(id, sizeof(id), "a%d", i);
        assert_int_equal(credit(b, id, 0), STORE_DONE);
        if (i % 10 == 3) {
            (void)snprintf(words, sizeof(words), "HSET w:a:{" SLICE_FORMAT "}:%s s 1",
                           SLICE_ARGS(tag), id);
            redis_server_say(&b->server, words);
        }
    }
    while (has_more) {
        struct ask a;
        ask_init(b, &a, STORE_ACCOUNTS, "");
        a.op.accounts.limit = 7;
        a.op.accounts.status = ACCOUNT_FROZEN;
        a.op.accounts.cursor = pages == 0 ? SLICE_NONE : slice_make(cursor, len);
        assert_int_equal(ask_run(b, &a), STORE_DONE);
        has_more = a.op.has_more;
        assert_true(a.op.count == 7 || !has_more);
        for (unsigned i = 0; i < a.op.count; i++) {
            assert_int_equal(a.op.views[i].status, ACCOUNT_FROZEN);
        }
        listed += a.op.count;
        pages++;
        len = a.op.next_cursor_len;
        memcpy(cursor, a.op.next_cursor, len);
        ask_fini(&a);
    }
    assert_int_equal(listed, 30);
    assert_int_equal(pages, 5);
}

/* No more at work than there is room for, and all that was taken comes back. */
static void the_room_is_kept(void **state)
{
    enum { COUNT = 100, ROOM = 64 };
    struct bench *b = *state;
    struct ask *all = mem_alloc_array(COUNT, sizeof(*all));
    const uint64_t end_us = clock_mono_us() + WAIT_US;
    struct redis_stats stats;
    unsigned done = 0;

    assert_non_null(all);
    for (unsigned i = 0; i < COUNT; i++) {
        credit_init(b, &all[i], "alice", i + 1);
        store_submit(&all[i].op);
    }
    store_flush(b->store, &b->sink);
    assert_int_equal(redis_busy(&b->sink), ROOM);
    for (unsigned i = 0; i < COUNT; i++) {
        ask_wait(b, &all[i]);
        done += all[i].op.status == STORE_DONE;
        ask_fini(&all[i]);
    }
    assert_int_equal(done, ROOM);
    assert_true(balance(b, "alice") == ROOM && redis_busy(&b->sink) == 0);
    do { /* the gauges are a tick old */
        ASSERT(clock_mono_us() < end_us);
        assert_true(balance(b, "alice") == ROOM);
        redis_stats(b->store, &stats);
    } while (stats.calls_in_flight > 0 || stats.connections_open == 0);
    assert_true(stats.connections_open <= POOL - 1 && stats.is_master_known && stats.open_us > 0);
    mem_free(all);
}

/* What is at work when the loop is given back comes back first. */
static void detaching_ends_what_is_at_work(void **state)
{
    enum { COUNT = 20 };
    struct bench *b = *state;
    struct ask all[COUNT];

    assert_int_equal(credit(b, "alice", 0), STORE_DONE);
    redis_server_freeze(&b->server);
    for (unsigned i = 0; i < COUNT; i++) {
        if (i % 2 == 0) {
            credit_init(b, &all[i], "alice", i + 1);
        } else {
            ask_init(b, &all[i], STORE_HISTORY, "alice");
        }
        store_submit(&all[i].op);
    }
    store_flush(b->store, &b->sink);
    store_detach(b->store, &b->sink);
    store_drain(&b->sink);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_true(all[i].is_done);
        assert_true(i % 2 != 0 ? all[i].op.status == STORE_UNAVAILABLE
                               : all[i].op.status == STORE_UNKNOWN ||
                                     all[i].op.status == STORE_UNAVAILABLE);
        ask_fini(&all[i]);
    }
    redis_server_thaw(&b->server);
    (void)uv_run(&b->uv, UV_RUN_NOWAIT);
    assert_int_equal(store_attach(b->store, &b->sink, &b->uv), ERR_OK);
    assert_true(balance(b, "alice") >= 1);
}

/* Each allocation fails once: an operation ends, and ends honestly. */
static void memory_runs_out_anywhere(void **state)
{
    static const enum store_op_kind kinds[] = {STORE_POST, STORE_ACCOUNT, STORE_ACCOUNTS,
                                               STORE_HISTORY, STORE_TRANSACTION};
    struct bench *b = *state;
    int64_t known = 0;

    for (unsigned i = 0; i < 30; i++) {
        assert_int_equal(credit(b, "alice", 0), STORE_DONE);
        known++;
    }
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        bool is_over = false;
        for (uint64_t nth = 1; !is_over; nth++) {
            struct ask a;
            if (kinds[k] == STORE_POST) {
                credit_init(b, &a, "alice", 1000 + nth);
            } else {
                ask_init(b, &a, kinds[k], "alice");
            }
            mem_fail_at(nth, false);
            (void)ask_run(b, &a);
            is_over = mem_asked() < nth;
            mem_fail_at(0, false);
            assert_true(a.op.status != STORE_FAULT || a.op.kind != STORE_POST);
            assert_true(!is_over || a.op.status == STORE_DONE);
            if (kinds[k] == STORE_POST) { /* the same key tells what became of it */
                const enum store_status status = a.op.status;
                ask_fini(&a);
                credit_init(b, &a, "alice", 1000 + nth);
                assert_int_equal(ask_run(b, &a), STORE_DONE);
                assert_true(status != STORE_UNAVAILABLE || !a.op.result.is_replay);
                assert_true(status != STORE_DONE || a.op.result.is_replay);
                known++;
            }
            ask_fini(&a);
            ASSERT(nth < 2000);
        }
        assert_true(balance(b, "alice") == known);
    }
}

static void the_series_are_declared(void **state)
{
    static const char *const wanted[] = {
        "wallet_redis_command_duration_seconds_count{command=\"post\"}",
        "wallet_redis_reconnects_total",
        "wallet_redis_redirects_total",
        "wallet_redis_ambiguous_total",
        "wallet_redis_late_replies_total",
        "wallet_redis_not_sent_total",
        "wallet_redis_closes_total{reason=\"idle\"}",
    };
    struct bench *b = *state;
    struct buf text;

    assert_int_equal(credit(b, "alice", 0), STORE_DONE);
    buf_init(&text, 1 << 20);
    metrics_render(b->metrics, &text);
    buf_append(&text, "", 1);
    assert_int_equal(text.err, ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        assert_non_null(strstr(text.ptr, wanted[i]));
    }
    buf_fini(&text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_HASTY(f) cmocka_unit_test_setup_teardown(f, setup_hasty, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(a_full_memory_settles_keys),
        TEST(broken_values_are_nobody_elses),
        TEST(broken_lists_are_faults),
        TEST_HASTY(what_wakes_up_too_late_is_not_applied),
        TEST_HASTY(a_dead_server_is_surely_not_applied),
        TEST(only_a_key_is_tried_again),
        TEST(a_server_that_forgot_gets_no_writes),
        cmocka_unit_test_setup_teardown(moved_transactions_are_found_by_their_own_tag, setup_many,
                                        teardown),
        TEST(a_page_of_accounts_gives_up_in_time),
        TEST(a_status_is_looked_for),
        TEST(the_room_is_kept),
        TEST(detaching_ends_what_is_at_work),
        TEST(memory_runs_out_anywhere),
        TEST(the_series_are_declared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A posting's ends that a store cannot be led to on purpose: no control thread here, so the test says what it would have said. */
#include <uv.h>

#include "base/clock.h"
#include "store/redis/work.h"
#include "support/fake_redis.h"
#include "unit/store/redis/rig.h"

enum { PATIENCE_US = 20 * 1000 * 1000, BUSY_MAX = 64, LONG_WAIT_US = 5 * 1000 * 1000 };

struct bench {
    struct redis_shared shared;
    struct work_loop *works;
    uv_loop_t uv;
    uv_timer_t beat; /* so that the test's condition is looked at now and then */
    struct store_sink sink;
};

struct ask {
    struct store_op op; /* first */
    struct arena arena;
    struct idem idem;
    bool is_done;
};

static void on_beat(uv_timer_t *beat)
{
    (void)beat;
}

static void wake(void *ctx)
{
    (void)ctx;
}

/* The options of a test may be changed afterwards. */
static struct bench *bench_make(uint16_t port)
{
    const struct redis_options options = {
        .loops = 1,
        .pool_active = 2,
        .pool_idle = 2,
        .depth = 16,
        .pool_idle_us = UINT64_C(300) * 1000 * 1000,
        .op_timeout_us = PATIENCE_US / 2,
        .inbox_max = 4096,
        .idempotency_ttl_us = UINT64_C(3600) * 1000 * 1000,
        .wait_timeout_us = LONG_WAIT_US,
    };
    struct bench *b = mem_alloc(sizeof(*b));

    assert_non_null(b);
    assert_int_equal(shared_init(&b->shared, &options), ERR_OK);
    (void)snprintf(b->shared.target.host, sizeof(b->shared.target.host), "127.0.0.1");
    b->shared.target.port = port;
    b->shared.buckets = 1;
    atomic_store(&b->shared.generation, 1);
    assert_int_equal(uv_loop_init(&b->uv), 0);
    assert_int_equal(uv_timer_init(&b->uv, &b->beat), 0);
    assert_int_equal(uv_timer_start(&b->beat, on_beat, 1, 1), 0);
    assert_int_equal(store_sink_init(&b->sink, wake, NULL), ERR_OK);
    assert_int_equal(work_loop_new(&b->shared, &b->uv, 2, 2, BUSY_MAX, &b->works), ERR_OK);
    return b;
}

static void bench_drop(struct bench *b)
{
    work_loop_close(b->works);
    uv_close((uv_handle_t *)&b->beat, NULL);
    assert_int_equal(uv_run(&b->uv, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&b->uv), 0);
    store_sink_fini(&b->sink);
    shared_fini(&b->shared);
    mem_free(b);
}

static void on_done(struct store_op *op)
{
    struct ask *a = (struct ask *)op;

    assert_false(a->is_done);
    a->is_done = true;
}

/* What control does while a posting waits: in doubt about the ledger, it leads the lanes to another server. */
static void on_doubt(uv_timer_t *timer)
{
    struct bench *b = timer->data;

    atomic_store(&b->shared.health, STORE_FAILED);
    atomic_store(&b->shared.generation, 2);
}

/* A credit of 1; key 0: without one. *is_replay where it is given. */
static enum store_status credit(struct bench *b, uint64_t key, bool *is_replay)
{
    const struct posting_words words = {.open_currency = {'C' | 'N' << 8 | 'Y' << 16},
                                        .may_open = true};
    const uint64_t end_us = clock_mono_us() + PATIENCE_US;
    struct queue_list ops = {0};
    struct ask a = {0};
    enum store_status status;

    arena_init(&a.arena, 4096);
    store_op_init(&a.op, STORE_POST, &b->sink, on_done);
    a.op.deadline_mono_us = UINT64_MAX;
    assert_int_equal(
        posting_credit(&a.arena, SLICE("alice"), (struct decimal){1, 0}, &words, &a.op.posting),
        ERR_OK);
    if (key != 0) {
        a.idem = (struct idem){.fingerprint = {1}};
        memcpy(a.idem.scope, &key, sizeof(key));
        a.op.posting.idem = &a.idem;
    }
    queue_list_push(&ops, &a.op.link);
    work_hand_over(b->works, &ops);
    assert_null(ops.head);
    while (!a.is_done) {
        assert_true(clock_mono_us() < end_us);
        (void)uv_run(&b->uv, UV_RUN_ONCE);
        store_drain(&b->sink);
    }
    status = a.op.status;
    assert_true(status != STORE_DONE || a.op.result.outcome == OUTCOME_OK);
    if (is_replay != NULL) {
        *is_replay = status == STORE_DONE && a.op.result.is_replay;
    }
    arena_fini(&a.arena);
    store_op_fini(&a.op);
    return status;
}

/* What the replicas do not have yet is not answered, by whichever way the answer was found. */
static void every_answer_waits_for_the_replicas(void **state)
{
    struct rig *r = *state;
    struct redis_server replica = {0};
    struct bench *b;
    bool is_replay;

    redis_server_start_replica(&replica, &r->server, "");
    b = bench_make(r->server.port);
    b->shared.options.is_synchronous = true;
    atomic_store(&b->shared.replicas, 1);
    assert_int_equal(credit(b, 1, NULL), STORE_DONE);
    redis_server_freeze(&replica);
    b->shared.options.wait_timeout_us = 100 * 1000;
    assert_int_equal(credit(b, 2, NULL), STORE_UNKNOWN);
    assert_int_equal(credit(b, 2, NULL), STORE_UNKNOWN); /* it stands, and is not replicated */
    rig_say(r, "CONFIG", "SET", "maxmemory", "1");
    assert_int_equal(credit(b, 2, NULL), STORE_UNKNOWN); /* found by a look */
    redis_server_thaw(&replica);
    b->shared.options.wait_timeout_us = LONG_WAIT_US;
    assert_int_equal(credit(b, 2, &is_replay), STORE_DONE);
    assert_true(is_replay);
    rig_say(r, "CONFIG", "SET", "maxmemory", "0");
    assert_int_equal(credit(b, 2, &is_replay), STORE_DONE);
    assert_true(is_replay);
    bench_drop(b);
    redis_server_stop(&replica);
}

/* To wait for none of no replicas would be no wait. */
static void without_a_replica_nothing_is_written(void **state)
{
    struct rig *r = *state;
    struct bench *b = bench_make(r->server.port);

    rig_flush(r);
    b->shared.options.is_synchronous = true;
    atomic_store(&b->shared.replicas, 0);
    assert_int_equal(credit(b, 0, NULL), STORE_UNAVAILABLE);
    assert_int_equal(credit(b, 1, NULL), STORE_UNAVAILABLE);
    assert_int_equal(redis_server_number(&r->server, "DBSIZE"), 0);
    b->shared.options.is_synchronous = false;
    assert_int_equal(credit(b, 1, NULL), STORE_DONE);
    bench_drop(b);
}

/* The server was set otherwise since the start. */
static void what_is_worth_too_little_is_not_written(void **state)
{
    struct rig *r = *state;
    struct bench *b = bench_make(r->server.port);

    rig_flush(r);
    b->shared.options.has_required = true;
    b->shared.options.required = REDIS_FSYNC;
    atomic_store(&b->shared.durability, (int)REDIS_ASYNC_REPLICATED);
    assert_int_equal(credit(b, 1, NULL), STORE_UNAVAILABLE);
    assert_int_equal(redis_server_number(&r->server, "DBSIZE"), 0);
    atomic_store(&b->shared.durability, (int)REDIS_FSYNC);
    assert_int_equal(credit(b, 1, NULL), STORE_DONE);
    atomic_store(&b->shared.durability, (int)REDIS_MEMORY);
    b->shared.options.has_required = false;
    assert_int_equal(credit(b, 2, NULL), STORE_DONE);
    bench_drop(b);
}

static void what_waits_is_not_written_in_doubt(void **state)
{
    struct rig *r = *state;
    struct bench *b = bench_make(r->server.port);
    uv_timer_t doubt;

    rig_flush(r);
    atomic_store(&b->shared.generation, 0); /* no master is known */
    assert_int_equal(uv_timer_init(&b->uv, &doubt), 0);
    doubt.data = b;
    assert_int_equal(uv_timer_start(&doubt, on_doubt, 100, 0), 0);
    assert_int_equal(credit(b, 1, NULL), STORE_UNAVAILABLE);
    assert_int_equal(redis_server_number(&r->server, "DBSIZE"), 0);
    assert_int_equal(credit(b, 1, NULL), STORE_UNAVAILABLE);
    atomic_store(&b->shared.health, STORE_HEALTHY);
    assert_int_equal(credit(b, 1, NULL), STORE_DONE);
    uv_close((uv_handle_t *)&doubt, NULL);
    bench_drop(b);
}

/* The clocks have gone apart: nothing goes through until the offset is known again, so it is asked for at once. */
static void too_late_by_the_clock_asks_for_a_look(void **state)
{
    struct rig *r = *state;
    struct bench *b = bench_make(r->server.port);

    rig_flush(r);
    atomic_store(&b->shared.clock_offset_us, -60 * 1000 * 1000);
    assert_int_equal(credit(b, 1, NULL), STORE_UNAVAILABLE);
    assert_true(atomic_load(&b->shared.needs_look));
    assert_int_equal(redis_server_number(&r->server, "DBSIZE"), 0);
    atomic_store(&b->shared.clock_offset_us, 0);
    assert_int_equal(credit(b, 1, NULL), STORE_DONE);
    bench_drop(b);
}

#define FAKE_SAYS(text) \
    { \
        .what = FAKE_ANSWER, .bytes = (text) \
    }
#define FAKE_HEARS(text) \
    { \
        .what = FAKE_EXPECT, .bytes = (text) \
    }
#define FAKE_FULL "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

/*
 * A first try was sent, and its connection lost: it may still be on its way. So that nothing stands under its key says that
 * it is not applied, not that it will not be.
 */
static void a_look_after_a_lost_try_promises_nothing(void **state)
{
    static const struct fake_step lost[] = {
        FAKE_GREETING, FAKE_HEARS("_post\r\n"), {.what = FAKE_CLOSE}};
    static const struct fake_step full[] = {FAKE_GREETING,
                                            FAKE_HEARS("_post\r\n"),
                                            FAKE_SAYS(FAKE_FULL),
                                            FAKE_HEARS("_look\r\n"),
                                            FAKE_SAYS("*1\r\n$5\r\nSTALE\r\n"),
                                            {.what = FAKE_END}};
    static const struct fake_step *const scripts[][2] = {{lost, full}, {full, full}};
    static const enum store_status wanted[] = {STORE_UNKNOWN, STORE_UNAVAILABLE};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fake_redis fake;
        struct bench *b;
        fake_redis_start(&fake, scripts[i], 2);
        b = bench_make(fake.port);
        assert_int_equal(credit(b, 1, NULL), wanted[i]);
        bench_drop(b);
        fake_redis_stop(&fake);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_waits_for_the_replicas),
        cmocka_unit_test(without_a_replica_nothing_is_written),
        cmocka_unit_test(what_is_worth_too_little_is_not_written),
        cmocka_unit_test(what_waits_is_not_written_in_doubt),
        cmocka_unit_test(too_late_by_the_clock_asks_for_a_look),
        cmocka_unit_test(a_look_after_a_lost_try_promises_nothing),
    };

    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}

/* What lanes and the control thread share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/shared.h"

enum { THREADS = 4, STEPS = 20000 };

static struct redis_shared *shared_made(const struct redis_options *options)
{
    struct redis_shared *s = mem_alloc(sizeof(*s));

    assert_non_null(s);
    memset(s, 0x55, sizeof(*s)); /* shared_init leaves nothing to chance */
    assert_int_equal(shared_init(s, options), ERR_OK);
    return s;
}

static void shared_dropped(struct redis_shared *s)
{
    shared_fini(s);
    mem_free(s);
}

static void begins_empty(void **state)
{
    const struct redis_options options = {.depth = 7, .url = {.password = "secret"}};
    struct redis_shared *s = shared_made(&options), *other = shared_made(&options);
    const unsigned char *url;

    (void)state;
    assert_int_equal(s->options.depth, 7);
    assert_int_equal(atomic_load(&s->generation), 0);
    assert_int_equal(atomic_load(&s->health), STORE_HEALTHY);
    assert_false(atomic_load(&s->needs_look));
    assert_null(s->control_wake);
    assert_null(s->tls);
    assert_int_equal(s->series.reconnects, METRICS_NONE);
    assert_int_equal(s->series.not_sent, METRICS_NONE);
    assert_int_equal(s->series.closes[CLOSE_END], METRICS_NONE);
    assert_int_equal(s->series.command_seconds[WIRE_COMMAND_COUNT - 1], METRICS_NONE);
    assert_int_equal(atomic_load(&s->high_water[NAMES_BUCKETS_MAX - 1]), 0);
    assert_int_equal(strlen(s->instance), strlen("mywallet-01234567"));
    assert_int_equal(strspn(s->instance + strlen("mywallet-"), "0123456789abcdef"), 8);
    assert_string_not_equal(s->instance, other->instance);
    shared_dropped(other);
    shared_fini(s);
    url = (const unsigned char *)&s->options.url;
    for (size_t i = 0; i < sizeof(s->options.url); i++) {
        assert_int_equal(url[i], 0); /* the password is gone */
    }
    mem_free(s);
}

static void series_of_the_options(void **state)
{
    struct redis_series series = {.reconnects = 5, .closes = {1, 2, 3, 4, 5, 6}};
    const struct redis_options options = {.series = &series};
    struct redis_shared *s = shared_made(&options);

    (void)state;
    assert_int_equal(s->series.reconnects, 5);
    assert_int_equal(s->series.closes[5], 6);
    shared_dropped(s);
}

static void durability_has_its_words(void **state)
{
    (void)state;
    assert_string_equal(redis_durability_text(REDIS_MEMORY), "memory");
    assert_string_equal(redis_durability_text(REDIS_AOF_EVERYSEC), "aof-everysec");
    assert_string_equal(redis_durability_text(REDIS_ASYNC_REPLICATED), "async-replicated");
    assert_string_equal(redis_durability_text(REDIS_FSYNC), "fsync");
    assert_string_equal(redis_durability_text(REDIS_REPLICATED), "replicated");
}

static void *see(void *arg)
{
    struct redis_shared *s = arg;

    for (uint64_t seq = 1; seq <= STEPS; seq++) {
        shared_saw(s, 9, seq);
        if (atomic_load(&s->high_water[9]) < seq) {
            return s; /* it fell */
        }
    }
    return NULL;
}

static void the_mark_only_rises(void **state)
{
    const struct redis_options options = {0};
    struct redis_shared *s = shared_made(&options);
    pthread_t threads[THREADS];

    (void)state;
    shared_saw(s, 8, 5);
    shared_saw(s, 8, 3);
    assert_int_equal(atomic_load(&s->high_water[8]), 5);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, see, s), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *fell = s;
        assert_int_equal(pthread_join(threads[i], &fell), 0);
        assert_null(fell);
    }
    assert_int_equal(atomic_load(&s->high_water[9]), STEPS);
    assert_int_equal(atomic_load(&s->high_water[7]), 0);
    shared_dropped(s);
}

static void woken(uv_async_t *wake)
{
    ++*(unsigned *)wake->data;
}

static void ask_wakes_once_a_look(void **state)
{
    const struct redis_options options = {0};
    struct redis_shared *s = shared_made(&options);
    unsigned wakes = 0;
    uv_async_t wake = {.data = &wakes};
    uv_loop_t loop;

    (void)state;
    shared_ask_look(s); /* control does not run yet: it will see the mark */
    assert_true(atomic_load(&s->needs_look));
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_async_init(&loop, &wake, woken), 0);
    s->control_wake = &wake;
    atomic_store(&s->needs_look, false);
    shared_ask_look(s);
    shared_ask_look(s);
    (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(wakes, 1);
    assert_true(atomic_load(&s->needs_look));
    atomic_store(&s->needs_look, false); /* control begins its look */
    shared_ask_look(s);
    (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(wakes, 2);
    s->control_wake = NULL;
    uv_close((uv_handle_t *)&wake, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    shared_dropped(s);
}

static bool asks(struct redis_shared *s, unsigned bucket, uint64_t seq)
{
    atomic_store(&s->needs_look, false);
    shared_saw(s, bucket, seq);
    return atomic_load(&s->needs_look);
}

static void a_journal_that_begins_again_is_looked_at(void **state)
{
    const struct redis_options options = {0};
    struct redis_shared *s = shared_made(&options);

    (void)state;
    for (uint64_t seq = 1; seq < 10; seq++) {
        assert_false(asks(s, 5, seq));
    }
    assert_false(asks(s, 5, 8)); /* answers overtake one another */
    assert_true(asks(s, 5, 3));
    assert_true(asks(s, 5, 0)); /* a refusal on an empty one */
    assert_false(asks(s, 6, 0));
    assert_int_equal(atomic_load(&s->high_water[5]), 9);
    shared_dropped(s);
}

static void the_servers_clock(void **state)
{
    const struct redis_options options = {0};
    struct redis_shared *s = shared_made(&options);
    const int64_t before = clock_wall_us();
    int64_t now = shared_server_now(s);

    (void)state;
    assert_in_range(now, before, clock_wall_us());
    atomic_store(&s->clock_offset_us, -5000000);
    now = shared_server_now(s);
    assert_in_range(now, before - 5000000, clock_wall_us() - 5000000);
    shared_dropped(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_empty),
        cmocka_unit_test(series_of_the_options),
        cmocka_unit_test(durability_has_its_words),
        cmocka_unit_test(the_mark_only_rises),
        cmocka_unit_test(ask_wakes_once_a_look),
        cmocka_unit_test(a_journal_that_begins_again_is_looked_at),
        cmocka_unit_test(the_servers_clock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

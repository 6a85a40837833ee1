/* Signals and pokes wake the sleeper, each once, and are not lost while nobody sleeps. */
#include "server/watch.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

enum { LONG_US = 20 * 1000 * 1000 };

static void test_signals_are_counted(void **state)
{
    struct watch *w = *state;
    struct watch_news news;

    (void)kill(getpid(), SIGTERM);
    watch_sleep(w, UINT64_MAX, &news);
    assert_int_equal(news.ends, 1);
    assert_int_equal(news.last_end, SIGTERM);
    assert_int_equal(news.reloads, 0);
    (void)kill(getpid(), SIGINT);
    (void)kill(getpid(), SIGHUP);
    watch_sleep(w, UINT64_MAX, &news);
    assert_int_equal(news.ends, 1);
    assert_int_equal(news.last_end, SIGINT);
    assert_int_equal(news.reloads, 1);
}

static void test_deadline(void **state)
{
    struct watch *w = *state;
    struct watch_news news;
    uint64_t start = clock_mono_us();

    watch_sleep(w, start + 3000, &news);
    assert_true(clock_mono_us() >= start + 3000);
    assert_int_equal(news.ends + news.reloads, 0);
    watch_sleep(w, start, &news); /* one that has passed */
    watch_sleep(w, 0, &news);
    assert_true(clock_mono_us() < start + LONG_US);
}

static void test_a_poke_is_not_lost(void **state)
{
    struct watch *w = *state;
    struct watch_news news;
    uint64_t start = clock_mono_us();

    watch_poke(w);
    watch_poke(w);
    watch_sleep(w, start + LONG_US, &news);
    assert_true(clock_mono_us() < start + LONG_US);
    start = clock_mono_us();
    watch_sleep(w, start + 2000, &news); /* both were seen */
    assert_true(clock_mono_us() >= start + 2000);
}

static void *poke(void *ctx)
{
    watch_poke(ctx);
    return NULL;
}

static void test_a_poke_from_another_thread(void **state)
{
    struct watch *w = *state;
    struct watch_news news;
    uint64_t start = clock_mono_us();
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, poke, w), 0);
    watch_sleep(w, start + LONG_US, &news);
    assert_true(clock_mono_us() < start + LONG_US);
    (void)pthread_join(thread, NULL);
}

static void test_broken_pipes_are_survived(void **state)
{
    (void)state;
    assert_int_equal(raise(SIGPIPE), 0);
    assert_int_equal(raise(SIGXFSZ), 0);
}

static int open_watch(void **state)
{
    static struct watch w;

    *state = &w;
    return watch_open(&w) == ERR_OK ? 0 : -1;
}

static int close_watch(void **state)
{
    watch_close(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signals_are_counted),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_a_poke_is_not_lost),
        cmocka_unit_test(test_a_poke_from_another_thread),
        cmocka_unit_test(test_broken_pipes_are_survived),
    };

    return cmocka_run_group_tests(tests, open_watch, close_watch);
}

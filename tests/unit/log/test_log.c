/* The process-wide log: levels, one write a line, the rate limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/assert.h"
#include "log/log.h"
#include "log/log_limit.h"

#define SECOND_US UINT64_C(1000000)

struct pipe_log {
    int fds[2];
    char text[65536];
};

static int setup(void **state)
{
    static struct pipe_log log;

    if (pipe2(log.fds, O_NONBLOCK | O_CLOEXEC) != 0) {
        return -1;
    }
    log_configure(LOG_INFO, LOG_LOGFMT, log.fds[1]);
    *state = &log;
    return 0;
}

static int teardown(void **state)
{
    struct pipe_log *log = *state;

    (void)close(log->fds[0]);
    (void)close(log->fds[1]);
    log_configure(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
    return 0;
}

static const char *written(struct pipe_log *log)
{
    ssize_t len = read(log->fds[0], log->text, sizeof(log->text) - 1);

    log->text[len > 0 ? len : 0] = '\0';
    return log->text;
}

static size_t lines_in(const char *text)
{
    size_t lines = 0;

    for (; *text != '\0'; text++) {
        lines += *text == '\n' ? 1 : 0;
    }
    return lines;
}

static void test_writes_a_line(void **state)
{
    const char *text;

    log_event(LOG_WARN, "store.open", log_text("path", "data"), log_u64("accounts", 3));
    text = written(*state);
    assert_memory_equal(text, "time=20", 7);
    assert_non_null(strstr(text, "Z level=warn event=store.open path=data accounts=3\n"));
    assert_int_equal(lines_in(text), 1);

    log_write(LOG_ERROR, "plain", NULL, 0);
    assert_non_null(strstr(written(*state), " level=error event=plain\n"));
}

static void test_level_changes_at_any_time(void **state)
{
    struct pipe_log *log = *state;

    for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
        log_configure((enum log_level)level, LOG_JSON, log->fds[1]);
        for (int at = LOG_DEBUG; at <= LOG_ERROR; at++) {
            assert_int_equal(log_enabled((enum log_level)at), at >= level);
            log_event((enum log_level)at, "x", log_bool("b", true));
            assert_int_equal(lines_in(written(log)), at >= level ? 1 : 0);
        }
    }
}

static void test_keeps_errno_and_survives_a_bad_descriptor(void **state)
{
    struct pipe_log *log = *state;

    log_configure(LOG_INFO, LOG_LOGFMT, -1);
    errno = ENOSPC;
    log_event(LOG_ERROR, "x", log_u64("n", 1));
    assert_int_equal(errno, ENOSPC);

    /* a full pipe loses the line whole and does not block */
    log_configure(LOG_INFO, LOG_LOGFMT, log->fds[1]);
    for (int i = 0; i < 5000; i++) {
        log_event(LOG_ERROR, "x", log_u64("n", 1));
    }
    assert_int_equal(errno, ENOSPC);
    while (written(log)[0] != '\0') {
        assert_int_equal(log->text[strlen(log->text) - 1], '\n');
    }
}

static void test_limit_burst_then_rate(void **state)
{
    struct log_limit limit = {0};
    uint64_t dropped = 99;
    uint64_t now = 1000 * SECOND_US;

    (void)state;
    for (int i = 0; i < LOG_BURST; i++) {
        assert_true(log_limit_take(&limit, now, &dropped));
        assert_int_equal(dropped, 0);
    }
    dropped = 99;
    assert_false(log_limit_take(&limit, now, &dropped));
    assert_false(log_limit_take(&limit, now + SECOND_US / LOG_PER_SECOND - 1, &dropped));
    assert_int_equal(dropped, 99);
    assert_true(log_limit_take(&limit, now + SECOND_US / LOG_PER_SECOND, &dropped));
    assert_int_equal(dropped, 2);

    /* over ten busy seconds: what the rate gives, no more */
    now += SECOND_US / LOG_PER_SECOND;
    for (uint64_t ms = 1, passed = 0; ms <= 10000; ms++) {
        passed += log_limit_take(&limit, now + ms * 1000, &dropped) ? 1 : 0;
        assert_true(passed == ms * LOG_PER_SECOND / 1000);
    }

    /* a rest refills the burst and nothing beyond it */
    now += 3600 * SECOND_US;
    for (int i = 0; i < LOG_BURST; i++) {
        assert_true(log_limit_take(&limit, now, &dropped));
    }
    assert_false(log_limit_take(&limit, now, &dropped));
}

static void test_limit_from_zero_time_and_backwards(void **state)
{
    struct log_limit limit = {0};
    uint64_t dropped = 0;

    (void)state;
    for (int i = 0; i < LOG_BURST; i++) {
        assert_true(log_limit_take(&limit, 0, &dropped));
    }
    assert_false(log_limit_take(&limit, 0, &dropped));
    assert_true(log_limit_take(&limit, 5 * SECOND_US, &dropped));
    assert_int_equal(dropped, 1);
    assert_false(log_limit_take(&limit, 0, &dropped)); /* an older time takes from the same bucket */
}

static void test_limited_lines(void **state)
{
    struct pipe_log *log = *state;
    struct log_limit limit = {0};

    for (int i = 0; i < LOG_BURST + 5; i++) {
        log_event_limited(&limit, LOG_DEBUG, "quiet",
                          log_u64("n", 1)); /* below the level: takes no token */
    }
    assert_int_equal(lines_in(written(log)), 0);
    for (int i = 0; i < LOG_BURST; i++) {
        log_event_limited(&limit, LOG_WARN, "loud", log_u64("n", 1));
    }
    assert_int_equal(lines_in(written(log)), LOG_BURST);
    assert_null(strstr(log->text, "dropped="));

    limit = (struct log_limit){.dropped = 41}; /* as after a storm and a rest */
    log_event_limited(&limit, LOG_WARN, "loud", log_u64("n", 1));
    assert_non_null(strstr(written(log), " event=loud n=1 dropped=41\n"));
    log_event_limited(&limit, LOG_WARN, "loud", log_u64("n", 1));
    assert_null(strstr(written(log), "dropped="));
}

enum { THREADS = 4, EVENTS = 20000 };

struct storm {
    struct log_limit limit;
    uint64_t passed;
    uint64_t dropped;
};

static void *storm_run(void *ctx)
{
    struct storm *storm = ctx;

    for (uint64_t i = 0; i < EVENTS; i++) {
        uint64_t dropped = 0;

        if (log_limit_take(&storm->limit, SECOND_US + i * 100, &dropped)) {
            (void)__atomic_add_fetch(&storm->passed, 1, __ATOMIC_RELAXED);
            (void)__atomic_add_fetch(&storm->dropped, dropped, __ATOMIC_RELAXED);
        }
        if (i % 100 == 0) {
            log_event(LOG_ERROR, "storm", log_u64("n", i));
            log_configure(i % 200 == 0 ? LOG_ERROR : LOG_DEBUG, LOG_LOGFMT, -1);
        }
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct storm storm = {.passed = 0};
    pthread_t threads[THREADS];

    (void)state;
    log_configure(LOG_ERROR, LOG_LOGFMT, -1);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, storm_run, &storm), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    /* every event is counted once: passed, told as dropped, or still waiting to be told */
    assert_int_equal(storm.passed + storm.dropped + storm.limit.dropped, THREADS * EVENTS);
    assert_true(storm.passed >= LOG_BURST);
    assert_true(storm.passed <= LOG_BURST + EVENTS * 100 / 1000000 * LOG_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_writes_a_line, setup, teardown),
        cmocka_unit_test_setup_teardown(test_level_changes_at_any_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keeps_errno_and_survives_a_bad_descriptor, setup,
                                        teardown),
        cmocka_unit_test(test_limit_burst_then_rate),
        cmocka_unit_test(test_limit_from_zero_time_and_backwards),
        cmocka_unit_test_setup_teardown(test_limited_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

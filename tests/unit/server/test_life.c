/* Walks a service's life from event to event, each way to the end once, and tries every order of events for dead ends. */
#include "server/life.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"

enum { DELAY_US = 2000, TIMEOUT_US = 9000 };

struct walk {
    struct life life;
    struct life_facts facts;
};

static struct walk walk_begin(void)
{
    struct walk w = {.facts = {.now_us = 100}};

    life_init(&w.life, DELAY_US, TIMEOUT_US);
    return w;
}

static enum life_action next(struct walk *w)
{
    return life_next(&w->life, &w->facts);
}

static void expect(struct walk *w, enum life_action action, enum life_state state)
{
    assert_int_equal(next(w), action);
    assert_int_equal(w->life.state, state);
    if (action != LIFE_EXIT) {
        assert_int_equal(next(w), LIFE_WAIT); /* an action is asked for once */
    }
}

static struct walk walk_serving(void)
{
    struct walk w = walk_begin();

    assert_int_equal(next(&w), LIFE_WAIT);
    w.facts.is_opened = true;
    expect(&w, LIFE_SERVE, LIFE_SERVING);
    assert_true(w.life.deadline_us == UINT64_MAX);
    return w;
}

static struct walk walk_stopping(void)
{
    struct walk w = walk_serving();

    w.facts.signals = 1;
    expect(&w, LIFE_DRAIN, LIFE_DELAYING);
    assert_int_equal(w.life.deadline_us, 100 + DELAY_US);
    w.facts.now_us = 100 + DELAY_US - 1;
    assert_int_equal(next(&w), LIFE_WAIT);
    w.facts.now_us++;
    expect(&w, LIFE_STOP, LIFE_STOPPING);
    assert_int_equal(w.life.deadline_us, 100 + DELAY_US + TIMEOUT_US);
    return w;
}

static struct walk walk_cutting(void)
{
    struct walk w = walk_stopping();

    w.facts.now_us = w.life.deadline_us - 1;
    assert_int_equal(next(&w), LIFE_WAIT);
    w.facts.now_us++;
    expect(&w, LIFE_CUT, LIFE_CUTTING);
    return w;
}

static struct walk walk_closing(struct walk w)
{
    w.facts.are_loops_done = true;
    expect(&w, LIFE_CLOSE, LIFE_CLOSING);
    assert_true(w.life.deadline_us == UINT64_MAX);
    return w;
}

static void expect_exit(struct walk *w, int code)
{
    expect(w, LIFE_EXIT, LIFE_ENDED);
    assert_int_equal(w->life.exit_code, code);
    assert_int_equal(next(w), LIFE_EXIT); /* and stays there */
    assert_int_equal(w->life.exit_code, code);
}

static void test_clean_end(void **state)
{
    struct walk w = walk_closing(walk_stopping());

    (void)state;
    w.facts.now_us += 1000 * 1000 * 1000; /* closing takes as long as it takes */
    assert_int_equal(next(&w), LIFE_WAIT);
    w.facts.is_closed = true;
    expect_exit(&w, 0);
}

static void test_no_delay(void **state)
{
    struct walk w = walk_begin();

    (void)state;
    life_init(&w.life, 0, 0);
    w.facts.is_opened = true;
    assert_int_equal(next(&w), LIFE_SERVE);
    w.facts.signals = 1;
    assert_int_equal(next(&w), LIFE_DRAIN);
    assert_int_equal(next(&w), LIFE_STOP);
    w.facts.are_loops_done = true;
    assert_int_equal(next(&w), LIFE_CLOSE);
}

static void test_cut(void **state)
{
    struct walk w = walk_closing(walk_cutting());

    (void)state;
    w.facts.is_closed = true;
    expect_exit(&w, 0);
}

static void test_hung_store(void **state)
{
    struct walk w = walk_cutting();

    (void)state;
    w.facts.now_us += LIFE_GRACE_US - 1;
    assert_int_equal(next(&w), LIFE_WAIT);
    w.facts.now_us++;
    expect_exit(&w, 1);
}

static void test_start_fails(void **state)
{
    struct walk w = walk_begin();

    (void)state;
    w.facts.has_failed_to_start = true;
    expect_exit(&w, 1);
}

static void test_signal_while_starting(void **state)
{
    struct walk w = walk_begin();

    (void)state;
    w.facts.signals = 1;
    expect_exit(&w, 0);
}

static void test_second_signal(void **state)
{
    struct walk walks[] = {walk_serving(), walk_stopping(), walk_cutting(),
                           walk_closing(walk_stopping())};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(walks); i++) {
        walks[i].facts.signals = 2;
        expect_exit(&walks[i], 1);
    }
}

static void test_fatal(void **state)
{
    struct walk walks[] = {walk_serving(), walk_stopping(), walk_cutting()};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(walks); i++) {
        struct walk w = walks[i];
        w.facts.is_fatal = true;
        expect(&w, LIFE_STOP, LIFE_FAILING);
        walks[i] = w;
        w.facts.now_us += LIFE_FAILING_US - 1;
        assert_int_equal(next(&w), LIFE_WAIT);
        w.facts.now_us++;
        expect_exit(&w, 1);
        walks[i].facts.are_loops_done = true; /* sooner, where all is said */
        expect_exit(&walks[i], 1);
    }
}

static void test_fatal_while_closing(void **state)
{
    struct walk w = walk_closing(walk_stopping());

    (void)state;
    w.facts.is_fatal = true;
    assert_int_equal(next(&w), LIFE_WAIT);
    w.facts.is_closed = true;
    expect_exit(&w, 1);
}

/* Whatever comes in which order: once told to end, it ends, and what it promised to do first it did first. */
static void test_every_order(void **state)
{
    enum { EVENTS = 5, ORDERS = 5 * 5 * 5 * 5 * 5 * 5 };

    (void)state;
    for (unsigned order = 0; order < ORDERS; order++) {
        struct walk w = walk_begin();
        bool has_served = false, was_told_to_stop = false, was_closed = false;
        unsigned left = order;
        for (unsigned step = 0; step < 40; step++) {
            enum life_action action = next(&w);
            if (action == LIFE_EXIT) {
                break;
            }
            has_served = has_served || action == LIFE_SERVE;
            was_told_to_stop = was_told_to_stop || action == LIFE_STOP;
            if (action == LIFE_CLOSE) {
                assert_true(was_told_to_stop && w.facts.are_loops_done);
                was_closed = true;
            }
            switch (step < 6 ? left % EVENTS : step % 2 ? 0 : 1) {
            case 0:
                w.facts.now_us += 10 * 1000 * 1000;
                break;
            case 1:
                w.facts.signals += w.facts.signals == 0;
                w.facts.is_closed = was_closed;
                break;
            case 2:
                w.facts.is_opened = true;
                break;
            case 3:
                w.facts.are_loops_done = was_told_to_stop;
                break;
            default:
                w.facts.is_fatal = w.facts.is_opened;
                break;
            }
            left /= EVENTS;
        }
        assert_int_equal(w.life.state, LIFE_ENDED);
        assert_true(w.life.exit_code == 1 || !has_served || (w.facts.is_closed && !w.facts.is_fatal));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean_end),
        cmocka_unit_test(test_no_delay),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_hung_store),
        cmocka_unit_test(test_start_fails),
        cmocka_unit_test(test_signal_while_starting),
        cmocka_unit_test(test_second_signal),
        cmocka_unit_test(test_fatal),
        cmocka_unit_test(test_fatal_while_closing),
        cmocka_unit_test(test_every_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

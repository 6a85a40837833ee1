/* The queue: order, ceiling and wake-ups on one thread, then producers and consumers against each other. */
#include "base/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/base/death.h"

struct item {
    struct queue_link link; /* first, so that a link is its item */
    unsigned producer;
    unsigned number;
};

static void put_one(struct queue *q, struct item *item)
{
    struct queue_list one = {0};

    queue_list_push(&one, &item->link);
    (void)queue_put(q, &one);
    assert_null(one.head);
}

static void a_list_keeps_its_order(void **state)
{
    struct item items[5] = {{.number = 0}, {.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}};
    struct queue_list a = {0};
    struct queue_list b = {0};

    (void)state;
    assert_null(queue_list_pop(&a));
    queue_list_move(&a, &b);
    assert_int_equal(a.len, 0);
    for (int i = 0; i < 3; i++) {
        queue_list_push(&a, &items[i].link);
    }
    queue_list_push(&b, &items[3].link);
    queue_list_push(&b, &items[4].link);
    queue_list_move(&a, &b);
    assert_int_equal(a.len, 5);
    assert_int_equal(b.len, 0);
    assert_null(b.head);
    assert_null(b.tail);
    for (unsigned i = 0; i < 5; i++) {
        struct queue_link *link = queue_list_pop(&a);
        assert_ptr_equal(link, &items[i].link);
        assert_null(link->next);
    }
    assert_null(queue_list_pop(&a));
    assert_null(a.tail);
    queue_list_push(&a, &items[0].link); /* a drained list takes items again */
    assert_ptr_equal(queue_list_pop(&a), &items[0].link);
}

static void takes_as_many_as_fit(void **state)
{
    struct item items[5];
    struct queue_list in = {0};
    struct queue_list out = {0};
    struct queue q;

    (void)state;
    assert_int_equal(queue_init(&q, 3), ERR_OK);
    for (int i = 0; i < 5; i++) {
        queue_list_push(&in, &items[i].link);
    }
    assert_true(queue_put(&q, &in));
    assert_int_equal(in.len, 2);
    assert_ptr_equal(in.head, &items[3].link);
    assert_int_equal(queue_len(&q), 3);
    assert_false(queue_put(&q, &in)); /* full: nothing moves */
    assert_int_equal(in.len, 2);

    queue_take(&q, 2, &out);
    assert_int_equal(out.len, 2);
    assert_false(queue_put(&q, &in)); /* one was left in it */
    assert_int_equal(in.len, 0);
    assert_int_equal(queue_len(&q), 3);
    queue_take(&q, 100, &out); /* behind what out holds already */
    assert_int_equal(out.len, 5);
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(queue_list_pop(&out), &items[i].link);
    }
    queue_take(&q, 1, &out);
    assert_int_equal(out.len, 0);
    queue_fini(&q);
}

static void a_closed_queue_drains_then_says_so(void **state)
{
    struct item items[2];
    struct queue_list late = {0};
    struct queue_list out = {0};
    struct queue q;

    (void)state;
    assert_int_equal(queue_init(&q, 3), ERR_OK);
    put_one(&q, &items[0]);
    queue_close(&q);
    queue_list_push(&late, &items[1].link);
    (void)queue_put(&q, &late);
    assert_int_equal(late.len, 1); /* refused, and still the caller's */
    assert_true(queue_wait(&q, 10, &out));
    assert_int_equal(out.len, 1);
    assert_false(queue_wait(&q, 10, &out));
    assert_int_equal(out.len, 1);
    queue_fini(&q);
}

enum { PRODUCERS = 3, CONSUMERS = 3, EACH = 20000, BATCH = 7, QUEUE_MAX = 50 };

struct crowd {
    struct queue q;
    struct item items[PRODUCERS][EACH];
    unsigned seen[PRODUCERS][EACH]; /* by the consumer that took it; no two may take the same */
    unsigned takes_max[CONSUMERS];
    bool is_disordered[CONSUMERS];
};

struct worker {
    struct crowd *crowd;
    unsigned id;
};

static void *produce(void *ctx)
{
    struct worker *w = ctx;
    struct queue_list staged = {0};

    for (unsigned i = 0; i < EACH; i++) {
        struct item *item = &w->crowd->items[w->id][i];
        item->producer = w->id;
        item->number = i;
        queue_list_push(&staged, &item->link);
        if (staged.len == BATCH) {
            (void)queue_put(&w->crowd->q, &staged);
        }
    }
    while (staged.head != NULL) {
        (void)queue_put(&w->crowd->q, &staged);
    }
    return NULL;
}

static void *consume(void *ctx)
{
    struct worker *w = ctx;
    struct queue_list taken = {0};
    struct queue_link *link;
    int64_t last[PRODUCERS] = {-1, -1, -1};

    while (queue_wait(&w->crowd->q, 5, &taken)) {
        if (taken.len > w->crowd->takes_max[w->id]) {
            w->crowd->takes_max[w->id] = (unsigned)taken.len;
        }
        while ((link = queue_list_pop(&taken)) != NULL) {
            struct item *item = (struct item *)link;
            w->crowd->seen[item->producer][item->number]++;
            if (item->number <= last[item->producer]) {
                w->crowd->is_disordered[w->id] = true;
            }
            last[item->producer] = item->number;
        }
    }
    return NULL;
}

static void nothing_is_lost_or_doubled_between_threads(void **state)
{
    static struct crowd crowd;
    struct worker producers[PRODUCERS];
    struct worker consumers[CONSUMERS];
    pthread_t threads[PRODUCERS + CONSUMERS];

    (void)state;
    assert_int_equal(queue_init(&crowd.q, QUEUE_MAX), ERR_OK);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        consumers[i] = (struct worker){&crowd, i};
        assert_int_equal(pthread_create(&threads[PRODUCERS + i], NULL, consume, &consumers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct worker){&crowd, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    queue_close(&crowd.q);
    for (unsigned i = 0; i < CONSUMERS; i++) {
        assert_int_equal(pthread_join(threads[PRODUCERS + i], NULL), 0);
        assert_false(crowd.is_disordered[i]);
        assert_in_range(crowd.takes_max[i], 0, 5);
    }
    for (unsigned p = 0; p < PRODUCERS; p++) {
        for (unsigned i = 0; i < EACH; i++) {
            assert_int_equal(crowd.seen[p][i], 1);
        }
    }
    queue_fini(&crowd.q);
}

struct pair {
    struct queue q;
    pthread_barrier_t both_have_one;
};

static void *take_one_and_meet(void *ctx)
{
    struct pair *pair = ctx;
    struct queue_list out = {0};

    if (queue_wait(&pair->q, 1, &out)) {
        (void)pthread_barrier_wait(&pair->both_have_one); /* busy until the other has work too */
    }
    return NULL;
}

/* Two sleepers, two items handed over at once, each takes one: the second may not sleep beside a waiting item. */
static void items_left_over_wake_the_next_sleeper(void **state)
{
    struct item items[2];
    struct queue_list both = {0};
    struct pair pair;
    pthread_t threads[2];
    size_t waiting;

    (void)state;
    assert_int_equal(queue_init(&pair.q, 10), ERR_OK);
    assert_int_equal(pthread_barrier_init(&pair.both_have_one, NULL, 2), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_one_and_meet, &pair), 0);
    }
    do {
        (void)usleep(100);
        pthread_mutex_lock(&pair.q.mutex);
        waiting = pair.q.waiting;
        pthread_mutex_unlock(&pair.q.mutex);
    } while (waiting < 2);
    queue_list_push(&both, &items[0].link);
    queue_list_push(&both, &items[1].link);
    assert_true(queue_put(&pair.q, &both));
    (void)alarm(20); /* hangs here without the second wake-up */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    (void)alarm(0);
    pthread_barrier_destroy(&pair.both_have_one);
    queue_fini(&pair.q);
}

enum { MINUTE_US = 60 * 1000000, LEAST = 3 };

struct patient {
    struct queue q;
    unsigned linger_us;
    size_t taken;
    bool may_go_on;
};

static void *wait_for_company(void *ctx)
{
    struct patient *p = ctx;
    struct queue_list out = {0};

    p->may_go_on = queue_wait_many(&p->q, 10, LEAST, p->linger_us, &out);
    p->taken = out.len;
    return NULL;
}

/* The consumer sleeps over the first items, and the one that makes them enough wakes it long before the minute is over. */
static void company_is_waited_for(void **state)
{
    struct item items[LEAST];
    struct patient p = {.linger_us = MINUTE_US};
    pthread_t thread;
    size_t waiting;

    (void)state;
    assert_int_equal(queue_init(&p.q, 10), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_company, &p), 0);
    do {
        (void)usleep(100);
        pthread_mutex_lock(&p.q.mutex);
        waiting = p.q.waiting;
        pthread_mutex_unlock(&p.q.mutex);
    } while (waiting == 0);
    for (int i = 0; i < LEAST; i++) {
        assert_int_equal(queue_len(&p.q), i);
        put_one(&p.q, &items[i]);
    }
    (void)alarm(20);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)alarm(0);
    assert_true(p.may_go_on);
    assert_int_equal(p.taken, LEAST);
    queue_fini(&p.q);
}

static void company_that_does_not_come_is_not_waited_for(void **state)
{
    struct item items[2];
    struct patient p = {.linger_us = 1000};
    pthread_t thread;

    (void)state;
    assert_int_equal(queue_init(&p.q, 10), ERR_OK);
    put_one(&p.q, &items[0]);
    (void)alarm(20);
    (void)wait_for_company(&p); /* fewer than enough */
    assert_int_equal(p.taken, 1);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_company, &p), 0);
    (void)usleep(
        20000); /* most likely the thousand are over: the next one is taken at once, and else as one too few */
    put_one(&p.q, &items[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(p.taken, 1);
    p.linger_us = MINUTE_US;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_company, &p), 0);
    queue_close(&p.q);
    assert_int_equal(pthread_join(thread, NULL), 0);
    (void)alarm(0);
    assert_false(p.may_go_on);
    assert_int_equal(p.taken, 0);
    queue_fini(&p.q);
}

static void fini_with_an_item_left(void *ctx)
{
    struct item item;
    struct queue_list one = {0};
    struct queue q;

    (void)ctx;
    if (queue_init(&q, 1) == ERR_OK) {
        queue_list_push(&one, &item.link);
        (void)queue_put(&q, &one);
        queue_fini(&q);
    }
}

static void an_item_is_not_forgotten_in_silence(void **state)
{
    (void)state;
    assert_true(dies(fini_with_an_item_left, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_keeps_its_order),
        cmocka_unit_test(takes_as_many_as_fit),
        cmocka_unit_test(a_closed_queue_drains_then_says_so),
        cmocka_unit_test(nothing_is_lost_or_doubled_between_threads),
        cmocka_unit_test(items_left_over_wake_the_next_sleeper),
        cmocka_unit_test(company_is_waited_for),
        cmocka_unit_test(company_that_does_not_come_is_not_waited_for),
        cmocka_unit_test(an_item_is_not_forgotten_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

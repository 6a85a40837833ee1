#include "http/timers.h"

#include "base/assert.h"

void timers_init(struct timers *t)
{
    *t = (struct timers){0};
    for (int i = 0; i < TIMER_COUNT; i++) {
        list_init(&t->lists[i]);
    }
}

uint64_t timers_start(struct timers *t, struct timer_link *timer, enum timer_kind kind,
                      uint64_t now_ms)
{
    ASSERT(kind > TIMER_NONE && kind < TIMER_COUNT && t->duration_ms[kind] > 0);
    timers_stop(timer);
    timer->kind = kind;
    timer->deadline_ms = now_ms + t->duration_ms[kind];
    list_append(&t->lists[kind], &timer->link);
    return timer->deadline_ms;
}

void timers_stop(struct timer_link *timer)
{
    if (timer->kind != TIMER_NONE) {
        list_remove(&timer->link);
        timer->kind = TIMER_NONE;
    }
}

struct timer_link *timers_oldest(struct timers *t, enum timer_kind kind)
{
    struct list_link *head = &t->lists[kind];

    return list_is_alone(head) ? NULL : LIST_OWNER(head->next, struct timer_link, link);
}

uint64_t timers_next_ms(const struct timers *t)
{
    uint64_t next_ms = UINT64_MAX;

    for (int i = 0; i < TIMER_COUNT; i++) {
        const struct list_link *head = &t->lists[i];
        if (!list_is_alone(head)) {
            const struct timer_link *oldest = LIST_OWNER(head->next, struct timer_link, link);
            next_ms = oldest->deadline_ms < next_ms ? oldest->deadline_ms : next_ms;
        }
    }
    return next_ms;
}

struct timer_link *timers_pop(struct timers *t, uint64_t now_ms, enum timer_kind *kind)
{
    for (int i = TIMER_NONE + 1; i < TIMER_COUNT; i++) {
        struct timer_link *oldest = timers_oldest(t, (enum timer_kind)i);
        if (oldest != NULL && oldest->deadline_ms <= now_ms) {
            *kind = oldest->kind;
            timers_stop(oldest);
            return oldest;
        }
    }
    return NULL;
}

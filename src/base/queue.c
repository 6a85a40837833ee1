#include "base/queue.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>

#include "base/assert.h"

void queue_list_push(struct queue_list *list, struct queue_link *item)
{
    item->next = NULL;
    if (list->tail == NULL) {
        list->head = item;
    } else {
        list->tail->next = item;
    }
    list->tail = item;
    list->len++;
}

struct queue_link *queue_list_pop(struct queue_list *list)
{
    struct queue_link *item = list->head;

    if (item == NULL) {
        return NULL;
    }
    ASSERT(list->len > 0);
    list->head = item->next;
    if (list->head == NULL) {
        list->tail = NULL;
    }
    list->len--;
    item->next = NULL;
    return item;
}

void queue_list_move(struct queue_list *to, struct queue_list *from)
{
    if (from->head == NULL) {
        return;
    }
    if (to->tail == NULL) {
        to->head = from->head;
    } else {
        to->tail->next = from->head;
    }
    to->tail = from->tail;
    to->len += from->len;
    *from = (struct queue_list){0};
}

/* Move at most max items; the whole list at once where it fits. */
static void list_move_some(struct queue_list *to, struct queue_list *from, size_t max)
{
    if (from->len <= max) {
        queue_list_move(to, from);
        return;
    }
    while (max-- > 0) {
        queue_list_push(to, queue_list_pop(from));
    }
}

enum err queue_init(struct queue *q, size_t max)
{
    pthread_condattr_t attr;

    ASSERT(max > 0);
    *q = (struct queue){.max = max, .least = 1};
    if (pthread_mutex_init(&q->mutex, NULL) != 0) {
        return ERR_NOMEM;
    }
    /* timed waits must not follow a wall clock that steps */
    if (pthread_condattr_init(&attr) != 0) {
        pthread_mutex_destroy(&q->mutex);
        return ERR_NOMEM;
    }
    if (pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&q->not_empty, &attr) != 0) {
        pthread_condattr_destroy(&attr);
        pthread_mutex_destroy(&q->mutex);
        return ERR_NOMEM;
    }
    pthread_condattr_destroy(&attr);
    return ERR_OK;
}

void queue_fini(struct queue *q)
{
    ASSERT(q->list.len == 0 && q->waiting == 0);
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->mutex);
}

static bool put(struct queue *q, struct queue_list *items, bool is_first)
{
    bool was_empty;
    bool must_wake;

    pthread_mutex_lock(&q->mutex);
    ASSERT(q->list.len <= q->max);
    was_empty = q->list.len == 0;
    if (!q->is_closed) {
        struct queue_list coming = {0};
        list_move_some(&coming, items, q->max - q->list.len);
        if (is_first) {
            queue_list_move(&coming, &q->list);
            q->list = coming;
        } else {
            queue_list_move(&q->list, &coming);
        }
    }
    must_wake = q->waiting > 0 && q->list.len >= q->least;
    pthread_mutex_unlock(&q->mutex);
    if (must_wake) {
        pthread_cond_signal(&q->not_empty);
    }
    return was_empty;
}

bool queue_put(struct queue *q, struct queue_list *items)
{
    return put(q, items, false);
}

bool queue_put_first(struct queue *q, struct queue_list *items)
{
    return put(q, items, true);
}

/* Sleep until there are `least` items, the queue is closed, or the time has come; under mutex. */
static void sleep_until(struct queue *q, size_t least, const struct timespec *until)
{
    int rc = 0;

    q->least = least;
    while (q->list.len < least && !q->is_closed && rc != ETIMEDOUT) {
        q->waiting++;
        rc = until == NULL ? pthread_cond_wait(&q->not_empty, &q->mutex)
                           : pthread_cond_timedwait(&q->not_empty, &q->mutex, until);
        q->waiting--;
    }
    q->least = 1;
}

/* Move what is there to *out and let go of the mutex. */
static bool take_and_unlock(struct queue *q, size_t max, struct queue_list *out)
{
    bool may_go_on = q->list.len > 0 || !q->is_closed;
    bool must_wake;

    list_move_some(out, &q->list, max);
    must_wake =
        q->waiting > 0 && q->list.len > 0; /* queue_put wakes one, however many items it brings */
    pthread_mutex_unlock(&q->mutex);
    if (must_wake) {
        pthread_cond_signal(&q->not_empty);
    }
    return may_go_on;
}

static struct timespec after_us(uint64_t us)
{
    struct timespec t;
    int rc = clock_gettime(CLOCK_MONOTONIC, &t);

    ASSERT(rc == 0);
    t.tv_sec += (time_t)(us / 1000000);
    t.tv_nsec += (long)(us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

bool queue_wait(struct queue *q, size_t max, struct queue_list *out)
{
    pthread_mutex_lock(&q->mutex);
    sleep_until(q, 1, NULL);
    return take_and_unlock(q, max, out);
}

bool queue_wait_for(struct queue *q, size_t max, unsigned timeout_ms, struct queue_list *out)
{
    struct timespec until = after_us((uint64_t)timeout_ms * 1000);

    pthread_mutex_lock(&q->mutex);
    sleep_until(q, 1, &until);
    return take_and_unlock(q, max, out);
}

bool queue_wait_many(struct queue *q, size_t max, size_t least, unsigned linger_us,
                     struct queue_list *out)
{
    struct timespec until = after_us(linger_us);

    pthread_mutex_lock(&q->mutex);
    if (least > 1) {
        sleep_until(q, least, &until);
    }
    sleep_until(q, 1, NULL);
    return take_and_unlock(q, max, out);
}

void queue_take(struct queue *q, size_t max, struct queue_list *out)
{
    pthread_mutex_lock(&q->mutex);
    list_move_some(out, &q->list, max);
    pthread_mutex_unlock(&q->mutex);
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    q->is_closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->mutex);
}

size_t queue_len(struct queue *q)
{
    size_t len;

    pthread_mutex_lock(&q->mutex);
    len = q->list.len;
    pthread_mutex_unlock(&q->mutex);
    return len;
}

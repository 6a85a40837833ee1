#include "store/store.h"

#include "base/assert.h"
#include "base/crc32c.h"

enum { STORE_OUTBOX_MAX = 1 << 30 }; /* bounded by the requests in work, not here */

enum err store_sink_init(struct store_sink *sink, void (*wake)(void *ctx), void *wake_ctx)
{
    *sink = (struct store_sink){.wake = wake, .wake_ctx = wake_ctx};
    return queue_init(&sink->outbox, STORE_OUTBOX_MAX);
}

void store_sink_fini(struct store_sink *sink)
{
    ASSERT(sink->staged.len == 0);
    queue_fini(&sink->outbox);
}

enum err store_attach(struct store *s, struct store_sink *sink, void *loop)
{
    return s->methods->attach == NULL ? ERR_OK : s->methods->attach(s, sink, loop);
}

void store_detach(struct store *s, struct store_sink *sink)
{
    ASSERT(sink->staged.len == 0);
    if (s->methods->detach != NULL) {
        s->methods->detach(s, sink);
    }
}

void store_op_init(struct store_op *op, enum store_op_kind kind, struct store_sink *sink,
                   void (*done)(struct store_op *op))
{
    *op = (struct store_op){.kind = kind, .sink = sink, .done = done};
    op->accounts.status = -1;
    atomic_init(&op->claim, STORE_QUEUED);
    arena_init(&op->out, STORE_OUT_BYTES_MAX);
}

void store_op_fini(struct store_op *op)
{
    arena_fini(&op->out);
}

void store_submit(struct store_op *op)
{
    ASSERT(op->done != NULL && op->sink != NULL);
    queue_list_push(&op->sink->staged, &op->link);
}

void store_flush(struct store *s, struct store_sink *sink)
{
    if (sink->staged.head == NULL) {
        return;
    }
    s->methods->hand_over(s, &sink->staged);
    if (sink->staged.head !=
        NULL) { /* refused for want of room: still asynchronous, so that done never runs inside submit */
        for (struct queue_link *link = sink->staged.head; link != NULL; link = link->next) {
            ((struct store_op *)link)->status = STORE_UNAVAILABLE;
        }
        store_complete(sink, &sink->staged);
    }
}

bool store_cancel(struct store_op *op)
{
    int expected = STORE_QUEUED;

    return atomic_compare_exchange_strong_explicit(&op->claim, &expected, STORE_CANCELED,
                                                   memory_order_acq_rel, memory_order_acquire);
}

bool store_claim(struct store_op *op)
{
    int expected = STORE_QUEUED;

    return atomic_compare_exchange_strong_explicit(&op->claim, &expected, STORE_TAKEN,
                                                   memory_order_acq_rel, memory_order_acquire);
}

void store_complete(struct store_sink *sink, struct queue_list *ops)
{
    if (ops->head == NULL) {
        return;
    }
    if (queue_put(&sink->outbox,
                  ops)) { /* it was empty: the loop may be asleep; else a wake-up is on its way */
        sink->wake(sink->wake_ctx);
    }
    ASSERT(ops->head == NULL);
}

void store_drain(struct store_sink *sink)
{
    struct queue_list ready = {0};
    struct queue_link *link;

    queue_take(&sink->outbox, STORE_OUTBOX_MAX, &ready);
    while ((link = queue_list_pop(&ready)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        op->done(op);
    }
}

enum store_health store_health(struct store *s)
{
    return s->methods->health(s);
}

void store_close(struct store *s)
{
    if (s != NULL) {
        s->methods->close(s);
    }
}

uint32_t store_accounts_binding(const struct store_op *op)
{
    const uint8_t status = (uint8_t)(op->accounts.status + 1); /* -1: any */

    return crc32c_more(crc32c(&status, 1), op->accounts.prefix.ptr, op->accounts.prefix.len);
}

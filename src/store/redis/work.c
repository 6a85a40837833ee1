#include "store/redis/work.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "log/log.h"
#include "store/redis/reads.h"
#include "store/redis/reply.h"
#include "store/redis/write.h"

/* ---- the objects ---- */

static struct work *work_take(struct work_loop *l)
{
    struct work *w = l->idle;

    if (w != NULL) {
        l->idle = w->next;
        return w;
    }
    w = mem_alloc(sizeof(*w));
    if (w != NULL) {
        w->loop = l;
        arena_init(&w->scratch, WORK_SCRATCH_BYTES_MAX);
        buf_init(&w->first.bytes, WORK_COMMAND_BYTES_MAX);
    }
    return w;
}

static void work_free(struct work *w)
{
    for (unsigned i = 0; w->others != NULL && i < WORK_WINDOW - 1; i++) {
        buf_fini(&w->others[i].bytes);
    }
    mem_free(w->others);
    buf_fini(&w->first.bytes);
    arena_fini(&w->scratch);
    mem_free(w);
}

static void work_put(struct work *w)
{
    if (w->first.bytes.cap > WORK_KEPT_BYTES_MAX) {
        buf_fini(&w->first.bytes);
        buf_init(&w->first.bytes, WORK_COMMAND_BYTES_MAX);
    }
    arena_fini(&w->scratch); /* keeps nothing: a post, of which there are most, never used it */
    arena_init(&w->scratch, WORK_SCRATCH_BYTES_MAX);
    w->next = w->loop->idle;
    w->loop->idle = w;
}

void work_end(struct work *w, enum store_status status)
{
    struct store_op *op = w->op;
    struct store_sink *sink = op->sink;
    struct queue_list ended = {0};

    ASSERT(w->in_flight == 0 && w->used == 0);
    op->status = status;
    w->op = NULL;
    w->loop->busy--;
    work_put(w);
    queue_list_push(&ended, &op->link);
    store_complete(sink, &ended);
}

void work_end_read(struct work *w, enum err e, struct slice about)
{
    static struct log_limit limit;

    if (e == ERR_OK) {
        work_end(w, STORE_DONE);
        return;
    }
    log_event_limited(&limit, LOG_ERROR, "store.read_failed", log_text("err", err_name(e)),
                      log_slice("about", about));
    work_end(w, e == ERR_NOMEM ? STORE_UNAVAILABLE : STORE_FAULT);
}

/* ---- parts ---- */

static bool others_make(struct work *w)
{
    if (w->others == NULL) {
        w->others = mem_alloc_array(WORK_WINDOW - 1, sizeof(*w->others));
        for (unsigned i = 0; w->others != NULL && i < WORK_WINDOW - 1; i++) {
            buf_init(&w->others[i].bytes, WORK_COMMAND_BYTES_MAX);
        }
    }
    return w->others != NULL;
}

/* A part that is not on its way, or NULL. */
static struct work_part *part_find(struct work *w, unsigned *at)
{
    for (unsigned i = 0; i < WORK_WINDOW; i++) {
        if ((w->used & 1u << i) == 0) {
            *at = i;
            if (i == 0) {
                return &w->first;
            }
            return others_make(w) ? &w->others[i - 1] : NULL;
        }
    }
    return NULL;
}

static void part_release(struct work_part *part)
{
    struct work *w = part->work;
    const unsigned at = part == &w->first ? 0 : (unsigned)(part - w->others) + 1;

    ASSERT((w->used & 1u << at) != 0 && w->in_flight > 0);
    w->used &= ~(1u << at);
    w->in_flight--;
}

struct work_part *work_part_ready(struct work *w)
{
    struct work_part *part = &w->first;

    ASSERT(w->used == 0);
    buf_clear(&part->bytes);
    part->work = w;
    return part;
}

static bool part_claim(struct wire_call *call)
{
    struct work *w = ((struct work_part *)call)->work;

    if (w->op->kind == STORE_POST && write_is_forbidden(w->loop->shared)) {
        return false; /* allowed when it came, and not any more */
    }
    w->is_claimed = w->is_claimed || store_claim(w->op);
    return w->is_claimed;
}

static void part_send(struct work_part *part, unsigned at)
{
    struct work *w = part->work;

    ASSERT(part->bytes.err == ERR_OK && part->bytes.len > 0);
    part->call.bytes = buf_slice(&part->bytes);
    part->call.deadline_mono_us = w->deadline_mono_us;
    part->call.claim = w->is_claimed ? NULL : part_claim;
    w->used |= 1u << at;
    w->in_flight++;
    w->loop->needs_flush = true;
    lane_send(w->loop->lane, &part->call);
}

/* What a part's done begins with: it is not on its way any more. */
static void single_done(struct wire_call *call, enum wire_fate fate, const struct redisReply *reply)
{
    struct work_part *part = (struct work_part *)call;

    part_release(part);
    part->then(part, fate, reply);
}

void work_part_send(struct work_part *part, enum wire_command command, bool is_write, bool may_resend,
                    void (*then)(struct work_part *part, enum wire_fate fate,
                                 const struct redisReply *reply))
{
    part->then = then;
    part->call = (struct wire_call){
        .command = command, .is_write = is_write, .may_resend = may_resend, .done = single_done};
    part_send(part, 0);
}

/* ---- steps ---- */

static void step_fail(struct work *w, enum store_status status)
{
    if (!w->has_failed || status == STORE_FAULT) {
        w->has_failed = true;
        w->failed = status;
    }
}

static void step_go_on(struct work *w);

static void step_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    static struct log_limit limit;
    enum err e;

    if (reply->type == REDIS_REPLY_ERROR) {
        log_event_limited(&limit, LOG_ERROR, "store.read_failed",
                          log_slice("redis", reply_text(reply)));
        step_fail(w, STORE_FAULT);
        return;
    }
    e = w->step.take(w, i, reply);
    if (e != ERR_OK) {
        log_event_limited(&limit, LOG_ERROR, "store.read_failed", log_text("err", err_name(e)),
                          log_slice("account", w->op->account_id));
        step_fail(w, e == ERR_NOMEM ? STORE_UNAVAILABLE : STORE_FAULT);
    }
}

static void step_done(struct wire_call *call, enum wire_fate fate, const struct redisReply *reply)
{
    struct work_part *part = (struct work_part *)call;
    struct work *w = part->work;

    part_release(part);
    if (fate != WIRE_ANSWERED) {
        step_fail(w, STORE_UNAVAILABLE);
    } else if (!w->has_failed) {
        step_take(w, part->i, reply);
    }
    step_go_on(w);
}

static enum err step_send(struct work *w, unsigned i, struct work_part *part, unsigned at)
{
    enum err e;

    buf_clear(&part->bytes);
    part->work = w;
    part->i = i;
    e = w->step.ask(w, i, &part->bytes);
    e = e == ERR_OK ? part->bytes.err : e;
    if (e == ERR_OK) {
        part->call =
            (struct wire_call){.command = w->step.command, .may_resend = true, .done = step_done};
        part_send(part, at);
    }
    return e;
}

static void step_go_on(struct work *w)
{
    unsigned at = 0;

    while (!w->has_failed && w->asked < w->step.count && w->in_flight < WORK_WINDOW) {
        struct work_part *part = part_find(w, &at);
        if (part == NULL || step_send(w, w->asked, part, at) != ERR_OK) {
            if (part != NULL || w->in_flight == 0) {
                step_fail(w, STORE_UNAVAILABLE); /* out of memory */
            }
            break; /* else with the parts there are */
        }
        w->asked++;
    }
    if (w->in_flight == 0) {
        if (w->has_failed) {
            work_end(w, w->failed);
        } else {
            w->step.then(w);
        }
    }
}

void work_ask(struct work *w, const struct work_step *step)
{
    ASSERT(step->count > 0 && w->in_flight == 0);
    w->step = *step;
    w->asked = 0;
    step_go_on(w);
}

/* ---- the loop ---- */

static void work_begin(struct work *w, struct store_op *op)
{
    const uint64_t now_us = clock_mono_us();
    const uint64_t timeout_us = w->loop->shared->options.op_timeout_us;

    w->op = op;
    w->is_claimed = w->has_failed = false;
    w->deadline_mono_us = now_us + timeout_us;
    if (op->deadline_mono_us < w->deadline_mono_us) {
        w->deadline_mono_us = op->deadline_mono_us;
    }
    w->loop->busy++;
    if (w->deadline_mono_us <= now_us) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    switch (op->kind) {
    case STORE_POST:
        write_post(w);
        return;
    case STORE_ACCOUNT:
        read_account(w);
        return;
    case STORE_ACCOUNTS:
        read_accounts(w);
        return;
    case STORE_HISTORY:
        read_history(w);
        return;
    case STORE_TRANSACTION:
        read_transaction(w);
        return;
    }
    UNREACHABLE("no such operation");
}

static void flush(struct work_loop *l)
{
    if (l->needs_flush) {
        l->needs_flush = false;
        lane_flush(l->lane);
    }
}

void work_hand_over(struct work_loop *l, struct queue_list *ops)
{
    while (ops->head != NULL && l->busy < l->busy_max) {
        struct work *w = work_take(l);
        if (w == NULL) {
            break;
        }
        work_begin(w, (struct store_op *)queue_list_pop(ops));
    }
    flush(l);
}

static void on_before_poll(uv_prepare_t *handle)
{
    flush(handle->data);
}

static void on_after_poll(uv_check_t *handle)
{
    flush(handle->data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct work_loop *l = handle->data;

    if (--l->handles == 0) {
        mem_free(l);
    }
}

enum err work_loop_new(struct redis_shared *shared, uv_loop_t *uv, unsigned connections,
                       unsigned idle, unsigned busy_max, struct work_loop **out)
{
    struct work_loop *l = mem_alloc(sizeof(*l));
    enum err e;

    if (l == NULL) {
        return ERR_NOMEM;
    }
    l->shared = shared;
    l->busy_max = busy_max;
    e = lane_new(shared, uv, connections, idle, &l->lane);
    if (e != ERR_OK) {
        mem_free(l);
        return e;
    }
    /* continuing steps are sent in a reply's callback: one write a connection at the end of the turn takes them all */
    (void)uv_prepare_init(uv, &l->before_poll);
    (void)uv_check_init(uv, &l->after_poll);
    (void)uv_prepare_start(&l->before_poll, on_before_poll);
    (void)uv_check_start(&l->after_poll, on_after_poll);
    l->before_poll.data = l->after_poll.data = l;
    uv_unref((uv_handle_t *)&l->before_poll);
    uv_unref((uv_handle_t *)&l->after_poll);
    l->handles = 2;
    *out = l;
    return ERR_OK;
}

void work_loop_close(struct work_loop *l)
{
    lane_close(l->lane);
    l->lane = NULL;
    ASSERT(l->busy == 0);
    while (l->idle != NULL) {
        struct work *w = l->idle;
        l->idle = w->next;
        work_free(w);
    }
    uv_close((uv_handle_t *)&l->before_poll, on_handle_closed);
    uv_close((uv_handle_t *)&l->after_poll, on_handle_closed);
}

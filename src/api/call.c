#include "api/call.h"

#include "api/respond.h"
#include "base/assert.h"
#include "base/mem.h"

static void call_give_back(struct api_call *call)
{
    struct api_loop *l = call->loop;

    store_op_fini(&call->op);
    ASSERT(l->busy_count > 0);
    l->busy_count--;
    call->next_idle = l->idle_calls;
    l->idle_calls = call;
}

static struct api_call *pool_take(struct api_loop *l)
{
    struct api_call *call = l->idle_calls;

    if (call != NULL) {
        l->idle_calls = call->next_idle;
    } else {
        call = l->call_count < API_CALLS_MAX ? mem_alloc(sizeof(*call)) : NULL;
        if (call == NULL) {
            return NULL;
        }
        l->call_count++;
    }
    l->busy_count++;
    return call;
}

static void call_answer(struct api_call *call)
{
    const bool is_write = call->op.kind == STORE_POST;

    switch (call->op.status) {
    case STORE_DONE:
        if (call->op.result.outcome == OUTCOME_OK) {
            call->answer(call);
        } else if (is_write) {
            api_refuse_result(call->loop, call->request, &call->op.result, call->field_names);
        } else {
            api_refuse_code(call->loop, call->request, api_code_of_outcome(call->op.result.outcome));
        }
        return;
    case STORE_UNAVAILABLE:
        api_refuse_code(call->loop, call->request, API_STORE_UNAVAILABLE);
        return;
    case STORE_UNKNOWN:
        api_refuse_code(call->loop, call->request,
                        is_write ? API_OUTCOME_UNKNOWN : API_STORE_UNAVAILABLE);
        return;
    case STORE_FAULT:
        break;
    }
    api_refuse_code(call->loop, call->request, API_SYSTEM_ERROR);
}

static void call_done(struct store_op *op)
{
    struct api_call *call = (struct api_call *)op;
    struct http_request *request = call->request;

    if (!http_is_answered(request)) {
        struct api_note *note = http_user(request);
        ASSERT(note != NULL && note->call == call);
        note->call = NULL;
        call_answer(call);
    }
    call_give_back(call);
    http_release(request);
}

struct api_call *api_call_take(struct api_loop *l, struct http_request *request,
                               enum store_op_kind kind, void (*answer)(struct api_call *call))
{
    struct api_call *call = api_note_get(request) == NULL ? NULL : pool_take(l);

    if (call == NULL) {
        api_refuse_code(l, request, API_STORE_UNAVAILABLE);
        return NULL;
    }
    store_op_init(&call->op, kind, l->sink, call_done);
    call->op.deadline_mono_us = http_view(request)->deadline_mono_us;
    call->loop = l;
    call->request = request;
    call->answer = answer;
    call->field_names = NULL;
    return call;
}

void api_call_refuse(struct api_call *call, const struct api_refusal *refusal)
{
    struct api_loop *l = call->loop;
    struct http_request *request = call->request;

    call_give_back(call);
    api_refuse(l, request, refusal);
}

void api_call_submit(struct api_call *call)
{
    struct api_note *note = http_user(call->request);

    ASSERT(note != NULL && note->call == NULL);
    ASSERT(call->op.kind != STORE_POST || call->field_names != NULL);
    note->call = call;
    http_hold(call->request);
    store_submit(&call->op);
}

void api_call_settle(struct api_call *call, struct api_refusal refusal)
{
    if (refusal.code == API_OK) {
        api_call_submit(call);
    } else {
        api_call_refuse(call, &refusal);
    }
}

void api_call_deadline(struct api_loop *l, struct http_request *request)
{
    struct api_note *note = http_user(request);
    struct api_call *call = note == NULL ? NULL : note->call;
    enum api_code code = API_STORE_UNAVAILABLE;

    if (call != NULL) {
        note->call = NULL;
        if (!store_cancel(&call->op) && call->op.kind == STORE_POST) {
            code = API_OUTCOME_UNKNOWN;
        }
    }
    api_refuse_code(l, request, code);
}

void api_calls_free(struct api_loop *l)
{
    ASSERT(l->busy_count == 0);
    while (l->idle_calls != NULL) {
        struct api_call *call = l->idle_calls;
        l->idle_calls = call->next_idle;
        mem_free(call);
    }
    l->call_count = 0;
}

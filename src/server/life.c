#include "server/life.h"

void life_init(struct life *l, uint64_t drain_delay_us, uint64_t drain_timeout_us)
{
    *l = (struct life){
        .state = LIFE_STARTING,
        .deadline_us = UINT64_MAX,
        .drain_delay_us = drain_delay_us,
        .drain_timeout_us = drain_timeout_us,
    };
}

static enum life_action go(struct life *l, enum life_state state, uint64_t deadline_us,
                           enum life_action action)
{
    l->state = state;
    l->deadline_us = deadline_us;
    return action;
}

static enum life_action end(struct life *l, int exit_code)
{
    l->exit_code = exit_code;
    return go(l, LIFE_ENDED, UINT64_MAX, LIFE_EXIT);
}

static enum life_action starting(struct life *l, const struct life_facts *f)
{
    if (f->has_failed_to_start) {
        return end(l, 1);
    }
    if (f->signals > 0) {
        return end(l, 0); /* nothing was promised to anybody yet */
    }
    return f->is_opened ? go(l, LIFE_SERVING, UINT64_MAX, LIFE_SERVE) : LIFE_WAIT;
}

/* Does the state depend on a store that works? */
static bool needs_store(enum life_state state)
{
    return state == LIFE_SERVING || state == LIFE_DELAYING || state == LIFE_STOPPING ||
           state == LIFE_CUTTING;
}

enum life_action life_next(struct life *l, const struct life_facts *f)
{
    const bool is_late = f->now_us >= l->deadline_us;

    if (l->state == LIFE_STARTING) {
        return starting(l, f);
    }
    if (l->state != LIFE_ENDED && f->signals > 1) {
        return end(l, 1);
    }
    if (f->is_fatal && needs_store(l->state)) {
        return go(l, LIFE_FAILING, f->now_us + LIFE_FAILING_US, LIFE_STOP);
    }
    switch (l->state) {
    case LIFE_SERVING:
        return f->signals > 0 ? go(l, LIFE_DELAYING, f->now_us + l->drain_delay_us, LIFE_DRAIN)
                              : LIFE_WAIT;
    case LIFE_DELAYING:
        return is_late ? go(l, LIFE_STOPPING, f->now_us + l->drain_timeout_us, LIFE_STOP) : LIFE_WAIT;
    case LIFE_STOPPING:
        if (f->are_loops_done) {
            return go(l, LIFE_CLOSING, UINT64_MAX, LIFE_CLOSE);
        }
        return is_late ? go(l, LIFE_CUTTING, f->now_us + LIFE_GRACE_US, LIFE_CUT) : LIFE_WAIT;
    case LIFE_CUTTING:
        if (f->are_loops_done) {
            return go(l, LIFE_CLOSING, UINT64_MAX, LIFE_CLOSE);
        }
        return is_late ? end(l, 1) : LIFE_WAIT;
    case LIFE_CLOSING:
        return f->is_closed ? end(l, f->is_fatal ? 1 : 0) : LIFE_WAIT;
    case LIFE_FAILING:
        return f->are_loops_done || is_late ? end(l, 1) : LIFE_WAIT;
    case LIFE_STARTING:
    case LIFE_ENDED:
        break;
    }
    return LIFE_EXIT;
}

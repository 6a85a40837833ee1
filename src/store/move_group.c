/* What a journal has in several records, told as one posting: both stores tell it so. */
#include "store/move.h"

void move_group_begin(struct move_group *g)
{
    arena_reset(&g->arena);
    g->opened_count = 0;
    g->line.kind = RECORD_NONE;
}

void move_line_begin(struct move_line *line, enum record_kind kind, int64_t time_us, uint32_t tag)
{
    line->kind = kind;
    line->time_us = time_us;
    line->tag = tag;
    line->leg_count = 0;
    line->overdraft = 0;
    line->reference = line->metadata = SLICE_NONE;
    line->has_key = false;
}

/* Was it opened by the movement itself, as a leg that may open does it? Such an account has nothing but its currency. */
static bool is_opened_by_leg(const struct move_group *g, const struct move_line *open, unsigned *leg)
{
    if (g->line.kind == RECORD_NONE || g->line.kind == RECORD_REFUSAL || open->overdraft != 0 ||
        open->metadata.ptr != NULL || open->has_key ||
        open->currency.code != g->line.currency.code || open->exponent != g->line.exponent) {
        return false;
    }
    for (unsigned i = 0; i < g->line.leg_count; i++) {
        if (slice_equal(g->line.legs[i].account, open->legs[0].account)) {
            *leg = i;
            return true;
        }
    }
    return false;
}

enum err move_group_write(struct move_writer *w, struct move_group *g)
{
    bool has_opening_leg = false; /* a posting has one at most: there is one way to open it */
    enum err e = ERR_OK;

    for (unsigned i = 0; e == ERR_OK && i < g->opened_count; i++) {
        unsigned leg;
        if (!has_opening_leg && is_opened_by_leg(g, &g->opened[i], &leg)) {
            g->line.legs[leg].opens = has_opening_leg = true;
        } else {
            e = move_write(w, &g->opened[i]);
        }
    }
    return e == ERR_OK && g->line.kind != RECORD_NONE ? move_write(w, &g->line) : e;
}

#include "store/redis/guard.h"

#include <stdbool.h>
#include <string.h>

/* A value is complete: so may be the arrays around it. */
static enum guard_state value_ends(struct guard *g)
{
    while (g->depth > 0) {
        if (--g->left[g->depth - 1] > 0) {
            return GUARD_MORE;
        }
        g->depth--;
    }
    *g = (struct guard){0};
    return GUARD_REPLY;
}

static enum guard_state array_begins(struct guard *g)
{
    if (g->number < -1 || g->number > GUARD_ELEMENTS_MAX - (int64_t)g->elements) {
        return GUARD_BROKEN;
    }
    if (g->number <= 0) { /* an empty one, or none */
        return value_ends(g);
    }
    if (g->depth == GUARD_DEPTH_MAX) {
        return GUARD_BROKEN;
    }
    g->elements += (uint32_t)g->number;
    g->left[g->depth++] = (uint32_t)g->number;
    return GUARD_MORE;
}

static enum guard_state line_ends(struct guard *g)
{
    char type = g->type;

    g->type = 0;
    if (type == '+' || type == '-') {
        return value_ends(g);
    }
    if (g->digits == 0) {
        return GUARD_BROKEN;
    }
    if (g->is_negative) {
        g->number = -g->number;
    }
    if (type == ':') {
        return value_ends(g);
    }
    if (type == '*') {
        return array_begins(g);
    }
    if (g->number == -1) {
        return value_ends(g);
    }
    if (g->number < 0 || g->number > GUARD_BULK_BYTES_MAX) {
        return GUARD_BROKEN;
    }
    g->bulk_left = (uint64_t)g->number + 2;
    return GUARD_MORE;
}

/* One byte of a line behind its type, neither CR nor LF. */
static bool take_in_line(struct guard *g, char c)
{
    if (++g->line_bytes > GUARD_LINE_BYTES_MAX) {
        return false;
    }
    if (g->type == '+' || g->type == '-') {
        return true;
    }
    if (c == '-' && g->line_bytes == 1) {
        g->is_negative = 1;
        return true;
    }
    if (c < '0' || c > '9' || ++g->digits > 19) {
        return false;
    }
    /* the value counts only of lengths, whose ceilings are far below; an integer reply is the codec's to read */
    g->number = g->number > INT64_MAX / 100 ? INT64_MAX / 10 : g->number * 10 + (c - '0');
    return true;
}

static enum guard_state take_byte(struct guard *g, char c)
{
    if (g->type == 0) {
        if (c == '\0' || strchr("+-:$*", c) == NULL) {
            return GUARD_BROKEN;
        }
        g->type = c;
        g->number = 0;
        g->line_bytes = g->digits = 0;
        g->is_negative = g->is_return_seen = 0;
        return GUARD_MORE;
    }
    if (g->is_return_seen) {
        return c == '\n' ? line_ends(g) : GUARD_BROKEN;
    }
    if (c == '\r') {
        g->is_return_seen = 1;
        return GUARD_MORE;
    }
    return c != '\n' && take_in_line(g, c) ? GUARD_MORE : GUARD_BROKEN;
}

/* Bytes of a string, whose last two are CR LF. Returns how many were taken. */
static size_t take_bulk(struct guard *g, const char *bytes, size_t len, enum guard_state *state)
{
    if (g->bulk_left > 2) {
        size_t some = g->bulk_left - 2 < len ? (size_t)(g->bulk_left - 2) : len;
        g->bulk_left -= some;
        return some;
    }
    if (*bytes != (g->bulk_left == 2 ? '\r' : '\n')) {
        *state = GUARD_BROKEN;
        return 0;
    }
    if (--g->bulk_left == 0) {
        *state = value_ends(g);
    }
    return 1;
}

size_t guard_scan(struct guard *g, const char *bytes, size_t len, enum guard_state *state)
{
    size_t at = 0;

    *state = GUARD_MORE;
    while (at < len && *state == GUARD_MORE) {
        size_t taken = 1;
        if (g->bulk_left > 0) {
            taken = take_bulk(g, bytes + at, len - at, state);
        } else {
            *state = take_byte(g, bytes[at]);
        }
        at += taken;
        if (*state == GUARD_MORE) {
            g->reply_bytes += taken;
            if (g->reply_bytes > GUARD_REPLY_BYTES_MAX) {
                *state = GUARD_BROKEN;
            }
        }
    }
    return at;
}

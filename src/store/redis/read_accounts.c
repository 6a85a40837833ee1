/*
 * A page of accounts: bucket by bucket, each bucket's in the order they were opened. New ones are only ever put behind, so that
 * bucket and index are a place for ever, and a cursor. In turns: ids of some buckets' lists, more buckets at a time
 * the emptier they are - the accounts of those ids - until the page is full, or so much was looked at.
 */
#include "base/assert.h"
#include "store/redis/reads.h"
#include "store/redis/reply.h"

enum {
    WAVE_MAX = 64,        /* lists asked in one step */
    CHUNK_FILTERED = 500, /* ids asked of each, where a prefix decides */
    CANDIDATES_MIN = 64,  /* accounts looked at in one step, where their status decides */
    LOOKED_MAX = STORE_HISTORY_LOOKED_MAX, /* ids looked at for one page; lists: each once */
};

static void more_from(struct work *w, struct place at)
{
    w->op->has_more = true;
    w->op->next_cursor_len =
        place_write(PLACE_ACCOUNTS, store_accounts_binding(w->op), at, w->op->next_cursor);
}

static bool is_everything_seen(const struct work *w)
{
    return w->at.accounts.next.bucket >= w->loop->shared->buckets;
}

/* ---- the accounts of the ids ---- */

static enum err account_ask(struct work *w, unsigned i, struct buf *out)
{
    const struct candidate *c = &w->at.accounts.candidates[i / 2];
    const struct slice id = slice_make(c->id, c->id_len);

    if (i % 2 == 0) {
        read_view_ask(w, id, true, out);
    } else {
        read_length_ask(w, id, out);
    }
    return ERR_OK;
}

static enum err account_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    struct candidate *c = &w->at.accounts.candidates[i / 2];
    enum err e;

    if (i % 2 == 1) {
        return reply_u64(reply, &c->view.entries);
    }
    e = read_view_take(reply, &c->view, &w->scratch, &c->metadata);
    return e == ERR_NOT_FOUND ? ERR_CORRUPT : e; /* the list says that it was opened */
}

/* Put an account on the page. */
static enum err view_put(struct work *w, const struct candidate *c)
{
    struct store_op *op = w->op;
    struct account_view *view = &op->views[op->count];
    enum err e;

    *view = c->view;
    e = arena_copy(&op->out, slice_make(c->id, c->id_len), &view->id);
    if (e == ERR_OK && c->metadata.ptr != NULL) {
        e = arena_copy(&op->out, c->metadata, &op->views_metadata[op->count]);
    }
    op->count++;
    return e;
}

static void lists_ask(struct work *w);

static void accounts_taken(struct work *w)
{
    struct store_op *op = w->op;
    struct accounts_at *a = &w->at.accounts;
    enum err e = ERR_OK;

    for (unsigned i = 0; e == ERR_OK && i < a->candidate_count; i++) {
        const struct candidate *c = &a->candidates[i];
        if (op->accounts.status >= 0 && (int)c->view.status != op->accounts.status) {
            continue;
        }
        if (op->count == op->accounts.limit) {
            more_from(w, c->at);
            break;
        }
        e = view_put(w, c);
    }
    if (e != ERR_OK) {
        work_end(w, STORE_UNAVAILABLE);
    } else if (op->has_more || is_everything_seen(w)) {
        work_end(w, STORE_DONE);
    } else if (a->looked >= LOOKED_MAX) {
        more_from(w, a->next);
        work_end(w, STORE_DONE);
    } else {
        a->candidate_count = 0;
        lists_ask(w);
    }
}

/* ---- the ids ---- */

static bool is_wanted(const struct work *w, struct slice id)
{
    return id.len > 0 && id.len <= LEDGER_ACCOUNT_ID_BYTES_MAX && id.ptr[0] != '@' &&
           slice_starts_with(id, w->op->accounts.prefix);
}

static enum err list_ask(struct work *w, unsigned i, struct buf *out)
{
    const struct accounts_at *a = &w->at.accounts;
    const struct names_key key = names_opened(a->next.bucket + i);
    const uint64_t from = i == 0 ? a->next.n : 0;

    resp_begin(out, 4);
    resp_text(out, "LRANGE");
    resp_word(out, names_slice(&key));
    resp_i64(out, (int64_t)from);
    resp_i64(out, (int64_t)(from + a->chunk - 1));
    return ERR_OK;
}

static enum err list_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    struct accounts_at *a = &w->at.accounts;
    struct found *f = &a->found[i];
    const uint64_t from = i == 0 ? a->next.n : 0;
    enum err e = ERR_OK;

    if (!reply_is_list(reply) || reply->elements > a->chunk) {
        return ERR_CORRUPT;
    }
    f->ids = arena_alloc(&w->scratch, reply->elements * sizeof(*f->ids));
    f->at = arena_alloc(&w->scratch, reply->elements * sizeof(*f->at));
    if (f->ids == NULL || f->at == NULL) {
        return ERR_NOMEM;
    }
    f->behind = from + reply->elements;
    f->is_end = reply->elements < a->chunk;
    for (size_t k = 0; e == ERR_OK && k < reply->elements; k++) {
        if (!reply_is_text(reply->element[k])) {
            return ERR_CORRUPT;
        }
        if (is_wanted(w, reply_text(reply->element[k]))) {
            f->at[f->count] = from + k;
            e = arena_copy(&w->scratch, reply_text(reply->element[k]), &f->ids[f->count++]);
        }
    }
    return e;
}

/* Take one list's ids as candidates. False: there is no room for all of them, and looking goes on among them. */
static bool found_take(struct accounts_at *a, const struct found *f)
{
    for (unsigned k = 0; k < f->count; k++) {
        struct candidate *c = &a->candidates[a->candidate_count];
        if (a->candidate_count == a->candidate_max) {
            a->next.n = f->at[k];
            return false;
        }
        *c = (struct candidate){.at = {.bucket = a->next.bucket, .n = f->at[k]}};
        memcpy(c->id, f->ids[k].ptr, f->ids[k].len);
        c->id_len = (unsigned)f->ids[k].len;
        a->candidate_count++;
    }
    a->next.n = f->behind;
    if (!f->is_end) {
        return false;
    }
    a->next = (struct place){.bucket = a->next.bucket + 1};
    return true;
}

static void lists_taken(struct work *w)
{
    struct accounts_at *a = &w->at.accounts;
    unsigned i = 0;

    do {
        a->looked += (unsigned)(a->found[i].behind - (i == 0 ? a->next.n : 0));
    } while (found_take(a, &a->found[i]) && ++i < a->wave);
    a->wave_next = i < a->wave ? 1 : a->wave < WAVE_MAX / 2 ? 2 * a->wave : WAVE_MAX;
    if (a->candidate_count < a->candidate_max && !is_everything_seen(w) && a->looked < LOOKED_MAX) {
        lists_ask(w);
    } else if (a->candidate_count > 0) {
        work_ask(w, &(struct work_step){.command = WIRE_READ,
                                        .count = 2 * a->candidate_count,
                                        .ask = account_ask,
                                        .take = account_take,
                                        .then = accounts_taken});
    } else {
        accounts_taken(w);
    }
}

static void lists_ask(struct work *w)
{
    struct accounts_at *a = &w->at.accounts;
    const unsigned left = w->loop->shared->buckets - a->next.bucket;

    arena_reset(&w->scratch);
    a->wave = a->wave_next < left ? a->wave_next : left;
    a->chunk =
        w->op->accounts.prefix.len > 0 ? CHUNK_FILTERED : a->candidate_max - a->candidate_count + 1;
    a->found = arena_alloc(&w->scratch, a->wave * sizeof(*a->found));
    if (a->found == NULL) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    work_ask(w, &(struct work_step){.command = WIRE_READ,
                                    .count = a->wave,
                                    .ask = list_ask,
                                    .take = list_take,
                                    .then = lists_taken});
}

void read_accounts(struct work *w)
{
    struct store_op *op = w->op;
    struct accounts_at *a = &w->at.accounts;

    ASSERT(op->accounts.limit >= 1 && op->accounts.limit <= STORE_PAGE_MAX);
    *a = (struct accounts_at){.wave_next = 1, .candidate_max = op->accounts.limit + 1};
    if (op->accounts.status >= 0 && a->candidate_max < CANDIDATES_MIN) {
        a->candidate_max = CANDIDATES_MIN;
    }
    op->views = arena_alloc(&op->out, op->accounts.limit * sizeof(*op->views));
    op->views_metadata = arena_alloc(&op->out, op->accounts.limit * sizeof(*op->views_metadata));
    a->candidates = arena_alloc(&op->out, a->candidate_max * sizeof(*a->candidates));
    if (op->views == NULL || op->views_metadata == NULL || a->candidates == NULL) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    if (op->accounts.cursor.ptr != NULL &&
        (!place_read(PLACE_ACCOUNTS, store_accounts_binding(op), op->accounts.cursor, &a->next) ||
         a->next.bucket >= w->loop->shared->buckets || a->next.n > INT32_MAX)) {
        op->result.outcome = OUTCOME_INVALID_CURSOR;
        work_end(w, store_claim(op) ? STORE_DONE : STORE_UNAVAILABLE);
        return;
    }
    lists_ask(w);
}

/*
 * A page of one account's history. Its list has an element a movement, oldest first, with the movement's kind and time; new ones
 * are only ever put behind, so that an index is a place for ever, and a cursor. The steps:
 *   the account's hash - the list's length - with a bound in time: a search for where the page begins - chunks of the list,
 *   until the page is full - for each entry of the page, the journal at its time.
 * What is newer than the hash that was read first is left out: the page is of the moment of its balance.
 */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "store/redis/entry.h"
#include "store/redis/reads.h"
#include "store/redis/reply.h"

enum {
    PROBES = WORK_WINDOW - 1, /* of a search, at once */
    SEARCH_ENOUGH = 128,      /* so few that they are simply looked at */
    CHUNK_FILTERED = 1000,
    CHUNK_NEWER = 8, /* what may have come between two steps */
};

static const int64_t kind_unit = INT64_C(10000000000000000); /* an element: kind * 10^16 + µs */

static unsigned bucket_of(const struct work *w)
{
    return names_bucket(w->op->account_id, w->loop->shared->buckets);
}

static uint32_t binding_of(const struct store_op *op)
{
    const struct store_history_in *in = &op->history;
    uint8_t bytes[21];

    bytes_put_u64(bytes, (uint64_t)in->from_us);
    bytes_put_u64(bytes + 8, (uint64_t)in->to_us);
    bytes_put_u32(bytes + 16, in->kinds);
    bytes[20] = in->is_ascending;
    return crc32c_more(crc32c(bytes, sizeof(bytes)), op->account_id.ptr, op->account_id.len);
}

static void more_from(struct work *w, uint64_t n)
{
    w->op->has_more = true;
    w->op->next_cursor_len =
        place_write(PLACE_HISTORY, binding_of(w->op), (struct place){.n = n}, w->op->next_cursor);
    w->at.history.is_settled = true;
}

static enum err element_read(const struct redisReply *r, struct pick *out)
{
    int64_t number;
    enum err e = reply_i64(r, &number);

    if (e != ERR_OK || number < kind_unit || number / kind_unit >= RECORD_KIND_COUNT) {
        return ERR_CORRUPT;
    }
    *out = (struct pick){.time_us = number % kind_unit, .kind = (unsigned)(number / kind_unit)};
    return ERR_OK;
}

/* ---- the entries of the page ---- */

/*
 * Who is on the other side of a leg, where that is exactly one: legs are paired as the judge pairs them, first debit with first
 * credit, each as far as it goes.
 */
static struct slice counterparty_of(const struct entry *e, const struct entry_leg *me)
{
    int64_t left[LEDGER_LEGS_MAX];
    const struct entry_leg *other = NULL;
    unsigned from = 0, to = 0;

    for (unsigned i = 0; i < e->leg_count; i++) {
        left[i] = e->legs[i].delta;
    }
    for (;;) {
        int64_t amount;
        while (from < e->leg_count && left[from] >= 0) {
            from++;
        }
        while (to < e->leg_count && left[to] <= 0) {
            to++;
        }
        if (from == e->leg_count || to == e->leg_count) {
            break;
        }
        amount = -left[from] < left[to] ? -left[from] : left[to];
        left[from] += amount;
        left[to] -= amount;
        if (&e->legs[from] == me || &e->legs[to] == me) {
            const struct entry_leg *side = &e->legs[&e->legs[from] == me ? to : from];
            if (other != NULL && other != side) {
                return SLICE_NONE;
            }
            other = side;
        }
    }
    return other == NULL ? SLICE_NONE : other->account;
}

static enum err slice_keep(struct work *w, struct slice s, struct slice *out)
{
    return s.ptr == NULL ? ERR_OK : arena_copy(&w->op->out, s, out);
}

static enum err entry_fill(struct work *w, const struct entry *e, struct store_entry *out)
{
    const struct entry_leg *leg = entry_leg_of(e, w->op->account_id);
    enum err err;

    if (leg == NULL) {
        return ERR_CORRUPT;
    }
    *out = (struct store_entry){
        .time_us = e->time_us,
        .tag = e->lead,
        .seq = e->seq,
        .kind = e->kind,
        .amount = leg->delta,
        .balance = leg->balance,
    };
    err = slice_keep(w, counterparty_of(e, leg), &out->counterparty);
    if (err == ERR_OK) {
        err = slice_keep(w, e->reference, &out->reference);
    }
    return err == ERR_OK ? slice_keep(w, e->metadata, &out->metadata) : err;
}

static enum err entry_ask(struct work *w, unsigned i, struct buf *out)
{
    read_journal_ask(bucket_of(w), w->at.history.picks[i].time_us, out);
    return ERR_OK;
}

static enum err entry_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    const struct pick *pick = &w->at.history.picks[i];

    if (!reply_is_list(reply)) {
        return ERR_CORRUPT;
    }
    for (size_t k = 0; k < reply->elements; k++) {
        struct entry entry;
        enum err e = entry_read_element(reply->element[k], &w->scratch, &entry);
        if (e != ERR_OK) {
            return e;
        }
        if (entry.kind == (enum record_kind)pick->kind) {
            return entry_fill(w, &entry, &w->op->entries[i]);
        }
    }
    return ERR_CORRUPT;
}

static void end(struct work *w)
{
    work_end(w, STORE_DONE);
}

static void entries_ask(struct work *w)
{
    struct store_op *op = w->op;

    op->count = w->at.history.picked;
    if (op->count == 0) {
        end(w);
        return;
    }
    work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                    .count = op->count,
                                    .ask = entry_ask,
                                    .take = entry_take,
                                    .then = end});
}

/* ---- the list, a chunk at a time ---- */

/* One element of the list, number n: does it belong to the page? */
static void element_take(struct work *w, uint64_t n, const struct pick *element)
{
    const struct store_history_in *in = &w->op->history;
    struct history_at *h = &w->at.history;

    if (in->is_ascending ? element->time_us >= h->until_us : element->time_us < in->from_us) {
        h->is_settled = true;
        return;
    }
    if (in->is_ascending ? element->time_us < in->from_us : element->time_us >= h->until_us) {
        return; /* a search ends near its aim, not at it */
    }
    if (h->picked == in->limit || ++h->looked > STORE_HISTORY_LOOKED_MAX) {
        more_from(w, n);
        return;
    }
    if (in->kinds == 0 || (in->kinds & 1u << element->kind) != 0) {
        h->picks[h->picked++] = *element;
    }
}

static enum err chunk_ask(struct work *w, unsigned i, struct buf *out)
{
    const struct names_key key = names_history(bucket_of(w), w->op->account_id);

    (void)i;
    resp_begin(out, 4);
    resp_text(out, "LRANGE");
    resp_word(out, names_slice(&key));
    resp_i64(out, (int64_t)w->at.history.first);
    resp_i64(out, (int64_t)(w->at.history.first + w->at.history.chunk - 1));
    return ERR_OK;
}

static enum err chunk_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    struct history_at *h = &w->at.history;

    (void)i;
    if (!reply_is_list(reply) || reply->elements != h->chunk) {
        return ERR_CORRUPT;
    }
    for (unsigned k = 0; k < h->chunk && !h->is_settled; k++) {
        const unsigned at = w->op->history.is_ascending ? k : h->chunk - 1 - k;
        struct pick element;
        enum err e = element_read(reply->element[at], &element);
        if (e != ERR_OK) {
            return e;
        }
        element_take(w, h->first + at + 1, &element);
    }
    h->n = w->op->history.is_ascending ? h->first + h->chunk + 1 : h->first;
    return ERR_OK;
}

static void chunk_next(struct work *w)
{
    struct history_at *h = &w->at.history;
    const struct store_history_in *in = &w->op->history;
    const uint64_t left = h->n < 1 || h->n > h->count ? 0
                          : in->is_ascending          ? h->count - h->n + 1
                                                      : h->n;
    uint64_t wanted = in->kinds == 0 ? in->limit - h->picked + 1 + CHUNK_NEWER : CHUNK_FILTERED;

    if (h->is_settled || left == 0) {
        entries_ask(w);
        return;
    }
    wanted = wanted < left ? wanted : left;
    h->chunk = (unsigned)wanted;
    h->first = in->is_ascending ? h->n - 1 : h->n - wanted;
    work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                    .count = 1,
                                    .ask = chunk_ask,
                                    .take = chunk_take,
                                    .then = chunk_next});
}

/* ---- the search for a bound in time ---- */

static int64_t bound_of(const struct store_history_in *in)
{
    return in->is_ascending ? in->from_us : in->to_us;
}

/* The elements are probed at equal distances; probe i of low..high. */
static uint64_t probe_at(const struct history_at *h, unsigned i)
{
    return h->low + (h->high - h->low) / (PROBES + 1) * (i + 1);
}

static enum err probe_ask(struct work *w, unsigned i, struct buf *out)
{
    const struct names_key key = names_history(bucket_of(w), w->op->account_id);

    resp_begin(out, 3);
    resp_text(out, "LINDEX");
    resp_word(out, names_slice(&key));
    resp_i64(out, (int64_t)probe_at(&w->at.history, i));
    return ERR_OK;
}

static enum err probe_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    struct history_at *h = &w->at.history;
    const uint64_t at = probe_at(h, i);
    struct pick element;
    enum err e = element_read(reply, &element);

    if (e != ERR_OK) {
        return e;
    }
    if (element.time_us < bound_of(&w->op->history)) {
        h->low_next = at + 1 > h->low_next ? at + 1 : h->low_next;
    } else {
        h->high_next = at < h->high_next ? at : h->high_next;
    }
    return ERR_OK;
}

static void search(struct work *w);

static void search_on(struct work *w)
{
    struct history_at *h = &w->at.history;

    h->low = h->low_next;
    h->high = h->high_next;
    if (h->low > h->high) { /* times that fall: no list of ours */
        work_end_read(w, ERR_CORRUPT, w->op->account_id);
        return;
    }
    search(w);
}

static void search(struct work *w)
{
    struct history_at *h = &w->at.history;

    if (h->high - h->low > SEARCH_ENOUGH) {
        h->low_next = h->low;
        h->high_next = h->high;
        work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                        .count = PROBES,
                                        .ask = probe_ask,
                                        .take = probe_take,
                                        .then = search_on});
        return;
    }
    h->n = w->op->history.is_ascending ? h->low + 1 : h->high;
    chunk_next(w);
}

/* ---- the beginning ---- */

static enum err length_ask(struct work *w, unsigned i, struct buf *out)
{
    (void)i;
    read_length_ask(w, w->op->account_id, out);
    return ERR_OK;
}

static enum err length_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    (void)i;
    return reply_u64(reply, &w->at.history.count);
}

static void page_begin(struct work *w)
{
    struct store_op *op = w->op;
    const struct store_history_in *in = &op->history;
    struct history_at *h = &w->at.history;
    struct place at = {0};

    op->account.entries = h->count;
    h->until_us = op->account.updated_us + 1;
    if (in->to_us != 0 && in->to_us < h->until_us) {
        h->until_us = in->to_us;
    }
    if (in->cursor.ptr != NULL) {
        if (!place_read(PLACE_HISTORY, binding_of(op), in->cursor, &at) || at.bucket != 0 ||
            at.n == 0 || at.n > h->count) {
            op->result.outcome = OUTCOME_INVALID_CURSOR;
            end(w);
            return;
        }
        h->n = at.n;
        chunk_next(w);
        return;
    }
    if (bound_of(in) != 0) {
        h->high = h->count;
        search(w);
        return;
    }
    h->n = in->is_ascending ? 1 : h->count;
    chunk_next(w);
}

static enum err account_ask(struct work *w, unsigned i, struct buf *out)
{
    (void)i;
    read_view_ask(w, w->op->account_id, false, out);
    return ERR_OK;
}

static enum err account_take(struct work *w, unsigned i, const struct redisReply *reply)
{
    struct store_op *op = w->op;
    struct slice none;
    enum err e = read_view_take(reply, &op->account, &op->out, &none);

    (void)i;
    if (e == ERR_NOT_FOUND) {
        op->result.outcome = OUTCOME_ACCOUNT_NOT_FOUND;
        return ERR_OK;
    }
    op->account.id = op->account_id;
    op->result.currency = op->account.currency;
    op->result.exponent = op->account.exponent;
    op->result.seq = op->account.last_seq;
    op->result.bucket = bucket_of(w);
    return e;
}

static void account_known(struct work *w)
{
    struct store_op *op = w->op;

    if (op->result.outcome != OUTCOME_OK) {
        end(w);
        return;
    }
    op->entries = arena_alloc(&op->out, op->history.limit * sizeof(*op->entries));
    w->at.history.picks = arena_alloc(&w->scratch, op->history.limit * sizeof(*w->at.history.picks));
    if (op->entries == NULL || w->at.history.picks == NULL) {
        work_end(w, STORE_UNAVAILABLE);
        return;
    }
    work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                    .count = 1,
                                    .ask = length_ask,
                                    .take = length_take,
                                    .then = page_begin});
}

void read_history(struct work *w)
{
    ASSERT(w->op->history.limit >= 1 && w->op->history.limit <= STORE_PAGE_MAX);
    w->at.history = (struct history_at){0};
    work_ask(w, &(struct work_step){.command = WIRE_HISTORY,
                                    .count = 1,
                                    .ask = account_ask,
                                    .take = account_take,
                                    .then = account_known});
}

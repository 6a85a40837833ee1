/* One account: its hash, and the length of its history. The hash is of one moment; the length may be of one just after. */
#include "base/assert.h"
#include "money/currency.h"
#include "store/redis/reads.h"
#include "store/redis/reply.h"

enum { B, V, C, T, U, L, H, O, S, Q, M, FIELDS };

static const char *const fields[FIELDS] = {
    [B] = "b", [V] = "v", [C] = "c", [T] = "t", [U] = "u", [L] = "l",
    [H] = "h", [O] = "o", [S] = "s", [Q] = "q", [M] = "m"};

static unsigned bucket_of(const struct work *w, struct slice id)
{
    return names_bucket(id, w->loop->shared->buckets);
}

void read_view_ask(const struct work *w, struct slice id, bool wants_metadata, struct buf *out)
{
    const struct names_key key = names_account(bucket_of(w, id), id);
    const unsigned count = wants_metadata ? FIELDS : M;

    resp_begin(out, count + 2);
    resp_text(out, "HMGET");
    resp_word(out, names_slice(&key));
    for (unsigned i = 0; i < count; i++) {
        resp_text(out, fields[i]);
    }
}

void read_length_ask(const struct work *w, struct slice id, struct buf *out)
{
    const struct names_key key = names_history(bucket_of(w, id), id);

    resp_begin(out, 2);
    resp_text(out, "LLEN");
    resp_word(out, names_slice(&key));
}

/* "CNY 2" */
static enum err currency_take(const struct redisReply *r, struct account_view *view)
{
    struct slice text;

    if (!reply_is_text(r)) {
        return ERR_CORRUPT;
    }
    text = reply_text(r);
    if (text.len != 5 || text.ptr[3] != ' ' || text.ptr[4] < '0' || text.ptr[4] > '9' ||
        currency_parse(slice_make(text.ptr, 3), &view->currency) != ERR_OK) {
        return ERR_CORRUPT;
    }
    view->exponent = (unsigned)(text.ptr[4] - '0');
    return ERR_OK;
}

static enum err number_take(const struct redisReply *r, bool is_needed, int64_t *out)
{
    if (r->type == REDIS_REPLY_NIL) {
        *out = 0;
        return is_needed ? ERR_CORRUPT : ERR_OK;
    }
    return reply_i64(r, out);
}

static enum err numbers_take(struct redisReply *const *e, struct account_view *view)
{
    int64_t version = 0, last = 0, status = 0, metadata = 0;
    const struct {
        unsigned field;
        bool is_needed;
        int64_t *out;
    } all[] = {
        {B, true, &view->balance},    {V, true, &version}, {T, true, &view->created_us},
        {U, true, &view->updated_us}, {L, false, &last},   {H, false, &view->held},
        {O, false, &view->overdraft}, {S, false, &status}, {Q, false, &metadata},
    };

    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        enum err err = number_take(e[all[i].field], all[i].is_needed, all[i].out);
        if (err != ERR_OK) {
            return err;
        }
    }
    if (version < 1 || last < 0 || metadata < 0 || status < 0 || status >= ACCOUNT_STATUS_COUNT) {
        return ERR_CORRUPT;
    }
    view->version = (uint64_t)version;
    view->last_seq = (uint64_t)last;
    view->metadata_seq = (uint64_t)metadata;
    view->status = (enum account_status)status;
    return ERR_OK;
}

enum err read_view_take(const struct redisReply *reply, struct account_view *view, struct arena *a,
                        struct slice *metadata)
{
    struct redisReply *const *e = reply->element;
    enum err err;

    if (!reply_is_list(reply) || (reply->elements != FIELDS && reply->elements != M)) {
        return ERR_CORRUPT;
    }
    if (e[B]->type == REDIS_REPLY_NIL && e[V]->type == REDIS_REPLY_NIL) {
        return ERR_NOT_FOUND;
    }
    err = numbers_take(e, view);
    if (err == ERR_OK) {
        err = currency_take(e[C], view);
    }
    if (err != ERR_OK || reply->elements != FIELDS || e[M]->type == REDIS_REPLY_NIL) {
        return err;
    }
    return reply_is_text(e[M]) ? arena_copy(a, reply_text(e[M]), metadata) : ERR_CORRUPT;
}

static enum err ask(struct work *w, unsigned i, struct buf *out)
{
    if (i == 0) {
        read_view_ask(w, w->op->account_id, w->op->wants_metadata, out);
    } else {
        read_length_ask(w, w->op->account_id, out);
    }
    return ERR_OK;
}

static enum err take(struct work *w, unsigned i, const struct redisReply *reply)
{
    struct store_op *op = w->op;
    enum err e;

    if (i == 1) {
        return reply_u64(reply, &op->account.entries);
    }
    e = read_view_take(reply, &op->account, &op->out, &op->account_metadata);
    if (e == ERR_NOT_FOUND) {
        op->result.outcome = OUTCOME_ACCOUNT_NOT_FOUND;
        return ERR_OK;
    }
    op->account.id = op->account_id;
    op->result.currency = op->account.currency;
    op->result.exponent = op->account.exponent;
    op->result.seq = op->account.last_seq;
    op->result.bucket = bucket_of(w, op->account_id);
    return e;
}

static void end(struct work *w)
{
    work_end(w, STORE_DONE);
}

void read_account(struct work *w)
{
    work_ask(w, &(struct work_step){
                    .command = WIRE_READ, .count = 2, .ask = ask, .take = take, .then = end});
}

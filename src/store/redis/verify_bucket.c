/*
 * What the server has for one bucket, compared with its fold. Accounts are asked for together with the journal's end, in one
 * step of the server; the fold then follows the journal up to there, so a bucket that moves on is compared as well.
 */
#include <stdio.h>

#include "base/assert.h"
#include "store/redis/answer.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"
#include "store/redis/verify_internal.h"

enum {
    STEP_ACCOUNTS = 128,    /* accounts asked for in one step */
    LIST_PAGE = 4096,       /* elements of a list at once */
    STEP_HEAD = 2,          /* what stands before the accounts: w:m, and how long w:o is */
    ANSWERS_AN_ACCOUNT = 2, /* its hash, its history's length */
};

static enum err bad(struct verifier *v, struct names_key key, const char *what)
{
    return offline_bad(v->o, SLICE_FORMAT ": %s", SLICE_ARGS(names_slice(&key)), what);
}

static struct slice id_of(const struct fold_account *a)
{
    return slice_make(a->id, a->id_len);
}

static void ask(struct buf *out, const char *verb, const struct names_key *key)
{
    resp_begin(out, 2);
    resp_text(out, verb);
    resp_word(out, names_slice(key));
}

/* ---- marks ---- */

/* Follow the journal to where it ended when the accounts were read. */
static enum err catch_up(struct verifier *v, struct scroll *scroll, uint64_t seq)
{
    enum err e = ERR_OK;

    scroll->stop = seq > scroll->stop ? seq : scroll->stop;
    while (e == ERR_OK) {
        struct entry entry;
        arena_reset(&v->arena);
        e = scroll_next(scroll, &v->arena, &entry);
        if (e == ERR_OK) {
            e = fold_take(v, &entry);
        }
    }
    return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err mark_check(struct verifier *v, struct names_key key, struct slice name,
                           const redisReply *value, unsigned *worlds)
{
    const struct fold *f = &v->fold;
    int64_t number = 0;

    if (reply_i64(value, &number) != ERR_OK) {
        return bad(v, key, "a field is no number");
    }
    if (slice_equal(name, SLICE("s"))) {
        return (uint64_t)number == f->seq ? ERR_OK
                                          : bad(v, key, "s is not the journal's last number");
    }
    if (slice_equal(name, SLICE("t"))) {
        return number == f->time_us || (v->o->is_moved && number > f->time_us)
                   ? ERR_OK
                   : bad(v, key, "t is not the journal's last time");
    }
    if (name.len == 4 && name.ptr[0] == 'w') {
        for (unsigned i = 0; i < f->world_count; i++) {
            char letters[3];
            currency_text((struct currency){f->worlds[i].currency}, letters);
            if (memcmp(letters, name.ptr + 1, sizeof(letters)) == 0) {
                (*worlds)++;
                return number == f->worlds[i].balance
                           ? ERR_OK
                           : bad(v, key, "@world is not the sum of its legs");
            }
        }
    }
    if (slice_equal(name, SLICE("r")) && v->o->marks.is_importing) {
        return ERR_OK;
    }
    return bad(v, key, "it has a field that belongs to nobody");
}

static enum err marks_check(struct verifier *v, const redisReply *r)
{
    const struct names_key key = names_bucket_meta(v->fold.bucket);
    unsigned worlds = 0;
    enum err e = ERR_OK;

    if (r->type != REDIS_REPLY_ARRAY || r->elements % 2 != 0) {
        return bad(v, key, "it is no hash");
    }
    for (size_t i = 0; e == ERR_OK && i < r->elements; i += 2) {
        e = mark_check(v, key, answer_text(r->element[i]), r->element[i + 1], &worlds);
    }
    return e == ERR_OK && worlds != v->fold.world_count ? bad(v, key, "an @world is missing") : e;
}

/* s of w:m among its fields. */
static enum err seq_read(struct verifier *v, const redisReply *r, uint64_t *seq)
{
    *seq = 0;
    for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2) {
        if (slice_equal(answer_text(r->element[i]), SLICE("s"))) {
            return reply_u64(r->element[i + 1], seq) == ERR_OK
                       ? ERR_OK
                       : bad(v, names_bucket_meta(v->fold.bucket), "s is no number");
        }
    }
    return ERR_OK;
}

/* ---- accounts ---- */

static bool is_number(const redisReply *value, int64_t wanted)
{
    int64_t number = 0;

    return reply_i64(value, &number) == ERR_OK && number == wanted;
}

/* Is this field what the fold says? One that would be 0 or empty is not there. */
static bool field_is_right(const struct verifier *v, const struct fold_account *a, char name,
                           const redisReply *value)
{
    char currency[8];

    switch (name) {
    case 'b':
        return is_number(value, a->balance);
    case 'v':
        return is_number(value, (int64_t)a->version);
    case 'c':
        currency_text((struct currency){a->currency}, currency);
        (void)snprintf(currency + 3, sizeof(currency) - 3, " %u", (unsigned)a->exponent);
        return slice_equal(answer_text(value), slice_of(currency));
    case 't':
        return is_number(value, a->created_us);
    case 'u':
        return is_number(value, a->updated_us);
    case 'l':
        return a->last_seq != 0 && is_number(value, (int64_t)a->last_seq);
    case 'h':
        return a->held != 0 && is_number(value, a->held);
    case 'o':
        return a->overdraft != 0 && is_number(value, a->overdraft);
    case 'q':
        return a->metadata_seq != 0 && is_number(value, (int64_t)a->metadata_seq);
    case 'm':
        return a->metadata_seq != 0 && value->type == REDIS_REPLY_STRING &&
               hash_bytes(&v->keys[0], answer_text(value)) == a->metadata_hash;
    default:
        return false; /* s: no entry of a journal ever changed a status */
    }
}

static enum err account_check(struct verifier *v, const struct fold_account *a, const redisReply *r,
                              const redisReply *length)
{
    const struct names_key key = names_account(v->fold.bucket, id_of(a));
    const size_t fields =
        5u + (a->last_seq != 0) + (a->held != 0) + (a->overdraft != 0) + 2u * (a->metadata_seq != 0);

    if (r->type != REDIS_REPLY_ARRAY) {
        return bad(v, key, "it is no account");
    }
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        const struct slice name = answer_text(r->element[i]);
        if (name.len != 1 || !field_is_right(v, a, name.ptr[0], r->element[i + 1])) {
            char what[64];
            (void)snprintf(what, sizeof(what), "%.8s is not what its journal makes of it",
                           name.len == 0 ? "a field" : name.ptr);
            return bad(v, key, what);
        }
    }
    if (r->elements != 2 * fields) {
        return bad(v, key, r->elements == 0 ? "the account is missing" : "a field is missing");
    }
    if (!is_number(length, (int64_t)a->entries)) {
        return bad(v, names_history(v->fold.bucket, id_of(a)),
                   "the history has not as many elements as the account has movements");
    }
    return ERR_OK;
}

/* ---- lists ---- */

static void page_ask(struct verifier *v, const struct names_key *key, uint64_t first, uint64_t last)
{
    struct buf *out = &v->o->out;

    resp_begin(out, 4);
    resp_text(out, "LRANGE");
    resp_word(out, names_slice(key));
    resp_i64(out, (int64_t)first);
    resp_i64(out, (int64_t)last);
}

/* A page of `count` elements, chained behind *hash. */
static enum err page_take(struct verifier *v, const struct names_key *key, uint64_t count,
                          uint64_t *hash)
{
    redisReply *r = NULL;
    enum err e = offline_next(v->o, &r);

    if (e != ERR_OK) {
        return e;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements != count) {
        e = bad(v, *key, "elements are missing");
    }
    for (size_t i = 0; e == ERR_OK && i < r->elements; i++) {
        const struct slice element = answer_text(r->element[i]);
        if (element.len == 0 || element.len > LEDGER_ACCOUNT_ID_BYTES_MAX) {
            e = bad(v, *key, "an element is none of ours");
        } else {
            *hash = fold_chain(v, *hash, element);
        }
    }
    sync_free(r);
    return e;
}

/* The chained hash of a list's first `count` elements. */
static enum err list_hash(struct verifier *v, const struct names_key *key, uint64_t count,
                          uint64_t *hash)
{
    enum err e = ERR_OK;

    *hash = 0;
    for (uint64_t at = 0; e == ERR_OK && at < count; at += LIST_PAGE) {
        const uint64_t page = count - at < LIST_PAGE ? count - at : LIST_PAGE;
        page_ask(v, key, at, at + page - 1);
        e = offline_flush(v->o);
        if (e == ERR_OK) {
            e = page_take(v, key, page, hash);
        }
    }
    return e;
}

/* The histories of some accounts: the short ones are asked for together. */
static enum err histories_check(struct verifier *v, const struct fold_account *accounts,
                                unsigned count)
{
    enum err e;

    for (unsigned i = 0; i < count; i++) {
        const struct names_key key = names_history(v->fold.bucket, id_of(&accounts[i]));
        if (accounts[i].entries > 0 && accounts[i].entries <= LIST_PAGE) {
            page_ask(v, &key, 0, accounts[i].entries - 1);
        }
    }
    e = offline_flush(v->o);
    for (unsigned pass = 0; pass < 2; pass++) { /* the answers on their way, then the long ones */
        for (unsigned i = 0; e == ERR_OK && i < count; i++) {
            const struct names_key key = names_history(v->fold.bucket, id_of(&accounts[i]));
            uint64_t hash = 0;
            if (accounts[i].entries == 0 || (accounts[i].entries > LIST_PAGE) != (pass == 1)) {
                continue;
            }
            e = pass == 0 ? page_take(v, &key, accounts[i].entries, &hash)
                          : list_hash(v, &key, accounts[i].entries, &hash);
            if (e == ERR_OK && hash != accounts[i].history_hash) {
                e = bad(v, key, "the history is not that of the account's movements");
            }
        }
    }
    return e;
}

static enum err opened_check(struct verifier *v)
{
    const struct names_key key = names_opened(v->fold.bucket);
    const uint64_t wanted = v->fold.opened_hash;
    uint64_t hash;
    enum err e = list_hash(v, &key, v->fold.account_count, &hash);

    return e == ERR_OK && hash != wanted
               ? bad(v, key, "it is not the accounts in the order they were opened")
               : e;
}

/* ---- all of it ---- */

/* Ask for accounts [from, from + count) and the bucket's marks, as they are together. */
static enum err step_ask(struct verifier *v, uint64_t from, unsigned count, redisReply **out)
{
    const struct fold *f = &v->fold;
    const struct names_key meta = names_bucket_meta(f->bucket);
    const struct names_key opened = names_opened(f->bucket);

    ask(&v->o->out, "HGETALL", &meta);
    ask(&v->o->out, "LLEN", &opened);
    for (uint64_t i = from; i < from + count; i++) {
        const struct names_key hash = names_account(f->bucket, id_of(&f->accounts[i]));
        const struct names_key list = names_history(f->bucket, id_of(&f->accounts[i]));
        ask(&v->o->out, "HGETALL", &hash);
        ask(&v->o->out, "LLEN", &list);
    }
    return offline_step(v->o, STEP_HEAD + count * ANSWERS_AN_ACCOUNT, out);
}

static enum err step_check(struct verifier *v, struct scroll *scroll, uint64_t from, unsigned count)
{
    redisReply *r = NULL;
    uint64_t seq = 0;
    enum err e = step_ask(v, from, count, &r);

    if (e != ERR_OK) {
        return e;
    }
    e = seq_read(v, r->element[0], &seq);
    if (e == ERR_OK && seq < v->fold.seq) {
        e = bad(v, names_bucket_meta(v->fold.bucket), "the journal has become shorter meanwhile");
    }
    if (e == ERR_OK) {
        e = catch_up(v, scroll, seq);
    }
    if (e == ERR_OK) {
        e = marks_check(v, r->element[0]);
    }
    if (e == ERR_OK && !is_number(r->element[1], (int64_t)v->fold.account_count)) {
        e = bad(v, names_opened(v->fold.bucket), "it has not as many accounts as were opened");
    }
    for (unsigned i = 0; e == ERR_OK && i < count; i++) {
        e = account_check(v, &v->fold.accounts[from + i],
                          r->element[STEP_HEAD + ANSWERS_AN_ACCOUNT * i],
                          r->element[STEP_HEAD + ANSWERS_AN_ACCOUNT * i + 1]);
    }
    sync_free(r);
    return e == ERR_OK && count > 0 ? histories_check(v, &v->fold.accounts[from], count) : e;
}

/* The journal has as many entries as it says: none is behind its last number. */
static enum err length_check(struct verifier *v)
{
    const struct names_key journal = names_journal(v->fold.bucket);
    const struct names_key meta = names_bucket_meta(v->fold.bucket);
    struct offline *o = v->o;
    redisReply *r = NULL;
    uint64_t seq = 0, length = 0;
    enum err e;

    resp_begin(&o->out, 3);
    resp_text(&o->out, "HGET");
    resp_word(&o->out, names_slice(&meta));
    resp_text(&o->out, "s");
    ask(&o->out, "XLEN", &journal);
    e = offline_step(o, 2, &r);
    if (e != ERR_OK) {
        return e;
    }
    if (r->element[0]->type != REDIS_REPLY_NIL && reply_u64(r->element[0], &seq) != ERR_OK) {
        e = bad(v, meta, "s is no number");
    } else if (reply_u64(r->element[1], &length) != ERR_OK) {
        e = bad(v, journal, "it is no journal");
    } else if (length != seq) {
        e = bad(v, journal,
                length > seq ? "there are entries behind its last number" : "entries are missing");
    }
    sync_free(r);
    return e;
}

enum err verify_bucket_keys(struct verifier *v, struct scroll *scroll)
{
    uint64_t from = 0;
    enum err e;

    do { /* at least once: for the marks */
        const uint64_t left = v->fold.account_count - from;
        const unsigned count = left < STEP_ACCOUNTS ? (unsigned)left : STEP_ACCOUNTS;
        e = step_check(v, scroll, from, count);
        from += count;
    } while (e == ERR_OK && from < v->fold.account_count);
    if (e == ERR_OK) {
        e = opened_check(v);
    }
    return e == ERR_OK ? length_check(v) : e;
}

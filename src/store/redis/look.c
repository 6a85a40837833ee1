#include "store/redis/look.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "store/redis/answer.h"
#include "store/redis/names.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"

/* The next reply, or why there is none. */
static enum err next(struct sync *s, redisReply **out, struct err_text *why)
{
    const enum err e = sync_next(s, out);

    if (e != ERR_OK) {
        err_text_set(why, "the server does not answer: %s", err_name(e));
    }
    return e;
}

static enum err info_take(redisReply *r, struct check_facts *facts, struct err_text *why)
{
    const struct slice text = answer_text(r);

    if (r->type != REDIS_REPLY_STRING || check_info(facts, text) != ERR_OK) {
        answer_say(r, "INFO", why);
        return ERR_INVALID;
    }
    return ERR_OK;
}

static void config_take(const redisReply *r, struct check_facts *facts)
{
    if (r->type != REDIS_REPLY_ARRAY) {
        return; /* forbidden, or renamed away */
    }
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        check_config(facts, answer_text(r->element[i]), answer_text(r->element[i + 1]));
    }
}

static enum err time_take(const redisReply *r, int64_t *us, struct err_text *why)
{
    uint64_t s = 0, rest = 0;

    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || reply_u64(r->element[0], &s) != ERR_OK ||
        s > INT64_MAX / 2000000 || reply_u64(r->element[1], &rest) != ERR_OK || rest > 999999) {
        answer_say(r, "TIME", why);
        return ERR_INVALID;
    }
    *us = (int64_t)(s * 1000000 + rest);
    return ERR_OK;
}

static enum err time_look(struct sync *s, int64_t *clock_offset_us, uint64_t *trip_us,
                          struct err_text *why)
{
    const uint64_t mono_us = clock_mono_us();
    const int64_t wall_us = clock_wall_us();
    redisReply *r = NULL;
    int64_t theirs_us = 0;
    enum err e = sync_say(s, &r, "TIME");

    if (e != ERR_OK) {
        err_text_set(why, "the server does not answer: %s", err_name(e));
        return e;
    }
    *trip_us = clock_mono_us() - mono_us;
    e = time_take(r, &theirs_us, why);
    if (e == ERR_OK) {
        *clock_offset_us = theirs_us - wall_us - (int64_t)(*trip_us / 2);
    }
    sync_free(r);
    return e;
}

enum err look_facts(struct sync *s, struct check_facts *facts, int64_t *clock_offset_us,
                    uint64_t *trip_us, struct err_text *why)
{
    const struct slice info[] = {SLICE("INFO")};
    const struct slice config[] = {SLICE("CONFIG"),
                                   SLICE("GET"),
                                   SLICE("appendfsync"),
                                   SLICE("no-appendfsync-on-rewrite"),
                                   SLICE("min-replicas-to-write"),
                                   SLICE("save"),
                                   SLICE("stop-writes-on-bgsave-error"),
                                   SLICE("busy-reply-threshold"),
                                   SLICE("timeout")};
    redisReply *r = NULL;
    enum err e = sync_send(s, ARRAY_LEN(info), info);

    *facts = (struct check_facts){.version = ""};
    if (e == ERR_OK) {
        e = sync_send(s, ARRAY_LEN(config), config);
    }
    if (e != ERR_OK) {
        err_text_set(why, "the server takes no command: %s", err_name(e));
        return e;
    }
    e = next(s, &r, why);
    if (e != ERR_OK) {
        return e;
    }
    e = info_take(r, facts, why);
    sync_free(r);
    r = NULL;
    if (e == ERR_OK) {
        e = next(s, &r, why);
    }
    if (e != ERR_OK) {
        return e;
    }
    config_take(r, facts);
    sync_free(r);
    if (facts->role == CHECK_NO_ROLE) { /* a sentinel: it is refused anyway, and knows no TIME */
        *clock_offset_us = 0;
        *trip_us = 0;
        return ERR_OK;
    }
    return time_look(s, clock_offset_us, trip_us, why);
}

static enum err marks_take(const redisReply *r, struct look_marks *out, struct err_text *why)
{
    for (size_t i = 0; i + 1 < r->elements; i += 2) {
        const struct slice name = answer_text(r->element[i]);
        const struct slice value = answer_text(r->element[i + 1]);
        uint64_t number = 0;
        if (slice_equal(name, SLICE("epoch")) && value.len == LOOK_EPOCH_BYTES) {
            memcpy(out->epoch, value.ptr, value.len);
        } else if (slice_equal(name, SLICE("format")) && slice_equal(value, SLICE("importing"))) {
            out->is_importing = true;
        } else if (slice_equal(name, SLICE("format")) || slice_equal(name, SLICE("buckets"))) {
            if (reply_u64(r->element[i + 1], &number) != ERR_OK || number == 0 ||
                number > UINT16_MAX) {
                err_text_set(why, "w:meta holds a " SLICE_FORMAT " that is none of ours",
                             SLICE_ARGS(name));
                return ERR_UNSUPPORTED;
            }
            *(name.ptr[0] == 'f' ? &out->format : &out->buckets) = (unsigned)number;
        }
    }
    return ERR_OK;
}

enum err look_marks(struct sync *s, struct look_marks *out, struct err_text *why)
{
    redisReply *r = NULL;
    enum err e = sync_say(s, &r, "HGETALL w:meta");

    if (e != ERR_OK) {
        err_text_set(why, "the server does not answer: %s", err_name(e));
        return e;
    }
    *out = (struct look_marks){.epoch = ""};
    if (r->type == REDIS_REPLY_ARRAY) {
        e = marks_take(r, out, why);
    } else {
        e = answer_is_error(r, SLICE("WRONGTYPE")) ? ERR_UNSUPPORTED : ERR_INVALID;
        answer_say(r, "w:meta", why);
    }
    sync_free(r);
    return e;
}

/* A value that is no number, or none, is a journal at its beginning. */
static enum err journal_take(struct sync *s, uint64_t *seq, struct err_text *why)
{
    uint64_t number = 0;
    redisReply *r = NULL;
    enum err e = next(s, &r, why);

    if (e != ERR_OK) {
        return e;
    }
    if (r->type == REDIS_REPLY_ERROR && !answer_is_error(r, SLICE("WRONGTYPE"))) {
        answer_say(r, "HGET of a journal's mark", why);
        e = ERR_INVALID;
    } else if (reply_u64(r, &number) != ERR_OK) {
        number = 0;
    }
    sync_free(r);
    *seq = number;
    return e;
}

/* One batch: [*bucket, …) up to LOOK_JOURNALS_MAX journals of which something is known. */
static enum err journals_look(struct sync *s, const struct redis_shared *shared, unsigned *bucket,
                              struct look_loss *loss, struct err_text *why)
{
    struct {
        unsigned bucket;
        uint64_t seq;
    } known[LOOK_JOURNALS_MAX];
    unsigned count = 0;

    for (; *bucket < shared->buckets && count < LOOK_JOURNALS_MAX; (*bucket)++) {
        /* read before it is asked for: what a lane sees meanwhile is only more */
        const uint64_t seq = atomic_load_explicit(&shared->high_water[*bucket], memory_order_acquire);
        if (seq > 0) {
            const struct names_key key = names_bucket_meta(*bucket);
            const struct slice words[] = {SLICE("HGET"), names_slice(&key), SLICE("s")};
            const enum err e = sync_send(s, ARRAY_LEN(words), words);
            if (e != ERR_OK) {
                err_text_set(why, "the server takes no command: %s", err_name(e));
                return e;
            }
            known[count].bucket = *bucket;
            known[count++].seq = seq;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        uint64_t found = 0;
        const enum err e = journal_take(s, &found, why);
        if (e != ERR_OK) {
            return e;
        }
        if (found < known[i].seq && loss->known == 0) {
            *loss = (struct look_loss){known[i].bucket, known[i].seq, found};
        }
    }
    return ERR_OK;
}

enum err look_journals(struct sync *s, const struct redis_shared *shared, struct look_loss *loss,
                       struct err_text *why)
{
    unsigned bucket = 0;

    *loss = (struct look_loss){0, 0, 0};
    while (bucket < shared->buckets) {
        const enum err e = journals_look(s, shared, &bucket, loss, why);
        if (e != ERR_OK) {
            return e;
        }
    }
    return ERR_OK;
}

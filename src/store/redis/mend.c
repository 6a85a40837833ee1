#include "store/redis/mend.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/prng.h"
#include "log/log.h"
#include "store/redis/answer.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/sync.h"

enum { SCAN_COUNT = 1000 };

static enum err silent(enum err e, struct err_text *why)
{
    err_text_set(why, "the server does not answer: %s", err_name(e));
    return e;
}

/* ---- the library ---- */

enum library_state { LIBRARY_SAME, LIBRARY_OTHER, LIBRARY_MISSING };

static enum err library_look(struct sync *s, enum library_state *out, struct err_text *why)
{
    redisReply *r = NULL;
    enum err e = sync_say(s, &r, "FCALL_RO " LIBRARY_NAME "_hash 0");

    if (e != ERR_OK) {
        return silent(e, why);
    }
    if (answer_is_error(r, SLICE("ERR Function not found"))) {
        *out = LIBRARY_MISSING;
    } else if (answer_is_error(r, SLICE("NOPERM"))) {
        answer_say(r, "FCALL_RO", why);
        e = ERR_INVALID;
    } else if (r->type == REDIS_REPLY_ERROR &&
               (answer_is_error(r, SLICE("LOADING")) || answer_is_error(r, SLICE("BUSY")) ||
                answer_is_error(r, SLICE("MASTERDOWN")) || answer_is_error(r, SLICE("NOAUTH")))) {
        answer_say(r, "FCALL_RO", why);
        e = ERR_INVALID;
    } else {
        *out = slice_equal(answer_text(r), library_hash()) ? LIBRARY_SAME : LIBRARY_OTHER;
    }
    sync_free(r);
    return e;
}

static enum err library_load(struct sync *s, struct err_text *why)
{
    const struct slice words[] = {SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"),
                                  library_source()};
    redisReply *r = NULL;
    enum err e = sync_call(s, ARRAY_LEN(words), words, &r);

    if (e != ERR_OK) {
        return silent(e, why);
    }
    if (r->type == REDIS_REPLY_ERROR) {
        answer_say(r, "loading the functions (FUNCTION LOAD)", why);
        e = ERR_INVALID;
    }
    sync_free(r);
    return e;
}

enum err mend_library(struct sync *s, bool may_load, enum mend_need need, bool *is_loaded,
                      struct err_text *why)
{
    enum library_state state = LIBRARY_MISSING;
    enum err e = library_look(s, &state, why);

    *is_loaded = false;
    if (e != ERR_OK || state == LIBRARY_SAME || (state == LIBRARY_OTHER && need == MEND_SOME)) {
        return e;
    }
    if (!may_load) {
        err_text_set(why,
                     "the function library %s is %s on the server, and loading it is switched "
                     "off: start once with --redis-load-functions=true and a user who may "
                     "FUNCTION LOAD",
                     LIBRARY_NAME, state == LIBRARY_MISSING ? "missing" : "another");
        return ERR_INVALID;
    }
    e = library_load(s, why);
    if (e != ERR_OK) {
        return e;
    }
    *is_loaded = true;
    e = library_look(s, &state, why);
    if (e == ERR_OK && (state == LIBRARY_MISSING || (state == LIBRARY_OTHER && need == MEND_SAME))) {
        err_text_set(why, "the function library was loaded, and is not there: does another version "
                          "of this program start at the same time?");
        return ERR_INVALID;
    }
    return e;
}

/* ['DENIED', command, why]: a command that a function may not use. */
static enum err selftest_judge(const redisReply *r, struct err_text *why)
{
    if (answer_is_error(r, SLICE("OOM"))) {
        answer_say(r, "the functions' self-test", why);
        return ERR_DISK_FULL;
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements >= 1 &&
        slice_equal(answer_text(r->element[0]), SLICE("OK"))) {
        return ERR_OK;
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 3) {
        err_text_set(why,
                     "the user may not do all that the functions do: " SLICE_FORMAT
                     " (" SLICE_FORMAT "): give it the right (ACL SETUSER)",
                     SLICE_ARGS(answer_text(r->element[1])), SLICE_ARGS(answer_text(r->element[2])));
    } else {
        answer_say(r, "the functions' self-test", why);
    }
    return ERR_INVALID;
}

/* What lanes send beside calls and reads, and no function may: denied, no lane would ever open, or no write be answered. */
static enum err lanes_selftest(struct sync *s, struct err_text *why)
{
    static const char *const commands[] = {"ROLE", "PING", "WAIT 0 1"};
    enum err e = ERR_OK;

    for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(commands); i++) {
        redisReply *r = NULL;
        e = sync_say(s, &r, commands[i]);
        if (e != ERR_OK) {
            return silent(e, why);
        }
        if (answer_is_error(r, SLICE("NOPERM"))) {
            answer_say(r, commands[i], why);
            e = ERR_INVALID;
        }
        sync_free(r);
    }
    return e;
}

enum err mend_selftest(struct sync *s, struct err_text *why)
{
    redisReply *r = NULL;
    enum err e = sync_say(s, &r, "FCALL " LIBRARY_NAME "_selftest 1 w:t:{0}:");

    if (e != ERR_OK) {
        return silent(e, why);
    }
    e = selftest_judge(r, why);
    sync_free(r);
    return e == ERR_OK ? lanes_selftest(s, why) : e;
}

/* ---- what a restart brings back ---- */

enum err mend_replay(struct sync *s, bool *is_known, struct err_text *why)
{
    /* what the functions and an import write, as the file has it */
    static const char *const written[] = {
        "DEL w:t",     "HDEL w:t x",       "HSET w:t x 1",     "PEXPIREAT w:t 1",
        "RPUSH w:t x", "SET w:t x PXAT 1", "XADD w:t 1-1 x 1",
    };
    enum err e = ERR_OK;

    *is_known = true;
    for (size_t i = 0; e == ERR_OK && *is_known && i < ARRAY_LEN(written); i++) {
        char words[64];
        redisReply *r = NULL;
        (void)snprintf(words, sizeof(words), "ACL DRYRUN default %s", written[i]);
        e = sync_say(s, &r, words);
        if (e != ERR_OK) {
            return silent(e, why);
        }
        if (answer_is_error(r, SLICE("NOPERM")) || answer_is_error(r, SLICE("ERR"))) {
            *is_known = false; /* no right to ask, or a server that knows no such question */
        } else if (r->type == REDIS_REPLY_ERROR) { /* BUSY, LOADING: the next look asks again */
            err_text_set(why, "ACL DRYRUN: " SLICE_FORMAT, SLICE_ARGS(answer_text(r)));
            e = ERR_IO;
        } else if (!slice_equal(answer_text(r), SLICE("OK"))) {
            /* the advice first: a line of the log may cut the rest */
            err_text_set(why,
                         MEND_REPLAY_ADVICE
                         ": Redis loads its append-only file as that user, and would leave postings "
                         "out (" SLICE_FORMAT ")",
                         SLICE_ARGS(answer_text(r)));
            e = ERR_INVALID;
        }
        sync_free(r);
    }
    return e;
}

void mend_replay_warn(void)
{
    log_event(LOG_WARN, "store.redis.warning", log_text("setting", "acl"),
              log_text("text", "whether the user default may replay the append-only file "
                               "cannot be asked: give the right +acl|dryrun"));
}

/* ---- the ledger's marks ---- */

static enum err page_scan(struct sync *s, char cursor[32], bool *has_key, struct err_text *why)
{
    char count[16];
    const int count_len = snprintf(count, sizeof(count), "%d", SCAN_COUNT);
    const struct slice words[] = {SLICE("SCAN"),  slice_of(cursor),
                                  SLICE("MATCH"), SLICE("w:*"),
                                  SLICE("COUNT"), slice_make(count, (size_t)count_len)};
    redisReply *r = NULL;
    enum err e = sync_call(s, ARRAY_LEN(words), words, &r);

    if (e != ERR_OK) {
        return silent(e, why);
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 && answer_text(r->element[0]).len > 0 &&
        answer_text(r->element[0]).len < 32 && r->element[1]->type == REDIS_REPLY_ARRAY) {
        const struct slice next = answer_text(r->element[0]);
        memcpy(cursor, next.ptr, next.len);
        cursor[next.len] = '\0';
        for (size_t i = 0; i < r->element[1]->elements; i++) {
            *has_key = *has_key || names_is_ledgers(answer_text(r->element[1]->element[i]));
        }
    } else {
        answer_say(r, "SCAN", why);
        e = ERR_INVALID;
    }
    sync_free(r);
    return e;
}

/* Is there anything of a ledger besides its marks? */
static enum err ledger_look(struct sync *s, bool *has_key, struct err_text *why)
{
    char cursor[32] = "0";
    enum err e;

    *has_key = false;
    do {
        e = page_scan(s, cursor, has_key, why);
    } while (e == ERR_OK && !*has_key && strcmp(cursor, "0") != 0);
    return e;
}

static enum err mark_set(struct sync *s, struct slice field, struct slice value, struct err_text *why)
{
    const struct slice words[] = {SLICE("HSETNX"), NAMES_META, field, value};
    redisReply *r = NULL;
    enum err e = sync_call(s, ARRAY_LEN(words), words, &r);

    if (e != ERR_OK) {
        return silent(e, why);
    }
    if (r->type != REDIS_REPLY_INTEGER) {
        answer_say(r, "writing w:meta", why);
        e = ERR_INVALID;
    }
    sync_free(r);
    return e;
}

/* Each mark only where it is not there yet: who comes second takes the first one's. */
static enum err marks_make(struct sync *s, unsigned buckets, struct err_text *why)
{
    char number[16], epoch[LOOK_EPOCH_BYTES + 1];
    uint64_t secret = 0;
    enum err e = prng_secret(&secret, sizeof(secret));

    if (e != ERR_OK) {
        err_text_set(why, "no random numbers from the kernel");
        return e;
    }
    (void)snprintf(epoch, sizeof(epoch), "%016llx", (unsigned long long)secret);
    (void)snprintf(number, sizeof(number), "%u", buckets);
    e = mark_set(s, SLICE("buckets"), slice_of(number), why);
    if (e == ERR_OK) {
        (void)snprintf(number, sizeof(number), "%d", MEND_FORMAT);
        e = mark_set(s, SLICE("format"), slice_of(number), why);
    }
    return e == ERR_OK ? mark_set(s, SLICE("epoch"), slice_of(epoch), why) : e;
}

static bool is_whole(const struct look_marks *m)
{
    return m->format != 0 && m->buckets != 0 && m->epoch[0] != '\0';
}

static enum err marks_judge(const struct look_marks *m, unsigned buckets, struct err_text *why)
{
    if (m->is_importing) {
        err_text_set(why, "an import into this Redis runs, or was killed half way: let it end, or run "
                          "it again");
        return ERR_INVALID;
    }
    if (m->format != MEND_FORMAT) {
        err_text_set(why,
                     "the ledger in this Redis has format %u, this program writes %d: use the "
                     "version that wrote it",
                     m->format, MEND_FORMAT);
        return ERR_UNSUPPORTED;
    }
    if (m->buckets > NAMES_BUCKETS_MAX || (buckets != 0 && m->buckets != buckets)) {
        err_text_set(why,
                     "the ledger in this Redis has %u buckets, and %u are asked for: their "
                     "number is fixed for ever",
                     m->buckets, buckets != 0 ? buckets : (unsigned)NAMES_BUCKETS_MAX);
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

enum err mend_marks(struct sync *s, unsigned buckets, struct look_marks *out, struct err_text *why)
{
    bool has_key = false;
    struct look_marks marks;
    enum err e = look_marks(s, &marks, why);

    ASSERT(buckets <= NAMES_BUCKETS_MAX);
    if (e == ERR_OK && !is_whole(&marks) && !marks.is_importing) {
        e = ledger_look(s, &has_key, why);
        if (e == ERR_OK && has_key) {
            e = look_marks(s, &marks, why); /* another instance may just have made it, and begun */
            if (e == ERR_OK && !is_whole(&marks)) {
                err_text_set(why, "this database has keys of a ledger (w:*), and its marks (w:meta) "
                                  "are missing: restore it whole, or give an empty database");
                e = ERR_INVALID;
            }
        } else if (e == ERR_OK) {
            e = marks_make(s, buckets == 0 ? (unsigned)REDIS_BUCKETS : buckets, why);
            if (e == ERR_OK) {
                e = look_marks(s, &marks, why);
            }
            if (e == ERR_OK && !is_whole(&marks)) {
                err_text_set(why, "w:meta was written, and does not read so");
                e = ERR_INVALID;
            }
        }
    }
    if (e == ERR_OK) {
        e = marks_judge(&marks, buckets, why);
    }
    if (e == ERR_OK) {
        *out = marks;
    }
    return e;
}

#include "store/redis/master.h"

#include <poll.h>

#include "base/assert.h"
#include "base/clock.h"
#include "log/log.h"
#include "store/redis/mend.h"
#include "store/redis/replicas.h"
#include "store/redis/scale.h"
#include "store/redis/sync.h"

enum {
    CALL_MS_MIN = 100, /* of one question to the server */
    CALL_MS_MAX = 2000,
    WAIT_MS = 100, /* between two tries at start-up */
};

static unsigned call_ms(const struct redis_shared *s)
{
    const uint64_t ms = s->options.op_timeout_us / 1000;

    return ms < CALL_MS_MIN ? CALL_MS_MIN : ms > CALL_MS_MAX ? CALL_MS_MAX : (unsigned)ms;
}

static void line_close(struct master *m)
{
    if (m->line != NULL) {
        sync_close(m->line);
        m->line = NULL;
    }
    m->journals_us = 0;
    m->has_replay = m->has_rights = false;
}

void master_close(struct master *m)
{
    line_close(m);
    sentinel_close(&m->sentinel);
}

/* ---- finding it ---- */

static enum err where(struct master *m, struct redis_address *out, struct err_text *why)
{
    const struct redis_url *url = &m->shared->options.url;

    if (!url->is_sentinel) {
        *out = url->addresses[0];
        return ERR_OK;
    }
    return sentinel_ask(&m->sentinel, url, m->shared->tls, m->shared->instance, out, why);
}

/* Lanes connect to numbers: the address that answered is the one they get. */
static enum err line_open(struct master *m, struct err_text *why)
{
    struct redis_shared *s = m->shared;
    struct redis_address at = {.port = 0};
    enum err e = sync_open(&s->options.url, &m->said, s->tls, s->instance, call_ms(s), &m->line, why);

    if (e != ERR_OK) {
        return e;
    }
    e = sync_peer(m->line, &at);
    if (e != ERR_OK) {
        err_text_set(why, "the server closed the connection");
        line_close(m);
        return e;
    }
    m->at = at;
    return ERR_OK;
}

/* Ask where it is, connect where that is another place or the line is gone, and ask what it says of itself. */
static enum err survey(struct master *m, struct err_text *why)
{
    struct redis_address said;
    struct err_text words = {.text = ""};
    int64_t offset_us = 0;
    uint64_t trip_us = 0;
    enum err e = where(m, &said, &words);

    if (e == ERR_OK && !master_is_same(&said, &m->said)) {
        line_close(m);
        m->said = said;
    }
    if (e != ERR_OK && m->said.port == 0) { /* a master that is known may serve on without sentinels */
        *why = words;
        return e == ERR_NOT_FOUND ? ERR_INVALID : e;
    }
    for (unsigned tries = 0; tries < 2; tries++) {
        const bool was_open = m->line != NULL;
        e = was_open ? ERR_OK : line_open(m, why);
        if (e != ERR_OK) {
            return e;
        }
        e = look_facts(m->line, &m->facts, &offset_us, &trip_us, why);
        if (e == ERR_OK) {
            break;
        }
        line_close(m);
        if (!was_open || e != ERR_IO) {
            return e; /* a line that was open before may have died of old age: that alone is worth a second try */
        }
    }
    if (e == ERR_OK && (!m->has_clock || trip_us <= MASTER_TRIP_US_MAX)) {
        m->has_clock = true;
        atomic_store_explicit(&m->shared->clock_offset_us, offset_us, memory_order_relaxed);
    }
    return e;
}

/* ---- start ---- */

static enum err clock_check(const struct redis_shared *s, struct err_text *why)
{
    const int64_t us = atomic_load_explicit(&s->clock_offset_us, memory_order_relaxed);

    if (us > CHECK_CLOCK_REFUSE_US || us < -CHECK_CLOCK_REFUSE_US) {
        err_text_set(why,
                     "the server's clock is %lld s %s ours: set both by NTP (postings are "
                     "stamped by the server)",
                     (long long)((us < 0 ? -us : us) / 1000000), us < 0 ? "behind" : "ahead of");
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* Synchronous, and the replica that is there has not acknowledged anything yet? */
static bool is_out_of_step(const struct master *m)
{
    return m->shared->options.is_synchronous && m->facts.role == CHECK_MASTER &&
           m->facts.connected > 0 && m->facts.replicas == 0;
}

/* Is there something that will pass by itself: data being loaded, a replica that is fed, a fail-over that goes on? */
static bool should_wait(const struct master *m, enum err e, uint64_t waited_us)
{
    if (e == ERR_OK && (m->facts.is_loading != 0 || m->facts.is_async_loading != 0)) {
        return waited_us < MASTER_LOADING_US_MAX;
    }
    if (e == ERR_OK && is_out_of_step(m)) {
        return waited_us < MASTER_STEP_US_MAX;
    }
    if (!m->shared->options.url.is_sentinel || waited_us >= MASTER_FAILOVER_US_MAX) {
        return false;
    }
    return e == ERR_OK ? m->facts.role == CHECK_REPLICA
                       : m->said.port != 0 && (e == ERR_IO || e == ERR_TIMEOUT);
}

/* On a server where nothing happens nothing is acknowledged: WAIT for more than there are makes it ask them. */
static void replicas_nudge(struct master *m)
{
    struct redisReply *r = NULL;

    if (sync_say(m->line, &r, "WAIT 1000 1") == ERR_OK) {
        sync_free(r); /* whatever it says: what counts is INFO's */
    }
}

static enum err survey_first(struct master *m, struct err_text *why)
{
    const uint64_t start_us = clock_mono_us();
    bool is_told = false;
    enum err e;

    for (;;) {
        e = survey(m, why);
        if (!should_wait(m, e, clock_mono_us() - start_us)) {
            return e;
        }
        if (!is_told) {
            log_event(LOG_INFO, "store.redis.wait",
                      log_text("why", e != ERR_OK                     ? "the master does not answer"
                                      : m->facts.role != CHECK_MASTER ? "it is no master yet"
                                      : is_out_of_step(m)             ? "no replica is in step yet"
                                                                      : "it loads its data"),
                      log_text("host", m->said.host), log_u64("port", m->said.port));
            is_told = true;
        }
        if (e == ERR_OK && is_out_of_step(m)) {
            replicas_nudge(m);
        }
        (void)poll(NULL, 0, WAIT_MS);
    }
}

static enum err library_keep(struct master *m, enum mend_need need, struct err_text *why)
{
    bool is_loaded = false;
    const enum err e = mend_library(m->line, m->shared->options.may_load, need, &is_loaded, why);

    if (is_loaded) {
        log_event(LOG_INFO, "store.redis.library_loaded", log_text("host", m->at.host),
                  log_u64("port", m->at.port));
    }
    return e;
}

/* Once on each line, as soon as there is a file to be replayed. */
static enum err replay_check(struct master *m, struct err_text *why)
{
    bool is_known = true;
    enum err e;

    if (m->has_replay || m->facts.has_aof == 0) {
        return ERR_OK;
    }
    e = mend_replay(m->line, &is_known, why);
    if (e == ERR_OK) {
        m->has_replay = true;
        if (!is_known) {
            mend_replay_warn();
        }
    }
    return e;
}

/* Once on each line, before a lane is led there. With full memory nothing can be tried, and nothing runs: it is asked again. */
static enum err rights_check(struct master *m, struct err_text *why)
{
    enum err e = ERR_OK;

    if (!m->has_rights) {
        e = mend_selftest(m->line, why);
        m->has_rights = e == ERR_OK;
    }
    return e == ERR_DISK_FULL ? ERR_OK : e;
}

static void budget_tell(const struct master *m)
{
    const struct redis_options *o = &m->shared->options;

    if (o->keys_a_second > 0) {
        log_event(LOG_INFO, "store.redis.budget", log_u64("keys_per_second", o->keys_a_second),
                  log_u64("ttl_s", o->idempotency_ttl_us / 1000000),
                  log_u64("bytes_per_key", CHECK_IDEM_KEY_BYTES), log_u64("bytes", check_budget(o)),
                  log_u64("maxmemory", m->facts.max_memory));
    }
}

static enum err all_checks(struct master *m, struct err_text *why)
{
    struct redis_shared *s = m->shared;
    enum err e = survey_first(m, why);

    if (e != ERR_OK) {
        return e;
    }
    budget_tell(m);
    e = check_start(&m->facts, &s->options, why);
    if (e == ERR_OK) {
        e = clock_check(s, why);
    }
    if (e == ERR_OK) {
        e = replicas_check(s, &m->facts, why);
    }
    if (e == ERR_OK) {
        e = library_keep(m, MEND_SAME, why);
    }
    if (e == ERR_OK) {
        e = rights_check(m, why); /* reads are served where memory is full, and the health says so */
    }
    if (e == ERR_OK) {
        e = replay_check(m, why);
    }
    if (e == ERR_OK) {
        e = mend_marks(m->line, s->options.buckets, &m->marks, why);
    }
    if (e == ERR_OK) {
        e = scale_keep(m->line, why);
        e = e == ERR_DISK_FULL
                ? ERR_OK
                : e; /* no memory for it: nothing is opened now either, and it is asked at the next start */
    }
    return e;
}

/* Which server it is about; what the connection says begins so already. */
static void say_where(const struct master *m, const struct err_text *words, struct err_text *why)
{
    if (m->said.port == 0 || strncmp(words->text, m->said.host, strlen(m->said.host)) == 0) {
        err_text_set(why, "Redis: %s", words->text);
    } else {
        err_text_set(why, "Redis %s:%u: %s", m->said.host, (unsigned)m->said.port, words->text);
    }
}

enum err master_start(struct master *m, struct redis_shared *shared, struct err_text *why)
{
    struct err_text words = {.text = ""};
    enum store_health health;
    enum err e;

    *m = (struct master){.shared = shared};
    e = all_checks(m, &words);
    if (e != ERR_OK) {
        say_where(m, &words, why);
        master_close(m);
        return e == ERR_TIMEOUT ? ERR_IO : e;
    }
    shared->buckets = m->marks.buckets;
    memcpy(shared->epoch, m->marks.epoch, sizeof(m->marks.epoch));
    health = check_health(&m->facts, &shared->options, &words);
    atomic_store_explicit(&shared->health, (int)health, memory_order_relaxed);
    master_tell(m, health, &words);
    return ERR_OK;
}

/* ---- going on ---- */

/*
 * A sentinel that has just come back may name the old master, which has just come back too: what that one lacks is not lost.
 * So another sentinel is asked, and no lane is led there, until there is no doubt any more.
 */
static bool has_doubt(struct master *m)
{
    const uint64_t now_us = clock_mono_us();

    if (!m->shared->options.url.is_sentinel || m->is_lost) {
        return false;
    }
    if (m->doubt_us == 0) {
        m->doubt_us = now_us;
        log_event(LOG_WARN, "store.redis.doubt", log_text("host", m->at.host),
                  log_u64("port", m->at.port));
    }
    sentinel_next(&m->sentinel, &m->shared->options.url);
    return now_us - m->doubt_us < MASTER_DOUBT_US;
}

static enum store_health lose(struct master *m, struct err_text *why)
{
    m->is_lost = true;
    m->lost_why = *why;
    return STORE_FAILED;
}

/* A line that broke says nothing about the ledger. */
static enum store_health stall(struct master *m, enum err e)
{
    if (e != ERR_INVALID) {
        line_close(m);
    }
    return STORE_STALLED;
}

static enum store_health marks_judge(struct master *m, struct err_text *why)
{
    struct look_marks now;
    const enum err e = look_marks(m->line, &now, why);

    if (e != ERR_OK && e != ERR_UNSUPPORTED) {
        return stall(m, e);
    }
    if (e == ERR_OK && strcmp(now.epoch, m->marks.epoch) == 0 && now.format == m->marks.format &&
        now.buckets == m->marks.buckets) {
        return STORE_HEALTHY;
    }
    err_text_set(why, e == ERR_OK && now.epoch[0] == '\0'
                          ? "the ledger is gone: the server was emptied, or came back without its "
                            "data; restore it, then start again"
                          : "this is another ledger than the one at start (w:meta)");
    if (has_doubt(m)) {
        return STORE_STALLED;
    }
    log_event(LOG_ERROR, "store.redis.other_ledger", log_text("host", m->at.host),
              log_u64("port", m->at.port), log_text("epoch", m->marks.epoch),
              log_text("found", now.epoch));
    return lose(m, why);
}

static enum store_health journals_judge(struct master *m, struct err_text *why)
{
    const uint64_t now_us = clock_mono_us();
    struct look_loss loss;
    enum err e;

    if (m->journals_us != 0 && now_us - m->journals_us < MASTER_JOURNALS_US) {
        return STORE_HEALTHY;
    }
    e = look_journals(m->line, m->shared, &loss, why);
    if (e != ERR_OK) {
        return stall(m, e);
    }
    m->journals_us = now_us;
    if (loss.known == 0) {
        return STORE_HEALTHY;
    }
    err_text_set(why,
                 "acknowledged postings are gone: journal %u had reached %llu and ends at %llu; "
                 "nothing is written until it was looked into and the service starts again",
                 loss.bucket, (unsigned long long)loss.known, (unsigned long long)loss.found);
    if (has_doubt(m)) {
        m->journals_us = 0;
        return STORE_STALLED;
    }
    log_event(LOG_ERROR, "store.regression", log_u64("bucket", loss.bucket),
              log_u64("known", loss.known), log_u64("found", loss.found),
              log_text("host", m->at.host), log_u64("port", m->at.port));
    return lose(m, why);
}

/* What the line's server is to us now. */
static enum store_health judge(struct master *m, struct err_text *why)
{
    enum store_health h;
    enum err e;

    if (m->facts.role != CHECK_MASTER) {
        err_text_set(why, "the server is not a master any more");
        line_close(m); /* its name may lead to another one by now */
        return STORE_STALLED;
    }
    if (m->facts.is_loading != 0 || m->facts.is_async_loading != 0) {
        err_text_set(why, "the server loads its data");
        return STORE_STALLED;
    }
    if (m->is_lost) {
        return STORE_FAILED; /* and that was told */
    }
    if (atomic_load_explicit(&m->shared->has_half, memory_order_acquire)) {
        err_text_set(why,
                     "a posting ended in the middle (store.alarm) and may be half applied: see what "
                     "mywallet verify says, then start again");
        return lose(m, why);
    }
    h = marks_judge(m, why);
    if (h == STORE_HEALTHY) {
        h = journals_judge(m, why);
    }
    if (h != STORE_HEALTHY) {
        return h;
    }
    m->doubt_us = 0;
    e = library_keep(m, MEND_SOME, why);
    if (e != ERR_OK) {
        return stall(m, e);
    }
    e = rights_check(m, why);
    if (e == ERR_OK) {
        e = replay_check(m, why);
    }
    if (e != ERR_OK) {
        return e == ERR_INVALID ? STORE_FAILED : stall(m, e);
    }
    h = check_health(&m->facts, &m->shared->options, why);
    return h == STORE_FAILED && m->facts.evicted_keys > 0 ? lose(m, why) : h;
}

enum store_health master_look(struct master *m)
{
    struct err_text why = {.text = ""};
    enum store_health h = STORE_STALLED;
    const enum err e = survey(m, &why);

    if (e == ERR_OK) {
        h = judge(m, &why);
    }
    if (m->is_lost) {
        h = STORE_FAILED;
        why = m->lost_why;
    }
    if (m->doubt_us != 0 && !m->is_lost) {
        /* nothing is written until it is known which one is right */
        master_health(m, STORE_FAILED, &why);
        return STORE_STALLED;
    }
    /* lanes are led to nobody but a master with its data in memory */
    if (e == ERR_OK && m->line != NULL && m->facts.role == CHECK_MASTER &&
        m->facts.is_loading == 0 && m->facts.is_async_loading == 0) {
        master_tell(m, h, &why);
    } else {
        master_health(m, h, &why);
    }
    return h == STORE_FAILED && !m->is_lost ? STORE_STALLED
                                            : h; /* what may be mended is soon looked at again */
}

bool master_is_moved(struct master *m)
{
    struct redis_address said;
    struct err_text why;

    return m->shared->options.url.is_sentinel && where(m, &said, &why) == ERR_OK &&
           !master_is_same(&said, &m->said);
}

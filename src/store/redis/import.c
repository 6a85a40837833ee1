/*
 * An export as a ledger in a Redis.
 *
 * It goes well: the export is proven, where it can be read twice -> the lock "migration" -> nothing of a ledger is there ->
 * w:meta says format "importing" -> each posting by mywallet_v1_restore, which judges and checks it there, under the lock's
 * fence -> all buckets' clocks go past the export's last time -> sums compared, everything verified as any ledger -> w:meta gets
 * format, epoch and "moved" in one command -> the lock is released.
 * It fails, or is killed: w:meta says "importing", at which every instance refuses to start. The next import removes it all.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/check.h"
#include "store/redis/import_internal.h"
#include "store/redis/look.h"
#include "store/redis/mend.h"
#include "store/redis/sync.h"

enum { CALL_TIMEOUT_MS = 10000, LOCK_TTL_MS = 30000, LOCK_RENEW_MS = 8000 };

/* ---- the lock ---- */

enum err import_lock_keep(void *ctx)
{
    struct importer *m = ctx;
    const uint64_t now_us = clock_mono_us();
    enum err e;

    if (now_us - m->renewed_us < LOCK_RENEW_MS * UINT64_C(1000)) {
        return ERR_OK;
    }
    e = lock_renew(&m->lock, m->o.line, m->why);
    if (e == ERR_NOT_FOUND) {
        err_text_set(m->why, "the lock was lost: the import took no step for longer than its lease");
        return ERR_BUSY;
    }
    m->renewed_us = now_us;
    return e;
}

static enum err lock_take(struct importer *m)
{
    enum err e = lock_init(&m->lock, SLICE("migration"), LOCK_TTL_MS, CALL_TIMEOUT_MS);

    if (e == ERR_OK) {
        m->renewed_us = clock_mono_us();
        e = lock_acquire(&m->lock, m->o.line, m->why);
    }
    if (e == ERR_BUSY) {
        err_text_set(m->why,
                     "another import holds the lock; one that was killed lets it go after %d s",
                     LOCK_TTL_MS / 1000);
    }
    return e;
}
/* ---- all of it ---- */

static unsigned buckets_of(const struct importer *m, unsigned asked)
{
    const unsigned there = m->reader.header.buckets;

    if (asked != 0) {
        return asked;
    }
    return there >= 1 && there <= NAMES_BUCKETS_MAX ? there : (unsigned)REDIS_BUCKETS;
}

static enum err import_locked(struct importer *m, unsigned asked, int fd)
{
    enum err e = import_room(m);
    unsigned buckets;

    if (e != ERR_OK || (e = move_reader_init(&m->reader, fd, m->why)) != ERR_OK) {
        return e;
    }
    buckets = buckets_of(m, asked);
    m->newest = mem_alloc_array(buckets, sizeof(*m->newest));
    if (m->newest == NULL) {
        err_text_set(m->why, "out of memory");
        return ERR_NOMEM;
    }
    if ((e = import_begin(m, buckets)) != ERR_OK || (e = import_lines(m)) != ERR_OK ||
        (e = import_clocks(m)) != ERR_OK || (e = import_totals(m)) != ERR_OK) {
        return e;
    }
    return import_end(m);
}

/* What a service would refuse is refused before it holds a ledger. */
static enum err server_check(struct importer *m)
{
    const struct redis_options options = {0};
    struct check_facts facts;
    int64_t offset_us;
    uint64_t trip_us;
    bool is_known = true;
    enum err e = look_facts(m->o.line, &facts, &offset_us, &trip_us, m->why);

    if (e == ERR_OK) {
        e = check_start(&facts, &options, m->why);
    }
    if (e == ERR_OK && facts.has_aof != 0) {
        e = mend_replay(m->o.line, &is_known, m->why);
    }
    if (!is_known) {
        mend_replay_warn();
    }
    return e;
}

static enum err import_connected(struct importer *m, unsigned buckets, int fd)
{
    struct err_text released;
    bool is_loaded;
    enum err e;

    sync_timeout(m->o.line, CALL_TIMEOUT_MS);
    if ((e = server_check(m)) != ERR_OK ||
        (e = mend_library(m->o.line, true, MEND_SAME, &is_loaded, m->why)) != ERR_OK ||
        (e = lock_take(m)) != ERR_OK) {
        return e;
    }
    m->o.tick = import_lock_keep;
    m->o.tick_ctx = m;
    e = import_locked(m, buckets, fd);
    (void)!lock_release(&m->lock, m->o.line, &released); /* where it cannot be, it ends by itself */
    return e;
}

enum err redis_import(const struct redis_url *url, const struct redis_tls_files *tls,
                      unsigned buckets, int fd, struct move_totals *totals, struct err_text *why)
{
    struct importer *m = mem_alloc(sizeof(*m));
    enum err e;

    ASSERT(buckets <= NAMES_BUCKETS_MAX);
    err_text_set(why, "out of memory");
    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->why = why;
    e = move_prove(fd, why);
    if (e == ERR_OK) {
        e = offline_open(&m->o, url, tls, why);
        if (e == ERR_OK) {
            e = import_connected(m, buckets, fd);
        }
        offline_close(&m->o);
    }
    *totals = m->reader.totals;
    move_reader_fini(&m->reader);
    mem_free(m->newest);
    mem_free(m);
    return e;
}

#include "store/embedded/checkpoint.h"

#include "base/assert.h"
#include "base/clock.h"
#include "log/log.h"

/* Busy readers or a full disk only put a checkpoint off: the log keeps everything until one gets through. */
static enum err judge(sqlite3 *db, int rc)
{
    enum err e = db_err(db, rc);

    if (e == ERR_DISK_FULL || e == ERR_BUSY || e == ERR_NOMEM) {
        static struct log_limit limit;
        log_event_limited(&limit, LOG_WARN, "store.checkpoint_put_off", log_text("err", err_name(e)));
        return ERR_OK;
    }
    return e;
}

static void *passes(void *ctx)
{
    struct checkpoint *c = ctx;

    pthread_mutex_lock(&c->mutex);
    for (;;) {
        int pages = 0, copied = 0, rc;
        uint64_t start_us;
        enum err e;
        while (!c->is_wanted && !c->is_stopping) {
            pthread_cond_wait(&c->wake, &c->mutex);
        }
        if (c->is_stopping) {
            break;
        }
        pthread_mutex_unlock(&c->mutex);
        start_us = clock_mono_us();
        rc = sqlite3_wal_checkpoint_v2(c->db, "main", SQLITE_CHECKPOINT_PASSIVE, &pages, &copied);
        e = judge(c->db, rc);
        metrics_observe(c->shard, c->seconds, clock_mono_us() - start_us);
        pthread_mutex_lock(&c->mutex);
        c->is_wanted = false;
        c->is_done = rc == SQLITE_OK;
        c->done_pages = copied;
        if (e != ERR_OK) {
            c->err = e;
        }
        pthread_cond_signal(&c->ended);
    }
    pthread_mutex_unlock(&c->mutex);
    return NULL;
}

enum err checkpoint_start(struct checkpoint *c, sqlite3 *db, pthread_rwlock_t *snapshots, int pages,
                          struct metrics_shard *shard, uint32_t seconds)
{
    *c = (struct checkpoint){.db = db,
                             .snapshots = snapshots,
                             .pages = pages,
                             .rest_pages = pages / CHECKPOINT_REST_PART,
                             .force_pages = pages * CHECKPOINT_FORCE_TIMES,
                             .shard = shard,
                             .seconds = seconds};
    if (pthread_mutex_init(&c->mutex, NULL) != 0 || pthread_cond_init(&c->wake, NULL) != 0 ||
        pthread_cond_init(&c->ended, NULL) != 0) {
        return ERR_NOMEM;
    }
    c->is_running = pthread_create(&c->thread, NULL, passes, c) == 0;
    if (c->is_running) {
        (void)pthread_setname_np(c->thread, "mw-checkpoint");
    }
    return c->is_running ? ERR_OK : ERR_NOMEM;
}

void checkpoint_stop(struct checkpoint *c)
{
    if (c->is_running) {
        pthread_mutex_lock(&c->mutex);
        c->is_stopping = true;
        pthread_cond_signal(&c->wake);
        pthread_mutex_unlock(&c->mutex);
        pthread_join(c->thread, NULL);
        c->is_running = false;
    }
    (void)sqlite3_close(c->db);
    c->db = NULL;
}

enum err checkpoint_turn(struct checkpoint *c, sqlite3 *writer, int wal_pages)
{
    bool must_copy, is_too_long;
    enum err e;

    if (wal_pages < c->pages) {
        c->force_pages = c->pages * CHECKPOINT_FORCE_TIMES;
        return ERR_OK;
    }
    is_too_long = wal_pages >= c->force_pages;
    if (is_too_long) {
        c->force_pages = wal_pages + c->pages * CHECKPOINT_FORCE_TIMES;
    }
    pthread_mutex_lock(&c->mutex);
    while (is_too_long && c->is_wanted) {
        pthread_cond_wait(&c->ended, &c->mutex);
    }
    e = c->err;
    must_copy = is_too_long || (c->is_done && wal_pages - c->done_pages <= c->rest_pages);
    if (!must_copy && !c->is_wanted) {
        c->is_wanted = true;
        pthread_cond_signal(&c->wake);
    }
    c->is_done = false;
    pthread_mutex_unlock(&c->mutex);
    if (e == ERR_OK && must_copy) {
        const bool must_gate = wal_pages >= c->pages * CHECKPOINT_GATE_TIMES;
        if (must_gate) {
            (void)pthread_rwlock_wrlock(c->snapshots);
        }
        e = judge(writer,
                  sqlite3_wal_checkpoint_v2(writer, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
        if (must_gate) {
            (void)pthread_rwlock_unlock(c->snapshots);
        }
    }
    return e;
}

/* Opening in order, closing in reverse, and the port's methods. */
#include "store/embedded/embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "store/embedded/embedded_internal.h"
#include "store/embedded/folder.h"
#include "store/embedded/recover.h"
#include "store/embedded/wal_check.h"

enum err embedded_metrics(struct metrics *m, struct embedded_metrics *out)
{
    enum err e = metrics_histogram(m, "wallet_commit_duration_seconds",
                                   "Time of one commit, its fsync included.", "", METRICS_SECONDS,
                                   &out->commit_seconds);
    if (e == ERR_OK) {
        e = metrics_histogram(m, "wallet_batch_size", "Operations answered by one commit.", "",
                              METRICS_SIZES, &out->batch_size);
    }
    if (e == ERR_OK) {
        e = metrics_histogram(m, "wallet_checkpoint_duration_seconds",
                              "Time of one copy of the write-ahead log into the ledger's file.", "",
                              METRICS_SECONDS, &out->checkpoint_seconds);
    }
    return e;
}

static void hand_over(struct store *s, struct queue_list *ops)
{
    struct embedded *e = (struct embedded *)s;
    struct queue_list writes = {0}, reads = {0};
    struct queue_link *link;

    while ((link = queue_list_pop(ops)) != NULL) {
        enum store_op_kind kind = ((struct store_op *)link)->kind;
        queue_list_push(kind == STORE_TRANSACTION || kind == STORE_ACCOUNTS ? &reads : &writes, link);
    }
    if (writes.head != NULL) {
        (void)queue_put(&e->inbox, &writes);
    }
    if (reads.head != NULL) {
        (void)queue_put(&e->reads, &reads);
    }
    queue_list_move(ops, &writes);
    queue_list_move(ops, &reads);
}

static enum store_health health(struct store *s)
{
    struct embedded *e = (struct embedded *)s;
    uint64_t busy_us = atomic_load_explicit(&e->busy_since_us, memory_order_relaxed);
    int state = atomic_load_explicit(&e->health, memory_order_relaxed);

    if (state == STORE_HEALTHY && busy_us != 0 && clock_mono_us() > busy_us + EMBEDDED_STALL_US) {
        return STORE_STALLED;
    }
    return (enum store_health)state;
}

static void close_all(struct store *s)
{
    struct embedded *e = (struct embedded *)s;

    if (e->has_writer) {
        queue_close(&e->inbox);
        pthread_join(e->writer, NULL);
    }
    queue_close(&e->reads);
    for (unsigned i = 0; i < e->reader_count; i++) {
        if (e->readers[i].is_running) {
            pthread_join(e->readers[i].thread, NULL);
        }
        reader_close(&e->readers[i].reader);
    }
    checkpoint_stop(&e->checkpoint);
    journal_close(&e->journal);
    book_fx_fini(&e->fx);
    book_fini(&e->book);
    pthread_rwlock_destroy(&e->snapshots);
    queue_fini(&e->reads);
    queue_fini(&e->inbox);
    if (e->lock_fd >= 0) {
        (void)close(e->lock_fd); /* lets the lock go */
    }
    mem_free(e);
}

static const struct store_methods methods = {.hand_over = hand_over,
                                             .health = health,
                                             .close = close_all};

static enum err book_make(struct embedded *e, const struct embedded_options *o)
{
    const unsigned records = o->batch_max * EMBEDDED_RECORDS_PER_POSTING + 3 * LEDGER_LEGS_MAX + 1;
    struct hash_key key;
    enum err err = prng_secret(&key, sizeof(key));

    if (err == ERR_OK) {
        err = book_init(&e->book, 2 * records, o->idempotency_max, key);
    }
    return err == ERR_OK ? book_fx_init(&e->fx, records) : err;
}

/* Empty the log into the file, synced. Where somebody reads an old snapshot (a backup, verify) it cannot be emptied now; then
 * sync the log as it is, and leave the rest to later. */
static enum err log_sync(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    enum err e =
        db_err(db, sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));

    if (e != ERR_BUSY) {
        return e;
    }
    (void)sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log == NULL || log->pMethods == NULL) {
        return ERR_IO;
    }
    return db_err(db, log->pMethods->xSync(log, SQLITE_SYNC_NORMAL));
}

static enum err files_open(struct embedded *e, const struct embedded_options *o, struct err_text *why)
{
    char path[DB_PATH_BYTES_MAX], wal_path[DB_PATH_BYTES_MAX + 8];
    sqlite3 *db = NULL;
    enum err err;

    if ((err = db_path(o->dir, path)) != ERR_OK) {
        err_text_set(why, "the path of the data folder is too long");
        return err;
    }
    (void)snprintf(wal_path, sizeof(wal_path), "%s-wal", path);
    if ((err = wal_base_check(path, wal_path, why)) != ERR_OK ||
        (err = wal_check(wal_path, why)) != ERR_OK ||
        (err = folder_begin(o->dir, path, why)) != ERR_OK) {
        return err;
    }
    folder_file_private(path);
    if ((err = db_open(path, DB_WRITER, &db, why)) != ERR_OK) {
        return err;
    }
    if ((err = journal_init(&e->journal, db)) != ERR_OK) {
        err_text_set(why, "%s: cannot prepare the journal: %s", path, err_name(err));
        return err;
    }
    if (o->sweep_rows_min != 0) {
        e->journal.sweep_rows_min = o->sweep_rows_min;
    }
    err = recover(&e->journal, &e->book, clock_wall_us(), (int64_t)o->idempotency_ttl_us,
                  &e->replayed, why);
    if (err != ERR_OK) {
        return err;
    }
    /* reading everything once filled caches that the writer will not need */
    (void)sqlite3_db_release_memory(db);
    (void)malloc_trim(0);
    /* what a killed process wrote but never synced is visible now, and may be answered from: sync it first */
    err = log_sync(db);
    if (err != ERR_OK) {
        db_why(why, db, "cannot sync the recovered journal");
        return err;
    }
    folder_made(path);
    for (unsigned i = 0; i < o->readers; i++) {
        e->readers[i].store = e;
        err = reader_open(&e->readers[i].reader, path, why);
        if (err != ERR_OK) {
            return err;
        }
        e->reader_count = i + 1;
    }
    err = db_open(path, DB_WRITER, &db, why);
    if (err != ERR_OK) {
        return err;
    }
    return checkpoint_start(&e->checkpoint, db, &e->snapshots,
                            o->checkpoint_pages != 0 ? (int)o->checkpoint_pages : CHECKPOINT_PAGES,
                            e->shard, e->series.checkpoint_seconds);
}

static enum err threads_start(struct embedded *e, struct err_text *why)
{
    err_text_set(why, "cannot start a thread");
    for (unsigned i = 0; i < e->reader_count; i++) {
        e->readers[i].is_running =
            pthread_create(&e->readers[i].thread, NULL, reader_run, &e->readers[i]) == 0;
        if (!e->readers[i].is_running) {
            return ERR_NOMEM;
        }
        (void)pthread_setname_np(e->readers[i].thread, "mw-reader");
    }
    e->has_writer = pthread_create(&e->writer, NULL, writer_run, e) == 0;
    if (!e->has_writer) {
        return ERR_NOMEM;
    }
    (void)pthread_setname_np(e->writer, "mw-writer");
    return ERR_OK;
}

static bool snapshots_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    bool is_made;

    if (pthread_rwlockattr_init(&attr) != 0) {
        return false;
    }
    is_made =
        pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP) == 0 &&
        pthread_rwlock_init(lock, &attr) == 0;
    (void)pthread_rwlockattr_destroy(&attr);
    return is_made;
}

enum err embedded_open(const struct embedded_options *o, struct store **out, struct err_text *why)
{
    const uint64_t start_us = clock_mono_us();
    struct embedded *e = mem_alloc(sizeof(*e));
    enum err err = ERR_NOMEM;

    ASSERT(o->readers >= 1 && o->readers <= EMBEDDED_READERS_MAX && o->batch_max >= 1 &&
           o->inbox_max >= 1);
    err_text_set(why, "out of memory");
    if (e == NULL) {
        return ERR_NOMEM;
    }
    e->store = (struct store){.methods = &methods, .name = "embedded", .durability = "fsync"};
    e->lock_fd = -1;
    e->batch_max = o->batch_max;
    e->ttl_us = o->idempotency_ttl_us;
    e->on_fatal = o->on_fatal;
    e->on_fatal_ctx = o->on_fatal_ctx;
    e->series = (struct embedded_metrics){METRICS_NONE, METRICS_NONE, METRICS_NONE};
    if (queue_init(&e->inbox, o->inbox_max) != ERR_OK) {
        goto fail_alloc;
    }
    if (queue_init(&e->reads, (size_t)o->inbox_max * 2) != ERR_OK) {
        goto fail_inbox;
    }
    if (!snapshots_init(&e->snapshots)) {
        goto fail_reads;
    }
    if (o->metrics != NULL) {
        e->series = *o->series;
        if ((err = metrics_shard_new(o->metrics, &e->shard)) != ERR_OK) {
            goto fail;
        }
    }
    if ((err = folder_make(o->dir, why)) != ERR_OK ||
        (err = folder_lock(o->dir, &e->lock_fd, why)) != ERR_OK ||
        (err = book_make(e, o)) != ERR_OK || (err = files_open(e, o, why)) != ERR_OK) {
        goto fail;
    }
    e->key_now_us = e->book.last_time_us != 0 ? e->book.last_time_us : clock_wall_us();
    e->key_mono_us = clock_mono_us();
    writer_publish(e);
    if ((err = threads_start(e, why)) != ERR_OK) {
        goto fail;
    }
    e->open_us = clock_mono_us() - start_us;
    *out = &e->store;
    return ERR_OK;

fail:
    close_all(&e->store);
    return err;
fail_reads:
    queue_fini(&e->reads);
fail_inbox:
    queue_fini(&e->inbox);
fail_alloc:
    mem_free(e);
    return err;
}

void embedded_stats(struct store *s, struct embedded_stats *out)
{
    struct embedded *e = (struct embedded *)s;

    *out = (struct embedded_stats){
        .accounts = atomic_load_explicit(&e->accounts, memory_order_relaxed),
        .seq = atomic_load_explicit(&e->seq, memory_order_relaxed),
        .idempotency_records = atomic_load_explicit(&e->keys, memory_order_relaxed),
        .inbox_depth = queue_len(&e->inbox),
        .wal_bytes = atomic_load_explicit(&e->wal_bytes, memory_order_relaxed),
        .replayed = e->replayed,
        .open_us = e->open_us,
    };
}

const char *embedded_sqlite_version(void)
{
    return sqlite3_libversion();
}

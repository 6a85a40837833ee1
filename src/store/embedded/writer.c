/*
 * The writer. One turn: take all that waits, apply each to the book, commit once, reply.
 *
 * Happy path: claim -> book_apply -> journal_commit -> replies (reads from the file go on to the readers).
 * No room (disk full, foreign lock, memory): the batch is undone; its writes are answered "surely not applied", its reads
 *   are answered from the book as it was; later batches try again.
 * I/O error: memory and disk may differ: everything in the batch is answered "unknown", nothing is written any more, the
 *   process is told to end; start-up recovers.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "log/log.h"
#include "store/embedded/embedded_internal.h"

static void outbox_put(struct embedded *e, struct store_op *op)
{
    struct embedded_outbox *box = e->outboxes;

    while (box < e->outboxes + e->outbox_count && box->sink != op->sink) {
        box++;
    }
    if (box == e->outboxes + e->outbox_count) {
        ASSERT(e->outbox_count < EMBEDDED_SINKS_MAX);
        e->outbox_count++;
        *box = (struct embedded_outbox){.sink = op->sink};
    }
    queue_list_push(&box->ops, &op->link);
}

static void outboxes_send(struct embedded *e)
{
    for (unsigned i = 0; i < e->outbox_count; i++) {
        store_complete(e->outboxes[i].sink, &e->outboxes[i].ops);
    }
}

static void reply(struct embedded *e, struct store_op *op, enum store_status status)
{
    op->status = status;
    outbox_put(e, op);
}

/* Hand on to the readers; where they are swamped, say so. */
static void pass_to_readers(struct embedded *e, struct queue_list *ops, bool is_urgent)
{
    struct queue_link *link;

    if (ops->head != NULL) {
        (void)(is_urgent ? queue_put_first(&e->reads, ops) : queue_put(&e->reads, ops));
    }
    while ((link = queue_list_pop(ops)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        reply(e, op, op->kind == STORE_POST ? STORE_UNKNOWN : STORE_UNAVAILABLE);
    }
}

/* The second half of a page of accounts: the balances of now. */
static void fill_accounts(const struct embedded *e, struct store_op *op)
{
    for (unsigned i = 0; i < op->count; i++) {
        struct slice id = op->views[i].id;
        book_view(&e->book, op->views[i].no, &op->views[i]);
        op->views[i].id = id; /* the operation's own copy: the book's memory is the writer's alone */
    }
}

static void read_book(const struct embedded *e, struct store_op *op)
{
    if (op->kind == STORE_ACCOUNTS) {
        fill_accounts(e, op);
        return;
    }
    ASSERT(op->kind == STORE_ACCOUNT || op->kind == STORE_HISTORY);
    if (book_find(&e->book, op->account_id, &op->account)) {
        op->account.id = op->account_id;
        op->result.outcome = OUTCOME_OK;
        op->result.currency = op->account.currency;
        op->result.exponent = op->account.exponent;
    } else {
        op->result.outcome = OUTCOME_ACCOUNT_NOT_FOUND;
    }
    op->result.seq = e->book.last_seq;
}

static bool needs_file(const struct store_op *op)
{
    switch (op->kind) {
    case STORE_POST:
        return op->result.outcome == OUTCOME_REPLAY;
    case STORE_ACCOUNT:
        return op->result.outcome == OUTCOME_OK && op->wants_metadata &&
               op->account.metadata_seq != 0;
    case STORE_HISTORY:
        return op->result.outcome == OUTCOME_OK;
    default:
        return false;
    }
}

/* After the commit, or after a batch of reads alone: everybody gets what he came for. */
static void turn_reply(struct embedded *e, struct queue_list *turn)
{
    struct queue_list reads = {0}, histories = {0};
    struct queue_link *link;

    while ((link = queue_list_pop(turn)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        if (needs_file(op)) { /* repeated answers are one look-up: they need not wait behind histories */
            queue_list_push(op->kind == STORE_HISTORY ? &histories : &reads, link);
        } else if (op->kind == STORE_POST && op->result.outcome == OUTCOME_KEYS_FULL) {
            reply(e, op, STORE_UNAVAILABLE);
        } else {
            reply(e, op, STORE_DONE);
        }
    }
    pass_to_readers(e, &reads, true);
    pass_to_readers(e, &histories, false);
}

/* The batch was undone: writes did not happen; what was answered before, and reads, are answered from the book as it is. */
static void turn_undone(struct embedded *e, struct queue_list *turn)
{
    struct queue_list answered = {0};
    struct queue_link *link;

    while ((link = queue_list_pop(turn)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        if (op->kind != STORE_POST) {
            read_book(e, op);
            queue_list_push(&answered, link);
            continue;
        }
        op->result.seq =
            op->posting.idem == NULL ? 0 : keys_find(&e->book.keys, op->posting.idem->scope);
        op->result.outcome = OUTCOME_REPLAY;
        if (op->result.seq != 0) {
            queue_list_push(&answered, link);
        } else {
            reply(e, op, STORE_UNAVAILABLE);
        }
    }
    turn_reply(e, &answered);
}

static void turn_fatal(struct embedded *e, struct queue_list *turn, enum err why)
{
    struct queue_link *link;

    log_event(LOG_ERROR, "store.failed", log_text("err", err_name(why)),
              log_text("then", "stop writing and exit; the next start recovers"));
    e->is_fatal = true;
    atomic_store_explicit(&e->health, STORE_FAILED, memory_order_relaxed);
    while ((link = queue_list_pop(turn)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        reply(e, op, op->kind == STORE_POST ? STORE_UNKNOWN : STORE_UNAVAILABLE);
    }
    outboxes_send(e);
    if (e->on_fatal != NULL) {
        e->on_fatal(e->on_fatal_ctx);
    }
}

static void health_set(struct embedded *e, enum store_health health, enum err why)
{
    int before = atomic_exchange_explicit(&e->health, (int)health, memory_order_relaxed);

    if (before != (int)health) {
        log_event(health == STORE_HEALTHY ? LOG_INFO : LOG_ERROR, "store.health",
                  log_text("state", health == STORE_HEALTHY ? "writable" : "not writable"),
                  log_text("err", err_name(why)));
    }
}

/*
 * Keys older than this have expired. The clock for it follows the wall clock, but never runs faster than the monotonic one:
 * a wall clock that jumps ahead for a moment must not make the ledger forget keys.
 */
static int64_t expire_before(const struct embedded *e)
{
    return e->key_now_us - (int64_t)e->ttl_us;
}

static void key_clock_turn(struct embedded *e, int64_t wall_us, uint64_t mono_us)
{
    const int64_t next_us = e->key_now_us + (int64_t)(mono_us - e->key_mono_us);

    if (next_us <= wall_us) {
        e->key_now_us = next_us;
    } else if (e->key_now_us < wall_us) {
        e->key_now_us = wall_us;
    }
    e->key_mono_us = mono_us;
}

/* Take one operation into the batch. False: the batch has no room for it. */
static bool turn_take(struct embedded *e, struct store_op *op, int64_t now_us, uint64_t mono_us,
                      struct queue_list *turn, struct queue_list *in)
{
    const bool is_second_half = op->kind == STORE_ACCOUNTS;
    enum err err = ERR_OK;

    if (op->kind == STORE_POST && !e->is_fatal) {
        err = book_reserve(&e->book, &op->posting, &e->fx);
        if (err == ERR_FULL) {
            return false;
        }
    }
    (void)queue_list_pop(in);
    if (!is_second_half && (!store_claim(op) || op->deadline_mono_us <= mono_us)) {
        reply(e, op, STORE_UNAVAILABLE);
        return true;
    }
    if (e->is_fatal || err != ERR_OK) {
        reply(e, op, STORE_UNAVAILABLE);
        return true;
    }
    if (op->kind == STORE_POST) {
        (void)book_apply(&e->book, &op->posting, now_us, &e->fx, &op->result);
    } else {
        read_book(e, op);
    }
    queue_list_push(turn, &op->link);
    return true;
}

static void turn_commit(struct embedded *e, struct queue_list *turn, const struct book_point *start)
{
    const uint64_t start_us = clock_mono_us();
    enum err err = journal_commit(&e->journal, &e->book, &e->fx, expire_before(e));

    if (err == ERR_OK) {
        metrics_observe(e->shard, e->series.commit_seconds, clock_mono_us() - start_us);
        metrics_observe(e->shard, e->series.batch_size, turn->len);
        book_commit(&e->book, &e->fx);
        health_set(e, STORE_HEALTHY, ERR_OK);
        turn_reply(e, turn);
        return;
    }
    if (err == ERR_DISK_FULL || err == ERR_BUSY || err == ERR_NOMEM) {
        book_undo(&e->book, &e->fx, start);
        health_set(e, STORE_DISK_FULL, err);
        turn_undone(e, turn);
        return;
    }
    turn_fatal(e, turn, err);
}

/* One turn: as many of *in as a batch holds; the rest stays. */
static void turn_run(struct embedded *e, struct queue_list *in)
{
    const int64_t now_us = clock_wall_us();
    const uint64_t mono_us = clock_mono_us();
    const struct book_point start = book_point_get(&e->book, &e->fx);
    struct queue_list turn = {0};
    enum err err;

    atomic_store_explicit(&e->busy_since_us, mono_us, memory_order_relaxed);
    key_clock_turn(e, now_us, mono_us);
    keys_expire(&e->book.keys, expire_before(e), EMBEDDED_EXPIRE_PER_TURN);
    while (in->head != NULL && turn_take(e, (struct store_op *)in->head, now_us, mono_us, &turn, in)) {
    }
    if (!e->is_fatal && e->fx.record_count > 0) { /* once fatal, what is in fx is the batch that failed */
        turn_commit(e, &turn, &start);
    } else {
        turn_reply(e, &turn);
    }
    writer_publish(e);
    outboxes_send(e);
    if (!e->is_fatal) {
        err = checkpoint_turn(&e->checkpoint, e->journal.db, e->journal.wal_pages);
        if (err != ERR_OK) {
            turn_fatal(e, &turn, err);
        }
    }
    atomic_store_explicit(&e->busy_since_us, 0, memory_order_relaxed);
}

void writer_publish(struct embedded *e)
{
    enum { PAGE_BYTES = 4096 };

    atomic_store_explicit(&e->accounts, e->book.account_count - e->book.world_count,
                          memory_order_relaxed);
    atomic_store_explicit(&e->seq, e->book.last_seq, memory_order_relaxed);
    atomic_store_explicit(&e->keys, keys_count(&e->book.keys), memory_order_relaxed);
    atomic_store_explicit(&e->wal_bytes, (uint64_t)e->journal.wal_pages * PAGE_BYTES,
                          memory_order_relaxed);
}

/* On a full disk, with nobody writing: is there room again? */
static void probe(struct embedded *e)
{
    static const char sql[] = "INSERT INTO meta(key,value,crc) VALUES('" DB_META_PROBE
                              "',1,0) ON CONFLICT(key) DO UPDATE SET "
                              "value=value+1";
    enum err err = db_exec(e->journal.db, sql);

    if (err == ERR_OK) {
        health_set(e, STORE_HEALTHY, ERR_OK);
    } else if (err == ERR_IO || err == ERR_CORRUPT) {
        struct queue_list none = {0};
        turn_fatal(e, &none, err);
    }
}

/* A clean end: everything swept, the log emptied, so that the next start has nothing to do. */
static void close_clean(struct embedded *e)
{
    enum err err = journal_sweep_all(&e->journal, &e->book, expire_before(e));

    checkpoint_stop(
        &e->checkpoint); /* SQLite makes one checkpoint at a time, and does not wait for another's end */
    if (err == ERR_OK) {
        err = e->checkpoint.err; /* of a pass that nobody has asked about since */
    }
    if (err == ERR_OK) {
        err =
            db_err(e->journal.db, sqlite3_wal_checkpoint_v2(e->journal.db, "main",
                                                            SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
    }
    if (err ==
        ERR_OK) { /* the last connection may now take the log away with it: at rest a ledger is one file */
        (void)sqlite3_db_config(e->journal.db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    } else {
        log_event(LOG_WARN, "store.close", log_text("err", err_name(err)),
                  log_text("then", "nothing is lost: the next start recovers from the journal"));
    }
}

void *writer_run(void *ctx)
{
    struct embedded *e = ctx;
    struct queue_list in = {0};
    /*
     * Under load the last batch's senders are about to send again: commits of a few would take the processor from them.
     * Alone, it is 1, and nobody waits.
     */
    size_t usual = 1;
    bool may_go_on = true;

    while (may_go_on) {
        const bool is_full =
            atomic_load_explicit(&e->health, memory_order_relaxed) == STORE_DISK_FULL;
        if (in.len > 0) {
            queue_take(&e->inbox, e->batch_max > in.len ? e->batch_max - in.len : 0, &in);
        } else if (is_full) {
            may_go_on = queue_wait_for(&e->inbox, e->batch_max, EMBEDDED_PROBE_MS, &in);
        } else {
            may_go_on = queue_wait_many(&e->inbox, e->batch_max, usual, EMBEDDED_LINGER_US, &in);
        }
        if (in.len > 0) {
            usual = (usual + in.len) / 2;
            turn_run(e, &in);
        } else if (may_go_on && is_full) {
            probe(e);
        }
    }
    if (!e->is_fatal) {
        close_clean(e);
    }
    return NULL;
}

/* Does a page of accounts go on to the writer, for its balances? */
static bool goes_on(const struct store_op *op)
{
    return op->kind == STORE_ACCOUNTS && op->status == STORE_DONE &&
           op->result.outcome == OUTCOME_OK && op->count > 0;
}

void *reader_run(void *ctx)
{
    struct embedded_reader *me = ctx;
    struct queue_list in = {0};

    while (queue_wait(&me->store->reads, 1,
                      &in)) { /* one at a time, so that the other readers get the rest */
        struct store_op *op = (struct store_op *)queue_list_pop(&in);
        struct store_sink *sink = op->sink; /* once the writer has op, it may be answered and gone */
        const bool is_fresh = op->kind == STORE_TRANSACTION || op->kind == STORE_ACCOUNTS;
        struct queue_list out = {0};
        if ((is_fresh && !store_claim(op)) || op->deadline_mono_us <= clock_mono_us()) {
            op->status = op->kind == STORE_POST
                             ? STORE_UNKNOWN
                             : STORE_UNAVAILABLE; /* nobody waits for it any more */
        } else {
            (void)pthread_rwlock_rdlock(&me->store->snapshots);
            reader_answer(&me->reader, op);
            (void)pthread_rwlock_unlock(&me->store->snapshots);
        }
        queue_list_push(&out, &op->link);
        if (goes_on(op)) {
            (void)queue_put(&me->store->inbox, &out);
            if (out.head != NULL) {
                op->status = STORE_UNAVAILABLE;
            }
        }
        store_complete(sink, &out);
    }
    return NULL;
}

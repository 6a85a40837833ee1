/* The embedded store's own shape, shared by the files that run it. */
#ifndef STORE_EMBEDDED_EMBEDDED_INTERNAL_H
#define STORE_EMBEDDED_EMBEDDED_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "ledger/book.h"
#include "store/embedded/checkpoint.h"
#include "store/embedded/embedded.h"
#include "store/embedded/journal.h"
#include "store/embedded/reader.h"

enum {
    EMBEDDED_READERS_MAX = 16,
    EMBEDDED_SINKS_MAX = 64,          /* loops that can be served */
    EMBEDDED_RECORDS_PER_POSTING = 4, /* room in a batch; a posting that needs more ends it earlier */
    EMBEDDED_EXPIRE_PER_TURN = 512,   /* idempotency keys forgotten a batch */
    EMBEDDED_STALL_US = 1000000,      /* a turn that takes longer than this hangs in the disk */
    EMBEDDED_LINGER_US = 150, /* behind a batch: so long the next one may grow to its size */
    EMBEDDED_PROBE_MS =
        1000, /* on a full disk: how often the writer tries whether there is room again */
};

/** Completions gathered for one loop, so that it is woken once a batch. */
struct embedded_outbox {
    struct store_sink *sink;
    struct queue_list ops;
};

struct embedded_reader {
    struct embedded *store;
    struct reader reader;
    pthread_t thread;
    bool is_running;
};

struct embedded {
    struct store store; /* first: what the port hands around */
    struct queue inbox; /* loops and readers -> writer */
    struct queue reads; /* loops and writer -> readers */
    uint32_t batch_max;
    uint64_t ttl_us;
    pthread_rwlock_t snapshots; /* readers hold it shared while they read; see checkpoint_turn. Prefers the writer */
    int lock_fd;
    /* the writer's own while it runs */
    struct book book;
    struct book_fx fx;
    struct journal journal;
    struct checkpoint checkpoint;
    struct embedded_outbox outboxes[EMBEDDED_SINKS_MAX];
    unsigned outbox_count;
    struct metrics_shard *shard;
    struct embedded_metrics series;
    pthread_t writer;
    bool has_writer;
    int64_t key_now_us;   /* the clock that keys expire by: never faster than the monotonic one */
    uint64_t key_mono_us; /* when it was last set */
    bool is_fatal;        /* nothing is written any more */
    void (*on_fatal)(void *ctx);
    void *on_fatal_ctx;
    struct embedded_reader readers[EMBEDDED_READERS_MAX];
    unsigned reader_count;
    uint64_t replayed, open_us;
    /* written by the writer, read by anybody: relaxed, they are only numbers to show */
    _Atomic int health;
    _Atomic uint64_t accounts, seq, keys, wal_bytes;
    _Atomic uint64_t busy_since_us; /* monotonic; 0: the writer waits for work */
};

/** The writer thread: inbox -> batch -> book -> one commit -> replies, until the inbox is closed. ctx is struct embedded. */
void *writer_run(void *ctx);

/** Publish the numbers that others may read. Thread: writer, or start-up before it runs. */
void writer_publish(struct embedded *e);

/** A reader thread. ctx is struct embedded_reader. */
void *reader_run(void *ctx);

#endif

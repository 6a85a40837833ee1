/* What the offline commands (verify, export, import) share: one connection to the master, its marks, one moment of all journals. */
#ifndef STORE_REDIS_OFFLINE_H
#define STORE_REDIS_OFFLINE_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "store/redis/check.h"
#include "store/redis/entry.h"
#include "store/redis/look.h"
#include "store/redis/redis.h"

struct sync;
struct tls_context;

enum {
    OFFLINE_TIMEOUT_MS = 60000, /* of one answer */
    OFFLINE_PIPE = 256,         /* commands on their way */
    OFFLINE_PIPE_BYTES_MAX = 64 << 20,
    OFFLINE_PAGE = 256, /* journal entries read at once, at most */
    OFFLINE_SCAN_COUNT = 1000,
    OFFLINE_CURSOR_BYTES = 32,
    OFFLINE_ENTRY_BYTES_MAX = 1 << 20, /* what one entry becomes when it is read */
};

/** Where a bucket's journal ended at one moment. */
struct offline_end {
    uint64_t seq;
    int64_t time_us;
};

struct offline {
    struct tls_context *tls; /* owned */
    struct sync *line;       /* owned */
    struct buf out;          /* commands that wait for offline_flush; owned */
    struct look_marks marks;
    bool is_moved;            /* something in it came from another store */
    struct offline_end *ends; /* by bucket, after offline_cut; owned */
    struct err_text *why;     /* borrowed */
    enum err (*tick)(void *ctx); /* called now and then, where no answer is on its way: an import keeps its lock. NULL: nothing */
    void *tick_ctx;
};

/**
 * Find the master, connect, read the ledger's marks.
 *
 * Owns:    borrows all; offline_close in any case.
 * Errors:  ERR_IO, ERR_TIMEOUT, ERR_INVALID (refused, or no master), ERR_UNSUPPORTED, ERR_NOMEM; *why.
 * Thread:  one; blocks; so all of these.
 */
MUST_CHECK enum err offline_open(struct offline *o, const struct redis_url *url,
                                 const struct redis_tls_files *tls, struct err_text *why);
void offline_close(struct offline *o);

/** Is there a whole ledger of this program's format? Errors: ERR_NOT_FOUND, ERR_BUSY (a half import), ERR_UNSUPPORTED, ERR_CORRUPT; *why. */
MUST_CHECK enum err offline_ledger_check(struct offline *o);

/** Send the commands in o->out. */
MUST_CHECK enum err offline_flush(struct offline *o);

/** The next answer, freed by sync_free; an error reply is ERR_INVALID with *why. */
MUST_CHECK enum err offline_next(struct offline *o, redisReply **out);

/** Send what is in o->out, and take the one answer that comes. */
MUST_CHECK enum err offline_ask(struct offline *o, redisReply **out);

/** Run what is in o->out as one step of the server (MULTI, `count` commands, EXEC); *out is the array of their answers, each still to be looked at: one may be an error. */
MUST_CHECK enum err offline_step(struct offline *o, unsigned count, redisReply **out);

/** Fill o->ends: all journals' ends at one moment. Errors: ERR_CORRUPT; as above. */
MUST_CHECK enum err offline_cut(struct offline *o);

/** The server's clock, µs since the epoch. */
MUST_CHECK enum err offline_time(struct offline *o, int64_t *us);

/** One page of SCAN over w:*. Begins with cursor "0", and is over when that comes back. *out: the array of keys' reply, as a whole: element[1]. */
MUST_CHECK enum err offline_scan(struct offline *o, char cursor[OFFLINE_CURSOR_BYTES],
                                 redisReply **out);

/** Call o->tick, if there is one. Errors: its own. */
MUST_CHECK enum err offline_tick(struct offline *o);

/** Words into *why and ERR_CORRUPT. */
enum err offline_bad(struct offline *o, const char *format, ...) PRINTF_LIKE(2, 3);

/** The bucket whose tag stands in a key behind a prefix of four bytes ("w:a:{tag}…"); *rest is what stands behind it. False: none. */
bool offline_bucket_of(struct slice key, unsigned buckets, unsigned *bucket, struct slice *rest);

/** The bucket of a posting's first account: it leads, and has @world's leg. */
unsigned offline_home(const struct entry *e, unsigned buckets);

/** The buckets that a movement stands in, the home first; returns how many. */
unsigned offline_involved(const struct entry *e, unsigned buckets, unsigned out[LEDGER_LEGS_MAX]);

/** What an idempotency key's value says. False: it is none. */
bool offline_idem_read(struct slice value, struct idem *out, int64_t *time_us);

/* ---- a journal from its beginning ---- */

struct scroll {
    struct offline *o;
    redisReply *page; /* owned */
    size_t at;        /* in the page */
    unsigned bucket, page_entries;
    char from[48]; /* the next page begins behind this id; "": at the first */
    uint64_t read; /* entries read so far */
    uint64_t stop; /* read no more than so many: the journal's seq at the moment it is of */
};

/** Thread: one; so all of these. */
void scroll_init(struct scroll *s, struct offline *o, unsigned bucket, uint64_t stop,
                 unsigned page_entries);
void scroll_fini(struct scroll *s);

/**
 * The next entry, its legs in the arena; it points into the page until the next call.
 *
 * Errors:  ERR_NOT_FOUND `stop` entries were read; ERR_CORRUPT an entry that is none, or the journal ends before `stop`; as
 *          offline_next; *why.
 */
MUST_CHECK enum err scroll_next(struct scroll *s, struct arena *a, struct entry *out);

/** The id of the entry that came last, as text in the page. */
struct slice scroll_id(const struct scroll *s);

#endif

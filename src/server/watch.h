/* What the main thread sleeps on: signals, as data, and news of other threads. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include <stdint.h>

#include "base/err.h"

struct watch {
    int signal_fd;
    int event_fd;
};

/** Signals that came since the last look. */
struct watch_news {
    unsigned ends;    /* SIGTERM, SIGINT */
    unsigned reloads; /* SIGHUP */
    int last_end;     /* number of the last of ends */
};

/**
 * Block SIGTERM, SIGINT and SIGHUP, in this thread and all it will start, and watch for them; ignore SIGPIPE and SIGXFSZ,
 * whose system calls then say what is wrong. The signals stay blocked after watch_close.
 *
 * Errors:  ERR_IO.
 * Thread:  main, before there is any other.
 */
MUST_CHECK enum err watch_open(struct watch *w);
void watch_close(struct watch *w);

/** Wake whoever sleeps in watch_sleep, or will. Thread: any. */
void watch_poke(struct watch *w);

/**
 * Sleep until a signal or a poke, or the deadline (monotonic µs; UINT64_MAX: none).
 *
 * Returns: in *news what signals there were, perhaps none.
 */
void watch_sleep(struct watch *w, uint64_t deadline_us, struct watch_news *news);

#endif

/*
 * Counters, gauges and histograms, kept by each thread for itself and summed when somebody asks. Serves nothing.
 *
 * Start-up declares every series there will ever be (closed label sets only), then freezes the set and hands each
 * thread a shard. A shard is written by its thread alone, with relaxed atomics, and read by the scrape.
 */
#ifndef METRICS_METRICS_H
#define METRICS_METRICS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct metrics;       /* the registry; opaque */
struct metrics_shard; /* one thread's numbers; opaque */

/** The series number that counts nothing: given to code whose caller wants no metrics. */
#define METRICS_NONE UINT32_MAX

enum metrics_buckets {
    METRICS_SECONDS, /* histogram of durations: 50 µs, 100 µs, 250 µs, 500 µs, 1 ms, 2.5 ms, 5 ms … 10 s; observed in µs */
    METRICS_SIZES,   /* histogram of counts: 1, 2, 4, … 4096; observed as they are */
};

/** Make an empty registry. Errors: ERR_NOMEM. Owns: *out is the caller's, freed by metrics_free. Thread: start-up. */
MUST_CHECK enum err metrics_new(struct metrics **out);
void metrics_free(struct metrics *m);

/**
 * Append name="value" to a label text that is being built, escaped, behind a comma unless the text is empty. A value
 * is meant to be from a closed set; control characters, for which the format has no escape, become a question mark.
 *
 * Thread:  the buffer's.
 */
void metrics_label(struct buf *out, const char *name, struct slice value);

/**
 * Declare one counter series of the family `name`; labels are ready text (`method="GET",code="200"`) or "".
 * Series of one family are declared one after another and share name and help (static strings, borrowed; labels are copied).
 * A family of which no series was ever touched prints its first series as 0.
 *
 * Errors:  ERR_NOMEM; *series is then untouched. A name or label text that Prometheus would refuse aborts.
 * Thread:  start-up, before the first shard.
 */
MUST_CHECK enum err metrics_counter(struct metrics *m, const char *name, const char *help,
                                    const char *labels, uint32_t *series);

/** Declare one histogram series; prints cumulative buckets, _sum and _count. */
MUST_CHECK enum err metrics_histogram(struct metrics *m, const char *name, const char *help,
                                      const char *labels, enum metrics_buckets buckets,
                                      uint32_t *series);

/** Declare a gauge (or, is_counter, a counter) whose value is asked for at the scrape, on the scraping thread. */
MUST_CHECK enum err metrics_asked(struct metrics *m, const char *name, const char *help,
                                  const char *labels, int is_counter, int64_t (*ask)(void *ctx),
                                  void *ctx);

/** Declare the process_* family, read from /proc/self at the scrape, and wallet_build_info{version="…"}. Once. Errors: ERR_NOMEM. */
MUST_CHECK enum err metrics_process(struct metrics *m, const char *version);

/** A shard for one more thread, owned by the registry. The first call freezes the set. Errors: ERR_NOMEM. */
MUST_CHECK enum err metrics_shard_new(struct metrics *m, struct metrics_shard **out);

/** Add to a counter. Cheap: one relaxed add, no lock. A NULL shard or METRICS_NONE does nothing. Thread: the shard's. */
void metrics_add(struct metrics_shard *s, uint32_t series, uint64_t n);

/** Record one observation (µs for METRICS_SECONDS, a count for METRICS_SIZES). Thread: the shard's. */
void metrics_observe(struct metrics_shard *s, uint32_t series, uint64_t value);

/**
 * Append everything as Prometheus text 0.0.4; untouched series of a touched family are left out.
 *
 * Errors:  in out->err: ERR_FULL, ERR_NOMEM; the text is then torn and must not be served.
 * Thread:  any; one at a time, so that no counter seems to fall.
 */
void metrics_render(struct metrics *m, struct buf *out);

#endif

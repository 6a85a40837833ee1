/* What the files of this room share: the registry's inside. */
#ifndef METRICS_METRICS_INTERNAL_H
#define METRICS_METRICS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "metrics/metrics.h"

enum {
    METRICS_SERIES_MAX = 4096,
    METRICS_BOUNDS_MAX = 17,                    /* finite bucket bounds of the longest histogram */
    METRICS_CELLS_MAX = METRICS_BOUNDS_MAX + 2, /* and +Inf, and the sum */
    METRICS_LINE_BYTES = 64,                    /* a cache line: two shards never share one */
    METRICS_KIND_SHIFT = 30, /* a series number is its kind above its first cell */
};

enum metrics_kind {
    METRICS_KIND_COUNTER, /* one cell */
    METRICS_KIND_SECONDS, /* a cell a bound, +Inf, the sum in µs */
    METRICS_KIND_SIZES,   /* a cell a bound, +Inf, the sum */
    METRICS_KIND_ASKED, /* no cell; numbers of this kind are never given out, METRICS_NONE looks like one */
};

/** The bounds of one kind of histogram, inclusive, rising, and how they are printed. */
struct metrics_bounds {
    const uint64_t *values;
    const char *const *labels;
    size_t count;
};

struct metrics_series {
    const char *name; /* static */
    const char *help; /* static */
    char *labels;     /* owned */
    enum metrics_kind kind;
    bool is_counter; /* how the family is typed */
    uint32_t cell;   /* the first of its cells in every shard */
    int64_t (*ask)(void *ctx);
    void *ctx;
};

/** Written by its thread alone; the cells begin on a cache line of their own. */
struct metrics_shard {
    _Alignas(METRICS_LINE_BYTES) struct metrics_shard *next;
    void *block; /* what mem_alloc gave */
    uint32_t cell_count;
    _Alignas(METRICS_LINE_BYTES) uint64_t cells[];
};

struct metrics {
    struct metrics_series *series;
    size_t series_count;
    size_t series_cap;
    uint32_t cell_count;
    struct metrics_shard *shards; /* atomic; only ever grows at its head */
    bool is_frozen;               /* atomic */
    bool has_process;
    uint64_t process_start_us; /* µs since the Unix epoch */
};

/** The part of /proc/self/stat that is shown. */
struct metrics_stat {
    uint64_t cpu_ticks; /* user and system */
    uint64_t threads;
    uint64_t start_ticks; /* since boot */
    uint64_t virtual_bytes;
    uint64_t resident_pages;
};

/** The bounds of a histogram kind; none for the others. Owns: static. Thread: any. */
struct metrics_bounds metrics_bounds_of(enum metrics_kind kind);

/** Is this label text what Prometheus accepts between the braces? Thread: any. */
bool metrics_labels_valid(const char *labels);

/** Read the text of /proc/<pid>/stat; false, *stat untouched, when it has another shape. Thread: any. */
bool metrics_stat_parse(struct slice text, struct metrics_stat *stat);

/** Append the process_* families; one that the system does not tell is left out. Thread: any. */
void metrics_process_render(const struct metrics *m, struct buf *out);

/** Append HELP and TYPE of a family. Thread: any. */
void metrics_family_render(struct buf *out, const char *name, const char *help, const char *type);

/** Append a number of µs as seconds with six decimals. Thread: any. */
void metrics_seconds_render(struct buf *out, uint64_t us);

#endif

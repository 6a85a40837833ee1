/* What the benchmark's programs share: a command line, the end of a program that cannot go on, a clock, a histogram. */
#ifndef BENCH_TOOL_H
#define BENCH_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/** One flag; exactly one of the pointers is set, and keeps its value where the flag is not given. */
struct tool_flag {
    const char *name;  /* "--rate" */
    uint64_t *number;  /* takes a decimal number */
    const char **text; /* takes a word; borrowed from argv */
    bool *is_given;    /* takes nothing */
};

/** Read the command line; ends the program with status 2 where it holds anything else. */
void tool_flags_read(int argc, char *const *argv, const struct tool_flag *flags, size_t count);

/** Say why on standard error and end the program with status 1. */
_Noreturn void tool_die(const char *format, ...) PRINTF_LIKE(1, 2);

/** tool_die unless e is ERR_OK. */
void tool_must(enum err e, const char *what);

/** Monotonic clock, ns since an arbitrary start. */
uint64_t tool_now_ns(void);

enum {
    HISTOGRAM_SUB_BITS = 6, /* 64 steps to each doubling: a value is known to 1.6 % */
    HISTOGRAM_DOUBLINGS = 40,
    HISTOGRAM_BUCKETS = HISTOGRAM_DOUBLINGS << HISTOGRAM_SUB_BITS,
};

/** Log-linear: linear inside each doubling, so the relative error is the same for 10 µs and for 10 s. */
struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total, max;
};

void histogram_add(struct histogram *h, uint64_t value);

/** The smallest recorded value (its bucket's upper edge) that `millionths` of all values do not pass; 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, uint64_t millionths);

/** Print "p50_us=… p90_us=… p99_us=… p999_us=… max_us=…\n" for values in ns. */
void histogram_print_us(const struct histogram *h);

#endif

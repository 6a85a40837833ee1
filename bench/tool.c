#include "bench/tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/assert.h"

static _Noreturn void usage(const char *program, const char *what, const struct tool_flag *flags,
                            size_t count)
{
    (void)fprintf(stderr, "%s: %s; flags:", program, what);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(stderr, " %s%s", flags[i].name,
                      flags[i].is_given != NULL ? "" : (flags[i].text != NULL ? " WORD" : " N"));
    }
    (void)fprintf(stderr, "\n");
    exit(2);
}

void tool_flags_read(int argc, char *const *argv, const struct tool_flag *flags, size_t count)
{
    for (int i = 1; i < argc; i++) {
        const struct tool_flag *flag = flags;
        while (flag < flags + count && strcmp(flag->name, argv[i]) != 0) {
            flag++;
        }
        if (flag == flags + count) {
            usage(argv[0], argv[i], flags, count);
        }
        if (flag->is_given != NULL) {
            *flag->is_given = true;
            continue;
        }
        if (++i == argc) {
            usage(argv[0], "a value is missing", flags, count);
        }
        if (flag->text != NULL) {
            *flag->text = argv[i];
        } else {
            char *end;
            *flag->number = strtoull(argv[i], &end, 10);
            if (argv[i][0] < '0' || argv[i][0] > '9' || *end != '\0') {
                usage(argv[0], argv[i], flags, count);
            }
        }
    }
}

_Noreturn void tool_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

void tool_must(enum err e, const char *what)
{
    if (e != ERR_OK) {
        tool_die("%s: %s", what, err_name(e));
    }
}

uint64_t tool_now_ns(void)
{
    struct timespec t;
    int rc = clock_gettime(CLOCK_MONOTONIC, &t);

    ASSERT(rc == 0);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

/* Values below 2^7 stand each in their own bucket; above, the top 7 bits choose it. */
static size_t bucket_of(uint64_t value)
{
    unsigned shift = 0;
    size_t bucket;

    while (value >> shift >= UINT64_C(2) << HISTOGRAM_SUB_BITS) {
        shift++;
    }
    bucket = ((size_t)shift << HISTOGRAM_SUB_BITS) + (size_t)(value >> shift);
    return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

static uint64_t upper_edge(size_t bucket)
{
    const size_t sub = (size_t)1 << HISTOGRAM_SUB_BITS;
    const size_t shift = bucket < 2 * sub ? 0 : (bucket >> HISTOGRAM_SUB_BITS) - 1;

    return (((uint64_t)bucket - (shift << HISTOGRAM_SUB_BITS) + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->counts[bucket_of(value)]++;
    h->total++;
    h->max = value > h->max ? value : h->max;
}

uint64_t histogram_quantile(const struct histogram *h, uint64_t millionths)
{
    /* rounded up: of 1000 values p99.9 is the 999th */
    const uint64_t rank = (h->total * millionths + 999999) / 1000000;
    uint64_t seen = 0;

    ASSERT(millionths >= 1 && millionths <= 1000000);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank && seen > 0) {
            return upper_edge(i) < h->max ? upper_edge(i) : h->max;
        }
    }
    return 0;
}

void histogram_print_us(const struct histogram *h)
{
    static const struct {
        const char *name;
        uint64_t millionths;
    } wanted[] = {{"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p999", 999000}};

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        (void)printf("%s_us=%.1f ", wanted[i].name,
                     (double)histogram_quantile(h, wanted[i].millionths) / 1e3);
    }
    (void)printf("max_us=%.1f\n", (double)h->max / 1e3);
}

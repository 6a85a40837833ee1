#include "metrics/metrics.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "metrics/metrics_internal.h"

#define NAME_FIRST "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
#define NAME_REST NAME_FIRST "0123456789"

static const uint64_t seconds_values[] = {50,     100,     250,     500,     1000,    2500,
                                          5000,   10000,   25000,   50000,   100000,  250000,
                                          500000, 1000000, 2500000, 5000000, 10000000};
static const char *const seconds_labels[] = {
    "0.00005", "0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025",
    "0.05",    "0.1",    "0.25",    "0.5",    "1",     "2.5",    "5",     "10"};
static const uint64_t sizes_values[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static const char *const sizes_labels[] = {"1",   "2",   "4",   "8",    "16",   "32",  "64",
                                           "128", "256", "512", "1024", "2048", "4096"};

_Static_assert(ARRAY_LEN(seconds_values) == ARRAY_LEN(seconds_labels), "each bound has its label");
_Static_assert(ARRAY_LEN(sizes_values) == ARRAY_LEN(sizes_labels), "each bound has its label");
_Static_assert(ARRAY_LEN(seconds_values) <= METRICS_BOUNDS_MAX, "METRICS_BOUNDS_MAX is too small");
_Static_assert(ARRAY_LEN(sizes_values) <= METRICS_BOUNDS_MAX, "METRICS_BOUNDS_MAX is too small");

struct metrics_bounds metrics_bounds_of(enum metrics_kind kind)
{
    switch (kind) {
    case METRICS_KIND_SECONDS:
        return (struct metrics_bounds){seconds_values, seconds_labels, ARRAY_LEN(seconds_values)};
    case METRICS_KIND_SIZES:
        return (struct metrics_bounds){sizes_values, sizes_labels, ARRAY_LEN(sizes_values)};
    default:
        return (struct metrics_bounds){NULL, NULL, 0};
    }
}

static bool name_is_valid(const char *name)
{
    return name[0] != '\0' && strchr(NAME_FIRST, name[0]) != NULL &&
           strspn(name, NAME_REST) == strlen(name);
}

/* The end of one name="value", or NULL. */
static const char *label_end(const char *at)
{
    size_t name_len = strspn(at, NAME_REST);

    if (name_len == 0 || strchr(NAME_FIRST, at[0]) == NULL || at[name_len] != '=' ||
        at[name_len + 1] != '"') {
        return NULL;
    }
    for (at += name_len + 2; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
            if (*at != '\\' && *at != '"' && *at != 'n') {
                return NULL;
            }
        } else if ((unsigned char)*at < 0x20) {
            return NULL; /* a raw newline, or the end of the text inside the quotes */
        }
    }
    return at + 1;
}

bool metrics_labels_valid(const char *labels)
{
    if (labels[0] == '\0') {
        return true;
    }
    for (;;) {
        labels = label_end(labels);
        if (labels == NULL) {
            return false;
        }
        if (*labels == '\0') {
            return true;
        }
        if (*labels++ != ',') {
            return false;
        }
    }
}

void metrics_label(struct buf *out, const char *name, struct slice value)
{
    ASSERT(name_is_valid(name));
    if (out->len > 0) {
        buf_append_byte(out, ',');
    }
    buf_append_text(out, name);
    buf_append_text(out, "=\"");
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (c == '\n') {
            buf_append_text(out, "\\n");
        } else if ((unsigned char)c < 0x20) {
            buf_append_byte(out, '?'); /* the format has no escape for it */
        } else {
            if (c == '\\' || c == '"') {
                buf_append_byte(out, '\\');
            }
            buf_append_byte(out, c);
        }
    }
    buf_append_byte(out, '"');
}

enum err metrics_new(struct metrics **out)
{
    struct metrics *m = mem_alloc(sizeof(*m));

    ASSERT(out != NULL);
    if (m == NULL) {
        return ERR_NOMEM;
    }
    *out = m;
    return ERR_OK;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    for (struct metrics_shard *s = m->shards; s != NULL;) {
        struct metrics_shard *next = s->next;

        mem_free(s->block);
        s = next;
    }
    for (size_t i = 0; i < m->series_count; i++) {
        mem_free(m->series[i].labels);
    }
    mem_free(m->series);
    mem_free(m);
}

/* Prometheus refuses a text in which a family is torn apart, typed twice or holds one series twice. */
static void assert_declarable(const struct metrics *m, const struct metrics_series *s,
                              const char *labels)
{
    ASSERT(s->name != NULL && s->help != NULL && labels != NULL);
    ASSERT(name_is_valid(s->name));
    ASSERT(metrics_labels_valid(labels));
    ASSERT(!__atomic_load_n(&m->is_frozen, __ATOMIC_RELAXED));
    for (size_t i = 0; i < m->series_count; i++) {
        const struct metrics_series *other = &m->series[i];

        if (strcmp(other->name, s->name) == 0) {
            ASSERT(strcmp(m->series[m->series_count - 1].name, s->name) == 0);
            ASSERT(other->kind == s->kind && other->is_counter == s->is_counter);
            ASSERT(strcmp(other->help, s->help) == 0);
            ASSERT(strcmp(other->labels, labels) != 0);
        }
    }
}

static enum err reserve_series(struct metrics *m)
{
    size_t cap = m->series_cap == 0 ? 64 : m->series_cap * 2;
    struct metrics_series *series;

    if (m->series_count < m->series_cap) {
        return ERR_OK;
    }
    if (cap > METRICS_SERIES_MAX) {
        return ERR_NOMEM;
    }
    series = mem_resize(m->series, cap * sizeof(*series));
    if (series == NULL) {
        return ERR_NOMEM;
    }
    m->series = series;
    m->series_cap = cap;
    return ERR_OK;
}

static enum err declare(struct metrics *m, struct metrics_series s, const char *labels,
                        uint32_t *series)
{
    size_t bounds = metrics_bounds_of(s.kind).count;
    size_t labels_size;
    enum err e;

    assert_declarable(m, &s, labels);
    e = reserve_series(m);
    if (e != ERR_OK) {
        return e;
    }
    labels_size = strlen(labels) + 1;
    s.labels = mem_alloc(labels_size);
    if (s.labels == NULL) {
        return ERR_NOMEM;
    }
    memcpy(s.labels, labels, labels_size);
    s.cell = m->cell_count;
    m->series[m->series_count++] = s;
    if (s.kind != METRICS_KIND_ASKED) {
        m->cell_count += bounds == 0 ? 1 : (uint32_t)bounds + 2;
        *series = (uint32_t)s.kind << METRICS_KIND_SHIFT | s.cell;
    }
    return ERR_OK;
}

enum err metrics_counter(struct metrics *m, const char *name, const char *help, const char *labels,
                         uint32_t *series)
{
    struct metrics_series s = {
        .name = name, .help = help, .kind = METRICS_KIND_COUNTER, .is_counter = true};

    ASSERT(series != NULL);
    return declare(m, s, labels, series);
}

enum err metrics_histogram(struct metrics *m, const char *name, const char *help,
                           const char *labels, enum metrics_buckets buckets, uint32_t *series)
{
    struct metrics_series s = {.name = name, .help = help};

    ASSERT(series != NULL);
    ASSERT(buckets == METRICS_SECONDS || buckets == METRICS_SIZES);
    s.kind = buckets == METRICS_SECONDS ? METRICS_KIND_SECONDS : METRICS_KIND_SIZES;
    return declare(m, s, labels, series);
}

enum err metrics_asked(struct metrics *m, const char *name, const char *help, const char *labels,
                       int is_counter, int64_t (*ask)(void *ctx), void *ctx)
{
    struct metrics_series s = {.name = name, .help = help, .ask = ask, .ctx = ctx};

    ASSERT(ask != NULL);
    s.kind = METRICS_KIND_ASKED;
    s.is_counter = is_counter != 0;
    return declare(m, s, labels, NULL);
}

enum err metrics_shard_new(struct metrics *m, struct metrics_shard **out)
{
    size_t cells_bytes = (m->cell_count * sizeof(uint64_t) + METRICS_LINE_BYTES - 1) &
                         ~(size_t)(METRICS_LINE_BYTES - 1);
    struct metrics_shard *s;
    uintptr_t at;
    void *block;

    ASSERT(out != NULL);
    block = mem_alloc(METRICS_LINE_BYTES - 1 + sizeof(*s) + cells_bytes);
    if (block == NULL) {
        return ERR_NOMEM;
    }
    at = ((uintptr_t)block + METRICS_LINE_BYTES - 1) & ~(uintptr_t)(METRICS_LINE_BYTES - 1);
    s = (struct metrics_shard *)at;
    s->block = block;
    s->cell_count = m->cell_count;
    __atomic_store_n(&m->is_frozen, true, __ATOMIC_RELAXED);
    s->next = __atomic_load_n(&m->shards, __ATOMIC_RELAXED);
    /* release: a scrape that finds the shard finds its zeros too */
    while (!__atomic_compare_exchange_n(&m->shards, &s->next, s, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED)) {
    }
    *out = s;
    return ERR_OK;
}

/*
 * Relaxed, since the numbers guard no other memory; a load and a store instead of one locked add, since no other
 * thread writes the cell: several times cheaper, and a scrape still never sees half a number or one that falls.
 */
static void cell_add(struct metrics_shard *s, uint32_t cell, uint64_t n)
{
    uint64_t *at = &s->cells[cell];

    __atomic_store_n(at, __atomic_load_n(at, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static uint32_t cell_of(uint32_t series)
{
    return series & ((UINT32_C(1) << METRICS_KIND_SHIFT) - 1);
}

void metrics_add(struct metrics_shard *s, uint32_t series, uint64_t n)
{
    if (s == NULL || series == METRICS_NONE) {
        return;
    }
    ASSERT(series >> METRICS_KIND_SHIFT == METRICS_KIND_COUNTER);
    ASSERT(series < s->cell_count);
    cell_add(s, series, n);
}

void metrics_observe(struct metrics_shard *s, uint32_t series, uint64_t value)
{
    struct metrics_bounds bounds;
    uint32_t first = cell_of(series);
    uint32_t at = 0;

    if (s == NULL || series == METRICS_NONE) {
        return;
    }
    bounds = metrics_bounds_of((enum metrics_kind)(series >> METRICS_KIND_SHIFT));
    ASSERT(bounds.count > 0);
    ASSERT(first + bounds.count + 2 <= s->cell_count);
    while (at < bounds.count && value > bounds.values[at]) {
        at++;
    }
    cell_add(s, first + at, 1);
    cell_add(s, first + (uint32_t)bounds.count + 1, value);
}

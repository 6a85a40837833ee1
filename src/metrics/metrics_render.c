/* The scrape: sums the shards and writes Prometheus text 0.0.4. */
#include <string.h>

#include "base/assert.h"
#include "metrics/metrics.h"
#include "metrics/metrics_internal.h"

/* Sum the cells of one series over all shards: each cell is read once, so what is printed agrees with itself. */
static void series_read(const struct metrics *m, const struct metrics_series *s, size_t count,
                        uint64_t cells[METRICS_CELLS_MAX])
{
    const struct metrics_shard *shard = __atomic_load_n(&m->shards, __ATOMIC_ACQUIRE);

    ASSERT(count <= METRICS_CELLS_MAX);
    memset(cells, 0, count * sizeof(cells[0]));
    for (; shard != NULL; shard = shard->next) {
        for (size_t i = 0; i < count; i++) {
            cells[i] += __atomic_load_n(&shard->cells[s->cell + i], __ATOMIC_RELAXED);
        }
    }
}

static bool is_touched(const struct metrics *m, const struct metrics_series *s)
{
    size_t bounds = metrics_bounds_of(s->kind).count;
    size_t counts = bounds == 0 ? 1 : bounds + 1;
    uint64_t cells[METRICS_CELLS_MAX];

    if (s->kind == METRICS_KIND_ASKED) {
        return true;
    }
    series_read(m, s, counts, cells);
    for (size_t i = 0; i < counts; i++) {
        if (cells[i] != 0) {
            return true;
        }
    }
    return false;
}

static void sample_start(struct buf *out, const struct metrics_series *s, const char *suffix,
                         const char *le)
{
    buf_append_text(out, s->name);
    buf_append_text(out, suffix);
    if (s->labels[0] != '\0' || le != NULL) {
        buf_append_byte(out, '{');
        buf_append_text(out, s->labels);
        if (le != NULL) {
            buf_append_text(out, s->labels[0] == '\0' ? "le=\"" : ",le=\"");
            buf_append_text(out, le);
            buf_append_byte(out, '"');
        }
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ' ');
}

static void histogram_render(const struct metrics *m, const struct metrics_series *s, struct buf *out)
{
    struct metrics_bounds bounds = metrics_bounds_of(s->kind);
    uint64_t cells[METRICS_CELLS_MAX];
    uint64_t total = 0;

    series_read(m, s, bounds.count + 2, cells);
    for (size_t i = 0; i <= bounds.count; i++) {
        total += cells[i];
        sample_start(out, s, "_bucket", i < bounds.count ? bounds.labels[i] : "+Inf");
        buf_append_u64(out, total);
        buf_append_byte(out, '\n');
    }
    sample_start(out, s, "_sum", NULL);
    if (s->kind == METRICS_KIND_SECONDS) {
        metrics_seconds_render(out, cells[bounds.count + 1]);
    } else {
        buf_append_u64(out, cells[bounds.count + 1]);
    }
    buf_append_byte(out, '\n');
    sample_start(out, s, "_count", NULL);
    buf_append_u64(out, total);
    buf_append_byte(out, '\n');
}

static void series_render(const struct metrics *m, const struct metrics_series *s, struct buf *out)
{
    uint64_t cells[METRICS_CELLS_MAX];

    switch (s->kind) {
    case METRICS_KIND_COUNTER:
        series_read(m, s, 1, cells);
        sample_start(out, s, "", NULL);
        buf_append_u64(out, cells[0]);
        buf_append_byte(out, '\n');
        return;
    case METRICS_KIND_ASKED:
        sample_start(out, s, "", NULL);
        buf_append_i64(out, s->ask(s->ctx));
        buf_append_byte(out, '\n');
        return;
    case METRICS_KIND_SECONDS:
    case METRICS_KIND_SIZES:
        histogram_render(m, s, out);
        return;
    default:
        UNREACHABLE("metrics kind");
    }
}

void metrics_family_render(struct buf *out, const char *name, const char *help, const char *type)
{
    buf_append_text(out, "# HELP ");
    buf_append_text(out, name);
    buf_append_byte(out, ' ');
    for (; *help != '\0'; help++) {
        if (*help == '\\' || *help == '\n') {
            buf_append_text(out, *help == '\n' ? "\\n" : "\\\\");
        } else {
            buf_append_byte(out, *help);
        }
    }
    buf_append_text(out, "\n# TYPE ");
    buf_append_text(out, name);
    buf_append_byte(out, ' ');
    buf_append_text(out, type);
    buf_append_byte(out, '\n');
}

void metrics_seconds_render(struct buf *out, uint64_t us)
{
    char decimals[7] = {'.'};
    uint64_t rest = us % 1000000;

    for (size_t i = sizeof(decimals) - 1; i > 0; i--) {
        decimals[i] = (char)('0' + rest % 10);
        rest /= 10;
    }
    buf_append_u64(out, us / 1000000);
    buf_append(out, decimals, sizeof(decimals));
}

static const char *type_name(const struct metrics_series *s)
{
    if (s->kind == METRICS_KIND_SECONDS || s->kind == METRICS_KIND_SIZES) {
        return "histogram";
    }
    return s->is_counter ? "counter" : "gauge";
}

void metrics_render(struct metrics *m, struct buf *out)
{
    size_t end;

    ASSERT(m != NULL && out != NULL);
    for (size_t first = 0; first < m->series_count; first = end) {
        const struct metrics_series *family = &m->series[first];
        bool any = false;

        for (end = first; end < m->series_count && strcmp(m->series[end].name, family->name) == 0;
             end++) {
            any = any || is_touched(m, &m->series[end]);
        }
        metrics_family_render(out, family->name, family->help, type_name(family));
        for (size_t i = first; i < end; i++) {
            if (is_touched(m, &m->series[i]) || (!any && i == first)) {
                series_render(m, &m->series[i], out);
            }
        }
    }
    if (m->has_process) {
        metrics_process_render(m, out);
    }
}

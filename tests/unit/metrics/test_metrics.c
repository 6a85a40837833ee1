/* Counters, histograms and their text: shape, sums over shards, what never falls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "metrics/metrics_internal.h"

enum { TEXT_BYTES_MAX = 1 << 20, SAMPLES_MAX = 512 };

/* ---- a small reader of text 0.0.4: it fails the test where Prometheus would refuse the text ---- */

struct sample {
    char key[256]; /* name{labels} as printed */
    uint64_t value;
};

struct scrape {
    struct sample samples[SAMPLES_MAX];
    size_t count;
};

static void scrape_text(struct metrics *m, struct buf *text)
{
    buf_init(text, TEXT_BYTES_MAX);
    metrics_render(m, text);
    buf_append_byte(text, '\0');
    assert_int_equal(text->err, ERR_OK);
}

/* Six decimals or none; read as millionths, or as it stands. */
static uint64_t value_read(const char *at, const char *end)
{
    uint64_t value = 0;
    bool has_point = false;

    assert_true(at < end);
    for (; at < end; at++) {
        if (*at == '.') {
            assert_false(has_point);
            assert_int_equal(end - at, 7);
            has_point = true;
        } else {
            assert_true(isdigit((unsigned char)*at));
            value = value * 10 + (uint64_t)(*at - '0');
        }
    }
    return value;
}

static void scrape_read(struct metrics *m, struct scrape *scrape)
{
    struct buf text;
    char families[64][128];
    size_t family_count = 0;
    char type[32] = "";

    scrape_text(m, &text);
    scrape->count = 0;
    for (char *at = text.ptr, *end; *at != '\0'; at = end + 1) {
        char *space;

        end = strchr(at, '\n');
        assert_non_null(end);
        if (strncmp(at, "# HELP ", 7) == 0) {
            size_t len = strcspn(at + 7, " ");

            assert_true(family_count < ARRAY_LEN(families) && len < sizeof(families[0]));
            memcpy(families[family_count], at + 7, len);
            families[family_count][len] = '\0';
            for (size_t i = 0; i < family_count; i++) {
                assert_string_not_equal(families[i], families[family_count]);
            }
            /* TYPE follows at once and names the same family */
            assert_memory_equal(end + 1, "# TYPE ", 7);
            assert_memory_equal(end + 8, families[family_count], len);
            assert_int_equal(sscanf(end + 8 + len, " %31s", type), 1);
            family_count++;
            continue;
        }
        if (*at == '#') {
            continue;
        }
        space = memrchr(at, ' ', (size_t)(end - at));
        assert_non_null(space);
        assert_true(scrape->count < SAMPLES_MAX &&
                    (size_t)(space - at) < sizeof(scrape->samples[0].key));
        assert_true(family_count > 0);
        {
            size_t family_len = strlen(families[family_count - 1]);
            size_t name_len = strcspn(at, "{ ");
            struct sample *sample = &scrape->samples[scrape->count++];

            assert_memory_equal(at, families[family_count - 1], family_len);
            assert_int_equal(name_len != family_len, strcmp(type, "histogram") == 0);
            memcpy(sample->key, at, (size_t)(space - at));
            sample->key[space - at] = '\0';
            if (at[name_len] == '{') {
                char labels[256];

                assert_int_equal(space[-1], '}');
                memcpy(labels, at + name_len + 1, (size_t)(space - at) - name_len - 2);
                labels[(size_t)(space - at) - name_len - 2] = '\0';
                assert_true(labels[0] != '\0' && metrics_labels_valid(labels));
            }
            sample->value = value_read(space + 1, end);
            for (size_t i = 0; i + 1 < scrape->count; i++) {
                assert_string_not_equal(scrape->samples[i].key, sample->key);
            }
        }
    }
    buf_fini(&text);
}

static const struct sample *sample_find(const struct scrape *scrape, const char *key)
{
    for (size_t i = 0; i < scrape->count; i++) {
        if (strcmp(scrape->samples[i].key, key) == 0) {
            return &scrape->samples[i];
        }
    }
    return NULL;
}

static uint64_t sample_value(const struct scrape *scrape, const char *key)
{
    const struct sample *sample = sample_find(scrape, key);

    if (sample == NULL) {
        print_error("no sample %s\n", key);
    }
    assert_non_null(sample);
    return sample->value;
}

/* Buckets rise, +Inf is the last and equals the _count that follows the _sum. */
static void assert_histograms_sound(const struct scrape *scrape)
{
    uint64_t last = 0;

    for (size_t i = 0; i < scrape->count; i++) {
        const char *key = scrape->samples[i].key;

        if (strstr(key, "_bucket{") == NULL) {
            last = 0;
            continue;
        }
        assert_true(scrape->samples[i].value >= last);
        last = scrape->samples[i].value;
        if (strstr(key, "le=\"+Inf\"") != NULL) {
            assert_true(i + 2 < scrape->count);
            assert_non_null(strstr(scrape->samples[i + 1].key, "_sum"));
            assert_non_null(strstr(scrape->samples[i + 2].key, "_count"));
            assert_int_equal(scrape->samples[i + 2].value, last);
        }
    }
}

/* ---- tests ---- */

static const char exact_text[] = "# HELP a_total Back\\\\slash and\\nnewline.\n"
                                 "# TYPE a_total counter\n"
                                 "a_total{code=\"200\"} 7\n"
                                 "# HELP b_total Nobody touched.\n"
                                 "# TYPE b_total counter\n"
                                 "b_total{x=\"1\"} 0\n"
                                 "# HELP h_seconds Time.\n"
                                 "# TYPE h_seconds histogram\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.00005\"} 1\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.0001\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.00025\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.0005\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.001\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.0025\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.005\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.01\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.025\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.05\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.1\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.25\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"0.5\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"1\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"2.5\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"5\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"10\"} 2\n"
                                 "h_seconds_bucket{route=\"/x\",le=\"+Inf\"} 3\n"
                                 "h_seconds_sum{route=\"/x\"} 10.000102\n"
                                 "h_seconds_count{route=\"/x\"} 3\n"
                                 "# HELP z_records Size.\n"
                                 "# TYPE z_records histogram\n"
                                 "z_records_bucket{le=\"1\"} 0\n"
                                 "z_records_bucket{le=\"2\"} 0\n"
                                 "z_records_bucket{le=\"4\"} 0\n"
                                 "z_records_bucket{le=\"8\"} 0\n"
                                 "z_records_bucket{le=\"16\"} 0\n"
                                 "z_records_bucket{le=\"32\"} 0\n"
                                 "z_records_bucket{le=\"64\"} 0\n"
                                 "z_records_bucket{le=\"128\"} 0\n"
                                 "z_records_bucket{le=\"256\"} 0\n"
                                 "z_records_bucket{le=\"512\"} 0\n"
                                 "z_records_bucket{le=\"1024\"} 0\n"
                                 "z_records_bucket{le=\"2048\"} 0\n"
                                 "z_records_bucket{le=\"4096\"} 1\n"
                                 "z_records_bucket{le=\"+Inf\"} 1\n"
                                 "z_records_sum 4096\n"
                                 "z_records_count 1\n";

static void test_exact_text(void **state)
{
    struct metrics *m;
    struct metrics_shard *s;
    uint32_t a, b, h, z, untouched;
    struct buf text;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    assert_int_equal(metrics_counter(m, "a_total", "Back\\slash and\nnewline.", "code=\"200\"", &a),
                     ERR_OK);
    assert_int_equal(
        metrics_counter(m, "a_total", "Back\\slash and\nnewline.", "code=\"404\"", &untouched),
        ERR_OK);
    assert_int_equal(metrics_counter(m, "b_total", "Nobody touched.", "x=\"1\"", &b), ERR_OK);
    assert_int_equal(metrics_counter(m, "b_total", "Nobody touched.", "x=\"2\"", &b), ERR_OK);
    assert_int_equal(metrics_histogram(m, "h_seconds", "Time.", "route=\"/x\"", METRICS_SECONDS, &h),
                     ERR_OK);
    assert_int_equal(metrics_histogram(m, "z_records", "Size.", "", METRICS_SIZES, &z), ERR_OK);
    assert_int_equal(metrics_shard_new(m, &s), ERR_OK);
    metrics_add(s, a, 7);
    metrics_observe(s, h, 50);
    metrics_observe(s, h, 51);
    metrics_observe(s, h, 10000001);
    metrics_observe(s, z, 4096);
    scrape_text(m, &text);
    assert_string_equal(text.ptr, exact_text);
    buf_fini(&text);
    metrics_free(m);
}

/* Every bound, one below it, at it and one above it. */
static void test_bounds_are_inclusive(void **state)
{
    (void)state;
    for (int kind = METRICS_SECONDS; kind <= METRICS_SIZES; kind++) {
        struct metrics_bounds bounds =
            metrics_bounds_of(kind == METRICS_SECONDS ? METRICS_KIND_SECONDS : METRICS_KIND_SIZES);

        for (size_t i = 0; i < bounds.count; i++) {
            for (uint64_t value = bounds.values[i] - 1; value <= bounds.values[i] + 1; value++) {
                struct metrics *m;
                struct metrics_shard *s;
                struct scrape scrape;
                uint32_t h;
                char key[64];

                assert_int_equal(metrics_new(&m), ERR_OK);
                assert_int_equal(metrics_histogram(m, "h", "h", "", (enum metrics_buckets)kind, &h),
                                 ERR_OK);
                assert_int_equal(metrics_shard_new(m, &s), ERR_OK);
                metrics_observe(s, h, value);
                scrape_read(m, &scrape);
                assert_histograms_sound(&scrape);
                (void)snprintf(key, sizeof(key), "h_bucket{le=\"%s\"}", bounds.labels[i]);
                assert_int_equal(sample_value(&scrape, key), value <= bounds.values[i] ? 1 : 0);
                assert_int_equal(sample_value(&scrape, "h_count"), 1);
                assert_int_equal(sample_value(&scrape, "h_sum"), value);
                metrics_free(m);
            }
        }
    }
}

static void test_nothing_is_counted_nowhere(void **state)
{
    struct metrics *m;
    struct metrics_shard *s;
    struct scrape scrape;
    uint32_t c;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    assert_int_equal(metrics_counter(m, "c_total", "c", "", &c), ERR_OK);
    metrics_add(NULL, c, 1);
    metrics_observe(NULL, METRICS_NONE, 1);
    scrape_read(m, &scrape); /* before the first shard */
    assert_int_equal(sample_value(&scrape, "c_total"), 0);
    assert_int_equal(metrics_shard_new(m, &s), ERR_OK);
    metrics_add(s, METRICS_NONE, 1);
    metrics_observe(s, METRICS_NONE, 1);
    metrics_add(s, c, 0);
    scrape_read(m, &scrape);
    assert_int_equal(sample_value(&scrape, "c_total"), 0);
    metrics_free(m);
    metrics_free(NULL);
}

static int64_t ask_number(void *ctx)
{
    return *(int64_t *)ctx;
}

static void test_asked(void **state)
{
    struct metrics *m;
    struct buf text;
    int64_t depth = -3, total = 9;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    assert_int_equal(metrics_asked(m, "depth", "d", "", 0, ask_number, &depth), ERR_OK);
    assert_int_equal(metrics_asked(m, "seen_total", "s", "k=\"v\"", 1, ask_number, &total), ERR_OK);
    scrape_text(m, &text);
    assert_string_equal(text.ptr,
                        "# HELP depth d\n# TYPE depth gauge\ndepth -3\n"
                        "# HELP seen_total s\n# TYPE seen_total counter\nseen_total{k=\"v\"} 9\n");
    buf_fini(&text);
    metrics_free(m);
}

static void test_labels(void **state)
{
    struct buf text;

    (void)state;
    assert_true(metrics_labels_valid(""));
    assert_true(metrics_labels_valid("a=\"\""));
    assert_true(metrics_labels_valid("a=\"x\",_b2=\"{y},=\""));
    assert_true(metrics_labels_valid("a=\"\\\\ \\\" \\n\""));
    assert_false(metrics_labels_valid("a"));
    assert_false(metrics_labels_valid("a=x"));
    assert_false(metrics_labels_valid("=\"x\""));
    assert_false(metrics_labels_valid("1a=\"x\""));
    assert_false(metrics_labels_valid("a=\"x"));
    assert_false(metrics_labels_valid("a=\"x\\"));
    assert_false(metrics_labels_valid("a=\"x\\t\""));
    assert_false(metrics_labels_valid("a=\"x\ny\""));
    assert_false(metrics_labels_valid("a=\"x\","));
    assert_false(metrics_labels_valid("a=\"x\" b=\"y\""));
    assert_false(metrics_labels_valid(" a=\"x\""));

    buf_init(&text, 256);
    metrics_label(&text, "a", SLICE("q\"b\\n\n\x1b余"));
    metrics_label(&text, "b", SLICE_NONE);
    buf_append_byte(&text, '\0');
    assert_string_equal(text.ptr, "a=\"q\\\"b\\\\n\\n?余\",b=\"\"");
    assert_true(metrics_labels_valid(text.ptr));
    buf_fini(&text);
}

static void test_shards_lie_apart(void **state)
{
    struct metrics *m;
    struct metrics_shard *shards[8];
    uint32_t c;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    assert_int_equal(metrics_counter(m, "c_total", "c", "", &c), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(shards); i++) {
        struct scrape scrape;

        assert_int_equal(metrics_shard_new(m, &shards[i]), ERR_OK);
        assert_int_equal((uintptr_t)shards[i]->cells % METRICS_LINE_BYTES, 0);
        for (size_t j = 0; j < i; j++) {
            uintptr_t a = (uintptr_t)shards[i]->cells, b = (uintptr_t)shards[j]->cells;
            assert_true((a > b ? a - b : b - a) >=
                        2 * METRICS_LINE_BYTES); /* cells and a header between */
        }
        metrics_add(shards[i], c, i + 1);
        scrape_read(m, &scrape);
        assert_int_equal(sample_value(&scrape, "c_total"), (i + 1) * (i + 2) / 2);
    }
    metrics_free(m);
}

static void test_full_buffer_is_told(void **state)
{
    struct metrics *m;
    struct buf text;
    uint32_t c;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    assert_int_equal(metrics_counter(m, "c_total", "c", "", &c), ERR_OK);
    buf_init(&text, 16);
    metrics_render(m, &text);
    assert_int_equal(text.err, ERR_FULL);
    buf_fini(&text);
    metrics_free(m);
}

static void test_seconds_text(void **state)
{
    static const struct {
        uint64_t us;
        const char *text;
    } cases[] = {{0, "0.000000"},
                 {1, "0.000001"},
                 {999999, "0.999999"},
                 {1000000, "1.000000"},
                 {UINT64_MAX, "18446744073709.551615"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text;

        buf_init(&text, 64);
        metrics_seconds_render(&text, cases[i].us);
        buf_append_byte(&text, '\0');
        assert_string_equal(text.ptr, cases[i].text);
        buf_fini(&text);
    }
}

static void test_stat_parse(void **state)
{
    static const char good[] =
        "12 (a) (b c) S 1 2 3 0 -1 4194560 5 6 7 8 150 25 0 0 20 -5 9 0 4242 4096000 321 99\n";
    struct metrics_stat stat = {.threads = 77};

    (void)state;
    assert_true(metrics_stat_parse(slice_of(good), &stat));
    assert_int_equal(stat.cpu_ticks, 175);
    assert_int_equal(stat.threads, 9);
    assert_int_equal(stat.start_ticks, 4242);
    assert_int_equal(stat.virtual_bytes, 4096000);
    assert_int_equal(stat.resident_pages, 321);

    stat.threads = 77;
    assert_false(metrics_stat_parse(SLICE_NONE, &stat));
    assert_false(metrics_stat_parse(SLICE("12 a S 1"), &stat));
    assert_false(metrics_stat_parse(SLICE("12 (a)"), &stat));
    assert_false(metrics_stat_parse(SLICE("12 (a) S 1 2 3 0 -1 4194560 5 6 7 8 x 25"), &stat));
    for (size_t len = 0; len < strlen(good) - strlen("321 99\n"); len++) {
        assert_false(metrics_stat_parse(slice_make(good, len), &stat));
    }
    assert_int_equal(stat.threads, 77);
}

static void test_process(void **state)
{
    struct metrics *m;
    struct scrape scrape;
    uint64_t fds, start, counted = 0, now = (uint64_t)time(NULL);
    int fd;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    assert_int_equal(metrics_process(m, "1.2\"3"), ERR_OK);
    scrape_read(m, &scrape);
    assert_int_equal(sample_value(&scrape, "wallet_build_info{version=\"1.2\\\"3\"}"), 1);
    assert_true(sample_value(&scrape, "process_resident_memory_bytes") > 100000);
    assert_true(sample_value(&scrape, "process_virtual_memory_bytes") >
                sample_value(&scrape, "process_resident_memory_bytes"));
    assert_true(sample_value(&scrape, "process_threads") >= 1);
    assert_true(sample_value(&scrape, "process_max_fds") >= 3);
    fds = sample_value(&scrape, "process_open_fds");
    for (int open_fd = 0; open_fd < 4096; open_fd++) { /* a test program opens none beyond */
        counted += fcntl(open_fd, F_GETFD) >= 0 ? 1 : 0;
    }
    assert_int_equal(fds, counted);
    start = sample_value(&scrape, "process_start_time_seconds");
    assert_true(start / 1000000 <= now + 1 && start / 1000000 + 600 > now);

    fd = dup(STDERR_FILENO);
    do { /* until a tick of CPU time was used */
        scrape_read(m, &scrape);
        assert_int_equal(sample_value(&scrape, "process_open_fds"), fds + 1);
        assert_int_equal(sample_value(&scrape, "process_start_time_seconds"), start);
    } while (sample_value(&scrape, "process_cpu_seconds_total") == 0 &&
             (uint64_t)time(NULL) < now + 30);
    assert_true(sample_value(&scrape, "process_cpu_seconds_total") > 0);
    (void)close(fd);
    metrics_free(m);
}

static enum err build(struct metrics **out)
{
    struct metrics *m;
    struct metrics_shard *s;
    uint32_t series = 0;
    enum err e = metrics_new(&m);

    if (e != ERR_OK) {
        return e;
    }
    e = metrics_process(m, "1");
    for (int i = 0; i < 70 && e == ERR_OK; i++) { /* past the first growth of the table */
        char labels[16];

        (void)snprintf(labels, sizeof(labels), "i=\"%d\"", i);
        e = metrics_counter(m, "c_total", "c", labels, &series);
    }
    if (e == ERR_OK) {
        e = metrics_histogram(m, "h", "h", "", METRICS_SIZES, &series);
    }
    if (e == ERR_OK) {
        e = metrics_shard_new(m, &s);
    }
    if (e != ERR_OK) {
        metrics_free(m);
        return e;
    }
    *out = m;
    return ERR_OK;
}

static void test_every_allocation_fails(void **state)
{
    struct metrics *m = NULL;
    uint64_t nth = 1;
    enum err e;

    (void)state;
    for (;; nth++) {
        mem_fail_at(nth, 0);
        e = build(&m);
        mem_fail_at(0, 0);
        if (e == ERR_OK) {
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
        assert_null(m);
    }
    assert_true(nth > 75);
    for (nth = 1;; nth++) {
        struct buf text;

        buf_init(&text, TEXT_BYTES_MAX);
        mem_fail_at(nth, 0);
        metrics_render(m, &text);
        mem_fail_at(0, 0);
        e = text.err;
        buf_fini(&text);
        if (e == ERR_OK) {
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
    }
    assert_true(nth > 1);
    metrics_free(m);
}

/* A declaration that failed for want of memory leaves the registry as it was. */
static void test_failed_declaration_leaves_no_trace(void **state)
{
    struct metrics *m;
    struct scrape scrape;
    uint32_t series = 12345;

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    mem_fail_at(1, 1);
    assert_int_equal(metrics_counter(m, "c_total", "c", "", &series), ERR_NOMEM);
    assert_int_equal(metrics_process(m, "1"), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(series, 12345);
    scrape_read(m, &scrape);
    assert_int_equal(scrape.count, 0);
    metrics_free(m);
}

static void test_series_ceiling(void **state)
{
    struct metrics *m;
    uint32_t series;
    enum err e = ERR_OK;
    static char names[METRICS_SERIES_MAX + 1][8];

    (void)state;
    assert_int_equal(metrics_new(&m), ERR_OK);
    for (int i = 0; i <= METRICS_SERIES_MAX && e == ERR_OK; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "c%d", i);
        e = metrics_counter(m, names[i], "c", "", &series);
        assert_int_equal(e, i < METRICS_SERIES_MAX ? ERR_OK : ERR_NOMEM);
    }
    metrics_free(m);
}

/* ---- threads add while another scrapes ---- */

enum { THREADS = 3, ROUNDS = 200000 };

struct worker {
    struct metrics *m;
    uint32_t counter, seconds, sizes;
};

static void *worker_run(void *ctx)
{
    struct worker *w = ctx;
    struct metrics_shard *s = NULL;

    if (metrics_shard_new(w->m, &s) != ERR_OK) { /* while a scrape may be walking the list */
        return w;
    }
    for (uint64_t i = 0; i < ROUNDS; i++) {
        metrics_add(s, w->counter, 1);
        metrics_observe(s, w->seconds, i * 97 % 12000000);
        metrics_observe(s, w->sizes, i % 5000);
    }
    return NULL;
}

static void assert_nothing_fell(const struct scrape *before, const struct scrape *after)
{
    for (size_t i = 0; i < before->count; i++) {
        const struct sample *now = sample_find(after, before->samples[i].key);

        assert_non_null(now);
        assert_true(now->value >= before->samples[i].value);
    }
}

static void test_scrapes_while_threads_add(void **state)
{
    struct worker w = {.m = NULL};
    pthread_t threads[THREADS];
    struct scrape scrapes[2] = {{.count = 0}, {.count = 0}};
    uint64_t sum = 0, sizes_sum = 0;
    size_t turn = 0;

    (void)state;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        sum += i * 97 % 12000000;
        sizes_sum += i % 5000;
    }
    assert_int_equal(metrics_new(&w.m), ERR_OK);
    assert_int_equal(metrics_counter(w.m, "c_total", "c", "", &w.counter), ERR_OK);
    assert_int_equal(
        metrics_histogram(w.m, "h_seconds", "h", "a=\"b\"", METRICS_SECONDS, &w.seconds), ERR_OK);
    assert_int_equal(metrics_histogram(w.m, "z", "z", "", METRICS_SIZES, &w.sizes), ERR_OK);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, worker_run, &w), 0);
    }
    do {
        struct scrape *now = &scrapes[turn % 2];

        scrape_read(w.m, now);
        assert_histograms_sound(now);
        assert_nothing_fell(&scrapes[(turn + 1) % 2], now);
        turn++;
    } while (sample_value(&scrapes[(turn + 1) % 2], "c_total") < (uint64_t)THREADS * ROUNDS);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    scrape_read(w.m, &scrapes[0]);
    assert_histograms_sound(&scrapes[0]);
    assert_int_equal(sample_value(&scrapes[0], "c_total"), (uint64_t)THREADS * ROUNDS);
    assert_int_equal(sample_value(&scrapes[0], "h_seconds_count{a=\"b\"}"),
                     (uint64_t)THREADS * ROUNDS);
    assert_int_equal(sample_value(&scrapes[0], "h_seconds_sum{a=\"b\"}"), THREADS * sum);
    assert_int_equal(sample_value(&scrapes[0], "z_sum"), THREADS * sizes_sum);
    metrics_free(w.m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_text),
        cmocka_unit_test(test_bounds_are_inclusive),
        cmocka_unit_test(test_nothing_is_counted_nowhere),
        cmocka_unit_test(test_asked),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_shards_lie_apart),
        cmocka_unit_test(test_full_buffer_is_told),
        cmocka_unit_test(test_seconds_text),
        cmocka_unit_test(test_stat_parse),
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_failed_declaration_leaves_no_trace),
        cmocka_unit_test(test_series_ceiling),
        cmocka_unit_test(test_scrapes_while_threads_add),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

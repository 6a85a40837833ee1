/*
 * Power cuts. A seeded script runs through the real store while everything it writes is recorded; then, at every write and
 * sync, images are built of what a power cut at that moment could leave. Each must open, hold every answered operation once
 * and whole, answer repeated keys as before, go on working, and verify. The same for power cuts during recovery itself.
 *
 * Usage: sim_crash [SEED]
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/clock.h"
#include "sim/crash_image.h"
#include "sim/drive.h"

enum { OPS = 200, WORKERS = 4, SEEN_SLOTS = 1 << 18, NESTED_EVERY = 61, DEEP_EVERY = 16, NEAR = 5 };

static const struct drive_options tuning = {.sweep_rows_min = 30, .checkpoint_pages = 24};

/* What the workers count together. */
struct tally {
    _Atomic uint64_t images, nested, same, opened_fresh;
};

struct sim {
    struct script script;
    struct sim_log log;
    uint64_t seed;
    struct tally *tally;
    char dir[DRIVE_PATH_MAX];
    uint64_t *seen;  /* digests; open addressing */
    uint64_t number; /* of the image, in this worker */
};

static char current[768]; /* the image being looked at, for who reads of a failure */

static void on_abort(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, current, strlen(current));
}

static bool is_new(struct sim *s, uint64_t digest)
{
    size_t at = digest % SEEN_SLOTS;

    digest = digest == 0 ? 1 : digest;
    while (s->seen[at] != 0) {
        if (s->seen[at] == digest) {
            return false;
        }
        at = (at + 1) % SEEN_SLOTS;
    }
    s->seen[at] = digest;
    return true;
}

/* Open the ledger in the worker's folder and hold it against the script. Returns how many operations it holds. */
static unsigned ledger_check(struct sim *s, unsigned acked, bool is_deep)
{
    const struct script *script = &s->script;
    struct embedded_stats stats;
    struct verify_report report;
    struct err_text why = {""};
    struct drive d;
    unsigned n;
    enum err e = drive_open(&d, s->dir, &tuning, &why);

    if (e != ERR_OK) {
        print_message("cannot open: %s: %s\n", err_name(e), why.text);
    }
    ASSERT(e == ERR_OK);
    embedded_stats(d.store, &stats);
    n = script_prefix(script, stats.seq);
    ASSERT(n >= acked); /* every answered operation is there */
    script_check(script, &d, n, is_deep);
    script_replay(script, &d, is_deep || n < NEAR ? 0 : n - NEAR,
                  n + NEAR < script->count ? n + NEAR : script->count, n);
    drive_close(&d);
    ASSERT(drive_fatal_count(&d) == 0);
    if (is_deep || s->number % 4 == 0) {
        e = embedded_verify(s->dir, &report, &why);
        if (e != ERR_OK) {
            print_message("does not verify: %s\n", why.text);
        }
        ASSERT(e == ERR_OK);
    }
    return n;
}

static void image_check(struct sim *s, const struct image *image, unsigned acked)
{
    drive_folder_clear(s->dir, false);
    image_put(image, s->dir);
    (void)ledger_check(s, acked, s->number % DEEP_EVERY == 0);
    s->number++;
}

/* Let recovery of an image be recorded too, and cut the power in it. */
static void recovery_check(struct sim *s, struct image image, unsigned acked, struct prng *p)
{
    static const enum image_way ways[] = {IMAGE_ALL, IMAGE_NONE, IMAGE_SOME, IMAGE_TORN};
    const struct sim_log outer = s->log;
    struct embedded_stats stats;
    struct err_text why;
    struct drive d;
    struct imager im;
    struct sim_log log;
    enum err e;

    drive_folder_clear(s->dir, false);
    image_put(&image, s->dir);
    sim_record_start(s->dir);
    e = drive_open(&d, s->dir, &tuning, &why);
    ASSERT(e == ERR_OK);
    embedded_stats(d.store, &stats);
    sim_record_note(script_prefix(&s->script, stats.seq));
    drive_close(&d);
    log = sim_record_stop();
    imager_init(&im, &log, image);
    while (im.at < log.count) {
        imager_step(&im);
        if (log.events[im.at - 1].kind == SIM_NOTE) {
            ASSERT(log.events[im.at - 1].note >= acked);
            acked = (unsigned)log.events[im.at - 1].note;
        }
        for (unsigned w = 0; w < ARRAY_LEN(ways); w++) {
            struct image crash = imager_crash(&im, ways[w], p);
            if (is_new(s, image_digest(&crash) ^ acked)) {
                const size_t len = strlen(current);
                (void)snprintf(current + len, sizeof(current) - len,
                               ", recovery event %zu way %d\n", im.at, (int)ways[w]);
                image_check(s, &crash, acked);
                current[len] = '\0';
                s->tally->nested++;
            } else {
                s->tally->same++;
            }
            image_free(&crash);
        }
    }
    imager_fini(&im);
    sim_log_free(&log);
    s->log = outer;
}

/* One worker's share: every WORKERS-th event. */
static void worker(struct sim *s, unsigned me, unsigned tries)
{
    struct prng p = {.state = s->seed * 31 + me};
    struct imager im;
    unsigned acked = 0;

    (void)signal(SIGABRT, on_abort);
    drive_folder_make(s->dir);
    s->seen = calloc(SEEN_SLOTS, sizeof(*s->seen));
    ASSERT(s->seen != NULL);
    imager_init(&im, &s->log, (struct image){0});
    while (im.at < s->log.count) {
        const struct sim_event *e = &s->log.events[im.at];
        imager_step(&im);
        acked = e->kind == SIM_NOTE ? (unsigned)e->note : acked;
        if (im.at % WORKERS != me) {
            continue;
        }
        for (unsigned try = 0; try < tries; try++) {
            const enum image_way way = try < 3 ? (enum image_way)
            try : try
                % 2 == 0 ? IMAGE_SOME : IMAGE_TORN;
            struct image crash = imager_crash(&im, way, &p);
            if (!is_new(s, image_digest(&crash) ^ acked)) {
                s->tally->same++;
                image_free(&crash);
                continue;
            }
            (void)snprintf(current, sizeof(current),
                           "seed %llu, event %zu of %zu, way %d, %zu pending, %u answered, in %s\n",
                           (unsigned long long)s->seed, im.at, s->log.count, (int)way,
                           imager_pending(&im), acked, s->dir);
            image_check(s, &crash, acked);
            s->tally->images++;
            if (s->number % NESTED_EVERY == 0) {
                recovery_check(s, crash, acked, &p); /* takes the image */
            } else {
                image_free(&crash);
            }
        }
    }
    imager_fini(&im);
    drive_folder_clear(s->dir, true);
    free(s->seen);
}

/* Run the script once, undisturbed, with everything recorded. */
static void record_run(struct sim *s)
{
    struct prng p = {.state = s->seed};
    struct err_text why;
    struct drive d;
    unsigned at = 0;
    enum err e;

    drive_folder_make(s->dir);
    sim_record_start(s->dir);
    e = drive_open(&d, s->dir, &tuning, &why);
    ASSERT(e == ERR_OK);
    sim_record_note(0);
    while (at < s->script.count) {
        enum store_status statuses[DRIVE_GROUP_MAX];
        unsigned count = 1 + (unsigned)prng_below(&p, 4);
        count = at + count > s->script.count ? s->script.count - at : count;
        script_run(&s->script, &d, at, count, statuses);
        for (unsigned i = 0; i < count; i++) {
            ASSERT(statuses[i] == STORE_DONE);
        }
        at += count;
        sim_record_note(at);
        if (prng_below(&p, 60) == 0) { /* a clean stop and start in between */
            drive_close(&d);
            e = drive_open(&d, s->dir, &tuning, &why);
            ASSERT(e == ERR_OK);
        }
    }
    drive_close(&d);
    s->log = sim_record_stop();
    drive_folder_clear(s->dir, true);
}

static void run_seed(struct tally *tally, uint64_t seed, unsigned tries)
{
    struct sim *s = calloc(1, sizeof(*s));
    uint64_t counts[SIM_NOTE + 1] = {0};
    unsigned ok = 0;
    pid_t pids[WORKERS];

    ASSERT(s != NULL);
    s->seed = seed;
    s->tally = tally;
    script_make(&s->script, OPS, seed);
    for (unsigned i = 0; i < s->script.count; i++) {
        ok += s->script.ops[i].outcome == OUTCOME_OK && !s->script.ops[i].is_replay;
    }
    record_run(s);
    for (size_t i = 0; i < s->log.count; i++) {
        counts[s->log.events[i].kind]++;
    }
    print_message(
        "seed %llu: %u operations, %u of them new successes; %llu writes, %llu syncs, %llu truncations\n",
        (unsigned long long)seed, s->script.count, ok, (unsigned long long)counts[SIM_WRITE],
        (unsigned long long)counts[SIM_SYNC], (unsigned long long)counts[SIM_TRUNCATE]);
    (void)fflush(NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            worker(s, i, tries);
            (void)fflush(NULL);
            _exit(0);
        }
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    sim_log_free(&s->log);
    free(s);
}

static uint64_t first_seed = 1;

static void power_cuts(void **state)
{
    const unsigned work = drive_scaled(40); /* images tried at each event, of all seeds together */
    const unsigned tries = work < 10 ? 4 : 10, seeds = work < 10 ? 1 : work / 10;
    const uint64_t start_us = clock_mono_us();
    struct tally *tally =
        mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_true(tally != MAP_FAILED);
    fault_vfs_install();
    for (unsigned i = 0; i < seeds; i++) {
        run_seed(tally, first_seed + i, tries);
    }
    print_message("%llu images, %llu more of power cuts in recovery, %llu seen before; %llu ms\n",
                  (unsigned long long)tally->images, (unsigned long long)tally->nested,
                  (unsigned long long)tally->same,
                  (unsigned long long)((clock_mono_us() - start_us) / 1000));
    assert_true(tally->images > 0 && tally->nested > 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_cuts),
    };

    if (argc > 1) {
        first_seed = strtoull(argv[1], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A loop with one lane on it, for tests: calls that remember how they ended, and counters that can be read. */
#ifndef TESTS_UNIT_STORE_REDIS_LANE_LAB_H
#define TESTS_UNIT_STORE_REDIS_LANE_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <uv.h>

#include "base/clock.h"
#include "store/redis/shared.h"
#include "store/redis/wire.h"

enum { LAB_TEXT_BYTES = 128, LAB_PATIENCE_MS = 20000 };

struct lab {
    uv_loop_t loop;
    uv_timer_t beat; /* so that the loop looks at the test's condition now and then */
    struct redis_shared *shared;
    struct lane *lane;
    struct metrics *metrics;
    struct redis_series series;
    unsigned ended; /* calls */
    uint64_t op_us; /* deadline of a call from its sending */
};

struct lab_call {
    struct wire_call call; /* first */
    struct lab *lab;
    unsigned ended; /* how often; must be 1 in the end */
    enum wire_fate fate;
    int reply_type; /* 0: none */
    char reply[LAB_TEXT_BYTES];
    uint64_t ended_us;
    char *big; /* owned; bytes of a call that does not fit into text */
    char text[LAB_TEXT_BYTES];
};

static inline void lab_beat(uv_timer_t *beat)
{
    (void)beat;
}

static inline uint32_t lab_counter(struct lab *b, const char *name)
{
    uint32_t series;

    assert_int_equal(metrics_counter(b->metrics, name, "help", "", &series), ERR_OK);
    return series;
}

/* The options of a test may be changed between lab_init and lab_start. */
static inline void lab_init(struct lab *b, uint16_t port, unsigned depth)
{
    static const char *const closes[] = {"c_idle",     "c_peer",   "c_stalled",
                                         "c_protocol", "c_switch", "c_end"};
    struct redis_options options = {
        .loops = 1,
        .pool_active = 100,
        .pool_idle = 50,
        .depth = depth,
        .pool_idle_us = UINT64_C(300) * 1000 * 1000,
        .op_timeout_us = 2000 * 1000,
        .inbox_max = 4096,
        .wait_timeout_us = 200 * 1000,
    };

    *b = (struct lab){.op_us = 2000 * 1000};
    assert_int_equal(metrics_new(&b->metrics), ERR_OK);
    for (unsigned i = 0; i < WIRE_COMMAND_COUNT; i++) {
        b->series.command_seconds[i] = METRICS_NONE;
    }
    b->series.reconnects = lab_counter(b, "reconnects");
    b->series.redirects = lab_counter(b, "redirects");
    b->series.ambiguous = lab_counter(b, "ambiguous");
    b->series.late_replies = lab_counter(b, "late_replies");
    b->series.not_sent = lab_counter(b, "not_sent");
    for (unsigned i = 0; i < 6; i++) {
        b->series.closes[i] = lab_counter(b, closes[i]);
    }
    options.metrics = b->metrics;
    options.series = &b->series;
    b->shared = calloc(1, sizeof *b->shared);
    assert_non_null(b->shared);
    assert_int_equal(shared_init(b->shared, &options), ERR_OK);
    (void)snprintf(b->shared->target.host, sizeof b->shared->target.host, "127.0.0.1");
    b->shared->target.port = port;
    atomic_store(&b->shared->generation, 1);
    assert_int_equal(uv_loop_init(&b->loop), 0);
    assert_int_equal(uv_timer_init(&b->loop, &b->beat), 0);
    assert_int_equal(uv_timer_start(&b->beat, lab_beat, 1, 1), 0);
}

static inline void lab_start(struct lab *b, unsigned connections, unsigned idle)
{
    assert_int_equal(lane_new(b->shared, &b->loop, connections, idle, &b->lane), ERR_OK);
}

static inline void lab_close_lane(struct lab *b)
{
    lane_close(b->lane);
    b->lane = NULL;
}

static inline void lab_end(struct lab *b)
{
    lane_close(b->lane);
    uv_close((uv_handle_t *)&b->beat, NULL);
    assert_int_equal(uv_run(&b->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&b->loop), 0);
    shared_fini(b->shared);
    free(b->shared);
    metrics_free(b->metrics);
}

static inline void lab_run_ms(struct lab *b, uint64_t ms)
{
    uint64_t end_us = clock_mono_us() + ms * 1000;

    while (clock_mono_us() < end_us) {
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
}

/* Run until so many calls have ended. */
static inline void lab_run_ended(struct lab *b, unsigned count)
{
    uint64_t end_us = clock_mono_us() + LAB_PATIENCE_MS * 1000;

    while (b->ended < count) {
        if (clock_mono_us() > end_us) {
            fail_msg("%u of %u calls have ended", b->ended, count);
        }
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
}

static inline unsigned lab_read(const atomic_uint *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

static inline void lab_run_until(struct lab *b, const atomic_uint *number, unsigned is)
{
    uint64_t end_us = clock_mono_us() + LAB_PATIENCE_MS * 1000;

    while (lab_read(number) != is) {
        if (clock_mono_us() > end_us) {
            fail_msg("a number is %u, not %u", lab_read(number), is);
        }
        (void)uv_run(&b->loop, UV_RUN_ONCE);
    }
}

static inline uint64_t lab_count(struct lab *b, const char *name)
{
    struct buf text;
    char line[64];
    const char *at;
    uint64_t count = 0;

    buf_init(&text, 1 << 20);
    metrics_render(b->metrics, &text);
    buf_append_byte(&text, '\0');
    assert_int_equal(text.err, ERR_OK);
    (void)snprintf(line, sizeof line, "\n%s ", name);
    at = strstr(text.ptr, line);
    if (at != NULL) {
        count = strtoull(at + strlen(line), NULL, 10);
    }
    buf_fini(&text);
    return count;
}

static inline void lab_done(struct wire_call *call, enum wire_fate fate, const redisReply *reply)
{
    struct lab_call *c = (struct lab_call *)call;

    c->ended++;
    c->lab->ended++;
    c->fate = fate;
    c->ended_us = clock_mono_us();
    assert_int_equal(fate == WIRE_ANSWERED, reply != NULL);
    if (reply != NULL) {
        c->reply_type = reply->type;
        if (reply->type == REDIS_REPLY_INTEGER) {
            (void)snprintf(c->reply, sizeof c->reply, "%lld", reply->integer);
        } else if (reply->str != NULL) {
            (void)snprintf(c->reply, sizeof c->reply, "%s", reply->str);
        }
    }
}

/* A call whose bytes are `words`, separated by spaces. Sent, not flushed. */
static inline void lab_send(struct lab *b, struct lab_call *c, const char *words)
{
    unsigned count = 1;
    int len;

    for (const char *at = words; *at != '\0'; at++) {
        count += *at == ' ';
    }
    len = snprintf(c->text, sizeof c->text, "*%u\r\n", count);
    while (true) {
        int word = (int)strcspn(words, " ");
        len += snprintf(c->text + len, sizeof c->text - (size_t)len, "$%d\r\n%.*s\r\n", word, word,
                        words);
        assert_true(len < LAB_TEXT_BYTES);
        if (words[word] == '\0') {
            break;
        }
        words += word + 1;
    }
    c->lab = b;
    c->call.bytes = slice_make(c->text, (size_t)len);
    c->call.deadline_mono_us = clock_mono_us() + b->op_us;
    c->call.done = lab_done;
    lane_send(b->lane, &c->call);
}

/* ECHO of `len` bytes 'x'. */
static inline void lab_send_big(struct lab *b, struct lab_call *c, size_t len)
{
    char head[64];
    int head_len = snprintf(head, sizeof head, "*2\r\n$4\r\nECHO\r\n$%zu\r\n", len);

    c->big = malloc((size_t)head_len + len + 2);
    assert_non_null(c->big);
    memcpy(c->big, head, (size_t)head_len);
    memset(c->big + head_len, 'x', len);
    memcpy(c->big + (size_t)head_len + len, "\r\n", 2);
    c->lab = b;
    c->call.bytes = slice_make(c->big, (size_t)head_len + len + 2);
    c->call.deadline_mono_us = clock_mono_us() + b->op_us;
    c->call.done = lab_done;
    lane_send(b->lane, &c->call);
}

static inline void lab_assert(const struct lab_call *c, enum wire_fate fate, const char *reply)
{
    assert_int_equal(c->ended, 1);
    assert_int_equal(c->fate, fate);
    assert_string_equal(c->reply, reply);
}

#endif

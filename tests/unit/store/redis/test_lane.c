/* A lane against a real server: the pool's numbers, order, silence, death and return. */
#include "store/redis/wire.h"

#include <inttypes.h>

#include "base/assert.h"
#include "support/certs.h"
#include "support/redis_server.h"
#include "tls/tls.h"
#include "unit/store/redis/lane_lab.h"

enum { MANY = 1000 };

static struct redis_server server;
static struct lab_call calls[MANY];

static void fresh(void)
{
    memset(calls, 0, sizeof calls);
}

/* Sockets of this machine that are connected to a port, as the kernel sees them: while others come and go it tells some twice. */
static unsigned count_sockets(uint16_t port)
{
    FILE *file = fopen("/proc/self/net/tcp", "r");
    bool is_seen[UINT16_MAX + 1] = {false};
    char line[256];
    unsigned count = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned own_port, peer_port, state;
        if (sscanf(line, "%*s %*8x:%x %*8x:%x %x", &own_port, &peer_port, &state) != 3 ||
            peer_port != port || state != 1 || is_seen[own_port & UINT16_MAX]) {
            continue;
        }
        is_seen[own_port & UINT16_MAX] = true;
        count++;
    }
    (void)fclose(file);
    return count;
}

static void send_tags(struct lab *b, unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char words[64];
        (void)snprintf(words, sizeof words, "ECHO tag-%u", i);
        lab_send(b, &calls[i], words);
    }
}

static void assert_tags(unsigned from, unsigned count)
{
    for (unsigned i = from; i < from + count; i++) {
        char tag[32];
        (void)snprintf(tag, sizeof tag, "tag-%u", i);
        lab_assert(&calls[i], WIRE_ANSWERED, tag);
    }
}

static void within_the_cap(unsigned depth, unsigned cap)
{
    struct lab b;
    unsigned most = 0;

    fresh();
    lab_init(&b, server.port, depth);
    b.op_us = 20 * 1000 * 1000; /* looking at sockets takes its time */
    lab_start(&b, cap, cap);
    send_tags(&b, 0, MANY);
    lane_flush(b.lane);
    while (b.ended < MANY) {
        unsigned now;
        for (unsigned turns = 0; turns < 10; turns++) {
            (void)uv_run(&b.loop, UV_RUN_NOWAIT);
        }
        now = count_sockets(server.port);
        most = now > most ? now : most;
    }
    assert_tags(0, MANY);
    assert_in_range(most, cap / 2, cap);
    assert_int_equal(lab_read(&b.shared->lanes[0].open), most);
    assert_int_equal(lab_count(&b, "reconnects"), 0);
    lab_end(&b);
}

static void test_cap_depth_1(void **state)
{
    (void)state;
    within_the_cap(1, 100);
    within_the_cap(1, 1);
}

static void test_cap_depth_16(void **state)
{
    (void)state;
    within_the_cap(16, 20);
    within_the_cap(16, 1);
    within_the_cap(REDIS_DEPTH_MAX, 1);
}

/* A connection that is open is filled before the next is opened, and the order is kept on it. */
static void test_order(void **state)
{
    struct lab b;
    char number[16];

    (void)state;
    fresh();
    lab_init(&b, server.port, 64);
    lab_start(&b, 10, 10);
    lab_send(&b, &calls[0], "SET counter 0");
    lab_run_ended(&b, 1);
    for (unsigned i = 1; i <= 64; i++) {
        lab_send(&b, &calls[i], "INCR counter");
    }
    lane_flush(b.lane);
    lab_run_ended(&b, 65);
    for (unsigned i = 1; i <= 64; i++) {
        (void)snprintf(number, sizeof number, "%u", i);
        lab_assert(&calls[i], WIRE_ANSWERED, number);
    }
    assert_int_equal(lab_read(&b.shared->lanes[0].open), 1);
    lab_end(&b);
}

/* What is sent in one turn arrives together, flushed or not: the server handles it in one go. */
static void test_one_write(void **state)
{
    struct lab b;
    int64_t before;
    int64_t reads;

    (void)state;
    fresh();
    lab_init(&b, server.port, 16);
    lab_start(&b, 1, 1);
    send_tags(&b, 0, 1);
    lab_run_ended(&b, 1);
    redis_server_say(&server, "CONFIG RESETSTAT");
    before = redis_server_number(&server,
                                 "EVAL \"return tonumber(string.match(redis.call('INFO','stats'), "
                                 "'total_reads_processed:(%d+)'))\" 0");
    send_tags(&b, 1, 16);
    lab_run_ended(&b, 17);
    reads = redis_server_number(&server,
                                "EVAL \"return tonumber(string.match(redis.call('INFO','stats'), "
                                "'total_reads_processed:(%d+)'))\" 0") -
            before;
    assert_in_range(reads, 1, 4); /* ours, and those that ask: one each, and the end of theirs */
    assert_tags(0, 17);
    lab_end(&b);
}

static void test_big_replies(void **state)
{
    struct lab b;

    (void)state;
    fresh();
    lab_init(&b, server.port, 16);
    lab_start(&b, 2, 2);
    for (unsigned i = 0; i < 20; i++) {
        lab_send_big(&b, &calls[i], 700 * 1000 + i);
        calls[i].call.deadline_mono_us += 10 * 1000 * 1000;
    }
    lab_run_ended(&b, 20);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(calls[i].fate, WIRE_ANSWERED);
        assert_int_equal(calls[i].reply_type, REDIS_REPLY_STRING);
        free(calls[i].big);
    }
    assert_int_equal(lab_count(&b, "c_protocol"), 0);
    lab_end(&b);
}

/* The server stops for three seconds: everything ends in time, no reply goes astray, and it goes on without a storm. */
static void test_stopped_server(void **state)
{
    struct lab b;
    uint64_t latest = 0;

    (void)state;
    fresh();
    lab_init(&b, server.port, 16);
    lab_start(&b, 4, 4);
    send_tags(&b, 0, 64);
    lab_run_ended(&b, 64);
    redis_server_freeze(&server);
    send_tags(&b, 64, 100);
    lab_run_ended(&b, 164);
    for (unsigned i = 64; i < 164; i++) {
        assert_int_equal(calls[i].ended, 1);
        assert_int_not_equal(calls[i].fate, WIRE_ANSWERED);
        if (calls[i].ended_us - calls[i].call.deadline_mono_us > latest) {
            latest = calls[i].ended_us - calls[i].call.deadline_mono_us;
        }
    }
    assert_true(latest < 150 * 1000);
    assert_in_range(lab_count(&b, "ambiguous"), 16, 64);
    lab_run_ms(&b, 900);
    redis_server_thaw(&server);
    send_tags(&b, 164, 200);
    lab_run_ended(&b, 364);
    assert_tags(164, 200);
    assert_int_equal(lab_count(&b, "late_replies"), lab_count(&b, "ambiguous"));
    assert_int_equal(lab_count(&b, "c_stalled"), 0);
    assert_int_equal(lab_count(&b, "reconnects"), 0);
    lab_end(&b);
}

static void test_killed_server(void **state)
{
    struct lab b;

    (void)state;
    fresh();
    lab_init(&b, server.port, 16);
    lab_start(&b, 2, 2);
    send_tags(&b, 0, 32);
    lab_run_ended(&b, 32);
    redis_server_kill(&server);
    for (unsigned i = 32; i < 64; i++) {
        calls[i].call.may_resend = true;
    }
    send_tags(&b, 32, 32);
    lab_run_ms(&b, 300);
    assert_int_equal(b.ended, 32);
    redis_server_restart(&server);
    b.op_us = 10 * 1000 * 1000;
    send_tags(&b, 64, 32);
    lab_run_ended(&b, 96);
    assert_tags(64, 32);
    for (unsigned i = 32; i < 64; i++) { /* within their deadline, if the server was quick */
        assert_int_equal(calls[i].ended, 1);
    }
    assert_true(lab_count(&b, "reconnects") >= 1);
    assert_true(atomic_load(&b.shared->needs_look));
    lab_end(&b);
}

static void test_client_kill(void **state)
{
    struct lab b;

    (void)state;
    fresh();
    lab_init(&b, server.port, 16);
    lab_start(&b, 4, 4);
    for (unsigned i = 0; i < MANY; i++) {
        calls[i].call.may_resend = true;
    }
    for (unsigned round = 0; round < 10; round++) {
        send_tags(&b, round * 100, 100);
        lane_flush(b.lane);
        (void)uv_run(&b.loop, UV_RUN_NOWAIT);
        redis_server_say(&server, "CLIENT KILL TYPE normal SKIPME yes");
        lab_run_ended(&b, round * 100 + 100);
    }
    assert_tags(0, MANY);
    assert_true(lab_count(&b, "c_peer") >= 10);
    assert_int_equal(lab_count(&b, "ambiguous"), 0);
    lab_end(&b);
}

static void test_idle(void **state)
{
    struct lab b;

    (void)state;
    fresh();
    lab_init(&b, server.port, 1);
    b.shared->options.pool_idle_us = 600 * 1000;
    lab_start(&b, 10, 5);
    send_tags(&b, 0, 200);
    lab_run_ended(&b, 200);
    assert_int_equal(count_sockets(server.port), 10);
    lab_run_ms(&b, 300); /* those above the idle share go at once */
    assert_int_equal(count_sockets(server.port), 5);
    assert_int_equal(lab_count(&b, "c_idle"), 5);
    lab_run_ms(&b, 900); /* the others in time */
    assert_int_equal(count_sockets(server.port), 0);
    assert_int_equal(lab_count(&b, "c_idle"), 10);
    send_tags(&b, 200, 1);
    lab_run_ended(&b, 201);
    assert_tags(0, 201);
    lab_end(&b);
}

static void test_crowded_server(void **state)
{
    struct lab b;

    (void)state;
    fresh();
    redis_server_say(&server, "CONFIG SET maxclients 5"); /* one of them asks */
    lab_init(&b, server.port, 1);
    lab_start(&b, 20, 20);
    send_tags(&b, 0, 200);
    lab_run_ended(&b, 200);
    assert_tags(0, 200);
    assert_in_range(lab_read(&b.shared->lanes[0].open), 1, 5);
    lab_end(&b);
    redis_server_say(&server, "CONFIG SET maxclients 10000");
}

static void set_target(struct lab *b, uint16_t port)
{
    (void)pthread_mutex_lock(&b->shared->mutex);
    b->shared->target.port = port;
    atomic_fetch_add(&b->shared->generation, 1);
    (void)pthread_mutex_unlock(&b->shared->mutex);
}

/* Another master: the connections to the one before go at once. The same one again: they go in order. */
static void test_switch(void **state)
{
    struct redis_server other = {0};
    struct lab b;

    (void)state;
    fresh();
    redis_server_start_replica(&other, &server, "");
    lab_init(&b, server.port, 16);
    lab_start(&b, 4, 4);
    send_tags(&b, 0, 64);
    lab_run_ended(&b, 64);

    set_target(&b, server.port);
    send_tags(&b, 64, 10);
    lab_run_ended(&b, 74);
    assert_int_equal(lab_count(&b, "c_switch"), 4);
    assert_tags(64, 10);

    /* to a replica: not used until it is the master */
    set_target(&b, other.port);
    send_tags(&b, 74, 10);
    lab_run_ms(&b, 300);
    assert_int_equal(b.ended, 74);
    assert_int_equal(count_sockets(server.port), 1); /* the replica's own */
    assert_true(atomic_load(&b.shared->needs_look));
    redis_server_say(&other, "REPLICAOF NO ONE");
    lab_run_ended(&b, 84);
    assert_tags(74, 10);

    /* it becomes a replica under our hands: its READONLY is no answer */
    redis_server_say(&other, "CONFIG SET replica-serve-stale-data yes");
    calls[84].call.is_write = true;
    atomic_store(&b.shared->needs_look, false);
    {
        char words[64];
        (void)snprintf(words, sizeof words, "REPLICAOF 127.0.0.1 %" PRIu16, server.port);
        redis_server_say(&other, words);
    }
    lab_send(&b, &calls[84], "SET key value");
    lab_run_ms(&b, 100);
    assert_int_equal(calls[84].ended, 0);
    assert_true(atomic_load(&b.shared->needs_look));
    set_target(&b, server.port);
    lab_run_ended(&b, 85);
    lab_assert(&calls[84], WIRE_ANSWERED, "OK");
    lab_end(&b);
    redis_server_stop(&other);
}

/* Two loops with a lane each share what control tells them, while it tells. */
struct runner {
    uv_thread_t thread;
    struct lab lab; /* its loop and lane alone; shared is the first one's */
    struct lab_call calls[MANY];
};

static void run_lane(void *arg)
{
    struct runner *r = arg;

    for (unsigned i = 0; i < MANY; i++) {
        lab_send(&r->lab, &r->calls[i], "ECHO tag");
        if (i % 20 == 19) {
            lab_run_ended(&r->lab, i + 1);
        }
    }
    lane_close(r->lab.lane);
    uv_close((uv_handle_t *)&r->lab.beat, NULL);
    (void)uv_run(&r->lab.loop, UV_RUN_DEFAULT);
}

static void test_two_loops(void **state)
{
    static struct runner runners[2];
    struct lab b;

    (void)state;
    memset(runners, 0, sizeof runners);
    lab_init(&b, server.port, 4);
    for (unsigned i = 0; i < 2; i++) {
        struct lab *own = &runners[i].lab;
        own->shared = b.shared;
        own->op_us = 10 * 1000 * 1000;
        for (unsigned call = 0; call < MANY; call++) {
            runners[i].calls[call].call.may_resend = true;
        }
        assert_int_equal(uv_loop_init(&own->loop), 0);
        assert_int_equal(uv_timer_init(&own->loop, &own->beat), 0);
        assert_int_equal(uv_timer_start(&own->beat, lab_beat, 1, 1), 0);
        lab_start(own, 3, 2);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(uv_thread_create(&runners[i].thread, run_lane, &runners[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        set_target(&b, server.port);
        (void)lab_count(&b, "c_switch");
        assert_true(lab_read(&b.shared->lanes[0].open) <= 3);
        uv_sleep(5);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(uv_thread_join(&runners[i].thread), 0);
        assert_int_equal(uv_loop_close(&runners[i].lab.loop), 0);
        for (unsigned call = 0; call < MANY; call++) {
            lab_assert(&runners[i].calls[call], WIRE_ANSWERED, "tag");
        }
    }
    assert_int_equal(atomic_load(&b.shared->lane_count), 2);
    lab_end(&b);
}

static void test_wait_for_replicas(void **state)
{
    struct redis_server replica = {0};
    struct lab b;

    (void)state;
    fresh();
    redis_server_start_replica(&replica, &server, "");
    lab_init(&b, server.port, 16);
    b.shared->options.is_synchronous = true;
    b.shared->options.wait_timeout_us = 1800 * 1000; /* a new replica first answers after a second */
    atomic_store(&b.shared->replicas, 1);
    lab_start(&b, 2, 2);
    calls[0].call.is_write = true;
    lab_send(&b, &calls[0], "SET key one");
    lab_run_ended(&b, 1);
    lab_assert(&calls[0], WIRE_ANSWERED, "OK");
    assert_int_equal(redis_server_number(&replica, "STRLEN key"), 3);
    redis_server_freeze(&replica);
    b.shared->options.wait_timeout_us = 200 * 1000;
    calls[1].call.is_write = true;
    lab_send(&b, &calls[1], "SET key three");
    lab_send(&b, &calls[2], "GET key");
    lab_run_ended(&b, 3);
    lab_assert(&calls[1], WIRE_UNKNOWN, "");
    lab_assert(&calls[2], WIRE_ANSWERED, "three");
    assert_true(calls[2].ended_us < calls[1].ended_us);
    redis_server_thaw(&replica);
    lab_end(&b);
    redis_server_stop(&replica);
}

static void test_tls(void **state)
{
    struct certs certs;
    struct redis_server secure = {0};
    struct lab b;
    struct tls_context *context;
    struct err_text why = {""};
    char words[512];

    (void)state;
    fresh();
    certs_make(&certs);
    (void)snprintf(words, sizeof words,
                   "--tls-cert-file %s --tls-key-file %s --tls-ca-cert-file %s --tls-auth-clients no",
                   certs.server, certs.server_key, certs.ca);
    redis_server_start(&secure, words);
    for (unsigned wrong = 0; wrong < 2; wrong++) {
        const struct tls_options options = {.ca_file = wrong ? certs.other_ca : certs.ca};
        assert_int_equal(tls_context_new(&options, &context, &why), ERR_OK);
        fresh();
        lab_init(&b, secure.port, 16);
        b.shared->tls = context;
        (void)snprintf(b.shared->target_name, 32, "redis.test");
        b.op_us = wrong ? 300 * 1000 : 5 * 1000 * 1000;
        lab_start(&b, 3, 3);
        send_tags(&b, 0, 300);
        lab_run_ended(&b, 300);
        if (wrong) { /* not a byte for a stranger */
            assert_int_equal(calls[0].fate, WIRE_NOT_SENT);
            assert_int_equal(lab_count(&b, "not_sent"), 300);
        } else {
            assert_tags(0, 300);
            lab_send_big(&b, &calls[300], 3 << 20);
            lab_run_ended(&b, 301);
            assert_int_equal(calls[300].fate, WIRE_ANSWERED);
            free(calls[300].big);
            assert_int_equal(lab_count(&b, "c_protocol"), 0);
        }
        lab_end(&b);
        tls_context_free(context);
    }
    redis_server_stop(&secure);
    certs_remove(&certs);
}

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, "");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cap_depth_1),
        cmocka_unit_test(test_cap_depth_16),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_one_write),
        cmocka_unit_test(test_big_replies),
        cmocka_unit_test(test_stopped_server),
        cmocka_unit_test(test_killed_server),
        cmocka_unit_test(test_client_kill),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_crowded_server),
        cmocka_unit_test(test_switch),
        cmocka_unit_test(test_two_loops),
        cmocka_unit_test(test_wait_for_replicas),
        cmocka_unit_test(test_tls),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

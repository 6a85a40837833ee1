/* Going on: what happens to a server while it is used, and what control tells the lanes about it. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "unit/store/redis/control_fixture.h"

/* ---- going on ---- */

static void test_an_emptied_server(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_say(&f->server, "FLUSHALL");
    fixture_wait_health(f, STORE_FAILED);
    fixture_has(fixture_log(f), "event=store.redis.other_ledger");
    redis_server_say(&f->server, "HSET w:meta format 1 buckets 4096 epoch 0123456789abcdef");
    fixture_has(fixture_log(f), "the ledger is gone");
    redis_server_kill(&f->server); /* what was lost stays lost, whatever comes back */
    redis_server_restart(&f->server);
    (void)poll(NULL, 0, 300);
    shared_ask_look(f->shared);
    (void)poll(NULL, 0, 300);
    assert_int_equal(atomic_load(&f->shared->health), STORE_FAILED);
    fixture_started(f); /* an operator starts again, on the empty one */
}

/* Its functions survive, so lanes would go on writing: an answer out of a journal that begins again is enough. */
static void test_an_emptied_server_is_noticed_by_its_answers(void **state)
{
    struct control_fixture *f = *state;
    const uint64_t until_us = clock_mono_us() + 2000000;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    shared_saw(f->shared, 7, 41);
    redis_server_say(&f->server, "FLUSHALL");
    shared_saw(f->shared, 7, 2);
    while (atomic_load(&f->shared->health) != STORE_FAILED) {
        assert_true(clock_mono_us() < until_us);
        fixture_rest();
    }
}

static void test_a_server_that_comes_back_empty(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_kill(&f->server);
    fixture_wait_health(f, STORE_STALLED);
    redis_server_restart(&f->server);
    fixture_wait_health(f, STORE_FAILED);
    assert_int_equal(redis_server_number(&f->server, "DBSIZE"), 0); /* nothing is made there */
}

static void test_a_server_that_comes_back_whole(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_kill(&f->server);
    fixture_wait_health(f, STORE_STALLED);
    redis_server_restart(&f->server);
    fixture_wait_health(f, STORE_HEALTHY);
    assert_int_equal(atomic_load(&f->shared->generation), 1);
}

static void test_acknowledged_work_is_gone(void **state)
{
    struct control_fixture *f = *state;
    const struct names_key key = names_bucket_meta(3000);
    char words[128];

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    (void)snprintf(words, sizeof(words), "HSET %.*s s 41", (int)key.len, key.text);
    redis_server_say(&f->server, words);
    shared_saw(f->shared, 3000, 41);
    (void)poll(NULL, 0, 1100);
    fixture_wait_health(f, STORE_HEALTHY);
    shared_saw(f->shared, 3000, 42);
    fixture_wait_health(f, STORE_FAILED);
    fixture_has(fixture_log(f), "event=store.regression bucket=3000 known=42 found=41");
    (void)snprintf(words, sizeof(words), "HSET %.*s s 50", (int)key.len, key.text);
    redis_server_say(&f->server, words);
    shared_ask_look(f->shared);
    (void)poll(NULL, 0, 1300);
    assert_int_equal(atomic_load(&f->shared->health), STORE_FAILED);
}

/* As whom Redis replays its file may change while the service runs: the next connection asks again. */
static void test_a_file_that_could_not_be_replayed(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    redis_server_say(&f->server, "ACL SETUSER boss on nopass ~* +@all");
    f->options = fixture_options(&f->server);
    (void)snprintf(f->options.url.user, sizeof(f->options.url.user), "boss");
    fixture_started(f);
    redis_server_say(&f->server, "ACL SETUSER default -hset");
    redis_server_say(&f->server, "CLIENT KILL USER boss");
    fixture_wait_health(f, STORE_FAILED);
    fixture_has(fixture_log(f), "append-only");
    redis_server_say(&f->server, "ACL SETUSER default +hset");
    fixture_wait_health(f, STORE_HEALTHY);
}

static void test_a_server_that_hangs(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_freeze(&f->server);
    fixture_wait_health(f, STORE_STALLED);
    redis_server_thaw(&f->server);
    fixture_wait_health(f, STORE_HEALTHY);
    fixture_has(fixture_log(f), "health=stalled");
    redis_server_freeze(&f->server); /* and it ends all the same */
    shared_ask_look(f->shared);
    fixture_stop(f);
    redis_server_thaw(&f->server);
}

static void test_settings_that_change(void **state)
{
    struct control_fixture *f = *state;
    char words[128];

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_say(&f->server, "CONFIG SET maxmemory-policy volatile-ttl");
    fixture_wait_health(f, STORE_FAILED);
    redis_server_say(&f->server, "CONFIG SET maxmemory-policy noeviction");
    fixture_wait_health(f, STORE_HEALTHY);
    redis_server_say(&f->server, "CONFIG SET maxmemory 500kb");
    fixture_wait_health(f, STORE_DISK_FULL);
    redis_server_say(&f->server, "CONFIG SET maxmemory 0");
    fixture_wait_health(f, STORE_HEALTHY);
    redis_server_say(&f->server, "CONFIG SET min-replicas-to-write 1");
    fixture_wait_health(f, STORE_STALLED);
    redis_server_say(&f->server, "CONFIG SET min-replicas-to-write 0");
    fixture_wait_health(f, STORE_HEALTHY);
    (void)snprintf(words, sizeof(words), "%s/dump.rdb",
                   f->server.dir); /* a file cannot take its place */
    assert_int_equal(mkdir(words, 0700), 0);
    redis_server_say(&f->server, "CONFIG SET save \"3600 1\"");
    redis_server_say(&f->server, "BGSAVE");
    fixture_wait_health(f, STORE_DISK_FULL);
    redis_server_say(&f->server, "CONFIG SET stop-writes-on-bgsave-error no");
    fixture_wait_health(f, STORE_HEALTHY);
    assert_int_equal(rmdir(words), 0);
    redis_server_say(&f->server, "CONFIG SET maxmemory 500kb"); /* reads are served: it starts */
    fixture_started(f);
    assert_int_equal(atomic_load(&f->shared->health), STORE_DISK_FULL);
}

static void test_a_required_durability_that_is_lost(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    f->options = fixture_options(&f->server);
    f->options.has_required = true;
    f->options.required = REDIS_FSYNC;
    fixture_started(f);
    redis_server_say(&f->server, "CONFIG SET appendfsync everysec");
    fixture_wait_health(f, STORE_STALLED);
    assert_int_equal(fixture_durability(f), REDIS_AOF_EVERYSEC);
    redis_server_say(&f->server, "CONFIG SET appendfsync always");
    fixture_wait_health(f, STORE_HEALTHY);
}

static void test_a_replica_in_its_place(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    redis_server_start(&f->replica, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    (void)snprintf(f->why.text, sizeof(f->why.text), "REPLICAOF 127.0.0.1 %u", f->replica.port);
    redis_server_say(&f->server, f->why.text);
    fixture_wait_health(f, STORE_STALLED);
    fixture_has(fixture_log(f), "not a master any more");
}

static void test_a_library_that_vanished_comes_back(void **state)
{
    struct control_fixture *f = *state;
    const uint64_t until_us = clock_mono_us() + FIXTURE_WAIT_US;
    bool is_there = false;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_say(&f->server, "FUNCTION FLUSH");
    while (!is_there) {
        struct redisReply *r = redis_server_ask(&f->server, "FCALL_RO mywallet_v1_hash 0");
        is_there = r->type == REDIS_REPLY_STRING;
        freeReplyObject(r);
        assert_true(clock_mono_us() < until_us);
        shared_ask_look(f->shared);
        fixture_rest();
    }
    fixture_assert_our_library(&f->server);
    /* another build of the same major version may put its own there: no quarrel */
    fixture_other_library(&f->server, "mywallet_v1", "mywallet_v1_hash");
    shared_ask_look(f->shared);
    while (atomic_load(&f->shared->needs_look)) {
        fixture_rest();
    }
    (void)poll(NULL, 0, 300);
    fixture_wait_health(f, STORE_HEALTHY);
    redis_server_wait(&f->server, "FCALL_RO mywallet_v1_hash 0", "old");
}

/* Rights are a node's own: a new line may lead to one that has others. */
static void test_rights_are_asked_on_each_line(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    redis_server_say(&f->server, "ACL SETUSER default -rpush");
    redis_server_say(&f->server, "CLIENT KILL TYPE normal SKIPME yes");
    fixture_wait_health(f, STORE_FAILED);
    fixture_has(fixture_log(f), "the user may not do all that the functions do: RPUSH");
    redis_server_say(&f->server, "ACL SETUSER default +rpush");
    fixture_wait_health(f, STORE_HEALTHY);
}

/* ---- Sentinel ---- */

static void wait_target(const struct control_fixture *f, uint16_t port, bool has_lane, uint64_t max_us)
{
    const uint64_t until_us = clock_mono_us() + max_us;
    uint16_t is = 0;

    while (is != port) {
        assert_true(clock_mono_us() < until_us);
        if (has_lane) {
            shared_ask_look(f->shared);
        }
        fixture_rest();
        (void)pthread_mutex_lock(&f->shared->mutex);
        is = f->shared->target.port;
        (void)pthread_mutex_unlock(&f->shared->mutex);
    }
}

static void test_failovers(void **state)
{
    struct control_fixture *f = *state;
    const char *words = "--appendonly yes --appendfsync always --min-replicas-to-write 0";

    redis_server_start(&f->server, words);
    redis_server_start_replica(&f->replica, &f->server, words);
    redis_server_start_sentinel(&f->sentinel, "money", &f->server, 1,
                                "sentinel down-after-milliseconds money 500\n"
                                "sentinel failover-timeout money 1000\n");
    redis_server_say(&f->sentinel, "SENTINEL DEBUG INFO-PERIOD 200");
    redis_server_wait(&f->server, "INFO replication", "state=online");
    f->options = fixture_options(&f->sentinel);
    fixture_started(f);
    assert_int_equal(f->shared->target.port, f->server.port);
    assert_int_equal(fixture_durability(f), REDIS_ASYNC_REPLICATED);
    assert_int_equal(atomic_load(&f->shared->generation), 1);
    /* a replica is "online" before the master streams anything to it: a fail-over now would lose the ledger */
    redis_server_wait(&f->replica, "KEYS *", "w:meta");
    /* in order, found by asking the sentinel alone: no lane has met anything */
    for (bool is_asked = false; !is_asked; fixture_rest()) {
        struct redisReply *r = redis_server_ask(&f->sentinel, "SENTINEL FAILOVER money");
        is_asked = r->type != REDIS_REPLY_ERROR; /* NOGOODSLAVE until it has seen the replica */
        freeReplyObject(r);
    }
    wait_target(f, f->replica.port, false, 7000000);
    assert_int_equal(atomic_load(&f->shared->generation), 2);
    fixture_wait_health(f, STORE_HEALTHY);
    /* by death */
    redis_server_wait(&f->replica, "INFO replication", "state=online");
    redis_server_wait(&f->server, "INFO replication", "master_link_status:up");
    redis_server_wait(&f->sentinel, "SENTINEL REPLICAS money", "master-link-status");
    redis_server_kill(&f->replica);
    wait_target(f, f->server.port, true, 20000000);
    assert_int_equal(atomic_load(&f->shared->generation), 3);
    fixture_wait_health(f, STORE_HEALTHY);
    fixture_has(fixture_log(f), "generation=3");
    /* a master that is known serves on without sentinels */
    redis_server_kill(&f->sentinel);
    shared_ask_look(f->shared);
    (void)poll(NULL, 0, 1500);
    fixture_wait_health(f, STORE_HEALTHY);
}

/* With sentinels it is not at once for ever: another of them may name another master. */
static void test_a_doubt_may_pass(void **state)
{
    struct control_fixture *f = *state;
    char epoch[17], words[128];

    redis_server_start(&f->server, "");
    redis_server_start_sentinel(&f->sentinel, "money", &f->server, 1, "");
    f->options = fixture_options(&f->sentinel);
    fixture_started(f);
    fixture_epoch(&f->server, epoch);
    (void)snprintf(words, sizeof(words), "HSET w:meta format 1 buckets 4096 epoch %s", epoch);
    redis_server_say(&f->server, "DEL w:meta");
    fixture_wait_health(f, STORE_FAILED);
    redis_server_say(&f->server, words);
    fixture_wait_health(f, STORE_HEALTHY);
    fixture_has(fixture_log(f), "event=store.redis.doubt");
    assert_null(strstr(fixture_log(f), "event=store.redis.other_ledger"));
    redis_server_say(&f->server, "DEL w:meta");
    fixture_wait_health(f, STORE_FAILED);
    for (int i = 0; i < 100 && strstr(fixture_log(f), "event=store.redis.other_ledger") == NULL; i++) {
        (void)poll(NULL, 0, 100);
    }
    fixture_has(fixture_log(f), "event=store.redis.other_ledger");
    redis_server_say(&f->server, words);
    shared_ask_look(f->shared);
    (void)poll(NULL, 0, 300);
    assert_int_equal(atomic_load(&f->shared->health), STORE_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)
        TEST(an_emptied_server),
        TEST(an_emptied_server_is_noticed_by_its_answers),
        TEST(a_server_that_comes_back_empty),
        TEST(a_server_that_comes_back_whole),
        TEST(acknowledged_work_is_gone),
        TEST(a_file_that_could_not_be_replayed),
        TEST(a_server_that_hangs),
        TEST(settings_that_change),
        TEST(a_required_durability_that_is_lost),
        TEST(a_replica_in_its_place),
        TEST(a_library_that_vanished_comes_back),
        TEST(rights_are_asked_on_each_line),
        TEST(failovers),
        TEST(a_doubt_may_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

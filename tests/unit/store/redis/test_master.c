/* Start-up on real servers: each refusal with its text, each durability, rights, functions, the marks of the ledger. */
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
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "unit/store/redis/control_fixture.h"

/* ---- start ---- */

static void test_a_new_ledger_and_the_same_again(void **state)
{
    struct control_fixture *f = *state;
    struct redis_stats stats;
    char epoch[17], again[17];

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    assert_int_equal(f->shared->target.port, f->server.port);
    assert_string_equal(f->shared->target.host, "127.0.0.1");
    assert_string_equal(f->shared->target_name, "127.0.0.1");
    assert_int_equal(atomic_load(&f->shared->generation), 1);
    assert_int_equal(atomic_load(&f->shared->health), STORE_HEALTHY);
    assert_int_equal(fixture_durability(f), REDIS_FSYNC);
    assert_int_equal(atomic_load(&f->shared->replicas), 0);
    assert_in_range(atomic_load(&f->shared->clock_offset_us) + 100000, 0, 200000);
    assert_int_equal(f->shared->buckets, REDIS_BUCKETS);
    assert_int_equal(redis_server_number(&f->server, "HGET w:meta buckets"), REDIS_BUCKETS);
    assert_int_equal(redis_server_number(&f->server, "HGET w:meta format"), 1);
    assert_int_equal(redis_server_number(&f->server, "DBSIZE"), 1); /* the self-test leaves nothing */
    fixture_epoch(&f->server, epoch);
    assert_string_equal(f->shared->epoch, epoch);
    assert_int_equal(strspn(epoch, "0123456789abcdef"), 16);
    control_stats(f->control, &stats);
    assert_true(stats.is_master_known && stats.used_memory > 0);
    (void)snprintf(f->why.text, sizeof(f->why.text), "127.0.0.1:%u", f->server.port);
    assert_string_equal(stats.address, f->why.text);
    f->options.buckets = REDIS_BUCKETS;
    fixture_started(f);
    fixture_epoch(&f->server, again);
    assert_string_equal(epoch, again);
    f->options.buckets = 1;
    fixture_refused(f, ERR_UNSUPPORTED, "has 4096 buckets, and 1 are asked for");
    fixture_has(fixture_log(f), "event=store.redis.library_loaded");
    fixture_has(fixture_log(f), "event=store.redis.master");
}

static void test_buckets_of_an_old_ledger_hold(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    f->options.buckets = 7;
    fixture_started(f);
    assert_int_equal(f->shared->buckets, 7);
    f->options.buckets = 0;
    fixture_started(f);
    assert_int_equal(f->shared->buckets, 7);
}

static void test_databases_that_are_no_ledger(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    redis_server_say(&f->server, "EVAL \"for i=1,3000 do redis.call('SET','other:'..i,1) end\" 0");
    redis_server_say(&f->server, "SET w:a:{0}:alice 1");
    fixture_refused(f, ERR_INVALID, "its marks (w:meta) are missing");
    redis_server_say(&f->server, "HSET w:meta buckets 16");
    fixture_refused(f, ERR_INVALID, "its marks (w:meta) are missing");
    redis_server_say(&f->server, "DEL w:a:{0}:alice");
    redis_server_say(&f->server, "SET w:l:migration x"); /* locks are no ledger */
    redis_server_say(&f->server, "SET w:f:migration 5");
    fixture_started(f); /* and a half made one is made whole */
    assert_int_equal(f->shared->buckets, 16);
    redis_server_say(&f->server, "HSET w:meta format 2");
    fixture_refused(f, ERR_UNSUPPORTED, "has format 2");
    redis_server_say(&f->server, "HSET w:meta format importing");
    fixture_refused(f, ERR_INVALID, "an import into this Redis");
    redis_server_say(&f->server, "HSET w:meta format x");
    fixture_refused(f, ERR_UNSUPPORTED, "none of ours");
    redis_server_say(&f->server, "HSET w:meta format 1 buckets 5000");
    fixture_refused(f, ERR_UNSUPPORTED, "has 5000 buckets");
    redis_server_say(&f->server, "DEL w:meta");
    redis_server_say(&f->server, "SET w:meta x");
    fixture_refused(f, ERR_UNSUPPORTED, "WRONGTYPE");
}

static void test_settings_that_forbid(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    redis_server_say(&f->server, "CONFIG SET maxmemory-policy allkeys-lru");
    fixture_refused(f, ERR_INVALID, "set \"maxmemory-policy noeviction\"");
    redis_server_say(&f->server, "CONFIG SET maxmemory-policy noeviction");
    f->options.is_synchronous = true;
    fixture_refused(f, ERR_INVALID, "no replica is connected");
    f->options.is_synchronous = false;
    f->options.has_required = true;
    f->options.required = REDIS_AOF_EVERYSEC;
    fixture_refused(f, ERR_INVALID, "set \"appendonly yes\"");
    f->options.has_required = false;
    f->options.keys_a_second = 1000;
    redis_server_say(&f->server, "CONFIG SET maxmemory 100mb");
    fixture_refused(f, ERR_INVALID, "19008000000 bytes");
    fixture_has(fixture_log(f), "event=store.redis.budget");
    f->options.keys_a_second = 5;
    fixture_started(f);
    f->options.url.is_sentinel = true; /* a server is no sentinel */
    fixture_refused(f, ERR_IO, "no sentinel answers");
}

static void test_keys_were_evicted(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--maxmemory-policy allkeys-random");
    f->options = fixture_options(&f->server);
    redis_server_say(&f->server, "SET some key");
    redis_server_say(&f->server, "CONFIG SET maxmemory 100kb");
    redis_server_wait(&f->server, "INFO stats", "evicted_keys:1");
    redis_server_say(&f->server, "CONFIG SET maxmemory 0");
    redis_server_say(&f->server, "CONFIG SET maxmemory-policy noeviction");
    fixture_refused(f, ERR_INVALID, "1 keys have been evicted");
    redis_server_say(&f->server, "CONFIG RESETSTAT");
    fixture_started(f);
}

static void test_other_kinds_of_servers(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--cluster-enabled yes");
    f->options = fixture_options(&f->server);
    fixture_refused(f, ERR_UNSUPPORTED, "cluster_enabled:1");
    redis_server_stop(&f->server);
    redis_server_start(&f->server, "");
    redis_server_start_replica(&f->replica, &f->server, "");
    f->options = fixture_options(&f->replica);
    fixture_refused(f, ERR_INVALID, "the server is a replica");
    f->options.url.addresses[0].port = redis_server_free_port();
    fixture_refused(f, ERR_IO, "Connection refused");
    (void)snprintf(f->options.url.addresses[0].host, sizeof(f->options.url.addresses[0].host),
                   "nobody.invalid");
    fixture_refused(f, ERR_IO, "nobody.invalid");
    redis_server_start_sentinel(&f->sentinel, "money", &f->server, 1, "");
    f->options = fixture_options(&f->sentinel);
    f->options.url.is_sentinel = false;
    fixture_refused(f, ERR_INVALID, "redis+sentinel://");
    f->options.url.is_sentinel = true;
    (void)snprintf(f->options.url.master_name, sizeof(f->options.url.master_name), "dreams");
    fixture_refused(f, ERR_INVALID, "\"dreams\"");
}

static void test_a_name_is_resolved(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, ""); /* on 127.0.0.1 alone: ::1, if it comes first, does not answer */
    f->options = fixture_options(&f->server);
    (void)snprintf(f->options.url.addresses[0].host, sizeof(f->options.url.addresses[0].host),
                   "localhost");
    fixture_started(f);
    assert_string_equal(f->shared->target.host, "127.0.0.1");
    assert_string_equal(f->shared->target_name, "localhost");
}

static void test_every_durability(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly no --appendfsync everysec");
    f->options = fixture_options(&f->server);
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_MEMORY);
    fixture_has(fixture_log(f), "setting=appendonly");
    redis_server_say(&f->server, "CONFIG SET appendonly yes");
    fixture_wait_durability(f, REDIS_AOF_EVERYSEC); /* it is told while it runs, too */
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_AOF_EVERYSEC);
    redis_server_say(&f->server, "CONFIG SET appendfsync no");
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_MEMORY);
    redis_server_say(&f->server, "CONFIG SET appendfsync always");
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_FSYNC);
    redis_server_say(&f->server, "CONFIG SET no-appendfsync-on-rewrite yes");
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_AOF_EVERYSEC);
    redis_server_say(&f->server, "CONFIG SET no-appendfsync-on-rewrite no");
    redis_server_start_replica(&f->replica, &f->server, "--appendonly yes --appendfsync always");
    redis_server_wait(&f->server, "INFO replication", "state=online");
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_ASYNC_REPLICATED);
    f->options.is_synchronous = true;
    f->options.has_required = true;
    f->options.required = REDIS_REPLICATED;
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_REPLICATED);
    assert_int_equal(atomic_load(&f->shared->replicas), 1);
    redis_server_kill(&f->replica);
    fixture_wait_health(f, STORE_STALLED);
    redis_server_restart(&f->replica);
    fixture_wait_health(f, STORE_HEALTHY);
    fixture_has(fixture_log(f), "event=store.redis.durability");
}

/* Nothing was ever written while the replica listened, so it had nothing to acknowledge: start-up makes it. */
static void test_a_replica_in_step_at_last(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server,
                       "--appendonly yes --appendfsync always --repl-ping-replica-period 3600");
    redis_server_start_replica(&f->replica, &f->server, "--appendonly yes --appendfsync always");
    redis_server_wait(&f->server, "INFO replication", "state=online,offset=0,");
    f->options = fixture_options(&f->server);
    f->options.is_synchronous = true;
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_REPLICATED);
    assert_int_equal(atomic_load(&f->shared->replicas), 1);
    fixture_has(fixture_log(f), "why=\"no replica is in step yet\"");
}

/* What waited for a replica is worth what that one does with it. */
static void test_replicas_are_asked(void **state)
{
    static const struct {
        const char *wrong, *says, *right;
    } settings[] = {
        {"CONFIG SET appendonly no", "set \"appendonly yes\"", "CONFIG SET appendonly yes"},
        {"CONFIG SET appendfsync everysec", "set \"appendfsync always\"",
         "CONFIG SET appendfsync always"},
        {"CONFIG SET no-appendfsync-on-rewrite yes", "no-appendfsync-on-rewrite no",
         "CONFIG SET no-appendfsync-on-rewrite no"},
        {"CONFIG SET replica-read-only no", "set \"replica-read-only yes\"",
         "CONFIG SET replica-read-only yes"},
        {"ACL SETUSER default -xadd", "give the user default", "ACL SETUSER default +xadd"},
    };
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    redis_server_start_replica(&f->replica, &f->server, "--appendonly yes --appendfsync always");
    redis_server_wait(&f->server, "INFO replication", "state=online");
    f->options = fixture_options(&f->server);
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        redis_server_say(&f->replica, settings[i].wrong);
        f->options.is_synchronous = true;
        fixture_refused(f, ERR_INVALID, settings[i].says);
        f->options.is_synchronous = false; /* a warning is enough: nobody waits for it */
        fixture_started(f);
        fixture_has(fixture_log(f),
                    settings[i].says[0] == 's' ? "event=store.redis.replica" : settings[i].says);
        redis_server_say(&f->replica, settings[i].right);
    }
    f->options.is_synchronous = true;
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_REPLICATED);
}

/* One that cannot be asked is not known: that is said, and no refusal. */
static void test_a_replica_out_of_reach(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    redis_server_start_replica(&f->replica, &f->server,
                               "--appendonly yes --appendfsync always --replica-announce-port 1");
    redis_server_wait(&f->server, "INFO replication", "state=online");
    f->options = fixture_options(&f->server);
    f->options.is_synchronous = true;
    fixture_started(f);
    fixture_has(fixture_log(f), "event=store.redis.replica host=127.0.0.1 port=1 text=");
    assert_int_equal(fixture_durability(f), REDIS_REPLICATED);
}

/* ---- rights ---- */

static void user_make(struct control_fixture *f, const char *rights)
{
    char words[512];

    (void)snprintf(words, sizeof(words), "ACL SETUSER wallet reset on >CANARY ~w:* +@all %s", rights);
    redis_server_say(&f->server, words);
    (void)snprintf(f->options.url.user, sizeof(f->options.url.user), "wallet");
    (void)snprintf(f->options.url.password, sizeof(f->options.url.password), "CANARY");
}

static void test_rights(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "--appendonly yes --appendfsync always");
    f->options = fixture_options(&f->server);
    user_make(f, "-function");
    fixture_refused(f, ERR_INVALID, "loading the functions (FUNCTION LOAD): the user may not");
    user_make(f, "-config|get");
    fixture_started(f);
    assert_int_equal(fixture_durability(f), REDIS_MEMORY);
    fixture_has(fixture_log(f), "setting=config");
    f->options.has_required = true;
    f->options.required = REDIS_FSYNC;
    fixture_refused(f, ERR_INVALID, "CONFIG GET is forbidden");
    f->options.has_required = false;
    user_make(f, "-function"); /* it is there now */
    fixture_started(f);
    user_make(f, "-xadd");
    fixture_refused(f, ERR_INVALID, "the user may not do all that the functions do: XADD");
    user_make(f, "-info");
    fixture_refused(f, ERR_INVALID, "INFO: the user may not");
    user_make(f, "-fcall");
    fixture_refused(f, ERR_INVALID, "no permissions to run the 'fcall' command");
    user_make(f, "-hgetall");
    fixture_refused(f, ERR_INVALID, "w:meta: the user may not");
    (void)snprintf(f->options.url.password, sizeof(f->options.url.password), "CANARY-2");
    fixture_refused(f, ERR_INVALID, "WRONGPASS");
    assert_null(strstr(f->why.text, "CANARY"));
}

/* ---- the library ---- */

static void test_the_library_is_loaded_and_replaced(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    f->options.may_load = false;
    fixture_refused(f, ERR_INVALID, "is missing on the server, and loading it is switched off");
    fixture_other_library(&f->server, "mywallet_v1", "mywallet_v1_hash");
    fixture_other_library(&f->server, "mywallet_v2", "mywallet_v2_hash");
    fixture_refused(f, ERR_INVALID, "is another on the server");
    f->options.may_load = true;
    fixture_started(f);
    fixture_assert_our_library(&f->server);
    redis_server_wait(&f->server, "FUNCTION LIST", "mywallet_v2"); /* stays */
    f->options.may_load = false;
    fixture_started(f);
}

static void test_several_at_once(void **state)
{
    struct control_fixture *f = *state;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    for (int round = 0; round < 10; round++) {
        struct control_starter s[4];
        pthread_t threads[ARRAY_LEN(s)];
        for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
            s[i] = (struct control_starter){.shared = mem_alloc(sizeof(struct redis_shared))};
            assert_non_null(s[i].shared);
            assert_int_equal(shared_init(s[i].shared, &f->options), ERR_OK);
        }
        for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, fixture_start_one, &s[i]), 0);
        }
        for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            if (s[i].e != ERR_OK) {
                fail_msg("%s: %s", err_name(s[i].e), s[i].why.text);
            }
        }
        for (unsigned i = 0; i < ARRAY_LEN(s); i++) { /* all have the same ledger */
            shared_ask_look(s[i].shared);
            while (atomic_load(&s[i].shared->needs_look)) {
                fixture_rest();
            }
        }
        for (unsigned i = 0; i < ARRAY_LEN(s); i++) {
            control_stop(s[i].control);
            assert_int_equal(atomic_load(&s[i].shared->health), STORE_HEALTHY);
            shared_fini(s[i].shared);
            mem_free(s[i].shared);
        }
        redis_server_say(&f->server, "FLUSHALL");
        redis_server_say(&f->server, "FUNCTION FLUSH");
    }
}

/* ---- loading ---- */

/* From before the port is open until it serves. */
static void *start_patiently(void *ctx)
{
    const uint64_t until_us = clock_mono_us() + FIXTURE_WAIT_US;
    struct control_starter *s = ctx;

    do {
        fixture_rest();
        (void)fixture_start_one(s);
    } while (s->e == ERR_IO && clock_mono_us() < until_us);
    return NULL;
}

static void test_a_server_that_loads(void **state)
{
    struct control_fixture *f = *state;
    struct control_starter s = {.e = ERR_OK};
    pthread_t thread;
    char epoch[17], again[17];

    redis_server_start(&f->server, "--appendonly yes --key-load-delay 200 "
                                   "--loading-process-events-interval-bytes 1024");
    f->options = fixture_options(&f->server);
    f->options.op_timeout_us = 2000000;
    fixture_started(f);
    fixture_epoch(&f->server, epoch);
    redis_server_say(&f->server,
                     "EVAL \"for i=1,6000 do redis.call('SET','k'..i,string.rep('x',100)) end\" 0");
    fixture_stop(f);
    redis_server_end(&f->server);
    s.shared = mem_alloc(sizeof(*s.shared));
    assert_non_null(s.shared);
    assert_int_equal(shared_init(s.shared, &f->options), ERR_OK);
    f->shared = s.shared;
    assert_int_equal(pthread_create(&thread, NULL, start_patiently, &s), 0);
    redis_server_restart(&f->server); /* returns when all is loaded */
    assert_int_equal(pthread_join(thread, NULL), 0);
    f->control = s.control;
    assert_int_equal(s.e, ERR_OK);
    fixture_epoch(&f->server, again);
    assert_string_equal(epoch, again);
    fixture_has(fixture_log(f), "event=store.redis.wait why=\"it loads its data\"");
}

static void test_sentinels_name_a_dead_master(void **state)
{
    struct control_fixture *f = *state;
    const uint64_t start_us = clock_mono_us();

    redis_server_start(&f->server, "");
    redis_server_start_sentinel(&f->sentinel, "money", &f->server, 1, "");
    f->options = fixture_options(&f->sentinel);
    redis_server_kill(&f->server);
    fixture_refused(f, ERR_IO, "Connection refused"); /* after it has waited for a fail-over */
    assert_true(clock_mono_us() - start_us >= 5000000);
    fixture_has(fixture_log(f), "event=store.redis.wait");
}

/* ---- what no real server can be made to say ---- */

struct fake {
    int fd;
    uint16_t port;
    pthread_t thread;
    int64_t clock_off_us;
    const char *info; /* NULL: of a good server */
};

static void fake_answer(const struct fake *fake, int fd, const char *word)
{
    static const char good[] =
        "redis_version:7.0.15\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n";
    char out[1024];
    int len = 0;

    if (strcmp(word, "HELLO") == 0) {
        len = snprintf(out, sizeof(out), "*0\r\n");
    } else if (strcmp(word, "INFO") == 0) {
        const char *info = fake->info == NULL ? good : fake->info;
        len = snprintf(out, sizeof(out), "$%zu\r\n%s\r\n", strlen(info), info);
    } else if (strcmp(word, "TIME") == 0) {
        const int64_t us = clock_wall_us() + fake->clock_off_us;
        len = snprintf(out, sizeof(out), "*2\r\n:%lld\r\n:%lld\r\n", (long long)(us / 1000000),
                       (long long)(us % 1000000));
    } else {
        len = snprintf(out, sizeof(out), "-ERR unknown command '%s'\r\n", word);
    }
    (void)send(fd, out, (size_t)len, MSG_NOSIGNAL);
}

static void *fake_run(void *ctx)
{
    struct fake *fake = ctx;
    int fd;

    while ((fd = accept(fake->fd, NULL, NULL)) >= 0) {
        redisReader *reader = redisReaderCreate();
        char bytes[4096];
        ssize_t got;
        while ((got = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
            redisReply *command = NULL;
            (void)redisReaderFeed(reader, bytes, (size_t)got);
            while (redisReaderGetReply(reader, (void **)&command) == REDIS_OK && command != NULL) {
                fake_answer(fake, fd, command->element[0]->str);
                freeReplyObject(command);
            }
        }
        redisReaderFree(reader);
        (void)close(fd);
    }
    return NULL;
}

static void fake_start(struct fake *fake)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);

    fake->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake->fd >= 0);
    assert_int_equal(bind(fake->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fake->fd, 8), 0);
    assert_int_equal(getsockname(fake->fd, (struct sockaddr *)&at, &len), 0);
    fake->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_run, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    (void)shutdown(fake->fd, SHUT_RDWR);
    (void)pthread_join(fake->thread, NULL);
    (void)close(fake->fd);
}

static void fake_refused(struct control_fixture *f, int64_t clock_off_us, const char *info,
                         const char *part)
{
    struct fake fake = {.clock_off_us = clock_off_us, .info = info};
    const struct redis_server at = {.port = 0};

    fake_start(&fake);
    f->options = fixture_options(&at);
    f->options.url.addresses[0].port = fake.port;
    fixture_refused(f, ERR_INVALID, part);
    fixture_stop(f);
    fake_stop(&fake);
}

static void test_what_only_a_fake_says(void **state)
{
    struct control_fixture *f = *state;

    fake_refused(f, 31000000, NULL, "s ahead of ours: set both by NTP");
    fake_refused(f, -31000000, NULL, "s behind ours: set both by NTP");
    fake_refused(f, 29000000, NULL,
                 "FUNCTION LOAD"); /* that is warned of alone; then it has no functions */
    fake_refused(f, 0, "redis_version:6.2.14\r\nrole:master\r\n", "Redis 6.2.14: 7.0 or newer");
    fake_refused(f, 0, "nonsense", "INFO: an answer that no Redis gives");
}

static void test_out_of_memory(void **state)
{
    struct control_fixture *f = *state;
    enum err e = ERR_NOMEM;

    redis_server_start(&f->server, "");
    f->options = fixture_options(&f->server);
    for (uint64_t nth = 1; e != ERR_OK; nth++) {
        struct redis_shared *shared = mem_alloc(sizeof(*shared));
        struct control *control = NULL;
        struct err_text why;
        assert_non_null(shared);
        assert_true(nth < 10000);
        assert_int_equal(shared_init(shared, &f->options), ERR_OK);
        mem_fail_at(nth, 0);
        e = control_start(shared, &control, &why);
        mem_fail_at(0, 0);
        if (e == ERR_OK) {
            control_stop(control);
        } else {
            assert_int_equal(e, ERR_NOMEM);
        }
        shared_fini(shared);
        mem_free(shared);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, fixture_setup, fixture_teardown)
        TEST(a_new_ledger_and_the_same_again),
        TEST(buckets_of_an_old_ledger_hold),
        TEST(databases_that_are_no_ledger),
        TEST(settings_that_forbid),
        TEST(keys_were_evicted),
        TEST(other_kinds_of_servers),
        TEST(a_name_is_resolved),
        TEST(every_durability),
        TEST(a_replica_in_step_at_last),
        TEST(replicas_are_asked),
        TEST(a_replica_out_of_reach),
        TEST(rights),
        TEST(the_library_is_loaded_and_replaced),
        TEST(several_at_once),
        TEST(a_server_that_loads),
        TEST(sentinels_name_a_dead_master),
        TEST(what_only_a_fake_says),
        TEST(out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

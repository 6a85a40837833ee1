/* What a server says of itself, judged: every refusal with its text, every durability, every warning. No server is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "store/redis/check.h"

static struct redis_options usual_options(void)
{
    return (struct redis_options){
        .pool_active = 100,
        .pool_idle_us = 300000000,
        .op_timeout_us = 2000000,
        .idempotency_ttl_us = 86400000000,
    };
}

enum { OUT_OF_STEP = 99 }; /* connected, and nothing acknowledged yet */

static struct check_facts usual_facts(void)
{
    return (struct check_facts){
        .version = "7.0.15",
        .policy = "noeviction",
        .role = CHECK_MASTER,
        .used_memory = 1000000,
        .max_memory = 100000000,
        .max_clients = 10000,
        .has_aof = 1,
        .has_config = true,
        .fsync = CHECK_FSYNC_ALWAYS,
        .busy_ms = 1000,
        .min_replicas = 1,
        .good_replicas = 1,
    };
}

static void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

/* ---- reading ---- */

static void test_info_is_read(void **state)
{
    struct check_facts f = {.version = "", .replicas = 7};
    const struct slice text =
        SLICE("# Server\r\nredis_version:7.2.4\r\nrun_id:abc\r\nredis_mode:standalone\r\n\r\n"
              "# Memory\r\nused_memory:12345\r\nmaxmemory:678\r\nmaxmemory_policy:allkeys-lru\r\n"
              "mem_not_counted_for_evict:45\r\n# Persistence\r\nloading:1\r\nasync_loading:1\r\n"
              "rdb_last_bgsave_status:err\r\naof_enabled:1\r\naof_last_bgrewrite_status:err\r\n"
              "aof_last_write_status:err\r\nevicted_keys:9\r\nmaxclients:77\r\nrole:slave\r\n"
              "slave0:ip=::1,port=1,state=online,offset=1,lag=0\r\n"
              "slave1:ip=::1,port=2,state=wait_bgsave,offset=0,lag=0\r\n"
              "slave_read_only:1\r\nslave12:ip=a,port=3,state=online,offset=1,lag=1\r\n"
              "slave13:ip=a,port=4,state=online,offset=0,lag=0\r\nslave14:,state=online,offset=\r\n"
              "cluster_enabled:1");

    (void)state;
    assert_int_equal(check_info(&f, text), ERR_OK);
    assert_string_equal(f.version, "7.2.4");
    assert_string_equal(f.run_id, "abc");
    assert_string_equal(f.policy, "allkeys-lru");
    assert_int_equal(f.used_memory, 12345);
    assert_int_equal(f.max_memory, 678);
    assert_int_equal(f.uncounted_memory, 45);
    assert_int_equal(f.is_loading, 1);
    assert_int_equal(f.is_async_loading, 1);
    assert_int_equal(f.has_aof, 1);
    assert_true(f.is_save_bad && f.is_aof_rewrite_bad && f.is_aof_write_bad);
    assert_int_equal(f.evicted_keys, 9);
    assert_int_equal(f.max_clients, 77);
    assert_int_equal(f.role, CHECK_REPLICA);
    assert_int_equal(f.replicas,
                     2); /* one that is still fed, or has acknowledged nothing yet, does not count */
    assert_int_equal(f.connected, 5);
    assert_int_equal(f.is_read_only, 1);
    assert_int_equal(f.replica_count, 4); /* the fifth says no address */
    assert_string_equal(f.replica_at[0].host, "::1");
    assert_int_equal(f.replica_at[0].port, 1);
    assert_string_equal(f.replica_at[3].host, "a");
    assert_int_equal(f.replica_at[3].port, 4);
    assert_int_equal(f.is_cluster, 1);
}

static void test_addresses_of_replicas(void **state)
{
    static const char *const bad[] = {
        "ip=,port=1,state=online",
        "ip=a,port=,state=online",
        "ip=a,port=0",
        "ip=a,port=65536",
        "port=1,ip=a",
        "ip=a",
        "ip=a,port=1x,s=o",
        "",
    };
    struct check_facts f = {.version = ""};
    char text[2048] = "redis_version:7.0.15\r\n";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char line[128];
        (void)snprintf(line, sizeof(line), "redis_version:7.0.15\r\nslave0:%s\r\n", bad[i]);
        assert_int_equal(check_info(&f, slice_of(line)), ERR_OK);
        if (f.replica_count != 0 || f.connected != 1) {
            fail_msg("%s", bad[i]);
        }
    }
    for (unsigned i = 0; i < CHECK_REPLICAS_MAX + 2; i++) {
        const size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "slave%u:ip=h%u,port=65535\r\n", i, i);
    }
    assert_int_equal(check_info(&f, slice_of(text)), ERR_OK);
    assert_int_equal(f.connected, CHECK_REPLICAS_MAX + 2);
    assert_int_equal(f.replica_count, CHECK_REPLICAS_MAX);
    assert_string_equal(f.replica_at[CHECK_REPLICAS_MAX - 1].host, "h7");
    assert_int_equal(f.replica_at[CHECK_REPLICAS_MAX - 1].port, 65535);
}

static void test_info_of_somebody_else(void **state)
{
    struct check_facts f = {.version = ""};

    (void)state;
    assert_int_equal(check_info(&f, SLICE("")), ERR_INVALID);
    assert_int_equal(check_info(&f, SLICE_NONE), ERR_INVALID);
    assert_int_equal(check_info(&f, SLICE("HTTP/1.1 400 Bad Request\r\n")), ERR_INVALID);
    assert_int_equal(check_info(&f, SLICE("used_memory:99999999999999999999\nmaxmemory:-1\nmaxclients:\n"
                                          "redis_version:123456789012345678901234567890123456789012"
                                          "34567890123456789012345678901234567890\n")),
                     ERR_OK);
    assert_int_equal(f.used_memory, 0);
    assert_int_equal(f.max_memory, 0);
    assert_int_equal(f.max_clients, 0);
    assert_int_equal(strlen(f.version), CHECK_WORD_BYTES_MAX - 1);
}

static void test_config_is_read(void **state)
{
    struct check_facts f = {.version = ""};

    (void)state;
    check_config(&f, SLICE("appendfsync"), SLICE("everysec"));
    assert_true(f.has_config);
    assert_int_equal(f.fsync, CHECK_FSYNC_EVERYSEC);
    check_config(&f, SLICE("appendfsync"), SLICE("no"));
    assert_int_equal(f.fsync, CHECK_FSYNC_NO);
    check_config(&f, SLICE("appendfsync"), SLICE("always"));
    assert_int_equal(f.fsync, CHECK_FSYNC_ALWAYS);
    check_config(&f, SLICE("no-appendfsync-on-rewrite"), SLICE("yes"));
    assert_true(f.is_fsync_off_on_rewrite);
    check_config(&f, SLICE("no-appendfsync-on-rewrite"), SLICE("no"));
    assert_false(f.is_fsync_off_on_rewrite);
    check_config(&f, SLICE("min-replicas-to-write"), SLICE("2"));
    check_config(&f, SLICE("busy-reply-threshold"), SLICE("5000"));
    check_config(&f, SLICE("timeout"), SLICE("300"));
    check_config(&f, SLICE("unheard-of"), SLICE("1"));
    assert_int_equal(f.min_replicas, 2);
    assert_int_equal(f.busy_ms, 5000);
    assert_int_equal(f.idle_timeout_s, 300);
}

/* ---- durability ---- */

static void test_durability_is_never_more_than_certain(void **state)
{
    static const struct {
        uint64_t has_aof;
        enum check_fsync fsync;
        bool is_off_on_rewrite, is_sentinel, is_synchronous;
        unsigned replicas;
        enum redis_durability is;
    } cases[] = {
        {0, CHECK_FSYNC_ALWAYS, false, false, false, 0, REDIS_MEMORY},
        {0, CHECK_FSYNC_ALWAYS, false, true, true, 2, REDIS_MEMORY},
        {1, CHECK_FSYNC_UNKNOWN, false, false, false, 0, REDIS_MEMORY},
        {1, CHECK_FSYNC_NO, false, false, true, 1, REDIS_MEMORY},
        {1, CHECK_FSYNC_EVERYSEC, false, false, false, 0, REDIS_AOF_EVERYSEC},
        {1, CHECK_FSYNC_EVERYSEC, false, true, true, 1, REDIS_AOF_EVERYSEC},
        {1, CHECK_FSYNC_ALWAYS, true, false, false, 0, REDIS_AOF_EVERYSEC},
        {1, CHECK_FSYNC_ALWAYS, false, false, false, 0, REDIS_FSYNC},
        {1, CHECK_FSYNC_ALWAYS, false, true, false, 0, REDIS_ASYNC_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, false, false, 1, REDIS_ASYNC_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, true, false, 2, REDIS_ASYNC_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, true, true, 0, REDIS_ASYNC_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, true, true, 1, REDIS_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, false, true, 1, REDIS_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, false, false, OUT_OF_STEP, REDIS_ASYNC_REPLICATED},
        {1, CHECK_FSYNC_ALWAYS, false, false, true, OUT_OF_STEP, REDIS_ASYNC_REPLICATED},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis_options o = usual_options();
        struct check_facts f = usual_facts();
        o.url.is_sentinel = cases[i].is_sentinel;
        o.is_synchronous = cases[i].is_synchronous;
        f.has_aof = cases[i].has_aof;
        f.fsync = cases[i].fsync;
        f.is_fsync_off_on_rewrite = cases[i].is_off_on_rewrite;
        f.connected = cases[i].replicas;
        f.replicas = cases[i].replicas == OUT_OF_STEP ? 0 : cases[i].replicas;
        if (check_durability(&f, &o) != cases[i].is) {
            fail_msg("case %u: %s", i, redis_durability_text(check_durability(&f, &o)));
        }
    }
}

/* What is required is had, or refused with the setting to change. */
static void test_required_durability(void **state)
{
    static const struct {
        uint64_t has_aof;
        enum check_fsync fsync;
        bool is_off_on_rewrite;
        unsigned replicas;
        enum redis_durability required;
        const char *part; /* NULL: good */
    } cases[] = {
        {0, CHECK_FSYNC_ALWAYS, false, 0, REDIS_MEMORY, NULL},
        {0, CHECK_FSYNC_ALWAYS, false, 0, REDIS_FSYNC, "\"appendonly yes\""},
        {1, CHECK_FSYNC_UNKNOWN, false, 0, REDIS_AOF_EVERYSEC, "+config|get"},
        {1, CHECK_FSYNC_NO, false, 0, REDIS_AOF_EVERYSEC, "\"appendfsync always\""},
        {1, CHECK_FSYNC_EVERYSEC, false, 0, REDIS_AOF_EVERYSEC, NULL},
        {1, CHECK_FSYNC_EVERYSEC, false, 0, REDIS_FSYNC, "\"appendfsync always\""},
        {1, CHECK_FSYNC_ALWAYS, true, 0, REDIS_FSYNC, "\"no-appendfsync-on-rewrite no\""},
        {1, CHECK_FSYNC_ALWAYS, false, 0, REDIS_FSYNC, NULL},
        {1, CHECK_FSYNC_ALWAYS, false, 1, REDIS_FSYNC, "--redis-sync"},
        {1, CHECK_FSYNC_ALWAYS, false, 1, REDIS_ASYNC_REPLICATED, NULL},
        {1, CHECK_FSYNC_ALWAYS, false, 0, REDIS_REPLICATED, "add replicas"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis_options o = usual_options();
        struct check_facts f = usual_facts();
        struct err_text why = {.text = ""};
        enum err e;
        o.has_required = true;
        o.required = cases[i].required;
        f.has_aof = cases[i].has_aof;
        f.fsync = cases[i].fsync;
        f.is_fsync_off_on_rewrite = cases[i].is_off_on_rewrite;
        f.connected = cases[i].replicas;
        f.replicas = cases[i].replicas == OUT_OF_STEP ? 0 : cases[i].replicas;
        e = check_start(&f, &o, &why);
        assert_int_equal(e, cases[i].part == NULL ? ERR_OK : ERR_INVALID);
        assert_int_equal(check_health(&f, &o, &why),
                         cases[i].part == NULL ? STORE_HEALTHY : STORE_STALLED);
        if (cases[i].part != NULL) {
            assert_has(why.text, cases[i].part);
            assert_has(why.text, redis_durability_text(cases[i].required));
        }
    }
}

static void test_required_with_sentinels_alone(void **state)
{
    struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct err_text why = {.text = ""};

    (void)state;
    o.url.is_sentinel = true;
    o.has_required = true;
    o.required = REDIS_FSYNC;
    assert_int_equal(check_start(&f, &o, &why), ERR_INVALID);
    assert_has(why.text, "no replica is connected");
    o.required = REDIS_AOF_EVERYSEC;
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    f.is_aof_write_bad = true;
    assert_int_equal(check_start(&f, &o, &why), ERR_INVALID);
    assert_has(why.text, "aof_last_write_status");
    o.has_required = false;
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
}

/* ---- refusals ---- */

static void refused(const struct check_facts *f, const struct redis_options *o, enum err e,
                    const char *part)
{
    struct err_text why = {.text = ""};

    assert_int_equal(check_start(f, o, &why), e);
    assert_has(why.text, part);
}

static void test_kinds_of_servers(void **state)
{
    const struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct err_text why;

    (void)state;
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    (void)snprintf(f.version, sizeof(f.version), "6.2.14");
    refused(&f, &o, ERR_INVALID, "7.0 or newer");
    (void)snprintf(f.version, sizeof(f.version), "unstable");
    refused(&f, &o, ERR_INVALID, "7.0 or newer");
    (void)snprintf(f.version, sizeof(f.version), "10.0.0");
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    (void)snprintf(f.version, sizeof(f.version), "8");
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    f.is_cluster = 1;
    refused(&f, &o, ERR_UNSUPPORTED, "cluster_enabled:1");
    f.is_cluster = 0;
    f.role = CHECK_REPLICA;
    refused(&f, &o, ERR_INVALID, "the server is a replica");
    f.role = CHECK_NO_ROLE;
    refused(&f, &o, ERR_INVALID, "redis+sentinel://");
    f.role = CHECK_MASTER;
    f.is_loading = 1;
    refused(&f, &o, ERR_INVALID, "still loading");
    f.is_loading = 0;
    f.is_async_loading = 1;
    refused(&f, &o, ERR_INVALID, "still loading");
}

static void test_eviction_is_refused_always(void **state)
{
    struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct err_text why;

    (void)state;
    (void)snprintf(f.policy, sizeof(f.policy), "volatile-lru");
    refused(&f, &o, ERR_INVALID, "set \"maxmemory-policy noeviction\"");
    refused(&f, &o, ERR_INVALID, "volatile-lru");
    assert_int_equal(check_health(&f, &o, &why), STORE_FAILED);
    o.has_required = true;
    o.required = REDIS_MEMORY;
    refused(&f, &o, ERR_INVALID, "noeviction");
    f.policy[0] = '\0';
    refused(&f, &o, ERR_INVALID, "unknown");
    (void)snprintf(f.policy, sizeof(f.policy), "noeviction");
    f.evicted_keys = 1;
    refused(&f, &o, ERR_INVALID, "1 keys have been evicted");
    assert_int_equal(check_health(&f, &o, &why), STORE_FAILED);
}

static void test_synchronous_needs_a_replica(void **state)
{
    struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct err_text why;

    (void)state;
    o.is_synchronous = true;
    refused(&f, &o, ERR_INVALID, "no replica is connected");
    assert_int_equal(check_health(&f, &o, &why), STORE_STALLED);
    f.replicas = 1;
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    assert_int_equal(check_health(&f, &o, &why), STORE_HEALTHY);
}

static void test_budget(void **state)
{
    struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct err_text why;

    (void)state;
    assert_int_equal(check_budget(&o), 0);
    o.keys_a_second = 1000; /* 1000 x 86400 x 220 = 19 GB */
    assert_int_equal(check_budget(&o), 19008000000);
    refused(&f, &o, ERR_INVALID, "19008000000 bytes");
    refused(&f, &o, ERR_INVALID, "raise maxmemory");
    f.max_memory = 19008000000;
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    f.max_memory = 0; /* no limit: nothing to be above */
    assert_int_equal(check_start(&f, &o, &why), ERR_OK);
    o.keys_a_second = UINT64_MAX / 100;
    assert_int_equal(check_budget(&o), UINT64_MAX);
    o.idempotency_ttl_us = 1000000;
    assert_int_equal(check_budget(&o), UINT64_MAX);
}

static void test_no_room(void **state)
{
    const struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct err_text why;

    (void)state;
    f.used_memory = f.max_memory;
    assert_int_equal(check_health(&f, &o, &why), STORE_DISK_FULL);
    assert_has(why.text, "maxmemory");
    f.uncounted_memory = 1000000; /* buffers of replicas and the file do not count */
    assert_int_equal(check_health(&f, &o, &why), STORE_HEALTHY);
    f.uncounted_memory = UINT64_MAX;
    assert_int_equal(check_health(&f, &o, &why), STORE_DISK_FULL);
    f.max_memory = 0;
    assert_int_equal(check_health(&f, &o, &why), STORE_HEALTHY);
    f.is_aof_write_bad = true;
    assert_int_equal(check_health(&f, &o, &why), STORE_DISK_FULL);
    assert_has(why.text, "append-only file");
    f.is_aof_write_bad = false;
    f.is_save_bad = f.has_saves = true;
    assert_int_equal(check_health(&f, &o, &why), STORE_HEALTHY);
    f.is_stopped_by_save = true;
    assert_int_equal(check_health(&f, &o, &why), STORE_DISK_FULL);
    assert_has(why.text, "stop-writes-on-bgsave-error");
    f.has_saves = false;
    assert_int_equal(check_health(&f, &o, &why), STORE_HEALTHY);
    f.good_replicas = 0;
    assert_int_equal(check_health(&f, &o, &why), STORE_STALLED);
    assert_has(why.text, "min-replicas-to-write");
}

/* ---- warnings ---- */

static bool warns(const struct check_facts *f, const struct redis_options *o, const char *host,
                  int64_t offset_us, const char *setting)
{
    struct check_warnings w;

    check_warn(f, o, host, offset_us, &w);
    for (unsigned i = 0; i < w.count; i++) {
        if (strcmp(w.items[i].setting, setting) == 0) {
            assert_true(w.items[i].text[0] != '\0');
            return true;
        }
    }
    return false;
}

static void test_no_warning_where_all_is_well(void **state)
{
    struct redis_options o = usual_options();
    const struct check_facts f = usual_facts();
    struct check_warnings w;

    (void)state;
    check_warn(&f, &o, "127.0.0.1", CHECK_CLOCK_WARN_US, &w);
    assert_int_equal(w.count, 0);
    o.url.is_tls = true;
    (void)snprintf(o.url.password, sizeof(o.url.password), "CANARY");
    check_warn(&f, &o, "10.0.0.1", -CHECK_CLOCK_WARN_US, &w);
    assert_int_equal(w.count, 0);
}

static void test_each_warning(void **state)
{
    struct redis_options o = usual_options();
    struct check_facts f = usual_facts();

    (void)state;
    assert_true(warns(&f, &o, "::1", CHECK_CLOCK_WARN_US + 1, "clock"));
    assert_true(warns(&f, &o, "::1", -CHECK_CLOCK_WARN_US - 1, "clock"));
    assert_true(warns(&f, &o, "10.0.0.1", 0, "password"));
    assert_true(warns(&f, &o, "10.0.0.1", 0, "tls"));
    f.max_memory = 0;
    assert_true(warns(&f, &o, "::1", 0, "maxmemory"));
    f.max_clients = 131;
    assert_true(warns(&f, &o, "::1", 0, "maxclients"));
    f.max_clients = 132;
    assert_false(warns(&f, &o, "::1", 0, "maxclients"));
    f.busy_ms = 5000;
    assert_true(warns(&f, &o, "::1", 0, "busy-reply-threshold"));
    f.idle_timeout_s = 300;
    assert_true(warns(&f, &o, "::1", 0, "timeout"));
    f.idle_timeout_s = 301;
    assert_false(warns(&f, &o, "::1", 0, "timeout"));
    f.is_aof_write_bad = f.is_aof_rewrite_bad = f.is_save_bad = f.is_fsync_off_on_rewrite = true;
    assert_true(warns(&f, &o, "::1", 0, "aof_last_write_status"));
    assert_true(warns(&f, &o, "::1", 0, "aof_last_bgrewrite_status"));
    assert_true(warns(&f, &o, "::1", 0, "rdb_last_bgsave_status"));
    assert_true(warns(&f, &o, "::1", 0, "no-appendfsync-on-rewrite"));
    f.fsync = CHECK_FSYNC_NO;
    assert_true(warns(&f, &o, "::1", 0, "appendfsync"));
    o.url.is_sentinel = true;
    f.min_replicas = 0;
    assert_true(warns(&f, &o, "::1", 0, "min-replicas-to-write"));
    assert_true(warns(&f, &o, "::1", 0, "replicas"));
    f.has_aof = 0;
    assert_true(warns(&f, &o, "::1", 0, "appendonly"));
    f.has_config = false;
    assert_true(warns(&f, &o, "::1", 0, "config"));
}

/* All that can be warned of at once fits. */
static void test_most_warnings(void **state)
{
    struct redis_options o = usual_options();
    struct check_facts f = usual_facts();
    struct check_warnings w;

    (void)state;
    o.url.is_sentinel = true;
    f.is_aof_write_bad = f.is_aof_rewrite_bad = f.is_save_bad = f.is_fsync_off_on_rewrite = true;
    f.fsync = CHECK_FSYNC_NO;
    f.max_memory = f.min_replicas = 0;
    f.max_clients = 1;
    f.busy_ms = 5000;
    f.idle_timeout_s = 1;
    check_warn(&f, &o, "10.0.0.1", INT64_MAX, &w);
    assert_int_equal(w.count, 14);
}

static void test_loopback(void **state)
{
    (void)state;
    assert_true(check_is_loopback("127.0.0.1") && check_is_loopback("127.9.9.9"));
    assert_true(check_is_loopback("::1") && check_is_loopback("localhost"));
    assert_true(check_is_loopback("::ffff:127.0.0.1"));
    assert_false(check_is_loopback("1.127.0.0") || check_is_loopback("::2"));
    assert_false(check_is_loopback("") || check_is_loopback("12.7.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_is_read),
        cmocka_unit_test(test_addresses_of_replicas),
        cmocka_unit_test(test_info_of_somebody_else),
        cmocka_unit_test(test_config_is_read),
        cmocka_unit_test(test_durability_is_never_more_than_certain),
        cmocka_unit_test(test_required_durability),
        cmocka_unit_test(test_required_with_sentinels_alone),
        cmocka_unit_test(test_kinds_of_servers),
        cmocka_unit_test(test_eviction_is_refused_always),
        cmocka_unit_test(test_synchronous_needs_a_replica),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_no_warning_where_all_is_well),
        cmocka_unit_test(test_each_warning),
        cmocka_unit_test(test_most_warnings),
        cmocka_unit_test(test_loopback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

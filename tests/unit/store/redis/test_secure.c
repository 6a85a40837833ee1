/* TLS and rights, against real servers: who is let in, who is not, and what the refused one is told. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <uv.h>

#include "base/clock.h"
#include "log/log.h"
#include "store/redis/library.h"
#include "store/redis/mend.h"
#include "store/redis/redis.h"
#include "store/redis/shared.h"
#include "store/redis/sync.h"
#include "store/redis/wire.h"
#include "support/certs.h"
#include "support/redis_server.h"
#include "tls/tls.h"

/* As docs/operations.md has it: what the service needs, and nothing more. */
#define RUN_RIGHTS \
    "resetchannels ~w:* -@all +fcall +fcall_ro " \
    "+del +exists +get +set +pexpire +pttl +hdel +hget +hgetall +hmget +hset +hsetnx +llen +rpush +xadd +xrevrange " \
    "+lindex +lrange +xrange +scan " \
    "+time +ping +info +role +wait +config|get +client|no-evict +acl|dryrun"
#define DEPLOY_RIGHTS RUN_RIGHTS " +function|load"

enum { OPEN_MS = 1000 };

static struct certs certs;

/* ---- small helpers ---- */

static void assert_says(const char *text, const char *piece)
{
    if (strstr(text, piece) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", text, piece);
    }
}

static void start_tls(struct redis_server *s, const char *cert, const char *key,
                      const char *clients, const char *more)
{
    char words[REDIS_SERVER_WORDS_MAX];

    (void)snprintf(words, sizeof words,
                   "--tls-cert-file %s --tls-key-file %s --tls-ca-cert-file %s "
                   "--tls-auth-clients %s %s",
                   cert, key, certs.ca, clients, more);
    redis_server_start(s, words);
}

static struct tls_context *context(const char *ca, const char *cert, const char *key)
{
    struct tls_options options = {.ca_file = ca, .cert_file = cert, .key_file = key};
    struct tls_context *c = NULL;
    struct err_text why = {""};

    if (tls_context_new(&options, &c, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

static struct redis_url url_of(const struct redis_server *s, bool is_tls, const char *host,
                               const char *user, const char *password)
{
    struct redis_url url = {.is_tls = is_tls, .address_count = 1};

    (void)snprintf(url.addresses[0].host, sizeof url.addresses[0].host, "%s", host);
    url.addresses[0].port = s->port;
    (void)snprintf(url.user, sizeof url.user, "%s", user);
    (void)snprintf(url.password, sizeof url.password, "%s", password);
    return url;
}

static enum err try_open(const struct redis_url *url, struct tls_context *tls, struct sync **out,
                         struct err_text *why)
{
    *why = (struct err_text){""};
    *out = NULL;
    return sync_open(url, &url->addresses[0], tls, "test", OPEN_MS, out, why);
}

static struct sync *must_open(const struct redis_url *url, struct tls_context *tls)
{
    struct err_text why;
    struct sync *s;

    if (try_open(url, tls, &s, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return s;
}

static void must_not_open(const struct redis_url *url, struct tls_context *tls, enum err e,
                          const char *piece)
{
    struct err_text why;
    struct sync *s;

    assert_int_equal(try_open(url, tls, &s, &why), e);
    assert_null(s);
    assert_says(why.text, piece);
    assert_null(strstr(why.text, "sesame")); /* every password here */
}

static void assert_error(struct sync *s, const char *words, const char *piece)
{
    redisReply *reply = NULL;

    assert_int_equal(sync_say(s, &reply, words), ERR_OK);
    if (reply->type != REDIS_REPLY_ERROR) {
        fail_msg("\"%s\" was allowed", words);
    }
    assert_says(reply->str, piece);
    sync_free(reply);
}

static void assert_answered(struct sync *s, const char *words)
{
    redisReply *reply = NULL;

    assert_int_equal(sync_say(s, &reply, words), ERR_OK);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("\"%s\": %s", words, reply->str);
    }
    sync_free(reply);
}

/* ---- a lane for one call ---- */

struct one_call {
    struct wire_call call; /* first */
    enum wire_fate fate;
    bool is_done, is_hash;
};

static void on_done(struct wire_call *call, enum wire_fate fate, const struct redisReply *reply)
{
    struct one_call *one = (struct one_call *)call;

    one->fate = fate;
    one->is_done = true;
    one->is_hash = reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == 64;
}

/* What becomes of one call over a lane, and what the log says meanwhile. */
static struct one_call lane_try(const struct redis_url *url, struct tls_context *tls, char *logged,
                                size_t logged_max)
{
    static const char bytes[] = "*3\r\n$8\r\nFCALL_RO\r\n$16\r\n" LIBRARY_NAME "_hash\r\n$1\r\n0\r\n";
    struct redis_options options = {.url = *url,
                                    .loops = 1,
                                    .pool_active = 4,
                                    .pool_idle = 4,
                                    .depth = 4,
                                    .pool_idle_us = 1000000,
                                    .op_timeout_us = 1000000,
                                    .inbox_max = 16};
    struct one_call one = {.call = {.command = WIRE_READ, .done = on_done}};
    static struct redis_shared shared;
    struct lane *lane = NULL;
    uv_loop_t loop;
    int ends[2];
    ssize_t got;

    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    log_configure(LOG_INFO, LOG_LOGFMT, ends[1]);
    assert_int_equal(shared_init(&shared, &options), ERR_OK);
    shared.tls = tls;
    (void)snprintf(shared.target.host, sizeof shared.target.host, "127.0.0.1");
    shared.target.port = url->addresses[0].port;
    (void)snprintf(shared.target_name, sizeof shared.target_name, "%s", url->addresses[0].host);
    atomic_store(&shared.generation, 1);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(lane_new(&shared, &loop, 4, 4, &lane), ERR_OK);
    one.call.bytes = slice_make(bytes, sizeof bytes - 1);
    one.call.deadline_mono_us = clock_mono_us() + 700000;
    lane_send(lane, &one.call);
    lane_flush(lane);
    for (int i = 0; i < 100000 && !one.is_done; i++) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    lane_close(lane);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    shared_fini(&shared);
    log_configure(LOG_INFO, LOG_LOGFMT, 2);
    got = read(ends[0], logged, logged_max - 1);
    logged[got < 0 ? 0 : got] = '\0';
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_true(one.is_done);
    assert_null(strstr(logged, "sesame"));
    return one;
}

static void lane_must(const struct redis_url *url, struct tls_context *tls)
{
    char logged[8192];
    struct one_call one = lane_try(url, tls, logged, sizeof logged);

    assert_int_equal(one.fate, WIRE_ANSWERED);
    assert_true(one.is_hash);
}

static void lane_must_not(const struct redis_url *url, struct tls_context *tls, const char *piece)
{
    char logged[8192];
    struct one_call one = lane_try(url, tls, logged, sizeof logged);

    assert_int_equal(one.fate, WIRE_NOT_SENT); /* surely: nobody's command reaches a stranger */
    assert_says(logged, piece);
}

static void load(const struct redis_url *url, struct tls_context *tls)
{
    struct slice words[] = {SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"), library_source()};
    struct sync *s = must_open(url, tls);
    redisReply *reply = NULL;

    assert_int_equal(sync_call(s, 4, words, &reply), ERR_OK);
    assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
    sync_free(reply);
    sync_close(s);
}

/* The whole store, as the service opens it. */
static enum err store_try(const struct redis_url *url, const char *ca, bool may_load,
                          struct err_text *why)
{
    struct redis_options options = {.url = *url,
                                    .tls.ca = ca,
                                    .loops = 1,
                                    .pool_active = 4,
                                    .pool_idle = 4,
                                    .depth = 4,
                                    .pool_idle_us = 1000000,
                                    .op_timeout_us = 1000000,
                                    .inbox_max = 16,
                                    .idempotency_ttl_us = 3600 * INT64_C(1000000),
                                    .wait_timeout_us = 500000,
                                    .may_load = may_load,
                                    .buckets = 16};
    struct store *store = NULL;
    int ends[2];
    enum err e;

    *why = (struct err_text){""};
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    log_configure(LOG_INFO, LOG_LOGFMT, ends[1]);
    e = redis_open(&options, &store, why);
    if (e == ERR_OK) {
        store_close(store);
    } else {
        assert_null(store);
    }
    log_configure(LOG_INFO, LOG_LOGFMT, 2);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_null(strstr(why->text, "sesame"));
    return e;
}

/* ---- TLS ---- */

static void tls_lets_in(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    struct tls_context *tls = context(certs.ca, NULL, NULL);
    struct redis_server server;
    struct redis_url url;
    struct err_text why;
    struct sync *s;

    (void)state;
    start_tls(&server, certs.server, certs.server_key, "no", "");
    for (size_t i = 0; i < 2; i++) {
        url = url_of(&server, true, hosts[i], "", "");
        s = must_open(&url, tls);
        assert_answered(s, "SET other 1");
        sync_close(s);
        load(&url, tls);
        lane_must(&url, tls);
        assert_int_equal(store_try(&url, certs.ca, true, &why), ERR_OK);
    }
    tls_context_free(tls);
    redis_server_stop(&server);
}

/* An answer of many records, and a question of many. */
static void tls_carries_much(void **state)
{
    struct tls_context *tls = context(certs.ca, NULL, NULL);
    struct redis_server server;
    struct redis_url url;
    struct slice words[] = {SLICE("SET"), SLICE("w:x"), SLICE_NONE};
    struct sync *s;
    redisReply *reply = NULL;
    static char much[3000000];

    (void)state;
    for (size_t i = 0; i < sizeof much; i++) {
        much[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    }
    words[2] = slice_make(much, sizeof much);
    start_tls(&server, certs.server, certs.server_key, "no", "");
    url = url_of(&server, true, "127.0.0.1", "", "");
    s = must_open(&url, tls);
    assert_int_equal(sync_call(s, 3, words, &reply), ERR_OK);
    sync_free(reply);
    assert_int_equal(sync_say(s, &reply, "GET w:x"), ERR_OK);
    assert_int_equal(reply->len, sizeof much);
    assert_memory_equal(reply->str, much, sizeof much);
    sync_free(reply);
    sync_close(s);
    tls_context_free(tls);
    redis_server_stop(&server);
}

static void tls_keeps_out(void **state)
{
    struct tls_context *tls = context(certs.ca, NULL, NULL);
    struct tls_context *other = context(certs.other_ca, NULL, NULL);
    struct redis_server server, apart, plain;
    struct redis_url url;
    struct err_text why;

    (void)state;
    /* a root that did not sign it */
    start_tls(&server, certs.server, certs.server_key, "no", "--requirepass sesame");
    url = url_of(&server, true, "127.0.0.1", "", "sesame");
    must_not_open(&url, other, ERR_IO, "certificate");
    lane_must_not(&url, other, "certificate");
    assert_int_equal(store_try(&url, certs.other_ca, true, &why), ERR_IO);
    assert_says(why.text, "certificate");
    assert_int_equal(store_try(&url, "/nowhere/ca.pem", true, &why), ERR_INVALID);
    assert_says(why.text, "/nowhere/ca.pem");
    /* without TLS at a TLS port */
    url.is_tls = false;
    must_not_open(&url, NULL, ERR_IO, "");
    redis_server_stop(&server);

    /* a good certificate, of another host */
    start_tls(&apart, certs.client, certs.client_key, "no", "--requirepass sesame");
    url = url_of(&apart, true, "127.0.0.1", "", "sesame");
    must_not_open(&url, tls, ERR_IO, "IP address mismatch");
    lane_must_not(&url, tls, "IP address mismatch");
    url = url_of(&apart, true, "localhost", "", "sesame");
    must_not_open(&url, tls, ERR_IO, "hostname mismatch");
    lane_must_not(&url, tls, "hostname mismatch");
    redis_server_stop(&apart);

    /* one that has run out */
    start_tls(&apart, certs.expired, certs.expired_key, "no", "");
    url = url_of(&apart, true, "127.0.0.1", "", "");
    must_not_open(&url, tls, ERR_IO, "expired");
    redis_server_stop(&apart);

    /* TLS at a plain port */
    redis_server_start(&plain, "");
    url = url_of(&plain, true, "127.0.0.1", "", "");
    must_not_open(&url, tls, ERR_TIMEOUT, "TLS: "); /* it waits for the end of a line */
    redis_server_stop(&plain);
    tls_context_free(tls);
    tls_context_free(other);
}

static void client_certificates(void **state)
{
    struct tls_context *none = context(certs.ca, NULL, NULL);
    struct tls_context *good = context(certs.ca, certs.client, certs.client_key);
    struct tls_context *strange = context(certs.ca, certs.stranger, certs.stranger_key);
    struct redis_server server;
    struct redis_url url;

    (void)state;
    start_tls(&server, certs.server, certs.server_key, "yes", "");
    url = url_of(&server, true, "127.0.0.1", "", "");
    load(&url, good);
    lane_must(&url, good);
    must_not_open(&url, none, ERR_IO, "TLS: "); /* the alert, if it came before the end did */
    lane_must_not(&url, none, "certificate required");
    must_not_open(&url, strange, ERR_IO, "TLS: ");
    lane_must_not(&url, strange, "alert");
    redis_server_stop(&server);
    tls_context_free(none);
    tls_context_free(good);
    tls_context_free(strange);
}

/* ---- users and rights ---- */

static void passwords(void **state)
{
    struct redis_server server;
    struct redis_url url;
    struct err_text why;

    (void)state;
    redis_server_start(&server, "");
    redis_server_say(&server, "ACL SETUSER mywallet on >open-sesame " DEPLOY_RIGHTS);
    redis_server_say(&server, "ACL SETUSER default >sesame");
    url = url_of(&server, false, "127.0.0.1", "mywallet", "open-sesame");
    load(&url, NULL);
    lane_must(&url, NULL);
    url = url_of(&server, false, "127.0.0.1", "", "sesame"); /* no user: the default one */
    lane_must(&url, NULL);
    url = url_of(&server, false, "127.0.0.1", "mywallet", "sesame");
    must_not_open(&url, NULL, ERR_INVALID, "WRONGPASS");
    assert_int_equal(store_try(&url, NULL, true, &why), ERR_INVALID);
    assert_says(why.text, "WRONGPASS");
    lane_must_not(&url, NULL, ""); /* control looks, and says why */
    url = url_of(&server, false, "127.0.0.1", "nobody", "sesame");
    must_not_open(&url, NULL, ERR_INVALID, "WRONGPASS");
    url = url_of(&server, false, "127.0.0.1", "", "");
    must_not_open(&url, NULL, ERR_INVALID, "NOAUTH");
    lane_must_not(&url, NULL, "");
    redis_server_stop(&server);

    redis_server_start(&server, "");
    redis_server_say(&server, "ACL SETUSER mywallet on >open-sesame " DEPLOY_RIGHTS);
    redis_server_say(&server, "ACL SETUSER mywallet off");
    url = url_of(&server, false, "127.0.0.1", "mywallet", "open-sesame");
    must_not_open(&url, NULL, ERR_INVALID, "WRONGPASS");
    redis_server_say(&server, "ACL SETUSER free on nopass " DEPLOY_RIGHTS);
    redis_server_say(&server, "ACL SETUSER default >sesame");
    url = url_of(&server, false, "127.0.0.1", "free", ""); /* a user of his own, without a password */
    load(&url, NULL);
    lane_must(&url, NULL);
    redis_server_stop(&server);
}

/* All that start-up asks, by a user who may do just that. */
static void start_up(const struct redis_url *url, bool may_load)
{
    struct sync *s = must_open(url, NULL);
    struct err_text why = {""};
    struct check_facts facts;
    struct look_marks marks;
    uint64_t trip_us;
    int64_t offset_us;
    bool is_loaded;

    if (mend_library(s, may_load, MEND_SAME, &is_loaded, &why) != ERR_OK ||
        mend_selftest(s, &why) != ERR_OK || mend_marks(s, 16, &marks, &why) != ERR_OK ||
        look_facts(s, &facts, &offset_us, &trip_us, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    assert_true(facts.has_config);
    assert_answered(s, "WAIT 0 1");
    assert_answered(s, "ROLE");
    assert_answered(s, "PING");
    assert_answered(s, "CLIENT NO-EVICT on");
    sync_close(s);
}

static void rights(void **state)
{
    static const char *const forbidden[] = {"EVAL return(1) 0",
                                            "KEYS *",
                                            "FLUSHALL",
                                            "CONFIG SET maxmemory 1",
                                            "FUNCTION DELETE x",
                                            "FUNCTION FLUSH",
                                            "SCRIPT LOAD x",
                                            "DEBUG JMAP",
                                            "RESTORE w:x 0 x",
                                            "MIGRATE h 1 k 0 1",
                                            "REPLICAOF no one",
                                            "SHUTDOWN",
                                            "ACL WHOAMI",
                                            "MONITOR",
                                            "CLIENT KILL TYPE normal",
                                            "SUBSCRIBE x",
                                            "HINCRBYFLOAT w:x b 1.5",
                                            "RENAME w:x w:y"};
    struct redis_server server;
    struct redis_url run, deploy;
    struct err_text why = {""};
    struct sync *s;
    bool is_loaded;

    (void)state;
    redis_server_start(&server, "");
    redis_server_say(&server, "ACL SETUSER run on >run-sesame " RUN_RIGHTS);
    redis_server_say(&server, "ACL SETUSER deploy on >deploy-sesame " DEPLOY_RIGHTS);
    run = url_of(&server, false, "127.0.0.1", "run", "run-sesame");
    deploy = url_of(&server, false, "127.0.0.1", "deploy", "deploy-sesame");

    /* who may not load it says so and names the right that lacks */
    s = must_open(&run, NULL);
    assert_int_equal(mend_library(s, true, MEND_SAME, &is_loaded, &why), ERR_INVALID);
    assert_says(why.text, "FUNCTION LOAD");
    assert_error(s, "FUNCTION LOAD REPLACE x", "NOPERM");
    sync_close(s);

    assert_int_equal(store_try(&run, NULL, true, &why), ERR_INVALID);
    assert_says(why.text, "FUNCTION LOAD");
    start_up(&deploy, true);
    start_up(&run, false);
    lane_must(&run, NULL);
    assert_int_equal(store_try(&run, NULL, false, &why), ERR_OK);
    s = must_open(&run, NULL);
    for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++) {
        assert_error(s, forbidden[i], "NOPERM");
    }
    assert_error(s, "GET other", "NOPERM"); /* another's keys */
    assert_error(s, "SET other 1", "NOPERM");
    sync_close(s);
    redis_server_stop(&server);
}

/* No right of the functions may be left out: each that is taken away is found before the first posting. */
static void each_right_is_needed(void **state)
{
    static const char *const inner[] = {"del",  "exists",    "get",  "set",    "pexpire", "pttl",
                                        "hdel", "hmget",     "hset", "llen",   "rpush",   "time",
                                        "xadd", "xrevrange", "hget", "lindex", "lrange",  "xrange",
                                        "role", "ping",      "wait"};
    struct redis_server server;
    struct redis_url url;
    struct err_text why;
    struct sync *s;
    char words[96];

    (void)state;
    redis_server_start(&server, "");
    redis_server_say(&server, "ACL SETUSER run on >run-sesame " DEPLOY_RIGHTS);
    url = url_of(&server, false, "127.0.0.1", "run", "run-sesame");
    load(&url, NULL);
    s = must_open(&url, NULL);
    assert_int_equal(mend_selftest(s, &why), ERR_OK);
    for (size_t i = 0; i < sizeof inner / sizeof inner[0]; i++) {
        (void)snprintf(words, sizeof words, "ACL SETUSER run -%s", inner[i]);
        redis_server_say(&server, words);
        why = (struct err_text){""};
        if (mend_selftest(s, &why) != ERR_INVALID) {
            fail_msg("the self-test does not miss %s", inner[i]);
        }
        for (char *c = words; *c != '\0'; c++) {
            *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        }
        assert_says(why.text, strrchr(words, '-') + 1);
        (void)snprintf(words, sizeof words, "ACL SETUSER run +%s", inner[i]);
        redis_server_say(&server, words);
    }
    assert_int_equal(mend_selftest(s, &why), ERR_OK);
    sync_close(s);
    redis_server_stop(&server);
}

/*
 * Redis replays its append-only file as the user default, and what that one may not do in a transaction it leaves out: a
 * ledger would come back without what was answered. Such a server is not served.
 */
static void default_must_be_able_to_replay(void **state)
{
    static const char *const needed[] = {"del",   "hdel", "hset", "pexpireat",
                                         "rpush", "set",  "xadd"};
    struct redis_server server;
    struct redis_url url;
    struct err_text why;
    char words[96];

    (void)state;
    redis_server_start(&server, "--appendonly yes");
    redis_server_say(&server, "ACL SETUSER run on >run-sesame " DEPLOY_RIGHTS);
    url = url_of(&server, false, "127.0.0.1", "run", "run-sesame");
    assert_int_equal(store_try(&url, NULL, true, &why), ERR_OK);
    /* the tests' own way in is the user default, who may change himself */
    redis_server_say(&server, "ACL SETUSER default resetkeys ~w:* resetchannels -@all +acl "
                              "+del +hdel +hset +pexpireat +rpush +set +xadd");
    assert_int_equal(store_try(&url, NULL, true, &why), ERR_OK);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        (void)snprintf(words, sizeof words, "ACL SETUSER default -%s", needed[i]);
        redis_server_say(&server, words);
        assert_int_equal(store_try(&url, NULL, true, &why), ERR_INVALID);
        assert_says(why.text, needed[i]);
        assert_says(why.text, "append-only");
        (void)snprintf(words, sizeof words, "ACL SETUSER default +%s", needed[i]);
        redis_server_say(&server, words);
    }
    redis_server_say(&server, "ACL SETUSER default resetkeys ~other:*");
    assert_int_equal(store_try(&url, NULL, true, &why), ERR_INVALID);
    /* nobody to ask: that is a warning, and no reason not to serve */
    redis_server_say(&server, "ACL SETUSER run -acl|dryrun");
    assert_int_equal(store_try(&url, NULL, true, &why), ERR_OK);
    redis_server_stop(&server);

    redis_server_start(&server, ""); /* no file, nothing to replay */
    redis_server_say(&server, "ACL SETUSER run on >run-sesame " DEPLOY_RIGHTS);
    redis_server_say(&server, "ACL SETUSER default -@all +acl");
    url = url_of(&server, false, "127.0.0.1", "run", "run-sesame");
    assert_int_equal(store_try(&url, NULL, true, &why), ERR_OK);
    redis_server_stop(&server);
}

static int make(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_lets_in),
        cmocka_unit_test(tls_carries_much),
        cmocka_unit_test(tls_keeps_out),
        cmocka_unit_test(client_certificates),
        cmocka_unit_test(passwords),
        cmocka_unit_test(rights),
        cmocka_unit_test(each_right_is_needed),
        cmocka_unit_test(default_must_be_able_to_replay),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}

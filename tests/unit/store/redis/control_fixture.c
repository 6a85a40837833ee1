#include "unit/store/redis/control_fixture.h"

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
#include "log/log.h"
#include "store/redis/library.h"

struct redis_options fixture_options(const struct redis_server *s)
{
    struct redis_options o = {
        .url.address_count = 1,
        .pool_active = 100,
        .pool_idle_us = 300000000,
        .op_timeout_us = 500000,
        .idempotency_ttl_us = 86400000000,
        .may_load = true,
    };

    (void)snprintf(o.url.addresses[0].host, sizeof(o.url.addresses[0].host), "127.0.0.1");
    o.url.addresses[0].port = s->port;
    if (s->is_sentinel) {
        o.url.is_sentinel = true;
        (void)snprintf(o.url.master_name, sizeof(o.url.master_name), "money");
    }
    return o;
}

int fixture_setup(void **state)
{
    static struct control_fixture f;
    int fd;

    memset(&f, 0, sizeof(f));
    (void)snprintf(f.log, sizeof(f.log), "/tmp/mywallet-test-control-XXXXXX");
    fd = mkstemp(f.log);
    assert_true(fd >= 0);
    log_configure(LOG_INFO, LOG_LOGFMT, fd);
    *state = &f;
    return 0;
}

const char *fixture_log(const struct control_fixture *f)
{
    static char text[FIXTURE_LOG_BYTES_MAX];
    int fd = open(f->log, O_RDONLY | O_CLOEXEC);
    ssize_t got = read(fd, text, sizeof(text) - 1);

    (void)close(fd);
    text[got < 0 ? 0 : got] = '\0';
    return text;
}

void fixture_stop(struct control_fixture *f)
{
    control_stop(f->control);
    f->control = NULL;
    if (f->shared != NULL) {
        assert_null(f->shared->control_wake);
        shared_fini(f->shared);
        mem_free(f->shared);
        f->shared = NULL;
    }
}

int fixture_teardown(void **state)
{
    struct control_fixture *f = *state;

    fixture_stop(f);
    redis_server_stop(&f->sentinel);
    redis_server_stop(&f->replica);
    redis_server_stop(&f->server);
    if (strstr(fixture_log(f), "CANARY") != NULL) {
        fail_msg("a password is in the log");
    }
    (void)unlink(f->log);
    return 0;
}

enum err fixture_start(struct control_fixture *f)
{
    enum err e;

    fixture_stop(f);
    f->why.text[0] = '\0';
    f->shared = mem_alloc(sizeof(*f->shared));
    assert_non_null(f->shared);
    assert_int_equal(shared_init(f->shared, &f->options), ERR_OK);
    e = control_start(f->shared, &f->control, &f->why);
    if (e != ERR_OK) {
        assert_null(f->control);
        assert_true(f->why.text[0] != '\0');
    }
    return e;
}

void fixture_started(struct control_fixture *f)
{
    const enum err e = fixture_start(f);

    if (e != ERR_OK) {
        fail_msg("%s: %s", err_name(e), f->why.text);
    }
}

void fixture_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text);
    }
}

void fixture_refused(struct control_fixture *f, enum err is, const char *part)
{
    const enum err e = fixture_start(f);

    if (e != is) {
        fail_msg("%s, not %s: %s", err_name(e), err_name(is), f->why.text);
    }
    fixture_has(f->why.text, part);
}

void fixture_rest(void)
{
    (void)poll(NULL, 0, 5);
}

/* As lanes do: ask, again and again. */
void fixture_wait_health(const struct control_fixture *f, enum store_health is)
{
    const uint64_t until_us = clock_mono_us() + FIXTURE_WAIT_US;

    while (atomic_load(&f->shared->health) != (int)is) {
        if (clock_mono_us() > until_us) {
            fail_msg("health %d, not %d; log: %s", atomic_load(&f->shared->health), is,
                     fixture_log(f));
        }
        shared_ask_look(f->shared);
        fixture_rest();
    }
}

enum redis_durability fixture_durability(const struct control_fixture *f)
{
    return (enum redis_durability)atomic_load(&f->shared->durability);
}

void fixture_wait_durability(const struct control_fixture *f, enum redis_durability is)
{
    const uint64_t until_us = clock_mono_us() + FIXTURE_WAIT_US;

    while (fixture_durability(f) != is) {
        assert_true(clock_mono_us() < until_us);
        shared_ask_look(f->shared);
        fixture_rest();
    }
}

void fixture_epoch(const struct redis_server *s, char out[17])
{
    struct redisReply *r = redis_server_ask(s, "HGET w:meta epoch");

    assert_int_equal(r->type, REDIS_REPLY_STRING);
    assert_int_equal(r->len, 16);
    memcpy(out, r->str, 17);
    freeReplyObject(r);
}

void fixture_other_library(const struct redis_server *s, const char *name, const char *function)
{
    char words[512];

    (void)snprintf(words, sizeof(words),
                   "FUNCTION LOAD REPLACE \"#!lua name=%s\\nredis.register_function{function_name='%s',"
                   "callback=function() return 'old' end,flags={'no-writes'}}\"",
                   name, function);
    redis_server_say(s, words);
}

void fixture_assert_our_library(const struct redis_server *s)
{
    struct redisReply *r = redis_server_ask(s, "FCALL_RO mywallet_v1_hash 0");

    assert_int_equal(r->type, REDIS_REPLY_STRING);
    assert_true(slice_equal(slice_make(r->str, (size_t)r->len), library_hash()));
    freeReplyObject(r);
}

void *fixture_start_one(void *ctx)
{
    struct control_starter *s = ctx;

    s->e = control_start(s->shared, &s->control, &s->why);
    return NULL;
}

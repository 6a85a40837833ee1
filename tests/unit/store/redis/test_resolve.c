/* A name that leads to another server after a while, as those of hosted masters do: the answers of DNS are made here. */
#include <dlfcn.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"
#include "base/clock.h"
#include "unit/store/redis/control_fixture.h"

static _Atomic(const char *) db_address = "127.0.0.1";

/* Stands before the C library's own. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "getaddrinfo");
        ASSERT(found != NULL);
        memcpy(&real, &found, sizeof(real));
    }
    return real(strcmp(node, "db.test") == 0 ? atomic_load(&db_address) : node, service, hints, out);
}

static void wait_target(const struct control_fixture *f, const char *host)
{
    const uint64_t until_us = clock_mono_us() + FIXTURE_WAIT_US;
    bool is_there = false;

    while (!is_there) {
        assert_true(clock_mono_us() < until_us);
        shared_ask_look(f->shared);
        fixture_rest();
        (void)pthread_mutex_lock(&f->shared->mutex);
        is_there = strcmp(f->shared->target.host, host) == 0;
        (void)pthread_mutex_unlock(&f->shared->mutex);
    }
}

static void test_a_name_that_moves(void **state)
{
    struct control_fixture *f = *state;
    char words[128];

    redis_server_start(&f->server, "");
    (void)snprintf(words, sizeof(words), "--bind 127.0.0.2 --port %u", f->server.port);
    redis_server_start_replica(&f->replica, &f->server, words);
    f->options = fixture_options(&f->server);
    (void)snprintf(f->options.url.addresses[0].host, sizeof(f->options.url.addresses[0].host),
                   "db.test");
    fixture_started(f);
    assert_string_equal(f->shared->target.host, "127.0.0.1");
    redis_server_wait(&f->replica, "KEYS *", "w:meta");
    /* the old master lives on, as a replica of the new one, and closes nothing */
    redis_server_say(&f->replica, "REPLICAOF NO ONE");
    (void)snprintf(words, sizeof(words), "REPLICAOF 127.0.0.2 %u", f->server.port);
    redis_server_say(&f->server, words);
    fixture_wait_health(f, STORE_STALLED);
    atomic_store(&db_address, "127.0.0.2");
    wait_target(f, "127.0.0.2");
    fixture_wait_health(f, STORE_HEALTHY);
    assert_string_equal(f->shared->target_name, "db.test");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_name_that_moves, fixture_setup, fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

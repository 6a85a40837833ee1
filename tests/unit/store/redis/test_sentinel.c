/* Asking sentinels: in turn, each for a short time, the one that answered stays; real sentinels, and some that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "store/redis/sentinel.h"
#include "support/redis_server.h"

struct fixture {
    struct redis_server master, sentinels[2];
};

static int setup(void **state)
{
    static struct fixture f;

    redis_server_start(&f.master, "");
    redis_server_start_sentinel(&f.sentinels[0], "money", &f.master, 1, "");
    redis_server_start_sentinel(&f.sentinels[1], "money", &f.master, 1, "");
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    redis_server_stop(&f->sentinels[0]);
    redis_server_stop(&f->sentinels[1]);
    redis_server_stop(&f->master);
    return 0;
}

static struct redis_url url_of(const char *master, unsigned count, const uint16_t *ports)
{
    struct redis_url url = {.is_sentinel = true, .address_count = count};

    (void)snprintf(url.master_name, sizeof(url.master_name), "%s", master);
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(url.addresses[i].host, sizeof(url.addresses[i].host), "127.0.0.1");
        url.addresses[i].port = ports[i];
    }
    return url;
}

static enum err ask(struct sentinel *s, const struct redis_url *url, struct redis_address *out,
                    struct err_text *why)
{
    memset(out, 0, sizeof(*out));
    why->text[0] = '\0';
    return sentinel_ask(s, url, NULL, "test", out, why);
}

static void test_the_first_that_answers(void **state)
{
    const struct fixture *f = *state;
    const uint16_t ports[] = {redis_server_free_port(), f->sentinels[0].port, f->sentinels[1].port};
    const struct redis_url url = url_of("money", 3, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_string_equal(found.host, "127.0.0.1");
    assert_int_equal(found.port, f->master.port);
    assert_int_equal(s.at, 1);
    assert_non_null(s.line);
    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK); /* over the same line */
    assert_int_equal(found.port, f->master.port);
    assert_int_equal(s.at, 1);
    sentinel_close(&s);
    sentinel_close(&s);
}

static void test_one_that_hangs_costs_little(void **state)
{
    const struct fixture *f = *state;
    const uint16_t ports[] = {f->sentinels[0].port, f->sentinels[1].port};
    const struct redis_url url = url_of("money", 2, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;
    uint64_t start_us;

    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_int_equal(s.at, 0);
    redis_server_freeze(&f->sentinels[0]);
    start_us = clock_mono_us();
    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_in_range(clock_mono_us() - start_us, 0, 1000000);
    assert_int_equal(s.at, 1);
    assert_int_equal(found.port, f->master.port);
    sentinel_close(&s);
    s.at = 0; /* now it hangs at HELLO */
    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_int_equal(s.at, 1);
    redis_server_thaw(&f->sentinels[0]);
    sentinel_close(&s);
}

/* A sentinel that was restarted closed our line; it is asked again before another. */
static void test_a_dead_line_is_opened_again(void **state)
{
    struct fixture *f = *state;
    const uint16_t ports[] = {f->sentinels[0].port};
    const struct redis_url url = url_of("money", 1, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    redis_server_say(&f->sentinels[0], "CLIENT KILL TYPE normal SKIPME yes");
    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_int_equal(found.port, f->master.port);
    sentinel_close(&s);
}

static void test_a_name_nobody_knows(void **state)
{
    const struct fixture *f = *state;
    const uint16_t ports[] = {f->sentinels[0].port, redis_server_free_port()};
    const struct redis_url url = url_of("dreams", 2, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    assert_int_equal(ask(&s, &url, &found, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "\"dreams\""));
    assert_null(s.line);
}

static void test_nobody_answers(void **state)
{
    const uint16_t ports[] = {redis_server_free_port(), redis_server_free_port()};
    const struct redis_url url = url_of("money", 2, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    (void)state;
    assert_int_equal(ask(&s, &url, &found, &why), ERR_IO);
    assert_non_null(strstr(why.text, "no sentinel answers"));
}

/* An ordinary server says "unknown command". */
static void test_no_sentinel_at_all(void **state)
{
    const struct fixture *f = *state;
    const uint16_t ports[] = {f->master.port};
    const struct redis_url url = url_of("money", 1, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    assert_int_equal(ask(&s, &url, &found, &why), ERR_IO);
    assert_non_null(strstr(why.text, "unknown command"));
}

/* The password is the server's; a sentinel without that user is asked without. */
static void test_a_sentinel_without_passwords(void **state)
{
    const struct fixture *f = *state;
    const uint16_t ports[] = {f->sentinels[0].port};
    struct redis_url url = url_of("money", 1, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    (void)snprintf(url.user, sizeof(url.user), "wallet");
    (void)snprintf(url.password, sizeof(url.password), "CANARY");
    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_int_equal(found.port, f->master.port);
    sentinel_close(&s);
}

static void test_a_sentinel_with_a_password(void **state)
{
    const struct fixture *f = *state;
    const uint16_t ports[] = {f->sentinels[0].port};
    struct redis_url url = url_of("money", 1, ports);
    struct sentinel s = {.line = NULL};
    struct redis_address found;
    struct err_text why;

    redis_server_say(&f->sentinels[0], "ACL SETUSER wallet on >CANARY +@all ~*");
    redis_server_say(&f->sentinels[0], "ACL SETUSER default -@all +ping");
    (void)snprintf(url.user, sizeof(url.user), "wallet");
    (void)snprintf(url.password, sizeof(url.password), "CANARY");
    assert_int_equal(ask(&s, &url, &found, &why), ERR_OK);
    sentinel_close(&s);
    (void)snprintf(url.password, sizeof(url.password), "SPARROW");
    assert_int_not_equal(ask(&s, &url, &found, &why), ERR_OK);
    assert_null(strstr(why.text, "SPARROW"));
    assert_null(s.line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_that_answers),
        cmocka_unit_test(test_one_that_hangs_costs_little),
        cmocka_unit_test(test_a_dead_line_is_opened_again),
        cmocka_unit_test(test_a_name_nobody_knows),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_no_sentinel_at_all),
        cmocka_unit_test(test_a_sentinel_without_passwords),
        cmocka_unit_test(test_a_sentinel_with_a_password), /* last: it stays so */
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* What the configuration may say of the store: every way to be refused, once, and what the right ones come to. */
#include "server/choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/assert.h"

static char secret_path[] = "/tmp/mywallet-choice-XXXXXX";

/* A configuration of flags behind each other, `|` between them; with the secret's file where it is wanted. */
static struct config config_of(const char *flags, bool has_secret)
{
    char text[1024], env[64] = "WALLET_REDIS_PASSWORD_FILE=";
    char *argv[16], *envs[] = {env, NULL};
    struct config_input in = {.argv = argv, .env = has_secret ? envs : NULL};
    struct config config;
    struct err_text why = {.text = ""};
    char *rest = text;
    enum config_result result;

    assert_true(strlen(flags) < sizeof(text));
    memcpy(text, flags, strlen(flags) + 1);
    while (rest != NULL && *rest != '\0') {
        assert_true(in.argc < (int)ARRAY_LEN(argv));
        argv[in.argc++] = strsep(&rest, "|");
    }
    memcpy(env + strlen(env), secret_path, sizeof(secret_path));
    result = config_load(&config, &in, &why);
    assert_string_equal(why.text, "");
    assert_int_equal(result, CONFIG_OK);
    return config;
}

static struct choice made(const struct config *config)
{
    struct choice choice;
    struct err_text why = {.text = ""};
    enum err e = choice_make(config, &choice, &why);

    assert_string_equal(why.text, "");
    assert_int_equal(e, ERR_OK);
    return choice;
}

static void refused(const char *flags, const char *words)
{
    const struct config config = config_of(flags, false);
    struct choice choice;
    struct err_text why = {.text = ""};

    assert_int_equal(choice_make(&config, &choice, &why), ERR_INVALID);
    if (strstr(why.text, words) == NULL) {
        assert_string_equal(why.text, words);
    }
    assert_null(strstr(why.text, "s3cret"));
}

static void without_an_address_it_is_the_folder(void **state)
{
    const struct config config = config_of("--require-durability=fsync", false);

    (void)state;
    assert_false(made(&config).is_redis);
    refused("--require-durability=replicated", "has one copy (fsync)");
}

static void the_defaults_are_those_of_the_pool(void **state)
{
    const struct config config =
        config_of("--redis-addr=wallet-redis|--threads=3|--inbox=100", false);
    const struct choice c = made(&config);

    (void)state;
    assert_true(c.is_redis);
    assert_string_equal(c.redis.url.addresses[0].host, "wallet-redis");
    assert_int_equal(c.redis.url.addresses[0].port, 6379);
    assert_int_equal(c.redis.pool_active, REDIS_POOL_ACTIVE);
    assert_int_equal(c.redis.pool_idle, REDIS_POOL_IDLE);
    assert_int_equal(c.redis.depth, REDIS_DEPTH);
    assert_int_equal(c.redis.pool_idle_us, 5 * CONFIG_MINUTE);
    assert_int_equal(c.redis.op_timeout_us, 2 * CONFIG_SECOND);
    assert_int_equal(c.redis.wait_timeout_us, 500 * CONFIG_MS);
    assert_int_equal(c.redis.idempotency_ttl_us, CONFIG_DAY);
    assert_int_equal(c.redis.loops, 3);
    assert_int_equal(c.redis.inbox_max, 33);
    assert_int_equal(c.redis.keys_a_second, 0);
    assert_int_equal(c.redis.buckets, 0);
    assert_true(c.redis.may_load);
    assert_false(c.redis.is_synchronous);
    assert_false(c.redis.has_required);
    assert_string_equal(c.redis.url.user, "");
    assert_string_equal(c.redis.url.password, "");
    assert_null(c.redis.metrics);
}

static void each_setting_arrives(void **state)
{
    const struct config config = config_of(
        "--redis-addr=rediss://me:other@[::1]:7000|--redis-user=you|--redis-tls-ca=/ca|--redis-tls-cert=/c|"
        "--redis-tls-key=/k|--redis-pool-active=7|--redis-pool-idle=3|--redis-pool-idle-timeout=1m|"
        "--redis-depth=1|--redis-timeout=1s|--no-redis-load-functions|--redis-sync|--redis-wait-timeout=20ms|"
        "--redis-keys-per-second=9|--require-durability=async-replicated|--threads=2",
        true);
    const struct choice c = made(&config);

    (void)state;
    assert_true(c.redis.url.is_tls);
    assert_string_equal(c.redis.url.addresses[0].host, "::1");
    assert_string_equal(c.redis.url.user, "you");
    assert_string_equal(c.redis.url.password, "s3cret");
    assert_string_equal(c.redis.tls.ca, "/ca");
    assert_string_equal(c.redis.tls.cert, "/c");
    assert_string_equal(c.redis.tls.key, "/k");
    assert_int_equal(c.redis.pool_active, 7);
    assert_int_equal(c.redis.pool_idle, 3);
    assert_int_equal(c.redis.pool_idle_us, CONFIG_MINUTE);
    assert_int_equal(c.redis.depth, 1);
    assert_int_equal(c.redis.op_timeout_us, CONFIG_SECOND);
    assert_int_equal(c.redis.wait_timeout_us, 20 * CONFIG_MS);
    assert_int_equal(c.redis.keys_a_second, 9);
    assert_false(c.redis.may_load);
    assert_true(c.redis.is_synchronous);
    assert_true(c.redis.has_required);
    assert_int_equal(c.redis.required, REDIS_ASYNC_REPLICATED);
}

static void each_durability_can_be_required(void **state)
{
    static const char *const flags[] = {
        [REDIS_MEMORY] = "--redis-addr=h|--require-durability=memory",
        [REDIS_AOF_EVERYSEC] = "--redis-addr=h|--require-durability=aof-everysec",
        [REDIS_ASYNC_REPLICATED] = "--redis-addr=h|--require-durability=async-replicated",
        [REDIS_FSYNC] = "--redis-addr=h|--require-durability=fsync",
        [REDIS_REPLICATED] = "--redis-addr=h|--require-durability=replicated"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        const struct config config = config_of(flags[i], false);
        assert_int_equal(made(&config).redis.required, i);
        assert_true(made(&config).redis.has_required);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    refused("--redis-addr=http://h", "redis-addr (REDIS_ADDR): ");
    refused("--redis-addr=redis://:s3cret@h:99999", "redis-addr (REDIS_ADDR): ");
    refused("--redis-addr=redis+cluster://:s3cret@h", "redis-addr (REDIS_ADDR): ");
    refused("--redis-addr=h|--redis-tls-ca=/ca", "redis-tls-ca is set, but redis-addr");
    refused("--redis-addr=redis://h|--redis-tls-cert=/c|--redis-tls-key=/k", "write rediss://");
    refused("--redis-addr=rediss://h|--redis-tls-cert=/c",
            "redis-tls-cert is set without redis-tls-key");
    refused("--redis-addr=rediss://h|--redis-tls-key=/k",
            "redis-tls-key is set without redis-tls-cert");
    refused("--redis-addr=h|--threads=3|--redis-pool-active=2", "redis-pool-active = 2 is less than");
}

static int set_up(void **state)
{
    FILE *file;
    int fd = mkstemp(secret_path);

    (void)state;
    if (fd < 0) {
        return -1;
    }
    file = fdopen(fd, "w");
    return file != NULL && fputs("s3cret\n", file) >= 0 && fclose(file) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return remove(secret_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_an_address_it_is_the_folder),
        cmocka_unit_test(the_defaults_are_those_of_the_pool),
        cmocka_unit_test(each_setting_arrives),
        cmocka_unit_test(each_durability_can_be_required),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

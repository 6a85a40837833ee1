#include "server/choice.h"

#include <string.h>

#include "base/assert.h"

enum {
    REQUIRE_NONE,
    REQUIRE_FIRST
}; /* require-durability: none, then the kinds from the weakest on */

_Static_assert(REDIS_MEMORY == 0 && REDIS_AOF_EVERYSEC == 1 && REDIS_ASYNC_REPLICATED == 2 &&
                   REDIS_FSYNC == 3 && REDIS_REPLICATED == 4,
               "the order of require-durability's choices");

/* The embedded store gives fsync, always. */
static enum err embedded_judge(const struct config *c, struct err_text *why)
{
    if (c->require_durability > (int)REQUIRE_FIRST + (int)REDIS_FSYNC) {
        err_text_set(
            why,
            "require-durability = replicated, but the store in the data folder has one copy (fsync); "
            "set redis-addr, or require fsync");
        return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err tls_judge(const struct config *c, bool is_tls, struct err_text *why)
{
    const bool has_cert = c->redis_tls_cert[0] != '\0';
    const bool has_key = c->redis_tls_key[0] != '\0';

    if (!is_tls && (has_cert || has_key || c->redis_tls_ca[0] != '\0')) {
        err_text_set(
            why,
            "redis-tls-%s is set, but redis-addr (REDIS_ADDR) asks for no TLS; write rediss:// or "
            "rediss+sentinel://",
            has_cert  ? "cert"
            : has_key ? "key"
                      : "ca");
        return ERR_INVALID;
    }
    if (has_cert != has_key) {
        err_text_set(why, "redis-tls-%s is set without redis-tls-%s", has_cert ? "cert" : "key",
                     has_cert ? "key" : "cert");
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* config_keys.h gives both the ceiling of a secret. */
static void secret_copy(char out[REDIS_SECRET_BYTES_MAX + 1], const char *text)
{
    const size_t len = strlen(text);

    ASSERT(len <= REDIS_SECRET_BYTES_MAX);
    if (len > 0) {
        memcpy(out, text, len + 1);
    }
}

static enum err redis_judge(const struct config *c, struct redis_options *o, struct err_text *why)
{
    struct err_text what;
    enum err e = redis_url_parse(slice_of(c->redis_addr), &o->url, &what);

    if (e != ERR_OK) { /* its value may hold a password, and is not told */
        err_text_set(why, "redis-addr (REDIS_ADDR): %.400s", what.text);
        return ERR_INVALID;
    }
    e = tls_judge(c, o->url.is_tls, why);
    if (e != ERR_OK) {
        return e;
    }
    secret_copy(o->url.user, c->redis_user);
    secret_copy(o->url.password, c->redis_password);
    if (c->redis_pool_active < o->loops) {
        err_text_set(
            why,
            "redis-pool-active = %llu is less than one connection for each of %u event loops; raise it, or lower threads",
            (unsigned long long)c->redis_pool_active, o->loops);
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err choice_make(const struct config *c, struct choice *out, struct err_text *why)
{
    const unsigned loops = config_thread_count(c);
    enum err e;

    *out = (struct choice){.is_redis = c->redis_addr[0] != '\0'};
    if (!out->is_redis) {
        return embedded_judge(c, why);
    }
    out->redis = (struct redis_options){
        .tls = {.ca = c->redis_tls_ca, .cert = c->redis_tls_cert, .key = c->redis_tls_key},
        .loops = loops,
        .pool_active = (unsigned)c->redis_pool_active,
        .pool_idle = (unsigned)c->redis_pool_idle,
        .depth = (unsigned)c->redis_depth,
        .pool_idle_us = c->redis_pool_idle_us,
        .op_timeout_us = c->redis_timeout_us,
        .inbox_max = (uint32_t)(c->inbox > loops ? c->inbox / loops : 1),
        .idempotency_ttl_us = c->idempotency_ttl_us,
        .keys_a_second = c->redis_keys_a_second,
        .is_synchronous = c->redis_sync,
        .wait_timeout_us = c->redis_wait_us,
        .has_required = c->require_durability != REQUIRE_NONE,
        .may_load = c->redis_load_functions,
    };
    if (out->redis.has_required) {
        out->redis.required = (enum redis_durability)(c->require_durability - (int)REQUIRE_FIRST);
    }
    e = redis_judge(c, &out->redis, why);
    if (e != ERR_OK) {
        *out = (struct choice){.is_redis = true};
    }
    return e;
}

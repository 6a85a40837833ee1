#include "store/redis/lock.h"

#include <stdio.h>

#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "base/prng.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/sync.h"

enum { LOCK_WORDS_MAX = 7 };

static bool is_name(struct slice name)
{
    if (name.len == 0 || name.len > LOCK_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) {
            return false;
        }
    }
    return true;
}

enum err lock_init(struct lock *l, struct slice name, uint32_t ttl_ms, uint32_t op_timeout_ms)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t secret[LOCK_TOKEN_BYTES / 2];
    enum err e;

    if (!is_name(name)) {
        return ERR_INVALID;
    }
    if (ttl_ms > LOCK_TTL_MS_MAX || op_timeout_ms == 0 || op_timeout_ms >= ttl_ms ||
        ttl_ms <= 2 * op_timeout_ms) {
        return ERR_RANGE;
    }
    e = prng_secret(secret, sizeof secret);
    if (e != ERR_OK) {
        return e;
    }
    *l = (struct lock){.ttl_ms = ttl_ms, .op_timeout_ms = op_timeout_ms};
    (void)snprintf(l->key, sizeof l->key, "w:l:" SLICE_FORMAT, SLICE_ARGS(name));
    (void)snprintf(l->fence_key, sizeof l->fence_key, "w:f:" SLICE_FORMAT, SLICE_ARGS(name));
    for (size_t i = 0; i < sizeof secret; i++) {
        l->token[2 * i] = digits[secret[i] >> 4];
        l->token[2 * i + 1] = digits[secret[i] & 15];
    }
    return ERR_OK;
}

static struct slice word(const redisReply *reply)
{
    return slice_make(reply->str, reply->len);
}

static bool is_fence(struct slice s)
{
    if (s.len == 0 || s.len > LOCK_FENCE_BYTES_MAX || s.ptr[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') {
            return false;
        }
    }
    return true;
}

/* {'OK', fence}, of release {'OK'} | {'HELD', ms left} | {'LOST'} | {'BROKEN', key} */
static enum err read_reply(const redisReply *reply, struct slice *fence, struct err_text *why)
{
    const redisReply *second;
    struct slice first;

    if (reply->type == REDIS_REPLY_ERROR) {
        err_text_set(why, SLICE_FORMAT, SLICE_ARGS(word(reply)));
        return ERR_INVALID;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || reply->elements > 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING) {
        goto strange;
    }
    first = word(reply->element[0]);
    second = reply->elements == 2 ? reply->element[1] : NULL;
    if (slice_equal(first, SLICE("HELD")) && second != NULL && second->type == REDIS_REPLY_INTEGER) {
        err_text_set(why, "another one holds the lock, for %lld ms at least", second->integer);
        return ERR_BUSY;
    }
    if (second != NULL && second->type != REDIS_REPLY_STRING) {
        goto strange;
    }
    if (slice_equal(first, SLICE("OK"))) {
        *fence = second == NULL ? SLICE_NONE : word(second);
        if (second == NULL || is_fence(*fence)) {
            return ERR_OK;
        }
    } else if (slice_equal(first, SLICE("LOST")) && second == NULL) {
        err_text_set(why, "the lock is not ours any more");
        return ERR_NOT_FOUND;
    } else if (slice_equal(first, SLICE("BROKEN")) && second != NULL) {
        err_text_set(why, "the key " SLICE_FORMAT " holds no lock", SLICE_ARGS(word(second)));
        return ERR_CORRUPT;
    }

strange:
    err_text_set(why, "an answer that no lock gives");
    return ERR_CORRUPT;
}

/* Ask, and where the answer is that it is held, count the lease from before the question left. */
static enum err ask(struct lock *l, struct sync *s, unsigned argc, const struct slice *argv,
                    bool has_fence, struct err_text *why)
{
    uint64_t lease_us = ((uint64_t)l->ttl_ms - 2 * (uint64_t)l->op_timeout_ms) * 1000;
    uint64_t asked_us = clock_mono_us();
    redisReply *reply = NULL;
    struct slice fence = SLICE_NONE;
    enum err e = sync_call(s, argc, argv, &reply);

    if (e != ERR_OK) {
        err_text_set(why, "the lock: %s", err_name(e));
        return e;
    }
    e = read_reply(reply, &fence, why);
    if (e == ERR_OK && has_fence != (fence.ptr != NULL)) {
        err_text_set(why, "an answer that no lock gives");
        e = ERR_CORRUPT;
    }
    if (e == ERR_OK && has_fence) {
        (void)snprintf(l->fence, sizeof l->fence, SLICE_FORMAT, SLICE_ARGS(fence));
        l->until_us = asked_us + lease_us;
    } else if (e == ERR_BUSY || e == ERR_NOT_FOUND) {
        l->until_us = 0;
    }
    sync_free(reply);
    return e;
}

enum err lock_acquire(struct lock *l, struct sync *s, struct err_text *why)
{
    char ttl[16];
    struct slice argv[LOCK_WORDS_MAX] = {
        SLICE("FCALL"),   SLICE(LIBRARY_NAME "_lock"), SLICE("2"),
        slice_of(l->key), slice_of(l->fence_key),      slice_of(l->token)};

    (void)snprintf(ttl, sizeof ttl, "%u", l->ttl_ms);
    argv[6] = slice_of(ttl);
    return ask(l, s, 7, argv, true, why);
}

enum err lock_renew(struct lock *l, struct sync *s, struct err_text *why)
{
    char ttl[16];
    struct slice argv[LOCK_WORDS_MAX] = {SLICE("FCALL"), SLICE(LIBRARY_NAME "_renew"), SLICE("1"),
                                         slice_of(l->key), slice_of(l->token)};

    (void)snprintf(ttl, sizeof ttl, "%u", l->ttl_ms);
    argv[5] = slice_of(ttl);
    return ask(l, s, 6, argv, true, why);
}

enum err lock_release(struct lock *l, struct sync *s, struct err_text *why)
{
    struct slice argv[LOCK_WORDS_MAX] = {SLICE("FCALL"), SLICE(LIBRARY_NAME "_release"), SLICE("1"),
                                         slice_of(l->key), slice_of(l->token)};

    l->until_us = 0; /* first: nothing is done under a lock that may be gone */
    return ask(l, s, 5, argv, false, why);
}

bool lock_is_held(const struct lock *l, uint64_t now_mono_us)
{
    return now_mono_us < l->until_us;
}

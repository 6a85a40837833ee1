/* What tests of the Redis functions need: a server with the library, a connection to it, postings sent and read. */
#ifndef UNIT_STORE_REDIS_RIG_H
#define UNIT_STORE_REDIS_RIG_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "store/redis/entry.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/post.h"
#include "store/redis/reply.h"
#include "support/redis_server.h"
#include "unit/ledger/stage.h"

enum { RIG_BYTES_MAX = 16 * 1024 * 1024 };

static const uint64_t rig_ttl_us = UINT64_C(3600000000);

struct rig {
    struct redis_server server;
    int fd;
    redisReader *reader;
    struct buf out;
};

static inline void rig_connect(struct rig *r)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(r->server.port)};
    const int one = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(r->fd >= 0);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
    r->reader = redisReaderCreate();
    assert_non_null(r->reader);
}

static inline void rig_disconnect(struct rig *r)
{
    close(r->fd);
    redisReaderFree(r->reader);
}

/* Send what is in out, and wait for one reply: the caller's, freed by freeReplyObject. */
static inline redisReply *rig_exchange(struct rig *r)
{
    struct slice rest = buf_slice(&r->out);
    void *reply = NULL;

    assert_int_equal(r->out.err, ERR_OK);
    while (rest.len > 0) {
        const ssize_t sent = write(r->fd, rest.ptr, rest.len);
        assert_true(sent > 0);
        rest = slice_make(rest.ptr + sent, rest.len - (size_t)sent);
    }
    buf_clear(&r->out);
    while (reply == NULL) {
        char bytes[16384];
        const ssize_t got = read(r->fd, bytes, sizeof(bytes));
        assert_true(got > 0);
        assert_int_equal(redisReaderFeed(r->reader, bytes, (size_t)got), REDIS_OK);
        assert_int_equal(redisReaderGetReply(r->reader, &reply), REDIS_OK);
    }
    return reply;
}

/* A command of words; the list ends with NULL. */
static inline redisReply *rig_words(struct rig *r, const char *const *words)
{
    unsigned count = 0;

    while (words[count] != NULL) {
        count++;
    }
    resp_begin(&r->out, count);
    for (unsigned i = 0; i < count; i++) {
        resp_text(&r->out, words[i]);
    }
    return rig_exchange(r);
}

#define rig_ask(r, ...) rig_words(r, (const char *const[]){__VA_ARGS__, NULL})

static inline void rig_do(struct rig *r, const char *const *words)
{
    redisReply *reply = rig_words(r, words);

    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", words[0], reply->str);
    }
    freeReplyObject(reply);
}

#define rig_say(r, ...) rig_do(r, (const char *const[]){__VA_ARGS__, NULL})

static inline void rig_load(struct rig *r)
{
    redisReply *reply;

    resp_begin(&r->out, 4);
    resp_text(&r->out, "FUNCTION");
    resp_text(&r->out, "LOAD");
    resp_text(&r->out, "REPLACE");
    resp_word(&r->out, library_source());
    reply = rig_exchange(r);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s", reply->str);
    }
    freeReplyObject(reply);
}

static inline int rig_setup(void **state)
{
    struct rig *r = mem_alloc(sizeof(*r));

    assert_non_null(r);
    buf_init(&r->out, RIG_BYTES_MAX);
    redis_server_start(&r->server, "");
    rig_connect(r);
    rig_load(r);
    *state = r;
    return 0;
}

static inline int rig_teardown(void **state)
{
    struct rig *r = *state;

    rig_disconnect(r);
    redis_server_stop(&r->server);
    buf_fini(&r->out);
    mem_free(r);
    return 0;
}

static inline void rig_flush(struct rig *r)
{
    rig_say(r, "FLUSHALL");
}

/* ---- whole contents ---- */

static inline int text_order(const void *a, const void *b)
{
    const redisReply *const *x = a, *const *y = b;
    const size_t xl = (size_t)(*x)->len, yl = (size_t)(*y)->len;
    const int order = memcmp((*x)->str, (*y)->str, xl < yl ? xl : yl);

    return order != 0 ? order : (xl > yl) - (xl < yl);
}

/* A hash over every key's name and its DUMP. */
static inline uint64_t rig_hash(struct rig *r)
{
    redisReply *keys = rig_ask(r, "KEYS", "*");
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    if (keys->elements > 0) {
        qsort(keys->element, keys->elements, sizeof(keys->element[0]), text_order);
    }
    for (size_t i = 0; i < keys->elements; i++) {
        redisReply *dump;
        resp_begin(&r->out, 2);
        resp_text(&r->out, "DUMP");
        resp_word(&r->out, reply_text(keys->element[i]));
        dump = rig_exchange(r);
        assert_int_equal(dump->type, REDIS_REPLY_STRING);
        hash_more(&hash, keys->element[i]->str, (size_t)keys->element[i]->len);
        hash_more(&hash, dump->str, (size_t)dump->len);
        freeReplyObject(dump);
    }
    hash_number(&hash, keys->elements);
    freeReplyObject(keys);
    return hash;
}

/* ---- values ---- */

static inline void key_text(struct names_key key, char out[NAMES_KEY_BYTES_MAX + 1])
{
    memcpy(out, key.text, key.len);
    out[key.len] = '\0';
}

/* A field as text; "" where there is none. */
static inline void rig_field(struct rig *r, struct names_key key, const char *field, char out[64])
{
    char name[NAMES_KEY_BYTES_MAX + 1];
    redisReply *reply;

    key_text(key, name);
    reply = rig_ask(r, "HGET", name, field);
    out[0] = '\0';
    if (reply->type == REDIS_REPLY_STRING) {
        assert_true(reply->len < 64);
        memcpy(out, reply->str, (size_t)reply->len + 1);
    }
    freeReplyObject(reply);
}

static inline int64_t rig_number(struct rig *r, struct names_key key, const char *field)
{
    char text[64];

    rig_field(r, key, field, text);
    return strtoll(text, NULL, 10);
}

static inline void rig_set(struct rig *r, struct names_key key, const char *field, const char *value)
{
    char name[NAMES_KEY_BYTES_MAX + 1];

    key_text(key, name);
    if (value == NULL) {
        rig_say(r, "HDEL", name, field);
    } else {
        rig_say(r, "HSET", name, field, value);
    }
}

/* ---- postings ---- */

static inline void op_begin(struct store_op *op, const struct posting *p)
{
    *op = (struct store_op){.kind = STORE_POST, .posting = *p};
    arena_init(&op->out, STORE_OUT_BYTES_MAX);
}

static inline void op_end(struct store_op *op)
{
    arena_fini(&op->out);
}

/* Send a posting; its answer is in op, which op_end frees. Returns the verdict; *broken is copied where it is. */
static inline enum post_verdict rig_post_until(struct rig *r, const struct posting *p,
                                               unsigned buckets, int64_t not_after,
                                               struct store_op *op, char broken[128])
{
    enum post_verdict verdict = POST_HALF;
    struct slice key = SLICE_NONE;
    redisReply *reply;

    op_begin(op, p);
    assert_int_equal(post_encode(&r->out, p, buckets, not_after, rig_ttl_us), ERR_OK);
    reply = rig_exchange(r);
    if (reply->type == REDIS_REPLY_ERROR) {
        print_error("%s\n", reply->str);
    }
    assert_int_equal(post_read(reply, op, buckets, &verdict, &key), ERR_OK);
    if (verdict == POST_BROKEN && broken != NULL) {
        assert_true(key.len < 128);
        memcpy(broken, key.ptr, key.len);
        broken[key.len] = '\0';
    }
    freeReplyObject(reply);
    return verdict;
}

static inline enum post_verdict rig_post(struct rig *r, const struct posting *p, unsigned buckets,
                                         struct store_op *op)
{
    return rig_post_until(r, p, buckets, INT64_MAX, op, NULL);
}

/* Post and expect. */
static inline void rig_must(struct rig *r, const struct posting *p, unsigned buckets,
                            enum outcome wanted)
{
    struct store_op op;

    assert_int_equal(rig_post(r, p, buckets, &op), POST_DONE);
    assert_int_equal(op.result.outcome, wanted);
    op_end(&op);
}

#endif

/*
 * Happy path: redis_conn_open -> on_connect -> put_greeting -> (conn_read.c: ROLE) -> lane_on_ready; then redis_conn_put_call,
 * redis_conn_write, and for each reply, in order, lane_on_reply.
 *
 * Failure paths, all of which end in lane_on_lost:
 * - The peer refuses, closes or resets; a write fails.
 * - Bytes that are no reply, or a reply that nobody asked for: whose they are cannot be known any more.
 * - The greeting is refused: by HELLO (rights, crowding), by another ledger's epoch, or by ROLE, which must be `master`.
 * - It is silent too long: pool.c looks at the times kept here.
 */
#include "store/redis/conn.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/lane.h"
#include "tls/tls.h"

enum { KEEPALIVE_S = 60, GREETING_SLOTS = 8 };

/* ---- the end ---- */

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct lane *l = c->lane;

    if (c->reader != NULL) {
        redisReaderFree(c->reader);
    }
    tls_session_free(c->tls);
    buf_fini(&c->plain);
    buf_fini(&c->out);
    buf_fini(&c->sending);
    buf_fini(&c->in);
    mem_free(c);
    lane_release(l);
}

void redis_conn_close(struct conn *c)
{
    ASSERT(c->state != CONN_CLOSED);
    if (c->tls != NULL && tls_is_ready(c->tls) && !c->is_writing && c->out.len == 0) {
        tls_end(c->tls);
        if (tls_take(c->tls, &c->out) == ERR_OK && c->out.len > 0) {
            uv_buf_t bytes = uv_buf_init(c->out.ptr, (unsigned)c->out.len);
            (void)uv_try_write((uv_stream_t *)&c->tcp, &bytes, 1); /* a courtesy */
        }
    }
    c->state = CONN_CLOSED;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* ---- writing ---- */

uint64_t redis_conn_accepted(const struct conn *c)
{
    size_t with_libuv =
        c->is_writing ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0;

    return c->stream_bytes - c->out.len - with_libuv;
}

static void on_write(uv_write_t *write, int status)
{
    struct conn *c = write->data;

    if (c->state == CONN_CLOSED) {
        return;
    }
    c->is_writing =
        false; /* after a failure all of `sending` counts as taken: how much of it was is not told */
    buf_clear(&c->sending);
    if (status < 0) {
        lane_on_lost(c, CLOSE_PEER, clock_mono_us());
        return;
    }
    redis_conn_write(c);
    lane_want_turn(c->lane);
}

static enum err encrypt(struct conn *c)
{
    size_t before = c->out.len;
    enum err e = ERR_OK;

    if (c->tls == NULL) {
        return ERR_OK;
    }
    if (c->plain.len > 0) {
        e = tls_write(c->tls, c->plain.ptr, c->plain.len);
        buf_clear(&c->plain);
    }
    if (e == ERR_OK) {
        e = tls_take(c->tls, &c->out);
    }
    c->stream_bytes += c->out.len - before;
    return e;
}

void redis_conn_write(struct conn *c)
{
    uv_buf_t bytes;
    struct buf rest;
    int taken;

    if (c->state == CONN_OPENING || c->state == CONN_CLOSED) {
        return;
    }
    if (encrypt(c) != ERR_OK || c->plain.err != ERR_OK || c->out.err != ERR_OK) {
        lane_on_lost(c, CLOSE_PROTOCOL, clock_mono_us());
        return;
    }
    if (c->is_writing || c->out.len == 0) {
        return;
    }
    bytes = uv_buf_init(c->out.ptr, (unsigned)c->out.len);
    taken = uv_try_write((uv_stream_t *)&c->tcp, &bytes, 1);
    if (taken < 0 && taken != UV_EAGAIN) {
        lane_on_lost(c, CLOSE_PEER, clock_mono_us());
        return;
    }
    buf_drop_front(&c->out, taken > 0 ? (size_t)taken : 0);
    if (c->out.len == 0) {
        return;
    }
    /* the rest must not move while libuv has it: what is put meanwhile goes into another buffer */
    rest = c->sending;
    c->sending = c->out;
    c->out = rest;
    bytes = uv_buf_init(c->sending.ptr, (unsigned)c->sending.len);
    c->write.data = c;
    c->is_writing = true;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &bytes, 1, on_write) != 0) {
        c->is_writing = false;
        lane_on_lost(c, CLOSE_PEER, clock_mono_us());
    }
}

/* ---- commands and their slots ---- */

static struct slot *put_slot(struct conn *c, enum slot_kind kind, uint64_t begin, uint64_t now_us)
{
    struct slot *slot;

    ASSERT(c->slot_tail - c->slot_head <= c->slot_mask);
    slot = redis_conn_slot(c, c->slot_tail++);
    *slot = (struct slot){.kind = (uint8_t)kind, .begin = begin, .sent_us = now_us};
    if (c->waiting++ == 0) {
        c->byte_us = now_us;
    }
    return slot;
}

/* Returns where in the stream they begin; out-of-memory sticks in the buffer. */
static uint64_t put_bytes(struct conn *c, const char *bytes, size_t len)
{
    uint64_t begin = c->stream_bytes;

    if (c->tls != NULL) {
        buf_append(&c->plain, bytes, len);
        return begin;
    }
    buf_append(&c->out, bytes, len);
    if (c->out.err == ERR_OK) {
        c->stream_bytes += len;
    }
    return begin;
}

/* A command of our own: short, so that it is made here. */
static void put_command(struct conn *c, enum slot_kind kind, const struct slice *words,
                        unsigned count, uint64_t now_us)
{
    struct buf text;
    uint64_t begin;

    buf_init(&text, 4096);
    buf_append_format(&text, "*%u\r\n", count);
    for (unsigned i = 0; i < count; i++) {
        buf_append_format(&text, "$%zu\r\n", words[i].len);
        buf_append_slice(&text, words[i]);
        buf_append_text(&text, "\r\n");
    }
    begin = put_bytes(c, text.ptr, text.err == ERR_OK ? text.len : 0);
    if (text.err != ERR_OK) {
        c->out.err = text.err; /* the order is broken: the next write loses the connection */
    }
    if (text.ptr != NULL) {
        explicit_bzero(text.ptr, text.len); /* the password */
    }
    buf_fini(&text);
    (void)put_slot(c, kind, begin, now_us);
}

static void put_greeting(struct conn *c, uint64_t now_us)
{
    static const struct slice no_evict[] = {SLICE("CLIENT"), SLICE("NO-EVICT"), SLICE("on")};
    static const struct slice epoch[] = {SLICE("HGET"), NAMES_META, SLICE("epoch")};
    static const struct slice role[] = {SLICE("ROLE")};
    const struct redis_url *url = &c->lane->shared->options.url;
    struct slice hello[7] = {SLICE("HELLO"), SLICE("2")};
    unsigned count = 2;

    if (url->password[0] != '\0' || url->user[0] != '\0') { /* a user may have no password */
        hello[count++] = SLICE("AUTH");
        hello[count++] = slice_of(url->user[0] == '\0' ? "default" : url->user);
        hello[count++] = slice_of(url->password);
    }
    hello[count++] = SLICE("SETNAME");
    hello[count++] = slice_of(c->lane->shared->instance);
    put_command(c, SLOT_HELLO, hello, count, now_us);
    put_command(c, SLOT_NO_EVICT, no_evict, ARRAY_LEN(no_evict), now_us);
    if (c->lane->shared->epoch[0] !=
        '\0') { /* a server that came back empty is noticed before it is written to */
        put_command(c, SLOT_EPOCH, epoch, ARRAY_LEN(epoch), now_us);
    }
    put_command(c, SLOT_ROLE, role, ARRAY_LEN(role), now_us);
}

bool redis_conn_has_room(const struct conn *c)
{
    return c->state == CONN_READY && c->calls < c->lane->shared->options.depth && !c->is_writing &&
           c->slot_tail - c->slot_head < c->slot_mask - 2; /* WAIT and PING find a place */
}

bool redis_conn_put_call(struct conn *c, struct wire_call *call, uint64_t now_us)
{
    struct buf *to = c->tls != NULL ? &c->plain : &c->out;
    struct slot *slot;

    ASSERT(redis_conn_has_room(c) && call->bytes.len > 0);
    if (to->err != ERR_OK) {
        return false; /* a command of our own is missing: the next write loses the connection */
    }
    if (buf_reserve(to, call->bytes.len) != ERR_OK) {
        to->err = ERR_OK; /* what is in it is whole, and goes on */
        return false;
    }
    slot = put_slot(c, SLOT_CALL, put_bytes(c, call->bytes.ptr, call->bytes.len), now_us);
    slot->call = call;
    call->sent_us = now_us;
    c->calls++;
    if (call->deadline_mono_us < c->deadline_us) {
        c->deadline_us = call->deadline_mono_us;
    }
    return true;
}

void redis_conn_put_wait(struct conn *c, uint32_t replicas, uint64_t timeout_us, uint64_t now_us)
{
    struct buf numbers;
    struct slice words[3] = {SLICE("WAIT")};
    char memory[48];
    size_t first;

    /* a timeout of 0 would be for ever */
    numbers = (struct buf){.ptr = memory, .cap = sizeof(memory) - 1, .max = sizeof(memory) - 1};
    buf_append_u64(&numbers, replicas);
    first = numbers.len;
    buf_append_u64(&numbers, timeout_us < 1000 ? 1 : timeout_us / 1000);
    words[1] = slice_make(memory, first);
    words[2] = slice_make(memory + first, numbers.len - first);
    put_command(c, SLOT_WAIT, words, 3, now_us);
    redis_conn_slot(c, c->slot_tail - 1)->number = replicas;
}

void redis_conn_put_ping(struct conn *c, uint64_t now_us)
{
    static const struct slice ping[] = {SLICE("PING")};

    ASSERT(c->state == CONN_READY && c->waiting == 0);
    c->state = CONN_CHECKING;
    put_command(c, SLOT_PING, ping, 1, now_us);
}

void redis_conn_pop_finished(struct conn *c, uint64_t now_us)
{
    while (c->slot_head != c->slot_next) {
        struct slot *slot = redis_conn_slot(c, c->slot_head);
        if (slot->call != NULL) { /* answered, but held for its replicas */
            return;
        }
        if (slot->kind == SLOT_CALL) {
            c->calls--;
        }
        c->slot_head++;
    }
    if (c->slot_head == c->slot_tail) {
        c->idle_us = now_us;
        c->deadline_us = UINT64_MAX;
    }
}

/* ---- the beginning ---- */

static void on_connect(uv_connect_t *connect, int status)
{
    struct conn *c = connect->data;
    uint64_t now_us;

    if (c->state == CONN_CLOSED) {
        return;
    }
    now_us = clock_mono_us();
    if (status < 0 || redis_conn_listen(c) != ERR_OK) {
        lane_on_lost(c, CLOSE_PEER, now_us);
        return;
    }
    /* without these it is slower, or noticed later: no reason to fail */
    (void)uv_tcp_nodelay(&c->tcp, 1);
    (void)uv_tcp_keepalive(&c->tcp, 1, KEEPALIVE_S);
    c->state = CONN_GREETING;
    put_greeting(c, now_us);
    redis_conn_write(c);
}

static uint32_t ring_slots(unsigned depth)
{
    uint32_t slots = 16;

    while (slots < 2 * depth + GREETING_SLOTS) {
        slots *= 2;
    }
    return slots;
}

enum err redis_conn_open(struct lane *l, uint64_t now_us, struct conn **out)
{
    uint32_t slots = ring_slots(l->shared->options.depth);
    struct conn *c = mem_alloc(sizeof(*c) + slots * sizeof(c->slots[0]));
    enum err e = ERR_NOMEM;

    if (c == NULL) {
        return ERR_NOMEM;
    }
    c->lane = l;
    c->slot_mask = slots - 1;
    c->opened_us = c->byte_us = now_us;
    c->deadline_us = UINT64_MAX;
    buf_init(&c->plain, LANE_OUT_BYTES_MAX);
    buf_init(&c->out, LANE_OUT_BYTES_MAX);
    buf_init(&c->sending, LANE_OUT_BYTES_MAX);
    buf_init(&c->in, GUARD_REPLY_BYTES_MAX);
    if (uv_tcp_init(l->loop, &c->tcp) != 0) {
        mem_free(c);
        return ERR_IO;
    }
    l->handles++;
    c->tcp.data = c->connect.data = c;
    c->reader = redisReaderCreate();
    if (c->reader == NULL) {
        goto fail;
    }
    if (l->shared->tls != NULL) {
        e = tls_session_new(l->shared->tls, l->name, &c->tls);
        if (e != ERR_OK) {
            goto fail;
        }
    }
    if (uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&l->address, on_connect) != 0) {
        e = ERR_IO;
        goto fail;
    }
    *out = c;
    return ERR_OK;

fail:
    redis_conn_close(c);
    return e;
}

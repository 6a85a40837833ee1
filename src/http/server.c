#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/http_internal.h"

/* ---- what connections ask of their server ---- */

static void on_idle(uv_idle_t *idle)
{
    struct http_server *s = idle->data;
    struct list_link now;

    server_refresh_clock(s);
    /* only those that are there now: one that answers itself again must not keep the loop from its
     * sockets */
    list_init(&now);
    while (!list_is_alone(&s->deferred)) {
        struct list_link *link = s->deferred.next;
        list_remove(link);
        list_append(&now, link);
    }
    while (!list_is_alone(&now)) {
        struct conn *conn = LIST_OWNER(now.next, struct conn, deferred);
        list_remove(&conn->deferred);
        conn_run(conn);
    }
    if (list_is_alone(&s->deferred)) {
        uv_idle_stop(idle);
    }
}

void server_defer(struct http_server *s, struct conn *conn)
{
    if (list_is_alone(&conn->deferred)) {
        list_append(&s->deferred, &conn->deferred);
        uv_idle_start(&s->idle, on_idle);
    }
}

void server_refresh_clock(struct http_server *s)
{
    s->now_us = clock_mono_us();
}

struct slice server_date(struct http_server *s)
{
    uint64_t now_ms = uv_now(s->loop);

    if (now_ms - s->date_ms >= HTTP_DATE_MS || s->date[0] == '\0') {
        int64_t wall_us = clock_wall_us();
        s->date_ms = now_ms;
        s->wall_minus_mono_us = wall_us - (int64_t)clock_mono_us();
        response_date(wall_us / 1000000, s->date);
    }
    return slice_make(s->date, sizeof(s->date));
}

/*
 * A buffer with memory of its own where there is a spare one, else an empty one that will allocate.
 */
struct buf server_buf_take(struct http_server *s, size_t max)
{
    struct buf b;

    if (s->spare_buf_count > 0) {
        b = s->spare_bufs[--s->spare_buf_count];
        b.max = max;
    } else {
        buf_init(&b, max);
    }
    return b;
}

void server_buf_give(struct http_server *s, struct buf *b)
{
    buf_clear(b);
    if (b->ptr != NULL && b->cap <= HTTP_OUT_KEEP_BYTES && s->spare_buf_count < HTTP_SPARE_BUFS_MAX) {
        s->spare_bufs[s->spare_buf_count++] = *b;
        buf_init(b, b->max);
    } else {
        buf_fini(b);
    }
}

struct conn *server_conn_new(struct http_server *s)
{
    struct conn *conn =
        s->spare_conn_count > 0 ? s->spare_conns[--s->spare_conn_count] : mem_alloc(sizeof(*conn));

    s->conns_open += conn != NULL;
    return conn;
}

static void close_when_empty(struct http_server *s);

void server_conn_free(struct http_server *s, struct conn *conn)
{
    server_buf_give(s, &conn->pending);
    server_buf_give(s, &conn->out);
    s->conns_open--;
    if (s->spare_conn_count < HTTP_SPARE_CONNS_MAX && !s->is_stopping) {
        s->spare_conns[s->spare_conn_count++] = conn;
    } else {
        mem_free(conn);
    }
    close_when_empty(s);
}

/* ---- the timer ---- */

static void on_timer(uv_timer_t *timer);

static void arm(struct http_server *s, uint64_t at_ms)
{
    uint64_t now_ms = uv_now(s->loop);

    if (at_ms < s->armed_ms) {
        s->armed_ms = at_ms;
        uv_timer_start(&s->timer, on_timer, at_ms > now_ms ? at_ms - now_ms : 0, 0);
    }
}

void server_start_timer(struct http_server *s, struct conn *conn, enum timer_kind kind)
{
    arm(s, timers_start(&s->timers, &conn->timer, kind, uv_now(s->loop)));
}

static void resume_accepting(struct http_server *s);

static void on_timer(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    uint64_t now_ms = uv_now(s->loop);
    struct timer_link *expired;
    enum timer_kind kind;
    uint64_t next_ms;

    server_refresh_clock(s);
    s->armed_ms = UINT64_MAX;
    if (s->accept_resume_ms != 0 && s->accept_resume_ms <= now_ms) {
        resume_accepting(s);
    }
    while ((expired = timers_pop(&s->timers, now_ms, &kind)) != NULL) {
        conn_expire(LIST_OWNER(expired, struct conn, timer), kind);
    }
    next_ms = timers_next_ms(&s->timers);
    if (s->accept_resume_ms != 0 && s->accept_resume_ms < next_ms) {
        next_ms = s->accept_resume_ms;
    }
    if (next_ms != UINT64_MAX && !uv_is_closing((uv_handle_t *)timer)) {
        arm(s, next_ms);
    }
}

/* ---- accepting ---- */

/*
 * At the limit, the connection that has been idle longest makes room, if it has been for a while.
 */
static void shed_idle(struct http_server *s)
{
    struct timer_link *oldest = timers_oldest(&s->timers, TIMER_IDLE);

    if (oldest != NULL && uv_now(s->loop) + s->options.idle_timeout_ms >=
                              oldest->deadline_ms + (uint64_t)HTTP_SHED_IDLE_MS) {
        conn_close(LIST_OWNER(oldest, struct conn, timer));
    }
}

static void admit(struct http_server *s, int fd, const struct sockaddr_storage *peer)
{
    bool is_forbidden = !s->options.is_remote_allowed && !listen_is_loopback(peer);

    if (http_server_connections(s) >= s->options.connections_max) {
        shed_idle(s);
    }
    if (http_server_connections(s) >= s->options.connections_max + HTTP_REFUSED_MAX) {
        close(fd);
        return;
    }
    conn_open(s, fd, is_forbidden, http_server_connections(s) >= s->options.connections_max);
}

static void pause_accepting(struct http_server *s, int error)
{
    log_event_limited(&s->log_limit, LOG_WARN, "http.accept_paused",
                      log_text("error", uv_strerror(uv_translate_sys_error(error))),
                      log_u64("connections", http_server_connections(s)),
                      log_u64("pause_ms", HTTP_ACCEPT_PAUSE_MS));
    uv_poll_stop(&s->poll);
    s->accept_resume_ms = uv_now(s->loop) + HTTP_ACCEPT_PAUSE_MS;
    arm(s, s->accept_resume_ms);
}

static void on_listen(uv_poll_t *poll, int status, int events)
{
    struct http_server *s = poll->data;

    (void)events;
    if (status < 0) {
        pause_accepting(s, -status);
        return;
    }
    for (int i = 0; i < HTTP_ACCEPT_BATCH; i++) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof(peer);
        int fd = accept4(s->listen_fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            admit(s, fd, &peer);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            /* EMFILE, ENFILE, ENOBUFS, ENOMEM: the socket stays readable, so turning to it again at
             * once would spin */
            pause_accepting(s, errno);
            return;
        }
    }
}

static void resume_accepting(struct http_server *s)
{
    int rc;

    s->accept_resume_ms = 0;
    if (!s->is_stopping) {
        rc = uv_poll_start(&s->poll, UV_READABLE, on_listen);
        ASSERT(rc == 0);
    }
}

/* ---- life ---- */

static void server_delete(struct http_server *s)
{
    while (s->spare_requests != NULL) {
        struct http_request *request = s->spare_requests;
        s->spare_requests = request->next;
        arena_fini(&request->arena);
        buf_fini(&request->body);
        mem_free(request);
    }
    for (unsigned i = 0; i < s->spare_buf_count; i++) {
        buf_fini(&s->spare_bufs[i]);
    }
    for (unsigned i = 0; i < s->spare_conn_count; i++) {
        mem_free(s->spare_conns[i]);
    }
    route_table_fini(&s->routes);
    mem_free(s);
}

static void set_options(struct http_server *s, const struct http_options *options)
{
    ASSERT(options->connections_max > 0 && options->request_timeout_ms > 0 &&
           options->head_timeout_ms > 0 && options->idle_timeout_ms > 0);
    ASSERT(options->route_count < UINT16_MAX);
    s->options = *options;
    s->random.state = options->random_seed[0];
    timers_init(&s->timers);
    s->timers.duration_ms[TIMER_HEAD] = options->head_timeout_ms;
    s->timers.duration_ms[TIMER_BODY] = options->head_timeout_ms;
    s->timers.duration_ms[TIMER_IDLE] = options->idle_timeout_ms;
    s->timers.duration_ms[TIMER_REQUEST] = options->request_timeout_ms;
    s->timers.duration_ms[TIMER_WRITE] = options->request_timeout_ms;
    s->timers.duration_ms[TIMER_LINGER] = HTTP_DRAIN_MS;
    s->armed_ms = UINT64_MAX;
}

enum err http_server_new(struct uv_loop_s *loop, int listen_fd, const struct http_options *options,
                         struct http_server **out)
{
    struct http_server *s = mem_alloc(sizeof(*s));
    enum err e = ERR_NOMEM;
    int rc;

    if (s == NULL) {
        goto fail_fd;
    }
    s->loop = loop;
    s->listen_fd = listen_fd;
    set_options(s, options);
    list_init(&s->conns);
    list_init(&s->deferred);
    server_refresh_clock(s);
    (void)server_date(s);
    e = route_table_init(&s->routes, options->routes, options->route_count);
    if (e != ERR_OK) {
        goto fail_server;
    }
    e = request_spare(s);
    if (e != ERR_OK) {
        goto fail_server;
    }
    rc = uv_poll_init(loop, &s->poll, listen_fd); /* makes it non-blocking */
    if (rc != 0) {
        e = rc == UV_ENOMEM ? ERR_NOMEM : ERR_IO;
        goto fail_server;
    }
    rc = uv_timer_init(loop, &s->timer);
    ASSERT(rc == 0);
    rc = uv_idle_init(loop, &s->idle);
    ASSERT(rc == 0);
    s->poll.data = s->timer.data = s->idle.data = s;
    resume_accepting(s);
    *out = s;
    return ERR_OK;

fail_server:
    server_delete(s);
fail_fd:
    close(listen_fd);
    return e;
}

void http_server_drain(struct http_server *s)
{
    s->is_draining = true;
}

static void on_last_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;

    ASSERT(s->closing_handles > 0);
    if (--s->closing_handles == 0) {
        s->is_stopped = true;
        s->done(s->done_ctx);
    }
}

static void close_when_empty(struct http_server *s)
{
    /* listen_fd is -1 once the poll handle is closed too */
    if (s->is_stopping && s->conns_open == 0 && s->listen_fd == -1 && s->closing_handles == 0 &&
        !s->is_stopped) {
        s->closing_handles = 2;
        uv_close((uv_handle_t *)&s->timer, on_last_closed);
        uv_close((uv_handle_t *)&s->idle, on_last_closed);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;

    close(s->listen_fd);
    s->listen_fd = -1;
    close_when_empty(s);
}

void http_server_stop(struct http_server *s, void (*done)(void *ctx), void *ctx)
{
    struct list_link *link = s->conns.next;

    ASSERT(!s->is_stopping);
    s->is_stopping = true;
    s->done = done;
    s->done_ctx = ctx;
    uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
    while (link != &s->conns) {
        struct conn *conn = LIST_OWNER(link, struct conn, link);
        link = link->next;
        if (conn_is_idle(conn)) {
            conn_close(conn);
        }
    }
}

void http_server_abort(struct http_server *s)
{
    while (!list_is_alone(&s->conns)) {
        conn_close(LIST_OWNER(s->conns.next, struct conn, link));
    }
}

void server_free_if_unused(struct http_server *s)
{
    if (s->is_freed && s->requests_live == 0) {
        server_delete(s);
    }
}

void http_server_free(struct http_server *s)
{
    if (s == NULL) {
        return;
    }
    ASSERT(s->is_stopped && !s->is_freed);
    s->is_freed = true;
    server_free_if_unused(s);
}

unsigned http_server_in_flight(const struct http_server *s)
{
    return atomic_load_explicit(&s->in_flight, memory_order_relaxed);
}

unsigned http_server_connections(const struct http_server *s)
{
    return atomic_load_explicit(&s->connections, memory_order_relaxed);
}

/*
 * One connection. Happy path: on_read -> take -> take_head (-> take_body) -> complete -> handler ->
 * conn_respond -> conn_flush -> request_done, and again; settle then arranges reading and the one
 * deadline for the state it is left in.
 *
 * Failure paths:
 * - A bad request: fault -> the renderer answers -> CONN_FINISH -> all sent -> CONN_LINGER: our
 *   side is shut, what the peer still sends is dropped until it closes or HTTP_DRAIN_MS is over. A
 *   plain close would reset the connection under an answer that the peer has not read yet.
 * - The peer resets, or takes nothing for too long: conn_close; a request in work loses its
 *   connection, not its life.
 * - The peer shuts its side: it is answered as usual, then closed.
 * - The handler answers later: take stops at CONN_WORK, bytes that come meanwhile wait in
 *   `pending`.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/assert.h"
#include "http/http_internal.h"

static size_t unread(const struct conn *conn)
{
    return conn->pending.len - conn->pending_at;
}

static bool has_output(const struct conn *conn)
{
    return conn->out.len > conn->out_at;
}

/* Nothing of a request has come, or no more than the CRLF that may stand before one. */
bool conn_is_idle(const struct conn *conn)
{
    return conn->state == CONN_HEAD && !conn->is_writing && !has_output(conn) &&
           (unread(conn) == 0 ||
            !framing_head_has_begun(conn->pending.ptr + conn->pending_at, unread(conn)));
}

/* ---- closing ---- */

static void on_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;

    server_conn_free(conn->server, conn);
}

static void finish_answered(struct conn *conn)
{
    while (conn->answered_head != NULL) {
        struct http_request *request = conn->answered_head;
        conn->answered_head = request->next;
        request->next = NULL;
        request_done(request);
        request_unref(request);
    }
    conn->answered_tail = NULL;
    conn->answered_count = 0;
}

static void drop_request(struct conn *conn)
{
    struct http_request *request = conn->request;

    conn->request = NULL;
    if (request == NULL) {
        return;
    }
    request->conn = NULL;
    if (request->is_given) {
        request_done(request);
    }
    request_unref(request);
}

void conn_close(struct conn *conn)
{
    if (conn->state == CONN_CLOSED) {
        return;
    }
    conn->state = CONN_CLOSED;
    timers_stop(&conn->timer);
    list_remove(&conn->deferred);
    list_remove(&conn->link);
    atomic_fetch_sub_explicit(&conn->server->connections, 1, memory_order_relaxed);
    uv_close((uv_handle_t *)&conn->tcp, on_closed);
    finish_answered(conn);
    drop_request(conn);
}

/* ---- writing ---- */

static void settle(struct conn *conn);
static void conn_flush(struct conn *conn);

static void on_write(uv_write_t *write, int status)
{
    struct conn *conn = write->data;

    conn->is_writing = false;
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (status < 0) {
        conn_close(conn);
        return;
    }
    conn->out_at += conn->write_len;
    conn->is_timer_stale = true;
    conn_run(conn);
}

/* Bytes that the kernel holds for the peer. */
static int held_by_kernel(const struct conn *conn)
{
    uv_os_fd_t fd = -1;
    int bytes = 0;

    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) != 0 || ioctl(fd, SIOCOUTQ, &bytes) != 0) {
        return 0;
    }
    return bytes;
}

/* The socket becomes writable only when a third of the kernel's buffer is free, which may be
 * megabytes: whether a slow peer still reads is told by what the kernel holds for it. */
static bool has_taken_a_stride(struct conn *conn)
{
    int held = held_by_kernel(conn);
    bool is_enough = conn->kernel_mark - held >= HTTP_WRITE_STRIDE_BYTES;

    conn->kernel_mark = held;
    return is_enough;
}

/* The socket is full: let libuv send the next stride, and stop everything else meanwhile. */
static void write_later(struct conn *conn)
{
    size_t len = conn->out.len - conn->out_at;
    uv_buf_t bytes;

    conn->write_len = len < HTTP_WRITE_STRIDE_BYTES ? len : HTTP_WRITE_STRIDE_BYTES;
    bytes = uv_buf_init(conn->out.ptr + conn->out_at, (unsigned)conn->write_len);
    conn->write.data = conn;
    if (uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &bytes, 1, on_write) != 0) {
        conn_close(conn);
        return;
    }
    conn->is_writing = true;
    conn->is_timer_stale = true;
    conn->kernel_mark = held_by_kernel(conn);
}

/* Send what is in out. When all of it is with the kernel, its requests are done. */
static void conn_flush(struct conn *conn)
{
    while (conn->state != CONN_CLOSED && !conn->is_writing && has_output(conn)) {
        uv_buf_t bytes =
            uv_buf_init(conn->out.ptr + conn->out_at, (unsigned)(conn->out.len - conn->out_at));
        int sent = uv_try_write((uv_stream_t *)&conn->tcp, &bytes, 1);
        if (sent == UV_EAGAIN) {
            write_later(conn);
            return;
        }
        if (sent < 0) {
            conn_close(conn);
            return;
        }
        conn->out_at += (size_t)sent;
    }
    if (conn->state == CONN_CLOSED || conn->is_writing) {
        return;
    }
    buf_clear(&conn->out);
    conn->out_at = 0;
    finish_answered(conn);
}

static void out_ready(struct conn *conn)
{
    ASSERT(!conn->is_writing);
    if (conn->out.ptr == NULL) {
        conn->out = server_buf_take(conn->server, HTTP_OUT_BYTES_MAX);
    }
}

void conn_respond(struct conn *conn, struct http_request *request, unsigned status,
                  const struct http_field *fields, unsigned field_count, struct slice body)
{
    struct http_server *s = conn->server;
    struct response r = {.status = status, .fields = fields, .field_count = field_count, .body = body};

    ASSERT(conn->request == request && conn->state == CONN_WORK);
    request->is_last = request->is_last || s->is_draining || s->is_stopping;
    request_response(request, &r);
    r.date = server_date(s);
    out_ready(conn);
    if (response_write(&conn->out, &r) != ERR_OK) {
        conn_close(conn); /* the peer must take it as unknown */
        return;
    }
    conn->request = NULL;
    conn->state = request->is_last ? CONN_FINISH : CONN_HEAD;
    conn->is_served = true;
    conn->is_late = false;
    conn->is_timer_stale = true;
    if (conn->answered_tail == NULL) {
        conn->answered_head = request;
    } else {
        conn->answered_tail->next = request;
    }
    conn->answered_tail = request;
    conn->answered_count++;
    if (!conn->is_busy) { /* a late answer: send it now, read on from the loop */
        conn_flush(conn);
        if (conn->state == CONN_HEAD && !conn->is_writing && (unread(conn) > 0 || conn->is_eof)) {
            server_defer(s, conn);
        }
        settle(conn);
    }
}

/* ---- requests ---- */

static void call_renderer(struct conn *conn, struct http_request *request, enum http_fault fault)
{
    const struct http_callbacks *callbacks = &conn->server->options.callbacks;

    conn->state = CONN_WORK;
    http_hold(request);
    request_give(request);
    callbacks->render_fault(request, fault, callbacks->ctx);
    ASSERT(request->is_answered);
    http_release(request);
}

/* Refuse and close: where the request ends is not known, or not worth reading. */
static void fault_last(struct conn *conn, enum http_fault fault)
{
    conn->request->is_last = true;
    call_renderer(conn, conn->request, fault);
}

static void call_handler(struct conn *conn, struct http_request *request)
{
    struct http_server *s = conn->server;

    conn->state = CONN_WORK;
    request->view.deadline_mono_us = s->now_us + (uint64_t)s->options.request_timeout_ms * 1000;
    http_hold(request);
    request_give(request);
    s->options.routes[request->view.route].handle(request, &request->view, s->options.callbacks.ctx);
    http_release(request);
}

/* The whole request is here. */
static void complete(struct conn *conn)
{
    struct http_request *request = conn->request;

    if (request->is_refused) {
        call_renderer(conn, request, request->fault);
    } else if (request->is_options) {
        conn->state = CONN_WORK;
        http_hold(request);
        request_give(request);
        http_respond(request, 204, NULL, 0, SLICE_NONE);
        http_release(request);
    } else {
        request->view.body = buf_slice(&request->body);
        call_handler(conn, request);
    }
}

static bool is_closing_fault(enum http_fault fault)
{
    switch (fault) {
    case HTTP_FAULT_BAD_PATH_PARAM:
    case HTTP_FAULT_BAD_QUERY:
    case HTTP_FAULT_NO_ROUTE:
    case HTTP_FAULT_BAD_METHOD:
    case HTTP_FAULT_BAD_MEDIA_TYPE:
        return false;
    case HTTP_FAULT_BAD_REQUEST:
    case HTTP_FAULT_FORBIDDEN_PEER:
    case HTTP_FAULT_TIMEOUT:
    case HTTP_FAULT_BODY_TOO_LARGE:
    case HTTP_FAULT_URI_TOO_LONG:
    case HTTP_FAULT_HEAD_TOO_LARGE:
    case HTTP_FAULT_TOO_MANY:
    case HTTP_FAULT_NOMEM:
        break;
    }
    return true;
}

/* An interim answer, only to those who wait for it: RFC 9110, 10.1.1. */
static void say_continue(struct conn *conn)
{
    struct slice line = SLICE("HTTP/1.1 100 Continue\r\n\r\n");

    out_ready(conn);
    buf_append_slice(&conn->out, line);
    if (conn->out.err != ERR_OK) {
        conn_close(conn);
        return;
    }
    conn_flush(conn);
}

/* bytes start with a complete head; more_len bytes are behind it already. */
static void on_head(struct conn *conn, const char *bytes, size_t more_len)
{
    struct http_request *request = conn->request;
    const struct framing_head *h = &request->reader.head;
    uint64_t body_max;

    if (request_view_head(request, bytes) != ERR_OK) {
        fault_last(conn, HTTP_FAULT_NOMEM);
        return;
    }
    body_max = judge_head(request, conn->is_forbidden);
    if (request->is_refused && is_closing_fault(request->fault)) {
        fault_last(conn, request->fault);
        return;
    }
    if (!h->is_chunked && h->content_length == 0) {
        complete(conn);
        return;
    }
    if (request->is_refused && (h->is_continue_expected || h->content_length > body_max)) {
        fault_last(conn, request->fault); /* better unsent than read for nothing */
        return;
    }
    reader_expect_body(&request->reader, body_max);
    request->body.max = body_max;
    conn->state = CONN_BODY;
    conn->body_mark = 0;
    conn->is_timer_stale = true;
    if (h->is_continue_expected && more_len == 0) {
        say_continue(conn);
    }
}

static enum http_fault fault_of(enum framing_verdict verdict)
{
    switch (verdict) {
    case FRAMING_URI_TOO_LONG:
        return HTTP_FAULT_URI_TOO_LONG;
    case FRAMING_HEAD_TOO_LARGE:
        return HTTP_FAULT_HEAD_TOO_LARGE;
    case FRAMING_BODY_TOO_LARGE:
        return HTTP_FAULT_BODY_TOO_LARGE;
    default:
        return HTTP_FAULT_BAD_REQUEST;
    }
}

/* Refuse a request that reads wrong. */
static void fault_bad(struct conn *conn, enum http_reason reason)
{
    conn->request->reason = reason;
    fault_last(conn, HTTP_FAULT_BAD_REQUEST);
}

/* Returns false when the head needs more bytes. */
static bool take_head(struct conn *conn, const char *bytes, size_t len, size_t *used)
{
    enum framing_verdict verdict;

    if (conn->request == NULL) {
        conn->request = request_new(conn->server, false);
        if (conn->request == NULL) {
            conn->request = request_new(conn->server, true);
            if (conn->request == NULL) {
                conn_close(conn);
                return true;
            }
            conn->request->conn = conn;
            request_view_partial(conn->request, bytes);
            fault_last(conn, HTTP_FAULT_NOMEM);
            return true;
        }
        conn->request->conn = conn;
    }
    verdict = reader_head(&conn->request->reader, bytes, len);
    if (verdict == FRAMING_MORE) {
        return false;
    }
    if (verdict == FRAMING_DONE) {
        *used = conn->request->reader.head.at;
        on_head(conn, bytes, len - *used);
        return true;
    }
    request_view_partial(conn->request, bytes);
    if (verdict == FRAMING_BAD) {
        fault_bad(conn, reader_reason(&conn->request->reader));
    } else {
        fault_last(conn, fault_of(verdict));
    }
    return true;
}

static void body_wrong(struct conn *conn, enum framing_verdict verdict)
{
    struct http_request *request = conn->request;

    if (verdict == FRAMING_BAD) {
        fault_bad(conn, reader_reason(&request->reader));
    } else if (verdict == FRAMING_BODY_TOO_LARGE && request->is_refused) {
        fault_last(conn, request->fault);
    } else if (verdict == FRAMING_BODY_TOO_LARGE && request->reader.body.bytes_max == 0) {
        fault_bad(conn, HTTP_REASON_NO_BODY);
    } else {
        fault_last(conn, fault_of(verdict));
    }
}

/* Returns false when the body needs more bytes; all of these are then used. */
static bool take_body(struct conn *conn, const char *bytes, size_t len, size_t *used)
{
    struct http_request *request = conn->request;

    for (;;) {
        struct slice data = SLICE_NONE;
        size_t count = 0;
        enum framing_verdict verdict =
            reader_body(&request->reader, bytes + *used, len - *used, &count, &data);
        *used += count;
        switch (verdict) {
        case FRAMING_MORE:
            return false;
        case FRAMING_DONE:
            complete(conn);
            return true;
        case FRAMING_DATA:
            if (!request->is_refused) {
                buf_append_slice(&request->body, data);
            }
            if (request->body.err != ERR_OK) {
                fault_last(conn, HTTP_FAULT_NOMEM);
                return true;
            }
            break;
        default:
            body_wrong(conn, verdict);
            return true;
        }
    }
}

/* Work through bytes as far as the state allows. Returns how many are used up. */
static size_t take(struct conn *conn, const char *bytes, size_t len)
{
    size_t at = 0;
    bool goes_on = true;

    conn->is_busy = true;
    while (goes_on) {
        size_t used = 0;
        if (conn->out.len - conn->out_at >= HTTP_OUT_FLUSH_BYTES ||
            conn->answered_count >= HTTP_OUT_FLUSH_COUNT) {
            conn_flush(conn);
        }
        if (conn->state > CONN_WORK) {
            at = len; /* nothing behind the last answer is a request */
            break;
        }
        if (conn->state == CONN_WORK || conn->is_writing || at == len) {
            break;
        }
        if (conn->state == CONN_HEAD) {
            goes_on = take_head(conn, bytes + at, len - at, &used);
        } else {
            goes_on = take_body(conn, bytes + at, len - at, &used);
        }
        at += used;
    }
    conn->is_busy = false;
    return at;
}

static void take_pending(struct conn *conn)
{
    if (unread(conn) > 0) {
        conn->pending_at += take(conn, conn->pending.ptr + conn->pending_at, unread(conn));
    }
    if (unread(conn) == 0 && conn->pending.ptr != NULL) {
        conn->pending_at = 0;
        server_buf_give(conn->server, &conn->pending);
    }
}

/* ---- what follows an event ---- */

/* The peer has shut its side: whoever is in the middle of a request will never finish it. */
static void on_early_end(struct conn *conn)
{
    if (conn_is_idle(conn)) {
        conn_close(conn);
        return;
    }
    conn->is_busy = true;
    if (conn->state == CONN_HEAD) {
        request_view_partial(conn->request, conn->pending.ptr + conn->pending_at);
    }
    fault_bad(conn, HTTP_REASON_CUT);
    conn->is_busy = false;
    conn_flush(conn);
}

static void linger(struct conn *conn)
{
    uv_os_fd_t fd = -1;

    if (conn->is_eof || uv_fileno((uv_handle_t *)&conn->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        conn_close(conn);
        return;
    }
    conn->state = CONN_LINGER;
    conn->is_timer_stale = true;
    conn->pending_at = 0;
    server_buf_give(conn->server, &conn->pending);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *conn = handle->data;

    (void)suggested;
    *buf = uv_buf_init(conn->server->slab, (unsigned)(HTTP_READ_BYTES - unread(conn)));
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf);

static void arrange_reading(struct conn *conn)
{
    bool wanted = !conn->is_eof && unread(conn) < HTTP_READ_BYTES;

    if (wanted == conn->is_reading) {
        return;
    }
    conn->is_reading = wanted;
    if (!wanted) {
        uv_read_stop((uv_stream_t *)&conn->tcp);
    } else if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) {
        conn_close(conn);
    }
}

static enum timer_kind deadline_kind(const struct conn *conn)
{
    if (conn->is_writing) {
        return TIMER_WRITE;
    }
    switch (conn->state) {
    case CONN_HEAD:
        return conn->is_served && conn_is_idle(conn) ? TIMER_IDLE : TIMER_HEAD;
    case CONN_BODY:
        return TIMER_BODY;
    case CONN_WORK:
        return conn->is_late ? TIMER_NONE : TIMER_REQUEST;
    case CONN_LINGER:
        return TIMER_LINGER;
    case CONN_FINISH:
    case CONN_CLOSED:
        break;
    }
    return TIMER_NONE;
}

static void arrange_deadline(struct conn *conn)
{
    enum timer_kind kind = deadline_kind(conn);

    if (conn->state == CONN_BODY &&
        conn->request->reader.body.total - conn->body_mark >= HTTP_BODY_STRIDE_BYTES) {
        conn->body_mark = conn->request->reader.body.total;
        conn->is_timer_stale = true;
    }
    if (kind == TIMER_NONE) {
        timers_stop(&conn->timer);
    } else if (kind != conn->timer.kind || conn->is_timer_stale) {
        server_start_timer(conn->server, conn, kind);
    }
    conn->is_timer_stale = false;
}

/*
 * All callbacks end here: put reading, deadline and buffers into the shape that the state asks for.
 */
static void settle(struct conn *conn)
{
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (conn->is_eof && !conn->is_writing && list_is_alone(&conn->deferred) &&
        (conn->state == CONN_HEAD || conn->state == CONN_BODY)) {
        on_early_end(conn);
    }
    if (conn->state == CONN_FINISH && !conn->is_writing) {
        linger(conn);
    }
    if (conn->state == CONN_CLOSED) {
        return;
    }
    if (!conn->is_writing && conn->out.ptr != NULL && !has_output(conn)) {
        server_buf_give(conn->server, &conn->out);
    }
    arrange_reading(conn);
    if (conn->state != CONN_CLOSED) {
        arrange_deadline(conn);
    }
}

void conn_run(struct conn *conn)
{
    conn_flush(conn);
    take_pending(conn);
    conn_flush(conn);
    settle(conn);
}

static void keep_unread(struct conn *conn, const char *bytes, size_t len)
{
    if (conn->pending.ptr == NULL) {
        conn->pending = server_buf_take(conn->server, HTTP_READ_BYTES);
    }
    if (conn->pending_at > 0) {
        buf_drop_front(&conn->pending, conn->pending_at);
        conn->pending_at = 0;
    }
    buf_append(&conn->pending, bytes, len);
    if (conn->pending.err != ERR_OK) {
        conn_close(conn);
    }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;

    if (count == 0) {
        return;
    }
    if (count < 0) {
        conn->is_eof = true;
        conn->is_reading = false;
        if (count != UV_EOF || conn->state == CONN_LINGER) {
            conn_close(conn);
        } else {
            settle(conn);
        }
        return;
    }
    if (conn->state == CONN_LINGER) {
        return; /* dropped */
    }
    server_refresh_clock(conn->server);
    if (unread(conn) == 0) {
        size_t used = take(conn, buf->base, (size_t)count);
        if (conn->state < CONN_FINISH && used < (size_t)count) {
            keep_unread(conn, buf->base + used, (size_t)count - used);
        }
    } else {
        keep_unread(conn, buf->base, (size_t)count);
        if (conn->state != CONN_CLOSED) {
            take_pending(conn);
        }
    }
    conn_flush(conn);
    settle(conn);
}

/* ---- events from the server ---- */

void conn_expire(struct conn *conn, enum timer_kind kind)
{
    const struct http_callbacks *callbacks = &conn->server->options.callbacks;
    struct http_request *request = conn->request;

    switch (kind) {
    case TIMER_HEAD:
    case TIMER_BODY:
        if (conn_is_idle(conn)) {
            conn_close(conn);
            return;
        }
        conn->is_busy = true;
        if (conn->state == CONN_HEAD) {
            request_view_partial(request, conn->pending.ptr + conn->pending_at);
        }
        fault_last(conn, HTTP_FAULT_TIMEOUT);
        conn->is_busy = false;
        conn_flush(conn);
        settle(conn);
        return;
    case TIMER_REQUEST:
        conn->is_late = true;
        http_hold(request);
        callbacks->on_deadline(request, callbacks->ctx);
        http_release(request);
        return;
    case TIMER_WRITE:
        if (has_taken_a_stride(conn)) {
            settle(conn);
        } else {
            conn_close(conn);
        }
        return;
    default:
        conn_close(conn);
        return;
    }
}

static void refuse(struct conn *conn)
{
    conn->request = request_new(conn->server, true);
    if (conn->request == NULL) {
        conn_close(conn);
        return;
    }
    conn->request->conn = conn;
    request_view_partial(conn->request, "");
    conn->is_busy = true;
    fault_last(conn, HTTP_FAULT_TOO_MANY);
    conn->is_busy = false;
    conn_flush(conn);
}

void conn_open(struct http_server *s, int fd, bool is_forbidden, bool is_refused)
{
    struct conn *conn = server_conn_new(s);
    int rc;

    if (conn == NULL) {
        close(fd);
        return;
    }
    *conn = (struct conn){.server = s, .is_forbidden = is_forbidden};
    list_init(&conn->link);
    list_init(&conn->deferred);
    buf_init(&conn->pending, HTTP_READ_BYTES);
    buf_init(&conn->out, HTTP_OUT_BYTES_MAX);
    rc = uv_tcp_init(s->loop, &conn->tcp);
    ASSERT(rc == 0); /* without flags it makes no system call */
    conn->tcp.data = conn;
    list_append(&s->conns, &conn->link);
    atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
    if (uv_tcp_open(&conn->tcp, fd) != 0) {
        close(fd);
        conn_close(conn);
        return;
    }
    (void)uv_tcp_nodelay(&conn->tcp, 1); /* only speed is lost when it fails */
    if (is_refused) {
        refuse(conn);
    }
    settle(conn);
}

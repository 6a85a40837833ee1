#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/http_internal.h"

static struct http_request *request_alloc(struct http_server *s)
{
    struct http_request *request = mem_alloc(sizeof(*request));

    if (request != NULL) {
        request->server = s;
        arena_init(&request->arena, HTTP_ARENA_BYTES_MAX);
        buf_init(&request->body, 0); /* the route sets its ceiling */
    }
    return request;
}

enum err request_spare(struct http_server *s)
{
    struct http_request *request = request_alloc(s);

    if (request == NULL) {
        return ERR_NOMEM;
    }
    request->next = s->spare_requests;
    s->spare_requests = request;
    s->spare_request_count++;
    return ERR_OK;
}

struct http_request *request_new(struct http_server *s, bool is_emergency)
{
    struct http_request *request;

    if (s->spare_request_count > (is_emergency ? 0u : 1u)) {
        request = s->spare_requests;
        s->spare_requests = request->next;
        s->spare_request_count--;
    } else {
        request = request_alloc(s);
        if (request == NULL) {
            return NULL;
        }
    }
    memset(&request->conn, 0,
           offsetof(struct http_request, arena) - offsetof(struct http_request, conn));
    request->next = NULL;
    request->refs = 1;
    request->view.start_mono_us = s->now_us;
    request->view.route = (uint16_t)s->routes.count;
    reader_init(&request->reader);
    s->requests_live++;
    return request;
}

void request_unref(struct http_request *request)
{
    struct http_server *s = request->server;

    ASSERT(request->refs > 0);
    if (--request->refs > 0) {
        return;
    }
    ASSERT(request->conn == NULL);
    s->requests_live--;
    if (s->is_freed || s->spare_request_count >= HTTP_SPARE_REQUESTS_MAX) {
        arena_fini(&request->arena);
        buf_fini(&request->body);
        mem_free(request);
        server_free_if_unused(s);
        return;
    }
    arena_reset(&request->arena);
    if (request->body.cap > HTTP_BODY_KEEP_BYTES) {
        buf_fini(&request->body);
    }
    buf_clear(&request->body);
    request->next = s->spare_requests;
    s->spare_requests = request;
    s->spare_request_count++;
}

void request_give(struct http_request *request)
{
    ASSERT(!request->is_given);
    request->is_given = true;
    atomic_fetch_add_explicit(&request->server->in_flight, 1, memory_order_relaxed);
}

void request_done(struct http_request *request)
{
    const struct http_callbacks *callbacks = &request->server->options.callbacks;
    uint64_t now_us = clock_mono_us();

    ASSERT(request->is_given);
    request->conn = NULL;
    atomic_fetch_sub_explicit(&request->server->in_flight, 1, memory_order_relaxed);
    callbacks->on_done(request, request->status, now_us - request->view.start_mono_us,
                       callbacks->ctx);
}

static bool is_request_id(struct slice id)
{
    if (id.len == 0 || id.len > HTTP_REQUEST_ID_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-')) {
            return false;
        }
    }
    return true;
}

static struct slice field_value(const struct http_request *request, unsigned index)
{
    const struct framing_field *field = &request->reader.head.fields[index];

    return slice_make(request->head.ptr + field->value_at, field->value_len);
}

static void set_request_id(struct http_request *request)
{
    struct http_server *s = request->server;
    unsigned known = request->reader.head.known[FRAMING_REQUEST_ID];

    if (request->head.len > 0 && known != 0 && is_request_id(field_value(request, known - 1u))) {
        request->view.request_id = field_value(request, known - 1u);
        return;
    }
    uuid_v7(&s->random, (int64_t)s->now_us + s->wall_minus_mono_us, request->made_id);
    request->view.request_id = slice_make(request->made_id, sizeof(request->made_id));
}

/* The path that a request line names; bytes are those of its head. */
static struct slice path_of(const struct framing_head *h, const char *bytes)
{
    if (h->is_asterisk) {
        return SLICE("*");
    }
    return h->path_len == 0 ? SLICE("/") : slice_make(bytes + h->path_at, h->path_len);
}

/* Whom a request was for that no handler will see. It needs no memory: its answer may be that there is none. */
static void set_route(struct http_request *request, const char *bytes)
{
    const struct framing_head *h = &request->reader.head;

    request->view.method = HTTP_OTHER;
    if (h->has_line) {
        request->view.method = h->method;
        request->view.route =
            (uint16_t)route_find(&request->server->routes, path_of(h, bytes), h->method).route;
    }
}

void request_view_partial(struct http_request *request, const char *bytes)
{
    const struct framing_head *h = &request->reader.head;

    set_route(request, bytes);
    if (h->target_len > 0 &&
        arena_copy(&request->arena, slice_make(bytes, h->at), &request->head) == ERR_OK) {
        const char *target = request->head.ptr + h->target_at;
        const char *query = memchr(target, '?', h->target_len);
        request->view.method = h->method;
        request->view.path =
            h->has_line
                ? path_of(h, request->head.ptr)
                : slice_make(target, query == NULL ? h->target_len : (size_t)(query - target));
    }
    set_request_id(request);
}

enum err request_view_head(struct http_request *request, const char *bytes)
{
    const struct framing_head *h = &request->reader.head;
    enum err e = arena_copy(&request->arena, slice_make(bytes, h->at), &request->head);

    set_request_id(request);
    if (e != ERR_OK) {
        set_route(request, bytes);
        return e;
    }
    request->view.method = h->method;
    request->view.path = path_of(h, request->head.ptr);
    if (h->version_minor == 0) {
        request->is_last = !h->has_keep_alive || h->has_close;
    } else {
        request->is_last = h->has_close;
    }
    return ERR_OK;
}

void request_response(const struct http_request *request, struct response *r)
{
    r->is_close = request->is_last;
    r->is_keep_alive_said = request->head.len > 0 && request->reader.head.version_minor == 0;
    r->is_head = request->view.method == HTTP_HEAD;
    r->methods = request->methods;
    r->request_id = request->view.request_id;
}

/* ---- what a handler may do ---- */

const struct http_view *http_view(const struct http_request *request)
{
    return &request->view;
}

static bool is_named(const struct http_request *request, unsigned index, struct slice name)
{
    const struct framing_field *field = &request->reader.head.fields[index];

    return field->name_len == name.len &&
           slice_equal_nocase(slice_make(request->head.ptr + field->name_at, field->name_len), name);
}

enum http_reason http_fault_reason(const struct http_request *request)
{
    return request->reason;
}

bool http_header(const struct http_request *request, const char *name, struct slice *value)
{
    struct slice wanted = slice_of(name);

    for (unsigned i = 0; request->head.len > 0 && i < request->reader.head.field_count; i++) {
        if (is_named(request, i, wanted)) {
            *value = field_value(request, i);
            return true;
        }
    }
    return false;
}

unsigned http_header_count(const struct http_request *request, const char *name)
{
    struct slice wanted = slice_of(name);
    unsigned count = 0;

    for (unsigned i = 0; request->head.len > 0 && i < request->reader.head.field_count; i++) {
        count += is_named(request, i, wanted);
    }
    return count;
}

struct arena *http_arena(struct http_request *request)
{
    return &request->arena;
}

void http_set_user(struct http_request *request, void *user)
{
    request->user = user;
}

void *http_user(const struct http_request *request)
{
    return request->user;
}

void http_hold(struct http_request *request)
{
    request->refs++;
}

void http_release(struct http_request *request)
{
    request_unref(request);
}

bool http_is_answered(const struct http_request *request)
{
    return request->is_answered;
}

void http_respond(struct http_request *request, unsigned status, const struct http_field *fields,
                  unsigned field_count, struct slice body)
{
    ASSERT(request->is_given && !request->is_answered);
    ASSERT(status >= 200 && status <= 599);
    ASSERT((status != 204 && status != 304) || body.len == 0);
    request->is_answered = true;
    request->status = status;
    if (request->conn != NULL) { /* else the peer went */
        conn_respond(request->conn, request, status, fields, field_count, body);
    }
}

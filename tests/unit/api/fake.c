#include "fake.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

/* ---- http.h over a struct ---- */

const struct http_view *http_view(const struct http_request *request)
{
    return &request->view;
}

bool http_header(const struct http_request *request, const char *name, struct slice *value)
{
    for (unsigned i = 0; i < request->header_count; i++) {
        if (slice_equal_nocase(slice_of(request->headers[i].name), slice_of(name))) {
            *value = slice_of(request->headers[i].value);
            return true;
        }
    }
    return false;
}

enum http_reason http_fault_reason(const struct http_request *request)
{
    return request->reason;
}

unsigned http_header_count(const struct http_request *request, const char *name)
{
    unsigned count = 0;

    for (unsigned i = 0; i < request->header_count; i++) {
        count += slice_equal_nocase(slice_of(request->headers[i].name), slice_of(name)) ? 1 : 0;
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
    request->holds++;
}

void http_release(struct http_request *request)
{
    ASSERT(request->holds > 0);
    request->holds--;
}

bool http_is_answered(const struct http_request *request)
{
    return request->is_answered;
}

void http_respond(struct http_request *request, unsigned status, const struct http_field *fields,
                  unsigned field_count, struct slice body)
{
    assert_false(request->is_answered);
    assert_true(status >= 200 && status <= 599);
    assert_true((status != 204 && status != 304) || body.len == 0);
    assert_true(field_count <= FAKE_FIELDS_MAX);
    request->is_answered = true;
    request->answers++;
    request->status = status;
    request->field_count = field_count;
    for (unsigned i = 0; i < field_count; i++) {
        (void)snprintf(request->fields[i].name, sizeof(request->fields[i].name), "%s",
                       fields[i].name);
        (void)snprintf(request->fields[i].value, sizeof(request->fields[i].value), SLICE_FORMAT,
                       SLICE_ARGS(fields[i].value));
    }
    free(request->body); /* the test's own memory: an allocation that is made to fail is never this one */
    request->body = calloc(1, body.len + 1);
    assert_non_null(request->body);
    if (body.len > 0) {
        memcpy(request->body, body.ptr, body.len);
    }
}

/* ---- the store ---- */

static struct fake_store *store_of(struct store *s)
{
    return (struct fake_store *)s;
}

static void ops_finish(struct fake_store *f, struct queue_list *ops)
{
    struct queue_link *link;

    while ((link = queue_list_pop(ops)) != NULL) {
        struct store_op *op = (struct store_op *)link;
        struct queue_list one = {0};
        if (!f->is_slow && !store_claim(op)) {
            op->status = STORE_UNAVAILABLE;
        } else if (f->fill != NULL) {
            f->fill(op);
        }
        queue_list_push(&one, &op->link);
        store_complete(op->sink, &one);
    }
}

static void hand_over(struct store *s, struct queue_list *ops)
{
    struct fake_store *f = store_of(s);

    if (f->is_full) {
        return;
    }
    f->handed += (unsigned)ops->len;
    f->last = (struct store_op *)ops->tail;
    if (f->is_slow) {
        queue_list_move(&f->kept, ops);
        return;
    }
    ops_finish(f, ops);
}

static enum store_health health(struct store *s)
{
    return store_of(s)->health;
}

static void close_nothing(struct store *s)
{
    (void)s;
}

static const struct store_methods methods = {.hand_over = hand_over,
                                             .health = health,
                                             .close = close_nothing};

static void wake(void *ctx)
{
    (void)ctx;
}

/* ---- the stage ---- */

struct currency fake_currency(const char *text)
{
    struct currency c;

    assert_int_equal(currency_parse(slice_of(text), &c), ERR_OK);
    return c;
}

void fake_init_with(struct fake *f, const struct api_options *options)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(metrics_new(&f->metrics), ERR_OK);
    assert_int_equal(api_shared_init(&f->shared, options, f->metrics), ERR_OK);
    assert_int_equal(metrics_shard_new(f->metrics, &f->shard), ERR_OK);
    f->store.store = (struct store){.methods = &methods, .name = "fake", .durability = "memory"};
    api_shared_attach(&f->shared, &f->store.store);
    assert_int_equal(store_sink_init(&f->sink, wake, NULL), ERR_OK);
    assert_int_equal(api_loop_init(&f->loop, &f->shared, &f->sink, f->shard), ERR_OK);
    arena_init(&f->request.arena, 4 << 20);
}

void fake_init(struct fake *f)
{
    const struct api_options options = {.default_currency = fake_currency("CNY"),
                                        .auto_create = true};

    fake_init_with(f, &options);
}

void fake_fini(struct fake *f)
{
    assert_int_equal(api_loop_busy(&f->loop), 0);
    assert_int_equal(f->request.holds, 0);
    api_loop_fini(&f->loop);
    store_sink_fini(&f->sink);
    api_shared_fini(&f->shared);
    metrics_free(f->metrics);
    arena_fini(&f->request.arena);
    free(f->request.body);
}

static void request_reset(struct http_request *r)
{
    struct arena arena = r->arena;

    assert_int_equal(r->holds, 0);
    free(r->body);
    memset(r, 0, sizeof(*r));
    r->arena = arena;
    arena_reset(&r->arena);
}

/* Match a template, taking its parameters. */
static bool template_matches(const char *template, struct slice path, struct http_view *view)
{
    view->param_count = 0;
    while (*template != '\0') {
        size_t len = 0;
        if (*template != '{') {
            if (path.len == 0 || path.ptr[0] != *template) {
                return false;
            }
            path = slice_make(path.ptr + 1, path.len - 1);
            template ++;
            continue;
        }
        while (len < path.len && path.ptr[len] != '/') {
            len++;
        }
        view->params[view->param_count++] = slice_make(path.ptr, len);
        path = slice_make(path.ptr + len, path.len - len);
        template = strchr(template, '}') + 1;
    }
    return path.len == 0;
}

static void route_find(struct http_view *view)
{
    unsigned count;
    const struct http_route *routes = api_routes(&count);
    enum http_method method = view->method == HTTP_HEAD ? HTTP_GET : view->method;

    for (unsigned i = 0; i < count; i++) {
        if (routes[i].method == method && template_matches(routes[i].template, view->path, view)) {
            view->route = (uint16_t)i;
            return;
        }
    }
    view->route = (uint16_t)count;
}

static void query_split(struct http_view *view, char *text)
{
    char *rest = text, *item;

    while ((item = strsep(&rest, "&")) != NULL) {
        char *value = strchr(item, '=');
        assert_true(view->query_count < HTTP_QUERY_MAX);
        if (value != NULL) {
            *value++ = '\0';
        }
        view->query[view->query_count].name = slice_of(item);
        view->query[view->query_count++].value = value == NULL ? SLICE("") : slice_of(value);
    }
}

static void headers_split(struct http_request *r, const char *headers)
{
    while (headers != NULL && *headers != '\0') {
        const char *end = strchr(headers, '\n');
        int len = (int)(end == NULL ? strlen(headers) : (size_t)(end - headers));
        const char *colon = memchr(headers, ':', (size_t)len);
        struct fake_field *field = &r->headers[r->header_count++];
        assert_true(r->header_count <= FAKE_HEADERS_MAX);
        assert_non_null(colon);
        (void)snprintf(field->name, sizeof(field->name), "%.*s", (int)(colon - headers), headers);
        (void)snprintf(field->value, sizeof(field->value), "%.*s", len - (int)(colon - headers) - 2,
                       colon + 2);
        headers = end == NULL ? NULL : end + 1;
    }
}

void fake_request(struct fake *f, enum http_method method, const char *target, const char *headers,
                  const char *body)
{
    struct http_request *r = &f->request;
    char *query;

    request_reset(r);
    assert_true(strlen(target) < sizeof(r->target));
    (void)snprintf(r->target, sizeof(r->target), "%s", target);
    query = strchr(r->target, '?');
    if (query != NULL) {
        *query++ = '\0';
        query_split(&r->view, query);
    }
    r->view.method = method;
    r->view.path = slice_of(r->target);
    r->view.request_id = SLICE("test-request");
    r->view.start_mono_us = clock_mono_us();
    r->view.deadline_mono_us = r->view.start_mono_us + 5000000;
    if (body != NULL) {
        assert_true(strlen(body) < sizeof(r->payload));
        memcpy(r->payload, body, strlen(body));
        r->view.body = slice_make(r->payload, strlen(body));
    }
    headers_split(r, headers);
    route_find(&r->view);
}

void fake_handle(struct fake *f)
{
    unsigned count;
    const struct http_route *routes = api_routes(&count);

    if (f->request.view.route == count) {
        api_callbacks(&f->loop).render_fault(&f->request, HTTP_FAULT_NO_ROUTE, &f->loop);
        return;
    }
    routes[f->request.view.route].handle(&f->request, &f->request.view, &f->loop);
    store_flush(f->shared.store, &f->sink);
    store_drain(&f->sink);
}

void fake_finish(struct fake *f)
{
    ops_finish(&f->store, &f->store.kept);
    store_drain(&f->sink);
}

void fake_exchange(struct fake *f, enum http_method method, const char *target, const char *headers,
                   const char *body)
{
    struct http_callbacks callbacks = api_callbacks(&f->loop);

    fake_request(f, method, target, headers, body);
    fake_handle(f);
    assert_int_equal(f->request.answers, 1);
    callbacks.on_done(&f->request, f->request.status, 1, callbacks.ctx);
}

const char *fake_field(const struct fake *f, const char *name)
{
    for (unsigned i = 0; i < f->request.field_count; i++) {
        if (strcmp(f->request.fields[i].name, name) == 0) {
            return f->request.fields[i].value;
        }
    }
    return NULL;
}

void fake_expect(const struct fake *f, unsigned status, const char *body)
{
    assert_non_null(f->request.body);
    assert_string_equal(f->request.body, body);
    assert_int_equal(f->request.status, status);
}

void fake_expect_code(const struct fake *f, unsigned status, const char *code)
{
    char begin[128];

    (void)snprintf(begin, sizeof(begin), "{\"error\":{\"code\":\"%s\",\"message\":\"", code);
    assert_non_null(f->request.body);
    if (strncmp(f->request.body, begin, strlen(begin)) != 0) {
        assert_string_equal(f->request.body, begin); /* shows both */
    }
    assert_int_equal(f->request.status, status);
    assert_string_equal(fake_field(f, "Content-Type"), "application/json");
}

uint64_t fake_series(struct fake *f, const char *series)
{
    struct buf text;
    char *at;
    uint64_t value = 0;

    buf_init(&text, 4 << 20);
    metrics_render(f->metrics, &text);
    buf_append_byte(&text, '\0');
    assert_int_equal(text.err, ERR_OK);
    at = strstr(text.ptr, series);
    if (at != NULL) {
        value = strtoull(at + strlen(series), NULL, 10);
    }
    buf_fini(&text);
    return value;
}

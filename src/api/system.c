/* What machines ask the service itself: metrics, health, the contract. */
#include "api/openapi.h"
#include "api/request.h"
#include "api/respond.h"
#include "base/assert.h"
#include "json/writer.h"

/* ---- GET /metrics ---- */

void api_get_metrics(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_loop *l = ctx;
    struct api_refusal refusal = api_query_check(view, NULL, 0);
    struct api_answer a = {.status = 200, .content_type = "text/plain; version=0.0.4; charset=utf-8"};
    struct buf text;

    if (refusal.code != API_OK) {
        api_refuse(l, request, &refusal);
        return;
    }
    buf_init(&text, API_METRICS_BYTES_MAX);
    (void)pthread_mutex_lock(&l->shared->scrape_mutex);
    metrics_render(l->shared->metrics, &text);
    (void)pthread_mutex_unlock(&l->shared->scrape_mutex);
    if (text.err == ERR_OK) {
        api_answer_send(l, request, &a, buf_slice(&text));
    } else {
        api_refuse_code(l, request, API_STORE_UNAVAILABLE);
    }
    buf_fini(&text);
}

/* ---- GET /livez, /readyz, /healthz ---- */

static const char *const health_parameters[] = {"verbose"};

static void member(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, slice_of(key));
    json_string(w, slice_of(value));
}

void api_get_livez(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_loop *l = ctx;
    struct api_refusal refusal =
        api_query_check(view, health_parameters, ARRAY_LEN(health_parameters));
    struct api_answer a = {.status = 200};

    if (refusal.code != API_OK) {
        api_refuse(l, request, &refusal);
        return;
    }
    api_answer_send(l, request, &a, SLICE("{\"status\":\"ok\"}"));
}

struct check {
    const char *name;
    const char *state; /* "ok", or what is wrong */
};

enum { CHECKS = 3 };

static const char *store_state(struct store *store)
{
    switch (store_health(store)) {
    case STORE_HEALTHY:
        return "ok";
    case STORE_DISK_FULL:
        return "disk_full";
    case STORE_STALLED:
        return "stalled";
    case STORE_STOPPING:
        return "stopping";
    case STORE_FAILED:
        break;
    }
    return "failed";
}

/* Look at everything readiness depends on; true where all of it is well. */
static bool checks_make(struct api_shared *s, struct check checks[CHECKS])
{
    const bool is_draining = atomic_load_explicit(&s->is_draining, memory_order_acquire);
    const bool is_ready = s->options.is_ready == NULL || s->options.is_ready(s->options.is_ready_ctx);
    bool is_well = true;

    checks[0] = (struct check){"store", store_state(s->store)};
    checks[1] = (struct check){"lifecycle", is_draining ? "draining" : "ok"};
    checks[2] = (struct check){"server", is_ready ? "ok" : "not_ready"};
    for (unsigned i = 0; i < CHECKS; i++) {
        is_well = is_well && strcmp(checks[i].state, "ok") == 0;
    }
    return is_well;
}

static void readiness_render(struct buf *out, const struct api_shared *s, bool is_well,
                             const struct check *checks)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w);
    member(&w, "status", is_well ? "ok" : "unavailable");
    member(&w, "store", s->store->name);
    member(&w, "durability", api_durability(s));
    if (checks != NULL) {
        json_key(&w, SLICE("checks"));
        json_open_array(&w);
        for (unsigned i = 0; i < CHECKS; i++) {
            json_open_object(&w);
            member(&w, "name", checks[i].name);
            member(&w, "status", checks[i].state);
            json_close_object(&w);
        }
        json_close_array(&w);
    }
    json_close_object(&w);
}

void api_get_readyz(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_loop *l = ctx;
    struct api_refusal refusal =
        api_query_check(view, health_parameters, ARRAY_LEN(health_parameters));
    struct api_answer a = {.status = 200};
    struct check checks[CHECKS];
    struct slice ignored;
    bool is_verbose, is_well;

    if (refusal.code != API_OK) {
        api_refuse(l, request, &refusal);
        return;
    }
    is_verbose = api_query_get(view, "verbose", &ignored);
    is_well = checks_make(l->shared, checks);
    if (!is_well && !is_verbose) {
        api_refuse_code(l, request, API_STORE_UNAVAILABLE);
        return;
    }
    if (!is_well) { /* who asks for the list gets it, in place of the error */
        a.status = 503;
        a.code = API_STORE_UNAVAILABLE;
    }
    readiness_render(api_body_begin(l), l->shared, is_well, is_verbose ? checks : NULL);
    api_answer_body(l, request, &a);
}

/* ---- GET /openapi.yaml ---- */

void api_get_openapi(struct http_request *request, const struct http_view *view, void *ctx)
{
    struct api_loop *l = ctx;
    struct api_refusal refusal = api_query_check(view, NULL, 0);
    struct api_answer a = {.status = 200, .content_type = "application/yaml"};

    if (refusal.code != API_OK) {
        api_refuse(l, request, &refusal);
        return;
    }
    if (api_answer_not_modified(l, request, api_openapi_etag())) {
        return;
    }
    api_answer_add(&a, "ETag", api_openapi_etag());
    api_answer_send(l, request, &a, api_openapi_text());
}

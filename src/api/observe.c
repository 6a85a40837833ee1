#include "api/observe.h"

#include <stdio.h>

#include "api/request.h"
#include "base/assert.h"
#include "base/mem.h"

enum {
    METHODS = HTTP_OTHER + 1,
    LABELS_BYTES = 160,
    ROUTE_OTHER = API_ROUTE_COUNT,
    ROUTES = API_ROUTE_COUNT + 1
};

static const char *const methods[METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
    [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "other",
};

/* Every status there is; 0 is a peer that went before its answer. */
static const uint16_t statuses[] = {0,   200, 201, 204, 304, 400, 401, 403, 404, 405, 408,
                                    409, 412, 413, 414, 415, 422, 429, 431, 500, 503, 504};
enum { STATUSES = ARRAY_LEN(statuses) };

static const char *const operations[API_OPERATION_COUNT] = {
    [API_OPERATION_CREDIT] = "credit",
    [API_OPERATION_DEBIT] = "debit",
    [API_OPERATION_TRANSFER] = "transfer",
    [API_OPERATION_OPEN] = "open",
};

/* results: a code each, `ok` for API_OK, and one for replays */
enum { RESULT_REPLAYED = API_CODE_COUNT, RESULTS };

struct api_series {
    uint32_t seconds[ROUTES][METHODS];
    uint32_t requests[ROUTES][METHODS][STATUSES];
    uint32_t operations[API_OPERATION_COUNT][RESULTS];
};

enum api_operation api_operation_of_route(unsigned route)
{
    switch (route) {
    case API_ROUTE_CREDIT:
        return API_OPERATION_CREDIT;
    case API_ROUTE_DEBIT:
        return API_OPERATION_DEBIT;
    case API_ROUTE_TRANSFER:
        return API_OPERATION_TRANSFER;
    case API_ROUTE_OPEN:
        return API_OPERATION_OPEN;
    default:
        return API_OPERATION_NONE;
    }
}

/* Can a request of this route have this method? One that found no route can have any. */
static bool is_possible(unsigned route, unsigned method)
{
    unsigned count;
    const struct http_route *routes = api_routes(&count);

    return route >= count || routes[route].method == method ||
           (routes[route].method == HTTP_GET && method == HTTP_HEAD);
}

static enum err seconds_declare(struct metrics *m, struct api_series *s)
{
    for (unsigned r = 0; r < ROUTES; r++) {
        for (unsigned i = 0; i < METHODS; i++) {
            char labels[LABELS_BYTES];
            enum err e;
            s->seconds[r][i] = METRICS_NONE;
            if (!is_possible(r, i)) {
                continue;
            }
            (void)snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\"", methods[i],
                           api_route_template(r));
            e = metrics_histogram(m, "http_request_duration_seconds",
                                  "Time from a request's first byte to the end of its answer.",
                                  labels, METRICS_SECONDS, &s->seconds[r][i]);
            if (e != ERR_OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

static enum err requests_declare(struct metrics *m, struct api_series *s)
{
    for (unsigned r = 0; r < ROUTES; r++) {
        for (unsigned i = 0; i < METHODS * STATUSES; i++) {
            const unsigned method = i / STATUSES, at = i % STATUSES;
            char labels[LABELS_BYTES], code[8] = "499";
            enum err e;
            s->requests[r][method][at] = METRICS_NONE;
            if (!is_possible(r, method)) {
                continue;
            }
            if (statuses[at] != 0) {
                (void)snprintf(code, sizeof(code), "%u", (unsigned)statuses[at]);
            }
            (void)snprintf(labels, sizeof(labels), "method=\"%s\",route=\"%s\",code=\"%s\"",
                           methods[method], api_route_template(r), code);
            e = metrics_counter(m, "http_requests_total",
                                "Requests by status; 499 where the peer went before its answer.",
                                labels, &s->requests[r][method][at]);
            if (e != ERR_OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

static enum err operations_declare(struct metrics *m, struct api_series *s)
{
    for (unsigned o = 0; o < API_OPERATION_COUNT; o++) {
        for (unsigned r = 0; r < RESULTS; r++) {
            char labels[LABELS_BYTES];
            enum err e;
            (void)snprintf(labels, sizeof(labels), "operation=\"%s\",result=\"%s\"", operations[o],
                           r == RESULT_REPLAYED ? "replayed" : api_code_text((enum api_code)r));
            e = metrics_counter(m, "wallet_operations_total",
                                "Writes by their result: ok, replayed, or the code of the error.",
                                labels, &s->operations[o][r]);
            if (e != ERR_OK) {
                return e;
            }
        }
    }
    return ERR_OK;
}

enum err api_series_new(struct metrics *metrics, struct api_series **out)
{
    struct api_series *s = mem_alloc(sizeof(*s));
    enum err e;

    if (s == NULL) {
        return ERR_NOMEM;
    }
    e = seconds_declare(metrics, s);
    if (e == ERR_OK) {
        e = requests_declare(metrics, s);
    }
    if (e == ERR_OK) {
        e = operations_declare(metrics, s);
    }
    if (e != ERR_OK) {
        mem_free(s);
        return e;
    }
    *out = s;
    return ERR_OK;
}

void api_series_free(struct api_series *series)
{
    mem_free(series);
}

void api_observe_operation(struct api_loop *l, unsigned route, enum api_code code, bool is_replay)
{
    const enum api_operation operation = api_operation_of_route(route);

    if (operation != API_OPERATION_NONE) {
        metrics_add(
            l->shard,
            l->shared->series->operations[operation][is_replay ? RESULT_REPLAYED : (unsigned)code],
            1);
    }
}

static void done_log(struct api_loop *l, struct http_request *request, unsigned status,
                     uint64_t duration_us)
{
    const struct http_view *view = http_view(request);
    const struct api_note *note = http_user(request);
    struct slice trace_id = SLICE_NONE;
    const bool has_trace = api_trace_id(request, &trace_id);
    const struct log_field fields[] = {
        log_slice("request_id", view->request_id),
        log_text("method", methods[view->method]),
        log_text("route", api_route_template(view->route)),
        log_u64("status", status),
        log_text("code", note == NULL ? "none" : api_code_text(note->code)),
        log_bool("replayed", note != NULL && note->is_replay),
        log_u64("duration_us", duration_us),
        log_slice("trace_id", trace_id), /* the last: left out where there is none */
    };
    const unsigned count = ARRAY_LEN(fields) - (has_trace ? 0 : 1);

    if (status >= 500) {
        log_write_limited(&l->shared->failed_limit, status == 500 ? LOG_ERROR : LOG_WARN,
                          "http.failed", fields, count);
    } else if (duration_us > API_SLOW_US) {
        log_write_limited(&l->shared->slow_limit, LOG_WARN, "http.slow", fields, count);
    }
    if (l->shared->options.access_log) {
        log_write(LOG_INFO, "http.request", fields, count);
    }
}

void api_observe_done(struct api_loop *l, struct http_request *request, unsigned status,
                      uint64_t duration_us)
{
    const struct http_view *view = http_view(request);
    const unsigned route = view->route < API_ROUTE_COUNT ? view->route : ROUTE_OTHER;
    const struct api_series *series = l->shared->series;

    ASSERT((unsigned)view->method < METHODS);
    metrics_observe(l->shard, series->seconds[route][view->method], duration_us);
    for (unsigned i = 0; i < STATUSES; i++) {
        if (statuses[i] == status) {
            metrics_add(l->shard, series->requests[route][view->method][i], 1);
            break;
        }
    }
    if (status >= 500 || duration_us > API_SLOW_US || l->shared->options.access_log) {
        done_log(l, request, status, duration_us);
    }
}

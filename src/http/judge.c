#include "http/http_internal.h"
#include "http/media.h"
#include "http/uri.h"

static void refuse(struct http_request *request, enum http_fault fault)
{
    request->is_refused = true;
    request->fault = fault;
}

static void refuse_query(struct http_request *request, enum err e)
{
    switch (e) {
    case ERR_NOMEM:
        refuse(request, HTTP_FAULT_NOMEM);
        return;
    case ERR_EXISTS:
        request->reason = HTTP_REASON_QUERY_TWICE;
        break;
    case ERR_FULL:
        request->reason = HTTP_REASON_QUERY_TOO_MANY;
        break;
    default:
        request->reason = HTTP_REASON_QUERY;
        break;
    }
    refuse(request, HTTP_FAULT_BAD_QUERY);
}

static enum err decode_params(struct http_request *request, const struct route_match *match)
{
    for (unsigned i = 0; i < match->param_count; i++) {
        enum err e = uri_decode(&request->arena, match->params[i], &request->view.params[i]);
        if (e != ERR_OK) {
            return e;
        }
    }
    request->view.param_count = match->param_count;
    return ERR_OK;
}

static enum err decode_query(struct http_request *request)
{
    const struct framing_head *h = &request->reader.head;
    struct uri_parameter found[HTTP_QUERY_MAX];
    unsigned count = 0;
    enum err e;

    if (h->query_len == 0) {
        return ERR_OK;
    }
    e = uri_query(&request->arena, slice_make(request->head.ptr + h->query_at, h->query_len), found,
                  HTTP_QUERY_MAX, &count);
    if (e != ERR_OK) {
        return e;
    }
    for (unsigned i = 0; i < count; i++) {
        request->view.query[i].name = found[i].name;
        request->view.query[i].value = found[i].value;
    }
    request->view.query_count = count;
    return ERR_OK;
}

static void judge_target(struct http_request *request, const struct http_server *s)
{
    struct http_view *view = &request->view;
    struct route_match match;
    enum err e;

    if (request->reader.head.is_asterisk) {
        request->methods = s->routes.methods | 1u << HTTP_OPTIONS;
        request->is_options = true;
        return;
    }
    match = route_find(&s->routes, view->path, view->method);
    if (match.methods == 0) {
        refuse(request, HTTP_FAULT_NO_ROUTE);
        return;
    }
    if (view->method == HTTP_OPTIONS) {
        request->methods = match.methods;
        request->is_options = true;
        return;
    }
    if (match.route == s->routes.count) {
        request->methods = match.methods;
        refuse(request, HTTP_FAULT_BAD_METHOD);
        return;
    }
    view->route = (uint16_t)match.route;
    e = decode_params(request, &match);
    if (e != ERR_OK) {
        refuse(request, e == ERR_NOMEM ? HTTP_FAULT_NOMEM : HTTP_FAULT_BAD_PATH_PARAM);
        return;
    }
    e = decode_query(request);
    if (e != ERR_OK) {
        refuse_query(request, e);
    }
}

static bool is_media_right(const struct http_request *request)
{
    struct slice type;

    return !request->reader.head.is_encoded && http_header(request, "content-type", &type) &&
           media_is_json(type);
}

uint64_t judge_head(struct http_request *request, bool is_peer_forbidden)
{
    const struct http_server *s = request->server;
    const struct framing_head *h = &request->reader.head;
    bool has_body = h->is_chunked || h->content_length > 0;
    bool can_have_body = h->method != HTTP_GET && h->method != HTTP_HEAD && h->method != HTTP_OPTIONS;
    const struct http_route *route;

    if (is_peer_forbidden) {
        request->view.route = (uint16_t)route_find(&s->routes, request->view.path, h->method).route;
        refuse(request, HTTP_FAULT_FORBIDDEN_PEER);
        return HTTP_DISCARD_BYTES_MAX;
    }
    judge_target(request, s);
    if (!can_have_body) {
        return 0; /* a chunked body that turns out not to be empty is a bad request, whatever the route */
    }
    if (request->is_refused || request->is_options) {
        return HTTP_DISCARD_BYTES_MAX;
    }
    route = &s->options.routes[request->view.route];
    if (!route->has_body) {
        if (h->content_length > 0) {
            refuse(request, HTTP_FAULT_BAD_REQUEST);
            request->reason = HTTP_REASON_NO_BODY;
        }
        return 0;
    }
    if (h->content_length > route->body_bytes_max) {
        refuse(request, HTTP_FAULT_BODY_TOO_LARGE);
        return 0;
    }
    if (has_body && !is_media_right(request)) {
        refuse(request, HTTP_FAULT_BAD_MEDIA_TYPE);
        return HTTP_DISCARD_BYTES_MAX;
    }
    return route->body_bytes_max;
}

#include "http/route.h"

#include "base/assert.h"
#include "base/mem.h"

/* Cut a path that starts with '/' into its segments. Returns their number, 0 for too many. */
static unsigned split(struct slice path, struct slice segments[ROUTE_SEGMENTS_MAX])
{
    unsigned count = 0;
    size_t at = 1;

    while (count < ROUTE_SEGMENTS_MAX) {
        size_t end = at;
        while (end < path.len && path.ptr[end] != '/') {
            end++;
        }
        segments[count++] = slice_make(path.ptr + at, end - at);
        if (end == path.len) {
            return count;
        }
        at = end + 1;
    }
    return 0;
}

static unsigned with_implied(unsigned methods)
{
    if (methods == 0) {
        return 0;
    }
    return methods | 1u << HTTP_OPTIONS | ((methods & 1u << HTTP_GET) != 0 ? 1u << HTTP_HEAD : 0);
}

static void compile(struct route_compiled *compiled, const struct http_route *route)
{
    struct slice segments[ROUTE_SEGMENTS_MAX];
    unsigned params = 0;

    ASSERT(route->template[0] == '/');
    ASSERT(route->method != HTTP_HEAD && route->method != HTTP_OPTIONS && route->method != HTTP_OTHER);
    compiled->method = route->method;
    compiled->segment_count = split(slice_of(route->template), segments);
    ASSERT(compiled->segment_count > 0);
    for (unsigned i = 0; i < compiled->segment_count; i++) {
        bool is_param = segments[i].len > 2 && segments[i].ptr[0] == '{';
        ASSERT(!is_param || segments[i].ptr[segments[i].len - 1] == '}');
        params += is_param;
        compiled->segments[i] = (struct route_segment){
            .literal = is_param ? NULL : segments[i].ptr,
            .len = segments[i].len,
        };
    }
    ASSERT(params <= HTTP_PARAMS_MAX);
}

enum err route_table_init(struct route_table *t, const struct http_route *routes, unsigned count)
{
    struct route_compiled *compiled = mem_alloc_array(count, sizeof(*compiled));

    if (compiled == NULL) {
        return ERR_NOMEM;
    }
    *t = (struct route_table){.routes = compiled, .count = count};
    for (unsigned i = 0; i < count; i++) {
        compile(&compiled[i], &routes[i]);
        t->methods |= 1u << routes[i].method;
    }
    t->methods = with_implied(t->methods);
    return ERR_OK;
}

void route_table_fini(struct route_table *t)
{
    mem_free(t->routes);
    *t = (struct route_table){0};
}

static bool is_match(const struct route_compiled *route, const struct slice *segments)
{
    for (unsigned i = 0; i < route->segment_count; i++) {
        const struct route_segment *want = &route->segments[i];
        if (want->literal != NULL && (want->len != segments[i].len ||
                                      memcmp(want->literal, segments[i].ptr, want->len) != 0)) {
            return false;
        }
    }
    return true;
}

struct route_match route_find(const struct route_table *t, struct slice path, enum http_method method)
{
    struct route_match match = {.route = t->count};
    enum http_method want = method == HTTP_HEAD ? HTTP_GET : method;
    struct slice segments[ROUTE_SEGMENTS_MAX];
    unsigned count;

    if (path.len == 0 || path.ptr[0] != '/') {
        return match;
    }
    count = split(path, segments);
    if (count == 0) {
        return match;
    }
    for (unsigned i = 0; i < t->count; i++) {
        const struct route_compiled *route = &t->routes[i];
        if (route->segment_count != count || !is_match(route, segments)) {
            continue;
        }
        match.methods |= 1u << route->method;
        if (route->method != want || match.route != t->count) {
            continue;
        }
        match.route = i;
        for (unsigned at = 0; at < count; at++) {
            if (route->segments[at].literal == NULL) {
                match.params[match.param_count++] = segments[at];
            }
        }
    }
    match.methods = with_implied(match.methods);
    return match;
}

struct slice route_allow(unsigned methods, char text[64])
{
    static const struct {
        enum http_method method;
        const char *name;
    } names[] = {
        {HTTP_GET, "GET"},         {HTTP_HEAD, "HEAD"},   {HTTP_POST, "POST"},
        {HTTP_PUT, "PUT"},         {HTTP_PATCH, "PATCH"}, {HTTP_DELETE, "DELETE"},
        {HTTP_OPTIONS, "OPTIONS"},
    };
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t name_len = strlen(names[i].name);
        if ((methods & 1u << names[i].method) == 0) {
            continue;
        }
        ASSERT(len + 2 + name_len <= 64);
        if (len > 0) {
            memcpy(text + len, ", ", 2);
            len += 2;
        }
        memcpy(text + len, names[i].name, name_len);
        len += name_len;
    }
    return slice_make(text, len);
}

/* Which route serves a path: templates compiled once, matched segment by segment, as sent. Pure. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "base/buf.h"
#include "http/http.h"

enum { ROUTE_SEGMENTS_MAX = 12 };

struct route_segment {
    const char *literal; /* NULL: {…}, any one segment */
    size_t len;
};

struct route_compiled {
    struct route_segment segments[ROUTE_SEGMENTS_MAX];
    unsigned segment_count;
    enum http_method method;
};

struct route_table {
    struct route_compiled *routes; /* owned; in the order of the http_routes */
    unsigned count;
    unsigned methods; /* all of them: 1 << method */
};

struct route_match {
    unsigned route; /* route_table.count: none */
    unsigned methods; /* those that the path has (1 << method), HEAD and OPTIONS included; 0: no such path */
    struct slice params[HTTP_PARAMS_MAX]; /* of the route, undecoded */
    unsigned param_count;
};

/**
 * Compile the routes. A template starts with '/'; GET also serves HEAD; HEAD and OPTIONS are not
 * routed (ASSERT).
 *
 * Owns:    borrows routes and their templates for the table's life.
 * Errors:  ERR_NOMEM.
 */
MUST_CHECK enum err route_table_init(struct route_table *t, const struct http_route *routes,
                                     unsigned count);
void route_table_fini(struct route_table *t);

/** Find the first route, in table order, that has this path and method. Thread: any. */
struct route_match route_find(const struct route_table *t, struct slice path,
                              enum http_method method);

/** The methods as the value of an Allow field. */
struct slice route_allow(unsigned methods, char text[64]);

#endif

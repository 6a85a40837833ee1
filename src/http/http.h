/*
 * HTTP/1.1 on one libuv loop: strict framing, keep-alive, pipelining in order, limits, deadlines, routes. Knows no route
 * by name, no status text of ours and no JSON: faults are handed to a renderer that its user registers.
 *
 * A connection works on one request at a time: the next one of a pipeline is parsed when the answer before it is on its
 * way, so order is kept and nothing behind an error is executed. A request is an object of its own with its own arena. It
 * lives while the connection works on it or somebody holds it (http_hold), whichever is longer.
 *
 * Thread: everything here belongs to the loop's thread, unless said otherwise.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum {
    HTTP_HEAD_BYTES_MAX = 16 * 1024, /* request line and headers together */
    HTTP_URI_BYTES_MAX = 2 * 1024,   /* request target */
    HTTP_HEADERS_MAX = 100,          /* header fields a request */
    HTTP_PARAMS_MAX = 4,             /* {…} segments a template */
    HTTP_QUERY_MAX = 16,             /* query parameters a request */
    HTTP_REQUEST_ID_BYTES_MAX = 128,
    HTTP_DRAIN_MS = 1000, /* after an early answer: read and drop the rest of the body this long */
};

/** What can be wrong before a handler sees a request. The renderer maps each to a status and an error body. */
enum http_fault {
    HTTP_FAULT_BAD_REQUEST, /* 400: framing, headers, target, unknown Expect; the connection closes */
    HTTP_FAULT_BAD_PATH_PARAM, /* 400: a path parameter does not percent-decode to text without NUL (UTF-8) */
    HTTP_FAULT_BAD_QUERY,      /* 400: query not decodable, too many parameters, or one twice */
    HTTP_FAULT_FORBIDDEN_PEER, /* 403: not a loopback peer and remote peers are not allowed */
    HTTP_FAULT_NO_ROUTE,       /* 404 */
    HTTP_FAULT_BAD_METHOD,     /* 405; http adds Allow */
    HTTP_FAULT_TIMEOUT,        /* 408: head or body did not arrive in time; closes */
    HTTP_FAULT_BODY_TOO_LARGE, /* 413; half-closes, drains */
    HTTP_FAULT_URI_TOO_LONG,   /* 414; closes */
    HTTP_FAULT_BAD_MEDIA_TYPE, /* 415: a body that is not application/json, or any Content-Encoding */
    HTTP_FAULT_HEAD_TOO_LARGE, /* 431; closes */
    HTTP_FAULT_TOO_MANY,       /* 503: connection limit; closes */
    HTTP_FAULT_NOMEM,          /* 503: no memory for the request; closes */
};

/**
 * Which rule was broken by a HTTP_FAULT_BAD_REQUEST or HTTP_FAULT_BAD_QUERY, for the words of the answer. A closed set:
 * nothing of the request is in it.
 */
enum http_reason {
    HTTP_REASON_NONE,           /* another fault, or one without a rule of its own */
    HTTP_REASON_REQUEST_LINE,   /* not METHOD SP target SP HTTP/1.x CRLF */
    HTTP_REASON_METHOD,         /* CONNECT: this is no proxy */
    HTTP_REASON_TARGET,         /* neither a path, nor "*" of OPTIONS, nor a URL of this host */
    HTTP_REASON_VERSION,        /* neither HTTP/1.0 nor HTTP/1.1 */
    HTTP_REASON_FIELD,          /* a header line that is no "name: value", or a folded one */
    HTTP_REASON_FIELD_TWICE,    /* a header that may be given once */
    HTTP_REASON_HOST,           /* missing, or not a host */
    HTTP_REASON_FRAMING,        /* Content-Length, Transfer-Encoding: not understood alike by all */
    HTTP_REASON_EXPECT,         /* other than 100-continue */
    HTTP_REASON_KEY_TWICE,      /* Idempotency-Key given twice */
    HTTP_REASON_KEY_BYTE,       /* a control character in Idempotency-Key */
    HTTP_REASON_NO_BODY,        /* a body where none is taken */
    HTTP_REASON_CHUNK,          /* a chunked body that breaks its grammar, trailers included */
    HTTP_REASON_CUT,            /* the peer ended before its request did */
    HTTP_REASON_QUERY,          /* not name=value joined by &, percent-encoded UTF-8 */
    HTTP_REASON_QUERY_TWICE,    /* a parameter given twice */
    HTTP_REASON_QUERY_TOO_MANY, /* more than HTTP_QUERY_MAX parameters */
    HTTP_REASON_COUNT
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

struct http_server; /* one a loop; opaque */
struct http_request;

/** What a handler sees of a request. All slices live as long as the request. */
struct http_view {
    enum http_method method; /* HEAD is given to the GET handler; http drops the body of its answer */
    uint16_t route;          /* index in the route table; routes_count for none */
    struct slice path;       /* as sent, undecoded */
    struct slice params[HTTP_PARAMS_MAX]; /* percent-decoded once, valid UTF-8, no NUL */
    unsigned param_count;
    struct {
        struct slice name, value;
    } query[HTTP_QUERY_MAX]; /* decoded ('+' is a plus), each name once */
    unsigned query_count;
    struct slice body;
    struct slice request_id;   /* the client's where valid, else a new UUIDv7 */
    uint64_t start_mono_us;    /* when its first byte arrived */
    uint64_t deadline_mono_us; /* when on_deadline will run */
};

/** ctx is callbacks.ctx. Answer by http_respond, or http_hold and answer later on this loop. */
typedef void http_handler(struct http_request *request, const struct http_view *view, void *ctx);

struct http_route {
    enum http_method method; /* GET also serves HEAD; OPTIONS is answered by http: 204 with Allow */
    const char *template; /* "/api/v1/wallet/{account_id}/balance"; {…} matches one non-empty or empty segment, as sent */
    http_handler *handle;
    uint32_t body_bytes_max; /* larger: HTTP_FAULT_BODY_TOO_LARGE, told from Content-Length before reading */
    bool has_body; /* false: a body is read within body limit 0 (a non-empty one is BAD_REQUEST) */
};

struct http_callbacks {
    /**
     * Answer a fault by http_respond. `request` has its view as far as it was understood: request_id always; method and
     * route, whatever is wrong behind them, where the request line was read to its end.
     * Called at most once a request, instead of the handler; the answer is given before it returns.
     */
    void (*render_fault)(struct http_request *request, enum http_fault fault, void *ctx);
    /** The deadline passed and no answer was given: answer now by http_respond (504 or 503). Called at most once. */
    void (*on_deadline)(struct http_request *request, void *ctx);
    /**
     * Every request that a handler or the renderer has seen, once, for logs and metrics: after the last byte of its
     * answer was handed to the kernel, or the peer went (status is then what was answered, 0 for nothing yet). May run
     * inside http_respond.
     */
    void (*on_done)(struct http_request *request, unsigned status, uint64_t duration_us, void *ctx);
    void *ctx;
};

struct http_options {
    const struct http_route *routes; /* borrowed for the server's life */
    unsigned route_count;
    struct http_callbacks callbacks;
    uint32_t connections_max; /* of this loop; at it, one idle for a second gives way, else TOO_MANY */
    uint32_t request_timeout_ms; /* handler time, from the complete request */
    uint32_t head_timeout_ms; /* first byte of a request (or accept) to its complete head; the same again for each
                                    64 KiB of its body. Each 64 KiB of an answer has request_timeout_ms to be taken. */
    uint32_t idle_timeout_ms; /* keep-alive without a byte */
    bool is_remote_allowed;
    uint64_t random_seed[1]; /* for request ids */
};

struct uv_loop_s;

/**
 * A listening socket for `address` ("127.0.0.1:8080", "[::1]:0"), bound first without SO_REUSEPORT to learn that nobody
 * else serves there, then with it, so that every loop can have one of its own.
 *
 * Returns: file descriptors in fds[0..count), all on one port; *port is the actual one (port 0 picks a free one).
 * Errors:  ERR_INVALID (address), ERR_BUSY (in use), ERR_IO; *why says which in words.
 * Owns:    the caller closes the descriptors or hands each to http_server_new.
 */
MUST_CHECK enum err http_listen(const char *address, unsigned count, int *fds, uint16_t *port,
                                struct err_text *why);

/** The HTTP library and its version as it was compiled in: "http_parser 2.9.4". Thread: any. */
const char *http_library(void);

/** Can only this machine reach a socket of http_listen? False where the kernel does not say. Thread: any. */
bool http_is_local(int listen_fd);

/**
 * Serve a listening socket on a loop.
 *
 * Owns:    takes listen_fd in any case; *out is the caller's, freed by http_server_free after http_server_stop's callback.
 * Errors:  ERR_NOMEM, ERR_IO.
 */
MUST_CHECK enum err http_server_new(struct uv_loop_s *loop, int listen_fd,
                                    const struct http_options *options, struct http_server **out);

/** From now on every answer carries Connection: close, so that clients go elsewhere; still accepts. */
void http_server_drain(struct http_server *s);

/**
 * Stop accepting, close idle connections, let those with a request finish, then call done(ctx) exactly once, later,
 * with no connection and no handle of this server left on the loop.
 */
void http_server_stop(struct http_server *s, void (*done)(void *ctx), void *ctx);

/** Cut every connection that is left; stop's done follows. */
void http_server_abort(struct http_server *s);

void http_server_free(struct http_server *s);

/** Requests being worked on and connections open now. Thread: any (relaxed atomics). */
unsigned http_server_in_flight(const struct http_server *s);
unsigned http_server_connections(const struct http_server *s);

/* ---- what a handler may do ---- */

const struct http_view *http_view(const struct http_request *request);

/** Why it is a HTTP_FAULT_BAD_REQUEST or HTTP_FAULT_BAD_QUERY; HTTP_REASON_NONE for every other request. */
enum http_reason http_fault_reason(const struct http_request *request);

/** The value of a header field (name compared without case), optional white space trimmed. False: absent. Singletons arrive once: doubled ones were faults. */
bool http_header(const struct http_request *request, const char *name, struct slice *value);

/** How many times a field occurs, for those that http lets through several times. */
unsigned http_header_count(const struct http_request *request, const char *name);

/** The request's arena, for whatever shall live as long as it. */
struct arena *http_arena(struct http_request *request);

/** One pointer of the handler's own, NULL at first. */
void http_set_user(struct http_request *request, void *user);
void *http_user(const struct http_request *request);

/** Keep the request alive (and its arena readable) until http_release, even when the peer goes or the answer was sent. */
void http_hold(struct http_request *request);
void http_release(struct http_request *request);

/** Has an answer been given (by a deadline, say)? A handler that finishes later must then drop its own. */
bool http_is_answered(const struct http_request *request);

struct http_field {
    const char *name; /* static */
    struct slice value; /* copied; has no control byte (ASSERTed: values are validated where they come in) */
};

/**
 * Answer. Adds Content-Length, Date, X-Request-Id and Connection by itself; the rest is the caller's. Exactly once a request.
 *
 * Units:   status 200..599; 204 and 304 must have an empty body.
 * Owns:    borrows everything for the call alone.
 * Errors:  none: when memory is out the connection is cut, which the client must treat as unknown.
 */
void http_respond(struct http_request *request, unsigned status, const struct http_field *fields,
                  unsigned field_count, struct slice body);

#endif

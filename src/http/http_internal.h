/* What the files of this room share: a request, a connection, a server. */
#ifndef HTTP_HTTP_INTERNAL_H
#define HTTP_HTTP_INTERNAL_H

#include <stdatomic.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/prng.h"
#include "base/uuid.h"
#include "http/http.h"
#include "http/list.h"
#include "http/reader.h"
#include "http/response.h"
#include "http/route.h"
#include "http/timers.h"
#include "log/log.h"

enum {
    HTTP_READ_BYTES =
        32 * 1024, /* one read; also what a connection may have unread while it works or waits */
    HTTP_OUT_BYTES_MAX = 32 * 1024 * 1024, /* one answer, or several small ones of a pipeline */
    HTTP_OUT_FLUSH_BYTES = 16 * 1024,    /* answers of a pipeline go out together up to here … */
    HTTP_OUT_FLUSH_COUNT = 32,           /* … or up to this many */
    HTTP_WRITE_STRIDE_BYTES = 64 * 1024, /* who takes less within request_timeout_ms is cut off */
    HTTP_BODY_STRIDE_BYTES = 64 * 1024,  /* who sends less within head_timeout_ms is cut off */
    HTTP_DISCARD_BYTES_MAX =
        64 * 1024, /* body of a refused request that is read to keep the connection */
    HTTP_ARENA_BYTES_MAX = 64 * 1024 * 1024,
    HTTP_BODY_KEEP_BYTES = 16 * 1024, /* buffers larger than this are freed after use */
    HTTP_OUT_KEEP_BYTES = 32 * 1024,
    HTTP_SPARE_REQUESTS_MAX = 256,
    HTTP_SPARE_CONNS_MAX = 256,
    HTTP_SPARE_BUFS_MAX = 64,
    HTTP_REFUSED_MAX = 64,    /* told so beyond the limit; more are closed unheard */
    HTTP_SHED_IDLE_MS = 1000, /* at the limit, an idle connection this old gives way to a new one */
    HTTP_ACCEPT_BATCH = 64,
    HTTP_ACCEPT_PAUSE_MS = 100, /* without descriptors or memory, wait this long */
    HTTP_BACKLOG = 1024,
    HTTP_DATE_MS = 200, /* the Date header lags no more than this */
};

/* Happy path: new -> (head, body) -> given -> answered -> done, then free when nobody holds it. */
struct http_request {
    struct http_server *server;
    struct http_request *next; /* free list, or answers of a connection that are not sent yet */
    /* all from here to `arena` is zeroed for each use */
    struct conn *conn; /* NULL: the peer went, or the answer is sent */
    unsigned refs;     /* the connection's and the holders' */
    unsigned status;   /* of its answer; 0: none yet */
    bool is_given;     /* a handler or the renderer has seen it */
    bool is_answered;
    bool is_last;    /* the connection closes behind its answer */
    bool is_refused; /* by `fault`, once its body is read */
    bool is_options; /* answered by us, once its body is read */
    enum http_fault fault;
    enum http_reason reason; /* of a bad request or query */
    unsigned methods;        /* that the path has, for Allow */
    void *user;
    struct slice head;                    /* copy in the arena */
    struct slice params[HTTP_PARAMS_MAX]; /* undecoded */
    struct http_view view;
    char made_id[UUID_TEXT_BYTES];
    struct arena arena;
    struct buf body;
    struct reader reader;
};

enum conn_state {
    CONN_HEAD, /* between requests, or inside a head */
    CONN_BODY,
    CONN_WORK,   /* somebody else has the request */
    CONN_FINISH, /* the last answer is given, not sent; nothing more is read as a request */
    CONN_LINGER, /* all is sent and our side is shut: read and drop until the peer closes */
    CONN_CLOSED, /* waiting for libuv's callback */
};

struct conn {
    uv_tcp_t tcp;
    uv_write_t write;
    struct http_server *server;
    struct list_link link;     /* server->conns */
    struct list_link deferred; /* server->deferred, or alone */
    struct timer_link timer;
    enum conn_state state;
    bool is_busy; /* its bytes are being worked through further up the stack */
    bool is_reading;
    bool is_eof;                  /* the peer will send no more */
    bool is_writing;              /* the socket is full; out must not move */
    bool is_timer_stale;          /* start the deadline anew, even if it stays one of its kind */
    bool is_late;                 /* on_deadline has run for the request */
    bool is_served;               /* has had an answer: idle, not slow, when it is silent */
    bool is_forbidden;            /* not a loopback peer */
    struct http_request *request; /* the one being read or worked on */
    struct http_request *answered_head; /* in out, not sent yet */
    struct http_request *answered_tail;
    unsigned answered_count;
    uint64_t body_mark; /* body bytes when its deadline was last started */
    struct buf pending; /* bytes read, not used; allocated only while there are some */
    size_t pending_at;  /* used ones at its front */
    struct buf out;     /* bytes to send; allocated only while there are some */
    size_t out_at;      /* sent ones at its front */
    size_t write_len;
    int kernel_mark; /* bytes the kernel held for the peer when the deadline was last started */
};

struct http_server {
    uv_loop_t *loop;
    struct http_options options;
    struct route_table routes;
    int listen_fd;
    uv_poll_t poll;
    uv_timer_t timer;
    uv_idle_t idle; /* runs only while `deferred` has members */
    struct timers timers;
    uint64_t armed_ms;         /* when timer fires; UINT64_MAX: it is stopped */
    uint64_t accept_resume_ms; /* 0: accepting */
    struct list_link conns;    /* all but closed ones */
    struct list_link deferred; /* with unread bytes and nothing in work */
    unsigned conns_open;       /* handles not yet given back by libuv */
    unsigned requests_live;    /* out of the free list */
    unsigned spare_request_count, spare_conn_count, spare_buf_count;
    struct http_request *spare_requests;
    struct conn *spare_conns[HTTP_SPARE_CONNS_MAX];
    struct buf spare_bufs[HTTP_SPARE_BUFS_MAX];
    atomic_uint in_flight, connections;
    unsigned closing_handles;
    bool is_draining, is_stopping, is_stopped, is_freed;
    void (*done)(void *ctx);
    void *done_ctx;
    uint64_t now_us; /* monotonic, refreshed as events come in */
    int64_t wall_minus_mono_us;
    uint64_t date_ms; /* loop time of `date` */
    char date[RESPONSE_DATE_BYTES];
    struct prng random;
    struct log_limit log_limit;
    char slab[HTTP_READ_BYTES]; /* every read lands here, and only what is left of it is kept */
};

/* ---- request.c ---- */

/**
 * A clean request with one reference. is_emergency may take the last spare one. NULL: no memory.
 */
struct http_request *request_new(struct http_server *s, bool is_emergency);

/** A spare one for emergencies, before anything is accepted. Errors: ERR_NOMEM. */
MUST_CHECK enum err request_spare(struct http_server *s);
void request_unref(struct http_request *request);

/** Note that somebody outside sees it now; request_done must follow. */
void request_give(struct http_request *request);

/** Tell on_done; the connection has then no more to do with it. */
void request_done(struct http_request *request);

/**
 * Fill the view with what a bad head lets see: id always, method, path and route where its first line
 * was right.
 */
void request_view_partial(struct http_request *request, const char *bytes);

/**
 * Copy the head, fill the view but route, params and query. Errors: ERR_NOMEM; the view has then an
 * id, a method and a route, and no more.
 */
MUST_CHECK enum err request_view_head(struct http_request *request, const char *bytes);

/** A response's frame for this request: all but status, fields and body. */
void request_response(const struct http_request *request, struct response *r);

/* ---- judge.c ---- */

/**
 * Judge a request by its head: peer, route, parameters, media type, size of the body. Sets
 * is_refused and fault, is_options, methods, the view's route, params and query.
 *
 * Returns: how many body bytes may be read.
 */
uint64_t judge_head(struct http_request *request, bool is_peer_forbidden);

/* ---- conn.c ---- */

/**
 * Take over a connected socket. fd is closed on failure. is_refused: tell it that there are too
 * many, and close.
 */
void conn_open(struct http_server *s, int fd, bool is_forbidden, bool is_refused);
void conn_close(struct conn *conn);

/** Its deadline of this kind has passed. */
void conn_expire(struct conn *conn, enum timer_kind kind);

/** Go on with unread bytes, outside of any callback of the user's. */
void conn_run(struct conn *conn);
bool conn_is_idle(const struct conn *conn);
void conn_respond(struct conn *conn, struct http_request *request, unsigned status,
                  const struct http_field *fields, unsigned field_count, struct slice body);

/* ---- listen.c ---- */

/** Is this an address of this machine alone? */
bool listen_is_loopback(const struct sockaddr_storage *address);

/* ---- server.c ---- */

void server_start_timer(struct http_server *s, struct conn *conn, enum timer_kind kind);
void server_defer(struct http_server *s, struct conn *conn);
void server_refresh_clock(struct http_server *s);
struct slice server_date(struct http_server *s);
struct buf server_buf_take(struct http_server *s, size_t max);
void server_buf_give(struct http_server *s, struct buf *b);
struct conn *server_conn_new(struct http_server *s);
void server_conn_free(struct http_server *s, struct conn *conn);
void server_free_if_unused(struct http_server *s);

#endif

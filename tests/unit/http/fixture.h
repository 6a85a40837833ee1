/* A server and its clients on one loop and one thread: the test turns the loop until what it waits
 * for has come. */
#ifndef UNIT_HTTP_FIXTURE_H
#define UNIT_HTTP_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "http/http.h"

enum { FIXTURE_REPLY_BYTES = 1 << 20, FIXTURE_BODY_MAX = 100, FIXTURE_BIG_BYTES = 512 * 1024 };

struct fixture {
    uv_loop_t loop;
    struct http_server *server;
    uint16_t port;
    struct http_options options; /* what open_fixture took; change before it */
    unsigned handled;            /* handler calls */
    unsigned done;               /* on_done calls */
    unsigned done_status;        /* of the last */
    unsigned deadlines;
    int fault;                 /* the last; -1: none */
    enum http_reason reason;   /* of that fault */
    enum http_method method;   /* of its request, as far as it was understood */
    unsigned route;            /* the same; options.route_count: none */
    bool is_english;           /* it was asked for with Accept-Language: en */
    struct http_request *held; /* by /hold */
    bool is_late_answered;     /* what on_deadline shall do */
    bool is_stopped;
};

/* Routes: GET /hello, GET /item/{id}, POST /echo (limit FIXTURE_BODY_MAX), POST /hold (held,
 * answered by the test), GET /big (FIXTURE_BIG_BYTES of body), PUT /none (takes no body), GET
 * /never (neither held nor answered). */
void fixture_defaults(struct fixture *f);
void fixture_open(struct fixture *f, const char *address);
/** Stop, wait until it has, free, and see that nothing is left on the loop. */
void fixture_close(struct fixture *f);

int client_open(const struct fixture *f);
int client_open_at(const char *ip, uint16_t port);
void client_send(struct fixture *f, int fd, const char *bytes, size_t len);
void client_say(struct fixture *f, int fd, const char *text);

/** Turn the loop once, sleeping no longer than a millisecond. */
void fixture_turn(struct fixture *f);

/** Turn until *count reaches want; fails the test after five seconds. */
void fixture_wait(struct fixture *f, const unsigned *count, unsigned want);

/** Turn for this long. */
void fixture_pass(struct fixture *f, unsigned ms);

/**
 * Read until `until` stands in what came, or the peer closed. The text is static, NUL-terminated.
 */
const char *client_read(struct fixture *f, int fd, const char *until);

/** Read until the peer closes. *is_reset tells a reset from an orderly end. */
const char *client_read_all(struct fixture *f, int fd, bool *is_reset);

/**
 * Send on a new connection, read until it closes or falls silent with a whole answer, and close.
 */
const char *exchange(struct fixture *f, const char *request);

unsigned count_of(const char *text, const char *word);

#endif

/*
 * A stage for the API alone: http.h's functions over a plain struct instead of a socket, and a store whose answers a test
 * writes. Linked in place of the http room, so that every handler runs without a loop.
 */
#ifndef TESTS_UNIT_API_FAKE_H
#define TESTS_UNIT_API_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/api.h"

enum { FAKE_HEADERS_MAX = 8, FAKE_FIELDS_MAX = 12, FAKE_BODY_BYTES = 1 << 20 };

struct fake_field {
    char name[64];
    char value[256];
};

struct http_request {
    struct http_view view;
    struct arena arena;
    void *user;
    unsigned holds;
    enum http_reason reason; /* a test sets it behind fake_request */
    bool is_answered;
    struct fake_field headers[FAKE_HEADERS_MAX];
    unsigned header_count;
    char target[4096];
    char payload[40000];
    /* the answer */
    unsigned status;
    struct fake_field fields[FAKE_FIELDS_MAX];
    unsigned field_count;
    char *body; /* NUL-terminated */
    unsigned answers;
};

/** A store that fills what it is handed by a function of the test's, at once or when told. */
struct fake_store {
    struct store store;
    enum store_health health;
    void (*fill)(struct store_op *op); /* NULL: leaves what store_op_init made */
    bool is_slow;                      /* keeps operations until fake_finish */
    bool is_full;                      /* takes nothing */
    struct queue_list kept;
    struct store_op *last; /* the last it was handed, claimed */
    unsigned handed;
};

struct fake {
    struct metrics *metrics;
    struct metrics_shard *shard;
    struct api_shared shared;
    struct store_sink sink;
    struct api_loop loop;
    struct fake_store store;
    struct http_request request; /* the latest */
};

/** The default: CNY, zh-CN, auto_create. */
void fake_init(struct fake *f);
void fake_init_with(struct fake *f, const struct api_options *options);
void fake_fini(struct fake *f);

/** Make a request ready without running it; headers are "Name: value" lines, NULL for none. */
void fake_request(struct fake *f, enum http_method method, const char *target, const char *headers,
                  const char *body);

/** Run the request's handler and hand its operation to the store. */
void fake_handle(struct fake *f);

/** Let the store finish what it keeps. */
void fake_finish(struct fake *f);

/** fake_request and fake_handle at once; the answer is in f->request. */
void fake_exchange(struct fake *f, enum http_method method, const char *target, const char *headers,
                   const char *body);

/** A header of the answer, or NULL. */
const char *fake_field(const struct fake *f, const char *name);

/** Assert status, and the body to the byte. */
void fake_expect(const struct fake *f, unsigned status, const char *body);

/** Assert the status and the code in the envelope. */
void fake_expect_code(const struct fake *f, unsigned status, const char *code);

/** What the metrics print for a series, as text behind it; fails the test where it is absent and wanted. */
uint64_t fake_series(struct fake *f, const char *series);

struct currency fake_currency(const char *text);

#endif

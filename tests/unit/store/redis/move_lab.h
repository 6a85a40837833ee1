/* A real server with a made-up ledger in it, for the tests of verify, export and import. */
#ifndef UNIT_STORE_REDIS_MOVE_LAB_H
#define UNIT_STORE_REDIS_MOVE_LAB_H

#include <hiredis/hiredis.h>

#include "store/redis/move.h"
#include "store/redis/names.h"
#include "store/redis/verify.h"
#include "support/redis_server.h"
#include "unit/store/move_lines.h"

static const struct redis_tls_files lab_no_tls = {.ca = ""};

static inline struct redis_url lab_url(const struct redis_server *s)
{
    struct err_text why = {""};
    struct redis_url url;
    char text[64];
    enum err e;

    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", s->port);
    e = redis_url_parse(slice_of(text), &url, &why);
    ASSERT(e == ERR_OK);
    return url;
}

static inline enum err lab_try_import(const struct redis_server *s, unsigned buckets, int fd,
                                      struct err_text *why)
{
    const struct redis_url url = lab_url(s);
    struct move_totals totals;

    return redis_import(&url, &lab_no_tls, buckets, fd, &totals, why);
}

static inline void lab_import(const struct redis_server *s, unsigned buckets, int fd)
{
    struct err_text why = {""};
    enum err e = lab_try_import(s, buckets, fd, &why);

    if (e != ERR_OK) {
        fail_msg("import: %s: %s", err_name(e), why.text);
    }
}

static inline int lab_export(const struct redis_server *s)
{
    const struct redis_url url = lab_url(s);
    int fd = memfd_create("export", 0);
    struct move_totals totals;
    struct err_text why = {""};
    enum err e = redis_export(&url, &lab_no_tls, fd, &totals, &why);

    if (e != ERR_OK) {
        fail_msg("export: %s: %s", err_name(e), why.text);
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static inline enum err lab_try_verify(const struct redis_server *s,
                                      struct redis_verify_report *report, struct err_text *why)
{
    const struct redis_url url = lab_url(s);

    return redis_verify(&url, &lab_no_tls, report, why);
}

static inline void lab_verify(const struct redis_server *s)
{
    struct redis_verify_report report;
    struct err_text why = {""};
    enum err e = lab_try_verify(s, &report, &why);

    if (e != ERR_OK) {
        fail_msg("verify: %s: %s", err_name(e), why.text);
    }
}

/* The time now, so that keys are open. */
static inline int64_t lab_now_us(const struct redis_server *s)
{
    redisReply *r = redis_server_ask(s, "TIME");
    int64_t us = strtoll(r->element[0]->str, NULL, 10) * 1000000;

    freeReplyObject(r);
    return us;
}

#endif

/* One server, perhaps a replica and a sentinel, and control on it: what the tests of control and of start-up share. */
#ifndef UNIT_STORE_REDIS_CONTROL_FIXTURE_H
#define UNIT_STORE_REDIS_CONTROL_FIXTURE_H

#include "store/redis/control.h"
#include "support/redis_server.h"

enum { FIXTURE_WAIT_US = 10000000, FIXTURE_LOG_BYTES_MAX = 65536 };

struct control_fixture {
    struct redis_server server, replica, sentinel;
    struct redis_shared *shared;
    struct control *control;
    struct redis_options options;
    struct err_text why;
    char log[64]; /* the file that the log goes to */
};

/* For cmocka: nothing runs yet; at the end all of it is stopped, and no password may be in the log. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Options for a server, or for the master "money" of a sentinel. */
struct redis_options fixture_options(const struct redis_server *s);

/* Stop what runs, and start control with f->options; or let it fail with that error and words. */
enum err fixture_start(struct control_fixture *f);
void fixture_started(struct control_fixture *f);
void fixture_refused(struct control_fixture *f, enum err is, const char *part);
void fixture_stop(struct control_fixture *f);

/* Ask as lanes do until it is so. */
void fixture_wait_health(const struct control_fixture *f, enum store_health is);
void fixture_wait_durability(const struct control_fixture *f, enum redis_durability is);
enum redis_durability fixture_durability(const struct control_fixture *f);

/* All of the log so far. Owns: static, until the next call. */
const char *fixture_log(const struct control_fixture *f);
void fixture_has(const char *text, const char *part);
void fixture_epoch(const struct redis_server *s, char out[17]);
void fixture_rest(void); /* 5 ms */

/* Put a library of that name there, whose one function says "old". */
void fixture_other_library(const struct redis_server *s, const char *name, const char *function);
void fixture_assert_our_library(const struct redis_server *s);

/* control_start on another thread. */
struct control_starter {
    struct redis_shared *shared;
    struct control *control;
    enum err e;
    struct err_text why;
};
void *fixture_start_one(void *starter);

#endif

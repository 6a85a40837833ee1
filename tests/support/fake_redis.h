/*
 * A server for what a real one cannot be made to say: each connection that it accepts plays a script. Whatever goes wrong in
 * the server itself ends the test program.
 */
#ifndef TESTS_SUPPORT_FAKE_REDIS_H
#define TESTS_SUPPORT_FAKE_REDIS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_CONNECTIONS_MAX = 64 };

enum fake_do {
    FAKE_END,    /* of the script: the connection stays, and nothing is read any more */
    FAKE_EXPECT, /* read until these bytes have come; what came before them is forgotten */
    FAKE_ANSWER, /* these bytes, in one write */
    FAKE_DRIP,   /* these bytes, one write each, `number` ms apart */
    FAKE_FLOOD,  /* these bytes, `number` times, or until the peer has enough of it */
    FAKE_PAUSE,  /* `number` ms */
    FAKE_WAIT,   /* for fake_redis_go */
    FAKE_CLOSE,
    FAKE_RESET,  /* with RST */
    FAKE_REPEAT, /* go on at step `number` */
};

struct fake_step {
    enum fake_do what;
    const char *bytes;
    size_t len; /* 0: bytes ends with a NUL */
    unsigned number;
};

#define FAKE_HELLO "*2\r\n$6\r\nserver\r\n$5\r\nredis\r\n"
#define FAKE_MASTER "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"

/* What a connection begins with: two steps. */
#define FAKE_GREETING \
    {.what = FAKE_EXPECT, .bytes = "ROLE\r\n"}, \
    { \
        .what = FAKE_ANSWER, .bytes = FAKE_HELLO "+OK\r\n" FAKE_MASTER \
    }

struct fake_redis {
    uint16_t port; /* on 127.0.0.1 */
    const struct fake_step *const *scripts;
    unsigned count;
    int listener;
    pthread_t acceptor, players[FAKE_CONNECTIONS_MAX];
    atomic_uint accepted; /* connections */
    atomic_uint met;      /* FAKE_EXPECTs whose bytes came, the greeting's too */
    atomic_uint going;    /* FAKE_WAITs that may go on */
    atomic_bool is_ending;
};

/** Listen on a free port. The n-th connection plays the n-th script, further ones the last. Owns: borrows the scripts until stop. */
void fake_redis_start(struct fake_redis *f, const struct fake_step *const *scripts, unsigned count);

/** Let one FAKE_WAIT go on. */
void fake_redis_go(struct fake_redis *f);

/** Close all and join all threads. */
void fake_redis_stop(struct fake_redis *f);

#endif

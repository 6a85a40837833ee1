/*
 * A real redis-server for a test: on a free loopback port, in a folder of its own under /tmp, stopped by its pid. It also
 * dies with the thread that started it, so start it on the test's main thread. Whatever goes wrong ends the test program
 * with the server's log on stderr; the folder then stays.
 */
#ifndef TESTS_SUPPORT_REDIS_SERVER_H
#define TESTS_SUPPORT_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct redisReply;

enum { REDIS_SERVER_WORDS_MAX = 2048, REDIS_SERVER_WAIT_MS = 30000 };

struct redis_server {
    uint16_t port; /* on 127.0.0.1; the TLS port where the words name a certificate */
    pid_t pid;     /* 0: it does not run */
    char dir[64];  /* "": never started, or stopped */
    char words[REDIS_SERVER_WORDS_MAX];
    bool is_sentinel;
};

/**
 * Start it and wait until it answers PING and has loaded what it holds.
 *
 * Units:   words go to the command line, separated by spaces: "--appendonly yes --appendfsync always". Without any: no
 *          persistence, DEBUG allowed, replicas synchronise at once. With --tls-cert-file among them it speaks TLS alone.
 */
void redis_server_start(struct redis_server *s, const char *words);

/** The same as a replica of a server; returns when the link is up. */
void redis_server_start_replica(struct redis_server *s, const struct redis_server *master,
                                const char *words);

/**
 * Start a sentinel that watches a master (down after 1.5 s, fail-over within some seconds; it turns
 * an old master that comes back into a replica after some 10 s); returns when it knows it.
 *
 * Units:   lines: more lines of its configuration file, each ended by a line feed; "" for none.
 */
void redis_server_start_sentinel(struct redis_server *s, const char *name,
                                 const struct redis_server *master, unsigned quorum,
                                 const char *lines);

/** Kill it, and remove its folder. Accepts the zero value and one that was killed. */
void redis_server_stop(struct redis_server *s);

/** kill -9; folder and port are kept for redis_server_restart. */
void redis_server_kill(struct redis_server *s);

/** SIGTERM, and wait for its end; folder and port are kept. */
void redis_server_end(struct redis_server *s);

/** Start one again that was killed or ended: same port, folder and words. */
void redis_server_restart(struct redis_server *s);

/** SIGSTOP, SIGCONT. */
void redis_server_freeze(const struct redis_server *s);
void redis_server_thaw(const struct redis_server *s);

/**
 * Give it a command over its unix socket (no TLS there): words separated by spaces, as one types them into redis-cli;
 * quotes may hold spaces. The connection is that of the default user.
 *
 * Returns: the reply, the caller's, freed by freeReplyObject; an error reply is a reply.
 */
struct redisReply *redis_server_ask(const struct redis_server *s, const char *words);

/** redis_server_ask for a command whose answer must be no error; the reply is dropped. */
void redis_server_say(const struct redis_server *s, const char *words);

/** The integer of an answer, also one that is a number in text; -1 for anything else. */
int64_t redis_server_number(const struct redis_server *s, const char *words);

/** Ask again and again until the answer's text has `part` in it, REDIS_SERVER_WAIT_MS at most. */
void redis_server_wait(const struct redis_server *s, const char *words, const char *part);

/** A port of the loopback that nobody listens on now. */
uint16_t redis_server_free_port(void);

#endif

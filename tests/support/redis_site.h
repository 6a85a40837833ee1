/*
 * The Redis servers of one ledger, set up in one of the ways in which people run them, and what a store must be told to
 * reach them. Each dies with the thread that started it.
 */
#ifndef TESTS_SUPPORT_REDIS_SITE_H
#define TESTS_SUPPORT_REDIS_SITE_H

#include "store/redis/redis.h"
#include "support/redis_server.h"

enum redis_site_kind {
    REDIS_SITE_ALONE,
    REDIS_SITE_UNSYNCED, /* alone, and the kernel may sync when it likes: what was answered survives a kill all the same */
    REDIS_SITE_SYNCHRONOUS, /* with a replica, which each answer waits for */
    REDIS_SITE_SENTINEL,    /* with a replica and a sentinel, found past an address where none is */
    REDIS_SITE_TLS, /* with certificates of both sides; the users there have the rights of docs/redis.md, and no others */
};

struct redis_site {
    enum redis_site_kind kind;
    struct redis_server master, replica, sentinel; /* those that the kind has */
};

/** Start them, each syncing its append-only file before it answers where nothing else is said; returns when all of them are in step. */
void redis_site_start(struct redis_site *s, enum redis_site_kind kind);

/** kill -9 the master and start it again; returns when all are in step again. */
void redis_site_restart(struct redis_site *s);

/** Kill them all, or keep them, emptied, for the next one of their kind, until the program ends. Accepts the zero value. */
void redis_site_stop(struct redis_site *s);

/** Fill in url, tls, is_synchronous and wait_timeout_us. Owns: tls borrows from the program. */
void redis_site_reach(const struct redis_site *s, struct redis_options *out);

/** The same for `verify` and `export`, which only read. */
void redis_site_reach_to_read(const struct redis_site *s, struct redis_options *out);

/** What an answer must be worth there. */
enum redis_durability redis_site_worth(const struct redis_site *s);

#endif

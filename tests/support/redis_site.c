#include "support/redis_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/slice.h"
#include "support/certs.h"

/* hz: it looks at what has timed out, like a WAIT, a hundred times a second and not ten times */
#define WRITTEN "--appendonly yes --hz 100 --appendfsync"
#define SYNCED WRITTEN " always"

/* docs/redis.md, "Rights", with what the one who loads the functions needs */
#define RIGHTS \
    "~w:* resetchannels -@all +fcall +fcall_ro +del +exists +get +set +pexpire +pttl +hdel " \
    "+hget +hgetall +hmget +hset +hsetnx +llen +lindex +lrange +rpush +xadd +xrange +xrevrange " \
    "+scan +time +ping +info +role +wait +config|get +client|no-evict +acl|dryrun " \
    "+function|load"
/* %% for the printf that it goes through */
#define AUDIT_RIGHTS \
    "%%R~w:* resetchannels -@all +multi +exec +time +info +config|get +scan +get +pexpiretime " \
    "+hget +hgetall +hmget +llen +lrange +xlen +xrange +xrevrange"
/* of the user default, as whom Redis loads its append-only file */
#define REPLAY_RIGHTS "~w:* resetchannels -@all +del +hdel +hset +pexpireat +rpush +set +xadd"
#define PASSWORD "open-sesame"

enum { WAIT_TIMEOUT_US = 20 * 1000 * 1000, TRIES_MAX = 10000 };

static struct certs certs; /* made once a program: that takes longer than all else */

static struct redis_site kept; /* of the last test that had several servers */
static bool has_exit;

static void certs_drop(void)
{
    certs_remove(&certs);
}

static void start_tls(struct redis_server *s)
{
    char words[REDIS_SERVER_WORDS_MAX];

    if (certs.folder[0] == '\0') {
        certs_make(&certs);
        ASSERT(atexit(certs_drop) == 0);
    }
    (void)snprintf(words, sizeof(words),
                   SYNCED " --tls-cert-file %s --tls-key-file %s --tls-ca-cert-file %s "
                          "--tls-auth-clients yes --user default off " REPLAY_RIGHTS " "
                          "--user mywallet on >" PASSWORD " " RIGHTS " --user auditor on >" PASSWORD
                          " " AUDIT_RIGHTS,
                   certs.server, certs.server_key, certs.ca);
    redis_server_start(s, words);
}

/*
 * The master knows that its replica follows when that one has acknowledged something, and where nothing is written there is
 * nothing to acknowledge. A WAIT for more replicas than there are makes the master ask.
 */
static void wait_for_replica(const struct redis_server *master)
{
    redis_server_wait(master, "INFO replication", "state=online");
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        struct redisReply *info;
        bool is_in_step;
        redis_server_say(master, "WAIT 1000 1");
        info = redis_server_ask(master, "INFO replication");
        is_in_step =
            strstr(info->str, "state=online") != NULL && strstr(info->str, "offset=0,") == NULL;
        freeReplyObject(info);
        if (is_in_step) {
            return;
        }
    }
    UNREACHABLE("the replica never acknowledges");
}

static bool has_replica(const struct redis_site *s)
{
    return s->kind == REDIS_SITE_SYNCHRONOUS || s->kind == REDIS_SITE_SENTINEL;
}

static void start_new(struct redis_site *s)
{
    if (s->kind == REDIS_SITE_TLS) {
        start_tls(&s->master);
    } else {
        redis_server_start(&s->master, s->kind == REDIS_SITE_UNSYNCED ? WRITTEN " no" : SYNCED);
    }
    if (has_replica(s)) {
        redis_server_start_replica(&s->replica, &s->master, SYNCED);
        wait_for_replica(&s->master);
    }
    if (s->kind == REDIS_SITE_SENTINEL) {
        /* nobody fails over here, however slow the machine is */
        redis_server_start_sentinel(&s->sentinel, "money", &s->master, 1,
                                    "sentinel down-after-milliseconds money 600000\n");
    }
}

static void kill_all(struct redis_site *s)
{
    redis_server_stop(&s->sentinel);
    redis_server_stop(&s->replica);
    redis_server_stop(&s->master);
}

static void kept_drop(void)
{
    kill_all(&kept);
}

/* Several servers take longer to start and to find each other than most tests: the next one of their kind gets them, emptied. */
static bool may_keep(const struct redis_site *s)
{
    return has_replica(s) && s->master.pid != 0;
}

void redis_site_start(struct redis_site *s, enum redis_site_kind kind)
{
    *s = (struct redis_site){.kind = kind};
    if (may_keep(&kept) && kept.kind == kind) {
        *s = kept;
        kept = (struct redis_site){0};
    } else {
        start_new(s);
    }
}

void redis_site_restart(struct redis_site *s)
{
    char words[64];

    redis_server_kill(&s->master);
    redis_server_restart(&s->master);
    if (has_replica(s)) {
        /* it would try again by itself, but once a second */
        (void)snprintf(words, sizeof(words), "REPLICAOF 127.0.0.1 %u", s->master.port);
        redis_server_say(&s->replica, "REPLICAOF NO ONE");
        redis_server_say(&s->replica, words);
        redis_server_wait(&s->replica, "INFO replication", "master_link_status:up");
        wait_for_replica(&s->master);
    }
}

void redis_site_stop(struct redis_site *s)
{
    if (may_keep(s)) {
        redis_server_say(&s->master, "FLUSHALL");
        redis_server_say(&s->master, "FUNCTION FLUSH");
        kill_all(&kept);
        kept = *s;
        if (!has_exit) {
            has_exit = true;
            ASSERT(atexit(kept_drop) == 0);
        }
    } else {
        kill_all(s);
    }
    *s = (struct redis_site){0};
}

static void reach(const struct redis_site *s, const char *user, struct redis_options *out)
{
    char text[128] = "";
    struct err_text why = {""};
    enum err e;

    switch (s->kind) {
    case REDIS_SITE_ALONE:
    case REDIS_SITE_UNSYNCED:
    case REDIS_SITE_SYNCHRONOUS:
        (void)snprintf(text, sizeof(text), "127.0.0.1:%u", s->master.port);
        break;
    case REDIS_SITE_SENTINEL:
        (void)snprintf(text, sizeof(text), "redis+sentinel://127.0.0.1:%u,127.0.0.1:%u/money",
                       redis_server_free_port(), s->sentinel.port);
        break;
    case REDIS_SITE_TLS:
        (void)snprintf(text, sizeof(text), "rediss://%s:" PASSWORD "@localhost:%u", user,
                       s->master.port);
        out->tls.ca = certs.ca;
        out->tls.cert = certs.client;
        out->tls.key = certs.client_key;
        break;
    }
    e = redis_url_parse(slice_of(text), &out->url, &why);
    ASSERT(e == ERR_OK);
    out->is_synchronous = s->kind == REDIS_SITE_SYNCHRONOUS;
    out->wait_timeout_us = WAIT_TIMEOUT_US;
}

void redis_site_reach(const struct redis_site *s, struct redis_options *out)
{
    reach(s, "mywallet", out);
}

void redis_site_reach_to_read(const struct redis_site *s, struct redis_options *out)
{
    reach(s, "auditor", out);
}

enum redis_durability redis_site_worth(const struct redis_site *s)
{
    static const enum redis_durability worths[] = {
        [REDIS_SITE_ALONE] = REDIS_FSYNC,
        [REDIS_SITE_UNSYNCED] = REDIS_MEMORY,
        [REDIS_SITE_SYNCHRONOUS] = REDIS_REPLICATED,
        [REDIS_SITE_SENTINEL] = REDIS_ASYNC_REPLICATED,
        [REDIS_SITE_TLS] = REDIS_FSYNC,
    };

    return worths[s->kind];
}

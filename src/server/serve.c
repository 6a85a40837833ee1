/*
 * The order of a service: metrics are declared - the port is taken, so that a second server on it is refused before it
 * touches any file - the store is opened, whose lock refuses a second server on the folder - loops serve - a signal -
 * loops end, each giving itself back to the store - the store is closed - all is freed.
 */
#include "server/serve.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "http/http.h"
#include "server/life.h"
#include "server/service.h"

/* ---- what is told ---- */

static void complain(const char *why)
{
    log_event(LOG_ERROR, "server.failed", log_text("why", why));
}

/* The address as it was asked for, with the port as it is. */
static void url_make(const struct service *s, char *out, size_t len)
{
    const char *colon = strrchr(s->config->listen, ':');

    ASSERT(colon != NULL); /* http_listen took it */
    (void)snprintf(out, len, "http://%.*s:%u", (int)(colon - s->config->listen), s->config->listen,
                   (unsigned)s->port);
}

static void tell_start(const struct service *s)
{
    const struct config *c = s->config;

    log_event(LOG_INFO, "server.start", log_text("version", MYWALLET_VERSION),
              log_i64("pid", (int64_t)getpid()),
              log_text("config", c->file[0] == '\0' ? "none" : c->file));
    log_event(LOG_INFO, "server.limits", log_u64("threads", s->loop_count),
              log_u64("connections", s->connections_max), log_u64("inbox", c->inbox),
              log_u64("request_timeout_us", c->request_timeout_us),
              log_u64("head_timeout_us", c->head_timeout_us),
              log_u64("idle_timeout_us", c->idle_timeout_us),
              log_u64("idempotency_ttl_us", c->idempotency_ttl_us));
    if (s->choice->is_redis) {
        log_event(LOG_INFO, "server.redis_limits", log_u64("pool_active", c->redis_pool_active),
                  log_u64("pool_idle", c->redis_pool_idle), log_u64("depth", c->redis_depth),
                  log_u64("pool_idle_timeout_us", c->redis_pool_idle_us),
                  log_u64("timeout_us", c->redis_timeout_us), log_bool("sync", c->redis_sync),
                  log_u64("wait_timeout_us", c->redis_wait_us));
    } else {
        log_event(LOG_INFO, "server.embedded_limits", log_u64("batch", c->batch),
                  log_u64("readers", c->readers), log_u64("idempotency_max", c->idempotency_max));
    }
    if (c->allow_remote) {
        log_event(LOG_WARN, "server.open_to_all",
                  log_text("why", "allow-remote is on: whoever reaches this port can move money"));
    } else if (!http_is_local(s->fds[0])) {
        log_event(LOG_WARN, "server.local_only", log_text("listen", c->listen),
                  log_text("why", "requests from other machines are answered 403"),
                  log_text("mend", "start with --allow-remote to serve them"));
    }
}

static void tell_embedded(const struct service *s, const char *durability)
{
    struct embedded_stats found;

    embedded_stats(s->store, &found);
    log_event(LOG_INFO, "server.store", log_text("store", s->store->name),
              log_text("durability", durability), log_text("data", s->config->data),
              log_u64("accounts", found.accounts), log_u64("records", found.seq),
              log_u64("idempotency_records", found.idempotency_records),
              log_u64("replayed", found.replayed), log_u64("open_us", found.open_us));
}

/* Where it is, and never with what password. */
static void tell_redis(const struct service *s, const char *durability)
{
    struct redis_stats found;

    redis_stats(s->store, &found);
    log_event(LOG_INFO, "server.store", log_text("store", s->store->name),
              log_text("durability", durability), log_text("address", found.address),
              log_bool("tls", s->choice->redis.url.is_tls),
              log_bool("sentinel", s->choice->redis.url.is_sentinel),
              log_u64("buckets", s->store->buckets), log_u64("replicas", found.replicas),
              log_u64("used_memory", found.used_memory), log_u64("max_memory", found.max_memory),
              log_u64("open_us", found.open_us));
}

static void tell_ready(const struct service *s)
{
    char url[sizeof(s->config->listen) + 16];
    const char *durability = atomic_load_explicit(&s->store->durability, memory_order_relaxed);

    if (s->choice->is_redis) {
        tell_redis(s, durability);
    } else {
        tell_embedded(s, durability);
    }
    url_make(s, url, sizeof(url));
    log_event(LOG_INFO, "server.ready", log_text("listen", url));
}

/* ---- what signals ask for ---- */

static void reload(const struct service *s, const struct cli_input *in)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const struct config_input again = {.argc = in->argc, .argv = in->argv, .env = in->env};
    struct config config;
    struct err_text why;

    if (config_load(&config, &again, &why) != CONFIG_OK) {
        log_event(LOG_ERROR, "server.reload", log_text("failed", why.text),
                  log_text("then", "all stays as it was"));
        return;
    }
    log_configure((enum log_level)config.log_level, (enum log_format)s->config->log_format,
                  STDERR_FILENO);
    log_event(LOG_INFO, "server.reload", log_text("log_level", levels[config.log_level]));
}

static void look(struct service *s, struct life_facts *facts)
{
    const bool is_task_done = atomic_load_explicit(&s->is_task_done, memory_order_acquire);

    facts->now_us = clock_mono_us();
    facts->is_fatal = atomic_load_explicit(&s->is_fatal, memory_order_relaxed);
    if (!facts->is_opened && !facts->has_failed_to_start) {
        facts->is_opened = is_task_done && s->open_err == ERR_OK;
        facts->has_failed_to_start = is_task_done && s->open_err != ERR_OK;
        return;
    }
    facts->are_loops_done = atomic_load_explicit(&s->loops_left, memory_order_relaxed) == 0;
}

/* ---- what life says ---- */

/* True: done. False: the service cannot start, or cannot end in order. */
static bool act(struct service *s, enum life_action action, const struct life *life,
                struct life_facts *facts)
{
    switch (action) {
    case LIFE_SERVE:
        service_end_task(s);
        if (service_start_loops(s) != ERR_OK) {
            complain("cannot start the event loops: out of memory, descriptors or threads");
            return false;
        }
        tell_ready(s);
        break;
    case LIFE_DRAIN:
        log_event(LOG_INFO, "server.drain", log_u64("delay_us", life->drain_delay_us));
        api_shared_drain(&s->shared);
        service_tell(s, LOOP_DRAIN);
        break;
    case LIFE_STOP:
        log_event(LOG_INFO, "server.stop", log_u64("connections", service_connections(s)),
                  log_u64("in_flight", service_in_flight(s)),
                  log_bool("store_failed", facts->is_fatal));
        api_shared_drain(&s->shared);
        service_tell(s, LOOP_STOP);
        break;
    case LIFE_CUT:
        log_event(LOG_WARN, "server.cut", log_u64("connections", service_connections(s)),
                  log_u64("in_flight", service_in_flight(s)));
        service_tell(s, LOOP_CUT);
        break;
    case LIFE_CLOSE:
        service_join_loops(s);
        if (service_close_store(s) != ERR_OK) {
            complain("cannot close the store in order: no thread to be had; the next start recovers");
            return false;
        }
        break;
    case LIFE_WAIT:
    case LIFE_EXIT:
        break;
    }
    return true;
}

/* Live until the end. Returns: the exit code; facts then says what is left to be freed. */
static int live(struct service *s, struct life_facts *facts, const struct cli_input *in)
{
    struct life life;

    life_init(&life, s->config->drain_delay_us, s->config->drain_timeout_us);
    for (;;) {
        enum life_action action;
        struct watch_news news;
        look(s, facts);
        if (life.state == LIFE_CLOSING) {
            facts->is_closed = atomic_load_explicit(&s->is_task_done, memory_order_acquire);
        }
        action = life_next(&life, facts);
        if (action == LIFE_EXIT) {
            return life.exit_code;
        }
        if (action != LIFE_WAIT) {
            if (!act(s, action, &life, facts)) {
                return CLI_FAILED;
            }
            continue;
        }
        watch_sleep(&s->watch, life.deadline_us, &news);
        facts->signals += news.ends;
        if (news.ends > 0) {
            log_event(LOG_INFO, "server.signal",
                      log_text("signal", news.last_end == SIGINT ? "SIGINT" : "SIGTERM"),
                      log_u64("signals", facts->signals));
        }
        if (news.reloads > 0) {
            reload(s, in);
        }
    }
}

enum cli_exit serve(const struct config *config, const struct choice *choice,
                    struct currency default_currency, const struct cli_input *in)
{
    struct service s;
    struct life_facts facts = {.signals = 0};
    struct err_text why;
    enum err e = service_init(&s, config, choice, default_currency, &why);
    int code;

    if (e == ERR_INVALID) {
        log_event(LOG_ERROR, "server.failed", log_text("key", "listen"), log_text("why", why.text));
        return CLI_BAD_CONFIG;
    }
    if (e == ERR_BUSY) {
        log_event(LOG_ERROR, "server.failed", log_text("key", "listen"), log_text("why", why.text),
                  log_text("mend", "choose another port with --listen HOST:PORT or PORT=…"));
        return CLI_FAILED;
    }
    if (e != ERR_OK) {
        complain(why.text);
        return CLI_FAILED;
    }
    tell_start(&s);
    if (service_open_store(&s) != ERR_OK) {
        complain("cannot start a thread");
        service_fini(&s);
        return CLI_FAILED;
    }
    code = live(&s, &facts, in);
    if (facts.has_failed_to_start) {
        service_end_task(&s);
        complain(s.open_why.text);
    } else if (facts.is_closed) {
        service_end_task(&s);
        log_event(LOG_INFO, "server.end", log_i64("exit_code", code));
    } else {
        log_event(code == 0 ? LOG_INFO : LOG_ERROR, "server.end", log_i64("exit_code", code),
                  log_text("why", facts.is_fatal      ? "the store failed"
                                  : !facts.is_opened  ? "stopped before it served"
                                  : facts.signals > 1 ? "a second signal"
                                  : facts.signals == 0
                                      ? "start-up failed"
                                      : "requests or the store did not come to an end in time"),
                  log_text("then", "what was acknowledged is safe; the next start recovers"));
        /* threads are at work on all of this: nothing may be freed under them, and the kernel frees it all */
        _exit(code);
    }
    service_fini(&s);
    return (enum cli_exit)code;
}

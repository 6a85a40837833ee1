#include <stdio.h>

#include "base/assert.h"
#include "log/log.h"
#include "store/redis/master.h"

bool master_is_same(const struct redis_address *a, const struct redis_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static const char *health_text(enum store_health h)
{
    static const char *const texts[] = {
        [STORE_HEALTHY] = "healthy",   [STORE_DISK_FULL] = "full", [STORE_STALLED] = "stalled",
        [STORE_STOPPING] = "stopping", [STORE_FAILED] = "failed",
    };

    return texts[h];
}

void master_health(struct master *m, enum store_health h, const struct err_text *why)
{
    if (atomic_load_explicit(&m->shared->health, memory_order_relaxed) !=
        (int)h) { /* ours alone to write */
        log_event(h == STORE_HEALTHY ? LOG_INFO : LOG_ERROR, "store.redis.health",
                  log_text("health", health_text(h)), log_text("why", why->text),
                  log_text("host", m->said.host), log_u64("port", m->said.port));
    }
    /* release: a lane that sees health again sees the target that gave it */
    atomic_store_explicit(&m->shared->health, (int)h, memory_order_release);
}

static bool has_warning(const struct check_warnings *w, const char *setting)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (strcmp(w->items[i].setting, setting) == 0) {
            return true;
        }
    }
    return false;
}

static void warnings_tell(struct master *m)
{
    struct check_warnings now;

    check_warn(&m->facts, &m->shared->options, m->at.host,
               atomic_load_explicit(&m->shared->clock_offset_us, memory_order_relaxed), &now);
    for (unsigned i = 0; i < now.count; i++) {
        if (!has_warning(&m->told, now.items[i].setting)) {
            log_event(LOG_WARN, "store.redis.warning", log_text("setting", now.items[i].setting),
                      log_text("text", now.items[i].text));
        }
    }
    m->told = now;
}

static void durability_tell(struct master *m)
{
    struct redis_shared *s = m->shared;
    const enum redis_durability d = check_durability(&m->facts, &s->options);
    const int was = atomic_exchange_explicit(&s->durability, (int)d, memory_order_relaxed);

    atomic_store_explicit(&s->replicas, m->facts.replicas, memory_order_relaxed);
    if (was != (int)d && m->stats.is_master_known) {
        log_event(LOG_WARN, "store.redis.durability",
                  log_text("durability", redis_durability_text(d)),
                  log_text("before", redis_durability_text((enum redis_durability)was)));
    }
}

static void numbers_tell(struct master *m)
{
    struct redis_shared *s = m->shared;

    (void)pthread_mutex_lock(&s->mutex);
    m->stats.used_memory = m->facts.used_memory;
    m->stats.max_memory = m->facts.max_memory;
    m->stats.replicas = m->facts.replicas;
    m->stats.is_master_known = true;
    (void)snprintf(m->stats.address, sizeof(m->stats.address),
                   strchr(m->at.host, ':') != NULL ? "[%s]:%u" : "%s:%u", m->at.host,
                   (unsigned)m->at.port);
    (void)pthread_mutex_unlock(&s->mutex);
}

/* The address first, then its number: who sees the new number finds the new address under the mutex. */
static void target_tell(struct master *m)
{
    struct redis_shared *s = m->shared;
    unsigned generation = atomic_load_explicit(&s->generation, memory_order_relaxed);
    bool is_new;

    (void)pthread_mutex_lock(&s->mutex);
    is_new = generation == 0 || !master_is_same(&s->target, &m->at) ||
             strcmp(s->target_name, m->said.host) != 0;
    if (is_new) {
        s->target = m->at;
        (void)snprintf(s->target_name, sizeof(s->target_name), "%s", m->said.host);
        generation++;
        atomic_store_explicit(&s->generation, generation, memory_order_release);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (is_new) {
        log_event(
            LOG_INFO, "store.redis.master", log_text("host", m->at.host), log_u64("port", m->at.port),
            log_u64("generation", generation), log_text("version", m->facts.version),
            log_text("run_id", m->facts.run_id), log_u64("replicas", m->facts.replicas),
            log_text("durability", redis_durability_text(check_durability(&m->facts, &s->options))));
    }
}

void master_tell(struct master *m, enum store_health h, const struct err_text *why)
{
    if (h != STORE_HEALTHY) {
        master_health(m, h, why); /* before anybody is led to the server */
    }
    durability_tell(m);
    numbers_tell(m);
    warnings_tell(m);
    target_tell(m);
    master_health(m, h, why);
}

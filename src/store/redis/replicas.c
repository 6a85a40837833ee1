#include "store/redis/replicas.h"

#include "log/log.h"
#include "store/redis/look.h"
#include "store/redis/mend.h"
#include "store/redis/sync.h"

enum { CALL_MS = 500 };

enum err replicas_judge(const struct check_facts *replica, struct err_text *why)
{
    if (replica->role != CHECK_REPLICA) {
        err_text_set(why, "it is no replica (any more)");
        return ERR_UNSUPPORTED; /* a fail-over goes on, or the address leads elsewhere */
    }
    if (replica->is_read_only == 0) {
        err_text_set(why, "it takes writes of its own: set \"replica-read-only yes\" there");
        return ERR_INVALID;
    }
    if (replica->has_aof == 0) {
        err_text_set(why, "it keeps no append-only file: set \"appendonly yes\" there");
        return ERR_INVALID;
    }
    if (!replica->has_config) {
        err_text_set(why, "CONFIG GET is forbidden there: its appendfsync is not known");
        return ERR_UNSUPPORTED;
    }
    if (replica->fsync != CHECK_FSYNC_ALWAYS || replica->is_fsync_off_on_rewrite) {
        err_text_set(why, "set \"appendfsync always\" and \"no-appendfsync-on-rewrite no\" there");
        return ERR_INVALID;
    }
    return ERR_OK;
}

static enum err ask(const struct redis_shared *shared, const struct redis_address *at,
                    struct err_text *why)
{
    struct check_facts facts;
    struct sync *line = NULL;
    int64_t offset_us;
    uint64_t trip_us;
    bool is_known = true;
    enum err e =
        sync_open(&shared->options.url, at, shared->tls, shared->instance, CALL_MS, &line, why);

    if (e != ERR_OK) {
        return ERR_UNSUPPORTED; /* behind another network, another password: not known, which is no fault of its */
    }
    e = look_facts(line, &facts, &offset_us, &trip_us, why);
    e = e == ERR_OK ? replicas_judge(&facts, why) : ERR_UNSUPPORTED;
    if (e == ERR_OK) {
        e = mend_replay(line, &is_known, why);
        if (e == ERR_OK && !is_known) {
            err_text_set(why,
                         "whether its user default may replay the append-only file cannot be asked");
            e = ERR_UNSUPPORTED;
        } else if (e != ERR_OK && e != ERR_INVALID) {
            e = ERR_UNSUPPORTED;
        }
    }
    sync_close(line);
    return e;
}

enum err replicas_check(const struct redis_shared *shared, const struct check_facts *master,
                        struct err_text *why)
{
    const bool is_strict = check_durability(master, &shared->options) == REDIS_REPLICATED;

    if (master->has_aof == 0) {
        return ERR_OK; /* nothing is promised that a replica could break */
    }
    for (unsigned i = 0; i < master->replica_count; i++) {
        const struct redis_address *at = &master->replica_at[i];
        struct err_text words = {.text = ""};
        const enum err e = ask(shared, at, &words);
        if (e == ERR_INVALID && is_strict) {
            err_text_set(
                why, "answers would be called \"replicated\", and not by the replica %.64s:%u: %s",
                at->host, (unsigned)at->port, words.text);
            return e;
        }
        if (e != ERR_OK) {
            log_event(LOG_WARN, "store.redis.replica", log_text("host", at->host),
                      log_u64("port", at->port), log_text("text", words.text));
        }
    }
    return ERR_OK;
}

#include "store/redis/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "base/assert.h"

enum { VERSION_MAJOR_MIN = 7 };

/* ---- what the server said ---- */

static void word_copy(char *to, struct slice from)
{
    const size_t len = from.len < CHECK_WORD_BYTES_MAX ? from.len : CHECK_WORD_BYTES_MAX - 1;

    if (len > 0) {
        memcpy(to, from.ptr, len);
    }
    to[len] = '\0';
}

static bool number_read(struct slice text, uint64_t *out)
{
    uint64_t number = 0;

    if (text.len == 0) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c < '0' || c > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(c - '0'), &number)) {
            return false;
        }
    }
    *out = number;
    return true;
}

static bool is_bad(struct slice status)
{
    return !slice_equal(status, SLICE("ok"));
}

static bool is_replica(struct slice key)
{
    uint64_t number;

    return slice_starts_with(key, SLICE("slave")) &&
           number_read(slice_make(key.ptr + 5, key.len - 5), &number);
}

/*
 * slave0:ip=…,port=…,state=online,offset=…,lag=… : one that is still fed its first copy is in no step; it is "online" as soon
 * as that has left, and has it when it first acknowledges something (offset).
 */
static bool is_in_step(struct slice value)
{
    const struct slice mark = SLICE(",state=online,offset=");
    const char *at = value.len > 0 ? memmem(value.ptr, value.len, mark.ptr, mark.len) : NULL;

    return at != NULL && at + mark.len < value.ptr + value.len && at[mark.len] >= '1' &&
           at[mark.len] <= '9';
}

/* ip=…,port=…,state=… as the replica told the master, or as replica-announce-ip says */
static void replica_put(struct check_facts *facts, struct slice value)
{
    const struct slice ip = SLICE("ip="), mark = SLICE(",port=");
    const char *port = value.len > 0 ? memmem(value.ptr, value.len, mark.ptr, mark.len) : NULL;
    const char *end = value.ptr + value.len, *stop;
    struct redis_address *at = &facts->replica_at[facts->replica_count];
    struct slice host;
    uint64_t number;

    if (facts->replica_count == CHECK_REPLICAS_MAX || port == NULL || !slice_starts_with(value, ip)) {
        return;
    }
    host = slice_make(value.ptr + ip.len, (size_t)(port - value.ptr) - ip.len);
    port += mark.len;
    stop = memchr(port, ',', (size_t)(end - port));
    if (host.len == 0 || host.len > REDIS_HOST_BYTES_MAX ||
        !number_read(slice_make(port, (size_t)((stop == NULL ? end : stop) - port)), &number) ||
        number == 0 || number > UINT16_MAX) {
        return;
    }
    memcpy(at->host, host.ptr, host.len);
    at->host[host.len] = '\0';
    at->port = (uint16_t)number;
    facts->replica_count++;
}

static void info_number(struct check_facts *facts, struct slice key, struct slice value)
{
    static const struct {
        const char *key;
        size_t at;
    } numbers[] = {
        {"cluster_enabled", offsetof(struct check_facts, is_cluster)},
        {"loading", offsetof(struct check_facts, is_loading)},
        {"async_loading", offsetof(struct check_facts, is_async_loading)},
        {"used_memory", offsetof(struct check_facts, used_memory)},
        {"maxmemory", offsetof(struct check_facts, max_memory)},
        {"mem_not_counted_for_evict", offsetof(struct check_facts, uncounted_memory)},
        {"evicted_keys", offsetof(struct check_facts, evicted_keys)},
        {"maxclients", offsetof(struct check_facts, max_clients)},
        {"aof_enabled", offsetof(struct check_facts, has_aof)},
        {"slave_read_only", offsetof(struct check_facts, is_read_only)},
        {"min_slaves_good_slaves", offsetof(struct check_facts, good_replicas)},
    };

    for (unsigned i = 0; i < ARRAY_LEN(numbers); i++) {
        if (slice_equal(key, slice_of(numbers[i].key))) {
            uint64_t number;
            if (number_read(value, &number)) {
                memcpy((char *)facts + numbers[i].at, &number, sizeof(number));
            }
            return;
        }
    }
}

static void info_pair(struct check_facts *facts, struct slice key, struct slice value)
{
    if (slice_equal(key, SLICE("redis_version"))) {
        word_copy(facts->version, value);
    } else if (slice_equal(key, SLICE("run_id"))) {
        word_copy(facts->run_id, value);
    } else if (slice_equal(key, SLICE("maxmemory_policy"))) {
        word_copy(facts->policy, value);
    } else if (slice_equal(key, SLICE("role"))) {
        facts->role = slice_equal(value, SLICE("master")) ? CHECK_MASTER : CHECK_REPLICA;
    } else if (slice_equal(key, SLICE("aof_last_write_status"))) {
        facts->is_aof_write_bad = is_bad(value);
    } else if (slice_equal(key, SLICE("aof_last_bgrewrite_status"))) {
        facts->is_aof_rewrite_bad = is_bad(value);
    } else if (slice_equal(key, SLICE("rdb_last_bgsave_status"))) {
        facts->is_save_bad = is_bad(value);
    } else if (is_replica(key)) {
        facts->connected++;
        facts->replicas += is_in_step(value);
        replica_put(facts, value);
    } else {
        info_number(facts, key, value);
    }
}

enum err check_info(struct check_facts *facts, struct slice info)
{
    const char *at = info.ptr, *end = info.ptr + info.len;

    facts->connected = facts->replicas = facts->replica_count = 0;
    while (at < end) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        const char *next = eol == NULL ? end : eol + 1;
        const char *stop = eol == NULL ? end : eol;
        const char *colon;
        if (stop > at && stop[-1] == '\r') {
            stop--;
        }
        colon = memchr(at, ':', (size_t)(stop - at));
        if (colon != NULL && *at != '#') {
            info_pair(facts, slice_make(at, (size_t)(colon - at)),
                      slice_make(colon + 1, (size_t)(stop - colon - 1)));
        }
        at = next;
    }
    return facts->version[0] == '\0' ? ERR_INVALID : ERR_OK;
}

void check_config(struct check_facts *facts, struct slice name, struct slice value)
{
    facts->has_config = true;
    if (slice_equal(name, SLICE("appendfsync"))) {
        facts->fsync = slice_equal(value, SLICE("always"))     ? CHECK_FSYNC_ALWAYS
                       : slice_equal(value, SLICE("everysec")) ? CHECK_FSYNC_EVERYSEC
                                                               : CHECK_FSYNC_NO;
    } else if (slice_equal(name, SLICE("no-appendfsync-on-rewrite"))) {
        facts->is_fsync_off_on_rewrite = !slice_equal(value, SLICE("no"));
    } else if (slice_equal(name, SLICE("min-replicas-to-write"))) {
        (void)number_read(value, &facts->min_replicas);
    } else if (slice_equal(name, SLICE("save"))) {
        facts->has_saves = value.len > 0;
    } else if (slice_equal(name, SLICE("stop-writes-on-bgsave-error"))) {
        facts->is_stopped_by_save = slice_equal(value, SLICE("yes"));
    } else if (slice_equal(name, SLICE("busy-reply-threshold"))) {
        (void)number_read(value, &facts->busy_ms);
    } else if (slice_equal(name, SLICE("timeout"))) {
        (void)number_read(value, &facts->idle_timeout_s);
    }
}

/* ---- what it is worth ---- */

enum redis_durability check_durability(const struct check_facts *facts,
                                       const struct redis_options *options)
{
    if (facts->has_aof == 0 || facts->fsync == CHECK_FSYNC_UNKNOWN || facts->fsync == CHECK_FSYNC_NO) {
        return REDIS_MEMORY; /* "appendfsync no" leaves it to the kernel, half a minute late */
    }
    if (facts->fsync == CHECK_FSYNC_EVERYSEC || facts->is_fsync_off_on_rewrite) {
        return REDIS_AOF_EVERYSEC;
    }
    if (options->is_synchronous && facts->replicas > 0) {
        return REDIS_REPLICATED;
    }
    return facts->connected > 0 || options->url.is_sentinel ? REDIS_ASYNC_REPLICATED : REDIS_FSYNC;
}

uint64_t check_budget(const struct redis_options *options)
{
    uint64_t bytes;

    if (__builtin_mul_overflow(options->idempotency_ttl_us / 1000000, options->keys_a_second, &bytes) ||
        __builtin_mul_overflow(bytes, (uint64_t)CHECK_IDEM_KEY_BYTES, &bytes)) {
        return UINT64_MAX;
    }
    return bytes;
}

/* The setting that keeps the durability below what is required. */
static void say_weak(const struct check_facts *facts, const struct redis_options *options,
                     struct err_text *why)
{
    const char *mend = "add replicas and serve with --redis-sync";

    if (facts->has_aof == 0) {
        mend = "set \"appendonly yes\" and \"appendfsync always\" on the server";
    } else if (facts->fsync == CHECK_FSYNC_UNKNOWN) {
        mend = "CONFIG GET is forbidden to this user, so appendfsync is not known: allow it "
               "(ACL: +config|get)";
    } else if (facts->fsync != CHECK_FSYNC_ALWAYS) {
        mend = "set \"appendfsync always\" on the server";
    } else if (facts->is_fsync_off_on_rewrite) {
        mend = "set \"no-appendfsync-on-rewrite no\" on the server";
    } else if (facts->connected > 0 || options->url.is_sentinel) {
        mend = facts->replicas == 0
                   ? "no replica is connected: connect one, and serve with --redis-sync"
                   : "replicas may fall behind the master: serve with --redis-sync";
    }
    err_text_set(why, "durability is \"%s\", less than the required \"%s\": %s",
                 redis_durability_text(check_durability(facts, options)),
                 redis_durability_text(options->required), mend);
}

static bool is_weak(const struct check_facts *facts, const struct redis_options *options)
{
    return options->has_required && check_durability(facts, options) < options->required;
}

/* Eviction throws away money, or the keys that keep a posting from happening twice. */
static bool says_eviction(const struct check_facts *facts, struct err_text *why)
{
    if (strcmp(facts->policy, "noeviction") != 0) {
        err_text_set(why,
                     "maxmemory-policy is \"%s\": the server may throw away balances; set "
                     "\"maxmemory-policy noeviction\"",
                     facts->policy[0] == '\0' ? "unknown" : facts->policy);
        return true;
    }
    if (facts->evicted_keys > 0) {
        err_text_set(why,
                     "%llu keys have been evicted since the server started, perhaps of the "
                     "ledger: verify it, then CONFIG RESETSTAT",
                     (unsigned long long)facts->evicted_keys);
        return true;
    }
    return false;
}

static bool is_old(const char *version)
{
    uint64_t major = 0;
    const char *dot = strchr(version, '.');
    const size_t len = dot == NULL ? strlen(version) : (size_t)(dot - version);

    return !number_read(slice_make(version, len), &major) || major < VERSION_MAJOR_MIN;
}

/* What it is: a server that this store cannot work on, whatever its settings. */
static enum err check_kind(const struct check_facts *facts, struct err_text *why)
{
    if (is_old(facts->version)) {
        err_text_set(why, "the server is Redis %s: 7.0 or newer is needed (functions)",
                     facts->version);
        return ERR_INVALID;
    }
    if (facts->is_cluster != 0) {
        err_text_set(why, "the server is part of a Redis Cluster (cluster_enabled:1), which is not "
                          "served yet: use one server, or one with Sentinel");
        return ERR_UNSUPPORTED;
    }
    if (facts->role != CHECK_MASTER) {
        err_text_set(why, facts->role == CHECK_REPLICA
                              ? "the server is a replica: give the master's address, or the sentinels'"
                              : "the server says no role: is it a sentinel? Then the address is "
                                "redis+sentinel://host:port/master-name");
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err check_start(const struct check_facts *facts, const struct redis_options *options,
                     struct err_text *why)
{
    const uint64_t budget = check_budget(options);
    enum err e = check_kind(facts, why);

    if (e != ERR_OK) {
        return e;
    }
    if (facts->is_loading != 0 || facts->is_async_loading != 0) {
        err_text_set(why, "the server is still loading its data: start again when it has (it is "
                          "never taken for empty)");
        return ERR_INVALID;
    }
    if (says_eviction(facts, why)) {
        return ERR_INVALID;
    }
    if (options->is_synchronous && facts->replicas == 0) {
        err_text_set(why, "synchronous writes are asked for, and no replica is connected and in "
                          "step: connect one, or serve without --redis-sync");
        return ERR_INVALID;
    }
    if (is_weak(facts, options)) {
        say_weak(facts, options, why);
        return ERR_INVALID;
    }
    if (options->has_required && options->required > REDIS_MEMORY && facts->is_aof_write_bad) {
        err_text_set(why, "the server's last write to its append-only file failed "
                          "(aof_last_write_status): mend its disk first");
        return ERR_INVALID;
    }
    if (facts->max_memory > 0 && budget > facts->max_memory) {
        err_text_set(why,
                     "idempotency keys alone would take %llu bytes (%llu keys a second x %llu s x "
                     "%d bytes), maxmemory is %llu: raise maxmemory, or shorten the keys' life",
                     (unsigned long long)budget, (unsigned long long)options->keys_a_second,
                     (unsigned long long)(options->idempotency_ttl_us / 1000000),
                     CHECK_IDEM_KEY_BYTES, (unsigned long long)facts->max_memory);
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* The server refuses writes from maxmemory on; a little earlier, so that the answer does not tremble. */
static bool is_full(const struct check_facts *facts)
{
    const uint64_t counted =
        facts->used_memory -
        (facts->uncounted_memory < facts->used_memory ? facts->uncounted_memory : 0);

    return facts->max_memory > 0 && counted >= facts->max_memory - facts->max_memory / 512;
}

enum store_health check_health(const struct check_facts *facts, const struct redis_options *options,
                               struct err_text *why)
{
    if (says_eviction(facts, why)) {
        return STORE_FAILED;
    }
    if (options->is_synchronous && facts->replicas == 0) {
        err_text_set(why, "no replica is connected, and writes wait for one");
        return STORE_STALLED;
    }
    if (is_weak(facts, options)) {
        say_weak(facts, options, why);
        return STORE_STALLED;
    }
    if (facts->good_replicas < facts->min_replicas) {
        err_text_set(
            why, "the server refuses writes: %llu replicas keep up, min-replicas-to-write is %llu",
            (unsigned long long)facts->good_replicas, (unsigned long long)facts->min_replicas);
        return STORE_STALLED;
    }
    if (facts->is_aof_write_bad) {
        err_text_set(why, "the server cannot write its append-only file (aof_last_write_status)");
        return STORE_DISK_FULL;
    }
    if (facts->is_save_bad && facts->has_saves && facts->is_stopped_by_save) {
        err_text_set(why, "the server refuses writes: its last snapshot failed "
                          "(rdb_last_bgsave_status, stop-writes-on-bgsave-error)");
        return STORE_DISK_FULL;
    }
    if (is_full(facts)) {
        err_text_set(why, "used_memory %llu has come to maxmemory %llu",
                     (unsigned long long)facts->used_memory, (unsigned long long)facts->max_memory);
        return STORE_DISK_FULL;
    }
    return STORE_HEALTHY;
}

/* ---- warnings ---- */

bool check_is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 ||
           strncmp(host, "::ffff:127.", 11) == 0 || strcmp(host, "localhost") == 0;
}

static void warn(struct check_warnings *out, const char *setting, const char *format, ...)
    PRINTF_LIKE(3, 4);

static void warn(struct check_warnings *out, const char *setting, const char *format, ...)
{
    struct check_warning *w = &out->items[out->count];
    va_list args;

    ASSERT(out->count < CHECK_WARNINGS_MAX);
    out->count++;
    w->setting = setting;
    va_start(args, format);
    (void)vsnprintf(w->text, sizeof(w->text), format, args);
    va_end(args);
}

static void warn_disk(const struct check_facts *facts, struct check_warnings *out)
{
    if (facts->has_aof == 0) {
        warn(out, "appendonly",
             "no append-only file: a restart of the server loses what it was told "
             "since its last snapshot, or everything");
    }
    if (facts->is_aof_write_bad) {
        warn(out, "aof_last_write_status", "the last write to the append-only file failed");
    }
    if (facts->is_aof_rewrite_bad) {
        warn(out, "aof_last_bgrewrite_status", "the last rewrite of the append-only file failed");
    }
    if (facts->is_save_bad) {
        warn(out, "rdb_last_bgsave_status",
             "the last snapshot failed; with stop-writes-on-bgsave-error writes are refused");
    }
    if (facts->has_aof != 0 && facts->fsync == CHECK_FSYNC_NO) {
        warn(out, "appendfsync", "\"no\" leaves it to the kernel when the file reaches the disk");
    }
    if (facts->has_aof != 0 && facts->is_fsync_off_on_rewrite) {
        warn(out, "no-appendfsync-on-rewrite", "\"yes\" stops fsync during every rewrite");
    }
}

static void warn_limits(const struct check_facts *facts, const struct redis_options *options,
                        struct check_warnings *out)
{
    const uint64_t clients = (uint64_t)options->pool_active + CHECK_CLIENTS_SPARE;

    if (facts->max_memory == 0) {
        warn(out, "maxmemory", "it is 0: the server grows until the kernel kills it; set a limit");
    }
    if (facts->max_clients > 0 && facts->max_clients < clients) {
        warn(out, "maxclients", "%llu is little for a pool of %u and what others need",
             (unsigned long long)facts->max_clients, options->pool_active);
    }
    if (!facts->has_config) {
        warn(out, "config",
             "CONFIG GET is forbidden to this user: appendfsync is not known, and the "
             "weakest durability is claimed (ACL: +config|get)");
        return;
    }
    if (facts->busy_ms * 1000 > options->op_timeout_us) {
        warn(out, "busy-reply-threshold", "%llu ms is longer than an operation may take",
             (unsigned long long)facts->busy_ms);
    }
    if (facts->idle_timeout_s > 0 && facts->idle_timeout_s * 1000000 <= options->pool_idle_us) {
        warn(out, "timeout", "the server closes connections after %llu s, before the pool does",
             (unsigned long long)facts->idle_timeout_s);
    }
    if (options->url.is_sentinel && facts->min_replicas == 0) {
        warn(out, "min-replicas-to-write",
             "it is 0: a master cut off from its replicas goes on taking writes that are lost when "
             "another becomes master");
    }
}

void check_warn(const struct check_facts *facts, const struct redis_options *options,
                const char *host, int64_t clock_offset_us, struct check_warnings *out)
{
    out->count = 0;
    warn_disk(facts, out);
    warn_limits(facts, options, out);
    if (clock_offset_us > CHECK_CLOCK_WARN_US || clock_offset_us < -CHECK_CLOCK_WARN_US) {
        warn(out, "clock", "the server's clock is %lld ms off ours",
             (long long)(clock_offset_us / 1000));
    }
    if (options->url.is_sentinel && facts->replicas == 0) {
        warn(out, "replicas", "no replica is connected: nobody can take over");
    }
    if (!check_is_loopback(host)) {
        if (options->url.password[0] == '\0') {
            warn(out, "password", "the server is on the network and asks for no password");
        }
        if (!options->url.is_tls) {
            warn(out, "tls", "the server is on the network, and TLS is off");
        }
    }
}

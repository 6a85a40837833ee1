/*
 * Every key there is, one line each: the line makes the field of struct config, the flag, the environment name, the
 * key of the file, the help and the documentation. Adding a key is adding its line.
 */
#ifndef CONFIG_CONFIG_KEYS_H
#define CONFIG_CONFIG_KEYS_H

/*
 * KEY(kind, field, name, default, …): kind is an enum config_kind without its prefix; the rest are the members of
 * struct config_entry that the key needs (config.h says what they mean). Times are kept in µs, sizes in bytes.
 */
/* clang-format off */
#define CONFIG_KEYS(KEY) \
    KEY(ADDRESS,  listen,              "listen",           "127.0.0.1:8080", .env_port = "PORT", .help = "address and port to serve on; [::1]:8080 for IPv6") \
    KEY(TEXT,     data,                "data",             "./data",         .min = 1, .word = "FOLDER", .help = "folder that holds the ledger") \
    KEY(TEXT,     redis_addr,          "redis-addr",       "",               .env = "REDIS_ADDR", .word = "ADDRESS", .is_url = true, .help = "Redis to keep the ledger in: host:port, or redis://, rediss://, redis+sentinel://; empty: the data folder") \
    KEY(TEXT,     redis_user,          "redis-user",       "",               .max = 255, .word = "NAME", .help = "Redis user, in place of one in the address; empty: the default user") \
    KEY(TEXT,     redis_password,      "redis-password",   "",               .max = 255, .is_secret = true, .help = "Redis password, in place of one in the address") \
    KEY(TEXT,     redis_tls_ca,        "redis-tls-ca",     "",               .word = "FILE", .help = "certificates that a rediss:// server's must come from; empty: the system's") \
    KEY(TEXT,     redis_tls_cert,      "redis-tls-cert",   "",               .word = "FILE", .help = "certificate to show to a rediss:// server") \
    KEY(TEXT,     redis_tls_key,       "redis-tls-key",    "",               .word = "FILE", .help = "its private key") \
    KEY(NUMBER,   redis_pool_active,   "redis-pool-active", "100",           .min = 1, .max = 10000, .help = "connections to Redis at most") \
    KEY(NUMBER,   redis_pool_idle,     "redis-pool-idle",  "50",             .max = 10000, .help = "of these, idle at most") \
    KEY(DURATION, redis_pool_idle_us,  "redis-pool-idle-timeout", "5m",      .min = 1 * CONFIG_SECOND, .max = 1 * CONFIG_DAY, .help = "life of an idle connection to Redis") \
    KEY(NUMBER,   redis_depth,         "redis-depth",      "16",             .min = 1, .max = 1024, .help = "requests in flight on one connection to Redis; 1: none waits behind another") \
    KEY(DURATION, redis_timeout_us,    "redis-timeout",    "2s",             .min = 50 * CONFIG_MS, .max = 1 * CONFIG_MINUTE, .help = "deadline of one operation on Redis, all its tries together") \
    KEY(SWITCH,   redis_load_functions, "redis-load-functions", "true",      .help = "load the function library into Redis where it is missing or another") \
    KEY(SWITCH,   redis_sync,          "redis-sync",       "false",          .help = "let each answer wait until every replica has the write") \
    KEY(DURATION, redis_wait_us,       "redis-wait-timeout", "500ms",        .min = 10 * CONFIG_MS, .max = 1 * CONFIG_MINUTE, .help = "how long redis-sync waits; short of replicas a write is OUTCOME_UNKNOWN") \
    KEY(NUMBER,   redis_keys_a_second, "redis-keys-per-second", "0",         .max = 1000000, .help = "idempotency keys expected a second: their memory is checked at start; 0: not checked") \
    KEY(CHOICE,   require_durability,  "require-durability", "none",         .choices = "none|memory|aof-everysec|async-replicated|fsync|replicated", .help = "the least that an answered write must be worth; a weaker store does not start, or is not written to") \
    KEY(NUMBER,   threads,             "threads",          "0",              .max = 64, .help = "event loops; 0: the cores less one, at least 1") \
    KEY(NUMBER,   readers,             "readers",          "2",              .min = 1, .max = 16, .help = "threads that read histories") \
    KEY(NUMBER,   connections,         "connections",      "10000",          .min = 1, .max = 1000000, .help = "connections open at once") \
    KEY(NUMBER,   inbox,               "inbox",            "16384",          .min = 16, .max = 1000000, .help = "requests that may wait for the writer") \
    KEY(NUMBER,   batch,               "batch",            "1024",           .min = 1, .max = 4096, .help = "postings in one commit at most") \
    KEY(DURATION, request_timeout_us,  "request-timeout",  "5s",             .min = 50 * CONFIG_MS, .max = 5 * CONFIG_MINUTE, .help = "deadline of a request") \
    KEY(DURATION, head_timeout_us,     "head-timeout",     "5s",             .min = 50 * CONFIG_MS, .max = 5 * CONFIG_MINUTE, .help = "time in which a request's head must arrive") \
    KEY(DURATION, idle_timeout_us,     "idle-timeout",     "60s",            .min = 1 * CONFIG_SECOND, .max = 1 * CONFIG_HOUR, .help = "life of an idle keep-alive connection") \
    KEY(DURATION, drain_delay_us,      "drain-delay",      "0s",             .max = 5 * CONFIG_MINUTE, .help = "time to go on serving after SIGTERM, while /readyz says 503") \
    KEY(DURATION, drain_timeout_us,    "drain-timeout",    "25s",            .max = 1 * CONFIG_HOUR, .help = "time for what is in flight to finish before the exit") \
    KEY(TEXT,     default_currency,    "default-currency", "CNY",            .min = 1, .help = "currency of accounts opened without one") \
    KEY(SWITCH,   auto_create,         "auto-create",      "true",           .help = "let the first credit open an account") \
    KEY(DURATION, idempotency_ttl_us,  "idempotency-ttl",  "24h",            .min = 10 * CONFIG_MINUTE, .max = 3650 * CONFIG_DAY, .help = "how long idempotency keys are kept at least") \
    KEY(NUMBER,   idempotency_max,     "idempotency-max",  "50000000",       .min = 1000, .max = 1000000000, .help = "idempotency keys kept at most; new ones are then refused") \
    KEY(SWITCH,   allow_remote,        "allow-remote",     "false",          .help = "serve callers from other machines without API keys") \
    KEY(CHOICE,   default_language,    "default-language", "zh-CN",          .choices = "zh-CN|en", .help = "language of error messages where the caller names none") \
    KEY(CHOICE,   log_level,           "log-level",        "info",           .choices = "debug|info|warn|error", .help = "the least weighty events that are logged") \
    KEY(CHOICE,   log_format,          "log-format",       "logfmt",         .choices = "logfmt|json", .help = "form of a log line") \
    KEY(SWITCH,   access_log,          "access-log",       "false",          .help = "log one line a request")
/* clang-format on */

#endif

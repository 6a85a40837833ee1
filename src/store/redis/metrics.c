#include "store/redis/metrics.h"

#include "base/assert.h"

static const char *const commands[WIRE_COMMAND_COUNT] = {
    [WIRE_POST] = "command=\"post\"",
    [WIRE_READ] = "command=\"read\"",
    [WIRE_HISTORY] = "command=\"history\"",
    [WIRE_CONTROL] = "command=\"control\"",
};

static const char *const reasons[] = {
    [CLOSE_IDLE] = "reason=\"idle\"",         [CLOSE_PEER] = "reason=\"peer\"",
    [CLOSE_STALLED] = "reason=\"stalled\"",   [CLOSE_PROTOCOL] = "reason=\"protocol\"",
    [CLOSE_SWITCH] = "reason=\"new_master\"", [CLOSE_END] = "reason=\"end\"",
};

static enum err counters_declare(struct metrics *m, struct redis_series *out)
{
    const struct {
        const char *name, *help;
        uint32_t *series;
    } counters[] = {
        {"wallet_redis_reconnects_total", "Connections to Redis opened again.", &out->reconnects},
        {"wallet_redis_redirects_total", "Answers that named another node as the master.",
         &out->redirects},
        {"wallet_redis_ambiguous_total", "Calls that were sent and got no answer in time.",
         &out->ambiguous},
        {"wallet_redis_late_replies_total", "Answers that came after their call's deadline.",
         &out->late_replies},
        {"wallet_redis_not_sent_total", "Calls that surely were not executed.", &out->not_sent},
    };
    enum err e = ERR_OK;

    for (unsigned i = 0; e == ERR_OK && i < ARRAY_LEN(counters); i++) {
        e = metrics_counter(m, counters[i].name, counters[i].help, "", counters[i].series);
    }
    return e;
}

enum err redis_metrics(struct metrics *m, struct redis_series *out)
{
    enum err e = ERR_OK;

    _Static_assert(ARRAY_LEN(reasons) == ARRAY_LEN(out->closes), "a series a reason");
    for (unsigned i = 0; e == ERR_OK && i < WIRE_COMMAND_COUNT; i++) {
        e = metrics_histogram(m, "wallet_redis_command_duration_seconds",
                              "Time from sending a command to Redis to its answer.", commands[i],
                              METRICS_SECONDS, &out->command_seconds[i]);
    }
    if (e == ERR_OK) {
        e = counters_declare(m, out);
    }
    for (unsigned i = 0; e == ERR_OK && i < ARRAY_LEN(reasons); i++) {
        e = metrics_counter(m, "wallet_redis_closes_total", "Connections to Redis closed.",
                            reasons[i], &out->closes[i]);
    }
    return e;
}

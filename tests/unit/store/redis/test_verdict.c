/* Every error that a Redis says to us, in its own words (7.0, and where they differ 7.2), and what it means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "store/redis/verdict.h"
#include "support/redis_server.h"

static const struct {
    const char *error;
    enum verdict expected;
} rows[] = {
    {"LOADING Redis is loading the dataset in memory", VERDICT_LATER},
    {"BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
     VERDICT_LATER},
    {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
     VERDICT_LATER},
    {"CLUSTERDOWN The cluster is down", VERDICT_LATER},
    {"CLUSTERDOWN Hash slot not served", VERDICT_LATER},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
     VERDICT_MOVED_AWAY},
    {"TRYAGAIN Multiple keys request during rehashing of slot", VERDICT_LATER},
    {"NOREPLICAS Not enough good replicas to write.", VERDICT_LATER},
    {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
     "disk. Commands that may modify the data set are disabled, because this instance is configured "
     "to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). "
     "Please check the Redis logs for details about the RDB error.",
     VERDICT_LATER},
    {"MISCONF Errors writing to the AOF file: No space left on device", VERDICT_LATER},
    {"OOM command not allowed when used memory > 'maxmemory'.", VERDICT_FULL},
    {"OOM allow-oom flag is not set on the function, can not run it when used memory > 'maxmemory'",
     VERDICT_FULL},
    {"READONLY You can't write against a read only replica.", VERDICT_MOVED_AWAY},
    {"READONLY Can not run script with write flag on readonly replica.", VERDICT_MOVED_AWAY},
    {"MOVED 3999 127.0.0.1:6381", VERDICT_MOVED_AWAY},
    {"ASK 3999 127.0.0.1:6381", VERDICT_MOVED_AWAY},
    {"UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
     VERDICT_MOVED_AWAY},
    {"ERR Function not found", VERDICT_LOAD},
    {"NOAUTH Authentication required.", VERDICT_DENIED},
    {"NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> "
     "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol "
     "version at the same time",
     VERDICT_DENIED},
    {"WRONGPASS invalid username-password pair or user is disabled.", VERDICT_DENIED},
    {"NOPERM this user has no permissions to run the 'fcall' command", VERDICT_DENIED},
    {"NOPERM No permissions to access a key", VERDICT_DENIED},
    {"DENIED Redis is running in protected mode because protected mode is enabled and no password is "
     "set for the default user.",
     VERDICT_DENIED},
    {"ERR AUTH <password> called without any password configured for the default user. Are you sure "
     "your configuration is correct?",
     VERDICT_DENIED},
    {"ERR max number of clients reached", VERDICT_CROWDED},
    {"ERR max number of clients + cluster connections reached", VERDICT_CROWDED},
    /* out of the function itself */
    {"ERR The user executing the script can't run this command or subcommand script: "
     "mywallet_v1_post, on @user_function:12.",
     VERDICT_HALF},
    {"ERR Script attempted to access a non local key in a cluster node script: mywallet_v1_post, on "
     "@user_function:9.",
     VERDICT_HALF},
    {"WRONGTYPE Operation against a key holding the wrong kind of value script: mywallet_v1_post, on "
     "@user_function:7.",
     VERDICT_HALF},
    {"OOM command not allowed when used memory > 'maxmemory'. script: mywallet_v1_post, on "
     "@user_function:7.",
     VERDICT_HALF},
    {"ERR user_function:5: attempt to index a nil value script: mywallet_v1_post, on "
     "@user_function:5.",
     VERDICT_HALF},
    /* ordinary ones, and those that only look like another */
    {"ERR unknown command 'FOO', with args beginning with: ", VERDICT_ANSWER},
    {"ERR value is not an integer or out of range", VERDICT_ANSWER},
    {"ERR Can not execute a script with write flag using *_ro command.", VERDICT_ANSWER},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", VERDICT_ANSWER},
    {"BUSYGROUP Consumer Group name already exists", VERDICT_ANSWER},
    {"BUSYKEY Target key name already exists.", VERDICT_ANSWER},
    {"NOSCRIPT No matching script. Please use EVAL.", VERDICT_ANSWER},
    {"CROSSSLOT Keys in request don't hash to the same slot", VERDICT_ANSWER},
    {"EXECABORT Transaction discarded because of previous errors.", VERDICT_ANSWER},
    {"ASKING", VERDICT_ANSWER},
    {"loading", VERDICT_ANSWER},
    {" LOADING", VERDICT_ANSWER},
    {"ERR", VERDICT_ANSWER},
    {"ERR Function not foun", VERDICT_ANSWER},
    {"", VERDICT_ANSWER},
    {"LOADING", VERDICT_LATER},
};

static void each_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum verdict v = verdict_of(slice_of(rows[i].error));
        if (v != rows[i].expected) {
            fail_msg("%s: %d", rows[i].error, (int)v);
        }
    }
    assert_int_equal(verdict_of(SLICE_NONE), VERDICT_ANSWER);
    /* bounded by its length, not by a zero byte */
    assert_int_equal(verdict_of(slice_make("OOMX", 3)), VERDICT_FULL);
    assert_int_equal(verdict_of(slice_make("ERR x script: f, on", 9)), VERDICT_ANSWER);
}

/* ---- the same by a real server ---- */

static void assert_verdict(const struct redis_server *s, const char *words, enum verdict expected)
{
    struct redisReply *reply = redis_server_ask(s, words);

    if (reply->type != REDIS_REPLY_ERROR ||
        verdict_of(slice_make(reply->str, (size_t)reply->len)) != expected) {
        fail_msg("%s: %s", words, reply->str == NULL ? "no error" : reply->str);
    }
    freeReplyObject(reply);
}

static void a_real_server(void **state)
{
    static const char library[] =
        "FUNCTION LOAD \"#!lua name=t\\n"
        "redis.register_function('w', function(k, a) redis.call('SET', k[1], '1') "
        "return redis.call('HGET', k[1], 'f') end)\\n"
        "redis.register_function('s', function() error('no') end)\\n"
        "redis.register_function('n', function() local x = nil return x.y end)\"";
    struct redis_server master, replica;

    (void)state;
    redis_server_start(&master, "");
    redis_server_say(&master, library);
    assert_verdict(&master, "FCALL nothing 0", VERDICT_LOAD);
    assert_verdict(&master, "FCALL_RO nothing 0", VERDICT_LOAD);
    assert_verdict(&master, "FCALL w 1 a", VERDICT_HALF);
    assert_verdict(&master, "FCALL s 0", VERDICT_HALF);
    assert_verdict(&master, "FCALL n 0", VERDICT_HALF);
    assert_verdict(&master, "FCALL_RO w 1 a", VERDICT_ANSWER);
    assert_verdict(&master, "HGET a f", VERDICT_ANSWER);
    assert_verdict(&master, "AUTH x", VERDICT_DENIED);
    assert_verdict(&master, "AUTH nobody x", VERDICT_DENIED);
    redis_server_start_replica(&replica, &master, "");
    assert_verdict(&replica, "SET a 2", VERDICT_MOVED_AWAY);
    assert_verdict(&replica, "FCALL w 1 a", VERDICT_MOVED_AWAY);
    redis_server_say(&replica, "CONFIG SET replica-serve-stale-data no");
    redis_server_kill(&master);
    redis_server_wait(&replica, "INFO replication", "master_link_status:down");
    assert_verdict(&replica, "GET a", VERDICT_MOVED_AWAY);
    redis_server_say(&replica, "REPLICAOF NO ONE");
    redis_server_say(&replica, "CONFIG SET min-replicas-to-write 1");
    assert_verdict(&replica, "FCALL w 1 a", VERDICT_LATER);
    redis_server_say(&replica, "CONFIG SET min-replicas-to-write 0");
    redis_server_say(&replica, "CONFIG SET maxmemory 1");
    assert_verdict(&replica, "FCALL w 1 a", VERDICT_FULL);
    assert_verdict(&replica, "SET a 2", VERDICT_FULL);
    redis_server_say(&replica, "CONFIG SET maxmemory 0");
    redis_server_say(&replica, "ACL SETUSER default -set");
    assert_verdict(&replica, "SET a 2", VERDICT_DENIED);
    assert_verdict(&replica, "FCALL w 1 a", VERDICT_HALF);
    redis_server_say(&replica, "ACL SETUSER default resetpass >secret +@all");
    assert_verdict(&replica, "GET a", VERDICT_DENIED);
    redis_server_stop(&replica);
    redis_server_stop(&master);
}

static void a_real_cluster_node(void **state)
{
    struct redis_server s;

    (void)state;
    redis_server_start(&s, "--cluster-enabled yes");
    assert_verdict(&s, "GET a", VERDICT_LATER); /* CLUSTERDOWN: nobody has the slot */
    redis_server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row),
        cmocka_unit_test(a_real_server),
        cmocka_unit_test(a_real_cluster_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Error replies, a row each: whether the call ran, and what becomes of it. And greetings that must not be trusted. */
#include "store/redis/wire.h"

#include "base/assert.h"
#include "unit/store/redis/lane_script.h"

/* ---- what an error reply means ---- */

enum row_fate { ROW_ANSWER, ROW_AGAIN_HERE, ROW_AGAIN_ELSEWHERE };

static const struct row {
    const char *error;
    enum row_fate fate;
    bool asks_look;
} rows[] = {
    {"MOVED 3999 127.0.0.1:6381", ROW_AGAIN_ELSEWHERE, true},
    {"ASK 3999 127.0.0.1:6381", ROW_AGAIN_ELSEWHERE, true},
    {"TRYAGAIN Multiple keys request during rehashing of slot", ROW_AGAIN_HERE, true},
    {"CLUSTERDOWN The cluster is down", ROW_AGAIN_HERE, true},
    {"LOADING Redis is loading the dataset in memory", ROW_AGAIN_HERE, true},
    {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
     ROW_AGAIN_ELSEWHERE, true},
    {"BUSY Redis is busy running a script.", ROW_AGAIN_HERE, true},
    {"NOREPLICAS Not enough good replicas to write.", ROW_AGAIN_HERE, true},
    {"MISCONF Errors writing to the AOF file: No space left on device", ROW_AGAIN_HERE, true},
    {"OOM command not allowed when used memory > 'maxmemory'.", ROW_ANSWER, false},
    {"READONLY You can't write against a read only replica.", ROW_AGAIN_ELSEWHERE, true},
    {"ERR Function not found", ROW_AGAIN_HERE, true},
    {"NOAUTH Authentication required.", ROW_AGAIN_ELSEWHERE, true},
    {"WRONGPASS invalid username-password pair or user is disabled.", ROW_AGAIN_ELSEWHERE, true},
    {"NOPERM this user has no permissions to run the 'fcall' command", ROW_AGAIN_ELSEWHERE, true},
    {"ERR max number of clients reached", ROW_AGAIN_ELSEWHERE, true},
    {"ERR WRONGTYPE script: mywallet_v1_post, on @user_function:1.", ROW_ANSWER, false},
    {"WRONGTYPE Operation against a key holding the wrong kind of value", ROW_ANSWER, false},
    {"ERR wrong number of arguments", ROW_ANSWER, false},
};

static void play_row(const struct row *row)
{
    char error[128];
    const struct fake_step first[] = {FAKE_GREETING,       EXPECT("tag-a\r\n"), ANSWER(error),
                                      EXPECT("tag-a\r\n"), ANSWER("+here\r\n"), END};
    static script second = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("+elsewhere\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {
        .call.is_write = true}; /* and never may_resend: it did not run, so it need not be allowed */

    (void)snprintf(error, sizeof error, "-%s\r\n", row->error);
    begin(&f, &b, first, second);
    lab_start(&b, 1, 1);
    lab_send(&b, &a, "FCALL tag-a");
    lab_run_ended(&b, 1);
    if (row->fate == ROW_ANSWER) {
        lab_assert(&a, WIRE_ANSWERED, row->error);
        assert_int_equal(a.reply_type, REDIS_REPLY_ERROR);
        assert_int_equal(a.call.tries, 0);
    } else {
        lab_assert(&a, WIRE_ANSWERED, row->fate == ROW_AGAIN_HERE ? "here" : "elsewhere");
        assert_int_equal(a.call.tries, 1);
        assert_true(a.call.sent_us >= a.call.retry_us);
    }
    assert_int_equal(atomic_load(&f.accepted), row->fate == ROW_AGAIN_ELSEWHERE ? 2 : 1);
    assert_int_equal(atomic_load(&b.shared->needs_look), row->asks_look);
    assert_int_equal(lab_count(&b, "ambiguous"), 0);
    end(&f, &b);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("    %s\n", rows[i].error);
        play_row(&rows[i]);
    }
}

/* It says so until the deadline: surely not executed, and told in time. */
static void test_rows_until_the_deadline(void **state)
{
    static const char *const errors[] = {"-LOADING x\r\n", "-ERR Function not found\r\n",
                                         "-READONLY x\r\n", "-NOPERM x\r\n"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        const struct fake_step stubborn[] = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER(errors[i]),
                                             REPEAT(2)};
        struct fake_redis f;
        struct lab b;
        struct lab_call a = {0};
        begin(&f, &b, stubborn, NULL);
        b.op_us = 300 * 1000;
        lab_start(&b, 1, 1);
        lab_send(&b, &a, "FCALL tag-a");
        lab_run_ended(&b, 1);
        lab_assert(&a, WIRE_NOT_SENT, "");
        assert_true(a.call.tries >= 1);
        assert_true(a.ended_us <= a.call.deadline_mono_us + 100 * 1000);
        assert_int_equal(lab_count(&b, "not_sent"), 1);
        end(&f, &b);
    }
}

/* ---- the greeting ---- */

static void test_refused_greetings(void **state)
{
    static script wrong_password = {EXPECT("ROLE\r\n"),
                                    ANSWER("-WRONGPASS no\r\n-NOAUTH x\r\n-NOAUTH x\r\n"), END};
    static script replica = {
        EXPECT("ROLE\r\n"),
        ANSWER(FAKE_HELLO "+OK\r\n*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"),
        END};
    static script crowded = {ANSWER("-ERR max number of clients reached\r\n"), CLOSE};
    static script no_role = {EXPECT("ROLE\r\n"), ANSWER(FAKE_HELLO "+OK\r\n-NOPERM role\r\n"), END};
    static script odd_role = {EXPECT("ROLE\r\n"), ANSWER(FAKE_HELLO "+OK\r\n*0\r\n"), END};
    static script silent = {EXPECT("ROLE\r\n"), END};
    static script closes = {CLOSE};
    static script no_resp = {EXPECT("ROLE\r\n"), ANSWER("HTTP/1.1 400 Bad Request\r\n\r\n"), END};
    static const struct fake_step *const all[] = {wrong_password, replica, crowded, no_role,
                                                  odd_role,       silent,  closes,  no_resp};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct fake_redis f;
        struct lab b;
        struct lab_call a = {0};
        begin(&f, &b, all[i], answers);
        lab_start(&b, 4, 4);
        lab_send(&b, &a, "GET tag-a");
        lab_run_ended(&b, 1);
        lab_assert(&a, WIRE_ANSWERED, "a");
        assert_int_equal(atomic_load(&f.accepted), 2);
        assert_true(atomic_load(&b.shared->needs_look));
        assert_int_equal(a.call.tries, 0);
        end(&f, &b);
    }
}

/* An emptied server, or another one in its place: nothing is sent to it. */
static void test_another_ledger(void **state)
{
#define GREET(epoch) ANSWER(FAKE_HELLO "+OK\r\n" epoch FAKE_MASTER)
    static script emptied = {EXPECT("ROLE\r\n"), GREET("$-1\r\n"), EXPECT("tag-a\r\n"),
                             ANSWER("+lost\r\n"), END};
    static script other = {EXPECT("ROLE\r\n"), GREET("$16\r\n0123456789abcdee\r\n"),
                           EXPECT("tag-a\r\n"), ANSWER("+lost\r\n"), END};
    static script denied = {EXPECT("ROLE\r\n"), GREET("-NOPERM hget\r\n"), EXPECT("tag-a\r\n"),
                            ANSWER("+lost\r\n"), END};
    static script ours = {EXPECT("$4\r\nHGET\r\n$6\r\nw:meta\r\n$5\r\nepoch\r\n"),
                          EXPECT("ROLE\r\n"),
                          GREET("$16\r\n0123456789abcdef\r\n"),
                          EXPECT("tag-a\r\n"),
                          ANSWER("+a\r\n"),
                          END};
    static const struct fake_step *const all[] = {emptied, other, denied};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct fake_redis f;
        struct lab b;
        struct lab_call a = {.call.is_write = true};
        begin(&f, &b, all[i], ours);
        (void)snprintf(b.shared->epoch, sizeof b.shared->epoch, "0123456789abcdef");
        lab_start(&b, 1, 1);
        lab_send(&b, &a, "FCALL tag-a");
        lab_run_ended(&b, 1);
        lab_assert(&a, WIRE_ANSWERED, "a");
        assert_int_equal(atomic_load(&f.accepted), 2);
        assert_true(atomic_load(&b.shared->needs_look));
        assert_int_equal(a.call.tries, 0);
        end(&f, &b);
    }
#undef GREET
}

static void test_greeting_is_whole(void **state)
{
    static script first = {
        EXPECT("*7\r\n$5\r\nHELLO\r\n$1\r\n2\r\n$4\r\nAUTH\r\n$7\r\ndefault\r\n$7\r\nse cret\r\n$7\r\nSETNAME\r\n$17\r\nmywallet-"),
        EXPECT("*3\r\n$6\r\nCLIENT\r\n$8\r\nNO-EVICT\r\n$2\r\non\r\n*1\r\n$4\r\nROLE\r\n"),
        ANSWER(FAKE_HELLO "-ERR unknown subcommand\r\n" FAKE_MASTER), /* refused NO-EVICT does no harm */
        EXPECT("tag-a\r\n"),
        ANSWER("+a\r\n"),
        END};
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {0};

    (void)state;
    begin(&f, &b, first, NULL);
    (void)snprintf(b.shared->options.url.password, 16, "se cret");
    lab_start(&b, 1, 1);
    lab_send(&b, &a, "GET tag-a");
    lab_run_ended(&b, 1);
    lab_assert(&a, WIRE_ANSWERED, "a");
    end(&f, &b);
}

/* No server at all: nothing was sent, and tries to connect are spaced. */
static void test_nobody_listens(void **state)
{
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {.call.may_resend = true};

    (void)state;
    begin(&f, &b, answers, NULL);
    fake_redis_stop(&f);
    b.op_us = 600 * 1000;
    lab_start(&b, 8, 8);
    lab_send(&b, &a, "GET tag-a");
    lab_run_ended(&b, 1);
    lab_assert(&a, WIRE_NOT_SENT, "");
    assert_true(a.ended_us >= a.call.deadline_mono_us);
    assert_true(a.ended_us <= a.call.deadline_mono_us + 100 * 1000);
    assert_in_range(lab_count(&b, "c_peer"), 2, 8); /* after 50, 100, 200 ms … */
    assert_true(atomic_load(&b.shared->needs_look));
    lab_end(&b);
}

static void test_no_master_known(void **state)
{
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {0};
    struct lab_call again = {0};

    (void)state;
    begin(&f, &b, answers, NULL);
    atomic_store(&b.shared->generation, 0);
    b.op_us = 100 * 1000;
    lab_start(&b, 1, 1);
    lab_send(&b, &a, "GET tag-a");
    lab_run_ended(&b, 1);
    lab_assert(&a, WIRE_NOT_SENT, "");
    assert_int_equal(atomic_load(&f.accepted), 0);
    b.op_us = 2000 * 1000;
    lab_send(&b, &again, "GET tag-a");
    lab_run_ms(&b, 50);
    atomic_store(&b.shared->generation, 1); /* while it waits */
    lab_run_ended(&b, 2);
    lab_assert(&again, WIRE_ANSWERED, "a");
    end(&f, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_until_the_deadline),
        cmocka_unit_test(test_refused_greetings),
        cmocka_unit_test(test_another_ledger),
        cmocka_unit_test(test_greeting_is_whole),
        cmocka_unit_test(test_nobody_listens),
        cmocka_unit_test(test_no_master_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What becomes of a call when the way to the server breaks, answers late, or says what is no answer: against a scripted server.
 * Each test names what the call's fate must be, and by the script whether its bytes came a second time.
 */
#include "store/redis/wire.h"

#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "unit/store/redis/lane_script.h"

/* ---- lost connections ---- */

static void lose(const struct fake_step *first, bool may_resend, enum wire_fate fate)
{
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {.call = {.is_write = true, .may_resend = may_resend}};

    begin(&f, &b, first, answers);
    lab_start(&b, 1, 1);
    lab_send(&b, &a, "FCALL tag-a");
    lab_run_ended(&b, 1);
    lab_assert(&a, fate, fate == WIRE_ANSWERED ? "a" : "");
    assert_int_equal(lab_count(&b, "ambiguous"), fate == WIRE_UNKNOWN);
    assert_int_equal(atomic_load(&f.accepted), fate == WIRE_ANSWERED ? 2 : 1);
    assert_int_equal(a.call.was_sent, true);
    if (fate == WIRE_ANSWERED) {
        assert_int_equal(lab_count(&b, "reconnects"), 1);
    }
    end(&f, &b);
}

static void test_lost_after_it_was_sent(void **state)
{
    static script eof = {FAKE_GREETING, EXPECT("tag-a\r\n"), CLOSE};
    static script reset = {FAKE_GREETING, EXPECT("tag-a\r\n"), RESET};
    static script half = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("$5\r\nab"), CLOSE};
    static script unread = {FAKE_GREETING, EXPECT("FCALL"), CLOSE};
    static script broken = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("!\r\n"), END};
    static const struct fake_step *const all[] = {eof, reset, half, unread, broken};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        lose(all[i], false, WIRE_UNKNOWN);
        lose(all[i], true, WIRE_ANSWERED);
    }
}

/* It was sent, the way was lost, and it could not be sent again: not known, never "not sent". */
static void test_lost_and_no_way_back(void **state)
{
    static script eof = {FAKE_GREETING, EXPECT("tag-a\r\n"), CLOSE};
    static script loading = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("-LOADING x\r\n"), REPEAT(2)};
    static script refuses = {CLOSE};
    static const struct fake_step *const all[] = {loading, refuses};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct fake_redis f;
        struct lab b;
        struct lab_call a = {.call.may_resend = true};
        begin(&f, &b, eof, all[i]);
        b.op_us = 300 * 1000;
        lab_start(&b, 1, 1);
        lab_send(&b, &a, "FCALL tag-a");
        lab_run_ended(&b, 1);
        lab_assert(&a, WIRE_UNKNOWN, "");
        assert_true(a.ended_us <= a.call.deadline_mono_us + 100 * 1000);
        end(&f, &b);
    }
}

/* Answered before the connection went: that answer holds, and the next call finds another connection. */
static void test_lost_after_the_answer(void **state)
{
    static script first = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("+a\r\n"), CLOSE};
    static script second = {FAKE_GREETING, EXPECT("tag-b\r\n"), ANSWER("+b\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[2] = {0};

    (void)state;
    begin(&f, &b, first, second);
    lab_start(&b, 1, 1);
    lab_send(&b, &calls[0], "GET tag-a");
    lab_run_ended(&b, 1);
    lab_run_until(&b, &b.shared->lanes[0].open, 0);
    lab_send(&b, &calls[1], "GET tag-b");
    lab_run_ended(&b, 2);
    lab_assert(&calls[0], WIRE_ANSWERED, "a");
    lab_assert(&calls[1], WIRE_ANSWERED, "b");
    assert_int_equal(calls[1].call.tries, 0);
    end(&f, &b);
}

/* The first call fills the socket, the second never leaves: only the first is unknown. */
static void test_lost_before_a_byte_left(void **state)
{
    static script blocked = {FAKE_GREETING, PAUSE(200), RESET};
    struct fake_redis f;
    struct lab b;
    struct lab_call big = {0};
    struct lab_call small = {.call.is_write = true};

    (void)state;
    begin(&f, &b, blocked, answers);
    lab_start(&b, 1, 1);
    lab_send_big(&b, &big, 16 << 20);
    lab_send(&b, &small, "FCALL tag-a");
    lab_run_ended(&b, 2);
    lab_assert(&big, WIRE_UNKNOWN, "");
    lab_assert(&small, WIRE_ANSWERED, "a");
    assert_int_equal(small.call.was_sent, false);
    assert_int_equal(small.call.tries, 1);
    free(big.big);
    end(&f, &b);
}

/* And where its deadline comes first, its bytes must not leave any more. */
static void test_deadline_before_a_byte_left(void **state)
{
    static script blocked = {FAKE_GREETING, END};
    struct fake_redis f;
    struct lab b;
    struct lab_call big = {0};
    struct lab_call small = {.call.may_resend = true};

    (void)state;
    begin(&f, &b, blocked, answers);
    lab_start(&b, 1, 1);
    lab_send_big(&b, &big, 16 << 20);
    b.op_us = 150 * 1000;
    lab_send(&b, &small, "FCALL tag-a");
    lab_run_ended(&b, 2);
    lab_assert(&small, WIRE_NOT_SENT, "");
    lab_assert(&big, WIRE_UNKNOWN, "");
    assert_int_equal(lab_count(&b, "c_stalled"), 1);
    free(big.big);
    end(&f, &b);
}

/* A socket that takes nothing is given nothing more: what comes later waits, and leaves without harm to what is under way. */
static void test_a_full_socket_is_left_alone(void **state)
{
    static script slow = {FAKE_GREETING, PAUSE(400), EXPECT("xx\r\n"), ANSWER("+big\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call big = {0};
    struct lab_call small = {.call.may_resend = true};

    (void)state;
    begin(&f, &b, slow, NULL);
    lab_start(&b, 1, 1);
    b.op_us = 10 * 1000 * 1000;
    lab_send_big(&b, &big, 16 << 20);
    lab_run_ms(&b, 100);
    b.op_us = 150 * 1000;
    lab_send(&b, &small, "FCALL tag-a");
    lab_run_ended(&b, 2);
    lab_assert(&small, WIRE_NOT_SENT, "");
    lab_assert(&big, WIRE_ANSWERED, "big");
    assert_int_equal(lab_count(&b, "c_stalled"), 0);
    free(big.big);
    end(&f, &b);
}

/* ---- late replies ---- */

static void test_late_reply_is_nobodys(void **state)
{
    static script late = {FAKE_GREETING,
                          EXPECT("tag-0\r\n"),
                          ANSWER("+0\r\n"),
                          EXPECT("tag-a\r\n"),
                          WAIT_GO,
                          ANSWER("+a\r\n"),
                          EXPECT("tag-b\r\n"),
                          ANSWER("+b\r\n"),
                          END};
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[2] = {{.call.may_resend = true}, {.call.may_resend = true}}, first = {0};

    (void)state;
    begin(&f, &b, late, NULL);
    lab_start(&b, 1, 1);
    lab_send(&b, &first, "GET tag-0"); /* the connection is open when the short time begins */
    lab_run_ended(&b, 1);
    b.op_us = 300 * 1000;
    lab_send(&b, &calls[0], "GET tag-a");
    lab_run_ended(&b, 2);
    lab_assert(&calls[0], WIRE_UNKNOWN, "");
    assert_true(calls[0].ended_us >= calls[0].call.deadline_mono_us);
    assert_true(atomic_load(&b.shared->needs_look));
    b.op_us = 2000 * 1000;
    lab_send(&b, &calls[1], "GET tag-b");
    lab_run_ms(&b, 30);
    assert_int_equal(calls[1].ended, 0);
    fake_redis_go(&f);
    lab_run_ended(&b, 3);
    lab_assert(&calls[1], WIRE_ANSWERED, "b");
    assert_int_equal(calls[0].ended, 1);
    assert_int_equal(lab_count(&b, "late_replies"), 1);
    assert_int_equal(lab_count(&b, "ambiguous"), 1);
    assert_int_equal(atomic_load(&f.accepted), 1);
    end(&f, &b);
}

/* Two operations' time without a byte: given up. What waits behind it may go elsewhere. */
static void test_silence_is_a_loss(void **state)
{
    static script silent = {FAKE_GREETING, EXPECT("tag-a\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[2] = {0};

    (void)state;
    begin(&f, &b, silent, answers);
    b.shared->options.op_timeout_us = 200 * 1000;
    lab_start(&b, 1, 1);
    b.op_us = 200 * 1000;
    lab_send(&b, &calls[0], "GET tag-a");
    b.op_us = 2000 * 1000;
    calls[1].call.may_resend = true;
    lab_send(&b, &calls[1], "GET tag-a");
    lab_run_ended(&b, 2);
    lab_assert(&calls[0], WIRE_UNKNOWN, "");
    lab_assert(&calls[1], WIRE_ANSWERED, "a");
    assert_int_equal(lab_count(&b, "c_stalled"), 1);
    assert_in_range(calls[1].ended_us - calls[0].ended_us, 150 * 1000, 600 * 1000);
    end(&f, &b);
}

/* Idle for long: it is asked whether it lives before a call is trusted to it. */
static void test_ping_before_reuse(void **state)
{
    static script lives = {
        FAKE_GREETING,       EXPECT("tag-a\r\n"), ANSWER("+a\r\n"), EXPECT("*1\r\n$4\r\nPING\r\n"),
        ANSWER("+PONG\r\n"), EXPECT("tag-b\r\n"), ANSWER("+b\r\n"), END};
    static script is_dead = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("+a\r\n"),
                             EXPECT("PING\r\n"), END};
    static script says_no = {FAKE_GREETING,      EXPECT("tag-a\r\n"),      ANSWER("+a\r\n"),
                             EXPECT("PING\r\n"), ANSWER("-LOADING x\r\n"), END};
    static script then = {FAKE_GREETING, EXPECT("tag-b\r\n"), ANSWER("+b\r\n"), END};
    static const struct fake_step *const all[] = {lives, is_dead, says_no};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct fake_redis f;
        struct lab b;
        struct lab_call calls[2] = {0}; /* never may_resend: PING went in its place */
        begin(&f, &b, all[i], then);
        b.shared->options.pool_idle_us = 800 * 1000;
        lab_start(&b, 1, 1);
        lab_send(&b, &calls[0], "GET tag-a");
        lab_run_ended(&b, 1);
        lab_run_ms(&b, 500);
        lab_send(&b, &calls[1], "GET tag-b");
        lab_run_ended(&b, 2);
        lab_assert(&calls[1], WIRE_ANSWERED, "b");
        assert_int_equal(atomic_load(&f.accepted), i == 0 ? 1 : 2);
        assert_int_equal(lab_count(&b, "c_stalled"), i == 1);
        end(&f, &b);
    }
}

/* Wherever memory runs out, the call ends once, and the lane goes on afterwards. */
static void test_no_memory(void **state)
{
    static script serves = {FAKE_GREETING, EXPECT("tag-a\r\n"), ANSWER("+a\r\n"), REPEAT(2)};
    struct lane *none = NULL;
    struct fake_redis f;
    struct lab b;

    (void)state;
    begin(&f, &b, serves, NULL);
    mem_fail_at(1, 0);
    assert_int_equal(lane_new(b.shared, &b.loop, 1, 1, &none), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_null(none);
    lab_end(&b);
    fake_redis_stop(&f);
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct lab_call calls[2] = {{.call.is_write = true}};
        begin(&f, &b, serves, NULL);
        b.shared->options.is_synchronous = nth % 2;
        lab_start(&b, 1, 1);
        b.op_us = 500 * 1000;
        mem_fail_at(nth, 0);
        lab_send(&b, &calls[0], "SET tag-a");
        lab_run_ended(&b, 1);
        mem_fail_at(0, 0);
        assert_int_equal(calls[0].ended, 1);
        b.op_us = 2000 * 1000;
        calls[1].call.may_resend = true;
        lab_send(&b, &calls[1], "GET tag-a");
        if (nth % 2 == 0) {
            lab_run_ended(&b, 2);
            lab_assert(&calls[1], WIRE_ANSWERED, "a");
        }
        end(&f, &b);
    }
}

/* ---- what the bytes may look like ---- */

static void test_split_at_every_byte(void **state)
{
    static script drips = {
        {.what = FAKE_EXPECT, .bytes = "ROLE\r\n"},
        DRIP(FAKE_HELLO "+OK\r\n" FAKE_MASTER),
        EXPECT("tag-e\r\n"),
        DRIP("+a\r\n:-5\r\n$7\r\nc\r\nccc\n\r\n*2\r\n*1\r\n$-1\r\n+x\r\n-ERR e\r\n"),
        END};
    static const char *const words[] = {"GET tag-a", "GET tag-b", "GET tag-c", "GET tag-d",
                                        "GET tag-e"};
    static const char *const replies[] = {"a", "-5", "c\r\nccc\n", "", "ERR e"};
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[5] = {0};

    (void)state;
    begin(&f, &b, drips, NULL);
    lab_start(&b, 1, 1);
    for (size_t i = 0; i < 5; i++) {
        lab_send(&b, &calls[i], words[i]);
    }
    lab_run_ended(&b, 5);
    for (size_t i = 0; i < 5; i++) {
        lab_assert(&calls[i], WIRE_ANSWERED, replies[i]);
    }
    assert_int_equal(calls[3].reply_type, REDIS_REPLY_ARRAY);
    end(&f, &b);
}

static long resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long all = 0;
    long resident = 0;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &all, &resident), 2);
    (void)fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void test_hostile_replies(void **state)
{
    static const struct fake_step hostile[] = {
        ANSWER("$2147483648\r\n"),
        ANSWER("$-2\r\n"),
        ANSWER("*1000000000\r\n"),
        ANSWER("%1\r\n+a\r\n+b\r\n"),
        ANSWER(">2\r\n+invalidate\r\n*0\r\n"),
        ANSWER("|1\r\n+a\r\n+b\r\n"),
        {.what = FAKE_FLOOD, .bytes = "*1\r\n", .number = 100 * 1000},
        {.what = FAKE_FLOOD, .bytes = "++++++++++++++++", .number = 1000 * 1000},
        {.what = FAKE_FLOOD, .bytes = "*1000000\r\n", .number = 1000},
        ANSWER("+one\r\n+too many\r\n"),
    };
    long before = resident_kib();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        const struct fake_step first[] = {FAKE_GREETING, EXPECT("tag-a\r\n"), hostile[i], END};
        bool is_answered = i == ARRAY_LEN(hostile) - 1;
        struct fake_redis f;
        struct lab b;
        struct lab_call a = {.call.may_resend = true};
        begin(&f, &b, first, answers);
        lab_start(&b, 1, 1);
        lab_send(&b, &a, "GET tag-a");
        lab_run_ended(&b, 1);
        lab_assert(&a, WIRE_ANSWERED, is_answered ? "one" : "a");
        assert_int_equal(lab_count(&b, "c_protocol"), 1);
        assert_int_equal(atomic_load(&f.accepted), is_answered ? 1 : 2);
        end(&f, &b);
    }
    assert_true(resident_kib() - before < 64 * 1024);
}

/* ---- waiting for replicas ---- */

static void synchronous(const char *wait_answer, enum wire_fate fate, bool asks_look)
{
    const struct fake_step first[] = {
        FAKE_GREETING,
        EXPECT("tag-w\r\n"),
        EXPECT("tag-x\r\n"),
        EXPECT("*3\r\n$4\r\nWAIT\r\n$1\r\n2\r\n$3\r\n200\r\n"), /* one for both */
        ANSWER("+w\r\n-ERR x\r\n+r\r\n"),
        WAIT_GO,
        ANSWER(wait_answer),
        END};
    struct fake_redis f;
    struct lab b;
    struct lab_call w = {.call.is_write = true};
    struct lab_call x = {.call.is_write = true};
    struct lab_call r = {0};

    begin(&f, &b, first, NULL);
    b.shared->options.is_synchronous = true;
    atomic_store(&b.shared->replicas, 2);
    lab_start(&b, 1, 1);
    lab_send(&b, &w, "FCALL tag-w");
    lab_send(&b, &x, "FCALL tag-x");
    lab_send(&b, &r, "GET tag-r");
    lab_run_ended(&b, 2);
    lab_run_ms(&b, 20);
    assert_int_equal(w.ended, 0);
    lab_assert(&x, WIRE_ANSWERED, "ERR x"); /* nothing to wait for */
    lab_assert(&r, WIRE_ANSWERED, "r");
    fake_redis_go(&f);
    lab_run_ended(&b, 3);
    lab_assert(&w, fate, fate == WIRE_ANSWERED ? "w" : "");
    assert_int_equal(atomic_load(&b.shared->needs_look), asks_look);
    end(&f, &b);
}

static void test_wait(void **state)
{
    (void)state;
    synchronous(":2\r\n", WIRE_ANSWERED, false);
    synchronous(":3\r\n", WIRE_ANSWERED, true);
    synchronous(":1\r\n", WIRE_UNKNOWN, true);
    synchronous(":0\r\n", WIRE_UNKNOWN, true);
    synchronous("-UNBLOCKED force unblock from blocking operation\r\n", WIRE_UNKNOWN, true);
}

/* No replica is known: nothing leaves that nobody could confirm, and what is read goes on. */
static void test_no_replica_no_write(void **state)
{
    static script first = {FAKE_GREETING,
                           EXPECT("tag-r\r\n"),
                           ANSWER("+r\r\n"),
                           EXPECT("tag-w\r\n"),
                           EXPECT("WAIT\r\n"),
                           ANSWER("+w\r\n:0\r\n"),
                           END};
    struct fake_redis f;
    struct lab b;
    struct lab_call w = {.call.is_write = true};
    struct lab_call r = {0};

    (void)state;
    begin(&f, &b, first, NULL);
    b.shared->options.is_synchronous = true;
    lab_start(&b, 1, 1);
    lab_send(&b, &w, "FCALL tag-w");
    lab_send(&b, &r, "GET tag-r");
    lab_run_ended(&b, 2);
    lab_assert(&w, WIRE_NOT_SENT, "");
    lab_assert(&r, WIRE_ANSWERED, "r");
    assert_true(atomic_load(&b.shared->needs_look));
    end(&f, &b);
}

static bool replicas_go(struct wire_call *call)
{
    atomic_store(&((struct lab_call *)call)->lab->shared->replicas, 0);
    return true;
}

/* The last one goes while the command is made: WAIT for none would confirm anything. */
static void test_wait_is_never_for_none(void **state)
{
    static script first = {FAKE_GREETING, EXPECT("tag-w\r\n"), EXPECT("WAIT\r\n"),
                           ANSWER("+w\r\n:0\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call w = {.call = {.is_write = true, .claim = replicas_go}};

    (void)state;
    begin(&f, &b, first, NULL);
    b.shared->options.is_synchronous = true;
    atomic_store(&b.shared->replicas, 1);
    lab_start(&b, 1, 1);
    lab_send(&b, &w, "FCALL tag-w");
    lab_run_ended(&b, 1);
    lab_assert(&w, WIRE_UNKNOWN, "");
    end(&f, &b);
}

/* Between the answer and its WAIT: the deadline, or the end of the connection. */
static void test_wait_that_never_ends(void **state)
{
    static script held = {FAKE_GREETING, EXPECT("WAIT\r\n"), ANSWER("+w\r\n"), WAIT_GO, CLOSE};
    static script then = {FAKE_GREETING, EXPECT("tag-k\r\n"), EXPECT("WAIT\r\n"),
                          ANSWER("+k\r\n:1\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call w = {.call.is_write = true};
    struct lab_call k = {.call = {.is_write = true, .may_resend = true}};

    (void)state;
    begin(&f, &b, held, then);
    b.shared->options.is_synchronous = true;
    atomic_store(&b.shared->replicas, 1);
    lab_start(&b, 1, 1);
    b.op_us = 100 * 1000;
    lab_send(&b, &w, "FCALL tag-w");
    b.op_us = 2000 * 1000;
    lab_send(&b, &k, "FCALL tag-k");
    lab_run_ended(&b, 1);
    lab_assert(&w, WIRE_UNKNOWN, "");
    fake_redis_go(&f);
    lab_run_ended(&b, 2);
    lab_assert(&k, WIRE_ANSWERED, "k");
    assert_int_equal(lab_count(&b, "late_replies"), 0); /* its answer had come */
    end(&f, &b);
}

/* ---- the queue, and the end ---- */

static bool refuse(struct wire_call *call)
{
    ((struct lab_call *)call)->reply[0] = (char)(((struct lab_call *)call)->reply[0] + 1);
    return false;
}

static bool agree(struct wire_call *call)
{
    ((struct lab_call *)call)->reply[1] = (char)(((struct lab_call *)call)->reply[1] + 1);
    return true;
}

static void test_claim(void **state)
{
    static script again = {FAKE_GREETING,       EXPECT("tag-a\r\n"), ANSWER("-BUSY x\r\n"),
                           EXPECT("tag-a\r\n"), ANSWER(":1\r\n"),    END};
    struct fake_redis f;
    struct lab b;
    struct lab_call no = {.call.claim = refuse};
    struct lab_call yes = {.call.claim = agree};

    (void)state;
    begin(&f, &b, again, NULL);
    lab_start(&b, 1, 1);
    lab_send(&b, &no, "GET tag-no");
    lab_send(&b, &yes, "GET tag-a");
    lab_run_ms(&b, 5);
    lab_run_ended(&b, 2);
    assert_int_equal(no.fate, WIRE_NOT_SENT);
    assert_int_equal(no.reply[0], 1);
    assert_int_equal(yes.fate, WIRE_ANSWERED);
    assert_int_equal(yes.reply_type, REDIS_REPLY_INTEGER);
    assert_int_equal(yes.call.tries, 1);
    end(&f, &b);
}

static bool only_once(struct wire_call *call)
{
    return !call->was_sent;
}

/* What was allowed at the first try is asked again before the next: by then it may be forbidden to write. */
static void test_claim_before_each_try(void **state)
{
    static script lost = {FAKE_GREETING, EXPECT("tag-a\r\n"), CLOSE};
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {.call = {.is_write = true, .may_resend = true, .claim = only_once}};

    (void)state;
    begin(&f, &b, lost, answers);
    lab_start(&b, 1, 1);
    lab_send(&b, &a, "FCALL tag-a");
    lab_run_ended(&b, 1);
    lab_assert(&a, WIRE_UNKNOWN, "");
    end(&f, &b);
}

static void test_full_queue(void **state)
{
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[3] = {0};

    (void)state;
    begin(&f, &b, answers, NULL);
    b.shared->options.inbox_max = 2;
    lab_start(&b, 1, 1);
    lab_send(&b, &calls[0], "GET tag-a");
    lab_send(&b, &calls[1], "GET tag-b");
    lab_send(&b, &calls[2], "GET tag-c");
    assert_int_equal(calls[2].ended, 0); /* not within lane_send */
    lab_run_ended(&b, 3);
    lab_assert(&calls[0], WIRE_ANSWERED, "a");
    lab_assert(&calls[1], WIRE_ANSWERED, "b");
    lab_assert(&calls[2], WIRE_NOT_SENT, "");
    assert_true(calls[2].ended_us < calls[0].ended_us);
    end(&f, &b);
}

static void test_close_with_calls_on_board(void **state)
{
    static script silent = {FAKE_GREETING, EXPECT("tag-a\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[4] = {{.call.may_resend = true}};

    (void)state;
    begin(&f, &b, silent, NULL);
    b.shared->options.depth = 2;
    lab_start(&b, 1, 1);
    lab_send(&b, &calls[0], "GET tag-a");
    lab_send(&b, &calls[1], "GET tag-a");
    lab_send(&b, &calls[2], "GET tag-a");
    while (atomic_load(&f.met) < 2) {
        lab_run_ms(&b, 1);
    }
    lab_send(&b, &calls[3], "GET tag-a");
    assert_int_equal(b.ended, 0);
    lab_close_lane(&b);
    assert_int_equal(b.ended, 4);
    lab_assert(&calls[0], WIRE_UNKNOWN, "");
    lab_assert(&calls[1], WIRE_UNKNOWN, "");
    lab_assert(&calls[2], WIRE_NOT_SENT, "");
    lab_assert(&calls[3], WIRE_NOT_SENT, "");
    assert_int_equal(lab_read(&b.shared->lanes[0].open), 0);
    assert_int_equal(lab_read(&b.shared->lanes[0].in_flight), 0);
    end(&f, &b);
    assert_int_equal(b.ended, 4);
}

static struct lab_call follower;

static void done_sends_more(struct wire_call *call, enum wire_fate fate, const redisReply *reply)
{
    struct lab_call *c = (struct lab_call *)call;

    lab_done(call, fate, reply);
    lab_send(c->lab, &follower, "GET tag-b");
    lane_flush(c->lab->lane);
}

static void test_done_sends_more(void **state)
{
    struct fake_redis f;
    struct lab b;
    struct lab_call a = {0};

    (void)state;
    follower = (struct lab_call){0};
    begin(&f, &b, answers, NULL);
    lab_start(&b, 1, 1);
    lab_send(&b, &a, "GET tag-a");
    a.call.done = done_sends_more;
    lab_run_ended(&b, 2);
    lab_assert(&a, WIRE_ANSWERED, "a");
    lab_assert(&follower, WIRE_ANSWERED, "b");
    /* and in the end too, where it is told at once */
    a.ended = follower.ended = b.ended = 0;
    lab_send(&b, &a, "GET tag-c");
    a.call.done = done_sends_more;
    lab_close_lane(&b);
    assert_int_equal(b.ended, 2);
    assert_int_equal(follower.fate, WIRE_NOT_SENT);
    end(&f, &b);
}

static void done_closes(struct wire_call *call, enum wire_fate fate, const redisReply *reply)
{
    struct lab_call *c = (struct lab_call *)call;

    lab_done(call, fate, reply);
    if (c->lab->lane != NULL) {
        struct lane *l = c->lab->lane;
        c->lab->lane = NULL;
        lane_close(l);
    }
}

/* The lane may be closed from a reply; what came behind that reply is not looked at. */
static void test_done_closes(void **state)
{
    static script both = {FAKE_GREETING, EXPECT("tag-b\r\n"), ANSWER("+a\r\n+b\r\n"), END};
    struct fake_redis f;
    struct lab b;
    struct lab_call calls[2] = {0};

    (void)state;
    begin(&f, &b, both, NULL);
    lab_start(&b, 1, 1);
    lab_send(&b, &calls[0], "GET tag-a");
    calls[0].call.done = done_closes;
    lab_send(&b, &calls[1], "GET tag-b");
    lab_run_ended(&b, 2);
    lab_assert(&calls[0], WIRE_ANSWERED, "a");
    lab_assert(&calls[1], WIRE_UNKNOWN, "");
    end(&f, &b);
}

/* A lane that never sent anything. */
static void test_close_unused(void **state)
{
    struct lab b;

    (void)state;
    lab_init(&b, 1, 1);
    lab_start(&b, 1, 0);
    lab_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lost_after_it_was_sent),
        cmocka_unit_test(test_lost_and_no_way_back),
        cmocka_unit_test(test_lost_after_the_answer),
        cmocka_unit_test(test_lost_before_a_byte_left),
        cmocka_unit_test(test_deadline_before_a_byte_left),
        cmocka_unit_test(test_a_full_socket_is_left_alone),
        cmocka_unit_test(test_late_reply_is_nobodys),
        cmocka_unit_test(test_silence_is_a_loss),
        cmocka_unit_test(test_ping_before_reuse),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_hostile_replies),
        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_no_replica_no_write),
        cmocka_unit_test(test_wait_is_never_for_none),
        cmocka_unit_test(test_wait_that_never_ends),
        cmocka_unit_test(test_claim),
        cmocka_unit_test(test_claim_before_each_try),
        cmocka_unit_test(test_full_queue),
        cmocka_unit_test(test_close_with_calls_on_board),
        cmocka_unit_test(test_done_sends_more),
        cmocka_unit_test(test_done_closes),
        cmocka_unit_test(test_close_unused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

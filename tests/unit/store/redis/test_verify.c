/* Verify on a real server: a sound ledger is sound, also while it moves; each kind of tampering is found, and named. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/redis/post.h"
#include "store/redis/sync.h"
#include "unit/store/redis/move_lab.h"

enum { BUCKETS = 16 };

static struct redis_server server;
static char account[LEDGER_ACCOUNT_ID_BYTES_MAX + 1]; /* one with a history */
static unsigned bucket;                               /* of it */

/* A ledger in 16 buckets, made once, and put back before each case. */
static void ledger_make(void)
{
    struct lines_options options = {.seed = 50, .count = 3000};
    struct lines l = {.time_us = 0};
    int fd;

    options.start_us = lab_now_us(&server) - 60000000;
    fd = lines_make(&options);
    lab_import(&server, BUCKETS, fd);
    (void)snprintf(account, sizeof(account), SLICE_FORMAT, SLICE_ARGS(lines_id(&l, 7)));
    bucket = names_bucket(slice_of(account), BUCKETS);
    (void)close(fd);
}

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, "");
    ledger_make();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

static int begin(void **state)
{
    (void)state;
    redis_server_say(&server, "FLUSHALL");
    ledger_make();
    return 0;
}

/* Words with {T} for the tag of the account's bucket, ID for the account. */
static const char *with(const char *words)
{
    static char out[1024];
    const struct slice tag = names_tag(bucket);
    size_t len = 0;

    for (const char *p = words; *p != '\0';) {
        if (strncmp(p, "{T}", 3) == 0) {
            len += (size_t)snprintf(out + len, sizeof(out) - len, "{" SLICE_FORMAT "}",
                                    SLICE_ARGS(tag));
            p += 3;
        } else if (strncmp(p, "ID", 2) == 0) {
            len += (size_t)snprintf(out + len, sizeof(out) - len, "%s", account);
            p += 2;
        } else {
            out[len++] = *p++;
        }
    }
    out[len] = '\0';
    return out;
}

static void finds(const char *words)
{
    struct redis_verify_report report;
    struct err_text why = {""};
    enum err e = lab_try_verify(&server, &report, &why);

    if (e != ERR_CORRUPT || strstr(why.text, words) == NULL) {
        fail_msg("%s: %s", err_name(e), why.text);
    }
}

static void a_sound_ledger_is_sound(void **state)
{
    struct redis_verify_report report;
    struct err_text why = {""};

    (void)state;
    lab_verify(&server);
    assert_int_equal(lab_try_verify(&server, &report, &why), ERR_OK);
    assert_int_equal(report.buckets, BUCKETS);
    assert_int_equal(report.currencies, 2);
    assert_int_equal(report.accounts, LINES_ACCOUNTS);
    assert_true(report.keys > 100 && report.entries > 2000);
}

/* One command each, and what verify says of it. */
static void single_changes_are_found(void **state)
{
    static const struct {
        const char *command, *words;
    } cases[] = {
        {"HINCRBY w:a:{T}:ID b 1", "b is not what its journal makes of it"},
        {"HINCRBY w:a:{T}:ID v 1", "v is not"},
        {"HINCRBY w:a:{T}:ID u 1", "u is not"},
        {"HINCRBY w:a:{T}:ID t -1", "t is not"},
        {"HINCRBY w:a:{T}:ID l 1", "l is not"},
        {"HSET w:a:{T}:ID c \"CNY 3\"", "c is not"},
        {"HSET w:a:{T}:ID h 1", "h is not"},
        {"HSET w:a:{T}:ID o 777777", "o is not"},
        {"HSET w:a:{T}:ID s 1", "s is not"},
        {"HSET w:a:{T}:ID m {}", "m is not"},
        {"HSET w:a:{T}:ID x 1", "x is not"},
        {"HDEL w:a:{T}:ID l", "a field is missing"},
        {"DEL w:a:{T}:ID", "the account is missing"},
        {"RPOP w:h:{T}:ID", "not as many elements"},
        {"RPUSH w:h:{T}:ID 21790000000000000", "not as many elements"},
        {"LSET w:h:{T}:ID 3 21790000000000000", "not that of the account's movements"},
        {"DEL w:h:{T}:ID", "not as many elements"},
        {"HINCRBY w:m:{T} s 1", "the journal ends before its last entry"},
        {"HINCRBY w:m:{T} s -1", ""},
        {"HINCRBY w:m:{T} t -100000000", "t is not the journal's last time"},
        {"HINCRBY w:m:{T} wCNY 1", "@world is not the sum"},
        {"HDEL w:m:{T} wCNY", "an @world is missing"},
        {"HSET w:m:{T} wUSD 0", "belongs to nobody"},
        {"HSET w:m:{T} r 5", "belongs to nobody"},
        {"HSET w:m:{T} s x", "does not say where its journal ends"},
        {"DEL w:m:{T}", ""},
        {"DEL w:j:{T}", "the journal ends before its last entry"},
        {"RPUSH w:o:{T} ghost", "not as many accounts"},
        {"LPOP w:o:{T}", "not as many accounts"},
        {"LSET w:o:{T} 0 ghost", "not the accounts in the order"},
        {"SET w:x 1", "w:x: it belongs to nobody"},
        {"SET w:i:{T}:short 1", "it belongs to nobody"},
        {"SET w:i:{T}:0123456789abcdef nonsense", "the idempotency key is damaged"},
        {"SET w:i:{T}:0123456789abcdef \"0123456789abcdef\\x001790000000000001\"",
         "points at no entry"},
        {"HSET w:a:{T}:ghost b 0 v 1 t 1", ""},
        {"RPUSH w:h:{T}:ghost 1", ""},
        {"SET w:j:{zz}: 1", "it belongs to nobody"},
        {"SET w:j:{T}x 1", "it belongs to nobody"},
        {"XADD w:j:{T} 1999999999999999-0 e \"5 1 0 3 6 1\"", "entries behind its last number"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct redis_verify_report report;
        struct err_text why = {""};
        enum err e;
        (void)begin(NULL);
        redis_server_say(&server, with(cases[i].command));
        e = lab_try_verify(&server, &report, &why);
        if (e != ERR_CORRUPT || strstr(why.text, cases[i].words) == NULL) {
            fail_msg("%s: %s: %s", with(cases[i].command), err_name(e), why.text);
        }
    }
}

/* The id of the n-th entry from the beginning of a bucket's journal that spans buckets, or not. */
static void entry_id(const struct slice tag, unsigned n, char *id, size_t cap)
{
    char words[128];
    redisReply *r;

    (void)snprintf(words, sizeof(words), "XRANGE w:j:{" SLICE_FORMAT "} - + COUNT %u",
                   SLICE_ARGS(tag), n);
    r = redis_server_ask(&server, words);
    assert_int_equal(r->elements, n);
    (void)snprintf(id, cap, "%s", r->element[n - 1]->element[0]->str);
    freeReplyObject(r);
}

static void a_dropped_entry_is_found(void **state)
{
    char id[48], words[256];

    (void)state;
    entry_id(names_tag(bucket), 20, id, sizeof(id));
    (void)snprintf(words, sizeof(words), "XDEL w:j:{T} %s", id);
    redis_server_say(&server, with(words));
    finds("does not follow");
}

/*
 * A posting of two buckets that says something else in one of them, all numbers of that bucket being right: only the other
 * bucket knows better. And one that is in one of them alone.
 */
static void both_buckets_must_say_the_same(void **state)
{
    char from[LEDGER_ACCOUNT_ID_BYTES_MAX + 1] = "", to[sizeof(from)] = "";
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    char words[512];
    int fd = memfd_create("two", 0);
    struct move_writer w;
    unsigned a, b;

    (void)state;
    (void)snprintf(from, sizeof(from), "from");
    for (unsigned i = 0; to[0] == '\0' || names_bucket(slice_of(to), BUCKETS) ==
                                              names_bucket(slice_of(from), BUCKETS);
         i++) {
        (void)snprintf(to, sizeof(to), "to%u", i);
    }
    a = names_bucket(slice_of(from), BUCKETS);
    b = names_bucket(slice_of(to), BUCKETS);
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        move_line_begin(&line, i < 2 ? RECORD_CREDIT : RECORD_TRANSFER, LINES_START + i, 0);
        assert_int_equal(currency_parse(SLICE("CNY"), &line.currency), ERR_OK);
        line.exponent = 2;
        line.leg_count = 2;
        line.legs[0] = (struct move_leg){.account = slice_of(i == 1 ? to : from),
                                         .delta = i == 2 ? -4 : 10,
                                         .balance = i == 2 ? 6 : 10,
                                         .opens = i < 2};
        line.legs[1] = i < 2 ? (struct move_leg){.account = LEDGER_WORLD, .delta = -10}
                             : (struct move_leg){.account = slice_of(to), .delta = 4, .balance = 14};
        assert_int_equal(move_write(&w, &line), ERR_OK);
    }
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    for (unsigned way = 0; way < 3; way++) {
        const struct slice tag = names_tag(way == 1 ? b : a);
        redis_server_say(&server, "FLUSHALL");
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        lab_import(&server, BUCKETS, fd);
        lab_verify(&server);
        /* the last entry again, with another balance of the account that is not this bucket's */
        (void)snprintf(words, sizeof(words), "DEL w:x");
        redis_server_say(&server, words);
        (void)snprintf(words, sizeof(words), "XDEL w:j:{" SLICE_FORMAT "} %lld-0", SLICE_ARGS(tag),
                       (long long)LINES_START + 2);
        redis_server_say(&server, words);
        if (way < 2) { /* a stream takes no id that it has had: make it again */
            (void)snprintf(words, sizeof(words), "XSETID w:j:{" SLICE_FORMAT "} %lld-9",
                           SLICE_ARGS(tag), (long long)LINES_START + 1);
            redis_server_say(&server, words);
            (void)snprintf(words, sizeof(words),
                           "XADD w:j:{" SLICE_FORMAT "} %lld-0 e \"4 4 0 CNY 2 2 %s -4 %d %s 4 %d\"",
                           SLICE_ARGS(tag), (long long)LINES_START + 2, from, way == 1 ? 7 : 6, to,
                           way == 0 ? 15 : 14);
            redis_server_say(&server, words);
            finds("does not stand alike");
        } else { /* as if it had never come to the first one, whose numbers are made to fit */
            (void)snprintf(words, sizeof(words), "HSET w:m:{" SLICE_FORMAT "} s 3", SLICE_ARGS(tag));
            redis_server_say(&server, words);
            (void)snprintf(words, sizeof(words), "HSET w:a:{" SLICE_FORMAT "}:%s b 10 v 2 u %lld l 3",
                           SLICE_ARGS(tag), from, (long long)LINES_START);
            redis_server_say(&server, words);
            (void)snprintf(words, sizeof(words), "RPOP w:h:{" SLICE_FORMAT "}:%s", SLICE_ARGS(tag),
                           from);
            redis_server_say(&server, words);
            finds("the sum of all balances is not zero in CNY");
        }
    }
    (void)close(fd);
}

/* Post credits until killed. */
static void service_run(void)
{
    const struct redis_url url = lab_url(&server);
    const struct posting_words words = {.may_open = true,
                                        .open_currency = {'C' | 'N' << 8 | 'Y' << 16}};
    const struct posting_words plain = {.may_open = false};
    struct err_text why;
    struct sync *line;

    if (sync_open(&url, &url.addresses[0], NULL, "test", 5000, &line, &why) != ERR_OK) {
        _exit(2);
    }
    for (unsigned i = 0;; i++) {
        struct store_op op;
        redisReply *reply = NULL;
        char from[16], to[16];
        struct buf out;
        (void)snprintf(from, sizeof(from), "n%u", i % 97);
        (void)snprintf(to, sizeof(to), "n%u", (i + 13) % 97);
        buf_init(&out, 65536);
        store_op_init(&op, STORE_POST, NULL, NULL);
        if ((i % 3 != 0 ? posting_credit(&op.out, slice_of(from), (struct decimal){1, 0}, &words,
                                         &op.posting)
                        : posting_transfer(&op.out, slice_of(from), slice_of(to),
                                           (struct decimal){1, 0}, &plain, &op.posting)) != ERR_OK ||
            post_encode(&out, &op.posting, BUCKETS, INT64_C(8000000000000000), 1000000) != ERR_OK ||
            sync_send_bytes(line, buf_slice(&out)) != ERR_OK || sync_next(line, &reply) != ERR_OK) {
            _exit(3);
        }
        sync_free(reply);
        store_op_fini(&op);
        buf_fini(&out);
    }
}

/* While it moves the proof holds, and the export is that of one moment. */
static void a_moving_ledger_is_sound(void **state)
{
    const pid_t pid = fork();
    int status;

    (void)state;
    assert_true(pid >= 0);
    if (pid == 0) {
        service_run();
    }
    for (unsigned i = 0; i < 8; i++) {
        struct err_text why = {""};
        int fd;
        lab_verify(&server);
        fd = lab_export(&server);
        if (move_prove(fd, &why) != ERR_OK) {
            fail_msg("%s", why.text);
        }
        (void)close(fd);
    }
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    lab_verify(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_sound_ledger_is_sound, begin),
        cmocka_unit_test_setup(single_changes_are_found, begin),
        cmocka_unit_test_setup(a_dropped_entry_is_found, begin),
        cmocka_unit_test_setup(both_buckets_must_say_the_same, begin),
        cmocka_unit_test_setup(a_moving_ledger_is_sound, begin),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

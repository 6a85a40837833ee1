/* The Redis store and exports, on a real server: what goes in comes out, keys answer as before, a half import is none. */
#include <fcntl.h>
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

static struct redis_server server;

static uint32_t by_bucket(struct slice account)
{
    return names_bucket(account, NAMES_BUCKETS_MAX);
}

static int begin(void **state)
{
    (void)state;
    redis_server_say(&server, "FLUSHALL");
    return 0;
}

static struct lines_options recent(uint64_t seed, unsigned count)
{
    return (struct lines_options){
        .seed = seed, .count = count, .start_us = lab_now_us(&server) - 60 * INT64_C(1000000)};
}

static void refuses(unsigned buckets, int fd, enum err wanted, const char *words)
{
    struct err_text why = {""};
    enum err e = lab_try_import(&server, buckets, fd, &why);

    if (e != wanted || strstr(why.text, words) == NULL) {
        fail_msg("%s: %s", err_name(e), why.text);
    }
}

static void what_goes_in_comes_out(void **state)
{
    static const unsigned buckets[] = {1, 7, NAMES_BUCKETS_MAX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(buckets); i++) {
        const struct lines_options options = recent(20 + i, 4000);
        const int fd = lines_make(&options);
        int out, again;
        redis_server_say(&server, "FLUSHALL");
        lab_import(&server, buckets[i], fd);
        lab_verify(&server);
        out = lab_export(&server);
        assert_true(lines_are_same(fd, out));
        redis_server_say(&server, "FLUSHALL");
        lab_import(&server, buckets[(i + 1) % ARRAY_LEN(buckets)], out);
        again = lab_export(&server);
        assert_true(lines_are_same(fd, again));
        (void)close(fd);
        (void)close(out);
        (void)close(again);
    }
}

/* As a ledger of many buckets has them: ids with the bucket in their tag. */
static void tags_stay(void **state)
{
    struct lines_options options = recent(30, 3000);
    int fd, out;

    (void)state;
    options.tag = by_bucket;
    options.store = "redis";
    options.buckets = NAMES_BUCKETS_MAX;
    fd = lines_make(&options);
    lab_import(&server, 0, fd);
    assert_int_equal(redis_server_number(&server, "HGET w:meta buckets"), NAMES_BUCKETS_MAX);
    assert_int_equal(redis_server_number(&server, "HGET w:meta moved"), 1);
    assert_int_equal(redis_server_number(&server, "HGET w:meta format"), 1);
    assert_int_equal(redis_server_number(&server, "EXISTS w:l:migration"), 0);
    out = lab_export(&server);
    assert_true(lines_are_same(fd, out));
    (void)close(fd);
    (void)close(out);
}

static void an_empty_ledger_moves_too(void **state)
{
    const int fd = lines_make(&(struct lines_options){.seed = 1});
    int out;

    (void)state;
    lab_import(&server, 3, fd);
    lab_verify(&server);
    out = lab_export(&server);
    assert_true(lines_are_same(fd, out));
    (void)close(fd);
    (void)close(out);
}

/* Keys that are no longer open are left behind. */
static void old_keys_stay_behind(void **state)
{
    const struct lines_options options = {
        .seed = 31, .count = 500, .start_us = lab_now_us(&server) - 3 * LINES_TTL_US};
    const int fd = lines_make(&options);
    struct redis_verify_report report;
    struct err_text why = {""};

    (void)state;
    lab_import(&server, 5, fd);
    assert_int_equal(lab_try_verify(&server, &report, &why), ERR_OK);
    assert_int_equal(report.keys, 0);
    assert_true(report.entries > 300 && report.accounts == LINES_ACCOUNTS);
    assert_int_equal(report.buckets, 5);
    (void)close(fd);
}

static void refuses_where_a_ledger_is(void **state)
{
    const struct lines_options options = recent(32, 300);
    const int fd = lines_make(&options);
    int64_t size;

    (void)state;
    lab_import(&server, 4, fd);
    size = redis_server_number(&server, "DBSIZE");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    refuses(4, fd, ERR_EXISTS, "already");
    assert_int_equal(redis_server_number(&server, "DBSIZE"), size - 0);
    lab_verify(&server);
    (void)close(fd);
}

/* Marks alone are no ledger yet: a service started there once. Keys of others are left alone. */
static void takes_the_place_of_marks(void **state)
{
    const struct lines_options options = recent(33, 300);
    const int fd = lines_make(&options);

    (void)state;
    redis_server_say(&server, "HSET w:meta format 1 buckets 4096 epoch 0123456789abcdef");
    redis_server_say(&server, "SET somebody else");
    lab_import(&server, 2, fd);
    lab_verify(&server);
    assert_int_equal(redis_server_number(&server, "HGET w:meta buckets"), 2);
    assert_int_equal(redis_server_number(&server, "EXISTS somebody"), 1);
    (void)close(fd);
}

static void refuses_a_cut_file_and_changes_nothing(void **state)
{
    const struct lines_options options = recent(34, 300);
    const int fd = lines_make(&options);
    size_t len;
    char *text = lines_text(fd, &len);
    int part = lines_file(text, len - 5);

    (void)state;
    refuses(4, part, ERR_CORRUPT, "cut off");
    assert_int_equal(redis_server_number(&server, "DBSIZE"), 0);
    (void)close(part);
    text[len / 2] ^= 1;
    part = lines_file(text, len);
    refuses(4, part, ERR_CORRUPT, "of the export");
    assert_int_equal(redis_server_number(&server, "DBSIZE"), 0);
    (void)close(part);
    (void)close(fd);
    mem_free(text);
}

static void one_import_at_a_time(void **state)
{
    const struct lines_options options = recent(35, 300);
    const int fd = lines_make(&options);

    (void)state;
    redis_server_say(&server, "SET w:l:migration somebody|7 PX 5000");
    refuses(4, fd, ERR_BUSY, "another import");
    assert_int_equal(redis_server_number(&server, "EXISTS w:meta"), 0);
    (void)close(fd);
}

static void refuses_while_a_service_is_connected(void **state)
{
    const struct lines_options options = recent(36, 300);
    const struct redis_url url = lab_url(&server);
    const int fd = lines_make(&options);
    struct err_text why = {""};
    struct sync *service;

    (void)state;
    assert_int_equal(
        sync_open(&url, &url.addresses[0], NULL, "mywallet-0123abcd", 5000, &service, &why), ERR_OK);
    refuses(4, fd, ERR_BUSY, "a service is connected");
    assert_int_equal(redis_server_number(&server, "EXISTS w:meta"), 0);
    sync_close(service);
    (void)close(fd);
}

/* Killed in the middle: nobody takes it for a ledger, and the next import makes one. */
static void a_killed_import_is_none(void **state)
{
    const struct lines_options options = recent(37, 12000);
    const struct redis_url url = lab_url(&server);
    const int fd = lines_make(&options);
    struct redis_verify_report report;
    struct move_totals totals;
    struct err_text why = {""};
    size_t len, sent = 0;
    char *text = lines_text(fd, &len);
    int pipes[2], status, out;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(pipes[1]);
        (void)!redis_import(&url, &lab_no_tls, 64, pipes[0], &totals, &why);
        _exit(0);
    }
    (void)close(pipes[0]);
    while (sent < len * 3 / 4) {
        ssize_t n = write(pipes[1], text + sent, 65536 < len - sent ? 65536 : len - sent);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    redis_server_wait(&server, "HGET w:meta format", "importing");
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(pipes[1]);
    assert_int_equal(lab_try_verify(&server, &report, &why), ERR_BUSY);
    assert_non_null(strstr(why.text, "half import"));
    assert_int_equal(redis_export(&url, &lab_no_tls, fd, &totals, &why), ERR_BUSY);
    refuses(64, fd, ERR_BUSY, "another import"); /* until its lease is over */
    redis_server_say(&server, "DEL w:l:migration");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    lab_import(&server, 32, fd);
    lab_verify(&server);
    out = lab_export(&server);
    assert_true(lines_are_same(fd, out));
    (void)close(fd);
    (void)close(out);
    mem_free(text);
}

static void refuses_numbers_that_are_wrong(void **state)
{
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    int fd = memfd_create("forged", 0);
    struct move_writer w;

    (void)state;
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    move_line_begin(&line, RECORD_CREDIT, LINES_START, 0);
    assert_int_equal(currency_parse(SLICE("CNY"), &line.currency), ERR_OK);
    line.exponent = 2;
    line.leg_count = 2;
    line.legs[0] = (struct move_leg){.account = SLICE("a"), .delta = 7, .balance = 8, .opens = true};
    line.legs[1] = (struct move_leg){.account = LEDGER_WORLD, .delta = -7};
    assert_int_equal(move_write(&w, &line), ERR_OK);
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    refuses(4, fd, ERR_CORRUPT, "line 2 of the export");
    (void)close(fd);
}

/* @world would sum both. */
static void refuses_other_decimals(void **state)
{
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    int fd = memfd_create("decimals", 0);
    struct move_writer w;

    (void)state;
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    move_line_begin(&line, RECORD_OPEN, LINES_START, 0);
    assert_int_equal(currency_parse(SLICE("CNY"), &line.currency), ERR_OK);
    line.exponent = 3;
    line.leg_count = 1;
    line.legs[0] = (struct move_leg){.account = SLICE("a")};
    assert_int_equal(move_write(&w, &line), ERR_OK);
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    refuses(4, fd, ERR_UNSUPPORTED, "other decimals");
    (void)close(fd);
}

/* Two postings of one microsecond cannot stand in one bucket: an answer is found by its time there. */
static void refuses_twins_in_one_bucket(void **state)
{
    static struct move_line line;
    const struct move_header header = {.store = "redis", .buckets = NAMES_BUCKETS_MAX};
    int fd = memfd_create("twins", 0);
    struct move_writer w;
    char id[8];

    (void)state;
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(id, sizeof(id), "t%u", i);
        move_line_begin(&line, RECORD_OPEN, LINES_START, i);
        assert_int_equal(currency_parse(SLICE("CNY"), &line.currency), ERR_OK);
        line.exponent = 2;
        line.leg_count = 1;
        line.legs[0] = (struct move_leg){.account = slice_of(id)};
        assert_int_equal(move_write(&w, &line), ERR_OK);
    }
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    refuses(1, fd, ERR_UNSUPPORTED, "one microsecond");
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    lab_import(&server, 0, fd); /* what is left of it is removed; here they have a bucket each */
    lab_verify(&server);
    (void)close(fd);
}

/* The same request with the same key, after the move: the same answer. And the ledger goes on. */
static void keys_answer_as_before(void **state)
{
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    const int64_t time_us = lab_now_us(&server) - 5000000;
    const struct redis_url url = lab_url(&server);
    const struct posting_words words = {.may_open = false};
    struct idem idem = {.field_count = 2, .field_tags = {3, 4}};
    int fd = memfd_create("keyed", 0);
    struct err_text why = {""};
    struct decimal seven;
    struct move_writer w;
    struct sync *line_to;
    int64_t now_us = lab_now_us(&server) + 100000000;

    (void)state;
    memset(idem.scope, 's', sizeof(idem.scope));
    memset(idem.fingerprint, 'f', sizeof(idem.fingerprint));
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    for (unsigned i = 0; i < 3; i++) {
        move_line_begin(&line, i == 2 ? RECORD_REFUSAL : RECORD_CREDIT, time_us + i, 0);
        assert_int_equal(currency_parse(SLICE("CNY"), &line.currency), ERR_OK);
        line.exponent = 2;
        line.leg_count = i == 2 ? 1 : 2;
        line.legs[0] = (struct move_leg){
            .account = SLICE("a"), .delta = 700, .balance = 700 * ((int64_t)i + 1), .opens = i == 0};
        line.legs[1] = (struct move_leg){.account = LEDGER_WORLD, .delta = -700};
        line.refused_kind = RECORD_DEBIT;
        line.refused_outcome = OUTCOME_INSUFFICIENT_BALANCE;
        line.language = LEDGER_EN;
        line.has_key = i != 1;
        line.key = idem;
        line.key.scope[0] = (uint8_t)i;
        line.key_expires_ms = time_us / 1000 + 3600000;
        assert_int_equal(move_write(&w, &line), ERR_OK);
    }
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    lab_import(&server, 4096, fd);
    assert_int_equal(decimal_parse(SLICE("7"), &seven), ERR_OK);
    assert_int_equal(sync_open(&url, &url.addresses[0], NULL, "test", 5000, &line_to, &why), ERR_OK);
    for (unsigned i = 0; i < 4; i += i == 0 ? 2 : 1) {
        struct store_op op;
        enum post_verdict verdict;
        redisReply *reply = NULL;
        struct slice broken;
        struct buf out;
        buf_init(&out, 65536);
        store_op_init(&op, STORE_POST, NULL, NULL);
        idem.scope[0] = (uint8_t)i;
        assert_int_equal(i == 2 ? posting_debit(&op.out, SLICE("a"), seven, &words, &op.posting)
                                : posting_credit(&op.out, SLICE("a"), seven, &words, &op.posting),
                         ERR_OK);
        op.posting.idem = &idem;
        assert_int_equal(post_encode(&out, &op.posting, 4096, now_us, 1000000), ERR_OK);
        assert_int_equal(sync_send_bytes(line_to, buf_slice(&out)), ERR_OK);
        assert_int_equal(sync_next(line_to, &reply), ERR_OK);
        assert_int_equal(post_read(reply, &op, 4096, &verdict, &broken), ERR_OK);
        assert_int_equal(verdict, POST_DONE);
        if (i == 3) { /* a new one */
            assert_false(op.result.is_replay);
            assert_true(op.result.time_us > time_us + 2);
            assert_int_equal(op.result.sides[0].balance, 2100);
        } else {
            assert_true(op.result.is_replay);
            assert_int_equal(op.result.time_us, time_us + i);
            assert_int_equal(op.result.tag, 0);
            assert_int_equal(op.result.outcome, i == 2 ? OUTCOME_INSUFFICIENT_BALANCE : OUTCOME_OK);
        }
        if (i == 0) {
            assert_int_equal(op.result.amount, 700);
            assert_int_equal(op.result.sides[0].balance, 700);
        }
        sync_free(reply);
        store_op_fini(&op);
        buf_fini(&out);
    }
    lab_verify(&server);
    sync_close(line_to);
    (void)close(fd);
}

static void says_where_there_is_no_ledger(void **state)
{
    const struct redis_url url = lab_url(&server);
    struct redis_verify_report report;
    struct move_totals totals;
    struct err_text why = {""};

    (void)state;
    assert_int_equal(redis_export(&url, &lab_no_tls, -1, &totals, &why), ERR_NOT_FOUND);
    assert_int_equal(lab_try_verify(&server, &report, &why), ERR_NOT_FOUND);
    redis_server_say(&server, "HSET w:meta format 9 buckets 4096 epoch 0123456789abcdef");
    assert_int_equal(lab_try_verify(&server, &report, &why), ERR_UNSUPPORTED);
}

/* ---- rights: as docs/redis.md has them ---- */

#define AUDIT_RIGHTS \
    "%R~w:* resetchannels -@all +multi +exec +time +info +config|get +scan +get +pexpiretime " \
    "+hget +hgetall +hmget +llen +lrange +xlen +xrange +xrevrange"
#define SERVICE_RIGHTS \
    "~w:* resetchannels -@all +fcall +fcall_ro +del +exists +get +set +pexpire +pttl +hdel " \
    "+hget +hgetall +hmget +hset +hsetnx +llen +lindex +lrange +rpush +xadd +xrange +xrevrange " \
    "+scan +time +ping +info +role +wait +config|get +client|no-evict +acl|dryrun " \
    "+function|load"
#define IMPORT_RIGHTS SERVICE_RIGHTS " +multi +exec +xlen +pexpireat +unlink +client|list"

static struct redis_url url_as(const char *user)
{
    struct redis_url url = lab_url(&server);

    (void)snprintf(url.user, sizeof(url.user), "%s", user);
    (void)snprintf(url.password, sizeof(url.password), "sesame");
    return url;
}

/* Nothing but reading is needed to prove a ledger and to write it down, and some rights beside the service's to make one. */
static void the_tools_need_few_rights(void **state)
{
    const struct lines_options options = recent(60, 500);
    const int fd = lines_make(&options), out = memfd_create("export", 0);
    struct redis_verify_report report;
    struct move_totals totals;
    struct err_text why = {""};
    struct redis_url url;

    (void)state;
    redis_server_say(&server, "ACL SETUSER importer on >sesame " IMPORT_RIGHTS);
    redis_server_say(&server, "ACL SETUSER auditor on >sesame " AUDIT_RIGHTS);
    url = url_as("importer");
    if (redis_import(&url, &lab_no_tls, 7, fd, &totals, &why) != ERR_OK) {
        fail_msg("import: %s", why.text);
    }
    url = url_as("auditor");
    if (redis_verify(&url, &lab_no_tls, &report, &why) != ERR_OK) {
        fail_msg("verify: %s", why.text);
    }
    if (redis_export(&url, &lab_no_tls, out, &totals, &why) != ERR_OK) {
        fail_msg("export: %s", why.text);
    }
    assert_true(lines_are_same(fd, out));
    redis_server_say(&server, "ACL DELUSER importer auditor");
    (void)close(fd);
    (void)close(out);
}

/* It would be lost at the next restart, or be evicted: no service would start on it, so nothing is imported into it. */
static void nothing_goes_where_it_would_not_stay(void **state)
{
    static const char *const spoil[][3] = {
        {"ACL SETUSER default -hset", "ACL SETUSER default +hset", "the user default"},
        {"CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction",
         "noeviction"},
    };
    const struct lines_options options = recent(60, 500);
    const int fd = lines_make(&options);
    struct move_totals totals;
    struct err_text why = {""};
    struct redis_url url;

    (void)state;
    redis_server_say(&server, "ACL SETUSER importer on >sesame " IMPORT_RIGHTS);
    redis_server_say(&server, "CONFIG SET appendonly yes");
    url = url_as("importer");
    for (size_t i = 0; i < ARRAY_LEN(spoil); i++) {
        redis_server_say(&server, spoil[i][0]);
        assert_int_equal(redis_import(&url, &lab_no_tls, 7, fd, &totals, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, spoil[i][2]));
        redis_server_say(&server, spoil[i][1]);
        assert_int_equal(redis_server_number(&server, "DBSIZE"), 0);
    }
    if (redis_import(&url, &lab_no_tls, 7, fd, &totals, &why) != ERR_OK) {
        fail_msg("import: %s", why.text);
    }
    redis_server_say(&server, "CONFIG SET appendonly no");
    redis_server_say(&server, "ACL DELUSER importer");
    (void)close(fd);
}

/* ---- running ---- */

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, "");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_goes_in_comes_out, begin),
        cmocka_unit_test_setup(tags_stay, begin),
        cmocka_unit_test_setup(an_empty_ledger_moves_too, begin),
        cmocka_unit_test_setup(old_keys_stay_behind, begin),
        cmocka_unit_test_setup(refuses_where_a_ledger_is, begin),
        cmocka_unit_test_setup(takes_the_place_of_marks, begin),
        cmocka_unit_test_setup(refuses_a_cut_file_and_changes_nothing, begin),
        cmocka_unit_test_setup(one_import_at_a_time, begin),
        cmocka_unit_test_setup(refuses_while_a_service_is_connected, begin),
        cmocka_unit_test_setup(a_killed_import_is_none, begin),
        cmocka_unit_test_setup(refuses_numbers_that_are_wrong, begin),
        cmocka_unit_test_setup(refuses_other_decimals, begin),
        cmocka_unit_test_setup(refuses_twins_in_one_bucket, begin),
        cmocka_unit_test_setup(keys_answer_as_before, begin),
        cmocka_unit_test_setup(says_where_there_is_no_ledger, begin),
        cmocka_unit_test_setup(the_tools_need_few_rights, begin),
        cmocka_unit_test_setup(nothing_goes_where_it_would_not_stay, begin),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

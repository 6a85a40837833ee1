/* The embedded store and exports: what goes in comes out, nothing goes in where something is, and a half import is none. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "store/embedded/db.h"
#include "store/embedded/embedded.h"
#include "store/embedded/move.h"
#include "store/embedded/recover.h"
#include "unit/ledger/stage.h"
#include "unit/store/move_lines.h"

static const struct lines_options usual = {.seed = 11, .count = 6000};

struct folder {
    char dir[64];
};

static void folder_begin(struct folder *f)
{
    (void)snprintf(f->dir, sizeof(f->dir), "%s/move-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->dir));
}

static bool has(const struct folder *f, const char *name)
{
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    return access(path, F_OK) == 0;
}

static void folder_end(struct folder *f)
{
    static const char *const names[] = {"lock",
                                        DB_FILE_NAME,
                                        DB_FILE_NAME "-wal",
                                        DB_FILE_NAME "-shm",
                                        "import.tmp/" DB_FILE_NAME,
                                        "import.tmp/" DB_FILE_NAME "-wal",
                                        "import.tmp/" DB_FILE_NAME "-shm"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof(path), "%s/import.tmp", f->dir);
    (void)rmdir(path);
    assert_int_equal(rmdir(f->dir), 0);
}

static void import(const struct folder *f, int fd)
{
    struct move_totals totals;
    struct err_text why = {""};
    enum err e = embedded_import(f->dir, fd, &totals, &why);

    if (e != ERR_OK) {
        fail_msg("import: %s: %s", err_name(e), why.text);
    }
}

static int export(const struct folder *f)
{
    int fd = memfd_create("export", 0);
    struct move_totals totals;
    struct err_text why = {""};
    enum err e = embedded_export(f->dir, (uint64_t)LINES_TTL_US, fd, &totals, &why);

    if (e != ERR_OK) {
        fail_msg("export: %s: %s", err_name(e), why.text);
    }
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void refuses(const struct folder *f, int fd, enum err wanted, const char *words)
{
    struct move_totals totals;
    struct err_text why = {""};
    enum err e = embedded_import(f->dir, fd, &totals, &why);

    if (e != wanted || strstr(why.text, words) == NULL) {
        fail_msg("%s: %s", err_name(e), why.text);
    }
}

static struct embedded_options options_of(const struct folder *f)
{
    return (struct embedded_options){.dir = f->dir,
                                     .inbox_max = 16,
                                     .batch_max = 16,
                                     .readers = 1,
                                     .idempotency_ttl_us = (uint64_t)LINES_TTL_US,
                                     .idempotency_max = 100000};
}

static uint32_t hashed(struct slice account)
{
    return account.len == 0 ? 0 : (uint32_t)(uint8_t)account.ptr[account.len - 1] % 16;
}

static void what_goes_in_comes_out(void **state)
{
    const struct lines_options options[] = {usual, {.seed = 12, .count = 6000, .tag = hashed}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        const int fd = lines_make(&options[i]);
        struct folder one, two;
        int first, second;
        folder_begin(&one);
        folder_begin(&two);
        import(&one, fd);
        assert_false(has(&one, "import.tmp"));
        first = export(&one);
        assert_true(lines_are_same(fd, first));
        import(&two, first);
        second = export(&two);
        assert_true(lines_are_same(fd, second));
        folder_end(&one);
        folder_end(&two);
        (void)close(fd);
        (void)close(first);
        (void)close(second);
    }
}

/* Postings of one time, in several former buckets: as many transactions, each with its own id. */
static void takes_twins(void **state)
{
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    const int fd = memfd_create("twins", 0);
    struct move_writer w;
    struct folder f;
    char id[8];
    int out;

    (void)state;
    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    for (uint32_t tag = 0; tag < 5; tag++) {
        move_line_begin(&line, RECORD_CREDIT, LINES_START, tag);
        (void)snprintf(id, sizeof(id), "t%u", tag);
        assert_int_equal(currency_parse(SLICE("CNY"), &line.currency), ERR_OK);
        line.exponent = 2;
        line.leg_count = 2;
        line.legs[0] =
            (struct move_leg){.account = slice_of(id), .delta = 7, .balance = 7, .opens = true};
        line.legs[1] = (struct move_leg){.account = LEDGER_WORLD, .delta = -7};
        assert_int_equal(move_write(&w, &line), ERR_OK);
    }
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    folder_begin(&f);
    import(&f, fd);
    out = export(&f);
    assert_true(lines_are_same(fd, out));
    (void)close(out);
    (void)close(fd);
    folder_end(&f);
}

/* ---- postings of many legs: no verb makes them yet ---- */

#define TRANSFER ",\"tag\":0,\"kind\":\"transfer\",\"currency\":\"CNY\",\"exponent\":2,\"legs\":["

static const struct posting_leg paying[] = {
    {.account = SLICE("b"), .balance = {-6, 0}, .held = {1, 0}},
    {.account = SLICE("c"), .balance = {4, 0}, .held = {2, 0}},
    {.account = SLICE("d"), .balance = {3, 0}, .may_open = true},
    {.account = SLICE("a"), .balance = {-1, 0}},
};
static const struct posting_leg giving[] = {
    {.account = SLICE("c"), .balance = {1, 0}},
    {.account = LEDGER_WORLD, .balance = {-3, 0}},
    {.account = SLICE("a"), .balance = {2, 0}},
};
static const struct posting_leg holding[] = {
    {.account = SLICE("d"), .held = {1, 0}},
    {.account = SLICE("a"), .balance = {-5, -1}},
    {.account = SLICE("b"), .held = {-1, 0}},
    {.account = SLICE("c"), .balance = {5, -1}},
};
/* The legs are in the order of the records, but for @world, which no line may begin with. */
static const char *const many_lines[] = {
    "{\"time_us\":1790000000000003" TRANSFER
    "{\"account\":\"b\",\"delta\":-600,\"held\":100,\"balance\":400},"
    "{\"account\":\"c\",\"delta\":400,\"held\":200,\"balance\":1400},"
    "{\"account\":\"d\",\"opens\":true,\"delta\":300,\"balance\":300},"
    "{\"account\":\"a\",\"delta\":-100,\"balance\":900}],\"reference\":\"rr\",\"key\":{"
    "\"scope\":\"6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b6b\",\"fingerprint\":\"66666666666666666666666666666666\","
    "\"fields\":[1,2],\"expires_ms\":1790086400001},\"metadata\":{}}\n",
    "{\"time_us\":1790000000000004" TRANSFER
    "{\"account\":\"c\",\"delta\":100,\"balance\":1500},{\"account\":\"@world\",\"delta\":-300},"
    "{\"account\":\"a\",\"delta\":200,\"balance\":1100}]}\n",
    "{\"time_us\":1790000000000005" TRANSFER "{\"account\":\"a\",\"delta\":-50,\"balance\":1050},"
    "{\"account\":\"c\",\"delta\":50,\"balance\":1550},"
    "{\"account\":\"d\",\"delta\":0,\"held\":100,\"balance\":300},"
    "{\"account\":\"b\",\"delta\":0,\"held\":-100,\"balance\":400}]}\n",
    "\"transfers\":3,\"refusals\":0,\"keys\":1,\"sums\":{\"CNY\":3300}",
};

static void legs_apply(struct stage *s, const struct posting_leg *legs, unsigned count,
                       struct posting p)
{
    p.kind = RECORD_TRANSFER;
    p.legs = legs;
    p.leg_count = count;
    (void)stage_must(s, p, OUTCOME_OK);
}

/* Make a ledger with such postings, each at its own time from LINES_START on. */
static void many_legs_make(const struct folder *f)
{
    const struct idem key = stage_key('k', 'f');
    struct posting opening;
    struct err_text why = {""};
    struct journal j;
    struct stage s;
    uint64_t replayed;
    char path[128];
    sqlite3 *db;

    (void)snprintf(path, sizeof(path), "%s/" DB_FILE_NAME, f->dir);
    stage_init(&s);
    s.now_us = LINES_START;
    assert_int_equal(db_open(path, DB_WRITER, &db, &why), ERR_OK);
    assert_int_equal(journal_init(&j, db), ERR_OK);
    assert_int_equal(recover(&j, &s.b, 0, 0, &replayed, &why), ERR_OK);
    (void)stage_must(&s, stage_credit(&s, "a", "10"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "b", "10"), OUTCOME_OK);
    (void)stage_must(&s, stage_credit(&s, "c", "10"), OUTCOME_OK);
    opening = stage_credit(&s, "d", "1"); /* for what opens its account */
    opening.extra = SLICE("\3\2\0rr\4\2\0{}");
    opening.idem = &key;
    legs_apply(&s, paying, ARRAY_LEN(paying), opening);
    legs_apply(&s, giving, ARRAY_LEN(giving), (struct posting){.kind = RECORD_TRANSFER});
    legs_apply(&s, holding, ARRAY_LEN(holding), (struct posting){.kind = RECORD_TRANSFER});
    assert_int_equal(journal_commit(&j, &s.b, &s.fx, 0), ERR_OK);
    book_commit(&s.b, &s.fx);
    journal_close(&j);
    stage_fini(&s);
}

static void many_legs_are_one_line(void **state)
{
    struct verify_report report;
    struct err_text why = {""};
    struct folder one, two;
    int first, second;
    size_t len;
    char *text;

    (void)state;
    folder_begin(&one);
    folder_begin(&two);
    many_legs_make(&one);
    assert_int_equal(embedded_verify(one.dir, &report, &why), ERR_OK);
    first = export(&one);
    text = lines_text(first, &len);
    for (size_t i = 0; i < ARRAY_LEN(many_lines); i++) {
        if (strstr(text, many_lines[i]) == NULL) {
            fail_msg("%s\nis not in\n%s", many_lines[i], text);
        }
    }
    import(&two, first);
    second = export(&two);
    assert_true(lines_are_same(first, second));
    mem_free(text);
    (void)close(first);
    (void)close(second);
    folder_end(&one);
    folder_end(&two);
}

/* A service opens it, and goes on behind the imported time. */
static void a_service_opens_it(void **state)
{
    const int fd = lines_make(&usual);
    struct embedded_options options;
    struct embedded_stats stats;
    struct verify_report report;
    struct err_text why = {""};
    struct store *store;
    struct folder f;

    (void)state;
    folder_begin(&f);
    options = options_of(&f);
    import(&f, fd);
    if (embedded_open(&options, &store, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    embedded_stats(store, &stats);
    assert_int_equal(stats.accounts, LINES_ACCOUNTS);
    assert_true(stats.idempotency_records > 1000);
    refuses(&f, fd, ERR_LOCKED, "belongs to another");
    store_close(store);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    refuses(&f, fd, ERR_EXISTS, "already");
    assert_int_equal(embedded_verify(f.dir, &report, &why), ERR_OK);
    folder_end(&f);
    (void)close(fd);
}

/* An empty ledger is as good as none: a service was started once, and nothing happened. */
static void takes_the_place_of_an_empty_ledger(void **state)
{
    const int fd = lines_make(&usual);
    struct embedded_options options;
    struct err_text why = {""};
    struct store *store;
    struct folder f;
    int out;

    (void)state;
    folder_begin(&f);
    options = options_of(&f);
    assert_int_equal(embedded_open(&options, &store, &why), ERR_OK);
    store_close(store);
    assert_true(has(&f, DB_FILE_NAME));
    import(&f, fd);
    out = export(&f);
    assert_true(lines_are_same(fd, out));
    (void)close(out);
    (void)close(fd);
    folder_end(&f);
}

static void refuses_a_cut_file_and_changes_nothing(void **state)
{
    const int fd = lines_make(&usual);
    struct folder f;
    size_t len;
    char *text = lines_text(fd, &len);
    int part = lines_file(text, len - 10), pipes[2];

    (void)state;
    folder_begin(&f);
    refuses(&f, part, ERR_CORRUPT, "cut off");
    assert_false(has(&f, DB_FILE_NAME) || has(&f, "import.tmp"));
    (void)close(part);
    /* from a pipe nothing is known before it has been applied: still nothing is left */
    (void)close(fd);
    part = lines_make(&(struct lines_options){.seed = 13, .count = 100});
    mem_free(text);
    text = lines_text(part, &len);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], text, len - 10), (ssize_t)(len - 10));
    (void)close(pipes[1]);
    refuses(&f, pipes[0], ERR_CORRUPT, "cut off");
    (void)close(pipes[0]);
    assert_false(has(&f, DB_FILE_NAME) || has(&f, "import.tmp"));
    mem_free(text);
    (void)close(part);
    folder_end(&f);
}

/* An export whose digest is right and whose numbers are not. */
static int forged(int64_t balance, const char *currency, unsigned exponent, bool opens)
{
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    int fd = memfd_create("forged", 0);
    struct move_writer w;

    assert_int_equal(move_writer_init(&w, fd, &header), ERR_OK);
    move_line_begin(&line, RECORD_CREDIT, LINES_START, 0);
    memcpy(&line.currency.code, currency, 3);
    line.exponent = exponent;
    line.leg_count = 2;
    line.legs[0] =
        (struct move_leg){.account = SLICE("a"), .delta = 7, .balance = balance, .opens = opens};
    line.legs[1] = (struct move_leg){.account = LEDGER_WORLD, .delta = -7};
    assert_int_equal(move_write(&w, &line), ERR_OK);
    assert_int_equal(move_write_end(&w), ERR_OK);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void refuses_numbers_that_are_wrong(void **state)
{
    const struct {
        int64_t balance;
        const char *currency;
        unsigned exponent;
        bool opens;
        enum err wanted;
        const char *words;
    } cases[] = {
        {8, "CNY", 2, true, ERR_CORRUPT, "comes out otherwise"},
        {7, "CNY", 2, false, ERR_CORRUPT, "does not pass"},
        {7, "CNY", 3, true, ERR_UNSUPPORTED, "other decimals"},
        {7, "XQX", 2, true, ERR_UNSUPPORTED, "does not know its currency"},
    };
    struct folder f;

    (void)state;
    folder_begin(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int fd = forged(cases[i].balance, cases[i].currency, cases[i].exponent, cases[i].opens);
        refuses(&f, fd, cases[i].wanted, cases[i].words);
        assert_false(has(&f, DB_FILE_NAME) || has(&f, "import.tmp"));
        (void)close(fd);
    }
    folder_end(&f);
}

/* Killed in the middle, wherever that is: there is no ledger, and the next import makes it. */
static void a_killed_import_is_none(void **state)
{
    const int fd = lines_make(&(struct lines_options){.seed = 14, .count = 20000});
    struct folder f;
    size_t len;
    char *text = lines_text(fd, &len);
    int pipes[2], status, out;
    size_t sent = 0;
    pid_t pid;

    (void)state;
    folder_begin(&f);
    assert_int_equal(pipe(pipes), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct move_totals totals;
        struct err_text why;
        (void)close(pipes[1]);
        (void)!embedded_import(f.dir, pipes[0], &totals, &why);
        _exit(0);
    }
    (void)close(pipes[0]);
    while (sent < len * 3 / 4) {
        ssize_t n = write(pipes[1], text + sent, 65536 < len - sent ? 65536 : len - sent);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    (void)close(pipes[1]);
    assert_false(has(&f, DB_FILE_NAME));
    assert_true(has(&f, "import.tmp"));
    import(&f, fd);
    assert_false(has(&f, "import.tmp"));
    out = export(&f);
    assert_true(lines_are_same(fd, out));
    (void)close(out);
    (void)close(fd);
    mem_free(text);
    folder_end(&f);
}

static void exports_only_keys_that_are_open(void **state)
{
    const int fd = lines_make(&usual);
    int out = memfd_create("export", 0);
    struct move_totals all, few;
    struct err_text why = {""};
    struct folder f;

    (void)state;
    folder_begin(&f);
    assert_int_equal(embedded_import(f.dir, fd, &all, &why), ERR_OK);
    assert_int_equal(embedded_export(f.dir, 10000, out, &few, &why), ERR_OK);
    assert_true(few.keys > 0 && few.keys < all.keys / 2);
    assert_int_equal(few.lines, all.lines);
    (void)close(out);
    (void)close(fd);
    folder_end(&f);
}

static void says_where_a_ledger_is_missing_or_damaged(void **state)
{
    const int fd = lines_make(&usual), out = memfd_create("export", 0);
    struct move_totals totals;
    struct err_text why = {""};
    struct folder f;
    char path[128];
    sqlite3 *db;

    (void)state;
    folder_begin(&f);
    assert_int_equal(embedded_export(f.dir, 1, out, &totals, &why), ERR_NOT_FOUND);
    import(&f, fd);
    (void)snprintf(path, sizeof(path), "%s/" DB_FILE_NAME, f.dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "UPDATE journal SET amount=amount+1 WHERE seq=100", 0, 0, 0),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(embedded_export(f.dir, 1, out, &totals, &why), ERR_CORRUPT);
    assert_non_null(strstr(why.text, "damaged record 100"));
    (void)close(out);
    (void)close(fd);
    folder_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(takes_twins),
        cmocka_unit_test(many_legs_are_one_line),
        cmocka_unit_test(a_service_opens_it),
        cmocka_unit_test(takes_the_place_of_an_empty_ledger),
        cmocka_unit_test(refuses_a_cut_file_and_changes_nothing),
        cmocka_unit_test(refuses_numbers_that_are_wrong),
        cmocka_unit_test(a_killed_import_is_none),
        cmocka_unit_test(exports_only_keys_that_are_open),
        cmocka_unit_test(says_where_a_ledger_is_missing_or_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

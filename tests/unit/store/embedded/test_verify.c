/*
 * What must not get past `verify`, or past an opening: a ledger whose parts are each sound but do not belong together, a
 * file of another program; and what must not keep a ledger from opening.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/embedded/embedded.h"
#include "store/embedded/recover.h"
#include "unit/ledger/stage.h"

enum { FILE_BYTES_MAX = 1 << 16 };

#define SECOND (INT64_C(1000000))
#define TTL_MIN (600 * SECOND) /* no service keeps keys for less */
#define NOON INT64_C(1790000000000000)

struct ledger {
    char dir[64], path[96];
    struct stage s;
    struct journal j;
};

static void ledger_begin(struct ledger *l)
{
    *l = (struct ledger){0};
    (void)snprintf(l->dir, sizeof(l->dir), "%s/verify-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(l->dir));
    (void)snprintf(l->path, sizeof(l->path), "%s/" DB_FILE_NAME, l->dir);
}

static void ledger_end(struct ledger *l)
{
    static const char *const suffixes[] = {"/lock", "/" DB_FILE_NAME, "/" DB_FILE_NAME "-wal",
                                           "/" DB_FILE_NAME "-shm"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", l->dir, suffixes[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(l->dir), 0);
}

static void ledger_open(struct ledger *l)
{
    struct err_text why = {""};
    uint64_t replayed;
    sqlite3 *db;

    stage_init(&l->s);
    assert_int_equal(db_open(l->path, DB_WRITER, &db, &why), ERR_OK);
    assert_int_equal(journal_init(&l->j, db), ERR_OK);
    assert_int_equal(recover(&l->j, &l->s.b, NOON, TTL_MIN, &replayed, &why), ERR_OK);
    l->s.now_us = NOON;
}

static void ledger_commit(struct ledger *l)
{
    assert_int_equal(journal_commit(&l->j, &l->s.b, &l->s.fx, 0), ERR_OK);
    book_commit(&l->s.b, &l->s.fx);
}

static void ledger_kill(struct ledger *l)
{
    journal_close(&l->j);
    stage_fini(&l->s);
}

static void ledger_stop(struct ledger *l)
{
    assert_int_equal(journal_sweep_all(&l->j, &l->s.b, 0), ERR_OK);
    ledger_kill(l);
}

static void pay(struct ledger *l, const char *id, const char *amount)
{
    (void)stage_must(&l->s, stage_credit(&l->s, id, amount), OUTCOME_OK);
}

static void pay_keyed(struct ledger *l, char key, int64_t now_us)
{
    const struct idem idem = stage_key(key, 'f');
    struct posting p = stage_credit(&l->s, "a", "1");

    p.idem = &idem;
    l->s.now_us = now_us;
    (void)stage_must(&l->s, p, OUTCOME_OK);
    ledger_commit(l);
}

/* Run SQL on the ledger as somebody with an editor would. */
static void tamper(const struct ledger *l, const char *sql)
{
    char *why = NULL;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(l->path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %s", sql, why);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void expect_verify(const struct ledger *l, enum err wanted, const char *words)
{
    struct verify_report report;
    struct err_text why = {""};
    enum err e = embedded_verify(l->dir, &report, &why);

    if (e != wanted || (words != NULL && strstr(why.text, words) == NULL)) {
        fail_msg("verify says %s: %s", err_name(e), why.text);
    }
}

static void expect_open(const struct ledger *l, enum err wanted, const char *words)
{
    const struct embedded_options options = {.dir = l->dir,
                                             .inbox_max = 16,
                                             .batch_max = 16,
                                             .readers = 1,
                                             .idempotency_ttl_us = (uint64_t)TTL_MIN,
                                             .idempotency_max = 1000};
    struct err_text why = {""};
    struct store *store = NULL;
    enum err e = embedded_open(&options, &store, &why);

    if (e == ERR_OK) {
        store_close(store);
    }
    if (e != wanted || (words != NULL && strstr(why.text, words) == NULL)) {
        fail_msg("the opening says %s: %s", err_name(e), why.text);
    }
}

/* ---- parts that do not belong together ---- */

/* Rows from before a transfer, each with its own right checksum, in the place of those that a sweep wrote after it. */
static void test_stale_rows(void **state)
{
    struct ledger l;

    (void)state;
    ledger_begin(&l);
    ledger_open(&l);
    pay(&l, "a", "100");
    pay(&l, "b", "100");
    ledger_commit(&l);
    ledger_stop(&l);
    tamper(&l, "CREATE TABLE kept AS SELECT * FROM account");
    ledger_open(&l);
    (void)stage_must(&l.s, stage_transfer(&l.s, "a", "b", "60"), OUTCOME_OK);
    ledger_commit(&l);
    expect_verify(&l, ERR_OK, NULL); /* older rows are right as long as no sweep says otherwise */
    ledger_stop(&l);
    expect_verify(&l, ERR_OK, NULL);

    tamper(&l, "DELETE FROM account; INSERT INTO account SELECT * FROM kept");
    expect_verify(&l, ERR_CORRUPT, "older than the last sweep, of account");
    ledger_end(&l);
}

/* One stale row alone. */
static void test_stale_row(void **state)
{
    struct ledger l;

    (void)state;
    ledger_begin(&l);
    ledger_open(&l);
    pay(&l, "a", "100");
    pay(&l, "b", "100");
    ledger_commit(&l);
    ledger_stop(&l);
    tamper(&l, "CREATE TABLE kept AS SELECT * FROM account");
    ledger_open(&l);
    pay(&l, "b", "5");
    ledger_commit(&l);
    ledger_stop(&l);
    tamper(&l, "DELETE FROM account WHERE id='b';"
               "INSERT INTO account SELECT * FROM kept WHERE id='b'");
    expect_verify(&l, ERR_CORRUPT, "older than the last sweep, of account 3");
    ledger_end(&l);
}

static void test_key_used_twice(void **state)
{
    static const struct {
        int64_t after_us;
        enum err verdict;
    } cases[] = {{1, ERR_CORRUPT}, {TTL_MIN - 1, ERR_CORRUPT}, {TTL_MIN, ERR_OK}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ledger l;
        ledger_begin(&l);
        ledger_open(&l);
        pay_keyed(&l, 'k', NOON);
        keys_cut(&l.s.b.keys, 0); /* as a ledger that forgets too soon */
        pay_keyed(&l, 'k', NOON + cases[i].after_us);
        ledger_kill(&l);
        expect_verify(&l, cases[i].verdict,
                      cases[i].verdict == ERR_OK ? "" : "a key was used twice within its life");
        ledger_end(&l);
    }
}

/* The row goes by another name, with a checksum made for it, and the index agrees. */
static void test_renamed_account(void **state)
{
    static const char select[] = "SELECT " DB_ACCOUNT_COLUMNS " FROM account WHERE id='alice'";
    static const char insert[] =
        "INSERT INTO account(" DB_ACCOUNT_COLUMNS ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)";
    sqlite3_stmt *from, *to;
    struct account row;
    struct ledger l;
    uint64_t no, as_of;
    sqlite3 *db;

    (void)state;
    ledger_begin(&l);
    ledger_open(&l);
    pay(&l, "alice", "100");
    ledger_commit(&l);
    ledger_stop(&l);

    assert_int_equal(sqlite3_open(l.path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, select, -1, &from, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(from), SQLITE_ROW);
    assert_int_equal(db_account_read(from, &no, &row, &as_of), ERR_OK);
    assert_int_equal(sqlite3_finalize(from), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "DELETE FROM account WHERE id='alice'", NULL, NULL, NULL),
                     SQLITE_OK);
    row.id = "mabel";
    assert_int_equal(sqlite3_prepare_v2(db, insert, -1, &to, NULL), SQLITE_OK);
    db_account_bind(to, no, &row, as_of);
    assert_int_equal(db_run(db, to), ERR_OK);
    assert_int_equal(sqlite3_finalize(to), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);

    expect_verify(&l, ERR_CORRUPT, "another id than the record that opened it, of account 1");
    ledger_end(&l);
}

/* ---- keys ---- */

/* Three blobs: the loss of any is missed, the last one's by meta alone. */
static void test_lost_blob(void **state)
{
    static const char *const lost[] = {
        "DELETE FROM key_blob WHERE last_seq=(SELECT min(last_seq) FROM key_blob)",
        "DELETE FROM key_blob WHERE last_seq=(SELECT max(prev_seq) FROM key_blob)",
        "DELETE FROM key_blob WHERE last_seq=(SELECT max(last_seq) FROM key_blob)",
        "DELETE FROM key_blob",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lost); i++) {
        struct ledger l;
        ledger_begin(&l);
        for (int k = 0; k < 3; k++) {
            ledger_open(&l);
            pay_keyed(&l, (char)('p' + k), NOON + k * SECOND);
            ledger_stop(&l);
        }
        expect_verify(&l, ERR_OK, NULL);
        expect_open(&l, ERR_OK, NULL);
        tamper(&l, lost[i]);
        expect_verify(&l, ERR_CORRUPT, "keys are");
        expect_open(&l, ERR_CORRUPT, "keys");
        ledger_end(&l);
    }
}

/* A blob's time says when its keys expire: its checksum covers it. */
static void test_aged_blob(void **state)
{
    struct ledger l;

    (void)state;
    ledger_begin(&l);
    ledger_open(&l);
    pay_keyed(&l, 'k', NOON);
    ledger_stop(&l);
    tamper(&l, "UPDATE key_blob SET time_us=1");
    expect_verify(&l, ERR_CORRUPT, "keys are damaged");
    expect_open(&l, ERR_CORRUPT, "the keys up to record");
    ledger_end(&l);
}

/* ---- openings ---- */

static size_t file_read(const char *path, uint8_t bytes[FILE_BYTES_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len;

    assert_true(fd >= 0);
    len = read(fd, bytes, FILE_BYTES_MAX);
    assert_in_range(len, 1, FILE_BYTES_MAX - 1);
    (void)close(fd);
    return (size_t)len;
}

static void test_foreign_file(void **state)
{
    static uint8_t before[FILE_BYTES_MAX], after[FILE_BYTES_MAX];
    char wal_path[128];
    struct ledger l;
    size_t len;

    (void)state;
    ledger_begin(&l);
    tamper(&l, "CREATE TABLE other(x); INSERT INTO other VALUES(1)");
    len = file_read(l.path, before);
    assert_int_equal(before[18], 1); /* a rollback journal, not a log */

    expect_open(&l, ERR_UNSUPPORTED, "not a ledger of mywallet");
    expect_verify(&l, ERR_UNSUPPORTED, "not a ledger of mywallet");

    assert_int_equal(file_read(l.path, after), len);
    assert_memory_equal(before, after, len);
    (void)snprintf(wal_path, sizeof(wal_path), "%s-wal", l.path);
    assert_int_equal(access(wal_path, F_OK), -1);
    ledger_end(&l);
}

/* A killed ledger opens while somebody (a backup, verify) still reads an old state of its log, and loses nothing by it. */
static void test_opens_beside_an_old_snapshot(void **state)
{
    sqlite3 *other;
    struct ledger l;

    (void)state;
    ledger_begin(&l);
    ledger_open(&l);
    pay(&l, "a", "1");
    ledger_commit(&l);
    assert_int_equal(sqlite3_open(l.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM journal", NULL, NULL, NULL),
                     SQLITE_OK);
    pay(&l, "a", "2");
    ledger_commit(&l);
    ledger_kill(&l);

    expect_open(&l, ERR_OK, NULL);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    expect_verify(&l, ERR_OK, NULL);
    ledger_open(&l);
    assert_int_equal(stage_view(&l.s, "a").balance, 300);
    ledger_stop(&l);
    ledger_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stale_rows),     cmocka_unit_test(test_stale_row),
        cmocka_unit_test(test_key_used_twice), cmocka_unit_test(test_renamed_account),
        cmocka_unit_test(test_lost_blob),      cmocka_unit_test(test_aged_blob),
        cmocka_unit_test(test_foreign_file),   cmocka_unit_test(test_opens_beside_an_old_snapshot),
    };

    return cmocka_run_group_tests_name("embedded/verify", tests, NULL, NULL);
}

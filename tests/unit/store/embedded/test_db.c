/* Connections as the store opens them, and rows with their checksums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"
#include "store/embedded/db.h"

struct fixture {
    char dir[64], path[128];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "%s/dbXXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->path, sizeof(f->path), "%s/" DB_FILE_NAME, f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char path[160];

    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(f->dir), 0);
    free(f);
    return 0;
}

static sqlite3 *open_as(const struct fixture *f, enum db_use use)
{
    struct err_text why;
    sqlite3 *db = NULL;

    assert_int_equal(db_open(f->path, use, &db, &why), ERR_OK);
    return db;
}

static int64_t number(sqlite3 *db, const char *sql)
{
    int64_t n = -1;
    bool found;

    assert_int_equal(db_number(db, sql, &n, &found), ERR_OK);
    assert_true(found);
    return n;
}

static void identity(void **state)
{
    struct fixture *f = *state;
    struct err_text why;
    sqlite3 *db = NULL;

    assert_int_equal(db_open(f->path, DB_READER, &db, &why), ERR_NOT_FOUND);
    assert_int_equal(db_open(f->path, DB_VERIFIER, &db, &why), ERR_NOT_FOUND);
    db = open_as(f, DB_WRITER);
    assert_int_equal(number(db, "PRAGMA application_id"), DB_APPLICATION_ID);
    assert_int_equal(number(db, "PRAGMA user_version"), DB_FORMAT_VERSION);
    assert_int_equal(number(db, "PRAGMA synchronous"), 2);
    assert_int_equal(number(db, "PRAGMA wal_autocheckpoint"), 0);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    db = open_as(f, DB_READER);
    assert_int_equal(db_exec(db, "DELETE FROM meta"), ERR_IO); /* it may only read */
    assert_int_equal(sqlite3_close(db), SQLITE_OK);

    db = open_as(f, DB_WRITER);
    assert_int_equal(db_exec(db, "PRAGMA user_version=2"), ERR_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(db_open(f->path, DB_WRITER, &db, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, f->path));
    assert_non_null(strstr(why.text, "format 2"));
}

static void another_programs_file(void **state)
{
    struct fixture *f = *state;
    struct err_text why;
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(db_exec(db, "CREATE TABLE theirs(x)"), ERR_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(db_open(f->path, DB_WRITER, &db, &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, f->path));
}

/* wal_check tells transactions apart by rising page numbers, which holds while none is written before its commit. */
static void nothing_is_written_before_the_commit(void **state)
{
    struct fixture *f = *state;
    char wal[160];
    struct stat before, after;
    sqlite3 *db = open_as(f, DB_WRITER);

    (void)snprintf(wal, sizeof(wal), "%s-wal", f->path);
    assert_int_equal(db_exec(db, "PRAGMA cache_size=10"), ERR_OK);
    assert_int_equal(stat(wal, &before), 0);
    assert_int_equal(db_exec(db, "BEGIN IMMEDIATE"), ERR_OK);
    for (int i = 1; i <= 500; i++) {
        char sql[160];
        (void)snprintf(sql, sizeof(sql),
                       "INSERT INTO block VALUES(%d,1,1,randomblob(1000),randomblob(32))", i);
        assert_int_equal(db_exec(db, sql), ERR_OK);
    }
    assert_int_equal(stat(wal, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    assert_int_equal(db_exec(db, "COMMIT"), ERR_OK);
    assert_int_equal(stat(wal, &after), 0);
    assert_true(after.st_size > before.st_size + 500 * 1000);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void errors(void **state)
{
    (void)state;
    assert_int_equal(db_err(NULL, SQLITE_OK), ERR_OK);
    assert_int_equal(db_err(NULL, SQLITE_ROW), ERR_OK);
    assert_int_equal(db_err(NULL, SQLITE_DONE), ERR_OK);
    assert_int_equal(db_err(NULL, SQLITE_FULL), ERR_DISK_FULL);
    assert_int_equal(db_err(NULL, SQLITE_NOMEM), ERR_NOMEM);
    assert_int_equal(db_err(NULL, SQLITE_IOERR_NOMEM), ERR_NOMEM);
    assert_int_equal(db_err(NULL, SQLITE_BUSY), ERR_BUSY);
    assert_int_equal(db_err(NULL, SQLITE_BUSY_SNAPSHOT), ERR_BUSY);
    assert_int_equal(db_err(NULL, SQLITE_CORRUPT), ERR_CORRUPT);
    assert_int_equal(db_err(NULL, SQLITE_NOTADB), ERR_CORRUPT);
    assert_int_equal(db_err(NULL, SQLITE_IOERR_FSYNC), ERR_IO);
    assert_int_equal(db_err(NULL, SQLITE_IOERR_WRITE), ERR_IO);
    assert_int_equal(db_err(NULL, SQLITE_READONLY), ERR_IO);
}

/* Any number of a row changed behind the store's back is found. */
static void rows_carry_checksums(void **state)
{
    static const char *const columns[] = {"no",      "id",        "currency",   "exponent",
                                          "status",  "overdraft", "balance",    "held",
                                          "version", "entries",   "last_seq",   "metadata_seq",
                                          "as_of",   "crc",       "created_us", "updated_us"};
    struct fixture *f = *state;
    const struct account a = {.id = "alice",
                              .id_len = 5,
                              .currency = 'C' | 'N' << 8 | 'Y' << 16,
                              .exponent = 2,
                              .balance = 100,
                              .version = 3,
                              .entries = 2,
                              .last_seq = 9,
                              .created_us = 5,
                              .updated_us = 7};
    sqlite3 *db = open_as(f, DB_WRITER);
    sqlite3_stmt *put, *get;

    assert_int_equal(db_prepare(db,
                                "INSERT OR REPLACE INTO account(" DB_ACCOUNT_COLUMNS
                                ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                                &put),
                     ERR_OK);
    assert_int_equal(db_prepare(db, "SELECT " DB_ACCOUNT_COLUMNS " FROM account", &get), ERR_OK);
    for (unsigned i = 0; i <= ARRAY_LEN(columns); i++) {
        struct account read;
        uint64_t no = 0, as_of = 0;
        char sql[160];
        enum err e;
        assert_int_equal(db_exec(db, "DELETE FROM account"), ERR_OK);
        db_account_bind(put, 1, &a, 9);
        assert_int_equal(db_run(db, put), ERR_OK);
        if (i < ARRAY_LEN(columns)) {
            const bool is_text = i == 1 || i == 2;
            (void)snprintf(sql, sizeof(sql),
                           is_text ? "UPDATE account SET %s=replace(replace(%s,'Y','D'),'a','b')"
                                   : "UPDATE account SET %s=%s+1",
                           columns[i], columns[i]);
            assert_int_equal(db_exec(db, sql), ERR_OK);
        }
        assert_int_equal(sqlite3_step(get), SQLITE_ROW);
        e = db_account_read(get, &no, &read, &as_of);
        if (i < ARRAY_LEN(columns)) {
            assert_int_equal(e, ERR_CORRUPT);
        } else {
            assert_int_equal(e, ERR_OK);
            assert_true(no == 1 && as_of == 9 && read.balance == 100 && read.id_len == 5 &&
                        memcmp(read.id, "alice", 5) == 0);
        }
        (void)sqlite3_reset(get);
    }
    (void)sqlite3_finalize(put);
    (void)sqlite3_finalize(get);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void named_numbers(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = open_as(f, DB_WRITER);
    char sql[160];
    int64_t n = 0;

    assert_int_equal(db_meta_get(db, "x", &n), ERR_NOT_FOUND);
    (void)snprintf(sql, sizeof(sql), "INSERT INTO meta VALUES('x',42,%u)", db_meta_crc("x", 42));
    assert_int_equal(db_exec(db, sql), ERR_OK);
    assert_int_equal(db_meta_get(db, "x", &n), ERR_OK);
    assert_int_equal(n, 42);
    assert_int_equal(db_exec(db, "UPDATE meta SET value=43"), ERR_OK);
    assert_int_equal(db_meta_get(db, "x", &n), ERR_CORRUPT);
    assert_int_equal(db_exec(db, "UPDATE meta SET value=42,key='y'"), ERR_OK);
    assert_int_equal(db_meta_get(db, "y", &n), ERR_CORRUPT);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void marks_and_keys(void **state)
{
    struct fixture *f = *state;
    const struct key_entry entries[2] = {{.scope = "first", .seq = 3}, {.scope = "second", .seq = 8}};
    const struct db_keys blob = {
        .last_seq = 8, .prev_seq = 2, .time_us = 77, .entries = entries, .count = 2};
    const struct book_mark mark = {.account = 4, .n = 64, .seq = 99, .time_us = 1234};
    static const char *const mark_changes[] = {"seq=100", "time_us=1235", "crc=crc+1",
                                               "n=128",   "account=5",    NULL};
    static const char *const key_changes[] = {
        "last_seq=9",        "prev_seq=3",        "time_us=78",       "crc=crc+1",
        "data=zeroblob(48)", "data=zeroblob(47)", "data=zeroblob(0)", NULL};
    sqlite3 *db = open_as(f, DB_WRITER);
    char sql[200];

    for (unsigned i = 0; i < ARRAY_LEN(mark_changes); i++) {
        struct book_mark read;
        sqlite3_stmt *get;
        (void)snprintf(sql, sizeof(sql),
                       "DELETE FROM history_mark;INSERT INTO history_mark VALUES(4,64,99,1234,%u)",
                       db_mark_crc(&mark));
        assert_int_equal(db_exec(db, sql), ERR_OK);
        if (mark_changes[i] != NULL) {
            (void)snprintf(sql, sizeof(sql), "UPDATE history_mark SET %s", mark_changes[i]);
            assert_int_equal(db_exec(db, sql), ERR_OK);
        }
        assert_int_equal(
            db_prepare(db, "SELECT " DB_MARK_COLUMNS ",account,n FROM history_mark", &get), ERR_OK);
        assert_int_equal(sqlite3_step(get), SQLITE_ROW);
        assert_int_equal(db_mark_read(get, (uint64_t)sqlite3_column_int64(get, 3),
                                      (uint64_t)sqlite3_column_int64(get, 4), &read),
                         mark_changes[i] == NULL ? ERR_OK : ERR_CORRUPT);
        (void)sqlite3_finalize(get);
    }
    for (unsigned i = 0; i < ARRAY_LEN(key_changes); i++) {
        struct db_keys read;
        sqlite3_stmt *stmt;
        assert_int_equal(db_exec(db, "DELETE FROM key_blob"), ERR_OK);
        assert_int_equal(
            db_prepare(db, "INSERT INTO key_blob(" DB_KEYS_COLUMNS ") VALUES(8,2,77,?,?)", &stmt),
            ERR_OK);
        assert_int_equal(sqlite3_bind_blob(stmt, 1, entries, sizeof(entries), SQLITE_STATIC),
                         SQLITE_OK);
        assert_int_equal(sqlite3_bind_int64(stmt, 2, db_keys_crc(&blob)), SQLITE_OK);
        assert_int_equal(db_run(db, stmt), ERR_OK);
        (void)sqlite3_finalize(stmt);
        if (key_changes[i] != NULL) {
            (void)snprintf(sql, sizeof(sql), "UPDATE key_blob SET %s", key_changes[i]);
            assert_int_equal(db_exec(db, sql), ERR_OK);
        }
        assert_int_equal(db_prepare(db, "SELECT " DB_KEYS_COLUMNS " FROM key_blob", &stmt), ERR_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(db_keys_read(stmt, &read), key_changes[i] == NULL ? ERR_OK : ERR_CORRUPT);
        if (key_changes[i] == NULL) {
            assert_int_equal(read.count, 2);
            assert_int_equal(db_keys_at(&read, 1).seq, 8);
        }
        (void)sqlite3_finalize(stmt);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identity, setup, teardown),
        cmocka_unit_test_setup_teardown(another_programs_file, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_written_before_the_commit, setup, teardown),
        cmocka_unit_test(errors),
        cmocka_unit_test_setup_teardown(rows_carry_checksums, setup, teardown),
        cmocka_unit_test_setup_teardown(named_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(marks_and_keys, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

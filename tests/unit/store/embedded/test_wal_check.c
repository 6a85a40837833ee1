/* The check of a write-ahead log, on logs that SQLite itself wrote: sound, torn, damaged, and started over. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "base/prng.h"
#include "store/embedded/wal_check.h"

enum { LOG_BYTES_MAX = 1 << 20, HEADER = 32, FRAME_HEAD = 24, TRANSACTIONS_MAX = 64 };

struct fixture {
    char dir[64], db_path[96], wal_path[112], copy[112];
    uint8_t log[LOG_BYTES_MAX];
    size_t len;
    size_t ends[TRANSACTIONS_MAX]; /* where each transaction ends in the log */
    unsigned count;
    size_t page_bytes;
};

static void sql(sqlite3 *db, const char *text)
{
    char *why = NULL;

    if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %s", text, why);
    }
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    (void)snprintf(f->dir, sizeof(f->dir), "%s/walXXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->db_path, sizeof(f->db_path), "%s/x.db", f->dir);
    (void)snprintf(f->wal_path, sizeof(f->wal_path), "%s/x.db-wal", f->dir);
    (void)snprintf(f->copy, sizeof(f->copy), "%s/copy", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"x.db", "x.db-wal", "x.db-shm", "copy"};
    char path[128];

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
    free(f);
    return 0;
}

static void put(const char *path, const uint8_t *bytes, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static void log_read(struct fixture *f)
{
    int fd = open(f->wal_path, O_RDONLY);
    ssize_t got;

    assert_true(fd >= 0);
    got = read(fd, f->log, sizeof(f->log));
    assert_true(got >= 0 && (size_t)got < sizeof(f->log));
    f->len = (size_t)got;
    close(fd);
}

static enum err check_copy(const struct fixture *f)
{
    struct err_text why = {""};
    enum err e = wal_check(f->copy, &why);

    if (e != ERR_OK) {
        assert_int_equal(e, ERR_CORRUPT);
        assert_non_null(strstr(why.text, f->copy));
    }
    return e;
}

static enum err check(const struct fixture *f, const uint8_t *bytes, size_t len)
{
    put(f->copy, bytes, len);
    return check_copy(f);
}

/* The copy that `put` made, with one byte changed. */
static enum err check_flipped(const struct fixture *f, int fd, size_t at, uint8_t mask)
{
    const uint8_t was = f->log[at], flipped = was ^ mask;
    enum err e;

    assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
    e = check_copy(f);
    assert_int_equal(pwrite(fd, &was, 1, (off_t)at), 1);
    return e;
}

static int note_end(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct fixture *f = ctx;

    (void)db;
    (void)name;
    assert_true(f->count < TRANSACTIONS_MAX);
    f->ends[f->count++] = HEADER + (size_t)pages * (FRAME_HEAD + f->page_bytes);
    return SQLITE_OK;
}

static sqlite3 *db_make(struct fixture *f, size_t page_bytes)
{
    char text[128];
    sqlite3 *db;

    f->page_bytes = page_bytes;
    f->count = 0;
    (void)unlink(f->db_path);
    (void)unlink(f->wal_path);
    assert_int_equal(sqlite3_open(f->db_path, &db), SQLITE_OK);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    (void)snprintf(text, sizeof(text),
                   "PRAGMA page_size=%zu;PRAGMA journal_mode=WAL;PRAGMA wal_autocheckpoint=0",
                   page_bytes);
    sql(db, text);
    sql(db, "CREATE TABLE j(seq INTEGER PRIMARY KEY,x BLOB);CREATE TABLE b(last INTEGER PRIMARY KEY,h BLOB);"
            "CREATE TABLE a(no INTEGER PRIMARY KEY,v INTEGER)");
    sql(db, "INSERT INTO a SELECT value,0 FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM n "
            "WHERE value<60) SELECT value FROM n)");
    sql(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    (void)sqlite3_wal_hook(db, note_end, f);
    return db;
}

/* As the store commits: records at the end of one table, a block at the end of another, a few rows of a third. */
static void transaction(sqlite3 *db, unsigned records, unsigned row)
{
    char text[256];

    sql(db, "BEGIN");
    for (unsigned i = 0; i < records; i++) {
        sql(db, "INSERT INTO j(x) VALUES(randomblob(70))");
    }
    sql(db, "INSERT INTO b(h) VALUES(randomblob(32))");
    if (row != 0) {
        (void)snprintf(text, sizeof(text), "UPDATE a SET v=v+1000 WHERE no=%u", row);
        sql(db, text);
    }
    sql(db, "COMMIT");
}

static void transactions(sqlite3 *db, unsigned count, unsigned seed)
{
    struct prng p = {.state = seed};

    for (unsigned i = 0; i < count; i++) {
        transaction(db, 1 + (unsigned)prng_below(&p, 6),
                    (unsigned)prng_below(&p, 3) == 0 ? 1 + (unsigned)prng_below(&p, 60) : 0);
    }
}

/* A log of some transactions, started over once with longer ones before, so that old frames stand behind the new. */
static void log_make(struct fixture *f, size_t page_bytes, unsigned count, bool is_reused,
                     unsigned seed)
{
    sqlite3 *db = db_make(f, page_bytes);

    if (is_reused) {
        transactions(db, count * 3, seed);
        sql(db, "PRAGMA wal_checkpoint(PASSIVE)");
        f->count = 0;
    }
    transactions(db, count, seed + 1);
    log_read(f);
    assert_int_equal(f->count, count);
    assert_true(is_reused ? f->len > f->ends[count - 1] : f->len == f->ends[count - 1]);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void sound(void **state)
{
    struct fixture *f = *state;
    struct err_text why;
    uint8_t none[1] = {0};

    (void)unlink(f->copy);
    assert_int_equal(wal_check(f->copy, &why), ERR_OK); /* no file */
    assert_int_equal(check(f, none, 0), ERR_OK);
    for (unsigned seed = 1; seed <= 20; seed++) {
        log_make(f, seed % 2 == 0 ? 512 : 4096, 1 + seed % 12, seed % 4 < 2, seed);
        assert_int_equal(check(f, f->log, f->len), ERR_OK);
    }
}

/* What a crash in the middle of writing leaves: nothing behind a byte, zeroes behind it, or an older log's frames. */
static void torn_at_every_byte(void **state)
{
    struct fixture *f = *state;
    uint8_t *bytes = malloc(LOG_BYTES_MAX);

    for (unsigned is_reused = 0; is_reused < 2; is_reused++) {
        static uint8_t before[LOG_BYTES_MAX];
        sqlite3 *db = db_make(f, 512);
        size_t from;
        if (is_reused) {
            transactions(db, 20, 5);
            sql(db, "PRAGMA wal_checkpoint(PASSIVE)");
            f->count = 0;
        }
        transactions(db, 7, 6);
        log_read(f);
        memset(before, 0, sizeof(before));
        memcpy(before, f->log, f->len);
        from = f->ends[f->count - 1];
        transaction(db, 9, 3);
        log_read(f);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        for (size_t cut = from; cut <= f->ends[f->count - 1]; cut++) {
            memcpy(bytes, f->log, cut);
            assert_int_equal(check(f, bytes, cut), ERR_OK);
            memcpy(bytes + cut, before + cut, f->len - cut);
            assert_int_equal(check(f, bytes, f->len), ERR_OK);
        }
    }
    free(bytes);
}

/* What a power cut may leave of writes that were never synced: any of their sectors, in any order. */
static void torn_at_sectors(void **state)
{
    static uint8_t before[LOG_BYTES_MAX], bytes[LOG_BYTES_MAX];
    static const size_t pages[] = {512, 1024, 4096};
    struct fixture *f = *state;
    struct prng p = {.state = 99};

    for (unsigned round = 0; round < 60; round++) {
        sqlite3 *db = db_make(f, pages[round % 3]);
        size_t from;
        if (round % 4 != 0) {
            transactions(db, 24, 2 * round);
            sql(db, "PRAGMA wal_checkpoint(PASSIVE)");
            f->count = 0;
        }
        transactions(db, 1 + (unsigned)prng_below(&p, 22), 2 * round + 1);
        log_read(f);
        memset(before, 0, sizeof(before));
        memcpy(before, f->log, f->len);
        from = f->ends[f->count - 1];
        transaction(db, 1 + (unsigned)prng_below(&p, 40), 1 + (unsigned)prng_below(&p, 60));
        log_read(f);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        for (unsigned i = 0; i < 200; i++) {
            const uint64_t keep = prng_below(&p, 17);
            memcpy(bytes, f->log, f->len);
            for (size_t sector = from / 512; sector * 512 < f->len; sector++) {
                size_t at = sector * 512 < from ? from : sector * 512;
                size_t end = (sector + 1) * 512 < f->len ? (sector + 1) * 512 : f->len;
                if (prng_below(&p, 16) >= keep) {
                    memcpy(bytes + at, before + at, end - at);
                }
            }
            if (check(f, bytes, f->len) != ERR_OK) {
                fail_msg("round %u, image %u: a torn last transaction is taken for damage", round, i);
            }
        }
    }
}

/* Damage anywhere before the last transaction must be found: SQLite would drop all that stands behind it. */
static void flipped_at_every_byte(void **state)
{
    struct fixture *f = *state;
    unsigned long flips = 0;

    for (unsigned round = 0; round < 8; round++) {
        size_t from;
        int fd;
        log_make(f, round < 6 ? 512 : 4096, 2 + round * 2, round % 2 != 0, 30 + round);
        from = f->ends[f->count - 2];
        put(f->copy, f->log, f->len);
        fd = open(f->copy, O_RDWR);
        for (size_t at = 0; at < f->ends[f->count - 1]; at++) {
            const bool is_sampled = at < HEADER || f->page_bytes == 512 ||
                                    (at - HEADER) % (f->page_bytes + FRAME_HEAD) < 32 ||
                                    at % 61 == 0;
            for (unsigned way = 0; is_sampled && way < 2; way++) {
                const uint8_t mask = way == 0 ? (uint8_t)(1u << (at % 8)) : 0xff;
                enum err e;
                e = check_flipped(f, fd, at, mask);
                if (at < from && e != ERR_CORRUPT) {
                    fail_msg("round %u: byte %zu (frame %zu + %zu) ^ %02x before %zu is not found",
                             round, at, (at - HEADER) / (f->page_bytes + FRAME_HEAD),
                             (at - HEADER) % (f->page_bytes + FRAME_HEAD), mask, from);
                }
                flips++;
            }
        }
        close(fd);
    }
    print_message("%lu flips\n", flips);
}

/* The least that damage can hide behind: a transaction of one frame, or of two. */
static void damage_in_short_transactions(void **state)
{
    struct fixture *f = *state;

    for (unsigned shape = 0; shape < 4; shape++) {
        sqlite3 *db = db_make(f, 512);
        int fd;
        for (unsigned i = 0; i < 3; i++) {
            if (shape & 1) {
                sql(db, "UPDATE a SET v=v+1 WHERE no=1"); /* one frame */
            }
            if (shape & 2) {
                transaction(db, 1, 0);
            }
        }
        sql(db, "UPDATE a SET v=v+1 WHERE no=1");
        log_read(f);
        assert_int_equal(sqlite3_close(db), SQLITE_OK);
        put(f->copy, f->log, f->len);
        fd = open(f->copy, O_RDWR);
        for (size_t at = 0; f->count >= 2 && at < f->ends[f->count - 2]; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                if (check_flipped(f, fd, at, (uint8_t)(1u << bit)) != ERR_CORRUPT) {
                    fail_msg("shape %u: byte %zu bit %u", shape, at, bit);
                }
            }
        }
        close(fd);
    }
}

/* A disk that was full leaves pieces of transactions that never were; a later, shorter one does not cover them all. */
static void remains_of_a_failed_transaction(void **state)
{
    static uint8_t before[LOG_BYTES_MAX], bytes[LOG_BYTES_MAX];
    struct fixture *f = *state;
    sqlite3 *db = db_make(f, 4096);
    size_t failed_end, from, end;

    transactions(db, 5, 77);
    from = f->ends[f->count - 1];
    sql(db, "PRAGMA cache_size=10;BEGIN"); /* a small cache spills pages into the log before the commit */
    for (unsigned i = 0; i < 1000; i++) {
        sql(db, "INSERT INTO j(x) VALUES(randomblob(200))");
    }
    log_read(f);
    memcpy(before, f->log, f->len);
    failed_end = f->len;
    sql(db, "ROLLBACK");
    transaction(db, 60, 0);
    log_read(f);
    end = f->ends[f->count - 1];
    assert_true(failed_end > end + 3 * (4096 + FRAME_HEAD));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(check(f, f->log, f->len), ERR_OK);
    for (size_t sector = from / 512; sector * 512 < end;
         sector++) { /* torn: one sector is the old one's */
        size_t at = sector * 512 < from ? from : sector * 512;
        size_t in_frame = (sector * 512 - HEADER) % (4096 + FRAME_HEAD);
        if (in_frame < FRAME_HEAD || in_frame + 512 > 4096 + FRAME_HEAD) {
            continue; /* with a frame's head it looks as damage does, and is taken for it */
        }
        memcpy(bytes, f->log, f->len);
        memcpy(bytes + at, before + at, (sector + 1) * 512 - at);
        assert_int_equal(check(f, bytes, f->len), ERR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),
        cmocka_unit_test(torn_at_every_byte),
        cmocka_unit_test(torn_at_sectors),
        cmocka_unit_test(flipped_at_every_byte),
        cmocka_unit_test(damage_in_short_transactions),
        cmocka_unit_test(remains_of_a_failed_transaction),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

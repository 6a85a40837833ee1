/*
 * The life of idempotency keys over restarts: used again after they expired, more than fit, clocks that jump, blobs that
 * go. Book, journal and recover are driven on this one thread with times as data; a kill is a close without a sweep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/embedded/embedded.h"
#include "store/embedded/recover.h"
#include "unit/ledger/stage.h"

enum {
    RECORDS = 1024, /* a commit */
    EXPIRE_PER_COMMIT = 512,
    KEYS_MANY = 1000000,
};

#define SECOND (INT64_C(1000000))
#define HOUR (3600 * SECOND)
#define YEAR (365 * 24 * HOUR)
#define TTL (6 * HOUR)
#define NOON INT64_C(1790000000000000) /* the time that the tests begin at */

static const uint64_t key_again = UINT64_C(1) << 40; /* a key that no run of numbers meets */

struct life {
    char dir[64], path[96];
    struct stage s;
    struct journal j;
    int64_t ttl_us;
    uint32_t sweep_rows_min;
    uint64_t keys_max;
};

static enum err life_try(struct life *l, int64_t wall_us, struct err_text *why)
{
    uint64_t replayed;
    sqlite3 *db;
    enum err e;

    stage_init_with(&l->s, RECORDS, 2 * RECORDS, l->keys_max);
    assert_int_equal(db_open(l->path, DB_WRITER, &db, why), ERR_OK);
    assert_int_equal(journal_init(&l->j, db), ERR_OK);
    if (l->sweep_rows_min != 0) {
        l->j.sweep_rows_min = l->sweep_rows_min;
    }
    e = recover(&l->j, &l->s.b, wall_us, l->ttl_us, &replayed, why);
    return e;
}

static void life_open(struct life *l, int64_t wall_us)
{
    struct err_text why = {""};

    if (life_try(l, wall_us, &why) != ERR_OK) {
        fail_msg("the ledger does not open: %s", why.text);
    }
}

static void life_kill(struct life *l)
{
    journal_close(&l->j);
    stage_fini(&l->s);
}

/* A clean stop: everything is swept. */
static void life_stop(struct life *l)
{
    assert_int_equal(journal_sweep_all(&l->j, &l->s.b, 0), ERR_OK);
    life_kill(l);
}

static void life_begin(struct life *l)
{
    *l = (struct life){.ttl_us = TTL, .keys_max = KEYS_MANY};
    (void)snprintf(l->dir, sizeof(l->dir), "%s/keys-life-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(l->dir));
    (void)snprintf(l->path, sizeof(l->path), "%s/" DB_FILE_NAME, l->dir);
}

static void life_end(struct life *l)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct verify_report report;
    struct err_text why = {""};
    char path[128];

    if (embedded_verify(l->dir, &report, &why) != ERR_OK) {
        fail_msg("verify: %s", why.text);
    }
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        (void)snprintf(path, sizeof(path), "%s%s", l->path, suffixes[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(l->dir), 0);
}

static struct idem key_of(uint64_t number)
{
    struct idem idem = {.field_count = 1, .field_tags = {1}};

    memcpy(idem.scope, &number, sizeof(number));
    return idem;
}

static uint64_t known_at(const struct life *l, uint64_t number)
{
    const struct idem idem = key_of(number);

    return keys_find(&l->s.b.keys, idem.scope);
}

static void commit(struct life *l, int64_t now_us)
{
    if (l->s.fx.record_count > 0) {
        assert_int_equal(journal_commit(&l->j, &l->s.b, &l->s.fx, now_us - l->ttl_us), ERR_OK);
    }
    book_commit(&l->s.b, &l->s.fx);
    arena_reset(&l->s.arena);
}

/* Forget keys as a turn of the writer does before it takes anything up. */
static void expire(struct life *l, int64_t now_us)
{
    keys_expire(&l->s.b.keys, now_us - l->ttl_us, EXPIRE_PER_COMMIT);
}

static enum outcome pay(struct life *l, uint64_t number, int64_t now_us, uint64_t *seq)
{
    const struct idem idem = key_of(number);
    struct posting p = stage_credit(&l->s, "a", "1");
    struct posting_result result;
    enum outcome outcome;

    p.idem = &idem;
    assert_int_equal(book_reserve(&l->s.b, &p, &l->s.fx), ERR_OK);
    outcome = book_apply(&l->s.b, &p, now_us, &l->s.fx, &result);
    *seq = result.seq;
    return outcome;
}

/* Pay under `count` new keys from number `from` on, in commits of up to `batch`. */
static void pay_many(struct life *l, uint64_t from, unsigned count, int64_t now_us)
{
    enum { BATCH = RECORDS - 8 };
    uint64_t seq;

    for (unsigned i = 0; i < count; i++) {
        if (i % BATCH == 0) {
            commit(l, now_us);
            expire(l, now_us);
        }
        assert_int_equal(pay(l, from + i, now_us, &seq), OUTCOME_OK);
    }
    commit(l, now_us);
}

static uint64_t pay_one(struct life *l, uint64_t number, int64_t now_us)
{
    uint64_t seq;

    assert_int_equal(pay(l, number, now_us, &seq), OUTCOME_OK);
    commit(l, now_us);
    return seq;
}

static void expire_wholly(struct life *l, int64_t now_us)
{
    for (int i = 0; i < 100; i++) {
        expire(l, now_us);
    }
}

static int64_t number_of(const struct life *l, const char *sql)
{
    int64_t number;
    bool found;

    assert_int_equal(db_number(l->j.db, sql, &number, &found), ERR_OK);
    return number;
}

static void expect_known(const struct life *l, uint64_t from, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (known_at(l, from + i) == 0) {
            fail_msg("key %llu was forgotten", (unsigned long long)(from + i));
        }
    }
}

/* ---- a key that is used again ---- */

/* The first use is in a blob that is young enough to be loaded; the second only in the journal. */
static void test_used_again_is_kept_over_restarts(void **state)
{
    struct life l;
    uint64_t again, z;

    (void)state;
    life_begin(&l);
    life_open(&l, NOON);
    pay_many(&l, 0, 1000, NOON - HOUR);
    life_stop(&l); /* a blob of 1000: from now on blobs and segments are out of step */
    life_open(&l, NOON);
    (void)pay_one(&l, key_again, NOON);
    pay_many(&l, 10000, 3500, NOON);            /* the first segment is full */
    pay_many(&l, 20000, 1000, NOON + 4 * HOUR); /* the blob that holds the key is written now */
    assert_int_equal(number_of(&l, "SELECT count(*) FROM key_blob"), 2);

    expire_wholly(&l, NOON + 7 * HOUR);
    assert_true(known_at(&l, key_again) == 0);
    again = pay_one(&l, key_again, NOON + 7 * HOUR);
    z = pay_one(&l, 1, NOON + 7 * HOUR);
    life_kill(&l);

    life_open(&l, NOON + 7 * HOUR + SECOND);
    assert_true(known_at(&l, key_again) == again);
    assert_true(known_at(&l, 1) == z);
    life_stop(&l);

    life_open(&l, NOON + 10 * HOUR + HOUR / 2); /* the blob with the first use has expired */
    (void)pay_one(&l, 2, NOON + 10 * HOUR + HOUR / 2);
    life_kill(&l);
    life_open(&l, NOON + 10 * HOUR + HOUR / 2);
    assert_true(known_at(&l, key_again) == again);
    assert_true(known_at(&l, 1) == z);

    pay_many(&l, 30000, KEY_BLOB_ENTRIES, NOON + 11 * HOUR);
    life_kill(&l);
    life_open(&l, NOON + 12 * HOUR);
    assert_true(known_at(&l, key_again) == again);
    assert_true(known_at(&l, 1) == z);
    expect_known(&l, 30000, KEY_BLOB_ENTRIES);
    life_stop(&l);
    life_open(&l, NOON + 12 * HOUR);
    assert_true(known_at(&l, key_again) == again);
    life_stop(&l);
    life_end(&l);
}

/* Both uses are read again from the journal, because keys are kept for longer since; then a blob must hold the newer. */
static void test_used_again_under_a_longer_ttl(void **state)
{
    struct life l;
    uint64_t again;

    (void)state;
    life_begin(&l);
    life_open(&l, NOON);
    pay_many(&l, 0, 1000, NOON - HOUR);
    life_stop(&l);
    life_open(&l, NOON);
    (void)pay_one(&l, key_again, NOON);
    pay_many(&l, 10000, 3200, NOON); /* the first segment is full, no blob is */
    expire_wholly(&l, NOON + 7 * HOUR);
    assert_true(known_at(&l, key_again) == 0);
    again = pay_one(&l, key_again, NOON + 7 * HOUR);
    life_kill(&l);

    l.ttl_us = 100 * HOUR;
    for (int i = 0; i < 3; i++) { /* each time out of other blobs */
        life_open(&l, NOON + 8 * HOUR);
        assert_true(known_at(&l, key_again) == again);
        expect_known(&l, 0, 1000);
        expect_known(&l, 10000, 3200);
        if (i > 0) { /* at first the key is the newest that a blob gets */
            pay_many(&l, 40000 + (uint64_t)i * 10000, 10, NOON + 8 * HOUR);
        }
        life_stop(&l);
    }
    life_open(&l, NOON + 9 * HOUR);
    pay_many(&l, 80000, KEY_BLOB_ENTRIES, NOON + 9 * HOUR);
    life_kill(&l);
    life_open(&l, NOON + 9 * HOUR);
    assert_true(known_at(&l, key_again) == again);
    expect_known(&l, 80000, KEY_BLOB_ENTRIES);
    life_stop(&l);
    life_end(&l);
}

/* ---- a full index ---- */

static void test_full_index_opens(void **state)
{
    enum { STORED = 5000, MAX = 4500 };
    struct life l;
    uint64_t seq;

    (void)state;
    life_begin(&l);
    life_open(&l, NOON);
    pay_many(&l, 0, STORED, NOON);
    life_stop(&l);
    for (uint64_t max = MAX; max <= STORED + 1; max += max == MAX ? STORED - MAX : 1) {
        l.keys_max = max;
        life_open(&l, NOON + SECOND);
        expect_known(&l, 0, STORED);
        assert_true(keys_is_full(&l.s.b.keys) == (max <= STORED));
        assert_int_equal(pay(&l, 7, NOON + SECOND, &seq), OUTCOME_REPLAY);
        assert_true(seq == known_at(&l, 7));
        assert_int_equal(pay(&l, key_again, NOON + SECOND, &seq),
                         max <= STORED ? OUTCOME_KEYS_FULL : OUTCOME_OK);
        assert_true(l.s.fx.record_count == (max <= STORED ? 0 : 1));
        life_kill(&l);
    }
    life_end(&l);
}

/* The same where the keys are in no blob yet, only in the journal. */
static void test_full_index_replays(void **state)
{
    struct life l;
    uint64_t seq;

    (void)state;
    life_begin(&l);
    life_open(&l, NOON);
    pay_many(&l, 0, 200, NOON);
    life_kill(&l);
    l.keys_max = 100;
    life_open(&l, NOON);
    expect_known(&l, 0, 200);
    assert_int_equal(pay(&l, key_again, NOON, &seq), OUTCOME_KEYS_FULL);
    life_stop(&l);
    life_end(&l);
}

/* Fewer keys than a segment holds go too, so that a small index gets room again. */
static void test_small_index_gets_room(void **state)
{
    enum { MAX = 1000 };
    struct life l;
    uint64_t seq;

    (void)state;
    life_begin(&l);
    l.keys_max = MAX;
    life_open(&l, NOON);
    pay_many(&l, 0, MAX, NOON);
    expire_wholly(&l, NOON + TTL);
    assert_true(keys_is_full(&l.s.b.keys)); /* the oldest are just not too old */
    assert_int_equal(pay(&l, key_again, NOON + TTL, &seq), OUTCOME_KEYS_FULL);

    expire(&l, NOON + TTL + SECOND);
    assert_int_equal(keys_count(&l.s.b.keys), MAX - EXPIRE_PER_COMMIT);
    expire(&l, NOON + TTL + SECOND);
    assert_int_equal(keys_count(&l.s.b.keys), 0);
    pay_many(&l, MAX, MAX, NOON + TTL + SECOND);
    assert_int_equal(pay(&l, key_again, NOON + TTL + SECOND, &seq), OUTCOME_KEYS_FULL);
    life_kill(&l);

    life_open(&l, NOON + TTL + SECOND);
    assert_int_equal(keys_count(&l.s.b.keys), MAX);
    expect_known(&l, MAX, MAX);
    life_stop(&l);
    life_open(&l, NOON + TTL + SECOND);
    expect_known(&l, MAX, MAX);
    life_stop(&l);
    life_end(&l);
}

/* ---- clocks ---- */

/* Keys 1 and 2 stand at the border: one just too old by the newest record, one just not. */
static void test_wall_clock_at_start(void **state)
{
    static const int64_t offs[] = {YEAR, SECOND, 0};
    struct life l;

    (void)state;
    life_begin(&l);
    life_open(&l, NOON);
    (void)pay_one(&l, 1, NOON - TTL - 1);
    (void)pay_one(&l, 2, NOON - TTL);
    pay_many(&l, 10000, 4200, NOON - HOUR); /* in a blob, and some only in the journal */
    (void)pay_one(&l, 3, NOON);
    life_kill(&l);
    for (size_t i = 0; i < ARRAY_LEN(offs); i++) {
        life_open(&l, NOON + offs[i]);
        expect_known(&l, 2, 2);
        expect_known(&l, 10000, 4200);
        life_kill(&l);
    }
    life_open(&l, NOON - YEAR); /* behind: nothing is too old by it */
    expect_known(&l, 1, 3);
    expect_known(&l, 10000, 4200);
    life_stop(&l);
    life_open(&l, NOON + YEAR); /* now all are in blobs */
    expect_known(&l, 1, 3);
    expect_known(&l, 10000, 4200);
    life_stop(&l);
    life_end(&l);
}

static void test_expired_by_the_earlier_clock(void **state)
{
    struct life l;

    (void)state;
    life_begin(&l);
    life_open(&l, NOON);
    (void)pay_one(&l, 1, NOON - TTL - 1);
    (void)pay_one(&l, 2, NOON - TTL);
    (void)pay_one(&l, 3, NOON);
    life_kill(&l);
    life_open(&l, NOON - 1); /* by the earlier of both clocks */
    expect_known(&l, 1, 3);
    life_kill(&l);
    life_open(&l, NOON + YEAR);
    assert_true(known_at(&l, 1) == 0);
    expect_known(&l, 2, 2);
    life_stop(&l);
    life_end(&l);
}

/* ---- blobs go ---- */

static void test_small_blobs_are_dropped(void **state)
{
    enum { ROUNDS = 60, KEYS = 6, HOURS_KEPT = 6 };
    struct life l;
    int64_t count;

    (void)state;
    life_begin(&l);
    l.sweep_rows_min = 1;
    life_open(&l, NOON);
    for (unsigned i = 0; i < ROUNDS; i++) { /* each commit holds a whole sweep, and its blob */
        pay_many(&l, i * 100, KEYS, NOON + i * HOUR);
        expire_wholly(&l, NOON + i * HOUR);
        count = number_of(&l, "SELECT count(*) FROM key_blob");
        assert_in_range(count, 1, HOURS_KEPT + 2);
        if (i >= HOURS_KEPT) {
            assert_in_range(count, HOURS_KEPT, HOURS_KEPT + 2); /* and none before its time */
        }
        if (i % 7 == 3) {
            life_kill(&l);
            life_open(&l, NOON + i * HOUR);
        }
    }
    life_stop(&l);
    life_open(&l, NOON + (ROUNDS - 1) * HOUR);
    for (unsigned i = ROUNDS - HOURS_KEPT; i < ROUNDS; i++) {
        expect_known(&l, i * 100, KEYS);
    }
    assert_true(known_at(&l, 0) == 0);
    assert_true(number_of(&l, "SELECT value FROM meta WHERE key='keys_dropped'") > 0);
    life_stop(&l);
    life_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_used_again_is_kept_over_restarts),
        cmocka_unit_test(test_used_again_under_a_longer_ttl),
        cmocka_unit_test(test_full_index_opens),
        cmocka_unit_test(test_full_index_replays),
        cmocka_unit_test(test_small_index_gets_room),
        cmocka_unit_test(test_wall_clock_at_start),
        cmocka_unit_test(test_expired_by_the_earlier_clock),
        cmocka_unit_test(test_small_blobs_are_dropped),
    };

    return cmocka_run_group_tests_name("embedded/keys_life", tests, NULL, NULL);
}

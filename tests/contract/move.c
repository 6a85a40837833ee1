/*
 * A ledger that moves between the stores, there and back and on: every posting, key and refusal arrives as it was. Once made up,
 * once born in a Redis by its own functions, once in a data folder with postings of many legs.
 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "contract/legs.h"
#include "store/embedded/db.h"
#include "store/embedded/embedded.h"
#include "store/embedded/move.h"
#include "store/redis/library.h"
#include "store/redis/post.h"
#include "store/redis/sync.h"
#include "unit/store/redis/move_lab.h"

enum { HOPS = 6, POSTS = 3000, LEGS_POSTS = 300 };

static struct redis_server server;

static void say(const char *what, enum err e, const struct err_text *why)
{
    if (e != ERR_OK) {
        fail_msg("%s: %s: %s", what, err_name(e), why->text);
    }
}

static void folder_end(const char *dir)
{
    static const char *const names[] = {"lock", DB_FILE_NAME, DB_FILE_NAME "-wal",
                                        DB_FILE_NAME "-shm"};
    char path[128];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

/* Through a data folder: in, verified, out. */
static int by_embedded(int fd)
{
    char dir[] = "/tmp/move-XXXXXX";
    int out = memfd_create("export", 0);
    struct verify_report report;
    struct move_totals totals;
    struct err_text why = {""};

    assert_non_null(mkdtemp(dir));
    say("import", embedded_import(dir, fd, &totals, &why), &why);
    say("verify", embedded_verify(dir, &report, &why), &why);
    say("export", embedded_export(dir, (uint64_t)LINES_TTL_US, out, &totals, &why), &why);
    folder_end(dir);
    assert_int_equal(lseek(out, 0, SEEK_SET), 0);
    return out;
}

/* Through a Redis. */
static int by_redis(int fd, unsigned buckets)
{
    redis_server_say(&server, "FLUSHALL");
    lab_import(&server, buckets, fd);
    lab_verify(&server);
    return lab_export(&server);
}

static void a_ledger_moves_there_and_back_and_on(void **state)
{
    static const unsigned buckets[HOPS / 2] = {NAMES_BUCKETS_MAX, 1, 100};
    const struct lines_options options = {
        .seed = 70, .count = 5000, .start_us = lab_now_us(&server) - 60000000};
    const int first = lines_make(&options);
    int at = first;

    (void)state;
    for (unsigned hop = 0; hop < HOPS; hop++) {
        int next = hop % 2 == 0 ? by_embedded(at) : by_redis(at, buckets[hop / 2]);
        assert_true(lines_are_same(first, next));
        if (at != first) {
            (void)close(at);
        }
        at = next;
        assert_int_equal(lseek(first, 0, SEEK_SET), 0);
    }
    (void)close(at);
    (void)close(first);
}

/* ---- born in a Redis ---- */

static enum err post_make(struct store_op *op, struct prng *random, char ids[2][16])
{
    const struct posting_words opening = {.may_open = true,
                                          .open_currency = {'C' | 'N' << 8 | 'Y' << 16},
                                          .reference = SLICE("a b"),
                                          .metadata = SLICE("{\"k\":\"v\"}")};
    const struct posting_words words = {.may_open = false, .open_currency = opening.open_currency};
    const struct decimal amount = {1 + (int64_t)prng_below(random, 500) * 10 + 3, -2};
    const uint64_t dice = prng_below(random, 10);

    (void)snprintf(ids[0], 16, "n%llu", (unsigned long long)prng_below(random, 60));
    (void)snprintf(ids[1], 16, "n%llu", (unsigned long long)prng_below(random, 60));
    if (dice < 4) {
        return posting_credit(&op->out, slice_of(ids[0]), amount, &opening, &op->posting);
    }
    if (dice < 6) {
        return posting_debit(&op->out, slice_of(ids[0]), amount, &words, &op->posting);
    }
    if (dice < 7) {
        const struct posting_words open = {.open_currency = opening.open_currency,
                                           .metadata = SLICE("{\"o\":1}")};
        return posting_open(&op->out, slice_of(ids[0]), (struct decimal){5, 0}, &open, &op->posting);
    }
    return posting_transfer(&op->out, slice_of(ids[0]), slice_of(ids[1]), amount, &words,
                            &op->posting);
}

/* Give request i to the server, in a run that is the same each time; *result is its answer. */
static void post(struct sync *line, struct store_op *op, struct prng *random, unsigned i)
{
    static char ids[2][16];
    static struct idem idem;
    enum post_verdict verdict;
    redisReply *reply = NULL;
    struct slice broken;
    struct buf out;

    buf_init(&out, 65536);
    store_op_init(op, STORE_POST, NULL, NULL);
    assert_int_equal(post_make(op, random, ids), ERR_OK);
    idem = (struct idem){.field_count = 1, .field_tags = {(uint16_t)i}};
    memcpy(idem.scope, &i, sizeof(i));
    memcpy(idem.fingerprint, &i, sizeof(i));
    op->posting.idem = i % 3 == 0 ? NULL : &idem;
    assert_int_equal(post_encode(&out, &op->posting, NAMES_BUCKETS_MAX, INT64_C(8000000000000000),
                                 (uint64_t)LINES_TTL_US),
                     ERR_OK);
    assert_int_equal(sync_send_bytes(line, buf_slice(&out)), ERR_OK);
    assert_int_equal(sync_next(line, &reply), ERR_OK);
    assert_int_equal(post_read(reply, op, NAMES_BUCKETS_MAX, &verdict, &broken), ERR_OK);
    assert_int_equal(verdict, POST_DONE);
    sync_free(reply);
    buf_fini(&out);
}

static struct sync *line_open(void)
{
    const struct redis_url url = lab_url(&server);
    struct err_text why = {""};
    struct sync *line;

    say("connect", sync_open(&url, &url.addresses[0], NULL, "test", 5000, &line, &why), &why);
    return line;
}

static void is_same_answer(const struct posting_result *first, const struct posting_result *again)
{
    assert_true(again->is_replay);
    assert_int_equal(first->outcome, again->outcome);
    assert_int_equal(first->kind, again->kind);
    assert_int_equal(first->time_us, again->time_us);
    assert_int_equal(first->tag, again->tag);
    assert_int_equal(first->language, again->language);
    assert_int_equal(first->amount, again->amount);
    assert_int_equal(first->currency.code, again->currency.code);
    assert_int_equal(first->side_count, again->side_count);
    for (unsigned i = 0; i < first->side_count; i++) {
        assert_int_equal(first->sides[i].balance, again->sides[i].balance);
        assert_true(slice_equal(first->sides[i].account, again->sides[i].account));
    }
    assert_int_equal(first->opened.overdraft, again->opened.overdraft);
    assert_true(slice_equal(first->opened_metadata, again->opened_metadata));
}

/* Every kind of answer, by a Redis of its own, then in another one after a stay in a folder. */
static void answers_arrive_as_they_were(void **state)
{
    struct store_op *first = mem_alloc_array(POSTS, sizeof(*first));
    struct prng random = {.state = 71};
    unsigned refusals = 0, replays = 0;
    struct sync *line;
    int from, folder, to;

    (void)state;
    assert_non_null(first);
    redis_server_say(&server, "FLUSHALL");
    from = lines_make(&(struct lines_options){.count = 0});
    lab_import(&server, NAMES_BUCKETS_MAX, from); /* an empty ledger, with its functions */
    (void)close(from);
    redis_server_say(&server, "HDEL w:meta moved");
    line = line_open();
    for (unsigned i = 0; i < POSTS; i++) {
        post(line, &first[i], &random, i);
        assert_false(first[i].result.is_replay);
    }
    sync_close(line);
    lab_verify(&server);
    from = lab_export(&server);
    folder = by_embedded(from);
    to = by_redis(folder, 0);
    line = line_open();
    random.state = 71;
    for (unsigned i = 0; i < POSTS; i++) {
        struct prng before = random;
        struct store_op again;
        if (i % 3 == 0 ||
            !(first[i].result.outcome == OUTCOME_OK || outcome_is_stored(first[i].result.outcome))) {
            static char ids[2][16]; /* no key remembers it: only its dice */
            store_op_init(&again, STORE_POST, NULL, NULL);
            assert_int_equal(post_make(&again, &random, ids), ERR_OK);
            store_op_fini(&again);
            continue;
        }
        random = before;
        post(line, &again, &random, i);
        is_same_answer(&first[i].result, &again.result);
        refusals += first[i].result.outcome != OUTCOME_OK;
        replays++;
        store_op_fini(&again);
    }
    assert_true(replays > POSTS / 3 && refusals > 50);
    sync_close(line);
    lab_verify(&server);
    for (unsigned i = 0; i < POSTS; i++) {
        store_op_fini(&first[i]);
    }
    mem_free(first);
    (void)close(from);
    (void)close(folder);
    (void)close(to);
}

/* ---- born in a folder, with many legs ---- */

/* The embedded store, one operation at a time. */
struct folder_store {
    struct store *store;
    struct store_sink sink;
    sem_t woken;
};

static void woken(void *ctx)
{
    (void)sem_post(ctx);
}

static void done(struct store_op *op)
{
    *(bool *)op->user = true;
}

static void folder_open(struct folder_store *f, const char *dir)
{
    const struct embedded_options options = {.dir = dir,
                                             .inbox_max = 16,
                                             .batch_max = 16,
                                             .readers = 1,
                                             .idempotency_ttl_us = (uint64_t)LINES_TTL_US,
                                             .idempotency_max = 100000};
    struct err_text why = {""};

    assert_int_equal(sem_init(&f->woken, 0, 0), 0);
    say("sink", store_sink_init(&f->sink, woken, &f->woken), &why);
    say("open", embedded_open(&options, &f->store, &why), &why);
}

static void folder_close(struct folder_store *f)
{
    store_close(f->store);
    store_sink_fini(&f->sink);
    (void)sem_destroy(&f->woken);
}

static void folder_run(struct folder_store *f, struct store_op *op)
{
    bool is_done = false;

    op->user = &is_done;
    op->deadline_mono_us = UINT64_MAX;
    store_submit(op);
    store_flush(f->store, &f->sink);
    while (!is_done) {
        assert_int_equal(sem_wait(&f->woken), 0);
        store_drain(&f->sink);
    }
    assert_int_equal(op->status, STORE_DONE);
}

/* Request i: the first ones are credits, and each is the same however often it is asked for. */
static void legs_post(struct folder_store *f, struct store_op *op, unsigned i)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    static const struct slice extras[] = {SLICE("\3\3\0r \""), SLICE("\4\2\0{}"), {NULL, 0}};
    const struct posting_words words = {.may_open = true,
                                        .open_currency = {'C' | 'N' << 8 | 'Y' << 16}};
    const char *turned[ARRAY_LEN(names)];
    struct idem key = {.field_count = 1, .field_tags = {(uint16_t)i}};
    struct prng random = {.state = i};
    struct legs legs;

    store_op_init(op, STORE_POST, &f->sink, done);
    memcpy(key.scope, &i, sizeof(i));
    for (unsigned k = 0; k < ARRAY_LEN(names); k++) {
        turned[k] = names[(k + i) % ARRAY_LEN(names)];
    }
    if (i < ARRAY_LEN(names)) {
        assert_int_equal(posting_credit(&op->out, slice_of(names[i]), (struct decimal){1, 3},
                                        &words, &op->posting),
                         ERR_OK);
    } else {
        legs_any(&random, turned, ARRAY_LEN(names), &legs);
        op->posting = (struct posting){.kind = (enum record_kind)(RECORD_CREDIT + i % 3),
                                       .legs = legs.list,
                                       .leg_count = legs.count,
                                       .extra = extras[prng_below(&random, ARRAY_LEN(extras))]};
    }
    op->posting.idem = &key;
    folder_run(f, op);
}

static int folder_export(const char *dir)
{
    int fd = memfd_create("export", 0);
    struct verify_report report;
    struct move_totals totals;
    struct err_text why = {""};

    say("verify", embedded_verify(dir, &report, &why), &why);
    say("export", embedded_export(dir, (uint64_t)LINES_TTL_US, fd, &totals, &why), &why);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

static void many_legs_move_and_answer(void **state)
{
    struct store_op *first = mem_alloc_array(LEGS_POSTS, sizeof(*first));
    char one[] = "/tmp/move-XXXXXX", two[] = "/tmp/move-XXXXXX";
    unsigned moved = 0;
    struct move_totals totals;
    struct err_text why = {""};
    struct folder_store f;
    int fds[4];

    (void)state;
    assert_true(first != NULL && mkdtemp(one) != NULL && mkdtemp(two) != NULL);
    folder_open(&f, one);
    for (unsigned i = 0; i < LEGS_POSTS; i++) {
        legs_post(&f, &first[i], i);
        assert_false(first[i].result.is_replay);
        moved += first[i].result.outcome == OUTCOME_OK;
    }
    assert_true(moved > LEGS_POSTS / 2 && moved < LEGS_POSTS);
    folder_close(&f);
    fds[0] = folder_export(one);
    fds[1] = by_redis(fds[0], 1);
    fds[2] = by_embedded(fds[1]);
    fds[3] = by_redis(fds[2], NAMES_BUCKETS_MAX);
    for (unsigned i = 1; i < ARRAY_LEN(fds); i++) {
        assert_true(lines_are_same(fds[0], fds[i]));
    }
    say("import", embedded_import(two, fds[3], &totals, &why), &why);
    folder_open(&f, two);
    for (unsigned i = 0; i < LEGS_POSTS; i++) {
        struct store_op again;
        legs_post(&f, &again, i);
        if (first[i].result.outcome == OUTCOME_OK || outcome_is_stored(first[i].result.outcome)) {
            is_same_answer(&first[i].result, &again.result);
        }
        store_op_fini(&again);
        store_op_fini(&first[i]);
    }
    folder_close(&f);
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        (void)close(fds[i]);
    }
    mem_free(first);
    folder_end(one);
    folder_end(two);
}

/* Postings of one time, born in several buckets: in a folder they stand side by side, and each has its own words or none. */
static void twins_keep_their_words(void **state)
{
    enum { TWINS = 6 }; /* every other one has a word, and the last one */
    static struct move_line line;
    const struct move_header header = {.store = "test"};
    const int fd = memfd_create("twins", 0);
    char dir[] = "/tmp/move-XXXXXX", id[8];
    struct err_text why = {""};
    struct move_totals totals;
    struct folder_store f;
    struct move_writer w;

    (void)state;
    assert_non_null(mkdtemp(dir));
    say("export", move_writer_init(&w, fd, &header), &why);
    /* all are opened first, so that nothing stands between the twins */
    for (uint32_t i = 0; i < 2 * TWINS; i++) {
        const uint32_t tag = i % TWINS;
        const int64_t round = i / TWINS;
        move_line_begin(&line, RECORD_CREDIT, LINES_START + round, tag);
        (void)snprintf(id, sizeof(id), "t%u", tag);
        line.currency = (struct currency){'C' | 'N' << 8 | 'Y' << 16};
        line.exponent = 2;
        line.leg_count = 2;
        line.legs[0] = (struct move_leg){
            .account = slice_of(id), .delta = 7, .balance = 7 + 7 * round, .opens = round == 0};
        line.legs[1] = (struct move_leg){.account = LEDGER_WORLD, .delta = -7};
        line.reference = tag % 2 == 0 ? SLICE_NONE : slice_of(id);
        say("line", move_write(&w, &line), &why);
    }
    say("end", move_write_end(&w), &why);
    move_writer_fini(&w);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    say("import", embedded_import(dir, fd, &totals, &why), &why);
    (void)close(fd);
    folder_open(&f, dir);
    for (uint32_t tag = 0; tag < TWINS; tag++) {
        struct store_op op;
        (void)snprintf(id, sizeof(id), "t%u", tag);
        store_op_init(&op, STORE_HISTORY, &f.sink, done);
        op.account_id = slice_of(id);
        op.history.limit = 10;
        folder_run(&f, &op);
        assert_int_equal(op.count, 2);
        for (unsigned i = 0; i < op.count; i++) {
            const struct store_entry *e = &op.entries[i];
            assert_true(e->tag == tag && (e->reference.ptr != NULL) == (tag % 2 != 0));
            assert_true(e->reference.ptr == NULL || slice_equal(e->reference, slice_of(id)));
        }
        store_op_fini(&op);
    }
    folder_close(&f);
    folder_end(dir);
}

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
        cmocka_unit_test(a_ledger_moves_there_and_back_and_on),
        cmocka_unit_test(answers_arrive_as_they_were),
        cmocka_unit_test(many_legs_move_and_answer),
        cmocka_unit_test(twins_keep_their_words),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

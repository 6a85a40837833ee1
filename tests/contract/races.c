/*
 * Several loops at once on one store: money is conserved, each key has one effect, each operation one end, and nobody
 * reads the past. Runs with the thread sanitizer too. In the threads ASSERT judges: cmocka's own may not leave a thread.
 */
#include <stdlib.h>

#include "base/prng.h"
#include "contract/contract.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, contract_setup, contract_teardown)

enum { WORKERS = 4, ACCOUNTS = 6, ROUNDS = 25, FLUSH = 16 };

struct worker {
    pthread_t thread;
    struct contract *c;
    struct client client;
    unsigned index;
    struct prng random;
    unsigned ok, refused, replayed;
    uint64_t seqs[ROUNDS * FLUSH]; /* of what was applied, as it was answered */
    struct posting_result first;   /* the last answer to a key that all share */
};

static void run(struct contract *c, struct worker *workers, void *(*body)(void *ctx))
{
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.c = c, .index = i, .random = {i + 1}};
        client_init(&workers[i].client);
        ASSERT(pthread_create(&workers[i].thread, NULL, body, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        ASSERT(pthread_join(workers[i].thread, NULL) == 0);
        client_fini(&workers[i].client);
    }
}

static struct worker *workers_new(void)
{
    struct worker *workers = mem_alloc_array(WORKERS, sizeof(*workers));

    assert_non_null(workers);
    return workers;
}

static const char *account_name(uint64_t number)
{
    static const char *const names[ACCOUNTS] = {"a", "b", "c", "d", "e", "f"};

    return names[number];
}

/* ---- transfers criss-cross ---- */

static void *move_about(void *ctx)
{
    struct worker *w = ctx;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct call *calls = calls_new(FLUSH);
        for (unsigned i = 0; i < FLUSH; i++) {
            const uint64_t from = prng_below(&w->random, ACCOUNTS);
            const uint64_t to = (from + 1 + prng_below(&w->random, ACCOUNTS - 1)) % ACCOUNTS;
            call_transfer(&calls[i], &w->client, account_name(from), account_name(to), "30");
        }
        calls_run(w->c, &w->client, calls, FLUSH);
        for (unsigned i = 0; i < FLUSH; i++) {
            const struct posting_result *r = &calls[i].op.result;
            ASSERT(calls[i].op.status == STORE_DONE);
            ASSERT(r->outcome == OUTCOME_OK || r->outcome == OUTCOME_INSUFFICIENT_BALANCE);
            ASSERT(r->side_count == 0 || (r->sides[0].balance >= 0 && r->sides[1].balance >= 3000));
            if (r->outcome == OUTCOME_OK) {
                /* what one loop asks in order is done in order */
                ASSERT(w->ok == 0 || w->seqs[w->ok - 1] < r->seq || w->c->kind->is_unordered);
                w->seqs[w->ok++] = r->seq;
            } else {
                w->refused++;
            }
        }
        calls_free(calls, FLUSH);
    }
    return NULL;
}

static int order_seqs(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void money_is_conserved(void **state)
{
    struct contract *c = *state;
    struct worker *workers = workers_new();
    uint64_t *seqs = mem_alloc_array(WORKERS * ROUNDS * FLUSH, sizeof(*seqs));
    unsigned ok = 0, refused = 0;
    int64_t sum = 0;

    assert_non_null(seqs);
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        must_credit(c, account_name(i), "100", OUTCOME_OK);
    }
    run(c, workers, move_about);
    for (unsigned i = 0; i < WORKERS; i++) {
        memcpy(seqs + ok, workers[i].seqs, workers[i].ok * sizeof(*seqs));
        ok += workers[i].ok;
        refused += workers[i].refused;
    }
    assert_true(ok + refused == WORKERS * ROUNDS * FLUSH && ok > 100 && refused > 10);
    qsort(seqs, ok, sizeof(*seqs), order_seqs);
    for (unsigned i = 0; i < ok;
         i++) { /* the world and six openings, six credits; then every place taken once */
        assert_true(seqs[i] == 1 + 2 * ACCOUNTS + i + 1);
    }
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        struct entries got;
        const struct store_history_in in = {.limit = 200, .is_ascending = true};
        const struct account_view view = account_now(c, account_name(i));
        int64_t balance = 0;
        entries_collect(c, account_name(i), &in, &got);
        for (unsigned k = 0; k < got.count; k++) { /* the history adds up, step by step */
            balance += got.list[k].amount;
            assert_true(got.list[k].balance == balance && balance >= 0);
        }
        assert_true(balance == view.balance && got.count == view.entries);
        sum += balance;
        entries_fini(&got);
    }
    assert_true(sum == ACCOUNTS * 10000);
    mem_free(seqs);
    mem_free(workers);
}

/* ---- double spending ---- */

static void *spend(void *ctx)
{
    struct worker *w = ctx;

    for (unsigned round = 0; round < 5; round++) {
        struct call *calls = calls_new(FLUSH);
        for (unsigned i = 0; i < FLUSH; i++) {
            call_debit(&calls[i], &w->client, "purse", "1");
        }
        calls_run(w->c, &w->client, calls, FLUSH);
        for (unsigned i = 0; i < FLUSH; i++) {
            ASSERT(calls[i].op.status == STORE_DONE);
            w->ok += calls[i].op.result.outcome == OUTCOME_OK;
            w->refused += calls[i].op.result.outcome == OUTCOME_INSUFFICIENT_BALANCE;
        }
        calls_free(calls, FLUSH);
    }
    return NULL;
}

static void nothing_is_spent_twice(void **state)
{
    struct contract *c = *state;
    struct worker *workers = workers_new();

    for (unsigned round = 0; round < 5; round++) {
        unsigned ok = 0, refused = 0;
        must_credit(c, "purse", "50", OUTCOME_OK);
        run(c, workers, spend);
        for (unsigned i = 0; i < WORKERS; i++) {
            ok += workers[i].ok;
            refused += workers[i].refused;
        }
        assert_int_equal(ok, 50);
        assert_int_equal(refused, WORKERS * 5 * FLUSH - 50);
        assert_true(balance_now(c, "purse") == 0);
    }
    mem_free(workers);
}

/* ---- one key, many askers ---- */

static void *ask_the_same(void *ctx)
{
    struct worker *w = ctx;

    for (uint64_t key = 1; key <= 60; key++) {
        struct call call;
        call_debit(&call, &w->client, "purse", key % 3 == 0 ? "1000000" : "1");
        call_key(&call, key, 'f');
        call.op.posting.language = (enum ledger_language)(w->index % 2);
        calls_run(w->c, &w->client, &call, 1);
        ASSERT(call.op.status == STORE_DONE);
        ASSERT(call.op.result.outcome == (key % 3 == 0 ? OUTCOME_INSUFFICIENT_BALANCE : OUTCOME_OK));
        w->replayed += call.op.result.is_replay;
        w->seqs[key] = call.op.result.seq;
        w->first = call.op.result;
        w->first.sides[0].account = SLICE("purse"); /* the answer's own memory goes with it */
        call_fini(&call);
    }
    return NULL;
}

static void one_key_has_one_effect(void **state)
{
    struct contract *c = *state;
    struct worker *workers = workers_new();
    unsigned replayed = 0;

    must_credit(c, "purse", "1000", OUTCOME_OK);
    run(c, workers, ask_the_same);
    for (unsigned i = 0; i < WORKERS; i++) {
        replayed += workers[i].replayed;
        for (unsigned key = 1; key <= 60; key++) {
            assert_true(workers[i].seqs[key] == workers[0].seqs[key]);
        }
        assert_same_result(&workers[i].first, &workers[0].first);
    }
    assert_int_equal(replayed, (WORKERS - 1) * 60);
    assert_true(balance_now(c, "purse") == 100000 - 40 * 100);
    mem_free(workers);
}

/* ---- reading beside writing ---- */

/* What a loop was answered, it finds in every read after, of each kind. */
static void *write_and_read(void *ctx)
{
    struct worker *w = ctx;
    const char *const mine = account_name(w->index);
    uint64_t shared_version = 0;

    for (unsigned i = 1; i <= ROUNDS; i++) {
        struct call write, reads[4];
        call_credit(&write, &w->client, mine, "1");
        calls_run(w->c, &w->client, &write, 1);
        ASSERT(write.op.status == STORE_DONE && write.op.result.outcome == OUTCOME_OK);
        call_account(&reads[0], &w->client, mine);
        call_history(&reads[1], &w->client, mine, 3);
        call_transaction(&reads[2], &w->client, write.op.result.time_us, write.op.result.tag);
        call_account(&reads[3], &w->client, "purse");
        calls_run(w->c, &w->client, reads, 4);
        ASSERT(reads[0].op.account.balance == i * 100 &&
               reads[0].op.account.last_seq == write.op.result.seq);
        ASSERT(reads[1].op.count == (i == 1 ? 1 : 3) &&
               reads[1].op.entries[0].seq == write.op.result.seq);
        ASSERT(reads[2].op.count == 2 && slice_equal(reads[2].op.entries[1].account, slice_of(mine)));
        ASSERT(reads[3].op.account.version >= shared_version); /* nobody's account goes back in time */
        shared_version = reads[3].op.account.version;
        for (unsigned k = 0; k < 4; k++) {
            call_fini(&reads[k]);
        }
        call_fini(&write);
        call_transfer(&write, &w->client, mine, "purse", "0.01");
        calls_run(w->c, &w->client, &write, 1);
        call_fini(&write);
        call_credit(&write, &w->client, mine, "0.01");
        calls_run(w->c, &w->client, &write, 1);
        call_accounts(&reads[0], &w->client, 10, mine);
        calls_run(w->c, &w->client, reads, 1);
        ASSERT(reads[0].op.count == 1 && reads[0].op.views[0].balance == i * 100);
        call_fini(&reads[0]);
        call_fini(&write);
    }
    return NULL;
}

static void every_loop_reads_what_it_wrote(void **state)
{
    struct contract *c = *state;
    struct worker *workers = workers_new();

    must_credit(c, "purse", "1", OUTCOME_OK);
    run(c, workers, write_and_read);
    assert_true(balance_now(c, "purse") == 100 + WORKERS * ROUNDS);
    mem_free(workers);
}

/* ---- taking back while the store works ---- */

static void *change_its_mind(void *ctx)
{
    struct worker *w = ctx;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct call *calls = calls_new(FLUSH);
        const unsigned before = w->client.done;
        for (unsigned i = 0; i < FLUSH; i++) {
            call_credit(&calls[i], &w->client, "purse", "1");
            store_submit(&calls[i].op);
        }
        store_flush(w->c->store, &w->client.sink);
        for (unsigned i = 0; i < FLUSH; i++) {
            if (prng_below(&w->random, 2) == 0 && store_cancel(&calls[i].op)) {
                calls[i].op.user = calls;
            }
        }
        while (w->client.done < before + FLUSH) {
            client_wait(&w->client);
        }
        for (unsigned i = 0; i < FLUSH; i++) {
            ASSERT(calls[i].done == 1);
            ASSERT(calls[i].op.status == (calls[i].op.user == NULL ? STORE_DONE : STORE_UNAVAILABLE));
            w->ok += calls[i].op.status == STORE_DONE;
        }
        calls_free(calls, FLUSH);
    }
    return NULL;
}

static void taking_back_has_one_winner(void **state)
{
    struct contract *c = *state;
    struct worker *workers = workers_new();
    unsigned ok = 0;

    must_credit(c, "purse", "1", OUTCOME_OK);
    run(c, workers, change_its_mind);
    for (unsigned i = 0; i < WORKERS; i++) {
        ok += workers[i].ok;
    }
    assert_true(balance_now(c, "purse") == 100 + (int64_t)ok * 100);
    mem_free(workers);
}

static const struct CMUnitTest tests[] = {
    TEST(money_is_conserved),         TEST(nothing_is_spent_twice),
    TEST(one_key_has_one_effect),     TEST(every_loop_reads_what_it_wrote),
    TEST(taking_back_has_one_winner),
};

static const struct contract_suite races = {"races", tests, ARRAY_LEN(tests)};

int main(void)
{
    static const struct contract_store *const stores[] = {
        &contract_book,       &contract_embedded,
        &contract_redis,      &contract_redis_wide,
        &contract_redis_pair, &contract_redis_synchronous,
        &contract_redis_tls,  &contract_redis_synchronous_wide};
    static const struct contract_suite *const suites[] = {&races};

    return contract_run(stores, ARRAY_LEN(stores), suites, ARRAY_LEN(suites));
}

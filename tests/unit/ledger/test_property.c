/* Half a million random commands against the naive model, from printed seeds; and that the mix reaches every outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/prng.h"
#include "unit/ledger/play.h"

enum { SEEDS = 50, STEPS = 10000 };

static uint64_t choose(void *ctx, uint64_t below)
{
    return prng_below(ctx, below);
}

static void agrees_with_the_model(void **state)
{
    struct play *g = mem_alloc(sizeof(*g));
    uint64_t outcomes[PLAY_OUTCOMES] = {0};
    uint64_t undone = 0, replayed = 0, sum = 0;

    (void)state;
    assert_non_null(g);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct prng random = {seed};
        print_message("seed %llu\n",
                      (unsigned long long)seed); /* the last one is the one that aborted */
        play_init(g, choose, &random);
        for (int i = 0; i < STEPS; i++) {
            play_step(g);
        }
        play_end(g);
        for (int i = 0; i < PLAY_OUTCOMES; i++) {
            outcomes[i] += g->outcomes[i];
            sum += g->outcomes[i];
        }
        undone += g->undone;
        replayed += g->replayed;
        play_fini(g);
    }
    mem_free(g);
    for (int i = 0; i < PLAY_OUTCOMES; i++) {
        if (outcomes[i] != 0) {
            print_message("outcome %d: %llu\n", i, (unsigned long long)outcomes[i]);
        }
    }
    print_message("%llu postings, %llu undos, %llu records replayed\n", (unsigned long long)sum,
                  (unsigned long long)undone, (unsigned long long)replayed);
    assert_true(outcomes[OUTCOME_OK] > sum / 3); /* a mix of refusals alone would prove little */
    assert_true(outcomes[OUTCOME_CURRENCY_MISMATCH] > 100 && outcomes[OUTCOME_SAME_ACCOUNT] > 100);
    assert_true(outcomes[OUTCOME_BALANCE_LIMIT_EXCEEDED] > 100 &&
                outcomes[OUTCOME_INSUFFICIENT_BALANCE] > 100);
    assert_true(outcomes[OUTCOME_UNBALANCED_ENTRIES] > 100 &&
                outcomes[OUTCOME_ACCOUNT_NOT_FOUND] > 100);
    assert_true(outcomes[OUTCOME_ACCOUNT_EXISTS] > 100 && outcomes[OUTCOME_PRECONDITION_FAILED] > 100);
    assert_true(outcomes[OUTCOME_INVALID_AMOUNT] > 100 && outcomes[OUTCOME_REPLAY] > 100);
    assert_true(outcomes[OUTCOME_KEYS_FULL] > 100 && undone > 1000);
    assert_true(outcomes[OUTCOME_ACCOUNT_FROZEN] > 100 && outcomes[OUTCOME_ACCOUNT_CLOSED] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

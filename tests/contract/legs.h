/* Postings of many legs, by the dice: no verb makes them yet, and every store must do them all the same. */
#ifndef CONTRACT_LEGS_H
#define CONTRACT_LEGS_H

#include <stddef.h>

#include "base/prng.h"
#include "ledger/posting.h"

enum { LEGS_MAX = 9, LEGS_AMOUNT_MAX = 9 };

struct legs {
    struct posting_leg list[LEGS_MAX];
    unsigned count;
};

static inline void legs_swap(struct posting_leg *a, struct posting_leg *b)
{
    const struct posting_leg kept = *a;

    *a = *b;
    *b = kept;
}

/**
 * A posting's legs on some of these accounts, in any order: who pays, who gets, who has money held, and perhaps @world.
 * Deltas are whole numbers that sum up to 0. The first leg is the first name's; the others may not open.
 */
static inline void legs_any(struct prng *p, const char *const names[], unsigned name_count,
                            struct legs *out)
{
    const unsigned wanted = 2 + (unsigned)prng_below(p, LEGS_MAX - 3);
    int64_t sum = 0;

    *out = (struct legs){.count = 0};
    for (unsigned i = 0; i < name_count && out->count < wanted; i++) {
        struct posting_leg *leg = &out->list[out->count];
        if (out->count > 0 && prng_below(p, 2) == 0) {
            continue;
        }
        *leg = (struct posting_leg){.account = slice_of(names[i])};
        leg->balance.coefficient = (int64_t)prng_below(p, 2 * LEGS_AMOUNT_MAX + 1) - LEGS_AMOUNT_MAX;
        if (leg->balance.coefficient == 0 || prng_below(p, 3) == 0) {
            leg->held.coefficient = prng_below(p, 3) == 0 ? -1 : 1;
        }
        sum += leg->balance.coefficient;
        out->count++;
    }
    if (sum != 0) { /* what is missing, or too much: @world's */
        struct posting_leg *rest = &out->list[out->count++];
        *rest = (struct posting_leg){.account = LEDGER_WORLD};
        rest->balance.coefficient = -sum;
        if (rest->balance.coefficient % 10 == 0) { /* amounts are canonical */
            rest->balance.coefficient /= 10;
            rest->balance.scale = 1;
        }
    }
    for (unsigned i = out->count; i > 2; i--) { /* the first one stays where it is */
        legs_swap(&out->list[i - 1], &out->list[1 + prng_below(p, i - 1)]);
    }
}

#endif

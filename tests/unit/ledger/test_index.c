/* The index against a plain list: growth, crowds under one hash, gaps that close, and every allocation failing. */
#include "ledger/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/prng.h"
#include "unit/base/death.h"

enum { LIST_MAX = 6000 };

struct list {
    struct {
        uint64_t hash;
        uint32_t position;
    } items[LIST_MAX];
    size_t count;
};

/* Positions that the index gives for a hash, and those that the list has under one that looks the same. */
static void assert_same(const struct index *ix, const struct list *l, uint64_t hash)
{
    struct index_cursor c = {0};
    uint32_t position;
    size_t found = 0, wanted = 0;

    while ((position = index_next(ix, hash, &c)) != 0) {
        size_t matches = 0;
        for (size_t i = 0; i < l->count; i++) {
            matches += l->items[i].position == position && l->items[i].hash >> 56 == hash >> 56 &&
                       (uint32_t)l->items[i].hash == (uint32_t)hash;
        }
        assert_int_equal(matches, 1);
        found++;
    }
    for (size_t i = 0; i < l->count; i++) {
        wanted +=
            l->items[i].hash >> 56 == hash >> 56 && (uint32_t)l->items[i].hash == (uint32_t)hash;
    }
    assert_int_equal(found, wanted);
}

/* A hash from few shards and few low halves, so that neighbours crowd, and some at the table's very end. */
static uint64_t crowded(struct prng *p, uint64_t spread)
{
    uint64_t shard = prng_below(p, 3) == 0 ? 255 : prng_below(p, 2);
    uint64_t low = prng_below(p, 2) == 0 ? UINT32_MAX - prng_below(p, 8) : prng_below(p, spread);

    return shard << 56 | prng_next(p) << 40 >> 8 | low; /* the middle bits are nobody's */
}

static void random_insert_and_remove(uint64_t seed, uint64_t spread, size_t most)
{
    struct prng random = {seed};
    struct index *ix = mem_alloc(sizeof(*ix));
    struct list *l = mem_alloc(sizeof(*l));
    uint32_t next = 1;

    assert_true(ix != NULL && l != NULL);
    for (int step = 0; step < 20000; step++) {
        const bool is_growing = step / 4000 % 2 == 0;
        if (prng_below(&random, 10) < (is_growing ? 7u : 3u) && l->count < most) {
            uint64_t hash = crowded(&random, spread);
            assert_int_equal(index_reserve(ix, hash), ERR_OK);
            index_put(ix, hash, next);
            l->items[l->count].hash = hash;
            l->items[l->count++].position = next++;
        } else if (l->count > 0) {
            size_t at = prng_below(&random, l->count);
            index_remove(ix, l->items[at].hash, l->items[at].position);
            l->items[at] = l->items[--l->count];
        }
        if (step % 16 == 0) {
            assert_same(ix, l, crowded(&random, spread));
        }
        if (l->count > 0 && step % 16 == 8) {
            assert_same(ix, l, l->items[prng_below(&random, l->count)].hash);
        }
    }
    while (l->count > 0) {
        l->count--;
        index_remove(ix, l->items[l->count].hash, l->items[l->count].position);
    }
    for (int i = 0; i < INDEX_SHARDS; i++) {
        assert_int_equal(ix->shards[i].used, 0);
        for (size_t k = 0; ix->shards[i].slots != NULL && k <= ix->shards[i].mask; k++) {
            assert_true(ix->shards[i].slots[k] == 0);
        }
    }
    index_fini(ix);
    mem_free(ix);
    mem_free(l);
}

static void agrees_with_a_list(void **state)
{
    (void)state;
    random_insert_and_remove(1, 4, 300);         /* crowds */
    random_insert_and_remove(2, 64, 11);         /* a table that never grows */
    random_insert_and_remove(3, 4096, LIST_MAX); /* growth */
    random_insert_and_remove(4, UINT32_MAX, LIST_MAX);
}

static void an_empty_index_finds_nothing(void **state)
{
    static struct index ix;
    struct index_cursor c = {0};

    (void)state;
    assert_int_equal(index_next(&ix, 77, &c), 0);
    index_fini(&ix);
    index_fini(&ix);
}

/* Low half 0 and the largest position are values like any other. */
static void extremes_are_ordinary(void **state)
{
    static struct index ix;
    struct index_cursor c = {0};

    (void)state;
    assert_int_equal(index_reserve(&ix, 0), ERR_OK);
    index_put(&ix, 0, 1);
    assert_int_equal(index_reserve(&ix, 0), ERR_OK);
    index_put(&ix, 0, UINT32_MAX);
    assert_int_equal(index_next(&ix, 0, &c), 1);
    assert_true(index_next(&ix, 0, &c) == UINT32_MAX);
    assert_int_equal(index_next(&ix, 0, &c), 0);
    index_remove(&ix, 0, 1);
    c = (struct index_cursor){0};
    assert_true(index_next(&ix, 0, &c) == UINT32_MAX);
    index_fini(&ix);
}

/* A failed growth changes nothing, and the next one works. */
static void a_failed_growth_changes_nothing(void **state)
{
    static struct index ix;
    uint32_t put = 0;

    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        enum err e;
        mem_fail_at(1, 1);
        e = index_reserve(&ix, i);
        mem_fail_at(0, 0);
        if (e == ERR_NOMEM) {
            struct index_cursor c = {0};
            assert_int_equal(index_next(&ix, i, &c), 0);
            assert_int_equal(ix.shards[0].used, put);
            e = index_reserve(&ix, i);
        }
        assert_int_equal(e, ERR_OK);
        index_put(&ix, i, ++put);
    }
    for (uint64_t i = 0; i < 500; i++) {
        struct index_cursor c = {0};
        assert_int_equal(index_next(&ix, i, &c), i + 1);
    }
    assert_true(ix.shards[0].mask >= 511);
    index_fini(&ix);
}

static void put_unreserved(void *ctx)
{
    index_put(ctx, 1, 1);
}

static void put_nothing(void *ctx)
{
    if (index_reserve(ctx, 1) == ERR_OK) {
        index_put(ctx, 1, 0);
    }
}

static void remove_missing(void *ctx)
{
    if (index_reserve(ctx, 1) == ERR_OK) {
        index_put(ctx, 1, 1);
        index_remove(ctx, 1, 2);
    }
}

static void aborts_on_misuse(void **state)
{
    static struct index ix;

    (void)state;
    assert_true(dies(put_unreserved, &ix));
    assert_true(dies(put_nothing, &ix));
    assert_true(dies(remove_missing, &ix));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_list),    cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(extremes_are_ordinary), cmocka_unit_test(a_failed_growth_changes_nothing),
        cmocka_unit_test(aborts_on_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

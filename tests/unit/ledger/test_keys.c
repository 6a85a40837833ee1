/* The idempotency index against a plain list: found, cut, expired, retired, full, and positions that wrap. */
#include "ledger/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/prng.h"
#include "unit/base/death.h"

static const struct hash_key hash_key = {5, 6};

static void scope_of(uint64_t number, uint8_t scope[IDEM_SCOPE_BYTES])
{
    memset(scope, 0, IDEM_SCOPE_BYTES);
    bytes_put_u64(scope + 4, number);
}

static void put(struct keys *k, uint64_t number, uint64_t seq, int64_t time_us)
{
    uint8_t scope[IDEM_SCOPE_BYTES];

    scope_of(number, scope);
    assert_int_equal(keys_reserve(k, scope), ERR_OK);
    keys_put(k, scope, seq, time_us);
}

static uint64_t find(const struct keys *k, uint64_t number)
{
    uint8_t scope[IDEM_SCOPE_BYTES];

    scope_of(number, scope);
    return keys_find(k, scope);
}

static void finds_what_was_put(void **state)
{
    struct keys k;

    (void)state;
    keys_init(&k, 100000, hash_key);
    assert_true(find(&k, 1) == 0 && keys_count(&k) == 0 && !keys_is_full(&k));
    for (uint64_t i = 1; i <= 10000; i++) { /* over two borders of segments */
        put(&k, i, i * 3, (int64_t)i);
    }
    assert_int_equal(keys_count(&k), 10000);
    for (uint64_t i = 1; i <= 10000; i++) {
        uint8_t scope[IDEM_SCOPE_BYTES];
        scope_of(i, scope);
        assert_true(find(&k, i) == i * 3);
        assert_memory_equal(keys_at(&k, i - 1)->scope, scope, sizeof(scope));
        assert_true(keys_at(&k, i - 1)->seq == i * 3);
    }
    assert_true(find(&k, 10001) == 0);
    keys_fini(&k);
    keys_fini(&k);
}

static void is_full_at_its_ceiling(void **state)
{
    struct keys k;

    (void)state;
    keys_init(&k, 3, hash_key);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_false(keys_is_full(&k));
        put(&k, i, i, 1);
    }
    assert_true(keys_is_full(&k));
    assert_true(find(&k, 1) == 1); /* none is forgotten */
    keys_cut(&k, 2);
    assert_false(keys_is_full(&k));
    keys_fini(&k);
}

static void cut_undoes_put(void **state)
{
    struct keys k;

    (void)state;
    keys_init(&k, 100000, hash_key);
    for (uint64_t i = 1; i <= 5000; i++) {
        put(&k, i, i, 1);
    }
    keys_cut(&k, 5000); /* nothing */
    assert_int_equal(keys_count(&k), 5000);
    keys_cut(&k, 4000); /* over a border of segments */
    for (uint64_t i = 1; i <= 5000; i++) {
        assert_true(find(&k, i) == (i <= 4000 ? i : 0));
    }
    for (uint64_t i = 4001; i <= 9000; i++) {
        put(&k, i, i + 7, 2);
    }
    for (uint64_t i = 1; i <= 9000; i++) {
        assert_true(find(&k, i) == (i <= 4000 ? i : i + 7));
    }
    keys_cut(&k, 0);
    assert_true(keys_count(&k) == 0 && find(&k, 1) == 0);
    put(&k, 1, 99, 3);
    assert_true(find(&k, 1) == 99);
    keys_fini(&k);
}

/* Used again after it had expired: the old entry keeps its place, empty, and the key stands where it was put last. */
static void a_retired_key_can_be_put_again(void **state)
{
    struct keys k;
    uint8_t scope[IDEM_SCOPE_BYTES];

    (void)state;
    keys_init(&k, 10, hash_key);
    put(&k, 1, 5, 1);
    put(&k, 2, 6, 1);
    scope_of(1, scope);
    keys_retire(&k, scope);
    assert_true(find(&k, 1) == 0 && find(&k, 2) == 6 && keys_count(&k) == 2 &&
                keys_at(&k, 0)->seq == 0);
    put(&k, 1, 9, 2);
    assert_true(find(&k, 1) == 9 && find(&k, 2) == 6 && keys_count(&k) == 3);
    keys_cut(&k, 2);
    assert_true(find(&k, 1) == 0 && find(&k, 2) == 6 && keys_count(&k) == 2);
    keys_fini(&k);
}

static void retired_entries_are_cut_and_expired(void **state)
{
    struct keys k;
    uint8_t scope[IDEM_SCOPE_BYTES];

    (void)state;
    keys_init(&k, 10, hash_key);
    for (uint64_t i = 1; i <= 4; i++) {
        put(&k, i, i, 1);
    }
    scope_of(1, scope);
    keys_retire(&k, scope);
    scope_of(4, scope);
    keys_retire(&k, scope);
    keys_cut(&k, 2); /* over one of them */
    assert_true(keys_count(&k) == 2 && find(&k, 2) == 2 && find(&k, 3) == 0);
    keys_expire(&k, 2, 1); /* the other */
    assert_true(keys_count(&k) == 1 && find(&k, 2) == 2);
    keys_fini(&k);
}

/* Keys that the index cannot tell apart (found by search, under this file's hash key). */
static void keys_of_one_hash_are_told_apart(void **state)
{
    const uint64_t twins[] = {9889, 991425};
    struct keys k;
    uint8_t a[IDEM_SCOPE_BYTES], b[IDEM_SCOPE_BYTES];
    uint64_t x, y;

    (void)state;
    scope_of(twins[0], a);
    scope_of(twins[1], b);
    x = hash_bytes(&hash_key, slice_make((const char *)a, sizeof(a)));
    y = hash_bytes(&hash_key, slice_make((const char *)b, sizeof(b)));
    assert_true(x >> 56 == y >> 56 && (uint32_t)x == (uint32_t)y);
    keys_init(&k, 10, hash_key);
    put(&k, twins[0], 5, 1);
    assert_true(find(&k, twins[1]) == 0);
    put(&k, twins[1], 6, 1);
    assert_true(find(&k, twins[0]) == 5 && find(&k, twins[1]) == 6);
    keys_cut(&k, 1);
    assert_true(find(&k, twins[0]) == 5 && find(&k, twins[1]) == 0);
    keys_fini(&k);
}

/* Only when all of a segment is old is any of it forgotten, and only so many at a time. */
static void expires_whole_old_segments(void **state)
{
    struct keys k;

    (void)state;
    keys_init(&k, 100000, hash_key);
    for (uint64_t i = 1; i <= 2 * KEYS_SEGMENT + 10; i++) {
        put(&k, i, i, (int64_t)i);
    }
    keys_expire(&k, KEYS_SEGMENT, 100000); /* the newest of the segment is not older */
    assert_int_equal(k.first, 0);
    keys_expire(&k, KEYS_SEGMENT + 1, 100);
    assert_int_equal(k.first, 100);
    assert_true(find(&k, 100) == 0 && find(&k, 101) == 101);
    keys_expire(&k, INT64_MIN, 100);
    assert_int_equal(k.first, 100);
    keys_expire(&k, KEYS_SEGMENT + 1, 1000000);
    assert_int_equal(k.first, KEYS_SEGMENT);
    assert_int_equal(k.segment_count, 2);
    keys_expire(&k, 2 * KEYS_SEGMENT + 10, 1000000); /* the last segment's newest entry is not older */
    assert_int_equal(k.first, 2 * KEYS_SEGMENT);
    for (uint64_t i = 1; i <= 2 * KEYS_SEGMENT + 10; i++) {
        assert_true(find(&k, i) == (i > 2 * KEYS_SEGMENT ? i : 0));
    }
    keys_expire(&k, INT64_MAX,
                1000000); /* old to the last: empty in the middle of a segment, and usable */
    assert_true(keys_count(&k) == 0 && k.segment_count == 1);
    for (uint64_t i = 11; i <= KEYS_SEGMENT; i++) {
        put(&k, 2 * KEYS_SEGMENT + i, i, 100000);
    }
    assert_true(find(&k, 3 * KEYS_SEGMENT) == KEYS_SEGMENT);
    keys_expire(&k, INT64_MAX, 1000000);
    assert_true(keys_count(&k) == 0 && k.segment_count == 0);
    put(&k, 1, 77, 100001);
    assert_true(find(&k, 1) == 77);
    keys_fini(&k);
}

/* An entry of the plain list. */
struct item {
    uint64_t number, seq;
    int64_t time_us;
};

enum { ITEMS_MAX = 60000 };

static void list_expire(const struct item *items, uint64_t *first, uint64_t next, int64_t before_us,
                        unsigned most)
{
    while (most-- > 0 && *first < next) {
        uint64_t last = *first | (KEYS_SEGMENT - 1);
        last = last < next ? last : next - 1;
        if (items[last].time_us >= before_us) {
            return;
        }
        (*first)++;
    }
}

static void agrees_with_a_list(void **state)
{
    struct item *items = mem_alloc_array(ITEMS_MAX, sizeof(*items)); /* by entry number */
    struct prng random = {7};
    struct keys k;
    uint64_t first = 0, next = 0, fresh = 1;
    int64_t time_us = 1;

    (void)state;
    assert_non_null(items);
    keys_init(&k, 20000, hash_key);
    for (int step = 0; step < 60000 && next < ITEMS_MAX; step++) {
        const uint64_t what = prng_below(&random, 1000);
        time_us += (int64_t)prng_below(&random, 2);
        if (what < 940) {
            assert_true(keys_is_full(&k) == (next - first >= 20000));
            if (!keys_is_full(&k)) {
                put(&k, fresh, (uint64_t)step + 1, time_us);
                items[next++] = (struct item){fresh++, (uint64_t)step + 1, time_us};
            }
        } else if (what < 950 && next > first) {
            uint64_t back = prng_below(&random, 60);
            next = next - first > back ? next - back : first;
            keys_cut(&k, next);
        } else if (what < 955) {
            int64_t before_us = time_us - (int64_t)prng_below(&random, 9000);
            unsigned most = (unsigned)prng_below(&random, 6000);
            keys_expire(&k, before_us, most);
            list_expire(items, &first, next, before_us, most);
        } else if (next > first) {
            uint64_t at = first + prng_below(&random, next - first);
            assert_true(find(&k, items[at].number) == items[at].seq);
            if (first > 0) {
                assert_true(find(&k, items[prng_below(&random, first)].number) == 0);
            }
        }
        assert_true(k.first == first && k.next == next);
    }
    assert_true(first > 8000); /* expiry was there */
    for (uint64_t i = 0; i < next; i++) {
        assert_true(find(&k, items[i].number) == (i >= first ? items[i].seq : 0));
    }
    keys_fini(&k);
    mem_free(items);
}

/* Entries are numbered for ever, their positions in the index have 32 bits. */
static void positions_wrap(void **state)
{
    static const uint64_t starts[] = {UINT64_C(0xffffffff) - 3000, UINT64_C(0xffffffff),
                                      UINT64_C(0x1fffffffe) - 4096,
                                      UINT64_C(0xfffffffe00000001) - 5000};

    (void)state;
    for (size_t s = 0; s < sizeof(starts) / sizeof(starts[0]); s++) {
        struct keys k;
        keys_init(&k, 100000, hash_key);
        k.first = k.next = starts[s];
        k.first_segment = starts[s] / KEYS_SEGMENT;
        for (uint64_t i = 1; i <= 10000; i++) {
            put(&k, i, i, (int64_t)i);
        }
        for (uint64_t i = 1; i <= 10001; i++) {
            assert_true(find(&k, i) == (i <= 10000 ? i : 0));
        }
        keys_cut(&k, starts[s] + 9000);
        keys_expire(&k, 5000, 1000000);
        assert_true(k.first > starts[s] && k.next == starts[s] + 9000);
        for (uint64_t i = 1; i <= 10000; i++) {
            bool is_there = i <= 9000 && starts[s] + i - 1 >= k.first;
            assert_true(find(&k, i) == (is_there ? i : 0));
        }
        keys_fini(&k);
    }
}

/* Each allocation fails once, at every border there is; then the same reserve works. */
static void a_failed_reserve_changes_nothing(void **state)
{
    struct keys k;
    unsigned failures = 0;

    (void)state;
    keys_init(&k, 200000, hash_key);
    for (uint64_t i = 1; i <= 100000; i++) {
        uint8_t scope[IDEM_SCOPE_BYTES];
        enum err e = ERR_NOMEM;
        scope_of(i, scope);
        for (uint64_t nth = 1; e == ERR_NOMEM; nth++) {
            const uint64_t next = k.next;
            mem_fail_at(nth, 0);
            e = keys_reserve(&k, scope);
            mem_fail_at(0, 0);
            failures += e == ERR_NOMEM;
            assert_true(k.next == next && find(&k, i) == 0 && (i == 1 || find(&k, i - 1) == i - 1));
        }
        assert_int_equal(e, ERR_OK);
        keys_put(&k, scope, i, 1);
    }
    assert_true(failures > 300); /* segments, their table, the index */
    for (uint64_t i = 1; i <= 100000; i++) {
        assert_true(find(&k, i) == i);
    }
    keys_fini(&k);
}

static void put_at_no_position(void *ctx)
{
    (void)ctx;
    struct keys k;

    keys_init(&k, 1, hash_key);
    put(&k, 1, 0, 1);
}

static void retire_unknown(void *ctx)
{
    (void)ctx;
    struct keys k;
    uint8_t scope[IDEM_SCOPE_BYTES] = {0};

    keys_init(&k, 1, hash_key);
    keys_retire(&k, scope);
}

static void look_past_the_end(void *ctx)
{
    (void)ctx;
    struct keys k;

    keys_init(&k, 2, hash_key);
    put(&k, 1, 1, 1);
    (void)keys_at(&k, 1);
}

static void aborts_on_misuse(void **state)
{
    (void)state;
    assert_true(dies(put_at_no_position, NULL));
    assert_true(dies(retire_unknown, NULL));
    assert_true(dies(look_past_the_end, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(is_full_at_its_ceiling),
        cmocka_unit_test(cut_undoes_put),
        cmocka_unit_test(a_retired_key_can_be_put_again),
        cmocka_unit_test(retired_entries_are_cut_and_expired),
        cmocka_unit_test(keys_of_one_hash_are_told_apart),
        cmocka_unit_test(expires_whole_old_segments),
        cmocka_unit_test(agrees_with_a_list),
        cmocka_unit_test(positions_wrap),
        cmocka_unit_test(a_failed_reserve_changes_nothing),
        cmocka_unit_test(aborts_on_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

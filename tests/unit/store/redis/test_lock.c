/* The lock between instances, against a real server with the real functions. */
#include "store/redis/lock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/clock.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/sync.h"
#include "support/redis_server.h"

enum { TTL_MS = 5000, OP_MS = 1000, LEASE_US = (TTL_MS - 2 * OP_MS) * 1000 };

static struct redis_server server;

static struct sync *open_sync(unsigned timeout_ms)
{
    struct redis_url url = {.address_count = 1};
    struct err_text why = {""};
    struct sync *s = NULL;

    (void)snprintf(url.addresses[0].host, sizeof url.addresses[0].host, "127.0.0.1");
    url.addresses[0].port = server.port;
    if (sync_open(&url, &url.addresses[0], NULL, "test", timeout_ms, &s, &why) != ERR_OK) {
        fail_msg("%s", why.text);
    }
    return s;
}

static void load(struct sync *s, struct slice source)
{
    struct slice words[] = {SLICE("FUNCTION"), SLICE("LOAD"), SLICE("REPLACE"), source};
    redisReply *reply = NULL;

    assert_int_equal(sync_call(s, 4, words, &reply), ERR_OK);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s", reply->str);
    }
    sync_free(reply);
}

static struct lock holder(const char *name)
{
    struct lock l;

    assert_int_equal(lock_init(&l, slice_of(name), TTL_MS, OP_MS), ERR_OK);
    return l;
}

static bool is_held(const struct lock *l)
{
    return lock_is_held(l, clock_mono_us());
}

static void assert_fence_rises(const struct lock *before, const struct lock *after)
{
    assert_true(strtoull(after->fence, NULL, 10) > strtoull(before->fence, NULL, 10));
}

static void assert_says(const struct err_text *why, const char *piece)
{
    if (strstr(why->text, piece) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", why->text, piece);
    }
}

/* As if its time were over: gone when this returns. */
static void run_out(const char *name)
{
    char words[96];

    (void)snprintf(words, sizeof words, "PEXPIRE w:l:%s 1", name);
    redis_server_say(&server, words);
    (void)snprintf(words, sizeof words, "EXISTS w:l:%s", name);
    for (int i = 0; i < 10000 && redis_server_number(&server, words) != 0; i++) {
    }
    assert_int_equal(redis_server_number(&server, words), 0);
}

/* A fenced effect: open an account as the import does. Returns the function's first word. */
static const char *effect(struct sync *s, const struct lock *l, unsigned position, char word[32])
{
    char at[16], id[16];
    struct slice account = slice_make(id, (size_t)snprintf(id, sizeof id, "a%u", position));
    struct names_key meta = names_bucket_meta(0), journal = names_journal(0),
                     opened = names_opened(0), hash = names_account(0, account),
                     list = names_history(0, account);
    struct slice words[] = {SLICE("FCALL"),
                            SLICE(LIBRARY_NAME "_restore"),
                            SLICE("6"),
                            slice_of(l->key),
                            names_slice(&meta),
                            names_slice(&journal),
                            names_slice(&opened),
                            names_slice(&hash),
                            names_slice(&list),
                            slice_of(l->token),
                            slice_of(l->fence),
                            slice_make(at, (size_t)snprintf(at, sizeof at, "%u", position)),
                            SLICE("1"),
                            slice_of(at),
                            SLICE("0"),
                            SLICE("1"),
                            SLICE("CNY 2"),
                            SLICE(""),
                            SLICE(""),
                            SLICE(""),
                            SLICE(""),
                            SLICE(""),
                            account,
                            SLICE("1"),
                            SLICE("0"),
                            SLICE("0"),
                            SLICE("")};
    redisReply *reply = NULL;

    assert_int_equal(sync_call(s, sizeof words / sizeof words[0], words, &reply), ERR_OK);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s", reply->str);
    }
    assert_true(reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_STRING);
    (void)sscanf(reply->type == REDIS_REPLY_STRING ? reply->str : reply->element[0]->str, "%31s",
                 word);
    sync_free(reply);
    return word;
}

static void names_and_times(void **state)
{
    char longest[LOCK_NAME_BYTES_MAX + 1];
    struct lock l, other;

    (void)state;
    memset(longest, 'x', sizeof longest);
    assert_int_equal(lock_init(&l, SLICE(""), TTL_MS, OP_MS), ERR_INVALID);
    assert_int_equal(lock_init(&l, SLICE("A"), TTL_MS, OP_MS), ERR_INVALID);
    assert_int_equal(lock_init(&l, SLICE("a:b"), TTL_MS, OP_MS), ERR_INVALID);
    assert_int_equal(lock_init(&l, SLICE("a b"), TTL_MS, OP_MS), ERR_INVALID);
    assert_int_equal(lock_init(&l, slice_make(longest, sizeof longest), TTL_MS, OP_MS), ERR_INVALID);
    assert_int_equal(lock_init(&l, SLICE("a"), 2 * OP_MS, OP_MS), ERR_RANGE);
    assert_int_equal(lock_init(&l, SLICE("a"), TTL_MS, 0), ERR_RANGE);
    assert_int_equal(lock_init(&l, SLICE("a"), 2, UINT32_MAX / 2 + 2), ERR_RANGE);
    assert_int_equal(lock_init(&l, SLICE("a"), LOCK_TTL_MS_MAX + 1, OP_MS), ERR_RANGE);
    assert_int_equal(lock_init(&l, slice_make(longest, sizeof longest - 1), LOCK_TTL_MS_MAX, OP_MS),
                     ERR_OK);
    assert_int_equal(strlen(l.key), 4 + LOCK_NAME_BYTES_MAX);
    assert_int_equal(strlen(l.token), LOCK_TOKEN_BYTES);
    other = holder("a-1");
    assert_string_equal(other.key, "w:l:a-1");
    assert_string_equal(other.fence_key, "w:f:a-1");
    assert_string_not_equal(other.token, l.token);
    assert_false(is_held(&other));
    assert_false(lock_is_held(&other, 0));
}

static void two_holders(void **state)
{
    struct sync *s = *state, *t = open_sync(2000);
    struct lock one = holder("two"), two = holder("two"), apart = holder("three");
    struct err_text why = {""};

    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    assert_true(is_held(&one));
    assert_int_equal(lock_acquire(&two, t, &why), ERR_BUSY);
    assert_says(&why, "another one holds the lock");
    assert_false(is_held(&two));
    assert_string_equal(two.fence, "");
    assert_int_equal(lock_acquire(&apart, t, &why), ERR_OK); /* another name, another lock */

    assert_int_equal(lock_release(&one, s, &why), ERR_OK);
    assert_false(is_held(&one));
    assert_int_equal(lock_acquire(&two, t, &why), ERR_OK);
    assert_true(is_held(&two));
    assert_fence_rises(&one, &two);

    /* one comes late: neither may it prolong what is another's, nor end it */
    assert_int_equal(lock_renew(&one, s, &why), ERR_NOT_FOUND);
    assert_says(&why, "not ours");
    assert_false(is_held(&one));
    assert_int_equal(lock_release(&one, s, &why), ERR_NOT_FOUND);
    assert_int_equal(redis_server_number(&server, "EXISTS w:l:two"), 1);
    assert_int_equal(lock_renew(&two, t, &why), ERR_OK);
    assert_true(is_held(&two));
    sync_close(t);
}

static void same_owner_again(void **state)
{
    struct sync *s = *state;
    struct lock l = holder("again"), before;
    struct err_text why = {""};

    assert_int_equal(lock_acquire(&l, s, &why), ERR_OK);
    before = l;
    redis_server_say(&server, "PEXPIRE w:l:again 1500");
    assert_int_equal(lock_acquire(&l, s, &why), ERR_OK);
    assert_string_equal(l.fence, before.fence);
    assert_true(l.until_us > before.until_us);
    assert_true(redis_server_number(&server, "PTTL w:l:again") > 2000);
    redis_server_say(&server, "PEXPIRE w:l:again 1500");
    assert_int_equal(lock_renew(&l, s, &why), ERR_OK);
    assert_string_equal(l.fence, before.fence);
    assert_true(redis_server_number(&server, "PTTL w:l:again") > 2000);
}

static void expiry(void **state)
{
    struct sync *s = *state;
    struct lock one = holder("expiry"), two = holder("expiry"), old;
    struct err_text why = {""};
    int64_t left;

    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    left = redis_server_number(&server, "PTTL w:l:expiry");
    assert_true(left > TTL_MS - 2000 && left <= TTL_MS);
    old = one;
    run_out("expiry");
    assert_int_equal(lock_renew(&one, s, &why), ERR_NOT_FOUND); /* even where nobody came */
    assert_false(is_held(&one));
    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    assert_fence_rises(&old, &one);
    run_out("expiry");
    assert_int_equal(lock_acquire(&two, s, &why), ERR_OK);
    assert_fence_rises(&one, &two);
    assert_int_equal(lock_release(&one, s, &why), ERR_NOT_FOUND);
    assert_int_equal(redis_server_number(&server, "EXISTS w:l:expiry"), 1);
}

static const char *opened_count(char words[32])
{
    struct names_key opened = names_opened(0);

    (void)snprintf(words, 32, "LLEN " SLICE_FORMAT, SLICE_ARGS(names_slice(&opened)));
    return words;
}

static void paused_holder(void **state)
{
    struct sync *s = *state;
    struct lock one = holder("pause"), two = holder("pause"), old;
    struct err_text why = {""};
    char word[32];

    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    assert_string_equal(effect(s, &one, 1, word), "OK");
    run_out("pause"); /* it sleeps past its time, and goes on */
    assert_string_equal(effect(s, &one, 2, word), "FENCED");
    assert_int_equal(lock_acquire(&two, s, &why), ERR_OK);
    assert_string_equal(effect(s, &one, 3, word), "FENCED");
    assert_string_equal(effect(s, &two, 4, word), "OK");
    assert_int_equal(lock_release(&two, s, &why), ERR_OK);

    /* its own token does not make an old fence good */
    old = one;
    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    assert_string_equal(effect(s, &old, 5, word), "FENCED");
    assert_string_equal(effect(s, &one, 6, word), "OK");
    assert_int_equal(redis_server_number(&server, opened_count(word)), 3);
}

/* A holder counts from before it asked, so a slow answer shortens its time and not the lease. */
static void counts_from_before(void **state)
{
    struct sync *s = *state;
    struct lock l = holder("count");
    struct err_text why = {""};
    uint64_t before, after;

    redis_server_say(&server, "CLIENT PAUSE 300 ALL");
    before = clock_mono_us();
    assert_int_equal(lock_acquire(&l, s, &why), ERR_OK);
    after = clock_mono_us();
    assert_true(after - before > 200000);
    assert_true(l.until_us >= before + LEASE_US);
    assert_true(l.until_us < after + LEASE_US - 150000);
    assert_true(lock_is_held(&l, before));
    assert_true(lock_is_held(&l, l.until_us - 1));
    assert_false(lock_is_held(&l, l.until_us));
    assert_false(lock_is_held(&l, UINT64_MAX));
    assert_true(redis_server_number(&server, "PTTL w:l:count") > (TTL_MS - 2 * OP_MS));
}

/* No answer: what was held stays held for as long as it was, and asking again makes it known. */
static void no_answer(void **state)
{
    struct lock l = holder("silence"), before;
    struct sync *s = open_sync(2000);
    struct err_text why = {""};

    (void)state;
    sync_timeout(s, 100);
    redis_server_say(&server, "CLIENT PAUSE 400 ALL");
    assert_int_equal(lock_acquire(&l, s, &why), ERR_TIMEOUT);
    assert_false(is_held(&l));
    sync_close(s);
    s = open_sync(2000);
    assert_int_equal(lock_acquire(&l, s, &why), ERR_OK);
    before = l;
    sync_timeout(s, 100);
    redis_server_say(&server, "CLIENT PAUSE 400 ALL");
    assert_int_equal(lock_renew(&l, s, &why), ERR_TIMEOUT);
    assert_int_equal(l.until_us, before.until_us);
    assert_true(is_held(&l));
    sync_close(s);
    s = open_sync(2000);
    assert_int_equal(lock_acquire(&l, s, &why), ERR_OK);
    assert_string_equal(l.fence, before.fence);
    sync_timeout(s, 100);
    redis_server_say(&server, "CLIENT PAUSE 400 ALL");
    assert_int_equal(lock_release(&l, s, &why), ERR_TIMEOUT);
    assert_false(is_held(&l)); /* whatever became of it */
    sync_close(s);
}

static void counter(void **state)
{
    struct sync *s = *state;
    struct lock one = holder("counter"), two = holder("counter");
    struct err_text why = {""};

    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    assert_int_equal(lock_release(&one, s, &why), ERR_OK);
    redis_server_say(&server, "DEL w:f:counter"); /* lost in a fail-over */
    assert_int_equal(lock_acquire(&two, s, &why), ERR_OK);
    assert_fence_rises(&one, &two);
    assert_int_equal(lock_release(&two, s, &why), ERR_OK);

    /* a clock that was set back, or another server's that is behind */
    redis_server_say(&server, "SET w:f:counter 7000000000000000");
    assert_int_equal(lock_acquire(&one, s, &why), ERR_OK);
    assert_string_equal(one.fence, "7000000000000001");
    assert_int_equal(lock_release(&one, s, &why), ERR_OK);
    assert_int_equal(lock_acquire(&two, s, &why), ERR_OK);
    assert_string_equal(two.fence, "7000000000000002");
}

static void assert_broken(struct sync *s, struct lock *l)
{
    struct err_text why = {""};

    assert_int_equal(lock_acquire(l, s, &why), ERR_CORRUPT);
    assert_says(&why, "w:l:broken holds no lock");
    assert_int_equal(lock_renew(l, s, &why), ERR_CORRUPT);
    assert_int_equal(lock_release(l, s, &why), ERR_CORRUPT);
    assert_false(is_held(l));
}

static void broken_keys(void **state)
{
    struct sync *s = *state;
    struct lock l = holder("broken");
    struct err_text why = {""};

    redis_server_say(&server, "SET w:f:broken many");
    assert_int_equal(lock_acquire(&l, s, &why), ERR_CORRUPT);
    assert_says(&why, "w:f:broken holds no lock");
    redis_server_say(&server, "DEL w:f:broken");
    redis_server_say(&server, "RPUSH w:l:broken x");
    assert_broken(s, &l);
    assert_int_equal(redis_server_number(&server, "LLEN w:l:broken"), 1);
    redis_server_say(&server, "SET w:l:broken 7"); /* another's, and no fence beside it */
    assert_broken(s, &l);
    assert_int_equal(redis_server_number(&server, "GET w:l:broken"), 7);
    assert_int_equal(redis_server_number(&server, "EXISTS w:f:broken"), 0);
    redis_server_say(&server, "DEL w:l:broken");
}

#define ANOTHER \
    "#!lua name=" LIBRARY_NAME "\n" \
    "redis.register_function('" LIBRARY_NAME "_lock', function(k, a) " \
    "return ({['w:l:x0']={}, ['w:l:x1']={'OK'}, ['w:l:x2']={'OK', '0'}, " \
    "['w:l:x3']={'OK', 'x1'}, ['w:l:x4']={'OK', 1}, ['w:l:x5']={'HELD'}, ['w:l:x6']={'WHAT', '1'}, " \
    "['w:l:x7']={1}, ['w:l:x8']='OK', ['w:l:x9']={'OK', '12345678901234567'}, " \
    "['w:l:x10']={'OK', '1', '2'}, ['w:l:x11']={'LOST', '1'}, ['w:l:x12']={'BROKEN'}, " \
    "['w:l:x13']={'OK', ''}})[k[1]] end)\n"

static void strange_answers(void **state)
{
    struct sync *s = *state;
    struct err_text why = {""};
    struct lock l;
    char name[8];

    load(s, SLICE(ANOTHER));
    for (unsigned i = 0; i < 14; i++) {
        (void)snprintf(name, sizeof name, "x%u", i);
        l = holder(name);
        assert_int_equal(lock_acquire(&l, s, &why), ERR_CORRUPT);
        assert_says(&why, "no lock gives");
        assert_false(is_held(&l));
        assert_string_equal(l.fence, "");
    }
    l = holder("y");
    assert_int_equal(lock_renew(&l, s, &why), ERR_INVALID);
    assert_says(&why, "Function not found");
    load(s, library_source());
}

static int start(void **state)
{
    struct sync *s;

    redis_server_start(&server, "");
    s = open_sync(2000);
    load(s, library_source());
    *state = s;
    return 0;
}

static int stop(void **state)
{
    sync_close(*state);
    redis_server_stop(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_times),  cmocka_unit_test(two_holders),
        cmocka_unit_test(same_owner_again), cmocka_unit_test(expiry),
        cmocka_unit_test(paused_holder),    cmocka_unit_test(counts_from_before),
        cmocka_unit_test(no_answer),        cmocka_unit_test(counter),
        cmocka_unit_test(broken_keys),      cmocka_unit_test(strange_answers),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

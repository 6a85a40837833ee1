/* Answers to a posting, as text: those that wallet.lua cannot have given are told. No server. */
#include "unit/store/redis/rig.h"

static redisReply *parse(const char *text)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    assert_int_equal(redisReaderFeed(reader, text, strlen(text)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

#define ENTRY(id, e) "$3\r\n" id "\r\n*2\r\n$1\r\ne\r\n" e "\r\n"
#define GOOD "$32\r\n2 3 0 CNY 2 2 a 1 1 @world -1 -1"

static void answers_that_none_gives_are_told(void **state)
{
    static const char *const bad[] = {
        ":1\r\n",
        "$2\r\nOK\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$2\r\nOK\r\n",
        "*1\r\n$3\r\nYES\r\n",
        "*2\r\n$5\r\nSTALE\r\n:1\r\n",
        "*1\r\n$6\r\nBROKEN\r\n",
        "*2\r\n$6\r\nBROKEN\r\n:1\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$2\r\nNO\r\n",
        "*3\r\n$2\r\nNO\r\n:0\r\n:1\r\n",
        "*3\r\n$2\r\nNO\r\n:8\r\n:1\r\n",
        "*3\r\n$2\r\nNO\r\n:64\r\n:1\r\n",
        "*3\r\n$2\r\nNO\r\n:69\r\n:1\r\n",
        "*3\r\n$2\r\nNO\r\n:6\r\n:-1\r\n",
        "*3\r\n$2\r\nNO\r\n$1\r\nx\r\n:1\r\n",
        "$3\r\nOK \r\n",
        "$6\r\nOK 1-0\r\n",
        "$7\r\nOK 1-0 \r\n",
        "$40\r\nOK  1-0 2 3 0 CNY 2 2 a 1 1 @world -1 -1\r\n",
        "$37\r\nOK x 2 3 0 CNY 2 2 a 1 1 @world -1 -1\r\n",
        "$37\r\nOK 2 3 0 CNY 2 2 a 1 1 @world -1 -1 0\r\n",
        "$41\r\nOK 1-0 2 3 0 CNY 2 2 a 1 1 @world -1 -1 0\r\n",
        "$39\r\nOK 1-0 2 3 1 CNY 2 2 a 1 1 @world -1 -1\r\n",
        "$39\r\nOK 1-0 3 3 0 CNY 2 2 a 1 1 @world -1 -1\r\n",
        "+OK 1-0 2 3 0 CNY 2 2 a 1 1 @world -1 -1\r\n",
        "*1\r\n$39\r\nOK 1-0 2 3 0 CNY 2 2 a 1 1 @world -1 -1\r\n",
        "*3\r\n$2\r\nOK\r\n" ENTRY("1-0", GOOD),
        "*3\r\n$3\r\nDUP\r\n" ENTRY("1-0", GOOD),
        "*4\r\n$3\r\nDUP\r\n" ENTRY("1-0", GOOD) ":1\r\n",
        "*4\r\n$3\r\nDUP\r\n" ENTRY("1-0", GOOD) "$3\r\nabc\r\n",
        "*4\r\n$3\r\nDUP\r\n" ENTRY("1-0", GOOD) "$18\r\nffffffffffffffff91\r\n",
        "*4\r\n$3\r\nDUP\r\n" ENTRY("1-0", GOOD) "$20\r\nffffffffffffffff\002aab\r\n",
    };
    struct idem idem = stage_key('k', 'f');
    struct stage s;
    struct posting p;
    enum post_verdict verdict;
    struct slice broken;
    struct store_op op;
    redisReply *reply;

    (void)state;
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    p.idem = &idem;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        op_begin(&op, &p);
        reply = parse(bad[i]);
        if (post_read(reply, &op, 1, &verdict, &broken) != ERR_CORRUPT) {
            fail_msg("%zu: %s", i, bad[i]);
        }
        assert_int_equal(op.result.outcome, 0);
        freeReplyObject(reply);
        op_end(&op);
    }
    p.idem = NULL; /* nobody asked under a key */
    op_begin(&op, &p);
    reply = parse("*4\r\n$3\r\nDUP\r\n" ENTRY("1-0", GOOD) "$20\r\nffffffffffffffff\001ab1\r\n");
    assert_int_equal(post_read(reply, &op, 1, &verdict, &broken), ERR_CORRUPT);
    freeReplyObject(reply);
    op_end(&op);
    op_begin(&op, &p);
    reply = parse("-ERR wrong script: mywallet_v1_post, on @user_function:3.\r\n");
    assert_int_equal(post_read(reply, &op, 1, &verdict, &broken), ERR_OK);
    assert_int_equal(verdict, POST_HALF);
    freeReplyObject(reply);
    reply = parse("$39\r\nOK 1-0 2 3 0 CNY 2 2 a 1 1 @world -1 -1\r\n");
    for (uint64_t nth = 1; nth <= 2; nth++) { /* the arena's one chunk; then none fails */
        enum err e;
        mem_fail_at(nth, 1);
        e = post_read(reply, &op, 1, &verdict, &broken);
        mem_fail_at(0, 0);
        assert_int_equal(e, nth == 1 ? ERR_NOMEM : ERR_OK);
    }
    assert_int_equal(op.result.outcome, OUTCOME_OK);
    assert_true(op.result.seq == 3);
    freeReplyObject(reply);
    op_end(&op);
    stage_fini(&s);
}

static void no_memory_is_an_error(void **state)
{
    struct stage s;
    struct posting p;
    struct idem idem = stage_key('k', 'f');
    struct buf out;

    (void)state;
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    p.idem = &idem;
    buf_init(&out, 100);
    assert_int_equal(post_encode(&out, &p, 4096, 1, 1), ERR_FULL);
    buf_fini(&out);
    buf_init(&out, 10);
    assert_int_equal(post_encode_look(&out, &p, 4096), ERR_FULL);
    buf_fini(&out);
    stage_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_that_none_gives_are_told),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

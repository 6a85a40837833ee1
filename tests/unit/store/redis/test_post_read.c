/* Answers to a posting, as text: those that wallet.lua cannot have given are told. No server. */
#include "unit/store/redis/rig.h"

static redisReply *parse_bytes(struct slice bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    assert_int_equal(redisReaderFeed(reader, bytes.ptr, bytes.len), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static redisReply *parse(const char *text)
{
    return parse_bytes(slice_of(text));
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

/*
 * What LIBRARY_NAME's version stands for: services of two builds share a Redis and its one library of that name. From the first
 * release on, a change that breaks this test takes a new name.
 */
static void the_words_of_this_version(void **state)
{
    static const char *const words[] = {"FCALL",    "mywallet_v1_post",
                                        "6",        "w:m:{",
                                        "w:j:{",    "w:o:{",
                                        "w:a:{",    "w:h:{",
                                        "w:i:{",    "2",
                                        "77",       "0",
                                        "1",        "oktl",
                                        "CNY 2",    "",
                                        "86400000", "0",
                                        "a",        "1+",
                                        "1",        "0",
                                        "@world",   "1",
                                        "-1",       "0"};
    struct idem idem = stage_key('k', 'f');
    redisReply *reply;
    struct stage s;
    struct posting p;
    struct buf out;

    (void)state;
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    p.idem = &idem;
    buf_init(&out, 4096);
    assert_int_equal(post_encode(&out, &p, 1, 77, UINT64_C(86400000000)), ERR_OK);
    reply = parse_bytes(buf_slice(&out));
    assert_int_equal(reply->elements, ARRAY_LEN(words));
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *is = reply->element[i]->str;
        const bool is_key = i >= 3 && i < 9;
        if (i != 15 && strncmp(is, words[i], is_key ? 5 : strlen(words[i]) + 1) != 0) {
            fail_msg("word %zu: %s", i, is);
        }
    }
    assert_int_equal(reply->element[15]->len, IDEM_FINGERPRINT_BYTES + 1 + 2 * idem.field_count);
    freeReplyObject(reply);
    buf_fini(&out);
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
        cmocka_unit_test(the_words_of_this_version),
        cmocka_unit_test(no_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

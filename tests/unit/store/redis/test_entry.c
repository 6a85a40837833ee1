/* Journal entries read back: what wallet.lua writes, and everything that it could not have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "base/mem.h"
#include "store/redis/entry.h"

#define CREDIT "2 7 4095 CNY 2 2 alice 1050 2050 @world -1050 -99000"
#define DEBIT "3 8 0 CNY 2 2 alice -50 2000 @world 50 -98950"
#define TRANSFER "4 9 12 JPY 0 2 alice -7 0 bob 7 999999999999999"
#define HOLD "4 9 12 KWD 3 2 alice -7/3 -5 bob 7/-2 7"
#define OPEN "1 3 12 CNY 2 1 alice 500 0"
#define OPEN_WORLD "1 2 12 CNY 2 1 @world 0 0"
#define REFUSAL "5 4 12 3 6 1"
#define ID "1700000000000000-0"

static struct arena arena;

static int start(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

static void put(struct buf *b, struct slice text)
{
    buf_append_format(b, "$%zu\r\n", text.len);
    buf_append_slice(b, text);
    buf_append_text(b, "\r\n");
}

static struct redisReply *reply_of(const char *resp, size_t len)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    assert_non_null(reader);
    assert_int_equal(redisReaderFeed(reader, resp, len), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

/* [id, [e, words, r, reference, m, metadata]]; ptr NULL: not there */
static struct redisReply *element_of(struct slice id, struct slice words, struct slice reference,
                                     struct slice metadata)
{
    struct buf b;
    struct redisReply *reply;

    buf_init(&b, 1 << 20);
    buf_append_text(&b, "*2\r\n");
    put(&b, id);
    buf_append_format(&b, "*%d\r\n",
                      2 + (reference.ptr != NULL ? 2 : 0) + (metadata.ptr != NULL ? 2 : 0));
    put(&b, SLICE("e"));
    put(&b, words);
    if (reference.ptr != NULL) {
        put(&b, SLICE("r"));
        put(&b, reference);
    }
    if (metadata.ptr != NULL) {
        put(&b, SLICE("m"));
        put(&b, metadata);
    }
    assert_int_equal(b.err, ERR_OK);
    reply = reply_of(b.ptr, b.len);
    buf_fini(&b);
    return reply;
}

static enum err read_words(struct slice words)
{
    struct redisReply *reply = element_of(SLICE(ID), words, SLICE_NONE, SLICE_NONE);
    struct entry entry;
    enum err e;

    arena_reset(&arena);
    memset(&entry, 0x55, sizeof(entry));
    e = entry_read_element(reply, &arena, &entry);
    if (e != ERR_OK) {
        assert_int_equal(entry.seq, UINT64_C(0x5555555555555555)); /* untouched */
    }
    freeReplyObject(reply);
    return e;
}

static void assert_slice(struct slice s, const char *text)
{
    assert_non_null(s.ptr);
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static void movements(void **state)
{
    struct redisReply *reply =
        element_of(SLICE("1700000000000001-2"), SLICE(CREDIT), SLICE("inv-1"), SLICE("{\"a\":1}"));
    struct entry entry;

    (void)state;
    arena_reset(&arena);
    assert_int_equal(entry_read_element(reply, &arena, &entry), ERR_OK);
    assert_int_equal(entry.kind, RECORD_CREDIT);
    assert_int_equal(entry.seq, 7);
    assert_int_equal(entry.lead, 4095);
    assert_int_equal(entry.time_us, INT64_C(1700000000000001));
    assert_int_equal(entry.sub, 2);
    assert_int_equal(entry.currency.code, 'C' | 'N' << 8 | 'Y' << 16);
    assert_int_equal(entry.exponent, 2);
    assert_int_equal(entry.leg_count, 2);
    assert_slice(entry.legs[0].account, "alice");
    assert_int_equal(entry.legs[0].delta, 1050);
    assert_int_equal(entry.legs[0].held, 0);
    assert_int_equal(entry.legs[0].balance, 2050);
    assert_slice(entry.legs[1].account, "@world");
    assert_int_equal(entry.legs[1].delta, -1050);
    assert_int_equal(entry.legs[1].balance, -99000);
    assert_slice(entry.reference, "inv-1");
    assert_slice(entry.metadata, "{\"a\":1}");
    assert_ptr_equal(entry_leg_of(&entry, SLICE("@world")), &entry.legs[1]);
    assert_ptr_equal(entry_leg_of(&entry, SLICE("alice")), &entry.legs[0]);
    assert_null(entry_leg_of(&entry, SLICE("alic")));
    assert_null(entry_leg_of(&entry, SLICE_NONE));
    freeReplyObject(reply);

    reply = element_of(SLICE("1-0"), SLICE(HOLD), SLICE(""), SLICE_NONE);
    assert_int_equal(entry_read_element(reply, &arena, &entry), ERR_OK);
    assert_int_equal(entry.legs[0].held, 3);
    assert_int_equal(entry.legs[1].held, -2);
    assert_int_equal(entry.legs[0].balance, -5);
    assert_slice(entry.reference, ""); /* empty is not absent */
    assert_null(entry.metadata.ptr);
    freeReplyObject(reply);

    reply = element_of(SLICE("1-0"), SLICE(REFUSAL " alice"), SLICE_NONE, SLICE_NONE);
    assert_int_equal(entry_read_element(reply, &arena, &entry), ERR_OK);
    assert_slice(entry.refused_account, "alice");
    assert_int_equal(entry.leg_count, 0);
    freeReplyObject(reply);
    reply = element_of(SLICE("1-0"), SLICE(REFUSAL), SLICE_NONE, SLICE_NONE);
    assert_int_equal(entry_read_element(reply, &arena, &entry), ERR_OK);
    assert_null(entry.refused_account.ptr);
    freeReplyObject(reply);
}

static void all_forms_are_read(void **state)
{
    static const char *const texts[] = {
        CREDIT,
        DEBIT,
        TRANSFER,
        HOLD,
        OPEN,
        OPEN_WORLD,
        REFUSAL,
        "4 9007199254740992 0 CLF 4 3 a -999999999999999 -999999999999999 b 999999999999998 1 c 1 1",
        "2 1 0 CNY 2 2 a 1 1 @world -1 -999999999999999999",
        "3 1 0 CNY 2 2 a -1 1 @world 1 999999999999999999",
        "4 1 0 CNY 2 1 a 0/5 0",
        "5 1 0 1 1 0",
        "5 1 0 4 7 1",
        "5 1 0 4 7 1 alice",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (read_words(slice_of(texts[i])) != ERR_OK) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void a_hundred_legs(void **state)
{
    struct buf b;

    (void)state;
    for (int count = LEDGER_LEGS_MAX; count <= LEDGER_LEGS_MAX + 1; count++) {
        buf_init(&b, 1 << 16);
        buf_append_format(&b, "4 1 0 CNY 2 %d a0 -%d 0", count, count - 1);
        for (int i = 1; i < count; i++) {
            buf_append_format(&b, " a%d 1 1", i);
        }
        assert_int_equal(read_words(buf_slice(&b)), count <= LEDGER_LEGS_MAX ? ERR_OK : ERR_CORRUPT);
        buf_fini(&b);
    }
}

static void broken_words(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "2",
        "x",
        /* kind, seq, lead */
        "0 7 1 CNY 2 2 a 1 1 @world -1 -1",
        "6 7 1 CNY 2 2 a 1 1 @world -1 -1",
        "02 7 1 CNY 2 2 a 1 1 @world -1 -1",
        "+2 7 1 CNY 2 2 a 1 1 @world -1 -1",
        "-2 7 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 0 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 -7 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 07 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 9007199254740993 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 18446744073709551617 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 7 4096 CNY 2 2 a 1 1 @world -1 -1",
        "2 7 -1 CNY 2 2 a 1 1 @world -1 -1",
        "2 7.0 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 1e3 1 CNY 2 2 a 1 1 @world -1 -1",
        /* currency, exponent, count */
        "2 7 1 CN 2 2 a 1 1 @world -1 -1",
        "2 7 1 CNYY 2 2 a 1 1 @world -1 -1",
        "2 7 1 cny 2 2 a 1 1 @world -1 -1",
        "2 7 1 C1Y 2 2 a 1 1 @world -1 -1",
        "2 7 1 CNY 5 2 a 1 1 @world -1 -1",
        "2 7 1 CNY -1 2 a 1 1 @world -1 -1",
        "2 7 1 CNY 2 0",
        "2 7 1 CNY 2 1 a 1 1 @world -1 -1",
        "2 7 1 CNY 2 3 a 1 1 @world -1 -1",
        "2 7 1 CNY 2 101 a 1 1 @world -1 -1",
        /* legs */
        "2 7 1 CNY 2 2 a 1 1 a -1 -1",
        "2 7 1 CNY 2 2 a 1 1 @world -2 -1",
        "2 7 1 CNY 2 2 a 0 1 @world 0 -1",
        "2 7 1 CNY 2 2 a -0 1 @world 0 -1",
        "2 7 1 CNY 2 2 a 01 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1/0 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1/ 1 @world -1 -1",
        "2 7 1 CNY 2 2 a /1 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1/2/3 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1 1 @world -1/1 -1",
        "2 7 1 CNY 2 2 a 1000000000000000 1 @world -1000000000000000 -1",
        "2 7 1 CNY 2 2 a 1/1000000000000000 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1 1000000000000000 @world -1 -1",
        "3 7 1 CNY 2 2 a -1 -1000000000000000 @world 1 -1",
        "2 7 1 CNY 2 2 a 1 1 @world -1 -1000000000000000000",
        "2 7 1 CNY 2 2 a 1 -0 @world -1 -1",
        "2 7 1 CNY 2 2 a 1 - @world -1 -1",
        "2 7 1 CNY 2 2 a 1 1 @world -1 -1 ",
        "2 7 1 CNY 2 2 a 1 1 @world -1 -1 x",
        " 2 7 1 CNY 2 2 a 1 1 @world -1 -1",
        "2  7 1 CNY 2 2 a 1 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1 1  @world -1 -1",
        "2 7 1 CNY 2 2  1 1 @world -1 -1",
        "2 7 1 CNY 2 2 a 1 1 @world -1 -1\n",
        "2 7 1 CNY 2 2 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1 1 @world -1 -1",
        /* openings */
        "1 3 12 CNY 2 2 a 1 0 b -1 0",
        "1 3 12 CNY 2 1 a -1 0",
        "1 3 12 CNY 2 1 a 1 1",
        "1 3 12 CNY 2 1 a 1/1 0",
        "1 3 12 CNY 2 1 @world 1 0",
        "1 3 12 CNY 2 1 a 1",
        "1 3 12 CNY 2 1 a 1000000000000000 0",
        /* refusals */
        "5 4 12 0 6 1",
        "5 4 12 5 6 1",
        "5 4 12 3 0 1",
        "5 4 12 3 8 1",
        "5 4 12 3 64 1",
        "5 4 12 3 6 2",
        "5 4 12 3 6 -1",
        "5 4 12 3 6",
        "5 4 12 3 6 1 alice x",
        "5 4 12 3 6 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (read_words(slice_of(texts[i])) != ERR_CORRUPT) {
            fail_msg("'%s' was read", texts[i]);
        }
    }
    assert_int_equal(read_words(SLICE("2 7 1 CNY 2 2 a 1 1 @world -1 -1\0")), ERR_CORRUPT);
    assert_int_equal(read_words(SLICE("2 7\0 1 CNY 2 2 a 1 1 @world -1 -1")), ERR_CORRUPT);
}

/* Cut anywhere but within its last number, and for each byte also one that is another: never read as the same thing. */
static void cut_and_changed(void **state)
{
    static const char *const texts[] = {CREDIT, DEBIT, TRANSFER, HOLD, OPEN, OPEN_WORLD, REFUSAL};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const size_t len = strlen(texts[i]);
        const size_t last = (size_t)(strrchr(texts[i], ' ') - texts[i]) + 1;
        char text[128];
        for (size_t cut = 0; cut < len; cut++) {
            enum err e;
            char *exact = mem_alloc(cut + 1); /* one byte too far is seen by the sanitizer */
            assert_non_null(exact);
            memcpy(exact, texts[i], cut);
            e = read_words(slice_make(exact, cut));
            mem_free(exact);
            assert_true(e == ERR_CORRUPT || (e == ERR_OK && cut > last));
        }
        for (size_t at = 0; at < len; at++) {
            memcpy(text, texts[i], len);
            text[at] = '\x01';
            /* in an id any byte is one */
            if (read_words(slice_make(text, len)) == ERR_OK) {
                assert_true((texts[i][at] >= 'a' && texts[i][at] <= 'z') || texts[i][at] == '@');
            }
        }
    }
}

static void ids(void **state)
{
    static const struct {
        const char *id;
        enum err expected;
    } rows[] = {
        {"1-0", ERR_OK},
        {"9999999999999999-101", ERR_OK},
        {"10000000000000000-0", ERR_CORRUPT},
        {"1-102", ERR_CORRUPT},
        {"0-1", ERR_CORRUPT},
        {"-1-1", ERR_CORRUPT},
        {"1--1", ERR_CORRUPT},
        {"1-", ERR_CORRUPT},
        {"-1", ERR_CORRUPT},
        {"-", ERR_CORRUPT},
        {"1", ERR_CORRUPT},
        {"", ERR_CORRUPT},
        {"01-0", ERR_CORRUPT},
        {"1-00", ERR_CORRUPT},
        {"1-0-0", ERR_CORRUPT},
        {"1 -0", ERR_CORRUPT},
        {"1-0 ", ERR_CORRUPT},
        {"18446744073709551615-18446744073709551615", ERR_CORRUPT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redisReply *reply =
            element_of(slice_of(rows[i].id), SLICE(CREDIT), SLICE_NONE, SLICE_NONE);
        struct entry entry;
        if (entry_read_element(reply, &arena, &entry) != rows[i].expected) {
            fail_msg("%s", rows[i].id);
        }
        freeReplyObject(reply);
    }
}

static void words_have_limits(void **state)
{
    static char text[LEDGER_METADATA_BYTES_MAX + 1];
    static const struct {
        const char *words;
        int reference, metadata; /* lengths; -1: absent */
        enum err expected;
    } rows[] = {
        {CREDIT, LEDGER_REFERENCE_BYTES_MAX, LEDGER_METADATA_BYTES_MAX, ERR_OK},
        {CREDIT, LEDGER_REFERENCE_BYTES_MAX + 1, -1, ERR_CORRUPT},
        {CREDIT, -1, LEDGER_METADATA_BYTES_MAX + 1, ERR_CORRUPT},
        {CREDIT, -1, 0, ERR_CORRUPT}, /* no JSON object is empty */
        {OPEN, -1, 2, ERR_OK},
        {OPEN, 0, -1, ERR_CORRUPT},
        {REFUSAL, 0, -1, ERR_CORRUPT},
        {REFUSAL, -1, 2, ERR_CORRUPT},
    };

    (void)state;
    memset(text, 'm', sizeof(text));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice none = SLICE_NONE;
        struct redisReply *reply =
            element_of(SLICE(ID), slice_of(rows[i].words),
                       rows[i].reference < 0 ? none : slice_make(text, (size_t)rows[i].reference),
                       rows[i].metadata < 0 ? none : slice_make(text, (size_t)rows[i].metadata));
        struct entry entry;
        arena_reset(&arena);
        assert_int_equal(entry_read_element(reply, &arena, &entry), rows[i].expected);
        freeReplyObject(reply);
    }
}

/* Replies of another shape than an entry's. */
static void other_shapes(void **state)
{
#define WORDS "$1\r\ne\r\n$11\r\n5 4 1 3 6 1\r\n"
    static const struct {
        const char *resp;
        enum err expected;
    } rows[] = {
        {"*2\r\n$3\r\n1-0\r\n*2\r\n" WORDS, ERR_OK},
        {"*2\r\n$3\r\n1-0\r\n*4\r\n" WORDS "$1\r\ne\r\n$11\r\n5 4 1 3 6 1\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*4\r\n" WORDS "$1\r\nx\r\n$1\r\n5\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*4\r\n" WORDS "$2\r\nee\r\n$1\r\n5\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*8\r\n" WORDS WORDS WORDS WORDS, ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\ne\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*0\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*-1\r\n", ERR_CORRUPT}, /* an entry that was deleted */
        {"*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nr\r\n$1\r\nx\r\n", ERR_CORRUPT}, /* no words */
        {"*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n:5\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n$-1\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n*2\r\n:1\r\n$1\r\ne\r\n", ERR_CORRUPT},
        {"*2\r\n$3\r\n1-0\r\n$1\r\ne\r\n", ERR_CORRUPT},
        {"*2\r\n:10\r\n*2\r\n" WORDS, ERR_CORRUPT},
        {"*2\r\n$-1\r\n*2\r\n" WORDS, ERR_CORRUPT},
        {"*1\r\n$3\r\n1-0\r\n", ERR_CORRUPT},
        {"*3\r\n$3\r\n1-0\r\n*2\r\n" WORDS ":1\r\n", ERR_CORRUPT},
        {"*0\r\n", ERR_CORRUPT},
        {"*-1\r\n", ERR_CORRUPT},
        {"$-1\r\n", ERR_CORRUPT},
        {"+OK\r\n", ERR_CORRUPT},
        {"-ERR no\r\n", ERR_CORRUPT},
        {":1\r\n", ERR_CORRUPT},
    };
    struct entry entry;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redisReply *reply = reply_of(rows[i].resp, strlen(rows[i].resp));
        if (entry_read_element(reply, &arena, &entry) != rows[i].expected) {
            fail_msg("%s", rows[i].resp);
        }
        freeReplyObject(reply);
    }
    assert_int_equal(entry_read_element(NULL, &arena, &entry), ERR_CORRUPT);
    assert_int_equal(entry_read(SLICE("1-0"), NULL, &arena, &entry), ERR_CORRUPT);
    assert_int_equal(entry_read_answer(SLICE_NONE, &arena, &entry), ERR_CORRUPT);
}

/* ---- the answer ---- */

/* The result must not live in the reply. */
static struct posting_result result_of(const char *words, struct slice metadata, unsigned bucket)
{
    struct redisReply *reply = element_of(SLICE(ID), slice_of(words), SLICE_NONE, metadata);
    struct posting_result result;
    struct entry entry;

    arena_reset(&arena);
    memset(&result, 0x55, sizeof(result));
    assert_int_equal(entry_read_element(reply, &arena, &entry), ERR_OK);
    assert_int_equal(entry_result(&entry, bucket, &arena, &result), ERR_OK);
    freeReplyObject(reply);
    assert_false(result.is_replay);
    assert_int_equal(result.bucket, bucket);
    assert_int_equal(result.time_us, INT64_C(1700000000000000));
    assert_int_equal(result.differing, 0);
    return result;
}

static void results_of_movements(void **state)
{
    struct posting_result r = result_of(CREDIT, SLICE_NONE, 33);

    (void)state;
    assert_int_equal(r.outcome, OUTCOME_OK);
    assert_int_equal(r.kind, RECORD_CREDIT);
    assert_int_equal(r.seq, 7);
    assert_int_equal(r.tag, 4095);
    assert_int_equal(r.exponent, 2);
    assert_int_equal(r.currency.code, 'C' | 'N' << 8 | 'Y' << 16);
    assert_int_equal(r.amount, 1050);
    assert_int_equal(r.side_count, 1);
    assert_slice(r.sides[0].account, "alice");
    assert_int_equal(r.sides[0].balance, 2050);

    r = result_of(DEBIT, SLICE("{}"), 0);
    assert_int_equal(r.kind, RECORD_DEBIT);
    assert_int_equal(r.amount, 50); /* positive */
    assert_int_equal(r.side_count, 1);
    assert_int_equal(r.sides[0].balance, 2000);
    assert_null(r.opened_metadata.ptr);

    r = result_of(TRANSFER, SLICE_NONE, 0);
    assert_int_equal(r.amount, 7);
    assert_int_equal(r.side_count, 2);
    assert_slice(r.sides[0].account, "alice");
    assert_slice(r.sides[1].account, "bob");
    assert_int_equal(r.sides[0].balance, 0);
    assert_int_equal(r.sides[1].balance, INT64_C(999999999999999));

    r = result_of("4 1 0 CNY 2 4 a 1 1 @world 1 1 b 1 2 c -3 3", SLICE_NONE, 0);
    assert_int_equal(r.side_count, POSTING_SIDES_MAX);
    assert_slice(r.sides[1].account, "b");
}

static void results_of_openings_and_refusals(void **state)
{
    struct posting_result r = result_of(OPEN, SLICE("{\"k\":1}"), 12);

    (void)state;
    assert_int_equal(r.outcome, OUTCOME_OK);
    assert_int_equal(r.kind, RECORD_OPEN);
    assert_slice(r.opened.id, "alice");
    assert_int_equal(r.opened.overdraft, 500);
    assert_int_equal(r.opened.balance, 0);
    assert_int_equal(r.opened.version, 1);
    assert_int_equal(r.opened.status, ACCOUNT_ACTIVE);
    assert_int_equal(r.opened.created_us, r.time_us);
    assert_int_equal(r.opened.updated_us, r.time_us);
    assert_int_equal(r.opened.metadata_seq, 3);
    assert_int_equal(r.opened.exponent, 2);
    assert_int_equal(r.opened.currency.code, r.currency.code);
    assert_slice(r.opened_metadata, "{\"k\":1}");
    assert_int_equal(r.side_count, 0);

    r = result_of(OPEN, SLICE_NONE, 12);
    assert_int_equal(r.opened.metadata_seq, 0);
    assert_null(r.opened_metadata.ptr);

    r = result_of(REFUSAL, SLICE_NONE, 12);
    assert_int_equal(r.outcome, OUTCOME_INSUFFICIENT_BALANCE);
    assert_int_equal(r.kind, RECORD_DEBIT); /* the verb */
    assert_int_equal(r.language, LEDGER_EN);
    assert_int_equal(r.seq, 4);
    assert_int_equal(r.tag, 12);
    assert_int_equal(r.side_count, 0);
}

static void out_of_memory(void **state)
{
    static const char *const texts[] = {CREDIT, OPEN};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct redisReply *reply = element_of(SLICE(ID), slice_of(texts[i]), SLICE_NONE, SLICE("{}"));
        struct posting_result result;
        struct entry entry;
        struct arena small;
        arena_init(&small, 1); /* not a leg fits */
        assert_int_equal(entry_read_element(reply, &small, &entry), ERR_NOMEM);
        arena_reset(&arena);
        assert_int_equal(entry_read_element(reply, &arena, &entry), ERR_OK);
        assert_int_equal(entry_result(&entry, 0, &small, &result), ERR_NOMEM);
        arena_fini(&small);
        arena_init(&small, 16); /* the id, and no more */
        assert_int_equal(entry_result(&entry, 0, &small, &result), i == 0 ? ERR_OK : ERR_NOMEM);
        arena_fini(&small);
        freeReplyObject(reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(movements),
        cmocka_unit_test(all_forms_are_read),
        cmocka_unit_test(a_hundred_legs),
        cmocka_unit_test(broken_words),
        cmocka_unit_test(cut_and_changed),
        cmocka_unit_test(ids),
        cmocka_unit_test(words_have_limits),
        cmocka_unit_test(other_shapes),
        cmocka_unit_test(results_of_movements),
        cmocka_unit_test(results_of_openings_and_refusals),
        cmocka_unit_test(out_of_memory),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

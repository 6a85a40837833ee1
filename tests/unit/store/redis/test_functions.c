/* wallet.lua on a real server: numbers past what a double holds, values that it never wrote, rights that lack, locks. */
#include "base/prng.h"
#include "money/money.h"
#include "unit/store/redis/rig.h"

enum { MANY = 4096 };

static const char *text_of(struct names_key key, char out[NAMES_KEY_BYTES_MAX + 1])
{
    key_text(key, out);
    return out;
}

/* A text, or the first words of an array, joined: "OK 17", "BROKEN w:m:{0}". Frees it. */
static const char *said(redisReply *reply, char out[256])
{
    size_t len = 0;

    out[0] = '\0';
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)snprintf(out, 256, "-%s", reply->str);
    }
    if (reply->type == REDIS_REPLY_STRING) {
        (void)snprintf(out, 256, "%s", reply->str);
    }
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *e = reply->element[i];
        int wrote = 0;
        if (e->type == REDIS_REPLY_STRING) {
            wrote = snprintf(out + len, 256 - len, "%s%s", i == 0 ? "" : " ", e->str);
        } else if (e->type == REDIS_REPLY_INTEGER) {
            wrote = snprintf(out + len, 256 - len, " %lld", e->integer);
        }
        assert_true(wrote >= 0 && (size_t)wrote < 256 - len);
        len += (size_t)wrote;
    }
    freeReplyObject(reply);
    return out;
}

#define assert_said(wanted, ...) \
    do { \
        char said_text[256]; \
        assert_string_equal(said(rig_ask(__VA_ARGS__), said_text), wanted); \
    } while (0)

static void assert_starts(redisReply *reply, const char *start)
{
    char text[256];

    (void)said(reply, text);
    if (strncmp(text, start, strlen(start)) != 0) {
        fail_msg("\"%s\" does not start with \"%s\"", text, start);
    }
}

static void the_hash_is_answered(void **state)
{
    redisReply *reply = rig_ask((struct rig *)*state, "FCALL_RO", LIBRARY_NAME "_hash", "0");

    assert_true(slice_equal(reply_text(reply), library_hash()) && library_hash().len == 64);
    freeReplyObject(reply);
}

/* ---- rights ---- */

static void a_right_that_lacks_is_found_before_the_first_posting(void **state)
{
    static const char *const commands[] = {
        "xadd",   "hset",      "hdel",    "hmget", "rpush", "llen", "set",    "get",    "time",
        "exists", "xrevrange", "pexpire", "pttl",  "del",   "hget", "lindex", "lrange", "xrange",
    };
    struct rig *r = *state;
    struct rig other = {.server = r->server};
    char right[32], wanted[32];

    rig_flush(r);
    assert_said("OK", r, "FCALL", LIBRARY_NAME "_selftest", "1", "w:t:{0}:");
    assert_said("OK", r, "FCALL", LIBRARY_NAME "_selftest", "0");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)snprintf(right, sizeof(right), "-%s", commands[i]);
        rig_say(r, "ACL", "SETUSER", "poor", "reset", "on", "nopass", "~w:*", "+@all", right);
        buf_init(&other.out, RIG_BYTES_MAX);
        rig_connect(&other);
        rig_say(&other, "AUTH", "poor", "x");
        (void)snprintf(wanted, sizeof(wanted), "DENIED %s", commands[i]);
        for (char *c = wanted; *c != '\0'; c++) {
            *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c);
        }
        assert_starts(rig_ask(&other, "FCALL", LIBRARY_NAME "_selftest", "1", "w:t:{0}:"), wanted);
        rig_disconnect(&other);
        buf_fini(&other.out);
        rig_say(r, "DEL", "w:t:{0}:a", "w:t:{0}:h", "w:t:{0}:m", "w:t:{0}:o", "w:t:{0}:j",
                "w:t:{0}:i");
    }
    /* with all of them, and nothing else, a posting goes through */
    rig_say(r, "ACL", "SETUSER", "poor", "reset", "on", "nopass", "~w:*", "+fcall", "+auth", "+xadd",
            "+hset", "+hdel", "+hmget", "+rpush", "+llen", "+set", "+get", "+time", "+exists",
            "+xrevrange", "+pexpire", "+pttl", "+del", "+hget", "+lindex", "+lrange", "+xrange");
    buf_init(&other.out, RIG_BYTES_MAX);
    rig_connect(&other);
    rig_say(&other, "AUTH", "poor", "x");
    assert_said("OK", &other, "FCALL", LIBRARY_NAME "_selftest", "1", "w:t:{0}:");
    assert_int_equal(redis_server_number(&r->server, "DBSIZE"), 0);
    {
        struct idem idem = stage_key('k', 'f');
        struct posting p;
        struct stage s;
        stage_init(&s);
        p = stage_credit(&s, "a", "1");
        p.idem = &idem;
        rig_must(&other, &p, 1, OUTCOME_OK);
        p = stage_credit(&s, "b", "1");
        rig_must(&other, &p, 1, OUTCOME_OK);
        p = stage_transfer(&s, "a", "b", "1");
        rig_must(&other, &p, 1, OUTCOME_OK);
        stage_fini(&s);
    }
    rig_disconnect(&other);
    buf_fini(&other.out);
    rig_say(r, "ACL", "DELUSER", "poor");
}

/* ---- numbers ---- */

/* A credit of minor units to `a` of one bucket, in the words of post. */
static redisReply *credit(struct rig *r, const char *coefficient, const char *scale,
                          const char *minus, const char *minus_scale)
{
    return rig_ask(r, "FCALL", LIBRARY_NAME "_post", "5", "w:m:{0}", "w:j:{0}", "w:o:{0}",
                   "w:a:{0}:a", "w:h:{0}:a", "2", "9223372036854775807", "0", "1", "o", "CNY 2",
                   "a", "1+", coefficient, scale, "@world", "1", minus, minus_scale);
}

static void assert_field(struct rig *r, const char *key, const char *field, const char *wanted)
{
    redisReply *reply = rig_ask(r, "HGET", key, field);

    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, wanted);
    freeReplyObject(reply);
}

static void no_number_but_a_canonical_one_is_an_argument(void **state)
{
    static const char *const bad[] = {"nan",
                                      "-nan",
                                      "inf",
                                      "1e3",
                                      "0x10",
                                      " 5 ",
                                      "5 ",
                                      "+5",
                                      "05",
                                      "-05",
                                      "-0",
                                      "5.0",
                                      ".5",
                                      "",
                                      "-",
                                      "--5",
                                      "1_0",
                                      "1,0",
                                      "5\n",
                                      "٥",
                                      "1000000000000000",
                                      "-1000000000000000",
                                      "9007199254740993"};
    struct rig *r = *state;
    uint64_t hash;

    rig_flush(r);
    assert_starts(credit(r, "5", "0", "-5", "0"), "OK");
    hash = rig_hash(r);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_starts(credit(r, bad[i], "0", "-5", "0"), "BROKEN ARGV");
        assert_starts(credit(r, "5", "0", bad[i], "0"), "BROKEN ARGV");
        if (strlen(bad[i]) < 16) {
            assert_starts(credit(r, "5", bad[i], "-5", "0"), "BROKEN ARGV");
        }
    }
    assert_starts(credit(r, "-6", "0", "6", "0"), "NO 6"); /* a negative amount takes */
    assert_starts(credit(r, "5", "0", "-4", "0"), "NO 7");
    assert_starts(credit(r, "5", "-3", "-5", "-3"), "NO 68");
    assert_starts(credit(r, "5", "14", "-5", "14"), "NO 68");
    assert_starts(credit(r, "5", "999999999", "-5", "999999999"), "NO 68");
    assert_starts(credit(r, "5", "-999999999", "-5", "-999999999"), "NO 68");
    assert_starts(credit(r, "999999999999999", "1", "-999999999999999", "1"), "NO 68");
    assert_true(rig_hash(r) == hash);
}

static void an_account_of_fifteen_digits_is_exact(void **state)
{
    struct rig *r = *state;

    rig_flush(r);
    assert_starts(credit(r, "123456789012345", "-2", "-123456789012345", "-2"), "OK");
    assert_field(r, "w:a:{0}:a", "b", "123456789012345"); /* tostring would have kept 14 digits */
    assert_starts(credit(r, "-123456789012346", "-2", "123456789012346", "-2"), "NO 6");
    assert_starts(credit(r, "876543210987654", "-2", "-876543210987654", "-2"), "OK");
    assert_field(r, "w:a:{0}:a", "b", "999999999999999");
    assert_starts(credit(r, "1", "-2", "-1", "-2"), "NO 5");
    assert_starts(credit(r, "-999999999999999", "-2", "999999999999999", "-2"), "OK");
    assert_field(r, "w:a:{0}:a", "b", "0"); /* and not -0 */
    assert_field(r, "w:m:{0}", "wCNY", "0");
    assert_starts(credit(r, "-1", "-2", "1", "-2"), "NO 6");
}

static void world_is_exact_where_doubles_are_not(void **state)
{
    static const int64_t edges[] = {
        INT64_C(9007199254740992),   INT64_C(9007199254740993),   INT64_C(7999999999999999),
        INT64_C(8000000000000001),   INT64_C(99999999999999),     INT64_C(100000000000001),
        INT64_C(10000000000000001),  INT64_C(99999999999999999),  INT64_C(100000000000000001),
        INT64_C(123456789987654321), INT64_C(999999998999999999), INT64_C(999000000000000001),
        INT64_C(1000000000),         INT64_C(8999999999999999),   INT64_C(10000000000000000),
        INT64_C(999999999999999999)};
    static const int64_t deltas[] = {
        1, 2, 999999999, 1000000000, 1000000001, 999999999999999, 123456789012345};
    struct prng random = {7};
    struct rig *r = *state;

    rig_flush(r);
    for (unsigned i = 0; i < 3000; i++) {
        int64_t before = i < 2 * ARRAY_LEN(edges)
                             ? edges[i / 2]
                             : (int64_t)(prng_next(&random) % 1000000000000000000);
        int64_t delta = prng_below(&random, 2) == 0
                            ? deltas[prng_below(&random, ARRAY_LEN(deltas))]
                            : 1 + (int64_t)prng_below(&random, 999999999999999);
        char text[32], plus[32], minus[32], wanted[160];
        bool fits;
        if (prng_below(&random, 4) == 0) {
            before /= (int64_t)1 << prng_below(&random, 58);
        }
        before = i % 2 == 0 ? -before : before;
        delta = prng_below(&random, 2) == 0 ? -delta : delta;
        (void)snprintf(text, sizeof(text), "%lld", (long long)before);
        (void)snprintf(plus, sizeof(plus), "%lld", (long long)delta);
        (void)snprintf(minus, sizeof(minus), "%lld", (long long)-delta);
        rig_say(r, "DEL", "w:a:{0}:a");
        rig_say(r, "HSET", "w:a:{0}:a", "b", "0", "v", "1", "c", "CNY 2", "o", "999999999999999");
        rig_say(r, "HSET", "w:m:{0}", "s", "1", "t", "1", "wCNY", text);
        fits = before - delta <= INT64_C(999999999999999999) &&
               before - delta >= -INT64_C(999999999999999999);
        rig_say(r, "DEL", "w:j:{0}");
        if (!fits) {
            assert_starts(credit(r, plus, "-2", minus, "-2"), "NO 5");
            continue;
        }
        assert_starts(credit(r, plus, "-2", minus, "-2"), "OK");
        (void)snprintf(text, sizeof(text), "%lld", (long long)(before - delta));
        assert_field(r, "w:m:{0}", "wCNY", text);
        (void)snprintf(wanted, sizeof(wanted), "2 2 0 CNY 2 2 a %s %s @world %s %s", plus, plus,
                       minus, text);
        {
            redisReply *last = rig_ask(r, "XREVRANGE", "w:j:{0}", "+", "-", "COUNT", "1");
            assert_string_equal(last->element[0]->element[1]->element[1]->str, wanted);
            freeReplyObject(last);
        }
    }
}

/* ---- what these functions never wrote ---- */

/* A transfer-like posting under a key that opens both of its accounts' buckets' lists: a (lead) and b, in two buckets. */
struct scene {
    struct stage s;
    struct posting_leg legs[3];
    struct posting p;
    struct idem idem;
    unsigned lead, second;
    char keys[11][NAMES_KEY_BYTES_MAX + 1]; /* m j o of each, a h of each, i */
};

static void scene_init(struct scene *c, struct rig *r)
{
    const struct idem key = stage_key('i', 'f');
    struct posting p;

    rig_flush(r);
    stage_init(&c->s);
    c->idem = key;
    c->lead = names_bucket(SLICE("a"), MANY);
    c->second = names_bucket(SLICE("b"), MANY);
    assert_true(c->lead != c->second);
    c->legs[0] = (struct posting_leg){.account = SLICE("a"), .balance = {-1, 0}};
    c->legs[1] = (struct posting_leg){.account = SLICE("b"), .balance = {2, 0}, .may_open = true};
    c->legs[2] = (struct posting_leg){.account = LEDGER_WORLD, .balance = {-1, 0}};
    c->p = (struct posting){.kind = RECORD_TRANSFER,
                            .legs = c->legs,
                            .leg_count = 3,
                            .open_currency = cur("CNY"),
                            .idem = &c->idem};
    p = stage_credit(&c->s, "a", "100");
    rig_must(r, &p, MANY, OUTCOME_OK);
    text_of(names_bucket_meta(c->lead), c->keys[0]);
    text_of(names_journal(c->lead), c->keys[1]);
    text_of(names_opened(c->lead), c->keys[2]);
    text_of(names_bucket_meta(c->second), c->keys[3]);
    text_of(names_journal(c->second), c->keys[4]);
    text_of(names_opened(c->second), c->keys[5]);
    text_of(names_account(c->lead, SLICE("a")), c->keys[6]);
    text_of(names_history(c->lead, SLICE("a")), c->keys[7]);
    text_of(names_account(c->second, SLICE("b")), c->keys[8]);
    text_of(names_history(c->second, SLICE("b")), c->keys[9]);
    text_of(names_idem(c->lead, c->idem.scope), c->keys[10]);
}

static void assert_broken(struct rig *r, const struct posting *p, const char *key, const char *what)
{
    const uint64_t hash = rig_hash(r);
    char broken[128] = "";
    struct store_op op;
    const enum post_verdict verdict = rig_post_until(r, p, MANY, INT64_MAX, &op, broken);

    if (verdict != POST_BROKEN || strcmp(broken, key) != 0 || rig_hash(r) != hash) {
        fail_msg("%s: verdict %d, key %s instead of %s", what, (int)verdict, broken, key);
    }
    op_end(&op);
}

/* One of another type in each place in turn: nothing is half done. */
static void a_key_of_another_type_stops_everything(void **state)
{
    struct rig *r = *state;
    struct scene c;

    for (unsigned i = 0; i < ARRAY_LEN(c.keys); i++) {
        scene_init(&c, r);
        if (i == 2) {
            stage_fini(&c.s);
            continue; /* the lead opens nothing in this posting: see below */
        }
        rig_say(r, "DEL", c.keys[i]);
        rig_say(r, "SADD", c.keys[i], "member");
        assert_broken(r, &c.p, c.keys[i], c.keys[i]);
        rig_say(r, "DEL", c.keys[i]);
        stage_fini(&c.s);
    }
    /* the first account's own list, where it is the one to be opened, by either verb that opens */
    for (int verb = 0; verb < 2; verb++) {
        struct posting p;
        scene_init(&c, r);
        rig_flush(r);
        rig_say(r, "SET", c.keys[2], "x");
        p = verb == 0 ? stage_credit(&c.s, "a", "1") : stage_open(&c.s, "a", "CNY", "1");
        assert_broken(r, &p, c.keys[2], "opened");
        stage_fini(&c.s);
    }
    scene_init(&c, r);
    rig_must(r, &c.p, MANY, OUTCOME_OK); /* it is all right otherwise */
    stage_fini(&c.s);
}

static void a_value_of_another_form_stops_everything(void **state)
{
    static const struct {
        unsigned key; /* of scene's */
        const char *field, *value;
    } bad[] = {
        {6, "b", NULL},
        {6, "b", ""},
        {6, "b", "x"},
        {6, "b", "1.5"},
        {6, "b", "1e3"},
        {6, "b", "0x10"},
        {6, "b", "007"},
        {6, "b", "-0"},
        {6, "b", "+5"},
        {6, "b", " 5"},
        {6, "b", "nan"},
        {6, "b", "1000000000000000"},
        {6, "b", "9007199254740993"},
        {6, "b", "-1000000000000000"},
        {6, "v", NULL},
        {6, "v", "0"},
        {6, "v", "-1"},
        {6, "v", "x"},
        {6, "v", "1000000000000000"},
        {6, "c", NULL},
        {6, "c", "CNY"},
        {6, "c", "cny 2"},
        {6, "c", "CNY 5"},
        {6, "c", "CNY 2 "},
        {6, "c", "CNYX 2"},
        {6, "h", "0"},
        {6, "h", "-5"},
        {6, "h", "x"},
        {6, "h", "1999999999999999"},
        {6, "h", "99999999999999999"},
        {6, "o", "0"},
        {6, "o", "-1"},
        {6, "o", "1000000000000000"},
        {6, "s", "0"},
        {6, "s", "3"},
        {6, "s", "frozen"},
        {0, "s", NULL},
        {0, "s", "x"},
        {0, "s", "-1"},
        {0, "s", "1e3"},
        {0, "s", "1000000000000000"},
        {0, "t", NULL},
        {0, "t", "x"},
        {0, "t", "-1"},
        {0, "t", "9000000000000000"},
        {0, "t", "99999999999999999"},
        {0, "wCNY", "x"},
        {0, "wCNY", "-0"},
        {0, "wCNY", "1000000000000000000"},
        {0, "wCNY", "1e5"},
        {3, "s", "7"},
        {3, "t", "7"},
        {8, "x", "y"},
        {8, "b", "5"},
        {8, "s", "1"},
    };
    struct rig *r = *state;
    struct scene c;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char what[64];
        scene_init(&c, r);
        if (bad[i].value == NULL) {
            rig_say(r, "HDEL", c.keys[bad[i].key], bad[i].field);
        } else {
            rig_say(r, "HSET", c.keys[bad[i].key], bad[i].field, bad[i].value);
        }
        (void)snprintf(what, sizeof(what), "%s %s", bad[i].field,
                       bad[i].value == NULL ? "-" : bad[i].value);
        assert_broken(r, &c.p, c.keys[bad[i].key], what);
        stage_fini(&c.s);
    }
}

static void keys_and_journals_of_another_form_stop_everything(void **state)
{
    static const char *const values[] = {"",
                                         "x",
                                         "ffffffffffffffff",
                                         "ffffffffffffffff\t1",
                                         "ffffffffffffffff\001ab",
                                         "ffffffffffffffff\001ab0",
                                         "ffffffffffffffff\001ab1x",
                                         "ffffffffffffffff\001ab12345678901234567"};
    struct rig *r = *state;
    struct scene c;

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        scene_init(&c, r);
        rig_say(r, "SET", c.keys[10], values[i]);
        assert_broken(r, &c.p, c.keys[10], values[i]);
        stage_fini(&c.s);
    }
    scene_init(&c, r); /* an answer that the journal does not have */
    rig_say(r, "SET", c.keys[10], "ffffffffffffffff\001ab12345");
    assert_broken(r, &c.p, c.keys[1], "no such entry");
    stage_fini(&c.s);
    for (unsigned i = 1; i <= 4; i += 3) { /* a journal ahead of its bucket's own time */
        scene_init(&c, r);
        rig_say(r, "XADD", c.keys[i], "8999999999999999-0", "e", "x");
        assert_broken(r, &c.p, c.keys[i], "ahead");
        stage_fini(&c.s);
    }
    scene_init(&c, r); /* a history of nobody */
    rig_say(r, "RPUSH", c.keys[9], "1");
    assert_broken(r, &c.p, c.keys[9], "history");
    stage_fini(&c.s);
}

/* ---- time ---- */

static void too_late_is_never_applied(void **state)
{
    struct rig *r = *state;
    struct store_op op;
    struct scene c;
    uint64_t hash;

    scene_init(&c, r);
    hash = rig_hash(r);
    for (int64_t late = 0; late < 3; late++) {
        assert_int_equal(rig_post_until(r, &c.p, MANY, late == 2 ? -1 : late, &op, NULL), POST_STALE);
        op_end(&op);
    }
    assert_true(rig_hash(r) == hash);
    rig_must(r, &c.p, MANY, OUTCOME_OK);
    hash = rig_hash(r);
    assert_int_equal(rig_post_until(r, &c.p, MANY, 1, &op, NULL), POST_DONE);
    assert_true(op.result.is_replay);
    op_end(&op);
    assert_true(rig_hash(r) == hash);
    stage_fini(&c.s);
}

static void time_rises_in_every_bucket_whatever_the_clock_does(void **state)
{
    struct rig *r = *state;
    struct store_op op;
    struct scene c;
    char history[32];
    redisReply *reply;

    scene_init(&c, r);
    rig_say(r, "HSET", c.keys[3], "s", "5", "t", "5000000000000000"); /* far ahead of the clock */
    assert_int_equal(rig_post(r, &c.p, MANY, &op), POST_DONE);
    assert_true(op.result.time_us == INT64_C(5000000000000001));
    op_end(&op);
    assert_field(r, c.keys[0], "t", "5000000000000001");
    assert_field(r, c.keys[3], "t", "5000000000000001");
    assert_field(r, c.keys[3], "s", "7"); /* the account, the movement */
    reply = rig_ask(r, "LINDEX", c.keys[9], "-1");
    (void)snprintf(history, sizeof(history), "%s", reply->str);
    freeReplyObject(reply);
    assert_string_equal(history, "45000000000000001");
    reply = rig_ask(r, "OBJECT", "ENCODING", c.keys[9]);
    freeReplyObject(reply);
    stage_fini(&c.s);
}

/* ---- memory ---- */

static void full_memory_refuses_what_moves_money_and_nothing_else(void **state)
{
    struct rig *r = *state;
    enum post_verdict verdict;
    struct slice broken;
    struct store_op op;
    struct scene c;
    redisReply *reply;
    uint64_t hash;

    scene_init(&c, r);
    rig_must(r, &c.p, MANY, OUTCOME_OK);
    assert_starts(rig_ask(r, "FCALL", LIBRARY_NAME "_lock", "2", "w:l:x", "w:f:x", "me", "60000"),
                  "OK ");
    hash = rig_hash(r);
    rig_say(r, "CONFIG", "SET", "maxmemory", "1");
    op_begin(&op, &c.p);
    assert_int_equal(post_encode(&r->out, &c.p, MANY, INT64_MAX, rig_ttl_us), ERR_OK);
    assert_starts(rig_exchange(r), "-OOM");
    assert_int_equal(post_encode_look(&r->out, &c.p, MANY), ERR_OK);
    reply = rig_exchange(r);
    assert_int_equal(post_read(reply, &op, MANY, &verdict, &broken), ERR_OK);
    assert_int_equal(verdict, POST_DONE);
    assert_true(op.result.is_replay);
    freeReplyObject(reply);
    op_end(&op);
    assert_true(rig_hash(r) == hash);
    assert_starts(rig_ask(r, "FCALL", LIBRARY_NAME "_renew", "1", "w:l:x", "me", "60000"), "OK ");
    assert_said("OK", r, "FCALL", LIBRARY_NAME "_release", "1", "w:l:x", "me");
    rig_say(r, "CONFIG", "SET", "maxmemory", "0");
    stage_fini(&c.s);
}

/* ---- locks ---- */

static void a_lock_has_one_owner_and_a_rising_fence(void **state)
{
    struct rig *r = *state;
    char first[256], again[256];

#define LOCK(token, ttl) \
    rig_ask(r, "FCALL", LIBRARY_NAME "_lock", "2", "w:l:x", "w:f:x", token, ttl)
    rig_flush(r);
    (void)said(LOCK("me", "60000"), first);
    assert_true(strncmp(first, "OK 1", 4) == 0 && strlen(first) == 3 + 16); /* the server's clock, µs */
    (void)said(LOCK("me", "70000"), again);
    assert_string_equal(first, again);
    assert_true(redis_server_number(&r->server, "PTTL w:l:x") > 60000);
    assert_starts(LOCK("you", "60000"), "HELD ");
    assert_said("LOST", r, "FCALL", LIBRARY_NAME "_renew", "1", "w:l:x", "you", "60000");
    assert_said("LOST", r, "FCALL", LIBRARY_NAME "_release", "1", "w:l:x", "you");
    assert_said(first, r, "FCALL", LIBRARY_NAME "_renew", "1", "w:l:x", "me", "500");
    assert_true(redis_server_number(&r->server, "PTTL w:l:x") <= 500);
    assert_said("OK", r, "FCALL", LIBRARY_NAME "_release", "1", "w:l:x", "me");
    assert_said("LOST", r, "FCALL", LIBRARY_NAME "_release", "1", "w:l:x", "me");
    (void)said(LOCK("you", "60000"), again);
    assert_true(strcmp(again, first) > 0);
    rig_say(r, "DEL", "w:l:x", "w:f:x"); /* a fail-over lost them */
    (void)said(LOCK("me", "60000"), first);
    assert_true(strcmp(first, again) > 0);
    rig_say(r, "DEL", "w:l:x");
    rig_say(r, "SET", "w:f:x", "5000000000000000"); /* and the clock went back */
    assert_said("OK 5000000000000001", r, "FCALL", LIBRARY_NAME "_lock", "2", "w:l:x", "w:f:x",
                "me", "60000");
    rig_say(r, "DEL", "w:l:x");
    rig_say(r, "SET", "w:f:x", "5e15");
    assert_starts(LOCK("me", "60000"), "BROKEN w:f:x");
    rig_say(r, "SET", "w:l:x", "me");
    assert_starts(LOCK("me", "60000"), "BROKEN w:l:x");
    assert_starts(rig_ask(r, "FCALL", LIBRARY_NAME "_renew", "1", "w:l:x", "me", "60000"),
                  "BROKEN w:l:x");
    assert_starts(rig_ask(r, "FCALL", LIBRARY_NAME "_release", "1", "w:l:x", "me"), "BROKEN w:l:x");
    rig_say(r, "DEL", "w:l:x", "w:f:x");
    assert_starts(LOCK("", "60000"), "BROKEN ARGV");
    assert_starts(LOCK("a|b", "60000"), "BROKEN ARGV");
    assert_starts(LOCK("me", "0"), "BROKEN ARGV");
    assert_starts(LOCK("me", "1e9"), "BROKEN ARGV");
    assert_int_equal(redis_server_number(&r->server, "DBSIZE"), 0);
    assert_starts(LOCK("me", "1"), "OK");
    for (int tries = 0; redis_server_number(&r->server, "EXISTS w:l:x") != 0; tries++) {
        assert_true(tries < 100000);
    }
    assert_starts(LOCK("you", "60000"), "OK");
}

/* ---- restore ---- */

/* The words of a call, after token and fence, with everything in bucket 0, whose tag is 1bz. */
static redisReply *restore(struct rig *r, const char *fence, const char *keys, const char *words)
{
    char text[1024];
    const char *argv[64] = {"FCALL", LIBRARY_NAME "_restore"};
    char count[8];
    unsigned argc = 3, key_count = 0;
    char *at = text;

    (void)snprintf(text, sizeof(text), "%s|me|%s|%s", keys, fence, words); /* bars between words */
    for (;;) {
        char *end = strchrnul(at, '|');
        const bool is_last = *end == '\0';
        *end = '\0';
        key_count += strncmp(at, "w:", 2) == 0;
        assert_true(argc < ARRAY_LEN(argv) - 1);
        argv[argc++] = at;
        if (is_last) {
            break;
        }
        at = end + 1;
    }
    (void)snprintf(count, sizeof(count), "%u", key_count);
    argv[2] = count;
    return rig_words(r, argv);
}

#define BUCKET "w:l:migration|w:m:{1bz}|w:j:{1bz}|w:o:{1bz}"
#define A "|w:a:{1bz}:a|w:h:{1bz}:a"
#define B "|w:a:{1bz}:b|w:h:{1bz}:b"

static void a_restored_ledger_is_one(void **state)
{
    struct rig *r = *state;
    struct idem idem = stage_key('k', 'f');
    char fence[256], key[128];
    struct store_op op;
    struct posting p;
    struct stage s;
    redisReply *reply;
    uint64_t hash;

    rig_flush(r);
    (void)said(rig_ask(r, "FCALL", LIBRARY_NAME "_lock", "2", "w:l:migration", "w:f:migration",
                       "me", "600000"),
               fence);
    memmove(fence, fence + 3, strlen(fence) - 2);
    (void)snprintf(key, sizeof(key), BUCKET A "|w:i:{1bz}:kkkkkkkkkkkkkkkk");
    /* position|kind|time|lead|buckets|currency|reference|metadata|head|ttl|refusal| legs */
    assert_starts(restore(r, "17", BUCKET A, "1|1|1000|0|1|CNY 2||{\"a\":1}||||a|1|500|0|"),
                  "FENCED");
    assert_starts(restore(r, fence, BUCKET A, "1|1|1000|0|1|CNY 2||{\"a\":1}||||a|1|500|0|"),
                  "OK 1000-1");
    hash = rig_hash(r);
    assert_starts(restore(r, fence, BUCKET A, "1|1|1000|0|1|CNY 2||||||a|1|500|0|"), "DUP");
    assert_starts(restore(r, fence, BUCKET A, "2|1|1001|0|1|CNY 2||||||a|1|500|0|"),
                  "NO account exists");
    assert_starts(restore(r, fence, BUCKET A, "2|2|999|0|1|CNY 2||||||a|1|700|0|700|@world|1|-700|0|"),
                  "NO time goes back");
    assert_starts(
        restore(r, fence, BUCKET A, "2|2|2000|0|1|CNY 2||||||a|1|700|0|701|@world|1|-700|0|"),
        "NO balance");
    assert_starts(
        restore(r, fence, BUCKET A, "2|2|2000|0|1|CNY 2||||||a|1|700|0|700|@world|1|-701|0|"),
        "NO sum");
    assert_starts(
        restore(r, fence, BUCKET A, "2|2|2000|0|1|JPY 0||||||a|1|700|0|700|@world|1|-700|0|"),
        "NO currency");
    assert_starts(
        restore(r, fence, BUCKET B, "2|2|2000|0|1|CNY 2||||||b|1|700|0|700|@world|1|-700|0|"),
        "NO no account");
    assert_starts(restore(r, fence, BUCKET A, "2|2|x|0|1|CNY 2||||||a|1|700|0|700|@world|1|-700|0|"),
                  "BROKEN ARGV");
    assert_starts(
        restore(r, fence, BUCKET A, "2|2|2000|0|1|CNY 2||||||a|1|1e3|0|700|@world|1|-700|0|"),
        "BROKEN ARGV");
    assert_true(rig_hash(r) == hash);
    assert_starts(restore(r, fence, key,
                          "2|2|1000|0|1|CNY 2|rref||ffffffffffffffff\002\001\001\002\002|60000||"
                          "a|1|700|0|700|@world|1|-700|0|"),
                  "OK 1000-2");
    assert_starts(restore(r, fence, BUCKET A, "3|2|1000|0|1|CNY 2||||||a|1|700|0||@world|1|-700|0|"),
                  "NO time is used");
    assert_starts(restore(r, fence, BUCKET B, "3|1|3000|0|1|CNY 2||||||b|1|0|0|"), "OK 3000-0");
    assert_starts(
        restore(r, fence, BUCKET A B, "4|4|4000|0|1|CNY 2||||||a|1|-900|0|-200|b|1|900|0|900"),
        "OK 4000-0");
    assert_starts(restore(r, fence,
                          "w:l:migration|w:m:{1bz}|w:j:{1bz}|w:o:{1bz}|w:i:{1bz}:nnnnnnnnnnnnnnnn",
                          "5|5|5000|0|1||||ffffffffffffffff\001ab|60000|3 8 1"),
                  "BROKEN ARGV");
    assert_starts(restore(r, fence,
                          "w:l:migration|w:m:{1bz}|w:j:{1bz}|w:o:{1bz}|w:i:{1bz}:nnnnnnnnnnnnnnnn",
                          "5|5|5000|0|1||||ffffffffffffffff\001ab|60000|3 6 1 a"),
                  "OK 5000-0");
    assert_starts(restore(r, fence, BUCKET, "6|0|9000|0|1||||||"), "OK");
    assert_field(r, "w:m:{1bz}", "t", "9000");
    assert_field(r, "w:m:{1bz}", "s", "6");
    assert_field(r, "w:m:{1bz}", "wCNY", "-700");
    assert_field(r, "w:a:{1bz}:a", "b", "-200");
    assert_field(r, "w:a:{1bz}:a", "o", "500");
    assert_field(r, "w:a:{1bz}:a", "q", "2");
    assert_field(r, "w:a:{1bz}:a", "v", "3");
    reply = rig_ask(r, "LRANGE", "w:h:{1bz}:a", "0", "-1");
    assert_int_equal(reply->elements, 2);
    assert_string_equal(reply->element[0]->str, "20000000000001000");
    freeReplyObject(reply);
    assert_true(redis_server_number(&r->server, "PTTL w:i:{1bz}:kkkkkkkkkkkkkkkk") <= 60000);

    stage_init(&s);
    p = stage_credit(&s, "a", "7");
    idem.field_count = 2;
    p.idem = &idem;
    assert_int_equal(rig_post(r, &p, 1, &op), POST_DONE); /* the answer stands */
    assert_true(op.result.is_replay && op.result.time_us == 1000 && op.result.seq == 3);
    assert_true(op.result.sides[0].balance == 700);
    op_end(&op);
    p.idem = NULL;
    assert_int_equal(rig_post(r, &p, 1, &op), POST_DONE); /* and the ledger goes on */
    assert_true(op.result.outcome == OUTCOME_OK && op.result.seq == 7 && op.result.time_us > 9000);
    assert_true(op.result.sides[0].balance == 500);
    op_end(&op);
    stage_fini(&s);
}

static void a_restored_movement_reaches_both_of_its_buckets(void **state)
{
    struct rig *r = *state;
    char fence[256];

    rig_flush(r);
    (void)said(rig_ask(r, "FCALL", LIBRARY_NAME "_lock", "2", "w:l:migration", "w:f:migration",
                       "me", "600000"),
               fence);
    memmove(fence, fence + 3, strlen(fence) - 2);
#define OTHER "|w:m:{53p}|w:j:{53p}|w:o:{53p}"
    assert_starts(restore(r, fence, BUCKET A, "1|1|1000|0|1|CNY 2||||||a|1|500|0|"), "OK 1000-1");
    assert_starts(restore(r, fence, "w:l:migration" OTHER "|w:a:{53p}:b|w:h:{53p}:b",
                          "2|1|3000|1|1|CNY 2||||||b|1|0|0|"),
                  "OK 3000-1");
    /* its time is new in one bucket and not in the other */
    assert_starts(restore(r, fence, BUCKET OTHER A "|w:a:{53p}:b|w:h:{53p}:b",
                          "3|4|2000|0|2|CNY 2||||||a|1|-300|0|-300|b|2|300|0|300"),
                  "NO time goes back");
    assert_starts(restore(r, fence, BUCKET OTHER A "|w:a:{53p}:b|w:h:{53p}:b",
                          "3|4|4000|0|2|CNY 2||||||a|1|-300|0|-300|b|2|300|0|300"),
                  "OK 4000-0");
    assert_starts(restore(r, fence, BUCKET OTHER A "|w:a:{53p}:b|w:h:{53p}:b",
                          "3|4|4000|0|2|CNY 2||||||a|1|-300|0|-300|b|2|300|0|300"),
                  "DUP");
    assert_field(r, "w:a:{1bz}:a", "b", "-300");
    assert_field(r, "w:a:{53p}:b", "b", "300");
    assert_field(r, "w:m:{53p}", "s", "3");
    assert_field(r, "w:m:{1bz}", "s", "3");
    assert_field(r, "w:m:{53p}", "r", "3");
    rig_say(r, "DEL", "w:l:migration"); /* it ran out, and somebody else has it */
    assert_starts(restore(r, fence, BUCKET OTHER A "|w:a:{53p}:b|w:h:{53p}:b",
                          "4|4|5000|0|2|CNY 2||||||a|1|-1|0|-301|b|2|1|0|301"),
                  "FENCED");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_answered),
        cmocka_unit_test(a_right_that_lacks_is_found_before_the_first_posting),
        cmocka_unit_test(no_number_but_a_canonical_one_is_an_argument),
        cmocka_unit_test(an_account_of_fifteen_digits_is_exact),
        cmocka_unit_test(world_is_exact_where_doubles_are_not),
        cmocka_unit_test(a_key_of_another_type_stops_everything),
        cmocka_unit_test(a_value_of_another_form_stops_everything),
        cmocka_unit_test(keys_and_journals_of_another_form_stop_everything),
        cmocka_unit_test(too_late_is_never_applied),
        cmocka_unit_test(time_rises_in_every_bucket_whatever_the_clock_does),
        cmocka_unit_test(full_memory_refuses_what_moves_money_and_nothing_else),
        cmocka_unit_test(a_lock_has_one_owner_and_a_rising_fence),
        cmocka_unit_test(a_restored_ledger_is_one),
        cmocka_unit_test(a_restored_movement_reaches_both_of_its_buckets),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}

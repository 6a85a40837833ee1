/* wallet.lua and its keys, on a real server: it touches only those that it was given, empties none of them, and mixes no decimals. */
#include "unit/store/redis/rig.h"

enum { MANY = 4096, KEYS_MAX = 16, CALL_BYTES_MAX = 64 * 1024 };

/* ---- one call, and the keys that it declares ---- */

struct call {
    struct buf bytes;
    struct slice keys[KEYS_MAX]; /* in bytes */
    unsigned key_count;
};

/* A head of RESP: its number. */
static size_t take_head(struct slice *rest, char type)
{
    size_t number = 0, at = 1;

    assert_true(rest->len > 0 && rest->ptr[0] == type);
    for (; at < rest->len && rest->ptr[at] != '\r'; at++) {
        assert_true(rest->ptr[at] >= '0' && rest->ptr[at] <= '9' && number < CALL_BYTES_MAX);
        number = number * 10 + (size_t)(rest->ptr[at] - '0');
    }
    assert_true(at > 1 && at + 2 <= rest->len);
    *rest = slice_make(rest->ptr + at + 2, rest->len - at - 2);
    return number;
}

static struct slice take_word(struct slice *rest)
{
    const size_t len = take_head(rest, '$');
    const struct slice word = slice_make(rest->ptr, len);

    assert_true(len + 2 <= rest->len);
    *rest = slice_make(rest->ptr + len + 2, rest->len - len - 2);
    return word;
}

static void call_make(struct call *c, const struct posting *p)
{
    struct slice rest, count;

    buf_init(&c->bytes, CALL_BYTES_MAX);
    assert_int_equal(post_encode(&c->bytes, p, MANY, INT64_MAX, rig_ttl_us), ERR_OK);
    rest = buf_slice(&c->bytes);
    assert_true(take_head(&rest, '*') > 3);
    assert_true(slice_equal(take_word(&rest), SLICE("FCALL")));
    assert_true(slice_equal(take_word(&rest), SLICE(LIBRARY_NAME "_post")));
    count = take_word(&rest);
    c->key_count = 0;
    for (size_t i = 0; i < count.len; i++) {
        c->key_count = c->key_count * 10 + (unsigned)(count.ptr[i] - '0');
    }
    assert_in_range(c->key_count, 5, KEYS_MAX);
    for (unsigned i = 0; i < c->key_count; i++) {
        c->keys[i] = take_word(&rest);
        assert_true(slice_starts_with(c->keys[i], SLICE("w:")));
    }
}

/* As this connection's user. The caller's reply. */
static redisReply *call_send(const struct call *c, struct rig *r)
{
    buf_append_slice(&r->out, buf_slice(&c->bytes));
    return rig_exchange(r);
}

/* A pattern that only this key matches. */
static void word_pattern(struct buf *out, struct slice key)
{
    char text[1 + 2 * NAMES_KEY_BYTES_MAX] = "~";
    size_t len = 1;

    assert_true(key.len <= NAMES_KEY_BYTES_MAX);
    for (size_t i = 0; i < key.len; i++) {
        if (memchr("*?[]\\", key.ptr[i], 5) != NULL) {
            text[len++] = '\\';
        }
        text[len++] = key.ptr[i];
    }
    resp_word(out, slice_make(text, len));
}

/* Give the user `caller` the service's commands, as docs/redis.md lists them, and the call's keys but for one. */
static void allow_keys_but(struct rig *r, const struct call *c, unsigned but)
{
    static const char *const words[] = {"ACL",
                                        "SETUSER",
                                        "caller",
                                        "reset",
                                        "on",
                                        "nopass",
                                        "resetchannels",
                                        "-@all",
                                        "+fcall",
                                        "+fcall_ro",
                                        "+del",
                                        "+exists",
                                        "+get",
                                        "+set",
                                        "+pexpire",
                                        "+pttl",
                                        "+hdel",
                                        "+hget",
                                        "+hgetall",
                                        "+hmget",
                                        "+hset",
                                        "+hsetnx",
                                        "+llen",
                                        "+lindex",
                                        "+lrange",
                                        "+rpush",
                                        "+xadd",
                                        "+xrange",
                                        "+xrevrange",
                                        "+scan",
                                        "+time",
                                        "+ping",
                                        "+info",
                                        "+role",
                                        "+wait",
                                        "+config|get",
                                        "+client|no-evict",
                                        "+acl|dryrun"};
    const unsigned kept = c->key_count - (but < c->key_count ? 1 : 0);
    redisReply *reply;

    resp_begin(&r->out, (unsigned)ARRAY_LEN(words) + kept);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        resp_text(&r->out, words[i]);
    }
    for (unsigned i = 0; i < c->key_count; i++) {
        if (i != but) {
            word_pattern(&r->out, c->keys[i]);
        }
    }
    reply = rig_exchange(r);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("ACL SETUSER: %s", reply->str);
    }
    freeReplyObject(reply);
}

static void assert_answer(redisReply *reply, const char *wanted, const char *what)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", what, reply->str);
    }
    if (reply->type == REDIS_REPLY_STRING) { /* of a first answer */
        assert_string_equal(wanted, "OK");
        assert_true(strncmp(reply->str, "OK ", 3) == 0);
        return;
    }
    assert_true(reply->type == REDIS_REPLY_ARRAY && reply->elements >= 1);
    if (strcmp(reply->element[0]->str, wanted) != 0) {
        fail_msg("%s: %s %s instead of %s", what, reply->element[0]->str,
                 reply->elements > 1 && reply->element[1]->str != NULL ? reply->element[1]->str : "",
                 wanted);
    }
}

/* What a refusal of rights is written down as, also one within a function that went on: none. */
static void assert_nothing_was_denied(struct rig *r, const char *what)
{
    redisReply *reply = rig_ask(r, "ACL", "LOG");

    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *entry = reply->element[i];
        for (size_t k = 0; k + 1 < entry->elements; k += 2) {
            if (strcmp(entry->element[k]->str, "object") == 0) {
                fail_msg("%s: it was denied %s", what, entry->element[k + 1]->str);
            }
        }
    }
    assert_int_equal(reply->elements, 0);
    freeReplyObject(reply);
}

/* The entry that answers is of this kind: 5 is a refusal that its key remembers. */
static void assert_declared(struct rig *r, struct rig *caller, const struct posting *p, char kind,
                            const char *what)
{
    const uint64_t hash =
        rig_hash(r); /* every key and its value: also how many there are, and each journal's length */
    redisReply *reply;
    struct call c;

    call_make(&c, p);
    for (unsigned i = 0; i < c.key_count; i++) {
        allow_keys_but(r, &c, i);
        reply = call_send(&c, caller);
        if (reply->type != REDIS_REPLY_ERROR || strncmp(reply->str, "NOPERM", 6) != 0 ||
            rig_hash(r) != hash) {
            fail_msg("%s: without " SLICE_FORMAT " it is not refused whole", what,
                     SLICE_ARGS(c.keys[i]));
        }
        freeReplyObject(reply);
    }
    rig_say(r, "ACL", "LOG", "RESET");
    allow_keys_but(r, &c, c.key_count);
    reply = call_send(&c, caller);
    assert_answer(reply, "OK", what);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_int_equal(strchr(reply->str + strlen("OK "), ' ')[1], kind); /* "OK <id> <e>" */
    freeReplyObject(reply);
    assert_true(rig_hash(r) != hash);
    if (p->idem != NULL) {
        reply = call_send(&c, caller);
        assert_answer(reply, "DUP", what);
        freeReplyObject(reply);
    }
    assert_nothing_was_denied(r, what);
    buf_fini(&c.bytes);
}

/* A key whose raw bytes are those that a pattern would take for its own. */
static struct idem raw_key(char first)
{
    struct idem idem = stage_key('k', 'f');

    memcpy(idem.scope, "?*?[]\\^{}-\x01\x7f\x80\xff*\\", sizeof(idem.scope));
    idem.scope[0] = (uint8_t)first;
    return idem;
}

static void every_key_is_declared(void **state)
{
    const struct posting_words words = {.open_currency = cur("CNY"),
                                        .metadata = SLICE("{\"tier\":\"gold\"}")};
    struct rig *r = *state;
    struct rig caller = {.server = r->server};
    struct idem opens = raw_key('1'), known = raw_key('2'), moves = raw_key('3'),
                refused = raw_key('4');
    struct posting p;
    struct stage s;

    rig_flush(r);
    stage_init(&s);
    assert_true(names_bucket(SLICE("a"), MANY) != names_bucket(SLICE("b"), MANY));
    rig_say(r, "ACL", "SETUSER", "caller", "reset", "on", "nopass");
    buf_init(&caller.out, RIG_BYTES_MAX);
    rig_connect(&caller);
    rig_say(&caller, "AUTH", "caller", "x");

    p = stage_credit(&s, "a", "10");
    p.idem = &opens;
    assert_declared(r, &caller, &p, '2', "a credit that opens");
    p = stage_credit(&s, "a", "10");
    p.idem = &known;
    assert_declared(r, &caller, &p, '2', "a credit of a known account");
    assert_int_equal(posting_open(&s.arena, SLICE("b"), dec("5"), &words, &p), ERR_OK);
    assert_declared(r, &caller, &p, '1', "an open with metadata");
    p = stage_transfer(&s, "a", "b", "3");
    p.idem = &moves;
    assert_declared(r, &caller, &p, '4', "a transfer over two buckets");
    p = stage_debit(&s, "a", "1000");
    p.idem = &refused;
    assert_declared(r, &caller, &p, '5', "a refusal under a key");

    rig_disconnect(&caller);
    buf_fini(&caller.out);
    rig_say(r, "ACL", "DELUSER", "caller");
    stage_fini(&s);
}

/* ---- what is written stays ---- */

/* Post and expect; every key that was there is there afterwards, but for idempotency keys, whose time runs out. */
static void must_keep(struct rig *r, const struct posting *p, enum outcome wanted)
{
    redisReply *before = rig_ask(r, "KEYS", "w:[amjho]:*");

    assert_int_equal(before->type, REDIS_REPLY_ARRAY);
    rig_must(r, p, MANY, wanted);
    for (size_t i = 0; i < before->elements; i++) {
        redisReply *reply;
        resp_begin(&r->out, 2);
        resp_text(&r->out, "EXISTS");
        resp_word(&r->out, reply_text(before->element[i]));
        reply = rig_exchange(r);
        if (reply->type != REDIS_REPLY_INTEGER || reply->integer != 1) {
            fail_msg("%s is gone", before->element[i]->str);
        }
        freeReplyObject(reply);
    }
    freeReplyObject(before);
}

static void assert_account(struct rig *r, const char *id, int64_t balance, const char *held)
{
    const struct slice name = slice_of(id);
    const struct names_key key = names_account(names_bucket(name, MANY), name);
    char text[64];

    rig_field(r, key, "b", text);
    assert_string_not_equal(text, "");
    assert_true(rig_number(r, key, "b") == balance);
    rig_field(r, key, "h", text);
    assert_string_equal(text, held);
}

static void no_key_is_ever_emptied(void **state)
{
    struct posting_leg legs[] = {{.account = SLICE("a"), .held = {6, 0}}, {.account = SLICE("b")}};
    struct posting p, hold = {.kind = RECORD_TRANSFER, .legs = legs, .leg_count = 1};
    struct rig *r = *state;
    struct stage s;

    rig_flush(r);
    stage_init(&s);
    p = stage_credit(&s, "a", "10");
    must_keep(r, &p, OUTCOME_OK);
    p = stage_credit(&s, "b", "1");
    must_keep(r, &p, OUTCOME_OK);
    must_keep(r, &hold, OUTCOME_OK);
    assert_account(r, "a", 1000, "600");
    legs[0].held.coefficient = -6;
    must_keep(r, &hold, OUTCOME_OK); /* released */
    assert_account(r, "a", 1000, "");
    legs[0].held.coefficient = 10;
    must_keep(r, &hold, OUTCOME_OK);
    legs[0].held.coefficient = -10; /* a capture of all there is */
    legs[0].balance = (struct decimal){-10, 0};
    legs[1].balance = (struct decimal){10, 0};
    hold.leg_count = 2;
    must_keep(r, &hold, OUTCOME_OK);
    assert_account(r, "a", 0, "");
    assert_account(r, "b", 1100, "");
    must_keep(r, &hold, OUTCOME_INSUFFICIENT_BALANCE);
    p = stage_debit(&s, "b", "11");
    must_keep(r, &p, OUTCOME_OK);
    assert_account(r, "b", 0, "");
    p = stage_credit(&s, "a", "1");
    must_keep(r, &p, OUTCOME_OK);
    p = stage_debit(&s, "a", "1");
    must_keep(r, &p, OUTCOME_OK);
    assert_account(r, "a", 0, "");
    stage_fini(&s);
}

/* ---- decimals ---- */

static void balance_is(struct rig *r, const char *key, const char *wanted)
{
    redisReply *reply = rig_ask(r, "HGET", key, "b");

    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, wanted);
    freeReplyObject(reply);
}

/* As after a change of the ISO table between the two openings. */
static void accounts_of_different_decimals_do_not_mix(void **state)
{
    const struct names_key a = names_account(0, SLICE("a")), b = names_account(0, SLICE("b"));
    char a_key[NAMES_KEY_BYTES_MAX + 1], b_key[NAMES_KEY_BYTES_MAX + 1];
    struct rig *r = *state;
    struct posting p;
    struct stage s;

    (void)snprintf(a_key, sizeof(a_key), SLICE_FORMAT, SLICE_ARGS(names_slice(&a)));
    (void)snprintf(b_key, sizeof(b_key), SLICE_FORMAT, SLICE_ARGS(names_slice(&b)));
    rig_flush(r);
    stage_init(&s);
    p = stage_credit(&s, "a", "1");
    rig_must(r, &p, 1, OUTCOME_OK);
    p = stage_credit(&s, "b", "1");
    rig_must(r, &p, 1, OUTCOME_OK);
    rig_say(r, "HSET", b_key, "c", "CNY 0");
    p = stage_transfer(&s, "a", "b", "1");
    rig_must(r, &p, 1, OUTCOME_CURRENCY_MISMATCH);
    p = stage_transfer(&s, "b", "a", "1");
    rig_must(r, &p, 1, OUTCOME_CURRENCY_MISMATCH);
    balance_is(r, a_key, "100");
    balance_is(r, b_key, "100");
    stage_fini(&s);
}

/* Each letter has its word, and no other letter is known. */
static void the_letters_say_what_words_there_are(void **state)
{
    static const char *const bad[] = {"z", "O", "ho", "o ", "oz", "%", "okt", "ok", "oh", "oo"};
    static const char *const keyed[][3] = {
        {"ok", "1000", "0"},  {"okt", "1000", "0"}, {"oktl", "x", "0"},    {"oktl", "0", "0"},
        {"oktl", "1e3", "0"}, {"oktl", "", "0"},    {"oktl", "-1000", "0"}};
    struct rig *r = *state;
    redisReply *reply;
    uint64_t hash;

    rig_flush(r);
    hash = rig_hash(r);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        reply = rig_ask(r, "FCALL", LIBRARY_NAME "_post", "5", "w:m:{0}", "w:j:{0}", "w:o:{0}",
                        "w:a:{0}:a", "w:h:{0}:a", "2", "9223372036854775807", "0", "1", bad[i],
                        "CNY 2", "a", "1+", "5", "0", "@world", "1", "-5", "0");
        assert_answer(reply, "BROKEN", bad[i]);
        freeReplyObject(reply);
    }
    for (size_t i = 0; i < ARRAY_LEN(keyed); i++) { /* a key without what it is to be written with */
        const char *words[24] = {"FCALL",
                                 LIBRARY_NAME "_post",
                                 "6",
                                 "w:m:{0}",
                                 "w:j:{0}",
                                 "w:o:{0}",
                                 "w:a:{0}:a",
                                 "w:h:{0}:a",
                                 "w:i:{0}:k",
                                 "2",
                                 "9223372036854775807",
                                 "0",
                                 "1",
                                 keyed[i][0],
                                 "CNY 2",
                                 "ffffffffffffffff\001ab"};
        static const char *const legs[] = {"a", "1+", "5", "0", "@world", "1", "-5", "0"};
        unsigned count = 16;
        for (size_t k = 0; k + 2 < strlen(keyed[i][0]); k++) {
            words[count++] = keyed[i][1 + k];
        }
        resp_begin(&r->out, count + (unsigned)ARRAY_LEN(legs));
        for (unsigned k = 0; k < count; k++) {
            resp_text(&r->out, words[k]);
        }
        for (size_t k = 0; k < ARRAY_LEN(legs); k++) {
            resp_text(&r->out, legs[k]);
        }
        reply = rig_exchange(r);
        assert_answer(reply, "BROKEN", keyed[i][0]);
        freeReplyObject(reply);
    }
    /* @world is the lead bucket's */
    reply = rig_ask(r, "FCALL", LIBRARY_NAME "_post", "8", "w:m:{0}", "w:j:{0}", "w:o:{0}", "w:m:{1}",
                    "w:j:{1}", "w:o:{1}", "w:a:{0}:a", "w:h:{0}:a", "2", "9223372036854775807", "0",
                    "2", "o", "CNY 2", "a", "1+", "5", "0", "@world", "2", "-5", "0");
    assert_answer(reply, "BROKEN", "place of @world");
    freeReplyObject(reply);
    reply = rig_ask(r, "FCALL", LIBRARY_NAME "_post", "5", "w:m:{0}", "w:j:{0}", "w:o:{0}",
                    "w:a:{0}:a", "w:h:{0}:a", "2", "9223372036854775807", "0", "1", "co", "USD",
                    "CNY 2", "a", "1+", "5", "0", "@world", "1", "-5", "0");
    assert_answer(reply, "NO", "oc");
    assert_int_equal(reply->element[1]->integer, OUTCOME_CURRENCY_MISMATCH);
    freeReplyObject(reply);
    assert_true(rig_hash(r) == hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_letters_say_what_words_there_are),
        cmocka_unit_test(every_key_is_declared),
        cmocka_unit_test(no_key_is_ever_emptied),
        cmocka_unit_test(accounts_of_different_decimals_do_not_mix),
    };
    return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}

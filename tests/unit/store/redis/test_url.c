/* The forms of REDIS_ADDR, and everything that is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/redis/url.h"

static struct redis_url parsed(const char *text)
{
    struct redis_url url;
    struct err_text why = {""};

    memset(&url, 0x55, sizeof(url));
    if (redis_url_parse(slice_of(text), &url, &why) != ERR_OK) {
        fail_msg("%s: %s", text, why.text);
    }
    assert_string_equal(why.text, "");
    return url;
}

static void one_server(void **state)
{
    static const struct {
        const char *text, *host;
        uint16_t port;
        bool is_tls;
        const char *user, *password;
    } rows[] = {
        {"127.0.0.1:6380", "127.0.0.1", 6380, false, "", ""},
        {"localhost", "localhost", 6379, false, "", ""},
        {"redis-1.my_net.example:1", "redis-1.my_net.example", 1, false, "", ""},
        {"[::1]:6380", "::1", 6380, false, "", ""},
        {"[fe80::1:2]", "fe80::1:2", 6379, false, "", ""},
        {"redis://h", "h", 6379, false, "", ""},
        {"redis://h:65535", "h", 65535, false, "", ""},
        {"redis://h:06379", "h", 6379, false, "", ""},
        {"redis://h/", "h", 6379, false, "", ""},
        {"redis://h:7/0", "h", 7, false, "", ""},
        {"REDIS://h", "h", 6379, false, "", ""},
        {"rediss://h:7", "h", 7, true, "", ""},
        {"redis://[::1]:7", "::1", 7, false, "", ""},
        {"rediss://u:p@[2001:db8::1]", "2001:db8::1", 6379, true, "u", "p"},
        {"redis://u:p@h", "h", 6379, false, "u", "p"},
        {"redis://:p@h", "h", 6379, false, "", "p"},
        {"redis://u@h", "h", 6379, false, "u", ""},
        {"redis://u:@h", "h", 6379, false, "u", ""},
        {"redis://@h", "h", 6379, false, "", ""},
        {"redis://:@h", "h", 6379, false, "", ""},
        {"redis://u:a:b@h", "h", 6379, false, "u", "a:b"},
        {"redis://u:a@b@h", "h", 6379, false, "u", "a@b"},
        {"redis://u%3A%40:%2f%2F%25%C3%A9%20@h", "h", 6379, false, "u:@", "//%\xc3\xa9 "},
        {"redis://u:a+b,c?d#e@h", "h", 6379, false, "u", "a+b,c?d#e"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct redis_url url = parsed(rows[i].text);
        assert_int_equal(url.address_count, 1);
        assert_string_equal(url.addresses[0].host, rows[i].host);
        assert_int_equal(url.addresses[0].port, rows[i].port);
        assert_int_equal(url.is_tls, rows[i].is_tls);
        assert_string_equal(url.user, rows[i].user);
        assert_string_equal(url.password, rows[i].password);
        assert_false(url.is_sentinel);
        assert_string_equal(url.master_name, "");
    }
}

static void sentinels(void **state)
{
    struct redis_url url = parsed("redis+sentinel://u:p%2C@a:1,[::1],c/my.master-1_x");

    (void)state;
    assert_true(url.is_sentinel);
    assert_false(url.is_tls);
    assert_int_equal(url.address_count, 3);
    assert_string_equal(url.addresses[0].host, "a");
    assert_int_equal(url.addresses[0].port, 1);
    assert_string_equal(url.addresses[1].host, "::1");
    assert_int_equal(url.addresses[1].port, 26379);
    assert_string_equal(url.addresses[2].host, "c");
    assert_int_equal(url.addresses[2].port, 26379);
    assert_string_equal(url.user, "u");
    assert_string_equal(url.password, "p,");
    assert_string_equal(url.master_name, "my.master-1_x");
    url = parsed("rediss+sentinel://a/m");
    assert_true(url.is_tls && url.is_sentinel);
    url = parsed("redis+sentinel://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16/m");
    assert_int_equal(url.address_count, REDIS_SENTINELS_MAX);
    assert_string_equal(url.addresses[15].host, "16");
}

static void assert_refused_slice(struct slice text, enum err expected, const char *part)
{
    struct redis_url url;
    struct err_text why = {""};
    enum err e;

    memset(&url, 0x55, sizeof(url));
    e = redis_url_parse(text, &url, &why);
    if (e != expected || strstr(why.text, part) == NULL) {
        fail_msg("%.*s: %d %s", (int)text.len, text.ptr, (int)e, why.text);
    }
    for (size_t i = 0; i < sizeof(url); i++) {
        assert_int_equal(((const unsigned char *)&url)[i], 0x55); /* untouched */
    }
    assert_int_equal(redis_url_parse(text, &url, NULL), expected);
    /* no piece of the text, as it may be one of the password */
    assert_null(strstr(why.text, "sec"));
    assert_null(strstr(why.text, "ret"));
}

static void refusals(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "host is missing"},
        {":6379", "host is missing"},
        {"redis://", "host is missing"},
        {"redis://u:secret@", "host is missing"},
        {"redis://u:secret@:1", "host is missing"},
        {"redis:///0", "host is missing"},
        {"h:", "port"},
        {"h:0", "port"},
        {"h:65536", "port"},
        {"h:99999999999999999999", "port"},
        {"h:63x9", "port"},
        {"h:-1", "port"},
        {"h:+1", "port"},
        {"h: 1", "port"},
        {"redis://u:secret@h:x", "port"},
        {"redis://u:sec/ret@h", "port"}, /* what should be encoded looks like user:sec */
        {"redis://u:/secret@h", "port"},
        {"redis://u/secret@h", "nothing"},
        {"u:secret@h:1", "[ ]"},
        {"secret@h:1", "percent"},
        {"::1", "[ ]"},
        {"redis://::1:6379", "[ ]"},
        {"[::1", "without its ]"},
        {"[::1]x", "behind ]"},
        {"[::1]:", "port"},
        {"[]:1", "host is missing"},
        {"[1.2.3.4]", "IPv6"},
        {"[secret]", "IPv6"},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", "IPv6"},
        {"h h", "host"},
        {"h\xc3\xa9", "host"},
        {"redis://h?db=1", "host"},
        {"redis://h#x", "host"},
        {"redis://h/1", "database 0"},
        {"redis://h/00", "database 0"},
        {"redis://h:1/0/", "database 0"},
        {"redis://h/0?x", "database 0"},
        {"redis://a,b", "host"},
        {"http://h", "begins with"},
        {"://h", "begins with"},
        {"redis:/h", "port"},
        {"redisss://u:secret@h", "begins with"},
        {"unix:///run/redis.sock", "begins with"},
        {"redis://u:secret%@h", "%25"},
        {"redis://u:secret%2@h", "%25"},
        {"redis://u:secret%2g@h", "%25"},
        {"redis://u:secret%g2@h", "%25"},
        {"redis://%:secret@h", "%25"},
        {"redis://u:secret%00@h", "zero"},
        {"redis+sentinel://u:secret@a", "name-of-the-master"},
        {"redis+sentinel://a/", "name-of-the-master"},
        {"redis+sentinel://a/m/", "name of the master"},
        {"redis+sentinel://a/m secret", "name of the master"},
        {"redis+sentinel://a,/m", "host is missing"},
        {"redis+sentinel://,a/m", "host is missing"},
        {"redis+sentinel:///m", "host is missing"},
        {"redis+sentinel://a,b:x/m", "port"},
        {"redis+sentinel://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17/m", "16"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refused_slice(slice_of(rows[i].text), ERR_INVALID, rows[i].part);
    }
    assert_refused_slice(SLICE_NONE, ERR_INVALID, "host is missing");
    assert_refused_slice(SLICE("redis://h\0x"), ERR_INVALID, "host");
    assert_refused_slice(SLICE("redis://u:a\0b@h"), ERR_INVALID, "zero");
    assert_refused_slice(SLICE("redis+cluster://u:secret@h"), ERR_UNSUPPORTED, "Cluster");
    assert_refused_slice(SLICE("rediss+cluster://h"), ERR_UNSUPPORTED, "Cluster");
}

/* before, n times a letter, behind */
static struct slice stretched(char *text, size_t size, const char *before, unsigned n,
                              const char *behind)
{
    size_t len = strlen(before);

    assert_true(len + n + strlen(behind) < size);
    memcpy(text, before, len);
    memset(text + len, 'x', n);
    memcpy(text + len + n, behind, strlen(behind));
    return slice_make(text, len + n + strlen(behind));
}

static void limits(void **state)
{
    static const struct {
        const char *before, *behind;
        unsigned max;
        const char *part;
    } rows[] = {
        {"redis://", ":1", REDIS_HOST_BYTES_MAX, "255"},
        {"", "", REDIS_HOST_BYTES_MAX, "255"},
        {"redis://u:", "@h", REDIS_SECRET_BYTES_MAX, "255"},
        {"redis://u:%41", "@h", REDIS_SECRET_BYTES_MAX - 1, "255"},
        {"redis://", ":p@h", REDIS_SECRET_BYTES_MAX, "255"},
        {"redis+sentinel://h/", "", 127, "127"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[400];
        struct redis_url url;
        struct slice fits =
            stretched(text, sizeof(text), rows[i].before, rows[i].max, rows[i].behind);
        assert_int_equal(redis_url_parse(fits, &url, NULL), ERR_OK);
        assert_refused_slice(
            stretched(text, sizeof(text), rows[i].before, rows[i].max + 1, rows[i].behind),
            ERR_INVALID, rows[i].part);
    }
}

/* No text may be read past its end, whatever it is cut to. */
static void every_prefix(void **state)
{
    static const char *const texts[] = {
        "rediss+sentinel://us%41er:pa%42ss@[2001:db8::1]:26379,host:1,h/name",
        "redis://u:p@[::1]:6379/0",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t len = 0; len <= strlen(texts[i]); len++) {
            char exact[128];
            struct redis_url url;
            struct err_text why;
            enum err e;
            char *at = exact + sizeof(exact) - len; /* ends where the array ends */
            memcpy(at, texts[i], len);
            e = redis_url_parse(slice_make(at, len), &url, &why);
            assert_true(e == ERR_OK || e == ERR_INVALID);
            assert_true(len < strlen(texts[i]) || e == ERR_OK);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server), cmocka_unit_test(sentinels),    cmocka_unit_test(refusals),
        cmocka_unit_test(limits),     cmocka_unit_test(every_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

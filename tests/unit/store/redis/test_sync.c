/* The blocking connection, against a real server; against a scripted one for what a real one does not say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/sync.h"
#include "support/certs.h"
#include "support/redis_server.h"
#include "tls/tls.h"

static struct redis_server server;

static int start(void **state)
{
    (void)state;
    redis_server_start(&server, "");
    redis_server_say(&server, "ACL SETUSER alice on >open;sesame ~w:* +@all");
    redis_server_say(&server, "ACL SETUSER weak on >weak ~w:* -@all +hello");
    redis_server_say(&server, "ACL SETUSER off off >off +@all");
    redis_server_say(&server, "ACL SETUSER free on nopass ~* +@all");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    redis_server_stop(&server);
    return 0;
}

static struct redis_address local(uint16_t port)
{
    return (struct redis_address){.host = "127.0.0.1", .port = port};
}

static struct redis_url url_of(const char *user, const char *password)
{
    struct redis_url url = {.address_count = 1};

    memcpy(url.user, user, strlen(user) + 1);
    memcpy(url.password, password, strlen(password) + 1);
    return url;
}

static enum err open_as(const char *user, const char *password, struct sync **out,
                        struct err_text *why)
{
    const struct redis_url url = url_of(user, password);
    const struct redis_address address = local(server.port);

    return sync_open(&url, &address, NULL, "mywallet-test", 2000, out, why);
}

static struct sync *open_default(void)
{
    struct sync *s = NULL;
    struct err_text why = {""};

    assert_int_equal(open_as("", "", &s, &why), ERR_OK);
    assert_string_equal(why.text, "");
    return s;
}

static void assert_says(struct sync *s, const char *words, int type, const char *text)
{
    struct redisReply *reply = NULL;

    assert_int_equal(sync_say(s, &reply, words), ERR_OK);
    assert_int_equal(reply->type, type);
    assert_string_equal(reply->str, text);
    sync_free(reply);
}

static void where_it_goes(void **state)
{
    const struct redis_address name = {.host = "localhost", .port = server.port};
    const struct redis_url url = url_of("", "");
    struct redis_address at = {.port = 0};
    struct err_text why = {""};
    struct sync *s = NULL;

    (void)state;
    assert_int_equal(sync_open(&url, &name, NULL, NULL, 2000, &s, &why), ERR_OK);
    assert_int_equal(sync_peer(s, &at), ERR_OK);
    assert_string_equal(at.host, "127.0.0.1");
    assert_int_equal(at.port, server.port);
    sync_close(s);
}

static void commands_and_answers(void **state)
{
    struct sync *s = open_default();
    const struct slice set[] = {SLICE("SET"), SLICE("w:b"), {"a\0\r\nb", 5}};
    const struct slice empty[] = {SLICE("SET"), SLICE("w:e"), SLICE_NONE};
    struct redisReply *reply = NULL;

    (void)state;
    assert_says(s, "PING", REDIS_REPLY_STATUS, "PONG");
    assert_says(s, "CLIENT GETNAME", REDIS_REPLY_STRING, "mywallet-test");
    assert_int_equal(sync_call(s, 3, set, &reply), ERR_OK);
    sync_free(reply);
    assert_int_equal(sync_say(s, &reply, "GET w:b"), ERR_OK);
    assert_int_equal(reply->len, 5);
    assert_memory_equal(reply->str, "a\0\r\nb", 5);
    sync_free(reply);
    assert_int_equal(sync_call(s, 3, empty, &reply), ERR_OK);
    sync_free(reply);
    assert_says(s, "GET w:e", REDIS_REPLY_STRING, "");
    assert_says(s, "INCR w:b", REDIS_REPLY_ERROR,
                "ERR value is not an integer or out of range"); /* an error is a reply */
    assert_says(s, "PING", REDIS_REPLY_STATUS, "PONG");
    assert_int_equal(sync_say(s, &reply, "HGETALL w:none"), ERR_OK); /* RESP2: an array, not a map */
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    sync_free(reply);
    sync_free(NULL);
    sync_close(s);
    sync_close(NULL);
}

static void many_in_flight(void **state)
{
    enum { COUNT = 2000, BIG = 4 << 20 };
    struct sync *s = open_default();
    char *big = mem_alloc(BIG);
    const struct slice incr[] = {SLICE("INCR"), SLICE("w:n")};
    struct slice echo[] = {SLICE("ECHO"), SLICE_NONE};
    struct redisReply *reply = NULL;

    (void)state;
    assert_non_null(big);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(sync_send(s, 2, incr), ERR_OK);
    }
    assert_int_equal(
        sync_send_bytes(s, SLICE("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$3\r\nw:n\r\n")), ERR_OK);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(sync_next(s, &reply), ERR_OK);
        assert_int_equal(reply->integer, i + 1);
        sync_free(reply);
    }
    assert_int_equal(sync_next(s, &reply), ERR_OK);
    assert_string_equal(reply->str, "PONG");
    sync_free(reply);
    assert_int_equal(sync_next(s, &reply), ERR_OK);
    assert_string_equal(reply->str, "2000");
    sync_free(reply);
    memset(big, 'x', BIG);
    echo[1] = slice_make(big, BIG);
    assert_int_equal(sync_call(s, 2, echo, &reply), ERR_OK);
    assert_int_equal(reply->len, BIG);
    assert_memory_equal(reply->str, big, BIG);
    sync_free(reply);
    mem_free(big);
    sync_close(s);
}

static void users(void **state)
{
    static const struct {
        const char *user, *password;
        enum err expected;
        const char *part;
    } rows[] = {
        {"alice", "open;sesame", ERR_OK, ""},
        {"free", "", ERR_OK, ""},
        {"alice", "secret-wrong", ERR_INVALID, "WRONGPASS"},
        {"off", "off", ERR_INVALID, "WRONGPASS"},
        {"nobody", "x", ERR_INVALID, "WRONGPASS"},
        {"weak", "weak", ERR_OK, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sync *s = NULL;
        struct err_text why = {""};
        assert_int_equal(open_as(rows[i].user, rows[i].password, &s, &why), rows[i].expected);
        assert_non_null(strstr(why.text, rows[i].part));
        assert_null(strstr(why.text, "secret"));
        if (rows[i].expected != ERR_OK) {
            assert_null(s);
            assert_non_null(strstr(why.text, "127.0.0.1:"));
            continue;
        }
        if (rows[i].user[0] == 'w') {
            assert_says(s, "PING", REDIS_REPLY_ERROR,
                        "NOPERM this user has no permissions to run the 'ping' command");
        } else {
            assert_says(s, "ACL WHOAMI", REDIS_REPLY_STRING, rows[i].user);
        }
        sync_close(s);
    }
}

static void give_back_password(void **state)
{
    const struct slice words[] = {SLICE("CONFIG"), SLICE("SET"), SLICE("requirepass"), SLICE_NONE};
    struct redisReply *reply = NULL;
    struct sync *s = NULL;
    struct err_text why = {""};

    (void)state;
    redis_server_say(&server, "CONFIG SET requirepass hunter2");
    assert_int_equal(open_as("", "", &s, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "NOAUTH"));
    assert_null(s);
    assert_int_equal(open_as("", "hunter2", &s, &why), ERR_OK);
    assert_says(s, "ACL WHOAMI", REDIS_REPLY_STRING, "default");
    assert_int_equal(sync_call(s, 4, words, &reply), ERR_OK);
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    sync_free(reply);
    sync_close(s);
}

static void crowded_is_no_refusal(void **state)
{
    struct sync *s[3] = {NULL};
    struct err_text why = {""};

    (void)state;
    redis_server_say(&server, "CONFIG SET maxclients 2");
    s[0] = open_default();
    s[1] = open_default();
    assert_int_equal(open_as("", "", &s[2], &why), ERR_IO);
    assert_null(s[2]);
    sync_close(s[1]);
    assert_says(s[0], "CONFIG SET maxclients 1000", REDIS_REPLY_STATUS, "OK");
    sync_close(s[0]);
}

static void a_stopped_server_costs_the_time_and_the_connection(void **state)
{
    struct sync *s = open_default();
    struct redisReply *reply = NULL;
    struct err_text why = {""};
    struct sync *other = NULL;
    const struct redis_url url = url_of("", "");
    const struct redis_address address = local(server.port);
    uint64_t began;

    (void)state;
    sync_timeout(s, 150);
    redis_server_freeze(&server);
    began = clock_mono_us();
    assert_int_equal(sync_say(s, &reply, "PING"), ERR_TIMEOUT);
    assert_in_range(clock_mono_us() - began, 150000, 1500000);
    assert_null(reply);
    began = clock_mono_us();
    assert_int_equal(sync_open(&url, &address, NULL, NULL, 200, &other, &why), ERR_TIMEOUT);
    assert_in_range(clock_mono_us() - began, 199000, 1500000);
    assert_null(other);
    assert_non_null(strstr(why.text, "in time"));
    redis_server_thaw(&server);
    redis_server_say(&server, "PING");
    /* the late PONG must never be the answer to another question */
    assert_int_equal(sync_say(s, &reply, "ECHO x"), ERR_IO);
    assert_int_equal(sync_next(s, &reply), ERR_IO);
    assert_null(reply);
    sync_close(s);
}

/* A command that the socket does not take at once; the whole of it has the one deadline. */
static void a_large_command(void **state)
{
    enum { LARGE = 48 << 20 };
    struct sync *s = open_default();
    char *large = mem_alloc(LARGE);
    const struct slice set[] = {SLICE("SET"), SLICE("w:large"), {large, LARGE}};
    struct redisReply *reply = NULL;

    (void)state;
    assert_non_null(large);
    sync_timeout(s, 30000);
    assert_int_equal(sync_call(s, 3, set, &reply), ERR_OK);
    assert_int_equal(reply->type, REDIS_REPLY_STATUS);
    sync_free(reply);
    assert_int_equal(sync_say(s, &reply, "STRLEN w:large"), ERR_OK);
    assert_int_equal(reply->integer, LARGE);
    sync_free(reply);
    redis_server_say(&server, "DEL w:large");
    redis_server_freeze(&server);
    sync_timeout(s, 100);
    assert_int_equal(sync_send(s, 3, set), ERR_TIMEOUT);
    redis_server_thaw(&server);
    assert_int_equal(sync_say(s, &reply, "PING"), ERR_IO); /* behind half a command nothing is sent */
    sync_close(s);
    mem_free(large);
    assert_int_equal(redis_server_number(&server, "EXISTS w:large"), 0);
}

static void nobody_there(void **state)
{
    const struct redis_url url = url_of("", "");
    struct redis_address address = local(redis_server_free_port());
    struct err_text why = {""};
    struct sync *s = NULL;

    (void)state;
    assert_int_equal(sync_open(&url, &address, NULL, NULL, 1000, &s, &why), ERR_IO);
    assert_non_null(strstr(why.text, "refused"));
    address = (struct redis_address){.port = 1};
    memset(address.host, 'x', 64); /* longer than a part of a name may be: no resolver is asked */
    assert_int_equal(sync_open(&url, &address, NULL, NULL, 1000, &s, &why), ERR_IO);
    assert_non_null(strstr(why.text, "xxx:1: "));
    assert_int_equal(sync_open(&url, &address, NULL, NULL, 1000, &s, NULL), ERR_IO);
    assert_null(s);
    /* a name with several addresses, of which one has the server */
    address = (struct redis_address){.host = "localhost", .port = server.port};
    assert_int_equal(sync_open(&url, &address, NULL, NULL, 2000, &s, &why), ERR_OK);
    sync_close(s);
}

static void a_server_that_goes_away(void **state)
{
    struct redis_server other;
    struct redis_address address;
    const struct redis_url url = url_of("", "");
    struct redisReply *reply = NULL;
    struct sync *s = NULL;
    struct err_text why;

    (void)state;
    redis_server_start(&other, "");
    address = local(other.port);
    assert_int_equal(sync_open(&url, &address, NULL, NULL, 2000, &s, &why), ERR_OK);
    redis_server_stop(&other);
    assert_int_equal(sync_say(s, &reply, "PING"), ERR_IO);
    assert_int_equal(sync_say(s, &reply, "PING"), ERR_IO);
    assert_null(reply);
    sync_close(s);
}

/* ---- a server that says what the test wants, and waits until the client has gone ---- */

struct script {
    int listener;
    struct slice says;
    unsigned pause_us; /* between its bytes; 0: all at once */
    bool closes;
};

static void *play(void *arg)
{
    const struct script *script = arg;
    int fd = accept(script->listener, NULL, NULL);
    char bytes[256];

    (void)recv(fd, bytes, sizeof(bytes), 0);
    if (script->pause_us == 0) {
        (void)send(fd, script->says.ptr, script->says.len, MSG_NOSIGNAL);
    }
    for (size_t i = 0; script->pause_us != 0 && i < script->says.len; i++) {
        if (send(fd, script->says.ptr + i, 1, MSG_NOSIGNAL) != 1) {
            break;
        }
        (void)usleep(script->pause_us);
    }
    while (!script->closes && recv(fd, bytes, sizeof(bytes), 0) > 0) {
    }
    (void)close(fd);
    return NULL;
}

static enum err open_scripted(struct script script, struct err_text *why)
{
    const struct redis_url url = url_of("", "");
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    struct redis_address address;
    struct sync *s = NULL;
    pthread_t thread;
    enum err e;

    script.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(script.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(script.listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(listen(script.listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, play, &script), 0);
    address = local(ntohs(at.sin_port));
    e = sync_open(&url, &address, NULL, NULL, 300, &s, why);
    if (e == ERR_OK) {
        sync_close(s);
    } else {
        assert_null(s);
    }
    (void)pthread_join(thread, NULL);
    (void)close(script.listener);
    return e;
}

static void strange_peers(void **state)
{
    static const struct {
        struct script script;
        enum err expected;
        const char *part;
    } rows[] = {
        {{.says = SLICE("*2\r\n$5\r\nproto\r\n:2\r\n")}, ERR_OK, ""},
        {{.says = SLICE("HTTP/1.1 400 Bad Request\r\n\r\n")}, ERR_IO, "no Redis"},
        {{.says = SLICE("+OK\r\n")}, ERR_IO, "no Redis"},
        {{.says = SLICE("*2\r\n$5\r\npro"), .closes = true}, ERR_IO, "closed"},
        {{.says = SLICE_NONE, .closes = true}, ERR_IO, "closed"},
        {{.says = SLICE("*2\r\n$5\r\npro")}, ERR_TIMEOUT, "in time"},
        /* byte after byte, for longer than there is time: the deadline is the whole answer's */
        {{.says =
              SLICE("*2\r\n$90\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
          .pause_us = 10000},
         ERR_TIMEOUT,
         "in time"},
        {{.says = SLICE("-ERR unknown command 'HELLO'\r\n")}, ERR_INVALID, "unknown command"},
        {{.says = SLICE("-DENIED Redis is running in protected mode\r\n")}, ERR_INVALID, "DENIED"},
        {{.says = SLICE("-LOADING Redis is loading the dataset in memory\r\n")}, ERR_IO, "LOADING"},
        {{.says = SLICE("-ERR max number of clients reached\r\n"), .closes = true}, ERR_IO, "max"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err_text why = {""};
        assert_int_equal(open_scripted(rows[i].script, &why), rows[i].expected);
        assert_non_null(strstr(why.text, rows[i].part));
    }
}

static void out_of_memory(void **state)
{
    bool has_passed = false;

    (void)state;
    for (uint64_t nth = 1; nth < 50 && !has_passed; nth++) {
        struct sync *s = NULL;
        struct err_text why = {""};
        enum err e;
        mem_fail_at(nth, 0);
        e = open_as("", "", &s, &why);
        has_passed = mem_asked() < nth;
        mem_fail_at(0, 0);
        assert_true(e == (has_passed ? ERR_OK : ERR_NOMEM));
        assert_true((s != NULL) == (e == ERR_OK));
        sync_close(s);
    }
    assert_true(has_passed);
}

/* ---- TLS ---- */

static unsigned tls_timeout_ms = 5000;

static enum err open_tls(const struct redis_server *s, const char *host, const char *ca,
                         const char *cert, const char *key, const char *password,
                         struct err_text *why)
{
    const struct tls_options options = {.ca_file = ca, .cert_file = cert, .key_file = key};
    const struct redis_url url = url_of("", password);
    struct redis_address address = {.port = s->port};
    struct tls_context *context = NULL;
    struct sync *out = NULL;
    enum err e = tls_context_new(&options, &context, why);

    assert_int_equal(e, ERR_OK);
    memcpy(address.host, host, strlen(host) + 1);
    e = sync_open(&url, &address, context, "mywallet-tls", tls_timeout_ms, &out, why);
    if (e == ERR_OK) {
        static char big[300000];
        const struct slice echo[] = {SLICE("ECHO"), {big, sizeof(big)}};
        struct redisReply *reply = NULL;
        memset(big, 'y', sizeof(big));
        assert_says(out, "CLIENT GETNAME", REDIS_REPLY_STRING, "mywallet-tls");
        assert_int_equal(sync_send(out, 2, echo), ERR_OK);
        assert_int_equal(sync_call(out, 2, echo, &reply), ERR_OK);
        sync_free(reply);
        assert_int_equal(sync_next(out, &reply), ERR_OK);
        assert_int_equal(reply->len, sizeof(big));
        assert_memory_equal(reply->str, big, sizeof(big));
        sync_free(reply);
    }
    sync_close(out);
    tls_context_free(context);
    return e;
}

static void over_tls(void **state)
{
    struct redis_server secure;
    struct certs certs;
    struct err_text why = {""};
    char words[512];

    (void)state;
    certs_make(&certs);
    (void)snprintf(words, sizeof(words),
                   "--tls-cert-file %s --tls-key-file %s --tls-ca-cert-file %s --requirepass pw",
                   certs.server, certs.server_key, certs.ca);
    redis_server_start(&secure, words);
    assert_int_equal(
        open_tls(&secure, "127.0.0.1", certs.ca, certs.client, certs.client_key, "pw", &why), ERR_OK);
    assert_int_equal(
        open_tls(&secure, "localhost", certs.ca, certs.client, certs.client_key, "no", &why),
        ERR_INVALID);
    assert_non_null(strstr(why.text, "WRONGPASS"));
    assert_int_equal(
        open_tls(&secure, "127.0.0.1", certs.other_ca, certs.client, certs.client_key, "pw", &why),
        ERR_IO);
    assert_non_null(strstr(why.text, "TLS: "));
    assert_non_null(strstr(why.text, "certificate"));
    /* the server wants a certificate of the client */
    assert_int_equal(open_tls(&secure, "127.0.0.1", certs.ca, NULL, NULL, "pw", &why), ERR_IO);
    /* a plain client at a TLS port, and TLS at a plain one */
    {
        const struct redis_url url = url_of("", "pw");
        const struct redis_address address = local(secure.port);
        struct sync *s = NULL;
        assert_int_equal(sync_open(&url, &address, NULL, NULL, 1000, &s, &why), ERR_IO);
        assert_null(s);
    }
    tls_timeout_ms = 300;
    /* it may wait for the end of what looks like a line to it, or break off */
    assert_int_not_equal(open_tls(&server, "127.0.0.1", certs.ca, NULL, NULL, "", &why), ERR_OK);
    assert_non_null(strstr(why.text, "TLS: "));
    redis_server_freeze(&secure);
    assert_int_equal(open_tls(&secure, "127.0.0.1", certs.ca, NULL, NULL, "pw", &why), ERR_TIMEOUT);
    assert_non_null(strstr(why.text, "in time"));
    redis_server_stop(&secure);
    certs_remove(&certs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_goes),
        cmocka_unit_test(commands_and_answers),
        cmocka_unit_test(many_in_flight),
        cmocka_unit_test(users),
        cmocka_unit_test(give_back_password),
        cmocka_unit_test(crowded_is_no_refusal),
        cmocka_unit_test(a_stopped_server_costs_the_time_and_the_connection),
        cmocka_unit_test(a_large_command),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(a_server_that_goes_away),
        cmocka_unit_test(strange_peers),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(over_tls),
    };

    (void)signal(SIGPIPE, SIG_DFL); /* the connection must not need it ignored */
    return cmocka_run_group_tests(tests, start, stop);
}

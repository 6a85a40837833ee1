/* A client and a server session against each other, bytes carried by hand. */
#include "tls/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "support/certs.h"

enum { PLAIN_MAX = 8 << 20, ROUNDS_MAX = 10000 };

static struct certs certs;

/* One end: its session, the plain text that reached it, and how its last feed ended. */
struct end {
    struct tls_context *context;
    struct tls_session *session;
    struct buf plain, wire;
    enum err err;
    struct err_text why;
};

static struct tls_options client_options(void)
{
    return (struct tls_options){.ca_file = certs.ca};
}

static struct tls_options server_options(void)
{
    return (struct tls_options){
        .is_server = true, .cert_file = certs.server, .key_file = certs.server_key};
}

static void end_open(struct end *end, struct tls_options options, const char *host)
{
    *end = (struct end){0};
    buf_init(&end->plain, PLAIN_MAX);
    buf_init(&end->wire, PLAIN_MAX * 2);
    if (tls_context_new(&options, &end->context, &end->why) != ERR_OK) {
        fail_msg("%s", end->why.text);
    }
    assert_int_equal(tls_session_new(end->context, host, &end->session), ERR_OK);
}

static void end_close(struct end *end)
{
    tls_session_free(end->session);
    tls_context_free(end->context);
    buf_fini(&end->plain);
    buf_fini(&end->wire);
}

/* Carry what `from` has to say, at most `step` bytes a feed. Returns whether there was anything. */
static bool carry(struct end *from, struct end *to, size_t step)
{
    size_t len;

    buf_clear(&from->wire);
    assert_int_equal(tls_take(from->session, &from->wire), ERR_OK);
    for (size_t at = 0; at < from->wire.len; at += len) {
        len = from->wire.len - at < step ? from->wire.len - at : step;
        to->err = tls_feed(to->session, from->wire.ptr + at, len, &to->plain, &to->why);
    }
    return from->wire.len > 0;
}

static void talk(struct end *client, struct end *server, size_t step)
{
    for (int i = 0; i < ROUNDS_MAX; i++) {
        bool was_said = carry(client, server, step);

        was_said = carry(server, client, step) || was_said;
        if (!was_said) {
            return;
        }
    }
    fail_msg("they never come to an end");
}

static void open_pair(struct end *client, struct end *server)
{
    end_open(client, client_options(), "redis.test");
    end_open(server, server_options(), NULL);
    talk(client, server, SIZE_MAX);
    assert_true(tls_is_ready(client->session));
    assert_true(tls_is_ready(server->session));
    assert_int_equal(client->err, ERR_OK);
    assert_int_equal(server->err, ERR_OK);
}

static void assert_plain(const struct end *end, const char *text)
{
    assert_true(slice_equal(buf_slice(&end->plain), slice_of(text)));
}

static void assert_says(const struct err_text *why, const char *piece)
{
    if (strstr(why->text, piece) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", why->text, piece);
    }
}

static void byte_by_byte(void **state)
{
    struct end client, server;

    (void)state;
    end_open(&client, client_options(), "redis.test");
    end_open(&server, server_options(), NULL);
    /* said before the handshake is over: kept, in order */
    assert_int_equal(tls_write(client.session, "PI", 2), ERR_OK);
    assert_int_equal(tls_write(client.session, "NG", 2), ERR_OK);
    assert_int_equal(tls_write(server.session, "+OK", 3), ERR_OK);
    assert_false(tls_is_ready(client.session));
    talk(&client, &server, 1);
    assert_true(tls_is_ready(client.session));
    assert_true(tls_is_ready(server.session));
    assert_plain(&server, "PING");
    assert_plain(&client, "+OK");
    assert_int_equal(tls_write(server.session, "\r\n", 2), ERR_OK);
    assert_int_equal(tls_write(server.session, "", 0), ERR_OK);
    talk(&client, &server, 1);
    assert_plain(&client, "+OK\r\n");
    end_close(&client);
    end_close(&server);
}

/* Hosts that the certificate is for, and what stands for the same. */
static void right_hosts(void **state)
{
    static const char *const hosts[] = {"redis.test", "REDIS.test", "redis.test.", "localhost",
                                        "127.0.0.1",  "::1",        "0:0::1",      "::1%lo"};
    struct end client, server;

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        end_open(&client, client_options(), hosts[i]);
        end_open(&server, server_options(), NULL);
        talk(&client, &server, SIZE_MAX);
        assert_true(tls_is_ready(client.session));
        assert_int_equal(client.err, ERR_OK);
        end_close(&client);
        end_close(&server);
    }
}

/* A handshake that the client must break off, and the reason it must give; the server hears of it. */
static void refuses(struct tls_options of_client, struct tls_options of_server, const char *host,
                    const char *reason)
{
    struct end client, server;

    end_open(&client, of_client, host);
    end_open(&server, of_server, NULL);
    assert_int_equal(tls_write(client.session, "AUTH secret", 11), ERR_OK);
    talk(&client, &server, SIZE_MAX);
    assert_int_equal(client.err, ERR_IO);
    assert_says(&client.why, reason);
    assert_false(tls_is_ready(client.session));
    assert_int_equal(server.err, ERR_IO);
    assert_says(&server.why, "alert");
    assert_int_equal(server.plain.len, 0);
    /* and it stays broken */
    assert_int_equal(tls_feed(client.session, "x", 1, &client.plain, &client.why), ERR_IO);
    assert_int_equal(tls_write(client.session, "x", 1), ERR_IO);
    tls_end(client.session);
    end_close(&client);
    end_close(&server);
}

static void wrong_servers(void **state)
{
    struct tls_options of_server = server_options();
    struct tls_options of_client = client_options();

    (void)state;
    refuses(of_client, of_server, "other.test", "other.test");
    refuses(of_client, of_server, "other.test", "hostname mismatch");
    refuses(of_client, of_server, "127.0.0.2", "IP address mismatch");
    refuses(of_client, of_server, "::2", "IP address mismatch");
    of_server.cert_file = certs.expired;
    of_server.key_file = certs.expired_key;
    refuses(of_client, of_server, "redis.test", "expired");
    of_server.cert_file = certs.stranger;
    of_server.key_file = certs.stranger_key;
    refuses(of_client, of_server, "redis.test", "unable to get local issuer");
    of_client.ca_file = NULL; /* the system's roots do not know our test's either */
    refuses(of_client, server_options(), "redis.test", "issuer");
}

static void bad_hosts(void **state)
{
    struct tls_options options = client_options();
    struct tls_session *session = NULL;
    struct tls_context *context;
    struct err_text why;
    char longest[300];

    (void)state;
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(tls_context_new(&options, &context, &why), ERR_OK);
    assert_int_equal(tls_session_new(context, "", &session), ERR_INVALID);
    assert_int_equal(tls_session_new(context, longest, &session), ERR_INVALID);
    assert_int_equal(tls_session_new(context, "redis%eth0", &session), ERR_INVALID);
    assert_null(session);
    tls_context_free(context);
}

static void assert_refused(struct tls_options options, const char *piece)
{
    struct tls_context *context = NULL;
    struct err_text why = {""};

    assert_int_equal(tls_context_new(&options, &context, &why), ERR_INVALID);
    assert_null(context);
    assert_says(&why, piece);
}

static void bad_files(void **state)
{
    struct tls_options server = server_options();
    struct tls_options client = client_options();

    (void)state;
    assert_refused((struct tls_options){.ca_file = "/nowhere/ca.pem"}, "/nowhere/ca.pem: No such");
    assert_refused((struct tls_options){.ca_file = certs.server_key}, certs.server_key);
    assert_refused((struct tls_options){.is_server = true}, "needs a certificate");
    client.cert_file = certs.client;
    assert_refused(client, "without its key");
    client.cert_file = "";
    client.key_file = certs.client_key;
    assert_refused(client, "without its certificate");
    server.key_file = "/nowhere/server.key";
    assert_refused(server, "/nowhere/server.key: No such");
    server.key_file = certs.client_key;
    assert_refused(server, "not the key of the certificate");
    server.key_file = certs.rsa_key; /* of another kind */
    assert_refused(server, "not the key of the certificate");
    server.key_file = certs.server;
    assert_refused(server, certs.server);
    server.key_file = certs.locked_key;
    assert_refused(server, "pass phrase");
    server = server_options();
    server.cert_file = "/nowhere/server.pem";
    assert_refused(server, "/nowhere/server.pem: No such");
    server.cert_file = certs.server_key;
    assert_refused(server, certs.server_key);
    server = server_options();
    server.ca_file = "/nowhere/ca.pem";
    assert_refused(server, "/nowhere/ca.pem");
}

static void mutual(void **state)
{
    struct tls_options of_server = server_options();
    struct tls_options of_client = client_options();
    struct end client, server;

    (void)state;
    of_server.ca_file = certs.ca;
    of_client.cert_file = certs.client;
    of_client.key_file = certs.client_key;
    end_open(&client, of_client, "redis.test");
    end_open(&server, of_server, NULL);
    assert_int_equal(tls_write(client.session, "hello", 5), ERR_OK);
    talk(&client, &server, SIZE_MAX);
    assert_int_equal(client.err, ERR_OK);
    assert_plain(&server, "hello");
    end_close(&client);
    end_close(&server);

    /* none given: the server refuses, and the client hears why */
    end_open(&client, client_options(), "redis.test");
    end_open(&server, of_server, NULL);
    assert_int_equal(tls_write(client.session, "hello", 5), ERR_OK);
    talk(&client, &server, SIZE_MAX);
    assert_int_equal(server.err, ERR_IO);
    assert_says(&server.why, "did not return a certificate");
    assert_int_equal(server.plain.len, 0);
    assert_int_equal(client.err, ERR_IO);
    assert_says(&client.why, "certificate required");
    end_close(&client);
    end_close(&server);

    /* one of another root */
    of_client.cert_file = certs.stranger;
    of_client.key_file = certs.stranger_key;
    end_open(&client, of_client, "redis.test");
    end_open(&server, of_server, NULL);
    talk(&client, &server, SIZE_MAX);
    assert_int_equal(server.err, ERR_IO);
    assert_says(&server.why, "the certificate of the client does not hold");
    assert_int_equal(client.err, ERR_IO);
    assert_says(&client.why, "alert");
    end_close(&client);
    end_close(&server);
}

static void garbage(void **state)
{
    static const char plain_error[] = "-NOAUTH Authentication required.\r\n";
    struct end client, server;

    (void)state;
    end_open(&client, client_options(), "redis.test");
    assert_int_equal(
        tls_feed(client.session, plain_error, sizeof plain_error - 1, &client.plain, &client.why),
        ERR_IO);
    assert_says(&client.why, "TLS handshake: wrong version number"); /* not a certificate's fault */
    end_close(&client);

    end_open(&server, server_options(), NULL);
    assert_int_equal(
        tls_feed(server.session, "GET / HTTP/1.1\r\n\r\n", 18, &server.plain, &server.why), ERR_IO);
    assert_says(&server.why, "http request");
    end_close(&server);

    /* a byte of a record turned over */
    open_pair(&client, &server);
    assert_int_equal(tls_write(server.session, "balance 1", 9), ERR_OK);
    assert_int_equal(tls_take(server.session, &client.wire), ERR_OK);
    client.wire.ptr[client.wire.len - 3] ^= 1;
    assert_int_equal(
        tls_feed(client.session, client.wire.ptr, client.wire.len, &client.plain, &client.why),
        ERR_IO);
    assert_int_equal(client.plain.len, 0);
    assert_says(&client.why, "TLS: ");
    end_close(&client);
    end_close(&server);
}

static void goodbye(void **state)
{
    struct end client, server;

    (void)state;
    open_pair(&client, &server);
    assert_int_equal(tls_write(server.session, "last words", 10), ERR_OK);
    tls_end(server.session);
    tls_end(server.session);
    assert_int_equal(tls_write(server.session, "x", 1), ERR_IO);
    assert_true(carry(&server, &client, SIZE_MAX));
    assert_int_equal(client.err, ERR_NOT_FOUND);
    assert_plain(&client, "last words"); /* what came before the end is there */
    assert_int_equal(tls_feed(client.session, "x", 1, &client.plain, &client.why), ERR_NOT_FOUND);
    /* the other way is still open */
    assert_int_equal(tls_write(client.session, "thanks", 6), ERR_OK);
    tls_end(client.session);
    carry(&client, &server, SIZE_MAX);
    assert_plain(&server, "thanks");
    assert_int_equal(server.err, ERR_NOT_FOUND);
    end_close(&client);
    end_close(&server);
}

/* A stream that is cut says nothing: no plain text of half a record, and no orderly end. */
static void truncation(void **state)
{
    struct end client, server;

    (void)state;
    open_pair(&client, &server);
    assert_int_equal(tls_write(server.session, "half of it", 10), ERR_OK);
    buf_clear(&server.wire);
    assert_int_equal(tls_take(server.session, &server.wire), ERR_OK);
    assert_int_equal(
        tls_feed(client.session, server.wire.ptr, server.wire.len - 1, &client.plain, &client.why),
        ERR_OK);
    assert_int_equal(client.plain.len, 0);
    assert_int_equal(tls_feed(client.session, NULL, 0, &client.plain, &client.why), ERR_OK);
    assert_int_equal(client.plain.len, 0);
    assert_int_equal(tls_feed(client.session, server.wire.ptr + server.wire.len - 1, 1,
                              &client.plain, &client.why),
                     ERR_OK);
    assert_plain(&client, "half of it");
    end_close(&client);

    /* goodbye before the handshake is over: no crash, nothing said */
    end_open(&client, client_options(), "redis.test");
    tls_end(client.session);
    end_close(&client);
    end_close(&server);
}

static void fill(char *bytes, size_t len, unsigned seed)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)((i * 31 + i / 251 + seed) & 0xFF);
    }
}

static void large(void **state)
{
    enum { LEN = 3000001 };
    struct end client, server;
    char *up = mem_alloc(LEN), *down = mem_alloc(LEN);

    (void)state;
    assert_true(up != NULL && down != NULL);
    fill(up, LEN, 1);
    fill(down, LEN, 2);
    for (int i = 0; i < 2; i++) { /* before the handshake, and after */
        if (i == 0) {
            end_open(&client, client_options(), "redis.test");
            end_open(&server, server_options(), NULL);
        } else {
            open_pair(&client, &server);
        }
        assert_int_equal(tls_write(client.session, up, LEN / 2), ERR_OK);
        assert_int_equal(tls_write(client.session, up + LEN / 2, LEN - LEN / 2), ERR_OK);
        assert_int_equal(tls_write(server.session, down, LEN), ERR_OK);
        talk(&client, &server, 1999);
        assert_true(slice_equal(buf_slice(&server.plain), slice_make(up, LEN)));
        assert_true(slice_equal(buf_slice(&client.plain), slice_make(down, LEN)));
        end_close(&client);
        end_close(&server);
    }
    mem_free(up);
    mem_free(down);
}

/* A reader with little room gets it all, in pieces; a wire with too little keeps the rest. */
static void ceilings(void **state)
{
    char text[50000], got[50000];
    struct end client, server;
    struct buf small, wire;
    size_t len = 0;
    enum err e;

    (void)state;
    fill(text, sizeof text, 3);
    open_pair(&client, &server);
    assert_int_equal(tls_write(server.session, text, sizeof text), ERR_OK);
    buf_init(&wire, 1000);
    assert_int_equal(tls_take(server.session, &wire), ERR_FULL);
    buf_fini(&wire);
    buf_clear(&server.wire);
    assert_int_equal(tls_take(server.session, &server.wire), ERR_OK);
    assert_true(server.wire.len > sizeof text);
    buf_init(&small, 777);
    e = tls_feed(client.session, server.wire.ptr, server.wire.len, &small, &client.why);
    while (e == ERR_FULL) {
        assert_int_equal(small.len, 777);
        memcpy(got + len, small.ptr, small.len);
        len += small.len;
        buf_clear(&small);
        e = tls_feed(client.session, NULL, 0, &small, &client.why);
    }
    assert_int_equal(e, ERR_OK);
    memcpy(got + len, small.ptr, small.len);
    len += small.len;
    assert_int_equal(len, sizeof text);
    assert_memory_equal(got, text, sizeof text);
    buf_fini(&small);
    end_close(&client);
    end_close(&server);
}

/* Carry bytes between one of our sessions and a bare OpenSSL one. */
static void talk_bare(struct end *ours, SSL *bare, BIO *in, BIO *out)
{
    char bytes[20000];
    int len;

    for (int i = 0; i < 20; i++) {
        buf_clear(&ours->wire);
        assert_int_equal(tls_take(ours->session, &ours->wire), ERR_OK);
        if (ours->wire.len > 0) {
            assert_int_equal(BIO_write(in, ours->wire.ptr, (int)ours->wire.len), (int)ours->wire.len);
        }
        (void)SSL_do_handshake(bare);
        len = BIO_read(out, bytes, sizeof bytes);
        if (len > 0) {
            ours->err = tls_feed(ours->session, bytes, (size_t)len, &ours->plain, &ours->why);
        }
    }
}

/* What a peer of the given version gets from our client or our server. */
static void meet_version(struct end *ours, bool is_server, int version)
{
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_client_method() : TLS_server_method());
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL *bare;

    assert_int_equal(SSL_CTX_set_cipher_list(ctx, "DEFAULT@SECLEVEL=0"), 1);
    assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, certs.server, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, certs.server_key, SSL_FILETYPE_PEM), 1);
    bare = SSL_new(ctx);
    SSL_set_bio(bare, in, out);
    if (is_server) {
        SSL_set_connect_state(bare);
        end_open(ours, server_options(), NULL);
    } else {
        SSL_set_accept_state(bare);
        end_open(ours, client_options(), "redis.test");
    }
    talk_bare(ours, bare, in, out);
    SSL_free(bare);
    SSL_CTX_free(ctx);
}

static void versions(void **state)
{
    static const int good[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    struct end ours;

    (void)state;
    for (int is_server = 0; is_server < 2; is_server++) {
        for (size_t i = 0; i < 2; i++) {
            meet_version(&ours, is_server != 0, good[i]);
            assert_int_equal(ours.err, ERR_OK);
            assert_true(tls_is_ready(ours.session));
            end_close(&ours);
        }
        meet_version(&ours, is_server != 0, TLS1_1_VERSION);
        assert_false(tls_is_ready(ours.session));
        assert_int_equal(ours.err, ERR_IO);
        assert_says(&ours.why, is_server ? "unsupported protocol" : "version");
        end_close(&ours);
    }
}

/* What the client's first flight names: a host name, never an address. */
static void names_the_server(void **state)
{
    struct end client;

    (void)state;
    end_open(&client, client_options(), "redis.test");
    assert_int_equal(tls_take(client.session, &client.wire), ERR_OK);
    assert_non_null(memmem(client.wire.ptr, client.wire.len, "redis.test", 10));
    end_close(&client);
    end_open(&client, client_options(), "127.0.0.1");
    assert_int_equal(tls_take(client.session, &client.wire), ERR_OK);
    assert_null(memmem(client.wire.ptr, client.wire.len, "127.0.0.1", 9));
    end_close(&client);
}

static void out_of_memory(void **state)
{
    struct tls_options options = client_options();
    struct tls_context *context = NULL;
    struct tls_session *session = NULL;
    struct end client, server;
    struct err_text why;

    (void)state;
    mem_fail_at(1, 1);
    assert_int_equal(tls_context_new(&options, &context, &why), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_null(context);
    assert_int_equal(tls_context_new(&options, &context, &why), ERR_OK);
    mem_fail_at(1, 1);
    assert_int_equal(tls_session_new(context, "redis.test", &session), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_null(session);
    tls_context_free(context);

    end_open(&client, client_options(), "redis.test");
    mem_fail_at(1, 1);
    assert_int_equal(tls_write(client.session, "x", 1), ERR_NOMEM);
    assert_int_equal(tls_take(client.session, &client.wire), ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(tls_write(client.session, "x", 1), ERR_IO); /* no gap in a stream */
    end_close(&client);

    open_pair(&client, &server);
    assert_int_equal(tls_write(server.session, "hello", 5), ERR_OK);
    buf_clear(&server.wire);
    assert_int_equal(tls_take(server.session, &server.wire), ERR_OK);
    mem_fail_at(1, 1);
    assert_int_equal(
        tls_feed(client.session, server.wire.ptr, server.wire.len, &client.plain, &client.why),
        ERR_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(tls_feed(client.session, NULL, 0, &client.plain, &client.why), ERR_IO);
    end_close(&client);
    end_close(&server);
    tls_session_free(NULL);
    tls_context_free(NULL);
}

/* OpenSSL's memory, of which large pieces can be refused. */
static size_t refused_from = SIZE_MAX;

static void *openssl_alloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return len >= refused_from ? NULL : malloc(len);
}

static void *openssl_grow(void *old, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return len >= refused_from ? NULL : realloc(old, len);
}

static void openssl_free(void *old, const char *file, int line)
{
    (void)file;
    (void)line;
    free(old);
}

/* Some records of it were made, and one was not: nothing of what was said to have failed may reach the peer. */
static void a_write_that_fails_sends_nothing(void **state)
{
    enum { LEN = 1 << 20 };
    struct end client, server;
    char *bytes = mem_alloc(LEN);

    (void)state;
    assert_non_null(bytes);
    open_pair(&client, &server);
    refused_from = 100 * 1000;
    assert_int_equal(tls_write(client.session, bytes, LEN), ERR_IO);
    refused_from = SIZE_MAX;
    tls_end(client.session);
    (void)carry(&client, &server, SIZE_MAX);
    assert_int_equal(server.plain.len, 0);
    end_close(&client);
    end_close(&server);
    mem_free(bytes);
}

static int make(void **state)
{
    (void)state;
    certs_make(&certs);
    return 0;
}

static int unmake(void **state)
{
    (void)state;
    certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(right_hosts),
        cmocka_unit_test(wrong_servers),
        cmocka_unit_test(bad_hosts),
        cmocka_unit_test(bad_files),
        cmocka_unit_test(mutual),
        cmocka_unit_test(garbage),
        cmocka_unit_test(goodbye),
        cmocka_unit_test(truncation),
        cmocka_unit_test(large),
        cmocka_unit_test(ceilings),
        cmocka_unit_test(versions),
        cmocka_unit_test(names_the_server),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(a_write_that_fails_sends_nothing),
    };

    /* before OpenSSL takes its first memory */
    assert_int_equal(CRYPTO_set_mem_functions(openssl_alloc, openssl_grow, openssl_free), 1);
    return cmocka_run_group_tests(tests, make, unmake);
}

#include "tls/tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/assert.h"
#include "base/mem.h"
#include "tls/tls_internal.h"

enum {
    TLS_RECORD_BYTES_MAX = 16384,     /* plain text of one record, RFC 8446 5.1 */
    TLS_WAITING_BYTES_MAX = 64 << 20, /* plain text that waits for the end of the handshake */
    TLS_HOST_BYTES_MAX = 253,         /* the longest DNS name */
};

struct tls_session {
    SSL *ssl;
    BIO *in, *out;      /* the ssl's */
    struct buf waiting; /* plain text that could not be written yet */
    bool is_ready;
    bool is_broken;                    /* nothing more can be done with it */
    bool has_ended;                    /* the peer said goodbye */
    bool said_end;                     /* we did */
    char host[TLS_HOST_BYTES_MAX + 1]; /* "": a server's */
};

/* The name as certificates and SNI have it: without the dot that a full DNS name may end in. */
static enum err copy_host(struct tls_session *s, const char *host)
{
    size_t len = strlen(host);

    if (len > 1 && host[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len > TLS_HOST_BYTES_MAX) {
        return ERR_INVALID;
    }
    memcpy(s->host, host, len);
    s->host[len] = '\0';
    return ERR_OK;
}

static enum err verify_host(struct tls_session *s, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);
    size_t len = 0;
    enum err e = copy_host(s, host);
    char *zone;

    if (e != ERR_OK) {
        return e;
    }
    zone = strchr(s->host, '%'); /* fe80::1%eth0: the zone is not of the address */
    if (zone != NULL) {
        *zone = '\0';
    }
    if (inet_pton(AF_INET, s->host, address) == 1) {
        len = sizeof(struct in_addr);
    } else if (inet_pton(AF_INET6, s->host, address) == 1) {
        len = sizeof(struct in6_addr);
    } else if (zone != NULL) {
        return ERR_INVALID;
    }
    if (len > 0) { /* RFC 6066, 3: an address is no server name */
        return X509_VERIFY_PARAM_set1_ip(param, address, len) == 1 ? ERR_OK : ERR_NOMEM;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(param, s->host, 0) != 1 ||
        SSL_set_tlsext_host_name(s->ssl, s->host) != 1) {
        return ERR_NOMEM;
    }
    return ERR_OK;
}

static enum err attach(struct tls_session *s)
{
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    if (s->in == NULL || s->out == NULL) {
        BIO_free(s->in);
        BIO_free(s->out);
        return ERR_NOMEM;
    }
    /* empty means "not yet", never "the end": the socket's end is the caller's to see */
    (void)BIO_set_mem_eof_return(s->in, -1);
    SSL_set_bio(s->ssl, s->in, s->out);
    return ERR_OK;
}

/* Go on with the handshake as far as the bytes that are there allow. Returns SSL_ERROR_NONE when it is over. */
static int shake(struct tls_session *s)
{
    int answer;

    ERR_clear_error();
    answer = SSL_do_handshake(s->ssl);
    return answer == 1 ? SSL_ERROR_NONE : SSL_get_error(s->ssl, answer);
}

enum err tls_session_new(struct tls_context *c, const char *host, struct tls_session **out)
{
    struct tls_session *s;
    enum err e = ERR_NOMEM;

    ASSERT((host == NULL) == c->is_server);
    s = mem_alloc(sizeof *s);
    if (s == NULL) {
        return ERR_NOMEM;
    }
    buf_init(&s->waiting, TLS_WAITING_BYTES_MAX);
    ERR_clear_error();
    s->ssl = SSL_new(c->ctx);
    if (s->ssl == NULL) {
        goto fail_session;
    }
    e = attach(s);
    if (e != ERR_OK) {
        goto fail_ssl;
    }
    if (c->is_server) {
        SSL_set_accept_state(s->ssl);
    } else {
        e = verify_host(s, host);
        if (e != ERR_OK) {
            goto fail_ssl;
        }
        SSL_set_connect_state(s->ssl);
        if (shake(s) != SSL_ERROR_WANT_READ) {
            e = ERR_NOMEM;
            goto fail_ssl;
        }
    }
    *out = s;
    return ERR_OK;

fail_ssl:
    ERR_clear_error();
    SSL_free(s->ssl);
fail_session:
    mem_free(s);
    return e;
}

void tls_session_free(struct tls_session *s)
{
    if (s == NULL) {
        return;
    }
    SSL_free(s->ssl);
    if (s->waiting.len > 0) {
        OPENSSL_cleanse(s->waiting.ptr, s->waiting.len);
    }
    buf_fini(&s->waiting);
    mem_free(s);
}

bool tls_is_ready(const struct tls_session *s)
{
    return s->is_ready;
}

/* Why the last step failed; the session is of no more use, but an alert for the peer may stand in tls_take. */
static enum err break_off(struct tls_session *s, struct err_text *why)
{
    long verdict = SSL_get_verify_result(s->ssl);

    s->is_broken = true;
    if (verdict != X509_V_OK && !s->is_ready) {
        err_text_set(why, "the certificate of %s does not hold: %s",
                     s->host[0] == '\0' ? "the client" : s->host,
                     X509_verify_cert_error_string(verdict));
        ERR_clear_error();
    } else {
        tls_reason(why, s->is_ready ? "TLS" : "TLS handshake");
    }
    return ERR_IO;
}

/* All or nothing: there is always room in memory, and partial writes are not switched on. */
static int write_now(struct tls_session *s, const void *bytes, size_t len)
{
    size_t done = 0;
    int answer;

    ERR_clear_error();
    answer = SSL_write_ex(s->ssl, bytes, len, &done);
    if (answer != 1) {
        return SSL_get_error(s->ssl, answer);
    }
    ASSERT(done == len);
    return SSL_ERROR_NONE;
}

/* Write what waited, unless the ssl first wants to read. */
static enum err write_waiting(struct tls_session *s)
{
    int answer;

    if (s->waiting.len == 0) {
        return ERR_OK;
    }
    answer = write_now(s, s->waiting.ptr, s->waiting.len);
    if (answer == SSL_ERROR_WANT_READ) {
        return ERR_OK;
    }
    if (answer != SSL_ERROR_NONE) {
        return ERR_IO;
    }
    OPENSSL_cleanse(s->waiting.ptr, s->waiting.len); /* a password, perhaps */
    buf_fini(&s->waiting);                           /* rarely needed again */
    return ERR_OK;
}

static enum err read_plain(struct tls_session *s, struct buf *plain, struct err_text *why)
{
    char chunk[TLS_RECORD_BYTES_MAX];
    size_t got, room;
    int answer;

    for (;;) {
        room = plain->max - plain->len;
        ERR_clear_error();
        if (room == 0) {
            answer = SSL_peek_ex(s->ssl, chunk, 1, &got);
        } else {
            answer = SSL_read_ex(s->ssl, chunk, room < sizeof chunk ? room : sizeof chunk, &got);
        }
        if (answer != 1) {
            break;
        }
        if (room == 0) {
            err_text_set(why, "more plain text than there is room for");
            return ERR_FULL;
        }
        buf_append(plain, chunk, got);
        if (plain->err != ERR_OK) {
            s->is_broken = true; /* those bytes are lost */
            err_text_set(why, "out of memory");
            return plain->err;
        }
    }
    switch (SSL_get_error(s->ssl, answer)) {
    case SSL_ERROR_WANT_READ:
        return ERR_OK;
    case SSL_ERROR_ZERO_RETURN:
        s->has_ended = true;
        err_text_set(why, "the peer ended the connection");
        return ERR_NOT_FOUND;
    default:
        return break_off(s, why);
    }
}

enum err tls_feed(struct tls_session *s, const void *bytes, size_t len, struct buf *plain,
                  struct err_text *why)
{
    enum err e;
    int step;

    ASSERT(len <= INT_MAX);
    if (s->is_broken) {
        err_text_set(why, "TLS failed before");
        return ERR_IO;
    }
    if (s->has_ended) { /* what comes behind a goodbye is not authentic */
        err_text_set(why, "the peer ended the connection");
        return ERR_NOT_FOUND;
    }
    if (len > 0 && BIO_write(s->in, bytes, (int)len) != (int)len) {
        s->is_broken = true;
        err_text_set(why, "out of memory");
        return ERR_NOMEM;
    }
    if (!s->is_ready) {
        step = shake(s);
        if (step == SSL_ERROR_WANT_READ) {
            return ERR_OK;
        }
        if (step != SSL_ERROR_NONE) {
            return break_off(s, why);
        }
        s->is_ready = true;
    }
    e = read_plain(s, plain, why);
    if (e != ERR_IO && e != ERR_NOMEM && write_waiting(s) != ERR_OK) {
        return break_off(s, why);
    }
    return e;
}

enum err tls_write(struct tls_session *s, const void *bytes, size_t len)
{
    if (s->is_broken || s->said_end) {
        return ERR_IO;
    }
    if (len == 0) {
        return ERR_OK;
    }
    if (s->is_ready && s->waiting.len == 0) {
        switch (write_now(s, bytes, len)) {
        case SSL_ERROR_NONE:
            return ERR_OK;
        case SSL_ERROR_WANT_READ:
            break;
        default:
            /* the records that were made: the caller counts on none of them having left */
            (void)BIO_reset(s->out);
            return break_off(s, NULL);
        }
    }
    buf_append(&s->waiting, bytes, len);
    if (s->waiting.err != ERR_OK) {
        s->is_broken = true; /* a gap in the stream would be worse than its end */
        return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err tls_take(struct tls_session *s, struct buf *wire)
{
    size_t len = BIO_ctrl_pending(s->out);
    enum err e;
    int got;

    if (len == 0) {
        return ERR_OK;
    }
    e = buf_reserve(wire, len);
    if (e != ERR_OK) {
        return e;
    }
    ASSERT(len <= INT_MAX);
    got = BIO_read(s->out, wire->ptr + wire->len, (int)len);
    ASSERT(got == (int)len);
    wire->len += len;
    return ERR_OK;
}

void tls_end(struct tls_session *s)
{
    if (s->said_end) {
        return;
    }
    s->said_end = true;
    if (s->is_ready && !s->is_broken) {
        ERR_clear_error();
        (void)SSL_shutdown(s->ssl);
        ERR_clear_error();
    }
}

#include "tls/tls.h"

#include <string.h>

#include <openssl/err.h>

#include "base/mem.h"
#include "tls/tls_internal.h"

void tls_reason(struct err_text *why, const char *prefix)
{
    unsigned long code = ERR_get_error();
    const char *reason;
    char system[128];

    if (code == 0) {
        reason = "no reason given";
    } else if (ERR_SYSTEM_ERROR(code)) {
        reason = strerror_r(ERR_GET_REASON(code), system, sizeof system);
    } else {
        reason = ERR_reason_error_string(code);
    }
    err_text_set(why, "%s: %s", prefix, reason == NULL ? "unknown reason" : reason);
    ERR_clear_error();
}

static bool is_given(const char *file)
{
    return file != NULL && file[0] != '\0';
}

/* OpenSSL's own would ask at the terminal, and a service would wait there for ever. */
static int no_pass_phrase(char *text, int size, int is_writing, void *ctx)
{
    bool *was_asked = ctx;

    (void)text;
    (void)size;
    (void)is_writing;
    *was_asked = true;
    return -1;
}

static enum err load_key(SSL_CTX *ctx, const struct tls_options *options, struct err_text *why)
{
    bool was_asked = false;
    unsigned long code;
    bool is_good;

    SSL_CTX_set_default_passwd_cb(ctx, no_pass_phrase);
    SSL_CTX_set_default_passwd_cb_userdata(ctx, &was_asked);
    is_good = SSL_CTX_use_PrivateKey_file(ctx, options->key_file, SSL_FILETYPE_PEM) == 1 &&
              SSL_CTX_check_private_key(ctx) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
    SSL_CTX_set_default_passwd_cb(ctx, NULL);
    if (is_good) {
        return ERR_OK;
    }
    code = ERR_peek_error();
    if (was_asked) {
        err_text_set(why, "%s: the key has a pass phrase; it must be stored without one",
                     options->key_file);
    } else if (ERR_GET_LIB(code) == ERR_LIB_X509 ||
               (ERR_GET_LIB(code) == ERR_LIB_SSL &&
                ERR_GET_REASON(code) == SSL_R_NO_CERTIFICATE_ASSIGNED)) { /* of another kind */
        err_text_set(why, "%s: not the key of the certificate in %s", options->key_file,
                     options->cert_file);
    } else {
        tls_reason(why, options->key_file);
    }
    ERR_clear_error();
    return ERR_INVALID;
}

static enum err load_certificate(SSL_CTX *ctx, const struct tls_options *options, struct err_text *why)
{
    if (!is_given(options->cert_file)) {
        if (is_given(options->key_file)) {
            err_text_set(why, "%s: a key without its certificate file", options->key_file);
            return ERR_INVALID;
        }
        if (options->is_server) {
            err_text_set(why, "a TLS server needs a certificate file and a key file");
            return ERR_INVALID;
        }
        return ERR_OK;
    }
    if (!is_given(options->key_file)) {
        err_text_set(why, "%s: a certificate without its key file", options->cert_file);
        return ERR_INVALID;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, options->cert_file) != 1) {
        tls_reason(why, options->cert_file);
        return ERR_INVALID;
    }
    return load_key(ctx, options, why);
}

static enum err load_roots(SSL_CTX *ctx, const struct tls_options *options, struct err_text *why)
{
    STACK_OF(X509_NAME) * names;

    if (!is_given(options->ca_file)) {
        if (options->is_server) {
            return ERR_OK;
        }
        if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
            tls_reason(why, "the system's certificates");
            return ERR_INVALID;
        }
        return ERR_OK;
    }
    if (SSL_CTX_load_verify_file(ctx, options->ca_file) != 1) {
        tls_reason(why, options->ca_file);
        return ERR_INVALID;
    }
    if (options->is_server) { /* so that a client with several certificates knows which to send */
        names = SSL_load_client_CA_file(options->ca_file);
        if (names == NULL) {
            tls_reason(why, options->ca_file);
            return ERR_INVALID;
        }
        SSL_CTX_set_client_CA_list(ctx, names);
    }
    return ERR_OK;
}

static enum err set_rules(SSL_CTX *ctx, const struct tls_options *options)
{
    static const unsigned char sessions_of[] = "mywallet";
    int mode = SSL_VERIFY_PEER;

    if (options->is_server) {
        mode = is_given(options->ca_file) ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                                          : SSL_VERIFY_NONE;
    }
    SSL_CTX_set_verify(ctx, mode, NULL);
    /* tickets need no memory here; a cache that every client can fill does */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* idle connections give their buffers back */
    (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_set_session_id_context(ctx, sessions_of, sizeof sessions_of - 1) != 1 ||
        SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
        ERR_clear_error();
        return ERR_NOMEM;
    }
    return ERR_OK;
}

enum err tls_context_new(const struct tls_options *options, struct tls_context **out,
                         struct err_text *why)
{
    struct tls_context *c = mem_alloc(sizeof *c);
    enum err e;

    if (c == NULL) {
        err_text_set(why, "out of memory");
        return ERR_NOMEM;
    }
    c->is_server = options->is_server;
    ERR_clear_error();
    c->ctx = SSL_CTX_new(options->is_server ? TLS_server_method() : TLS_client_method());
    if (c->ctx == NULL) {
        tls_reason(why, "TLS");
        e = ERR_NOMEM;
        goto fail_context;
    }
    e = set_rules(c->ctx, options);
    if (e != ERR_OK) {
        err_text_set(why, "out of memory");
        goto fail_ctx;
    }
    e = load_roots(c->ctx, options, why);
    if (e == ERR_OK) {
        e = load_certificate(c->ctx, options, why);
    }
    if (e != ERR_OK) {
        goto fail_ctx;
    }
    *out = c;
    return ERR_OK;

fail_ctx:
    SSL_CTX_free(c->ctx);
fail_context:
    mem_free(c);
    return e;
}

void tls_context_free(struct tls_context *c)
{
    if (c == NULL) {
        return;
    }
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

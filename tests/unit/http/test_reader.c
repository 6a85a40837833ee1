/* Framing and parser together: a table of requests, each judged whole, and cut at every byte. */
#include "http/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BODY_MAX = 100 };

enum want { OK, BAD, LONG, HEAD, BODY, MORE };

struct row {
    const char *bytes;
    size_t len;
    enum want want;
    const char *body; /* of an OK one; NULL: not looked at */
};

struct result {
    enum want want;
    size_t used; /* bytes up to the end of the message */
    size_t body_len;
    char body[BODY_MAX];
    bool is_disagreed;
    enum http_reason reason;
    struct framing_head head;
};

/* Feed pieces as a connection does: a head from its first byte at each call, a body as it comes. */
static void feed(const char *bytes, size_t len, const size_t *cuts, size_t cut_count,
                 struct result *out)
{
    static struct reader r; /* static: its parser has state that an instrumented stack would slow down */
    size_t at = 0;
    bool is_body = false;

    *out = (struct result){.want = MORE};
    reader_init(&r);
    for (size_t i = 0; i <= cut_count; i++) {
        size_t end = i < cut_count ? cuts[i] : len;
        if (!is_body) {
            enum framing_verdict verdict = reader_head(&r, bytes, end);
            if (verdict == FRAMING_MORE) {
                continue;
            }
            if (verdict != FRAMING_DONE) {
                out->want = verdict == FRAMING_BAD            ? BAD
                            : verdict == FRAMING_URI_TOO_LONG ? LONG
                                                              : HEAD;
                break;
            }
            is_body = true;
            at = r.head.at;
            reader_expect_body(&r, BODY_MAX);
        }
        for (;;) {
            struct slice data = SLICE_NONE;
            size_t used = 0;
            enum framing_verdict verdict = reader_body(&r, bytes + at, end - at, &used, &data);
            if (verdict == FRAMING_DATA) {
                assert_true(out->body_len + data.len <= BODY_MAX);
                memcpy(out->body + out->body_len, data.ptr, data.len);
                out->body_len += data.len;
                at += used;
                continue;
            }
            if (verdict == FRAMING_MORE) {
                assert_int_equal(used, end - at);
                at += used;
                break;
            }
            out->want = verdict == FRAMING_DONE             ? OK
                        : verdict == FRAMING_BODY_TOO_LARGE ? BODY
                        : verdict == FRAMING_HEAD_TOO_LARGE ? HEAD
                                                            : BAD;
            out->used = at + used;
            goto judged;
        }
    }
judged:
    out->is_disagreed = r.is_disagreed;
    out->reason = reader_reason(&r);
    memcpy(&out->head, &r.head, sizeof(r.head));
}

#define H "Host: a\r\n"
#define GET_ "GET / HTTP/1.1\r\n"
#define POST_ "POST /x HTTP/1.1\r\n" H
#define CH POST_ "Transfer-Encoding: chunked\r\n\r\n"
#define R(text, want) \
    { \
        text, sizeof(text) - 1, want, NULL \
    }
#define RB(text, body) \
    { \
        text, sizeof(text) - 1, OK, body \
    }

static const struct row rows[] = {
    /* the request line */
    RB(GET_ H "\r\n", ""),
    RB("\r\n" GET_ H "\r\n", ""),
    R("\r\n\r\n" GET_ H "\r\n", BAD),
    R("\n" GET_ H "\r\n", BAD),
    R("\r" GET_ H "\r\n", BAD),
    R(" " GET_ H "\r\n", BAD),
    R("GET  / HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /  HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET / HTTP/1.1 \r\n" H "\r\n", BAD),
    R("GET\t/ HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /\tHTTP/1.1\r\n" H "\r\n", BAD),
    R("GET / HTTP/1.1\n" H "\r\n", BAD),
    R("GET / HTTP/1.1\r" H "\r\n", BAD),
    R("GET /\r\n", BAD),
    R("GET /\n", BAD),
    R("GET / \r\n", BAD),
    R("GET HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET / HTTP/0.9\r\n" H "\r\n", BAD),
    R("GET / HTTP/1.2\r\n" H "\r\n", BAD),
    R("GET / HTTP/2.0\r\n" H "\r\n", BAD),
    R("GET / HTTP/2\r\n" H "\r\n", BAD),
    R("GET / HTTP/1.10\r\n" H "\r\n", BAD),
    R("GET / HTTP/01.1\r\n" H "\r\n", BAD),
    R("GET / http/1.1\r\n" H "\r\n", BAD),
    R("GET / HTTP/1,1\r\n" H "\r\n", BAD),
    R("GET / HTTPS/1.1\r\n" H "\r\n", BAD),
    R("GET / ICY/1.1\r\n" H "\r\n", BAD),
    R("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD),
    R("\x16\x03\x01\x02", BAD),
    R("G\0T / HTTP/1.1\r\n" H "\r\n", BAD),
    R("G(T / HTTP/1.1\r\n" H "\r\n", BAD),
    R("G\x80T / HTTP/1.1\r\n" H "\r\n", BAD),
    RB("get / HTTP/1.1\r\n" H "\r\n", ""),
    RB("FOO / HTTP/1.1\r\n" H "\r\n", ""),
    RB("TRACE / HTTP/1.1\r\n" H "\r\n", ""),
    RB("M-SEARCH / HTTP/1.1\r\n" H "\r\n", ""),
    RB("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" H "\r\n", ""),
    R("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" H "\r\n", BAD),
    R("CONNECT a:80 HTTP/1.1\r\n" H "\r\n", BAD),
    R("CONNECT / HTTP/1.1\r\n" H "\r\n", BAD),
    /* the target */
    RB("OPTIONS * HTTP/1.1\r\n" H "\r\n", ""),
    R("GET * HTTP/1.1\r\n" H "\r\n", BAD),
    R("POST * HTTP/1.1\r\n" H "\r\n", BAD),
    R("OPTIONS ** HTTP/1.1\r\n" H "\r\n", BAD),
    R("OPTIONS *x HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET a HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET ?a HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET a:80 HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /a#b HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /# HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /\x7f HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /\x01 HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /\0 HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET /a\rb HTTP/1.1\r\n" H "\r\n", BAD),
    RB("GET /{x}|^\"<>\\`[]~!$&'()*+,;=:@%zz HTTP/1.1\r\n" H "\r\n", ""),
    RB("GET //a//?x?y=/ HTTP/1.1\r\n" H "\r\n", ""),
    RB("GET http://a/x HTTP/1.1\r\n" H "\r\n", ""),
    RB("GET HTTP://A HTTP/1.1\r\n" H "\r\n", ""),
    RB("GET https://a?x HTTP/1.1\r\n" H "\r\n", ""),
    R("GET http://b/x HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET http://a:80/x HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET http://u@a/x HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET http:///x HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET http:/a/x HTTP/1.1\r\n" H "\r\n", BAD),
    R("GET http://a/x HTTP/1.1\r\n\r\n", BAD),
    R("GET ftp://a/x HTTP/1.1\r\n" H "\r\n", BAD),
    /* Host */
    R(GET_ "\r\n", BAD),
    RB("GET / HTTP/1.0\r\n\r\n", ""),
    R("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", BAD),
    R(GET_ "Host:\r\n\r\n", BAD),
    R(GET_ "Host: \r\n\r\n", BAD),
    R(GET_ H H "\r\n", BAD),
    R(GET_ H "Host: b\r\n\r\n", BAD),
    R(GET_ "Host: a, b\r\n\r\n", BAD),
    R(GET_ "Host: a,b\r\n\r\n", BAD),
    R(GET_ "Host: a b\r\n\r\n", BAD),
    R(GET_ "Host: u@a\r\n\r\n", BAD),
    R(GET_ "Host: u:p@a\r\n\r\n", BAD),
    R(GET_ "Host: a/b\r\n\r\n", BAD),
    R(GET_ "Host: a?b\r\n\r\n", BAD),
    R(GET_ "Host: a#b\r\n\r\n", BAD),
    R(GET_ "Host: http://a\r\n\r\n", BAD),
    R(GET_ "Host: :80\r\n\r\n", BAD),
    R(GET_ "Host: a:x\r\n\r\n", BAD),
    R(GET_ "Host: a:65536\r\n\r\n", BAD),
    R(GET_ "Host: a:808080\r\n\r\n", BAD),
    R(GET_ "Host: a:80:80\r\n\r\n", BAD),
    R(GET_ "Host: \xc3\xa9\r\n\r\n", BAD),
    R(GET_ "Host: [::1\r\n\r\n", BAD),
    R(GET_ "Host: []\r\n\r\n", BAD),
    R(GET_ "Host: [x]\r\n\r\n", BAD),
    R(GET_ "Host: [::1]x\r\n\r\n", BAD),
    RB(GET_ "Host: [::1]:8080\r\n\r\n", ""),
    RB(GET_ "host:127.0.0.1:65535\r\n\r\n", ""),
    RB(GET_ "HOST:\t a-b.c_d:\t \r\n\r\n", ""),
    /* field lines */
    R(GET_ H "X : 1\r\n\r\n", BAD),
    R(GET_ H "X\t: 1\r\n\r\n", BAD),
    R(GET_ H ": 1\r\n\r\n", BAD),
    R(GET_ H "X\r\n\r\n", BAD),
    R(GET_ H " X: 1\r\n\r\n", BAD),
    R(GET_ " " H "\r\n", BAD),
    R(GET_ H "X: 1\r\n 2\r\n\r\n", BAD),
    R(GET_ H "X: 1\r\n\t2\r\n\r\n", BAD),
    R(GET_ H "X: 1\r\n \r\n\r\n", BAD),
    R(GET_ H "X: a\0b\r\n\r\n", BAD),
    R(GET_ H "X: a\rb\r\n\r\n", BAD),
    R(GET_ H "X: a\r\r\n\r\n", BAD),
    R(GET_ H "X: a\nb\r\n\r\n", BAD),
    R(GET_ H "X: a\n\r\n", BAD),
    R(GET_ "Host: a\n\n", BAD),
    R(GET_ H "X: a\r\n\n", BAD),
    R(GET_ H "X: a\x7f\r\n\r\n", BAD),
    R(GET_ H "X: a\x0b\r\n\r\n", BAD),
    R(GET_ H "X: a\x1b[31m\r\n\r\n", BAD),
    R(GET_ H "X\0: a\r\n\r\n", BAD),
    R(GET_ H "X\x7f: a\r\n\r\n", BAD),
    R(GET_ H "X(: a\r\n\r\n", BAD),
    R(GET_ H "X\x80: a\r\n\r\n", BAD),
    R(GET_ H "X@: a\r\n\r\n", BAD),
    RB(GET_ H "X:\r\nY:  a\tb \t\r\nZ: \xff\r\n\r\n", ""),
    RB(GET_ H "!#$%&'*+-.^_`|~09: a\r\n\r\n", ""),
    /* fields that may come once */
    R(GET_ H "Authorization: a\r\nAuthorization: a\r\n\r\n", BAD),
    R(GET_ H "Idempotency-Key: a\r\nidempotency-key: b\r\n\r\n", BAD),
    R(GET_ H "If-Match: a\r\nIf-Match: b\r\n\r\n", BAD),
    R(GET_ H "If-None-Match: a\r\nIf-None-Match: b\r\n\r\n", BAD),
    R(GET_ H "X-Request-Id: a\r\nX-Request-Id: a\r\n\r\n", BAD),
    R(GET_ H "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", BAD),
    R(POST_ "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n", BAD),
    RB(GET_ H
       "traceparent: a\r\ntraceparent: b\r\nAccept: a\r\nAccept: b\r\nConnection: a\r\nConnection: b\r\n\r\n",
       ""),
    /* Expect */
    R(GET_ H "Expect: 200-ok\r\n\r\n", BAD),
    R(GET_ H "Expect:\r\n\r\n", BAD),
    R(GET_ H "Expect: 100-continue, x\r\n\r\n", BAD),
    RB(POST_ "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\nx", "x"),
    /* Content-Length */
    RB(POST_ "Content-Length: 0\r\n\r\n", ""),
    RB(POST_ "Content-Length:5\r\n\r\nhello", "hello"),
    RB(POST_ "content-LENGTH: 5\r\n\r\nhelloGET /", "hello"),
    R(POST_ "Content-Length: 5\r\n\r\nhell", MORE),
    R(POST_ "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 5, 5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 5,6\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: +5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: -1\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 0x5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 5 \r\n\r\nhello", BAD),
    R(POST_ "Content-Length:  5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length:\t5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 005\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 00\r\n\r\n", BAD),
    R(POST_ "Content-Length: 5_0\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 5 5\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 5.0\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: \"5\"\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: a\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: \xb2\r\n\r\nhello", BAD),
    R(POST_ "Content-Length:\r\n\r\n", BAD),
    R(POST_ "Content-Length: \r\n\r\n", BAD),
    R(POST_ "Content-Length: 18446744073709551616\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 18446744073709551621\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 99999999999999999999\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 9999999999999999999\r\n\r\nhello", BAD),
    R(POST_ "Content-Length: 999999999999999999\r\n\r\nhello", BODY),
    R(POST_ "Content-Length: 101\r\n\r\n", BODY),
    RB(POST_
       "Content-Length: 100\r\n\r\n"
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789",
       "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"),
    R(POST_ "Content_Length: 5\r\n\r\nhello", OK),
    R(GET_ H "Content-Length: 1\r\n\r\nx", BAD),
    R("HEAD / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", BAD),
    R("OPTIONS / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", BAD),
    RB(GET_ H "Content-Length: 0\r\n\r\n", ""),
    RB("DELETE / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", "x"),
    RB("FOO / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", "x"),
    RB("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", "x"),
    /* Transfer-Encoding */
    RB(CH "0\r\n\r\n", ""),
    RB(POST_ "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", ""),
    RB(POST_ "transfer-encoding:CHUNKED\r\n\r\n1\r\na\r\n0\r\n\r\n", "a"),
    R(POST_ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: identity\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding:  chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked \r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding:\r\n\r\n", BAD),
    R(POST_ "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    R(POST_ "X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    R("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD),
    RB("FOO / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "a"),
    RB(GET_ H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""),
    RB(POST_ "Connection: Content-Length\r\nContent-Length: 1\r\n\r\nx", "x"),
    RB(POST_ "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\nxGET", "x"),
    RB(GET_ H
       "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\nGET",
       ""),
    RB(POST_
       "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
       ""),
    /* chunks */
    RB(CH "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET", "hello world"),
    RB(CH "a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789"),
    RB(CH "005\r\nhello\r\n0\r\n\r\n", "hello"),
    RB(CH "5;a\r\nhello\r\n0;b=c\r\n\r\n", "hello"),
    RB(CH "5;a;c=\"d;e\";f\r\nhello\r\n0\r\n\r\n", "hello"),
    R(CH "5\r\nhello\r\n", MORE),
    R(CH "5\r\nhello\r\n0\r\n", MORE),
    R(CH "0x5\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a;\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;=a\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5; a\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5 ;a\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a =b\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a= b\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=\"b\"c\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=b\"c\"\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=b=c\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a\x01\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a\nb\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH " 5\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5 \r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5\t\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "+5\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "-5\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5_0\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "g\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5\rhello\r\n0\r\n\r\n", BAD),
    R(CH "5\r\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5\r\nhello0\r\n\r\n", BAD),
    R(CH "5\r\nhello\n0\r\n\r\n", BAD),
    R(CH "5\r\nhello\r0\r\n\r\n", BAD),
    R(CH "5\r\nhellox\r\n0\r\n\r\n", BAD),
    R(CH "5\r\nhello\rx0\r\n\r\n", BAD),
    R(CH "5\r\nhellox\n0\r\n\r\n", BAD),
    R(CH "5\rxhello\r\n0\r\n\r\n", BAD),
    R(CH "0\rx\r\n", BAD),
    R(CH "0\r\nX: y\rx\r\n", BAD),
    R(CH "0\r\nX: y\r\n\rx", BAD),
    R(CH "4\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "6\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "5\r\nhello\r\n\r\n0\r\n\r\n", BAD),
    R(CH "00000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "fffffffffffffffff\r\n", BAD),
    R(CH "10000000000000005\r\nhello\r\n0\r\n\r\n", BAD),
    R(CH "fffffffffffffff\r\n", BODY),
    R(CH "65\r\n", BODY),
    R(CH "5\r\nhello\r\n60\r\n", BODY),
    R(CH "64\r\n", MORE),
    /* trailers */
    RB(CH "0\r\nX: y\r\nChecksum:\tz \r\n\r\nGET", ""),
    R(CH "0\r\nContent-Length: 5\r\n\r\n", BAD),
    R(CH "0\r\ntransfer-encoding: chunked\r\n\r\n", BAD),
    R(CH "0\r\nHost: b\r\n\r\n", BAD),
    R(CH "0\r\nAUTHORIZATION: b\r\n\r\n", BAD),
    R(CH "0\r\nIdempotency-Key: b\r\n\r\n", BAD),
    R(CH "0\r\nContent-Type: b\r\n\r\n", BAD),
    R(CH "0\r\nX-Request-Id: b\r\n\r\n", BAD),
    R(CH "0\r\nX : y\r\n\r\n", BAD),
    R(CH "0\r\n X: y\r\n\r\n", BAD),
    R(CH "0\r\nX\r\n\r\n", BAD),
    R(CH "0\r\n: y\r\n\r\n", BAD),
    R(CH "0\r\nX: y\n\r\n", BAD),
    R(CH "0\r\nX: y\r\r\n", BAD),
    R(CH "0\r\nX: \x01\r\n\r\n", BAD),
    R(CH "0\r\nX: y\r\n z\r\n\r\n", BAD),
    R(CH "0\r\n\n", BAD),
    R(CH "0\r\n\rX", BAD),
    R(CH "0\nX", BAD),
};

static void check_row(const struct row *row, size_t index, const struct result *got, const char *how)
{
    if (got->want != row->want || (row->want == OK && got->is_disagreed) ||
        (row->want == BAD) != (got->reason != HTTP_REASON_NONE)) {
        print_error("row %zu (%s): got %d, want %d: %s\n", index, how, (int)got->want,
                    (int)row->want, row->bytes);
        fail();
    }
    if (row->body != NULL) {
        assert_int_equal(got->body_len, strlen(row->body));
        assert_memory_equal(got->body, row->body, got->body_len);
    }
}

static void judges_each_row_whole(void **state)
{
    (void)state;
    assert_true(sizeof(rows) / sizeof(rows[0]) >= 250);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result got;
        feed(rows[i].bytes, rows[i].len, NULL, 0, &got);
        check_row(&rows[i], i, &got, "whole");
    }
}

static void same_request(const struct result *a, const struct result *b)
{
    assert_int_equal(a->used, b->used);
    assert_int_equal(a->body_len, b->body_len);
    assert_memory_equal(a->body, b->body, a->body_len);
    assert_memory_equal(&a->head.stage, &b->head.stage,
                        offsetof(struct framing_head, fields) - offsetof(struct framing_head, stage));
    assert_memory_equal(a->head.fields, b->head.fields,
                        a->head.field_count * sizeof(a->head.fields[0]));
}

static void a_cut_at_any_byte_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result whole;
        feed(rows[i].bytes, rows[i].len, NULL, 0, &whole);
        for (size_t cut = 0; cut <= rows[i].len; cut++) {
            struct result got;
            feed(rows[i].bytes, rows[i].len, &cut, 1, &got);
            check_row(&rows[i], i, &got, "cut");
            if (whole.want == OK) {
                same_request(&whole, &got);
            }
        }
    }
}

static void one_byte_at_a_time_changes_nothing(void **state)
{
    size_t cuts[512];

    (void)state;
    for (size_t i = 0; i < 512; i++) {
        cuts[i] = i;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct result whole, got;
        assert_true(rows[i].len <= 512);
        feed(rows[i].bytes, rows[i].len, NULL, 0, &whole);
        feed(rows[i].bytes, rows[i].len, cuts, rows[i].len, &got);
        check_row(&rows[i], i, &got, "bytewise");
        if (whole.want == OK) {
            same_request(&whole, &got);
        }
    }
}

/* ---- which rule was broken ---- */

#define KEY "Idempotency-Key: k\r\n"
#define W(text, reason) \
    { \
        text, sizeof(text) - 1, HTTP_REASON_##reason \
    }

static const struct {
    const char *bytes;
    size_t len;
    enum http_reason reason;
} broken[] = {
    W("\n", REQUEST_LINE),
    W("G(T / HTTP/1.1\r\n" H "\r\n", REQUEST_LINE),
    W("CONNECT a:1 HTTP/1.1\r\n" H "\r\n", METHOD),
    W("GET a HTTP/1.1\r\n" H "\r\n", TARGET),
    W("GET * HTTP/1.1\r\n" H "\r\n", TARGET),
    W("GET /a#b HTTP/1.1\r\n" H "\r\n", TARGET),
    W("GET http://b/ HTTP/1.1\r\n" H "\r\n", TARGET),
    W("GET / HTTP/1.2\r\n" H "\r\n", VERSION),
    W("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
    W(GET_ H "A : b\r\n\r\n", FIELD),
    W(GET_ H "A: b\r\n c\r\n\r\n", FIELD),
    W(GET_ H "A: b\n\r\n", FIELD),
    W(GET_ H "A: \x7f\r\n\r\n", FIELD),
    W(GET_ H "\x7f: a\r\n\r\n", FIELD),
    W(GET_ H H "\r\n", FIELD_TWICE),
    W(GET_ H "If-Match: a\r\nIf-Match: a\r\n\r\n", FIELD_TWICE),
    W(GET_ "\r\n", HOST),
    W(GET_ "Host:\r\n\r\n", HOST),
    W(GET_ "Host: a/b\r\n\r\n", HOST),
    W(POST_ "Content-Length: +1\r\n\r\nx", FRAMING),
    W(POST_ "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", FRAMING),
    W(POST_ "Transfer-Encoding: gzip\r\n\r\n", FRAMING),
    W(POST_ "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", FRAMING),
    W("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", FRAMING),
    W(POST_ "Expect: tea\r\n\r\n", EXPECT),
    W(POST_ KEY KEY "\r\n", KEY_TWICE),
    W(POST_ KEY "idempotency-key: l\r\n\r\n", KEY_TWICE),
    W(POST_ "Idempotency-Key: \x7f\r\n\r\n", KEY_BYTE),
    W(POST_ "Idempotency-Key: a\0b\r\n\r\n", KEY_BYTE),
    W(GET_ H "Content-Length: 1\r\n\r\nx", NO_BODY),
    W(CH "x\r\n", CHUNK),
    W(CH "1\r\nxy", CHUNK),
    W(CH "0\r\nHost: a\r\n\r\n", CHUNK),
    /* the first one is told */
    W(POST_ KEY KEY "Expect: tea\r\n\r\n", KEY_TWICE),
    W(POST_ KEY KEY "A : b\r\n\r\n", KEY_TWICE),
};

static void tells_the_first_broken_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        for (size_t cut = 0; cut <= broken[i].len; cut++) {
            struct result got;
            feed(broken[i].bytes, broken[i].len, &cut, 1, &got);
            if (got.want != BAD || got.reason != broken[i].reason) {
                print_error("%s at %zu: reason %d\n", broken[i].bytes, cut, (int)got.reason);
                fail();
            }
        }
    }
}

/* What only stands in the way of acceptance waits for the end: the answer then knows every field. */
static void reads_on_to_the_end_of_the_head(void **state)
{
    static const char bytes[] = POST_ KEY KEY "Accept-Language: en\r\n\r\n";
    struct result got;

    (void)state;
    feed(bytes, sizeof(bytes) - 3, NULL, 0, &got);
    assert_int_equal(got.want, MORE);
    feed(bytes, sizeof(bytes) - 1, NULL, 0, &got);
    assert_int_equal(got.want, BAD);
    assert_int_equal(got.head.field_count, 4);
    assert_int_equal(got.head.at, sizeof(bytes) - 1);
}

/* ---- limits: at, and one above ---- */

static enum want judge(const char *bytes, size_t len)
{
    struct result got;
    struct result cut;
    size_t middle = len / 2;

    feed(bytes, len, NULL, 0, &got);
    feed(bytes, len, &middle, 1, &cut);
    assert_int_equal(got.want, cut.want);
    assert_false(got.is_disagreed);
    return got.want;
}

static size_t repeat(char *at, char c, size_t count)
{
    memset(at, c, count);
    return count;
}

static size_t text(char *at, const char *s)
{
    memcpy(at, s, strlen(s));
    return strlen(s);
}

static void target_has_a_limit(void **state)
{
    static char bytes[64 * 1024 + 100];

    (void)state;
    for (size_t len = HTTP_URI_BYTES_MAX - 1; len <= HTTP_URI_BYTES_MAX + 1; len++) {
        size_t at = text(bytes, "GET /");
        at += repeat(bytes + at, 'a', len - 1);
        at += text(bytes + at, " HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_int_equal(judge(bytes, at), len <= HTTP_URI_BYTES_MAX ? OK : LONG);
    }
    assert_int_equal(judge(bytes, text(bytes, "GET /") + repeat(bytes + 5, 'a', 64 * 1024)), LONG);
    assert_int_equal(
        judge(bytes, text(bytes, "GET /") + repeat(bytes + 5, 'a', HTTP_URI_BYTES_MAX - 1)), MORE);
    assert_int_equal(judge(bytes, repeat(bytes, 'A', 64 * 1024)), BAD);
}

static void head_has_a_limit(void **state)
{
    static char bytes[HTTP_HEAD_BYTES_MAX * 8];

    (void)state;
    for (size_t len = HTTP_HEAD_BYTES_MAX - 1; len <= HTTP_HEAD_BYTES_MAX + 1; len++) {
        for (int is_crlf_before = 0; is_crlf_before < 2; is_crlf_before++) {
            size_t before = is_crlf_before ? text(bytes, "\r\n") : 0;
            size_t at = before + text(bytes + before, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
            at += repeat(bytes + at, 'x', len + before - at - 4);
            at += text(bytes + at, "\r\n\r\n");
            assert_int_equal(at, len + before);
            assert_int_equal(judge(bytes, at), len <= HTTP_HEAD_BYTES_MAX ? OK : HEAD);
        }
    }
    assert_int_equal(
        judge(bytes, text(bytes, "GET / HTTP/1.1\r\nX: ") + repeat(bytes + 19, 'x', 100 * 1024)),
        HEAD);
}

static void fields_have_a_limit(void **state)
{
    static char bytes[10000 * 6 + 100];

    (void)state;
    for (size_t count = HTTP_HEADERS_MAX - 1; count <= HTTP_HEADERS_MAX + 1; count++) {
        size_t at = text(bytes, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (size_t i = 1; i < count; i++) {
            at += text(bytes + at, "X: y\r\n");
        }
        at += text(bytes + at, "\r\n");
        assert_int_equal(judge(bytes, at), count <= HTTP_HEADERS_MAX ? OK : HEAD);
    }
    size_t at = text(bytes, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 10000; i++) {
        at += text(bytes + at, "X: y\r\n");
    }
    assert_int_equal(judge(bytes, at), HEAD);
}

static void chunk_lines_and_trailers_have_limits(void **state)
{
    static char bytes[128 * 1024];
    size_t head = text(bytes, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");

    (void)state;
    for (size_t len = FRAMING_CHUNK_LINE_BYTES_MAX - 1; len <= FRAMING_CHUNK_LINE_BYTES_MAX + 1;
         len++) {
        size_t at = head + text(bytes + head, "0;");
        at += repeat(bytes + at, 'x', len - 3);
        at += text(bytes + at, "\r\n\r\n");
        assert_int_equal(judge(bytes, at), len <= FRAMING_CHUNK_LINE_BYTES_MAX ? OK : BAD);
    }
    assert_int_equal(
        judge(bytes, head + text(bytes + head, "5;") + repeat(bytes + head + 2, 'x', 64 * 1024)),
        BAD);
    for (size_t len = FRAMING_TRAILER_BYTES_MAX - 1; len <= FRAMING_TRAILER_BYTES_MAX + 1; len++) {
        size_t at = head + text(bytes + head, "0\r\nX:");
        at += repeat(bytes + at, 'x', len - 5); /* name, colon, CR LF, the last CR */
        at += text(bytes + at, "\r\n\r\n");
        assert_int_equal(judge(bytes, at), len <= FRAMING_TRAILER_BYTES_MAX ? OK : HEAD);
    }
}

/* Some versions of the library refuse these; our own framing takes them for what they are. */
static void quoted_extensions_may_hold_escapes(void **state)
{
    static const char bytes[] = "5;a=b;c=\"d;\\\"\\\\ \t\x80\"\r\nhello\r\n0\r\n\r\n";
    struct framing_head head = {.is_chunked = true};
    struct framing_body body;
    struct slice data;
    size_t used = 0;
    size_t more = 0;

    (void)state;
    framing_body_init(&body, &head, 5);
    assert_int_equal(framing_body_next(&body, bytes, sizeof(bytes) - 1, &used, &data), FRAMING_DATA);
    assert_true(slice_equal(data, SLICE("hello")));
    assert_int_equal(framing_body_next(&body, bytes + used, sizeof(bytes) - 1 - used, &more, &data),
                     FRAMING_DONE);
    assert_int_equal(used + more, sizeof(bytes) - 1);
}

static void fat_extensions_have_a_limit(void **state)
{
    static char bytes[128 * 1024];
    size_t at = text(bytes, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");

    (void)state;
    for (int i = 0; i < 90; i++) {
        at += text(bytes + at, "1;");
        at += repeat(bytes + at, 'x', 230);
        at += text(bytes + at, "\r\na\r\n");
    }
    at += text(bytes + at, "0\r\n\r\n");
    assert_int_equal(judge(bytes, at), BAD);
}

static struct slice part(const char *bytes, uint16_t at, uint16_t len)
{
    return slice_make(bytes + at, len);
}

static void tells_what_the_head_says(void **state)
{
    static const char bytes[] =
        "PATCH http://A:1/p/q?x=1&y HTTP/1.1\r\nHost: a:1\r\nX-A:  b c \r\nConnection: x , Close \t,y\r\n"
        "content-encoding: gzip\r\n\r\n";
    struct result got;

    (void)state;
    feed(bytes, sizeof(bytes) - 1, NULL, 0, &got);
    assert_int_equal(got.want, OK);
    assert_int_equal(got.head.method, HTTP_PATCH);
    assert_true(slice_equal(part(bytes, got.head.path_at, got.head.path_len), SLICE("/p/q")));
    assert_true(slice_equal(part(bytes, got.head.query_at, got.head.query_len), SLICE("x=1&y")));
    assert_int_equal(got.head.field_count, 4);
    assert_true(slice_equal(part(bytes, got.head.fields[1].name_at, got.head.fields[1].name_len),
                            SLICE("X-A")));
    assert_true(slice_equal(part(bytes, got.head.fields[1].value_at, got.head.fields[1].value_len),
                            SLICE("b c")));
    assert_true(got.head.has_close);
    assert_false(got.head.has_keep_alive);
    assert_true(got.head.is_encoded);
    assert_int_equal(got.head.version_minor, 1);
    assert_int_equal(got.used, sizeof(bytes) - 1);
}

static void expectations_of_old_clients_are_ignored(void **state)
{
    struct result got;
    struct slice old = SLICE("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    struct slice new = SLICE(POST_ "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n");

    (void)state;
    feed(old.ptr, old.len, NULL, 0, &got);
    assert_false(got.head.is_continue_expected);
    feed(new.ptr, new.len, NULL, 0, &got);
    assert_true(got.head.is_continue_expected);
}

static void a_lone_crlf_is_no_beginning(void **state)
{
    (void)state;
    assert_false(framing_head_has_begun("", 0));
    assert_false(framing_head_has_begun("\r", 1));
    assert_false(framing_head_has_begun("\r\n", 2));
    assert_true(framing_head_has_begun("\r\nG", 3));
    assert_true(framing_head_has_begun("G", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_each_row_whole),
        cmocka_unit_test(a_cut_at_any_byte_changes_nothing),
        cmocka_unit_test(one_byte_at_a_time_changes_nothing),
        cmocka_unit_test(tells_the_first_broken_rule),
        cmocka_unit_test(reads_on_to_the_end_of_the_head),
        cmocka_unit_test(target_has_a_limit),
        cmocka_unit_test(head_has_a_limit),
        cmocka_unit_test(fields_have_a_limit),
        cmocka_unit_test(chunk_lines_and_trailers_have_limits),
        cmocka_unit_test(quoted_extensions_may_hold_escapes),
        cmocka_unit_test(fat_extensions_have_a_limit),
        cmocka_unit_test(tells_what_the_head_says),
        cmocka_unit_test(expectations_of_old_clients_are_ignored),
        cmocka_unit_test(a_lone_crlf_is_no_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

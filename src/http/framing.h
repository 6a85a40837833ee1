/*
 * Strict HTTP/1.1 framing over bytes: where a request's head ends, what its lines say, how its body
 * is framed. Pure: no I/O, no allocation, no clock. Whatever way the bytes are cut into pieces, the
 * verdict is the same, because it is that of the shortest prefix which is wrong. A header that can be
 * read but not accepted is wrong at the end of the head, so that the answer knows all of its fields.
 *
 * Source:  RFC 9110, RFC 9112; where they leave a choice, the refusal is taken.
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "http/http.h"

enum {
    FRAMING_METHOD_BYTES_MAX = 32,
    FRAMING_CHUNK_LINE_BYTES_MAX = 256,         /* size and extensions of one chunk */
    FRAMING_CHUNK_EXCESS_BYTES_MAX = 16 * 1024, /* beyond 16 a chunk and as many as the data */
    FRAMING_TRAILER_BYTES_MAX = 4 * 1024,
};

enum framing_verdict {
    FRAMING_MORE,           /* nothing wrong so far, but not at its end */
    FRAMING_DATA,           /* body bytes were found: call again with what is behind them */
    FRAMING_DONE,           /* the head, or the whole message, ends here */
    FRAMING_BAD,            /* 400 */
    FRAMING_URI_TOO_LONG,   /* 414 */
    FRAMING_HEAD_TOO_LARGE, /* 431 */
    FRAMING_BODY_TOO_LARGE, /* 413 */
};

/**
 * The header fields that this room itself looks at. All but Connection and Content-Encoding may
 * come once only.
 */
enum framing_known {
    FRAMING_OTHER, /* any other field */
    FRAMING_AUTHORIZATION,
    FRAMING_CONNECTION,
    FRAMING_CONTENT_ENCODING,
    FRAMING_CONTENT_LENGTH,
    FRAMING_CONTENT_TYPE,
    FRAMING_EXPECT,
    FRAMING_HOST,
    FRAMING_IDEMPOTENCY_KEY,
    FRAMING_IF_MATCH,
    FRAMING_IF_NONE_MATCH,
    FRAMING_REQUEST_ID,
    FRAMING_TRANSFER_ENCODING,
    FRAMING_KNOWN_COUNT,
};

struct framing_field {
    uint16_t name_at, name_len;   /* offsets from the first byte of the head */
    uint16_t value_at, value_len; /* white space around it trimmed */
};

struct framing_head {
    uint32_t at;      /* every byte before it is judged */
    uint32_t scanned; /* no line end between at and here */
    uint16_t start;   /* of the request line: 2 behind a leading CRLF */
    uint8_t stage;
    uint8_t reason; /* enum http_reason: the first rule that was broken; the verdict may wait for the end of the head */
    uint8_t method_len;
    enum http_method method;
    uint16_t target_at, target_len;
    bool has_line; /* the request line is read to its end, and its target is of a form that is known: these are set */
    uint16_t authority_at, authority_len; /* of a URL; 0: the target is none */
    uint16_t path_at, path_len;           /* without the query; 0: the target is "*" or has none */
    uint16_t query_at, query_len;         /* behind the '?' */
    uint8_t version_minor;                /* HTTP/1.x: 0 or 1 */
    bool is_asterisk;                     /* OPTIONS * */
    bool has_length;
    bool is_chunked;
    bool is_continue_expected; /* Expect: 100-continue, by an HTTP/1.1 client */
    bool has_close, has_keep_alive;
    bool is_encoded;                    /* a Content-Encoding other than identity */
    uint64_t content_length;            /* 0 without Content-Length */
    uint16_t field_count;               /* fields of all lines before at */
    uint8_t known[FRAMING_KNOWN_COUNT]; /* 1 + index into fields of the first one; 0: absent */
    struct framing_field fields[HTTP_HEADERS_MAX];
};

/** Prepare for the first byte of a request. */
void framing_head_init(struct framing_head *h);

/**
 * Judge a head as far as it has come. Call again with more bytes of the same head, from its first
 * byte on, at any address.
 *
 * Returns: FRAMING_MORE, FRAMING_DONE (h->at is then its length), or what is wrong; not
 *          FRAMING_DATA, FRAMING_BODY_TOO_LARGE.
 */
MUST_CHECK enum framing_verdict framing_head_next(struct framing_head *h, const char *bytes,
                                                  size_t len);

/** Is this the beginning of a request, more than (a part of) the CRLF that may stand before one? */
bool framing_head_has_begun(const char *bytes, size_t len);

struct framing_body {
    uint8_t state;
    uint8_t reason; /* enum http_reason of a FRAMING_BAD */
    uint8_t name_len;
    char name[24];     /* start of a trailer field's name */
    uint16_t line_len; /* bytes of the chunk's size line */
    uint16_t size_digits;
    uint32_t trailer_len;
    int64_t excess; /* framing bytes beyond what is usual */
    uint64_t left;  /* data bytes to come of the body or of the chunk */
    uint64_t total; /* data bytes found */
    uint64_t bytes_max;
};

/**
 * Prepare for the body that the head announces; more than bytes_max data bytes are
 * FRAMING_BODY_TOO_LARGE.
 */
void framing_body_init(struct framing_body *b, const struct framing_head *h, uint64_t bytes_max);

/**
 * Find the next data bytes of a body.
 *
 * Returns: FRAMING_DATA with *data inside bytes, FRAMING_DONE (*used may be less than len: a next
 *          request), FRAMING_MORE (all was used), FRAMING_BODY_TOO_LARGE, FRAMING_HEAD_TOO_LARGE
 *          (trailers) or FRAMING_BAD. *used and *data are set by the first three.
 */
MUST_CHECK enum framing_verdict framing_body_next(struct framing_body *b, const char *bytes,
                                                  size_t len, size_t *used, struct slice *data);

/** What a field of this name is; case does not matter. */
enum framing_known framing_known_find(const char *name, size_t len);

#endif

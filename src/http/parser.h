/*
 * The seam to the HTTP parser library: llhttp where it was found (HAVE_LLHTTP), else its ancestor
 * http_parser. It reads the same bytes as our own framing, as a second opinion. Its header and
 * http.h both have HTTP_GET and the like, so only the file behind the seam sees it.
 */
#ifndef HTTP_PARSER_H
#define HTTP_PARSER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { PARSER_STATE_BYTES = 160 };

struct parser {
    alignas(8) unsigned char state[PARSER_STATE_BYTES]; /* the library's own */
    uint64_t content_length;                            /* at the end of the head; 0 for none */
    uint64_t body_bytes;                                /* data bytes found so far */
    uint32_t target_len;
    uint32_t field_count; /* header fields, without trailers */
    uint8_t version_minor;
    bool is_chunked;
    bool is_head_done;
    bool is_done; /* the message is complete */
};

/** The library's name and its version as it was compiled in: "http_parser 2.9.4". Thread: any. */
const char *parser_library(void);

/** Prepare for the first byte of a request. Thread: its owner. */
void parser_init(struct parser *p);

/**
 * Read more bytes of the one request: not a byte behind its end.
 *
 * Returns: false when the library refuses them; it must then not be called again.
 */
MUST_CHECK bool parser_feed(struct parser *p, const char *bytes, size_t len);

#endif

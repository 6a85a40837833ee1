/*
 * One request read from bytes: our strict framing and the parser library side by side. Where they
 * do not agree, the request is refused: a byte that two readers may understand differently is how
 * requests are smuggled.
 */
#ifndef HTTP_READER_H
#define HTTP_READER_H

#include "http/framing.h"
#include "http/parser.h"

struct reader {
    struct framing_body body;
    struct parser parser;
    bool is_disagreed; /* framing was content, the library was not */
    struct framing_head head;
};

/** Prepare for the first byte of a request. */
void reader_init(struct reader *r);

/**
 * Judge a head as far as it has come; `bytes` starts with its first byte at each call. See
 * framing_head_next.
 *
 * Returns: FRAMING_DONE: r->head.at is its length; call reader_expect_body next.
 */
MUST_CHECK enum framing_verdict reader_head(struct reader *r, const char *bytes, size_t len);

/** Which rule a FRAMING_BAD of either part broke; HTTP_REASON_NONE before one. */
enum http_reason reader_reason(const struct reader *r);

/** How many data bytes the body may have, once the head is done. */
void reader_expect_body(struct reader *r, uint64_t bytes_max);

/**
 * Find the next data bytes of the body. See framing_body_next. FRAMING_DONE comes at once where
 * there is no body.
 */
MUST_CHECK enum framing_verdict reader_body(struct reader *r, const char *bytes, size_t len,
                                            size_t *used, struct slice *data);

#endif

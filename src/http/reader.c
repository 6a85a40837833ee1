#include "http/reader.h"

#include "base/assert.h"

const char *http_library(void)
{
    return parser_library();
}

void reader_init(struct reader *r)
{
    framing_head_init(&r->head);
    r->body.reason = HTTP_REASON_NONE;
    r->is_disagreed = false;
}

/* A method that we do not know is answered by 405, so the library, which has a list of its own, is
 * shown POST instead. */
static bool parser_reads_head(struct reader *r, const char *bytes)
{
    const struct framing_head *h = &r->head;
    size_t skip = h->start;

    parser_init(&r->parser);
    if (h->method == HTTP_OTHER) {
        skip += h->method_len;
        if (!parser_feed(&r->parser, "POST", 4)) {
            return false;
        }
    }
    return parser_feed(&r->parser, bytes + skip, h->at - skip);
}

static enum framing_verdict disagree(struct reader *r)
{
    r->is_disagreed = true;
    return FRAMING_BAD;
}

enum framing_verdict reader_head(struct reader *r, const char *bytes, size_t len)
{
    const struct framing_head *h = &r->head;
    const struct parser *p = &r->parser;
    enum framing_verdict verdict = framing_head_next(&r->head, bytes, len);

    if (verdict != FRAMING_DONE) {
        return verdict;
    }
    if (!parser_reads_head(r, bytes) || !p->is_head_done || p->target_len != h->target_len ||
        p->field_count != h->field_count || p->version_minor != h->version_minor ||
        p->is_chunked != h->is_chunked || p->content_length != h->content_length ||
        p->is_done != (!h->is_chunked && h->content_length == 0)) {
        return disagree(r);
    }
    return FRAMING_DONE;
}

enum http_reason reader_reason(const struct reader *r)
{
    if (r->is_disagreed) {
        return HTTP_REASON_FRAMING;
    }
    return (enum http_reason)(r->head.reason != HTTP_REASON_NONE ? r->head.reason : r->body.reason);
}

void reader_expect_body(struct reader *r, uint64_t bytes_max)
{
    framing_body_init(&r->body, &r->head, bytes_max);
}

enum framing_verdict reader_body(struct reader *r, const char *bytes, size_t len, size_t *used,
                                 struct slice *data)
{
    size_t count = 0;
    enum framing_verdict verdict = framing_body_next(&r->body, bytes, len, &count, data);

    if (verdict != FRAMING_MORE && verdict != FRAMING_DATA && verdict != FRAMING_DONE) {
        return verdict;
    }
    ASSERT(count <= len);
    if (!parser_feed(&r->parser, bytes, count) || r->parser.body_bytes != r->body.total) {
        return disagree(r);
    }
    if (verdict == FRAMING_DONE && !r->parser.is_done) {
        return disagree(r);
    }
    *used = count;
    return verdict;
}

/* The bytes of an answer. Pure. */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "base/buf.h"
#include "http/http.h"

enum { RESPONSE_DATE_BYTES = 29 };

struct response {
    unsigned status;
    bool is_close;           /* Connection: close */
    bool is_keep_alive_said; /* Connection: keep-alive, for HTTP/1.0 */
    bool is_head;            /* the body is counted but not sent */
    unsigned methods;        /* for Allow (1 << method); 0: no Allow */
    struct slice date;       /* IMF-fixdate */
    struct slice request_id;
    const struct http_field *fields;
    unsigned field_count;
    struct slice body;
};

/**
 * Append the whole answer. Errors: ERR_NOMEM, ERR_FULL (out's ceiling); nothing is then appended.
 */
MUST_CHECK enum err response_write(struct buf *out, const struct response *r);

/**
 * Write the time as IMF-fixdate, without a NUL. Units: seconds since the Unix epoch, up to the year
 * 9999.
 */
void response_date(int64_t wall_s, char text[RESPONSE_DATE_BYTES]);

#endif

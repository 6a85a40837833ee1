#include "http/parser.h"

#ifndef HAVE_LLHTTP

#include <http_parser.h>
#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(http_parser) <= PARSER_STATE_BYTES, "room for the library's state");

static int on_url(http_parser *library, const char *at, size_t len)
{
    struct parser *p = library->data;

    (void)at;
    p->target_len += (uint32_t)len;
    return 0;
}

static int on_header_field(http_parser *library, const char *at, size_t len)
{
    struct parser *p = library->data;

    (void)at;
    (void)len;
    if (!p->is_head_done) {
        p->field_count++;
    }
    return 0;
}

static int on_headers_complete(http_parser *library)
{
    struct parser *p = library->data;

    p->is_head_done = true;
    p->version_minor = (uint8_t)library->http_minor;
    p->is_chunked = (library->flags & F_CHUNKED) != 0;
    p->content_length = (library->flags & F_CONTENTLENGTH) != 0 ? library->content_length : 0;
    library->upgrade = 0; /* Upgrade is ignored: what follows is this request's body */
    return library->http_major == 1 ? 0 : -1;
}

static int on_body(http_parser *library, const char *at, size_t len)
{
    struct parser *p = library->data;

    (void)at;
    p->body_bytes += len;
    return 0;
}

static int on_message_complete(http_parser *library)
{
    struct parser *p = library->data;

    p->is_done = true;
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

#define TEXT_OF(number) #number
#define TEXT(macro) TEXT_OF(macro)

const char *parser_library(void)
{
    return "http_parser " TEXT(HTTP_PARSER_VERSION_MAJOR) "." TEXT(
        HTTP_PARSER_VERSION_MINOR) "." TEXT(HTTP_PARSER_VERSION_PATCH);
}

void parser_init(struct parser *p)
{
    http_parser *library;

    memset(p, 0, sizeof(*p));
    library = (http_parser *)(void *)p->state;
    http_parser_init(library, HTTP_REQUEST);
    library->data = p;
}

bool parser_feed(struct parser *p, const char *bytes, size_t len)
{
    http_parser *library = (http_parser *)(void *)p->state;

    if (len == 0) {
        return true; /* an empty call would tell the library that the peer has closed */
    }
    ASSERT(!p->is_done);
    library->data = p; /* the struct may have been moved */
    return http_parser_execute(library, &settings, bytes, len) == len &&
           HTTP_PARSER_ERRNO(library) == HPE_OK && library->upgrade == 0;
}

#endif

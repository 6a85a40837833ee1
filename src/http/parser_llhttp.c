#include "http/parser.h"

#ifdef HAVE_LLHTTP

#include <llhttp.h>
#include <string.h>

#include "base/assert.h"

_Static_assert(sizeof(llhttp_t) <= PARSER_STATE_BYTES, "room for the library's state");

static int on_url(llhttp_t *library, const char *at, size_t len)
{
    struct parser *p = library->data;

    (void)at;
    p->target_len += (uint32_t)len;
    return 0;
}

static int on_header_field(llhttp_t *library, const char *at, size_t len)
{
    struct parser *p = library->data;

    (void)at;
    (void)len;
    if (!p->is_head_done) {
        p->field_count++;
    }
    return 0;
}

static int on_headers_complete(llhttp_t *library)
{
    struct parser *p = library->data;

    p->is_head_done = true;
    p->version_minor = library->http_minor;
    p->is_chunked = (library->flags & F_CHUNKED) != 0;
    p->content_length = (library->flags & F_CONTENT_LENGTH) != 0 ? library->content_length : 0;
    library->upgrade = 0; /* Upgrade is ignored: what follows is this request's body */
    return library->http_major == 1 ? 0 : -1;
}

static int on_body(llhttp_t *library, const char *at, size_t len)
{
    struct parser *p = library->data;

    (void)at;
    p->body_bytes += len;
    return 0;
}

static int on_message_complete(llhttp_t *library)
{
    struct parser *p = library->data;

    p->is_done = true;
    return 0;
}

static const llhttp_settings_t settings = {
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
    return "llhttp " TEXT(LLHTTP_VERSION_MAJOR) "." TEXT(LLHTTP_VERSION_MINOR) "." TEXT(
        LLHTTP_VERSION_PATCH);
}

void parser_init(struct parser *p)
{
    llhttp_t *library;

    memset(p, 0, sizeof(*p));
    library = (llhttp_t *)(void *)p->state;
    llhttp_init(library, HTTP_REQUEST, &settings);
    library->data = p;
}

bool parser_feed(struct parser *p, const char *bytes, size_t len)
{
    llhttp_t *library = (llhttp_t *)(void *)p->state;

    if (len == 0) {
        return true;
    }
    ASSERT(!p->is_done);
    library->data = p; /* the struct may have been moved */
    return llhttp_execute(library, bytes, len) == HPE_OK;
}

#endif

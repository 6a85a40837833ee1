#include "api/openapi.h"

#if !defined(OPENAPI_PATH) || !defined(OPENAPI_SHA256)
#error "the build gives the path and the hash of docs/openapi.yaml"
#endif

/* Assembled in, because gcc 12 has no #embed; the hash on the command line is what makes a change compile this again. */
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl api_openapi_begin, api_openapi_end\n"
        ".hidden api_openapi_begin, api_openapi_end\n"
        "api_openapi_begin:\n"
        ".incbin \"" OPENAPI_PATH "\"\n"
        "api_openapi_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const char api_openapi_begin[] __attribute__((visibility("hidden")));
extern const char api_openapi_end[] __attribute__((visibility("hidden")));

struct slice api_openapi_text(void)
{
    return slice_make(api_openapi_begin, (size_t)(api_openapi_end - api_openapi_begin));
}

struct slice api_openapi_etag(void)
{
    return SLICE("\"" OPENAPI_SHA256 "\"");
}

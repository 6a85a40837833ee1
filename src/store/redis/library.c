#include "store/redis/library.h"

#if !defined(LIBRARY_PATH) || !defined(LIBRARY_SHA256)
#error "the build gives the path and the hash of wallet.lua"
#endif

/* Assembled in, because gcc 12 has no #embed; the hash on the command line is what makes a change compile this again. */
__asm__(".pushsection .rodata\n"
        ".balign 16\n"
        ".globl redis_library_begin, redis_library_end\n"
        ".hidden redis_library_begin, redis_library_end\n"
        "redis_library_begin:\n"
        ".ascii \"#!lua name=" LIBRARY_NAME "\\n\"\n"
        ".ascii \"local HASH = '" LIBRARY_SHA256 "'\\n\"\n"
        ".incbin \"" LIBRARY_PATH "\"\n"
        "redis_library_end:\n"
        ".byte 0\n"
        ".popsection\n");

extern const char redis_library_begin[] __attribute__((visibility("hidden")));
extern const char redis_library_end[] __attribute__((visibility("hidden")));

struct slice library_source(void)
{
    return slice_make(redis_library_begin, (size_t)(redis_library_end - redis_library_begin));
}

struct slice library_hash(void)
{
    return SLICE(LIBRARY_SHA256);
}

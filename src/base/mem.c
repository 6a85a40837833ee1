#include "base/mem.h"

#include <stdlib.h>

static _Thread_local uint64_t fail_at;
static _Thread_local int fail_persistent;
static _Thread_local uint64_t asked;

static int must_fail(void)
{
    asked++;
    return fail_at != 0 && (asked == fail_at || (fail_persistent && asked > fail_at));
}

void *mem_alloc(size_t size)
{
    return must_fail() ? NULL : calloc(1, size == 0 ? 1 : size);
}

void *mem_alloc_array(size_t count, size_t size)
{
    return must_fail() ? NULL : calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
}

void *mem_resize(void *block, size_t size)
{
    return must_fail() ? NULL : realloc(block, size == 0 ? 1 : size);
}

void mem_free(void *block)
{
    free(block);
}

void mem_fail_at(uint64_t nth, int is_persistent)
{
    fail_at = nth;
    fail_persistent = is_persistent;
    asked = 0;
}

uint64_t mem_asked(void)
{
    return asked;
}

#include "store/redis/verdict.h"

#include "base/assert.h"

struct row {
    struct slice start;
    enum verdict verdict;
};

/* By the first word, the error's code. */
static const struct row codes[] = {
    {SLICE("LOADING"), VERDICT_LATER},       {SLICE("BUSY"), VERDICT_LATER},
    {SLICE("CLUSTERDOWN"), VERDICT_LATER},   {SLICE("MASTERDOWN"), VERDICT_MOVED_AWAY},
    {SLICE("TRYAGAIN"), VERDICT_LATER},      {SLICE("NOREPLICAS"), VERDICT_LATER},
    {SLICE("MISCONF"), VERDICT_LATER},       {SLICE("OOM"), VERDICT_FULL},
    {SLICE("READONLY"), VERDICT_MOVED_AWAY}, {SLICE("MOVED"), VERDICT_MOVED_AWAY},
    {SLICE("ASK"), VERDICT_MOVED_AWAY},      {SLICE("UNBLOCKED"), VERDICT_MOVED_AWAY},
    {SLICE("NOAUTH"), VERDICT_DENIED},       {SLICE("WRONGPASS"), VERDICT_DENIED},
    {SLICE("NOPERM"), VERDICT_DENIED},       {SLICE("DENIED"), VERDICT_DENIED}, /* protected mode */
};

/* Those that have no code of their own. */
static const struct row generics[] = {
    {SLICE("ERR Function not found"), VERDICT_LOAD},
    {SLICE("ERR max number of clients"), VERDICT_CROWDED}, /* "+ cluster connections" in a cluster */
    {SLICE("ERR AUTH "), VERDICT_DENIED},                  /* a password where none is set */
};

/* Every error that is raised while a function runs ends in "script: <name>, on <line>", whatever its first word. */
static bool is_from_function(struct slice error)
{
    const struct slice mark = SLICE("script: ");

    return error.len >= mark.len && memmem(error.ptr, error.len, mark.ptr, mark.len) != NULL;
}

enum verdict verdict_of(struct slice error)
{
    const char *space = error.len == 0 ? NULL : memchr(error.ptr, ' ', error.len);
    struct slice code =
        slice_make(error.ptr, space == NULL ? error.len : (size_t)(space - error.ptr));

    if (is_from_function(error)) {
        return VERDICT_HALF;
    }
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (slice_equal(code, codes[i].start)) {
            return codes[i].verdict;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(generics); i++) {
        if (slice_starts_with(error, generics[i].start)) {
            return generics[i].verdict;
        }
    }
    return VERDICT_ANSWER;
}

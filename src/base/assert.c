#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void assert_failed(const char *claim, const char *file, int line)
{
    char text[512];
    int len = snprintf(text, sizeof(text), "assertion failed: %s (%s:%d)\n", claim, file, line);

    if (len > 0) {
        size_t size = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
        ssize_t written = write(STDERR_FILENO, text, size);
        (void)written; /* nothing is left to do about a closed stderr */
    }
    abort();
}

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"

const char *err_name(enum err e)
{
    static const char *const names[ERR_COUNT] = {
        [ERR_OK] = "ERR_OK",
        [ERR_NOMEM] = "ERR_NOMEM",
        [ERR_FULL] = "ERR_FULL",
        [ERR_RANGE] = "ERR_RANGE",
        [ERR_INVALID] = "ERR_INVALID",
        [ERR_NOT_FOUND] = "ERR_NOT_FOUND",
        [ERR_EXISTS] = "ERR_EXISTS",
        [ERR_BUSY] = "ERR_BUSY",
        [ERR_LOCKED] = "ERR_LOCKED",
        [ERR_IO] = "ERR_IO",
        [ERR_DISK_FULL] = "ERR_DISK_FULL",
        [ERR_CORRUPT] = "ERR_CORRUPT",
        [ERR_TIMEOUT] = "ERR_TIMEOUT",
        [ERR_UNSUPPORTED] = "ERR_UNSUPPORTED",
    };

    ASSERT(e >= ERR_OK && e < ERR_COUNT);
    return names[e];
}

void err_text_set(struct err_text *text, const char *format, ...)
{
    va_list args;

    if (text == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text->text, sizeof(text->text), format, args);
    va_end(args);
}

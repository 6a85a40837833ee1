#include "log/log.h"

#include <errno.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "log/log_limit.h"
#include "log/log_line.h"

/*
 * The one mutable global of the project: where the process logs to belongs to the process, and passing it through
 * every call of every room would tell nobody anything. Each member is read and written as a relaxed atomic: they
 * guard no other memory, and a line that is under way when the level changes may go either way.
 */
static struct {
    int level;
    int format;
    int fd;
} process_log = {.level = LOG_INFO, .format = LOG_LOGFMT, .fd = STDERR_FILENO};

void log_configure(enum log_level level, enum log_format format, int fd)
{
    ASSERT(level >= LOG_DEBUG && level <= LOG_ERROR);
    ASSERT(format == LOG_LOGFMT || format == LOG_JSON);
    __atomic_store_n(&process_log.level, (int)level, __ATOMIC_RELAXED);
    __atomic_store_n(&process_log.format, (int)format, __ATOMIC_RELAXED);
    __atomic_store_n(&process_log.fd, fd, __ATOMIC_RELAXED);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= __atomic_load_n(&process_log.level, __ATOMIC_RELAXED);
}

static void write_line(enum log_level level, const char *event, const struct log_field *fields,
                       unsigned count, uint64_t dropped)
{
    struct log_line line;
    int saved_errno = errno; /* a caller logs a failure, then still asks errno about it */
    int fd = __atomic_load_n(&process_log.fd, __ATOMIC_RELAXED);
    ssize_t written;

    ASSERT(count == 0 || fields != NULL);
    log_line_start(&line, (enum log_format)__atomic_load_n(&process_log.format, __ATOMIC_RELAXED),
                   (uint64_t)clock_wall_us(), level, event);
    for (unsigned i = 0; i < count; i++) {
        log_line_field(&line, &fields[i]);
    }
    log_line_end(&line, dropped);
    do {
        written = write(fd, line.text, line.len);
    } while (written < 0 && errno == EINTR);
    /* a log that cannot be written is lost: there is nobody left to tell, and money does not wait for it */
    errno = saved_errno;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, unsigned count)
{
    if (log_enabled(level)) {
        write_line(level, event, fields, count, 0);
    }
}

void log_write_limited(struct log_limit *limit, enum log_level level, const char *event,
                       const struct log_field *fields, unsigned count)
{
    uint64_t dropped = 0;

    if (log_enabled(level) && log_limit_take(limit, clock_mono_us(), &dropped)) {
        write_line(level, event, fields, count, dropped);
    }
}

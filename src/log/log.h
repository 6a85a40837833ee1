/* One event a line on stderr, as logfmt or JSON. Never a token, never a balance. */
#ifndef LOG_LOG_H
#define LOG_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    LOG_FIELD_BYTES_MAX =
        256, /* of one text before escaping; the rest is cut off and the line says truncated=true */
    LOG_LINE_BYTES_MAX = 4096, /* PIPE_BUF, so that lines of several threads never mix in a pipe */
    LOG_BURST = 20,
    LOG_PER_SECOND = 10,
};

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

enum log_type { LOG_TYPE_TEXT, LOG_TYPE_I64, LOG_TYPE_U64, LOG_TYPE_BOOL };

struct log_field {
    const char *key; /* static, [a-z0-9_]+, not time, level, event, dropped, truncated; borrowed for the call */
    enum log_type type;
    struct slice text; /* borrowed for the call; escaped when written, cut at LOG_FIELD_BYTES_MAX */
    int64_t i64;
    uint64_t u64;
};

static inline struct log_field log_slice(const char *key, struct slice text)
{
    return (struct log_field){.key = key, .type = LOG_TYPE_TEXT, .text = text};
}
static inline struct log_field log_text(const char *key, const char *text)
{
    return log_slice(key, slice_of(text));
}
static inline struct log_field log_i64(const char *key, int64_t number)
{
    return (struct log_field){.key = key, .type = LOG_TYPE_I64, .i64 = number};
}
static inline struct log_field log_u64(const char *key, uint64_t number)
{
    return (struct log_field){.key = key, .type = LOG_TYPE_U64, .u64 = number};
}
static inline struct log_field log_bool(const char *key, bool value)
{
    return (struct log_field){.key = key, .type = LOG_TYPE_BOOL, .u64 = value};
}

/**
 * Set level, format and file descriptor for the process; the default is info, logfmt, stderr.
 *
 * Thread:  level may change at any time from any thread (SIGHUP); the rest before other threads start.
 */
void log_configure(enum log_level level, enum log_format format, int fd);

/** Would an event of this level be written? For callers whose fields cost something. Thread: any. */
bool log_enabled(enum log_level level);

/**
 * Write one line: time (RFC 3339 UTC, µs), level, event, then the fields, with one write(2).
 *
 * The line parses whatever the texts hold: what is no UTF-8 becomes U+FFFD, control characters are escaped. A field that
 * does not fit into LOG_LINE_BYTES_MAX is left out and the line says truncated=true. errno stays as it was.
 *
 * Thread:  any; never blocks on anything but the file descriptor.
 */
void log_write(enum log_level level, const char *event, const struct log_field *fields,
               unsigned count);

/** Tokens for events that outsiders can trigger: LOG_BURST at once, then LOG_PER_SECOND; the drops are counted. */
struct log_limit {
    uint64_t state;   /* atomic; zero-initialised */
    uint64_t dropped; /* atomic; written as dropped=N with the next line that passes */
};

/** As log_write, through *limit. Thread: any. */
void log_write_limited(struct log_limit *limit, enum log_level level, const char *event,
                       const struct log_field *fields, unsigned count);

/* log_event(LOG_INFO, "store.open", log_text("path", path), log_u64("accounts", n)); a call has at least one field */
#define LOG_FIELDS(...) \
    (struct log_field[]) \
    { \
        __VA_ARGS__ \
    }
#define LOG_COUNT(...) (unsigned)(sizeof(LOG_FIELDS(__VA_ARGS__)) / sizeof(struct log_field))
#define log_event(level, event, ...) \
    log_write(level, event, LOG_FIELDS(__VA_ARGS__), LOG_COUNT(__VA_ARGS__))
#define log_event_limited(limit, level, event, ...) \
    log_write_limited(limit, level, event, LOG_FIELDS(__VA_ARGS__), LOG_COUNT(__VA_ARGS__))

#endif

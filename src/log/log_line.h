/* Builds one log line in a fixed buffer; pure, so that tests choose the time and see every byte. */
#ifndef LOG_LOG_LINE_H
#define LOG_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/log.h"

struct log_line {
    char text[LOG_LINE_BYTES_MAX];
    size_t len;
    enum log_format format;
    bool is_truncated; /* a field was left out or a text was cut */
};

/**
 * Begin the line with time, level and event; never fails, whatever event holds.
 *
 * Units:   now_us is µs since the Unix epoch.
 * Thread:  the line's owner, as all of this file.
 */
void log_line_start(struct log_line *line, enum log_format format, uint64_t now_us,
                    enum log_level level, const char *event);

/** Append one field, or leave it out whole and remember that when it does not fit. */
void log_line_field(struct log_line *line, const struct log_field *field);

/** Finish the line with dropped=N (when not 0), truncated=true (when so) and a newline, for which room was kept. */
void log_line_end(struct log_line *line, uint64_t dropped);

#endif

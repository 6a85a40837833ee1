/* RFC 3339: times as text in UTC with six digits, and back. */
#ifndef API_TIME_H
#define API_TIME_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

/** Append "2025-01-02T03:04:05.678901Z". Units: µs since the Unix epoch, >= 0. Errors: the buffer's own. */
void api_time_append(struct buf *out, int64_t time_us);

/**
 * Read an RFC 3339 date-time: upper-case T and Z, a zone (Z or ±hh:mm) and, where there is a fraction, one to six digits.
 *
 * Returns: µs since the Unix epoch; negative before 1970.
 * Errors:  ERR_INVALID for any other text, days that no calendar has, and leap seconds (:60), which Unix time cannot tell
 *          from the next second.
 * Thread:  any.
 * Source:  RFC 3339, section 5.6.
 */
MUST_CHECK enum err api_time_parse(struct slice text, int64_t *time_us);

#endif

/*
 * Does a write-ahead log hold damage that SQLite would take for its end?
 *
 * SQLite stops reading at the first frame that fails its checksum, as after a crash in the middle of a write, and drops all
 * that stands behind, acknowledged commits included. But each of our commits is synced before the next begins, so after a
 * crash at most the last transaction can be torn. A bad frame with a later transaction behind it is damage.
 */
#ifndef STORE_EMBEDDED_WAL_CHECK_H
#define STORE_EMBEDDED_WAL_CHECK_H

#include "base/err.h"

/**
 * Is the file there that a log belongs to? SQLite throws away a log beside a file that is missing or empty, and begins a new one; but
 * a ledger has its first page before it has a log.
 *
 * Errors:  ERR_CORRUPT there is a log, and no file for it, *why names both; ERR_IO.
 * Thread:  any.
 */
MUST_CHECK enum err wal_base_check(const char *path, const char *wal_path, struct err_text *why);

/**
 * Read a write-ahead log and say whether dropping what follows its first bad frame could lose a commit.
 *
 * Returns: ERR_OK for no file, an empty one, a sound one, or one whose last transaction is torn.
 * Errors:  ERR_CORRUPT, *why names the file and the frame; ERR_IO, ERR_NOMEM.
 * Thread:  any; nobody may be writing the file.
 * Source:  SQLite's "WAL-mode File Format"; docs/journal-format.md.
 */
MUST_CHECK enum err wal_check(const char *wal_path, struct err_text *why);

#endif

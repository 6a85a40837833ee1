/* The embedded ledger as an export, and an export as an embedded ledger. See docs/export-format.md. */
#ifndef STORE_EMBEDDED_MOVE_H
#define STORE_EMBEDDED_MOVE_H

#include "base/err.h"
#include "store/move.h"

/**
 * Write the ledger in a folder to fd. Takes no lock and changes nothing; a service may be running on it: the export is the
 * ledger of one moment.
 *
 * Units:   ttl_us is how long idempotency keys are kept; those that are still open are exported.
 * Returns: *totals says what was written.
 * Errors:  ERR_NOT_FOUND no ledger there; ERR_CORRUPT it is damaged, *why names the record; ERR_DISK_FULL, ERR_IO, ERR_NOMEM,
 *          ERR_UNSUPPORTED.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err embedded_export(const char *dir, uint64_t ttl_us, int fd,
                                    struct move_totals *totals, struct err_text *why);

/**
 * Make the ledger in a folder from an export: in DIR/import.tmp, which becomes the ledger in one rename when all of it is there,
 * durable and verified. Where it fails or is killed DIR has no ledger; what is left in import.tmp goes with the next import.
 *
 * Errors:  ERR_EXISTS   the folder has a ledger with something in it: nothing was changed;
 *          ERR_LOCKED   a service is running on it;
 *          ERR_CORRUPT  the export is cut or changed; *why names its line;
 *          ERR_UNSUPPORTED another program's or a newer export, a currency that this program does not know;
 *          ERR_DISK_FULL, ERR_IO, ERR_NOMEM.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err embedded_import(const char *dir, int fd, struct move_totals *totals,
                                    struct err_text *why);

#endif

/* The ledger in a Redis as an export, and an export as a ledger in a Redis. See docs/export-format.md. */
#ifndef STORE_REDIS_MOVE_H
#define STORE_REDIS_MOVE_H

#include "base/err.h"
#include "store/move.h"
#include "store/redis/redis.h"

/**
 * Write the ledger to fd: that of one moment, also while services are running on it.
 *
 * Owns:    borrows all; memory is bounded by the buckets and the open idempotency keys (about 80 bytes each).
 * Returns: *totals says what was written.
 * Errors:  ERR_NOT_FOUND no ledger there; ERR_CORRUPT it is damaged; ERR_BUSY a half import is in it; ERR_UNSUPPORTED; ERR_IO,
 *          ERR_TIMEOUT, ERR_INVALID (the server refuses us), ERR_DISK_FULL, ERR_NOMEM; *why.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err redis_export(const struct redis_url *url, const struct redis_tls_files *tls,
                                 int fd, struct move_totals *totals, struct err_text *why);

/**
 * Make a ledger from an export. While it runs it holds the lock "migration", and w:meta says format "importing", at which every
 * instance refuses to start; the ledger's own format comes when all of it is there and was verified. A half import that was
 * killed is removed by the next import.
 *
 * Units:   buckets: of the new ledger; 0: as many as the export's store had, or REDIS_BUCKETS.
 * Errors:  ERR_EXISTS there is a ledger already: nothing was changed; ERR_BUSY another import runs, or a service is connected;
 *          ERR_CORRUPT the export is cut or changed, *why names its line; ERR_UNSUPPORTED; ERR_IO, ERR_TIMEOUT, ERR_INVALID,
 *          ERR_NOMEM; *why.
 * Thread:  any; blocks.
 */
MUST_CHECK enum err redis_import(const struct redis_url *url, const struct redis_tls_files *tls,
                                 unsigned buckets, int fd, struct move_totals *totals,
                                 struct err_text *why);

#endif

/* From a folder to a book: load the accounts, replay what the last sweep had not seen, load the keys, check the sums. */
#ifndef STORE_EMBEDDED_RECOVER_H
#define STORE_EMBEDDED_RECOVER_H

#include "ledger/book.h"
#include "store/embedded/journal.h"

/**
 * Fill an empty book, and the journal's position, from the journal's open connection.
 *
 * Units:   wall_us is the wall clock, ttl_us how long idempotency keys are kept, both µs: keys are loaded that are not
 *          older than that, by the earlier of the wall clock and the newest record.
 * Returns: *replayed counts the records that were read again.
 * Errors:  ERR_CORRUPT with *why naming the place; ERR_IO, ERR_NOMEM, ERR_BUSY. The file is not changed.
 * Thread:  start-up.
 */
MUST_CHECK enum err recover(struct journal *j, struct book *b, int64_t wall_us, int64_t ttl_us,
                            uint64_t *replayed, struct err_text *why);

#endif

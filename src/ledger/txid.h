/* Transaction ids: opaque text that carries a transaction's unique time, so that it is found without an index. */
#ifndef LEDGER_TXID_H
#define LEDGER_TXID_H

#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"

enum { TXID_BYTES_MAX = 32 };

/** Write "tx_…" for a time and tag; returns its length. Ids of one ledger sort as text by time. Thread: any. */
size_t txid_encode(int64_t time_us, uint32_t tag, char text[TXID_BYTES_MAX]);

/** Read one. Errors: ERR_INVALID for any text that txid_encode does not write. */
MUST_CHECK enum err txid_decode(struct slice text, int64_t *time_us, uint32_t *tag);

#endif

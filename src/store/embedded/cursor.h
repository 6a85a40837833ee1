/* Page cursors: opaque text of [A-Za-z0-9_-] that carries where a page goes on, bound to what was asked. */
#ifndef STORE_EMBEDDED_CURSOR_H
#define STORE_EMBEDDED_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "ledger/types.h"
#include "store/store.h"

/** Write the cursor behind an account id; `binding` is store_accounts_binding's. Returns its length. */
unsigned cursor_account_write(const char *id, size_t len, uint32_t binding,
                              char out[STORE_CURSOR_BYTES_MAX]);

/** Read it. False: not one of ours, or of another question. id holds LEDGER_ACCOUNT_ID_BYTES_MAX. */
bool cursor_account_read(struct slice text, uint32_t binding, char *id, size_t *len);

/** Write the cursor at entry n of a history; `binding` is a digest of account and filters. */
unsigned cursor_history_write(uint64_t n, uint32_t binding, char out[STORE_CURSOR_BYTES_MAX]);

/** Read it. False: not one of ours, or of another account or filter. */
bool cursor_history_read(struct slice text, uint32_t binding, uint64_t *n);

#endif

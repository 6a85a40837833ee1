/* Page cursors of the Redis store: opaque text of [A-Za-z0-9_-] that carries a place and a checksum over what was asked. */
#ifndef STORE_REDIS_PLACE_H
#define STORE_REDIS_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "store/store.h"

enum place_kind { /* the first byte of a cursor; other numbers are other stores' */
                  PLACE_ACCOUNTS = 17,
                  PLACE_HISTORY = 18
};

struct place {
    uint32_t bucket; /* PLACE_ACCOUNTS; else 0 */
    uint64_t n; /* PLACE_ACCOUNTS: index in the bucket's list; PLACE_HISTORY: number of the entry, 1.. */
};

/** Write a cursor; `binding` is a digest of what was asked. Returns its length. Thread: any; pure. */
unsigned place_write(enum place_kind kind, uint32_t binding, struct place at,
                     char out[STORE_CURSOR_BYTES_MAX]);

/** Read it. False: not one of ours, or of another question. Thread: any; pure. */
bool place_read(enum place_kind kind, uint32_t binding, struct slice text, struct place *out);

#endif

/* The journal record: what is appended for ever, its canonical bytes, and the coding of its two blobs. */
#ifndef LEDGER_RECORD_H
#define LEDGER_RECORD_H

#include "base/err.h"
#include "ledger/posting.h"
#include "ledger/types.h"

enum {
    RECORD_FIXED_BYTES = 96, /* the numbers of a record, canonical */
    RECORD_IDEM_BYTES_MAX = IDEM_SCOPE_BYTES + IDEM_FINGERPRINT_BYTES + 2 * IDEM_FIELDS_MAX,
    RECORD_EXTRA_BYTES_MAX = 5120,
    RECORD_SMALL_BYTES = 80,
};

struct record {
    uint64_t seq;           /* 1.., gapless */
    int64_t time_us;        /* unique to its transaction, rising with seq */
    uint32_t kind;          /* enum record_kind */
    uint32_t tag;           /* with time_us the transaction's id; 0 for those born here */
    uint64_t debit, credit; /* account numbers; 0: no such side */
    int64_t amount; /* minor units, >= 0: moved from debit to credit. RECORD_OPEN: the overdraft limit of `credit` */
    int64_t held;                          /* Δheld of the debit side */
    int64_t debit_balance, credit_balance; /* after this record */
    uint64_t debit_prev, credit_prev; /* the record before this one in that account's chain; 0: none */
    struct slice idem;                /* encoded struct idem, or empty; borrowed */
    struct slice extra;               /* encoded record_extra, or empty; borrowed */
    /* where the executor itself writes: a few bytes of extra, and the encoded key */
    char small[RECORD_SMALL_BYTES];
    char idem_bytes[RECORD_IDEM_BYTES_MAX];
};

/** The decoded extra of a record. Slices point into the encoded bytes. */
struct record_extra {
    struct slice account_id; /* RECORD_OPEN; RECORD_REFUSAL: the first account, whose key it is */
    struct currency currency;
    uint8_t exponent;
    struct slice reference; /* ptr NULL: absent */
    struct slice metadata;  /* ptr NULL: absent */
    uint8_t refused_kind; /* RECORD_REFUSAL: enum record_kind of the verb, enum outcome, enum ledger_language */
    uint8_t refused_outcome;
    uint8_t language;
    bool has_refusal;
};

/** Write the fixed part, little endian, to bytes: what checksums and hash blocks are computed over, with both blobs behind it. */
void record_fixed_encode(const struct record *r, uint8_t bytes[RECORD_FIXED_BYTES]);

/** CRC-32C over the canonical bytes of the whole record. Thread: any. */
uint32_t record_crc(const struct record *r);

/** How many bytes record_extra_encode will write; 0 for an extra with nothing in it. */
size_t record_extra_size(const struct record_extra *x);

/**
 * Encode an extra.
 *
 * Returns: its length, which is record_extra_size(x).
 * Errors:  none: it must fit cap, and over-long parts are ASSERTed (the edge has limits on them).
 */
size_t record_extra_encode(const struct record_extra *x, char *out, size_t cap);

/** Decode. Errors: ERR_CORRUPT for anything record_extra_encode could not have written. */
MUST_CHECK enum err record_extra_decode(struct slice bytes, struct record_extra *out);

/** Encode a key's blob into out; returns its length. */
size_t record_idem_encode(const struct idem *idem, char out[RECORD_IDEM_BYTES_MAX]);

/** Decode a key's blob. Errors: ERR_CORRUPT. */
MUST_CHECK enum err record_idem_decode(struct slice bytes, struct idem *out);

/** Is every number of the record within what a ledger can have written? For records that come from a disk. */
MUST_CHECK enum err record_check(const struct record *r);

#endif

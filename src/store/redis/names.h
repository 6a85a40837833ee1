/* Buckets and key names: which key an account, a journal, an idempotency key lives under. Standalone and Cluster alike. */
#ifndef STORE_REDIS_NAMES_H
#define STORE_REDIS_NAMES_H

#include <stdint.h>

#include "base/slice.h"
#include "ledger/types.h"

enum {
    NAMES_BUCKETS_MAX = 4096,
    NAMES_TAG_BYTES_MAX = 4,
    NAMES_KEY_BYTES_MAX = 96, /* the longest: w:a:{tag}:<64 bytes> */
};

#define NAMES_META SLICE("w:meta")
#define NAMES_LOCK_PREFIX "w:l:"

/** The bucket of an account: crc32c(id) mod buckets. Thread: any; pure; fixed for ever. */
unsigned names_bucket(struct slice account, unsigned buckets);

/** Redis Cluster's hash slot of a key (CRC-16/XMODEM mod 16384 over the {tag} if there is one). */
unsigned names_slot(struct slice key);

/**
 * The tag of a bucket, 1..4 characters of [0-9a-z], whose slot is 4 x bucket: so each bucket has a slot of its own, and
 * neighbours stay on one master. Computed once; fixed for ever. Owns: static. Thread: any.
 */
struct slice names_tag(unsigned bucket);

/** Is a key one of a ledger's own? Its marks (w:meta) are not, nor a lock or the fence it leaves: these may come before a ledger. */
bool names_is_ledgers(struct slice key);

struct names_key {
    char text[NAMES_KEY_BYTES_MAX];
    unsigned len;
};
static inline struct slice names_slice(const struct names_key *k)
{
    return slice_make(k->text, k->len);
}

/** w:a:{T}:<account>  hash */
struct names_key names_account(unsigned bucket, struct slice account);
/** w:h:{T}:<account>  list: the account's history */
struct names_key names_history(unsigned bucket, struct slice account);
/** w:j:{T}  stream: the journal */
struct names_key names_journal(unsigned bucket);
/** w:m:{T}  hash: seq, last time, @world */
struct names_key names_bucket_meta(unsigned bucket);
/** w:o:{T}  list: the ids of accounts in the order they were opened */
struct names_key names_opened(unsigned bucket);
/** w:i:{T}:<16 bytes>  string with a time to live: an idempotency key */
struct names_key names_idem(unsigned bucket, const uint8_t scope[16]);

#endif

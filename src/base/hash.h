/* A keyed 64-bit hash for tables whose keys strangers choose. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "base/slice.h"

struct hash_key {
    uint64_t k0, k1; /* secret, drawn once a process, so that nobody can prepare colliding keys */
};

/**
 * SipHash-1-3 of the bytes under the key.
 *
 * Thread:  any.
 * Source:  Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 */
uint64_t hash_bytes(const struct hash_key *key, struct slice bytes);

#endif

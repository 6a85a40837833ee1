/* Random numbers: secrets from the kernel, and a seeded generator that a test can replay. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct prng {
    uint64_t state; /* SplitMix64; any value is a good seed */
};

/** Fill with bytes of the kernel's generator. Errors: ERR_IO where the kernel has none. Thread: any; may block at boot. */
MUST_CHECK enum err prng_secret(void *bytes, size_t len);

/** The next 64 bits of a seeded generator; not for secrets. Thread: its owner. Source: Steele et al., SplitMix64, 2014. */
uint64_t prng_next(struct prng *p);

/** A number in 0 .. below-1, below > 0; the bias is under 2^-32 for small ranges. Thread: its owner. */
uint64_t prng_below(struct prng *p, uint64_t below);

#endif

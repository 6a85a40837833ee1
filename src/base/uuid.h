/* UUID version 7: sortable by time, for request ids and generated names. */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdint.h>

#include "base/prng.h"

enum { UUID_TEXT_BYTES = 36 };

/**
 * Write the 36 characters of a new UUIDv7 to text; no NUL is added.
 *
 * Units:   wall_us is µs since the Unix epoch.
 * Thread:  the owner of *random, which should be seeded by prng_secret once a thread.
 * Source:  RFC 9562, section 5.7.
 */
void uuid_v7(struct prng *random, int64_t wall_us, char text[UUID_TEXT_BYTES]);

#endif

/* What the room's own tests ask of an open store, and nobody else. */
#ifndef STORE_REDIS_REDIS_INTERNAL_H
#define STORE_REDIS_REDIS_INTERNAL_H

#include "store/store.h"

/** Operations at work on the loop that an attached sink is of. Thread: the loop's. */
unsigned redis_busy(const struct store_sink *sink);

#endif

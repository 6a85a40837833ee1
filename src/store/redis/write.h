/* A posting on its way: one function call, its answer, and what each fate of it means. */
#ifndef STORE_REDIS_WRITE_H
#define STORE_REDIS_WRITE_H

#include "store/redis/work.h"

/** Send the posting. Thread: the loop's. */
void write_post(struct work *w);

/** May no posting be sent now: the ledger is in doubt, the server worth less than is required, or no replica there that WAIT could wait for (it would wait for none). Thread: any. */
bool write_is_forbidden(const struct redis_shared *s);

#endif

/* A posting on its way: one function call, its answer, and what each fate of it means. */
#ifndef STORE_REDIS_WRITE_H
#define STORE_REDIS_WRITE_H

#include "store/redis/work.h"

/** Send the posting. Thread: the loop's. */
void write_post(struct work *w);

#endif

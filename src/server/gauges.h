/* The gauges that are asked for at each scrape: what the loops and the store are doing now. */
#ifndef SERVER_GAUGES_H
#define SERVER_GAUGES_H

#include "server/service.h"

/** Declare them. Owns: borrows s until its metrics are freed. Errors: ERR_NOMEM. Thread: start-up. */
MUST_CHECK enum err gauges_declare(struct service *s);

#endif

/* What is counted and logged of every request. */
#ifndef API_OBSERVE_H
#define API_OBSERVE_H

#include "api/api_internal.h"

/** The writes, as wallet_operations_total names them. */
enum api_operation {
    API_OPERATION_CREDIT,
    API_OPERATION_DEBIT,
    API_OPERATION_TRANSFER,
    API_OPERATION_OPEN,
    API_OPERATION_COUNT,
    API_OPERATION_NONE = API_OPERATION_COUNT
};

/** Which write a route is; API_OPERATION_NONE for all others. Thread: any. */
enum api_operation api_operation_of_route(unsigned route);

/** Declare every series. Errors: ERR_NOMEM. Owns: *out is freed by api_series_free. Thread: start-up. */
MUST_CHECK enum err api_series_new(struct metrics *metrics, struct api_series **out);
void api_series_free(struct api_series *series);

/** Count the answer to a write, once a request; no effect for other routes. */
void api_observe_operation(struct api_loop *l, unsigned route, enum api_code code, bool is_replay);

/** Count and log a finished request. Units: status 0 where the peer went before an answer. */
void api_observe_done(struct api_loop *l, struct http_request *request, unsigned status,
                      uint64_t duration_us);

#endif

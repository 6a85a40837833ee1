/* What the room's files share: the routes by name, what is kept of a request, and the handlers. */
#ifndef API_API_INTERNAL_H
#define API_API_INTERNAL_H

#include "api/api.h"
#include "api/error.h"

/** Index into the route table. */
enum api_route {
    API_ROUTE_BALANCE,
    API_ROUTE_CREDIT,
    API_ROUTE_DEBIT,
    API_ROUTE_OPEN,
    API_ROUTE_ACCOUNTS,
    API_ROUTE_ACCOUNT,
    API_ROUTE_TRANSFER,
    API_ROUTE_TRANSACTION,
    API_ROUTE_HISTORY,
    API_ROUTE_METRICS,
    API_ROUTE_LIVEZ,
    API_ROUTE_READYZ,
    API_ROUTE_HEALTHZ,
    API_ROUTE_OPENAPI,
    API_ROUTE_COUNT
};

/** What is remembered of a request for its deadline and its log line; in its arena, http_user points at it. */
struct api_note {
    struct api_call *call; /* the operation it waits for, or NULL */
    enum api_code code;    /* of its answer */
    bool is_replay;
};

http_handler api_get_balance;
http_handler api_post_credit;
http_handler api_post_debit;
http_handler api_post_account;
http_handler api_get_accounts;
http_handler api_get_account;
http_handler api_post_transfer;
http_handler api_get_transaction;
http_handler api_get_history;
http_handler api_get_metrics;
http_handler api_get_livez;
http_handler api_get_readyz;
http_handler api_get_openapi;

/** The template of a route for logs and labels; "other" for a request that found none. */
const char *api_route_template(unsigned route);

/** What an answered write is worth now. Owns: static. Thread: any. */
const char *api_durability(const struct api_shared *s);

/** The note of a request, made where there is none yet; NULL when memory is out. */
struct api_note *api_note_get(struct http_request *request);

#endif

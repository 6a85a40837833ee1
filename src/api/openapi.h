/* The API's description, docs/openapi.yaml, as it lies in the binary. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "base/slice.h"

/** The file's bytes. Thread: any. */
struct slice api_openapi_text(void);

/** Its entity tag, quotes included. */
struct slice api_openapi_etag(void);

#endif

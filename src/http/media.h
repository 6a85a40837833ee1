/* Whether a Content-Type is ours. Pure. */
#ifndef HTTP_MEDIA_H
#define HTTP_MEDIA_H

#include "base/slice.h"

/**
 * application/json, with charset=utf-8 or without a parameter; case does not matter. Source: RFC
 * 9110, 8.3.
 */
bool media_is_json(struct slice content_type);

#endif

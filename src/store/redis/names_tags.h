/* The table of tags: NAMES_TAG_BYTES_MAX characters a bucket, spaces behind the shorter ones. Stored in key names: never changes. */
#ifndef STORE_REDIS_NAMES_TAGS_H
#define STORE_REDIS_NAMES_TAGS_H

#include "store/redis/names.h"

extern const char names_tags[NAMES_BUCKETS_MAX * NAMES_TAG_BYTES_MAX + 1];

#endif

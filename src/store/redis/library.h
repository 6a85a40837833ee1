/* The files of lua/ as one text, wallet.lua, in the binary. */
#ifndef STORE_REDIS_LIBRARY_H
#define STORE_REDIS_LIBRARY_H

#include "base/slice.h"

#define LIBRARY_NAME "mywallet_v1"

/** The source, as FUNCTION LOAD takes it: two lines with the name and the hash, then wallet.lua. Owns: static. Thread: any. */
struct slice library_source(void);

/** The SHA-256 of wallet.lua in hex: what FCALL_RO mywallet_v1_hash answers. Owns: static. Thread: any. */
struct slice library_hash(void);

#endif

/*
 * A look at the server's bytes before the codec sees them: it finds where a reply ends and refuses what could cost memory without
 * bound (announced lengths, nesting, endless lines) or is no RESP2. Keeps a few numbers, no bytes.
 */
#ifndef STORE_REDIS_GUARD_H
#define STORE_REDIS_GUARD_H

#include <stddef.h>
#include <stdint.h>

enum {
    GUARD_DEPTH_MAX = 7,                     /* arrays in arrays: as deep as the codec goes */
    GUARD_LINE_BYTES_MAX = 16 * 1024,        /* of a status or an error */
    GUARD_BULK_BYTES_MAX = 16 * 1024 * 1024, /* of one string */
    GUARD_ELEMENTS_MAX = 1024 * 1024,        /* of one reply, all levels together */
    GUARD_REPLY_BYTES_MAX = 64 * 1024 * 1024,
};

enum guard_state {
    GUARD_MORE,   /* all bytes are good, and the reply goes on */
    GUARD_REPLY,  /* a reply ends behind the bytes taken */
    GUARD_BROKEN, /* these bytes must not reach the codec */
};

/** All zero: at the beginning of a reply. */
struct guard {
    uint64_t reply_bytes;           /* of this reply so far */
    uint64_t bulk_left;             /* of a string still to come, with its CR LF */
    int64_t number;                 /* of the line so far */
    uint32_t left[GUARD_DEPTH_MAX]; /* elements still to come, a level each */
    uint32_t elements;              /* announced so far */
    uint32_t line_bytes;            /* behind the type */
    uint32_t depth, digits;
    char type; /* of the line that is being read; 0: a type comes next */
    char is_negative, is_return_seen;
};

/**
 * Look at bytes until a reply ends or they do.
 *
 * Returns: how many are looked at; *state says why it stopped. After GUARD_BROKEN nothing may follow.
 * Thread:  any; pure.
 */
size_t guard_scan(struct guard *g, const char *bytes, size_t len, enum guard_state *state);

#endif

/* The operating errors everyone speaks: what went wrong with a disk, a peer or a limit. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_at, args_at) __attribute__((format(printf, format_at, args_at)))

enum err {
    ERR_OK = 0,
    ERR_NOMEM,       /* memory or a memory ceiling ran out */
    ERR_FULL,        /* a bounded queue, buffer or table is full */
    ERR_RANGE,       /* a number outside its allowed range */
    ERR_INVALID,     /* input that breaks its grammar */
    ERR_NOT_FOUND,   /* the named thing does not exist */
    ERR_EXISTS,      /* the named thing exists already */
    ERR_BUSY,        /* somebody else holds it now; later may work */
    ERR_LOCKED,      /* owned by another process */
    ERR_IO,          /* the disk or a peer failed; what it holds is not known */
    ERR_DISK_FULL,   /* no room; nothing was written */
    ERR_CORRUPT,     /* stored bytes contradict their own checks */
    ERR_TIMEOUT,     /* a deadline passed */
    ERR_UNSUPPORTED, /* a version or feature this program does not have */
    ERR_COUNT,
};

/** Human words for start-up and offline commands; a request never carries one. */
struct err_text {
    char text[512];
};

/**
 * The constant name of an error, such as "ERR_IO", for logs.
 *
 * Owns:    the string is static.
 * Thread:  any.
 */
const char *err_name(enum err e);

/**
 * Put formatted words into *text, cut at its end; a NULL text is ignored.
 *
 * Thread:  the one that owns *text.
 */
void err_text_set(struct err_text *text, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

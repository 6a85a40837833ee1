/*
 * How many decimals each currency has in this ledger: `decimals` of w:meta, "AED2AFN2…". @world of a currency is one sum over all
 * accounts, and a number without decimals of its own, so two programs whose ISO tables differ must not write to one ledger.
 */
#ifndef STORE_REDIS_SCALE_H
#define STORE_REDIS_SCALE_H

#include "base/err.h"
#include "base/slice.h"

struct buf;
struct sync;

/**
 * Compare what a ledger holds with this program's table.
 *
 * text: the mark as it stands, empty where there is none. It comes from a server, so anything may stand there.
 * Returns: in *out what should stand there: the same, and behind it each currency of ours that it lacks. One that only it
 *          has stays.
 * Errors:  ERR_UNSUPPORTED a currency with other decimals, or no such mark at all; *why names it. ERR_NOMEM, ERR_FULL of *out.
 * Thread:  any; pure.
 */
MUST_CHECK enum err scale_merge(struct slice text, struct buf *out, struct err_text *why);

/** The same with the mark of the server, which is written where it changes. Errors: also ERR_INVALID the server refused; ERR_IO, ERR_TIMEOUT. Thread: any; blocks. */
MUST_CHECK enum err scale_keep(struct sync *s, struct err_text *why);

#endif

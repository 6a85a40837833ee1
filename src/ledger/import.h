/* Postings that another store executed, put into a book again: with the time and the tag they have. */
#ifndef LEDGER_IMPORT_H
#define LEDGER_IMPORT_H

#include "ledger/book.h"

/**
 * Apply a posting as book_apply does, all of its guards included, but at its own time and under its own tag. Where a key is
 * known already its newer answer takes the place of the older one.
 *
 * Units:   time_us >= the book's last time (ASSERT): postings of one time differ in their tags.
 * Owns, Returns, Thread: as book_apply; room was reserved by book_reserve.
 */
enum outcome book_import(struct book *b, const struct posting *p, int64_t time_us, uint32_t tag,
                         struct book_fx *fx, struct posting_result *out);

/** Room for one more record without a posting: a refusal. Errors: ERR_FULL end the batch first; ERR_NOMEM. */
MUST_CHECK enum err book_import_refusal_reserve(struct book *b, const struct idem *idem,
                                                const struct book_fx *fx);

/** Put a refusal: p's kind, language and first account, and its key where it has one that is still open; nothing else of p is looked at. */
void book_import_refusal(struct book *b, const struct posting *p, enum outcome refused,
                         int64_t time_us, uint32_t tag, struct book_fx *fx);

#endif

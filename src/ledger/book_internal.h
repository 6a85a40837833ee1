/* Shared by the files of the book: storage of accounts, and the application of one record. */
#ifndef LEDGER_BOOK_INTERNAL_H
#define LEDGER_BOOK_INTERNAL_H

#include "ledger/book.h"
#include "money/money.h"

/** What one account may hold: all of a balance and of an overdraft, each at its ceiling. */
#define BOOK_HELD_MAX (2 * MONEY_MINOR_MAX)

/** Make room for `count` more accounts with ids of up to 64 bytes. Errors: ERR_NOMEM. */
MUST_CHECK enum err book_accounts_reserve(struct book *b, unsigned count);

/** The number of the account with this id (of LEDGER_WORLD: in this currency); 0: none. */
uint64_t book_lookup(const struct book *b, struct slice id, struct currency c);

/** Make room for one more id in the index. Errors: ERR_NOMEM. */
MUST_CHECK enum err book_id_reserve(struct book *b, struct slice id);

/** Add an account; room was reserved. Returns its number. */
uint64_t book_account_add(struct book *b, const struct account *a);

/** Take the newest account out again. */
void book_account_pop(struct book *b);

struct account *book_account_mutable(struct book *b, uint64_t no);

/** Fill the account that a RECORD_OPEN opens. Errors: ERR_CORRUPT. */
MUST_CHECK enum err book_open_decode(const struct record *r, struct account *out);

/**
 * Change the one side of a record that is account no's.
 *
 * Returns: true where the entry leaves a history mark, with *mark filled.
 */
bool book_side_apply(struct book *b, const struct record *r, uint64_t no, struct book_mark *mark);

/** Append the next record of a batch to fx; it has its position and time, nothing else yet. */
struct record *book_emit(struct book *b, enum record_kind kind, int64_t time_us, struct book_fx *fx);

/** Fill a record with a movement (credit 0: of held money alone) and apply both sides; the guards have passed. */
void book_move(struct book *b, struct record *r, uint64_t debit, uint64_t credit, int64_t amount,
               int64_t held, struct book_fx *fx);

#endif

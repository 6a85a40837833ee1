/* Answers as JSON: from a store's views and results alone, so that a replay is the same bytes. */
#ifndef API_RENDER_H
#define API_RENDER_H

#include "base/buf.h"
#include "ledger/posting.h"
#include "ledger/types.h"
#include "store/store.h"

/* All append to out, whose sticky error is the only error. Members and their order are the contract's. */

/** {"account_id":"123456","balance":1000.00} */
void api_render_balance(struct buf *out, const struct account_view *view);

/** {"account_id":"123456","balance":1100.00,"transaction_id":"tx_…"} of a credit or debit that was done. */
void api_render_movement(struct buf *out, const struct posting_result *result);

/** {"transaction_id","from":{…},"to":{…},"amount","currency","created_at"} of a transfer that was done. */
void api_render_transfer(struct buf *out, const struct posting_result *result);

/** One account; metadata is canonical JSON text, ptr NULL for none (shown as {}). */
void api_render_account(struct buf *out, const struct account_view *view, struct slice metadata);

/** A page of accounts. */
void api_render_accounts(struct buf *out, const struct store_op *op);

/** A page of one account's entries. */
void api_render_history(struct buf *out, const struct store_op *op);

/** One transaction with its entries. */
void api_render_transaction(struct buf *out, const struct store_op *op);

/** "credit", "debit", "transfer": the type of a transaction. */
const char *api_kind_text(enum record_kind kind);

/** "active", "frozen", "closed". */
const char *api_status_text(enum account_status status);

#endif

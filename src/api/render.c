#include "api/render.h"

#include "api/time.h"
#include "base/assert.h"
#include "ledger/txid.h"
#include "money/money.h"
#include "json/writer.h"

const char *api_kind_text(enum record_kind kind)
{
    switch (kind) {
    case RECORD_CREDIT:
        return "credit";
    case RECORD_DEBIT:
        return "debit";
    case RECORD_TRANSFER:
        return "transfer";
    case RECORD_NONE:
    case RECORD_OPEN:
    case RECORD_REFUSAL:
    case RECORD_KIND_COUNT:
        break;
    }
    UNREACHABLE("no kind of transaction");
}

const char *api_status_text(enum account_status status)
{
    static const char *const texts[ACCOUNT_STATUS_COUNT] = {
        [ACCOUNT_ACTIVE] = "active", [ACCOUNT_FROZEN] = "frozen", [ACCOUNT_CLOSED] = "closed"};

    ASSERT((unsigned)status < ACCOUNT_STATUS_COUNT);
    return texts[status];
}

static void text_member(struct json_writer *w, struct slice key, struct slice value)
{
    json_key(w, key);
    json_string(w, value);
}

static void money_member(struct json_writer *w, struct slice key, int64_t minor, unsigned exponent)
{
    json_key(w, key);
    money_append(json_begin_raw(w), minor, exponent);
}

static void time_member(struct json_writer *w, struct slice key, int64_t time_us)
{
    struct buf *out;

    json_key(w, key);
    out = json_begin_raw(w);
    buf_append_byte(out, '"');
    api_time_append(out, time_us);
    buf_append_byte(out, '"');
}

static void currency_member(struct json_writer *w, struct currency c)
{
    char text[3];

    currency_text(c, text);
    text_member(w, SLICE("currency"), slice_make(text, sizeof(text)));
}

static void transaction_member(struct json_writer *w, int64_t time_us, uint32_t tag)
{
    char text[TXID_BYTES_MAX];
    size_t len = txid_encode(time_us, tag, text);

    text_member(w, SLICE("transaction_id"), slice_make(text, len));
}

void api_render_balance(struct buf *out, const struct account_view *view)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w);
    text_member(&w, SLICE("account_id"), view->id);
    money_member(&w, SLICE("balance"), view->balance, view->exponent);
    json_close_object(&w);
}

void api_render_movement(struct buf *out, const struct posting_result *result)
{
    struct json_writer w;

    ASSERT(result->side_count == 1);
    json_writer_init(&w, out);
    json_open_object(&w);
    text_member(&w, SLICE("account_id"), result->sides[0].account);
    money_member(&w, SLICE("balance"), result->sides[0].balance, result->exponent);
    transaction_member(&w, result->time_us, result->tag);
    json_close_object(&w);
}

static void side_member(struct json_writer *w, struct slice key, const struct posting_side *side,
                        unsigned exponent)
{
    json_key(w, key);
    json_open_object(w);
    text_member(w, SLICE("account_id"), side->account);
    money_member(w, SLICE("balance"), side->balance, exponent);
    json_close_object(w);
}

void api_render_transfer(struct buf *out, const struct posting_result *result)
{
    struct json_writer w;

    ASSERT(result->side_count == 2);
    json_writer_init(&w, out);
    json_open_object(&w);
    transaction_member(&w, result->time_us, result->tag);
    side_member(&w, SLICE("from"), &result->sides[0], result->exponent);
    side_member(&w, SLICE("to"), &result->sides[1], result->exponent);
    money_member(&w, SLICE("amount"), result->amount, result->exponent);
    currency_member(&w, result->currency);
    time_member(&w, SLICE("created_at"), result->time_us);
    json_close_object(&w);
}

static void account_write(struct json_writer *w, const struct account_view *view,
                          struct slice metadata)
{
    json_open_object(w);
    text_member(w, SLICE("account_id"), view->id);
    currency_member(w, view->currency);
    money_member(w, SLICE("balance"), view->balance, view->exponent);
    money_member(w, SLICE("held"), view->held, view->exponent);
    money_member(w, SLICE("available"), view->balance - view->held + view->overdraft, view->exponent);
    money_member(w, SLICE("overdraft_limit"), view->overdraft, view->exponent);
    text_member(w, SLICE("status"), slice_of(api_status_text(view->status)));
    json_key(w, SLICE("version"));
    buf_append_u64(json_begin_raw(w), view->version);
    time_member(w, SLICE("created_at"), view->created_us);
    time_member(w, SLICE("updated_at"), view->updated_us);
    json_key(w, SLICE("metadata"));
    json_raw(w, metadata.ptr == NULL ? SLICE("{}") : metadata);
    json_close_object(w);
}

void api_render_account(struct buf *out, const struct account_view *view, struct slice metadata)
{
    struct json_writer w;

    json_writer_init(&w, out);
    account_write(&w, view, metadata);
}

static void page_end(struct json_writer *w, const struct store_op *op)
{
    json_key(w, SLICE("has_more"));
    json_bool(w, op->has_more);
    if (op->has_more) {
        ASSERT(op->next_cursor_len > 0 && op->next_cursor_len <= STORE_CURSOR_BYTES_MAX);
        text_member(w, SLICE("next_cursor"), slice_make(op->next_cursor, op->next_cursor_len));
    }
    json_close_object(w);
}

void api_render_accounts(struct buf *out, const struct store_op *op)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w);
    json_key(&w, SLICE("accounts"));
    json_open_array(&w);
    for (unsigned i = 0; i < op->count; i++) {
        account_write(&w, &op->views[i],
                      op->views_metadata == NULL ? SLICE_NONE : op->views_metadata[i]);
    }
    json_close_array(&w);
    page_end(&w, op);
}

void api_render_history(struct buf *out, const struct store_op *op)
{
    const unsigned exponent = op->account.exponent;
    struct json_writer w;

    json_writer_init(&w, out);
    json_open_object(&w);
    text_member(&w, SLICE("account_id"), op->account.id);
    json_key(&w, SLICE("transactions"));
    json_open_array(&w);
    for (unsigned i = 0; i < op->count; i++) {
        const struct store_entry *entry = &op->entries[i];
        json_open_object(&w);
        transaction_member(&w, entry->time_us, entry->tag);
        text_member(&w, SLICE("type"), slice_of(api_kind_text(entry->kind)));
        money_member(&w, SLICE("amount"), entry->amount, exponent);
        money_member(&w, SLICE("balance"), entry->balance, exponent);
        if (entry->counterparty.ptr != NULL) {
            text_member(&w, SLICE("counterparty"), entry->counterparty);
        }
        if (entry->reference.ptr != NULL) {
            text_member(&w, SLICE("reference"), entry->reference);
        }
        time_member(&w, SLICE("created_at"), entry->time_us);
        json_close_object(&w);
    }
    json_close_array(&w);
    page_end(&w, op);
}

void api_render_transaction(struct buf *out, const struct store_op *op)
{
    const struct store_entry *first = op->entries;
    struct json_writer w;

    ASSERT(op->count > 0);
    json_writer_init(&w, out);
    json_open_object(&w);
    transaction_member(&w, first->time_us, first->tag);
    text_member(&w, SLICE("type"), slice_of(api_kind_text(first->kind)));
    currency_member(&w, op->result.currency);
    time_member(&w, SLICE("created_at"), first->time_us);
    json_key(&w, SLICE("entries"));
    json_open_array(&w);
    for (unsigned i = 0; i < op->count; i++) {
        json_open_object(&w);
        text_member(&w, SLICE("account_id"), op->entries[i].account);
        money_member(&w, SLICE("amount"), op->entries[i].amount, op->result.exponent);
        json_close_object(&w);
    }
    json_close_array(&w);
    if (first->reference.ptr != NULL) {
        text_member(&w, SLICE("reference"), first->reference);
    }
    if (first->metadata.ptr != NULL) {
        json_key(&w, SLICE("metadata"));
        json_raw(&w, first->metadata);
    }
    json_close_object(&w);
}

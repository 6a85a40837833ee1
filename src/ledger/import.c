#include "ledger/import.h"

#include "base/assert.h"
#include "ledger/book_internal.h"

static void key_forget(struct book *b, const struct idem *idem)
{
    if (idem != NULL && keys_find(&b->keys, idem->scope) != 0) {
        keys_retire(&b->keys, idem->scope);
    }
}

enum outcome book_import(struct book *b, const struct posting *p, int64_t time_us, uint32_t tag,
                         struct book_fx *fx, struct posting_result *out)
{
    const unsigned before = fx->record_count;
    const int64_t last_us = b->last_time_us;
    enum outcome o;

    ASSERT(time_us > 0 && time_us >= last_us);
    key_forget(b, p->idem);
    b->last_time_us = time_us - 1; /* so that its own time is the next one */
    o = book_apply(b, p, time_us, fx, out);
    if (fx->record_count == before) {
        b->last_time_us = last_us;
    }
    for (unsigned i = before; i < fx->record_count; i++) {
        fx->records[i].tag = tag;
    }
    out->tag = tag;
    return o;
}

enum err book_import_refusal_reserve(struct book *b, const struct idem *idem, const struct book_fx *fx)
{
    if (fx->record_count == fx->record_cap) {
        return ERR_FULL;
    }
    return idem == NULL ? ERR_OK : keys_reserve(&b->keys, idem->scope);
}

void book_import_refusal(struct book *b, const struct posting *p, enum outcome refused,
                         int64_t time_us, uint32_t tag, struct book_fx *fx)
{
    const struct record_extra x = {.account_id = p->leg_count == 0 ? SLICE_NONE : p->legs[0].account,
                                   .has_refusal = true,
                                   .refused_kind = (uint8_t)p->kind,
                                   .refused_outcome = (uint8_t)refused,
                                   .language = (uint8_t)p->language};
    struct record *r;

    ASSERT(time_us > 0 && time_us >= b->last_time_us && outcome_is_stored(refused));
    key_forget(b, p->idem);
    r = book_emit(b, RECORD_REFUSAL, time_us, fx);
    r->tag = tag;
    r->extra = slice_make(r->small, record_extra_encode(&x, r->small, sizeof(r->small)));
    if (p->idem != NULL) {
        r->idem = slice_make(r->idem_bytes, record_idem_encode(p->idem, r->idem_bytes));
        keys_put(&b->keys, p->idem->scope, r->seq, time_us);
    }
}

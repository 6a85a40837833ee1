#include "ledger/posting.h"

#include "base/assert.h"
#include "ledger/record.h"

static enum err extra_make(struct arena *a, const struct record_extra *x, struct slice *out)
{
    size_t size = record_extra_size(x);
    char *bytes;

    if (size == 0) {
        *out = SLICE_NONE;
        return ERR_OK;
    }
    bytes = arena_alloc(a, size);
    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    *out = slice_make(bytes, record_extra_encode(x, bytes, size));
    return ERR_OK;
}

/* The extra of the record that opens an account. */
static enum err open_extra_make(struct arena *a, struct slice account, struct currency c,
                                struct slice metadata, struct slice *out)
{
    struct record_extra x = {.account_id = account, .currency = c, .metadata = metadata};
    unsigned exponent;
    enum err e = currency_exponent(c, &exponent);

    ASSERT(e == ERR_OK); /* currencies were parsed against the same table */
    x.exponent = (uint8_t)exponent;
    return extra_make(a, &x, out);
}

static enum err two_legs(struct arena *a, enum record_kind kind, struct slice from, struct slice to,
                         struct decimal amount, const struct posting_words *words,
                         struct posting *out)
{
    const struct record_extra x = {.reference = words->reference, .metadata = words->metadata};
    const bool to_first = kind == RECORD_CREDIT; /* the path's account leads */
    struct posting p = {.kind = kind, .currency = words->currency, .leg_count = 2};
    struct posting_leg *legs = arena_alloc(a, 2 * sizeof(*legs));
    enum err e;

    ASSERT(amount.coefficient > 0);
    if (legs == NULL) {
        return ERR_NOMEM;
    }
    legs[to_first ? 1 : 0] =
        (struct posting_leg){.account = from, .balance = {-amount.coefficient, amount.scale}};
    legs[to_first ? 0 : 1] =
        (struct posting_leg){.account = to, .balance = amount, .may_open = words->may_open};
    p.legs = legs;
    e = extra_make(a, &x, &p.extra);
    if (e == ERR_OK && words->may_open) {
        p.open_currency =
            words->open_currency; /* a currency that was asked for is a guard, also on a new account */
        e = open_extra_make(a, to, p.open_currency, SLICE_NONE, &p.open_extra);
    }
    if (e == ERR_OK) {
        *out = p;
    }
    return e;
}

enum err posting_credit(struct arena *a, struct slice account, struct decimal amount,
                        const struct posting_words *words, struct posting *out)
{
    return two_legs(a, RECORD_CREDIT, LEDGER_WORLD, account, amount, words, out);
}

enum err posting_debit(struct arena *a, struct slice account, struct decimal amount,
                       const struct posting_words *words, struct posting *out)
{
    ASSERT(!words->may_open);
    return two_legs(a, RECORD_DEBIT, account, LEDGER_WORLD, amount, words, out);
}

enum err posting_transfer(struct arena *a, struct slice from, struct slice to, struct decimal amount,
                          const struct posting_words *words, struct posting *out)
{
    ASSERT(!words->may_open);
    return two_legs(a, RECORD_TRANSFER, from, to, amount, words, out);
}

enum err posting_open(struct arena *a, struct slice account, struct decimal overdraft,
                      const struct posting_words *words, struct posting *out)
{
    struct posting p = {.kind = RECORD_OPEN, .overdraft = overdraft, .leg_count = 1};
    struct posting_leg *leg = arena_alloc(a, sizeof(*leg));
    enum err e;

    ASSERT(overdraft.coefficient >= 0);
    if (leg == NULL) {
        return ERR_NOMEM;
    }
    leg->account = account;
    p.legs = leg;
    p.open_currency = words->currency.code != 0 ? words->currency : words->open_currency;
    p.currency = p.open_currency;
    e = open_extra_make(a, account, p.open_currency, words->metadata, &p.extra);
    if (e == ERR_OK) {
        *out = p;
    }
    return e;
}

static bool is_letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool ledger_is_account_id(struct slice text)
{
    if (text.len == 0 || text.len > LEDGER_ACCOUNT_ID_BYTES_MAX || !is_letter_or_digit(text.ptr[0])) {
        return false;
    }
    for (size_t i = 1; i < text.len; i++) {
        char c = text.ptr[i];
        if (!is_letter_or_digit(c) && c != '.' && c != '_' && c != ':' && c != '@' && c != '-') {
            return false;
        }
    }
    return true;
}

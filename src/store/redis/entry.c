#include "store/redis/entry.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "money/money.h"
#include "store/redis/names.h"

enum { CURRENCY_BYTES = 3, EXPONENT_MAX = 4, SUB_MAX = LEDGER_LEGS_MAX + 1, FIELDS_MAX = 3 };

static const int64_t time_us_max = INT64_C(9999999999999999); /* 16 digits: see w:h in names.h */
static const uint64_t seq_max = UINT64_C(1) << 53;            /* Lua counts it in a double */
static const int64_t world_balance_max = INT64_C(999999999999999999); /* 18 digits */

/* ---- words ---- */

/* The text up to the next space; *rest goes behind it, and is none behind the last one. */
static bool word_take(struct slice *rest, struct slice *word)
{
    const char *space;

    if (rest->ptr == NULL || rest->len == 0) {
        return false;
    }
    space = memchr(rest->ptr, ' ', rest->len);
    if (space == NULL) {
        *word = *rest;
        *rest = SLICE_NONE;
        return word->len > 0;
    }
    *word = slice_make(rest->ptr, (size_t)(space - rest->ptr));
    *rest = slice_make(space + 1, rest->len - word->len - 1);
    return word->len > 0 && rest->len > 0; /* a space has a word on each side */
}

/* A number as Lua prints it: digits without a zero before them, a minus sign where min allows it. */
static bool number_read(struct slice text, int64_t min, int64_t max, int64_t *out)
{
    const bool is_negative = text.len > 0 && text.ptr[0] == '-';
    const size_t first = is_negative ? 1 : 0;
    int64_t number = 0;

    if (text.len == first || text.len - first > 18 ||
        (text.ptr[first] == '0' && (text.len - first > 1 || is_negative))) {
        return false;
    }
    for (size_t i = first; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        number = number * 10 + (text.ptr[i] - '0');
    }
    number = is_negative ? -number : number;
    if (number < min || number > max) {
        return false;
    }
    *out = number;
    return true;
}

static bool number_take(struct slice *rest, int64_t min, int64_t max, int64_t *out)
{
    struct slice word;

    return word_take(rest, &word) && number_read(word, min, max, out);
}

static bool currency_take(struct slice *rest, struct currency *out)
{
    struct slice word;

    if (!word_take(rest, &word) || word.len != CURRENCY_BYTES) {
        return false;
    }
    out->code = 0;
    for (unsigned i = 0; i < CURRENCY_BYTES; i++) {
        if (word.ptr[i] < 'A' || word.ptr[i] > 'Z') {
            return false;
        }
        out->code |= (uint32_t)(unsigned char)word.ptr[i] << (8 * i);
    }
    return true;
}

/* ---- the parts of an entry ---- */

static bool id_read(struct slice id, struct entry *out)
{
    const char *dash = id.len == 0 ? NULL : memchr(id.ptr, '-', id.len);
    int64_t sub;

    if (dash == NULL ||
        !number_read(slice_make(id.ptr, (size_t)(dash - id.ptr)), 1, time_us_max, &out->time_us) ||
        !number_read(slice_make(dash + 1, id.len - (size_t)(dash - id.ptr) - 1), 0, SUB_MAX, &sub)) {
        return false;
    }
    out->sub = (unsigned)sub;
    return true;
}

static bool refusal_take(struct slice *rest, struct entry *out)
{
    int64_t kind, outcome, language;

    if (!number_take(rest, RECORD_OPEN, RECORD_TRANSFER, &kind) ||
        !number_take(rest, OUTCOME_OK + 1, OUTCOME_STORED_COUNT - 1, &outcome) ||
        !number_take(rest, LEDGER_ZH_CN, LEDGER_EN, &language)) {
        return false;
    }
    out->refused_kind = (enum record_kind)kind;
    out->refused_outcome = (enum outcome)outcome;
    out->language = (enum ledger_language)language;
    if (rest->ptr != NULL && (!word_take(rest, &out->refused_account) ||
                              out->refused_account.len > LEDGER_ACCOUNT_ID_BYTES_MAX)) {
        return false;
    }
    return out->reference.ptr == NULL && out->metadata.ptr == NULL;
}

/* <delta>[/<held>] */
static bool delta_read(struct slice word, struct entry_leg *leg)
{
    const char *slash = memchr(word.ptr, '/', word.len);
    struct slice delta = word;

    leg->held = 0;
    if (slash != NULL) {
        delta.len = (size_t)(slash - word.ptr);
        if (!number_read(slice_make(slash + 1, word.len - delta.len - 1), -MONEY_MINOR_MAX,
                         MONEY_MINOR_MAX, &leg->held) ||
            leg->held == 0) {
            return false;
        }
    }
    return number_read(delta, -MONEY_MINOR_MAX, MONEY_MINOR_MAX, &leg->delta);
}

static bool leg_take(struct slice *rest, struct entry *out, struct entry_leg *leg)
{
    struct slice delta;
    bool is_world;
    int64_t max;

    if (!word_take(rest, &leg->account) || leg->account.len > LEDGER_ACCOUNT_ID_BYTES_MAX ||
        entry_leg_of(out, leg->account) != NULL || !word_take(rest, &delta) ||
        !delta_read(delta, leg)) {
        return false;
    }
    is_world = slice_equal(leg->account, LEDGER_WORLD);
    max = is_world ? world_balance_max : MONEY_MINOR_MAX;
    if (!number_take(rest, -max, max, &leg->balance)) {
        return false;
    }
    if (out->kind == RECORD_OPEN) {
        return leg->delta >= 0 && leg->held == 0 && leg->balance == 0 &&
               (!is_world || leg->delta == 0);
    }
    return (leg->delta != 0 || leg->held != 0) && !(is_world && leg->held != 0);
}

static enum err legs_take(struct slice *rest, struct arena *a, struct entry *out)
{
    int64_t exponent, count, sum = 0;

    if (!currency_take(rest, &out->currency) || !number_take(rest, 0, EXPONENT_MAX, &exponent) ||
        !number_take(rest, 1, out->kind == RECORD_OPEN ? 1 : LEDGER_LEGS_MAX, &count)) {
        return ERR_CORRUPT;
    }
    out->exponent = (unsigned)exponent;
    out->legs = arena_alloc(a, (size_t)count * sizeof(*out->legs));
    if (out->legs == NULL) {
        return ERR_NOMEM;
    }
    while (out->leg_count < count) {
        struct entry_leg *leg = &out->legs[out->leg_count];
        if (!leg_take(rest, out, leg)) {
            return ERR_CORRUPT;
        }
        sum += leg->delta; /* 100 of 15 digits stay far below int64 */
        out->leg_count++;
    }
    return out->kind == RECORD_OPEN || sum == 0 ? ERR_OK : ERR_CORRUPT;
}

static enum err words_read(struct slice words, struct arena *a, struct entry *out)
{
    int64_t kind, seq, lead;
    enum err e = ERR_OK;

    if (!number_take(&words, RECORD_OPEN, RECORD_REFUSAL, &kind) ||
        !number_take(&words, 1, (int64_t)seq_max, &seq) ||
        !number_take(&words, 0, NAMES_BUCKETS_MAX - 1, &lead)) {
        return ERR_CORRUPT;
    }
    out->kind = (enum record_kind)kind;
    out->seq = (uint64_t)seq;
    out->lead = (unsigned)lead;
    if (out->kind == RECORD_REFUSAL) {
        e = refusal_take(&words, out) ? ERR_OK : ERR_CORRUPT;
    } else {
        e = legs_take(&words, a, out);
    }
    if (e == ERR_OK && out->kind == RECORD_OPEN && out->reference.ptr != NULL) {
        e = ERR_CORRUPT;
    }
    return e == ERR_OK && words.ptr != NULL ? ERR_CORRUPT : e; /* words behind the last one */
}

static bool is_text(const struct redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_STRING && r->str != NULL;
}

static bool field_put(struct slice name, struct slice value, struct slice *words, struct entry *out)
{
    struct slice *at = slice_equal(name, SLICE("e"))   ? words
                       : slice_equal(name, SLICE("r")) ? &out->reference
                       : slice_equal(name, SLICE("m")) ? &out->metadata
                                                       : NULL;

    if (at == NULL || at->ptr != NULL) {
        return false;
    }
    *at = value;
    return true;
}

static bool fields_read(const struct redisReply *fields, struct slice *words, struct entry *out)
{
    if (fields == NULL || fields->type != REDIS_REPLY_ARRAY || fields->elements % 2 != 0 ||
        fields->elements > (size_t)2 * FIELDS_MAX) {
        return false;
    }
    for (size_t i = 0; i < fields->elements; i += 2) {
        const struct redisReply *name = fields->element[i];
        const struct redisReply *value = fields->element[i + 1];
        if (!is_text(name) || !is_text(value) ||
            !field_put(slice_make(name->str, (size_t)name->len),
                       slice_make(value->str, (size_t)value->len), words, out)) {
            return false;
        }
    }
    return out->reference.len <= LEDGER_REFERENCE_BYTES_MAX &&
           out->metadata.len <= LEDGER_METADATA_BYTES_MAX &&
           (out->metadata.ptr == NULL || out->metadata.len > 0);
}

/* ---- public ---- */

enum err entry_read(struct slice id, const struct redisReply *fields, struct arena *a,
                    struct entry *out)
{
    struct entry entry = {.kind = RECORD_NONE};
    struct slice words = SLICE_NONE;
    enum err e;

    if (!id_read(id, &entry) || !fields_read(fields, &words, &entry)) {
        return ERR_CORRUPT;
    }
    e = words_read(words, a, &entry);
    if (e == ERR_OK) {
        *out = entry;
    }
    return e;
}

enum err entry_read_answer(struct slice answer, struct arena *a, struct entry *out)
{
    struct entry entry = {.kind = RECORD_NONE};
    struct slice id;
    enum err e;

    if (!word_take(&answer, &id) || !id_read(id, &entry)) {
        return ERR_CORRUPT;
    }
    e = words_read(answer, a, &entry);
    if (e == ERR_OK) {
        *out = entry;
    }
    return e;
}

enum err entry_read_element(const struct redisReply *element, struct arena *a, struct entry *out)
{
    const struct redisReply *id;

    if (element == NULL || element->type != REDIS_REPLY_ARRAY || element->elements != 2 ||
        !is_text(element->element[0])) {
        return ERR_CORRUPT;
    }
    id = element->element[0];
    return entry_read(slice_make(id->str, (size_t)id->len), element->element[1], a, out);
}

const struct entry_leg *entry_leg_of(const struct entry *e, struct slice account)
{
    for (unsigned i = 0; i < e->leg_count; i++) {
        if (slice_equal(e->legs[i].account, account)) {
            return &e->legs[i];
        }
    }
    return NULL;
}

static enum err result_opened(const struct entry *e, struct arena *a, struct posting_result *r)
{
    enum err err;

    r->opened = (struct account_view){
        .currency = e->currency,
        .exponent = e->exponent,
        .status = ACCOUNT_ACTIVE,
        .overdraft = e->legs[0].delta,
        .version = 1,
        .created_us = e->time_us,
        .updated_us = e->time_us,
        .metadata_seq = e->metadata.ptr == NULL ? 0 : e->seq,
    };
    err = arena_copy(a, e->legs[0].account, &r->opened.id);
    return err == ERR_OK && e->metadata.ptr != NULL ? arena_copy(a, e->metadata, &r->opened_metadata)
                                                    : err;
}

static enum err result_moved(const struct entry *e, struct arena *a, struct posting_result *r)
{
    r->amount = e->legs[0].delta < 0 ? -e->legs[0].delta : e->legs[0].delta;
    for (unsigned i = 0; i < e->leg_count && r->side_count < POSTING_SIDES_MAX; i++) {
        const struct entry_leg *leg = &e->legs[i];
        struct posting_side side = {.balance = leg->balance};
        enum err err;
        if (slice_equal(leg->account, LEDGER_WORLD)) {
            continue;
        }
        err = arena_copy(a, leg->account, &side.account);
        if (err != ERR_OK) {
            return err;
        }
        r->sides[r->side_count++] = side;
    }
    return ERR_OK;
}

enum err entry_result(const struct entry *e, unsigned bucket, struct arena *a,
                      struct posting_result *out)
{
    struct posting_result r = {
        .outcome = OUTCOME_OK,
        .kind = e->kind,
        .seq = e->seq,
        .bucket = bucket,
        .time_us = e->time_us,
        .tag = e->lead,
        .currency = e->currency,
        .exponent = e->exponent,
    };
    enum err err = ERR_OK;

    switch (e->kind) {
    case RECORD_REFUSAL:
        r.outcome = e->refused_outcome;
        r.kind = e->refused_kind;
        r.language = e->language;
        break;
    case RECORD_OPEN:
        err = result_opened(e, a, &r);
        break;
    default:
        err = result_moved(e, a, &r);
        break;
    }
    if (err == ERR_OK) {
        *out = r;
    }
    return err;
}

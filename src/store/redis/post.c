/* The other side of wallet.lua's post: its KEYS and ARGV. */
#include "store/redis/post.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "ledger/record.h"
#include "money/money.h"
#include "store/redis/library.h"
#include "store/redis/names.h"
#include "store/redis/reply.h"

enum {
    HEAD_WORDS = 5, /* of ARGV, before those that not every posting has */
    LEG_WORDS = 4,
    LEG_WORDS_WITH_HELD = 6,
    IDEM_HEAD_BYTES_MAX = IDEM_FINGERPRINT_BYTES + 1 + 2 * IDEM_FIELDS_MAX,
    IF_MATCH_BYTES_MAX = LEDGER_IF_MATCH_MAX * 21 + 2,
    CURRENCY_BYTES = 3,
    EXPONENT_MAX = 4,
};

/* What is to be known of a posting before its first word is written. */
struct plan {
    unsigned buckets[LEDGER_LEGS_MAX]; /* the involved ones, the lead first */
    unsigned bucket_count;
    unsigned places[LEDGER_LEGS_MAX]; /* of each leg's bucket, 1.. */
    unsigned accounts;                /* legs that are not @world */
    bool has_held, may_open;
};

static bool is_world(const struct posting_leg *leg)
{
    return slice_equal(leg->account, LEDGER_WORLD);
}

static unsigned plan_place(struct plan *plan, unsigned bucket)
{
    unsigned i = 0;

    while (i < plan->bucket_count && plan->buckets[i] != bucket) {
        i++;
    }
    if (i == plan->bucket_count) {
        plan->buckets[plan->bucket_count++] = bucket;
    }
    return i + 1;
}

static void plan_make(const struct posting *p, unsigned buckets, struct plan *plan)
{
    ASSERT(p->leg_count >= 1 && p->leg_count <= LEDGER_LEGS_MAX && !is_world(&p->legs[0]));
    ASSERT(p->kind != RECORD_OPEN || p->leg_count == 1);
    plan->bucket_count = plan->accounts = 0;
    plan->has_held = plan->may_open = false;
    for (unsigned i = 0; i < p->leg_count; i++) {
        const struct posting_leg *leg = &p->legs[i];
        if (is_world(leg)) {
            ASSERT(leg->held.coefficient == 0);
            plan->places[i] = 1;
        } else {
            plan->places[i] = plan_place(plan, names_bucket(leg->account, buckets));
            plan->accounts++;
        }
        plan->has_held |= leg->held.coefficient != 0;
        plan->may_open |= leg->may_open;
    }
    ASSERT(p->open_currency.code != 0 || (!plan->may_open && p->kind != RECORD_OPEN));
}

static void word_key(struct buf *out, struct names_key key)
{
    resp_word(out, names_slice(&key));
}

static void words_keys(struct buf *out, const struct posting *p, const struct plan *plan)
{
    for (unsigned i = 0; i < plan->bucket_count; i++) {
        word_key(out, names_bucket_meta(plan->buckets[i]));
        word_key(out, names_journal(plan->buckets[i]));
        word_key(out, names_opened(plan->buckets[i]));
    }
    for (unsigned i = 0; i < p->leg_count; i++) {
        if (!is_world(&p->legs[i])) {
            const unsigned bucket = plan->buckets[plan->places[i] - 1];
            word_key(out, names_account(bucket, p->legs[i].account));
            word_key(out, names_history(bucket, p->legs[i].account));
        }
    }
    if (p->idem != NULL) {
        word_key(out, names_idem(plan->buckets[0], p->idem->scope));
    }
}

/* ---- the words that not every posting has ---- */

enum { OPTIONS_MAX = 9 };

struct options {
    char letters[OPTIONS_MAX + 1]; /* of words[], and 'h' */
    struct slice words[OPTIONS_MAX];
    unsigned count;
    char currency[CURRENCY_BYTES], opening[CURRENCY_BYTES + 2], if_match[IF_MATCH_BYTES_MAX];
    uint8_t idem_head[IDEM_HEAD_BYTES_MAX];
    char ttl[24], language[8];
};

static void option_put(struct options *o, char letter, struct slice word)
{
    ASSERT(o->count < OPTIONS_MAX);
    o->letters[o->count] = letter;
    o->words[o->count++] = word;
}

static void options_currencies(struct options *o, const struct posting *p)
{
    unsigned exponent;
    enum err e;

    if (p->currency.code != 0) {
        currency_text(p->currency, o->currency);
        option_put(o, 'c', slice_make(o->currency, sizeof(o->currency)));
    }
    if (p->open_currency.code == 0) {
        return;
    }
    e = currency_exponent(p->open_currency, &exponent);
    ASSERT(e == ERR_OK && exponent <= EXPONENT_MAX); /* currencies were parsed against the same table */
    currency_text(p->open_currency, o->opening);
    o->opening[CURRENCY_BYTES] = ' '; /* "CNY 2": as the account's field c has it */
    o->opening[CURRENCY_BYTES + 1] = (char)('0' + exponent);
    option_put(o, 'o', slice_make(o->opening, sizeof(o->opening)));
}

static void option_if_match(struct options *o, const struct posting *p)
{
    char *text = o->if_match;
    size_t len = 1;

    if (!p->has_if_match || p->if_match_count == 0) {
        if (p->has_if_match) {
            option_put(o, 'i', SLICE("*"));
        }
        return;
    }
    ASSERT(p->if_match_count <= LEDGER_IF_MATCH_MAX);
    text[0] = ' ';
    for (unsigned i = 0; i < p->if_match_count; i++) {
        const int wrote = snprintf(text + len, IF_MATCH_BYTES_MAX - len, "%llu ",
                                   (unsigned long long)p->if_match[i]);
        ASSERT(wrote > 0 && (size_t)wrote < IF_MATCH_BYTES_MAX - len);
        len += (size_t)wrote;
    }
    option_put(o, 'i', slice_make(text, len));
}

/* What the key's value begins with, the fingerprint, then a count of tags and the tags; and what its answer needs. */
static void options_idem(struct options *o, const struct posting *p, uint64_t ttl_us)
{
    const struct idem *idem = p->idem;
    const uint64_t ttl_ms = ttl_us / 1000 + (ttl_us % 1000 != 0);
    size_t len = IDEM_FINGERPRINT_BYTES;
    int wrote;

    if (idem == NULL) {
        return; /* no refusal is kept, so no language either */
    }
    ASSERT(idem->field_count <= IDEM_FIELDS_MAX && ttl_us > 0 && ttl_us <= INT64_MAX / 1000);
    memcpy(o->idem_head, idem->fingerprint, IDEM_FINGERPRINT_BYTES);
    o->idem_head[len++] = idem->field_count;
    for (unsigned i = 0; i < idem->field_count; i++, len += 2) {
        bytes_put_u16(o->idem_head + len, idem->field_tags[i]);
    }
    option_put(o, 'k', slice_make((const char *)o->idem_head, len));
    wrote = snprintf(o->ttl, sizeof(o->ttl), "%llu", (unsigned long long)ttl_ms);
    option_put(o, 't', slice_make(o->ttl, (size_t)wrote));
    wrote = snprintf(o->language, sizeof(o->language), "%d", (int)p->language);
    option_put(o, 'l', slice_make(o->language, (size_t)wrote));
}

static struct record_extra extra_of(struct slice bytes)
{
    struct record_extra x;
    enum err e = record_extra_decode(bytes, &x);

    ASSERT(e == ERR_OK); /* posting.c encoded it */
    return x;
}

static void options_extra(struct options *o, const struct posting *p)
{
    const struct record_extra x = extra_of(p->extra), opened = extra_of(p->open_extra);

    ASSERT(x.reference.len <= LEDGER_REFERENCE_BYTES_MAX);
    ASSERT(x.metadata.ptr == NULL || x.metadata.len > 0);
    if (x.reference.ptr != NULL) {
        option_put(o, 'r', x.reference);
    }
    if (x.metadata.ptr != NULL) {
        option_put(o, 'm', x.metadata);
    }
    if (opened.metadata.ptr != NULL) {
        option_put(o, 'p', opened.metadata);
    }
}

static void options_make(struct options *o, const struct posting *p, uint64_t ttl_us)
{
    o->count = 0;
    options_currencies(o, p);
    option_if_match(o, p);
    options_idem(o, p, ttl_us);
    options_extra(o, p);
}

static void words_options(struct buf *out, struct options *o, const struct plan *plan)
{
    size_t len = o->count;

    if (plan->has_held) {
        o->letters[len++] = 'h';
    }
    resp_word(out, slice_make(o->letters, len));
    for (unsigned i = 0; i < o->count; i++) {
        resp_word(out, o->words[i]);
    }
}

/* ---- the legs, and the whole ---- */

static void words_decimal(struct buf *out, struct decimal d)
{
    ASSERT(d.coefficient >= -MONEY_MINOR_MAX && d.coefficient <= MONEY_MINOR_MAX);
    resp_i64(out, d.coefficient);
    resp_i64(out, d.scale);
}

static void words_leg(struct buf *out, const struct posting *p, unsigned i, const struct plan *plan)
{
    const struct posting_leg *leg = &p->legs[i];
    char place[16];
    const int len = snprintf(place, sizeof(place), "%u%s", plan->places[i], leg->may_open ? "+" : "");

    resp_word(out, leg->account);
    resp_word(out, slice_make(place, (size_t)len));
    words_decimal(out, p->kind == RECORD_OPEN ? p->overdraft : leg->balance);
    if (plan->has_held) {
        words_decimal(out, leg->held);
    }
}

enum err post_encode(struct buf *out, const struct posting *p, unsigned buckets,
                     int64_t not_after_us, uint64_t ttl_us)
{
    struct options options; /* its texts are set where they are used */
    struct plan plan;
    unsigned keys, width;

    plan_make(p, buckets, &plan);
    options_make(&options, p, ttl_us);
    keys = 3 * plan.bucket_count + 2 * plan.accounts + (p->idem != NULL ? 1 : 0);
    width = plan.has_held ? LEG_WORDS_WITH_HELD : LEG_WORDS;
    resp_begin(out, 3 + keys + HEAD_WORDS + options.count + width * p->leg_count);
    resp_text(out, "FCALL");
    resp_text(out, LIBRARY_NAME "_post");
    resp_i64(out, keys);
    words_keys(out, p, &plan);
    resp_i64(out, p->kind);
    resp_i64(out, not_after_us < 0 ? 0 : not_after_us);
    resp_i64(out, plan.buckets[0]);
    resp_i64(out, plan.bucket_count);
    words_options(out, &options, &plan);
    for (unsigned i = 0; i < p->leg_count; i++) {
        words_leg(out, p, i, &plan);
    }
    return out->err;
}

enum err post_encode_look(struct buf *out, const struct posting *p, unsigned buckets)
{
    unsigned bucket;

    ASSERT(p->idem != NULL && p->leg_count >= 1 && !is_world(&p->legs[0]));
    bucket = names_bucket(p->legs[0].account, buckets);
    resp_begin(out, 5);
    resp_text(out, "FCALL_RO");
    resp_text(out, LIBRARY_NAME "_look");
    resp_text(out, "2");
    word_key(out, names_idem(bucket, p->idem->scope));
    word_key(out, names_journal(bucket));
    return out->err;
}

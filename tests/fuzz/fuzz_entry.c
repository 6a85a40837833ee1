/*
 * What a Redis may hand back as a journal entry: id, words, reference and metadata, one a line. Nothing may crash; what is
 * read must be written again as the same text, so that one entry has one form; and its answer must keep to the bounds of a
 * ledger.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/buf.h"
#include "money/money.h"
#include "store/redis/entry.h"
#include "store/redis/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { FIELDS = 4, AGAIN_BYTES_MAX = 1 << 20 };

/* The text up to the next line feed; the last field takes the rest. */
static struct slice line_take(struct slice *in, bool is_last)
{
    const char *end = in->len == 0 || is_last ? NULL : memchr(in->ptr, '\n', in->len);
    struct slice line = *in;

    if (end == NULL) {
        *in = SLICE_NONE;
        return line;
    }
    line.len = (size_t)(end - in->ptr);
    *in = slice_make(end + 1, in->len - line.len - 1);
    return line;
}

static struct redisReply text_reply(struct slice s)
{
    struct redisReply r = {.type = REDIS_REPLY_STRING, .str = (char *)s.ptr};

    r.len = (__typeof__(r.len))s.len; /* an int in one hiredis, a size_t in another */
    return r;
}

static void write_again(const struct entry *e, struct buf *b)
{
    buf_append_format(b, "%d %llu %u", (int)e->kind, (unsigned long long)e->seq, e->lead);
    if (e->kind == RECORD_REFUSAL) {
        buf_append_format(b, " %d %d %d", (int)e->refused_kind, (int)e->refused_outcome,
                          (int)e->language);
        if (e->refused_account.ptr != NULL) {
            buf_append_byte(b, ' ');
            buf_append_slice(b, e->refused_account);
        }
        return;
    }
    buf_append_format(b, " %c%c%c %u %u", (int)(e->currency.code & 0xff),
                      (int)(e->currency.code >> 8 & 0xff), (int)(e->currency.code >> 16),
                      e->exponent, e->leg_count);
    for (unsigned i = 0; i < e->leg_count; i++) {
        const struct entry_leg *leg = &e->legs[i];
        buf_append_byte(b, ' ');
        buf_append_slice(b, leg->account);
        buf_append_byte(b, ' ');
        buf_append_i64(b, leg->delta);
        if (leg->held != 0) {
            buf_append_byte(b, '/');
            buf_append_i64(b, leg->held);
        }
        buf_append_byte(b, ' ');
        buf_append_i64(b, leg->balance);
    }
}

static void check_result(const struct entry *e, struct arena *a)
{
    struct posting_result r;
    enum err err = entry_result(e, 1, a, &r);

    ASSERT(err == ERR_OK);
    ASSERT(r.seq == e->seq && r.time_us > 0 && r.tag < NAMES_BUCKETS_MAX);
    ASSERT(r.amount >= 0 && r.amount <= MONEY_MINOR_MAX && r.exponent <= 4);
    ASSERT(r.side_count <= POSTING_SIDES_MAX);
    ASSERT(r.kind >= RECORD_OPEN && r.kind <= RECORD_TRANSFER);
    ASSERT(e->kind == RECORD_REFUSAL ? outcome_is_stored(r.outcome) : r.outcome == OUTCOME_OK);
    for (unsigned i = 0; i < r.side_count; i++) {
        ASSERT(r.sides[i].balance >= -MONEY_MINOR_MAX && r.sides[i].balance <= MONEY_MINOR_MAX);
        ASSERT(r.sides[i].account.len >= 1 && r.sides[i].account.len <= LEDGER_ACCOUNT_ID_BYTES_MAX);
    }
}

static void check_same(const struct entry *e, struct slice id, struct slice words)
{
    struct buf again;

    buf_init(&again, AGAIN_BYTES_MAX);
    write_again(e, &again);
    ASSERT(again.err == ERR_OK && slice_equal(buf_slice(&again), words));
    buf_clear(&again);
    buf_append_format(&again, "%lld-%u", (long long)e->time_us, e->sub);
    ASSERT(again.err == ERR_OK && slice_equal(buf_slice(&again), id));
    buf_fini(&again);
}

/* A first answer has the same id and words, and says the same. */
static void check_answer(const struct entry *e, struct slice id, struct slice words, struct arena *a)
{
    struct entry answered;
    struct buf line;
    enum err err;

    buf_init(&line, 2 * AGAIN_BYTES_MAX);
    buf_append_slice(&line, id);
    buf_append_byte(&line, ' ');
    buf_append_slice(&line, words);
    ASSERT(line.err == ERR_OK);
    err = entry_read_answer(buf_slice(&line), a, &answered);
    ASSERT(err == ERR_OK && answered.reference.ptr == NULL && answered.metadata.ptr == NULL);
    answered.reference = e->reference;
    answered.metadata = e->metadata;
    check_same(&answered, id, words);
    buf_fini(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const char *const names[] = {"e", "r", "m"};
    struct slice in = slice_make((const char *)bytes, len);
    struct slice lines[FIELDS];
    struct redisReply texts[2 * (FIELDS - 1)];
    struct redisReply *elements[2 * (FIELDS - 1)];
    struct redisReply fields = {.type = REDIS_REPLY_ARRAY, .element = elements};
    struct entry e;
    struct arena a;

    for (unsigned i = 0; i < FIELDS; i++) {
        lines[i] = line_take(&in, i == FIELDS - 1);
        if (i > 0 && lines[i].ptr != NULL) {
            texts[fields.elements] = text_reply(slice_of(names[i - 1]));
            texts[fields.elements + 1] = text_reply(lines[i]);
            elements[fields.elements] = &texts[fields.elements];
            elements[fields.elements + 1] = &texts[fields.elements + 1];
            fields.elements += 2;
        }
    }
    arena_init(&a, 1 << 20);
    if (entry_read(lines[0], &fields, &a, &e) == ERR_OK) {
        check_same(&e, lines[0], lines[1]);
        check_result(&e, &a);
        check_answer(&e, lines[0], lines[1], &a);
    }
    if (lines[1].ptr == NULL && entry_read_answer(lines[0], &a, &e) == ERR_OK) {
        check_result(&e, &a);
    }
    arena_fini(&a);
    return 0;
}

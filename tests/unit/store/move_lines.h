/* Made-up exports for the tests of all stores: a seeded ledger that never was, whose numbers are right. */
#ifndef UNIT_STORE_MOVE_LINES_H
#define UNIT_STORE_MOVE_LINES_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "store/move.h"

enum { LINES_ACCOUNTS = 40, LINES_TEXT_MAX = 8 << 20 };

#define LINES_START INT64_C(1790000000000000)
#define LINES_TTL_US (INT64_C(24) * 3600 * 1000000)

/* What a made-up ledger is like. */
struct lines_options {
    uint64_t seed;
    unsigned count;
    uint32_t (*tag)(struct slice account); /* NULL: 0 */
    int64_t start_us;                      /* 0: LINES_START */
    unsigned buckets;                      /* for the header */
    const char *store;
};

struct lines {
    struct prng random;
    const struct lines_options *options;
    bool is_open[LINES_ACCOUNTS];
    int64_t balances[LINES_ACCOUNTS], overdrafts[LINES_ACCOUNTS];
    char ids[LINES_ACCOUNTS][24];
    int64_t time_us;
    uint64_t keys;
    char reference[160], metadata[160];
};

static inline struct slice lines_id(struct lines *l, unsigned i)
{
    (void)snprintf(l->ids[i], sizeof(l->ids[i]), "user:%u@x-%u", i, i * 7919);
    return slice_of(l->ids[i]);
}

static inline struct currency lines_currency(unsigned i, unsigned *exponent)
{
    struct currency c;
    enum err e = currency_parse(i % 3 == 0 ? SLICE("JPY") : SLICE("CNY"), &c);

    ASSERT(e == ERR_OK);
    *exponent = i % 3 == 0 ? 0 : 2;
    return c;
}

static inline void lines_words(struct lines *l, struct move_line *line)
{
    const uint64_t dice = prng_below(&l->random, 8);

    if (dice < 3) {
        (void)snprintf(l->reference, sizeof(l->reference), "order \"%llu\"\\ \t\n é",
                       (unsigned long long)prng_below(&l->random, 1000));
        line->reference = slice_of(l->reference);
    }
    if (dice == 2 || dice == 5) {
        (void)snprintf(l->metadata, sizeof(l->metadata), "{\"a\":[1,{\"b\":\"}]\\\"\"}],\"n\":%llu}",
                       (unsigned long long)prng_below(&l->random, 1000));
        line->metadata = slice_of(l->metadata);
    }
}

static inline void lines_key(struct lines *l, struct move_line *line)
{
    if (prng_below(&l->random, 3) != 0) {
        return;
    }
    line->has_key = true;
    line->key = (struct idem){.field_count = (uint8_t)prng_below(&l->random, IDEM_FIELDS_MAX + 1)};
    l->keys++;
    memcpy(line->key.scope, &l->keys, sizeof(l->keys));
    line->key.scope[15] = 0x7d; /* a brace, and bytes that are no text, are in it now and then */
    line->key.scope[14] = 0xff;
    for (unsigned i = 0; i < IDEM_FINGERPRINT_BYTES; i++) {
        line->key.fingerprint[i] = (uint8_t)prng_below(&l->random, 256);
    }
    for (unsigned i = 0; i < line->key.field_count; i++) {
        line->key.field_tags[i] = (uint16_t)prng_below(&l->random, 65536);
    }
    line->key_expires_ms = (line->time_us + LINES_TTL_US + 999) / 1000;
}

/* Fill the next line from a throw of the dice; false: nothing came of it. */
static inline bool lines_next(struct lines *l, struct move_line *line)
{
    const unsigned a = (unsigned)prng_below(&l->random, LINES_ACCOUNTS);
    const unsigned b = (unsigned)prng_below(&l->random, LINES_ACCOUNTS);
    const int64_t amount = 1 + (int64_t)prng_below(&l->random, 1000);
    const uint64_t dice = prng_below(&l->random, 10);
    const struct slice id = lines_id(l, a);
    const uint32_t tag = l->options->tag == NULL ? 0 : l->options->tag(id);

    l->time_us += 1 + (int64_t)prng_below(&l->random, 50);
    move_line_begin(line, RECORD_NONE, l->time_us, tag);
    line->currency = lines_currency(a, &line->exponent);
    if (dice == 0) {
        line->kind = RECORD_REFUSAL;
        line->refused_kind = RECORD_DEBIT;
        line->refused_outcome = OUTCOME_INSUFFICIENT_BALANCE;
        line->language = LEDGER_EN;
        line->leg_count = 1;
        line->legs[0] = (struct move_leg){.account = id};
        lines_key(l, line);
        return true;
    }
    if (dice == 1) {
        if (l->is_open[a]) {
            return false;
        }
        line->kind = RECORD_OPEN;
        line->overdraft = l->overdrafts[a] = amount % 2 * amount;
        line->leg_count = 1;
        line->legs[0] = (struct move_leg){.account = id};
        l->is_open[a] = true;
        lines_words(l, line);
        line->reference = SLICE_NONE;
        lines_key(l, line);
        return true;
    }
    line->leg_count = 2;
    line->legs[0] = (struct move_leg){.account = id};
    line->legs[1] = (struct move_leg){.account = LEDGER_WORLD};
    if (dice < 5) {
        line->kind = RECORD_CREDIT;
        line->legs[0].opens = !l->is_open[a];
        line->legs[0].delta = amount;
        l->is_open[a] = true;
    } else {
        if (!l->is_open[a] || l->balances[a] + l->overdrafts[a] < amount) {
            return false;
        }
        line->kind = RECORD_DEBIT;
        line->legs[0].delta = -amount;
        if (dice > 6) {
            if (a == b || !l->is_open[b] || (a % 3 == 0) != (b % 3 == 0)) {
                return false;
            }
            line->kind = RECORD_TRANSFER;
            line->legs[1].account = lines_id(l, b);
            l->balances[b] += amount;
            line->legs[1].balance = l->balances[b];
        }
    }
    l->balances[a] += line->legs[0].delta;
    line->legs[0].balance = l->balances[a];
    line->legs[1].delta = -line->legs[0].delta;
    lines_words(l, line);
    lines_key(l, line);
    return true;
}

/** Write a made-up export into a file in memory; the descriptor stands at its beginning. */
static inline int lines_make(const struct lines_options *o)
{
    struct move_header header = {.buckets = o->buckets, .time_us = LINES_START};
    struct lines *l = mem_alloc(sizeof(*l));
    struct move_line *line = mem_alloc(sizeof(*line));
    struct move_writer w;
    int fd = memfd_create("export", 0);
    enum err e;

    ASSERT(l != NULL && line != NULL && fd >= 0);
    (void)snprintf(header.store, sizeof(header.store), "%s", o->store == NULL ? "test" : o->store);
    l->random.state = o->seed;
    l->options = o;
    l->time_us = o->start_us == 0 ? LINES_START : o->start_us;
    e = move_writer_init(&w, fd, &header);
    for (unsigned i = 0; e == ERR_OK && i < o->count; i++) {
        e = lines_next(l, line) ? move_write(&w, line) : ERR_OK;
    }
    ASSERT(e == ERR_OK);
    e = move_write_end(&w);
    ASSERT(e == ERR_OK);
    move_writer_fini(&w);
    mem_free(line);
    mem_free(l);
    ASSERT(lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/** All of a file as text, for mem_free; the descriptor stands at its beginning again. */
static inline char *lines_text(int fd, size_t *len)
{
    char *text = mem_alloc(LINES_TEXT_MAX);
    ssize_t n = text == NULL ? -1 : pread(fd, text, LINES_TEXT_MAX - 1, 0);

    ASSERT(n >= 0 && n < LINES_TEXT_MAX - 1);
    *len = (size_t)n;
    ASSERT(lseek(fd, 0, SEEK_SET) == 0);
    return text;
}

/** A file in memory with this text. */
static inline int lines_file(const char *text, size_t len)
{
    int fd = memfd_create("text", 0);

    ASSERT(fd >= 0 && write(fd, text, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

/** Do two exports say the same? All but the header and the trailer's digest, which covers the header. */
static inline bool lines_are_same(int a, int b)
{
    size_t a_len, b_len;
    char *left = lines_text(a, &a_len), *right = lines_text(b, &b_len);
    const char *a_from = strchr(left, '\n'), *b_from = strchr(right, '\n');
    const char *a_to = strstr(left, ",\"sha256\":"), *b_to = strstr(right, ",\"sha256\":");
    bool is_same;

    ASSERT(a_from != NULL && b_from != NULL && a_to != NULL && b_to != NULL);
    is_same = slice_equal(slice_make(a_from, (size_t)(a_to - a_from)),
                          slice_make(b_from, (size_t)(b_to - b_from)));
    for (const char *p = a_from, *q = b_from; !is_same && p < a_to && q < b_to; p++, q++) {
        if (*p != *q) {
            (void)fprintf(stderr, "they differ:\n%.300s\n--\n%.300s\n",
                          p - (p > left + 80 ? 80 : 0), q - (q > right + 80 ? 80 : 0));
            break;
        }
    }
    mem_free(left);
    mem_free(right);
    return is_same;
}

#endif

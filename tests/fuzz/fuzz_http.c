/*
 * The HTTP reader: whatever way the bytes are cut, the verdict and the request are the same. The
 * first byte says how many cuts follow, each a 16-bit position; the rest is what a client sends,
 * one request after another.
 */
#include "http/reader.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"

enum { CUTS_MAX = 8, BODY_MAX = 4096, MESSAGES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What a run of the whole input came to. */
struct outcome {
    enum framing_verdict last;
    unsigned messages;
    size_t used;     /* bytes up to the end of the last whole message */
    uint64_t digest; /* of all that was read */
};

static void mix(struct outcome *out, const void *bytes, size_t len)
{
    struct hash_key key = {out->digest, len};

    out->digest = hash_bytes(&key, slice_make(bytes, len));
}

static void mix_head(struct outcome *out, const struct framing_head *h, const char *bytes)
{
    ASSERT(h->field_count <= HTTP_HEADERS_MAX && h->target_len <= HTTP_URI_BYTES_MAX);
    ASSERT(h->at <= HTTP_HEAD_BYTES_MAX + 2);
    ASSERT(!h->is_chunked || !h->has_length);
    mix(out, &h->stage, offsetof(struct framing_head, fields) - offsetof(struct framing_head, stage));
    mix(out, h->fields, h->field_count * sizeof(h->fields[0]));
    for (unsigned i = 0; i < h->field_count; i++) {
        ASSERT(h->fields[i].name_len > 0);
        ASSERT((size_t)h->fields[i].name_at + h->fields[i].name_len <= h->at);
        ASSERT((size_t)h->fields[i].value_at + h->fields[i].value_len <= h->at);
        for (unsigned b = 0; b < h->fields[i].value_len; b++) {
            unsigned char c = (unsigned char)bytes[h->fields[i].value_at + b];
            ASSERT(c == '\t' || (c >= ' ' && c != 0x7f));
        }
    }
}

/* Body bytes are mixed in one at a time: how they are grouped depends on the cuts. */
static enum framing_verdict read_body(struct reader *r, struct outcome *out, const char *bytes,
                                      size_t len, size_t *at)
{
    for (;;) {
        struct slice data = SLICE_NONE;
        size_t used = 0;
        enum framing_verdict verdict = reader_body(r, bytes + *at, len - *at, &used, &data);
        if (verdict != FRAMING_DATA && verdict != FRAMING_MORE && verdict != FRAMING_DONE) {
            return verdict;
        }
        for (size_t i = 0; i < data.len; i++) {
            mix(out, data.ptr + i, 1);
        }
        *at += used;
        if (verdict != FRAMING_DATA) {
            ASSERT(verdict == FRAMING_DONE || *at == len);
            return verdict;
        }
    }
}

/* Read as a connection does: up to each end in turn, then the next request from where the last one
 * stopped. */
static struct outcome run(struct reader *r, const char *bytes, const size_t *ends, unsigned end_count)
{
    struct outcome out = {.last = FRAMING_MORE};
    bool is_body = false;
    size_t at = 0;

    reader_init(r);
    for (unsigned i = 0; i < end_count; i++) {
        while (out.messages < MESSAGES_MAX) {
            if (!is_body) {
                out.last = reader_head(r, bytes + out.used, ends[i] - out.used);
                if (out.last != FRAMING_DONE) {
                    break;
                }
                mix_head(&out, &r->head, bytes + out.used);
                at = out.used + r->head.at;
                reader_expect_body(r, BODY_MAX);
                is_body = true;
            }
            out.last = read_body(r, &out, bytes, ends[i], &at);
            if (out.last != FRAMING_DONE) {
                break;
            }
            out.used = at;
            out.messages++;
            is_body = false;
            reader_init(r);
        }
        if (out.last != FRAMING_MORE) {
            break;
        }
    }
    return out;
}

static int by_size(const void *a, const void *b)
{
    size_t left = *(const size_t *)a;
    size_t right = *(const size_t *)b;

    return (left > right) - (left < right);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct reader r;
    size_t ends[CUTS_MAX + 1];
    unsigned cuts;
    struct outcome whole, cut;

    if (len == 0) {
        return 0;
    }
    cuts = bytes[0] % (CUTS_MAX + 1);
    if (len < 1 + (size_t)cuts * 2) {
        return 0;
    }
    len -= 1 + (size_t)cuts * 2;
    for (unsigned i = 0; i < cuts; i++) {
        ends[i] = ((size_t)bytes[1 + i * 2] << 8 | bytes[2 + i * 2]) % (len + 1);
    }
    bytes += 1 + (size_t)cuts * 2;
    qsort(ends, cuts, sizeof(ends[0]), by_size);
    ends[cuts] = len;
    whole = run(&r, (const char *)bytes, &len, 1);
    cut = run(&r, (const char *)bytes, ends, cuts + 1);
    ASSERT(whole.last == cut.last && whole.messages == cut.messages && whole.used == cut.used);
    ASSERT(whole.digest == cut.digest);
    return 0;
}

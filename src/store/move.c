/* The frame of an export: header, lines, and the trailer that is made of all of them. */
#include "store/move.h"

#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/assert.h"

enum { OUT_BYTES = 1 << 18, IN_BYTES = 1 << 18, HASH_BYTES = 32, CURRENCY_BYTES = 3 };

static const char header_start[] = "{\"format\":\"mywallet-export\",\"version\":";
static const char trailer_start[] = "{\"end\":true,";

/* ---- totals ---- */

void move_append_i128(struct buf *out, __int128 number)
{
    const __int128 base = (__int128)1000000000 * 1000000000;
    const bool is_negative = number < 0;
    const __int128 size = is_negative ? -number : number;

    if (is_negative) {
        buf_append_byte(out, '-');
    }
    if (size / base != 0) {
        buf_append_format(out, "%lld%018lld", (long long)(size / base), (long long)(size % base));
    } else {
        buf_append_format(out, "%lld", (long long)size);
    }
}

static struct move_sum *sum_of(struct move_totals *t, struct currency c)
{
    for (unsigned i = 0; i < t->currency_count; i++) {
        if (t->sums[i].currency.code == c.code) {
            return &t->sums[i];
        }
    }
    if (t->currency_count == MOVE_CURRENCIES_MAX) {
        return NULL;
    }
    t->sums[t->currency_count] = (struct move_sum){.currency = c};
    return &t->sums[t->currency_count++];
}

enum err move_totals_add(struct move_totals *t, const struct move_line *line)
{
    struct move_sum *sum;

    if (line->time_us < t->last_us || (line->time_us == t->last_us && line->tag < t->last_tag)) {
        return ERR_CORRUPT;
    }
    t->last_us = line->time_us;
    t->last_tag = line->tag;
    t->lines++;
    t->kinds[line->kind]++;
    t->keys += line->has_key;
    t->accounts += line->kind == RECORD_OPEN;
    if (line->kind == RECORD_REFUSAL) {
        return ERR_OK;
    }
    sum = sum_of(t, line->currency);
    if (sum == NULL) {
        return ERR_FULL;
    }
    for (unsigned i = 0; line->kind != RECORD_OPEN && i < line->leg_count; i++) {
        t->accounts += line->legs[i].opens;
        sum->minor += slice_equal(line->legs[i].account, LEDGER_WORLD) ? 0 : line->legs[i].delta;
    }
    return ERR_OK;
}

static void trailer_write(struct buf *out, const struct move_totals *t,
                          const uint8_t hash[HASH_BYTES])
{
    buf_append_text(out, trailer_start);
    buf_append_format(out, "\"lines\":%llu,\"accounts\":%llu,\"opens\":%llu,\"credits\":%llu,",
                      (unsigned long long)t->lines, (unsigned long long)t->accounts,
                      (unsigned long long)t->kinds[RECORD_OPEN],
                      (unsigned long long)t->kinds[RECORD_CREDIT]);
    buf_append_format(
        out, "\"debits\":%llu,\"transfers\":%llu,\"refusals\":%llu,\"keys\":%llu,\"sums\":{",
        (unsigned long long)t->kinds[RECORD_DEBIT], (unsigned long long)t->kinds[RECORD_TRANSFER],
        (unsigned long long)t->kinds[RECORD_REFUSAL], (unsigned long long)t->keys);
    for (unsigned i = 0; i < t->currency_count; i++) {
        char letters[CURRENCY_BYTES];
        currency_text(t->sums[i].currency, letters);
        buf_append_text(out, i == 0 ? "\"" : ",\"");
        buf_append(out, letters, sizeof(letters));
        buf_append_text(out, "\":");
        move_append_i128(out, t->sums[i].minor);
    }
    buf_append_text(out, "},\"sha256\":\"");
    for (int i = 0; i < HASH_BYTES; i++) {
        buf_append_format(out, "%02x", hash[i]);
    }
    buf_append_text(out, "\"}\n");
}

static void header_write(struct buf *out, const struct move_header *h)
{
    buf_append_text(out, header_start);
    buf_append_format(out, "%d,\"store\":\"%s\",\"buckets\":%u,\"time_us\":%lld}\n",
                      MOVE_FORMAT_VERSION, h->store, h->buckets, (long long)h->time_us);
}

/* ---- digest ---- */

static enum err digest_new(void **out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        return ERR_NOMEM;
    }
    *out = ctx;
    return ERR_OK;
}

static void digest_add(void *digest, const char *bytes, size_t len)
{
    int done = EVP_DigestUpdate(digest, bytes, len);
    ASSERT(done == 1); /* software SHA-256 cannot fail */
}

static void digest_end(void *digest, uint8_t hash[HASH_BYTES])
{
    int done = EVP_DigestFinal_ex(digest, hash, NULL);
    ASSERT(done == 1);
}

/* ---- writing ---- */

static enum err flush(struct move_writer *w)
{
    size_t done = 0;

    if (w->out.err != ERR_OK) {
        return w->out.err;
    }
    while (done < w->out.len) {
        ssize_t n = write(w->fd, w->out.ptr + done, w->out.len - done);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_DISK_FULL : ERR_IO;
        }
        done += (size_t)n;
    }
    buf_clear(&w->out);
    return ERR_OK;
}

enum err move_writer_init(struct move_writer *w, int fd, const struct move_header *header)
{
    enum err e;

    *w = (struct move_writer){.fd = fd};
    buf_init(&w->out, OUT_BYTES + MOVE_LINE_BYTES_MAX);
    e = digest_new(&w->digest);
    if (e != ERR_OK) {
        return e;
    }
    header_write(&w->out, header);
    if (w->out.err == ERR_OK) {
        digest_add(w->digest, w->out.ptr, w->out.len);
    }
    return w->out.err;
}

enum err move_write(struct move_writer *w, const struct move_line *line)
{
    const size_t before = w->out.len;
    enum err e = move_line_check(line);

    if (e == ERR_OK) {
        e = move_totals_add(&w->totals, line);
    }
    if (e != ERR_OK) {
        return e;
    }
    move_line_write(&w->out, line);
    if (w->out.err != ERR_OK) {
        return w->out.err;
    }
    digest_add(w->digest, w->out.ptr + before, w->out.len - before);
    return w->out.len >= OUT_BYTES ? flush(w) : ERR_OK;
}

enum err move_write_end(struct move_writer *w)
{
    uint8_t hash[HASH_BYTES];

    digest_end(w->digest, hash);
    trailer_write(&w->out, &w->totals, hash);
    return flush(w);
}

void move_writer_fini(struct move_writer *w)
{
    EVP_MD_CTX_free(w->digest);
    buf_fini(&w->out);
    *w = (struct move_writer){.fd = -1};
}

/* ---- reading ---- */

static enum err bad(const struct move_reader *r, enum err e, const char *what)
{
    err_text_set(r->why, "line %llu of the export: %s", (unsigned long long)r->line_number, what);
    return e;
}

/* More bytes behind those that are there. ERR_NOT_FOUND: there are none. */
static enum err fill(struct move_reader *r)
{
    ssize_t n;

    buf_drop_front(&r->in, r->taken);
    r->taken = 0;
    if (buf_reserve(&r->in, IN_BYTES) != ERR_OK) {
        return r->in.err == ERR_FULL ? bad(r, ERR_CORRUPT, "it is too long") : ERR_NOMEM;
    }
    do {
        n = read(r->fd, r->in.ptr + r->in.len, IN_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        err_text_set(r->why, "cannot read the export: %s", strerror(errno));
        return ERR_IO;
    }
    r->in.len += (size_t)n;
    return n == 0 ? ERR_NOT_FOUND : ERR_OK;
}

/* The next line with its newline; valid until the next call. */
static enum err line_take(struct move_reader *r, char **line, size_t *len)
{
    size_t looked = 0;

    r->line_number++;
    for (;;) {
        char *const first = r->in.len == 0 ? NULL : r->in.ptr + r->taken;
        const size_t there = r->in.len - r->taken;
        char *newline = there == looked ? NULL : memchr(first + looked, '\n', there - looked);
        enum err e;
        if (newline != NULL) {
            *line = first;
            *len = (size_t)(newline - first) + 1;
            r->taken += *len;
            return *len <= MOVE_LINE_BYTES_MAX ? ERR_OK : bad(r, ERR_CORRUPT, "it is too long");
        }
        looked = there;
        e = looked > MOVE_LINE_BYTES_MAX ? bad(r, ERR_CORRUPT, "it is too long") : fill(r);
        if (e == ERR_NOT_FOUND) {
            return bad(r, ERR_CORRUPT, "the export is cut off here: it has no trailer");
        }
        if (e != ERR_OK) {
            return e;
        }
    }
}

/* A number of at most 18 digits at *at; -1: none. */
static int64_t digits_take(const char **at, const char *end)
{
    const char *const first = *at;
    int64_t number = 0;

    while (*at < end && **at >= '0' && **at <= '9' && *at - first < 18) {
        number = number * 10 + (*(*at)++ - '0');
    }
    return *at == first ? -1 : number;
}

static bool text_take(const char **at, const char *end, const char *text)
{
    const size_t len = strlen(text);

    if ((size_t)(end - *at) < len || memcmp(*at, text, len) != 0) {
        return false;
    }
    *at += len;
    return true;
}

static bool header_read(const char *at, const char *end, struct move_header *out)
{
    int64_t buckets;
    size_t len = 0;

    if (!text_take(&at, end, ",\"store\":\"")) {
        return false;
    }
    while (at < end && *at >= 'a' && *at <= 'z' && len < MOVE_STORE_BYTES_MAX - 1) {
        out->store[len++] = *at++;
    }
    if (len == 0 || !text_take(&at, end, "\",\"buckets\":")) {
        return false;
    }
    buckets = digits_take(&at, end);
    out->buckets = (unsigned)buckets;
    if (buckets < 0 || buckets > 1000000 || !text_take(&at, end, ",\"time_us\":")) {
        return false;
    }
    out->time_us = digits_take(&at, end);
    return out->time_us >= 0 && text_take(&at, end, "}\n") && at == end;
}

enum err move_reader_init(struct move_reader *r, int fd, struct err_text *why)
{
    const char *at;
    char *line;
    int64_t version;
    size_t len;
    enum err e;

    *r = (struct move_reader){.fd = fd, .why = why};
    err_text_set(why, "out of memory");
    buf_init(&r->in, 2 * IN_BYTES + MOVE_LINE_BYTES_MAX);
    if ((e = digest_new(&r->digest)) != ERR_OK || (e = line_take(r, &line, &len)) != ERR_OK) {
        return e;
    }
    at = line;
    if (!text_take(&at, line + len, header_start)) {
        return bad(r, ERR_UNSUPPORTED, "it is not an export of mywallet");
    }
    version = digits_take(&at, line + len);
    if (version != MOVE_FORMAT_VERSION) {
        err_text_set(why, "the export has format %lld, this program knows format %d",
                     (long long)version, MOVE_FORMAT_VERSION);
        return ERR_UNSUPPORTED;
    }
    digest_add(r->digest, line, len);
    return header_read(at, line + len, &r->header) ? ERR_OK
                                                   : bad(r, ERR_CORRUPT, "it is not a header");
}

/* The trailer is known before it is read: it must be that of what was read, and the last line. */
static enum err trailer_check(struct move_reader *r, const char *line, size_t len)
{
    uint8_t hash[HASH_BYTES];
    struct buf wanted;
    bool is_same;
    enum err e;

    digest_end(r->digest, hash);
    buf_init(&wanted, MOVE_LINE_BYTES_MAX);
    trailer_write(&wanted, &r->totals, hash);
    e = wanted.err;
    is_same = e == ERR_OK && slice_equal(buf_slice(&wanted), slice_make(line, len));
    buf_fini(&wanted);
    if (e != ERR_OK) {
        return e;
    }
    if (!is_same) {
        return bad(
            r, ERR_CORRUPT,
            "the trailer does not agree with the lines before it: something was changed or lost");
    }
    e = r->taken < r->in.len ? ERR_OK : fill(r);
    if (e != ERR_NOT_FOUND) {
        return e == ERR_OK ? bad(r, ERR_CORRUPT, "there is something behind the trailer") : e;
    }
    r->is_at_end = true;
    return ERR_NOT_FOUND;
}

enum err move_read(struct move_reader *r, struct move_line *out)
{
    char *line;
    size_t len;
    enum err e;

    ASSERT(!r->is_at_end);
    e = line_take(r, &line, &len);
    if (e != ERR_OK) {
        return e;
    }
    if (slice_starts_with(slice_make(line, len), slice_of(trailer_start))) {
        return trailer_check(r, line, len);
    }
    digest_add(r->digest, line, len); /* before it is decoded, which happens in place */
    if (move_line_read(line, len - 1, out) != ERR_OK) {
        return bad(r, ERR_CORRUPT, "it is not a posting as an export writes it");
    }
    e = move_totals_add(&r->totals, out);
    if (e == ERR_FULL) {
        return bad(r, ERR_CORRUPT, "there are too many currencies");
    }
    return e == ERR_OK ? ERR_OK : bad(r, ERR_CORRUPT, "it is older than the line before it");
}

void move_reader_fini(struct move_reader *r)
{
    EVP_MD_CTX_free(r->digest);
    buf_fini(&r->in);
    *r = (struct move_reader){.fd = -1};
}

enum err move_prove(int fd, struct err_text *why)
{
    const off_t start = lseek(fd, 0, SEEK_CUR);
    struct move_reader r;
    struct move_line line;
    enum err e;

    if (start < 0) {
        return ERR_OK; /* a pipe */
    }
    e = move_reader_init(&r, fd, why);
    while (e == ERR_OK) {
        e = move_read(&r, &line);
    }
    move_reader_fini(&r);
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    if (lseek(fd, start, SEEK_SET) != start) {
        err_text_set(why, "cannot read the export again: %s", strerror(errno));
        return ERR_IO;
    }
    return ERR_OK;
}

/* The body scanner of framing.h: Content-Length by counting, chunked by a state a byte. */
#include "base/assert.h"
#include "http/framing.h"

enum body_state {
    BODY_LENGTH,     /* left bytes to come */
    BODY_SIZE_FIRST, /* a chunk's first hex digit */
    BODY_SIZE,
    BODY_EXT_NAME_FIRST,
    BODY_EXT_NAME,
    BODY_EXT_VALUE_FIRST,
    BODY_EXT_VALUE,
    BODY_EXT_QUOTED,
    BODY_EXT_ESCAPED,
    BODY_EXT_QUOTED_END,
    BODY_SIZE_LF,
    BODY_DATA,
    BODY_DATA_CR,
    BODY_DATA_LF,
    BODY_TRAILER_FIRST, /* a trailer's name, or the last CR */
    BODY_TRAILER_NAME,
    BODY_TRAILER_VALUE,
    BODY_TRAILER_LF,
    BODY_LAST_LF,
    BODY_DONE,
};

void framing_body_init(struct framing_body *b, const struct framing_head *h, uint64_t bytes_max)
{
    *b = (struct framing_body){.bytes_max = bytes_max};
    if (h->is_chunked) {
        b->state = BODY_SIZE_FIRST;
    } else {
        b->left = h->content_length;
        b->state = b->left > 0 ? BODY_LENGTH : BODY_DONE;
    }
}

static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Field values and quoted strings: HTAB, SP, visible ASCII, bytes past 0x7F. */
static bool is_text(char c)
{
    return c == '\t' || ((unsigned char)c >= ' ' && c != 0x7f);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum framing_verdict to(struct framing_body *b, enum body_state state)
{
    b->state = (uint8_t)state;
    return FRAMING_MORE;
}

static enum framing_verdict size_byte(struct framing_body *b, char c)
{
    int digit = hex_digit(c);

    if (digit >= 0) {
        if (b->state == BODY_SIZE_FIRST) {
            b->left = 0;
            b->size_digits = 0;
            b->line_len = 1;
        }
        if (b->size_digits++ == 15) { /* 60 bits hold more than any limit and cannot overflow */
            return FRAMING_BAD;
        }
        b->left = b->left << 4 | (uint64_t)digit;
        return to(b, BODY_SIZE);
    }
    if (b->state == BODY_SIZE_FIRST) {
        return FRAMING_BAD;
    }
    if (c == ';') {
        return to(b, BODY_EXT_NAME_FIRST);
    }
    return c == '\r' ? to(b, BODY_SIZE_LF) : FRAMING_BAD;
}

/* Extensions are ignored, but must be *( ";" token [ "=" ( token / quoted-string ) ] ), without
 * white space. */
static enum framing_verdict extension_byte(struct framing_body *b, char c)
{
    switch (b->state) {
    case BODY_EXT_NAME_FIRST:
        return is_token(c) ? to(b, BODY_EXT_NAME) : FRAMING_BAD;
    case BODY_EXT_VALUE_FIRST:
        if (c == '"') {
            return to(b, BODY_EXT_QUOTED);
        }
        return is_token(c) ? to(b, BODY_EXT_VALUE) : FRAMING_BAD;
    case BODY_EXT_QUOTED:
        if (c == '"') {
            return to(b, BODY_EXT_QUOTED_END);
        }
        if (c == '\\') {
            return to(b, BODY_EXT_ESCAPED);
        }
        return is_text(c) ? FRAMING_MORE : FRAMING_BAD;
    case BODY_EXT_ESCAPED:
        return is_text(c) ? to(b, BODY_EXT_QUOTED) : FRAMING_BAD;
    default:
        break;
    }
    if (b->state != BODY_EXT_QUOTED_END && is_token(c)) {
        return FRAMING_MORE;
    }
    if (b->state == BODY_EXT_NAME && c == '=') {
        return to(b, BODY_EXT_VALUE_FIRST);
    }
    if (c == ';') {
        return to(b, BODY_EXT_NAME_FIRST);
    }
    return c == '\r' ? to(b, BODY_SIZE_LF) : FRAMING_BAD;
}

/* The size line is complete: refuse what is too large before a byte of it is read. */
static enum framing_verdict size_done(struct framing_body *b)
{
    if (b->left == 0) {
        return to(b, BODY_TRAILER_FIRST);
    }
    if (b->left > b->bytes_max - b->total) {
        return FRAMING_BODY_TOO_LARGE;
    }
    /* many tiny chunks with fat extensions cost more than they carry */
    b->excess += (int64_t)b->line_len - 16 - (b->left > INT32_MAX ? INT32_MAX : (int64_t)b->left);
    if (b->excess < 0) {
        b->excess = 0;
    }
    if (b->excess > FRAMING_CHUNK_EXCESS_BYTES_MAX) {
        return FRAMING_BAD;
    }
    return to(b, BODY_DATA);
}

/* Trailers are dropped; one that would mean something as a header is a trick. */
static enum framing_verdict trailer_byte(struct framing_body *b, char c)
{
    if (++b->trailer_len > FRAMING_TRAILER_BYTES_MAX) {
        return FRAMING_HEAD_TOO_LARGE;
    }
    switch (b->state) {
    case BODY_TRAILER_FIRST:
        if (c == '\r') {
            return to(b, BODY_LAST_LF);
        }
        b->name_len = 0;
        break;
    case BODY_TRAILER_VALUE:
        if (c == '\r') {
            return to(b, BODY_TRAILER_LF);
        }
        return is_text(c) ? FRAMING_MORE : FRAMING_BAD;
    case BODY_TRAILER_LF:
        return c == '\n' ? to(b, BODY_TRAILER_FIRST) : FRAMING_BAD;
    default:
        break;
    }
    if (is_token(c)) {
        if (b->name_len < sizeof(b->name)) {
            b->name[b->name_len++] = c;
        }
        return to(b, BODY_TRAILER_NAME);
    }
    if (c != ':' || b->state != BODY_TRAILER_NAME ||
        framing_known_find(b->name, b->name_len) != FRAMING_OTHER) {
        return FRAMING_BAD;
    }
    return to(b, BODY_TRAILER_VALUE);
}

static enum framing_verdict chunked_byte(struct framing_body *b, char c)
{
    if (b->state > BODY_SIZE_FIRST && b->state < BODY_SIZE_LF &&
        ++b->line_len > FRAMING_CHUNK_LINE_BYTES_MAX) {
        return FRAMING_BAD;
    }
    switch (b->state) {
    case BODY_SIZE_FIRST:
    case BODY_SIZE:
        return size_byte(b, c);
    case BODY_SIZE_LF:
        return c == '\n' ? size_done(b) : FRAMING_BAD;
    case BODY_DATA_CR:
        return c == '\r' ? to(b, BODY_DATA_LF) : FRAMING_BAD;
    case BODY_DATA_LF:
        return c == '\n' ? to(b, BODY_SIZE_FIRST) : FRAMING_BAD;
    case BODY_LAST_LF:
        return c == '\n' ? to(b, BODY_DONE) : FRAMING_BAD;
    default:
        return b->state >= BODY_TRAILER_FIRST ? trailer_byte(b, c) : extension_byte(b, c);
    }
}

enum framing_verdict framing_body_next(struct framing_body *b, const char *bytes, size_t len,
                                       size_t *used, struct slice *data)
{
    size_t at = 0;

    for (;;) {
        if (b->state == BODY_DONE) {
            *used = at;
            *data = SLICE_NONE;
            return FRAMING_DONE;
        }
        if (b->state == BODY_LENGTH && b->left > b->bytes_max - b->total) {
            return FRAMING_BODY_TOO_LARGE;
        }
        if (at == len) {
            *used = at;
            *data = SLICE_NONE;
            return FRAMING_MORE;
        }
        if (b->state == BODY_LENGTH || b->state == BODY_DATA) {
            size_t count = len - at < b->left ? len - at : (size_t)b->left;
            b->left -= count;
            b->total += count;
            ASSERT(b->total <= b->bytes_max);
            if (b->left == 0) {
                b->state = b->state == BODY_LENGTH ? BODY_DONE : BODY_DATA_CR;
            }
            *data = slice_make(bytes + at, count);
            *used = at + count;
            return FRAMING_DATA;
        }
        enum framing_verdict verdict = chunked_byte(b, bytes[at++]);
        if (verdict == FRAMING_BAD) {
            b->reason = HTTP_REASON_CHUNK;
        }
        if (verdict != FRAMING_MORE) {
            return verdict;
        }
    }
}

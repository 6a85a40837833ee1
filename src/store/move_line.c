/* One line of an export, written and read. The order of its members is fixed, so every posting has one line. */
#include "base/assert.h"
#include "ledger/posting.h"
#include "money/money.h"
#include "store/move.h"

enum { EXPONENT_MAX = 4, CURRENCY_BYTES = 3 };

static const char *const kind_names[RECORD_KIND_COUNT] = {
    [RECORD_OPEN] = "open",         [RECORD_CREDIT] = "credit",   [RECORD_DEBIT] = "debit",
    [RECORD_TRANSFER] = "transfer", [RECORD_REFUSAL] = "refusal",
};

static bool is_world(struct slice account)
{
    return slice_equal(account, LEDGER_WORLD);
}

static bool is_movement(enum record_kind kind)
{
    return kind == RECORD_CREDIT || kind == RECORD_DEBIT || kind == RECORD_TRANSFER;
}

/* ---- check ---- */

static bool is_within(int64_t number, int64_t max)
{
    return number >= -max && number <= max;
}

static bool is_currency(struct currency c)
{
    char letters[CURRENCY_BYTES];

    currency_text(c, letters);
    for (int i = 0; i < CURRENCY_BYTES; i++) {
        if (letters[i] < 'A' || letters[i] > 'Z') {
            return false;
        }
    }
    return c.code >> 24 == 0;
}

static bool is_leg(const struct move_line *line, unsigned i)
{
    const struct move_leg *leg = &line->legs[i];

    for (unsigned k = 0; k < i; k++) {
        if (slice_equal(line->legs[k].account, leg->account) || (line->legs[k].opens && leg->opens)) {
            return false;
        }
    }
    if (is_world(leg->account)) {
        return i > 0 && leg->delta != 0 && is_within(leg->delta, MONEY_MINOR_MAX) &&
               leg->held == 0 && leg->balance == 0 && !leg->opens;
    }
    return ledger_is_account_id(leg->account) && is_within(leg->delta, MONEY_MINOR_MAX) &&
           is_within(leg->held, MONEY_MINOR_MAX) && is_within(leg->balance, MONEY_MINOR_MAX) &&
           (leg->delta != 0 || leg->held != 0);
}

static bool is_money(const struct move_line *line)
{
    int64_t sum = 0;

    if (!is_currency(line->currency) || line->exponent > EXPONENT_MAX) {
        return false;
    }
    if (line->kind == RECORD_OPEN) {
        return line->leg_count == 1 && ledger_is_account_id(line->legs[0].account) &&
               !is_world(line->legs[0].account) && line->reference.ptr == NULL &&
               line->overdraft >= 0 && line->overdraft <= MONEY_MINOR_MAX;
    }
    for (unsigned i = 0; i < line->leg_count; i++) {
        if (!is_leg(line, i)) {
            return false;
        }
        sum += line->legs[i].delta; /* 100 legs of 15 digits stay far below int64 */
    }
    return line->leg_count >= 1 && sum == 0;
}

/* An object by its outline: braces and brackets that close, strings that end, no control character. */
static bool is_object(struct slice text)
{
    bool is_in_string = false;
    size_t depth = 0;

    if (text.len < 2 || text.ptr[0] != '{' || text.ptr[text.len - 1] != '}') {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if ((unsigned char)c < ' ') {
            return false;
        }
        if (is_in_string) {
            i += c == '\\' ? 1 : 0;
            is_in_string = c != '"';
        } else if (c == '"') {
            is_in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth--;
            if (depth == 0 && i + 1 < text.len) {
                return false;
            }
        }
    }
    return depth == 0 && !is_in_string;
}

enum err move_line_check(const struct move_line *line)
{
    bool is_right =
        line->time_us > 0 && line->leg_count <= LEDGER_LEGS_MAX &&
        line->reference.len <= LEDGER_REFERENCE_BYTES_MAX &&
        line->metadata.len <= LEDGER_METADATA_BYTES_MAX &&
        (line->metadata.ptr == NULL || is_object(line->metadata)) &&
        (!line->has_key || (line->key.field_count <= IDEM_FIELDS_MAX && line->key_expires_ms > 0));

    if (line->kind == RECORD_REFUSAL) {
        is_right = is_right && line->leg_count <= 1 &&
                   (line->leg_count == 0 || ledger_is_account_id(line->legs[0].account)) &&
                   line->reference.ptr == NULL && line->metadata.ptr == NULL &&
                   line->refused_kind >= RECORD_OPEN && line->refused_kind <= RECORD_TRANSFER &&
                   outcome_is_stored(line->refused_outcome) && line->language <= LEDGER_EN;
    } else {
        is_right =
            is_right && (line->kind == RECORD_OPEN || is_movement(line->kind)) && is_money(line);
    }
    return is_right ? ERR_OK : ERR_CORRUPT;
}

/* ---- write ---- */

static void string_write(struct buf *out, struct slice s)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if ((unsigned char)c < ' ') {
            buf_append_format(out, "\\u%04x", (unsigned)c);
            continue;
        }
        if (c == '"' || c == '\\') {
            buf_append_byte(out, '\\');
        }
        buf_append_byte(out, c);
    }
    buf_append_byte(out, '"');
}

static void hex_write(struct buf *out, const uint8_t *bytes, size_t len)
{
    buf_append_byte(out, '"');
    for (size_t i = 0; i < len; i++) {
        buf_append_format(out, "%02x", bytes[i]);
    }
    buf_append_byte(out, '"');
}

static void member_write(struct buf *out, const char *name, int64_t number)
{
    buf_append_text(out, name);
    buf_append_i64(out, number);
}

static void legs_write(struct buf *out, const struct move_line *line)
{
    buf_append_text(out, ",\"legs\":[");
    for (unsigned i = 0; i < line->leg_count; i++) {
        const struct move_leg *leg = &line->legs[i];
        buf_append_text(out, i == 0 ? "{\"account\":" : ",{\"account\":");
        string_write(out, leg->account);
        if (leg->opens) {
            buf_append_text(out, ",\"opens\":true");
        }
        member_write(out, ",\"delta\":", leg->delta);
        if (leg->held != 0) {
            member_write(out, ",\"held\":", leg->held);
        }
        if (!is_world(leg->account)) {
            member_write(out, ",\"balance\":", leg->balance);
        }
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ']');
}

static void account_write(struct buf *out, const struct move_line *line)
{
    buf_append_text(out, ",\"account\":");
    string_write(out, line->legs[0].account);
}

static void money_write(struct buf *out, const struct move_line *line)
{
    char letters[CURRENCY_BYTES];

    if (line->kind == RECORD_OPEN) {
        account_write(out, line);
    }
    currency_text(line->currency, letters);
    buf_append_text(out, ",\"currency\":\"");
    buf_append(out, letters, sizeof(letters));
    member_write(out, "\",\"exponent\":", line->exponent);
    if (line->kind == RECORD_OPEN) {
        member_write(out, ",\"overdraft\":", line->overdraft);
    } else {
        legs_write(out, line);
    }
}

static void key_write(struct buf *out, const struct move_line *line)
{
    buf_append_text(out, ",\"key\":{\"scope\":");
    hex_write(out, line->key.scope, IDEM_SCOPE_BYTES);
    buf_append_text(out, ",\"fingerprint\":");
    hex_write(out, line->key.fingerprint, IDEM_FINGERPRINT_BYTES);
    buf_append_text(out, ",\"fields\":[");
    for (unsigned i = 0; i < line->key.field_count; i++) {
        member_write(out, i == 0 ? "" : ",", line->key.field_tags[i]);
    }
    member_write(out, "],\"expires_ms\":", line->key_expires_ms);
    buf_append_byte(out, '}');
}

void move_line_write(struct buf *out, const struct move_line *line)
{
    member_write(out, "{\"time_us\":", line->time_us);
    member_write(out, ",\"tag\":", line->tag);
    buf_append_text(out, ",\"kind\":\"");
    buf_append_text(out, kind_names[line->kind]);
    buf_append_byte(out, '"');
    if (line->kind == RECORD_REFUSAL) {
        buf_append_text(out, ",\"of\":\"");
        buf_append_text(out, kind_names[line->refused_kind]);
        buf_append_byte(out, '"');
        if (line->leg_count > 0) {
            account_write(out, line);
        }
        member_write(out, ",\"outcome\":", line->refused_outcome);
        member_write(out, ",\"language\":", line->language);
    } else {
        money_write(out, line);
    }
    if (line->reference.ptr != NULL) {
        buf_append_text(out, ",\"reference\":");
        string_write(out, line->reference);
    }
    if (line->has_key) {
        key_write(out, line);
    }
    if (line->metadata.ptr != NULL) {
        buf_append_text(out, ",\"metadata\":");
        buf_append_slice(out, line->metadata);
    }
    buf_append_text(out, "}\n");
}

/* ---- read ---- */

struct scan {
    char *at, *end;
    bool is_bad;
};

/* Are these the next bytes? Then pass them. */
static bool next_is(struct scan *s, const char *text)
{
    const size_t len = strlen(text);

    if (s->is_bad || (size_t)(s->end - s->at) < len || memcmp(s->at, text, len) != 0) {
        return false;
    }
    s->at += len;
    return true;
}

static void expect(struct scan *s, const char *text)
{
    s->is_bad = !next_is(s, text);
}

static int64_t number_read(struct scan *s, int64_t min, int64_t max)
{
    const bool is_negative = next_is(s, "-");
    char *const first = s->at;
    int64_t number = 0;

    while (!s->is_bad && s->at < s->end && *s->at >= '0' && *s->at <= '9' && s->at - first < 18) {
        number = number * 10 + (*s->at++ - '0');
    }
    number = is_negative ? -number : number;
    if (s->at == first || (*first == '0' && (s->at - first > 1 || is_negative)) || number < min ||
        number > max) {
        s->is_bad = true;
        return 0;
    }
    return number;
}

static int64_t member_read(struct scan *s, const char *name, int64_t min, int64_t max)
{
    expect(s, name);
    return number_read(s, min, max);
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void hex_read(struct scan *s, uint8_t *bytes, size_t len)
{
    expect(s, "\"");
    for (size_t i = 0; !s->is_bad && i < len; i++) {
        int high = s->end - s->at < 2 ? -1 : hex_digit(s->at[0]);
        int low = high < 0 ? -1 : hex_digit(s->at[1]);
        s->is_bad = low < 0;
        if (!s->is_bad) {
            bytes[i] = (uint8_t)(high * 16 + low);
            s->at += 2;
        }
    }
    expect(s, "\"");
}

/* What stands behind a backslash. */
static char escape_read(struct scan *s)
{
    uint8_t code = 0;

    if (next_is(s, "\"")) {
        return '"';
    }
    if (next_is(s, "\\")) {
        return '\\';
    }
    expect(s, "u00");
    for (int i = 0; !s->is_bad && i < 2; i++) {
        int digit = s->at < s->end ? hex_digit(*s->at++) : -1;
        s->is_bad = digit < 0;
        code = (uint8_t)(code * 16 + (digit < 0 ? 0 : digit));
    }
    s->is_bad = s->is_bad || code >= ' ';
    return (char)code;
}

/* Decodes in place: what it means is never longer than what it says. */
static struct slice string_read(struct scan *s)
{
    char *out, *first;

    expect(s, "\"");
    out = first = s->at;
    while (!s->is_bad && !next_is(s, "\"")) {
        if (next_is(s, "\\")) {
            *out++ = escape_read(s);
        } else if (s->at < s->end && (unsigned char)*s->at >= ' ') {
            *out++ = *s->at++;
        } else {
            s->is_bad = true;
        }
    }
    return slice_make(first, (size_t)(out - first));
}

static enum record_kind kind_read(struct scan *s)
{
    for (unsigned kind = RECORD_OPEN; kind < RECORD_KIND_COUNT; kind++) {
        char *const before = s->at;
        if (next_is(s, kind_names[kind]) && next_is(s, "\"")) {
            return (enum record_kind)kind;
        }
        s->at = before;
    }
    s->is_bad = true;
    return RECORD_NONE;
}

static void legs_read(struct scan *s, struct move_line *out)
{
    expect(s, ",\"legs\":[");
    while (!s->is_bad && !next_is(s, "]")) {
        struct move_leg *leg = &out->legs[out->leg_count];
        if (out->leg_count == LEDGER_LEGS_MAX) {
            s->is_bad = true;
            return;
        }
        expect(s, out->leg_count++ == 0 ? "{\"account\":" : ",{\"account\":");
        *leg = (struct move_leg){.account = string_read(s)};
        leg->opens = next_is(s, ",\"opens\":true");
        leg->delta = member_read(s, ",\"delta\":", -MONEY_MINOR_MAX, MONEY_MINOR_MAX);
        if (next_is(s, ",\"held\":")) {
            leg->held = number_read(s, -MONEY_MINOR_MAX, MONEY_MINOR_MAX);
            s->is_bad = s->is_bad || leg->held == 0;
        }
        if (!is_world(leg->account)) {
            leg->balance = member_read(s, ",\"balance\":", -MONEY_MINOR_MAX, MONEY_MINOR_MAX);
        }
        expect(s, "}");
    }
}

static void account_read(struct scan *s, struct move_line *out)
{
    out->legs[0] = (struct move_leg){.account = string_read(s)};
    out->leg_count = 1;
}

static void money_read(struct scan *s, struct move_line *out)
{
    if (out->kind == RECORD_OPEN) {
        expect(s, ",\"account\":");
        account_read(s, out);
    }
    expect(s, ",\"currency\":\"");
    for (int i = 0; i < CURRENCY_BYTES && !s->is_bad; i++) {
        s->is_bad = s->at == s->end;
        out->currency.code |= s->is_bad ? 0 : (uint32_t)(unsigned char)*s->at++ << (8 * i);
    }
    out->exponent = (unsigned)member_read(s, "\",\"exponent\":", 0, EXPONENT_MAX);
    if (out->kind == RECORD_OPEN) {
        out->overdraft = member_read(s, ",\"overdraft\":", 0, MONEY_MINOR_MAX);
    } else {
        legs_read(s, out);
    }
}

static void key_read(struct scan *s, struct move_line *out)
{
    out->has_key = true;
    expect(s, "{\"scope\":");
    hex_read(s, out->key.scope, IDEM_SCOPE_BYTES);
    expect(s, ",\"fingerprint\":");
    hex_read(s, out->key.fingerprint, IDEM_FINGERPRINT_BYTES);
    expect(s, ",\"fields\":[");
    while (!s->is_bad && !next_is(s, "]")) {
        if (out->key.field_count == IDEM_FIELDS_MAX) {
            s->is_bad = true;
            return;
        }
        out->key.field_tags[out->key.field_count] =
            (uint16_t)member_read(s, out->key.field_count == 0 ? "" : ",", 0, UINT16_MAX);
        out->key.field_count++;
    }
    out->key_expires_ms = member_read(s, ",\"expires_ms\":", 1, INT64_MAX);
    expect(s, "}");
}

enum err move_line_read(char *text, size_t len, struct move_line *out)
{
    struct scan s = {.at = text, .end = text + len};

    /* legs are written as they are read: all of them would be five kilobytes to clear for each line */
    out->tag = 0;
    out->currency.code = 0;
    out->exponent = 0;
    out->overdraft = 0;
    out->leg_count = 0;
    out->reference = out->metadata = SLICE_NONE;
    out->refused_kind = RECORD_NONE;
    out->refused_outcome = OUTCOME_OK;
    out->language = LEDGER_ZH_CN;
    out->has_key = false;
    out->key = (struct idem){.field_count = 0};
    out->key_expires_ms = 0;
    out->time_us = member_read(&s, "{\"time_us\":", 1, INT64_MAX);
    out->tag = (uint32_t)member_read(&s, ",\"tag\":", 0, UINT32_MAX);
    expect(&s, ",\"kind\":\"");
    out->kind = kind_read(&s);
    if (out->kind == RECORD_REFUSAL) {
        expect(&s, ",\"of\":\"");
        out->refused_kind = kind_read(&s);
        if (next_is(&s, ",\"account\":")) {
            account_read(&s, out);
        }
        out->refused_outcome =
            (enum outcome)member_read(&s, ",\"outcome\":", OUTCOME_OK + 1, OUTCOME_STORED_COUNT - 1);
        out->language =
            (enum ledger_language)member_read(&s, ",\"language\":", LEDGER_ZH_CN, LEDGER_EN);
    } else if (!s.is_bad) {
        money_read(&s, out);
    }
    if (next_is(&s, ",\"reference\":")) {
        out->reference = string_read(&s);
    }
    if (next_is(&s, ",\"key\":")) {
        key_read(&s, out);
    }
    if (next_is(&s, ",\"metadata\":") && s.at < s.end) {
        out->metadata = slice_make(s.at, (size_t)(s.end - s.at) - 1);
        s.at = s.end - 1;
    }
    expect(&s, "}");
    if (s.is_bad || s.at != s.end) {
        return ERR_CORRUPT;
    }
    return move_line_check(out);
}

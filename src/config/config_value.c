/* One value: judged, stored and written by its kind. */
#include <string.h>

#include "base/assert.h"
#include "config/config_internal.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Rising; the first is what a bare number would count. */
static const struct unit duration_units[] = {
    {"us", 1},          {"ms", CONFIG_MS}, {"s", CONFIG_SECOND}, {"m", CONFIG_MINUTE},
    {"h", CONFIG_HOUR}, {"d", CONFIG_DAY}};
static const struct unit size_units[] = {{"B", 1},
                                         {"KiB", UINT64_C(1) << 10},
                                         {"MiB", UINT64_C(1) << 20},
                                         {"GiB", UINT64_C(1) << 30},
                                         {"TiB", UINT64_C(1) << 40}};

enum { SHOWN_BYTES_MAX = 80, RANGE_BYTES_MAX = 64 };

/* A value as part of a message: short, and nothing that a terminal obeys. */
struct shown {
    char text[SHOWN_BYTES_MAX + 1];
};

static struct shown show(const struct config_entry *entry, struct slice text)
{
    struct shown out = {.text = "(hidden)"};

    if (entry->is_secret || entry->is_url) {
        return out;
    }
    memset(out.text, 0, sizeof(out.text));
    for (size_t i = 0; i < text.len && i < SHOWN_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        out.text[i] = c < 0x20 || c == 0x7F ? '?' : (char)c;
    }
    return out;
}

static void *field_of(const struct config_entry *entry, void *values)
{
    return (char *)values + entry->offset;
}

/* Digits alone: no sign, no blank. False on overflow too. */
static bool digits_parse(struct slice text, uint64_t *number)
{
    uint64_t value = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' ||
            __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.ptr[i] - '0'), &value)) {
            return false;
        }
    }
    *number = value;
    return text.len > 0;
}

static void units_of(enum config_kind kind, const struct unit **units, size_t *count)
{
    if (kind == CONFIG_DURATION) {
        *units = duration_units;
        *count = ARRAY_LEN(duration_units);
    } else if (kind == CONFIG_SIZE) {
        *units = size_units;
        *count = ARRAY_LEN(size_units);
    } else {
        *units = NULL;
        *count = 0;
    }
}

/* Digits, then a unit of the kind; bare digits are a number, a size in bytes, or a time where they are 0. */
static bool number_parse(enum config_kind kind, struct slice text, uint64_t *number)
{
    size_t digits = 0;
    struct slice unit;
    const struct unit *units;
    size_t count;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') {
        digits++;
    }
    if (!digits_parse(slice_make(text.ptr, digits), number)) {
        return false;
    }
    if (digits == text.len) {
        return kind != CONFIG_DURATION || *number == 0;
    }
    unit = slice_make(text.ptr + digits, text.len - digits);
    units_of(kind, &units, &count);
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(unit, slice_of(units[i].name))) {
            return !__builtin_mul_overflow(*number, units[i].factor, number);
        }
    }
    return false;
}

void config_number_format(enum config_kind kind, uint64_t number, struct buf *out)
{
    const struct unit *units;
    size_t count;
    size_t best = 0;

    units_of(kind, &units, &count);
    for (size_t i = 1; number != 0 && i < count; i++) {
        /* 24h reads better than 1d, 48h does not */
        bool is_one_day = units[i].factor == CONFIG_DAY && number < 2 * CONFIG_DAY;

        if (number % units[i].factor == 0 && !is_one_day) {
            best = i;
        }
    }
    if (number == 0 && kind == CONFIG_DURATION) {
        buf_append_text(out, "0s");
        return;
    }
    buf_append_u64(out, count == 0 ? number : number / units[best].factor);
    if (count > 0 && (best > 0 || kind == CONFIG_DURATION)) {
        buf_append_text(out, units[best].name);
    }
}

/* Fixed-size text of a range's end, for messages that must not fail for want of memory. */
struct range_end {
    char text[RANGE_BYTES_MAX];
};

static struct range_end range_end(enum config_kind kind, uint64_t number)
{
    struct range_end out = {.text = ""};
    struct buf text = {.ptr = out.text, .cap = sizeof(out.text) - 1, .max = sizeof(out.text) - 1};

    config_number_format(kind, number, &text);
    ASSERT(text.err == ERR_OK);
    return out;
}

static bool number_store(const struct config_entry *entry, struct slice text, void *values,
                         struct err_text *why)
{
    static const char *const forms[] = {
        [CONFIG_NUMBER] = "a whole number",
        [CONFIG_DURATION] = "a time such as 250ms, 5s, 1m, 24h or 30d",
        [CONFIG_SIZE] = "a size such as 512, 16KiB, 64MiB or 1GiB",
    };
    struct range_end low = range_end(entry->kind, entry->min);
    struct range_end high = range_end(entry->kind, entry->max);
    uint64_t number;

    if (!number_parse(entry->kind, text, &number)) {
        err_text_set(why, "%s = %s is not %s, %s to %s", entry->name, show(entry, text).text,
                     forms[entry->kind], low.text, high.text);
        return false;
    }
    if (number < entry->min || number > entry->max) {
        err_text_set(why, "%s = %s is out of range, which is %s to %s", entry->name,
                     show(entry, text).text, low.text, high.text);
        return false;
    }
    memcpy(field_of(entry, values), &number, sizeof(number));
    return true;
}

static bool switch_store(const struct config_entry *entry, struct slice text, void *values,
                         struct err_text *why)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (slice_equal_nocase(text, slice_of(words[i]))) {
            *(bool *)field_of(entry, values) = i % 2 == 1;
            return true;
        }
    }
    err_text_set(why, "%s = %s is neither true nor false", entry->name, show(entry, text).text);
    return false;
}

/* The index-th choice; len 0 behind the last. */
static struct slice choice_at(const char *choices, int index)
{
    size_t len = strcspn(choices, "|");

    while (index > 0 && choices[len] == '|') {
        choices += len + 1;
        len = strcspn(choices, "|");
        index--;
    }
    return slice_make(choices, index > 0 ? 0 : len);
}

static bool choice_store(const struct config_entry *entry, struct slice text, void *values,
                         struct err_text *why)
{
    for (int i = 0; choice_at(entry->choices, i).len > 0; i++) {
        if (slice_equal(text, choice_at(entry->choices, i))) {
            memcpy(field_of(entry, values), &i, sizeof(i));
            return true;
        }
    }
    err_text_set(why, "%s = %s is not one of %s", entry->name, show(entry, text).text,
                 entry->choices);
    return false;
}

static bool is_address(struct slice text)
{
    const char *colon = text.len == 0 ? NULL : memrchr(text.ptr, ':', text.len);
    size_t host_len;
    uint64_t port;

    if (colon == NULL) {
        return false;
    }
    host_len = (size_t)(colon - text.ptr);
    if (host_len == 0 || !digits_parse(slice_make(colon + 1, text.len - host_len - 1), &port) ||
        port > 65535) {
        return false;
    }
    /* an IPv6 host needs its brackets, else its last group would pass for the port */
    if (memchr(text.ptr, ':', host_len) != NULL) {
        return host_len > 2 && text.ptr[0] == '[' && text.ptr[host_len - 1] == ']';
    }
    return memchr(text.ptr, '[', host_len) == NULL && memchr(text.ptr, ' ', host_len) == NULL;
}

static bool text_store(const struct config_entry *entry, struct slice text, void *values,
                       struct err_text *why)
{
    size_t max = entry->max == 0 || entry->max > CONFIG_TEXT_BYTES_MAX ? CONFIG_TEXT_BYTES_MAX
                                                                       : (size_t)entry->max;
    char *field = field_of(entry, values);

    if (text.len > max || text.len < entry->min) {
        err_text_set(why, "%s = %s has %zu bytes, allowed are %llu to %zu", entry->name,
                     show(entry, text).text, text.len, (unsigned long long)entry->min, max);
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F) {
            err_text_set(why, "%s = %s holds a control character", entry->name,
                         show(entry, text).text);
            return false;
        }
    }
    if (entry->kind == CONFIG_ADDRESS && !is_address(text)) {
        err_text_set(why, "%s = %s is not host:port, the port 0 to 65535", entry->name,
                     show(entry, text).text);
        return false;
    }
    if (text.len > 0) {
        memcpy(field, text.ptr, text.len);
    }
    field[text.len] = '\0';
    return true;
}

bool config_value_parse(const struct config_entry *entry, struct slice text, void *values,
                        struct err_text *why)
{
    switch (entry->kind) {
    case CONFIG_TEXT:
    case CONFIG_ADDRESS:
        return text_store(entry, text, values, why);
    case CONFIG_NUMBER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        return number_store(entry, text, values, why);
    case CONFIG_SWITCH:
        return switch_store(entry, text, values, why);
    case CONFIG_CHOICE:
        return choice_store(entry, text, values, why);
    default:
        UNREACHABLE("config kind");
    }
}

void config_value_format(const struct config_entry *entry, const void *values, struct buf *out)
{
    const char *field = (const char *)values + entry->offset;
    uint64_t number, fallback;
    int index;

    switch (entry->kind) {
    case CONFIG_TEXT:
    case CONFIG_ADDRESS:
        buf_append_text(out, field);
        return;
    case CONFIG_NUMBER:
    case CONFIG_DURATION:
    case CONFIG_SIZE:
        memcpy(&number, field, sizeof(number));
        if (number_parse(entry->kind, slice_of(entry->fallback), &fallback) && number == fallback) {
            buf_append_text(out, entry->fallback); /* 60s, where the help says 60s */
            return;
        }
        config_number_format(entry->kind, number, out);
        return;
    case CONFIG_SWITCH:
        buf_append_text(out, *(const bool *)field ? "true" : "false");
        return;
    case CONFIG_CHOICE:
        memcpy(&index, field, sizeof(index));
        buf_append_slice(out, choice_at(entry->choices, index));
        return;
    default:
        UNREACHABLE("config kind");
    }
}

#include "store/redis/scale.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/buf.h"
#include "money/currency.h"
#include "store/redis/answer.h"
#include "store/redis/names.h"
#include "store/redis/sync.h"

enum { ROW_BYTES = 4, CODE_BYTES = 3, EXPONENT_MAX = 4, TEXT_BYTES_MAX = 64 * 1024 };

static const struct slice field = {"decimals", sizeof("decimals") - 1};

static bool is_row(const char *row)
{
    for (unsigned i = 0; i < CODE_BYTES; i++) {
        if (row[i] < 'A' || row[i] > 'Z') {
            return false;
        }
    }
    return row[CODE_BYTES] >= '0' && row[CODE_BYTES] <= '0' + EXPONENT_MAX;
}

/* The row of a currency, or NULL. */
static const char *row_of(struct slice text, const char code[CODE_BYTES])
{
    for (size_t at = 0; at < text.len; at += ROW_BYTES) {
        if (memcmp(text.ptr + at, code, CODE_BYTES) == 0) {
            return text.ptr + at;
        }
    }
    return NULL;
}

static enum err text_check(struct slice text, struct err_text *why)
{
    bool is_ours = text.len % ROW_BYTES == 0 && text.len <= TEXT_BYTES_MAX;

    for (size_t at = 0; is_ours && at < text.len; at += ROW_BYTES) {
        is_ours = is_row(text.ptr + at);
    }
    if (!is_ours) {
        err_text_set(why, "w:meta holds decimals that are none of ours");
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

enum err scale_merge(struct slice text, struct buf *out, struct err_text *why)
{
    enum err e = text_check(text, why);

    if (e != ERR_OK) {
        return e;
    }
    buf_append_slice(out, text);
    for (unsigned i = 0; i < currency_count(); i++) {
        const struct currency c = currency_at(i);
        unsigned exponent = 0;
        char code[CODE_BYTES];
        const char *row;
        currency_text(c, code);
        row = row_of(text, code);
        e = currency_exponent(c, &exponent);
        if (e != ERR_OK) {
            return e;
        }
        if (row == NULL) {
            buf_append(out, code, CODE_BYTES);
            buf_append_byte(out, (char)('0' + exponent));
        } else if (row[CODE_BYTES] != (char)('0' + exponent)) {
            err_text_set(why,
                         "the ledger in this Redis counts %.3s with %c decimals, and this program, "
                         "by the table of %s, with %u: serve it with the version that made it",
                         code, row[CODE_BYTES], currency_table_date, exponent);
            return ERR_UNSUPPORTED;
        }
    }
    return out->err;
}

static enum err ask(struct sync *s, unsigned argc, const struct slice *argv,
                    struct redisReply **out, struct err_text *why)
{
    const enum err e = sync_call(s, argc, argv, out);

    if (e != ERR_OK) {
        err_text_set(why, "the server does not answer: %s", err_name(e));
    }
    return e;
}

static enum err mark_write(struct sync *s, struct slice text, struct err_text *why)
{
    const struct slice words[] = {SLICE("HSET"), NAMES_META, field, text};
    struct redisReply *r = NULL;
    enum err e = ask(s, ARRAY_LEN(words), words, &r, why);

    if (e == ERR_OK && r->type != REDIS_REPLY_INTEGER) {
        answer_say(r, "writing w:meta", why);
        e = answer_is_error(r, SLICE("OOM")) ? ERR_DISK_FULL : ERR_INVALID;
    }
    sync_free(r);
    return e;
}

enum err scale_keep(struct sync *s, struct err_text *why)
{
    const struct slice words[] = {SLICE("HGET"), NAMES_META, field};
    struct redisReply *r = NULL;
    struct buf merged;
    enum err e = ask(s, ARRAY_LEN(words), words, &r, why);

    if (e != ERR_OK) {
        return e;
    }
    buf_init(&merged, TEXT_BYTES_MAX + ROW_BYTES * currency_count());
    if (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_NIL) {
        const struct slice text = answer_text(r);
        e = scale_merge(text, &merged, why);
        if (e == ERR_OK && merged.len > text.len) {
            e = mark_write(s, buf_slice(&merged), why);
        }
    } else {
        answer_say(r, "HGET of w:meta", why);
        e = ERR_INVALID;
    }
    buf_fini(&merged);
    sync_free(r);
    return e;
}

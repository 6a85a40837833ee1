#include "store/redis/sentinel.h"

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/slice.h"
#include "store/redis/answer.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"

void sentinel_close(struct sentinel *s)
{
    if (s->line != NULL) {
        sync_close(s->line);
        s->line = NULL;
    }
}

void sentinel_next(struct sentinel *s, const struct redis_url *url)
{
    sentinel_close(s);
    s->at = (s->at + 1) % url->address_count;
}

static enum err line_open(struct sentinel *s, const struct redis_url *url, struct tls_context *tls,
                          const char *name, struct err_text *why)
{
    const struct redis_address *address = &url->addresses[s->at];
    enum err e = sync_open(url, address, tls, name, SENTINEL_TIMEOUT_MS, &s->line, why);

    if (e == ERR_INVALID && (url->user[0] != '\0' || url->password[0] != '\0')) {
        struct redis_url open = *url;
        explicit_bzero(open.password, sizeof(open.password));
        open.user[0] = '\0';
        e = sync_open(&open, address, tls, name, SENTINEL_TIMEOUT_MS, &s->line, why);
    }
    return e;
}

static enum err address_read(const redisReply *r, const char *master, struct redis_address *out,
                             struct err_text *why)
{
    uint64_t port = 0;

    if (r->type == REDIS_REPLY_NIL || answer_is_error(r, SLICE("ERR No such master"))) {
        err_text_set(why, "the sentinels know no master \"%s\"", master);
        return ERR_NOT_FOUND;
    }
    if (r->type == REDIS_REPLY_ARRAY && r->elements == 2) {
        const struct slice host = answer_text(r->element[0]);
        if (host.ptr != NULL && host.len > 0 && host.len <= REDIS_HOST_BYTES_MAX &&
            reply_u64(r->element[1], &port) == ERR_OK && port > 0 && port <= UINT16_MAX) {
            memset(out, 0, sizeof(*out));
            memcpy(out->host, host.ptr, host.len);
            out->port = (uint16_t)port;
            return ERR_OK;
        }
    }
    answer_say(r, "SENTINEL GET-MASTER-ADDR-BY-NAME", why);
    return ERR_IO;
}

static enum err ask_one(struct sentinel *s, const char *master, struct redis_address *out,
                        struct err_text *why)
{
    const struct slice words[] = {SLICE("SENTINEL"), SLICE("GET-MASTER-ADDR-BY-NAME"),
                                  slice_of(master)};
    redisReply *r = NULL;
    enum err e = sync_call(s->line, ARRAY_LEN(words), words, &r);

    if (e != ERR_OK) {
        err_text_set(why, "the sentinel does not answer: %s", err_name(e));
        return e;
    }
    e = address_read(r, master, out, why);
    sync_free(r);
    return e;
}

enum err sentinel_ask(struct sentinel *s, const struct redis_url *url, struct tls_context *tls,
                      const char *name, struct redis_address *out, struct err_text *why)
{
    bool has_answer = false;
    unsigned last = s->at;
    struct err_text words = {.text = ""};

    ASSERT(url->is_sentinel && url->address_count > 0);
    /* one more than there are: the line that was open may be a dead one */
    for (unsigned tries = 0; tries <= url->address_count; tries++) {
        const bool was_open = s->line != NULL;
        enum err e = was_open ? ERR_OK : line_open(s, url, tls, name, &words);
        if (e == ERR_OK) {
            e = ask_one(s, url->master_name, out, &words);
        }
        if (e == ERR_OK) {
            return ERR_OK;
        }
        sentinel_close(s);
        if (e == ERR_NOMEM) {
            err_text_set(why, "out of memory");
            return e;
        }
        if (e == ERR_NOT_FOUND) {
            has_answer = true;
            *why = words;
        }
        last = s->at;
        if (!was_open || e != ERR_IO) {
            s->at = (s->at + 1) % url->address_count;
        }
    }
    if (!has_answer) {
        err_text_set(why, "no sentinel answers; the last one, %s:%u: %.300s",
                     url->addresses[last].host, (unsigned)url->addresses[last].port, words.text);
    }
    return has_answer ? ERR_NOT_FOUND : ERR_IO;
}

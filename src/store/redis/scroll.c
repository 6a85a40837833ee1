/* A bucket's journal from its beginning, page by page. */
#include <stdio.h>

#include "base/assert.h"
#include "store/redis/answer.h"
#include "store/redis/names.h"
#include "store/redis/offline.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"

void scroll_init(struct scroll *s, struct offline *o, unsigned bucket, uint64_t stop,
                 unsigned page_entries)
{
    *s = (struct scroll){.o = o, .bucket = bucket, .stop = stop, .page_entries = page_entries};
}

void scroll_fini(struct scroll *s)
{
    if (s->page != NULL) {
        sync_free(s->page);
    }
    s->page = NULL;
}

static enum err bad(struct scroll *s, const char *what)
{
    const struct names_key key = names_journal(s->bucket);

    return offline_bad(s->o, SLICE_FORMAT ": %s %llu", SLICE_ARGS(names_slice(&key)), what,
                       (unsigned long long)s->read + 1);
}

static enum err page_read(struct scroll *s)
{
    const struct names_key key = names_journal(s->bucket);
    const uint64_t left = s->stop - s->read;
    struct buf *out = &s->o->out;
    redisReply *r = NULL;
    enum err e = offline_tick(s->o);

    if (e != ERR_OK) {
        return e;
    }
    scroll_fini(s);
    s->at = 0;
    resp_begin(out, 6);
    resp_text(out, "XRANGE");
    resp_word(out, names_slice(&key));
    resp_text(out, s->from[0] == '\0' ? "-" : s->from);
    resp_text(out, "+");
    resp_text(out, "COUNT");
    resp_i64(out, left < s->page_entries ? (int64_t)left : s->page_entries);
    e = offline_ask(s->o, &r);
    if (e != ERR_OK) {
        return e;
    }
    if (r->type != REDIS_REPLY_ARRAY || r->elements == 0) {
        const bool is_array = r->type == REDIS_REPLY_ARRAY;
        sync_free(r);
        return bad(s, is_array ? "the journal ends before its last entry; missing is entry"
                               : "it is no journal at entry");
    }
    s->page = r;
    return ERR_OK;
}

static const redisReply *element(const struct scroll *s)
{
    return s->page->element[s->at - 1];
}

struct slice scroll_id(const struct scroll *s)
{
    ASSERT(s->page != NULL && s->at > 0);
    return answer_text(element(s)->element[0]);
}

enum err scroll_next(struct scroll *s, struct arena *a, struct entry *out)
{
    enum err e = ERR_OK;

    if (s->read == s->stop) {
        return ERR_NOT_FOUND;
    }
    if (s->page == NULL || s->at == s->page->elements) {
        e = page_read(s);
    }
    if (e != ERR_OK) {
        return e;
    }
    s->at++;
    e = entry_read_element(element(s), a, out);
    if (e != ERR_OK) {
        return e == ERR_CORRUPT ? bad(s, "it cannot be read as an entry: entry") : e;
    }
    s->read++;
    if (s->at == s->page->elements || s->read == s->stop) {
        (void)snprintf(s->from, sizeof(s->from), "(%lld-%u", (long long)out->time_us, out->sub);
    }
    return ERR_OK;
}

/*
 * The ledger in a Redis as lines: all journals are read side by side, up to one moment, and merged by time. A posting that
 * touches several buckets stands in each of them, and is told once.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/redis/answer.h"
#include "store/redis/move.h"
#include "store/redis/names.h"
#include "store/redis/offline.h"
#include "store/redis/reply.h"
#include "store/redis/sync.h"

enum {
    PAGE_ENTRIES_MIN = 16,
    PAGES_ENTRIES = 65536, /* of all journals together */
    COPY_BYTES_MAX = 1 << 20,
};

/* An idempotency key that is open, by the entry it answers with. */
struct open_key {
    int64_t time_us, expires_ms;
    struct idem idem;
    uint16_t bucket;
};

/* A journal and its next entry. */
struct head {
    struct scroll scroll;
    struct arena arena; /* of the entry */
    struct entry entry;
};

struct exporter {
    struct offline o;
    struct err_text *why;
    struct move_writer writer;
    struct move_group *group; /* owned */
    struct open_key *keys;    /* by bucket and time; owned */
    size_t key_count, key_cap;
    struct head *heads; /* owned */
    unsigned head_count;
    struct head **heap; /* the earliest on top; owned */
    unsigned heap_count;
    /* the movement of the group: the same in each of its buckets */
    struct entry movement;
    unsigned copies;
};

static enum err write_failed(struct exporter *x, enum err e)
{
    if (e == ERR_CORRUPT) {
        return offline_bad(&x->o,
                           "a posting of time %lld is none that an export can hold; "
                           "`mywallet verify` says more",
                           (long long)x->group->line.time_us);
    }
    err_text_set(x->why, "cannot write the export: %s",
                 e == ERR_IO || e == ERR_DISK_FULL ? strerror(errno) : err_name(e));
    return e;
}

/* ---- idempotency keys ---- */

static enum err key_add(struct exporter *x, const struct open_key *key)
{
    if (x->key_count == x->key_cap) {
        size_t cap = x->key_cap == 0 ? 1024 : x->key_cap * 2;
        struct open_key *grown = mem_resize(x->keys, cap * sizeof(*grown));
        if (grown == NULL) {
            err_text_set(x->why, "out of memory");
            return ERR_NOMEM;
        }
        x->keys = grown;
        x->key_cap = cap;
    }
    x->keys[x->key_count++] = *key;
    return ERR_OK;
}

static bool is_key(const struct exporter *x, const redisReply *name, struct open_key *key)
{
    struct slice scope;
    unsigned bucket;

    if (!slice_starts_with(answer_text(name), SLICE("w:i:")) ||
        !offline_bucket_of(answer_text(name), x->o.marks.buckets, &bucket, &scope) ||
        scope.len != IDEM_SCOPE_BYTES + 1 || scope.ptr[0] != ':') {
        return false;
    }
    memcpy(key->idem.scope, scope.ptr + 1, IDEM_SCOPE_BYTES);
    key->bucket = (uint16_t)bucket;
    return true;
}

/* Its value and its end, of which both may be gone by now. */
static enum err key_take(struct exporter *x, const redisReply *name)
{
    redisReply *value = NULL, *expires = NULL;
    struct open_key key;
    struct idem idem;
    enum err e = offline_next(&x->o, &value);

    if (e != ERR_OK) {
        return e;
    }
    e = offline_next(&x->o, &expires);
    if (e == ERR_OK && value->type == REDIS_REPLY_STRING && expires->type == REDIS_REPLY_INTEGER &&
        expires->integer > 0) {
        if (!is_key(x, name, &key) || !offline_idem_read(answer_text(value), &idem, &key.time_us)) {
            e = offline_bad(&x->o, "an idempotency key is damaged");
        } else {
            memcpy(idem.scope, key.idem.scope, IDEM_SCOPE_BYTES);
            key.idem = idem;
            key.expires_ms = expires->integer;
            e = key_add(x, &key);
        }
    }
    sync_free(value);
    if (expires != NULL) {
        sync_free(expires);
    }
    return e;
}

static enum err keys_page(struct exporter *x, const redisReply *names)
{
    struct buf *out = &x->o.out;
    struct open_key key;
    enum err e;

    for (size_t i = 0; i < names->elements; i++) {
        if (is_key(x, names->element[i], &key)) {
            resp_begin(out, 2);
            resp_text(out, "GET");
            resp_word(out, answer_text(names->element[i]));
            resp_begin(out, 2);
            resp_text(out, "PEXPIRETIME");
            resp_word(out, answer_text(names->element[i]));
        }
    }
    e = offline_flush(&x->o);
    for (size_t i = 0; e == ERR_OK && i < names->elements; i++) {
        if (is_key(x, names->element[i], &key)) {
            e = key_take(x, names->element[i]);
        }
    }
    return e;
}

static int key_order(const void *a, const void *b)
{
    const struct open_key *left = a, *right = b;

    if (left->bucket != right->bucket) {
        return left->bucket < right->bucket ? -1 : 1;
    }
    return (left->time_us > right->time_us) - (left->time_us < right->time_us);
}

static enum err keys_read(struct exporter *x)
{
    char cursor[OFFLINE_CURSOR_BYTES] = "0";
    enum err e;

    do {
        redisReply *page = NULL;
        e = offline_scan(&x->o, cursor, &page);
        if (e == ERR_OK) {
            e = keys_page(x, page->element[1]);
            sync_free(page);
        }
    } while (e == ERR_OK && strcmp(cursor, "0") != 0);
    if (x->key_count > 0) {
        qsort(x->keys, x->key_count, sizeof(*x->keys), key_order);
    }
    return e;
}

/* The key whose answer is the newest entry of that time in that bucket. */
static void key_attach(const struct exporter *x, unsigned bucket, struct move_line *line)
{
    const struct open_key wanted = {.bucket = (uint16_t)bucket, .time_us = line->time_us};
    const struct open_key *found =
        x->key_count == 0 ? NULL
                          : bsearch(&wanted, x->keys, x->key_count, sizeof(*x->keys), key_order);

    if (found != NULL) {
        line->has_key = true;
        line->key = found->idem;
        line->key_expires_ms = found->expires_ms;
    }
}

/* ---- the merge ---- */

static bool is_before(const struct head *a, const struct head *b)
{
    if (a->entry.time_us != b->entry.time_us) {
        return a->entry.time_us < b->entry.time_us;
    }
    if (a->entry.lead != b->entry.lead) {
        return a->entry.lead < b->entry.lead;
    }
    return a->scroll.bucket < b->scroll.bucket;
}

static void heap_sink(struct exporter *x, unsigned at)
{
    for (;;) {
        unsigned least = at;
        struct head *swapped = x->heap[at];
        for (unsigned child = 2 * at + 1; child <= 2 * at + 2 && child < x->heap_count; child++) {
            least = is_before(x->heap[child], x->heap[least]) ? child : least;
        }
        if (least == at) {
            return;
        }
        x->heap[at] = x->heap[least];
        x->heap[least] = swapped;
        at = least;
    }
}

/* The next entry of the journal on top, or none: then it leaves. */
static enum err head_advance(struct exporter *x)
{
    struct head *h = x->heap[0];
    enum err e;

    arena_reset(&h->arena);
    e = scroll_next(&h->scroll, &h->arena, &h->entry);
    if (e == ERR_NOT_FOUND) {
        scroll_fini(&h->scroll);
        arena_fini(&h->arena);
        x->heap[0] = x->heap[--x->heap_count];
        e = ERR_OK;
    }
    if (e == ERR_OK && x->heap_count > 0) {
        heap_sink(x, 0);
    }
    return e;
}

static enum err heads_open(struct exporter *x)
{
    unsigned used = 0, page;
    enum err e = ERR_OK;

    for (unsigned b = 0; b < x->o.marks.buckets; b++) {
        used += x->o.ends[b].seq > 0;
    }
    x->heads = mem_alloc_array(used == 0 ? 1 : used, sizeof(*x->heads));
    x->heap = mem_alloc_array(used == 0 ? 1 : used, sizeof(struct head *));
    if (x->heads == NULL || x->heap == NULL) {
        err_text_set(x->why, "out of memory");
        return ERR_NOMEM;
    }
    page = used == 0 ? 1 : PAGES_ENTRIES / used;
    page = page > OFFLINE_PAGE ? OFFLINE_PAGE : page < PAGE_ENTRIES_MIN ? PAGE_ENTRIES_MIN : page;
    for (unsigned b = 0; e == ERR_OK && b < x->o.marks.buckets; b++) {
        struct head *h = &x->heads[x->head_count];
        if (x->o.ends[b].seq == 0) {
            continue;
        }
        x->head_count++;
        scroll_init(&h->scroll, &x->o, b, x->o.ends[b].seq, page);
        arena_init(&h->arena, OFFLINE_ENTRY_BYTES_MAX);
        e = scroll_next(&h->scroll, &h->arena, &h->entry);
        x->heap[x->heap_count++] = h;
    }
    for (unsigned i = x->heap_count / 2; e == ERR_OK && i-- > 0;) {
        heap_sink(x, i);
    }
    return e;
}

/* ---- one posting ---- */

static enum err copy(struct exporter *x, struct slice from, struct slice *to)
{
    return from.ptr == NULL ? ERR_OK : arena_copy(&x->group->arena, from, to);
}

static enum err open_take(struct exporter *x, const struct entry *entry, unsigned bucket)
{
    struct move_group *g = x->group;
    struct move_line *line = &g->opened[g->opened_count];
    enum err e;

    if (slice_equal(entry->legs[0].account, LEDGER_WORLD)) {
        return ERR_OK; /* every store opens it where it needs it */
    }
    if (g->opened_count == LEDGER_LEGS_MAX) {
        return ERR_CORRUPT;
    }
    g->opened_count++;
    move_line_begin(line, RECORD_OPEN, entry->time_us, entry->lead);
    line->currency = entry->currency;
    line->exponent = entry->exponent;
    line->overdraft = entry->legs[0].delta;
    line->leg_count = 1;
    line->legs[0] = (struct move_leg){.delta = 0};
    e = copy(x, entry->legs[0].account, &line->legs[0].account);
    if (e == ERR_OK) {
        e = copy(x, entry->metadata, &line->metadata);
    }
    key_attach(x, bucket, line);
    return e;
}

static bool is_same_movement(const struct entry *a, const struct entry *b)
{
    if (a->kind != b->kind || a->currency.code != b->currency.code || a->exponent != b->exponent ||
        a->leg_count != b->leg_count || !slice_equal(a->reference, b->reference) ||
        !slice_equal(a->metadata, b->metadata)) {
        return false;
    }
    for (unsigned i = 0; i < a->leg_count; i++) {
        const struct entry_leg *left = &a->legs[i], *right = &b->legs[i];
        if (!slice_equal(left->account, right->account) || left->delta != right->delta ||
            left->held != right->held || left->balance != right->balance) {
            return false;
        }
    }
    return true;
}

/* Keep the first one of its copies, whose page may be gone when the last one comes. */
static enum err movement_keep(struct exporter *x, const struct entry *entry)
{
    struct arena *a = &x->group->arena;
    enum err e = ERR_OK;

    x->movement = *entry;
    x->movement.legs = arena_alloc(a, entry->leg_count * sizeof(*entry->legs));
    if (x->movement.legs == NULL) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; e == ERR_OK && i < entry->leg_count; i++) {
        x->movement.legs[i] = entry->legs[i];
        e = copy(x, entry->legs[i].account, &x->movement.legs[i].account);
    }
    if (e == ERR_OK) {
        e = copy(x, entry->reference, &x->movement.reference);
    }
    return e == ERR_OK ? copy(x, entry->metadata, &x->movement.metadata) : e;
}

static enum err refusal_take(struct exporter *x, const struct entry *entry, unsigned bucket)
{
    struct move_line *line = &x->group->line;

    if (line->kind != RECORD_NONE) {
        return ERR_CORRUPT;
    }
    move_line_begin(line, RECORD_REFUSAL, entry->time_us, entry->lead);
    line->refused_kind = entry->refused_kind;
    line->refused_outcome = entry->refused_outcome;
    line->language = entry->language;
    line->leg_count = entry->refused_account.ptr == NULL ? 0 : 1;
    line->legs[0] = (struct move_leg){.delta = 0};
    key_attach(x, bucket, line);
    return copy(x, entry->refused_account, &line->legs[0].account);
}

static enum err entry_take(struct exporter *x, const struct entry *entry, unsigned bucket)
{
    if (entry->kind == RECORD_OPEN) {
        return open_take(x, entry, bucket);
    }
    if (entry->kind == RECORD_REFUSAL) {
        return refusal_take(x, entry, bucket);
    }
    if (x->copies++ == 0) {
        return movement_keep(x, entry);
    }
    return is_same_movement(&x->movement, entry) ? ERR_OK : ERR_CORRUPT;
}

/* All its copies were there: the line of the movement. */
static enum err movement_end(struct exporter *x)
{
    const struct entry *entry = &x->movement;
    struct move_line *line = &x->group->line;
    unsigned buckets[LEDGER_LEGS_MAX];

    if (x->copies == 0) {
        return ERR_OK;
    }
    if (line->kind != RECORD_NONE ||
        offline_involved(entry, x->o.marks.buckets, buckets) != x->copies) {
        return ERR_CORRUPT;
    }
    move_line_begin(line, entry->kind, entry->time_us, entry->lead);
    line->currency = entry->currency;
    line->exponent = entry->exponent;
    line->reference = entry->reference;
    line->metadata = entry->metadata;
    line->leg_count = entry->leg_count;
    for (unsigned i = 0; i < entry->leg_count; i++) {
        const struct entry_leg *leg = &entry->legs[i];
        const bool is_world = slice_equal(leg->account, LEDGER_WORLD);
        line->legs[i] = (struct move_leg){.account = leg->account,
                                          .delta = leg->delta,
                                          .held = leg->held,
                                          .balance = is_world ? 0 : leg->balance};
    }
    key_attach(x, offline_home(entry, x->o.marks.buckets), line);
    for (unsigned i = 0; i < x->group->opened_count; i++) {
        x->group->opened[i].has_key = false; /* the key is the movement's, the last of its time */
    }
    return ERR_OK;
}

/* All entries of the earliest time and lead. */
static enum err group_take(struct exporter *x)
{
    const int64_t time_us = x->heap[0]->entry.time_us;
    const unsigned lead = x->heap[0]->entry.lead;
    enum err e = ERR_OK;

    move_group_begin(x->group);
    x->copies = 0;
    while (e == ERR_OK && x->heap_count > 0 && x->heap[0]->entry.time_us == time_us &&
           x->heap[0]->entry.lead == lead) {
        e = entry_take(x, &x->heap[0]->entry, x->heap[0]->scroll.bucket);
        if (e == ERR_OK) {
            e = head_advance(x);
            if (e != ERR_OK) {
                return e; /* it has said why */
            }
        }
    }
    if (e == ERR_OK) {
        e = movement_end(x);
    }
    if (e != ERR_OK) {
        return e == ERR_CORRUPT ? offline_bad(&x->o,
                                              "the posting of time %lld, tag %u does not stand alike "
                                              "in its buckets; `mywallet verify` says more",
                                              (long long)time_us, lead)
                                : e;
    }
    e = move_group_write(&x->writer, x->group);
    return e == ERR_OK ? ERR_OK : write_failed(x, e);
}

/* ---- all of it ---- */

static enum err ledger_export(struct exporter *x, int fd)
{
    struct move_header header = {.store = "redis"};
    enum err e;

    if ((e = offline_ledger_check(&x->o)) != ERR_OK ||
        (e = offline_time(&x->o, &header.time_us)) != ERR_OK || (e = offline_cut(&x->o)) != ERR_OK ||
        (e = keys_read(x)) != ERR_OK || (e = heads_open(x)) != ERR_OK) {
        return e;
    }
    err_text_set(x->why, "out of memory");
    header.buckets = x->o.marks.buckets;
    e = move_writer_init(&x->writer, fd, &header);
    while (e == ERR_OK && x->heap_count > 0) {
        e = group_take(x);
    }
    if (e == ERR_OK && (e = move_write_end(&x->writer)) != ERR_OK) {
        e = write_failed(x, e);
    }
    return e;
}

enum err redis_export(const struct redis_url *url, const struct redis_tls_files *tls, int fd,
                      struct move_totals *totals, struct err_text *why)
{
    struct exporter *x = mem_alloc(sizeof(*x));
    enum err e = ERR_NOMEM;

    err_text_set(why, "out of memory");
    if (x == NULL) {
        return ERR_NOMEM;
    }
    x->why = why;
    x->group = mem_alloc(sizeof(*x->group));
    if (x->group != NULL) {
        arena_init(&x->group->arena, COPY_BYTES_MAX);
        e = offline_open(&x->o, url, tls, why);
        if (e == ERR_OK) {
            e = ledger_export(x, fd);
        }
        *totals = x->writer.totals;
        move_writer_fini(&x->writer);
        for (unsigned i = 0; i < x->head_count; i++) {
            scroll_fini(&x->heads[i].scroll);
            arena_fini(&x->heads[i].arena);
        }
        offline_close(&x->o);
        arena_fini(&x->group->arena);
    }
    mem_free(x->heap);
    mem_free(x->heads);
    mem_free(x->keys);
    mem_free(x->group);
    mem_free(x);
    return e;
}

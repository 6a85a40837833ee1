/*
 * Make a ledger of a wanted size directly, through book and journal, as a clean stop of the service would leave it.
 *
 * Opens the accounts by one credit each, then moves money between random ones until the journal has so many rows.
 * Prints the size of the file before and after the second part, so that bytes a movement can be told.
 * Usage: fill --dir FOLDER [--accounts 1000000] [--rows 20000000] [--verb credit|transfer] [--keys] [--batch 4096]
 *        fill --format: print the format's version and end
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/prng.h"
#include "bench/rig.h"
#include "bench/tool.h"

enum { WAL_PAGES_MAX = 16384, ARENA_BYTES_MAX = 64 * 1024 * 1024, FIELDS = 4 };

struct plan {
    const char *dir, *verb;
    uint64_t accounts, rows, batch;
    bool has_keys;
    struct prng prng;
};

static uint64_t file_bytes(const char *dir)
{
    char path[DB_PATH_BYTES_MAX];
    struct stat s;

    tool_must(db_path(dir, path), "path");
    if (stat(path, &s) != 0) {
        tool_die("cannot see %s", path);
    }
    return (uint64_t)s.st_size;
}

/* A key as the service would make it: two digests and a tag for each of a request's fields. */
static const struct idem *make_key(struct plan *p, struct arena *a)
{
    struct idem *key = arena_alloc(a, sizeof(*key));

    if (key == NULL) {
        tool_die("out of memory");
    }
    for (unsigned i = 0; i < IDEM_SCOPE_BYTES; i += 8) {
        const uint64_t scope = prng_next(&p->prng), fingerprint = prng_next(&p->prng);
        memcpy(key->scope + i, &scope, 8);
        memcpy(key->fingerprint + i, &fingerprint, 8);
    }
    key->field_count = FIELDS;
    for (unsigned i = 0; i < FIELDS; i++) {
        key->field_tags[i] = (uint16_t)prng_next(&p->prng);
    }
    return key;
}

static void make_transfer(struct plan *p, struct arena *a, struct posting *out)
{
    const struct decimal amount = {.coefficient = 1, .scale = -2};
    const struct posting_words words = {.may_open = false};
    char from_text[RIG_ID_BYTES_MAX], to_text[RIG_ID_BYTES_MAX];
    const uint64_t from = prng_below(&p->prng, p->accounts);
    const uint64_t to = (from + 1 + prng_below(&p->prng, p->accounts - 1)) % p->accounts;
    struct slice from_id, to_id;

    tool_must(arena_copy(a, rig_id(from, from_text), &from_id), "account id");
    tool_must(arena_copy(a, rig_id(to, to_text), &to_id), "account id");
    tool_must(posting_transfer(a, from_id, to_id, amount, &words, out), "transfer");
}

static void commit(struct rig *r, struct arena *a)
{
    rig_commit(r, WAL_PAGES_MAX);
    arena_reset(a);
}

static struct posting *posting_new(struct arena *a)
{
    struct posting *p = arena_alloc(a, sizeof(*p));

    if (p == NULL) {
        tool_die("out of memory");
    }
    return p;
}

/* Enough for each account that no transfer of cents can overdraw it. */
static void open_accounts(const struct plan *p, struct rig *r, struct arena *a)
{
    for (uint64_t i = 0; i < p->accounts;) {
        const uint64_t end = i + p->batch < p->accounts ? i + p->batch : p->accounts;
        const int64_t now_us = clock_wall_us();
        for (; i < end; i++) {
            struct posting *one = posting_new(a);
            rig_credit(a, i, one);
            rig_apply(r, one, now_us);
        }
        commit(r, a);
    }
}

/* Until the journal has p->rows rows; returns how many movements that were. */
static uint64_t move_money(struct plan *p, struct rig *r, struct arena *a)
{
    const bool is_transfer = strcmp(p->verb, "transfer") == 0;
    uint64_t moved = 0;

    while (r->book.last_seq < p->rows) {
        const int64_t now_us = clock_wall_us();
        for (uint64_t i = 0; i < p->batch && r->book.last_seq < p->rows; i++, moved++) {
            struct posting *one = posting_new(a);
            if (is_transfer) {
                make_transfer(p, a, one);
            } else {
                rig_credit(a, prng_below(&p->prng, p->accounts), one);
            }
            one->idem = p->has_keys ? make_key(p, a) : NULL;
            rig_apply(r, one, now_us);
        }
        commit(r, a);
    }
    return moved;
}

int main(int argc, char **argv)
{
    struct rig r;
    struct plan p = {
        .verb = "credit", .accounts = 1000000, .rows = 20000000, .batch = 4096, .prng = {20240229}};
    struct arena arena;
    bool wants_format = false;
    uint64_t start_ns = tool_now_ns(), base_bytes, moved;
    const struct tool_flag flags[] = {{"--dir", .text = &p.dir},
                                      {"--accounts", .number = &p.accounts},
                                      {"--rows", .number = &p.rows},
                                      {"--verb", .text = &p.verb},
                                      {"--keys", .is_given = &p.has_keys},
                                      {"--batch", .number = &p.batch},
                                      {"--format", .is_given = &wants_format}};

    tool_flags_read(argc, argv, flags, sizeof(flags) / sizeof(flags[0]));
    if (wants_format) {
        (void)printf("%d\n", DB_FORMAT_VERSION);
        return 0;
    }
    if (p.dir == NULL || p.accounts < 2 || p.batch == 0 || p.batch > 4096 ||
        (strcmp(p.verb, "credit") != 0 && strcmp(p.verb, "transfer") != 0)) {
        tool_die("fill: --dir FOLDER is missing, or a value is out of range");
    }
    arena_init(&arena, ARENA_BYTES_MAX);
    rig_remove(p.dir);
    rig_open(&r, p.dir, (unsigned)p.batch);
    open_accounts(&p, &r, &arena);
    rig_settle(&r);
    base_bytes = file_bytes(p.dir);
    moved = move_money(&p, &r, &arena);
    rig_settle(&r);
    (void)printf("accounts=%llu rows=%llu moved=%llu base_bytes=%llu bytes=%llu ms=%llu\n",
                 (unsigned long long)p.accounts, (unsigned long long)r.book.last_seq,
                 (unsigned long long)moved, (unsigned long long)base_bytes,
                 (unsigned long long)file_bytes(p.dir),
                 (unsigned long long)((tool_now_ns() - start_ns) / 1000000));
    rig_close(&r);
    arena_fini(&arena);
    return 0;
}

/* The embedded ledger as lines: its journal is read in order, folded in a book of its own, and told posting by posting. */
#include <errno.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/prng.h"
#include "store/embedded/db.h"
#include "store/embedded/move.h"

enum { EXPORT_UNDO = 16, GROUP_BYTES_MAX = 1 << 20 };

struct exporter {
    sqlite3 *db;
    struct err_text *why;
    struct book book;
    struct move_writer writer;
    struct move_group *group;      /* owned */
    uint64_t nos[LEDGER_LEGS_MAX]; /* the account numbers of its legs */
    int64_t group_us;
    uint32_t group_tag;
    int64_t ttl_us;
    int64_t expire_before_us; /* keys that are older are forgotten */
};

static enum err bad(struct exporter *x, const char *what, uint64_t seq)
{
    err_text_set(x->why, "%s: %s %llu; `mywallet verify` says more",
                 sqlite3_db_filename(x->db, "main"), what, (unsigned long long)seq);
    return ERR_CORRUPT;
}

static enum err write_failed(struct exporter *x, enum err e, uint64_t seq)
{
    if (e == ERR_CORRUPT) {
        return bad(x, "a posting that no export can hold ends before record", seq);
    }
    err_text_set(x->why, "cannot write the export: %s",
                 e == ERR_IO || e == ERR_DISK_FULL ? strerror(errno) : err_name(e));
    return e;
}

/* ---- one posting ---- */

static enum err group_end(struct exporter *x, uint64_t seq)
{
    enum err e = move_group_write(&x->writer, x->group);

    return e == ERR_OK ? ERR_OK : write_failed(x, e, seq);
}

static enum err key_take(struct exporter *x, const struct record *r, struct move_line *line)
{
    if (r->idem.len == 0 || r->time_us < x->expire_before_us) {
        return ERR_OK;
    }
    line->has_key = true;
    line->key_expires_ms = (r->time_us + x->ttl_us + 999) / 1000;
    return record_idem_decode(r->idem, &line->key);
}

static enum err open_take(struct exporter *x, const struct record *r, const struct record_extra *extra)
{
    struct move_group *g = x->group;
    struct move_line *line = &g->opened[g->opened_count];
    enum err e;

    if (slice_equal(extra->account_id, LEDGER_WORLD)) {
        return ERR_OK; /* every store opens it where it needs it */
    }
    if (g->opened_count == LEDGER_LEGS_MAX) {
        return ERR_CORRUPT;
    }
    g->opened_count++;
    move_line_begin(line, RECORD_OPEN, r->time_us, r->tag);
    line->currency = extra->currency;
    line->exponent = extra->exponent;
    line->overdraft = r->amount;
    line->leg_count = 1;
    line->legs[0] = (struct move_leg){.delta = 0};
    e = arena_copy(&g->arena, extra->account_id, &line->legs[0].account);
    if (e == ERR_OK && extra->metadata.ptr != NULL) {
        e = arena_copy(&g->arena, extra->metadata, &line->metadata);
    }
    return e == ERR_OK ? key_take(x, r, line) : e;
}

static enum err side_take(struct exporter *x, uint64_t no, int64_t delta, int64_t held,
                          int64_t balance)
{
    struct move_group *g = x->group;
    const struct account *a = book_account(&x->book, no);
    struct slice id = slice_make(a->id, a->id_len);
    unsigned i = 0;

    while (i < g->line.leg_count && x->nos[i] != no) {
        i++;
    }
    if (i == LEDGER_LEGS_MAX) {
        return ERR_CORRUPT;
    }
    if (i == g->line.leg_count) {
        g->line.leg_count++;
        x->nos[i] = no;
        g->line.legs[i] = (struct move_leg){.account = id};
        g->line.currency.code = a->currency;
        g->line.exponent = a->exponent;
    }
    g->line.legs[i].delta += delta;
    g->line.legs[i].held += held;
    g->line.legs[i].balance = slice_equal(id, LEDGER_WORLD) ? 0 : balance;
    return ERR_OK;
}

static bool is_world(const struct exporter *x, uint64_t no)
{
    const struct account *a = book_account(&x->book, no);

    return slice_equal(slice_make(a->id, a->id_len), LEDGER_WORLD);
}

/*
 * The side that the path named comes first: of a credit the account that gets, else the one that gives. @world is never the
 * first. Debits among themselves stay in the order of the records, and credits too: so an import pairs them again as they were.
 */
static enum err sides_take(struct exporter *x, const struct record *r)
{
    const bool is_credit_first =
        r->credit != 0 &&
        (is_world(x, r->debit) || (r->kind == RECORD_CREDIT && !is_world(x, r->credit)));
    enum err e = ERR_OK;

    if (is_credit_first) {
        e = side_take(x, r->credit, r->amount, 0, r->credit_balance);
    }
    if (e == ERR_OK) {
        e = side_take(x, r->debit, -r->amount, r->held, r->debit_balance);
    }
    if (e == ERR_OK && !is_credit_first && r->credit != 0) {
        e = side_take(x, r->credit, r->amount, 0, r->credit_balance);
    }
    return e;
}

static enum err movement_take(struct exporter *x, const struct record *r,
                              const struct record_extra *extra)
{
    struct move_group *g = x->group;
    enum err e = ERR_OK;

    if (g->line.kind == RECORD_NONE) {
        move_line_begin(&g->line, (enum record_kind)r->kind, r->time_us, r->tag);
    } else if (g->line.kind != r->kind || r->kind == RECORD_REFUSAL) {
        return ERR_CORRUPT;
    }
    if (r->kind == RECORD_REFUSAL) {
        if (!extra->has_refusal) {
            return ERR_CORRUPT;
        }
        g->line.leg_count = extra->account_id.ptr == NULL ? 0 : 1;
        if (g->line.leg_count > 0) {
            e = arena_copy(&g->arena, extra->account_id, &g->line.legs[0].account);
        }
        g->line.refused_kind = (enum record_kind)extra->refused_kind;
        g->line.refused_outcome = (enum outcome)extra->refused_outcome;
        g->line.language = (enum ledger_language)extra->language;
    } else {
        e = sides_take(x, r);
    }
    if (e == ERR_OK && extra->reference.ptr != NULL) {
        e = arena_copy(&g->arena, extra->reference, &g->line.reference);
    }
    if (e == ERR_OK && extra->metadata.ptr != NULL) {
        e = arena_copy(&g->arena, extra->metadata, &g->line.metadata);
    }
    return e == ERR_OK ? key_take(x, r, &g->line) : e;
}

/* ---- all of them ---- */

static enum err record_take(struct exporter *x, const struct record *r)
{
    struct record_extra extra;
    enum err e = ERR_OK;

    if (x->group_us != r->time_us || x->group_tag != r->tag) {
        e = group_end(x, r->seq);
        move_group_begin(x->group);
        x->group_us = r->time_us;
        x->group_tag = r->tag;
    }
    if (e != ERR_OK) {
        return e;
    }
    e = book_replay(&x->book, r, 0, 0); /* an account is known before its first movement is told */
    if (e == ERR_OK) {
        e = record_extra_decode(r->extra, &extra);
    }
    if (e == ERR_OK) {
        e = r->kind == RECORD_OPEN ? open_take(x, r, &extra) : movement_take(x, r, &extra);
    }
    return e == ERR_CORRUPT ? bad(x, "the accounts do not agree with record", r->seq) : e;
}

static enum err journal_take(struct exporter *x)
{
    sqlite3_stmt *stmt = NULL;
    enum err e = ERR_OK;
    int rc = sqlite3_prepare_v2(x->db, "SELECT " DB_RECORD_COLUMNS " FROM journal ORDER BY seq", -1,
                                &stmt, NULL);

    while (rc == SQLITE_OK && e == ERR_OK) {
        struct record r;
        int stepped = sqlite3_step(stmt);
        if (stepped == SQLITE_DONE) {
            break;
        }
        rc = stepped == SQLITE_ROW ? SQLITE_OK : stepped;
        if (rc == SQLITE_OK) {
            e = db_record_read(stmt, &r) == ERR_OK ? record_take(x, &r)
                                                   : bad(x, "damaged record", x->book.last_seq + 1);
        }
    }
    if (rc != SQLITE_OK) {
        e = db_err(x->db, rc);
        db_why(x->why, x->db, "cannot read the journal");
    }
    (void)sqlite3_finalize(stmt);
    return e == ERR_OK ? group_end(x, x->book.last_seq + 1) : e;
}

/* From which time on keys count: as at a start, by the earlier of the wall clock and the newest record. */
static enum err expiry_read(struct exporter *x, int64_t wall_us)
{
    int64_t last_us = 0;
    bool found;
    enum err e =
        db_number(x->db, "SELECT time_us FROM journal ORDER BY seq DESC LIMIT 1", &last_us, &found);

    if (e != ERR_OK) {
        db_why(x->why, x->db, "cannot read the journal's end");
        return e;
    }
    x->expire_before_us = (last_us < wall_us ? last_us : wall_us) - x->ttl_us;
    return ERR_OK;
}

static enum err snapshot_export(struct exporter *x, int fd)
{
    const struct move_header header = {.store = "embedded", .time_us = clock_wall_us()};
    struct hash_key key;
    enum err e;

    if ((e = db_exec(x->db, "BEGIN")) != ERR_OK) {
        db_why(x->why, x->db, "cannot read");
        return e;
    }
    if ((e = expiry_read(x, header.time_us)) != ERR_OK ||
        (e = prng_secret(&key, sizeof(key))) != ERR_OK ||
        (e = book_init(&x->book, EXPORT_UNDO, 1, key)) != ERR_OK) {
        return e;
    }
    e = move_writer_init(&x->writer, fd, &header);
    if (e == ERR_OK) {
        e = journal_take(x);
    }
    if (e == ERR_OK && (e = move_write_end(&x->writer)) != ERR_OK) {
        e = write_failed(x, e, x->book.last_seq);
    }
    return e;
}

enum err embedded_export(const char *dir, uint64_t ttl_us, int fd, struct move_totals *totals,
                         struct err_text *why)
{
    struct exporter x = {.why = why, .ttl_us = (int64_t)ttl_us};
    char path[DB_PATH_BYTES_MAX];
    enum err e = db_path(dir, path);

    err_text_set(why, e == ERR_OK ? "out of memory" : "the path of the data folder is too long");
    if (e != ERR_OK) {
        return e;
    }
    x.group = mem_alloc(sizeof(*x.group));
    if (x.group == NULL) {
        return ERR_NOMEM;
    }
    arena_init(&x.group->arena, GROUP_BYTES_MAX);
    e = db_open(path, DB_VERIFIER, &x.db, why);
    if (e == ERR_OK) {
        err_text_set(why, "out of memory");
        e = snapshot_export(&x, fd);
        *totals = x.writer.totals;
        move_writer_fini(&x.writer);
        book_fini(&x.book);
        (void)sqlite3_close(x.db);
    }
    arena_fini(&x.group->arena);
    mem_free(x.group);
    return e;
}

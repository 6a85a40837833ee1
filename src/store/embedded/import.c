/*
 * An export as an embedded ledger: each posting is judged and applied again by the book, at its own time, and what comes out
 * must be what the export says.
 *
 * It goes well: DIR is locked -> the export is proven, where it can be read twice -> DIR/import.tmp/ledger.db is written,
 * commit by commit -> emptied log, verified as any ledger -> one rename to DIR/ledger.db, synced.
 * It fails, or is killed: there is no DIR/ledger.db; import.tmp goes now, or with the next import.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/prng.h"
#include "ledger/import.h"
#include "store/embedded/embedded.h"
#include "store/embedded/folder.h"
#include "store/embedded/journal.h"
#include "store/embedded/move.h"
#include "store/embedded/recover.h"
#include "store/embedded/wal_check.h"

enum {
    BATCH_RECORDS = 4096, /* a commit */
    FX_RECORDS = BATCH_RECORDS + 3 * LEDGER_LEGS_MAX + 1,
    KEYS_MAX = 1000000000,
    BATCH_BYTES_MAX = 64 << 20,
};

static const char folder_name[] = "import.tmp";
static const char *const file_names[] = {"", "-journal", "-wal", "-shm"};

struct importer {
    struct err_text *why;
    struct move_reader reader;
    struct move_line line;
    struct journal journal;
    struct book book;
    struct book_fx fx;
    struct arena arena; /* what the batch's records point into */
    struct move_totals totals;
    char tmp[DB_PATH_BYTES_MAX];
};

static enum err bad(struct importer *m, enum err e, const char *what)
{
    err_text_set(m->why, "line %llu of the export: %s", (unsigned long long)m->reader.line_number,
                 what);
    return e;
}

static enum err failed(struct err_text *why, const char *what, const char *path)
{
    const int number = errno;

    err_text_set(why, "cannot %s %s: %s", what, path, strerror(number));
    return number == ENOSPC || number == EDQUOT ? ERR_DISK_FULL : ERR_IO;
}

/* ---- one posting ---- */

static struct decimal decimal_of(int64_t minor, unsigned exponent)
{
    struct decimal d = {minor, minor == 0 ? 0 : -(int32_t)exponent};

    while (d.coefficient != 0 && d.coefficient % 10 == 0) {
        d.coefficient /= 10;
        d.scale++;
    }
    return d;
}

static enum err extra_make(struct importer *m, const struct record_extra *x, struct slice *out)
{
    size_t size = record_extra_size(x);
    char *bytes;

    if (size == 0) {
        return ERR_OK;
    }
    bytes = arena_alloc(&m->arena, size);
    if (bytes == NULL) {
        return ERR_NOMEM;
    }
    *out = slice_make(bytes, record_extra_encode(x, bytes, size));
    return ERR_OK;
}

/* The extra of the record that opens an account. */
static enum err open_extra(struct importer *m, struct slice account, struct slice metadata,
                           struct posting *p, struct slice *out)
{
    const struct move_line *line = &m->line;
    unsigned exponent = 0;

    if (currency_exponent(line->currency, &exponent) != ERR_OK || exponent != line->exponent) {
        return bad(m, ERR_UNSUPPORTED,
                   "this program does not know its currency, or with other decimals");
    }
    p->open_currency = line->currency;
    return extra_make(m,
                      &(struct record_extra){.account_id = account,
                                             .currency = line->currency,
                                             .exponent = (uint8_t)line->exponent,
                                             .metadata = metadata},
                      out);
}

static enum err posting_make(struct importer *m, struct posting *out)
{
    const struct move_line *line = &m->line;
    struct posting_leg *legs = arena_alloc(&m->arena, sizeof(*legs) * (line->leg_count + 1u));
    struct posting p = {.kind = line->kind,
                        .currency = line->currency,
                        .legs = legs,
                        .leg_count = line->leg_count,
                        .language = line->language,
                        .idem = line->has_key ? &line->key : NULL};
    enum err e = ERR_OK;

    if (legs == NULL) {
        return ERR_NOMEM;
    }
    for (unsigned i = 0; e == ERR_OK && i < line->leg_count; i++) {
        const struct move_leg *leg = &line->legs[i];
        e = arena_copy(&m->arena, leg->account, &legs[i].account);
        legs[i].balance = decimal_of(leg->delta, line->exponent);
        legs[i].held = decimal_of(leg->held, line->exponent);
        legs[i].may_open = leg->opens;
        if (e == ERR_OK && leg->opens) {
            e = open_extra(m, leg->account, SLICE_NONE, &p, &p.open_extra);
        }
    }
    if (e == ERR_OK && line->kind == RECORD_OPEN) {
        p.overdraft = decimal_of(line->overdraft, line->exponent);
        e = open_extra(m, line->legs[0].account, line->metadata, &p, &p.extra);
    } else if (e == ERR_OK && line->kind != RECORD_REFUSAL) {
        e = extra_make(
            m, &(struct record_extra){.reference = line->reference, .metadata = line->metadata},
            &p.extra);
    }
    if (e == ERR_OK) {
        *out = p;
    }
    return e;
}

/* Did it come out as it did there? */
static enum err outcome_check(struct importer *m, enum outcome outcome, const bool was_there[])
{
    const struct move_line *line = &m->line;

    if (outcome != OUTCOME_OK) {
        return bad(m, ERR_CORRUPT, "the posting does not pass on the accounts as they are before it");
    }
    for (unsigned i = 0; i < line->leg_count; i++) {
        const struct move_leg *leg = &line->legs[i];
        struct account_view view;
        if (slice_equal(leg->account, LEDGER_WORLD)) {
            continue;
        }
        if (!book_find(&m->book, leg->account, &view) || view.balance != leg->balance ||
            view.exponent != line->exponent ||
            was_there[i] == (leg->opens || line->kind == RECORD_OPEN)) {
            return bad(m, ERR_CORRUPT, "an account comes out otherwise than it says");
        }
    }
    return ERR_OK;
}

static enum err batch_commit(struct importer *m)
{
    enum err e;

    if (m->fx.record_count == 0) {
        return ERR_OK;
    }
    e = journal_commit(&m->journal, &m->book, &m->fx, 0);
    if (e != ERR_OK) {
        db_why(m->why, m->journal.db, "cannot write the ledger");
        return e;
    }
    book_commit(&m->book, &m->fx);
    arena_reset(&m->arena);
    return ERR_OK;
}

static enum err line_apply(struct importer *m)
{
    const struct move_line *line = &m->line;
    bool was_there[LEDGER_LEGS_MAX] = {false};
    struct posting_result result;
    struct account_view view;
    struct posting p;
    enum err e = ERR_OK;

    if (m->fx.record_count >= BATCH_RECORDS) {
        e = batch_commit(m);
    }
    if (e != ERR_OK || (e = posting_make(m, &p)) != ERR_OK) {
        return e;
    }
    if (line->kind == RECORD_REFUSAL) {
        p.kind = line->refused_kind;
        e = book_import_refusal_reserve(&m->book, p.idem, &m->fx);
        ASSERT(e != ERR_FULL); /* a batch ends long before */
        if (e == ERR_OK) {
            book_import_refusal(&m->book, &p, line->refused_outcome, line->time_us, line->tag,
                                &m->fx);
        }
        return e;
    }
    e = book_reserve(&m->book, &p, &m->fx);
    ASSERT(e != ERR_FULL);
    if (e != ERR_OK) {
        return e;
    }
    for (unsigned i = 0; i < line->leg_count; i++) {
        was_there[i] = book_find(&m->book, line->legs[i].account, &view);
    }
    return outcome_check(m, book_import(&m->book, &p, line->time_us, line->tag, &m->fx, &result),
                         was_there);
}

/* ---- all of them ---- */

/* What the book came to is what the export's trailer says. */
static enum err totals_check(struct importer *m)
{
    const struct move_totals *t = &m->reader.totals;
    uint64_t bad_no;

    if (m->book.account_count - m->book.world_count != t->accounts ||
        book_check(&m->book, &bad_no) != ERR_OK) {
        return bad(m, ERR_CORRUPT, "the accounts are not as many, or not what they sum up to");
    }
    for (unsigned i = 0; i < m->book.world_count; i++) {
        const struct book_world *world = &m->book.worlds[i];
        __int128 sum = 0;
        for (unsigned k = 0; k < t->currency_count; k++) {
            sum = t->sums[k].currency.code == world->currency ? t->sums[k].minor : sum;
        }
        if (-sum != book_account(&m->book, world->no)->balance) {
            return bad(m, ERR_CORRUPT, "the sum of a currency is another");
        }
    }
    return ERR_OK;
}

static enum err lines_apply(struct importer *m)
{
    enum err e = ERR_OK;

    while (e == ERR_OK) {
        e = move_read(&m->reader, &m->line);
        if (e == ERR_OK) {
            err_text_set(m->why, "out of memory");
            e = line_apply(m);
        }
    }
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    if ((e = batch_commit(m)) != ERR_OK || (e = totals_check(m)) != ERR_OK) {
        return e;
    }
    e = journal_sweep_all(&m->journal, &m->book, 0);
    if (e == ERR_OK) { /* all of it into the one file, synced */
        e = db_err(m->journal.db, sqlite3_wal_checkpoint_v2(m->journal.db, "main",
                                                            SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL));
    }
    if (e != ERR_OK) {
        db_why(m->why, m->journal.db, "cannot write the ledger");
    }
    return e;
}

static enum err ledger_make(struct importer *m, int fd)
{
    char path[DB_PATH_BYTES_MAX];
    struct hash_key key;
    sqlite3 *db = NULL;
    uint64_t replayed;
    enum err e;

    if ((e = move_reader_init(&m->reader, fd, m->why)) != ERR_OK ||
        (e = db_path(m->tmp, path)) != ERR_OK) {
        return e;
    }
    folder_file_private(path);
    if ((e = db_open(path, DB_WRITER, &db, m->why)) != ERR_OK) {
        return e;
    }
    err_text_set(m->why, "out of memory");
    if ((e = journal_init(&m->journal, db)) != ERR_OK ||
        (e = prng_secret(&key, sizeof(key))) != ERR_OK ||
        (e = book_init(&m->book, 2 * FX_RECORDS, KEYS_MAX, key)) != ERR_OK ||
        (e = book_fx_init(&m->fx, FX_RECORDS)) != ERR_OK) {
        return e;
    }
    arena_init(&m->arena, BATCH_BYTES_MAX);
    e = recover(&m->journal, &m->book, 0, 0, &replayed, m->why);
    return e == ERR_OK ? lines_apply(m) : e;
}

static void ledger_close(struct importer *m)
{
    m->totals = m->reader.totals;
    move_reader_fini(&m->reader);
    journal_close(&m->journal);
    book_fx_fini(&m->fx);
    book_fini(&m->book);
    arena_fini(&m->arena);
}

/* ---- the folder ---- */

static void name_of(char out[DB_PATH_BYTES_MAX], const char *dir, const char *suffix)
{
    (void)snprintf(out, DB_PATH_BYTES_MAX, "%.*s/" DB_FILE_NAME "%s", DB_PATH_BYTES_MAX - 64, dir,
                   suffix);
}

static void tmp_remove(const char *tmp)
{
    char path[DB_PATH_BYTES_MAX];

    for (unsigned i = 0; i < ARRAY_LEN(file_names); i++) {
        name_of(path, tmp, file_names[i]);
        (void)unlink(path);
    }
    (void)rmdir(tmp);
}

/* Is there nothing in the folder's ledger, if there is one? */
static enum err emptiness_check(const char *dir, struct err_text *why)
{
    char path[DB_PATH_BYTES_MAX], wal_path[DB_PATH_BYTES_MAX];
    int64_t last = 0;
    sqlite3 *db = NULL;
    struct stat st;
    bool found;
    enum err e;

    name_of(path, dir, "");
    name_of(wal_path, dir, "-wal");
    if ((e = wal_base_check(path, wal_path, why)) != ERR_OK) {
        return e;
    }
    if (stat(path, &st) != 0) {
        return errno == ENOENT ? ERR_OK : failed(why, "look at", path);
    }
    if (st.st_size == 0 && stat(wal_path, &st) != 0) {
        return ERR_OK; /* made, and never opened */
    }
    if ((e = wal_check(wal_path, why)) != ERR_OK ||
        (e = db_open(path, DB_VERIFIER, &db, why)) != ERR_OK) {
        return e;
    }
    e = db_number(db, "SELECT max(seq) FROM journal", &last, &found);
    if (e != ERR_OK) {
        db_why(why, db, "cannot read the ledger that is there");
    }
    (void)sqlite3_close(db);
    if (e == ERR_OK && found) {
        err_text_set(why,
                     "%s has a ledger with %lld records already; an import needs an empty folder",
                     dir, (long long)last);
        return ERR_EXISTS;
    }
    return e;
}

static enum err folder_sync(const char *dir, struct err_text *why)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = ERR_OK;

    if (fd < 0 || fsync(fd) != 0) {
        e = failed(why, "sync the folder", dir);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return e;
}

/* Give the finished file its name. Nothing of an empty ledger's log may stand beside it. */
static enum err ledger_name(const char *dir, const char *tmp, struct err_text *why)
{
    char from[DB_PATH_BYTES_MAX], to[DB_PATH_BYTES_MAX];

    for (unsigned i = 1; i < ARRAY_LEN(file_names); i++) {
        name_of(to, dir, file_names[i]);
        if (unlink(to) != 0 && errno != ENOENT) {
            return failed(why, "remove", to);
        }
    }
    name_of(from, tmp, "");
    name_of(to, dir, "");
    if (rename(from, to) != 0) {
        return failed(why, "name", to);
    }
    return folder_sync(dir, why);
}

static enum err import_locked(struct importer *m, const char *dir, int fd)
{
    struct verify_report report;
    enum err e;

    if ((e = emptiness_check(dir, m->why)) != ERR_OK || (e = move_prove(fd, m->why)) != ERR_OK) {
        return e;
    }
    tmp_remove(m->tmp); /* what a killed import left */
    if (mkdir(m->tmp, 0700) != 0) {
        return failed(m->why, "make", m->tmp);
    }
    e = ledger_make(m, fd);
    ledger_close(m);
    if (e == ERR_OK) {
        e = embedded_verify(m->tmp, &report, m->why);
    }
    if (e == ERR_OK) {
        e = ledger_name(dir, m->tmp, m->why);
    }
    tmp_remove(m->tmp);
    return e;
}

enum err embedded_import(const char *dir, int fd, struct move_totals *totals, struct err_text *why)
{
    struct importer *m;
    int lock_fd = -1, len;
    enum err e;

    err_text_set(why, "out of memory");
    m = mem_alloc(sizeof(*m));
    if (m == NULL) {
        return ERR_NOMEM;
    }
    m->why = why;
    len = snprintf(m->tmp, sizeof(m->tmp), "%s/%s", dir, folder_name);
    if (len < 0 || len >= DB_PATH_BYTES_MAX - 64) {
        err_text_set(why, "the path of the data folder is too long");
        e = ERR_RANGE;
    } else if ((e = folder_make(dir, why)) == ERR_OK &&
               (e = folder_lock(dir, &lock_fd, why)) == ERR_OK) {
        e = import_locked(m, dir, fd);
        (void)close(lock_fd);
    }
    *totals = m->totals;
    mem_free(m);
    return e;
}

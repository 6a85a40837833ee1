#include "bench/rig.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "bench/tool.h"

enum { RECORDS_PER_POSTING = 4 };

static void ledger_path(const char *dir, char path[DB_PATH_BYTES_MAX])
{
    tool_must(db_path(dir, path), "the folder's name is too long");
}

void rig_remove(const char *dir)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[DB_PATH_BYTES_MAX], file[DB_PATH_BYTES_MAX + 8];

    ledger_path(dir, path);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        (void)snprintf(file, sizeof(file), "%s%s", path, suffixes[i]);
        if (unlink(file) != 0 && errno != ENOENT) {
            tool_die("cannot remove %s", file);
        }
    }
}

void rig_open(struct rig *r, const char *dir, unsigned batch_max)
{
    const unsigned records = batch_max * RECORDS_PER_POSTING + 3 * LEDGER_LEGS_MAX;
    const struct hash_key key = {.k0 = 0x6d7977616c6c6574, .k1 = 0x62656e6368};
    struct err_text why;
    char path[DB_PATH_BYTES_MAX];
    sqlite3 *db;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        tool_die("cannot make %s", dir);
    }
    ledger_path(dir, path);
    tool_must(book_init(&r->book, 2 * records, 100000000, key), "book");
    tool_must(book_fx_init(&r->fx, records), "effects");
    if (db_open(path, DB_WRITER, &db, &why) != ERR_OK) {
        tool_die("%s", why.text);
    }
    tool_must(journal_init(&r->journal, db), "journal");
}

void rig_apply(struct rig *r, const struct posting *p, int64_t now_us)
{
    struct posting_result result;

    tool_must(book_reserve(&r->book, p, &r->fx), "reserve");
    if (book_apply(&r->book, p, now_us, &r->fx, &result) != OUTCOME_OK) {
        tool_die("a posting was refused, outcome %d", (int)result.outcome);
    }
}

void rig_checkpoint(sqlite3 *db, int *wal_pages, int wal_pages_max)
{
    if (*wal_pages < wal_pages_max) {
        return;
    }
    tool_must(db_err(db, sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL)),
              "checkpoint");
    *wal_pages = 0;
}

void rig_commit(struct rig *r, int wal_pages_max)
{
    tool_must(journal_commit(&r->journal, &r->book, &r->fx, 0), "commit");
    book_commit(&r->book, &r->fx);
    rig_checkpoint(r->journal.db, &r->journal.wal_pages, wal_pages_max);
}

void rig_settle(struct rig *r)
{
    sqlite3 *db = r->journal.db;

    tool_must(journal_sweep_all(&r->journal, &r->book, 0), "sweep");
    tool_must(
        db_err(db, sqlite3_wal_checkpoint_v2(db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL)),
        "checkpoint");
}

void rig_close(struct rig *r)
{
    journal_close(&r->journal);
    book_fx_fini(&r->fx);
    book_fini(&r->book);
}

struct slice rig_id(uint64_t i, char text[RIG_ID_BYTES_MAX])
{
    int len = snprintf(text, RIG_ID_BYTES_MAX, "acct-%llu", (unsigned long long)(RIG_ID_FIRST + i));

    ASSERT(len > 0 && len < RIG_ID_BYTES_MAX);
    return slice_make(text, (size_t)len);
}

void rig_credit(struct arena *a, uint64_t account, struct posting *out)
{
    const struct decimal amount = {.coefficient = 1, .scale = 2};
    struct posting_words words = {.may_open = true};
    char text[RIG_ID_BYTES_MAX];
    struct slice id;

    tool_must(currency_parse(SLICE("CNY"), &words.open_currency), "currency");
    tool_must(arena_copy(a, rig_id(account, text), &id), "account id");
    tool_must(posting_credit(a, id, amount, &words, out), "credit");
}

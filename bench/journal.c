/*
 * The ledger and its journal alone, against bare SQLite: how much do the book, the guards, the hash chain, the checksums,
 * the sweep of accounts and the history marks cost beside the inserts themselves?
 *
 * ours: book_reserve, book_apply, journal_commit; credits over 10 000 open accounts, 256 a commit, synced.
 * bare: the same number of the same rows into the same table under the same pragmas, 256 a transaction, nothing else.
 * Rounds alternate in one process, each on fresh files; opening the accounts is not timed; both checkpoint in line.
 * Usage: journal --dir FOLDER [--rows 1000000] [--rounds 5] [--batch 256] [--only ours|bare]
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/mem.h"
#include "bench/rig.h"
#include "bench/tool.h"

enum { ACCOUNTS = 10000, WAL_PAGES_MAX = 4096, ARENA_BYTES_MAX = 64 * 1024 * 1024 };

struct plan {
    const char *dir;
    uint64_t rows, batch;
    struct posting *postings; /* one an account; owned by arena */
    struct arena arena;
};

static uint64_t rate_of(uint64_t rows, uint64_t start_ns)
{
    return rows * UINT64_C(1000000000) / (tool_now_ns() - start_ns);
}

static void apply_some(struct rig *r, const struct plan *p, uint64_t rows)
{
    for (uint64_t done = 0; done < rows;) {
        const uint64_t end = done + p->batch < rows ? done + p->batch : rows;
        const int64_t now_us = clock_wall_us();
        for (; done < end; done++) {
            rig_apply(r, &p->postings[done % ACCOUNTS], now_us);
        }
        rig_commit(r, WAL_PAGES_MAX);
    }
}

static uint64_t run_ours(const struct plan *p)
{
    struct rig r;
    uint64_t start_ns, rate;

    rig_remove(p->dir);
    rig_open(&r, p->dir, (unsigned)p->batch);
    apply_some(&r, p, ACCOUNTS);
    start_ns = tool_now_ns();
    apply_some(&r, p, p->rows);
    rate = rate_of(p->rows, start_ns);
    rig_close(&r);
    return rate;
}

static int wal_grew(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    *(int *)ctx = pages;
    return SQLITE_OK;
}

/* The row that ours would write for its i-th credit, made of the counter alone. */
static struct record row_of(uint64_t i, int64_t start_us)
{
    const uint64_t first = ACCOUNTS + 2; /* behind the records that opened the accounts */
    const uint64_t round = i / ACCOUNTS;

    return (struct record){
        .seq = i + 1,
        .time_us = start_us + (int64_t)i,
        .kind = RECORD_CREDIT,
        .debit = 1,
        .credit = 2 + i % ACCOUNTS,
        .amount = 10000,
        .debit_balance = -(int64_t)(first + i) * 10000,
        .credit_balance = (int64_t)(round + 2) * 10000,
        .debit_prev = i,
        .credit_prev = i < ACCOUNTS ? 0 : i - ACCOUNTS,
    };
}

static uint64_t run_bare(const struct plan *p)
{
    const int64_t start_us = clock_wall_us();
    sqlite3_stmt *begin, *commit, *insert;
    char path[DB_PATH_BYTES_MAX];
    struct err_text why;
    uint64_t start_ns, rate;
    int wal_pages = 0;
    sqlite3 *db;

    rig_remove(p->dir);
    tool_must(db_path(p->dir, path), "path");
    if (db_open(path, DB_WRITER, &db, &why) != ERR_OK) {
        tool_die("%s", why.text);
    }
    tool_must(db_prepare(db, "BEGIN IMMEDIATE", &begin), "prepare");
    tool_must(db_prepare(db, "COMMIT", &commit), "prepare");
    tool_must(db_prepare(db,
                         "INSERT INTO journal(" DB_RECORD_COLUMNS
                         ") VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                         &insert),
              "prepare");
    (void)sqlite3_wal_hook(db, wal_grew, &wal_pages);
    start_ns = tool_now_ns();
    for (uint64_t done = 0; done < p->rows;) {
        const uint64_t end = done + p->batch < p->rows ? done + p->batch : p->rows;
        tool_must(db_run(db, begin), "begin");
        for (; done < end; done++) {
            const struct record row = row_of(done, start_us);
            db_record_bind(insert, &row,
                           (uint32_t)done * UINT32_C(2654435761)); /* as wide as a checksum */
            tool_must(db_run(db, insert), "insert");
        }
        tool_must(db_run(db, commit), "commit");
        rig_checkpoint(db, &wal_pages, WAL_PAGES_MAX);
    }
    rate = rate_of(p->rows, start_ns);
    (void)sqlite3_finalize(begin);
    (void)sqlite3_finalize(commit);
    (void)sqlite3_finalize(insert);
    (void)sqlite3_close(db);
    return rate;
}

static void plan_make(struct plan *p)
{
    arena_init(&p->arena, ARENA_BYTES_MAX);
    p->postings = arena_alloc(&p->arena, ACCOUNTS * sizeof(*p->postings));
    if (p->postings == NULL) {
        tool_die("out of memory");
    }
    for (uint64_t i = 0; i < ACCOUNTS; i++) {
        rig_credit(&p->arena, i, &p->postings[i]);
    }
}

int main(int argc, char **argv)
{
    struct plan p = {.rows = 1000000, .batch = 256};
    const char *only = "";
    uint64_t rounds = 5;
    const struct tool_flag flags[] = {{"--dir", .text = &p.dir},
                                      {"--rows", .number = &p.rows},
                                      {"--rounds", .number = &rounds},
                                      {"--batch", .number = &p.batch},
                                      {"--only", .text = &only}};

    tool_flags_read(argc, argv, flags, sizeof(flags) / sizeof(flags[0]));
    if (p.dir == NULL || p.rows == 0 || p.batch == 0 || p.batch > 4096) {
        tool_die("journal: --dir FOLDER is missing, or a number is out of range");
    }
    if (mkdir(p.dir, 0700) != 0 && errno != EEXIST) {
        tool_die("journal: cannot make %s", p.dir);
    }
    plan_make(&p);
    for (uint64_t i = 0; i < rounds; i++) {
        if (strcmp(only, "bare") != 0) {
            (void)printf("ours=%llu ", (unsigned long long)run_ours(&p));
        }
        if (strcmp(only, "ours") != 0) {
            (void)printf("bare=%llu", (unsigned long long)run_bare(&p));
        }
        (void)printf("\n");
        (void)fflush(stdout);
    }
    rig_remove(p.dir);
    arena_fini(&p.arena);
    return 0;
}

/*
 * A ledger as lines of text, so that it can move from one store to another: docs/export-format.md. A header, one line a posting
 * in rising time, and a trailer that proves that nothing is missing or changed. No store's own numbers are in it.
 */
#ifndef STORE_MOVE_H
#define STORE_MOVE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "ledger/posting.h"
#include "ledger/types.h"

enum {
    MOVE_FORMAT_VERSION = 1,
    MOVE_LINE_BYTES_MAX = 65536,
    MOVE_CURRENCIES_MAX = 256,
    MOVE_STORE_BYTES_MAX = 16,
};

/** What stands in the first line. */
struct move_header {
    char store[MOVE_STORE_BYTES_MAX]; /* where it comes from: "embedded", "redis" */
    unsigned buckets;                 /* of that store; 0: one journal */
    int64_t time_us;                  /* when it was written */
};

/** What a posting did to one account. */
struct move_leg {
    struct slice account; /* "@world" too */
    int64_t delta, held;  /* signed, minor units */
    int64_t balance;      /* after; of @world it is each store's own, and 0 here */
    bool opens;           /* the account was opened by this posting, in its currency */
};

/** One posting. Slices are borrowed: of a line that was read, until the next is read. */
struct move_line {
    int64_t time_us; /* with tag its id; both of one line and the next never fall (first time, then tag) */
    uint32_t tag;
    enum record_kind kind;
    struct currency currency; /* none of a refusal */
    unsigned exponent;
    int64_t overdraft; /* RECORD_OPEN: whose one leg names the account, and has no numbers */
    unsigned leg_count;
    struct move_leg legs[LEDGER_LEGS_MAX]; /* in the posting's order */
    struct slice reference, metadata;      /* ptr NULL: absent. Metadata is canonical JSON */
    enum record_kind refused_kind; /* RECORD_REFUSAL: its one leg names the first account; no leg: not known */
    enum outcome refused_outcome;
    enum ledger_language language;
    bool has_key; /* an idempotency key that is still open */
    struct idem key;
    int64_t key_expires_ms;
};

/** What all lines come to; the trailer is made of it. */
struct move_totals {
    uint64_t lines, accounts, keys;
    uint64_t kinds[RECORD_KIND_COUNT]; /* lines of each kind */
    int64_t last_us;                   /* time and tag of the last line */
    uint32_t last_tag;
    unsigned currency_count;
    struct move_sum {
        struct currency currency;
        __int128 minor; /* sum of all balances but @world's, which is as much below zero */
    } sums[MOVE_CURRENCIES_MAX];
};

/* ---- writing ---- */

struct move_writer {
    int fd;         /* borrowed */
    struct buf out; /* owned */
    void *digest;   /* EVP_MD_CTX; owned */
    struct move_totals totals;
};

/**
 * Begin: the header's line.
 *
 * Owns:    borrows fd; free with move_writer_fini in any case.
 * Errors:  ERR_NOMEM, ERR_IO, ERR_DISK_FULL (errno is the write's).
 * Thread:  one; blocks.
 */
MUST_CHECK enum err move_writer_init(struct move_writer *w, int fd, const struct move_header *header);

/** Append a posting. Errors: ERR_CORRUPT what move_line_check refuses, or time falls back; as move_writer_init. */
MUST_CHECK enum err move_write(struct move_writer *w, const struct move_line *line);

/** The trailer. Everything has been given to the descriptor; it is not synced. Errors: as move_writer_init. */
MUST_CHECK enum err move_write_end(struct move_writer *w);
void move_writer_fini(struct move_writer *w);

/** A posting as a journal tells it: records that opened accounts, and the movement or refusal behind them. */
struct move_group {
    struct move_line line; /* kind RECORD_NONE: accounts were opened, and nothing else */
    struct move_line opened[LEDGER_LEGS_MAX];
    unsigned opened_count;
    struct arena arena; /* for what the lines borrow; init and fini are its owner's */
};

/** Begin the next one: forget what is there. */
void move_group_begin(struct move_group *g);

/** Prepare one of its lines: all of it empty but kind, time and tag. */
void move_line_begin(struct move_line *line, enum record_kind kind, int64_t time_us, uint32_t tag);

/** Write it: an account that a leg opened, as such; any other as a line of its own. Errors: as move_write. */
MUST_CHECK enum err move_group_write(struct move_writer *w, struct move_group *g);

/* ---- reading ---- */

struct move_reader {
    int fd;        /* borrowed */
    struct buf in; /* owned: bytes not taken yet, from `taken` on */
    size_t taken;
    void *digest;   /* owned */
    bool is_at_end; /* the trailer was read, and all of it was right */
    uint64_t line_number;
    struct move_header header;
    struct move_totals totals;
    struct err_text *why; /* borrowed */
};

/**
 * Begin: read the header.
 *
 * Owns:    borrows fd and why; free with move_reader_fini in any case.
 * Errors:  ERR_UNSUPPORTED not an export, or a newer one; ERR_CORRUPT, ERR_IO, ERR_NOMEM; *why names the line.
 * Thread:  one; blocks.
 */
MUST_CHECK enum err move_reader_init(struct move_reader *r, int fd, struct err_text *why);

/**
 * Read the next posting.
 *
 * Errors:  ERR_NOT_FOUND  there is none: the trailer came and proves what was read;
 *          ERR_CORRUPT    a line that no export writes, a cut or changed file; ERR_IO, ERR_NOMEM.
 */
MUST_CHECK enum err move_read(struct move_reader *r, struct move_line *out);
void move_reader_fini(struct move_reader *r);

/**
 * Where the descriptor can be read again: read all of it, prove it, and go back to its start. A pipe is left as it is.
 *
 * Errors:  as move_reader_init and move_read, but for ERR_NOT_FOUND.
 */
MUST_CHECK enum err move_prove(int fd, struct err_text *why);

/* ---- where an export goes ---- */

struct move_output {
    int fd;
    const char *path; /* borrowed; NULL: standard output */
    char part[4096];  /* the file's name until it is whole */
};

/** Open standard output (path NULL or "-") or a new file beside `path`. Errors: ERR_IO, ERR_DISK_FULL, ERR_RANGE, ERR_EXISTS; *why. */
MUST_CHECK enum err move_output_open(struct move_output *o, const char *path, struct err_text *why);

/** is_whole: sync it and give it its name; else remove it. Errors: ERR_IO, ERR_DISK_FULL; *why. */
MUST_CHECK enum err move_output_close(struct move_output *o, bool is_whole, struct err_text *why);

/* ---- pieces, for the files of this room and their tests ---- */

/** Could a store have done this? Errors: ERR_CORRUPT. Pure. */
MUST_CHECK enum err move_line_check(const struct move_line *line);

/** Append a posting's line, its newline too. Errors: the buffer's own (sticky). Pure. */
void move_line_write(struct buf *out, const struct move_line *line);

/** Read one line, without its newline; decodes in place. Errors: ERR_CORRUPT anything move_line_write does not write. Pure. */
MUST_CHECK enum err move_line_read(char *text, size_t len, struct move_line *out);

/** Count a line. Errors: ERR_CORRUPT time falls back; ERR_FULL too many currencies. */
MUST_CHECK enum err move_totals_add(struct move_totals *t, const struct move_line *line);

/** Append a number of more than 64 bits. */
void move_append_i128(struct buf *out, __int128 number);

#endif

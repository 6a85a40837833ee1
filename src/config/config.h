/*
 * Flag > environment > file > default, as typed values that know where they came from.
 *
 * Every key has three spellings, made from its one name (config_keys.h): the flag `--idle-timeout 60s` (or
 * `--idle-timeout=60s`; switches are `--access-log` and `--no-access-log`), the environment `WALLET_IDLE_TIMEOUT`
 * and the line `idle-timeout = 60s` of an INI file. The file is read only when `--config FILE` or WALLET_CONFIG names
 * it: a mywallet.conf that happens to lie in the working folder changes nothing. An empty environment value counts
 * as unset; WALLET_ names that are no key are left alone, since Kubernetes makes such for a service called wallet.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "config/config_keys.h"

enum {
    CONFIG_TEXT_BYTES_MAX = 1023, /* of one text; a line of the file holds some 190 (libinih) */
    CONFIG_FILE_BYTES_MAX = 256 * 1024, /* of the whole file */
    CONFIG_WORDS_MAX = 8,               /* words that are no flags */
};

#define CONFIG_MS UINT64_C(1000) /* times are µs */
#define CONFIG_SECOND (1000 * CONFIG_MS)
#define CONFIG_MINUTE (60 * CONFIG_SECOND)
#define CONFIG_HOUR (60 * CONFIG_MINUTE)
#define CONFIG_DAY (24 * CONFIG_HOUR)

enum config_kind {
    CONFIG_TEXT, /* char[]; min..max bytes, no control characters; max 0 stands for CONFIG_TEXT_BYTES_MAX */
    CONFIG_ADDRESS,  /* char[]; host:port, the port 0..65535 */
    CONFIG_NUMBER,   /* uint64_t, min..max */
    CONFIG_SWITCH,   /* bool; true, false, yes, no, on, off, 1, 0 */
    CONFIG_DURATION, /* uint64_t µs, min..max; 250us, 250ms, 5s, 1m, 24h, 30d, or 0 */
    CONFIG_SIZE,     /* uint64_t bytes, min..max; 512, 512B, 16KiB, 64MiB, 1GiB, 1TiB */
    CONFIG_CHOICE,   /* int, the index in choices */
};

/** One key. All texts are static. */
struct config_entry {
    const char *name; /* "idle-timeout" */
    enum config_kind kind;
    const char *fallback; /* the default, as it would be written */
    const char *help;     /* one line */
    const char *word;     /* what the help calls the value; NULL: by its kind */
    const char *choices;  /* CONFIG_CHOICE: "a|b|c" */
    uint64_t min, max;    /* in the unit the value is kept in; inclusive */
    const char *env;      /* one more environment name, behind WALLET_…; or NULL */
    const char *env_port; /* an environment name that sets the port alone, behind all others; or NULL */
    bool is_secret; /* never shown, no flag; environment: WALLET_…_FILE names a file that holds it */
    bool is_url; /* CONFIG_TEXT: may hold a password, behind a scheme and before an @, which is never shown */
    size_t offset; /* of its field in struct config */
};

enum config_from { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_FLAG };

struct config_source {
    enum config_from from;
    unsigned line;   /* CONFIG_FROM_FILE: of struct config's file */
    const char *env; /* CONFIG_FROM_ENV: the extra name that was used, static; NULL for WALLET_… */
};

/* What a kind is kept as. */
#define CONFIG_FIELD_TEXT(field) char field[CONFIG_TEXT_BYTES_MAX + 1];
#define CONFIG_FIELD_ADDRESS(field) char field[CONFIG_TEXT_BYTES_MAX + 1];
#define CONFIG_FIELD_NUMBER(field) uint64_t field;
#define CONFIG_FIELD_SWITCH(field) bool field;
#define CONFIG_FIELD_DURATION(field) uint64_t field;
#define CONFIG_FIELD_SIZE(field) uint64_t field;
#define CONFIG_FIELD_CHOICE(field) int field;
#define CONFIG_FIELD(kind, field, name, fallback, ...) CONFIG_FIELD_##kind(field)
#define CONFIG_COUNT_ONE(kind, field, name, fallback, ...) +1

enum { CONFIG_KEY_COUNT = 0 CONFIG_KEYS(CONFIG_COUNT_ONE) };

/** The values, one field a key. Plain data of some KiB: nothing to free, a copy is a copy. */
struct config {
    CONFIG_KEYS(CONFIG_FIELD)
    struct config_source sources[CONFIG_KEY_COUNT]; /* in the order of config_entries */
    char file[CONFIG_TEXT_BYTES_MAX + 1];           /* the file that was read, or "" */
    const char *words[CONFIG_WORDS_MAX]; /* words that are no flags; borrowed from argv */
    unsigned word_count;
};

struct config_input {
    int argc; /* words behind the command's name */
    char *const *argv;
    char *const *env;   /* as environ(7), ended by NULL; NULL for none */
    unsigned words_max; /* words that are no flags which the command takes, 0..CONFIG_WORDS_MAX */
};

enum config_result {
    CONFIG_OK = 0,
    CONFIG_HELP,  /* --help or -h was asked for: print config_help, exit 0 */
    CONFIG_USAGE, /* the command line is wrong: unknown flag, missing, bad or out-of-range value, a word too many. Exit 2 */
    CONFIG_BAD,   /* a file or the environment is wrong or cannot be read. Exit 78 */
    CONFIG_NOMEM, /* out of memory. Exit 1 */
};

/**
 * Read command line, environment and file into *config.
 *
 * A value is judged also where a stronger one hides it, in the file and on the command line; of the environment names
 * of one key only the strongest that is set is read. The last of two equal flags wins; two equal keys in a file are an error.
 *
 * Owns:    borrows in->argv for config->words alone.
 * Returns: not CONFIG_OK: *config is untouched and, but for CONFIG_HELP, *why says which key, which value, from where, and
 *          what would be allowed.
 * Thread:  any; reads files. May be called again with the same input to read the file anew (SIGHUP).
 */
MUST_CHECK enum config_result config_load(struct config *config, const struct config_input *in,
                                          struct err_text *why);

/** The table, CONFIG_KEY_COUNT entries, for help, man page and documentation. Owns: static. Thread: any. */
const struct config_entry *config_entries(void);

/** How many event loops to run: threads, or the usable cores less one where it is 0; at least 1, at most 64. Thread: any. */
unsigned config_thread_count(const struct config *config);

#endif

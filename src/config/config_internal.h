/* What the files of this room share: a table with its values, so that tests can bring a table of their own. */
#ifndef CONFIG_CONFIG_INTERNAL_H
#define CONFIG_CONFIG_INTERNAL_H

#include "base/buf.h"
#include "base/slice.h"
#include "config/config.h"

enum { CONFIG_NAME_BYTES_MAX = 64 }; /* of an environment name */

/** A table, the struct its offsets point into, and a source for each entry. */
struct config_set {
    const struct config_entry *entries;
    size_t count;
    void *values;
    struct config_source *sources;
};

/** What else a command line can say. */
struct config_line {
    const char *file; /* borrowed from argv or the environment; NULL for none */
    const char *words[CONFIG_WORDS_MAX];
    unsigned word_count;
};

/* config_value.c: one value by its kind */

/** Judge and store a value; false with the words in *why, values untouched, when it is not allowed. Thread: any. */
MUST_CHECK bool config_value_parse(const struct config_entry *entry, struct slice text,
                                   void *values, struct err_text *why);

/** Append the value as a text that config_value_parse reads back; a number that is the default as the default is written. Thread: any. */
void config_value_format(const struct config_entry *entry, const void *values, struct buf *out);

/** Append one number (a range's end) in the spelling of its kind. Thread: any. */
void config_number_format(enum config_kind kind, uint64_t number, struct buf *out);

/* config_file.c */

/** Append the bytes of a file to *out. Returns CONFIG_BAD or CONFIG_NOMEM with *why set. Thread: any; blocks. */
MUST_CHECK enum config_result config_file_read(const char *path, struct buf *out,
                                               struct err_text *why);

/** Read the INI file at path into the set. Thread: any; blocks. */
MUST_CHECK enum config_result config_file_load(const struct config_set *set, const char *path,
                                               struct err_text *why);

/* config_args.c */

/** Walk the command line; with is_trial, look only: find mistakes, --help, --config and the words. Thread: any. */
MUST_CHECK enum config_result config_args_load(const struct config_set *set,
                                               const struct config_input *in, bool is_trial,
                                               struct config_line *line, struct err_text *why);

/* config.c */

/** Fill the whole set. *line tells what the command line said besides. Thread: any; blocks. */
MUST_CHECK enum config_result config_set_load(const struct config_set *set,
                                              const struct config_input *in,
                                              struct config_line *line, struct err_text *why);

/** The entry of this name, or NULL. Thread: any. */
const struct config_entry *config_set_find(const struct config_set *set, struct slice name);

/** Append " (did you mean …?)" to *why where a name of the table looks like name. Thread: any. */
void config_set_suggest(const struct config_set *set, struct slice name, const char *prefix,
                        struct err_text *why);

/** WALLET_… of an entry, with _FILE behind it for a secret. Thread: any. */
void config_env_name(const struct config_entry *entry, char out[CONFIG_NAME_BYTES_MAX]);

/** config_thread_count with the cores as an argument. Thread: any. */
unsigned config_threads_for(uint64_t threads, unsigned cores);

/* config_print.c */

/** config_print and config_help of any set. Thread: any. */
void config_set_print(const struct config_set *set, const char *file, struct buf *out);
void config_set_help(const struct config_set *set, struct buf *out);

#endif

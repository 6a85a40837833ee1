/* The command table and its dispatch. Knows no command but `help`: the others are registered by pointer. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buf.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_BAD_CONFIG = 78, /* EX_CONFIG of sysexits.h */
};

enum {
    CLI_COMMANDS_MAX = 32,
    CLI_TEXT_BYTES_MAX = 64 * 1024, /* of one help text or report */
};

struct command;

/** What a command is run with. */
struct cli_input {
    const struct command *command;
    int argc; /* words behind the command's name */
    char *const *argv;
    char *const *env; /* as environ(7) */
};

/** One command. All texts are static. */
struct command {
    const char *name;
    const char *words;                                /* what may follow the name: "[flags]" */
    const char *summary;                              /* one line, no full stop */
    void (*help)(struct buf *out);                    /* what more there is to say; NULL: nothing */
    enum cli_exit (*run)(const struct cli_input *in); /* --help as its first word never gets here */
};

struct cli_table {
    const struct command *commands[CLI_COMMANDS_MAX]; /* in the order of the help */
    unsigned count;
};

/** Put commands into the table. Owns: borrowed for the table's life. A name that is there already aborts. */
void cli_register(struct cli_table *table, const struct command *commands, unsigned count);

/**
 * Run what a command line asks for: `argv[1]` is a command's name, `help [command]`, `--help` or `--version`.
 *
 * Owns:    borrows everything; a command may keep argv and env for as long as it runs.
 * Returns: the exit code. Without a command, or with one that does not exist: the usage on stderr and CLI_USAGE.
 * Thread:  main.
 */
enum cli_exit cli_run(const struct cli_table *table, int argc, char *const *argv, char *const *env);

/** Append a command's help: usage, summary, and what the command adds. Errors: in out->err. */
void cli_help(const struct command *command, struct buf *out);

/** Write text to stdout and free it. Returns: CLI_OK, or CLI_FAILED (told on stderr) where it could not be made or written. */
enum cli_exit cli_print(struct buf *text);

#endif

#include "cli/cli.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"

static const struct command *find(const struct cli_table *table, const char *name)
{
    for (unsigned i = 0; i < table->count; i++) {
        if (strcmp(table->commands[i]->name, name) == 0) {
            return table->commands[i];
        }
    }
    return NULL;
}

void cli_register(struct cli_table *table, const struct command *commands, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        ASSERT(table->count < CLI_COMMANDS_MAX);
        ASSERT(find(table, commands[i].name) == NULL && strcmp(commands[i].name, "help") != 0);
        table->commands[table->count++] = &commands[i];
    }
}

enum cli_exit cli_print(struct buf *text)
{
    bool is_written = text->err == ERR_OK && fwrite(text->ptr, 1, text->len, stdout) == text->len &&
                      fflush(stdout) == 0;

    if (!is_written) {
        (void)fprintf(stderr, "mywallet: cannot write the output: %s\n",
                      text->err == ERR_OK ? strerror(errno) : err_name(text->err));
    }
    buf_fini(text);
    return is_written ? CLI_OK : CLI_FAILED;
}

static void append_line(struct buf *out, const char *name, const char *words, const char *summary)
{
    enum { NAME_WIDTH = 24 };
    size_t start = out->len;

    buf_append_format(out, "  %s %s", name, words);
    while (out->err == ERR_OK && out->len - start < NAME_WIDTH) {
        buf_append_byte(out, ' ');
    }
    buf_append_format(out, "  %s\n", summary);
}

static void append_overview(const struct cli_table *table, struct buf *out)
{
    buf_append_text(out, "usage: mywallet COMMAND [flags]\n\n");
    for (unsigned i = 0; i < table->count; i++) {
        append_line(out, table->commands[i]->name, table->commands[i]->words,
                    table->commands[i]->summary);
    }
    append_line(out, "help", "[COMMAND]", "what a command does and which flags it has");
    buf_append_text(out, "\nExit codes: 0 done, 1 failed, 2 wrong usage, 78 bad configuration.\n");
}

void cli_help(const struct command *command, struct buf *out)
{
    buf_append_format(out, "usage: mywallet %s %s\n\n%s.\n", command->name, command->words,
                      command->summary);
    if (command->help != NULL) {
        buf_append_byte(out, '\n');
        command->help(out);
    }
}

static enum cli_exit print_help(const struct command *command)
{
    struct buf text;

    buf_init(&text, CLI_TEXT_BYTES_MAX);
    cli_help(command, &text);
    return cli_print(&text);
}

static enum cli_exit print_overview(const struct cli_table *table)
{
    struct buf text;

    buf_init(&text, CLI_TEXT_BYTES_MAX);
    append_overview(table, &text);
    return cli_print(&text);
}

static enum cli_exit refuse(const struct cli_table *table, const char *name)
{
    struct buf text;

    buf_init(&text, CLI_TEXT_BYTES_MAX);
    if (name != NULL) {
        buf_append_format(&text, "mywallet: there is no command \"%.60s\"\n\n", name);
    }
    append_overview(table, &text);
    if (text.err == ERR_OK) {
        (void)fwrite(text.ptr, 1, text.len, stderr);
    }
    buf_fini(&text);
    return CLI_USAGE;
}

static bool asks_for_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* help, help COMMAND, --help */
static enum cli_exit help(const struct cli_table *table, int argc, char *const *argv)
{
    const struct command *command;

    if (argc == 0 || (argc == 1 && (asks_for_help(argv[0]) || strcmp(argv[0], "help") == 0))) {
        return print_overview(table);
    }
    if (argc > 1) {
        return refuse(table, NULL);
    }
    command = find(table, argv[0]);
    return command == NULL ? refuse(table, argv[0]) : print_help(command);
}

enum cli_exit cli_run(const struct cli_table *table, int argc, char *const *argv, char *const *env)
{
    const char *name = argc > 1 ? argv[1] : NULL;
    struct cli_input in = {.argc = argc - 2, .argv = argv + 2, .env = env};

    if (name == NULL) {
        return refuse(table, NULL);
    }
    if (strcmp(name, "help") == 0 || asks_for_help(name)) {
        return help(table, in.argc, in.argv);
    }
    in.command =
        find(table, strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 ? "version" : name);
    if (in.command == NULL) {
        return refuse(table, name);
    }
    if (in.argc > 0 && asks_for_help(in.argv[0])) {
        return print_help(in.command);
    }
    return in.command->run(&in);
}

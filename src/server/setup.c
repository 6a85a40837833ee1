#include "server/setup.h"

#include <stdio.h>

enum cli_exit setup_bad_config(const struct cli_input *in, const char *why)
{
    (void)fprintf(stderr, "mywallet %s: bad configuration: %s\n", in->command->name, why);
    return CLI_BAD_CONFIG;
}

enum cli_exit setup_bad_usage(const struct cli_input *in, const char *why)
{
    (void)fprintf(stderr, "mywallet %s: %s\nSee `mywallet help %s`.\n", in->command->name, why,
                  in->command->name);
    return CLI_USAGE;
}

bool setup_load(const struct cli_input *in, unsigned words_max, struct config *config,
                enum cli_exit *code)
{
    const struct config_input input = {
        .argc = in->argc, .argv = in->argv, .env = in->env, .words_max = words_max};
    struct err_text why;
    struct buf text;

    switch (config_load(config, &input, &why)) {
    case CONFIG_OK:
        return true;
    case CONFIG_HELP:
        buf_init(&text, CLI_TEXT_BYTES_MAX);
        cli_help(in->command, &text);
        *code = cli_print(&text);
        break;
    case CONFIG_USAGE:
        *code = setup_bad_usage(in, why.text);
        break;
    case CONFIG_BAD:
        *code = setup_bad_config(in, why.text);
        break;
    case CONFIG_NOMEM:
        (void)fprintf(stderr, "mywallet %s: out of memory\n", in->command->name);
        *code = CLI_FAILED;
        break;
    }
    return false;
}

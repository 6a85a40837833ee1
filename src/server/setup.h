/* How a command of this room gets its configuration, and says that it is wrong. */
#ifndef SERVER_SETUP_H
#define SERVER_SETUP_H

#include <stdbool.h>

#include "cli/cli.h"
#include "config/config.h"
#include "server/choice.h"

/** Read the configuration of a command that takes so many words that are no flags. False: the command is over, with *code. */
bool setup_load(const struct cli_input *in, unsigned words_max, struct config *config,
                enum cli_exit *code);

/** Say on stderr what is wrong. Returns: the exit code. */
enum cli_exit setup_bad_config(const struct cli_input *in, const char *why);
enum cli_exit setup_bad_usage(const struct cli_input *in, const char *why);

#endif

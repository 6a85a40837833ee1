/* `mywallet serve`: configuration, then everything in order, until a signal ends it. */
#ifndef SERVER_SERVE_H
#define SERVER_SERVE_H

#include "cli/cli.h"
#include "config/config.h"
#include "money/currency.h"
#include "server/choice.h"

/**
 * Serve until SIGTERM or SIGINT. SIGHUP reads the log level again.
 *
 * Owns:    borrows all for the call.
 * Returns: CLI_OK after a clean end; CLI_FAILED where something could not be opened (told in the log) or the store
 *          failed; CLI_BAD_CONFIG for an address that is none. Where a second signal, a failed disk or a hung one leaves
 *          no clean way, it ends the process by _exit(2) and never returns.
 * Thread:  main, before there is any other; blocks signals for good.
 */
enum cli_exit serve(const struct config *config, const struct choice *choice,
                    struct currency default_currency, const struct cli_input *in);

#endif

/* verify, export and import, as entries of the command table. */
#ifndef SERVER_LEDGER_COMMANDS_H
#define SERVER_LEDGER_COMMANDS_H

#include "cli/cli.h"

/** Register them. Thread: main. */
void ledger_commands_register(struct cli_table *table);

#endif

/* The service and the offline commands, as entries of the command table. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "cli/cli.h"

/** Register serve, verify, export, import, config and version. Thread: main. */
void server_register(struct cli_table *table);

#endif

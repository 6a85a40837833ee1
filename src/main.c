/* mywallet: which commands there are; what they do stands in their rooms. */
#include <unistd.h>

#include "cli/cli.h"
#include "server/server.h"

int main(int argc, char **argv)
{
    struct cli_table table = {.count = 0};

    server_register(&table);
    return (int)cli_run(&table, argc, argv, environ);
}

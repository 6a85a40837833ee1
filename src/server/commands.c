/* The commands of this room: what they are called, and what their configuration has to be. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "config/config.h"
#include "config/config_print.h"
#include "http/http.h"
#include "log/log.h"
#include "money/currency.h"
#include "server/ledger_commands.h"
#include "server/serve.h"
#include "server/server.h"
#include "server/setup.h"
#include "store/embedded/embedded.h"
#include "store/redis/reply.h"

/* ---- serve ---- */

static void serve_help(struct buf *out)
{
    buf_append_text(
        out,
        "Flags beat the environment, which beats the file that --config names. On SIGTERM or SIGINT it\n"
        "finishes what is in flight and exits with 0; a second signal ends it at once. SIGHUP reads the\n"
        "log level again.\n\n");
    config_help(out);
}

static enum cli_exit run_serve(const struct cli_input *in)
{
    struct config config;
    struct choice choice;
    struct currency currency;
    enum cli_exit code;
    struct err_text why;

    if (!setup_load(in, 0, &config, &code)) {
        return code;
    }
    log_configure((enum log_level)config.log_level, (enum log_format)config.log_format,
                  STDERR_FILENO);
    if (currency_parse(slice_of(config.default_currency), &currency) != ERR_OK) {
        err_text_set(
            &why,
            "default-currency = %.40s is not a currency code of ISO 4217 with decimals, such as CNY",
            config.default_currency);
        return setup_bad_config(in, why.text);
    }
    if (choice_make(&config, &choice, &why) != ERR_OK) {
        return setup_bad_config(in, why.text);
    }
    return serve(&config, &choice, currency, in);
}

/* ---- config ---- */

static void config_command_help(struct buf *out)
{
    buf_append_text(
        out,
        "Takes what serve takes, and prints it as a file that --config reads back. Secrets are masked.\n\n");
    config_help(out);
}

static enum cli_exit run_config(const struct cli_input *in)
{
    struct config config;
    enum cli_exit code;
    struct buf text;

    if (!setup_load(in, 0, &config, &code)) {
        return code;
    }
    buf_init(&text, CLI_TEXT_BYTES_MAX);
    config_print(&config, &text);
    return cli_print(&text);
}

/* ---- version ---- */

static enum cli_exit run_version(const struct cli_input *in)
{
    struct buf text;

    if (in->argc > 0) {
        return setup_bad_usage(in, "it takes no words");
    }
    buf_init(&text, CLI_TEXT_BYTES_MAX);
    buf_append_format(
        &text,
        "mywallet %s\ncurrencies: ISO 4217 as of %s\nlibraries: SQLite %s, libuv %s, OpenSSL %s\n",
        MYWALLET_VERSION, currency_table_date, embedded_sqlite_version(), uv_version_string(),
        OpenSSL_version(OPENSSL_VERSION_STRING));
    /* these two do not say at run time which they are: their headers do */
    buf_append_format(&text, "compiled with: hiredis %d.%d.%d, %s\n", HIREDIS_MAJOR, HIREDIS_MINOR,
                      HIREDIS_PATCH, http_library());
    return cli_print(&text);
}

void server_register(struct cli_table *table)
{
    static const struct command service[] = {
        {"serve", "[flags]", "Run the service", serve_help, run_serve},
    };
    static const struct command others[] = {
        {"config", "[flags]", "Show every setting and where it comes from", config_command_help,
         run_config},
        {"version", "", "Show the versions of the program and its libraries", NULL, run_version},
    };

    cli_register(table, service, ARRAY_LEN(service));
    ledger_commands_register(table);
    cli_register(table, others, ARRAY_LEN(others));
}

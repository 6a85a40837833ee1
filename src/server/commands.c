/* The commands of this room: what they are called, and what their configuration has to be. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "config/config.h"
#include "config/config_print.h"
#include "log/log.h"
#include "money/currency.h"
#include "server/serve.h"
#include "server/server.h"
#include "store/embedded/embedded.h"

static enum cli_exit bad_config(const struct cli_input *in, const char *why)
{
    (void)fprintf(stderr, "mywallet %s: bad configuration: %s\n", in->command->name, why);
    return CLI_BAD_CONFIG;
}

static enum cli_exit bad_usage(const struct cli_input *in, const char *why)
{
    (void)fprintf(stderr, "mywallet %s: %s\nSee `mywallet help %s`.\n", in->command->name, why,
                  in->command->name);
    return CLI_USAGE;
}

/* Read the configuration. False: the command is over, with *code. */
static bool load(const struct cli_input *in, struct config *config, enum cli_exit *code)
{
    const struct config_input input = {.argc = in->argc, .argv = in->argv, .env = in->env};
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
        *code = bad_usage(in, why.text);
        break;
    case CONFIG_BAD:
        *code = bad_config(in, why.text);
        break;
    case CONFIG_NOMEM:
        (void)fprintf(stderr, "mywallet %s: out of memory\n", in->command->name);
        *code = CLI_FAILED;
        break;
    }
    return false;
}

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
    struct currency currency;
    enum cli_exit code;
    struct err_text why;

    if (!load(in, &config, &code)) {
        return code;
    }
    log_configure((enum log_level)config.log_level, (enum log_format)config.log_format,
                  STDERR_FILENO);
    if (currency_parse(slice_of(config.default_currency), &currency) != ERR_OK) {
        err_text_set(
            &why,
            "default-currency = %.40s is not a currency code of ISO 4217 with decimals, such as CNY",
            config.default_currency);
        return bad_config(in, why.text);
    }
    if (config.redis_addr[0] != '\0') { /* its value may hold a password */
        return bad_config(
            in, "redis-addr (REDIS_ADDR) is set, but this build has no Redis store; unset it to keep the "
                "ledger in the data folder");
    }
    return serve(&config, currency, in);
}

/* ---- verify ---- */

static void verify_help(struct buf *out)
{
    buf_append_text(
        out,
        "Reads the ledger in the data folder from its first record to its last and checks the hash chain,\n"
        "the numbering, each balance against its entries, each currency's sum, the chains of the\n"
        "histories and the idempotency keys. Changes nothing and takes no lock: a service may be running\n"
        "on it. Exits with 1 and names the first thing that is wrong, if anything is.\n\n"
        "  --data DIR\n"
        "        folder that holds the ledger\n"
        "        [default ./data; WALLET_DATA]\n"
        "The other flags of serve are understood and change nothing.\n");
}

static enum cli_exit run_verify(const struct cli_input *in)
{
    struct verify_report found = {.records = 0};
    struct config config;
    struct err_text why = {.text = ""};
    enum cli_exit code;
    struct buf text;
    enum err e;

    if (!load(in, &config, &code)) {
        return code;
    }
    e = embedded_verify(config.data, &found, &why);
    if (e != ERR_OK) {
        (void)fprintf(stderr, "mywallet verify: %s: %s\n", config.data,
                      why.text[0] == '\0' ? err_name(e) : why.text);
        return CLI_FAILED;
    }
    buf_init(&text, CLI_TEXT_BYTES_MAX);
    buf_append_format(&text,
                      "%s: the ledger is sound\n"
                      "records     %llu in %llu blocks\n"
                      "accounts    %llu in %u currencies\n"
                      "marks       %llu\n"
                      "keys        %llu\n",
                      config.data, (unsigned long long)found.records,
                      (unsigned long long)found.blocks, (unsigned long long)found.accounts,
                      found.currencies, (unsigned long long)found.marks,
                      (unsigned long long)found.keys);
    return cli_print(&text);
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

    if (!load(in, &config, &code)) {
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
        return bad_usage(in, "it takes no words");
    }
    buf_init(&text, CLI_TEXT_BYTES_MAX);
    buf_append_format(
        &text,
        "mywallet %s\ncurrencies: ISO 4217 as of %s\nlibraries: SQLite %s, libuv %s, OpenSSL %s\n",
        MYWALLET_VERSION, currency_table_date, embedded_sqlite_version(), uv_version_string(),
        OpenSSL_version(OPENSSL_VERSION_STRING));
    return cli_print(&text);
}

void server_register(struct cli_table *table)
{
    static const struct command commands[] = {
        {"serve", "[flags]", "Run the service", serve_help, run_serve},
        {"verify", "[--data DIR]", "Prove that a ledger is sound", verify_help, run_verify},
        {"config", "[flags]", "Show every setting and where it comes from", config_command_help,
         run_config},
        {"version", "", "Show the versions of the program and its libraries", NULL, run_version},
    };

    cli_register(table, commands, ARRAY_LEN(commands));
}

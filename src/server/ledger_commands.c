/* The offline commands on a ledger, wherever the configuration says that it is: proved, written out, read in. */
#include "server/ledger_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "server/setup.h"
#include "store/embedded/embedded.h"
#include "store/embedded/move.h"
#include "store/redis/move.h"
#include "store/redis/verify.h"

/* ---- what all of them have ---- */

struct ledger {
    struct config config;
    struct choice choice;
    const char *name; /* for people: the folder, or "Redis at host:port" */
    char text[REDIS_HOST_BYTES_MAX + 64];
};

static bool is_flag(const struct config *c, const char *name)
{
    const struct config_entry *entries = config_entries();

    for (unsigned i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return c->sources[i].from == CONFIG_FROM_FLAG;
        }
    }
    UNREACHABLE("configuration key");
}

/* For a command that takes so many words that are no flags. */
static bool ledger_load(const struct cli_input *in, unsigned words_max, struct ledger *l,
                        enum cli_exit *code)
{
    struct err_text why;

    if (!setup_load(in, words_max, &l->config, code)) {
        return false;
    }
    if (is_flag(&l->config, "data") && l->config.redis_addr[0] != '\0') {
        if (is_flag(&l->config, "redis-addr")) {
            *code = setup_bad_usage(in, "--data and --redis-addr name two places: which one?");
            return false;
        }
        l->config.redis_addr[0] =
            '\0'; /* who names a folder means it, whatever the environment says */
    }
    if (choice_make(&l->config, &l->choice, &why) != ERR_OK) {
        *code = setup_bad_config(in, why.text);
        return false;
    }
    l->name = l->config.data;
    if (l->choice.is_redis) {
        const struct redis_url *url = &l->choice.redis.url;
        (void)snprintf(l->text, sizeof(l->text), "%s %s:%u",
                       url->is_sentinel ? "Redis by" : "Redis at", url->addresses[0].host,
                       (unsigned)url->addresses[0].port);
        l->name = l->text;
    }
    return true;
}

static enum cli_exit failed(const struct cli_input *in, const struct ledger *l, enum err e,
                            const struct err_text *why)
{
    (void)fprintf(stderr, "mywallet %s: %s: %s\n", in->command->name, l->name,
                  why->text[0] == '\0' ? err_name(e) : why->text);
    return CLI_FAILED;
}

static const char places[] =
    "  --data DIR\n"
    "        folder that holds the ledger\n"
    "        [default ./data; WALLET_DATA]\n"
    "  --redis-addr ADDRESS\n"
    "        Redis that holds it, in place of the folder; --data beats the environment's\n"
    "        [WALLET_REDIS_ADDR, REDIS_ADDR]\n"
    "The other flags of serve are understood; those that begin with --redis- say how to reach Redis, the\n"
    "rest change nothing.\n";

/* ---- verify ---- */

static void verify_help(struct buf *out)
{
    buf_append_text(
        out,
        "Reads the ledger from its first record to its last and checks the numbering, each balance against\n"
        "its entries, each currency's sum, the histories and the idempotency keys; of a data folder the hash\n"
        "chain too. Changes nothing and takes no lock: a service may be running on it. Exits with 1 and names\n"
        "the first thing that is wrong, if anything is.\n\n");
    buf_append_text(out, places);
}

static enum err verify_embedded(const struct ledger *l, struct buf *out, struct err_text *why)
{
    struct verify_report found = {.records = 0};
    enum err e = embedded_verify(l->config.data, &found, why);

    buf_append_format(out,
                      "%s: the ledger is sound\n"
                      "records     %llu in %llu blocks\n"
                      "accounts    %llu in %u currencies\n"
                      "marks       %llu\n"
                      "keys        %llu\n",
                      l->name, (unsigned long long)found.records, (unsigned long long)found.blocks,
                      (unsigned long long)found.accounts, found.currencies,
                      (unsigned long long)found.marks, (unsigned long long)found.keys);
    return e;
}

static enum err verify_redis(const struct ledger *l, struct buf *out, struct err_text *why)
{
    struct redis_verify_report found = {.entries = 0};
    enum err e = redis_verify(&l->choice.redis.url, &l->choice.redis.tls, &found, why);

    buf_append_format(out,
                      "%s: the ledger is sound\n"
                      "entries     %llu in %u of %u buckets\n"
                      "accounts    %llu in %u currencies\n"
                      "keys        %llu\n",
                      l->name, (unsigned long long)found.entries, found.used_buckets, found.buckets,
                      (unsigned long long)found.accounts, found.currencies,
                      (unsigned long long)found.keys);
    return e;
}

static enum cli_exit run_verify(const struct cli_input *in)
{
    struct err_text why = {.text = ""};
    struct ledger l;
    enum cli_exit code;
    struct buf text;
    enum err e;

    if (!ledger_load(in, 0, &l, &code)) {
        return code;
    }
    buf_init(&text, CLI_TEXT_BYTES_MAX);
    e = l.choice.is_redis ? verify_redis(&l, &text, &why) : verify_embedded(&l, &text, &why);
    if (e != ERR_OK) {
        buf_fini(&text);
        return failed(in, &l, e, &why);
    }
    return cli_print(&text);
}

/* ---- export, import ---- */

/* The file that was named; NULL: none, or - for standard input or output. */
static const char *file_of(const struct ledger *l)
{
    const char *word = l->config.word_count > 0 ? l->config.words[0] : "-";

    return strcmp(word, "-") == 0 ? NULL : word;
}

/* To stderr: stdout may be the export itself. */
static void totals_print(const struct ledger *l, const char *verb, const struct move_totals *t)
{
    (void)fprintf(stderr, "%s: %s %llu postings, %llu accounts in %u currencies, %llu keys\n",
                  l->name, verb, (unsigned long long)t->lines, (unsigned long long)t->accounts,
                  t->currency_count, (unsigned long long)t->keys);
}

static void export_help(struct buf *out)
{
    buf_append_text(
        out,
        "Writes the ledger as lines of text, which `mywallet import` makes a ledger of, in this store or in\n"
        "another: every posting with its time and its id, and the idempotency keys that are still open. It is\n"
        "the ledger of one moment, also while a service is running on it. FILE is new, and has its name only\n"
        "when all of it is there; without one, or with -, it goes to standard output.\n\n");
    buf_append_text(out, places);
}

static enum cli_exit run_export(const struct cli_input *in)
{
    struct move_totals totals = {.lines = 0};
    struct err_text why = {.text = ""};
    struct move_output output;
    struct ledger l;
    enum cli_exit code;
    enum err e, closed;

    if (!ledger_load(in, 1, &l, &code)) {
        return code;
    }
    e = move_output_open(&output, file_of(&l), &why);
    if (e != ERR_OK) {
        return failed(in, &l, e, &why);
    }
    e = l.choice.is_redis
            ? redis_export(&l.choice.redis.url, &l.choice.redis.tls, output.fd, &totals, &why)
            : embedded_export(l.config.data, l.config.idempotency_ttl_us, output.fd, &totals, &why);
    closed = move_output_close(&output, e == ERR_OK, e == ERR_OK ? &why : NULL);
    if (e == ERR_OK) {
        e = closed;
    }
    if (e != ERR_OK) {
        return failed(in, &l, e, &why);
    }
    totals_print(&l, "exported", &totals);
    return CLI_OK;
}

static void import_help(struct buf *out)
{
    buf_append_text(
        out,
        "Makes a ledger of what `mywallet export` wrote: FILE, or standard input without one or with -. The\n"
        "place must hold no ledger, and no service may be running on it. It is verified at the end; where\n"
        "anything is wrong, or it is killed, there is no ledger afterwards, and it can be run again.\n\n");
    buf_append_text(out, places);
}

static enum cli_exit run_import(const struct cli_input *in)
{
    struct move_totals totals = {.lines = 0};
    struct err_text why = {.text = ""};
    const char *path;
    struct ledger l;
    enum cli_exit code;
    int fd = STDIN_FILENO;
    enum err e;

    if (!ledger_load(in, 1, &l, &code)) {
        return code;
    }
    path = file_of(&l);
    if (path != NULL) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            (void)fprintf(stderr, "mywallet import: %s: %s\n", path, strerror(errno));
            return CLI_FAILED;
        }
    }
    e = l.choice.is_redis
            ? redis_import(&l.choice.redis.url, &l.choice.redis.tls, 0, fd, &totals, &why)
            : embedded_import(l.config.data, fd, &totals, &why);
    if (fd != STDIN_FILENO) {
        (void)close(fd);
    }
    if (e != ERR_OK) {
        return failed(in, &l, e, &why);
    }
    totals_print(&l, "imported", &totals);
    return CLI_OK;
}

void ledger_commands_register(struct cli_table *table)
{
    static const struct command commands[] = {
        {"verify", "[flags]", "Prove that a ledger is sound", verify_help, run_verify},
        {"export", "[flags] [FILE]", "Write a ledger out as text", export_help, run_export},
        {"import", "[flags] [FILE]", "Make a ledger of an export", import_help, run_import},
    };

    cli_register(table, commands, ARRAY_LEN(commands));
}

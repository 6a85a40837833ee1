/* The layers: flag over environment over file over default, where each value came from, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "config/config.h"
#include "config/config_internal.h"
#include "config/config_print.h"

enum { WORDS_MAX = 16, TEXT_BYTES_MAX = 1 << 16 };

static const char *file_path; /* of the file that file_write writes */

static int setup(void **state)
{
    static char path[64];
    int fd;

    (void)snprintf(path, sizeof(path), "/tmp/test_config.XXXXXX");
    fd = mkstemp(path);
    if (fd < 0) {
        return -1;
    }
    (void)close(fd);
    file_path = path;
    *state = NULL;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(file_path);
}

static void file_write(const void *bytes, size_t len)
{
    FILE *file = fopen(file_path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* argv and env as texts parted by '|'; the file is named on the command line where one is given. */
struct given {
    const char *args;
    const char *env;
    const char *file;
    unsigned words_max;
};

static void split(const char *text, char *bytes, size_t size, char **out, int *count)
{
    *count = 0;
    if (text == NULL || text[0] == '\0') {
        return;
    }
    assert_true(strlen(text) < size);
    memcpy(bytes, text, strlen(text) + 1);
    for (char *at = bytes; at != NULL;) {
        out[(*count)++] = strsep(&at, "|");
        assert_true(*count < WORDS_MAX);
    }
}

static enum config_result load(struct config *config, struct given given, struct err_text *why)
{
    static char arg_bytes[4096], env_bytes[4096]; /* words of the result point into them */
    static char *args[WORDS_MAX + 2], *env[WORDS_MAX + 1];
    struct config_input in = {.argv = args, .env = env, .words_max = given.words_max};
    int env_count;

    memset(env, 0, sizeof(env));
    split(given.args, arg_bytes, sizeof(arg_bytes), args, &in.argc);
    split(given.env, env_bytes, sizeof(env_bytes), env, &env_count);
    if (given.file != NULL) {
        static char flag[128];

        file_write(given.file, strlen(given.file));
        (void)snprintf(flag, sizeof(flag), "--config=%s", file_path);
        memmove(args + 1, args, (size_t)in.argc * sizeof(args[0]));
        args[0] = flag;
        in.argc++;
    }
    err_text_set(why, "%s", "");
    return config_load(config, &in, why);
}

static void load_ok(struct config *config, struct given given)
{
    struct err_text why;
    enum config_result result = load(config, given, &why);

    if (result != CONFIG_OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(result, CONFIG_OK);
}

/* %F in words stands for the file's name. */
static void load_fails(struct given given, enum config_result expected, const char *words)
{
    struct config config;
    struct config before;
    struct err_text why;
    char text[sizeof(why.text)];
    const char *mark = strstr(words, "%F");

    memset(&config, 0x5A, sizeof(config));
    memcpy(&before, &config, sizeof(config));
    assert_int_equal(load(&config, given, &why), expected);
    (void)snprintf(text, sizeof(text), "%.*s%s%s",
                   mark == NULL ? (int)strlen(words) : (int)(mark - words), words,
                   mark == NULL ? "" : file_path, mark == NULL ? "" : mark + 2);
    assert_string_equal(why.text, text);
    assert_memory_equal(&config, &before, sizeof(config));
}

static const struct config_source *source_of(const struct config *config, const char *name)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        if (strcmp(config_entries()[i].name, name) == 0) {
            return &config->sources[i];
        }
    }
    fail();
    return NULL;
}

static void test_defaults(void **state)
{
    struct config c;

    (void)state;
    load_ok(&c, (struct given){0});
    assert_string_equal(c.listen, "127.0.0.1:8080");
    assert_string_equal(c.data, "./data");
    assert_string_equal(c.redis_addr, "");
    assert_string_equal(c.default_currency, "CNY");
    assert_string_equal(c.file, "");
    assert_int_equal(c.threads, 0);
    assert_int_equal(c.readers, 2);
    assert_int_equal(c.connections, 10000);
    assert_int_equal(c.inbox, 16384);
    assert_int_equal(c.batch, 1024);
    assert_int_equal(c.request_timeout_us, 5000000);
    assert_int_equal(c.head_timeout_us, 5000000);
    assert_int_equal(c.idle_timeout_us, 60000000);
    assert_int_equal(c.drain_delay_us, 0);
    assert_int_equal(c.drain_timeout_us, 25000000);
    assert_int_equal(c.idempotency_ttl_us, UINT64_C(86400000000));
    assert_int_equal(c.idempotency_max, 50000000);
    assert_true(c.auto_create);
    assert_false(c.access_log);
    assert_false(c.allow_remote);
    assert_int_equal(c.log_level, 1);
    assert_int_equal(c.log_format, 0);
    assert_int_equal(c.default_language, 0);
    assert_int_equal(c.word_count, 0);
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        assert_int_equal(c.sources[i].from, CONFIG_FROM_DEFAULT);
    }
}

static void test_table_is_sound(void **state)
{
    const struct config_entry *entries = config_entries();

    (void)state;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char name[CONFIG_NAME_BYTES_MAX];

        assert_non_null(entries[i].help);
        assert_int_equal(strspn(entries[i].name, "abcdefghijklmnopqrstuvwxyz-"),
                         strlen(entries[i].name));
        assert_true(strncmp(entries[i].name, "no-", 3) != 0);
        assert_string_not_equal(entries[i].name, "config");
        assert_string_not_equal(entries[i].name, "help");
        assert_int_equal(entries[i].kind == CONFIG_CHOICE, entries[i].choices != NULL);
        config_env_name(&entries[i], name);
        assert_memory_equal(name, "WALLET_", 7);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(entries[i].name, entries[j].name);
        }
    }
}

static void test_each_layer_beats_the_one_below(void **state)
{
    struct config c;

    (void)state;
    load_ok(&c, (struct given){.file = "# a comment\n\nthreads = 3\n"});
    assert_int_equal(c.threads, 3);
    assert_string_equal(c.file, file_path);
    assert_int_equal(source_of(&c, "threads")->from, CONFIG_FROM_FILE);
    assert_int_equal(source_of(&c, "threads")->line, 3);

    load_ok(&c, (struct given){.file = "threads = 3\n", .env = "WALLET_THREADS=4"});
    assert_int_equal(c.threads, 4);
    assert_int_equal(source_of(&c, "threads")->from, CONFIG_FROM_ENV);
    assert_null(source_of(&c, "threads")->env);

    load_ok(&c, (struct given){
                    .file = "threads = 3\n", .env = "WALLET_THREADS=4", .args = "--threads|5"});
    assert_int_equal(c.threads, 5);
    assert_int_equal(source_of(&c, "threads")->from, CONFIG_FROM_FLAG);
    assert_int_equal(source_of(&c, "data")->from, CONFIG_FROM_DEFAULT);
}

/* Every key takes its value by each of its three spellings, but for a secret: it has no flag, and a file in the environment. */
static void test_every_key_has_three_spellings(void **state)
{
    const struct config_entry *entries = config_entries();

    (void)state;
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char name[CONFIG_NAME_BYTES_MAX], flag[256], env[256], file[256];
        const char *value = entries[i].fallback[0] == '\0' ? "x" : entries[i].fallback;
        const struct given givens[] = {{.args = flag}, {.env = env}, {.file = file}};
        const enum config_from froms[] = {CONFIG_FROM_FLAG, CONFIG_FROM_ENV, CONFIG_FROM_FILE};

        config_env_name(&entries[i], name);
        (void)snprintf(flag, sizeof(flag), "--%s=%s", entries[i].name, value);
        (void)snprintf(env, sizeof(env), "%s=%s", name, value);
        (void)snprintf(file, sizeof(file), "%s = %s\n", entries[i].name, value);
        for (size_t j = 0; j < ARRAY_LEN(givens); j++) {
            struct config c;

            if (entries[i].is_secret && j < 2) { /* test_secrets has these */
                continue;
            }
            load_ok(&c, givens[j]);
            for (size_t k = 0; k < CONFIG_KEY_COUNT; k++) {
                assert_int_equal(c.sources[k].from, k == i ? froms[j] : CONFIG_FROM_DEFAULT);
            }
        }
    }
}

static void test_flags(void **state)
{
    struct config c;

    (void)state;
    load_ok(&c, (struct given){.args = "--access-log|--no-auto-create|--data=/x=y|--listen|[::1]:0"});
    assert_true(c.access_log);
    assert_false(c.auto_create);
    assert_string_equal(c.data, "/x=y");
    assert_string_equal(c.listen, "[::1]:0");
    load_ok(&c, (struct given){.args = "--access-log=off|--threads=1|--threads=2"}); /* the last wins */
    assert_false(c.access_log);
    assert_int_equal(c.threads, 2);
    load_ok(&c, (struct given){.args = "--redis-addr=", .env = "REDIS_ADDR=a:1"});
    assert_string_equal(c.redis_addr, "");
    load_ok(&c, (struct given){.args = "--data|-x"}); /* one dash may begin a folder's name */
    assert_string_equal(c.data, "-x");

    load_fails((struct given){.args = "--lisen|x"}, CONFIG_USAGE,
               "unknown flag --lisen (did you mean --listen?)");
    load_fails((struct given){.args = "--zebra=1"}, CONFIG_USAGE, "unknown flag --zebra");
    load_fails((struct given){.args = "--no-listen"}, CONFIG_USAGE, "unknown flag --no-listen");
    load_fails((struct given){.args = "-x"}, CONFIG_USAGE, "unknown flag -x");
    load_fails((struct given){.args = "-listen=x"}, CONFIG_USAGE,
               "unknown flag -listen (did you mean --listen?)");
    load_fails((struct given){.args = "--=x"}, CONFIG_USAGE, "unknown flag --");
    load_fails((struct given){.args = "--listen"}, CONFIG_USAGE, "--listen needs a value");
    load_fails((struct given){.args = "--data|--access-log"}, CONFIG_USAGE, "--data needs a value");
    load_fails((struct given){.args = "--config"}, CONFIG_USAGE, "--config needs a value");
    load_fails((struct given){.args = "--config="}, CONFIG_USAGE, "--config needs a file");
    load_fails((struct given){.args = "--no-access-log=true"}, CONFIG_USAGE,
               "--no-access-log takes no value");
    load_fails((struct given){.args = "--access-log=maybe"}, CONFIG_USAGE,
               "--access-log: access-log = maybe is neither true nor false");
    load_fails((struct given){.args = "--threads=65"}, CONFIG_USAGE,
               "--threads: threads = 65 is out of range, which is 0 to 64");
    load_fails((struct given){.args = "--threads=65|--threads=2"}, CONFIG_USAGE,
               "--threads: threads = 65 is out of range, which is 0 to 64"); /* hidden, yet wrong */
}

static void test_words_and_help(void **state)
{
    struct config c;

    (void)state;
    load_ok(&c, (struct given){.args = "a|--threads=2|-|--|--listen", .words_max = 3});
    assert_int_equal(c.word_count, 3);
    assert_string_equal(c.words[0], "a");
    assert_string_equal(c.words[1], "-");
    assert_string_equal(c.words[2], "--listen");
    load_fails((struct given){.args = "a"}, CONFIG_USAGE, "unexpected argument a");
    load_fails((struct given){.args = "a|b", .words_max = 1}, CONFIG_USAGE, "unexpected argument b");
    load_fails((struct given){.args = "--threads=2|--help"}, CONFIG_HELP, "");
    load_fails((struct given){.args = "-h"}, CONFIG_HELP, "");
    load_fails((struct given){.args = "--help", .env = "WALLET_THREADS=x"}, CONFIG_HELP, "");
}

static void test_environment(void **state)
{
    struct config c;

    (void)state;
    load_ok(&c, (struct given){.env = "PORT=9000"});
    assert_string_equal(c.listen, "127.0.0.1:9000");
    assert_int_equal(source_of(&c, "listen")->from, CONFIG_FROM_ENV);
    assert_string_equal(source_of(&c, "listen")->env, "PORT");
    load_ok(&c, (struct given){.env = "PORT=9000|WALLET_LISTEN=0.0.0.0:7000"});
    assert_string_equal(c.listen, "0.0.0.0:7000");
    load_ok(&c, (struct given){.env = "PORT=9000", .file = "listen = [::1]:7000\n"});
    assert_string_equal(c.listen, "[::1]:9000");
    load_ok(&c, (struct given){.env = "PORT=9000", .args = "--listen=h:1"});
    assert_string_equal(c.listen, "h:1");
    load_ok(&c, (struct given){.env = "PORT=0"});
    assert_string_equal(c.listen, "127.0.0.1:0");

    load_ok(&c, (struct given){.env = "REDIS_ADDR=r:6379"});
    assert_string_equal(c.redis_addr, "r:6379");
    assert_string_equal(source_of(&c, "redis-addr")->env, "REDIS_ADDR");
    load_ok(&c, (struct given){.env = "REDIS_ADDR=r:6379|WALLET_REDIS_ADDR=s:1"});
    assert_string_equal(c.redis_addr, "s:1");
    assert_null(source_of(&c, "redis-addr")->env);

    /* empty is unset; names that only begin alike, and names that are no key, are nothing */
    load_ok(&c, (struct given){
                    .env = "WALLET_LISTEN=|PORT=|REDIS_ADDR=|WALLET_THREAD=9|WALLET_THREADS2=9|WALLET|"
                           "WALLET_PORT=tcp://10.0.0.1:80"});
    assert_string_equal(c.listen, "127.0.0.1:8080");
    assert_int_equal(c.threads, 0);

    load_fails((struct given){.env = "WALLET_THREADS=65"}, CONFIG_BAD,
               "environment WALLET_THREADS: threads = 65 is out of range, which is 0 to 64");
    load_fails((struct given){.env = "PORT=tcp://x:1"}, CONFIG_BAD,
               "environment PORT = tcp://x:1 is not a port, 0 to 65535");
    load_fails((struct given){.env = "PORT=65536"}, CONFIG_BAD,
               "environment PORT: listen = 127.0.0.1:65536 is not host:port, the port 0 to 65535");
}

static void test_file(void **state)
{
    struct config c;
    char text[512];
    char env[256];

    (void)state;
    load_ok(
        &c,
        (struct given){
            .file = "; comment\n  threads = 3 ; why\n\tdata: /var/lib/wallet\r\n\nlog-level=debug"});
    assert_int_equal(c.threads, 3);
    assert_string_equal(c.data, "/var/lib/wallet");
    assert_int_equal(c.log_level, 0);
    assert_int_equal(source_of(&c, "log-level")->line, 5);
    load_ok(&c, (struct given){.file = ""});
    load_ok(&c, (struct given){.file = "\xEF\xBB\xBFthreads = 3\n"});
    assert_int_equal(c.threads, 3);

    load_fails((struct given){.file = "threads = 1\nlisen = x\n"}, CONFIG_BAD,
               "%F:2: unknown key lisen (did you mean listen?)");
    load_fails((struct given){.file = "config = x\n"}, CONFIG_BAD, "%F:1: unknown key config");
    load_fails((struct given){.file = "threads = 1\n\nthreads = 1\n"}, CONFIG_BAD,
               "%F:3: threads stands in line 1 already");
    load_fails((struct given){.file = "\nthreads = 99\nlisen = x\n"}, CONFIG_BAD,
               "%F:2: threads = 99 is out of range, which is 0 to 64");
    load_fails((struct given){.file = "threads = 99\n", .args = "--threads=1"}, CONFIG_BAD,
               "%F:1: threads = 99 is out of range, which is 0 to 64"); /* hidden, yet wrong */
    load_fails((struct given){.file = "threads\nlisen = x\n"}, CONFIG_BAD,
               "%F:1: neither name = value nor a comment");
    load_fails((struct given){.file = "lisen = x\nthreads\n"}, CONFIG_BAD,
               "%F:1: unknown key lisen (did you mean listen?)");
    load_fails((struct given){.file = "[server]\nthreads = 1\n"}, CONFIG_BAD,
               "%F:1: there are no [sections] in this file");
    load_fails((struct given){.file = "\xEF\xBB\xBF[server]\nthreads = 1\n"}, CONFIG_BAD,
               "%F:2: there are no [sections] in this file");
    load_fails((struct given){.file = "listen =\n"}, CONFIG_BAD,
               "%F:1: listen =  is not host:port, the port 0 to 65535");

    /* a line as long as libinih takes, and one byte more */
    (void)snprintf(text, sizeof(text), "data = %0*d\n", 198 - (int)strlen("data = "), 0);
    load_ok(&c, (struct given){.file = text});
    assert_int_equal(strlen(c.data), 198 - strlen("data = "));
    (void)snprintf(text, sizeof(text), "\ndata = %0*d\n", 199 - (int)strlen("data = "), 0);
    load_fails((struct given){.file = text}, CONFIG_BAD, "%F:2: the line is too long");
    (void)snprintf(text, sizeof(text), "# %0400d\n  ; %0*d\nthreads = 2\n", 0, 50, 0);
    load_ok(&c, (struct given){.file = text});
    assert_int_equal(source_of(&c, "threads")->line, 3);

    /* WALLET_CONFIG names the file as well; the flag beats it */
    file_write("threads = 7\n", 12);
    (void)snprintf(env, sizeof(env), "WALLET_CONFIG=%s", file_path);
    load_ok(&c, (struct given){.env = env});
    assert_int_equal(c.threads, 7);
    load_ok(&c, (struct given){.env = "WALLET_CONFIG=/no/such", .file = "threads = 8\n"});
    assert_int_equal(c.threads, 8);
    load_fails((struct given){.env = "WALLET_CONFIG=/no/such"}, CONFIG_BAD,
               "/no/such: No such file or directory");
    load_fails((struct given){.args = "--config=/"}, CONFIG_BAD, "/: Is a directory");
}

static void test_file_of_odd_bytes(void **state)
{
    static char big[CONFIG_FILE_BYTES_MAX + 1];
    char env[128];
    struct config c;

    (void)state;
    (void)snprintf(env, sizeof(env), "WALLET_CONFIG=%s", file_path);
    file_write("threads = 1\0\n", 13);
    load_fails((struct given){.env = env}, CONFIG_BAD, "%F:1: the line holds a NUL");
    file_write("data = \x1b[2J\n", 12);
    load_fails((struct given){.env = env}, CONFIG_BAD, "%F:1: data = ?[2J holds a control character");

    memset(big, '\n', sizeof(big));
    file_write(big, CONFIG_FILE_BYTES_MAX);
    load_ok(&c, (struct given){.env = env});
    file_write(big, sizeof(big));
    load_fails((struct given){.env = env}, CONFIG_BAD, "%F: more than 262144 bytes");
}

static void test_every_allocation_fails(void **state)
{
    struct config c;
    struct err_text why;
    uint64_t nth = 1;

    (void)state;
    for (;; nth++) {
        enum config_result result;

        mem_fail_at(nth, 0);
        result = load(&c, (struct given){.file = "threads = 3\n"}, &why);
        mem_fail_at(0, 0);
        if (result == CONFIG_OK) {
            break;
        }
        assert_int_equal(result, CONFIG_NOMEM);
        assert_non_null(strstr(why.text, "out of memory"));
    }
    assert_true(nth > 1);
    assert_int_equal(c.threads, 3);
    for (nth = 1;; nth++) {
        struct buf text;
        enum err e;

        buf_init(&text, TEXT_BYTES_MAX);
        mem_fail_at(nth, 1);
        config_print(&c, &text);
        config_help(&text);
        mem_fail_at(0, 0);
        e = text.err;
        buf_fini(&text);
        if (e == ERR_OK) {
            break;
        }
        assert_int_equal(e, ERR_NOMEM);
    }
    assert_true(nth > 2);
}

static void test_print_reads_back(void **state)
{
    struct config first, second;
    struct buf text;

    (void)state;
    load_ok(&first, (struct given){.args = "--idle-timeout=90s|--no-auto-create|--log-level=warn",
                                   .env = "PORT=9000|WALLET_BATCH=7",
                                   .file = "data = /var/lib/wallet\nidempotency-ttl = 3650d\n"});
    buf_init(&text, TEXT_BYTES_MAX);
    config_print(&first, &text);
    buf_append_byte(&text, '\0');
    assert_int_equal(text.err, ERR_OK);
    assert_non_null(strstr(text.ptr, "listen = 127.0.0.1:9000                   ; env PORT\n"));
    assert_non_null(
        strstr(text.ptr, "\nbatch = 7                                 ; env WALLET_BATCH\n"));
    assert_non_null(
        strstr(text.ptr, "\nidle-timeout = 90s                        ; flag --idle-timeout\n"));
    assert_non_null(strstr(text.ptr, "\nthreads = 0                               ; default\n"));
    assert_non_null(strstr(text.ptr, file_path));
    assert_non_null(strstr(text.ptr, ":2\n"));

    load_ok(&second, (struct given){.file = text.ptr});
    memset(first.sources, 0, sizeof(first.sources));
    memset(second.sources, 0, sizeof(second.sources));
    assert_memory_equal(&first, &second, sizeof(first));
    buf_fini(&text);
}

/* What is left at its default, or set to the same, reads as the help writes it. */
static void test_print_spells_defaults_as_the_help(void **state)
{
    static const char *const given[] = {NULL, "--idle-timeout=1m", "--idle-timeout=60s",
                                        "--idle-timeout=2m"};
    const struct config_entry *entries = config_entries();

    (void)state;
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        struct config c;
        struct buf text;
        load_ok(&c, (struct given){.args = given[i]});
        buf_init(&text, TEXT_BYTES_MAX);
        config_print(&c, &text);
        buf_append_byte(&text, '\0');
        assert_int_equal(text.err, ERR_OK);
        assert_non_null(strstr(text.ptr, i == 3 ? "\nidle-timeout = 2m " : "\nidle-timeout = 60s "));
        for (size_t k = 0; i == 0 && k < CONFIG_KEY_COUNT; k++) {
            char line[200];
            (void)snprintf(line, sizeof(line), "%s = %s ", entries[k].name, entries[k].fallback);
            assert_non_null(strstr(text.ptr, line));
        }
        buf_fini(&text);
    }
}

static void test_help_names_what_a_value_is(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, TEXT_BYTES_MAX);
    config_help(&text);
    buf_append_byte(&text, '\0');
    assert_non_null(strstr(text.ptr, "\n  --data FOLDER\n"));
    assert_non_null(strstr(text.ptr, "\n  --idle-timeout TIME\n"));
    buf_fini(&text);
}

static void test_print_masks_a_url(void **state)
{
    struct config c;
    struct buf text;

    (void)state;
    load_ok(&c, (struct given){.env = "REDIS_ADDR=rediss://me:s3@cret@host:1/0"});
    buf_init(&text, TEXT_BYTES_MAX);
    config_print(&c, &text);
    buf_append_byte(&text, '\0');
    assert_non_null(strstr(text.ptr, "redis-addr = rediss://***@host:1/0 "));
    assert_null(strstr(text.ptr, "cret"));
    assert_null(strstr(text.ptr, "s3"));
    buf_fini(&text);
    load_ok(&c, (struct given){.env = "REDIS_ADDR=me:s3cret@host:1"}); /* the scheme was forgotten */
    buf_init(&text, TEXT_BYTES_MAX);
    config_print(&c, &text);
    buf_append_byte(&text, '\0');
    assert_non_null(strstr(text.ptr, "redis-addr = ***@host:1 "));
    assert_null(strstr(text.ptr, "s3"));
    buf_fini(&text);
}

static void test_a_bad_url_is_not_told(void **state)
{
    struct config c;
    struct err_text why;
    char env[CONFIG_TEXT_BYTES_MAX + 64];
    char *envs[] = {env, NULL};
    const struct config_input in = {.env = envs};

    (void)state;
    (void)snprintf(env, sizeof(env), "REDIS_ADDR=redis://:s3cret@%01023d", 0);
    assert_int_equal(config_load(&c, &in, &why), CONFIG_BAD);
    assert_non_null(strstr(why.text, "redis-addr = (hidden) has "));
    assert_null(strstr(why.text, "s3cret"));
}

static void test_help(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, TEXT_BYTES_MAX);
    config_help(&text);
    buf_append_byte(&text, '\0');
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        assert_non_null(strstr(text.ptr, config_entries()[i].name));
        assert_non_null(strstr(text.ptr, config_entries()[i].help));
    }
    assert_non_null(strstr(
        text.ptr, "  --listen HOST:PORT\n"
                  "        address and port to serve on; [::1]:8080 for IPv6\n"
                  "        [default 127.0.0.1:8080; WALLET_LISTEN, PORT (the port alone)]\n"));
    assert_non_null(strstr(text.ptr, "  --redis-addr ADDRESS\n"));
    assert_non_null(strstr(text.ptr, "[WALLET_REDIS_ADDR, REDIS_ADDR]\n"));
    assert_non_null(strstr(text.ptr, "  --[no-]access-log\n"));
    assert_non_null(strstr(text.ptr, "  --log-level debug|info|warn|error\n"));
    assert_non_null(strstr(text.ptr, "[default 5s; 50ms to 5m; WALLET_REQUEST_TIMEOUT]\n"));
    assert_non_null(strstr(text.ptr, "  --config FILE\n"));
    buf_fini(&text);
}

static void test_thread_count(void **state)
{
    struct config c;

    (void)state;
    assert_int_equal(config_threads_for(0, 0), 1);
    assert_int_equal(config_threads_for(0, 1), 1);
    assert_int_equal(config_threads_for(0, 2), 1);
    assert_int_equal(config_threads_for(0, 3), 2);
    assert_int_equal(config_threads_for(0, 65), 64);
    assert_int_equal(config_threads_for(0, 1000), 64);
    assert_int_equal(config_threads_for(1, 8), 1);
    assert_int_equal(config_threads_for(64, 1), 64);
    load_ok(&c, (struct given){.args = "--threads=5"});
    assert_int_equal(config_thread_count(&c), 5);
    load_ok(&c, (struct given){0});
    assert_true(config_thread_count(&c) >= 1);
}

/* ---- a table of the test's own, for what no key uses yet: sizes and secrets ---- */

struct own {
    uint64_t cache_bytes;
    char token[CONFIG_TEXT_BYTES_MAX + 1];
};

static const struct config_entry own_entries[] = {
    {.name = "cache",
     .kind = CONFIG_SIZE,
     .fallback = "64MiB",
     .min = 4096,
     .max = 1 << 30,
     .help = "c",
     .offset = offsetof(struct own, cache_bytes)},
    {.name = "token",
     .kind = CONFIG_TEXT,
     .fallback = "",
     .max = 8,
     .is_secret = true,
     .help = "t",
     .offset = offsetof(struct own, token)},
};

static enum config_result own_load(struct own *own, struct config_source *sources, char *arg,
                                   char *env, struct err_text *why)
{
    struct config_set set = {own_entries, ARRAY_LEN(own_entries), own, sources};
    char *args[] = {arg};
    char *envs[] = {env, NULL};
    struct config_input in = {.argc = arg == NULL ? 0 : 1, .argv = args, .env = envs};
    struct config_line line;

    return config_set_load(&set, &in, &line, why);
}

static void test_secrets(void **state)
{
    struct own own;
    struct config_source sources[ARRAY_LEN(own_entries)];
    struct config_set set = {own_entries, ARRAY_LEN(own_entries), &own, sources};
    struct err_text why;
    struct buf text;
    char arg[128], env[128];

    (void)state;
    (void)snprintf(arg, sizeof(arg), "--token=s3cret");
    assert_int_equal(own_load(&own, sources, arg, NULL, &why), CONFIG_USAGE);
    assert_non_null(strstr(why.text, "use WALLET_TOKEN_FILE"));
    assert_null(strstr(why.text, "s3cret"));

    file_write("s3cret\r\n", 8);
    (void)snprintf(env, sizeof(env), "WALLET_TOKEN_FILE=%s", file_path);
    assert_int_equal(own_load(&own, sources, NULL, env, &why), CONFIG_OK);
    assert_string_equal(own.token, "s3cret");
    buf_init(&text, TEXT_BYTES_MAX);
    config_set_print(&set, "", &text);
    config_set_help(&set, &text);
    buf_append_byte(&text, '\0');
    assert_non_null(strstr(
        text.ptr, "  (no flag) token\n        t\n"
                  "        [WALLET_TOKEN_FILE (a file that holds it), or the configuration file]\n"));
    assert_null(strstr(text.ptr, "s3cret"));
    assert_null(strstr(text.ptr, "--token"));
    assert_non_null(strstr(text.ptr, "token = ***"));
    assert_non_null(strstr(text.ptr, "; env WALLET_TOKEN_FILE\n"));
    buf_fini(&text);

    assert_int_equal(own_load(&own, sources, NULL, NULL, &why), CONFIG_OK);
    buf_init(&text, TEXT_BYTES_MAX);
    config_set_print(&set, "", &text);
    buf_append_byte(&text, '\0');
    assert_non_null(strstr(text.ptr, "token =  "));
    buf_fini(&text);

    file_write("too-s3cret", 10);
    assert_int_equal(own_load(&own, sources, NULL, env, &why), CONFIG_BAD);
    assert_string_equal(
        why.text, "environment WALLET_TOKEN_FILE: token = (hidden) has 10 bytes, allowed are 0 to 8");
    (void)snprintf(env, sizeof(env), "WALLET_TOKEN_FILE=/no/such");
    assert_int_equal(own_load(&own, sources, NULL, env, &why), CONFIG_BAD);
    assert_string_equal(why.text,
                        "environment WALLET_TOKEN_FILE: /no/such: No such file or directory");
    mem_fail_at(1, 0);
    (void)snprintf(env, sizeof(env), "WALLET_TOKEN_FILE=%s", file_path);
    assert_int_equal(own_load(&own, sources, NULL, env, &why), CONFIG_NOMEM);
    mem_fail_at(0, 0);

    file_write("token = s3cret\n", 15);
    (void)snprintf(arg, sizeof(arg), "--config=%s", file_path);
    assert_int_equal(own_load(&own, sources, arg, NULL, &why), CONFIG_OK);
    assert_string_equal(own.token, "s3cret");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_table_is_sound),
        cmocka_unit_test(test_each_layer_beats_the_one_below),
        cmocka_unit_test(test_every_key_has_three_spellings),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_words_and_help),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_of_odd_bytes),
        cmocka_unit_test(test_every_allocation_fails),
        cmocka_unit_test(test_print_reads_back),
        cmocka_unit_test(test_print_spells_defaults_as_the_help),
        cmocka_unit_test(test_help_names_what_a_value_is),
        cmocka_unit_test(test_print_masks_a_url),
        cmocka_unit_test(test_a_bad_url_is_not_told),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_thread_count),
        cmocka_unit_test(test_secrets),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

/* Which words reach which command, and which exit code comes back. What is printed is read back from a file. */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/assert.h"

static struct {
    const char *ran;
    int argc;
    const char *first;
} seen;

static enum cli_exit run_one(const struct cli_input *in)
{
    seen.ran = in->command->name;
    seen.argc = in->argc;
    seen.first = in->argc > 0 ? in->argv[0] : NULL;
    return CLI_BAD_CONFIG;
}

static void one_help(struct buf *out)
{
    buf_append_text(out, "more about one\n");
}

static const struct command commands[] = {
    {"one", "[flags]", "The first", one_help, run_one},
    {"version", "", "The versions", NULL, run_one},
};

/* Run with stdout and stderr in a file; what was written comes back in text. */
static enum cli_exit run(const char *const *words, int *fd_that_spoke, char *text, size_t len)
{
    struct cli_table table = {.count = 0};
    char *argv[8] = {"mywallet"};
    int argc = 1, old[3];
    FILE *files[3] = {NULL, tmpfile(), tmpfile()};
    enum cli_exit code;

    for (; words[argc - 1] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    }
    cli_register(&table, commands, ARRAY_LEN(commands));
    seen.ran = NULL;
    (void)fflush(NULL);
    for (int fd = 1; fd <= 2; fd++) {
        old[fd] = dup(fd);
        (void)dup2(fileno(files[fd]), fd);
    }
    code = cli_run(&table, argc, argv, NULL);
    (void)fflush(NULL);
    *fd_that_spoke = 0;
    text[0] = '\0';
    for (int fd = 1; fd <= 2; fd++) {
        size_t got;
        (void)dup2(old[fd], fd);
        (void)close(old[fd]);
        rewind(files[fd]);
        got = fread(text, 1, *fd_that_spoke == 0 ? len - 1 : 0, files[fd]);
        if (got > 0) {
            text[got] = '\0';
            *fd_that_spoke += fd;
        }
        (void)fclose(files[fd]);
    }
    return code;
}

#define RUN(...) run((const char *const[]){__VA_ARGS__, NULL}, &fd, text, sizeof(text))

static void test_dispatch(void **state)
{
    char text[8192];
    int fd;

    (void)state;
    assert_int_equal(RUN("one", "--x", "y"), CLI_BAD_CONFIG);
    assert_string_equal(seen.ran, "one");
    assert_int_equal(seen.argc, 2);
    assert_string_equal(seen.first, "--x");
    assert_int_equal(RUN("one"), CLI_BAD_CONFIG);
    assert_int_equal(seen.argc, 0);
    assert_int_equal(RUN("--version"), CLI_BAD_CONFIG);
    assert_string_equal(seen.ran, "version");
    assert_int_equal(RUN("-V"), CLI_BAD_CONFIG);
    assert_string_equal(seen.ran, "version");
    assert_int_equal(RUN("one", "x", "--help"), CLI_BAD_CONFIG); /* the command's own matter */
    assert_string_equal(seen.ran, "one");
}

static void test_usage(void **state)
{
    static const char *const wrong[] = {"on", "onee", "", "-x", "--one", "One"};
    char text[8192];
    int fd;

    (void)state;
    assert_int_equal(RUN(NULL), CLI_USAGE);
    assert_int_equal(fd, 2);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(RUN(wrong[i]), CLI_USAGE);
        assert_null(seen.ran);
        assert_int_equal(fd, 2);
        assert_non_null(strstr(text, "there is no command"));
        assert_non_null(strstr(text, "The first"));
    }
    assert_int_equal(RUN("help", "nope"), CLI_USAGE);
    assert_int_equal(fd, 2);
    assert_int_equal(RUN("help", "one", "version"), CLI_USAGE);
    assert_int_equal(fd, 2);
}

static void test_help(void **state)
{
    char text[8192];
    int fd;

    (void)state;
    assert_int_equal(RUN("help"), CLI_OK);
    assert_int_equal(fd, 1);
    assert_non_null(strstr(text, "one [flags]"));
    assert_non_null(strstr(text, "The versions"));
    assert_int_equal(RUN("--help"), CLI_OK);
    assert_int_equal(RUN("-h"), CLI_OK);
    assert_int_equal(RUN("help", "--help"), CLI_OK);
    assert_int_equal(RUN("help", "one"), CLI_OK);
    assert_int_equal(fd, 1);
    assert_non_null(strstr(text, "usage: mywallet one [flags]"));
    assert_non_null(strstr(text, "more about one"));
    assert_int_equal(RUN("one", "--help"), CLI_OK);
    assert_non_null(strstr(text, "more about one"));
    assert_null(seen.ran);
    assert_int_equal(RUN("version", "-h"), CLI_OK);
    assert_null(strstr(text, "more about one"));
}

static void test_print_tells_what_failed(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 4);
    buf_append_text(&text, "too long");
    assert_int_equal(cli_print(&text), CLI_FAILED);
    assert_null(text.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dispatch),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_print_tells_what_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

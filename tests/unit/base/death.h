/* Run a function in a child process and see whether an assertion stops it. For tests of preconditions. */
#ifndef UNIT_BASE_DEATH_H
#define UNIT_BASE_DEATH_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/** Whether act(ctx) aborts with "assertion failed" on stderr. */
static inline bool dies(void (*act)(void *ctx), void *ctx)
{
    char text[4096] = {0};
    size_t len = 0;
    ssize_t got;
    int ends[2];
    int status;
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0) {
        return false;
    }
    if (child == 0) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL); /* the test framework catches it */
        (void)dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        act(ctx);
        _exit(0);
    }
    close(ends[1]);
    while (len < sizeof(text) - 1 && (got = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0) {
        len += (size_t)got;
    }
    close(ends[0]);
    if (waitpid(child, &status, 0) != child) {
        return false;
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT &&
           (strstr(text, "assertion failed: ") != NULL);
}

#endif

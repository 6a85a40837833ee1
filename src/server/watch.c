#include "server/watch.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"

enum { US_PER_MS = 1000 };

enum err watch_open(struct watch *w)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigset_t set;

    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0) {
        return ERR_IO;
    }
    w->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (w->signal_fd < 0) {
        return ERR_IO;
    }
    w->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->event_fd < 0) {
        (void)close(w->signal_fd);
        return ERR_IO;
    }
    return ERR_OK;
}

void watch_close(struct watch *w)
{
    (void)close(w->signal_fd);
    (void)close(w->event_fd);
}

void watch_poke(struct watch *w)
{
    const uint64_t one = 1;
    ssize_t written = write(w->event_fd, &one, sizeof(one));

    (void)written; /* EAGAIN alone can be: then there are pokes enough already */
}

static void read_signals(int fd, struct watch_news *news)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP) {
            news->reloads++;
        } else {
            news->ends++;
            news->last_end = (int)info.ssi_signo;
        }
    }
}

static int timeout_ms(uint64_t deadline_us)
{
    const uint64_t now_us = clock_mono_us();
    uint64_t ms;

    if (deadline_us == UINT64_MAX) {
        return -1;
    }
    if (deadline_us <= now_us) {
        return 0;
    }
    ms = (deadline_us - now_us + US_PER_MS - 1) / US_PER_MS; /* up: too early would wake in vain */
    return ms < INT_MAX ? (int)ms : INT_MAX;
}

void watch_sleep(struct watch *w, uint64_t deadline_us, struct watch_news *news)
{
    struct pollfd fds[] = {{.fd = w->signal_fd, .events = POLLIN},
                           {.fd = w->event_fd, .events = POLLIN}};
    uint64_t pokes;
    ssize_t got;

    *news = (struct watch_news){.ends = 0};
    (void)poll(fds, ARRAY_LEN(fds), timeout_ms(deadline_us));
    got = read(w->event_fd, &pokes, sizeof(pokes));
    (void)got; /* how many does not matter */
    read_signals(w->signal_fd, news);
}

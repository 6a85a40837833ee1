#include "support/fake_redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_MS = 5, HEARD_BYTES = 64 * 1024 };

struct player {
    struct fake_redis *fake;
    const struct fake_step *script;
    int fd;
    size_t len; /* of heard */
    char heard[HEARD_BYTES];
};

static void die(const char *what)
{
    (void)fprintf(stderr, "fake_redis: %s: %s\n", what, strerror(errno));
    abort();
}

static bool is_ending(struct fake_redis *f)
{
    return atomic_load(&f->is_ending);
}

static void sleep_ms(struct fake_redis *f, unsigned ms)
{
    for (unsigned slept = 0; slept < ms && !is_ending(f); slept++) {
        (void)usleep(1000);
    }
}

/* Returns false where it must not go on: the peer is gone, or the end has come. */
static bool wait_for(struct player *p, short events)
{
    while (!is_ending(p->fake)) {
        struct pollfd at = {.fd = p->fd, .events = events};
        int ready = poll(&at, 1, LOOK_MS);
        if (ready < 0 && errno != EINTR) {
            die("poll");
        }
        if (ready > 0) {
            return true;
        }
    }
    return false;
}

static bool say(struct player *p, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t some;
        if (!wait_for(p, POLLOUT)) {
            return false;
        }
        some = send(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (some < 0 && errno == EAGAIN) {
            continue;
        }
        if (some < 0) {
            return false;
        }
        bytes += some;
        len -= (size_t)some;
    }
    return true;
}

static bool expect(struct player *p, const char *bytes, size_t len)
{
    while (true) {
        char *found = memmem(p->heard, p->len, bytes, len);
        ssize_t some;
        if (found != NULL) {
            size_t end = (size_t)(found - p->heard) + len;
            p->len -= end;
            memmove(p->heard, p->heard + end, p->len);
            atomic_fetch_add(&p->fake->met, 1);
            return true;
        }
        if (p->len > HEARD_BYTES / 2) { /* the end may be the beginning of what is looked for */
            memmove(p->heard, p->heard + p->len - len, len);
            p->len = len;
        }
        if (!wait_for(p, POLLIN)) {
            return false;
        }
        some = recv(p->fd, p->heard + p->len, HEARD_BYTES - p->len, 0);
        if (some <= 0) {
            return false;
        }
        p->len += (size_t)some;
    }
}

/* Returns false where the script is over. */
static bool play(struct player *p, const struct fake_step *step)
{
    size_t len = step->len > 0 || step->bytes == NULL ? step->len : strlen(step->bytes);
    unsigned free_to_go;
    bool goes_on = true;

    switch (step->what) {
    case FAKE_EXPECT:
        return expect(p, step->bytes, len);
    case FAKE_ANSWER:
        return say(p, step->bytes, len);
    case FAKE_DRIP:
        for (size_t i = 0; i < len && goes_on; i++) {
            goes_on = say(p, step->bytes + i, 1);
            sleep_ms(p->fake, step->number);
        }
        return goes_on;
    case FAKE_FLOOD:
        for (unsigned i = 0; i < step->number && goes_on; i++) {
            goes_on = say(p, step->bytes, len);
        }
        return goes_on;
    case FAKE_PAUSE:
        sleep_ms(p->fake, step->number);
        return true;
    case FAKE_WAIT:
        free_to_go = atomic_load(&p->fake->going);
        while (free_to_go == 0 ||
               !atomic_compare_exchange_strong(&p->fake->going, &free_to_go, free_to_go - 1)) {
            sleep_ms(p->fake, 1);
            if (is_ending(p->fake)) {
                return false;
            }
            free_to_go = atomic_load(&p->fake->going);
        }
        return true;
    case FAKE_CLOSE:
    case FAKE_RESET:
    case FAKE_REPEAT:
    case FAKE_END:
        break;
    }
    return false;
}

static void *run_player(void *arg)
{
    struct player *p = arg;
    const struct fake_step *step = p->script;

    while (true) {
        if (step->what == FAKE_REPEAT) {
            step = p->script + step->number;
        }
        if (!play(p, step)) {
            break;
        }
        step++;
    }
    if (step->what == FAKE_END) {
        while (!is_ending(p->fake)) {
            sleep_ms(p->fake, LOOK_MS);
        }
    }
    if (step->what == FAKE_RESET) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    (void)close(p->fd);
    free(p);
    return NULL;
}

static void *run_acceptor(void *arg)
{
    struct fake_redis *f = arg;

    while (!is_ending(f)) {
        struct pollfd at = {.fd = f->listener, .events = POLLIN};
        struct player *p;
        unsigned number;
        int one = 1;
        int fd;
        if (poll(&at, 1, LOOK_MS) <= 0) {
            continue;
        }
        fd = accept(f->listener, NULL, NULL);
        if (fd < 0) {
            continue;
        }
        number = atomic_load(&f->accepted);
        p = calloc(1, sizeof *p);
        if (number == FAKE_CONNECTIONS_MAX || p == NULL) {
            die("too many connections");
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        p->fake = f;
        p->fd = fd;
        p->script = f->scripts[number < f->count ? number : f->count - 1];
        atomic_store(&f->accepted,
                     number + 1); /* first, so that whoever sees an answer sees it counted */
        if (pthread_create(&f->players[number], NULL, run_player, p) != 0) {
            die("pthread_create");
        }
    }
    return NULL;
}

void fake_redis_start(struct fake_redis *f, const struct fake_step *const *scripts, unsigned count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int small = 4096;

    *f = (struct fake_redis){.scripts = scripts, .count = count};
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* so that a connection which nobody reads fills soon */
    if (f->listener < 0 || setsockopt(f->listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small) != 0 ||
        bind(f->listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(f->listener, 64) != 0 ||
        getsockname(f->listener, (struct sockaddr *)&at, &len) != 0) {
        die("listen");
    }
    f->port = ntohs(at.sin_port);
    if (pthread_create(&f->acceptor, NULL, run_acceptor, f) != 0) {
        die("pthread_create");
    }
}

void fake_redis_go(struct fake_redis *f)
{
    atomic_fetch_add(&f->going, 1);
}

void fake_redis_stop(struct fake_redis *f)
{
    atomic_store(&f->is_ending, true);
    (void)pthread_join(f->acceptor, NULL);
    for (unsigned i = 0; i < atomic_load(&f->accepted); i++) {
        (void)pthread_join(f->players[i], NULL);
    }
    (void)close(f->listener);
}

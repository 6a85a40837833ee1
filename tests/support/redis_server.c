#include "support/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "base/assert.h"
#include "base/clock.h"

enum { ARGS_MAX = 128, STARTS_MAX = 5, ASK_MS = 5000 };

static void wait_ms(int ms)
{
    (void)poll(NULL, 0, ms);
}

static _Noreturn void give_up(const struct redis_server *s, const char *what)
{
    char path[96], bytes[4096];
    int fd;
    ssize_t got;

    (void)fprintf(stderr, "redis-server on port %u: %s; its log:\n", s->port, what);
    (void)snprintf(path, sizeof(path), "%s/log", s->dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (got = read(fd, bytes, sizeof(bytes))) > 0) {
        (void)fwrite(bytes, 1, (size_t)got, stderr);
    }
    abort();
}

uint16_t redis_server_free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ASSERT(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    ASSERT(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    (void)close(fd);
    return ntohs(at.sin_port);
}

/* ---- one command over the unix socket ---- */

static int ask_connect(const struct redis_server *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    ASSERT(fd >= 0);
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", s->dir);
    if (connect(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static struct redisReply *reply_read(int fd)
{
    const uint64_t deadline = clock_mono_us() + (uint64_t)ASK_MS * 1000;
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    ASSERT(reader != NULL);
    while (reply == NULL && clock_mono_us() < deadline) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char bytes[16384];
        ssize_t got;
        if (poll(&p, 1, 100) != 1) {
            continue;
        }
        got = recv(fd, bytes, sizeof(bytes), 0);
        if (got <= 0 || redisReaderFeed(reader, bytes, (size_t)got) != REDIS_OK ||
            redisReaderGetReply(reader, &reply) != REDIS_OK) {
            break;
        }
    }
    redisReaderFree(reader);
    return reply;
}

/* NULL: nobody there, or no answer */
static struct redisReply *try_ask(const struct redis_server *s, const char *words)
{
    int fd = ask_connect(s);
    struct redisReply *reply = NULL;

    if (fd < 0) {
        return NULL;
    }
    if (send(fd, words, strlen(words), MSG_NOSIGNAL) == (ssize_t)strlen(words) &&
        send(fd, "\r\n", 2, MSG_NOSIGNAL) == 2) {
        reply = reply_read(fd);
    }
    (void)close(fd);
    return reply;
}

struct redisReply *redis_server_ask(const struct redis_server *s, const char *words)
{
    struct redisReply *reply = try_ask(s, words);

    if (reply == NULL) {
        give_up(s, words);
    }
    return reply;
}

void redis_server_say(const struct redis_server *s, const char *words)
{
    struct redisReply *reply = redis_server_ask(s, words);

    if (reply->type == REDIS_REPLY_ERROR) {
        (void)fprintf(stderr, "%s\n", reply->str);
        give_up(s, words);
    }
    freeReplyObject(reply);
}

int64_t redis_server_number(const struct redis_server *s, const char *words)
{
    struct redisReply *reply = redis_server_ask(s, words);
    int64_t number = -1;

    if (reply->type == REDIS_REPLY_INTEGER) {
        number = reply->integer;
    } else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS) {
        char *end;
        long long text = strtoll(reply->str, &end, 10);
        number = end != reply->str && *end == '\0' ? text : -1;
    }
    freeReplyObject(reply);
    return number;
}

static bool has_part(const struct redisReply *reply, const char *part)
{
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++) {
            if (has_part(reply->element[i], part)) {
                return true;
            }
        }
        return false;
    }
    return reply->str != NULL && strstr(reply->str, part) != NULL;
}

void redis_server_wait(const struct redis_server *s, const char *words, const char *part)
{
    const uint64_t deadline = clock_mono_us() + (uint64_t)REDIS_SERVER_WAIT_MS * 1000;

    while (clock_mono_us() < deadline) {
        struct redisReply *reply = redis_server_ask(s, words);
        bool is_there = has_part(reply, part);
        freeReplyObject(reply);
        if (is_there) {
            return;
        }
        wait_ms(10);
    }
    (void)fprintf(stderr, "waited in vain for '%s' in the answer to '%s'\n", part, words);
    give_up(s, "it did not come so far");
}

/* ---- life ---- */

static _Noreturn void child(const struct redis_server *s, pid_t parent)
{
    char port[8], socket_path[96], log[96], file[96], words[REDIS_SERVER_WORDS_MAX];
    const bool is_tls = strstr(s->words, "--tls-cert-file") != NULL;
    char *argv[ARGS_MAX] = {NULL};
    char *next = words;
    size_t n = 0;
    char *const fixed[] = {"redis-server",
                           "--bind",
                           "127.0.0.1",
                           "--port",
                           is_tls ? "0" : port,
                           "--tls-port",
                           is_tls ? port : "0",
                           "--unixsocket",
                           socket_path,
                           "--logfile",
                           log,
                           "--dir",
                           (char *)s->dir,
                           "--save",
                           "",
                           "--shutdown-timeout",
                           "0",
                           "--repl-diskless-sync-delay",
                           "0",
                           "--enable-debug-command",
                           "yes"};
    char *const sentinel[] = {"redis-server", file, "--sentinel"};

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(126);
    }
    (void)snprintf(port, sizeof(port), "%u", s->port);
    (void)snprintf(socket_path, sizeof(socket_path), "%s/socket", s->dir);
    (void)snprintf(log, sizeof(log), "%s/log", s->dir);
    (void)snprintf(file, sizeof(file), "%s/sentinel.conf", s->dir);
    (void)snprintf(words, sizeof(words), "%s", s->is_sentinel ? "" : s->words);
    if (s->is_sentinel) {
        memcpy(argv, sentinel, sizeof(sentinel));
        n = ARRAY_LEN(sentinel);
    } else {
        memcpy(argv, fixed, sizeof(fixed));
        n = ARRAY_LEN(fixed);
    }
    for (char *word; (word = strsep(&next, " ")) != NULL && n < ARGS_MAX - 1;) {
        if (*word != '\0') {
            argv[n++] = word;
        }
    }
    (void)execvp(argv[0], argv);
    _exit(127);
}

/* Wait for PING's answer on its own socket: nobody else can have that. False: it ended. */
static bool is_up(struct redis_server *s)
{
    const uint64_t deadline = clock_mono_us() + (uint64_t)REDIS_SERVER_WAIT_MS * 1000;

    while (clock_mono_us() < deadline) {
        struct redisReply *reply = try_ask(s, "PING");
        bool is_ready =
            reply != NULL && (reply->type != REDIS_REPLY_ERROR ||
                              (reply->str != NULL && strncmp(reply->str, "LOADING", 7) != 0));
        if (reply != NULL) {
            freeReplyObject(reply);
        }
        if (is_ready) {
            return true;
        }
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return false;
        }
        wait_ms(5);
    }
    give_up(s, "no answer to PING");
}

static bool try_start(struct redis_server *s)
{
    const pid_t parent = getpid();
    char path[96];

    (void)snprintf(path, sizeof(path), "%s/socket", s->dir);
    (void)unlink(path); /* of one that was killed */
    s->pid = fork();
    ASSERT(s->pid >= 0);
    if (s->pid == 0) {
        child(s, parent);
    }
    return is_up(s);
}

static void make_dir(struct redis_server *s)
{
    *s = (struct redis_server){.dir = "/tmp/mywallet-redis-XXXXXX"};
    ASSERT(mkdtemp(s->dir) != NULL);
}

void redis_server_start(struct redis_server *s, const char *words)
{
    make_dir(s);
    ASSERT(strlen(words) < sizeof(s->words));
    (void)snprintf(s->words, sizeof(s->words), "%s", words);
    for (int tries = 0; tries < STARTS_MAX; tries++) { /* the port may be somebody's again by now */
        s->port = redis_server_free_port();
        if (try_start(s)) {
            return;
        }
    }
    give_up(s, "it does not start");
}

void redis_server_start_replica(struct redis_server *s, const struct redis_server *master,
                                const char *words)
{
    char all[REDIS_SERVER_WORDS_MAX];

    (void)snprintf(all, sizeof(all), "%s --replicaof 127.0.0.1 %u", words, master->port);
    redis_server_start(s, all);
    redis_server_wait(s, "INFO replication", "master_link_status:up");
}

static void sentinel_file(const struct redis_server *s, const char *name,
                          const struct redis_server *master, unsigned quorum, const char *lines)
{
    char path[96];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/sentinel.conf", s->dir);
    file = fopen(path, "we");
    ASSERT(file != NULL);
    (void)fprintf(file,
                  "port %u\nbind 127.0.0.1\ndir %s\nlogfile %s/log\nunixsocket %s/socket\n"
                  "sentinel monitor %s 127.0.0.1 %u %u\n"
                  "sentinel down-after-milliseconds %s 1500\nsentinel failover-timeout %s 3000\n%s",
                  s->port, s->dir, s->dir, s->dir, name, master->port, quorum, name, name, lines);
    ASSERT(fclose(file) == 0);
}

void redis_server_start_sentinel(struct redis_server *s, const char *name,
                                 const struct redis_server *master, unsigned quorum,
                                 const char *lines)
{
    make_dir(s);
    s->is_sentinel = true;
    for (int tries = 0; tries < STARTS_MAX; tries++) {
        s->port = redis_server_free_port();
        sentinel_file(s, name, master, quorum, lines);
        if (try_start(s)) {
            redis_server_wait(s, "SENTINEL MASTERS", name);
            return;
        }
    }
    give_up(s, "it does not start");
}

static bool has_ended(struct redis_server *s, int flags)
{
    pid_t got;

    do {
        got = waitpid(s->pid, NULL, flags);
    } while (got < 0 && errno == EINTR);
    if (got != 0) {
        s->pid = 0;
    }
    return got != 0;
}

void redis_server_kill(struct redis_server *s)
{
    if (s->pid > 0) {
        (void)kill(s->pid, SIGKILL);
        (void)has_ended(s, 0);
    }
}

void redis_server_end(struct redis_server *s)
{
    const uint64_t deadline = clock_mono_us() + (uint64_t)REDIS_SERVER_WAIT_MS * 1000;

    if (s->pid <= 0) {
        return;
    }
    while (clock_mono_us() < deadline) {
        (void)kill(s->pid, SIGCONT);
        (void)kill(s->pid, SIGTERM); /* again: it does not listen while it writes its first AOF */
        for (int i = 0; i < 40; i++) {
            if (has_ended(s, WNOHANG)) {
                return;
            }
            wait_ms(5);
        }
    }
    give_up(s, "it does not end");
}

void redis_server_restart(struct redis_server *s)
{
    ASSERT(s->pid == 0 && s->dir[0] != '\0');
    if (!try_start(s)) {
        give_up(s, "it does not start again");
    }
}

void redis_server_freeze(const struct redis_server *s)
{
    ASSERT(s->pid > 0 && kill(s->pid, SIGSTOP) == 0);
}

void redis_server_thaw(const struct redis_server *s)
{
    ASSERT(s->pid > 0 && kill(s->pid, SIGCONT) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void redis_server_stop(struct redis_server *s)
{
    redis_server_kill(s);
    if (s->dir[0] != '\0') {
        (void)nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    }
    *s = (struct redis_server){0};
}

#include "support/certs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORDS_MAX = 32 };

extern char **environ;

static void give_up(const char *what)
{
    fprintf(stderr, "certs: %s\n", what);
    exit(1);
}

/* openssl with the words of a line, one space between two. */
static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
    posix_spawn_file_actions_t actions;
    char line[1024];
    char *words[WORDS_MAX + 1] = {0};
    char *at = line;
    int status = -1;
    va_list args;
    pid_t pid;

    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (unsigned i = 0; i < WORDS_MAX && at != NULL; i++) {
        words[i] = at;
        at = strchr(at, ' ');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    if (posix_spawnp(&pid, "openssl", &actions, NULL, words, environ) != 0) {
        give_up("no openssl command");
    }
    posix_spawn_file_actions_destroy(&actions);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        give_up(line + strlen(line) + 1);
    }
}

static void path(char out[96], const struct certs *c, const char *name)
{
    (void)snprintf(out, 96, "%s/%s", c->folder, name);
}

#define NEW_KEY "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

static void make_ca(const struct certs *c, const char *name)
{
    say("openssl req -x509 " NEW_KEY " -days 2 -subj /CN=%s -keyout %s/%s.key -out %s/%s.pem", name,
        c->folder, name, c->folder, name);
}

static void make_leaf(const struct certs *c, const char *name, const char *ca, const char *names,
                      int days)
{
    char extensions[96];
    FILE *file;

    path(extensions, c, "extensions");
    file = fopen(extensions, "w");
    if (file == NULL) {
        give_up(extensions);
    }
    fprintf(file, "subjectAltName=%s\n", names);
    fclose(file);
    say("openssl req -new " NEW_KEY " -subj /CN=%s -keyout %s/%s.key -out %s/request", name,
        c->folder, name, c->folder);
    say("openssl x509 -req -in %s/request -CA %s/%s.pem -CAkey %s/%s.key -CAcreateserial -days %d "
        "-extfile %s -out %s/%s.pem",
        c->folder, c->folder, ca, c->folder, ca, days, extensions, c->folder, name);
}

void certs_make(struct certs *c)
{
    static const char server_names[] = "DNS:redis.test,DNS:localhost,IP:127.0.0.1,IP:::1";

    *c = (struct certs){.folder = "/tmp/mywallet-certs-XXXXXX"};
    if (mkdtemp(c->folder) == NULL) {
        give_up("no folder under /tmp");
    }
    path(c->ca, c, "ca.pem");
    path(c->other_ca, c, "other_ca.pem");
    path(c->server, c, "server.pem");
    path(c->server_key, c, "server.key");
    path(c->expired, c, "expired.pem");
    path(c->expired_key, c, "expired.key");
    path(c->client, c, "client.pem");
    path(c->client_key, c, "client.key");
    path(c->locked_key, c, "locked.key");
    path(c->rsa_key, c, "rsa.key");
    path(c->stranger, c, "stranger.pem");
    path(c->stranger_key, c, "stranger.key");
    make_ca(c, "ca");
    make_ca(c, "other_ca");
    make_leaf(c, "server", "ca", server_names, 2);
    make_leaf(c, "expired", "ca", server_names, -1);
    make_leaf(c, "client", "ca", "DNS:client.test", 2);
    make_leaf(c, "stranger", "other_ca", server_names, 2);
    say("openssl genrsa -out %s 2048", c->rsa_key);
    say("openssl pkcs8 -topk8 -in %s -out %s -passout pass:secret", c->server_key, c->locked_key);
}

void certs_remove(struct certs *c)
{
    DIR *folder = opendir(c->folder);
    struct dirent *entry;

    if (folder != NULL) {
        while ((entry = readdir(folder)) != NULL) {
            if (entry->d_name[0] != '.') {
                (void)unlinkat(dirfd(folder), entry->d_name, 0);
            }
        }
        closedir(folder);
    }
    (void)rmdir(c->folder);
}

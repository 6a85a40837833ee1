#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "http/http_internal.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_port(const char *text, uint16_t *port)
{
    unsigned number = 0;

    if (*text == '\0' || strlen(text) > 5) {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9') {
            return false;
        }
        number = number * 10 + (unsigned)(*text - '0');
    }
    *port = (uint16_t)number;
    return number <= UINT16_MAX;
}

static bool parse_address(const char *text, union address *out, socklen_t *len)
{
    const char *colon = strrchr(text, ':');
    char host[INET6_ADDRSTRLEN] = "";
    size_t host_len;
    uint16_t port;

    *out = (union address){0};
    if (colon == NULL || !parse_port(colon + 1, &port)) {
        return false;
    }
    host_len = (size_t)(colon - text);
    if (host_len >= 2 && text[0] == '[' && colon[-1] == ']') {
        if (host_len - 2 >= sizeof(host)) {
            return false;
        }
        memcpy(host, text + 1, host_len - 2);
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *len = sizeof(out->v6);
        return inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1;
    }
    if (host_len >= sizeof(host)) {
        return false;
    }
    memcpy(host, text, host_len);
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    *len = sizeof(out->v4);
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                     &out->v4.sin_addr) == 1;
}

bool listen_is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;

    if (address->ss_family == AF_INET) {
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->ss_family != AF_INET6) {
        return false;
    }
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

bool http_is_local(int listen_fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(address);

    return getsockname(listen_fd, (struct sockaddr *)&address, &len) == 0 &&
           listen_is_loopback(&address);
}

static enum err why_not(const char *what, const char *address, struct err_text *why)
{
    int error = errno;

    err_text_set(why, "cannot %s %s: %s", what, address, strerror(error));
    return error == EADDRINUSE ? ERR_BUSY : ERR_IO;
}

static bool set_flag(int fd, int name)
{
    int on = 1;

    return setsockopt(fd, SOL_SOCKET, name, &on, sizeof(on)) == 0;
}

static enum err bind_one(const union address *at, socklen_t len, bool is_shared,
                         const char *address, int *out, struct err_text *why)
{
    int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum err e;

    if (fd < 0) {
        return why_not("open a socket for", address, why);
    }
    if (!set_flag(fd, SO_REUSEADDR) || (is_shared && !set_flag(fd, SO_REUSEPORT)) ||
        bind(fd, &at->any, len) != 0) {
        e = why_not("listen on", address, why);
        close(fd);
        return e;
    }
    *out = fd;
    return ERR_OK;
}

static enum err open_all(union address *at, socklen_t len, const char *address, unsigned count,
                         int *fds, struct err_text *why)
{
    enum err e = bind_one(at, len, false, address, &fds[0], why);

    if (e != ERR_OK) {
        return e;
    }
    if (getsockname(fds[0], &at->any, &len) != 0) {
        return why_not("ask for the port of", address, why);
    }
    /* The first was bound alone, so nobody else has the port. From here on it shares, but never
     * stops holding it: there is no moment in which a second server could slip in between. */
    if (count > 1 && !set_flag(fds[0], SO_REUSEPORT)) {
        return why_not("share", address, why);
    }
    for (unsigned i = 1; i < count; i++) {
        e = bind_one(at, len, true, address, &fds[i], why);
        if (e != ERR_OK) {
            return e;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        if (listen(fds[i], HTTP_BACKLOG) != 0) {
            return why_not("listen on", address, why);
        }
    }
    return ERR_OK;
}

enum err http_listen(const char *address, unsigned count, int *fds, uint16_t *port,
                     struct err_text *why)
{
    union address at;
    socklen_t len;
    enum err e;

    ASSERT(count > 0);
    if (!parse_address(address, &at, &len)) {
        err_text_set(why, "\"%s\" is not ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080",
                     address);
        return ERR_INVALID;
    }
    for (unsigned i = 0; i < count; i++) {
        fds[i] = -1;
    }
    e = open_all(&at, len, address, count, fds, why);
    if (e != ERR_OK) {
        for (unsigned i = 0; i < count; i++) {
            if (fds[i] >= 0) {
                close(fds[i]);
            }
        }
        return e;
    }
    *port = ntohs(at.any.sa_family == AF_INET6 ? at.v6.sin6_port : at.v4.sin_port);
    return ERR_OK;
}

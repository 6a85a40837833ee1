#include "store/redis/url.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/assert.h"

enum { PORT_REDIS = 6379, PORT_SENTINEL = 26379, PORT_MAX = 65535, IPV6_TEXT_BYTES_MAX = 46 };

struct scheme {
    struct slice name;
    bool is_tls, is_sentinel, is_cluster;
};

static const struct scheme schemes[] = {
    {.name = SLICE("redis")},
    {.name = SLICE("rediss"), .is_tls = true},
    {.name = SLICE("redis+sentinel"), .is_sentinel = true},
    {.name = SLICE("rediss+sentinel"), .is_tls = true, .is_sentinel = true},
    {.name = SLICE("redis+cluster"), .is_cluster = true},
    {.name = SLICE("rediss+cluster"), .is_tls = true, .is_cluster = true},
};

/* No message quotes the text: what looks like a host or a port may be a piece of a password with a stray sign in it. */
static enum err refuse(struct err_text *why, const char *words)
{
    err_text_set(why, "the address of the Redis: %s", words);
    return ERR_INVALID;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decode a user or a password. */
static enum err secret_decode(struct slice text, char out[REDIS_SECRET_BYTES_MAX + 1],
                              struct err_text *why)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%') {
            int high = i + 2 < text.len ? hex_digit(text.ptr[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_digit(text.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return refuse(why, "a % in the user or password needs two hexadecimal digits behind it "
                                   "(the sign itself is %25)");
            }
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') {
            return refuse(why, "the user and the password cannot hold a zero byte");
        }
        if (len == REDIS_SECRET_BYTES_MAX) {
            return refuse(why, "the user and the password may have 255 bytes each");
        }
        out[len++] = c;
    }
    out[len] = '\0';
    return ERR_OK;
}

/* [user[:password]@]rest: takes it off the text. */
static enum err userinfo_take(struct slice *authority, struct redis_url *url, struct err_text *why)
{
    const char *at = authority->len == 0 ? NULL : memrchr(authority->ptr, '@', authority->len);
    struct slice info, user, password = SLICE_NONE;
    const char *colon;
    enum err e;

    if (at == NULL) {
        return ERR_OK;
    }
    info = slice_make(authority->ptr, (size_t)(at - authority->ptr));
    *authority = slice_make(at + 1, authority->len - info.len - 1);
    colon = info.len == 0 ? NULL : memchr(info.ptr, ':', info.len);
    user = info;
    if (colon != NULL) {
        user = slice_make(info.ptr, (size_t)(colon - info.ptr));
        password = slice_make(colon + 1, info.len - user.len - 1);
    }
    e = secret_decode(user, url->user, why);
    return e == ERR_OK ? secret_decode(password, url->password, why) : e;
}

static enum err port_parse(struct slice text, uint16_t *port, struct err_text *why)
{
    unsigned number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || number > PORT_MAX) {
            number = 0;
            break;
        }
        number = number * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (number < 1 || number > PORT_MAX) {
        return refuse(why, "a port is a number from 1 to 65535");
    }
    *port = (uint16_t)number;
    return ERR_OK;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static enum err host_put(struct slice host, struct redis_address *out, struct err_text *why)
{
    if (host.len == 0) {
        return refuse(why, "a host is missing");
    }
    if (host.len > REDIS_HOST_BYTES_MAX) {
        return refuse(why, "a host may have 255 bytes");
    }
    memcpy(out->host, host.ptr, host.len);
    out->host[host.len] = '\0';
    return ERR_OK;
}

/* [address] or [address]:port */
static enum err ipv6_parse(struct slice text, struct redis_address *out, struct err_text *why)
{
    const char *end = memchr(text.ptr, ']', text.len);
    struct slice host, rest;
    struct in6_addr ignored;
    enum err e;

    if (end == NULL) {
        return refuse(why, "a [ without its ]");
    }
    host = slice_make(text.ptr + 1, (size_t)(end - text.ptr) - 1);
    rest = slice_make(end + 1, text.len - host.len - 2);
    e = host_put(host, out, why);
    if (e != ERR_OK) {
        return e;
    }
    if (host.len >= IPV6_TEXT_BYTES_MAX || inet_pton(AF_INET6, out->host, &ignored) != 1) {
        return refuse(why, "what stands in [ ] must be an IPv6 address");
    }
    if (rest.len == 0) {
        return ERR_OK;
    }
    return rest.ptr[0] == ':' ? port_parse(slice_make(rest.ptr + 1, rest.len - 1), &out->port, why)
                              : refuse(why, "behind ] comes :port or nothing");
}

static enum err address_parse(struct slice text, uint16_t default_port, struct redis_address *out,
                              struct err_text *why)
{
    const char *colon;
    struct slice host = text;
    enum err e;

    out->port = default_port;
    if (text.len > 0 && text.ptr[0] == '[') {
        return ipv6_parse(text, out, why);
    }
    colon = text.len == 0 ? NULL : memchr(text.ptr, ':', text.len);
    if (colon != NULL) {
        host.len = (size_t)(colon - text.ptr);
        if (memchr(colon + 1, ':', text.len - host.len - 1) != NULL) {
            return refuse(why, "an IPv6 address stands in [ ]");
        }
    }
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.ptr[i])) {
            return refuse(why,
                          "a host is a name or an address; a sign such as / @ : # ? in the user or "
                          "password must be percent-encoded");
        }
    }
    e = host_put(host, out, why);
    if (e == ERR_OK && colon != NULL) {
        e = port_parse(slice_make(colon + 1, text.len - host.len - 1), &out->port, why);
    }
    return e;
}

/* host[:port][,host[:port]...] */
static enum err sentinels_parse(struct slice list, struct redis_url *url, struct err_text *why)
{
    for (;;) {
        const char *comma = list.len == 0 ? NULL : memchr(list.ptr, ',', list.len);
        struct slice one = list;
        enum err e;
        if (url->address_count == REDIS_SENTINELS_MAX) {
            return refuse(why, "16 sentinels at most");
        }
        if (comma != NULL) {
            one.len = (size_t)(comma - list.ptr);
        }
        e = address_parse(one, PORT_SENTINEL, &url->addresses[url->address_count], why);
        if (e != ERR_OK) {
            return e;
        }
        url->address_count++;
        if (comma == NULL) {
            return ERR_OK;
        }
        list = slice_make(comma + 1, list.len - one.len - 1);
    }
}

static enum err master_name_parse(struct slice path, struct redis_url *url, struct err_text *why)
{
    if (path.len < 2) {
        return refuse(why, "behind the sentinels comes /name-of-the-master");
    }
    path = slice_make(path.ptr + 1, path.len - 1);
    if (path.len >= sizeof(url->master_name)) {
        return refuse(why, "the name of the master may have 127 bytes");
    }
    for (size_t i = 0; i < path.len; i++) {
        if (!is_host_char(path.ptr[i])) {
            return refuse(why, "the name of the master has letters, digits and . - _ alone");
        }
    }
    memcpy(url->master_name, path.ptr, path.len);
    return ERR_OK;
}

static enum err path_check(struct slice path, struct err_text *why)
{
    return path.len == 0 || slice_equal(path, SLICE("/")) || slice_equal(path, SLICE("/0"))
               ? ERR_OK
               : refuse(why, "behind the port comes nothing: the ledger is in database 0");
}

static enum err parse(struct slice text, struct redis_url *url, struct err_text *why)
{
    const char *mark = text.len == 0 ? NULL : memmem(text.ptr, text.len, "://", 3);
    const struct scheme *scheme = NULL;
    struct slice name, authority, path = SLICE_NONE;
    const char *slash;
    enum err e;

    url->address_count = 0;
    if (mark == NULL) {
        url->address_count = 1;
        return address_parse(text, PORT_REDIS, &url->addresses[0], why);
    }
    name = slice_make(text.ptr, (size_t)(mark - text.ptr));
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (slice_equal_nocase(name, schemes[i].name)) {
            scheme = &schemes[i];
        }
    }
    if (scheme == NULL) {
        return refuse(why,
                      "it begins with redis://, rediss://, redis+sentinel:// or rediss+sentinel://");
    }
    if (scheme->is_cluster) {
        err_text_set(why, "the address of the Redis: Redis Cluster is not supported");
        return ERR_UNSUPPORTED;
    }
    url->is_tls = scheme->is_tls;
    url->is_sentinel = scheme->is_sentinel;
    authority = slice_make(mark + 3, text.len - name.len - 3);
    slash = authority.len == 0 ? NULL : memchr(authority.ptr, '/', authority.len);
    if (slash != NULL) {
        path = slice_make(slash, authority.len - (size_t)(slash - authority.ptr));
        authority.len -= path.len;
    }
    e = userinfo_take(&authority, url, why);
    if (e != ERR_OK) {
        return e;
    }
    if (url->is_sentinel) {
        e = sentinels_parse(authority, url, why);
        return e == ERR_OK ? master_name_parse(path, url, why) : e;
    }
    url->address_count = 1;
    e = address_parse(authority, PORT_REDIS, &url->addresses[0], why);
    return e == ERR_OK ? path_check(path, why) : e;
}

enum err redis_url_parse(struct slice text, struct redis_url *out, struct err_text *why)
{
    struct redis_url url = {0};
    enum err e = parse(text, &url, why);

    if (e == ERR_OK) {
        *out = url;
    }
    explicit_bzero(&url, sizeof(url)); /* the password */
    return e;
}

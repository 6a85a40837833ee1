/* The file an export goes to: it has its name only when it is whole and synced. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/move.h"

static enum err failed(struct err_text *why, const char *what, const char *path)
{
    const int number = errno;

    err_text_set(why, "cannot %s %s: %s", what, path, strerror(number));
    return number == ENOSPC || number == EDQUOT || number == EFBIG ? ERR_DISK_FULL : ERR_IO;
}

enum err move_output_open(struct move_output *o, const char *path, struct err_text *why)
{
    int len;

    *o = (struct move_output){.fd = STDOUT_FILENO};
    if (path == NULL || strcmp(path, "-") == 0) {
        return ERR_OK;
    }
    len = snprintf(o->part, sizeof(o->part), "%s.part", path);
    if (len < 0 || (size_t)len >= sizeof(o->part)) {
        err_text_set(why, "the name of the file is too long");
        return ERR_RANGE;
    }
    if (access(path, F_OK) == 0) {
        err_text_set(why, "%s exists already", path);
        return ERR_EXISTS;
    }
    o->fd = open(o->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (o->fd < 0) {
        return failed(why, "make", o->part);
    }
    o->path = path;
    return ERR_OK;
}

/* Make the new name durable. */
static enum err folder_sync(const char *path, struct err_text *why)
{
    char folder[sizeof(((struct move_output *)0)->part)];
    const char *slash = strrchr(path, '/');
    enum err e = ERR_OK;
    int fd;

    (void)snprintf(folder, sizeof(folder), "%.*s",
                   slash == NULL   ? 1
                   : slash == path ? 1
                                   : (int)(slash - path),
                   slash == NULL ? "." : path);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        e = failed(why, "sync the folder", folder);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return e;
}

enum err move_output_close(struct move_output *o, bool is_whole, struct err_text *why)
{
    struct stat st;
    enum err e = ERR_OK;

    if (o->path == NULL) { /* where standard output is a file, it is synced as well */
        if (is_whole && fstat(o->fd, &st) == 0 && S_ISREG(st.st_mode) && fsync(o->fd) != 0) {
            e = failed(why, "sync", "standard output");
        }
        return e;
    }
    if (is_whole && fsync(o->fd) != 0) {
        e = failed(why, "sync", o->part);
    }
    if (close(o->fd) != 0 && is_whole && e == ERR_OK) {
        e = failed(why, "close", o->part);
    }
    if (is_whole && e == ERR_OK && rename(o->part, o->path) != 0) {
        e = failed(why, "name", o->path);
    }
    if (is_whole && e == ERR_OK) {
        return folder_sync(o->path, why);
    }
    (void)unlink(o->part);
    return e;
}

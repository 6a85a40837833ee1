#include "store/embedded/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/embedded/db.h"

enum { FOLDER_PAGE_BYTES_MIN = 512 };

enum err folder_make(const char *dir, struct err_text *why)
{
    char parent[DB_PATH_BYTES_MAX];
    int fd;

    if (mkdir(dir, 0700) != 0) {
        if (errno == EEXIST) {
            return ERR_OK;
        }
        err_text_set(why, "cannot make the data folder %s: %s", dir, strerror(errno));
        return errno == ENOSPC ? ERR_DISK_FULL : ERR_IO;
    }
    (void)snprintf(parent, sizeof(parent), "%s/..", dir);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        err_text_set(why, "cannot sync the folder above %s: %s", dir, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return ERR_IO;
    }
    (void)close(fd);
    return ERR_OK;
}

enum err folder_lock(const char *dir, int *lock_fd, struct err_text *why)
{
    char path[DB_PATH_BYTES_MAX];
    char owner[32] = "";
    int len = snprintf(path, sizeof(path), "%s/lock", dir);
    int fd;

    if (len < 0 || (size_t)len >= sizeof(path)) {
        err_text_set(why, "the path of the data folder is too long");
        return ERR_RANGE;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_text_set(why, "cannot open %s: %s", path, strerror(errno));
        return errno == ENOSPC ? ERR_DISK_FULL : ERR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t got = pread(fd, owner, sizeof(owner) - 1, 0);
        (void)got; /* an empty name will do */
        err_text_set(why, "%s belongs to another mywallet, process %ld", dir,
                     strtol(owner, NULL, 10));
        (void)close(fd);
        return ERR_LOCKED;
    }
    len = snprintf(owner, sizeof(owner), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, owner, (size_t)len, 0) < 0) {
        /* only a courtesy to who comes second: a full disk must not keep the ledger from its reads */
    }
    *lock_fd = fd;
    return ERR_OK;
}

static void beside(const char *path, const char *suffix, char out[DB_PATH_BYTES_MAX + 8])
{
    (void)snprintf(out, DB_PATH_BYTES_MAX + 8, "%s%s", path, suffix);
}

static enum err mark_make(const char *dir, const char *mark, struct err_text *why)
{
    int fd = open(mark, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int dir_fd = fd < 0 ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_made = dir_fd >= 0 && fsync(dir_fd) == 0;
    const int error = errno;

    if (dir_fd >= 0) {
        (void)close(dir_fd);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!is_made) {
        err_text_set(why, "cannot make %s: %s", mark, strerror(error));
        return error == ENOSPC ? ERR_DISK_FULL : ERR_IO;
    }
    return ERR_OK;
}

enum err folder_begin(const char *dir, const char *path, struct err_text *why)
{
    char mark[DB_PATH_BYTES_MAX + 8], journal[DB_PATH_BYTES_MAX + 8];
    struct stat st;

    beside(path, "-new", mark);
    beside(path, "-journal", journal);
    if (stat(path, &st) != 0) {
        return errno == ENOENT ? mark_make(dir, mark, why) : ERR_OK; /* opening it says why */
    }
    /* a journal puts back what a transaction of SQLite's own had begun */
    if (st.st_size >= FOLDER_PAGE_BYTES_MIN || access(mark, F_OK) == 0 || access(journal, F_OK) == 0) {
        return ERR_OK;
    }
    err_text_set(why,
                 "%s has %lld bytes: it was a ledger, and is cut off; restore it, or remove it to "
                 "begin an empty one",
                 path, (long long)st.st_size);
    return ERR_CORRUPT;
}

void folder_made(const char *path)
{
    char mark[DB_PATH_BYTES_MAX + 8];

    beside(path, "-new", mark);
    (void)unlink(mark); /* one that stays is removed by the next start */
}

void folder_file_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0) { /* where it cannot be made, opening the ledger says why */
        (void)close(fd);
    }
}

/*
 * Write-ahead logs: any bytes at all must get an answer without a crash, and the same one twice; a log cut anywhere in
 * what it has not committed is no damage. The first byte of an input says where to cut.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"
#include "store/embedded/wal_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void put(int fd, const uint8_t *bytes, size_t len)
{
    ASSERT(ftruncate(fd, 0) == 0);
    ASSERT(pwrite(fd, bytes, len, 0) == (ssize_t)len);
}

static enum err check(const char *path)
{
    struct err_text why = {""};
    enum err e = wal_check(path, &why);

    ASSERT(e == ERR_OK || e == ERR_CORRUPT);
    ASSERT((e == ERR_OK) == (why.text[0] == '\0'));
    ASSERT(e == ERR_OK || strstr(why.text, path) != NULL);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    char path[64];
    size_t kept;
    enum err e;
    int fd;

    if (len < 1) {
        return 0;
    }
    fd = memfd_create("wal", MFD_CLOEXEC);
    ASSERT(fd >= 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    put(fd, bytes + 1, len - 1);
    e = check(path);
    ASSERT(check(path) == e);
    kept = (len - 1) * bytes[0] / 256;
    put(fd, bytes + 1, kept);
    /* where the whole has no damage, neither has a beginning of it: a cut leaves no valid frame behind a bad one */
    ASSERT(check(path) == ERR_OK || e == ERR_CORRUPT);
    (void)close(fd);
    return 0;
}

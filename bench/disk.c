/*
 * The disk's own answer time: append 4 KiB, fdatasync, and again, in the folder that the ledger will use. No commit can be
 * faster than this; a latency figure is read beside it.
 * Usage: disk --dir FOLDER [--seconds 3]
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/tool.h"

enum { PAGE_BYTES = 4096, PATH_BYTES_MAX = 4096 };

int main(int argc, char **argv)
{
    struct histogram h = {0};
    const char *dir = NULL;
    uint64_t seconds = 3, end_ns;
    const struct tool_flag flags[] = {{"--dir", .text = &dir}, {"--seconds", .number = &seconds}};
    char path[PATH_BYTES_MAX], page[PAGE_BYTES];
    int fd;

    tool_flags_read(argc, argv, flags, sizeof(flags) / sizeof(flags[0]));
    if (dir == NULL || snprintf(path, sizeof(path), "%s/fdatasync.tmp", dir) >= (int)sizeof(path)) {
        tool_die("disk: --dir FOLDER is missing or too long");
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        tool_die("disk: cannot make %s", path);
    }
    (void)unlink(path);
    memset(page, 0x5a, sizeof(page));
    end_ns = tool_now_ns() + seconds * UINT64_C(1000000000);
    while (tool_now_ns() < end_ns) {
        uint64_t start_ns = tool_now_ns();
        if (write(fd, page, sizeof(page)) != PAGE_BYTES || fdatasync(fd) != 0) {
            tool_die("disk: cannot write in %s", dir);
        }
        histogram_add(&h, tool_now_ns() - start_ns);
    }
    (void)close(fd);
    (void)printf("syncs=%llu ", (unsigned long long)h.total);
    histogram_print_us(&h);
    return 0;
}

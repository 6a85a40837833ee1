/* The process_* family, as every Prometheus client shows it, read from /proc/self at the scrape. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "metrics/metrics.h"
#include "metrics/metrics_internal.h"

enum {
    STAT_BYTES_MAX = 1024,
    LABELS_BYTES_MAX = 256,
    /* fields of proc(5) stat, counted from 1 */
    STAT_UTIME = 14,
    STAT_STIME = 15,
    STAT_THREADS = 20,
    STAT_START = 22,
    STAT_VSIZE = 23,
    STAT_RSS = 24,
};

/* Microseconds of a number of ticks, without overflow for any uptime. */
static uint64_t ticks_us(uint64_t ticks)
{
    long hz = sysconf(_SC_CLK_TCK);
    uint64_t per_second = hz > 0 ? (uint64_t)hz : 100;

    return ticks / per_second * 1000000 + ticks % per_second * 1000000 / per_second;
}

static bool number_parse(const char **at, const char *end, uint64_t *number)
{
    const char *start = *at;
    uint64_t value = 0;

    while (*at < end && **at >= '0' && **at <= '9') {
        value = value * 10 + (uint64_t)(**at - '0');
        (*at)++;
    }
    *number = value;
    return *at > start;
}

bool metrics_stat_parse(struct slice text, struct metrics_stat *stat)
{
    /* the program's name stands in parentheses and may itself hold parentheses and blanks */
    const char *at = text.len == 0 ? NULL : memrchr(text.ptr, ')', text.len);
    const char *end = text.len == 0 ? NULL : text.ptr + text.len;
    uint64_t fields[STAT_RSS + 1] = {0};

    if (at == NULL) {
        return false;
    }
    at++;
    for (int field = 3; field <= STAT_RSS; field++) {
        if (at >= end || *at++ != ' ') {
            return false;
        }
        if (field <
            STAT_UTIME) { /* the state is a letter and some others may be negative: none is shown */
            while (at < end && *at != ' ') {
                at++;
            }
        } else {
            if (at < end && *at == '-') { /* the priority */
                at++;
            }
            if (!number_parse(&at, end, &fields[field])) {
                return false;
            }
        }
    }
    *stat = (struct metrics_stat){
        .cpu_ticks = fields[STAT_UTIME] + fields[STAT_STIME],
        .threads = fields[STAT_THREADS],
        .start_ticks = fields[STAT_START],
        .virtual_bytes = fields[STAT_VSIZE],
        .resident_pages = fields[STAT_RSS],
    };
    return true;
}

static bool stat_read(struct metrics_stat *stat)
{
    char text[STAT_BYTES_MAX];
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0) {
        return false;
    }
    len = read(fd, text, sizeof(text));
    (void)close(fd);
    return len > 0 && metrics_stat_parse(slice_make(text, (size_t)len), stat);
}

static bool open_fds_count(uint64_t *count)
{
    DIR *dir = opendir("/proc/self/fd");
    uint64_t entries = 0;

    if (dir == NULL) {
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        entries += entry->d_name[0] != '.' ? 1 : 0;
    }
    (void)closedir(dir);
    *count = entries > 0 ? entries - 1 : 0; /* less the folder that is being read */
    return true;
}

static void number_render(struct buf *out, const char *name, const char *help, uint64_t value)
{
    metrics_family_render(out, name, help, "gauge");
    buf_append_text(out, name);
    buf_append_byte(out, ' ');
    buf_append_u64(out, value);
    buf_append_byte(out, '\n');
}

static void seconds_render(struct buf *out, const char *name, const char *help, const char *type,
                           uint64_t us)
{
    metrics_family_render(out, name, help, type);
    buf_append_text(out, name);
    buf_append_byte(out, ' ');
    metrics_seconds_render(out, us);
    buf_append_byte(out, '\n');
}

void metrics_process_render(const struct metrics *m, struct buf *out)
{
    struct metrics_stat stat;
    struct rlimit limit;
    uint64_t open_fds;

    if (stat_read(&stat)) {
        long page = sysconf(_SC_PAGESIZE);

        seconds_render(out, "process_cpu_seconds_total",
                       "User and system CPU time spent, in seconds.", "counter",
                       ticks_us(stat.cpu_ticks));
        number_render(out, "process_resident_memory_bytes", "Resident memory size in bytes.",
                      stat.resident_pages * (uint64_t)(page > 0 ? page : 4096));
        number_render(out, "process_virtual_memory_bytes", "Virtual memory size in bytes.",
                      stat.virtual_bytes);
        number_render(out, "process_threads", "Number of OS threads in the process.", stat.threads);
    }
    if (open_fds_count(&open_fds)) {
        number_render(out, "process_open_fds", "Number of open file descriptors.", open_fds);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        number_render(out, "process_max_fds", "Maximum number of open file descriptors.",
                      (uint64_t)limit.rlim_cur);
    }
    if (m->process_start_us != 0) {
        seconds_render(out, "process_start_time_seconds",
                       "Start time of the process since the Unix epoch, in seconds.", "gauge",
                       m->process_start_us);
    }
}

static int64_t one(void *ctx)
{
    (void)ctx;
    return 1;
}

/* Asked once: a later step of the wall clock must not look like a restart. 0 when the system does not tell. */
static uint64_t process_start_us(void)
{
    struct metrics_stat stat;
    struct timespec up;
    uint64_t boot_us;

    if (!stat_read(&stat) || clock_gettime(CLOCK_BOOTTIME, &up) != 0) {
        return 0;
    }
    boot_us =
        (uint64_t)clock_wall_us() - ((uint64_t)up.tv_sec * 1000000 + (uint64_t)up.tv_nsec / 1000);
    return boot_us + ticks_us(stat.start_ticks);
}

enum err metrics_process(struct metrics *m, const char *version)
{
    struct buf labels;
    enum err e;

    ASSERT(m != NULL && version != NULL);
    buf_init(&labels, LABELS_BYTES_MAX);
    metrics_label(&labels, "version", slice_of(version));
    buf_append_byte(&labels, '\0');
    e = labels.err;
    if (e == ERR_OK) {
        e = metrics_asked(m, "wallet_build_info", "Constant 1, labelled with the version that runs.",
                          labels.ptr, 0, one, NULL);
    }
    buf_fini(&labels);
    if (e != ERR_OK) {
        return ERR_NOMEM;
    }
    m->process_start_us = process_start_us();
    m->has_process = true;
    return ERR_OK;
}

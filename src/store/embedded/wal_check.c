#include "store/embedded/wal_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

enum { HEADER_BYTES = 32, FRAME_HEAD_BYTES = 24, PAGE_BYTES_MIN = 512, PAGE_BYTES_MAX = 65536 };
#define MAGIC UINT32_C(0x377f0682) /* its lowest bit says that checksums read big-endian words */

struct sum {
    uint32_t a, b;
};

struct wal {
    const uint8_t *bytes; /* the whole file; owned */
    size_t len;
    size_t frame_bytes; /* head and page */
    size_t frames;
    bool is_big_endian;
};

static uint32_t get_be(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint32_t get_le(const uint8_t *at)
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

static struct sum checksum(const struct wal *w, struct sum s, const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        s.a += (w->is_big_endian ? get_be(at + i) : get_le(at + i)) + s.b;
        s.b += (w->is_big_endian ? get_be(at + i + 4) : get_le(at + i + 4)) + s.a;
    }
    return s;
}

static const uint8_t *frame(const struct wal *w, size_t i)
{
    ASSERT(i < w->frames);
    return w->bytes + HEADER_BYTES + i * w->frame_bytes;
}

static struct sum stored_sum(const uint8_t *at)
{
    return (struct sum){.a = get_be(at), .b = get_be(at + 4)};
}

/* The checksum that frame i starts from: the one stored before it, whether or not that is right itself. */
static struct sum seed(const struct wal *w, size_t i)
{
    return i == 0 ? stored_sum(w->bytes + 24) : stored_sum(frame(w, i - 1) + 16);
}

static bool salts_equal(const struct wal *w, size_t i)
{
    return memcmp(frame(w, i) + 8, w->bytes + 16, 8) == 0;
}

static bool sum_holds(const struct wal *w, size_t i, struct sum from)
{
    const uint8_t *f = frame(w, i);
    struct sum s = checksum(w, from, f, 8);
    struct sum stored = stored_sum(f + 16);

    s = checksum(w, s, f + FRAME_HEAD_BYTES, w->frame_bytes - FRAME_HEAD_BYTES);
    return s.a == stored.a && s.b == stored.b;
}

/* Right, given what is stored before it. */
static bool is_valid(const struct wal *w, size_t i)
{
    return get_be(frame(w, i)) != 0 && salts_equal(w, i) && sum_holds(w, i, seed(w, i));
}

static bool is_commit(const struct wal *w, size_t i)
{
    return get_be(frame(w, i) + 4) != 0;
}

/* Does the bad frame end an earlier transaction than the one committed by frame `commit`? SQLite writes the pages of a
 * transaction in rising order, so a page number that falls back starts a new one. */
static bool ends_earlier(const struct wal *w, size_t bad, size_t commit)
{
    if (salts_equal(w, bad) && is_commit(w, bad)) {
        return true;
    }
    if (bad == 0 || is_commit(w, bad - 1)) {
        return false; /* the bad frame is the first of the last transaction */
    }
    for (size_t i = bad + 1; i <= commit; i++) {
        if (get_be(frame(w, i)) <= get_be(frame(w, bad - 1))) {
            return true;
        }
    }
    return false;
}

static enum err frames_check(const struct wal *w, const char *path, struct err_text *why)
{
    size_t bad = 0, commits = 0, commit = 0, last_valid = 0;

    while (bad < w->frames && is_valid(w, bad)) {
        bad++;
    }
    for (size_t i = bad + 1; i < w->frames; i++) {
        if (is_valid(w, i)) {
            last_valid = i;
            if (is_commit(w, i)) {
                commits++;
                commit = i;
            }
        }
    }
    if (commits == 0 || (commits == 1 && last_valid == commit && !ends_earlier(w, bad, commit))) {
        return ERR_OK;
    }
    err_text_set(why,
                 "%s is damaged at frame %zu (byte %zu): committed transactions stand behind it, and opening the ledger "
                 "would drop them. Restore the file from a copy or a backup",
                 path, bad + 1, HEADER_BYTES + bad * w->frame_bytes);
    return ERR_CORRUPT;
}

/* The header is bad: fine for a log that never got a frame, damage where frames follow that belong together. */
static enum err header_damage_check(struct wal *w, const char *path, struct err_text *why)
{
    bool has_frames = false;

    for (size_t page = PAGE_BYTES_MIN; page <= PAGE_BYTES_MAX && !has_frames; page *= 2) {
        struct sum of_bytes;
        w->frame_bytes = FRAME_HEAD_BYTES + page;
        w->frames = (w->len - HEADER_BYTES) / w->frame_bytes;
        if (w->frames == 0) {
            break;
        }
        of_bytes = checksum(w, (struct sum){0}, w->bytes, 24);
        has_frames = sum_holds(w, 0, of_bytes) || sum_holds(w, 0, stored_sum(w->bytes + 24)) ||
                     (w->frames > 1 && sum_holds(w, 1, seed(w, 1)));
    }
    if (!has_frames) {
        return ERR_OK;
    }
    err_text_set(why, "%s has a damaged header before valid frames: opening the ledger would drop them. Restore the "
                      "file from a copy or a backup", path);
    return ERR_CORRUPT;
}

static enum err wal_inspect(struct wal *w, const char *path, struct err_text *why)
{
    const uint32_t magic = get_be(w->bytes);
    const uint32_t page = get_be(w->bytes + 8);
    struct sum s, stored = stored_sum(w->bytes + 24);

    w->is_big_endian = (magic & 1) != 0;
    s = checksum(w, (struct sum){0}, w->bytes, 24);
    if ((magic & ~UINT32_C(1)) != MAGIC || page < PAGE_BYTES_MIN || page > PAGE_BYTES_MAX || (page & (page - 1)) != 0 ||
        s.a != stored.a || s.b != stored.b) {
        w->is_big_endian = false; /* ours are written by little-endian machines */
        return header_damage_check(w, path, why);
    }
    w->frame_bytes = FRAME_HEAD_BYTES + page;
    w->frames = (w->len - HEADER_BYTES) / w->frame_bytes;
    return frames_check(w, path, why);
}

static enum err file_read(int fd, uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t got = pread(fd, bytes + at, len - at, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return ERR_IO;
        }
        at += (size_t)got;
    }
    return ERR_OK;
}

enum err wal_check(const char *wal_path, struct err_text *why)
{
    struct wal w = {0};
    struct stat st;
    uint8_t *bytes = NULL;
    enum err e = ERR_IO;
    int fd = open(wal_path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        if (errno == ENOENT) {
            return ERR_OK;
        }
        goto fail;
    }
    if (fstat(fd, &st) != 0) {
        goto fail;
    }
    if (st.st_size <= HEADER_BYTES) {
        (void)close(fd);
        return ERR_OK;
    }
    w.len = (size_t)st.st_size;
    bytes = mem_alloc(w.len);
    if (bytes == NULL) {
        e = ERR_NOMEM;
        goto fail;
    }
    w.bytes = bytes;
    e = file_read(fd, bytes, w.len);
    if (e != ERR_OK) {
        goto fail;
    }
    e = wal_inspect(&w, wal_path, why);
    mem_free(bytes);
    (void)close(fd);
    return e;

fail:
    err_text_set(why, "cannot read %s: %s", wal_path, e == ERR_NOMEM ? "out of memory" : strerror(errno));
    mem_free(bytes);
    if (fd >= 0) {
        (void)close(fd);
    }
    return e;
}

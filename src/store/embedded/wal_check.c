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

enum {
    HEADER_BYTES = 32,
    FRAME_HEAD_BYTES = 24,
    PAGE_BYTES_MIN = 512,
    PAGE_BYTES_MAX = 65536,
    SECTOR_BYTES = 512
};
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

/* What the checksum of frame i should be, with a given page number and size. */
static struct sum sum_of(const struct wal *w, size_t i, struct sum from, const uint8_t head[8])
{
    return checksum(w, checksum(w, from, head, 8), frame(w, i) + FRAME_HEAD_BYTES,
                    w->frame_bytes - FRAME_HEAD_BYTES);
}

static bool sums_equal(struct sum x, struct sum y)
{
    return x.a == y.a && x.b == y.b;
}

static bool sum_holds(const struct wal *w, size_t i, struct sum from)
{
    const uint8_t *f = frame(w, i);

    return sums_equal(sum_of(w, i, from, f), stored_sum(f + 16));
}

static bool is_valid_from(const struct wal *w, size_t i, struct sum from)
{
    return get_be(frame(w, i)) != 0 && salts_equal(w, i) && sum_holds(w, i, from);
}

/* Right, given what is stored before it. */
static bool is_valid(const struct wal *w, size_t i)
{
    return is_valid_from(w, i, seed(w, i));
}

static bool is_commit(const struct wal *w, size_t i)
{
    return get_be(frame(w, i) + 4) != 0;
}

/* Of this log, or it was before damage: a frame of the log before differs in both salts. */
static bool salts_near(const struct wal *w, size_t i)
{
    const uint8_t *salts = frame(w, i) + 8;

    return memcmp(salts, w->bytes + 16, 4) == 0 || memcmp(salts + 4, w->bytes + 20, 4) == 0;
}

/* May a power cut have left page number and size of an older frame before the salts of a newer? Sectors are whole. */
static bool is_split(const struct wal *w, size_t i)
{
    return (HEADER_BYTES + i * w->frame_bytes) % SECTOR_BYTES == SECTOR_BYTES - 8;
}

/* Do page number and size of frame i say what its transaction wrote there? */
static bool is_telling(const struct wal *w, size_t i)
{
    return is_valid(w, i) || (salts_near(w, i) && !is_split(w, i));
}

/* Would the frame be right with one bit of its page number or size turned? A torn write never looks so. */
static bool is_one_bit_off(const struct wal *w, size_t i)
{
    const uint8_t *f = frame(w, i);
    const struct sum stored = stored_sum(f + 16);

    if (!salts_equal(w, i) || is_split(w, i)) {
        return false;
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        uint8_t head[8];
        memcpy(head, f, sizeof(head));
        head[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (sums_equal(sum_of(w, i, seed(w, i), head), stored)) {
            return true;
        }
    }
    return false;
}

/* Does a transaction end between the first bad frame and `commit`, the only valid commit behind it? SQLite writes the
 * pages of a transaction in rising order (nothing is spilled, see db.c), so a page number that falls back starts a new
 * one. */
static bool ends_earlier(const struct wal *w, size_t bad, size_t commit)
{
    uint32_t page = bad == 0 || is_commit(w, bad - 1) ? 0 : get_be(frame(w, bad - 1));

    if (is_one_bit_off(w, bad)) {
        return true;
    }
    for (size_t i = bad; i <= commit; i++) {
        if (!is_telling(w, i)) {
            continue;
        }
        if (get_be(frame(w, i)) <= page || (i < commit && is_commit(w, i))) {
            return true;
        }
        page = get_be(frame(w, i));
    }
    return false;
}

static enum err frames_check(const struct wal *w, const char *path, struct err_text *why)
{
    size_t bad = 0, commits = 0, commit = 0;

    while (bad < w->frames && is_valid(w, bad)) {
        bad++;
    }
    for (size_t i = bad + 1; i < w->frames; i++) {
        /* where the bad frame's checksum alone is damaged, the one that builds on it does not know what was right */
        const bool is_next =
            i == bad + 1 && is_valid_from(w, i, sum_of(w, bad, seed(w, bad), frame(w, bad)));
        if (is_commit(w, i) && (is_next || is_valid(w, i))) {
            commits++;
            commit = i;
        }
    }
    /* a frame that builds on the commit was begun when the commit was durable; one further on may be the remains of a
     * transaction that failed on a full disk */
    if (commits == 0 || (commits == 1 && !(commit + 1 < w->frames && is_valid(w, commit + 1)) &&
                         !ends_earlier(w, bad, commit))) {
        return ERR_OK;
    }
    err_text_set(
        why,
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
    err_text_set(
        why,
        "%s has a damaged header before valid frames: opening the ledger would drop them. Restore the "
        "file from a copy or a backup",
        path);
    return ERR_CORRUPT;
}

static enum err wal_inspect(struct wal *w, const char *path, struct err_text *why)
{
    const uint32_t magic = get_be(w->bytes);
    const uint32_t page = get_be(w->bytes + 8);
    struct sum s, stored = stored_sum(w->bytes + 24);

    w->is_big_endian = (magic & 1) != 0;
    s = checksum(w, (struct sum){0}, w->bytes, 24);
    if ((magic & ~UINT32_C(1)) != MAGIC || page < PAGE_BYTES_MIN || page > PAGE_BYTES_MAX ||
        (page & (page - 1)) != 0 || s.a != stored.a || s.b != stored.b) {
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

enum err wal_base_check(const char *path, const char *wal_path, struct err_text *why)
{
    struct stat st;

    if (stat(wal_path, &st) != 0) {
        return errno == ENOENT ? ERR_OK : ERR_IO;
    }
    if (st.st_size <= HEADER_BYTES) {
        return ERR_OK;
    }
    if (stat(path, &st) == 0) {
        if (st.st_size >= PAGE_BYTES_MIN) {
            return ERR_OK;
        }
    } else if (errno != ENOENT) {
        return ERR_IO;
    }
    err_text_set(why,
                 "%s is missing or cut off, and its log %s holds what was written last: restore the "
                 "file that belongs to it",
                 path, wal_path);
    return ERR_CORRUPT;
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
    err_text_set(why, "cannot read %s: %s", wal_path,
                 e == ERR_NOMEM ? "out of memory" : strerror(errno));
    mem_free(bytes);
    if (fd >= 0) {
        (void)close(fd);
    }
    return e;
}

#include "sim/crash_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

enum { SECTOR = 512, PATH_MAX_HERE = 320 };

static const char *const names[SIM_FILES] =
    {[SIM_DB] = "ledger.db", [SIM_WAL] = "ledger.db-wal", [SIM_JOURNAL] = "ledger.db-journal"};

static void reserve(struct image_file *f, size_t len)
{
    if (len > f->cap) {
        f->cap = len * 2 + 4096;
        f->bytes = realloc(f->bytes, f->cap);
        ASSERT(f->bytes != NULL);
    }
}

static void extend(struct image_file *f, size_t len)
{
    reserve(f, len);
    if (len > f->len) {
        memset(f->bytes + f->len, 0, len - f->len);
        f->len = len;
    }
}

static void put_bytes(struct image_file *f, size_t at, const uint8_t *bytes, size_t len)
{
    extend(f, at + len);
    memcpy(f->bytes + at, bytes, len);
}

/* One event, whole. */
static void apply(struct image *image, const struct sim_event *e)
{
    struct image_file *f = &image->files[e->file];

    switch (e->kind) {
    case SIM_WRITE:
        f->exists = true;
        put_bytes(f, (size_t)e->offset, e->bytes, e->len);
        break;
    case SIM_TRUNCATE:
        f->exists = true;
        extend(f, (size_t)e->offset);
        f->len = (size_t)e->offset;
        break;
    case SIM_DELETE:
        f->exists = false;
        f->len = 0;
        break;
    case SIM_SYNC:
    case SIM_NOTE:
        break;
    }
}

/* A write, but only some of its sectors: those before `cut`, or where cut is 0 any. */
static void apply_sectors(struct image *image, const struct sim_event *e, size_t cut, unsigned keep,
                          struct prng *p)
{
    struct image_file *f = &image->files[e->file];
    const size_t start = (size_t)e->offset, end = start + e->len;
    size_t at = start;

    f->exists = true;
    while (at < end) {
        size_t next = (at / SECTOR + 1) * SECTOR < end ? (at / SECTOR + 1) * SECTOR : end;
        if (cut != 0 ? at < cut : prng_below(p, 16) < keep) {
            put_bytes(f, at, e->bytes + (at - start), next - at);
        }
        at = next;
    }
}

void imager_init(struct imager *im, const struct sim_log *log, struct image start)
{
    *im = (struct imager){.log = log, .durable = start};
}

void imager_fini(struct imager *im)
{
    image_free(&im->durable);
}

void imager_step(struct imager *im)
{
    const struct sim_event *e = &im->log->events[im->at++];

    if (e->kind != SIM_SYNC) {
        return;
    }
    for (size_t i = im->durable_to[e->file]; i < e->covers; i++) {
        if (im->log->events[i].file == e->file) {
            apply(&im->durable, &im->log->events[i]);
        }
    }
    if (e->covers > im->durable_to[e->file]) {
        im->durable_to[e->file] = e->covers;
    }
    if (e->file == SIM_WAL) {
        /* the first sync of a new log syncs the folder too, and with it that the journal of its making is gone */
        for (size_t i = im->durable_to[SIM_JOURNAL]; i < e->covers; i++) {
            if (im->log->events[i].file == SIM_JOURNAL && im->log->events[i].kind == SIM_DELETE) {
                apply(&im->durable, &im->log->events[i]);
                im->durable_to[SIM_JOURNAL] = i + 1;
            }
        }
    }
}

static bool is_pending(const struct imager *im, size_t i)
{
    const struct sim_event *e = &im->log->events[i];

    return e->kind != SIM_SYNC && e->kind != SIM_NOTE && i >= im->durable_to[e->file];
}

static size_t first_pending(const struct imager *im)
{
    size_t first = im->at;

    for (int f = 0; f < SIM_FILES; f++) {
        first = im->durable_to[f] < first ? im->durable_to[f] : first;
    }
    return first;
}

size_t imager_pending(const struct imager *im)
{
    size_t count = 0;

    for (size_t i = first_pending(im); i < im->at; i++) {
        count += is_pending(im, i);
    }
    return count;
}

struct image imager_crash(const struct imager *im, enum image_way way, struct prng *p)
{
    struct image image = image_copy(&im->durable);
    const unsigned keep = 1 + (unsigned)prng_below(p, 15);
    size_t last = im->at;

    for (size_t i = first_pending(im); i < im->at; i++) {
        last = is_pending(im, i) ? i : last;
    }
    for (size_t i = first_pending(im); i < im->at && way != IMAGE_NONE; i++) {
        const struct sim_event *e = &im->log->events[i];
        if (!is_pending(im, i)) {
            continue;
        }
        if (way == IMAGE_TORN && e->kind == SIM_WRITE) {
            apply_sectors(&image, e, 0, keep, p);
        } else if (way == IMAGE_CUT && i == last && e->kind == SIM_WRITE) {
            const size_t sectors = e->len / SECTOR + 1;
            const size_t cut = ((size_t)e->offset / SECTOR + prng_below(p, sectors)) * SECTOR;
            apply_sectors(&image, e, cut == 0 ? 1 : cut, 0, p);
        } else if ((way != IMAGE_SOME && way != IMAGE_TORN) || prng_below(p, 16) < keep) {
            apply(&image, e);
        }
    }
    return image;
}

/* ---- files ---- */

void image_put(const struct image *image, const char *dir)
{
    char path[PATH_MAX_HERE];

    for (int i = 0; i < SIM_FILES; i++) {
        const struct image_file *f = &image->files[i];
        size_t at = 0;
        int fd;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        if (!f->exists) {
            (void)unlink(path);
            continue;
        }
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        ASSERT(fd >= 0);
        while (at < f->len) {
            ssize_t put = write(fd, f->bytes + at, f->len - at);
            ASSERT(put > 0);
            at += (size_t)put;
        }
        close(fd);
    }
}

struct image image_get(const char *dir)
{
    struct image image = {0};
    char path[PATH_MAX_HERE];

    for (int i = 0; i < SIM_FILES; i++) {
        struct image_file *f = &image.files[i];
        struct stat st;
        int fd;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        fd = open(path, O_RDONLY);
        if (fd < 0) {
            ASSERT(errno == ENOENT);
            continue;
        }
        f->exists = true;
        ASSERT(fstat(fd, &st) == 0);
        reserve(f, (size_t)st.st_size);
        while (f->len < (size_t)st.st_size) {
            ssize_t got = read(fd, f->bytes + f->len, (size_t)st.st_size - f->len);
            ASSERT(got > 0);
            f->len += (size_t)got;
        }
        close(fd);
    }
    return image;
}

struct image image_copy(const struct image *image)
{
    struct image copy = {0};

    for (int i = 0; i < SIM_FILES; i++) {
        const struct image_file *f = &image->files[i];
        copy.files[i].exists = f->exists;
        if (f->len > 0) {
            put_bytes(&copy.files[i], 0, f->bytes, f->len);
        }
    }
    return copy;
}

void image_free(struct image *image)
{
    for (int i = 0; i < SIM_FILES; i++) {
        free(image->files[i].bytes);
    }
    *image = (struct image){0};
}

uint64_t image_digest(const struct image *image)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (int i = 0; i < SIM_FILES; i++) {
        const struct image_file *f = &image->files[i];
        h = (h ^ (f->exists ? f->len + 1 : 0)) * UINT64_C(0x100000001b3);
        for (size_t at = 0; at + 8 <= f->len; at += 8) {
            uint64_t word;
            memcpy(&word, f->bytes + at, sizeof(word));
            h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
            h ^= h >> 29;
        }
        for (size_t at = f->len / 8 * 8; at < f->len; at++) {
            h = (h ^ f->bytes[at]) * UINT64_C(0x100000001b3);
        }
    }
    return h;
}

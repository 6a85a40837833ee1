/* What a power cut may leave of a ledger's files, built from a recording of everything that was written. */
#ifndef SIM_CRASH_IMAGE_H
#define SIM_CRASH_IMAGE_H

#include "base/prng.h"
#include "sim/fault_vfs.h"

/** The bytes of one file. */
struct image_file {
    uint8_t *bytes;
    size_t len, cap;
    bool exists;
};

struct image {
    struct image_file files[SIM_FILES];
};

/** Which of the writes that were not synced are there. */
enum image_way {
    IMAGE_ALL,  /* every one: a process kill */
    IMAGE_NONE, /* none */
    IMAGE_CUT,  /* the last one only up to some sector */
    IMAGE_SOME, /* any of them, each whole */
    IMAGE_TORN, /* any of their sectors of 512 bytes */
    IMAGE_WAYS,
};

/**
 * Walks a log event by event. Between two events there are the bytes that are durable, and the events since then, of which a
 * crash keeps what it likes.
 */
struct imager {
    const struct sim_log *log;
    size_t at; /* events before this one have happened */
    struct image durable;
    size_t durable_to[SIM_FILES]; /* events before this one are in `durable`, of that file */
};

/** Start with the files as they were before the log; takes over their memory. */
void imager_init(struct imager *im, const struct sim_log *log, struct image start);
void imager_fini(struct imager *im);

/** Let one event more happen. */
void imager_step(struct imager *im);

/** How many events are not durable, of all files. */
size_t imager_pending(const struct imager *im);

/** Build one image of a crash now; freed by image_free. */
struct image imager_crash(const struct imager *im, enum image_way way, struct prng *p);

/** Put an image into a folder as files; read one from there. */
void image_put(const struct image *image, const char *dir);
struct image image_get(const char *dir);
struct image image_copy(const struct image *image);
void image_free(struct image *image);

/** A digest of an image, to know those that were seen. */
uint64_t image_digest(const struct image *image);

#endif

#include "sim/fault_vfs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "base/assert.h"

enum { DIR_BYTES_MAX = 256 };

struct file {
    sqlite3_file base;
    enum sim_file which;
    bool is_recorded;
    int last_errno;     /* of the last operation that was made to fail */
    sqlite3_file *real; /* behind this struct, in the same memory */
};

static struct {
    pthread_mutex_t mutex;
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    sqlite3_io_methods methods;
    struct fault_plan plan;
    bool is_paused;
    uint64_t counted, failed;
    bool is_recording;
    char dir[DIR_BYTES_MAX];
    struct sim_log log;
} sim = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- faults ---- */

/* The error that this operation is to fail with; 0: it works. */
static int must_fail(enum fault_op op)
{
    static const int numbers[] = {[FAULT_EIO] = EIO, [FAULT_ENOSPC] = ENOSPC, [FAULT_EFBIG] = EFBIG};
    int number = 0;

    pthread_mutex_lock(&sim.mutex);
    if ((sim.plan.ops & (unsigned)op) != 0 && !sim.is_paused) {
        sim.counted++;
        if (sim.plan.at != 0 &&
            (sim.counted == sim.plan.at || (sim.plan.is_persistent && sim.counted > sim.plan.at))) {
            sim.failed++;
            number = numbers[sim.plan.error];
        }
    }
    pthread_mutex_unlock(&sim.mutex);
    return number;
}

/* As SQLite's unix VFS answers: a full disk has a name of its own on writes alone. */
static int failure(enum fault_op op, int number)
{
    errno = number;
    switch (op) {
    case FAULT_WRITE:
        return number == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    case FAULT_SYNC:
        return SQLITE_IOERR_FSYNC;
    case FAULT_TRUNCATE:
        return SQLITE_IOERR_TRUNCATE;
    case FAULT_OPEN:
        return SQLITE_CANTOPEN;
    case FAULT_SHM:
        return SQLITE_IOERR_SHMSIZE;
    case FAULT_READ:
        return SQLITE_IOERR_READ;
    case FAULT_DELETE:
        return SQLITE_IOERR_DELETE;
    }
    return SQLITE_IOERR;
}

void fault_vfs_plan(struct fault_plan plan)
{
    pthread_mutex_lock(&sim.mutex);
    sim.plan = plan;
    sim.counted = 0;
    sim.failed = 0;
    pthread_mutex_unlock(&sim.mutex);
}

void fault_vfs_pause(bool is_paused)
{
    pthread_mutex_lock(&sim.mutex);
    sim.is_paused = is_paused;
    pthread_mutex_unlock(&sim.mutex);
}

uint64_t fault_vfs_counted(void)
{
    uint64_t counted;

    pthread_mutex_lock(&sim.mutex);
    counted = sim.counted;
    pthread_mutex_unlock(&sim.mutex);
    return counted;
}

uint64_t fault_vfs_failed(void)
{
    uint64_t failed;

    pthread_mutex_lock(&sim.mutex);
    failed = sim.failed;
    pthread_mutex_unlock(&sim.mutex);
    return failed;
}

/* ---- recording ---- */

/* Under the mutex. */
static struct sim_event *event_add(struct sim_event e)
{
    if (sim.log.count == sim.log.cap) {
        sim.log.cap = sim.log.cap == 0 ? 1024 : sim.log.cap * 2;
        sim.log.events = realloc(sim.log.events, sim.log.cap * sizeof(*sim.log.events));
        ASSERT(sim.log.events != NULL);
    }
    sim.log.events[sim.log.count] = e;
    return &sim.log.events[sim.log.count++];
}

static void record(struct sim_event e, const void *bytes)
{
    pthread_mutex_lock(&sim.mutex);
    if (sim.is_recording) {
        if (bytes != NULL) {
            e.bytes = malloc(e.len == 0 ? 1 : e.len);
            ASSERT(e.bytes != NULL);
            memcpy(e.bytes, bytes, e.len);
        }
        (void)event_add(e);
    }
    pthread_mutex_unlock(&sim.mutex);
}

static size_t events_so_far(void)
{
    size_t count;

    pthread_mutex_lock(&sim.mutex);
    count = sim.log.count;
    pthread_mutex_unlock(&sim.mutex);
    return count;
}

void sim_record_start(const char *dir)
{
    ASSERT(!sim.is_recording && strlen(dir) < sizeof(sim.dir));
    memcpy(sim.dir, dir, strlen(dir) + 1);
    sim.log = (struct sim_log){0};
    sim.is_recording = true;
}

struct sim_log sim_record_stop(void)
{
    struct sim_log log = sim.log;

    ASSERT(sim.is_recording);
    sim.is_recording = false;
    sim.log = (struct sim_log){0};
    return log;
}

void sim_log_free(struct sim_log *log)
{
    for (size_t i = 0; i < log->count; i++) {
        free(log->events[i].bytes);
    }
    free(log->events);
    *log = (struct sim_log){0};
}

void sim_record_note(uint64_t note)
{
    record((struct sim_event){.kind = SIM_NOTE, .note = note}, NULL);
}

/* ---- the files ---- */

static sqlite3_file *real_of(sqlite3_file *f)
{
    return ((struct file *)f)->real;
}

static bool is_recorded(const sqlite3_file *f)
{
    return ((const struct file *)f)->is_recorded;
}

static int file_close(sqlite3_file *f)
{
    return real_of(f)->pMethods->xClose(real_of(f));
}

static int file_read(sqlite3_file *f, void *to, int len, sqlite3_int64 offset)
{
    const int number = must_fail(FAULT_READ);

    return number != 0 ? failure(FAULT_READ, number)
                       : real_of(f)->pMethods->xRead(real_of(f), to, len, offset);
}

static int file_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 offset)
{
    const int number = must_fail(FAULT_WRITE);
    int rc;

    if (number != 0) {
        const sqlite3_int64 end =
            (offset + len / 2) / 512 * 512; /* half of it got there, in whole sectors */
        if (end > offset) {
            (void)real_of(f)->pMethods->xWrite(real_of(f), from, (int)(end - offset), offset);
        }
        ((struct file *)f)->last_errno = number == ENOSPC ? 0 : number; /* as the unix VFS does */
        return failure(FAULT_WRITE, number);
    }
    if (is_recorded(f)) {
        record((struct sim_event){.kind = SIM_WRITE,
                                  .file = ((struct file *)f)->which,
                                  .offset = offset,
                                  .len = (size_t)len},
               from);
    }
    rc = real_of(f)->pMethods->xWrite(real_of(f), from, len, offset);
    ASSERT(rc == SQLITE_OK || !sim.is_recording);
    return rc;
}

static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    const int number = must_fail(FAULT_TRUNCATE);

    if (number != 0) {
        ((struct file *)f)->last_errno = number;
        return failure(FAULT_TRUNCATE, number);
    }
    if (is_recorded(f)) {
        record((struct sim_event){.kind = SIM_TRUNCATE,
                                  .file = ((struct file *)f)->which,
                                  .offset = size},
               NULL);
    }
    return real_of(f)->pMethods->xTruncate(real_of(f), size);
}

static int file_sync(sqlite3_file *f, int flags)
{
    const size_t covers = events_so_far(); /* what others write meanwhile is not covered */
    const int number = must_fail(FAULT_SYNC);
    int rc;

    if (number != 0) {
        ((struct file *)f)->last_errno = number;
        return failure(FAULT_SYNC, number);
    }
    rc = real_of(f)->pMethods->xSync(real_of(f), flags);
    if (is_recorded(f)) {
        record(
            (struct sim_event){.kind = SIM_SYNC, .file = ((struct file *)f)->which, .covers = covers},
            NULL);
    }
    return rc;
}

static int file_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return real_of(f)->pMethods->xFileSize(real_of(f), size);
}

static int file_lock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xLock(real_of(f), level);
}

static int file_unlock(sqlite3_file *f, int level)
{
    return real_of(f)->pMethods->xUnlock(real_of(f), level);
}

static int file_lock_check(sqlite3_file *f, int *out)
{
    return real_of(f)->pMethods->xCheckReservedLock(real_of(f), out);
}

static int file_control(sqlite3_file *f, int op, void *arg)
{
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE) {
        return SQLITE_OK; /* only a hint, and it would write past the recorder */
    }
    if (op == SQLITE_FCNTL_LAST_ERRNO) {
        *(int *)arg = ((struct file *)f)->last_errno;
        return SQLITE_OK;
    }
    return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}

static int file_sector(sqlite3_file *f)
{
    return real_of(f)->pMethods->xSectorSize(real_of(f));
}

static int file_traits(sqlite3_file *f)
{
    return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

static int file_shm_map(sqlite3_file *f, int region, int size, int extend, void volatile **out)
{
    const int number = must_fail(FAULT_SHM);

    if (number != 0) {
        *out = NULL;
        return failure(FAULT_SHM, number);
    }
    return real_of(f)->pMethods->xShmMap(real_of(f), region, size, extend, out);
}

static int file_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return real_of(f)->pMethods->xShmLock(real_of(f), offset, n, flags);
}

static void file_shm_barrier(sqlite3_file *f)
{
    real_of(f)->pMethods->xShmBarrier(real_of(f));
}

static int file_shm_unmap(sqlite3_file *f, int is_delete)
{
    return real_of(f)->pMethods->xShmUnmap(real_of(f), is_delete);
}

/* ---- the VFS ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && memcmp(text + len - end_len, end, end_len) == 0;
}

static bool which_file(const char *name, enum sim_file *which)
{
    static const char *const ends[SIM_FILES] = {
        [SIM_DB] = "ledger.db", [SIM_WAL] = "ledger.db-wal", [SIM_JOURNAL] = "ledger.db-journal"};

    for (int i = 0; i < SIM_FILES; i++) {
        if (name != NULL && ends_with(name, ends[i]) && sim.is_recording &&
            strncmp(name, sim.dir, strlen(sim.dir)) == 0 && name[strlen(sim.dir)] == '/') {
            *which = (enum sim_file)i;
            return true;
        }
    }
    return false;
}

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *out, int flags, int *out_flags)
{
    struct file *f = (struct file *)out;
    const int number = must_fail(FAULT_OPEN);
    int rc;

    (void)vfs;
    *f = (struct file){.real = (sqlite3_file *)(f + 1)};
    if (number != 0) {
        return failure(FAULT_OPEN, number);
    }
    f->is_recorded = which_file(name, &f->which);
    rc = sim.real->xOpen(sim.real, name, f->real, flags, out_flags);
    if (rc == SQLITE_OK) {
        f->base.pMethods = &sim.methods;
    }
    return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int must_sync)
{
    const int number = must_fail(FAULT_DELETE);
    enum sim_file which;

    (void)vfs;
    if (number != 0) {
        return failure(FAULT_DELETE, number);
    }
    if (which_file(name, &which)) {
        record((struct sim_event){.kind = SIM_DELETE, .file = which}, NULL);
    }
    return sim.real->xDelete(sim.real, name, must_sync);
}

void fault_vfs_install(void)
{
    int rc = sqlite3_initialize();

    ASSERT(rc == SQLITE_OK);
    if (sim.real != NULL) {
        return;
    }
    sim.real = sqlite3_vfs_find(NULL);
    ASSERT(sim.real != NULL);
    sim.methods = (sqlite3_io_methods){
        .iVersion = 2,
        .xClose = file_close,
        .xRead = file_read,
        .xWrite = file_write,
        .xTruncate = file_truncate,
        .xSync = file_sync,
        .xFileSize = file_size,
        .xLock = file_lock,
        .xUnlock = file_unlock,
        .xCheckReservedLock = file_lock_check,
        .xFileControl = file_control,
        .xSectorSize = file_sector,
        .xDeviceCharacteristics = file_traits,
        .xShmMap = file_shm_map,
        .xShmLock = file_shm_lock,
        .xShmBarrier = file_shm_barrier,
        .xShmUnmap = file_shm_unmap,
    };
    sim.vfs =
        *sim.real; /* what is not about files goes straight on: those functions do not look at the VFS */
    sim.vfs.pNext = NULL;
    sim.vfs.zName = "fault";
    sim.vfs.szOsFile = (int)sizeof(struct file) + sim.real->szOsFile;
    sim.vfs.xOpen = vfs_open;
    sim.vfs.xDelete = vfs_delete;
    rc = sqlite3_vfs_register(&sim.vfs, 1);
    ASSERT(rc == SQLITE_OK);
}

/*
 * A SQLite VFS for tests, over the default one. It can fail the k-th operation, and it can record every write, sync and
 * truncation of a ledger's files, from which crash_image.h builds what a power cut may leave.
 */
#ifndef SIM_FAULT_VFS_H
#define SIM_FAULT_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Operations that can fail, as bits. */
enum fault_op {
    FAULT_WRITE = 1,
    FAULT_SYNC = 2,
    FAULT_TRUNCATE = 4,
    FAULT_OPEN = 8,
    FAULT_SHM = 16, /* mapping a piece of the wal-index */
    FAULT_READ = 32,
    FAULT_DELETE = 64,
};

enum fault_error { FAULT_EIO, FAULT_ENOSPC, FAULT_EFBIG };

struct fault_plan {
    unsigned ops; /* bits of enum fault_op */
    uint64_t at;  /* 1: the next such operation; 0: only count */
    bool is_persistent;
    enum fault_error error;
};

/** Make it the default VFS of this process. */
void fault_vfs_install(void);

/** Start counting anew by this plan; a zero plan heals the disk. */
void fault_vfs_plan(struct fault_plan plan);

/** Let everything work, uncounted, for a while. */
void fault_vfs_pause(bool is_paused);

/** Operations of the plan's kinds since it was set. */
uint64_t fault_vfs_counted(void);

/** How many of them failed. */
uint64_t fault_vfs_failed(void);

/* ---- recording ---- */

enum sim_file { SIM_DB, SIM_WAL, SIM_JOURNAL, SIM_FILES };

enum sim_event_kind { SIM_WRITE, SIM_TRUNCATE, SIM_SYNC, SIM_DELETE, SIM_NOTE };

struct sim_event {
    enum sim_event_kind kind;
    enum sim_file file;
    int64_t offset; /* of a write; the new length of a truncation */
    size_t len;
    uint8_t *bytes;
    size_t covers; /* SIM_SYNC: events before this index are durable */
    uint64_t note; /* SIM_NOTE: the test's own */
};

struct sim_log {
    struct sim_event *events;
    size_t count, cap;
};

/** Record what happens to the ledger's files in a folder, until stopped. */
void sim_record_start(const char *dir);
struct sim_log sim_record_stop(void);
void sim_log_free(struct sim_log *log);

/** Put a note between the events. */
void sim_record_note(uint64_t note);

#endif

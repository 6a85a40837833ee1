/* The data folder: made durably, owned by one process, its files private. */
#ifndef STORE_EMBEDDED_FOLDER_H
#define STORE_EMBEDDED_FOLDER_H

#include "base/err.h"

/** Make the folder (0700), durably, where it does not exist. Errors: ERR_IO, ERR_DISK_FULL; *why. Thread: start-up; so all of these. */
MUST_CHECK enum err folder_make(const char *dir, struct err_text *why);

/**
 * Lock the folder: one process owns it. The lock dies with its process, so a kill leaves nothing to clean up.
 *
 * Owns:    *lock_fd is the caller's; closing it lets the lock go.
 * Errors:  ERR_LOCKED another process has it, *why says which; ERR_RANGE, ERR_IO, ERR_DISK_FULL.
 */
MUST_CHECK enum err folder_lock(const char *dir, int *lock_fd, struct err_text *why);

/**
 * Before a ledger is opened to be written: is there one, or none, or the remains of one? A new one is made under a mark, the empty
 * file `ledger.db-new`, which folder_made removes: so a file that is there, is empty and has no mark was a ledger once.
 *
 * Errors:  ERR_CORRUPT the file is cut off, *why names it; ERR_IO, ERR_DISK_FULL the mark cannot be made.
 */
MUST_CHECK enum err folder_begin(const char *dir, const char *path, struct err_text *why);

/** The ledger is there, and durable. */
void folder_made(const char *path);

/**
 * Make a ledger's file for its owner alone where there is none; SQLite gives its other files the same mode. Before any
 * connection: closing a descriptor of the file drops the process's locks on it. Where it cannot be made, opening it says why.
 */
void folder_file_private(const char *path);

#endif

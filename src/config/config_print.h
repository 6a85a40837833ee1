/* Shows the keys and their values to people. */
#ifndef CONFIG_CONFIG_PRINT_H
#define CONFIG_CONFIG_PRINT_H

#include "base/buf.h"
#include "config/config.h"

/**
 * Append every value and where it came from, a line each, as a file that --config reads back:
 * `listen = 127.0.0.1:9000  ; env PORT`. Secrets, and a password inside a URL, are shown as `***`.
 *
 * Errors:  in out->err.
 * Thread:  any.
 */
void config_print(const struct config *config, struct buf *out);

/** Append the flags for --help: what each means, its default, its range, its environment names. Errors: in out->err. Thread: any. */
void config_help(struct buf *out);

/** The value of one entry as a text that would set it, for documentation; not masked. Errors: in out->err. Thread: any. */
void config_value_print(const struct config_entry *entry, const struct config *config,
                        struct buf *out);

#endif

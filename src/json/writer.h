/* A writer of compact JSON onto a buffer: commas by itself, no spaces, the same bytes for the same calls. */
#ifndef JSON_WRITER_H
#define JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"
#include "json/json.h"

enum { JSON_WRITER_DEPTH_MAX = 31 };

/** Embedded by the caller; may be dropped at any time. The buffer's sticky error is the only error there is. */
struct json_writer {
    struct buf *buf;  /* borrowed */
    uint32_t objects; /* bit d: the container at depth d is an object */
    uint32_t depth;   /* containers open now */
    bool needs_comma; /* a value stands before, in the same container */
    bool has_key;     /* in an object: a key waits for its value */
};

/** Begin a document at the end of what the buffer holds. Owns: borrows b until the last call. Thread: b's owner. */
void json_writer_init(struct json_writer *w, struct buf *b);

/** Is the document complete: one value, all closed? */
bool json_writer_is_done(const struct json_writer *w);

/** Open and close containers. A call that would make no JSON (a value without key, a wrong close) is a programmer error. */
void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);

/** The next member's name, escaped. */
void json_key(struct json_writer *w, struct slice name);

/**
 * A string: quote and backslash escaped with a backslash, U+0000..U+001F as \u00xx, all else as it is.
 *
 * Units:   s is valid UTF-8; that is the caller's promise.
 */
void json_string(struct json_writer *w, struct slice s);

/** A number. */
void json_integer(struct json_writer *w, int64_t number);

/** true or false. */
void json_bool(struct json_writer *w, bool is_true);

/** A number's text, or any JSON value that is rendered already, as it is. */
void json_raw(struct json_writer *w, struct slice text);

/**
 * Begin a value that the caller appends to the buffer himself with one call, such as money_append.
 *
 * Returns: the writer's buffer.
 */
struct buf *json_begin_raw(struct json_writer *w);

/** An object of strings, in the order of the pairs (json_map's pairs or sorted). */
void json_pairs(struct json_writer *w, const struct json_pair *pairs, size_t count);

#endif

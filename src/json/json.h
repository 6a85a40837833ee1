/* A strict reader for small JSON bodies whose members are known beforehand. */
#ifndef JSON_JSON_H
#define JSON_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

enum {
    JSON_DEPTH_MAX = 8, /* objects and arrays inside each other, the outermost counted */
    JSON_FAULT_NAME_BYTES_MAX = 64, /* a longer unknown member's name is left out of the fault */
};

enum json_kind {
    JSON_NUMBER_TEXT,      /* source text of a number or of a string; see json_form */
    JSON_STRING,           /* at most max bytes */
    JSON_BOOL,             /* true or false */
    JSON_INTEGER,          /* a number without fraction and exponent, int64_t */
    JSON_STRING_MAP,       /* object of strings; names and values together at most max bytes */
    JSON_ARRAY_OF_OBJECTS, /* at most max objects, by the schema in items, which has no array */
};

/** What stood in the place of a JSON_NUMBER_TEXT. None of these is a fault. */
enum json_form {
    JSON_FORM_NUMBER, /* 1.00: text is the number as written */
    JSON_FORM_STRING, /* "1.00": text is the decoded string, which need not be a number */
    JSON_FORM_OTHER,  /* true, null, [] or {}: text is empty, so that no number parser takes it */
};

struct json_schema;

/** One member that an object may have. */
struct json_field {
    const char *name; /* static */
    enum json_kind kind;
    size_t max;                      /* ceiling in the unit that the kind names */
    const struct json_schema *items; /* of an array's objects; else NULL */
};

struct json_schema {
    const struct json_field *fields;
    size_t count;
    bool allows_unknown; /* skip unknown members, as in answers of newer servers; else a fault */
};

struct json_pair {
    struct slice name;
    struct slice value;
};

struct json_map {
    const struct json_pair *pairs;  /* in the order of the input */
    const struct json_pair *sorted; /* by the bytes of the name: canonical, for fingerprints */
    size_t count;
};

struct json_value;

struct json_array {
    struct json_value *values; /* of object r, field f: values[r * columns + f] */
    size_t count;              /* objects */
    size_t columns;            /* fields of the items' schema */
};

/** What was read for one field; all slices and pointers live in the arena. */
struct json_value {
    bool is_present;     /* the member was there */
    enum json_form form; /* of a JSON_NUMBER_TEXT */
    union {
        struct slice text;       /* JSON_NUMBER_TEXT, JSON_STRING: valid UTF-8, no NUL */
        bool boolean;            /* JSON_BOOL */
        int64_t integer;         /* JSON_INTEGER */
        struct json_map map;     /* JSON_STRING_MAP */
        struct json_array array; /* JSON_ARRAY_OF_OBJECTS */
    };
};

enum json_fault_kind {
    JSON_FAULT_NONE = 0,
    JSON_FAULT_NOT_JSON,  /* breaks RFC 8259; also an empty body, two documents, a comment, a BOM */
    JSON_FAULT_UTF8,      /* bytes that are not UTF-8 */
    JSON_FAULT_NUL,       /* \u0000 in a string */
    JSON_FAULT_SURROGATE, /* a \uD800..\uDFFF without its other half */
    JSON_FAULT_DUPLICATE, /* a name twice in one object, compared after decoding */
    JSON_FAULT_UNKNOWN,   /* a member the schema does not have */
    JSON_FAULT_WRONG_TYPE, /* of the named member; without a name: the body is not an object */
    JSON_FAULT_TOO_LONG,   /* a string, map or array past the max of its field */
    JSON_FAULT_TOO_DEEP,   /* past JSON_DEPTH_MAX */
    JSON_FAULT_RANGE,      /* a JSON_INTEGER past int64_t */
    JSON_FAULT_COUNT
};

struct json_fault {
    enum json_fault_kind kind;
    const struct json_field *field; /* the member it is about (in a map: the map), or NULL */
    const struct json_field *array; /* the array it is in, or NULL */
    size_t row;                     /* index of that array's object */
    struct slice name; /* the member's, decoded; static or in the arena; may be empty */
    size_t at;         /* byte offset, at or shortly behind the fault */
};

/**
 * Read one JSON object by a schema.
 *
 * Faults are told from each other. A body that is not JSON is reported as that, whatever the schema finds wrong in it,
 * unless it is too deep to read on. A missing member is no fault: look at is_present. null is a wrong type, not absence.
 *
 * Units:   values holds schema->count elements; they mean nothing unless ERR_OK is returned.
 * Owns:    borrows body during the call alone; what it hands out lives in the arena until its reset. An arena with
 *          JSON_ARENA_BYTES(body.len, rows, columns) left suffices for any body whose arrays, as their max allows,
 *          have at most `rows` objects of `columns` fields.
 * Errors:  ERR_INVALID  the body is at fault: *fault says how;
 *          ERR_NOMEM    memory or the arena's ceiling ran out: *fault is empty.
 * Thread:  any. No recursion; time is linear in the body, n log n in the pairs of a map.
 * Source:  RFC 8259, RFC 3629.
 */
MUST_CHECK enum err json_read_object(struct slice body, struct arena *a,
                                     const struct json_schema *schema, struct json_value *values,
                                     struct json_fault *fault);

/** Arena bytes that suffice for json_read_object; see there. */
#define JSON_ARENA_BYTES(body_bytes, rows, columns) \
    ((size_t)8192 + (size_t)40 * (body_bytes) + sizeof(struct json_value) * (rows) * (columns))

/** The constant name of a fault, such as "DUPLICATE", for logs. Thread: any. */
const char *json_fault_name(enum json_fault_kind kind);

#endif

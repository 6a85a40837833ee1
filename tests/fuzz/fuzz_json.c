/*
 * JSON: the reader must not crash, must be content with the arena it asks for, and what it accepts must come back with
 * the same values once the writer wrote it down; writing those again gives the same bytes.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "json/json.h"
#include "json/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { ROWS_MAX = 16, ENTRY_FIELDS = 3, FIELDS = 7, TEXT_MAX = 1 << 16 };

static const struct json_field entry_fields[ENTRY_FIELDS] = {
    {"account_id", JSON_STRING, 64, NULL},
    {"amount", JSON_NUMBER_TEXT, 0, NULL},
    {"metadata", JSON_STRING_MAP, 64, NULL},
};
static const struct json_schema entry_schema = {entry_fields, ENTRY_FIELDS, false};
static const struct json_field fields[FIELDS] = {
    {"amount", JSON_NUMBER_TEXT, 0, NULL},
    {"currency", JSON_STRING, 3, NULL},
    {"reference", JSON_STRING, TEXT_MAX, NULL},
    {"final", JSON_BOOL, 0, NULL},
    {"expires_in", JSON_INTEGER, 0, NULL},
    {"metadata", JSON_STRING_MAP, TEXT_MAX, NULL},
    {"entries", JSON_ARRAY_OF_OBJECTS, ROWS_MAX, &entry_schema},
};
static const struct json_schema schema = {fields, FIELDS, false};
static const struct json_schema tolerant = {fields, FIELDS, true};

static void scalar_write(struct json_writer *w, enum json_kind kind, const struct json_value *value)
{
    switch (kind) {
    case JSON_NUMBER_TEXT:
        if (value->form == JSON_FORM_NUMBER) {
            json_raw(w, value->text);
        } else if (value->form == JSON_FORM_STRING) {
            json_string(w, value->text);
        } else {
            json_raw(w, SLICE("[null]"));
        }
        break;
    case JSON_STRING:
        json_string(w, value->text);
        break;
    case JSON_BOOL:
        json_bool(w, value->boolean);
        break;
    case JSON_INTEGER:
        json_integer(w, value->integer);
        break;
    case JSON_STRING_MAP:
        json_pairs(w, value->map.pairs, value->map.count);
        break;
    case JSON_ARRAY_OF_OBJECTS:
        UNREACHABLE("an array is no scalar");
    }
}

static void entry_write(struct json_writer *w, const struct json_value *values)
{
    json_open_object(w);
    for (size_t i = 0; i < ENTRY_FIELDS; i++) {
        if (values[i].is_present) {
            json_key(w, slice_of(entry_fields[i].name));
            scalar_write(w, entry_fields[i].kind, &values[i]);
        }
    }
    json_close_object(w);
}

static void body_write(struct json_writer *w, const struct json_value *values)
{
    json_open_object(w);
    for (size_t i = 0; i < FIELDS; i++) {
        if (!values[i].is_present) {
            continue;
        }
        json_key(w, slice_of(fields[i].name));
        if (fields[i].kind != JSON_ARRAY_OF_OBJECTS) {
            scalar_write(w, fields[i].kind, &values[i]);
            continue;
        }
        json_open_array(w);
        for (size_t row = 0; row < values[i].array.count; row++) {
            entry_write(w, values[i].array.values + row * values[i].array.columns);
        }
        json_close_array(w);
    }
    json_close_object(w);
}

static void map_check(const struct json_map *map)
{
    for (size_t i = 1; i < map->count; i++) {
        struct slice a = map->sorted[i - 1].name;
        struct slice b = map->sorted[i].name;
        size_t shared = a.len < b.len ? a.len : b.len;
        int order = shared == 0 ? 0 : memcmp(a.ptr, b.ptr, shared);
        ASSERT(order < 0 || (order == 0 && a.len < b.len)); /* rising, so no twins */
    }
}

static enum err body_read(struct slice body, const struct json_schema *s, struct arena *a,
                          struct json_value *values)
{
    struct json_fault fault;
    enum err e;

    arena_init(a, JSON_ARENA_BYTES(body.len, ROWS_MAX, ENTRY_FIELDS));
    e = json_read_object(body, a, s, values, &fault);
    ASSERT(e == ERR_OK || e == ERR_INVALID);
    ASSERT((e == ERR_OK) == (fault.kind == JSON_FAULT_NONE));
    ASSERT(fault.at <= body.len && json_fault_name(fault.kind) != NULL);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct slice body = slice_make((const char *)bytes, len);
    struct json_value values[FIELDS];
    struct json_writer w;
    struct arena first;
    struct arena second;
    struct buf once;
    struct buf twice;
    enum err e;

    e = body_read(body, &schema, &first, values);
    arena_fini(&first);
    if (e == ERR_INVALID) {
        e = body_read(body, &tolerant, &first, values);
    } else {
        ASSERT(body_read(body, &tolerant, &first, values) == ERR_OK);
    }
    if (e != ERR_OK) {
        arena_fini(&first);
        return 0;
    }
    map_check(&values[5].map);
    buf_init(&once, (size_t)8 * len + 1024);
    buf_init(&twice, (size_t)8 * len + 1024);
    json_writer_init(&w, &once);
    body_write(&w, values);
    ASSERT(once.err == ERR_OK && json_writer_is_done(&w));
    ASSERT(body_read(buf_slice(&once), &schema, &second, values) == ERR_OK);
    json_writer_init(&w, &twice);
    body_write(&w, values);
    ASSERT(twice.err == ERR_OK && slice_equal(buf_slice(&once), buf_slice(&twice)));
    buf_fini(&once);
    buf_fini(&twice);
    arena_fini(&first);
    arena_fini(&second);
    return 0;
}

/* What the reader's tests share: a schema with every kind of member, and readings that say what went wrong. */
#ifndef UNIT_JSON_JSON_FIXTURE_H
#define UNIT_JSON_JSON_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "json/json.h"

enum { AMOUNT, NAME, FINAL, COUNT, META, ENTRIES, FIELDS };
enum { ENTRY_ID, ENTRY_AMOUNT, ENTRY_META, ENTRY_FIELDS };

static const struct json_field entry_fields[ENTRY_FIELDS] = {
    [ENTRY_ID] = {"id", JSON_STRING, 8, NULL},
    [ENTRY_AMOUNT] = {"amount", JSON_NUMBER_TEXT, 0, NULL},
    [ENTRY_META] = {"meta", JSON_STRING_MAP, 16, NULL},
};
static const struct json_schema entry_schema = {entry_fields, ENTRY_FIELDS, false};

static const struct json_field fields[FIELDS] = {
    [AMOUNT] = {"amount", JSON_NUMBER_TEXT, 0, NULL},
    [NAME] = {"name", JSON_STRING, 12, NULL},
    [FINAL] = {"final", JSON_BOOL, 0, NULL},
    [COUNT] = {"count", JSON_INTEGER, 0, NULL},
    [META] = {"meta", JSON_STRING_MAP, 16, NULL},
    [ENTRIES] = {"entries", JSON_ARRAY_OF_OBJECTS, 3, &entry_schema},
};
static const struct json_schema schema = {fields, FIELDS, false};
static const struct json_schema tolerant = {fields, FIELDS, true};

/* Of the latest reading. */
static struct arena arena;
static struct json_value values[FIELDS];
static struct json_fault fault;

/* Read in just the arena that json.h promises to suffice. */
static inline enum err read_by(const struct json_schema *s, struct slice body)
{
    enum err e;

    arena_fini(&arena);
    arena_init(&arena, JSON_ARENA_BYTES(body.len, 3, ENTRY_FIELDS));
    e = json_read_object(body, &arena, s, values, &fault);
    assert_int_equal(e == ERR_INVALID, fault.kind != JSON_FAULT_NONE);
    return e;
}

static inline void reads(const char *body)
{
    if (read_by(&schema, slice_of(body)) != ERR_OK) {
        fail_msg("%s: %s", body, json_fault_name(fault.kind));
    }
}

static inline void refuses_bytes(struct slice body, enum json_fault_kind kind)
{
    if (read_by(&schema, body) != ERR_INVALID || fault.kind != kind) {
        fail_msg(SLICE_FORMAT ": %s, not %s", SLICE_ARGS(body), json_fault_name(fault.kind),
                 json_fault_name(kind));
    }
    assert_true(fault.at <= body.len);
}

static inline void refuses(const char *body, enum json_fault_kind kind)
{
    refuses_bytes(slice_of(body), kind);
}

static inline void refuses_at(const char *body, enum json_fault_kind kind, int field, const char *name)
{
    refuses(body, kind);
    assert_ptr_equal(fault.field, field < 0 ? NULL : &fields[field]);
    assert_true(slice_equal(fault.name, slice_of(name)));
}

static inline void text_is(const struct json_value *value, const char *text)
{
    assert_true(value->is_present);
    if (!slice_equal(value->text, slice_of(text))) {
        fail_msg("read " SLICE_FORMAT ", not %s", SLICE_ARGS(value->text), text);
    }
}

static inline int arena_teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

#endif

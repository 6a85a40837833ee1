/* Memory: strings of any length, the arena that json.h promises to suffice, every allocation and ceiling failing. */
#include "json/json_internal.h"

#include "unit/json/json_fixture.h"

/* Long strings, with escapes and without, outgrow what is set aside on the stack. */
static void decodes_strings_of_any_length(void **state)
{
    static const struct json_field one[] = {{"s", JSON_STRING, SIZE_MAX, NULL},
                                            {"n", JSON_NUMBER_TEXT, 0, NULL}};
    static const struct json_schema s = {one, 2, false};
    struct json_value got[2];
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    for (size_t len = 1; len < 40000; len = len * 5 / 4 + 1) {
        for (int has_escape = 0; has_escape < 2; has_escape++) {
            buf_clear(&b);
            buf_append_text(&b, "{\"s\":\"");
            for (size_t i = 0; i < len; i++) {
                buf_append_byte(&b, 'a');
            }
            buf_append_text(&b, has_escape ? "\\n\",\"n\":\"\\u0031\"}" : "\",\"n\":1}");
            assert_int_equal(b.err, ERR_OK);
            arena_fini(&arena);
            arena_init(&arena, JSON_ARENA_BYTES(b.len, 0, 0));
            assert_int_equal(json_read_object(buf_slice(&b), &arena, &s, got, &fault), ERR_OK);
            assert_int_equal(got[0].text.len, len + (has_escape ? 1 : 0));
            assert_int_equal(got[0].text.ptr[got[0].text.len - 1], has_escape ? '\n' : 'a');
            text_is(&got[1], "1");
            /* the same as the last token, a number, and cut off: yajl keeps those in its other buffer */
            assert_int_equal(read_by(&schema, slice_make(b.ptr + 6, len)), ERR_INVALID);
            memset(b.ptr, '1', len);
            refuses_bytes(slice_make(b.ptr, len), JSON_FAULT_WRONG_TYPE);
            b.ptr[len] = '.';
            refuses_bytes(slice_make(b.ptr, len + 1), JSON_FAULT_NOT_JSON);
        }
    }
    buf_fini(&b);
}

/* Maps with as many pairs as their bytes allow, in the arena json.h promises to suffice. */
static void large_maps_fit_the_promised_arena(void **state)
{
    static const struct json_field one[] = {{"m", JSON_STRING_MAP, SIZE_MAX, NULL}};
    static const struct json_schema s = {one, 1, false};
    struct json_value got[1];
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 22);
    for (unsigned count = 1; count < 100000; count = count * 3 / 2 + 1) {
        buf_clear(&b);
        buf_append_text(&b, "{\"m\":{");
        for (unsigned i = 0; i < count; i++) {
            buf_append_format(&b, "%s\"%x\":\"\"", i == 0 ? "" : ",", (i * 7919u) % 1000003u);
        }
        buf_append_text(&b, "}}");
        assert_int_equal(b.err, ERR_OK);
        arena_fini(&arena);
        arena_init(&arena, JSON_ARENA_BYTES(b.len, 0, 0));
        assert_int_equal(json_read_object(buf_slice(&b), &arena, &s, got, &fault), ERR_OK);
        assert_int_equal(got[0].map.count, count);
    }
    buf_fini(&b);
}

static void many_objects_fit_the_promised_arena(void **state)
{
    enum { ROWS = 10000 };
    static const struct json_field inner[] = {{"m", JSON_STRING_MAP, 99, NULL},
                                              {"n", JSON_NUMBER_TEXT, 0, NULL}};
    static const struct json_schema inner_schema = {inner, 2, false};
    static const struct json_field one[] = {{"a", JSON_ARRAY_OF_OBJECTS, ROWS, &inner_schema}};
    static const struct json_schema s = {one, 1, false};
    static const char *const rows[] = {"{}", "{\"m\":{\"k\":\"\"}}", "{\"n\":{\"k\":\"\"}}",
                                       "{\"m\":{}}"};
    struct json_value got[1];
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 22);
    for (size_t kind = 0; kind < ARRAY_LEN(rows); kind++) {
        buf_clear(&b);
        buf_append_text(&b, "{\"a\":[");
        for (unsigned i = 0; i < ROWS; i++) {
            buf_append_text(&b, i == 0 ? "" : ",");
            buf_append_text(&b, rows[kind]);
        }
        buf_append_text(&b, "]}");
        assert_int_equal(b.err, ERR_OK);
        arena_fini(&arena);
        arena_init(&arena, JSON_ARENA_BYTES(b.len, ROWS, 2));
        assert_int_equal(json_read_object(buf_slice(&b), &arena, &s, got, &fault), ERR_OK);
        assert_int_equal(got[0].array.count, ROWS);
    }
    buf_fini(&b);
}

/* A body that takes memory in every way there is: text, rows, pairs that outgrow their block, long escapes. */
static void body_that_needs_everything(struct buf *b)
{
    buf_append_text(b,
                    "{\"entries\":[{\"meta\":{\"k\":\"v\"}},{}],\"name\":\"\\n\",\"amount\":\"\\n");
    for (int i = 0; i < 9000; i++) {
        buf_append_byte(b, '1');
    }
    buf_append_text(b, "\",\"meta\":{");
    for (unsigned i = 0; i < 40; i++) {
        buf_append_format(b, "%s\"%u\":\"\"", i == 0 ? "" : ",", i);
    }
    buf_append_text(b, "}}");
    assert_int_equal(b->err, ERR_OK);
}

static const struct json_field wide_fields[FIELDS] = {
    [AMOUNT] = {"amount", JSON_NUMBER_TEXT, 0, NULL},
    [NAME] = {"name", JSON_STRING, 12, NULL},
    [FINAL] = {"final", JSON_BOOL, 0, NULL},
    [COUNT] = {"count", JSON_INTEGER, 0, NULL},
    [META] = {"meta", JSON_STRING_MAP, 4096, NULL},
    [ENTRIES] = {"entries", JSON_ARRAY_OF_OBJECTS, 100, &entry_schema},
};

static const struct json_schema wide_schema = {wide_fields, FIELDS, false};

static void every_failing_allocation_is_nomem(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    body_that_needs_everything(&b);
    for (uint64_t nth = 1;; nth++) {
        enum err e;
        uint64_t asked;
        arena_fini(&arena);
        arena_init(&arena, 1 << 20);
        mem_fail_at(nth, 0);
        e = json_read_object(buf_slice(&b), &arena, &wide_schema, values, &fault);
        asked = mem_asked();
        mem_fail_at(0, 0);
        assert_int_equal(fault.kind, JSON_FAULT_NONE);
        assert_int_equal(e, asked >= nth ? ERR_NOMEM : ERR_OK);
        if (e == ERR_OK) {
            assert_true(nth > 3);
            assert_int_equal(values[META].map.count, 40);
            break;
        }
    }
    buf_fini(&b);
}

/* The same for every ceiling of the arena: either all fits, or ERR_NOMEM, and never a fault of the body. */
static void every_ceiling_is_nomem_or_enough(void **state)
{
    size_t enough = 0;
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 20);
    body_that_needs_everything(&b);
    for (size_t max = 0; max < JSON_ARENA_BYTES(b.len, 100, ENTRY_FIELDS);
         max += max < 60000 ? 97 : 9973) {
        enum err e;
        arena_fini(&arena);
        arena_init(&arena, max);
        e = json_read_object(buf_slice(&b), &arena, &wide_schema, values, &fault);
        assert_int_equal(fault.kind, JSON_FAULT_NONE);
        if (e == ERR_OK && enough == 0) {
            enough = max;
        }
        assert_int_equal(e, enough == 0 ? ERR_NOMEM : ERR_OK);
    }
    assert_true(enough > b.len);
    buf_fini(&b);
}

static void a_small_body_asks_for_memory_once(void **state)
{
    (void)state;
    arena_fini(&arena);
    arena_init(&arena, 1 << 16);
    mem_fail_at(0, 0);
    assert_int_equal(json_read_object(SLICE("{\"amount\":1.00}"), &arena, &schema, values, &fault),
                     ERR_OK);
    assert_int_equal(mem_asked(), 1);
    arena_reset(&arena);
    assert_int_equal(
        json_read_object(SLICE("{\"name\":\"\\n\"}\n"), &arena, &schema, values, &fault), ERR_OK);
    assert_int_equal(mem_asked(), 1); /* the chunk is used again, yajl lives on the stack */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_strings_of_any_length),
        cmocka_unit_test(large_maps_fit_the_promised_arena),
        cmocka_unit_test(many_objects_fit_the_promised_arena),
        cmocka_unit_test(every_failing_allocation_is_nomem),
        cmocka_unit_test(every_ceiling_is_nomem_or_enough),
        cmocka_unit_test(a_small_body_asks_for_memory_once),
    };

    return cmocka_run_group_tests(tests, NULL, arena_teardown);
}

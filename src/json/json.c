/*
 * How a body is read:
 *   scan_body looks over the raw bytes for what yajl lets pass or blurs, and measures;
 *   one block for all decoded text is taken from the arena, and yajl's own memory is set aside;
 *   yajl calls back token by token, and each token goes to the innermost of at most four levels
 *   (object > array > object > map).
 * What can go wrong:
 *   a fault of the schema is noted, then tokens are only counted: broken grammar behind still wins;
 *   too deep, or out of memory: the callback stops yajl at once;
 *   yajl does not survive a failed allocation: so its memory is set aside before it starts.
 */
#include "json/json.h"

#include <stdalign.h>
#include <yajl/yajl_parse.h>

#include "base/assert.h"
#include "json/json_internal.h"

enum {
    LEVELS_MAX = 4,
    PAIRS_FIRST = 16,
    REGION_LOCAL_BYTES = 5120, /* on the stack: enough unless a string with an escape is long */
};

enum level_kind { LEVEL_OBJECT, LEVEL_ARRAY, LEVEL_MAP };

struct level {
    enum level_kind kind;
    const struct json_schema *schema; /* object: its members; array: its objects' members */
    struct json_value *values;        /* object: one for each field */
    const struct json_field *field;   /* object: of the next value, or NULL; else: its own */
    struct json_value *value;         /* the value of field */
};

struct reader {
    struct arena *arena;
    const struct json_schema *schema;
    struct json_value *values;
    struct json_fault *fault;
    struct scan scan;
    yajl_handle yajl;
    enum err err;
    size_t depth;      /* objects and arrays open now */
    size_t skip_depth; /* the skipped value ends where this depth does; 0: none is skipped */
    char *text;        /* decoded text, as long as the body at most */
    size_t text_len;
    size_t text_cap;
    struct json_pair *pairs; /* of the map that is open; used again for the next */
    size_t pairs_count;
    size_t pairs_cap;
    size_t pairs_bytes;
    size_t levels_count;
    struct level levels[LEVELS_MAX];
};

/* --- faults --- */

static bool is_skipping(const struct reader *r)
{
    return r->skip_depth != 0 || r->fault->kind != JSON_FAULT_NONE;
}

static struct level *level_top(struct reader *r)
{
    return r->levels_count == 0 ? NULL : &r->levels[r->levels_count - 1];
}

/* Note a fault and let yajl go on, for the sake of the grammar. */
static int fault_note(struct reader *r, enum json_fault_kind kind, const struct json_field *field)
{
    *r->fault = (struct json_fault){
        .kind = kind,
        .field = field,
        .name = field == NULL ? SLICE_NONE : slice_of(field->name),
        .at = yajl_get_bytes_consumed(r->yajl),
    };
    if (r->levels_count > 2) {
        r->fault->array = r->levels[1].field;
        r->fault->row = r->levels[1].value->array.count - 1;
    }
    return 1;
}

static struct slice text_copy(struct reader *r, const void *bytes, size_t len)
{
    char *copy = r->text + r->text_len;

    ASSERT(len <= r->text_cap - r->text_len); /* decoding never lengthens */
    if (len > 0) {
        memcpy(copy, bytes, len);
        r->text_len += len;
    }
    return slice_make(copy, len);
}

static int fault_note_name(struct reader *r, enum json_fault_kind kind,
                           const struct json_field *field, struct slice name)
{
    (void)fault_note(r, kind, field);
    r->fault->name =
        name.len > JSON_FAULT_NAME_BYTES_MAX ? SLICE_NONE : text_copy(r, name.ptr, name.len);
    return 1;
}

static int memory_stop(struct reader *r)
{
    r->err = ERR_NOMEM;
    return 0;
}

/* --- scalars --- */

enum token { TOKEN_NULL, TOKEN_BOOL, TOKEN_NUMBER, TOKEN_STRING };

static int integer_take(struct reader *r, const struct json_field *field, struct json_value *value,
                        struct slice text)
{
    bool is_negative = text.ptr[0] == '-';
    int64_t sum = 0;

    for (size_t i = is_negative; i < text.len; i++) {
        int digit = text.ptr[i] - '0';
        if (digit < 0 || digit > 9) {
            return fault_note(r, JSON_FAULT_WRONG_TYPE, field); /* a fraction or an exponent */
        }
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, digit, &sum)) {
            return fault_note(r, JSON_FAULT_RANGE, field);
        }
    }
    if (!is_negative && sum == INT64_MIN) {
        return fault_note(r, JSON_FAULT_RANGE, field);
    }
    value->integer = is_negative ? sum : -sum;
    return 1;
}

static int member_take(struct reader *r, struct level *l, enum token token, struct slice text)
{
    const struct json_field *field = l->field;
    struct json_value *value = l->value;

    if (field == NULL) {
        return 1;
    }
    if (field->kind == JSON_NUMBER_TEXT) {
        if (token == TOKEN_NUMBER || token == TOKEN_STRING) {
            value->form = token == TOKEN_NUMBER ? JSON_FORM_NUMBER : JSON_FORM_STRING;
            value->text = text_copy(r, text.ptr, text.len);
        } else {
            value->form = JSON_FORM_OTHER;
        }
        return 1;
    }
    if (field->kind == JSON_STRING && token == TOKEN_STRING) {
        if (text.len > field->max) {
            return fault_note(r, JSON_FAULT_TOO_LONG, field);
        }
        value->text = text_copy(r, text.ptr, text.len);
        return 1;
    }
    if (field->kind == JSON_BOOL && token == TOKEN_BOOL) {
        value->boolean = text.len != 0;
        return 1;
    }
    if (field->kind == JSON_INTEGER && token == TOKEN_NUMBER) {
        return integer_take(r, field, value, text);
    }
    return fault_note(r, JSON_FAULT_WRONG_TYPE, field);
}

static int pair_take(struct reader *r, struct level *l, struct slice text)
{
    struct json_pair *pair = &r->pairs[r->pairs_count];

    r->pairs_bytes += pair->name.len + text.len;
    if (r->pairs_bytes > l->field->max) {
        return fault_note(r, JSON_FAULT_TOO_LONG, l->field);
    }
    pair->value = text_copy(r, text.ptr, text.len);
    r->pairs_count++;
    return 1;
}

static int scalar_take(struct reader *r, enum token token, struct slice text)
{
    struct level *l = level_top(r);

    if (is_skipping(r)) {
        return 1;
    }
    if (l == NULL) {
        return fault_note(r, JSON_FAULT_WRONG_TYPE, NULL);
    }
    if (l->kind == LEVEL_OBJECT) {
        return member_take(r, l, token, text);
    }
    if (l->kind == LEVEL_MAP && token == TOKEN_STRING) {
        return pair_take(r, l, text);
    }
    return fault_note(r, JSON_FAULT_WRONG_TYPE, l->field);
}

static int on_null(void *ctx)
{
    return scalar_take(ctx, TOKEN_NULL, SLICE_NONE);
}

static int on_boolean(void *ctx, int is_true)
{
    return scalar_take(ctx, TOKEN_BOOL, is_true ? SLICE("true") : SLICE_NONE);
}

static int on_number(void *ctx, const char *ptr, size_t len)
{
    return scalar_take(ctx, TOKEN_NUMBER, slice_make(ptr, len));
}

static int on_string(void *ctx, const unsigned char *ptr, size_t len)
{
    return scalar_take(ctx, TOKEN_STRING, slice_make((const char *)ptr, len));
}

/* --- objects, arrays, maps --- */

static struct level *level_push(struct reader *r, enum level_kind kind)
{
    struct level *l = &r->levels[r->levels_count];

    ASSERT(r->levels_count < LEVELS_MAX);
    r->levels_count++;
    *l = (struct level){.kind = kind};
    return l;
}

static int row_open(struct reader *r, const struct level *array_level)
{
    struct json_array *array = &array_level->value->array;
    const struct json_schema *schema = array_level->schema;
    struct level *l;

    if (array->count == array_level->field->max) {
        return fault_note(r, JSON_FAULT_TOO_LONG, array_level->field);
    }
    ASSERT(array->count < r->scan.objects);
    l = level_push(r, LEVEL_OBJECT);
    l->schema = schema;
    l->values = array->values + array->count * array->columns;
    array->count++;
    return 1;
}

static int array_open(struct reader *r, const struct json_field *field, struct json_value *value)
{
    size_t rows = field->max < r->scan.objects ? field->max : r->scan.objects;
    struct level *l;

    ASSERT(r->levels_count == 1 && field->items != NULL); /* arrays do not nest */
    l = level_push(r, LEVEL_ARRAY);
    l->schema = field->items;
    l->field = field;
    l->value = value;
    value->array.columns = field->items->count;
    value->array.values =
        arena_alloc(r->arena, rows * field->items->count * sizeof(struct json_value));
    return value->array.values == NULL ? memory_stop(r) : 1;
}

static int map_open(struct reader *r, const struct json_field *field, struct json_value *value)
{
    struct level *l = level_push(r, LEVEL_MAP);

    l->field = field;
    l->value = value;
    r->pairs_count = 0;
    r->pairs_bytes = 0;
    return 1;
}

static int map_close(struct reader *r, const struct level *l)
{
    size_t bytes = r->pairs_count * sizeof(struct json_pair);
    struct json_pair *pairs = arena_alloc(r->arena, 2 * bytes);
    struct json_pair *sorted = pairs + r->pairs_count;
    const struct json_pair *twin;

    if (pairs == NULL) {
        return memory_stop(r);
    }
    if (r->pairs_count > 0) {
        memcpy(pairs, r->pairs, bytes);
        memcpy(sorted, r->pairs, bytes);
        pairs_sort(sorted, r->pairs_count);
    }
    twin = pairs_find_twin(sorted, r->pairs_count);
    if (twin != NULL) {
        (void)fault_note(r, JSON_FAULT_DUPLICATE, l->field);
        r->fault->name = twin->name;
        return 1;
    }
    l->value->map = (struct json_map){.pairs = pairs, .sorted = sorted, .count = r->pairs_count};
    return 1;
}

/* An object or an array begins where a value may stand. */
static int container_open(struct reader *r, bool is_object)
{
    struct level *l = level_top(r);

    r->depth++;
    if (r->depth > JSON_DEPTH_MAX) {
        (void)fault_note(r, JSON_FAULT_TOO_DEEP, NULL);
        return 0;
    }
    if (is_skipping(r)) {
        return 1;
    }
    if (l == NULL) {
        if (!is_object) {
            return fault_note(r, JSON_FAULT_WRONG_TYPE, NULL);
        }
        l = level_push(r, LEVEL_OBJECT);
        l->schema = r->schema;
        l->values = r->values;
        return 1;
    }
    if (l->kind == LEVEL_ARRAY && is_object) {
        return row_open(r, l);
    }
    if (l->kind == LEVEL_OBJECT) {
        const struct json_field *field = l->field;
        if (field != NULL && field->kind == JSON_STRING_MAP && is_object) {
            return map_open(r, field, l->value);
        }
        if (field != NULL && field->kind == JSON_ARRAY_OF_OBJECTS && !is_object) {
            return array_open(r, field, l->value);
        }
        if (field == NULL || field->kind == JSON_NUMBER_TEXT) {
            r->skip_depth = r->depth;
            if (field != NULL) {
                l->value->form = JSON_FORM_OTHER;
            }
            return 1;
        }
    }
    return fault_note(r, JSON_FAULT_WRONG_TYPE, l->field);
}

static int container_close(struct reader *r)
{
    size_t depth = r->depth--;
    int goes_on = 1;

    if (r->fault->kind != JSON_FAULT_NONE) {
        return 1;
    }
    if (r->skip_depth != 0) {
        r->skip_depth = r->skip_depth == depth ? 0 : r->skip_depth;
        return 1;
    }
    ASSERT(r->levels_count == depth);
    if (level_top(r)->kind == LEVEL_MAP) {
        goes_on = map_close(r, level_top(r));
    }
    r->levels_count--;
    return goes_on;
}

static int on_start_map(void *ctx)
{
    return container_open(ctx, true);
}

static int on_start_array(void *ctx)
{
    return container_open(ctx, false);
}

static int on_end(void *ctx)
{
    return container_close(ctx);
}

static int member_open(struct reader *r, struct level *l, struct slice name)
{
    const struct json_schema *schema = l->schema;

    for (size_t i = 0; i < schema->count; i++) {
        if (slice_equal(name, slice_of(schema->fields[i].name))) {
            l->field = &schema->fields[i];
            l->value = &l->values[i];
            if (l->value->is_present) {
                return fault_note(r, JSON_FAULT_DUPLICATE, l->field);
            }
            l->value->is_present = true;
            return 1;
        }
    }
    l->field = NULL;
    l->value = NULL;
    return schema->allows_unknown ? 1 : fault_note_name(r, JSON_FAULT_UNKNOWN, NULL, name);
}

static int pair_open(struct reader *r, struct slice name)
{
    if (r->pairs_count == r->pairs_cap) {
        size_t cap = r->pairs_cap == 0 ? PAIRS_FIRST : 2 * r->pairs_cap;
        struct json_pair *pairs = arena_alloc(r->arena, cap * sizeof(*pairs));
        if (pairs == NULL) {
            return memory_stop(r);
        }
        if (r->pairs_count > 0) {
            memcpy(pairs, r->pairs, r->pairs_count * sizeof(*pairs));
        }
        r->pairs = pairs;
        r->pairs_cap = cap;
    }
    r->pairs[r->pairs_count].name = text_copy(r, name.ptr, name.len);
    return 1;
}

static int on_key(void *ctx, const unsigned char *ptr, size_t len)
{
    struct reader *r = ctx;
    struct slice name = slice_make((const char *)ptr, len);
    struct level *l = level_top(r);

    if (is_skipping(r)) {
        return 1;
    }
    return l->kind == LEVEL_MAP ? pair_open(r, name) : member_open(r, l, name);
}

/* --- the whole --- */

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

static void parse(struct reader *r, struct slice body, struct region *region)
{
    yajl_alloc_funcs hooks = {region_alloc, region_resize, region_free, region};
    size_t at;
    yajl_status status;

    r->yajl = yajl_alloc(&callbacks, &hooks, r);
    (void)yajl_config(r->yajl, yajl_dont_validate_strings, 1); /* scan_body did, and stricter */
    status = yajl_parse(r->yajl, (const unsigned char *)body.ptr, body.len);
    at = yajl_get_bytes_consumed(r->yajl);
    if (status == yajl_status_ok) {
        status = yajl_complete_parse(r->yajl);
    }
    if (status == yajl_status_error) {
        *r->fault = (struct json_fault){.kind = JSON_FAULT_NOT_JSON, .at = at};
    }
    yajl_free(r->yajl);
}

/* Set aside what yajl will need: on the caller's stack, or where that is too small in the arena. */
static enum err region_take(const struct scan *scan, struct arena *a, char *local, struct region *out)
{
    size_t need = region_bytes(scan);

    *out = (struct region){.start = local, .cap = REGION_LOCAL_BYTES};
    if (need > REGION_LOCAL_BYTES) {
        out->start = arena_alloc(a, need);
        out->cap = need;
    }
    return out->start == NULL ? ERR_NOMEM : ERR_OK;
}

enum err json_read_object(struct slice body, struct arena *a, const struct json_schema *schema,
                          struct json_value *values, struct json_fault *fault)
{
    alignas(max_align_t) char local[REGION_LOCAL_BYTES];
    struct region region;
    struct reader r = {
        .arena = a, .schema = schema, .values = values, .fault = fault, .text_cap = body.len};

    *fault = (struct json_fault){.kind = JSON_FAULT_NOT_JSON};
    if (body.len == 0) {
        return ERR_INVALID;
    }
    scan_body(body, &r.scan);
    *fault = (struct json_fault){.kind = r.scan.fault, .at = r.scan.at};
    if (fault->kind != JSON_FAULT_NONE) {
        return ERR_INVALID;
    }
    r.text = arena_alloc(a, body.len);
    if (r.text == NULL || region_take(&r.scan, a, local, &region) != ERR_OK) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < schema->count; i++) {
        values[i] = (struct json_value){.is_present = false};
    }
    parse(&r, body, &region);
    if (fault->kind != JSON_FAULT_NONE) {
        return ERR_INVALID;
    }
    return r.err;
}

const char *json_fault_name(enum json_fault_kind kind)
{
    static const char *const names[JSON_FAULT_COUNT] = {
        [JSON_FAULT_NONE] = "NONE",           [JSON_FAULT_NOT_JSON] = "NOT_JSON",
        [JSON_FAULT_UTF8] = "UTF8",           [JSON_FAULT_NUL] = "NUL",
        [JSON_FAULT_SURROGATE] = "SURROGATE", [JSON_FAULT_DUPLICATE] = "DUPLICATE",
        [JSON_FAULT_UNKNOWN] = "UNKNOWN",     [JSON_FAULT_WRONG_TYPE] = "WRONG_TYPE",
        [JSON_FAULT_TOO_LONG] = "TOO_LONG",   [JSON_FAULT_TOO_DEEP] = "TOO_DEEP",
        [JSON_FAULT_RANGE] = "RANGE",
    };

    ASSERT(kind < JSON_FAULT_COUNT);
    return names[kind];
}

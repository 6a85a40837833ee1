#include "json/json_internal.h"

#include <string.h>

static int name_order(const struct json_pair *a, const struct json_pair *b)
{
    size_t len = a->name.len < b->name.len ? a->name.len : b->name.len;
    int order = len == 0 ? 0 : memcmp(a->name.ptr, b->name.ptr, len);

    return order != 0 ? order : (a->name.len > b->name.len) - (a->name.len < b->name.len);
}

/* Let the pair at `at` sink to its place in a heap of count pairs, the largest on top. */
static void heap_sink(struct json_pair *pairs, size_t at, size_t count)
{
    while (2 * at + 1 < count) {
        size_t child = 2 * at + 1;
        struct json_pair pair = pairs[at];
        if (child + 1 < count && name_order(&pairs[child], &pairs[child + 1]) < 0) {
            child++;
        }
        if (name_order(&pair, &pairs[child]) >= 0) {
            return;
        }
        pairs[at] = pairs[child];
        pairs[child] = pair;
        at = child;
    }
}

/* Heapsort: qsort(3) may allocate or turn quadratic, and strangers choose the names. */
void pairs_sort(struct json_pair *pairs, size_t count)
{
    for (size_t i = count / 2; i > 0; i--) {
        heap_sink(pairs, i - 1, count);
    }
    for (size_t rest = count; rest > 1; rest--) {
        struct json_pair last = pairs[rest - 1];
        pairs[rest - 1] = pairs[0];
        pairs[0] = last;
        heap_sink(pairs, 0, rest - 1);
    }
}

const struct json_pair *pairs_find_twin(const struct json_pair *sorted, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (slice_equal(sorted[i - 1].name, sorted[i].name)) {
            return &sorted[i];
        }
    }
    return NULL;
}

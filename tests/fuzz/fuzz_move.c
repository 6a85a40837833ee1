/* A line of an export: what is read is written again as the same bytes, and nothing else is read. */
#include <stdint.h>

#include "base/assert.h"
#include "store/move.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct move_line line;
    struct buf text, again;

    if (size > MOVE_LINE_BYTES_MAX) {
        return 0;
    }
    buf_init(&text, MOVE_LINE_BYTES_MAX + 1);
    buf_init(&again, 8 * MOVE_LINE_BYTES_MAX);
    buf_append(&text, data, size);
    buf_append_byte(&text, '\n');
    if (text.err == ERR_OK && move_line_read(text.ptr, text.len - 1, &line) == ERR_OK) {
        move_line_write(&again, &line);
        ASSERT(again.err == ERR_OK);
        ASSERT(slice_equal(buf_slice(&again), slice_make((const char *)data, size)) ||
               (again.len == size + 1 && memcmp(again.ptr, data, size) == 0));
    }
    buf_fini(&text);
    buf_fini(&again);
    return 0;
}

/* Command sequences: the input's bytes choose postings, undos and commits, and the naive model judges every step. */
#include <stddef.h>
#include <stdint.h>

#include "unit/ledger/play.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

struct input {
    const uint8_t *at, *end;
};

static uint64_t choose(void *ctx, uint64_t below)
{
    struct input *in = ctx;
    uint64_t number = 0;

    for (uint64_t range = 1; range < below && in->at < in->end; range *= 256) {
        number = number * 256 + *in->at++;
    }
    return number % below;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct input in = {bytes, bytes + len};
    struct play *g = mem_alloc(sizeof(*g));

    ASSERT(g != NULL);
    play_init(g, choose, &in);
    while (in.at < in.end) {
        play_step(g);
    }
    play_end(g);
    play_fini(g);
    mem_free(g);
    return 0;
}

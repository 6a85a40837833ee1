#include "base/clock.h"

#include <time.h>

#include "base/assert.h"

static uint64_t read_us(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);

    ASSERT(rc == 0 && now.tv_sec >= 0);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

int64_t clock_wall_us(void)
{
    return (int64_t)read_us(CLOCK_REALTIME);
}

uint64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

#include "base/prng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/assert.h"

enum err prng_secret(void *bytes, size_t len)
{
    char *at = bytes;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return ERR_IO;
        }
        at += got;
        len -= (size_t)got;
    }
    return ERR_OK;
}

uint64_t prng_next(struct prng *p)
{
    uint64_t z = (p->state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t prng_below(struct prng *p, uint64_t below)
{
    ASSERT(below > 0);
    return prng_next(p) % below;
}

#include "server/limits.h"

#include <sys/resource.h>

#include "base/assert.h"

uint64_t limits_fds(uint64_t connections, unsigned loops)
{
    return connections + LIMITS_FDS_OF_PROCESS + (uint64_t)loops * LIMITS_FDS_OF_LOOP;
}

uint64_t limits_connections(uint64_t wanted, unsigned loops, uint64_t fds)
{
    const uint64_t others = limits_fds(0, loops);

    if (fds < others + loops) {
        return loops;
    }
    return wanted < fds - others ? wanted : fds - others;
}

uint32_t limits_share(uint64_t total, unsigned count, unsigned index)
{
    uint64_t share;

    ASSERT(count > 0 && index < count && total / count < UINT32_MAX);
    share = total / count + (index < total % count ? 1 : 0);
    return share > 0 ? (uint32_t)share : 1;
}

uint64_t limits_raise(uint64_t fds)
{
    struct rlimit now, raised;

    if (getrlimit(RLIMIT_NOFILE, &now) != 0) {
        return fds; /* not known: the accept pause is the second line */
    }
    if (now.rlim_cur >= fds) {
        return now.rlim_cur;
    }
    raised = now;
    raised.rlim_cur = now.rlim_max < fds ? now.rlim_max : fds;
    return setrlimit(RLIMIT_NOFILE, &raised) == 0 ? raised.rlim_cur : now.rlim_cur;
}

/* How many connections the process can hold, and which share of them each loop gets. */
#ifndef SERVER_LIMITS_H
#define SERVER_LIMITS_H

#include <stdint.h>

enum {
    LIMITS_FDS_OF_PROCESS = 64, /* log, files of the store, signals, and some to spare */
    LIMITS_FDS_OF_LOOP =
        64 + 8, /* epoll, events, the listening socket; connections that are only told to come later */
};

/** File descriptors for so many connections on so many loops. */
uint64_t limits_fds(uint64_t connections, unsigned loops);

/** How many of the wanted connections fit where the process may have so many descriptors; at least one a loop. */
uint64_t limits_connections(uint64_t wanted, unsigned loops, uint64_t fds);

/** The share of loop `index` of `count` in the total: they differ by one at most, and add up; at least one each. */
uint32_t limits_share(uint64_t total, unsigned count, unsigned index);

/** Let the process have so many descriptors, where the hard limit allows it. Returns: how many it may have now. */
uint64_t limits_raise(uint64_t fds);

#endif

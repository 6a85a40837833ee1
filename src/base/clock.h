/* The two clocks. Rooms that must stay pure take time as an argument and never include this. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/** Wall clock, µs since the Unix epoch; may step either way. Thread: any. */
int64_t clock_wall_us(void);

/** Monotonic clock, µs since an arbitrary start; never steps back. Thread: any. */
uint64_t clock_mono_us(void);

#endif

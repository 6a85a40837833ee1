/* The only door to the heap. Out of memory is a value, never an abort. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/** Allocate size bytes, zeroed. Returns NULL when memory ran out. Owns: the caller, freed by mem_free. Thread: any. */
void *mem_alloc(size_t size);

/** Allocate count elements of size bytes, zeroed; NULL when memory ran out or the product overflows. Thread: any. */
void *mem_alloc_array(size_t count, size_t size);

/** Grow or shrink a block; on NULL the old block stays valid and owned. New bytes are not zeroed. Thread: any. */
void *mem_resize(void *block, size_t size);

/** Free a block; NULL is allowed. Thread: any. */
void mem_free(void *block);

/**
 * Let allocations of the calling thread fail: the nth from now (1 is the next), and all later ones when
 * is_persistent. 0 turns it off. For tests that fail every allocation in turn.
 */
void mem_fail_at(uint64_t nth, int is_persistent);

/** How many allocations the calling thread has asked for since mem_fail_at was last called. */
uint64_t mem_asked(void);

#endif

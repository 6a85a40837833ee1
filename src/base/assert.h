/* Assertions that stay on in release: a broken invariant in a ledger must stop the process, not spread. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

/** Abort with file, line and text when a programmer's claim does not hold. Thread: any. */
#define ASSERT(claim) \
    do { \
        if (__builtin_expect(!(claim), 0)) { \
            assert_failed(#claim, __FILE__, __LINE__); \
        } \
    } while (0)

#define UNREACHABLE(why) assert_failed("unreachable: " why, __FILE__, __LINE__)

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

/** Write the claim to stderr with one write(2) and abort(3). Thread: any. */
_Noreturn void assert_failed(const char *claim, const char *file, int line);

#endif

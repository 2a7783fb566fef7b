/* For programs that have the same functions under other names, by NUMBER. */
#define OWN __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory")

#if NUMBER == 1
#define inner inner1
#define outer outer1
#else
#define inner inner2
#define outer outer2
OWN int padding(int n) { AFTER; return n * 3 + 1; }
#endif

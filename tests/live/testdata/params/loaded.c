/* A library with the functions inner1 and outer1, or inner2 and outer2, at other offsets. */
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

OWN int inner(int (*f)(int), int n) { volatile char b[40 * NUMBER]; b[n] = f(n); AFTER; return b[n]; }
OWN int outer(int (*f)(int), int n) { volatile char b[24 * NUMBER]; b[n] = inner(f, n); AFTER; return b[n]; }

/* A library with the functions inner1 and outer1, or inner2 and outer2, at other offsets. */
#include "numbered.h"

OWN int inner(int (*f)(int), int n) { volatile char b[40 * NUMBER]; b[n] = f(n); AFTER; return b[n]; }
OWN int outer(int (*f)(int), int n) { volatile char b[24 * NUMBER]; b[n] = inner(f, n); AFTER; return b[n]; }

/* Calls getpgid through functions with the number of the program, and executes the program of
   the first argument, which executes this one, and so on. The code of both is at the same
   addresses, with other frames. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <unistd.h>

#include "numbered.h"

OWN int leaf(long n)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_getpgid), "D"(n) : "rcx", "r11", "memory");
	return r;
}

OWN int inner(int n) { volatile char b[40 * NUMBER]; b[1] = leaf(n); AFTER; return b[1]; }
OWN int outer(int n) { volatile char b[24 * NUMBER]; b[1] = inner(n); AFTER; return b[1]; }

int main(int argc, char **argv)
{
	char *next[] = {argv[1], argv[0], 0};
	for (int i = 0; i < 3 * argc; i++)
		outer(424242);
	execv(argv[1], next);
	return 1;
}

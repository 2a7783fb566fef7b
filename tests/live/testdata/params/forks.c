/* A process with as many mappings as its argument says has children that call mark(1)
   and end at once, again and again until it is killed. It calls mark(0) itself. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory")

OWN void mark(int n) { __asm__ volatile("" :: "r"(n) : "memory"); }
OWN int leaf(int n) { mark(n); AFTER; return n + 1; }
OWN int child(int n) { int r = leaf(n); AFTER; return r + 1; }

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	char *p = mmap(0, (n + 1) * 4096L, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < n; i += 2)
		mprotect(p + i * 4096L, 4096, PROT_NONE);
	for (;;) {
		child(0);
		int pid = fork();
		if (!pid) {
			child(1);
			_exit(0);
		}
		waitpid(pid, 0, 0);
	}
}

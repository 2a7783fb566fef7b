/* Loads a library, calls it, unloads it and does the same with another one, which may get the
   same addresses, again and again until the program is killed. Each calls mark with its
   number. With an argument, it does so at once. */
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory")

static int pause_us = 20000;

OWN int mark(int n) { AFTER; return n; }

OWN int uses(const char *file, const char *name, int n)
{
	void *lib = dlopen(file, RTLD_NOW);
	int (*f)(int (*)(int), int) = lib ? dlsym(lib, name) : 0;
	if (!f) {
		fprintf(stderr, "%s\n", dlerror());
		_exit(1);
	}
	usleep(pause_us); /* the names follow the mappings */
	int r = f(mark, n);
	dlclose(lib);
	AFTER;
	return r;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		pause_us = 0;
	for (;;) {
		uses("/app/1.so", "outer1", 1);
		uses("/app/2.so", "outer2", 2);
	}
}

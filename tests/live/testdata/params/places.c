/* Calls code in a file that is mapped in the way of the first argument, or calls it in a child
   of that kind. The last caller is leaf, or a function of the vdso. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone, used))
#define AFTER __asm__ volatile("" ::: "memory")

OWN long leaf(long n)
{
	long r;
	/* The frame's address makes compilers set the frame pointer. */
	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_getpgid), "D"(n), "S"(__builtin_frame_address(0)) : "rcx", "r11", "memory");
	return r;
}

/* The vdso makes a system call for this clock. */
OWN long vdso(long n) { struct timespec t; long r = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); AFTER; return r + n; }

OWN long outer(long n) { long r = leaf(n); AFTER; return r; }

typedef long function(long);
OWN long run(function *f) { long r = f(424242); AFTER; return r; }

extern const char __ehdr_start[];

/* Maps the segment with the function outer from another file, and returns the function there. */
static function *mapped(int fd, int flags)
{
	const Elf64_Ehdr *e = (void *)__ehdr_start;
	const Elf64_Phdr *p = (void *)(__ehdr_start + e->e_phoff);
	for (int i = 0; i < e->e_phnum; i++, p++) {
		if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
			continue;
		char *at = mmap(0, p->p_filesz, PROT_READ | PROT_EXEC, flags, fd, p->p_offset & -4096);
		if (at == MAP_FAILED)
			break;
		return (function *)(at + (p->p_offset & 4095) + ((long)outer - p->p_vaddr));
	}
	perror("mmap");
	exit(1);
}

static int copyto(int fd)
{
	int from = open("/proc/self/exe", O_RDONLY);
	struct stat st;
	fstat(from, &st);
	if (fd < 0 || sendfile(fd, from, 0, st.st_size) != st.st_size) {
		perror("copy");
		exit(1);
	}
	return fd;
}

static char stack[65536];
static int child(void *f) { run(f); return 0; }

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	function *f = outer;
	int flags = 0;
	char name[] = "/tmp/placesXXXXXX";
	if (!strcmp(how, "vdso"))
		f = vdso;
	else if (!strcmp(how, "memfd"))
		f = mapped(copyto(memfd_create("code", 0)), MAP_PRIVATE);
	else if (!strcmp(how, "shared"))
		f = mapped(copyto(memfd_create("code", 0)), MAP_SHARED);
	else if (!strcmp(how, "tmpfile"))
		f = mapped(copyto(open("/tmp", O_TMPFILE | O_RDWR, 0700)), MAP_PRIVATE);
	else if (!strcmp(how, "deleted")) {
		f = mapped(copyto(mkstemp(name)), MAP_PRIVATE);
		unlink(name);
	} else if (!strcmp(how, "vm"))
		flags = CLONE_VM | SIGCHLD;
	else if (!strcmp(how, "vfork"))
		flags = CLONE_VM | CLONE_VFORK | SIGCHLD;
	else if (!strcmp(how, "fork"))
		flags = SIGCHLD;
	for (;;) {
		if (!flags)
			run(f);
		else if (clone(child, stack + sizeof stack, flags, f) > 0)
			wait(0);
		usleep(1000);
	}
}

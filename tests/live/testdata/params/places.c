/* Calls code in a file that is mapped in the way of the first argument, or in a child, a thread
   or a handler of that kind. The last caller is leaf, or a function of the vdso. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
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

/* On the stack of the handlers, the second one interrupts the first one. */
OWN static void sends(int sig) { long r; __asm__ volatile("syscall" : "=a"(r) : "a"(SYS_kill), "D"(getpid()), "S"(sig) : "rcx", "r11", "memory"); AFTER; }
static function *inHandler;
OWN void second(int sig) { (void)sig; run(inHandler); AFTER; }
OWN void first(int sig) { (void)sig; sends(SIGUSR2); AFTER; }
OWN long nested(long n) { sends(SIGUSR1); AFTER; return n; }

static void handle(int sig, void (*f)(int))
{
	static char aside[65536];
	stack_t st = {.ss_sp = aside, .ss_size = sizeof aside};
	struct sigaction sa = {.sa_handler = f, .sa_flags = SA_ONSTACK};
	sigaltstack(&st, 0);
	sigaction(sig, &sa, 0);
}

/* A thread calls the function. */
OWN void *begins(void *f) { run(f); AFTER; return 0; }
OWN long threads(long n) { pthread_t t; pthread_create(&t, 0, begins, outer); pthread_join(t, 0); return n; }

/* A child that has the stack of its parent calls it. */
OWN long child_of_vfork(long n) { int pid = vfork(); if (!pid) { run(outer); _exit(0); } waitpid(pid, 0, 0); return n; }

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
	else if (!strcmp(how, "nested")) {
		inHandler = outer;
		f = nested;
		handle(SIGUSR1, first);
		handle(SIGUSR2, second);
	} else if (!strcmp(how, "thread"))
		f = threads;
	else if (!strcmp(how, "vforked"))
		f = child_of_vfork;
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

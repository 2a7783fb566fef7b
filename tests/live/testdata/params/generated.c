/* Generates functions at run time that call each other and keep frame pointers, and names
   them: in the map file of the process if the argument is "map", in a jitdump file, which it
   maps, if the argument is "dump". The innermost one calls leaf, again and again until the
   program is killed. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone, used))
#define AFTER __asm__ volatile("" ::: "memory")

OWN long leaf(void)
{
	long r;
	/* The frame's address makes compilers set the frame pointer. */
	__asm__ volatile("syscall" : "=a"(r) : "a"(SYS_getpgid), "D"(424242), "S"(__builtin_frame_address(0)) : "rcx", "r11", "memory");
	return r;
}

typedef long function(void);
OWN long run(function *f) { long r = f(); AFTER; return r; }

/* push %rbp; mov %rsp, %rbp; movabs $callee, %rax; call *%rax; pop %rbp; ret */
static const unsigned char text[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xd0, 0x5d, 0xc3};

static function *generate(unsigned char *at, function *callee)
{
	memcpy(at, text, sizeof text);
	memcpy(at + 6, &callee, 8);
	return (function *)at;
}

struct load { int kind, size; long time; int pid, tid; long vma, addr, bytes, index; char name[16]; unsigned char code[sizeof text]; } __attribute__((packed));

int main(int argc, char **argv)
{
	static const char *const names[] = {"made_inner", "made_middle", "made_outer"};
	int dump = argc > 1 && !strcmp(argv[1], "dump");
	unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char name[64];
	snprintf(name, sizeof name, dump ? "/tmp/jit-%d.dump" : "/tmp/perf-%d.map", getpid());
	FILE *file = fopen(name, "w+");
	if (code == MAP_FAILED || !file)
		return 1;
	if (dump) {
		int header[10] = {0x4a695444, 1, sizeof header, 62, 0, getpid()};
		fwrite(header, sizeof header, 1, file);
		fflush(file);
		if (mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(file), 0) == MAP_FAILED)
			return 1;
	}
	function *f = leaf;
	for (int i = 0; i < 3; i++) {
		unsigned char *at = code + 64 * i;
		f = generate(at, f);
		if (dump) {
			struct load l = {.size = sizeof l, .time = i, .pid = getpid(), .tid = getpid(), .vma = (long)at, .addr = (long)at, .bytes = sizeof text, .index = i};
			strcpy(l.name, names[i]);
			memcpy(l.code, at, sizeof text);
			fwrite(&l, sizeof l, 1, file);
		} else {
			fprintf(file, "%lx %zx %s\n", (long)at, sizeof text, names[i]);
		}
	}
	fflush(file);
	for (;;) {
		run(f);
		usleep(1000);
	}
}

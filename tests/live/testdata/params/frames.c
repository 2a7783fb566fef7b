/* Functions whose callers are found by unwind tables in different ways. Each case
   calls mark(case) from inside of it, again and again until the program is killed. */
#define _GNU_SOURCE
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory")

OWN void mark(int n) { __asm__ volatile("" :: "r"(n) : "memory"); }

/* Functions that call others. */
OWN int leaf3(int n) { mark(n); AFTER; return n + 1; }
OWN int leaf2(int n) { int r = leaf3(n); AFTER; return r + 1; }
OWN int leaf1(int n) { int r = leaf2(n); AFTER; return r + 1; }

/* The frame's size is known at run time only. */
OWN int with_alloca(int n) { char *p = alloca(n * 8 + 64); memset(p, n, 64); mark(n); AFTER; return p[3]; }
OWN int with_vla(int n) { int a[n + 3]; memset(a, 0, sizeof a); a[n] = leaf3(n); AFTER; return a[n]; }

/* More than a byte's worth of frame. */
OWN int large(int n) { volatile char b[100000]; b[n] = 1; leaf3(n); AFTER; return b[n]; }

/* The stack pointer is rounded down. */
OWN int aligned(int n) { volatile char b[64] __attribute__((aligned(128))); b[0] = n; char *p = alloca(n + 1); p[0] = leaf3(n); AFTER; return b[0] + p[0]; }

/* Many registers are saved. */
OWN int saves(int n)
{
	int a = n, b = n * 2, c = n * 3, d = n * 5, e = n * 7, f = n * 11;
	for (int i = 0; i < 2; i++) {
		a += leaf2(n); b ^= a; c += b; d ^= c; e += d; f ^= e;
	}
	return a + b + c + d + e + f;
}

OWN int deep(int n, int left) { int r = left ? deep(n, left - 1) : leaf3(n); AFTER; return r + 1; }

/* The call is the function's last instruction. */
static jmp_buf out;
OWN _Noreturn void never(int n) { mark(n); longjmp(out, 1); }
OWN void last_call(int n) { AFTER; never(n); }
OWN int noreturn_call(int n) { if (!setjmp(out)) last_call(n); AFTER; return n; }

/* The C library calls back. */
static int sorting;
OWN int compare(const void *a, const void *b) { mark(sorting); AFTER; return *(const int *)a - *(const int *)b; }
OWN int sorts(int n) { int a[2] = {2, 1}; sorting = n; qsort(a, 2, sizeof a[0], compare); AFTER; return a[0]; }

/* A handler interrupts; on another stack too. */
static volatile int signalled;
OWN void handler(int sig) { (void)sig; mark(signalled); AFTER; }
OWN int raises(int n) { signalled = n; kill(getpid(), SIGUSR1); AFTER; return n; }
OWN int raises_aside(int n) { signalled = n; kill(getpid(), SIGUSR2); AFTER; return n; }
OWN int faults(int n) { signalled = n; __asm__ volatile("hlt"); return n; }
static void skip(int sig, siginfo_t *info, void *ctx);

/* Code that is generated at run time and has no frame pointer calls a function. */
static int generating;
OWN int from_code(void) { int r = leaf3(generating); AFTER; return r; }
OWN int generated(int n)
{
	static unsigned char *code;
	static const unsigned char sizes[] = {0x08, 0x78};
	if (!code)
		code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char size = sizes[n % 2];
	/* sub $size, %rsp; call *%rdi; add $size, %rsp; ret */
	const unsigned char text[] = {0x48, 0x83, 0xec, size, 0xff, 0xd7, 0x48, 0x83, 0xc4, size, 0xc3};
	memcpy(code, text, sizeof text);
	generating = n;
	int r = ((int (*)(int (*)(void)))code)(from_code);
	AFTER;
	return r;
}

/* No table describes the function, and its instructions do not tell the size of its frame,
   but it sets the frame pointer. */
int bare(int n);
__asm__(".pushsection .text\n.type bare, @function\nbare: push %rbp\nmov %rsp, %rax\nmov %rax, %rbp\nand $-16, %rsp\ncall mark\n"
	"mov %rbp, %rsp\npop %rbp\nret\n.size bare, .-bare\n.popsection");
OWN int calls_bare(int n) { int r = bare(n); AFTER; return r; }

/* No table describes the function, but its instructions tell the size of its frame. */
int plain(int n);
__asm__(".pushsection .text\n.type plain, @function\nplain: push %rbx\nsub $24, %rsp\ntest %edi, %edi\nje 1f\ncall leaf3\n"
	"1: add $24, %rsp\npop %rbx\nret\n.size plain, .-plain\n.popsection");
OWN int calls_plain(int n) { int r = plain(n); AFTER; return r; }

/* A thread's stack. */
OWN void *thread(void *n) { leaf3((int)(long)n); AFTER; return 0; }
static __attribute__((noinline)) int starts(int n) { pthread_t t; pthread_create(&t, 0, thread, (void *)(long)n); pthread_join(t, 0); return n; }

OWN void skip(int sig, siginfo_t *info, void *ctx)
{
	(void)sig, (void)info;
	mark(signalled);
	((ucontext_t *)ctx)->uc_mcontext.gregs[REG_RIP]++; /* after hlt */
}

int main(void)
{
	static char aside[65536];
	stack_t st = {.ss_sp = aside, .ss_size = sizeof aside};
	sigaltstack(&st, 0);
	struct sigaction sa = {.sa_handler = handler};
	sigaction(SIGUSR1, &sa, 0);
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &sa, 0);
	struct sigaction sf = {.sa_sigaction = skip, .sa_flags = SA_SIGINFO};
	sigaction(SIGSEGV, &sf, 0);
	for (;;) {
		leaf1(0), with_alloca(1), with_vla(2), large(3), aligned(4), saves(5), deep(6, 60), noreturn_call(7), sorts(8);
		raises(9), raises_aside(10), faults(11), starts(12);
		generated(13), generated(14), calls_plain(16), calls_bare(15);
		usleep(1000);
	}
}

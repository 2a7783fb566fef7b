// The workload of the live tests: it does exactly what its arguments request,
// and no other system calls of the same kind. It is static, so that no loader
// opens or reads files, and has one thread unless a command needs more.
//
//   work COMMAND [ARGUMENT...]
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

// Marks a function for probes: it is never inlined or cloned, and has an effect,
// so that the compiler does not remove calls of it.
#define PROBED __attribute__((noinline, noclone, used))
#define EFFECT __asm__ volatile("" ::: "memory")

static void check(int ok, const char *what) {
	if (!ok) {
		perror(what);
		exit(99);
	}
}

static long number(char **argv, int i, long otherwise) {
	return argv[i] ? strtol(argv[i], 0, 0) : otherwise;
}

// --- system calls ---

// Whether a system call may not be tried: it does not return, makes a process,
// or changes the machine even if all its arguments are -1.
static int dangerous(int nr) {
	switch (nr) {
	case SYS_exit: case SYS_exit_group: case SYS_clone: case SYS_clone3:
	case SYS_rt_sigsuspend: case SYS_rt_sigreturn: case SYS_kill: case SYS_reboot:
	case SYS_vhangup: case SYS_sync: case SYS_execve: case SYS_setsid:
	case SYS_munmap: case SYS_brk: case SYS_close_range: case SYS_sethostname:
	case SYS_setdomainname:
		return 1;
#ifdef __x86_64__
	case SYS_fork: case SYS_vfork: case SYS_pause: case SYS_alarm:
	case 335: case 336: // uretprobe and uprobe
		return 1;
#endif
	}
	return 0;
}

// tries system call N % 3 + 1 times, for each N, with arguments that are wrong; then
// does M times the 32-bit system call 64, which is another one to 64-bit programs.
static void do_syscalls(long m) {
	for (int nr = 0; nr < 480; nr++)
		for (int i = 0; !dangerous(nr) && i <= nr % 3; i++)
			syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
#ifdef __x86_64__
	for (long i = 0; i < m; i++) {
		long r = 64;
		__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	}
#endif
}

// reads N times from /dev/zero, SIZE bytes each.
static void do_read(long n, long size) {
	char *buf = malloc(size + 1);
	int fd = open("/dev/zero", O_RDONLY);
	check(buf && fd >= 0, "/dev/zero");
	for (long i = 0; i < n; i++)
		check(read(fd, buf, size) == size, "read");
}

// reads of 1, 2, 3, … N bytes.
static void do_ramp(long n) {
	char *buf = malloc(n + 1);
	int fd = open("/dev/zero", O_RDONLY);
	check(buf && fd >= 0, "/dev/zero");
	for (long i = 1; i <= n; i++)
		check(read(fd, buf, i) == i, "read");
}

// opens a file N times; the file may be missing.
static void do_open(long n, const char *path) {
	for (long i = 0; i < n; i++) {
		int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
		if (fd >= 0)
			close(fd);
	}
}

PROBED const char *gt_string(const char *s);

// opens n names, each from off bytes into a page that this process has not touched:
// gt_string and the system call get an address without memory behind it.
static void do_cold(long n, long off) {
	int fd = memfd_create("names", 0);
	check(fd >= 0, "memfd_create");
	check(ftruncate(fd, 4096 * (n + 1)) == 0, "ftruncate");
	for (long i = 0; i < n; i++) {
		char name[16];
		int len = sprintf(name, "/absent/%06ld", i);
		check(pwrite(fd, name, len, 4096 * i + off) == len, "pwrite");
	}
	char *m = mmap(0, 4096 * (n + 1), PROT_READ, MAP_PRIVATE, fd, 0);
	check(m != MAP_FAILED, "mmap");
	madvise(m, 4096 * (n + 1), MADV_RANDOM); // do not map neighbours too
	for (long i = 0; i < n; i++)
		syscall(SYS_openat, AT_FDCWD, gt_string(m + 4096 * i + off), O_RDONLY, 0);
}

// opens n names at an address where there is no memory.
static void do_nowhere(long n) {
	for (long i = 0; i < n; i++)
		syscall(SYS_openat, AT_FDCWD, (char *)64, O_RDONLY, 0);
}

static char fifo[] = "/tmp/gtwork-XXXXXX/f";
static int main_thread;

// lets the open of the main thread end when the thread has got another name.
static void *end_open(void *unused) {
	char path[64], text[5] = "", want[8];
	prctl(PR_SET_NAME, "helper");
	sprintf(want, "%d ", SYS_openat);
	while (strncmp(text, want, strlen(want))) {
		sprintf(path, "/proc/self/task/%d/syscall", main_thread);
		int fd = open(path, O_RDONLY);
		check(fd >= 0 && read(fd, text, 4) > 0, path);
		close(fd);
	}
	sprintf(path, "/proc/self/task/%d/comm", main_thread);
	int fd = open(path, O_WRONLY);
	check(fd >= 0 && write(fd, "elsewhere", 9) == 9, path);
	check(open(fifo, O_WRONLY) >= 0, fifo);
	return unused;
}

// opens a file by a name that is not in memory, and has another thread name when that
// returns. Then, by its first name again, it opens the file without a name.
static void do_missed(void) {
	main_thread = getpid();
	*strrchr(fifo, '/') = 0;
	check(mkdtemp(fifo) != 0, fifo);
	fifo[strlen(fifo)] = '/';
	check(mkfifo(fifo, 0600) == 0, fifo);
	int fd = memfd_create("name", 0);
	check(fd >= 0 && write(fd, fifo, sizeof fifo) == sizeof fifo, "memfd");
	char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	pthread_t t;
	check(m != MAP_FAILED && pthread_create(&t, 0, end_open, 0) == 0, "thread");
	check(syscall(SYS_openat, AT_FDCWD, m, O_RDONLY, 0) >= 0, fifo);
	strcpy(m, "/wrong");
	prctl(PR_SET_NAME, "gtwork");
	syscall(SYS_openat, AT_FDCWD, "", O_RDONLY, 0);
	pthread_join(t, 0);
	unlink(fifo);
	*strrchr(fifo, '/') = 0;
	rmdir(fifo);
}

// does each of the file operations in a new directory: some twice, some failing.
static void do_files(const char *dir) {
#ifdef __x86_64__
	struct { uint64_t flags, mode, resolve; } how = {O_RDONLY | O_CLOEXEC, 0, 0};
	char buf[8] = "abcdef";
	struct iovec iov[2] = {{buf, 3}, {buf, 1}};
	syscall(SYS_mkdir, dir, 0750);
	check(chdir(dir) == 0, "chdir");
	int a = syscall(SYS_open, "a", O_CREAT | O_RDWR, 0640);
	int at = syscall(SYS_openat, AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
	syscall(SYS_openat, at, "b", O_CREAT | O_WRONLY | O_APPEND, 0711);
	syscall(SYS_openat2, at, "a", &how, sizeof how);
	syscall(SYS_creat, "./c", 0644);
	syscall(SYS_open, "a", O_PATH, 0);
	syscall(SYS_open, "missing", O_RDWR, 0);
	syscall(SYS_openat, at, "missing/x", O_RDONLY, 0);
	syscall(SYS_openat, -1, "/missing", O_RDONLY, 0);
	how.flags = ~0ull;
	syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);

	syscall(SYS_write, a, buf, 6);
	syscall(SYS_pwrite64, a, buf, 2, 0);
	syscall(SYS_writev, a, iov, 2);
	syscall(SYS_pwritev, a, iov, 1, 0, 0);
	syscall(SYS_pwritev2, a, iov, 1, 0, 0, 0);
	syscall(SYS_write, at, buf, 1);
	lseek(a, 0, SEEK_SET);
	syscall(SYS_read, a, buf, 6);
	syscall(SYS_pread64, a, buf, 2, 0);
	syscall(SYS_readv, a, iov, 2);
	syscall(SYS_preadv, a, iov, 1, 0, 0);
	syscall(SYS_preadv2, a, iov, 1, 0, 0, 0);
	syscall(SYS_read, at, buf, 1);

	syscall(SYS_rename, "a", "e");
	syscall(SYS_renameat, at, "e", AT_FDCWD, "a");
	syscall(SYS_renameat2, at, "a", at, "b", 1); // RENAME_NOREPLACE
	syscall(SYS_link, "a", "l");
	syscall(SYS_linkat, at, "a", at, "m", 0);
	syscall(SYS_symlink, "a", "s");
	syscall(SYS_symlinkat, "/b", at, "t");
	syscall(SYS_mkdir, "sub", 0755);
	syscall(SYS_mkdirat, at, "sub", 0700);
	syscall(SYS_chmod, "a", 0600);
	syscall(SYS_fchmod, a, 0644);
	syscall(SYS_fchmodat, at, "b", 0700);
	syscall(SYS_chown, "a", 0, 0);
	syscall(SYS_lchown, "s", -1, 0);
	syscall(SYS_fchown, a, 0, -1);
	syscall(SYS_fchownat, at, "missing", 1, 2, 0);
	syscall(SYS_truncate, "a", 100L);
	syscall(SYS_ftruncate, a, 10L);
	syscall(SYS_mount, "gtdev", "sub", "gtfs", 1L, 0);
	syscall(SYS_umount2, "sub", 2);
	syscall(SYS_mmap, 0, 4096L, PROT_READ | PROT_EXEC, MAP_PRIVATE, a, 0);
	syscall(SYS_mmap, 0, 4096L, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	syscall(SYS_mmap, 0, 0L, PROT_READ, MAP_SHARED, a, 0);

	const char *names[] = {"a", "b", "c", "l", "m", "s", "t"};
	for (int i = 0; i < 6; i++)
		syscall(SYS_unlink, names[i]);
	syscall(SYS_unlinkat, at, names[6], 0);
	syscall(SYS_unlinkat, at, "sub", AT_REMOVEDIR);
	syscall(SYS_rmdir, dir);
	syscall(SYS_rmdir, dir);
#endif
}

static void *sleeper_main(void *arg);

// makes processes that end in different ways, one after the other, and a thread.
static void do_processes(void) {
	char *again[] = {"again", "exit", "3", 0}, *missing[] = {"name", 0};
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();
		check(child >= 0, "fork");
		if (child > 0) {
			check(waitpid(child, 0, 0) == child, "waitpid");
			continue;
		}
		switch (i) {
		case 0:
			_exit(7);
		case 1:
			raise(SIGKILL);
		case 2:
			raise(SIGTERM);
		case 3:
			syscall(SYS_execve, "/missing/program", missing, 0);
			_exit(1);
		case 4:
			execve("/proc/self/exe", again, 0);
		}
		_exit(99);
	}
	pthread_t t;
	check(pthread_create(&t, 0, sleeper_main, 0) == 0, "pthread_create");
	pthread_join(t, 0);
}

// makes calls with garbage in the upper bits of the arguments.
static void do_dirty(void) {
	const unsigned long dirt = 0xabcdul << 32;
	syscall(SYS_openat, dirt | (unsigned)AT_FDCWD, "/nowhere", dirt | O_RDONLY, dirt | 0xfedc0000 | 0640);
	syscall(SYS_lseek, dirt | (unsigned)-1, -5L, dirt | 2);
	syscall(SYS_kill, dirt | (unsigned)-2000000, dirt | 0);
}

struct pinned {
	int cpu;
	long n;
};

static void *pinned_main(void *arg) {
	struct pinned *p = arg;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(p->cpu, &set);
	check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
	for (long i = 0; i < p->n; i++)
		syscall(SYS_getpgid, 0);
	return 0;
}

// calls getpgid N times on each of CPUS CPUs, at the same time.
static void do_pinned(long n, long cpus) {
	pthread_t t[64];
	struct pinned p[64];
	for (int i = 0; i < cpus; i++) {
		p[i] = (struct pinned){i, n};
		check(pthread_create(&t[i], 0, pinned_main, &p[i]) == 0, "pthread_create");
	}
	for (int i = 0; i < cpus; i++)
		pthread_join(t[i], 0);
}

PROBED void preempt_mark(long who) { EFFECT; }
PROBED static void preempt_down(long who, int depth) {
	if (depth > 0)
		preempt_down(who, depth - 1);
	else
		preempt_mark(who);
	EFFECT;
}

static void *preempt_main(void *arg) {
	struct pinned *p = arg;
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
	if (p->cpu) { // this thread interrupts the other wherever it is
		struct sched_param first = {10};
		check(sched_setscheduler(0, SCHED_FIFO, &first) == 0, "sched_setscheduler");
	}
	for (long i = 0; i < p->n; i++) {
		if (p->cpu)
			usleep(20 + i * 37 % 100);
		preempt_down(p->cpu, p->cpu ? 40 : 20);
	}
	return 0;
}

// calls preempt_mark N times in each of two threads of one CPU, one of which preempts the
// other: preempt_mark(1) below 41 frames of preempt_down, preempt_mark(0) below 21.
static void do_preempt(long n) {
	pthread_t t[2];
	struct pinned p[2] = {{0, n}, {1, n}};
	for (int i = 0; i < 2; i++)
		check(pthread_create(&t[i], 0, preempt_main, &p[i]) == 0, "pthread_create");
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], 0);
}

static void *sleeper_main(void *arg) {
	usleep(1000 * (long)arg);
	return 0;
}

// starts N threads that sleep MS milliseconds at the same time.
static void do_sleepers(long n, long ms) {
	pthread_t t[256];
	for (int i = 0; i < n && i < 256; i++)
		check(pthread_create(&t[i], 0, sleeper_main, (void *)ms) == 0, "pthread_create");
	for (int i = 0; i < n && i < 256; i++)
		pthread_join(t[i], 0);
}

// calls getpgid(i) N times, i counting up from 0: different values for keys.
static void do_count(long n) {
	for (long i = 0; i < n; i++)
		syscall(SYS_getpgid, (int)i);
}

// Calls getpgid from N different stacks: from the i-th (i mod 3)+1 times, ROUNDS
// times over. Which of two functions calls the next is the i-th number's bits.
static void stack_left(long bits, int depth);
static void stack_right(long bits, int depth);

static inline __attribute__((always_inline)) void stack_next(long bits, int depth) {
	if (depth == 0)
		syscall(SYS_getpgid, 0);
	else if (bits & 1)
		stack_left(bits >> 1, depth - 1);
	else
		stack_right(bits >> 1, depth - 1);
	EFFECT;
}
PROBED static void stack_left(long bits, int depth) {
	stack_next(bits, depth);
	EFFECT;
}
PROBED static void stack_right(long bits, int depth) {
	stack_next(bits, depth);
	EFFECT;
}

static void do_stacks(long n, long rounds) {
	for (long r = 0; r < rounds; r++)
		for (long i = 0; i < n; i++)
			for (long k = 0; k <= i % 3; k++)
				stack_left(i, 17);
}

// keeps a CPU busy for the given milliseconds.
static void do_spin(long ms) {
	struct timespec from, now;
	clock_gettime(CLOCK_MONOTONIC, &from);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - from.tv_sec) * 1000 + (now.tv_nsec - from.tv_nsec) / 1000000 < ms);
}

// --- static probes ---

// A static probe: a no-op, and a note with its address, the address of its
// semaphore (or 0), its provider, its name, and the places of its arguments.
#define STATIC_PROBE(provider, name, semaphore, args, ...)                     \
	__asm__ volatile("990: nop\n"                                              \
			 ".pushsection .note.stapsdt,\"\",\"note\"\n"                \
			 ".balign 4\n"                                              \
			 ".4byte 992f-991f, 994f-993f, 3\n"                         \
			 "991: .asciz \"stapsdt\"\n"                                \
			 "992: .balign 4\n"                                         \
			 "993: .8byte 990b, _.stapsdt.base, " semaphore "\n"        \
			 ".asciz \"" provider "\"\n"                                \
			 ".asciz \"" name "\"\n"                                    \
			 ".asciz \"" args "\"\n"                                    \
			 "994: .balign 4\n"                                         \
			 ".popsection\n"                                            \
			 ".ifndef _.stapsdt.base\n"                                 \
			 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			 ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"           \
			 "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n"      \
			 ".popsection\n.endif\n" ::__VA_ARGS__ : "memory")

volatile unsigned short gt_semaphore __attribute__((section(".probes")));
long gt_pair[2] = {111, -222};

static inline __attribute__((always_inline)) void twice(long n) {
	STATIC_PROBE("gt", "twice", "0", "-8@%0", "r"(n));
}

// Functions that keep their argument below the stack pointer: over a five-byte nop, over
// a static probe of two nops, and after a five-byte nop at the start. They return it.
long gt_over5(long n), gt_over10(long n), gt_after5(long n);
#ifdef __x86_64__
#define FUNCTION(name, code) ".globl " name "\n.type " name ",@function\n" name ":\n" code "ret\n.size " name ",.-" name "\n"
#define KEEP "mov %rdi, -8(%rsp)\n"
#define GIVE "mov -8(%rsp), %rax\n"
#define NOP5 ".byte 0x0f, 0x1f, 0x44, 0, 0\n"
#define NOP10 ".byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"
__asm__(".text\n"
	FUNCTION("gt_over5", KEEP NOP5 GIVE)
	FUNCTION("gt_over10", KEEP "990: nop\n" NOP10 GIVE)
	FUNCTION("gt_after5", NOP5 KEEP GIVE)
	".pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n"
	".4byte 992f-991f, 994f-993f, 3\n991: .asciz \"stapsdt\"\n992: .balign 4\n"
	"993: .8byte 990b, _.stapsdt.base, 0\n.asciz \"gt\"\n.asciz \"over\"\n.asciz \"-8@%rdi\"\n994: .balign 4\n"
	".popsection\n");
#endif

// calls those functions N times. It ends with 97 if they return something else.
static void do_redzone(long n) {
	for (long i = 1; i <= n; i++)
		if (gt_over5(i) != i || gt_over10(i) != i || gt_after5(i) != i)
			exit(97);
}

// fires the static probes N times.
static void do_static(long n) {
	for (long i = 0; i < n; i++) {
		STATIC_PROBE("gt", "none", "0", "");
		STATIC_PROBE("gt", "signs", "0", "-1@%b0 1@%b1 -2@%w2 2@%w3 -4@%k4 4@%k5 -8@%6 8@%7",
			     "q"((char)-8), "q"((unsigned char)200), "r"((short)-1600), "r"((unsigned short)60000),
			     "r"(-320000), "r"(4000000000u), "r"(-64000000000), "r"(18000000000000000000ul));
		STATIC_PROBE("gt", "places", "0", "-4@$-7 -8@gt_pair(%%rip) -8@8+gt_pair(%%rip) -8@(%0,%1,8) 4@$-1", "r"(gt_pair), "r"(i & 1));
		STATIC_PROBE("other", "none", "0", "8@nowhere(%%rip) -4@$5", "i"(0));
		if (gt_semaphore)
			STATIC_PROBE("gt", "watched", "gt_semaphore", "-8@%0", "r"(i));
		twice(i);
		twice(i + 100);
	}
}

// starts N children, one after the other, that exit with their number.
static void do_fork(long n) {
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();
		check(pid >= 0, "fork");
		if (pid == 0)
			_exit(i);
		waitpid(pid, 0, 0);
	}
}

// touches PAGES fresh pages and calls gt_relative N times: in a thread, then in
// a child.
struct family {
	long n, pages;
};

PROBED void gt_relative(void) { EFFECT; }

static void *family_main(void *arg) {
	struct family *f = arg;
	long size = f->pages * sysconf(_SC_PAGESIZE);
	char *p = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(p != MAP_FAILED, "mmap");
	memset(p, 1, size);
	for (long i = 0; i < f->n; i++)
		gt_relative();
	syscall(SYS_getpgid, 0);
	return 0;
}

static void do_family(long n, long pages) {
	struct family f = {n, pages};
	pthread_t t;
	check(pthread_create(&t, 0, family_main, &f) == 0, "pthread_create");
	pthread_join(t, 0);
	pid_t pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		family_main(&f);
		_exit(0);
	}
	waitpid(pid, 0, 0);
}

// starts THREADS threads, which wait until stdin has data or ends. Then each does
// N times everything that a kind of probe can see. After that a child does the
// same.
volatile long gt_watched;
static pthread_barrier_t crowd;

static void crowd_work(long n) {
	long size = sysconf(_SC_PAGESIZE);
	char *p = mmap(0, n * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(p != MAP_FAILED, "mmap");
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	for (long i = 0; i < n; i++) {
		syscall(SYS_getpgid, getpid());
		check(connect(udp, (struct sockaddr *)&addr, sizeof addr) == 0, "connect");
		gt_relative();
		STATIC_PROBE("gt", "crowd", "0", "");
		p[i * size] = 1;
		gt_watched = i;
	}
	do_spin(50);
}

static void *crowd_main(void *arg) {
	pthread_barrier_wait(&crowd);
	crowd_work((long)arg);
	return 0;
}

static void *crowd_start(void *arg) {
	char c;
	read(0, &c, 1);
	pthread_barrier_wait(&crowd);
	return 0;
}

/* A crowd whose main thread ends first. */
static void do_headless(long threads, long n) {
	pthread_t t;
	check(pthread_barrier_init(&crowd, 0, threads + 1) == 0, "barrier");
	for (int i = 0; i < threads; i++)
		check(pthread_create(&t, 0, crowd_main, (void *)n) == 0, "pthread_create");
	check(pthread_create(&t, 0, crowd_start, 0) == 0, "pthread_create");
	pthread_exit(0);
}

static void do_crowd(long threads, long n) {
	pthread_t t[64];
	char c;
	check(pthread_barrier_init(&crowd, 0, threads + 1) == 0, "barrier");
	for (int i = 0; i < threads && i < 64; i++)
		check(pthread_create(&t[i], 0, crowd_main, (void *)n) == 0, "pthread_create");
	read(0, &c, 1);
	pthread_barrier_wait(&crowd);
	for (int i = 0; i < threads && i < 64; i++)
		pthread_join(t[i], 0);
	pid_t pid = fork();
	check(pid >= 0, "fork");
	if (pid == 0) {
		crowd_work(n);
		_exit(0);
	}
	waitpid(pid, 0, 0);
}

static void *exits_main(void *arg) {
	(void)arg;
	pthread_barrier_wait(&crowd);
	syscall(SYS_exit, 0);
	return 0;
}

// starts processes one after the other, all threads of which end at the same time.
static void do_exits(long processes, long threads) {
	for (long i = 0; i < processes; i++) {
		pid_t pid = fork();
		check(pid >= 0, "fork");
		if (pid == 0) {
			pthread_t t;
			check(pthread_barrier_init(&crowd, 0, threads) == 0, "barrier");
			for (int k = 1; k < threads; k++)
				check(pthread_create(&t, 0, exits_main, 0) == 0, "pthread_create");
			exits_main(0);
		}
		waitpid(pid, 0, 0);
	}
}

// makes one event that probes of any kind can see, in a process that ends then.
static void newborn(void) {
	syscall(SYS_getpgid, 0);
	gt_relative();
	_exit(0);
}

static int in_thread_child;
static void *fork_in_thread(void *arg) {
	in_thread_child = fork();
	if (in_thread_child == 0)
		newborn();
	return 0;
}

// has N processes born in five ways, each of which calls newborn, and returns when all
// have ended: by fork, by vfork, as a sibling, as a daemon, by fork in another thread.
static void do_forks(long n) {
	int ends[2];
	char c;
	pthread_t t;
	check(pipe(ends) == 0, "pipe");
	pid_t all = fork(); // so that siblings of its children are ours
	check(all >= 0, "fork");
	if (all == 0) {
		for (long i = 0; i < n; i++) {
			pid_t pid = 0;
			switch (i % 5) {
			case 0:
				if ((pid = fork()) == 0)
					newborn();
				break;
			case 1:
				if ((pid = vfork()) == 0)
					newborn();
				break;
			case 2:
				if (syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0) == 0)
					newborn();
				continue;
			case 3:
				if ((pid = fork()) == 0) {
					setsid();
					if (fork() == 0)
						newborn();
					_exit(0);
				}
				break;
			case 4:
				check(pthread_create(&t, 0, fork_in_thread, 0) == 0, "pthread_create");
				pthread_join(t, 0);
				pid = in_thread_child;
				break;
			}
			check(pid > 0 && waitpid(pid, 0, 0) == pid, "child");
		}
		_exit(0);
	}
	close(ends[1]);
	while (wait(0) > 0)
		;
	check(read(ends[0], &c, 1) == 0, "end of all"); // daemons hold the other end
}

// sends SIZE bytes N times over a TCP connection of the loopback.
static void do_tcp(long n, long size) {
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof addr;
	char *buf = calloc(1, size);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), server;
	check(bind(listener, (struct sockaddr *)&addr, len) == 0 && listen(listener, 1) == 0, "listen");
	check(getsockname(listener, (struct sockaddr *)&addr, &len) == 0, "getsockname");
	check(connect(client, (struct sockaddr *)&addr, len) == 0, "connect");
	check((server = accept(listener, 0, 0)) >= 0, "accept");
	for (long i = 0; i < n; i++) {
		check(send(client, buf, size, 0) == size, "send");
		check(recv(server, buf, size, MSG_WAITALL) == size, "recv");
	}
}

// tries to connect to a port of the loopback where nothing listens, and sends N datagrams of
// SIZE bytes there.
static void do_refused(long port, long n, long size) {
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 addr6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char *buf = calloc(1, size);
	int tcp = socket(AF_INET, SOCK_STREAM, 0), tcp6 = socket(AF_INET6, SOCK_STREAM, 0), udp = socket(AF_INET, SOCK_DGRAM, 0);
	check(connect(tcp, (struct sockaddr *)&addr, sizeof addr) < 0, "no refusal");
	check(tcp6 < 0 || connect(tcp6, (struct sockaddr *)&addr6, sizeof addr6) < 0, "no refusal");
	for (long i = 0; i < n; i++)
		check(sendto(udp, buf, size, 0, (struct sockaddr *)&addr, sizeof addr) == size, "sendto");
}

// changes its own IDs, asks to be traced and enters namespaces, mostly in vain.
static void do_ids(void) {
	syscall(SYS_setuid, 0);
	syscall(SYS_setresgid, -1, 0, -1);
	syscall(SYS_setreuid, 0, 0);
	syscall(SYS_setns, -1, CLONE_NEWUTS);
	syscall(SYS_unshare, CLONE_NEWUTS);
	syscall(SYS_ptrace, 16L, 999999999L, 0L, 0L);
	syscall(SYS_setresuid, -1, 12345, -1);
	syscall(SYS_setuid, 54321);
	syscall(SYS_unshare, CLONE_NEWUTS);
}

// --- functions to be probed ---

PROBED long gt_args(int a, long b, unsigned char c, short d, unsigned long e, int f) {
	EFFECT;
	return a + b + c + d + (long)e + f;
}

PROBED int gt_square(int n) {
	EFFECT;
	return n * n;
}

PROBED long gt_negative(long n) {
	EFFECT;
	return -n;
}

PROBED const char *gt_string(const char *s) {
	EFFECT;
	return s;
}

PROBED size_t gt_buffer(const void *p, size_t n) {
	EFFECT;
	return n + (p == 0);
}

PROBED void gt_inner(void) { EFFECT; }
PROBED void gt_middle(void) {
	gt_inner();
	EFFECT;
}
PROBED void gt_outer(void) {
	gt_middle();
	EFFECT;
}

PROBED void gt_wild_one(void) { EFFECT; }
PROBED void gt_wild_two(void) { EFFECT; }
PROBED void gt_wild_three(void) { EFFECT; }

// A function with two implementations; one is chosen when the program starts.
static int gt_chosen_one(int n) {
	EFFECT;
	return n + 1;
}
static int gt_chosen_two(int n) {
	EFFECT;
	return n + 2;
}
static int (*gt_chosen_resolver(void))(int) { return getauxval(AT_PAGESZ) ? gt_chosen_two : gt_chosen_one; }
int gt_chosen(int n) __attribute__((ifunc("gt_chosen_resolver")));

// calls NAME, one of those functions, N times.
static void do_chosen(const char *name, long n) {
	static char text[64] = "some text", copy[64];
	static wchar_t wide[64] = L"some text";
	volatile long sum = 0;
#define CALLS(f, ...)                                                          \
	if (!strcmp(name, #f)) {                                                   \
		__typeof__(f) *volatile p = f;                                         \
		for (long i = 0; i < n; i++)                                           \
			sum += (long)p(__VA_ARGS__);                                       \
	}
	CALLS(gt_chosen, i)
	CALLS(strlen, text)
	CALLS(strnlen, text, 60)
	CALLS(memcpy, copy, text, 10)
	CALLS(memmove, copy, text, 10)
	CALLS(memset, copy, 0, 10)
	CALLS(memcmp, copy, text, 10)
	CALLS(memchr, text, 't', 10)
	CALLS(strchr, text, 't')
	CALLS(index, text, 't')
	CALLS(strrchr, text, 't')
	CALLS(strcmp, copy, text)
	CALLS(strcasecmp, copy, text)
	CALLS(strcpy, copy, text)
	CALLS(strcat, copy, "")
	CALLS(strstr, text, "tex")
	CALLS(strspn, text, "som")
	CALLS(wcslen, wide)
}

enum gt_colour { GT_RED = 1, GT_GREEN = 5, GT_BLUE = 70000 };

struct gt_inside {
	short x;
	int y;
};

union gt_either {
	unsigned int whole;
	unsigned char part[4];
};

struct gt_thing {
	signed char i8;
	unsigned char u8;
	short i16;
	unsigned short u16;
	int i32;
	unsigned int u32;
	long i64;
	unsigned long u64;
	char name[16];
	const char *text;
	int numbers[4];
	struct gt_inside in;
	struct gt_inside many[3];
	struct gt_thing *next;
	enum gt_colour colour;
	unsigned int low : 3, middle : 7, high : 22;
	signed int minus : 5;
	union gt_either either;
	struct {
		int hidden;
	};
	int (*function)(int);
	unsigned char grid[2][3];
	_Bool yes;
};

static struct gt_thing second = {.i32 = 222, .name = "second", .text = "two"};
static struct gt_thing first = {
	.i8 = -8, .u8 = 200, .i16 = -1600, .u16 = 60000, .i32 = -320000, .u32 = 4000000000u,
	.i64 = -64000000000, .u64 = 18000000000000000000ul,
	.name = "first thing", .text = "some text", .numbers = {10, 20, 30, 40},
	.in = {7, 77}, .many = {{1, 11}, {2, 22}, {3, 33}}, .next = &second,
	.colour = GT_BLUE, .low = 5, .middle = 100, .high = 3000000, .minus = -9,
	.either = {0x04030201}, .hidden = 4711, .function = gt_square,
	.grid = {{1, 2, 3}, {4, 5, 6}}, .yes = 1,
};

PROBED int gt_struct(struct gt_thing *t) {
	EFFECT;
	return t->i32;
}

PROBED int gt_colour(enum gt_colour c) {
	EFFECT;
	return c;
}

int gt_global = 1234567;

// A string of SIZE-1 letters and a NUL.
static char *letters(long size) {
	char *s = malloc(size);
	check(s != 0, "malloc");
	for (long i = 0; i < size - 1; i++)
		s[i] = 'a' + i % 26;
	s[size - 1] = 0;
	return s;
}

// A string without a NUL that ends at the end of the mapped memory.
static char *unterminated(void) {
	long page = sysconf(_SC_PAGESIZE);
	char *p = mmap(0, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(p != MAP_FAILED && munmap(p + page, page) == 0, "mmap");
	memset(p, 'x', page);
	return p + page - 5;
}

// Reads the data that a probe may read, so that it is in memory: a BPF program
// cannot wait for a page of the file.
static void touch(const void *p, size_t n) {
	for (size_t i = 0; i < n; i++)
		((volatile const char *)p)[i];
}

static const char bytes[] = "\x01\x02\0\xff" "ab";

static void do_call(char **argv) {
	const char *what = argv[0] ? argv[0] : "";
	long n = number(argv, 1, 1);
	touch(&first, sizeof first);
	touch(first.text, strlen(first.text) + 1);
	touch(&second, sizeof second);
	touch(second.text, strlen(second.text) + 1);
	touch(&gt_global, sizeof gt_global);
	touch(bytes, sizeof bytes);
	if (argv[0] && argv[1] && argv[2])
		touch(argv[2], strlen(argv[2]) + 1);
	for (long i = 0; i < n; i++) {
		if (!strcmp(what, "args"))
			gt_args(-1, 0x123456789abcdefl, 200, -300, ULONG_MAX, i);
		else if (!strcmp(what, "square"))
			gt_square(i);
		else if (!strcmp(what, "negative"))
			gt_negative(i);
		else if (!strcmp(what, "string"))
			gt_string(argv[2]);
		else if (!strcmp(what, "letters"))
			gt_string(letters(number(argv, 2, 64)));
		else if (!strcmp(what, "unterminated"))
			gt_string(unterminated());
		else if (!strcmp(what, "unmapped"))
			gt_string((char *)16);
		else if (!strcmp(what, "buffer"))
			gt_buffer(bytes, 6);
		else if (!strcmp(what, "stack"))
			gt_outer();
		else if (!strcmp(what, "wild"))
			gt_wild_one(), gt_wild_two(), gt_wild_three();
		else if (!strcmp(what, "struct"))
			gt_struct(&first);
		else if (!strcmp(what, "colour"))
			gt_colour(i % 2 ? GT_GREEN : GT_RED);
		else
			exit(98);
	}
}

int main(int argc, char **argv) {
	if (argc < 2)
		return 98;
	char *cmd = argv[1];
	argv += 2;
	if (!strcmp(cmd, "syscalls"))
		do_syscalls(number(argv, 0, 0));
	else if (!strcmp(cmd, "read"))
		do_read(number(argv, 0, 1), number(argv, 1, 16));
	else if (!strcmp(cmd, "ramp"))
		do_ramp(number(argv, 0, 1));
	else if (!strcmp(cmd, "open"))
		do_open(number(argv, 0, 1), argv[1]);
	else if (!strcmp(cmd, "cold"))
		do_cold(number(argv, 0, 1), number(argv, 1, 0));
	else if (!strcmp(cmd, "nowhere"))
		do_nowhere(number(argv, 0, 1));
	else if (!strcmp(cmd, "missed"))
		do_missed();
	else if (!strcmp(cmd, "files"))
		do_files(argv[0]);
	else if (!strcmp(cmd, "refused"))
		do_refused(number(argv, 0, 9), number(argv, 1, 1), number(argv, 2, 10));
	else if (!strcmp(cmd, "ids"))
		do_ids();
	else if (!strcmp(cmd, "processes"))
		do_processes();
	else if (!strcmp(cmd, "pinned"))
		do_pinned(number(argv, 0, 1), number(argv, 1, 2));
	else if (!strcmp(cmd, "preempt"))
		do_preempt(number(argv, 0, 1));
	else if (!strcmp(cmd, "count"))
		do_count(number(argv, 0, 1));
	else if (!strcmp(cmd, "dirty"))
		do_dirty();
	else if (!strcmp(cmd, "fork"))
		do_fork(number(argv, 0, 1));
	else if (!strcmp(cmd, "stacks"))
		do_stacks(number(argv, 0, 1), number(argv, 1, 1));
	else if (!strcmp(cmd, "then")) { // one stack, then another program
		do_stacks(1, 1);
		execv(argv[0], argv);
		return 98;
	}
	else if (!strcmp(cmd, "chosen"))
		do_chosen(argv[0], number(argv, 1, 1));
	else if (!strcmp(cmd, "crowd"))
		do_crowd(number(argv, 0, 2), number(argv, 1, 100));
	else if (!strcmp(cmd, "headless"))
		do_headless(number(argv, 0, 2), number(argv, 1, 100));
	else if (!strcmp(cmd, "forks")) {
		char c;
		if (argc > 3) // waits to be told
			check(read(0, &c, 1) >= 0, "read");
		do_forks(number(argv, 0, 100));
	} else if (!strcmp(cmd, "family"))
		do_family(number(argv, 0, 1), number(argv, 1, 1));
	else if (!strcmp(cmd, "static"))
		do_static(number(argv, 0, 1));
	else if (!strcmp(cmd, "redzone"))
		do_redzone(number(argv, 0, 1));
	else if (!strcmp(cmd, "sleepers"))
		do_sleepers(number(argv, 0, 1), number(argv, 1, 100));
	else if (!strcmp(cmd, "spin"))
		do_spin(number(argv, 0, 1000));
	else if (!strcmp(cmd, "tcp"))
		do_tcp(number(argv, 0, 1), number(argv, 1, 100));
	else if (!strcmp(cmd, "call"))
		do_call(argv);
	else if (!strcmp(cmd, "exits"))
		do_exits(number(argv, 0, 1), number(argv, 1, 2));
	else if (!strcmp(cmd, "exit"))
		return number(argv, 0, 0);
	else if (!strcmp(cmd, "die"))
		raise(number(argv, 0, SIGTERM));
	else if (!strcmp(cmd, "sleep")) // milliseconds
		usleep(1000 * number(argv, 0, 1000));
	else if (!strcmp(cmd, "say"))
		check(write(1, "said\n", 5) == 5, "write");
	else
		return 98;
	return 0;
}

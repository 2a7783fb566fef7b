/* Executes vector instructions, each as the first of a function, and prints what they change
   or the signal that ends them. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((aligned(64))) unsigned memory[16] = {0x3f800000, 0x40000000, 0x40400000, 3, 4, 5, 6, 7};

#define ALL \
	X(0, "vcmpps $1, %xmm1, %xmm0, %xmm2") \
	X(1, "vcmpps $1, memory(%rip), %xmm0, %xmm2") \
	X(2, "vcmpss $2, memory(%rip), %xmm0, %xmm2") \
	X(3, "vcmpsd $1, (%rdi), %xmm0, %xmm2") \
	X(4, "vfnmadd132ss %xmm1, %xmm0, %xmm2") \
	X(5, "vfnmadd132ss memory(%rip), %xmm0, %xmm2") \
	X(6, "vfnmadd132sd (%rdi), %xmm0, %xmm2") \
	X(7, "vfnmadd231ss memory(%rip), %xmm0, %xmm2") \
	X(8, "vfmadd132ps memory(%rip), %xmm0, %xmm2") \
	X(9, "vmovd %xmm0, %eax") \
	X(10, "vmovd memory(%rip), %xmm2") \
	X(11, "vmovq %xmm0, %rax") \
	X(12, "vpxor memory(%rip), %xmm0, %xmm2") \
	X(13, "vpor %xmm1, %xmm0, %xmm2") \
	X(14, "vpminsw memory(%rip), %xmm0, %xmm2") \
	X(15, "vpcmpeqb memory(%rip), %xmm0, %xmm2") \
	X(16, "vpcmpeqb %xmm1, %xmm0, %xmm2") \
	X(17, "vmovmskps %xmm0, %eax") \
	X(18, "vsqrtps memory(%rip), %xmm2") \
	X(19, "vandps memory(%rip), %xmm0, %xmm2") \
	X(20, "vxorps %xmm1, %xmm0, %xmm2") \
	X(21, "vcvtss2sd memory(%rip), %xmm0, %xmm2") \
	X(22, "vaddps memory(%rip), %xmm0, %xmm2") \
	X(23, "vpshufd $27, memory(%rip), %xmm2") \
	X(24, "vpsrlw memory(%rip), %xmm0, %xmm2") \
	X(25, "vpunpcklbw memory(%rip), %xmm0, %xmm2") \
	X(26, "vpmuludq memory(%rip), %xmm0, %xmm2") \
	X(27, "vpsadbw %xmm1, %xmm0, %xmm2") \
	X(28, "vpalignr $3, memory(%rip), %xmm0, %xmm2") \
	X(29, "vbroadcastss memory(%rip), %xmm2") \
	X(30, "vpbroadcastb %xmm1, %xmm2") \
	X(31, "vpextrd $1, %xmm0, %eax") \
	X(32, "vinsertps $9, memory(%rip), %xmm0, %xmm2") \
	X(33, "vpmovmskb %xmm0, %eax") \
	X(34, "vucomiss memory(%rip), %xmm0") \
	X(35, "vcvttss2si memory(%rip), %eax") \
	X(36, "vmovups memory(%rip), %xmm2") \
	X(37, "vmovdqu memory(%rip), %xmm2") \
	X(38, "vlddqu memory(%rip), %xmm2") \
	X(39, "cmpps $1, memory(%rip), %xmm2") \
	X(40, "pxor memory(%rip), %xmm2") \
	X(41, "movd %xmm0, %eax")

#define X(n, text) __asm__(".text\n.globl v_" #n "\n.type v_" #n ",@function\nv_" #n ": " text "\nret\n.size v_" #n ",.-v_" #n "\n"); \
	void v_##n(void);
ALL
#undef X
#define X(n, text) {v_##n, text},
static struct { void (*call)(void); const char *text; } all[] = {ALL};

static void call(void (*f)(void), unsigned long *out)
{
	static unsigned in[8] __attribute__((aligned(16))) = {1, 0x3f800000, 3, 0x40400000, 5, 6, 0x40000000, 8};
	unsigned long a = 0, flags;

	/* Calls change no register but these. */
	__asm__ volatile("sub $128, %%rsp\nmovaps (%[in]), %%xmm0\nmovaps 16(%[in]), %%xmm1\nmovaps %%xmm0, %%xmm2\n"
		"test %%eax, %%eax\ncall *%[f]\npushfq\npop %[flags]\nmovups %%xmm2, 16(%[out])\nadd $128, %%rsp"
		: "+a"(a), [flags] "=&r"(flags)
		: [f] "r"(f), [in] "r"(in), [out] "r"(out), "D"(memory)
		: "xmm0", "xmm1", "xmm2", "memory", "cc");
	out[0] = a;
	out[1] = flags & 0x45;
}

int main(void)
{
	unsigned long *out = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		int status;
		memset(out, 0, 32);
		if (fork() == 0) {
			call(all[i].call, out);
			_exit(0);
		}
		wait(&status);
		if (WIFSIGNALED(status))
			printf("%s: signal %d\n", all[i].text, WTERMSIG(status));
		else
			printf("%s: %lx %lx %lx %lx\n", all[i].text, out[0], out[1], out[2], out[3]);
		fflush(stdout);
	}
	return 0;
}

/* Passes addresses of many kinds to named, each with a number. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OWN __attribute__((noinline, noclone, used))

OWN void named(unsigned long address, int number) { __asm__ volatile("" : : "r"(address), "r"(number)); }
OWN int target(void) { __asm__ volatile(""); return 3; }

/* Functions without a size, one of them before another function, and one whose size ends
   before the next function. */
__asm__(".text\n"
	".globl unsized\n.type unsized,@function\nunsized: .fill 4, 1, 0x90\n"
	".globl sized\n.type sized,@function\nsized: .fill 5, 1, 0x90\n.size sized, 5\n.fill 8, 1, 0x90\n"
	".pushsection .text.own,\"ax\",@progbits\n"
	".globl lonely\n.type lonely,@function\nlonely: .fill 4, 1, 0x90\n"
	".popsection\n");
void unsized(void), sized(void), lonely(void);

int main(void)
{
	char *copy = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long t = (unsigned long)target, s = (unsigned long)sized;

	memcpy(copy, (char *)t, 16);
	named(t, 1);
	named(t + 1, 2);
	named(s, 3);
	named(s + 4, 4);
	named(s + 5, 5);
	named(s + 12, 6);
	named((unsigned long)unsized, 7);
	named((unsigned long)unsized + 3, 8);
	named((unsigned long)lonely, 9);
	named((unsigned long)getenv, 10); /* in programs at fixed addresses, that of code which jumps there */
	named((unsigned long)getenv + 1, 11);
	named((unsigned long)copy, 12);
	named((unsigned long)malloc(1), 13);
	named((unsigned long)&t, 14);
	named(0, 15);
	named(-1UL, 16);
	return 0;
}

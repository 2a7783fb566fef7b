/* Code that is generated at run time and uses the frame pointer for something else: it points
   to words that look like a frame. The return address there is none. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone, used))
#define AFTER __asm__ volatile("" ::: "memory")

OWN int mark(int n) { AFTER; return n; }

static int number;
OWN int called(void) { int r = mark(number); AFTER; return r; }

static char data[4096];
static const char text[] = "some text";

int main(void)
{
	unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	/* push %rbp; mov %rdi, %rbp; call *%rsi; pop %rbp; ret */
	memcpy(code, "\x55\x48\x89\xfd\xff\xd6\x5d\xc3", 8);
	char *heap = malloc(100000);
	for (;;) {
		volatile long frame[2] = {0, 0};
		long places[] = {(long)frame, (long)heap, (long)data, (long)text, (long)shared, (long)none, 0x10, -4096};
		for (number = 0; number < 8; number++) {
			frame[1] = places[number] + 8;
			((void (*)(volatile long *, int (*)(void)))code)(frame, called);
		}
		usleep(1000);
	}
}

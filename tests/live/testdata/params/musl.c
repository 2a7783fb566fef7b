/* Calls from a C library that has no unwind tables back to the program. Each case calls
   mark(case), again and again until the program is killed. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory")

OWN void mark(int n) { __asm__ volatile("" :: "r"(n) : "memory"); }

OWN int compare(const void *a, const void *b) { mark(0); AFTER; return *(const int *)a - *(const int *)b; }
OWN void sorts(void) { int a[9] = {5, 3, 8, 1, 2, 9, 4, 7, 6}; qsort(a, 9, sizeof a[0], compare); AFTER; }
OWN void *thread(void *p) { mark(1); AFTER; return p; }
OWN void threads(void) { pthread_t t; pthread_create(&t, 0, thread, 0); pthread_join(t, 0); AFTER; }
OWN void handler(int sig) { (void)sig; mark(2); AFTER; }
OWN void raises(void) { raise(SIGUSR1); AFTER; }
static pthread_once_t once;
OWN void first(void) { mark(3); AFTER; }
OWN void onces(void) { memset(&once, 0, sizeof once); pthread_once(&once, first); AFTER; }
OWN int found(const void *key, const void *elem) { mark(4); AFTER; return *(const int *)key - *(const int *)elem; }
OWN void searches(void) { int a[4] = {1, 2, 3, 4}, key = 3; bsearch(&key, a, 4, sizeof a[0], found); AFTER; }

int main(void)
{
	signal(SIGUSR1, handler);
	for (;;) {
		sorts();
		threads();
		raises();
		onces();
		searches();
	}
}

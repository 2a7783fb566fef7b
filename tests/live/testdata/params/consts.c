/* Functions some of whose parameters are the same in every call, so that the
   compiler passes only the others. */
#include <stdbool.h>
#define COPIED __attribute__((noinline))
volatile long sink;
enum colour { RED = 3, GREEN = -7 };

static COPIED long narrow(int x, signed char a, unsigned char b, short c, unsigned short d) {
	sink = x + a + b + c + d;
	sink = a;
	return x * sink;
}
static COPIED long wide(int x, int a, unsigned b, long c, unsigned long d) {
	sink = x + a + b + c + d;
	sink = a;
	return x * sink;
}
static COPIED long named(int x, bool yes, enum colour c, enum colour d, char letter) {
	sink = x + yes + c + d + letter;
	sink = c;
	return x * sink;
}

int main(int argc, char **argv) {
	(void)argv;
	for (int i = 0; i < 2; i++) {
		narrow(argc + i, -3, 200, -300, 60000);
		wide(argc + i, -70000, 4000000000u, -5, 0xfedcba9876543210);
		named(argc + i, true, RED, GREEN, 'z');
	}
	return 0;
}

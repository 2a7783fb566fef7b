// A program to put probes in. It is never run; checked in so that the corpus
// compiles the same everywhere:
//
//	gcc -g -O1 -nostdlib -static -fno-asynchronous-unwind-tables \
//		-fcf-protection=none -Wl,--build-id=none,-z,noseparate-code \
//		-ffile-prefix-map=$PWD=. -o prog prog.c
enum colour { RED = 1, GREEN = 5, BLUE = 70000 };

struct inside {
	short x;
	int y;
};

union either {
	unsigned int whole;
	unsigned char part[4];
};

struct thing {
	signed char i8;
	unsigned short u16;
	int i32;
	unsigned long u64;
	char name[16];
	const char *text;
	int numbers[4];
	struct inside in;
	struct inside many[3];
	struct thing *next;
	enum colour colour;
	unsigned int low : 3, middle : 7, high : 22;
	union either either;
	struct {
		int hidden;
	};
	int (*function)(int);
	_Bool yes;
};

#define PROBED __attribute__((noinline, noclone, used))
#define EFFECT __asm__ volatile("" ::: "memory")

struct thing object;
int counter;

PROBED int add(int a, long b, unsigned char c) {
	EFFECT;
	return a + b + c;
}

PROBED const char *greet(const char *name, unsigned long length) {
	EFFECT;
	return name + length;
}

PROBED int look(struct thing *t, enum colour c) {
	EFFECT;
	return t->i32 + c;
}

PROBED void look_one(void) { EFFECT; }
PROBED void look_two(void) { EFFECT; }

void _start(void) {
	counter = add(1, 2, 3) + look(&object, RED);
	greet("x", 1);
	look_one();
	look_two();
	for (;;)
		EFFECT;
}

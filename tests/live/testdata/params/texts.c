// Arrays of characters of many sizes, full and not: full ones have no NUL, and
// what follows them is text too.
#define PROBED __attribute__((noinline, noclone, used))
#define EFFECT __asm__ volatile("" ::: "memory")

#define SIZES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(12) X(15) X(16) X(17) X(24) X(63) X(64) X(65) X(100) X(128) X(200)

struct text {
#define MEMBER(n) char full##n[n]; char some##n[n];
	SIZES(MEMBER)
	char last;
};

static struct text text;

PROBED void take(struct text *t) { EFFECT; }
PROBED void give(struct text t) { EFFECT; }

static void fill(char *p, int len, int size) {
	for (int i = 0; i < size; i++)
		p[i] = i < len ? 'a' + i % 26 : i == len ? 0 : 'Z';
}

int main(void) {
#define FILL(n) fill(text.full##n, n, n); fill(text.some##n, n / 2, n);
	SIZES(FILL)
	text.last = 'Z';
	take(&text);
	give(text);
	return 0;
}

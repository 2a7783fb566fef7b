// scaled is inlined into three functions, into one of them in a loop, and is also called
// through a pointer. turns starts with a loop.
volatile int sink;

struct pair {
	int a, b;
};

__attribute__((noinline)) int leaf(int x)
{
	sink += x;
	return sink;
}

static inline __attribute__((always_inline)) int scaled(int x, int by)
{
	sink ^= 1;
	return leaf(x) * by;
}

static inline __attribute__((always_inline)) int sum(struct pair *p)
{
	sink ^= 2;
	return leaf(p->a) + p->b;
}

__attribute__((noinline)) int twice(int x) { return scaled(x, 2) + 1; }

__attribute__((noinline)) int thrice(int x) { return scaled(x + 100, 3) + 1; }

__attribute__((noinline)) int many(int n)
{
	int r = 0;
	for (int i = 0; i < n; i++)
		r += scaled(i, 10);
	return r;
}

__attribute__((noinline)) int pairs(struct pair *p) { return sum(p) * 2; }

static inline __attribute__((always_inline)) int turns(int n, const char *s)
{
	int r = 0;
	do {
		r += sink + s[0];
		sink = r;
	} while (--n);
	return r;
}

__attribute__((noinline)) int once(int n)
{
	sink += n * 3;
	return n + 3 + turns(n, "x");
}

__attribute__((noinline)) int often(int n)
{
	while (n > 0) {
		turns(4, "z");
		n--;
	}
	return n;
}

int (*volatile pointer)(int, int) = scaled;

int main(void)
{
	int r = 0;
	struct pair p = {5, 6};
	for (int i = 0; i < 4; i++) {
		r += twice(i);
		if (i % 2)
			r += thrice(i);
	}
	r += many(5) + pairs(&p) + pointer(7, 8);
	return (r + once(5) + often(3)) == 0;
}

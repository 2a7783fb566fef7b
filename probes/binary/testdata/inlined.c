// leaf is called by code that was inlined twice into work.
volatile int sink;

__attribute__((noinline)) int leaf(int x)
{
	sink += x;
	return sink;
}

static inline __attribute__((always_inline)) int inner(int x)
{
	sink++;
	return leaf(x) + 1;
}

static inline __attribute__((always_inline)) int outer(int x)
{
	return inner(x) * 2;
}

__attribute__((noinline)) int work(int x, const char *name)
{
	int r = outer(x);
	sink += r + name[0];
	return r;
}

int main(int argc, char **argv)
{
	return work(argc, argv[0]) == 0;
}

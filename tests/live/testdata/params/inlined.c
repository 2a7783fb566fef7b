// leaf is called three times, by code that was inlined twice into work.
volatile int sink;

__attribute__((noinline, optimize("O0"))) void leaf(int x)
{
	sink += x;
}

static inline __attribute__((always_inline)) void inner(int x)
{
	sink++;
	leaf(x);
	sink++;
}

static inline __attribute__((always_inline)) void outer(int x)
{
	inner(x);
	sink++;
}

__attribute__((noinline)) void work(int x)
{
	outer(x);
	sink++;
}

int main(void)
{
	for (volatile int i = 0; i < 3; i++)
		work(i);
	return 0;
}

static volatile int sink;
extern void inGo(int n);

void __attribute__((noinline)) mark(int n) { sink += n; }

void __attribute__((noinline)) inner(int n)
{
	volatile char b[300];

	b[n] = 1;
	mark(n);
	sink += b[n];
}

void inC(int n)
{
	inner(n);
	sink++;
}

void back(int n)
{
	inGo(n);
	sink++;
}

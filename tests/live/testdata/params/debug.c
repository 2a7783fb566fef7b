volatile int sink;
struct point { int x, y; };
__attribute__((noinline)) void leaf(int v) { sink += v; }
static inline __attribute__((always_inline)) void inner(int v)
{
	leaf(v);
	sink++;
}
__attribute__((noinline)) void work(struct point *p, int number)
{
	inner(number + p->x);
	sink++;
}
int main(void) { struct point p = {3, 4}; work(&p, 7); return 0; }

// An object of every shape, each value its own.
#define PROBED __attribute__((noinline, noclone, used))
#define EFFECT __asm__ volatile("" ::: "memory")

struct point {
	int a;
	short b;
};

struct deep {
	struct point *to;
	struct point at;
};

union either {
	int i;
	unsigned char c[4];
};

struct shape {
	int n;
	struct point in;
	struct deep deep;
	int nums[3];
	struct point points[3];
	struct point *refs[2];
	struct point *ref;
	struct point **refref;
	int low : 5;
	unsigned high : 7;
	union either u;
	char text[6];
	struct shape *next;
};

static struct point one = {-101, 102}, two = {-201, 202}, three = {-301, 302};
static struct point *list = &three;
static struct shape second = {.n = 77, .in = {-78, 79}, .ref = &two};
static struct shape shape = {
	.n = 1,
	.in = {-2, 3},
	.deep = {&one, {-4, 5}},
	.nums = {-6, 7, -8},
	.points = {{-9, 10}, {-11, 12}, {-13, 14}},
	.refs = {&one, &two},
	.ref = &three,
	.refref = &list,
	.low = -3,
	.high = 99,
	.u = {.i = 0x04030201},
	.text = "hello",
	.next = &second,
};

PROBED void take(struct shape *s) { EFFECT; }

int main(void) {
	take(&shape);
	return 0;
}

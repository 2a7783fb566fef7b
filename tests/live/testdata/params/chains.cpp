// Functions of C++ whose callers are found by unwind tables. Each case calls mark(case)
// from inside of it, again and again until the program is killed.
#include <stdexcept>
#include <functional>
#include <unistd.h>

#define OWN __attribute__((noinline, noclone))
#define AFTER __asm__ volatile("" ::: "memory")

extern "C" OWN void mark(int n) { __asm__ volatile("" ::"r"(n) : "memory"); }

template <class T, int N> struct box {
	T items[N];
	OWN T sum(int n)
	{
		mark(n);
		AFTER;
		return items[0] + items[N - 1];
	}
};
OWN int templates(int n) { box<long, 5> b = {}; int r = b.sum(n); AFTER; return r; }

struct shape { virtual int area(int n) = 0; virtual ~shape() {} };
struct square : shape { int side = 3; OWN int area(int n) override { mark(n); AFTER; return side; } };
OWN int virtuals(shape *s, int n) { int r = s->area(n); AFTER; return r; }

OWN void throws(int n) { AFTER; if (n >= 0) throw std::runtime_error("x"); }
OWN int catches(int n)
{
	try { throws(n); } catch (const std::exception &e) { mark(n); AFTER; return 1; }
	return 0;
}

/* A destructor runs while an exception passes. */
struct guard { int n; OWN ~guard() { mark(n); AFTER; } };
OWN void guarded(int n) { guard g{n}; throws(n); AFTER; }
OWN int passes(int n)
{
	try { guarded(n); } catch (...) { AFTER; return 1; }
	return 0;
}

OWN int calls(const std::function<int(int)> &f, int n) { int r = f(n); AFTER; return r; }
OWN int lambdas(int n) { int k = n; int r = calls([&k](int n) { mark(n); AFTER; return n + k; }, n); AFTER; return r; }

int main()
{
	square s;
	for (;;) {
		templates(0), virtuals(&s, 1), catches(2), passes(3), lambdas(4);
		usleep(1000);
	}
}

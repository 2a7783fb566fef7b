// What the tests of results trace: functions that return structs, unions and numbers, in
// registers and in memory.
struct one { int a; short b; };
typedef struct one one_t;
struct two { long a; int b, c; };
struct bits { unsigned x : 3; int y : 7; unsigned long z : 20; };
struct nest { struct one o; struct { char c[5]; } n; };
struct odd { char a; char c[5]; short s; };
struct half { double d; long a; };
struct halves { float x, y; };
struct big { long a, b, c; };
struct packed { char c; long l; } __attribute__((packed));
struct arr { int v[4]; };
struct ptrs { const char *s; struct two *t; };
struct empty {};
union either { int i; char c[8]; };
static struct two two = {7, 8, 9};

#define F(type, name, ...) __attribute__((noinline)) type name(int x) { asm volatile("" ::: "memory"); return (type)__VA_ARGS__; }
F(struct one, one, {x, -3})
F(one_t, named, {x, 12})
F(struct two, two_words, {x * 1000000000L, -x, 9})
F(struct bits, bits, {5, -9, 77777})
F(struct nest, nest, {{x, 4}, {"abcd"}})
F(struct odd, odd, {x, "wxyz", -2})
F(struct half, half, {1.5, x})
F(struct halves, halves, {1.5, x})
F(struct big, big, {x, 2, 3})
F(struct packed, packed, {x, 5})
F(struct arr, arr, {{x, 2, 3, 4}})
F(struct ptrs, ptrs, {"hello", &two})
F(struct empty, empty, {})
F(union either, either, {x})
F(double, real, (x * 1.5))
F(float, small, (x * 1.5))
F(long double, extended, (x * 1.5))

int main() {
	volatile long s = 0;
	s += one(42).a + named(11).a + two_words(3).b + bits(1).x + nest(6).o.a + odd(65).c[1] + half(8).a + halves(2).x;
	s += big(9).a + packed(3).l + arr(21).v[2] + *ptrs(1).s + either(0x41424344).i + real(3) + small(3) + extended(3);
	empty(1);
	return 0;
}

// What the tests of typed arguments trace, in C: each way in which a parameter
// reaches a function.
#include <stdio.h>

enum color { RED, GREEN = 5, BLUE };
union u { int i; char c[4]; };
struct inner { short s; long l; };
struct node { int id; struct node *next; const char *name; unsigned lo:3, hi:5; signed sb:4; struct inner in; union u un; int arr[4]; enum color col; };
typedef struct { int x, y; } pt;
struct pair { long a; int b; };
struct big { long a, b, c; };
struct fl { double d; long n; };
typedef unsigned int u32t;
__attribute__((noinline)) int take(struct node *n, pt p, u32t k, char ch, enum color c, const char *s) { asm volatile(""); return n->id + p.x + p.y + k + ch + c; }
__attribute__((noinline)) long stk(long a, long b, struct pair p, long c, struct pair q, struct big g, int z, signed char w) { asm volatile(""); return a+b+p.a+p.b+c+q.a+q.b+g.a+g.b+g.c+z+w; }
__attribute__((noinline)) struct big sret(int a, double d, int b) { asm volatile(""); struct big r = {a, b, (long)d}; return r; }
__attribute__((noinline)) double dbl(struct fl f, int k, float q) { asm volatile(""); return f.d + f.n + k + q; }
__attribute__((noinline)) struct node *retn(struct node *n) { asm volatile(""); return n; }
__attribute__((noinline)) pt retp(int a) { asm volatile(""); pt p = {a, -a}; return p; }
__attribute__((noinline)) int neg(void) { asm volatile(""); return -3; }
volatile long sink;
int main() {
  struct node m = {.id=2,.name="second"}, n = {.id=-7, .next=&m, .name="first", .lo=5, .hi=17, .sb=-2, .in={-4, 1L<<40}, .un={.i=0x01020304}, .arr={1,-2,3,4}, .col=GREEN};
  pt p = {3, -4};
  struct pair a={10,-11}, b={20,-21}; struct big g={100,200,-300}; struct fl f={1.5, 77};
  sink += take(&n, p, 4000000000u, 'x', BLUE, "hello");
  sink += stk(1, 2, a, 3, b, g, -9, -5);
  sink += sret(6, 2.5, 7).b;
  sink += (long)dbl(f, 55, 1.0f);
  sink += retn(&n)->id;
  sink += retp(9).y;
  sink += neg();
  return 0;
}

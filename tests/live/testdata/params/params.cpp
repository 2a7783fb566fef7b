// What the tests of typed arguments trace, in C++: objects passed by address.
#include <string>
#include <cstdio>
struct Base { int b; virtual ~Base() {} virtual int v() { return 1; } };
struct Derived : Base { long d; static int st; int m(int k, const std::string &s) ; };
int Derived::st = 3;
__attribute__((noinline)) int Derived::m(int k, const std::string &s) { asm volatile(""); return b + d + k + s.size(); }
namespace ns { enum class Col : unsigned char { A = 1, B = 200 }; 
 __attribute__((noinline)) int f(Derived *p, Col c, std::string byval, int tail, bool t) { asm volatile(""); return p->b + (int)c + byval.size() + tail + t; } }
struct Plain { int a; long b; };
struct Owner { int a; Owner(int n) : a(n) {} Owner(const Owner &o) : a(o.a) {} ~Owner() {} };
namespace ns { __attribute__((noinline)) Plain plain(int n) { asm volatile(""); return {n, -n}; }
 __attribute__((noinline)) Owner owner(int n) { asm volatile(""); return Owner(n); } }
int main() { ns::plain(4); ns::owner(44); Derived d; d.b = 5; d.d = 6; volatile int s = d.m(7, "abcd"); s = ns::f(&d, ns::Col::B, std::string("hello world, longer than small"), -3, true); return 0; }

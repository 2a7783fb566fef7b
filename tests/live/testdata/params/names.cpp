// Functions of C++ whose names need more than one word: overloads, operators, templates,
// constructors, a namespace without a name. main shows how often it calls each.
#include <cstdlib>
#include <string>

#define OUT __attribute__((noipa))
#define IN static inline __attribute__((always_inline))

namespace ns {
OUT int f(int x) { return x + 1; }
OUT int f(int x, double d) { return x + (int)d; }
OUT int f(const std::string &s) { return s.size(); }
OUT int f(char *s) { return s[0]; }
OUT int f(const char *s, unsigned long n) { return s[n]; }
template <typename T> OUT T twice(T v) { return v + v; }
struct Acc {
  int total;
  OUT explicit Acc(int t) : total(t) {}
  OUT ~Acc() { total = 0; }
  OUT int add(int n) { return total += n; }
  OUT int add(int n) const { return total + n; }
  OUT int operator()(int n) { return total - n; }
  OUT int operator+(int n) { return total + n; }
  OUT int operator[](int n) { return total * n; }
  OUT explicit operator bool() { return total != 0; }
};
namespace {
OUT int hidden(int x) { return x + 9; }
}
OUT std::string tagged(int n) { return std::string(n, 'x'); } // its symbol has a tag of the ABI
} // namespace ns

template <class K, class V> struct Table {
  V v;
  OUT V get(K) { return v; }
  template <class F> OUT V map(F f) { return f(v); }
};

IN int tiny(int a, int b) {
  asm volatile("nop" ::"r"(a), "r"(b));
  return a * 3 + b;
}

OUT int user(int n) { return tiny(n, 1) + tiny(n, 2); }

int main() {
  volatile long sum = 0;
  for (int i = 0; i < 3; i++) {
    char text[] = "text";
    sum = sum + ns::f(i) + ns::f(i) + ns::f(i, 2.5) + ns::f(std::string("abc")) + ns::f(text) + ns::f(text, 1);
    sum = sum + ns::twice(i) + (long)ns::twice(1.5) + ns::twice(2L);
    ns::Acc a(i);
    const ns::Acc &constant = a;
    sum = sum + a.add(2) + constant.add(3) + constant.add(4) + a(1) + (a + 1) + a[2] + (a ? 1 : 0);
    sum = sum + ns::hidden(i) + ns::tagged(i).size();
    Table<int, long> t{7};
    Table<std::string, Table<int, int>> u{{8}};
    sum = sum + t.get(1) + u.get("k").v + t.map([](long v) { return v + 1; });
    sum = sum + user(i) + tiny(i, 5);
  }
}

// What the tests of probes on source lines trace. Their line numbers count.
volatile int sink;
static inline __attribute__((always_inline)) void add(int k) {
  sink += k;
}
__attribute__((noinline)) void loop(int k) {
  for (int i = 0; i < k; i++)
    add(i);
  add(100);
}
__attribute__((noinline)) void once(int k) { add(k); }

int main(void) {
  loop(3);
  once(5);
  return 0;
}

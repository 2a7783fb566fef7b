// What the tests of package probes trace, in C: functions with more arguments
// than registers, and a static probe with and one without a semaphore, as
// systemtap's sys/sdt.h would lay them out.
#include <stdio.h>
#include <stdlib.h>

#define PROBE(name, sem, args, ...)                                            \
  __asm__ volatile("990: nop\n"                                                \
                   ".pushsection .note.stapsdt,\"\",\"note\"\n"                \
                   ".balign 4\n"                                               \
                   ".4byte 992f-991f, 994f-993f, 3\n"                          \
                   "991: .asciz \"stapsdt\"\n"                                 \
                   "992: .balign 4\n"                                          \
                   "993: .8byte 990b\n"                                        \
                   ".8byte stapsdt_base\n"                                     \
                   ".8byte " sem "\n"                                          \
                   ".asciz \"demo\"\n"                                         \
                   ".asciz \"" #name "\"\n"                                    \
                   ".asciz \"" args "\"\n"                                     \
                   "994: .balign 4\n"                                          \
                   ".popsection\n" ::__VA_ARGS__)

__asm__(".pushsection .stapsdt.base,\"a\",@progbits\n"
        "stapsdt_base: .space 1\n"
        ".popsection\n"
        ".pushsection .probes,\"aw\",@progbits\n"
        "demo_counted_semaphore: .2byte 0\n"
        ".popsection\n");
extern volatile unsigned short demo_counted_semaphore;

__attribute__((noinline)) long many(long a, long b, long c, long d, long e, long f, long g, long h) {
  PROBE(hit, "0", "-4@%0 8@%1 -8@$-5", "r"((int)a), "m"(h));
  if (demo_counted_semaphore)
    PROBE(counted, "demo_counted_semaphore", "8@%0", "r"(b));
  return a + b + c + d + e + f + g + h;
}

volatile long sink;

int main(int argc, char **argv) {
  int n = atoi(argv[1]);
  getchar(); // the tests attach meanwhile
  for (int i = 0; i < n; i++)
    sink += many(-1, 2, 3, 4, 5, 6, 7, 8);
  printf("%ld\n", sink);
  return 0;
}

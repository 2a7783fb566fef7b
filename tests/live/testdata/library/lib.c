// A library with a function and a static probe with a semaphore. With PAD it is another
// build, in which they are at other places.
#ifdef PAD
int gtpad(int n) { return n * PAD; }
#endif

__asm__(".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
        ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n"
        "_.stapsdt.base: .space 1\n.size _.stapsdt.base, 1\n"
        ".popsection\n");

__attribute__((section(".probes"), visibility("hidden"))) unsigned short gtlib_called_semaphore;

__attribute__((noinline)) int gtcall(int n, const char *s) {
  if (*(volatile unsigned short *)&gtlib_called_semaphore)
    __asm__ volatile("990: nop\n"
                     ".pushsection .note.stapsdt,\"\",\"note\"\n"
                     ".balign 4\n"
                     ".4byte 992f-991f, 994f-993f, 3\n"
                     "991: .asciz \"stapsdt\"\n"
                     "992: .balign 4\n"
                     "993: .8byte 990b\n"
                     ".8byte _.stapsdt.base\n"
                     ".8byte gtlib_called_semaphore\n"
                     ".asciz \"gtlib\"\n"
                     ".asciz \"called\"\n"
                     ".asciz \"-4@%%edi\"\n"
                     "994: .balign 4\n"
                     ".popsection\n" ::"D"(n));
  return n + s[0];
}

// The target of USDT probes in generated scripts. Built with
//
//	gcc -O1 -static -nostdlib -Wl,--build-id=none -Wl,-z,noseparate-code -s -o usdt usdt.c
//
// Its probe test:call has three arguments: a register, a constant and memory.

void _start(void)
{
	long n = 7;
	for (;;) {
		__asm__ volatile(
			"990: nop\n"
			".pushsection .note.stapsdt,\"\",\"note\"\n"
			".balign 4\n"
			".4byte 992f-991f, 994f-993f, 3\n"
			"991: .asciz \"stapsdt\"\n"
			"992: .balign 4\n"
			"993: .8byte 990b\n"
			".8byte _.stapsdt.base\n"
			".8byte 0\n"
			".asciz \"test\"\n"
			".asciz \"call\"\n"
			".asciz \"8@%0 -4@$-5 -4@-8(%%rsp)\"\n"
			"994: .balign 4\n"
			".popsection\n"
			".ifndef _.stapsdt.base\n"
			".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
			".weak _.stapsdt.base\n"
			".hidden _.stapsdt.base\n"
			"_.stapsdt.base: .space 1\n"
			".size _.stapsdt.base, 1\n"
			".popsection\n"
			".endif\n"
			: : "r"(n));
	}
}
